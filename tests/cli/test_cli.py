"""The command line: exit codes, what goes to stdout and stderr, files, options, signals."""

import csv
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.command_line import Run, assert_refused
from support.paths import PUBLISHED

import soma_cp
from soma_cp.annealing.monitor import Monitor
from soma_cp.cli import main as cli_main
from soma_cp.cli import tables
from soma_cp.cli.commands import solve as solve_command
from soma_cp.model.errors import InternalError
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS, platform_from
from soma_cp.model.hardware.fields import BYTE_ENERGIES, OPERATION_ENERGIES
from soma_cp.model.network.builtin.catalogue import ALIASES, builtin_names, builtin_network
from soma_cp.model.network.network_file import read_network_file
from soma_cp.model.network.sources import rows_left_out
from soma_cp.model.problem import Problem
from soma_cp.model.soma.schedule_file import read_schedule
from soma_cp.model.soma.validity import violations
from soma_cp.solver.choices import FirstStage
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.solve import SolveResult

SCHEDULES = PUBLISHED / "schedules"
REFUSED = SCHEDULES / "gpt2-xl-prefill.b4.32MiB.128GBps.json"
EDGE = {
    "gbuf_bytes": 8388608,
    "pe_grid": 4,
    "macs_per_pe": 512,
    "gbuf_bytes_per_cycle": 256,
    "dram_bytes_per_cycle": 16,
}
QUICK = ("--stage2", "greedy", "--time-limit", "20")
REQUIRED_FIGURES = {
    "latency",
    "energy_pj",
    "edp",
    "bound",
    "proven_lower_bound",
    "proven_optimal",
    "peak_buffer_bytes",
    "tiles",
    "dram_tensors",
    "seconds",
}


# What needs no schedule.


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_help_names_every_command(run: Run, arguments: tuple[str, ...]) -> None:
    outcome = run(*arguments)
    assert outcome.code == 0
    for command in ("solve", "compare", "evaluate", "report", "nets", "hw"):
        assert command in outcome.out


def test_version(run: Run) -> None:
    assert run("--version").out == f"soma-cp {soma_cp.__version__}\n"


def test_nets_lists_every_network_once_within_80_columns(run: Run) -> None:
    outcome = run("nets")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    for name in builtin_names():
        assert sum(line.split()[:1] == [name] for line in lines) == 1
    assert "llama2-70b, with layers of 256 MiB, needs --buffer 257MiB" in outcome.out
    for alias, name in ALIASES.items():
        assert any(line.split()[:2] == [name, alias] for line in lines)


def test_nets_as_json(run: Run) -> None:
    nets = {row["name"]: row for row in run("nets", "--json").document["nets"]}
    assert tuple(nets) == builtin_names()
    assert nets["gpt2-small-prefill"]["aliases"] == ["gpt2-small"]
    assert nets["gpt2-small-prefill"]["blocks"] == 12
    assert nets["resnet50"]["tokens"] is None
    assert nets["tiny-chain"]["layers"] == 4


def test_hw_lists_every_platform(run: Run) -> None:
    outcome = run("hw")
    assert max(len(line.rstrip()) for line in outcome.out.splitlines()) <= 80
    assert [line.split()[0] for line in outcome.out.splitlines() if line.split()[0] in PLATFORMS] == list(PLATFORMS)
    platforms = run("hw", "--json").document["platforms"]
    assert platforms["edge"].items() >= EDGE.items()
    # 2 · 65,536 · 1.05 GHz = 137.6 TOPS; 2 · 168 · 0.2 GHz = 67.2 GOPS
    rows = {line.split()[0]: line.split()[1:] for line in outcome.out.splitlines() if line.split()}
    assert rows["tpu-v4i"] == ["128", "614", "31.36", "1.05", "65,536", "1,536", "138"]
    assert rows["eyeriss"] == ["0.0527", "0.24", "168", "0.2", "168", "9", "0.0672"]


