"""Reports: the files that ``soma-cp report`` writes hold the events of the execution."""

import csv
import json
from itertools import pairwise
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support.execution_cases import GPT2, execution_in, execution_of, executions
from support.trace_format import check_trace, nanoseconds
from support.twins import examples

from soma_cp.cli.reports.csv_tables import layer_columns, tensor_columns, write_csv
from soma_cp.cli.reports.lanes import first_fit_lanes
from soma_cp.cli.reports.perfetto import (
    BUFFER,
    GROUPS,
    IDLE,
    PROCESS_NAMES,
    STALLS,
    TILES,
    TRANSFERS,
    Track,
    trace_document,
)
from soma_cp.cli.reports.reported import Reported
from soma_cp.model.soma.dlsa import double_buffering
from soma_cp.model.soma.execution.events import OCCUPANCY_NAMES
from soma_cp.model.soma.execution.execution import Execution
from soma_cp.model.soma.tensors import OFM


@pytest.fixture(scope="module")
def gpt2() -> Execution:
    return execution_in(GPT2)


@pytest.fixture(scope="module")
def both(gpt2: Execution) -> list[Reported]:
    doubled = execution_of(gpt2.schedule.plan, double_buffering(gpt2.schedule.plan.tensors))
    return [Reported("gpt2", gpt2), Reported('double "buffering", as it were', doubled)]


# Lanes.


@examples(100)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10)), max_size=30))
def test_lanes_hold_intervals_apart_and_are_as_few_as_can_be(drawn: list[tuple[int, int]]) -> None:
    begin = np.array([begin for begin, _ in drawn], np.int64)
    end = begin + np.array([length for _, length in drawn], np.int64)
    lanes = first_fit_lanes(begin, end)
    for lane in set(lanes.tolist()):
        own = sorted(zip(begin[lanes == lane], end[lanes == lane], strict=True))
        assert all(one[1] <= two[0] for one, two in pairwise(own))
    overlap = max((int(((begin <= time) & (time < end)).sum()) for time in begin), default=0)
    assert len(set(lanes.tolist())) == overlap


# CSV.


def read_rows(path: Path) -> tuple[list[dict[str, str]], str]:
    text = path.read_bytes().decode()
    return list(csv.DictReader(text.splitlines(keepends=True))), text


def test_csv_gives_back_the_tables_of_all_schedules(both: list[Reported], tmp_path: Path) -> None:
    paths = write_csv(both, tmp_path / "run.v1.csv")
    assert paths == [tmp_path / "run.v1.layers.csv", tmp_path / "run.v1.tensors.csv"]
    for path, columns_of in zip(paths, (layer_columns, tensor_columns), strict=True):
        rows, text = read_rows(path)
        assert text.count("\r\n") == text.count("\n") == len(rows) + 1
        for one in both:
            own = [row for row in rows if row["schedule"] == one.name]
            columns = columns_of(one.execution)
            assert list(own[0]) == ["schedule", *columns]
            for name, values in columns.items():
                assert [row[name] for row in own] == [str(value) for value in values]


def test_csv_quotes_names(both: list[Reported], tmp_path: Path) -> None:
    _, text = read_rows(write_csv(both, tmp_path / "x.csv")[0])
    assert '\r\n"double ""buffering"", as it were",' in text


@examples(40)
@given(executions())
def test_tensors_of_the_table_are_those_of_the_plan(execution: Execution) -> None:
    plan, columns = execution.schedule.plan, tensor_columns(execution)
    on_dram = plan.dram_tensor_count
    keys = list(zip(columns["kind"], columns["layer"], columns["tile"], columns["source"], strict=True))
    assert keys[:on_dram] == [plan.tensor_key(i) for i in execution.schedule.dlsa.order.tolist()]
    for place in range(on_dram):
        consumers = {plan.problem.network.layers[use.layer].name for use in execution.transfer_uses(place)}
        assert set(filter(None, columns["consumers"][place].split(";"))) == consumers
        assert columns["transfer"][place] == ("store" if execution.transfers.kind[place] == OFM else "load")
    assert columns["place"] == [*range(on_dram), *[""] * len(execution.on_chip.layer)]
    assert columns["bytes"][on_dram:] == execution.on_chip.bytes.tolist()
    transfers = execution.transfers
    for name, values in (
        ("begin_cycle", transfers.begin),
        ("finish_cycle", transfers.finish),
        ("gap_cycles", transfers.gap),
        ("stall_cycles", transfers.stall),
    ):
        assert columns[name] == [*values.tolist(), *[""] * len(execution.on_chip.layer)]
    gates = [p if p < plan.tile_count else "" for p in execution.transfers.gates.tolist()]
    assert columns["gates_tile"][:on_dram] == gates


# Traces.


