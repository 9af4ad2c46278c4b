"""Searches in several passes: which numbers are tried, that nothing gets worse, and what is refused."""

import itertools
import math
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters, LFASearchResult
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.progress import ProgressEvent
from soma_cp.model.errors import UserError
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import FLG, LFA, unfused_lfa
from soma_cp.model.soma.plan import make_plan
from soma_cp.model.soma.schedule import Schedule
from soma_cp.model.soma.validity import violations
from soma_cp.solver import passes as passes_module
from soma_cp.solver.choices import FirstStage, SecondStage, Space
from soma_cp.solver.every_lfa.network_bounds import bound_every_lfa
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.passes import numbers_of_passes, with_fewer_passes
from soma_cp.solver.solve import SolveResult, solve

EDGE = PLATFORMS["edge"]
TIGHT = Problem(builtin_network("tiny-attention"), replace(EDGE, gbuf_bytes=160 << 10), 8)
"""The buffer is too small for the fmaps of all samples: passes win."""
FEW = SolveParameters(
    second_stage=SecondStage.GREEDY, search=LFASearchParameters(rounds=400, chains=2), threads=1, prove_seconds=0
)


def cost(result: SolveResult) -> float:
    return result.schedule.cost(result.parameters.objective)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", ["tiny-chain", "tiny-ffn", "tiny-attention", "tiny-wide"])
def test_passes_never_make_it_worse(name: str, seed: int) -> None:
    problem = Problem(builtin_network(name), replace(EDGE, gbuf_bytes=256 << 10), 4)
    one = solve(problem, replace(FEW, seed=seed, passes=1))
    best = solve(problem, replace(FEW, seed=seed))
    assert one.schedule.lfa.passes == 1
    assert cost(best) <= cost(one)
    assert violations(best.schedule.plan, best.schedule.dlsa) == []
    assert best.schedule.problem.whole == problem
    assert best.cost_bound <= cost(best)


