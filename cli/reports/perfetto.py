"""Reports as a trace that ui.perfetto.dev opens (the JSON trace-event format); docs/reports.md has the tracks.

Each schedule is a process. Slices are complete events (``X``), each on one track; tensors that hold buffer at the same
time lie on different lanes. Counters (``C``) give the buffer and the channel. Flows (``s``, ``f``) lead from a cause to
what waited for it. Timestamps are whole nanoseconds, written in microseconds as the format asks.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from soma_cp.cli.reports.lanes import first_fit_lanes
from soma_cp.cli.reports.reported import Reported
from soma_cp.model.arrays import IntArray
from soma_cp.model.files.text_file import write_text_atomically
from soma_cp.model.soma.execution.events import (
    GAP_CAUSE_NAMES,
    IFMAPS,
    NONE,
    OCCUPANCY_NAMES,
    OFMAPS_ON_CHIP,
    OFMAPS_TO_STORE,
    WAITED_FOR_NAMES,
    WEIGHTS,
    OnChip,
    Transfers,
)
from soma_cp.model.soma.tensors import IFM, OFM, WGT

Event = dict[str, Any]

# Tracks of a process; lanes of living durations come after them.
DRAM, COMPUTE, STALLS, GROUPS, FIRST_LANE = 1, 2, 3, 4, 5
TRACK_NAMES = {DRAM: "DRAM channel", COMPUTE: "compute", STALLS: "compute stalls", GROUPS: "LGs and FLGs"}


def write_perfetto(reported: Sequence[Reported], output: Path) -> list[Path]:
    """Write one trace with a process for each schedule."""
    write_text_atomically(output, json.dumps(trace_document(reported), separators=(",", ":")) + "\n")
    return [output]


def trace_document(reported: Sequence[Reported]) -> dict[str, Any]:
    """Return the trace."""
    events: list[Event] = []
    for process, one in enumerate(reported, start=1):
        events += _ProcessEvents(one, process).all()
    return {"displayTimeUnit": "ns", "traceEvents": events}


class _ProcessEvents:
    """The events of one schedule."""

    def __init__(self, reported: Reported, process: int) -> None:
        self.name = reported.name
        self.process = process
        self.execution = reported.execution
        self.layer_names = [layer.name for layer in self.execution.schedule.plan.problem.network.layers]

    def all(self) -> Iterator[Event]:
        yield self._metadata("process_name", {"name": self.name})
        yield self._metadata("process_sort_index", {"sort_index": self.process})
        for track, name in TRACK_NAMES.items():
            yield from self._track(track, name)
        yield from self._transfers()
        yield from self._tiles()
        yield from self._stalls()
        yield from self._groups()
        yield from self._living_durations()
        yield from self._buffer_counters()
        yield from self._bandwidth_counters()
        yield from self._flows()

    # What happens.

    def _transfers(self) -> Iterator[Event]:
        transfers = self.execution.transfers
        begins, ends = self._times(transfers.begin), self._times(transfers.finish)
        for i, (begin, end) in enumerate(zip(begins, ends, strict=True)):
            args = {
                "place": i,
                "bytes": int(transfers.bytes[i]),
                "readers": ", ".join(self.layer_names[reader] for reader in self.execution.transfer_readers(i)),
                "Start": int(transfers.start[i]),
                "End": int(transfers.end[i]),
                "waited for": WAITED_FOR_NAMES[transfers.waited_for[i]],
                "idle cycles before": int(transfers.gap[i]),
                "stall cycles caused": int(transfers.stall[i]),
            }
            yield self._slice(DRAM, self.execution.transfer_label(i), begin, end, args)

    def _tiles(self) -> Iterator[Event]:
        tiles, flgs = self.execution.tiles, self.execution.flgs
        begins, ends = self._times(tiles.begin), self._times(tiles.end)
        for p, (begin, end) in enumerate(zip(begins, ends, strict=True)):
            name = f"{self.layer_names[tiles.layer[p]]}[{tiles.index[p]}]"
            args = {
                "position": p,
                "LG": int(tiles.lg[p]),
                "FLG": int(tiles.flg[p]),
                "tiling number": int(flgs.tiling_number[tiles.flg[p]]),
                "stall cycles before": int(tiles.stall[p]),
            }
            yield self._slice(COMPUTE, name, begin, end, args)

    def _stalls(self) -> Iterator[Event]:
        tiles = self.execution.tiles
        stalled = np.flatnonzero(tiles.stall)
        begins = self._times(tiles.begin[stalled] - tiles.stall[stalled])
        for p, begin, end in zip(stalled, begins, self._times(tiles.begin[stalled]), strict=True):
            cause = self.execution.transfer_label(int(tiles.cause[p]))
            args = {"position": int(p), "cycles": int(tiles.stall[p]), "cause": cause}
            yield self._slice(STALLS, f"waits for {cause}", begin, end, args)

    def _groups(self) -> Iterator[Event]:
        """Yield each LG, then the FLGs that it encloses."""
        lgs, flgs = self.execution.lgs, self.execution.flgs
        lg_times, flg_times = (
            list(zip(self._times(groups.begin), self._times(groups.end), strict=True)) for groups in (lgs, flgs)
        )
        for lg, (begin, end) in enumerate(lg_times):
            args: Event = {"tiles": int(lgs.last[lg] - lgs.first[lg] + 1)}
            yield self._slice(GROUPS, f"LG {lg}", begin, end, args)
            for flg in np.flatnonzero(flgs.lg == lg):
                number = int(flgs.tiling_number[flg])
                args = {
                    "tiling number": number,
                    "layers": ", ".join(self.execution.schedule.plan.lfa.flgs[flg].layers),
                    "tiles": int(flgs.last[flg] - flgs.first[flg] + 1),
                }
                yield self._slice(GROUPS, f"FLG {flg}: tiling number {number}", *flg_times[flg], args)

    def _living_durations(self) -> Iterator[Event]:
        execution, kinds = self.execution, self.execution.transfers.kind
        first_lane = FIRST_LANE
        for row, kind in ((WEIGHTS, WGT), (IFMAPS, IFM), (OFMAPS_ON_CHIP, None), (OFMAPS_TO_STORE, OFM)):
            held: Transfers | OnChip = execution.transfers
            label: Callable[[int], str] = execution.transfer_label
            of_kind = np.flatnonzero(kinds == kind)
            if kind is None:
                held = execution.on_chip
                of_kind, label = np.arange(len(held.layer)), execution.schedule.plan.chip_label
            begin, end = held.hold_begin[of_kind], held.hold_end[of_kind]
            lanes = first_fit_lanes(begin, end)
            lane_count = int(lanes.max(initial=-1)) + 1
            for lane in range(lane_count):
                yield from self._track(first_lane + lane, f"buffer: {OCCUPANCY_NAMES[row]} {lane}")
            times = zip(of_kind.tolist(), lanes.tolist(), self._times(begin), self._times(end), strict=True)
            for i, lane, since, until in times:
                args = {"bytes": int(held.bytes[i]), "Start": int(held.start[i]), "End": int(held.end[i])}
                yield self._slice(first_lane + lane, label(i), since, until, args)
            first_lane += lane_count

    def _buffer_counters(self) -> Iterator[Event]:
        times = self._times(self.execution.handover)
        for row, name in enumerate(OCCUPANCY_NAMES):
            for time, held in zip(times, [*self.execution.occupancy[row].tolist(), 0], strict=True):
                yield self._counter(f"buffer: {name}", "bytes", time, held)

    def _bandwidth_counters(self) -> Iterator[Event]:
        """Yield the average of each transfer, in GB/s (bytes per nanosecond); 0 between transfers of one direction."""
        transfers = self.execution.transfers
        begins, ends = self._times(transfers.begin), self._times(transfers.finish)
        cycles, seconds = transfers.finish - transfers.begin, self.execution.schedule.plan.problem.platform.seconds(1)
        rates = np.round(transfers.bytes / (cycles * seconds * 1e9), 3).tolist()
        for name, counted in (("loads", transfers.kind != OFM), ("stores", transfers.kind == OFM)):
            own = np.flatnonzero(counted).tolist()
            for i, following in zip(own, [*own[1:], NONE], strict=True):
                yield self._counter(f"DRAM bandwidth: {name}", "GB/s", begins[i], rates[i])
                if following == NONE or begins[following] > ends[i]:
                    yield self._counter(f"DRAM bandwidth: {name}", "GB/s", ends[i], 0)

    def _flows(self) -> Iterator[Event]:
        """Yield arrows from transfers to the tiles that stalled for them, and from tiles to transfers that waited."""
        execution = self.execution
        tiles, transfers, gaps = execution.tiles, execution.transfers, execution.gaps
        stalled = np.flatnonzero(tiles.cause != NONE)
        number = self.process << 32  # flows of all processes share their ids
        transfer_begins, tile_begins = self._times(transfers.begin), self._times(tiles.begin)
        for p in stalled.tolist():
            number += 1
            cause = int(tiles.cause[p])
            yield self._flow("s", "stall", number, DRAM, transfer_begins[cause])
            yield self._flow("f", "stall", number, COMPUTE, tile_begins[p])
        for place, tile, cause in zip(gaps.rank.tolist(), gaps.tile.tolist(), gaps.cause.tolist(), strict=True):
            number += 1
            yield self._flow("s", GAP_CAUSE_NAMES[cause], number, COMPUTE, tile_begins[tile])
            yield self._flow("f", GAP_CAUSE_NAMES[cause], number, DRAM, transfer_begins[place])

    # How it is written.

    def _times(self, cycles: IntArray) -> list[int]:
        """Return cycles in whole nanoseconds."""
        seconds = self.execution.schedule.plan.problem.platform.seconds(1)
        nanoseconds: list[int] = np.rint(cycles * (seconds * 1e9)).astype(np.int64).tolist()
        return nanoseconds

    def _metadata(self, name: str, args: Event) -> Event:
        return {"ph": "M", "name": name, "pid": self.process, "args": args}

    def _track(self, track: int, name: str) -> Iterator[Event]:
        yield self._metadata("thread_name", {"name": name}) | {"tid": track}
        yield self._metadata("thread_sort_index", {"sort_index": track}) | {"tid": track}

    def _slice(self, track: int, name: str, begin: int, end: int, args: Event) -> Event:
        return {
            "ph": "X",
            "name": name,
            "cat": "soma-cp",
            "pid": self.process,
            "tid": track,
            "ts": begin / 1000,
            "dur": (end - begin) / 1000,
            "args": args,
        }

    def _counter(self, name: str, unit: str, time: int, value: float) -> Event:
        # One value and no thread: some versions of Perfetto refuse several values, or lose the counters of threads.
        return {"ph": "C", "name": name, "pid": self.process, "ts": time / 1000, "args": {unit: value}}

    def _flow(self, phase: str, name: str, number: int, track: int, time: int) -> Event:
        event: Event = {
            "ph": phase,
            "name": name,
            "cat": "cause",
            "id": number,
            "pid": self.process,
            "tid": track,
            "ts": time / 1000,
        }
        return event | {"bp": "e"} if phase == "f" else event
