"""The claims table: the published figures as rows, values worked out by hand, and what is not judged."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.paths import PUBLISHED
from support.sweep_rows import made_row

from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.core_array.type_costs import operation_cycles
from soma_cp.model.hardware.quantities import MIB
from soma_cp.model.network.builtin.catalogue import builtin_names, builtin_network
from soma_cp.model.network.network_file import read_network_file
from soma_cp.solver.sweep.examples import example
from soma_cp.solver.sweep.findings.cases import Case, cases_of, family_cases
from soma_cp.solver.sweep.findings.claims import Answer, Kind, MeanClaim, Verdict, is_near, shown
from soma_cp.solver.sweep.findings.paper_claims import MEANS, verdicts
from soma_cp.solver.sweep.findings.ratios import bound_share, mean_over, percent_of, ratio, speedup, value_of
from soma_cp.solver.sweep.grid import read_sweep

Rows = list[dict[str, Any]]


def operations(net: str, hw: str, batch: int) -> float:
    """Return the cycles that fully used arrays would need."""
    network = builtin_network(net) if net in builtin_names() else read_network_file(PUBLISHED / f"networks/{net}.json")
    return operation_cycles(network, PLATFORMS[hw]) * batch


@pytest.fixture(scope="module")
def published() -> Rows:
    """The published program's figures as rows of paper-1 and paper-2; the bound stands as cycles of tiles."""
    rows = []
    with (PUBLISHED / "artifact_results.csv").open(encoding="utf-8") as file:
        for line in csv.DictReader(file):
            case = (line["network"], line["platform"], int(line["batch"]))
            for method, column in (("paper-1", "first_stage_latency"), ("paper-2", "latency")):
                latency = int(line[column])
                figures = {"lgs": int(line["lgs"]), "flgs": int(line["flgs"]), "energy_pj": float(line["energy_pj"])}
                used = operations(*case) / latency
                bound = {"tile_cycles": int(line["bound"]), "dram_cycles": 0, "utilization": used}
                rows.append(made_row(*case, method, latency_cycles=latency, **figures, **bound))
    return rows


def test_published_figures_give_the_published_means(published: Rows) -> None:
    """Of the 17 cases of the file; its means over them, worked out from the file by hand."""
    cases = cases_of(published)
    assert len(cases) == 17
    assert mean_over(cases, cases, speedup("paper-2", "paper-1")).arithmetic == pytest.approx(1.2229, abs=5e-5)
    assert 1 - mean_over(cases, cases, bound_share("paper-2")).arithmetic == pytest.approx(0.04518, abs=5e-6)
    assert mean_over(cases, cases, value_of("paper-1", "lgs")).arithmetic == pytest.approx(28 / 17)
    assert mean_over(cases, cases, value_of("paper-1", "flgs")).arithmetic == pytest.approx(54 / 17)


def test_decode_utilization_of_the_published_program_is_that_of_the_paper(published: Rows) -> None:
    """The paper has 0.60 for the last one: it rounds down the cycles of each layer."""
    found = {one.number: one for one in verdicts(published)}
    assert [found[f"10{letter}"].ours for letter in "abce"] == ["0.66 %", "2.03 %", "4.26 %", "0.61 %"]
    assert {found[f"10{letter}"].answer for letter in "abce"} == {Answer.MET}
    assert found["10d"].answer is Answer.UNKNOWN


def of(rows: Rows, number: str) -> Verdict:
    return next(one for one in verdicts(rows) if one.number == number)


def all_cases(latencies: dict[str, int], **figures: dict[str, float]) -> Rows:
    """Return rows of the 48 cases, all alike."""
    return [
        made_row(*case, method, latency_cycles=latency, **{name: of[method] for name, of in figures.items()})
        for case in family_cases()
        for method, latency in latencies.items()
    ]


