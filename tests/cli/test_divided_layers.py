"""Commands on a schedule that divides layers: parts have names of their own in all that is printed and written."""

import csv
import json
from pathlib import Path

import pytest
from support.command_line import Run
from support.divided_cases import DIVISIONS, PROBLEM, divided_schedule

from soma_cp.cli.option_groups import HardwareOptions
from soma_cp.cli.reports.html.summary import bounds_of
from soma_cp.cli.reports.reported import Reported
from soma_cp.cli.starts import read_start, stored_problem
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.network_file import write_network_file
from soma_cp.model.soma.execution.execution import make_execution
from soma_cp.model.soma.schedule_document import write_schedule

PARTS = {part for division in DIVISIONS for part in division.parts}


@pytest.fixture
def divided(tmp_path: Path) -> str:
    """The path of a schedule that divides conv3 and conv4 of tiny-chain in two parts each."""
    path = tmp_path / "divided.json"
    write_schedule(divided_schedule(), path)
    return str(path)


def divisions(path: Path) -> object:
    return json.loads(path.read_text())["lfa"].get("divisions")


def test_evaluate_says_what_is_divided(divided: str, run: Run) -> None:
    text = run("evaluate", divided).out
    assert "2 LGs, 3 FLGs, 9 tiles, 17 DRAM tensors, 2 layers in 4 parts\n" in text
    assert "every rule is kept" in text
    assert run("evaluate", divided, "--json").document["divided_layers"] == 2


def test_a_network_of_a_file_is_undivided(divided: str, tmp_path: Path, run: Run) -> None:
    network = tmp_path / "chain.json"
    write_network_file(builtin_network("tiny-chain"), network)
    assert run("evaluate", divided, "--net", str(network)).code == 0


def test_a_fixed_lfa_keeps_its_divisions(divided: str, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "out.json"
    assert run("solve", "--fix-lfa", divided, "--time-limit", 5, "-o", str(out)).code == 0
    assert divisions(out) == divisions(Path(divided))
    assert run("solve", "--resume", str(out), "--time-limit", 5, "-o", str(out)).code == 0
    assert divisions(out) == divisions(Path(divided))
    halved = run("solve", "--fix-lfa", divided, "--buffer", "4MiB", "--time-limit", 5, "--json").document
    assert (halved["divided_layers"], halved["network"]) == (2, "tiny-chain")


def test_searches_and_bounds_are_of_the_undivided_network(divided: str) -> None:
    stored = read_start(Path(divided), None)
    assert stored_problem(stored, None, HardwareOptions()) == PROBLEM
    reported = Reported("divided", make_execution(divided_schedule()))
    assert set(bounds_of([reported])) == {PROBLEM}


def test_hardware_whose_core_array_the_parts_do_not_fill_is_refused(divided: str, run: Run) -> None:
    refused = run("solve", "--fix-lfa", divided, "--hw", "edge")
    assert refused.code == 2
    assert refused.err == (
        f"soma-cp: --fix-lfa {divided}: layer 'conv3' can't be divided into 64 + 64 channels: all parts but one must "
        "be multiples of 128, which the core array 'published' computes at once\n"
    )


def test_second_stages_are_compared(divided: str, run: Run) -> None:
    document = run("compare", "--schedule", divided, "--time-limit", 2, "--json").document
    assert {stage["divided_layers"] for stage in document["second_stages"]} == {2}


def test_reports_name_parts(divided: str, tmp_path: Path, run: Run) -> None:
    for name in ("run.csv", "run.svg", "run.html"):
        assert run("report", divided, "-o", str(tmp_path / name)).code == 0
    rows = list(csv.DictReader((tmp_path / "run.layers.csv").read_text().splitlines()))
    assert {row["layer"] for row in rows} == {"conv1", "conv2", *PARTS}
    rows = list(csv.DictReader((tmp_path / "run.tensors.csv").read_text().splitlines()))
    consumers = {row["consumers"] for row in rows if row["layer"] == "conv3/1" and row["kind"] == "ofm"}
    assert consumers == {"conv4/1;conv4/2"}
    assert run("report", divided, "--format", "perfetto", "-o", str(tmp_path / "run.trace")).code == 0
    for name in ("run.html", "run.trace"):  # the picture draws letters as paths
        text = (tmp_path / name).read_text()
        assert all(part in text for part in PARTS)
    assert "divided layers" in (tmp_path / "run.html").read_text()
