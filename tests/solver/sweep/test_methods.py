"""Methods: what they find is recorded, so that a change raises the versions; the paper's run takes the fastest."""

from pathlib import Path

import pytest

from soma_cp.annealing.monitor import Monitor
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.platform_file import with_overrides
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.problem import Problem
from soma_cp.solver.sweep import methods
from soma_cp.solver.sweep.methods import FAMILIES, METHODS, OURS
from soma_cp.solver.sweep.outcome import Status
from soma_cp.solver.sweep.point import MODEL_VERSION, SEARCH_VERSION, Point
from soma_cp.solver.sweep.rows import published_average_buffer_bytes


def point_of(net: str, buffer: str, batch: int = 1) -> Point:
    platform = with_overrides(PLATFORMS["edge"], buffer, "4GB/s")
    return Point(Problem(builtin_network(net), platform, batch), net, effort=0.05)


@pytest.fixture(scope="module")
def attention() -> Point:
    return point_of("tiny-attention", "96KiB", 2)


RECORDED = {
    "cocco": 573584,
    "cocco-exact": 573440,
    "paper-1": 298880,
    "paper-2": 298816,
    "paper-1-full": 298880,
    "ours-alone": 149312,
}
"""Latencies (cycles) by method."""


def test_results_are_those_of_these_versions(attention: Point) -> None:
    """If this fails since results changed on purpose, raise MODEL_VERSION or SEARCH_VERSION, and record again."""
    found = {}
    for name, family in FAMILIES.items():
        asked = [method for method, row in METHODS.items() if row.family == name and method != OURS]
        for method, outcome in family.run(attention, asked, Monitor()).items():
            assert outcome.schedule is not None
            found[method] = outcome.schedule.latency
    assert (MODEL_VERSION, SEARCH_VERSION, found) == (1, 1, RECORDED)


def test_the_papers_run_takes_the_iteration_whose_second_stage_is_fastest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    point = point_of("tiny-branch", "96KiB", 2)
    latencies = []
    original = methods.run_second_stage

    def watched(*given: object, **named: object) -> object:
        result = original(*given, **named)  # type: ignore[arg-type]
        latencies.append(result.schedule.latency)
        return result

    monkeypatch.setattr(methods, "run_second_stage", watched)
    found = FAMILIES["paper"].run(point, ["paper-1", "paper-2", "paper-1-full"], Monitor())
    schedules = {name: outcome.schedule for name, outcome in found.items()}
    assert schedules["paper-2"] is not None
    assert schedules["paper-2"].latency == min(latencies)
    assert schedules["paper-1"] is not None
    assert schedules["paper-1"].lfa == schedules["paper-2"].lfa
    assert len(latencies) > 1


def test_double_buffering_that_exceeds_the_buffer_is_infeasible() -> None:
    point = point_of("tiny-attention", "64KiB")
    found = FAMILIES["cocco"].run(point, ["cocco", "cocco-exact"], Monitor())
    assert found["cocco"].status is Status.INFEASIBLE
    assert found["cocco"].message == "double buffering of the LFA needs 73,728 bytes of the buffer, which has 65,536"
    exact = found["cocco-exact"].schedule
    assert exact is not None
    assert exact.fits


def test_the_published_average_of_the_buffer_by_hand(attention: Point) -> None:
    """Bytes at each tile's begin times the time since the begin of the tile before, over the latency."""
    schedule = FAMILIES["paper"].run(attention, ["paper-2"], Monitor())["paper-2"].schedule
    assert schedule is not None
    begins, held = schedule.evaluation.tile_begin.tolist(), schedule.evaluation.usage_bytes.tolist()
    total, before = 0, 0
    for begin, held_bytes in zip(begins, held, strict=True):
        total += held_bytes * (begin - before)
        before = begin
    assert published_average_buffer_bytes(schedule) == pytest.approx(total / schedule.latency, rel=1e-12)


def test_all_methods_are_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "sweeps.md").read_text()
    assert all(f"| `{method}` |" in page for method in METHODS)