def test_fewer_passes_have_the_same_tiles() -> None:
    """Twelve passes of two samples as 6, 4, 3, 2 and 1: each layer has tiles of the same extent, and more of them."""
    problem = Problem(builtin_network("tiny-unet"), EDGE, 24)
    numbers = (1, 2, 3, 4, 6, 8, 10, 12)
    names = [layer.name for layer in problem.network.layers]
    flgs = tuple(FLG((name,), number, True) for name, number in zip(names, itertools.cycle(numbers), strict=False))
    lfa = LFA(flgs, passes=12)
    part = replace(problem, batch=2)
    before = make_plan(part, replace(lfa, passes=1)).layers
    for passes in (6, 4, 3, 2, 1):
        fewer = with_fewer_passes(lfa, passes)
        assert fewer.passes == 1
        after = make_plan(replace(problem, batch=24 // passes), fewer).layers
        assert after.extent.tolist() == before.extent.tolist()
        assert after.count.tolist() == (before.count * 12 // passes).tolist()


@pytest.mark.parametrize("buffer_kib", [160, 320])
def test_scaling_never_makes_it_worse(buffer_kib: int) -> None:
    problem = replace(TIGHT, platform=replace(EDGE, gbuf_bytes=buffer_kib << 10))
    without = solve(problem, replace(FEW, search=replace(FEW.search, refining_rounds=0.0)))
    scaled = [solve(problem, replace(FEW, threads=threads)) for threads in (1, 2)]
    assert scaled[0].schedule.lfa == scaled[1].schedule.lfa
    assert cost(scaled[0]) <= cost(without)


def test_scaling_goes_on_while_it_gains(monkeypatch: pytest.MonkeyPatch) -> None:
    """From 8 passes to 4, where it gains, to 2, where it does not."""
    asked: list[int] = []

    def refine(part: Problem, starts: list[LFA], *_: object, **__: object) -> LFASearchResult:
        asked.append(part.batch)
        return LFASearchResult(((1.0, starts[0]),), 1, False, 0.0)

    def greedy(_: Problem, lfa: LFA) -> Schedule:
        return cast(Schedule, SimpleNamespace(cost=lambda _: {8: 3.0, 4: 2.0, 2: 2.0}[lfa.passes]))

    monkeypatch.setattr(passes_module, "refine_lfas", refine)
    monkeypatch.setattr(passes_module, "_greedy", greedy)
    bound = bound_every_lfa(TIGHT, with_paths=False)
    search = passes_module._Search(TIGHT, FEW, bound, Monitor(), None)
    start = replace(unfused_lfa(TIGHT.network), passes=8)
    search.file_away([(0.0, start)])
    search.scale(start)
    assert asked == [2, 4]
    assert min(search.kept) == 2.0
    assert search.kept[2.0].passes == 4
    assert {flg.tiling_number for flg in search.kept[2.0].flgs} == {2}


@pytest.mark.parametrize("number", [1, 2, 4, 8])
def test_a_number_that_is_given_is_kept(number: int) -> None:
    result = solve(TIGHT, replace(FEW, passes=number))
    assert result.schedule.lfa.passes == number
    assert result.schedule.problem.samples == 8


def test_a_number_is_kept_without_time() -> None:
    result = solve(TIGHT, replace(FEW, passes=4), Monitor(Budget(0.0)))
    assert result.schedule.lfa.passes == 4
    stopped = Budget()
    stopped.request_stop()
    assert solve(TIGHT, replace(FEW, passes=2), Monitor(stopped)).schedule.lfa.passes == 2
    assert solve(TIGHT, FEW, Monitor(stopped)).interrupted


def test_the_result_does_not_depend_on_threads() -> None:
    results = [solve(TIGHT, replace(FEW, threads=threads)) for threads in (1, 2)]
    assert results[0].schedule.lfa == results[1].schedule.lfa
    assert cost(results[0]) == cost(results[1])


def test_progress_never_reports_costs_of_a_part_of_the_batch() -> None:
    events: list[ProgressEvent] = []
    result = solve(TIGHT, FEW, Monitor(progress=events.append))
    in_passes = [event for event in events if event.stage.endswith("passes")]
    assert in_passes
    assert result.schedule.lfa.passes > 1
    assert all(event.best_cost is None or event.best_cost >= cost(result) * (1 - 1e-9) for event in in_passes)


def test_one_lg_near_its_bound_needs_no_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem(builtin_network("tiny-chain"), EDGE, 4)

    def fail(*_: object) -> None:
        raise AssertionError("passes are searched")

    monkeypatch.setattr(passes_module, "OnePassSearch", fail)
    monkeypatch.setattr(passes_module, "NEAR", math.inf)
    result = solve(problem, replace(FEW, search=LFASearchParameters(rounds=4000, chains=2)))
    assert result.schedule.lfa.lg_count == 1


def test_numbers_of_passes() -> None:
    wide = replace(FEW, search=replace(FEW.search, wide=True))
    own = replace(unfused_lfa(TIGHT.network), passes=4)
    assert numbers_of_passes(TIGHT, wide, None) == (1, 2, 4, 8)
    assert numbers_of_passes(TIGHT, wide, own) == (1, 4, 2, 8)
    assert numbers_of_passes(TIGHT, FEW, None) == (1,)
    assert numbers_of_passes(TIGHT, replace(wide, passes=4), None) == (4,)


def test_a_start_in_passes_is_never_made_worse() -> None:
    start = solve(TIGHT, replace(FEW, passes=4)).schedule
    for parameters in (FEW, replace(FEW, passes=4), replace(FEW, fix_lfa=True)):
        result = solve(TIGHT, parameters, start=start)
        assert cost(result) <= start.cost(parameters.objective)
        assert result.start is not None
        assert result.start.latency == start.latency
    with pytest.raises(UserError, match="the start runs in 4 passes, not in 2; give --passes 4, or leave it out"):
        solve(TIGHT, replace(FEW, passes=2), start=start)
    with pytest.raises(UserError, match="the start runs in passes, which the paper's space does not have"):
        solve(TIGHT, replace(FEW, space=Space.PAPER), start=replace(unfused_lfa(TIGHT.network), passes=2))


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (replace(FEW, passes=3), r"--passes=3 \(must be auto or a divisor of the batch, 8\)"),
        (replace(FEW, passes=2, space=Space.PAPER), "--passes=2 needs the wide space"),
        (replace(FEW, passes=2, first_stage=FirstStage.PAPER), "--passes=2 needs the wide space"),
        (replace(FEW, exact=True, space=Space.WIDE), "--exact searches the paper's space, not the wide one"),
    ],
)
def test_what_is_refused(parameters: SolveParameters, words: str) -> None:
    with pytest.raises(UserError, match=words):
        solve(TIGHT, parameters)