@examples(40)
@given(executions())
def test_traces_keep_the_format_and_hold_every_event(execution: Execution) -> None:
    document = json.loads(json.dumps(trace_document([Reported("one", execution), Reported("two", execution)])))
    slices = check_trace(document)
    tiles, transfers, chip = execution.tiles, execution.transfers, execution.on_chip
    for index in (0, 1):
        own = {
            Track(pid - index * len(PROCESS_NAMES), thread): found
            for (pid, thread), found in slices.items()
            if (pid - 1) // len(PROCESS_NAMES) == index
        }
        for kind, track in TRANSFERS.items():
            of_kind = transfers.kind == kind
            expected = list(zip(transfers.begin[of_kind], transfers.finish[of_kind], strict=True))
            assert [found[:2] for found in own.get(track, [])] == expected
        gaps = list(zip(execution.gaps.begin, execution.gaps.end, strict=True))
        assert [found[:2] for found in own.get(IDLE, [])] == gaps
        assert [found[:2] for found in own[TILES]] == list(zip(tiles.begin, tiles.end, strict=True))
        stalls = [(end - stall, end) for end, stall in zip(tiles.begin, tiles.stall, strict=True) if stall]
        assert [found[:2] for found in own.get(STALLS, [])] == stalls
        assert len(own[GROUPS]) == len(execution.flgs.first) + len(execution.lgs.first)
        lives = [found[:2] for track, lane in own.items() if track.process == BUFFER for found in lane]
        expected = [*zip(transfers.hold_begin, transfers.hold_end, strict=True)]
        expected += zip(chip.hold_begin, chip.hold_end, strict=True)
        assert sorted(lives) == sorted(expected)


def test_counters_of_a_trace(gpt2: Execution) -> None:
    counters: dict[str, list[tuple[int, float]]] = {}
    for event in trace_document([Reported("gpt2", gpt2)])["traceEvents"]:
        if event["ph"] == "C":
            (value,) = event["args"].values()
            counters.setdefault(event["name"], []).append((nanoseconds(event["ts"]), value))
    for row, name in enumerate(OCCUPANCY_NAMES):
        held = [*gpt2.occupancy[row].tolist(), 0]
        assert counters[f"buffer: {name}"] == list(zip(gpt2.handover.tolist(), held, strict=True))
    transfers = gpt2.transfers
    for name, own in (("loads", transfers.kind != OFM), ("stores", transfers.kind == OFM)):
        rates = counters[f"DRAM bandwidth: {name}"]
        moved = sum(rate * (after - time) for (time, rate), (after, _) in pairwise(rates))
        assert moved == pytest.approx(transfers.bytes[own].sum(), rel=1e-3)
        assert max(rate for _, rate in rates) == 16
        assert rates[-1] == (transfers.finish[own][-1], 0)


def test_a_trace_names_its_processes_and_the_causes_of_stalls(both: list[Reported]) -> None:
    events = trace_document(both)["traceEvents"]
    names = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    doubled = 'double "buffering", as it were'
    of_both = [f"{name}: {part}" for name in ("gpt2", doubled) for part in ("core array", "DRAM channel", "buffer")]
    order = {event["pid"]: event["args"]["sort_index"] for event in events if event["name"] == "process_sort_index"}
    assert [names[pid] for pid in sorted(names, key=order.__getitem__)] == of_both
    gpt2 = both[0].execution
    stalls = [event for event in events if event["ph"] == "X" and (event["pid"], event["tid"]) == STALLS]
    stalled = np.flatnonzero(gpt2.tiles.stall)
    assert [event["args"]["position"] for event in stalls] == stalled.tolist()
    assert [event["args"]["cause"] for event in stalls] == [
        gpt2.transfer_label(int(gpt2.tiles.cause[p])) for p in stalled
    ]


def test_tracks_are_grouped_and_lie_in_a_readable_order(gpt2: Execution) -> None:
    tracks: dict[int, list[tuple[int, str]]] = {}
    order = {}
    events = trace_document([Reported("gpt2", gpt2)])["traceEvents"]
    for event in events:
        if event["name"] == "thread_sort_index":
            order[event["pid"], event["tid"]] = event["args"]["sort_index"]
    for event in events:
        if event["name"] == "thread_name":
            place = order[event["pid"], event["tid"]]
            tracks.setdefault(event["pid"], []).append((place, event["args"]["name"]))
    names = [[name for _, name in sorted(of_one)] for _, of_one in sorted(tracks.items())]
    assert names[0] == ["LGs and FLGs", "tiles", "stalls"]
    assert names[1] == ["load weights", "load ifmaps", "store ofmaps", "idle"]
    kinds = [name.rsplit(" ", 1) for name in names[2]]
    assert list(dict.fromkeys(kind for kind, _ in kinds)) == list(OCCUPANCY_NAMES)
    for kind in OCCUPANCY_NAMES:
        assert [int(lane) for its, lane in kinds if its == kind] == list(range(sum(its == kind for its, _ in kinds)))
    counters = {(event["pid"], event["name"].split(":")[0]) for event in events if event["ph"] == "C"}
    assert counters == {(2, "DRAM bandwidth"), (3, "buffer")}
