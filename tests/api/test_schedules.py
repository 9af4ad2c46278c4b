"""Schedules by hand, from files and on other hardware: checked, priced, shown."""

import csv
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from support.paths import PUBLISHED, ROOT
from support.strategies import Case, cases
from support.twins import examples, lfa_of, problem_of_case

import soma_cp as sc
from soma_cp.model.soma.dlsa import double_buffering
from soma_cp.model.soma.plan import make_plan
from soma_cp.model.soma.schedule import priced


def by_hand(schedule: sc.Schedule, transfers: list[sc.Transfer]) -> sc.Schedule:
    """A schedule with the network, hardware, batch and LFA of another."""
    return sc.make_schedule(
        schedule.network, schedule.hardware, lfa=schedule.lfa, transfers=transfers, batch=schedule.batch
    )


@given(cases(divides=True))
@examples(60)
def test_a_schedule_is_made_again_from_its_attributes_by_names(case: Case) -> None:
    try:
        problem = problem_of_case(case)
        lfa = lfa_of(case.lfa)
        made = sc.make_schedule(problem.network, problem.platform, lfa=lfa, batch=problem.batch)
    except sc.UserError:  # nothing fits into the buffer, or a layer has no mapping
        reject()
    assert by_hand(made, list(made.transfers)) == made
    assert made.lower_bound_cycles <= made.latency_cycles
    again = sc.make_lfa(
        lfa.computing_order,
        flcs=[flg.layers[0] for flg in lfa.flgs],
        dram_cuts=[flg.layers[0] for flg in lfa.flgs if flg.dram_cut],
        tiling_numbers={flg.layers[-1]: flg.tiling_number for flg in lfa.flgs},
        shared_loads=[(share.layer, share.source) for share in reversed(lfa.shared_loads)],
        divisions=dict(lfa.divisions),
    )
    assert again == lfa


def test_divided_layers_are_named_by_their_parts(tmp_path: Path) -> None:
    """tiny-chain where the core array computes 64 channels at once."""
    hardware = sc.load_hardware("edge", pe_grid=2)
    order = ["conv1", "conv2", "conv3", "conv4/1", "conv4/2"]
    lfa = sc.make_lfa(order, dram_cuts=["conv4/1"], divisions={"conv4": [64, 64]})
    made = sc.make_schedule("tiny-chain", hardware, lfa=lfa)
    assert made.network == sc.load_network("tiny-chain")
    assert made.lfa == lfa
    assert made.figures["divided_layers"] == 1
    assert made.layers["layer"].tolist() == order
    assert {one.layer for one in made.transfers if one.kind == "ofm"} == {"conv3", "conv4/1", "conv4/2"}
    assert by_hand(made, list(made.transfers)) == made
    assert pickle.loads(pickle.dumps(made)) == made
    made.save(tmp_path / "s.json")
    assert sc.read_schedule(tmp_path / "s.json") == made
    assert sc.evaluate(made, hardware=sc.load_hardware(hardware, dram="8GB/s")).schedule.lfa == lfa
    with pytest.raises(sc.LFAError, match="layer 'conv4' can't be divided into 64 \\+ 64 channels: all parts but one"):
        sc.evaluate(made, hardware="edge")
    with pytest.raises(sc.UserError, match=r"divisions\['conv4'\]=0"):
        sc.make_lfa(order, divisions={"conv4": [128, 0]})


@given(cases())
@examples(60)
def test_durations_that_are_left_out_are_those_of_double_buffering(case: Case) -> None:
    try:
        problem = problem_of_case(case)
        plan = make_plan(problem, lfa_of(case.lfa))
        usual = priced(plan, double_buffering(plan.tensors))
        bare = [one._replace(start=None, end=None) for one in sc.Schedule(usual, 0, "").transfers]
        made = sc.make_schedule(problem.network, problem.platform, lfa=plan.lfa, transfers=bare, batch=problem.batch)
    except sc.UserError:
        reject()
    assert made.latency_cycles == usual.latency


