"""Data types on the command line: options, notes, what is written and shown, and what is refused."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.command_line import Run, assert_refused

from soma_cp.cli.completion import type_names
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.network_file import read_network_file

QUICK = ("--stage2", "greedy", "--time-limit", "1")
W4A16 = ("--weights", "int4/128", "--activations", "fp16", "--accumulators", "fp32", "--weight-ratio", "0.7")
HARDWARE = """\
version: 2
extends: edge
macs_per_cycle_by_type: {fp16: 2048, int4: 16384}
mac_energy_by_type: {fp16: 0.1 pJ}
"""


def stored_bytes(ratio: tuple[int, int] = (1, 1)) -> int:
    """The weights of gpt2-small-decode as int4/128, by hand: kernels of n weights, packed layer by layer."""
    total = 0
    for layer in builtin_network("gpt2-small-decode").layers:
        n = layer.kernel_elements
        if n and not layer.weight_operands:
            held = -(-layer.K * (n * 4 + -(-n // 128) * 16) // 8)
            total += -(-held * ratio[0] // ratio[1])
    return total


@pytest.fixture
def solved(run: Run, tmp_path: Path) -> Path:
    """A schedule of a W4A16 network with compressed weights."""
    path = tmp_path / "typed.json"
    assert run("solve", "gpt2-small-decode", *W4A16, *QUICK, "-o", path).code == 0
    return path


def test_a_schedule_remembers_its_types(run: Run, solved: Path) -> None:
    document = json.loads(solved.read_text())
    network = document["network"]
    assert (network["version"], network["weight_type"], network["weight_ratio"]) == (3, "int4/128", 0.7)
    assert (network["activation_type"], network["accumulator_type"]) == ("fp16", "fp32")
    shown = run("evaluate", solved)
    assert "weights int4/128, weight ratio 0.7, activations fp16, accumulators fp32, batch 1" in " ".join(
        shown.out.split()
    )
    (note,) = shown.err.splitlines()
    assert note.startswith(f"soma-cp: note: {solved}: edge does not say what fp16 costs: ")
    evaluated = run("evaluate", solved, "--json").document
    assert evaluated["differences_to_file"] == []
    assert evaluated["latency_cycles"] == document["latency_cycles"]
    assert evaluated["data_types"] == {
        "weights": ["int4/128"],
        "weight_ratios": [0.7],
        "activations": ["fp16"],
        "accumulators": ["fp32"],
        "weight_bytes": stored_bytes(),
        "dram_weight_bytes": stored_bytes((7, 10)),
    }
    weights = [row for row in document["dlsa"]["dram_tensor_order"] if row[0] == "wgt"]
    # A layer that is divided is packed part by part, so that all may be a little more.
    assert stored_bytes() <= sum(row[4] for row in weights) <= stored_bytes() + len(weights)


def test_a_search_goes_on_with_the_types_of_its_start(run: Run, solved: Path) -> None:
    for option in ("--start", "--fix-lfa", "--resume"):
        ended = run("solve", option, solved, "--time-limit", "1", "--json")
        assert ended.document["data_types"]["weights"] == ["int4/128"]
        assert ended.document["latency_cycles"] <= json.loads(solved.read_text())["latency_cycles"]


def test_a_start_of_other_types_gives_its_lfa(run: Run, tmp_path: Path) -> None:
    plain = tmp_path / "plain.json"
    assert run("solve", "tiny-chain", *QUICK, "-o", plain).code == 0
    assert json.loads(plain.read_text())["network"] == "tiny-chain"
    ended = run("solve", "tiny-chain", "--weights", "int4/64", "--fix-lfa", plain, *QUICK[2:], "--json")
    assert ended.document["start"]["latency_cycles"] >= ended.document["latency_cycles"]
    assert ended.document["data_types"]["weights"] == ["int4/64"]


def test_reports_show_bytes_in_dram(run: Run, solved: Path, tmp_path: Path) -> None:
    assert run("report", solved, "-o", tmp_path / "r.csv").code == 0
    with (tmp_path / "r.tensors.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[-1] == "dram_bytes"
    for row in rows:
        held = int(row["bytes"])
        moved = -(-held * 7 // 10) if row["kind"] == "wgt" else held
        assert row["dram_bytes"] == ("" if row["transfer"] == "none" else str(moved))
    assert run("report", solved, "-o", tmp_path / "r.perfetto.json", "--format", "perfetto").code == 0
    events = json.loads((tmp_path / "r.perfetto.json").read_text())["traceEvents"]
    both = [(e["args"]["bytes"], e["args"].get("bytes in DRAM")) for e in events if "readers" in e.get("args", {})]
    assert sorted(moved for _, moved in both if moved is not None) == sorted(
        int(row["dram_bytes"]) for row in rows if row["kind"] == "wgt"
    )
    assert all(moved == -(-held * 7 // 10) for held, moved in both if moved is not None)
    assert run("report", solved, "-o", tmp_path / "r.html").code == 0
    assert "@dram_bytes{0,0} bytes" in (tmp_path / "r.html").read_text()


def test_int8_is_reported_as_ever(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "plain.json"
    ended = run("solve", "tiny-chain", *QUICK, "--json", "-o", path)
    assert "data_types" not in ended.document
    assert ended.err == ""
    assert "data_types" not in run("compare", "tiny-chain", *QUICK[2:], "--json").document
    run("report", path, "-o", tmp_path / "r.html")
    assert "dram_bytes" not in (tmp_path / "r.html").read_text()
    assert run("solve", "tiny-chain", "--weights", "int8", "--activations", "int8", *QUICK, "-o", path).code == 0
    assert json.loads(path.read_text())["network"] == "tiny-chain"  # nothing differs from the built-in network


def test_every_command_takes_types(run: Run, tmp_path: Path) -> None:
    compared = run("compare", "tiny-chain", "--weights", "int4/64", "--time-limit", "1", "--json").document
    assert compared["data_types"]["weights"] == ["int4/64"]
    several = run("compare", "tiny-chain", "tiny-ffn", "--weights", "int4/64", "--time-limit", "2").out
    assert "\ntiny-chain with weights int4/64\ntiny-ffn with weights int4/64\n" in several
    (ladder,) = run("gap", "tiny-chain", "--activations", "fp8", "--time-limit", "1", "--json").document["ladders"]
    assert ladder["data_types"]["activations"] == ["fp8"]
    file = tmp_path / "net.json"
    assert run("nets", "--export", "tiny-chain", *W4A16, "-o", file).code == 0
    network = read_network_file(file)
    assert {layer.types.weights.text for layer in network.layers} == {"int4/128"}
    again = run("solve", file, "--weights", "int8", *QUICK, "--json").document
    assert again["data_types"]["weights"] == ["int8"]
    assert again["data_types"]["weight_ratios"] == [0.7]  # not given, so it stays
    blocks = run("solve", "gpt2-small-decode", "--blocks", "2", *W4A16, *QUICK, "--json").document
    assert blocks["data_types"]["weight_bytes"] == 2 * stored_bytes()


# Notes


def notes(run: Run, *arguments: object) -> list[str]:
    ended = run("solve", "tiny-chain", *QUICK, *arguments)
    assert ended.code == 0
    begin = "soma-cp: note: tiny-chain: "
    return [line.removeprefix(begin) for line in ended.err.splitlines() if line.startswith(begin)]


def test_weights_without_scales_are_noted(run: Run) -> None:
    (note,) = notes(run, "--weights", "int4")
    assert note == "weights are int4 without scales; int4/128 counts a 16-bit scale for each 128 weights"
    for sound in ("int4/128", "fp4", "int8"):
        assert notes(run, "--weights", sound) == []


def test_costs_that_are_scaled_are_noted(run: Run, tmp_path: Path) -> None:
    assert PLATFORMS["edge"].macs_per_cycle == 8192
    # Half of 8,192 multiply-accumulates; 0.018 pJ · (16 / 8)².
    assert notes(run, "--activations", "fp16") == [
        "edge does not say what fp16 costs: 4,096 multiply-accumulates per cycle and 0.072 pJ for each are scaled from "
        "INT8; macs_per_cycle_by_type and mac_energy_by_type in a hardware file say otherwise"
    ]
    assert notes(run, "--activations", "fp8") == [
        "edge does not say what fp8 costs: 8,192 multiply-accumulates per cycle and 0.018 pJ for each are taken from "
        "INT8; macs_per_cycle_by_type and mac_energy_by_type in a hardware file say otherwise"
    ]
    path = tmp_path / "hw.yaml"
    path.write_text(HARDWARE)
    assert notes(run, "--activations", "fp16", "--hw", path) == []
    assert notes(run, "--activations", "int4", "--weights", "int4/128", "--hw", path) == [
        "the platform does not say what int4 costs: 0.018 pJ for an operation is taken from INT8; mac_energy_by_type "
        "in a hardware file says otherwise"
    ]


def test_rates_of_a_hardware_file_count(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "hw.yaml"
    path.write_text(HARDWARE)
    scaled = run("solve", "tiny-chain", "--activations", "fp16", *QUICK, "-o", tmp_path / "scaled.json")
    given = run("solve", "tiny-chain", "--activations", "fp16", "--hw", path, *QUICK, "-o", tmp_path / "given.json")
    assert (scaled.code, given.code) == (0, 0)
    assert "2,048 MACs per cycle with fp16" in " ".join(given.out.split())
    cycles = [json.loads((tmp_path / f"{name}.json").read_text())["compute_cycles"] for name in ("scaled", "given")]
    assert cycles[0] < cycles[1]
    assert run("evaluate", tmp_path / "given.json", "--json").document["differences_to_file"] == []
    hardware = json.loads((tmp_path / "given.json").read_text())["hardware"]
    assert hardware["macs_per_cycle_by_type"] == {"fp16": 2048, "int4": 16384}
    assert hardware["mac_pj_by_type"] == {"fp16": 0.1}


def test_lists_name_types_and_rates(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exported = run("nets", "--export", "tiny-chain", "--weights", "int4", "-o", tmp_path / "x.json")
    assert exported.out.startswith("tiny-chain with weights int4 written to ")
    assert "without scales" in exported.err
    rated = replace(PLATFORMS["edge"], macs_per_cycle_by_type=(("fp16", 2048),))
    monkeypatch.setattr("soma_cp.cli.commands.lists.PLATFORMS", {**PLATFORMS, "edge": rated})
    assert "\nedge: 2,048 MACs per cycle with fp16\n" in run("hw").out
    assert type_names("fp1") == ["fp16"]


# Faults


@pytest.mark.parametrize(
    ("options", "fragments"),
    [
        (("--weights", "int4/0"), ("--weights=int4/0 (must be a type such as int4",)),
        (("--weights", "INT4/128"), ("--weights=INT4/128", "; did you mean 'int4'?")),
        (("--weights", "itn4/128"), ("--weights=itn4/128", "; did you mean 'int4'?")),
        (("--activations", "fp15"), ("--activations=fp15 (must be one of int1", "; did you mean 'fp16'?")),
        (("--accumulators", "int4/128"), ("--accumulators=int4/128 (must be one of",)),
        (("--weight-ratio", "0"), ("--weight-ratio=0.0 (must be a number from 0.000001 to 1:",)),
        (("--weight-ratio", "1.5"), ("--weight-ratio=1.5 (must be a number from 0.000001 to 1",)),
        (("--weight-ratio", "1e-7"), ("--weight-ratio=1e-07 (must be a number from 0.000001 to 1",)),
        (("--weight-ratio", "nan"), ("--weight-ratio=nan (must be a number from 0.000001 to 1",)),
    ],
)
def test_wrong_types_are_refused(run: Run, options: tuple[str, str], fragments: tuple[str, ...]) -> None:
    for command in (("solve", "tiny-chain"), ("compare", "tiny-chain"), ("gap", "tiny-chain")):
        assert_refused(run(*command, *options), *fragments)
    assert_refused(run("nets", "--export", "tiny-chain", *options), *fragments)


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ("nets --weights int4", "--weights=int4 without --export NET, to which it applies"),
        ("nets --check m.onnx --weight-ratio 0.5", "--weight-ratio=0.5 with --check, to which it does not apply"),
        ("compare --schedule x.json --weights int4", "--weights=int4 with --schedule, which has its own"),
        ("solve --start x.json --weight-ratio 0.5", "--weight-ratio with --start, whose file has its own network"),
        ("solve --resume x.json --activations fp16", "--activations with --resume"),
    ],
)
def test_types_where_they_do_not_apply(run: Run, arguments: str, fragment: str) -> None:
    assert_refused(run(*arguments.split()), fragment)


def test_a_network_beside_a_typed_schedule(run: Run, solved: Path) -> None:
    assert_refused(run("evaluate", solved, "--net", "gpt2-small-decode"), "leave --net out")
