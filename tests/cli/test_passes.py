"""Commands on a schedule in passes: copies of a layer have names of their own in all that is printed and written."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.command_line import Run
from support.repeated_cases import PROBLEM, repeated_schedule

from soma_cp.cli.option_groups import HardwareOptions
from soma_cp.cli.reports.html.summary import bounds_of
from soma_cp.cli.reports.reported import Reported
from soma_cp.cli.starts import read_start, stored_problem
from soma_cp.model.soma.execution.execution import make_execution
from soma_cp.model.soma.schedule_document import write_schedule


@pytest.fixture
def repeated(tmp_path: Path) -> str:
    """The path of a schedule of tiny-chain in two passes of three samples."""
    path = tmp_path / "repeated.json"
    write_schedule(repeated_schedule(), path)
    return str(path)


def passes(path: Path) -> object:
    return json.loads(path.read_text())["lfa"].get("passes")


def test_evaluate_says_in_how_many_passes(repeated: str, run: Run) -> None:
    text = run("evaluate", repeated).out
    assert "batch 6" in text
    assert "4 LGs, 6 FLGs, 18 tiles, 34 DRAM tensors, 2 layers in 4 parts, 2 passes of batch 3\n" in text
    assert "every rule is kept" in text
    document = run("evaluate", repeated, "--json").document
    assert (document["passes"], document["batch"], document["lgs"]) == (2, 6, 4)


def test_a_fixed_lfa_keeps_its_passes(repeated: str, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "out.json"
    assert run("solve", "--fix-lfa", repeated, "--time-limit", 5, "-o", str(out)).code == 0
    assert passes(out) == {"count": 2}
    assert run("solve", "--resume", str(out), "--time-limit", 5, "-o", str(out)).code == 0
    assert passes(out) == {"count": 2}


def test_another_batch_has_other_passes(repeated: str, run: Run) -> None:
    stored = read_start(Path(repeated), None)
    assert stored_problem(stored, None, HardwareOptions()) == PROBLEM
    assert stored_problem(stored, 4, HardwareOptions()) == replace(PROBLEM, batch=4)
    fixed = run(
        "solve", "--fix-lfa", repeated, "--batch", 4, "--stage2", "greedy", "--time-limit", 5, "--json"
    ).document
    assert (fixed["batch"], fixed["passes"]) == (4, 2)
    refused = run("solve", "--fix-lfa", repeated, "--batch", 3)
    assert refused.code == 2
    assert "passes=2 for a batch of 3 (must be a divisor of the batch: all passes are alike)" in refused.err


def test_bounds_are_those_of_the_whole_batch(repeated: str) -> None:
    assert set(bounds_of([Reported("repeated", make_execution(repeated_schedule()))])) == {PROBLEM}


def test_second_stages_are_compared(repeated: str, run: Run) -> None:
    document = run("compare", "--schedule", repeated, "--time-limit", 2, "--json").document
    assert {stage["passes"] for stage in document["second_stages"]} == {2}


def test_reports_name_passes(repeated: str, tmp_path: Path, run: Run) -> None:
    for name in ("run.csv", "run.svg", "run.html"):
        assert run("report", repeated, "-o", str(tmp_path / name)).code == 0
    rows = list(csv.DictReader((tmp_path / "run.layers.csv").read_text().splitlines()))
    assert [row["layer"] for row in rows[:2]] == ["conv1", "conv2"]
    assert [row["layer"] for row in rows[6:8]] == ["conv1 (pass 2)", "conv2 (pass 2)"]
    rows = list(csv.DictReader((tmp_path / "run.tensors.csv").read_text().splitlines()))
    consumers = {row["consumers"] for row in rows if row["layer"] == "conv3/1 (pass 2)" and row["kind"] == "ofm"}
    assert consumers == {"conv4/1 (pass 2);conv4/2 (pass 2)"}
    assert run("report", repeated, "--format", "perfetto", "-o", str(tmp_path / "run.trace")).code == 0
    for name in ("run.html", "run.trace"):
        text = (tmp_path / name).read_text()
        assert "conv4/1 (pass 2)" in text


SOLVE = ("solve", "tiny-attention", "--batch", 8, "--buffer", "160KiB", "--stage2", "greedy", "--time-limit", 20)


def test_a_number_of_passes_that_is_typed(tmp_path: Path, run: Run) -> None:
    out = tmp_path / "out.json"
    document = run(*SOLVE, "--passes", 4, "--json", "-o", str(out)).document
    assert (document["passes"], document["batch"], document["space"]) == (4, 8, "wide")
    assert json.loads(out.read_text())["provenance"]["passes"] == 4
    assert passes(out) == {"count": 4}
    assert run("solve", "--resume", str(out), "-o", str(out)).code == 0
    assert json.loads(out.read_text())["provenance"]["passes"] == 4
    assert passes(out) == {"count": 4}
    assert run("evaluate", str(out)).code == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--passes", "3"), "--passes=3 (must be auto or a divisor of the batch, 8)"),
        (("--passes", "many"), "--passes=many (must be auto or a divisor of the batch)"),
        (("--passes", "2", "--space", "paper"), "--passes=2 needs the wide space"),
    ],
)
def test_passes_that_are_refused(options: tuple[str, ...], words: str, run: Run) -> None:
    refused = run(*SOLVE, *options)
    assert refused.code == 2
    assert words in refused.err


def test_a_fixed_lfa_has_its_own_passes(repeated: str, run: Run) -> None:
    refused = run("solve", "--fix-lfa", repeated, "--passes", 2)
    assert refused.code == 2
    assert "--passes with --fix-lfa, which searches no LFA; leave one of the two out" in refused.err