def test_ratios_are_means_of_ratios_of_each_case() -> None:
    """Of 48 cases 24 have 4/2 and 24 have 1/2 of the latency: mean 1.25, geometric 1."""
    rows = all_cases({"cocco": 400, "paper-2": 200})
    slow = [
        {**row, "latency_cycles": 800} if row["method"] == "paper-2" and row["hw"] == "edge" else row for row in rows
    ]
    verdict = of(slow, "1a")
    assert (verdict.ours, verdict.geometric, verdict.cases, verdict.answer) == ("1.25×", "1.00×", 48, Answer.NOT_MET)
    assert "tiling numbers" in verdict.why


def test_a_claim_within_its_tolerance_is_met() -> None:
    """211 / 100 = 2.11; energy 62.7 / 100, which saves 37.3 %, as core 65.2 / 100 and DRAM 55.7 / 100 of the claims."""
    rows = all_cases(
        {"cocco": 2110, "paper-1": 1160, "paper-2": 1000},
        energy_pj={"cocco": 100.0, "paper-1": 62.7, "paper-2": 62.7},
        core_energy_pj={"cocco": 100.0, "paper-1": 65.2, "paper-2": 65.2},
        dram_energy_pj={"cocco": 100.0, "paper-1": 55.7, "paper-2": 55.7},
    )
    found = {one.number: one for one in verdicts(rows)}
    assert {number: found[number].ours for number in ("1a", "1b", "2a", "3", "7a", "7b")} == {
        "1a": "2.11×",
        "1b": "−37.3 %",
        "2a": "1.82×",
        "3": "1.16×",
        "7a": "−34.8 %",
        "7b": "−44.3 %",
    }
    assert {found[number].answer for number in ("1a", "1b", "2a", "2b", "3", "7a", "7b")} == {Answer.MET}


def test_a_mean_over_some_of_the_cases_is_shown_but_not_judged() -> None:
    rows = all_cases({"cocco": 211, "paper-2": 100})
    gone = [row for row in rows if (row["net"], row["batch"], row["method"]) != ("resnet50", 4, "cocco")]
    failed = [*gone, made_row("resnet50", "edge", 4, "cocco")]
    for some in (gone, failed):
        verdict = of(some, "1a")
        assert (verdict.ours, verdict.cases, verdict.answer) == ("2.11×", 46, Answer.UNKNOWN)
        assert verdict.why == "2 of 48 cases lack a schedule"
    assert of([], "1a") == replace(
        of([], "1a"), ours="", cases=0, answer=Answer.UNKNOWN, why="no case has the schedules"
    )


@pytest.mark.parametrize(
    ("kind", "paper", "edge"),
    [(Kind.RATIO, 2.0, 0.2), (Kind.REDUCTION, 37.3, 3.0), (Kind.SHARE, 50.0, 3.0), (Kind.COUNT, 10.0, 1.0)],
)
def test_tolerances(kind: Kind, paper: float, edge: float) -> None:
    for sign in (-1, 1):
        assert is_near(kind, paper + sign * edge, paper)
        assert not is_near(kind, paper + sign * edge * 1.001, paper)


def test_utilization_is_compared_as_it_is_printed() -> None:
    assert is_near(Kind.UTILIZATION, 0.6849, 0.66)
    assert not is_near(Kind.UTILIZATION, 0.6851, 0.66)


def test_figures_are_shown_as_the_paper_prints_them() -> None:
    assert shown(Kind.REDUCTION, 37.26) == "−37.3 %"
    assert shown(Kind.REDUCTION, -2.0) == "+2.0 %"
    assert shown(Kind.COUNT, 7961.6) == "7,962"
    assert shown(Kind.COUNT, 2.54) == "2.5"
    assert shown(Kind.RATIO, float("nan")) == ""


