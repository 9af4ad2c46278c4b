"""Reports as a trace that ui.perfetto.dev opens (the JSON trace-event format); docs/reports.md has the tracks.

Each schedule is three processes, which group its tracks: the core array, the DRAM channel, the buffer. Slices are
complete events (``X``), each on one track, which is a thread; tensors that hold buffer at the same time lie on
different lanes. Counters (``C``) stand with the process that they measure. Flows (``s``, ``f``) lead from a cause to
what waited for it. Timestamps are whole nanoseconds, written in microseconds as the format asks.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

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

CORE_ARRAY, CHANNEL, BUFFER = 1, 2, 3
PROCESS_NAMES = {CORE_ARRAY: "core array", CHANNEL: "DRAM channel", BUFFER: "buffer"}
"""The processes of a schedule, from the top down."""


class Track(NamedTuple):
    """A track: the process, by `PROCESS_NAMES`, and the number of the thread within it; threads lie in that order."""

    process: int
    thread: int


GROUPS, TILES, STALLS = (Track(CORE_ARRAY, thread) for thread in (1, 2, 3))
TRANSFERS = {kind: Track(CHANNEL, thread) for thread, kind in enumerate((WGT, IFM, OFM), start=1)}
IDLE = Track(CHANNEL, 4)
TRACK_NAMES = {
    GROUPS: "LGs and FLGs",
    TILES: "tiles",
    STALLS: "stalls",
    TRANSFERS[WGT]: "load weights",
    TRANSFERS[IFM]: "load ifmaps",
    TRANSFERS[OFM]: "store ofmaps",
    IDLE: "idle",
}


def write_perfetto(reported: Sequence[Reported], output: Path) -> list[Path]:
    """Write one trace of all schedules, one below the other."""
    write_text_atomically(output, json.dumps(trace_document(reported), separators=(",", ":")) + "\n")
    return [output]


def trace_document(reported: Sequence[Reported]) -> dict[str, Any]:
    """Return the trace."""
    events: list[Event] = []
    for index, one in enumerate(reported):
        events += _ScheduleEvents(one, index).all()
    return {"displayTimeUnit": "ns", "traceEvents": events}


class _ScheduleEvents:
    """The events of one schedule."""

    def __init__(self, reported: Reported, index: int) -> None:
        self.name = reported.name
        self.index = index
        self.execution = reported.execution
        self.layer_names = [layer.name for layer in self.execution.schedule.plan.problem.network.layers]

    def all(self) -> Iterator[Event]:
        for process, name in PROCESS_NAMES.items():
            yield self._metadata(process, "process_name", {"name": f"{self.name}: {name}"})
            yield self._metadata(process, "process_sort_index", {"sort_index": self._pid(process)})
        for track, name in TRACK_NAMES.items():
            yield from self._track(track, name)
        yield from self._groups()
        yield from self._tiles()
        yield from self._stalls()
        yield from self._transfers()
        yield from self._gaps()
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
                **self._bytes_in_dram(i),
                "readers": ", ".join(self.layer_names[reader] for reader in self.execution.transfer_readers(i)),
                "Start": int(transfers.start[i]),
                "End": int(transfers.end[i]),
                "waited for": WAITED_FOR_NAMES[transfers.waited_for[i]],
                "idle cycles before": int(transfers.gap[i]),
                "stall cycles caused": int(transfers.stall[i]),
            }
            yield self._slice(TRANSFERS[int(transfers.kind[i])], self.execution.transfer_label(i), begin, end, args)

    def _bytes_in_dram(self, i: int) -> Event:
        """Return the bytes that a transfer moves, if weights are compressed in DRAM."""
        held, moved = int(self.execution.transfers.bytes[i]), int(self.execution.transfers.moved[i])
        return {} if moved == held else {"bytes in DRAM": moved}

    def _gaps(self) -> Iterator[Event]:
        gaps, plan = self.execution.gaps, self.execution.schedule.plan
        times = zip(self._times(gaps.begin), self._times(gaps.end), strict=True)
        for i, (begin, end) in enumerate(times):
            args = {
                "cycles": int(gaps.end[i] - gaps.begin[i]),
                "transfer": self.execution.transfer_label(int(gaps.rank[i])),
                "cause": GAP_CAUSE_NAMES[gaps.cause[i]],
            }
            yield self._slice(IDLE, f"until {plan.tile_label(int(gaps.tile[i]))} ends", begin, end, args)

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
            yield self._slice(TILES, name, begin, end, args)

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
                    "layers": ", ".join(self.execution.schedule.plan.run.flgs[flg].layers),
                    "tiles": int(flgs.last[flg] - flgs.first[flg] + 1),
                }
                yield self._slice(GROUPS, f"FLG {flg}: tiling number {number}", *flg_times[flg], args)

    def _living_durations(self) -> Iterator[Event]:
        execution, kinds = self.execution, self.execution.transfers.kind
        lane_number = 0
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
            tracks = [Track(BUFFER, lane_number + lane + 1) for lane in range(lane_count)]
            lane_number += lane_count
            for lane, track in enumerate(tracks):
                yield from self._track(track, f"{OCCUPANCY_NAMES[row]} {lane}")
            times = zip(of_kind.tolist(), lanes.tolist(), self._times(begin), self._times(end), strict=True)
            for i, lane, since, until in times:
                args = {"bytes": int(held.bytes[i]), "Start": int(held.start[i]), "End": int(held.end[i])}
                yield self._slice(tracks[lane], label(i), since, until, args)

    def _buffer_counters(self) -> Iterator[Event]:
        times = self._times(self.execution.handover)
        for row, name in enumerate(OCCUPANCY_NAMES):
            for time, held in zip(times, [*self.execution.occupancy[row].tolist(), 0], strict=True):
                yield self._counter(BUFFER, f"buffer: {name}", "bytes", time, held)

    def _bandwidth_counters(self) -> Iterator[Event]:
        """Yield the average of each transfer, in GB/s (bytes per nanosecond); 0 between transfers of one direction."""
        transfers = self.execution.transfers
        begins, ends = self._times(transfers.begin), self._times(transfers.finish)
        cycles, seconds = transfers.finish - transfers.begin, self.execution.schedule.plan.problem.platform.seconds(1)
        rates = np.round(transfers.moved / (cycles * seconds * 1e9), 3).tolist()
        for name, counted in (("loads", transfers.kind != OFM), ("stores", transfers.kind == OFM)):
            own = np.flatnonzero(counted).tolist()
            for i, following in zip(own, [*own[1:], NONE], strict=True):
                yield self._counter(CHANNEL, f"DRAM bandwidth: {name}", "GB/s", begins[i], rates[i])
                if following == NONE or begins[following] > ends[i]:
                    yield self._counter(CHANNEL, f"DRAM bandwidth: {name}", "GB/s", ends[i], 0)

    def _flows(self) -> Iterator[Event]:
        """Yield arrows from transfers to the tiles that stalled for them, and from tiles to transfers that waited."""
        execution = self.execution
        tiles, transfers, gaps = execution.tiles, execution.transfers, execution.gaps
        stalled = np.flatnonzero(tiles.cause != NONE)
        number = self.index << 32  # flows of all schedules share their ids
        channel = [TRANSFERS[kind] for kind in transfers.kind.tolist()]
        transfer_begins, tile_begins = self._times(transfers.begin), self._times(tiles.begin)
        for p in stalled.tolist():
            number += 1
            cause = int(tiles.cause[p])
            yield self._flow("s", "stall", number, channel[cause], transfer_begins[cause])
            yield self._flow("f", "stall", number, TILES, tile_begins[p])
        for place, tile, cause in zip(gaps.rank.tolist(), gaps.tile.tolist(), gaps.cause.tolist(), strict=True):
            number += 1
            yield self._flow("s", GAP_CAUSE_NAMES[cause], number, TILES, tile_begins[tile])
            yield self._flow("f", GAP_CAUSE_NAMES[cause], number, channel[place], transfer_begins[place])

    # How it is written.

    def _times(self, cycles: IntArray) -> list[int]:
        """Return cycles in whole nanoseconds."""
        seconds = self.execution.schedule.plan.problem.platform.seconds(1)
        nanoseconds: list[int] = np.rint(cycles * (seconds * 1e9)).astype(np.int64).tolist()
        return nanoseconds

    def _pid(self, process: int) -> int:
        return self.index * len(PROCESS_NAMES) + process

    def _where(self, track: Track) -> dict[str, int]:
        return {"pid": self._pid(track.process), "tid": track.thread}

    def _metadata(self, process: int, name: str, args: Event) -> Event:
        return {"ph": "M", "name": name, "pid": self._pid(process), "args": args}

    def _track(self, track: Track, name: str) -> Iterator[Event]:
        for kind, args in (("thread_name", {"name": name}), ("thread_sort_index", {"sort_index": track.thread})):
            yield {"ph": "M", "name": kind, **self._where(track), "args": args}

    def _slice(self, track: Track, name: str, begin: int, end: int, args: Event) -> Event:
        times = {"ts": begin / 1000, "dur": (end - begin) / 1000}
        return {"ph": "X", "name": name, "cat": "soma-cp", **self._where(track), **times, "args": args}

    def _counter(self, process: int, name: str, unit: str, time: int, value: float) -> Event:
        # One value and no thread: some versions of Perfetto refuse several values, or lose the counters of threads.
        return {"ph": "C", "name": name, "pid": self._pid(process), "ts": time / 1000, "args": {unit: value}}

    def _flow(self, phase: str, name: str, number: int, track: Track, time: int) -> Event:
        event: Event = {"ph": phase, "name": name, "cat": "cause", "id": number, **self._where(track)}
        return event | {"ts": time / 1000} | ({"bp": "e"} if phase == "f" else {})