def test_hw_exports_a_platform_to_change(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    assert run("hw", "--export", "cloud", "-o", path).out == f"cloud written to {path}\n"
    assert platform_from(str(path)) == PLATFORMS["cloud"]
    assert "version: 2" in path.read_text(encoding="utf-8")
    run("hw", "--export", "ethos-u55-256", "-o", path)  # extends another one
    assert platform_from(str(path)) == PLATFORMS["ethos-u55-256"]


# solve.


@pytest.mark.parametrize("lfa", ["greedy", "paper"])
@pytest.mark.parametrize("stage2", ["cpsat", "sa", "greedy", "none"])
def test_solve_reports_and_writes_what_evaluate_confirms(run: Run, stage2: str, lfa: str, tmp_path: Path) -> None:
    solved = run(*("solve", "--net", "tiny-branch", "--lfa", lfa, "--stage2", stage2, "--json", "-o", "schedule.json"))
    assert solved.err == ""
    document = solved.document
    assert document.keys() >= REQUIRED_FIGURES
    assert document["stage2"] == stage2
    assert document["lfa_search"] == lfa
    written = json.loads((tmp_path / "schedule.json").read_text(encoding="utf-8"))["provenance"]
    assert (written["lfa_search"], written["stage2"]) == (lfa, stage2)
    assert written["iterations"] >= 1
    stored = read_schedule(tmp_path / "schedule.json")
    assert not violations(stored.plan, stored.dlsa)
    evaluated = run("evaluate", "schedule.json", "--json")
    assert evaluated.err == ""
    assert evaluated.document.keys() >= REQUIRED_FIGURES
    assert evaluated.document["differences_to_file"] == []
    for figure in REQUIRED_FIGURES - {"seconds", "proven_optimal", "proven_lower_bound"}:
        assert evaluated.document[figure] == document[figure]
    assert document["bound"] <= document["proven_lower_bound"] <= document["latency"]
    assert document["proven_optimal"] == (document["latency"] == document["proven_lower_bound"])
    if stage2 == "cpsat":
        assert document["proven_optimal"]


def test_solve_prints_tables_that_fit_into_80_columns(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "WIDTH_WITHOUT_TERMINAL", 80)
    outcome = run("solve", "--net", "gpt2-small", "--seq", 32, "--stage2", "none", "-o", "schedule.json")
    assert outcome.code == 0
    assert outcome.err == ""
    assert "…" not in outcome.out
    assert max(len(line) for line in outcome.out.splitlines()) <= 80
    for label in ("latency (cycles)", "energy × delay (pJ·cycles)", "theoretical maximum", "12 blocks"):
        assert label in outcome.out
    assert "seed 0" in " ".join(outcome.out.split())  # the line may be wrapped there
    lines = outcome.out.splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith("timeline"))
    timeline = [line.split()[0] for line in lines[first : first + 6]]
    assert timeline == ["timeline", "DRAM", "compute", "stalls", "buffer", "stalled"]
    assert outcome.out.splitlines()[-1].split() == ["schedule", "written", "to", "schedule.json"]


def test_the_timeline_is_plain_where_the_encoding_has_no_blocks(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    run = subprocess.run(
        [*COMMAND, "solve", "--net", "tiny-chain", *QUICK], capture_output=True, cwd=tmp_path, env=environment
    )
    assert run.returncode == 0, run.stderr
    lines = run.stdout.decode("cp1252").splitlines()
    assert next(line for line in lines if line.startswith("DRAM")).isascii()


def test_options_reach_the_search(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Problem, SolveParameters, float]] = []

    def spy(problem: Problem, parameters: SolveParameters, monitor: Monitor, start: object) -> SolveResult:
        seen.append((problem, parameters, monitor.budget.seconds_left))
        raise InternalError("seen")

    monkeypatch.setattr(solve_command, "solve_problem", spy)
    Path("own.json").write_text(json.dumps(EDGE | {"gbuf_bytes": 12345678}), encoding="utf-8")
    outcome = run(
        *("solve", "--net", "gpt2-small-decode", "--batch", 3, "--seq", 77, "--hw", "own.json", "--stage2", "sa"),
        *("--energy-exponent", 0.5, "--delay-exponent", 2, "--time-limit", 7, "--seed", 11, "--workers", 2),
        *("--lfa", "paper"),
    )
    assert outcome.code == 1
    assert outcome.err.startswith("soma-cp: internal error, please report it: seen")
    problem, parameters, seconds = seen[0]
    assert problem.batch == 3
    assert problem.platform.gbuf_bytes == 12345678
    assert (parameters.second_stage, parameters.seed, parameters.cpsat.workers) == ("sa", 11, 2)
    assert (parameters.objective.energy_exponent, parameters.objective.delay_exponent) == (0.5, 2.0)
    assert parameters.first_stage == FirstStage.PAPER
    assert 6 < seconds <= 7
    assert not parameters.cpsat.deterministic

    run("solve", "--net", "gpt2-xl", "--deterministic", "--time-limit", 0)
    problem, parameters, seconds = seen[1]
    assert problem.platform == PLATFORMS["cloud"]
    assert parameters.cpsat.deterministic
    assert parameters.first_stage == FirstStage.GREEDY
    assert seconds == float("inf")

    run("solve", "--net", "resnet50", "--hw", "cloud")
    assert seen[2][0].platform == PLATFORMS["cloud"]
    assert 59 < seen[2][2] <= 60


def test_the_time_limit_holds(run: Run) -> None:
    run("solve", "--net", "tiny-chain", *QUICK)  # compiles the kernels
    begin = time.monotonic()
    document = run("solve", "--net", "inception-resnet-v1", "--batch", 8, "--time-limit", 3, "--json").document
    assert time.monotonic() - begin < 3 + 20  # a busy machine; without a limit it takes minutes
    assert document["out_of_time"]
    assert not document["interrupted"]


def test_a_file_that_cannot_be_written_after_all_does_not_cost_the_figures(run: Run) -> None:
    outcome = run("solve", "--net", "tiny-chain", *QUICK, "--json", "-o", "/dev/full")
    assert outcome.code == 2
    assert outcome.err.startswith("soma-cp: can't write '/dev/full'")
    assert json.loads(outcome.out)["network"] == "tiny-chain"


# evaluate.


@pytest.mark.parametrize("path", sorted(SCHEDULES.glob("*.json")), ids=lambda path: path.stem)
def test_published_schedules(run: Run, path: Path) -> None:
    outcome = run("evaluate", path, "--json")
    if path == REFUSED:
        assert_refused(outcome, "norm1[0]", "tile 44", "attention_K13[0]", "rule: ")
        return
    published = json.loads(path.read_text(encoding="utf-8"))
    assert outcome.document["latency"] == (published.get("expect") or published)["latency"]
    assert outcome.document["differences_to_file"] == []


