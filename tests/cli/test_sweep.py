"""``soma-cp sweep``: files and their faults, results, interrupts, kills, a cluster."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from support.command_line import Run, assert_refused
from support.paths import ROOT

from soma_cp.cli.formats import csv_text
from soma_cp.cli.result_schema import result_schema
from soma_cp.cli.sweep_formats import EXAMPLE_NAMES
from soma_cp.solver.sweep.examples import EXAMPLES
from soma_cp.solver.sweep.grid import read_sweep
from soma_cp.solver.sweep.marks import MARKED
from soma_cp.solver.sweep.plan import SweepPlan
from soma_cp.solver.sweep.rows import COLUMNS
from soma_cp.solver.sweep.store import read_rows

HEAD = "version: 1\nname: s\nmethods: [cocco, paper-1, paper-2, ours]\nlimits: {rounds: 0.02}\n"
GRID = "grid: {net: [tiny-chain, tiny-ffn], hw: edge, batch: [1, 2], dram: [4 GB/s, 8 GB/s]}\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "s.yaml"
    path.write_text(text)
    return path


# Ready files


def test_ready_files_are_listed_once() -> None:
    assert tuple(EXAMPLES) == EXAMPLE_NAMES


POINTS = {
    "fig3": 2,
    "fig6": 48,
    "fig6-quick": 24,
    "fig7": 168,
    "fig7-quick": 64,
    "fig8": 6,
    "llm": 32,
    "cocco-tiling": 144,
}
RESULTS = {"cocco-tiling": 24 * (2 * 6 + 1)}
"""Of files whose methods do not all use all axes; of others, each point and method."""


@pytest.mark.parametrize("name", EXAMPLE_NAMES)
def test_a_ready_file_has_its_points(run: Run, tmp_path: Path, name: str) -> None:
    printed = run("sweep", "--example", name)
    assert printed.code == 0
    sweep = read_sweep(write(tmp_path, printed.out))
    assert (sweep.name, len(sweep.points)) == (name, POINTS[name])
    expected = RESULTS.get(name, len(sweep.points) * len(sweep.methods))
    assert len({one.key for one in SweepPlan(sweep).wanted}) == expected


def test_language_models_share_the_results_of_fig6(tmp_path: Path) -> None:
    keys = {}
    for name in ("fig6", "llm"):
        plan = SweepPlan(read_sweep(write(tmp_path, EXAMPLES[name])))
        keys[name] = {one.key for one in plan.wanted if one.point.net.startswith("gpt2")}
    assert len(keys["fig6"]) == 16 * 4
    assert keys["fig6"] < keys["llm"]


@pytest.mark.parametrize("name", ["fig6", "fig7"])
def test_kept_results_are_those_of_their_files(name: str) -> None:
    results = ROOT / "benchmarks" / "results"
    rows = read_csv(results / f"{name}.csv")
    assert list(rows[0]) == list(MARKED)
    sweep = read_sweep(results / f"{name}.yaml")
    assert {row["method"] for row in rows} == set(sweep.methods)
    assert len({row["key"] for row in rows}) == len(rows) == len(sweep.points) * len(sweep.methods)


def test_a_ready_file_that_is_none(run: Run) -> None:
    assert_refused(run("sweep", "--example", "fig9"), "must be one of fig3, fig6", "did you mean")


# Faults


def faults(run: Run, folder: Path, text: str) -> list[str]:
    outcome = run("sweep", write(folder, text), "-o", "s.db")
    assert (outcome.code, outcome.out) == (2, "")
    assert not Path("s.db").exists()
    return outcome.err.removeprefix("soma-cp: ").splitlines()


def test_all_faults_of_a_file_are_said_at_once_with_their_lines(run: Run, tmp_path: Path) -> None:
    text = """version: 2
name: s
methods: [ours, papr-1]
grid:
  batch: [1, zero]
  bufer: 4 MiB
  buffer: 4
