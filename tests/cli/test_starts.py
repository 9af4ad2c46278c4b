"""``solve --start``, ``--fix-lfa`` and ``--resume``: what goes in, what is refused, what is written."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Run, assert_refused
from support.paths import PUBLISHED

from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.soma.schedule_file import read_schedule

SOLVE = ("solve", "--net", "tiny-chain", "--time-limit", 0, "--deterministic")
PUBLISHED_SCHEDULE = PUBLISHED / "schedules" / "resnet50.b1.8MiB.16GBps.json"


@pytest.fixture
def solved(run: Run) -> dict[str, Any]:
    """The figures of a schedule of tiny-chain in a.json."""
    return run(*SOLVE, "--lfa", "greedy", "-o", "a.json", "--json").document


def provenance(path: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))["provenance"]
    return document


def test_a_start_is_never_made_worse(run: Run, solved: dict[str, Any]) -> None:
    document = run("solve", "--start", "a.json", "--stage2", "none", "--time-limit", 5, "--json").document
    assert document["latency"] * document["energy_pj"] <= solved["latency"] * solved["energy_pj"]
    assert document["network"] == "tiny-chain"
    assert document["start"] == {"latency_cycles": solved["latency"], "energy_pj": solved["energy_pj"]}
    text = run("solve", "--start", "a.json", "--time-limit", 5).out
    (line,) = (line for line in text.splitlines() if line.startswith("start "))
    assert line.split()[1:4] == ["a.json:", f"{solved['latency']:,}", "cycles,"]


def test_the_file_brings_the_problem_and_options_change_it(run: Run, solved: dict[str, Any]) -> None:
    run(
        "solve",
        "--start",
        "a.json",
        "--batch",
        2,
        "--buffer",
        "1MiB",
        "--dram",
        "8GB/s",
        "--time-limit",
        5,
        "-o",
        "b.json",
    )
    problem = read_schedule(Path("b.json")).problem
    assert (problem.batch, problem.platform.gbuf_bytes, problem.network.name) == (2, 1 << 20, "tiny-chain")
    assert problem.platform.dram_bytes_per_second == 8e9
    run("solve", "--start", "b.json", "--hw", "cloud", "--time-limit", 5, "-o", "c.json")
    problem = read_schedule(Path("c.json")).problem
    assert (problem.batch, problem.platform) == (2, PLATFORMS["cloud"])
    # With --net, options and their defaults say what is scheduled; the file gives the LFA.
    run("solve", "--net", "tiny-chain", "--start", "b.json", "--time-limit", 5, "-o", "d.json")
    problem = read_schedule(Path("d.json")).problem
    assert (problem.batch, problem.platform) == (1, PLATFORMS["edge"])


def test_a_note_says_why_an_lfa_alone_is_used(run: Run, solved: dict[str, Any]) -> None:
    document = json.loads(Path("a.json").read_text(encoding="utf-8"))
    columns = document["dlsa"]["columns"]
    for row in document["dlsa"]["dram_tensor_order"]:
        if row[columns.index("kind")] == "wgt":
            row[columns.index("end")] += 1
    Path("broken.json").write_text(json.dumps(document), encoding="utf-8")
    outcome = run("solve", "--start", "broken.json", "--time-limit", 5)
    assert outcome.code == 0
    assert outcome.err.startswith("soma-cp: note: the LFA alone of broken.json is used: weights of conv1: end=")
    assert "[rule: a load's End is its last need + 1]" in outcome.err
    assert "broken.json: its LFA alone" in outcome.out


def test_a_fixed_lfa_is_kept_and_said(run: Run, solved: dict[str, Any]) -> None:
    outcome = run("solve", "--fix-lfa", "a.json", "--stage2", "sa", "--time-limit", 5, "-o", "b.json")
    assert read_schedule(Path("b.json")).lfa == read_schedule(Path("a.json")).lfa
    assert "that of the start, and no other was searched: the proven lower bound is of it alone" in outcome.out
    assert "0 LFAs tried" in outcome.out
    assert provenance("b.json")["fix_lfa"] is True
    document = run("solve", "--fix-lfa", "a.json", "--time-limit", 5, "--json").document
    assert document["fix_lfa"]
    assert document["first_stage_rounds"] == 0
    assert document["proven_optimal"]


def test_a_published_schedule_is_bettered_without_touching_its_lfa(run: Run) -> None:
    """2,639,194 cycles were published for this LFA; 2,608,650 are optimal (docs/second-stage.md)."""
    path = PUBLISHED / "schedules" / "resnet50.b4.8MiB.16GBps.json"
    document = run("solve", "--fix-lfa", path, "--json", "-o", "better.json").document
    assert document["latency"] == 2_608_650
    assert document["start"]["latency_cycles"] == 2_639_194
    assert read_schedule(Path("better.json")).lfa == read_schedule(path).lfa


def test_a_search_goes_on_where_it_was(run: Run, solved: dict[str, Any]) -> None:
    before = Path("a.json").read_text(encoding="utf-8")
    run(*SOLVE, "-o", "same.json")
    for name in ("a.json", "same.json"):
        assert run("solve", "--resume", name).code == 0
    one, other = (json.loads(Path(name).read_text(encoding="utf-8")) for name in ("a.json", "same.json"))
    for document in (one, other):
        document["provenance"]["seconds"] = 0
    assert one == other
    assert one["latency"] * one["energy_pj"] <= solved["latency"] * solved["energy_pj"]
    first, second = json.loads(before)["provenance"], provenance("a.json")
    for name in ("seed", "space", "lfa_search", "stage2", "energy_exponent", "delay_exponent", "time_limit_seconds"):
        assert first[name] == second[name], name
    assert (first.get("run"), second["run"]) == (None, 1)
    assert second.get("deterministic") or second["second_stage_details"]["deterministic"]
    run("solve", "--resume", "a.json", "-o", "b.json", "--time-limit", 7)
    assert provenance("a.json")["run"] == 1
    assert (provenance("b.json")["run"], provenance("b.json")["time_limit_seconds"]) == (2, 7.0)


def test_every_option_of_a_search_is_resumed(run: Run) -> None:
    options = ("--lfa", "paper", "--stage2", "sa", "--energy-exponent", 0.5, "--delay-exponent", 2, "--seed", 9)
    run("solve", "--net", "tiny-wide", *options, "--time-limit", 11, "-o", "a.json")
    document = run("solve", "--resume", "a.json", "--json").document
    assert (document["lfa_search"], document["stage2"], document["space"]) == ("paper", "sa", "paper")
    assert (document["seed"], document["run"]) == (9, 1)
    made = provenance("a.json")
    assert (made["energy_exponent"], made["delay_exponent"], made["time_limit_seconds"]) == (0.5, 2, 11)
    run("solve", "--fix-lfa", "a.json", "--time-limit", 5, "-o", "b.json")
    assert run("solve", "--resume", "b.json", "--json").document["fix_lfa"]
    run("solve", "--net", "tiny-chain", "--exact", "--time-limit", 20, "-o", "c.json")
    assert run("solve", "--resume", "c.json", "--json").document["exact"] is not None
    off = {"divisions": "off", "shared_loads": "off", "periods": "off"}
    run("solve", "--net", "tiny-wide", *left_out(off), "--stage2", "greedy", "-o", "d.json")
    run("solve", "--resume", "d.json", "-o", "e.json")
    for made in (provenance("d.json"), provenance("e.json")):
        assert {name: made.get(name) for name in off} == off


def left_out(extensions: dict[str, str]) -> list[str]:
    """Return the options that leave out extensions."""
    return [text for name, value in extensions.items() for text in (f"--{name.replace('_', '-')}", value)]


# What is refused.


def test_options_that_contradict_one_another(run: Run, solved: dict[str, Any]) -> None:
    for options, *fragments in (
        (("--start", "a.json", "--resume", "a.json"), "--start and --resume both say where the search begins"),
        (("--fix-lfa", "a.json", "--lfa", "greedy"), "--lfa with --fix-lfa, which searches no LFA; leave one"),
        (("--fix-lfa", "a.json", "--space", "wide"), "--space with --fix-lfa"),
        (("--fix-lfa", "a.json", "--exact"), "--exact with --fix-lfa"),
        (("--resume", "a.json", "--seed", 0), "--seed with --resume, which goes on as the file says"),
        (("--resume", "a.json", "--net", "tiny-chain"), "--net with --resume"),
        (("--resume", "a.json", "--divisions", "off"), "--divisions with --resume"),
        (("--resume", "a.json", "--energy-exponent", 1), "--energy-exponent with --resume"),
        (("--start", "a.json", "--seq", 3), "--seq with --start, whose file has its own network, without --net"),
        (("--start", "a.json", "--blocks", 3), "--blocks with --start"),
        ((), "solve needs --net NAME|FILE, or --start, --fix-lfa or --resume with a schedule file"),
    ):
        assert_refused(run("solve", *options), *fragments)


def test_files_that_do_not_suit(run: Run, solved: dict[str, Any]) -> None:
    outcome = run("solve", "--net", "tiny-wide", "--start", "a.json")
    assert_refused(outcome, "--start a.json: the LFA names the layer 'conv1', which 'tiny-wide' does not have")
    outcome = run("solve", "--fix-lfa", "a.json", "--buffer", "100KiB")
    assert_refused(outcome, "--fix-lfa a.json: the buffer is too small at tile")
    assert_refused(run("solve", "--start", "nowhere.json"), "nowhere.json")
    outcome = run("solve", "--resume", PUBLISHED_SCHEDULE)
    assert_refused(outcome, "lfa_search=None in its provenance (must be a name); files of 'soma-cp solve -o' can be")
    document = json.loads(Path("a.json").read_text(encoding="utf-8"))
    for name, value, fragment in (
        ("seed", True, "seed=True in its provenance (must be a whole number)"),
        ("seed", -1, "--seed=-1 (must be from 0"),
        ("space", "vast", "space='vast' in its provenance (must be paper or wide)"),
        ("time_limit_seconds", "long", "time_limit_seconds='long' in its provenance"),
        ("run", -1, "run=-1 in its provenance"),
        ("divisions", "on", "divisions='on' in its provenance (must be auto or off)"),
        ("shared_loads", 1, "shared_loads=1 in its provenance (must be auto or off)"),
        ("stage2", "cpsta", "no second stage is called 'cpsta'"),
        ("delay_exponent", 99, "--delay-exponent=99 (must be from 0 to 8)"),
    ):
        changed = document | {"provenance": document["provenance"] | {name: value}}
        Path("changed.json").write_text(json.dumps(changed), encoding="utf-8")
        assert_refused(run("solve", "--resume", "changed.json"), fragment)


def test_a_comparison_of_schedules_takes_no_first_stage(run: Run, solved: dict[str, Any]) -> None:
    outcome = run("compare", "--schedule", "a.json", "--lfa", "paper")
    assert_refused(outcome, "--lfa=paper with --schedule, which has its own; leave one of the two out")
    outcome = run("compare", "--schedule", "a.json", "--shared-loads", "off")
    assert_refused(outcome, "--shared-loads=off with --schedule, which has its own; leave one of the two out")
    assert run("compare", "--schedule", "a.json", "--time-limit", 2).code == 0