def test_a_network_that_is_not_built_in_must_be_given(run: Run) -> None:
    document = json.loads((SCHEDULES / "randwire-small.b1.8MiB.16GBps.json").read_text(encoding="utf-8"))
    Path("s.json").write_text(json.dumps(document | {"network": "mine"}), encoding="utf-8")
    assert_refused(run("evaluate", "s.json"), "mine", "--net FILE")


def test_evaluate_prints_a_table_and_what_the_file_says_otherwise(run: Run) -> None:
    document = json.loads((SCHEDULES / "resnet50.b1.8MiB.16GBps.json").read_text(encoding="utf-8"))
    holder = document if "latency" in document else document["expect"]
    latency = holder["latency"]
    Path("right.json").write_text(json.dumps(document), encoding="utf-8")
    right = run("evaluate", "right.json")
    holder["latency"] += 1
    Path("wrong.json").write_text(json.dumps(document), encoding="utf-8")
    wrong = run("evaluate", "wrong.json")
    assert right.code == wrong.code == 0
    assert f"{latency:,}" in right.out
    assert "every rule is kept" in right.out
    assert "the file differs" not in right.out
    assert "the file differs" in wrong.out


# report.

TWO_SCHEDULES = [SCHEDULES / f"{name}.b1.8MiB.16GBps.json" for name in ("gpt2-small-prefill", "resnet50")]


@pytest.mark.parametrize(
    ("output", "begins"),
    [
        ("x.html", b"<!doctype html>"),
        ("x.json", b'{"displayTimeUnit"'),
        ("x.svg", b"<?xml"),
        ("x.png", b"\x89PNG"),
        ("x.PDF", b"%PDF"),
    ],
)
def test_report_writes_what_the_ending_says(run: Run, output: str, begins: bytes) -> None:
    outcome = run("report", *TWO_SCHEDULES, "-o", output)
    assert (outcome.code, outcome.out, outcome.err) == (0, f"report written to {output}\n", "")
    assert Path(output).read_bytes().startswith(begins)


def test_report_writes_two_csv_tables(run: Run) -> None:
    outcome = run("report", TWO_SCHEDULES[0], TWO_SCHEDULES[0], "--double-buffering", "--format", "csv", "-o", "x")
    assert outcome.out == "report written to x.layers.csv\nreport written to x.tensors.csv\n"
    with Path("x.layers.csv").open(encoding="utf-8", newline="") as stream:
        names = [row["schedule"] for row in csv.DictReader(stream)]
    same = [f"{TWO_SCHEDULES[0]} ({number})" for number in (1, 2)]
    assert list(dict.fromkeys(names)) == [name for one in same for name in (f"{one}, double buffering", one)]