cases:
- {net: tiny-chain, dram: {from: 8 GB/s, to: 2 GB/s, times: 2}}
- {hw.macs: 4}
limits: {rounds: 0, second: 3}
speed: 1
"""
    said = faults(run, tmp_path, text)
    for fragment in (
        "line 1: version=2 (must be 1)",
        '"speed" is not a field (must be one of version, name, methods, grid, cases, seeds, limits, onnx)',
        "limits: \"second\" is not a field (must be one of rounds, seconds); did you mean 'seconds'?",
        "line 11: limits: rounds=0 (must be default, or a share of it such as 0.1",
        'line 3: methods: "papr-1" (must be one of cocco, cocco-exact, paper-1',
        'line 5: grid: batch="zero" (must be a whole number from 1 to 1048576)',
        'line 6: grid: "bufer" is no axis',
        "did you mean 'buffer'?",
        "line 7: grid: buffer=4 (must be a size such as 4MiB)",
        "line 9: case 1: dram: ",
        "must rise",
        'line 10: case 2: "hw.macs" is no axis',
    ):
        assert any(fragment in line for line in said), (fragment, said)


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ("grid: {batch: 1}", "no axis net (must be in grid or in each case)"),
        ("cases: [{net: tiny-chain}, {batch: 1}]", "a case without the axis net"),
        ("grid: {net: resnet-50}", "did you mean 'resnet50'?"),
        ("grid: {net: none.json}", "there is no such file"),
        ("grid: {net: tiny-chain, seq: 128}", "has no sequence"),
        ("grid: {net: tiny-chain, hw: egde}", "did you mean 'edge'?"),
        ("grid: {net: tiny-chain, hw.pe_grid: 5000}", "pe_grid=5000 (must be"),
        ("grid: {net: tiny-chain, dram: 0.1 GB/s}", "dram_bandwidth="),
        ("grid: {net: tiny-chain, blocks: 2}", "is a whole network"),
        ("grid: {net: tiny-chain, weights: int99}", "int99"),
        (
            "grid: {net: tiny-chain, tiling: [output, biggest]}",
            'tiling="biggest" (must be output or largest or inherit)',
        ),
        ("grid: {net: tiny-chain, uncapped: 1}", "uncapped=1 (must be true or false)"),
        ("grid: {net: tiny-chain, energy_exponent: 0, delay_exponent: 0}", "both 0"),
        ("grid: {net: tiny-chain, seed: 1}\nseeds: [2]", "keep one"),
        ("grid: {net: tiny-chain, seed: []}", "has no value"),
        ("grid: {net: tiny-chain, seed: {from: 1, to: 10001, plus: 1}}", "more than 10,000 values"),
        ("grid: {net: tiny-chain, seed: {from: 1, to: 10000, plus: 1}, batch: {from: 1, to: 11, plus: 1}}", "at most"),
    ],
)
def test_faults_of_axes(run: Run, tmp_path: Path, axes: str, said: str) -> None:
    assert any(said in line for line in faults(run, tmp_path, f"{HEAD}{axes}\n"))


def test_an_axis_that_no_method_uses(run: Run, tmp_path: Path) -> None:
    text = "version: 1\nname: s\nmethods: [paper-2]\ngrid: {net: tiny-chain}\ncases: [{tiling: output}]\n"
    (said,) = faults(run, tmp_path, text)
    assert said.endswith("no method uses the axis tiling (must be cocco or cocco-exact); add one, or leave it out")
    assert "line 3: " in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "needs a store: -o STORE.db"),
        (("-o", "s.db"), "needs a file that says what to vary"),
        (("s.yaml", "-o", "s.db", "--jobs", "0"), "--jobs=0 (must be from 1 to 256)"),
        (("s.yaml", "-o", "s.db", "--memory", "4"), "--memory=4 (must be a size such as 4GiB, at least 256MiB)"),
        (("s.yaml", "-o", "s.db", "--format", "artifact-csv"), "--format artifact-csv is for --csv FILE"),
        (("s.yaml", "-o", "none/s.db"), "there is no folder"),
        (("-o", "none.db", "--export", "abcd"), "there is no such store"),
    ],
)
def test_what_is_typed_wrongly(run: Run, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    write(tmp_path, f"{HEAD}{GRID}")
    assert_refused(run("sweep", *words), said)


# Results


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the file, the store and the CSV of a sweep that nobody disturbed: `HEAD` and `GRID`."""
    folder = tmp_path_factory.mktemp("swept")
    write(folder, f"{HEAD}{GRID}")
    ended = started(folder, "--json", "s.json").wait()
    assert ended == 0
    return folder


