"""The Cocco baseline on the command line: what it defaults to, what is recorded, refused and compared."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Run, assert_refused

import soma_cp as sc

COCCO = ("solve", "--net", "tiny-branch", "--lfa", "cocco", "--deterministic")


def provenance(path: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))["provenance"]
    return document


def test_the_baseline_is_double_buffered_unless_a_second_stage_is_given(run: Run) -> None:
    baseline = run(*COCCO, "--json").document
    assert (baseline["stage2"], baseline["second_stage"], baseline["space"]) == ("none", "double buffering", "paper")
    assert (baseline["tiling"], baseline["uncapped"]) == ("output", False)
    exact = run(*COCCO, "--stage2", "cpsat", "--json").document
    assert exact["stage2"] == "cpsat"
    assert exact["first_stage_latency_cycles"] == baseline["latency_cycles"] > exact["latency_cycles"]
    assert exact["energy_pj"] == baseline["energy_pj"]  # the same LFA
    assert run("solve", "--net", "tiny-branch", "--time-limit", 5, "--json").document["stage2"] == "cpsat"


def test_the_output_says_what_decides_the_figures(run: Run) -> None:
    (line,) = (line for line in run(*COCCO, "--uncapped").out.splitlines() if line.startswith("Cocco baseline"))
    assert "tiling rule output, uncapped, which decides the figures" in line
    assert "Cocco baseline" not in run("solve", "--net", "tiny-branch", "--stage2", "none").out


def test_all_its_options_are_resumed(run: Run) -> None:
    run(*COCCO[:3], "--lfa", "cocco-ga", "--tiling", "largest", "--uncapped", "-o", "a.json")
    made = provenance("a.json")
    assert (made["lfa_search"], made["stage2"], made["tiling"], made["uncapped"]) == (
        *("cocco-ga", "none", "largest"),
        True,
    )
    document = run("solve", "--resume", "a.json", "--json").document
    assert (document["lfa_search"], document["tiling"], document["uncapped"], document["run"]) == (
        *("cocco-ga", "largest", True),
        1,
    )
    Path("b.json").write_text(Path("a.json").read_text().replace('"tiling": "largest"', '"tiling": "fine"'))
    assert_refused(run("solve", "--resume", "b.json"), "tiling='fine'", "output, largest, inherit")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--tiling", "largest"), "--tiling largest with --lfa greedy"),
        (("--lfa", "paper", "--uncapped"), "--uncapped with --lfa paper"),
        (("--lfa", "cocco-ga", "--tiling", "inherit"), "genomes have no tiling numbers"),
        (("--lfa", "cocco", "--passes", "2", "--batch", "4"), "and --lfa cocco out"),
        (("--lfa", "cocco", "--space", "wide", "--batch", "4"), "--lfa cocco searches the paper's space"),
    ],
)
def test_what_contradicts_it_is_refused(run: Run, options: tuple[str, ...], words: str) -> None:
    assert_refused(run("solve", "--net", "tiny-branch", *options), words)


def test_a_start_must_be_in_the_space(run: Run) -> None:
    run(*COCCO, "--tiling", "largest", "-o", "a.json")
    better = run("solve", "--start", "a.json", "--lfa", "cocco", "--tiling", "largest", "--json").document
    assert better["start"]["latency_cycles"] >= better["latency_cycles"]
    run("solve", "--net", "tiny-branch", "--space", "paper", "--time-limit", 5, "-o", "b.json")
    refused = run("solve", "--start", "b.json", "--lfa", "cocco")
    assert_refused(refused, "--start b.json: the start is not in Cocco's space", "the rule 'output'")


def test_whole_methods_are_compared(run: Run) -> None:
    words = ("compare", "--net", "tiny-chain", "--batch", "2", "--baselines", "--time-limit", 3)
    document = run(*words, "--json").document
    (case,) = document["baselines"]
    latencies = [method["latency_cycles"] for method in case["methods"]]
    assert [method["method"] for method in case["methods"]] == [
        "Cocco, double buffering",
        "Cocco's LFA, exact second stage",
        "paper's LFA, double buffering",
        "paper's LFA, SA",
        "ours",
    ]
    assert latencies[1] <= latencies[0]
    assert case["methods"][0]["energy_pj"] == case["methods"][1]["energy_pj"]
    assert (
        min(method["energy_delay_pj_cycles"] for method in case["methods"])
        == (case["methods"][-1]["energy_delay_pj_cycles"])
    )
    rows = list(csv.DictReader(run(*words, "--format", "csv").out.splitlines()))
    assert [row["method"] for row in rows] == [method["method"] for method in case["methods"]]
    table = run(*words).out
    assert "tiling rule output, seed 0" in table
    assert all(len(line) <= 80 for line in table.splitlines()[1:7])


@pytest.mark.parametrize("other", [("--lfa", "paper"), ("--schedule", "a.json")])
def test_all_first_stages_leave_no_choice(run: Run, other: tuple[str, str]) -> None:
    net = () if other[0] == "--schedule" else ("--net", "tiny-chain")
    assert_refused(run("compare", *net, "--baselines", *other), f"leave {other[0]} out")


def test_the_python_api_has_it(run: Run) -> None:
    result = sc.solve("tiny-chain", "edge", lfa="cocco", tiling="largest", batch=2)
    assert (result.schedule.provenance["stage2"], result.schedule.provenance["tiling"]) == ("none", "largest")
    with pytest.raises(sc.UserError, match="uncapped=True with lfa='greedy'"):
        sc.solve("tiny-chain", "edge", uncapped=True)