def test_a_broken_rule_is_an_error_with_rule_tensors_and_values(branch: sc.Result) -> None:
    schedule = branch.schedule
    first, *rest = schedule.transfers
    late = next(i for i, one in enumerate(schedule.transfers) if one.kind == "wgt")
    changed = list(schedule.transfers)
    changed[late] = changed[late]._replace(start=10_000)
    with pytest.raises(sc.InvalidScheduleError) as error:
        by_hand(schedule, changed)
    violation = error.value.violations[0]
    assert violation.rule is sc.Rule.START_RANGE
    assert violation.needed == 10_000
    assert len(violation.tensors) == 1
    with pytest.raises(sc.InvalidScheduleError, match=r"1 of \d+ transfers are missing") as error:
        by_hand(schedule, rest)
    assert error.value.violations[0].rule is sc.Rule.PERMUTATION
    with pytest.raises(sc.InvalidScheduleError, match="given twice, again at place 1"):
        by_hand(schedule, [first, first, *rest])
    with pytest.raises(sc.UserError, match="no layer is called"):
        by_hand(schedule, [first._replace(layer="nowhere"), *rest])
    with pytest.raises(sc.UserError, match=r"kind='x' \(must be one of"):
        by_hand(schedule, [first._replace(kind="x"), *rest])
    with pytest.raises(sc.UserError, match=r"tile=99 \(must be from"):
        by_hand(schedule, [first._replace(tile=99), *rest])


def test_a_schedule_that_exceeds_the_buffer_is_refused(branch: sc.Result) -> None:
    tight = sc.load_hardware(branch.schedule.hardware, buffer=branch.schedule.peak_buffer_bytes - 1)
    with pytest.raises(sc.InvalidScheduleError) as error:
        sc.evaluate(branch.schedule, hardware=tight)
    violation = error.value.violations[0]
    assert violation.rule is sc.Rule.CAPACITY
    assert (violation.needed, violation.available) == (tight.gbuf_bytes + 1, tight.gbuf_bytes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dram_cuts": ["z"]}, "dram_cuts names 'z'"),
        ({"flcs": ["z"]}, "flcs names 'z'"),
        ({"tiling_numbers": {"z": 2}}, "tiling_numbers names 'z'"),
        ({"tiling_numbers": {"a": 2, "b": 4}}, r"gives one FLG different numbers \(2 for 'a', 4 for 'b'\)"),
    ],
)
def test_an_lfa_that_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(sc.LFAError, match=message):
        sc.make_lfa(["a", "b"], **arguments)  # type: ignore[arg-type]


def test_an_lfa_is_checked_against_its_network() -> None:
    names = [layer.name for layer in sc.load_network("tiny-chain").layers]
    with pytest.raises(sc.LFAError):
        sc.make_schedule("tiny-chain", "edge", lfa=sc.make_lfa(names[:-1]))
    with pytest.raises(sc.LFAError):
        sc.make_schedule("tiny-chain", "edge", lfa=sc.make_lfa(names[::-1], dram_cuts=names))


def test_a_schedule_is_written_and_read(branch: sc.Result, tmp_path: Path) -> None:
    branch.save(tmp_path / "mine.json")
    read = sc.read_schedule(tmp_path / "mine.json")
    assert read == branch.schedule
    assert read.provenance == branch.schedule.provenance
    assert hash(read) == hash(branch.schedule)
    evaluated = sc.evaluate(str(tmp_path / "mine.json"))
    assert evaluated.differences == ()
    assert evaluated.figures["latency_cycles"] == branch.schedule.latency_cycles
    assert evaluated.claimed_lower_bound_cycles == branch.schedule.lower_bound_cycles


def test_what_a_file_claims_is_compared(branch: sc.Result, tmp_path: Path) -> None:
    branch.save(tmp_path / "mine.json")
    text = (tmp_path / "mine.json").read_text(encoding="utf-8")
    cycles = branch.schedule.latency_cycles
    (tmp_path / "wrong.json").write_text(text.replace(str(cycles), str(cycles - 1)), encoding="utf-8")
    assert any(str(cycles - 1) in said.replace(",", "") for said in sc.evaluate(tmp_path / "wrong.json").differences)


@pytest.mark.parametrize("path", sorted((PUBLISHED / "schedules").glob("*.json"))[:4], ids=lambda path: path.stem)
def test_published_schedules_are_read(path: Path) -> None:
    schedule = sc.read_schedule(path)
    assert schedule.lower_bound_cycles <= schedule.latency_cycles


def test_a_schedule_of_a_network_that_is_not_built_in(tmp_path: Path) -> None:
    builder = sc.NetworkBuilder("mine")
    builder.conv("only", builder.input("image", (3, 16, 16)), channels=8, kernel=3)
    network = builder.build()
    schedule = sc.make_schedule(network, "edge", lfa=sc.make_lfa(["only"]))
    schedule.save(tmp_path / "mine.json")
    assert sc.read_schedule(tmp_path / "mine.json", network) == schedule


def test_files_that_are_no_schedules(tmp_path: Path) -> None:
    with pytest.raises(sc.UserError, match=r"nothing\.json"):
        sc.read_schedule(tmp_path / "nothing.json")
    (tmp_path / "empty.json").write_text("{}", encoding="utf-8")
    with pytest.raises(sc.UserError, match=r"empty\.json"):
        sc.evaluate(tmp_path / "empty.json")