def started(folder: Path, *more: str) -> "subprocess.Popen[str]":
    words = ["sweep", "s.yaml", "-o", "s.db", "--csv", "s.csv", "--jobs", "2", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "soma_cp", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def read_csv(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_files_have_a_row_for_each_point_and_method(swept: Path) -> None:
    rows = read_csv(swept / "s.csv")
    document = json.loads((swept / "s.json").read_text())
    assert len(rows) == 8 * 4
    assert list(document)[:3] == ["result", "version", "tool_version"]
    steady = [column.name for column in COLUMNS if not column.is_of_run]
    assert list(rows[0]) == list(document["rows"][0]) == [*steady, "beaten_by"] == list(MARKED)
    assert csv_text([], MARKED) == ",".join(MARKED) + "\n"  # of a sweep that was interrupted before its first result
    assert [row["method"] for row in rows[:4]] == ["cocco", "paper-1", "paper-2", "ours"]
    assert [float(row["cost"]) for row in rows] == [row["cost"] for row in document["rows"]]
    stored = {row["key"]: row for row in read_rows(swept / "s.db")}
    assert all(stored[row["key"]]["latency_cycles"] == int(row["latency_cycles"]) for row in rows)


def test_the_json_is_valid(swept: Path) -> None:
    document = json.loads((swept / "s.json").read_text())
    assert list(Draft202012Validator(result_schema()).iter_errors(document)) == []
    assert document["rows"]


def test_an_exported_schedule_has_the_figures_of_its_row(swept: Path, run: Run, tmp_path: Path) -> None:
    row = next(row for row in read_rows(swept / "s.db", "s") if row["method"] == "ours")
    text = run("sweep", "-o", swept / "s.db", "--export", row["key"][:8]).out
    (tmp_path / "out.json").write_text(text)
    found = run("evaluate", "out.json", "--json").document
    for column, name in {
        "latency_cycles": "latency_cycles",
        "energy_pj": "energy_pj",
        "utilization": "utilization",
        "tile_cycles": "compute_cycles",
        "dram_cycles": "dram_cycles",
        "average_buffer_bytes": "average_buffer_bytes",
        "peak_buffer_bytes": "peak_buffer_bytes",
        "lgs": "lgs",
        "tiles": "tiles",
    }.items():
        assert found[name] == row[column]


def test_the_columns_of_the_published_program(swept: Path, run: Run, tmp_path: Path) -> None:
    for name in ("s.yaml", "s.db"):
        (tmp_path / name).write_bytes((swept / name).read_bytes())
    outcome = run("sweep", "s.yaml", "-o", "s.db", "--csv", "a.csv", "--format", "artifact-csv")
    assert outcome.out == "s: 8 points, 32 results: 32 done\n"
    rows = read_csv(tmp_path / "a.csv")
    assert [row["baseline_type"] for row in rows] == ["baseline", "ours"] * 8
    ours = next(row for row in read_rows(swept / "s.db", "s") if row["method"] == "paper-2")
    assert rows[1]["network"] == "tiny-chain"
    assert (rows[1]["buffer_size"], rows[1]["dram_bw"], rows[1]["tops"]) == ("8.0", "4.0", "16.384")
    assert float(rows[1]["s2_real_util"]) == 100 * ours["utilization"]


# Crashes


def test_the_same_command_goes_on_after_kills_and_ends_with_the_same_csv(swept: Path, tmp_path: Path) -> None:
    """The coordinator is killed when a few results are stored; then one of the workers of the next run."""
    write(tmp_path, f"{HEAD}{GRID}")
    first = started(tmp_path)
    wait_for_rows(tmp_path, 3)
    first.kill()
    first.wait()
    kept = len(read_rows(tmp_path / "s.db"))
    second = started(tmp_path)
    wait_for_rows(tmp_path, kept + 1)
    os.kill(workers_of(second.pid)[0], signal.SIGKILL)
    out, err = second.communicate()
    assert second.returncode == 0, err
    assert out == "s: 8 points, 32 results: 32 done\n"
    assert (tmp_path / "s.csv").read_bytes() == (swept / "s.csv").read_bytes()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_after_writing_what_is_done(swept: Path, tmp_path: Path, number: int, code: int) -> None:
    write(tmp_path, f"{HEAD}{GRID}")
    process = started(tmp_path)
    wait_for_rows(tmp_path, 2)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    out, err = process.communicate()
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert "missing\nthe same command goes on, with what s.db has\n" in out
    kept = read_csv(tmp_path / "s.csv")
    whole = read_csv(swept / "s.csv")
    assert 0 < len(kept) < len(whole)
    marks = "beaten_by"
    assert all({**row, marks: ""} in [{**one, marks: ""} for one in whole] for row in kept)


def wait_for_rows(folder: Path, count: int) -> None:
    until = time.monotonic() + 300
    while time.monotonic() < until:
        if (folder / "s.db").exists() and len(read_rows(folder / "s.db")) >= count:
            return
        time.sleep(0.05)
    raise AssertionError("the sweep does not begin")


def workers_of(process: int) -> list[int]:
    """Return the workers of a sweep: its children but for Python's tracker of resources."""
    found: list[int] = []
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        found += map(int, path.read_text().split())
    return [one for one in found if "spawn_main" in Path(f"/proc/{one}/cmdline").read_text()]


# A cluster


def test_a_cluster_gives_the_same_results_though_a_worker_is_killed(swept: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    write(tmp_path, f"{HEAD}{GRID}")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        process = started(tmp_path, "--dask", cluster.scheduler_address)
        wait_for_rows(tmp_path, 3)
        os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert out == "s: 8 points, 32 results: 32 done\n"
    assert (tmp_path / "s.csv").read_bytes() == (swept / "s.csv").read_bytes()


def test_a_cluster_that_is_none(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    write(tmp_path, f"{HEAD}grid: {{net: tiny-chain}}\n")
    outcome = run("sweep", "s.yaml", "-o", "s.db", "--dask", "tcp://127.0.0.1:1")
    assert outcome.code == 2
    assert "no scheduler answers" in outcome.err