def test_a_case_is_missing_where_either_method_has_no_schedule() -> None:
    done, none = made_row("resnet50", "edge", 1, "cocco", latency_cycles=6), made_row("resnet50", "edge", 1, "paper-2")
    assert speedup("paper-2", "cocco")({"cocco": done, "paper-2": none}) is None
    assert ratio("cocco", "cocco", "latency_cycles")({"cocco": done}) == 1
    assert percent_of("paper-2", lambda row: row["utilization"])({"paper-2": none}) is None


def test_the_cases_are_those_of_the_ready_file(tmp_path: Path) -> None:
    file = tmp_path / "fig6.yaml"
    file.write_text(example("fig6"), encoding="utf-8")
    points = read_sweep(file).points
    assert {Case(point.net, point.hw, point.problem.batch) for point in points} == set(family_cases())
    assert len(points) == len(family_cases()) == 48
    rows = [made_row(point.net, point.hw, point.problem.batch, "ours", seq=point.seq) for point in points]
    assert len(cases_of(rows)) == 48


def test_numbers_of_claims_are_unique() -> None:
    numbers = [one.number for one in verdicts([])]
    assert len(numbers) == len(set(numbers))
    assert {one.answer for one in verdicts([])} == {Answer.UNKNOWN}
    assert all(isinstance(claim, MeanClaim) for claim in MEANS)


def decode(latencies: dict[int, int]) -> Rows:
    """Return rows of decode whose utilization is what the latencies say, in percent."""
    return [
        made_row("gpt2-small-decode", "edge", batch, "paper-2", latency_cycles=9, utilization=value / 100)
        for batch, value in latencies.items()
    ]


def test_growth_of_utilization() -> None:
    assert of(decode({1: 1, 4: 3, 16: 6, 64: 8}), "11b").answer is Answer.MET
    assert of(decode({1: 1, 4: 3, 16: 6, 64: 8}), "11b").ours == "3.00×, 2.00×, 1.33×"
    assert of(decode({1: 1, 4: 3, 16: 10, 64: 12}), "11b").answer is Answer.NOT_MET
    assert of(decode({1: 1, 4: 3, 16: 6}), "11b").answer is Answer.UNKNOWN


def surface(latency: Any, method: str, batch: int = 1) -> Rows:
    """Return the 28 points of a map; `latency` is a function of GB/s and MiB."""
    return [
        made_row(
            "resnet50",
            "edge",
            batch,
            method,
            latency_cycles=round(latency(bandwidth, size)),
            buffer_bytes=size * MIB,
            dram_bytes_per_s=bandwidth * 1e9,
        )
        for bandwidth in (2, 4, 8, 16, 32, 64, 128)
        for size in (4, 8, 16, 32)
    ]


def test_maps() -> None:
    """Each doubling of the bandwidth halves the latency down to a floor, which a larger buffer reaches earlier."""

    def falls(bandwidth: int, size: int) -> float:
        return max(1e6 * 16 * 4 / bandwidth / size, 1e6)

    def alike(bandwidth: int, _: int) -> float:
        return max(1e6 * 16 / bandwidth, 1e6)

    triangle = of([*surface(falls, "paper-2"), *surface(alike, "cocco")], "F7c")
    assert triangle.answer is Answer.MET
    assert (
        triangle.ours
        == "Ours: 22 cells, within 1 % from 16, 8, 4, 2 GB/s; Cocco: 16 cells, within 1 % from 16, 16, 16, 16 GB/s"
    )
    both = of([*surface(falls, "paper-2"), *surface(falls, "cocco")], "F7c")
    assert (both.answer, both.why) == (Answer.NOT_MET, "those of Cocco form one, too")
    assert of(surface(alike, "paper-2"), "F7a").answer is Answer.MET
    assert of(surface(alike, "paper-2")[1:], "F7a").answer is Answer.UNKNOWN
    grows = [
        row
        for batch in (1, 4, 16)
        for row in surface(lambda b, s, n=batch: 1e6 * (4 / s) ** (n / 16), "paper-2", batch)
    ]
    assert of(grows, "F7b").answer is Answer.MET
