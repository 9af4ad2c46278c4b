"""The CP-SAT model of DRAM Tensor Order and Living Durations (docs/second-stage.md has the mathematics).

Time is in cycles; positions are tile ids. Variables: the begin ``S_i`` of every DRAM transfer; the begin ``C_p`` of
every tile; and, for each position p that can be the End of a store, its *opening* ``R_p`` between the end of tile
p − 1 and ``C_p``. Living durations are order encodings, that is, ordered literals: "Start ≥ p" of a load, "End > p" of
a store.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from ortools.sat.python import cp_model

from soma_cp.annealing.budget import Budget, OutOfTimeError
from soma_cp.model.arrays import IntArray
from soma_cp.model.soma.schedule import Schedule
from soma_cp.solver.second_stage.piece import Piece
from soma_cp.solver.second_stage.piece_kernel import NO_PATH
from soma_cp.solver.second_stage.windows import Windows


@dataclass
class _OrderEncoding:
    """Literals for the adjustable edge of one living duration: a load's Start, a store's End.

    ``literals[k]`` means that the edge is above ``lowest + k``; each literal implies the one before.
    """

    lowest: int
    literals: list[cp_model.IntVar]


class SecondStageModel:
    """The model of one piece; the solver gets the attribute `model`.

    Parameters
    ----------
    piece
        The free transfers.
    windows
        The window bound of the piece.
    arcs
        Redundant: what `window_arcs` returns for the piece.
    most_cycles
        The highest latency allowed (cycles).
    budget
        No limit by default; a large model takes many seconds to build.

    Raises
    ------
    OutOfTimeError
        If the budget ends before the model is built.
    """

    def __init__(
        self, piece: Piece, windows: Windows, arcs: IntArray, most_cycles: int, budget: Budget | None = None
    ) -> None:
        self.piece = piece
        self.windows = windows
        self.most_cycles = most_cycles
        self.model = cp_model.CpModel()
        self._budget = budget or Budget()
        self._openings: dict[int, cp_model.IntVar] = {}
        self._encodings: list[_OrderEncoding] = []
        # At each position: adjustable tensors that can be alive there, as (bytes, literal or True).
        self._alive: list[list[tuple[int, cp_model.LiteralT]]] = [[] for _ in range(piece.tile_count)]
        self._tile_cycles: list[int] = piece.tile_cycles.tolist()
        self._cycles: list[int] = piece.cycles.tolist()
        self.makespan = self.model.new_int_var(windows.latency, most_cycles, "makespan")
        self.channel_end = self.model.new_int_var(
            int(windows.earliest_begin[-1]), most_cycles - piece.channel_tail, "channel"
        )
        self._make_tiles()
        self._make_transfers()
        self._make_openings()
        self._chain_tiles()
        self._end_of_the_run()
        self._one_channel()
        for tensor, is_store in enumerate(piece.is_store.tolist()):
            self._check_time()
            if is_store:
                self._store(tensor)
            else:
                self._load(tensor)
        self._capacity()
        self._windows(arcs)
        self._symmetry()
        self.model.minimize(self.makespan)

    @staticmethod
    def count_literals(piece: Piece, windows: Windows) -> int:
        """Return an upper bound on the number of literals, without building the model."""
        loads = (piece.latest_start - windows.earliest_start)[~piece.is_store].sum()
        stores = (windows.latest_end - piece.least_end)[piece.is_store].sum()
        return int(loads + stores)

    def _check_time(self) -> None:
        if self._budget.over:
            raise OutOfTimeError

    # Variables

    def _make_tiles(self) -> None:
        """C_p, between the longest path to the tile and the longest path from it to the end of the run."""
        low = self.windows.earliest_begin.tolist()
        high = (self.most_cycles - self.windows.tail_from_begin).tolist()
        self.tile_begin = [self.model.new_int_var(low[p], high[p], f"C{p}") for p in range(self.piece.tile_count)]

    def _make_transfers(self) -> None:
        """S_i: a load after its earliest Start and in time for its tile, a store after its tile."""
        piece, windows = self.piece, self.windows
        opens = np.where(piece.is_store, piece.position + 1, windows.earliest_start)
        low = windows.earliest_opening[opens].tolist()
        needed = np.where(piece.is_store, piece.tile_count, piece.position)
        high = (self.most_cycles - windows.tail_from_begin[needed] - piece.cycles).tolist()
        self.transfer_begin = [self.model.new_int_var(low[i], high[i], f"S{i}") for i in range(len(low))]

    def _make_openings(self) -> None:
        """R_p where a store may end; at other positions the opening is the end of tile p − 1."""
        piece, windows, tiles = self.piece, self.windows, self.piece.tile_count
        ends: set[int] = set()
        for i in np.flatnonzero(piece.is_store):
            ends.update(range(int(piece.least_end[i]), min(int(windows.latest_end[i]), tiles - 1) + 1))
        if np.any(~piece.is_store & (piece.latest_start == tiles)):
            ends.add(tiles)  # a load that begins after the tiles begins after all stores that may end there
        for p in sorted(ends):
            low, high = piece.channel_ready, self.most_cycles
            if p > 0:
                low = int(windows.earliest_begin[p - 1]) + self._tile_cycles[p - 1]
            if p < tiles:
                high -= int(windows.tail_from_begin[p])
            self._openings[p] = self.model.new_int_var(low, max(low, high), f"R{p}")

    def _tile_end_before(self, p: int) -> cp_model.LinearExprT:
        """The end of tile p − 1; for p = 0 the time at which the channel is ready."""
        return self.piece.channel_ready if p == 0 else self.tile_begin[p - 1] + self._tile_cycles[p - 1]

    def _opening(self, p: int) -> cp_model.LinearExprT:
        """The earliest begin of a load with Start p: all stores with End ≤ p are finished."""
        return self._openings.get(p, self._tile_end_before(p))

    # Constraints

    def _chain_tiles(self) -> None:
        """Tiles run one after another, each after its opening (docs/model.md#latency)."""
        for p in range(1, self.piece.tile_count + 1):
            before: cp_model.LinearExprT = self._tile_end_before(p)
            if p in self._openings:
                self.model.add(self._openings[p] >= before)
                before = self._openings[p]
            if p < self.piece.tile_count:
                self.model.add(self.tile_begin[p] >= before)

    def _end_of_the_run(self) -> None:
        """The run ends after all transfers and tiles, and after what is fixed after them (docs/model.md#latency)."""
        self.model.add(self.makespan >= self.channel_end + self.piece.channel_tail)
        for p, tail in enumerate(self.piece.suffix_tail.tolist()):
            if tail != NO_PATH:
                self.model.add(self.makespan >= self._tile_end_before(p + 1) + tail)

    def _one_channel(self) -> None:
        """The DRAM channel serves one tensor at a time (docs/model.md#latency)."""
        self.model.add_no_overlap(
            [
                self.model.new_fixed_size_interval_var(begin, cycles, f"I{i}")
                for i, (begin, cycles) in enumerate(zip(self.transfer_begin, self._cycles, strict=True))
            ]
        )

    def _load(self, i: int) -> None:
        """A load ends before its tile begins; it begins after its opening and after the stores that it reads.

        docs/model.md#latency; docs/model.md#validity: SPACE, DATA. A Start is left out if it is so late that the tile
        could not end in time.
        """
        piece, windows, model = self.piece, self.windows, self.model
        begin, cycles, position = self.transfer_begin[i], self._cycles[i], int(piece.position[i])
        size = int(piece.bytes[i])
        model.add(self.channel_end >= begin + cycles)
        if position < piece.tile_count:
            model.add(self.tile_begin[position] >= begin + cycles)
        for store in range(int(piece.after_begin[i]), int(piece.after_end[i])):
            model.add(begin >= self.transfer_begin[store] + self._cycles[store])
        low, latest = int(windows.earliest_start[i]), int(piece.latest_start[i])
        slack = self.most_cycles - cycles - int(windows.tail_from_begin[position])
        high = latest
        while high > low and windows.earliest_opening[high] > slack:
            high -= 1
        model.add(begin >= self._opening(low))
        encoding = _OrderEncoding(low, [model.new_bool_var(f"s{i}_{p}") for p in range(low + 1, high + 1)])
        for p, above in enumerate(encoding.literals, start=low + 1):
            model.add(begin >= self._opening(p)).only_enforce_if(above)
            self._alive[p - 1].append((size, ~above))
        for p in range(high, latest):
            self._alive[p].append((size, True))
        self._finish_encoding(encoding)

    def _store(self, i: int) -> None:
        """A store begins after its tile and ends before the opening of its End; the run ends after it.

        docs/model.md#latency. An End is left out if it is so early that the transfer could not be finished by then.
        """
        piece, windows, model = self.piece, self.windows, self.model
        begin, cycles, position = self.transfer_begin[i], self._cycles[i], int(piece.position[i])
        size = int(piece.bytes[i])
        model.add(begin >= self._tile_end_before(position + 1))
        model.add(self.channel_end >= begin + cycles)
        least, high = int(piece.least_end[i]), int(windows.latest_end[i])
        low = least
        finished = int(windows.earliest_opening[position + 1]) + cycles
        while low < high and finished > self.most_cycles - windows.tail_from_begin[low]:
            low += 1
        for p in range(least, low):
            self._alive[p].append((size, True))
        encoding = _OrderEncoding(low, [model.new_bool_var(f"e{i}_{p}") for p in range(low, high)])
        for p, above in enumerate(encoding.literals, start=low):
            model.add(begin + cycles <= self._opening(p)).only_enforce_if(~above)
            self._alive[p].append((size, above))
        if high in self._openings and not (high == piece.tile_count and self._ends_later(i)):
            model.add(begin + cycles <= self._openings[high])
        self._finish_encoding(encoding)

    def _ends_later(self, store: int) -> bool:
        """Whether the store's End after the piece is above the Start of a load that begins right after its tiles."""
        return int(self.piece.end_behind[store]) > self.piece.first_tile + self.piece.tile_count

    def _finish_encoding(self, encoding: _OrderEncoding) -> None:
        for lower, higher in pairwise(encoding.literals):
            self.model.add_implication(higher, lower)
        self._encodings.append(encoding)

    def _capacity(self) -> None:
        """At every position, bytes beyond the shortest living durations fit into the room (docs/model.md#validity)."""
        for p, alive in enumerate(self._alive):
            self._check_time()
            fixed = sum(size for size, literal in alive if literal is True)
            adjustable = [(size, literal) for size, literal in alive if literal is not True]
            room = int(self.piece.room[p]) - fixed
            if sum(size for size, _ in adjustable) <= room:
                continue
            if not adjustable:  # the tensors that `most_cycles` forces to be alive overflow the buffer
                self.model.add_bool_or([])
                continue
            unit = int(np.gcd.reduce([size for size, _ in adjustable]))
            self.model.add(sum(size // unit * literal for size, literal in adjustable) <= room // unit)

    def _windows(self, arcs: IntArray) -> None:
        """Redundant: the arcs of the window bound (see `windows`) that no path of others implies."""
        for p, f, work in arcs.tolist():
            target = self.channel_end if f == self.piece.tile_count else self.tile_begin[f]
            self.model.add(target >= self._tile_end_before(p) + work)

    def _symmetry(self) -> None:
        """Transfers that can be exchanged without any effect happen in the order of their list."""
        for group in self.piece.alike:
            for first, second in pairwise(group):
                self.model.add(self.transfer_begin[second] >= self.transfer_begin[first] + self._cycles[first])

    # To and from schedules

    def hint(self, schedule: Schedule) -> None:
        """Give a complete hint: a schedule that takes at most `most_cycles` and agrees with everything fixed.

        Two kinds of schedules of a piece are not solutions of the model. In the first, a load that begins after the
        tiles of the piece comes before a store that ends after them. In the second, a load comes after the stores that
        it reads, but before another store that the next tile waits for: exchanging the two delays nothing.
        """
        piece, tiles, model = self.piece, self.piece.tile_count, self.model
        dlsa, evaluation = schedule.dlsa, schedule.evaluation
        span = slice(piece.first_tile, piece.first_tile + tiles)
        original = evaluation.tensor_begin[piece.tensors]
        begins = original.copy()
        for group in self.piece.alike:
            begins[list(group)] = np.sort(begins[list(group)])
        tile_begins = evaluation.tile_begin[span]
        opening = np.concatenate([[piece.channel_ready], tile_begins + piece.tile_cycles]).astype(np.int64)
        ends = dlsa.end[piece.tensors] - piece.first_tile
        for store in np.flatnonzero(piece.is_store):
            end = min(int(ends[store]), tiles)
            if end in self._openings and not (end == tiles and self._ends_later(int(store))):
                opening[end] = max(opening[end], original[store] + piece.cycles[store])
        model.add_hint(self.makespan, evaluation.latency)
        model.add_hint(self.channel_end, int((begins + piece.cycles).max(initial=piece.channel_ready)))
        for p, tile in enumerate(self.tile_begin):
            model.add_hint(tile, int(tile_begins[p]))
        for position, variable in self._openings.items():
            model.add_hint(variable, int(opening[position]))
        finishes = begins + piece.cycles
        for i, encoding in enumerate(self._encodings):
            model.add_hint(self.transfer_begin[i], int(begins[i]))
            for k, literal in enumerate(encoding.literals):
                if piece.is_store[i]:
                    model.add_hint(literal, bool(finishes[i] > opening[encoding.lowest + k]))
                else:
                    model.add_hint(literal, bool(begins[i] >= opening[encoding.lowest + k + 1]))

    def edges_of(
        self, value: "cp_model.CpSolver | cp_model.CpSolverSolutionCallback"
    ) -> tuple[IntArray, IntArray, IntArray]:
        """Return the order of the free tensors, the Starts of loads and the Ends of stores, by index in the piece.

        Starts and Ends are positions of the piece; a store's Start and a load's End do not change.
        """
        piece = self.piece
        begins = np.array([value.value(variable) for variable in self.transfer_begin], np.int64)
        start, end = piece.latest_start.copy(), piece.least_end.copy()
        for i, encoding in enumerate(self._encodings):
            edge = encoding.lowest + sum(value.boolean_value(literal) for literal in encoding.literals)
            if piece.is_store[i]:
                end[i] = edge
            else:
                start[i] = edge
        return np.argsort(begins, kind="stable"), start, end
