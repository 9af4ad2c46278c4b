"""``--space``: what the wide space is worth, what says which space holds, and what is refused."""

import csv
import json
from pathlib import Path

import pytest
from support.command_line import Run

from soma_cp.model.network.layers import Conv, Eltwise, ExternalInput
from soma_cp.model.network.network import Network
from soma_cp.model.network.network_file import write_network_file


@pytest.fixture
def fork(tmp_path: Path) -> str:
    """A file of three projections of one input of 64 × 64 B and their sum: 4,096 B are read by three layers."""
    fields = {"C": 64, "K": 64, "H": 64, "W": 1}
    layers = [Conv(name=name, inputs=("x",), **fields) for name in ("q", "k", "v")]
    total = Eltwise(name="sum", N=3, K=64, H=64, W=1, ifmaps=("q", "k", "v"))
    network = Network("fork", (ExternalInput("x", (64, 64, 1)),), (*layers, total))
    path = tmp_path / "fork.json"
    write_network_file(network, path)
    return str(path)


def loaded(schedule: Path) -> int:
    rows = json.loads(schedule.read_text())["dlsa"]["dram_tensor_order"]
    return sum(size for kind, _, _, _, size, *_ in rows if kind == "ifm")


def test_the_wide_space_is_the_default_and_loads_an_input_once(fork: str, tmp_path: Path, run: Run) -> None:
    figures = {}
    for space in ("wide", "paper"):
        out = tmp_path / f"{space}.json"
        options = [] if space == "wide" else ["--space", space]
        result = run("solve", "--net", fork, "--hw", "edge", "--stage2", "greedy", "--json", "-o", str(out), *options)
        figures[space] = result.document
        assert figures[space]["space"] == space
        assert json.loads(out.read_text())["provenance"]["space"] == space
        assert run("evaluate", str(out)).code == 0
        assert run("evaluate", str(out), "--json").document["shared_loads"] == (2 if space == "wide" else 0)
        assert ("2 reads share a load" in run("evaluate", str(out)).out) == (space == "wide")
    assert loaded(tmp_path / "wide.json") == 4096
    assert loaded(tmp_path / "paper.json") == 3 * 4096
    assert figures["wide"]["edp"] < figures["paper"]["edp"]
    assert figures["wide"]["bound_over_every_lfa"]["cost"] < figures["paper"]["bound_over_every_lfa"]["cost"]
    assert json.loads((tmp_path / "paper.json").read_text())["version"] == 1
    assert json.loads((tmp_path / "wide.json").read_text())["version"] == 2


def test_the_bound_says_in_which_space_it_holds(fork: str, run: Run) -> None:
    common = ("solve", "--net", fork, "--hw", "edge", "--stage2", "greedy")
    assert "mJ, in the wide space" in run(*common).out
    assert "mJ, in the paper's space" in run(*common, "--space", "paper").out
    common = ("gap", "--net", fork, "--hw", "edge", "--time-limit", "20")
    for space, said in (("wide", "in the wide space"), ("paper", "in the paper's space")):
        line = run(*common, "--space", space).out.splitlines()[-1]
        assert line.startswith("bound over every LFA ")
        assert line.endswith(said)


def test_exact_and_the_papers_search_are_in_the_papers_space(fork: str, run: Run) -> None:
    for options in (["--exact"], ["--lfa", "paper"]):
        common = ("solve", "--net", fork, "--hw", "edge", "--time-limit", "20", *options)
        assert run(*common, "--json").document["space"] == "paper"
        refused = run(*common, "--space", "wide")
        assert refused.code == 2
        said = f"{' '.join(options)} searches the paper's space, not the wide one; give --space paper"
        assert said in refused.err
    # Where no load can be shared, the spaces are the same.
    assert run("solve", "--net", "tiny-chain", "--exact", "--space", "wide", "--time-limit", "20").code == 0


def test_a_stored_lfa_has_its_own_space(fork: str, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "wide.json"
    run("solve", "--net", fork, "--hw", "edge", "--stage2", "greedy", "-o", str(out))
    refused = run("compare", "--schedule", str(out), "--space", "paper")
    assert (refused.code, refused.err) == (
        2,
        "soma-cp: --space=paper with --schedule, which has its own; leave one of the two out\n",
    )


def test_reports_name_all_layers_that_a_load_serves(fork: str, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "wide.json"
    run("solve", "--net", fork, "--hw", "edge", "--stage2", "greedy", "-o", str(out))
    first, *others = json.loads(out.read_text())["lfa"]["flgs"][0]["layers"]
    assert run("report", str(out), "-o", str(tmp_path / "run.csv")).code == 0
    rows = list(csv.DictReader((tmp_path / "run.tensors.csv").read_text().splitlines()))
    assert {row["consumers"] for row in rows if row["kind"] == "ifm"} == {";".join([first, *others[:2]])}
    assert all(row["consumers"] == row["layer"] for row in rows if row["kind"] == "wgt")
    assert run("report", str(out), "--format", "perfetto", "-o", str(tmp_path / "run.trace")).code == 0
    events = json.loads((tmp_path / "run.trace").read_text())["traceEvents"]
    name = f"ifmap of {first}[0] from x (+2 layers)"
    loads = [event["args"] for event in events if event["name"] == name and "place" in event["args"]]
    assert loads[0]["readers"] == ", ".join([first, *others[:2]])