def test_report_without_matplotlib(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("matplotlib.", "soma_cp.cli.reports.figure"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    outcome = run("report", TWO_SCHEDULES[0], "-o", "x.svg")
    assert_refused(outcome, "matplotlib, which is not installed", "pip install 'soma-cp[figures]'")
    assert run("report", TWO_SCHEDULES[0], "-o", "x.json").code == 0


def test_report_refuses_a_schedule_that_breaks_a_rule(run: Run) -> None:
    assert_refused(run("report", REFUSED, "-o", "x.csv"), "norm1[0]", "rule: ")


def test_report_does_not_overwrite_its_schedule(run: Run) -> None:
    Path("x.json").write_bytes(TWO_SCHEDULES[0].read_bytes())
    assert_refused(run("report", "x.json", "-o", "./x.json"), "-o x.json: this is one of the schedules")


# compare.


def test_compare_runs_every_second_stage_on_the_lfa_of_a_schedule(run: Run) -> None:
    path = SCHEDULES / "gpt2-small-prefill.b1.8MiB.16GBps.json"
    document = run("compare", "--schedule", path, "--time-limit", 5, "--json").document
    rows = {row["second_stage"]: row for row in document["second_stages"]}
    assert list(rows) == ["double buffering", "greedy", "SA", "CP-SAT"]
    assert rows["CP-SAT"]["latency"] <= min(row["latency"] for row in rows.values() if row["fits"])
    assert all(row["latency"] >= document["proven_lower_bound"] for row in rows.values() if row["fits"])
    stored = read_schedule(path)
    assert all(row["tiles"] == stored.plan.tile_count for row in rows.values())


def test_compare_prints_a_table_within_80_columns(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "WIDTH_WITHOUT_TERMINAL", 80)
    outcome = run("compare", "--net", "tiny-attention", "--time-limit", 5)
    assert outcome.code == 0
    assert "…" not in outcome.out
    assert max(len(line) for line in outcome.out.splitlines()) <= 80
    for method in ("double buffering", "greedy", "SA", "CP-SAT"):
        assert any(line.startswith(method) for line in outcome.out.splitlines())


def test_compare_writes_one_table_of_several_networks(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "WIDTH_WITHOUT_TERMINAL", 80)
    several = ("--net", "gpt2-small-prefill", "--net", "tiny-wide", "--batch", 1, "--batch", 2, "--time-limit", 1)
    outcome = run("compare", *several)
    assert outcome.code == 0
    assert "…" not in outcome.out
    assert max(len(line) for line in outcome.out.splitlines()) <= 80
    names = ["gpt2-small-prefill, 1", "gpt2-small-prefill, 2", "tiny-wide, 1", "tiny-wide, 2"]
    table, _ = outcome.out.split("\n\n")  # below, a busy machine adds which problems ran out of time
    rows = [line for line in table.splitlines() if line.startswith(("gpt2", "tiny"))]
    assert [row.startswith(name) for row, name in zip(rows, names, strict=True)] == [True] * 4


def test_compare_writes_json_csv_and_markdown(run: Run) -> None:
    nets = ("compare", "--net", "tiny-chain", "--net", "tiny-wide", "--time-limit", 3)
    documents = run(*nets, "--format", "json").document["comparisons"]
    assert [document["network"] for document in documents] == ["tiny-chain", "tiny-wide"]
    alone = run("compare", "--net", "tiny-chain", "--time-limit", 3, "--json").document
    assert list(alone) == ["result", "version", "tool_version", *documents[0]]
    lines = run(*nets, "--format", "csv").out.splitlines()
    assert len(lines) == 1 + 2 * 4
    assert lines[0].startswith("network,batch,tiles,dram_tensors,second_stage,fits,latency_cycles")
    exact = documents[1]["second_stages"][-1]
    assert lines[-1].startswith(f"tiny-wide,1,{exact['tiles']},{exact['dram_tensors']},CP-SAT,True,{exact['latency']}")
    lines = run(*nets, "--format", "markdown").out.splitlines()
    assert lines[0].startswith("| network, batch | DRAM tensors | double buffer |")
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| tiny-chain, 1", "| tiny-wide, 1"]


def test_compare_takes_the_lfas_of_several_schedules(run: Run) -> None:
    paths = [SCHEDULES / f"{name}.8MiB.16GBps.json" for name in ("resnet50.b1", "gpt2-small-prefill.b1")]
    several = [argument for path in paths for argument in ("--schedule", path)]
    documents = run("compare", *several, "--time-limit", 3, "--json").document["comparisons"]
    assert [document["lfa"] for document in documents] == [f"LFA of {path}" for path in paths]
    rows = run("compare", *several, "--time-limit", 3, "--format", "markdown").out.splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == [f"| {path.name}" for path in paths]


def test_blocks_are_scheduled_as_one_network(run: Run, tmp_path: Path) -> None:
    small = ("solve", "--net", "gpt2-small", "--seq", 32, "--stage2", "greedy", "--blocks", 2)
    # Both searches end by themselves: one that is cut short may be the worse one on a busy machine.
    document = run(*small, "--time-limit", 0, "--json", "-o", tmp_path / "two.json").document
    repeated = document["one_block_repeated"]
    assert (document["network"], repeated["blocks"]) == ("gpt2-small-prefill-2-blocks", 2)
    assert repeated["latency_as_one"] == pytest.approx(document["latency"] / repeated["latency"])
    assert repeated["cost_as_one"] == pytest.approx(repeated["latency_as_one"] * repeated["energy_as_one"])
    assert repeated["cost_as_one"] < 1
    stored = read_schedule(tmp_path / "two.json")
    assert len(stored.plan.problem.network.whole.layers) == 76
    assert any(line.startswith("one block repeated") for line in run(*small, "--time-limit", 1).out.splitlines())


def test_an_exported_network_is_the_built_in_one(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    outcome = run("nets", "--export", "gpt2-small", "--seq", 128, "-o", path)
    assert outcome.code == 0
    assert "gpt2-small-prefill written to" in outcome.out
    assert read_network_file(path) == builtin_network("gpt2-small", 128)
    assert run("solve", "--net", path, "--time-limit", 2, "--stage2", "greedy", "--json").code == 0


def test_hardware_is_overridden_on_the_command_line(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "hw.yaml"
    path.write_text("version: 2\nextends: edge\ngbuf: 2 MiB\n")
    text = run("solve", "--net", "tiny-wide", "--hw", path, "--dram", "32GB/s").out
    assert text.startswith("tiny-wide, batch 1, on own platform: 2 MiB GBUF, 32 GB/s DRAM, 4×4 PEs of 512 MACs")


def test_a_rectangle_of_single_macs_is_priced_by_the_roofline_alone(run: Run, tmp_path: Path) -> None:
    path, schedule = tmp_path / "array.yaml", tmp_path / "schedule.json"
    array = "version: 2\nclock: 500 MHz\ngbuf: 1 MiB\ngbuf_bandwidth: 32 B/cycle\ndram_bandwidth: 4 GB/s\n"
    array += "pe_grid: [16, 8]\nmacs_per_pe: 1\n"
    path.write_text(f"{array}core_array: roofline\n")
    command = ("solve", "--net", "tiny-chain", "--hw", path, "--stage2", "greedy")
    text = run(*command, "-o", schedule).out
    assert "16×8 PEs of 1 MAC, 0.5 GHz, core array: roofline" in " ".join(text.split())
    # 78,675,968 multiply-accumulates, 128 a cycle: 614,656 cycles. More only where a tile's last cycle is not full.
    document = run("evaluate", schedule, "--json").document
    assert document["differences_to_file"] == []
    assert 614_656 <= document["compute_cycles"] <= 614_656 * 1.01
    assert document["utilization"] == pytest.approx(614_656 / document["latency"])
    assert json.loads(schedule.read_text(encoding="utf-8"))["hardware"]["pe_grid"] == [16, 8]
    path.write_text(array)
    outcome = run(*command)
    assert outcome.code == 2
    assert "core array 'published' needs a square pe_grid" in outcome.err
    assert "but pe_grid is 16x8 and macs_per_pe is 1; change that, or take core_array: roofline" in outcome.err


def test_a_peak_alone_is_a_platform(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "peak.yaml"
    path.write_text("version: 2\nextends: edge\nmacs_per_cycle: 2048\ncore_array: roofline\n")
    text = run("solve", "--net", "tiny-wide", "--hw", path, "--stage2", "greedy").out
    assert "16 GB/s DRAM, 2,048 MACs per cycle, core array: roofline" in " ".join(text.split())


@pytest.mark.parametrize("preset", ["ethos-u85", "tpu-v4i", "eyeriss"])
def test_a_public_accelerator_is_a_name(run: Run, preset: str) -> None:
    outcome = run("solve", "--net", "tiny-ffn", "--hw", preset, "--stage2", "greedy")
    assert outcome.out.startswith(f"tiny-ffn, batch 1, on {preset}: ")
    assert outcome.err == ""


def test_figures_are_those_of_the_hardware_file(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "hw.yaml"
    path.write_text("version: 2\nextends: edge\nclock: 500 MHz\nsemantics: corrected\ndram_energy: 5 pJ/bit\n")
    schedule = tmp_path / "schedule.json"
    command = ("solve", "--net", "tiny-chain", "--hw", path, "--stage2", "greedy")
    text = run(*command, "-o", schedule).out
    assert "16 GB/s DRAM, 4×4 PEs of 512 MACs, 0.5 GHz, corrected semantics" in " ".join(text.split())
    assert "latency (ms at 0.5 GHz)" in text
    document = run("evaluate", schedule, "--json").document
    assert document["differences_to_file"] == []
    assert document["semantics"] == "corrected"
    assert document["latency_ms"] == pytest.approx(document["latency"] / 500e3)
    stored = json.loads(schedule.read_text(encoding="utf-8"))
    assert stored["hardware"]["dram_bytes_per_cycle"] == 32  # 16 GB/s at 500 MHz
    moved = sum(row[4] for row in stored["dlsa"]["dram_tensor_order"])
    assert document["dram_energy_pj"] == pytest.approx(40 * moved)


def test_a_gbuf_beyond_the_energy_model_is_warned_of(run: Run, tmp_path: Path) -> None:
    command = ("solve", "--net", "tiny-chain", "--stage2", "greedy", "--buffer")
    assert run(*command, "32MiB").err == ""
    assert "warning: the energy of a GBUF of 34 MiB is extrapolated" in run(*command, "34MiB").err
    path = tmp_path / "hw.yaml"
    text = "version: 2\nextends: edge\ngbuf: 34MiB\nenergies: {GBUF_read: 9, GBUF_write: 9 pJ/B, OL2_read: 9}\n"
    path.write_text(text)
    command = ("solve", "--net", "tiny-chain", "--stage2", "greedy", "--hw", path)
    assert "give energies for OL2_write in a hardware file" in run(*command).err
    path.write_text(text.replace("9}", "9, OL2_write: 8}"))
    assert run(*command).err == ""


def test_a_platform_without_energy_is_no_reason_to_fail(run: Run, tmp_path: Path) -> None:
    names = (*BYTE_ENERGIES, *OPERATION_ENERGIES)
    path = tmp_path / "hw.yaml"
    path.write_text(
        f"version: 2\nname: my board\nextends: edge\ndram_energy: 0\nenergies: {json.dumps(dict.fromkeys(names, 0))}\n"
    )
    text = run("solve", "--net", "tiny-chain", "--hw", path, "--time-limit", 5).out
    assert text.startswith("tiny-chain, batch 1, on my board: ")
    assert run("gap", "--net", "tiny-chain", "--hw", path, "--time-limit", 5).code == 0


def test_solve_proves_the_optimum_over_every_lfa(run: Run) -> None:
    document = run("solve", "--net", "tiny-wide", "--exact", "--json").document
    assert document["proven_optimal_over_every_lfa"] is True
    assert document["exact"]["complete"] is True
    assert document["exact"]["computing_orders"] == 24
    assert document["bound_over_every_lfa"]["cost"] == pytest.approx(document["edp"])
    text = run("solve", "--net", "tiny-wide", "--exact").out
    assert "energy × delay proven optimal" in text
    assert "all 24 computing orders gone through" in text
    without = run("solve", "--net", "tiny-wide", "--json").document
    assert (without["proven_optimal_over_every_lfa"], without["exact"]) == (False, None)
    met = run("solve", "--net", "tiny-ffn", "--exact").out
    assert "not needed" in met


@pytest.mark.parametrize("option", [("--batch", 1), ("--hw", "cloud"), ("--seq", 4), ("--buffer", "1MiB")])
def test_compare_does_not_ignore_what_contradicts_the_schedule(run: Run, option: tuple[str, object]) -> None:
    path = SCHEDULES / "resnet50.b1.8MiB.16GBps.json"
    assert_refused(run("compare", "--schedule", path, *option), f"{option[0]}={option[1]} with --schedule")


GAP_STEPS = [
    "double buffering",
    "greedy",
    "SA",
    "CP-SAT",
    "bound of this LFA",
    "theoretical maximum",
    "bound over every LFA",
]


def test_a_terminal_without_the_signs_shows_others() -> None:
    command = [
        sys.executable,
        "-m",
        "soma_cp",
        "solve",
        "--net",
        "tiny-chain",
        "--stage2",
        "greedy",
        "--time-limit",
        "2",
    ]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "energy ? delay" in ended.stdout


def test_files_of_another_kind_are_told_apart(run: Run, tmp_path: Path) -> None:
    network, schedule, text = tmp_path / "network.json", tmp_path / "schedule.json", tmp_path / "network.txt"
    run("nets", "--export", "tiny-chain", "-o", network)
    run("solve", "--net", "tiny-chain", "--stage2", "greedy", "--time-limit", 2, "-o", schedule)
    text.write_text("version: 1\n", encoding="utf-8")
    for command, words in (
        (("evaluate", network), "is no schedule (it has neither lfa nor dlsa nor hardware)"),
        (("solve", "--net", schedule), "is a schedule and no network"),
        (("solve", "--net", text), "not valid JSON: Expecting value (a YAML file must be called .yaml or .yml)"),
    ):
        outcome = run(*command)
        assert outcome.code == 2
        assert words in outcome.err
        assert len(outcome.err.splitlines()) == 1


def test_a_network_file_in_this_folder_needs_its_ending(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.pb").write_text("", encoding="utf-8")
    outcome = run("solve", "--net", "model.pb")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "--net model.pb: a network file must be called .onnx, .json, .yaml or .yml" in outcome.err


def test_rows_of_an_input_that_nobody_reads_are_told(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    text = "version: 1\nname: x\ninputs: [{name: image, shape: [3, 64, 40]}]\nlayers:\n"
    text += " - {name: stem, kind: conv, C: 3, K: 16, R: 3, S: 3, H: 32, W: 40, sH: 1, sW: 1, inputs: [image]}\n"
    path.write_text(text, encoding="utf-8")
    command = ("nets", "--export", path, "-o", tmp_path / "out.json")
    assert (
        run(*command).err == f"soma-cp: note: {path}: layer 'stem' reads 34×40 of the 64×40 rows×columns of 'image'\n"
    )
    path.write_text(text.replace("sH: 1", "sH: 2"), encoding="utf-8")  # 65 rows wanted: one is padding
    assert run(*command).err == ""


@pytest.mark.parametrize("name", builtin_names())
def test_builtin_networks_read_their_inputs_whole(name: str) -> None:
    assert list(rows_left_out(builtin_network(name))) == []


def test_gap_makes_a_ladder_of_every_network_at_every_batch(run: Run) -> None:
    nets = ("--net", "tiny-chain", "--net", "tiny-attention", "--batch", 1, "--batch", 2)
    ladders = run("gap", *nets, "--time-limit", 5, "--format", "json").document["ladders"]
    problems = [(name, batch) for name in ("tiny-chain", "tiny-attention") for batch in (1, 2)]
    assert [(ladder["network"], ladder["batch"]) for ladder in ladders] == problems
    for ladder in ladders:
        steps = {step["step"]: step for step in ladder["steps"]}
        assert list(steps) == GAP_STEPS
        proven, every, best = steps["bound of this LFA"], steps["bound over every LFA"], steps["CP-SAT"]
        assert proven["latency_cycles"] <= best["latency_cycles"] <= steps["greedy"]["latency_cycles"]
        assert every["cost"] <= best["cost"] == best["latency_cycles"] * best["energy_pj"]
        assert best["cost_above_every_lfa"] == best["cost"] / every["cost"] - 1
        assert best["latency_above_lfa_bound"] == best["latency_cycles"] / proven["latency_cycles"] - 1
        assert every["how"]


def test_gap_writes_csv_and_markdown(run: Run) -> None:
    rows = run("gap", "--net", "tiny-chain", "--time-limit", 5, "--format", "csv").out.splitlines()
    assert rows[0].startswith("network,batch,step,kind,latency_cycles,energy_pj,cost,")
    assert [row.split(",")[2] for row in rows[1:]] == GAP_STEPS
    lines = run("gap", "--net", "tiny-chain", "--time-limit", 5, "--format", "markdown").out.splitlines()
    assert [line.split(" | ")[2] for line in lines[2:]] == GAP_STEPS
    assert len({line.count("|") for line in lines}) == 1


def test_gap_prints_a_table_that_says_what_is_open(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "WIDTH_WITHOUT_TERMINAL", 100)
    outcome = run("gap", "--net", "tiny-attention", "--time-limit", 5, "--delay-exponent", 2)
    assert outcome.code == 0
    assert "…" not in outcome.out
    assert "energy^1 × delay^2" in outcome.out
    assert "met: the optimum of this LFA" in outcome.out
    for step in GAP_STEPS:
        assert any(line.startswith(step) for line in outcome.out.splitlines())


def test_solve_tells_the_bound_over_every_lfa(run: Run) -> None:
    document = run("solve", "--net", "tiny-attention", *QUICK, "--json").document
    bound = document["bound_over_every_lfa"]
    assert bound["latency"] <= document["latency"]
    assert bound["energy_pj"] <= document["energy_pj"]
    assert bound["cost"] <= document["edp"]
    assert "above the optimum" in run("solve", "--net", "tiny-attention", *QUICK).out


# What can't be.


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        ("solve", ("solve needs --net NAME|FILE",)),
        ("solve --nett resnet50", ("no such option: --nett",)),
        ("foo", ("no such command 'foo'",)),
        ("hw x", ("unexpected extra argument",)),
        ("hw --export egde", ("no platform is called 'egde'", "did you mean 'edge'")),
        ("hw -o x.yaml", ("--output=x.yaml without --export",)),
        ("nets --export resnet51", ("did you mean 'resnet50'",)),
        ("nets --export resnet50 -o no/such/folder/x.json", ("can't write", "no/such/folder")),
        ("compare --net tiny-wide --json --format csv", ("--json with --format=csv",)),
        ("solve --net gpt2-small --blocks 13", ("--blocks=13 (must be from 1 to 12",)),
        ("solve --net resnet50 --blocks 2", ("'resnet50' is a whole network",)),
        ("nets --seq 4", ("--seq=4 without --export",)),
        ("evaluate", ("missing argument",)),
        ("report -o x.svg", ("missing argument",)),
        ("report x.json", ("missing option '--output'",)),
        ("report x.json -o x", ("the ending '' is none of .html, .csv, .json, .svg, .png, .pdf", "--format")),
        ("report x.json -o x.xls --format xls", ("'--format'", "perfetto")),
        ("report nope.json -o x.csv", ("nope.json: there is no such file",)),
        ("compare", ("--net", "--schedule")),
        ("gap", ("missing option '--net'", "soma-cp gap --help")),
        ("gap --net resnet51", ("did you mean 'resnet50'",)),
        ("gap --net tiny-chain --batch 0", ("--batch=0 (must be from 1 to",)),
        ("gap --net tiny-chain --format xml", ("--format", "markdown")),
        ("solve --net resnet51", ("'resnet51'", "did you mean 'resnet50'", "soma-cp nets")),
        ("compare --net resnet51", ("did you mean 'resnet50'",)),
        ("solve --net tiny-wide --buffer 4mib", ("--buffer=4mib (must be a size such as 4MiB",)),
        ("gap --net tiny-wide --dram 0.5GB/s", ("--dram=0.5GB/s (must be a bandwidth such as 32GB/s",)),
        ("compare --net tiny-wide --dram fast", ("--dram=fast",)),
        ("compare --net tiny-wide --net resnet51", ("did you mean 'resnet50'",)),
        ("compare --schedule a.json --net a.json --net b.json", ("--schedule takes at most one --net",)),
        ("solve --net resnet50 --exact", ("at most 12 layers", "has 72")),
        ("solve --net tiny-wide --exact --stage2 greedy", ("--stage2 cpsat, not greedy",)),
        ("solve --net nope.json", ("nope.json: there is no such file",)),
        ("solve --net .", ("no built-in network is called '.'",)),
        ("solve --net ./", ("this is a folder",)),
        ("solve --net resnet50 --hw edgee", ("did you mean 'edge'",)),
        ("solve --net resnet50 --hw nope.json", ("nope.json", "edge, cloud")),
        ("solve --net resnet50 --stage2 exact", ("no second stage is called 'exact'", "cpsat, sa, greedy, none")),
        ("solve --net resnet50 --lfa exact", ("no first stage is called 'exact'", "greedy, paper")),
        ("solve --net resnet50 --batch 0", ("--batch=0", "from 1 to 1048576")),
        ("solve --net resnet50 --batch -1", ("--batch=-1",)),
        ("compare --net resnet50 --batch 0", ("--batch=0",)),
        ("solve --net resnet50 --batch 99999999999999999999", ("--batch=99999999999999999999",)),
        ("solve --net resnet50 --batch x", ("'--batch'", "integer")),
        ("solve --net resnet50 --seq 5", ("--seq=5", "'resnet50' has no sequence")),
        ("solve --net gpt2-small --seq 0", ("--seq=0", "from 1 to 1048576")),
        ("solve --net ./nope.json --seq 5", ("--seq is for built-in networks",)),
        ("solve --net resnet50 --time-limit -1", ("--time-limit=-1.0", "at least 0")),
        ("solve --net resnet50 --time-limit nan", ("--time-limit=nan",)),
        ("solve --net resnet50 --time-limit soon", ("'--time-limit'", "number")),
        ("solve --net resnet50 --energy-exponent -1", ("--energy-exponent=-1.0", "from 0 to 8")),
        ("solve --net resnet50 --energy-exponent nan", ("--energy-exponent=nan",)),
        ("solve --net resnet50 --delay-exponent inf", ("--delay-exponent=inf",)),
        ("solve --net resnet50 --energy-exponent 0 --delay-exponent 0", ("both 0",)),
        ("compare --net resnet50 --energy-exponent 0 --delay-exponent 0", ("both 0",)),
        ("solve --net resnet50 --seed -1", ("--seed=-1",)),
        ("solve --net resnet50 --workers 0", ("--workers=0", "from 1 to 256")),
        ("solve --net resnet50 --workers 257", ("--workers=257",)),
        ("solve --net resnet50 --workers 2 --deterministic", ("--deterministic", "leave one out")),
        ("solve --net resnet50 -o nowhere/x.json", ("there is no folder", "create it first")),
        ("solve --net resnet50 -o .", ("it is a folder",)),
        ("evaluate nope.json", ("nope.json: there is no such file",)),
        ("compare --schedule nope.json", ("nope.json: there is no such file",)),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(run: Run, arguments: str, fragments: tuple[str, ...]) -> None:
    assert_refused(run(*arguments.split()), *fragments)


@pytest.mark.parametrize("command", ["evaluate FILE", "solve --net FILE", "solve --net tiny-chain --hw FILE"])
@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"", "the file is empty"),
        (b"{", "not valid JSON"),
        (b"[]", "must be an object"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
    ],
    ids=["empty", "cut off", "list", "not text", "deep"],
)
def test_files_that_are_none_are_refused(run: Run, command: str, content: bytes, fragment: str) -> None:
    Path("bad.json").write_bytes(content)
    assert_refused(run(*command.replace("FILE", "./bad.json").split()), "bad.json", fragment)


def test_every_fault_of_a_file_is_told(run: Run) -> None:
    Path("bad.json").write_text(json.dumps(EDGE | {"pe_grid": 0, "gbuf_bytes": "8"}), encoding="utf-8")
    outcome = run("solve", "--net", "tiny-chain", "--hw", "bad.json")
    assert outcome.code == 2
    assert outcome.err.startswith("soma-cp: bad.json: ")
    assert "pe_grid=0" in outcome.err
    assert "gbuf_bytes=" in outcome.err


@pytest.mark.parametrize("command", ["solve", "compare"])
def test_a_buffer_that_is_too_small_for_a_layer(run: Run, command: str) -> None:
    Path("small.json").write_text(json.dumps(EDGE | {"gbuf_bytes": 1000}), encoding="utf-8")
    outcome = run(command, "--net", "resnet50", "--hw", "small.json")
    # The first layer that needs the most bytes: 3·3·512² of weights, 2·2·512 of ifmap without padding, 512 of ofmap.
    # A part of it has 128 channels at least.
    assert_refused(
        outcome, "'conv_5_0_b'", "a tile of a part of 128 output channels", "592,000", "1,000 are available", "579KiB"
    )
    outcome = run(command, "--net", "resnet50", "--hw", "small.json", "--space", "paper")
    assert_refused(outcome, "'conv_5_0_b'", "2,361,856", "1,000 are available", "at least --buffer 3MiB")


def test_an_unforeseen_error_ends_without_a_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("odd\nthing")

    monkeypatch.setattr(solve_command, "solve_problem", fail)
    monkeypatch.delenv(cli_main.TRACEBACK_VARIABLE, raising=False)
    outcome = run("solve", "--net", "tiny-chain")
    assert outcome.code == 1
    assert outcome.err.startswith("soma-cp: internal error, please report it: ZeroDivisionError at test_cli.py:")
    assert outcome.err.count("\n") == 1
    monkeypatch.setenv(cli_main.TRACEBACK_VARIABLE, "1")
    assert "Traceback" in run("solve", "--net", "tiny-chain").err


# Processes: pipes, terminals, signals.

COMMAND = [sys.executable, "-m", "soma_cp"]


def test_a_reader_that_goes_away_is_no_error_worth_words(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "nets", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


def in_terminal(arguments: list[str], folder: Path) -> tuple[int, str, str]:
    """Run with stderr on a terminal; return the exit code, stdout, and what the terminal saw."""
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=slave, cwd=folder, env=environment
    ) as process:
        os.close(slave)
        seen = b""
        while process.poll() is None or select.select([master], [], [], 0)[0]:
            if select.select([master], [], [], 0.1)[0]:
                try:
                    seen += os.read(master, 65536)
                except OSError:  # so Linux reports that the other end is closed
                    break
        assert process.stdout is not None
        out = process.stdout.read().decode()
        code = process.wait()
    os.close(master)
    return code, out, seen.decode()


def test_progress_is_shown_on_a_terminal_and_leaves_stdout_alone(tmp_path: Path) -> None:
    code, out, seen = in_terminal(["solve", "--net", "resnet50", "--time-limit", "4", "--json"], tmp_path)
    assert code == 0
    assert json.loads(out)["network"] == "resnet50"
    assert "first stage" in seen
    assert "left" in seen


def wait_until_it_catches_signals(process: "subprocess.Popen[bytes]") -> None:
    """Return once the command has installed its handlers: before that it has no schedule to end with."""
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        caught = int(next(line for line in status.splitlines() if line.startswith("SigCgt")).split()[1], 16)
        if caught >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.02)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="sees in /proc when the command catches signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after", [0.0, 1.0])
def test_a_signal_ends_the_search_with_the_best_schedule_so_far(
    number: signal.Signals, after: float, tmp_path: Path
) -> None:
    arguments = ["solve", "--net", "inception-resnet-v1", "--batch", "16", "--time-limit", "60"]
    arguments += ["--json", "-o", "best.json"]
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path)
    wait_until_it_catches_signals(process)
    time.sleep(after)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)  # far below the time limit, far above what it takes
    assert err == b""
    assert process.returncode == (143 if number == signal.SIGTERM else 0)
    document = json.loads(out)
    assert document["interrupted"]
    stored = read_schedule(tmp_path / "best.json")
    assert not violations(stored.plan, stored.dlsa)
    assert stored.claims["latency"] == document["latency"]


DEAF_SEARCH = """
import sys, time
from soma_cp.cli.commands import solve as solve_command
from soma_cp.cli.main import main
def search(*_):
    print("searching", flush=True)
    while True:
        time.sleep(0.01)
solve_command.solve_problem = search
sys.argv = ["soma-cp", "solve", "--net", "tiny-chain"]
main()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_ends_at_once(number: signal.Signals, code: int, tmp_path: Path) -> None:
    """Even a search that ignores the first signal ends."""
    with subprocess.Popen(
        [sys.executable, "-c", DEAF_SEARCH], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"searching\n"
        process.send_signal(number)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert err == b"soma-cp: interrupted\n"
    assert out == b""