@pytest.mark.parametrize(
    ("name", "begins"),
    [("a.html", b"<!DOCTYPE html>"), ("a.svg", b"<?xml"), ("a.json", b"{"), ("a.png", b"\x89PNG"), ("a.pdf", b"%PDF")],
)
def test_reports(branch: sc.Result, tmp_path: Path, name: str, begins: bytes) -> None:
    written = branch.report(tmp_path / name)
    assert written == (tmp_path / name,)
    assert (tmp_path / name).read_bytes()[:15].lower().startswith(begins.lower())


def test_a_report_that_is_refused(branch: sc.Result, tmp_path: Path) -> None:
    with pytest.raises(sc.UserError, match=r"the ending '\.txt' is none of"):
        branch.report(tmp_path / "a.txt")
    with pytest.raises(sc.UserError, match=r"format='txt' \(must be one of"):
        branch.report(tmp_path / "a.txt", format="txt")
    branch.report(tmp_path / "a.txt", format="svg")
    assert (tmp_path / "a.txt").read_bytes().startswith(b"<?xml")


def test_tables_hold_what_the_csv_report_holds(branch: sc.Result, tmp_path: Path) -> None:
    for path in branch.report(tmp_path / "a.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row.get("place") != ""]  # without what stays in the buffer
        table = branch.layers if "layer" in rows[0] and "flg" in rows[0] else branch.tensors
        shared = [name for name in table.dtype.names or () if name in rows[0]]
        assert len(shared) >= 12
        assert len(rows) == len(table)
        for name in shared:
            for row, value in zip(rows, table[name].tolist(), strict=True):
                assert row[name] in ("", str(value)) or float(row[name]) == pytest.approx(value), name


def test_tables_agree_with_the_figures(branch: sc.Result) -> None:
    schedule = branch.schedule
    assert schedule.tiles["end_cycle"].max() <= schedule.latency_cycles
    assert schedule.tensors["finish_cycle"].max() <= schedule.latency_cycles
    assert schedule.tiles["alive_bytes"].max() == schedule.peak_buffer_bytes
    assert len(schedule.tensors) == len(schedule.transfers)
    assert [row["layer"] for row in schedule.layers] == list(schedule.lfa.computing_order)
    assert schedule.latency_seconds * schedule.hardware.clock_hz == pytest.approx(schedule.latency_cycles)


def test_a_table_becomes_a_data_frame(branch: sc.Result) -> None:
    pandas = pytest.importorskip("pandas", reason="an extra of users")
    frame = branch.layers.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == list(branch.layers.dtype.names or ())
    assert frame["compute_cycles"].tolist() == branch.layers["compute_cycles"].tolist()


def test_without_pandas_the_error_names_it(branch: sc.Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(sc.UserError, match="needs the package 'pandas'"):
        branch.layers.to_pandas()


def test_schedules_are_shown_in_a_line_and_as_tables(branch: sc.Result) -> None:
    schedule = branch.schedule
    assert repr(schedule).startswith(f"<Schedule of 'tiny-branch', batch 1: {schedule.latency_cycles:,} cycles")
    for shown in (schedule, branch, branch.bounds, branch.layers, branch.history):
        html = shown._repr_html_()
        assert html.startswith("<table>")
        assert len(html) < 20_000


READ = """
import pickle, sys
import soma_cp as sc
result = pickle.load(open(sys.argv[1], "rb"))
print(result.schedule.latency_cycles, result.layers["compute_cycles"].sum(), result.status.name)
result.report("a.svg")
"""


def test_a_result_is_pickled_and_read_in_another_process(branch: sc.Result, tmp_path: Path) -> None:
    branch.layers  # noqa: B018  # tables that were made are not kept
    path = tmp_path / "result.pickle"
    path.write_bytes(pickle.dumps(branch))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", READ, str(path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path, env=environment)
    assert run.returncode == 0, run.stderr
    wanted = (branch.schedule.latency_cycles, branch.layers["compute_cycles"].sum(), branch.status.name)
    assert run.stdout.split() == [str(value) for value in wanted]
    assert (tmp_path / "a.svg").exists()


@given(st.text(max_size=20))
@examples(30)
def test_names_are_escaped_in_tables(name: str) -> None:
    builder = sc.NetworkBuilder("escape")
    layer = builder.conv(f"<{name}&", builder.input("image", (1, 2, 2)), channels=1)
    schedule = sc.make_schedule(builder.build(), "edge", lfa=sc.make_lfa([layer]))
    assert f"<{name}&" not in schedule.layers._repr_html_()
