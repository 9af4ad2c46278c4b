"""Advice at the end of ``solve``."""

from json import loads
from pathlib import Path

from support.command_line import Run

from soma_cp.cli.tables import LABEL_WIDTH

QUICK = ("--net", "tiny-chain", "--stage2", "greedy", "--time-limit", "20")


def test_solve_ends_with_at_most_three_lines(run: Run) -> None:
    lines = run("solve", *QUICK).out.splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith("what limits me"))
    assert 1 <= len([line for line in lines[first:] if line[LABEL_WIDTH] != " "]) <= 3
    assert lines[first - 1] == ""
    assert any("at least −" in line for line in lines[first:])


def test_json_lists_the_same_lines(run: Run) -> None:
    printed = " ".join(run("solve", *QUICK).out.split())
    advice = run("solve", *QUICK, "--json").document["advice"]
    assert all(one["text"] in printed for one in advice)
    assert all(one["checked_gain_share"] is None for one in advice)


def test_a_baseline_is_told_of_no_other_search(run: Run) -> None:
    """The default search gains a lot on either baseline; no line says so, or counts from what it finds."""
    best = run("solve", "--net", "tiny-branch", "--stage2", "greedy", "--json").document
    for lfa in ("cocco", "cocco-ga"):
        document = run("solve", "--net", "tiny-branch", "--lfa", lfa, "--json").document
        assert document["energy_delay_pj_cycles"] > 1.05 * best["energy_delay_pj_cycles"]
        assert "short search" not in {one["basis"] for one in document["advice"]}
        assert "search" not in {one["lever"] for one in document["advice"]}
        checked = run("solve", "--net", "tiny-branch", "--lfa", lfa, "--advise", "--json").document
        assert [one["lever"] for one in checked["advice"]] == [one["lever"] for one in document["advice"]]


def test_advise_solves_again_and_shows_both_figures(run: Run) -> None:
    plain = run("solve", *QUICK, "--json").document["advice"]
    checked = run("solve", *QUICK, "--advise", "--json").document["advice"]
    assert [one["lever"] for one in checked] == [one["lever"] for one in plain]
    pairs = zip(checked, plain, strict=True)
    levers = [(one, other) for one, other in pairs if one["lever"] in ("buffer", "dram_bandwidth")]
    assert levers
    for one, other in levers:
        assert one["estimated_gain_share"] == other["estimated_gain_share"] <= one["checked_gain_share"]
        assert "re-solved" in one["text"]


def test_the_schedule_is_the_same_with_and_without_advise(run: Run) -> None:
    run("solve", *QUICK, "-o", "a.json")
    run("solve", *QUICK, "--advise", "-o", "b.json")
    one, other = (loads(Path(name).read_text()) for name in ("a.json", "b.json"))
    assert one["lfa"] == other["lfa"]
    assert (one["latency"], one["dlsa"]) == (other["latency"], other["dlsa"])


def test_advise_keeps_a_fixed_lfa(run: Run) -> None:
    """The first search has an LFA of its own for each platform; with --fix-lfa each has that of the file."""
    run("solve", *QUICK, "-o", "mine.json")
    document = run("solve", "--fix-lfa", "mine.json", "--stage2", "greedy", "--advise", "--json").document
    levers = [one for one in document["advice"] if one["lever"] in ("buffer", "dram_bandwidth")]
    assert levers
    assert all(one["checked_gain_share"] is not None for one in levers)
