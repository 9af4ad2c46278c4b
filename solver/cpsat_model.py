"""The CP-SAT model of DRAM Tensor Order and Living Durations (docs/second-stage.md has the mathematics).

Time is in cycles; positions are tile ids. Variables: the begin ``S_i`` of every DRAM transfer, the begin ``C_p`` of
every tile, and for each position that a store may have to be finished by, its *opening* ``R_p`` between the end of
tile p − 1 and ``C_p``. Living durations are ladders of literals: "Start ≥ p" of a load, "End > p" of a store.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from ortools.sat.python import cp_model

from soma_cp.annealing.budget import Budget
from soma_cp.model.dlsa import DLSA
from soma_cp.model.evaluation import Evaluation
from soma_cp.model.plan import Plan
from soma_cp.solver.bounds import Windows


class OutOfTimeError(Exception):
    """The budget was over before the model was built."""


@dataclass
class _Ladder:
    """Literals for the adjustable edge of one living duration.

    ``literals[k]`` says that the edge is above ``lowest + k``; each implies the one before.
    """

    lowest: int
    literals: list[cp_model.IntVar]


class SecondStageModel:
    """The model of one plan; `model` is what the solver gets.

    Parameters
    ----------
    plan
        Fits into the buffer.
    windows
        Its window bound, under the same capacity.
    most_cycles
        No schedule that is slower is looked for (cycles).
    budget
        Large models take many seconds to build; no limit by default.

    Raises
    ------
    OutOfTimeError
        If the budget is over before the model is built.
    """

    def __init__(self, plan: Plan, windows: Windows, most_cycles: int, budget: Budget | None = None) -> None:
        self.plan = plan
        self.windows = windows
        self.most_cycles = most_cycles
        self.model = cp_model.CpModel()
        self._budget = budget or Budget()
        self._openings: dict[int, cp_model.IntVar] = {}
        self._ladders: list[_Ladder] = []
        # At each position: adjustable tensors alive there, as (bytes, literal or True).
        self._alive: list[list[tuple[int, cp_model.LiteralT]]] = [[] for _ in range(plan.tile_count)]
        self.makespan = self.model.new_int_var(windows.latency, most_cycles, "makespan")
        self._make_tiles()
        self._make_transfers()
        self._make_openings()
        self._chain_tiles()
        self._one_channel()
        for tensor in range(plan.dram_tensor_count):
            self._check_time()
            if plan.tensors.is_store[tensor]:
                self._store(tensor)
            else:
                self._load(tensor)
        self._capacity()
        self._windows()
        self._symmetry()
        self.model.minimize(self.makespan)

    @staticmethod
    def count_literals(plan: Plan, windows: Windows) -> int:
        """Return how many literals the ladders would have at most, without building the model."""
        tensors = plan.tensors
        loads = (tensors.position - windows.earliest_start)[~tensors.is_store].sum()
        stores = (windows.latest_end - tensors.least_end)[tensors.is_store].sum()
        return int(loads + stores)

    def _check_time(self) -> None:
        if self._budget.over:
            raise OutOfTimeError

    # Variables

    def _make_tiles(self) -> None:
        """C_p, between the longest path to it and the longest path from it to the end."""
        windows = self.windows
        self.tile_begin = [
            self.model.new_int_var(
                int(windows.earliest_begin[p]), int(self.most_cycles - windows.tail_from_begin[p]), f"C{p}"
            )
            for p in range(self.plan.tile_count)
        ]

    def _make_transfers(self) -> None:
        """S_i: a load no earlier than its earliest Start and in time for its tile; a store after its tile."""
        windows, tensors = self.windows, self.plan.tensors
        self.transfer_begin = []
        for i in range(self.plan.dram_tensor_count):
            position, cycles = int(tensors.position[i]), int(tensors.cycles[i])
            if tensors.is_store[i]:
                low = int(windows.earliest_opening[position + 1])
                high = self.most_cycles - cycles
            else:
                low = int(windows.earliest_opening[windows.earliest_start[i]])
                high = int(self.most_cycles - windows.tail_from_begin[position]) - cycles
            self.transfer_begin.append(self.model.new_int_var(low, high, f"S{i}"))

    def _make_openings(self) -> None:
        """R_p where a store may end; elsewhere the end of tile p − 1 serves."""
        tensors, tiles = self.plan.tensors, self.plan.tile_count
        ends: set[int] = set()
        for i in np.flatnonzero(tensors.is_store):
            ends.update(range(int(tensors.least_end[i]), min(int(self.windows.latest_end[i]), tiles - 1) + 1))
        for p in sorted(ends):
            low = int(self.windows.earliest_opening[p])
            high = int(self.most_cycles - self.windows.tail_from_begin[p])
            self._openings[p] = self.model.new_int_var(low, high, f"R{p}")

    def _tile_end_before(self, p: int) -> cp_model.LinearExprT:
        """The end of tile p − 1; 0 for the first position."""
        return 0 if p == 0 else self.tile_begin[p - 1] + int(self.plan.tile_cycles[p - 1])

    def _opening(self, p: int) -> cp_model.LinearExprT:
        """When a load with Start p may begin: all stores with End ≤ p are finished."""
        return self._openings.get(p, self._tile_end_before(p))

    # Constraints

    def _chain_tiles(self) -> None:
        """Tiles run one after another, each after its opening; the run ends after the last (section 5)."""
        for p in range(self.plan.tile_count):
            if p in self._openings:
                self.model.add(self._openings[p] >= self._tile_end_before(p))
                self.model.add(self.tile_begin[p] >= self._openings[p])
            elif p > 0:
                self.model.add(self.tile_begin[p] >= self._tile_end_before(p))
        self.model.add(self.makespan >= self._tile_end_before(self.plan.tile_count))

    def _one_channel(self) -> None:
        """The DRAM channel serves one tensor at a time (section 5)."""
        self.model.add_no_overlap(
            [
                self.model.new_fixed_size_interval_var(begin, int(cycles), f"I{i}")
                for i, (begin, cycles) in enumerate(zip(self.transfer_begin, self.plan.tensors.cycles, strict=True))
            ]
        )

    def _load(self, i: int) -> None:
        """A load ends before its tile begins, begins after its opening, and after the stores that it reads.

        Sections 4 (rule 2) and 5. A Start so late that the tile could not end in time is left out.
        """
        tensors, windows, model = self.plan.tensors, self.windows, self.model
        begin, cycles, position = self.transfer_begin[i], int(tensors.cycles[i]), int(tensors.position[i])
        size = int(tensors.bytes[i])
        model.add(self.tile_begin[position] >= begin + cycles)
        for store in range(int(tensors.after_begin[i]), int(tensors.after_end[i])):
            model.add(begin >= self.transfer_begin[store] + int(tensors.cycles[store]))
        low, high = int(windows.earliest_start[i]), position
        slack = self.most_cycles - cycles - int(windows.tail_from_begin[position])
        while high > low and windows.earliest_opening[high] > slack:
            high -= 1
        model.add(begin >= self._opening(low))
        ladder = _Ladder(low, [model.new_bool_var(f"s{i}_{p}") for p in range(low + 1, high + 1)])
        for p, above in enumerate(ladder.literals, start=low + 1):
            model.add(begin >= self._opening(p)).only_enforce_if(above)
            self._alive[p - 1].append((size, ~above))
        for p in range(high, position):
            self._alive[p].append((size, True))
        self._finish_ladder(ladder)

    def _store(self, i: int) -> None:
        """A store begins after its tile and ends before the opening of its End; the run ends after it (section 5).

        An End so early that no transfer could be through by then is left out.
        """
        tensors, windows, model = self.plan.tensors, self.windows, self.model
        begin, cycles, position = self.transfer_begin[i], int(tensors.cycles[i]), int(tensors.position[i])
        size, tiles = int(tensors.bytes[i]), self.plan.tile_count
        model.add(begin >= self._tile_end_before(position + 1))
        model.add(self.makespan >= begin + cycles)
        least, high = int(tensors.least_end[i]), int(windows.latest_end[i])
        low = least
        finished = int(windows.earliest_opening[position + 1]) + cycles
        while low < high and finished > self.most_cycles - windows.tail_from_begin[low]:
            low += 1
        for p in range(least, low):
            self._alive[p].append((size, True))
        ladder = _Ladder(low, [model.new_bool_var(f"e{i}_{p}") for p in range(low, high)])
        for p, above in enumerate(ladder.literals, start=low):
            model.add(begin + cycles <= self._opening(p)).only_enforce_if(~above)
            self._alive[p].append((size, above))
        if high < tiles:
            model.add(begin + cycles <= self._opening(high))
        self._finish_ladder(ladder)

    def _finish_ladder(self, ladder: _Ladder) -> None:
        for lower, higher in pairwise(ladder.literals):
            self.model.add_implication(higher, lower)
        self._ladders.append(ladder)

    def _capacity(self) -> None:
        """At every position what lives beyond its shortest duration fits into the room that is left (rule 3)."""
        for p, alive in enumerate(self._alive):
            self._check_time()
            fixed = sum(size for size, literal in alive if literal is True)
            adjustable = [(size, literal) for size, literal in alive if literal is not True]
            room = int(self.windows.room[p]) - fixed
            if sum(size for size, _ in adjustable) <= room:
                continue
            if not adjustable:  # what `most_cycles` forces to be alive overflows the buffer
                self.model.add_bool_or([])
                continue
            unit = int(np.gcd.reduce([size for size, _ in adjustable]))
            self.model.add(sum(size // unit * literal for size, literal in adjustable) <= room // unit)

    def _windows(self) -> None:
        """Redundant: the arcs of the window bound (`soma_cp.solver.bounds`) that no chain of others implies."""
        work, tiles = self.windows.work, self.plan.tile_count
        cycles = self.plan.tile_cycles
        implied = np.zeros((tiles + 1, tiles + 1), np.int64)
        for span in range(tiles + 1):
            self._check_time()
            for p in range(tiles + 1 - span):
                f = p + span
                through = 0
                if f > p:
                    through = int(np.max(implied[p, p:f] + cycles[p:f] + implied[p + 1 : f + 1, f]))
                if work[p, f] > through:
                    target = self.makespan if f == tiles else self.tile_begin[f]
                    self.model.add(target >= self._tile_end_before(p) + int(work[p, f]))
                implied[p, f] = max(int(work[p, f]), through)

    def _symmetry(self) -> None:
        """Of loads alike, what is needed first is moved first; of a layer's stores, what is made first.

        Exchanging the transfers of two loads of equal size that wait for the same stores (of two stores of a
        layer) changes neither times nor, at any position, the number of bytes alive.
        """
        tensors = self.plan.tensors
        alike: dict[tuple[int, ...], list[int]] = {}
        for i in range(self.plan.dram_tensor_count):
            key: tuple[int, ...] = (0, int(tensors.bytes[i]), int(tensors.after_begin[i]), int(tensors.after_end[i]))
            if tensors.is_store[i]:
                key = (1, int(tensors.layer[i]))
            alike.setdefault(key, []).append(i)
        self._alike = [sorted(group, key=lambda i: (int(tensors.position[i]), i)) for group in alike.values()]
        for group in self._alike:
            for first, second in pairwise(group):
                self.model.add(self.transfer_begin[second] >= self.transfer_begin[first] + int(tensors.cycles[first]))

    # To and from schedules

    def hint(self, dlsa: DLSA, evaluation: Evaluation) -> None:
        """Give a schedule that is no slower than `most_cycles` as a complete hint."""
        tensors, tiles, model = self.plan.tensors, self.plan.tile_count, self.model
        begins = evaluation.tensor_begin.copy()
        for group in self._alike:
            begins[group] = np.sort(begins[group])
        finishes = begins + tensors.cycles
        tile_ends = evaluation.tile_begin + self.plan.tile_cycles
        opening = np.concatenate([[0], tile_ends]).astype(np.int64)
        original = evaluation.tensor_begin + tensors.cycles
        for store in np.flatnonzero(tensors.is_store & (dlsa.end < tiles)):
            opening[dlsa.end[store]] = max(opening[dlsa.end[store]], original[store])
        model.add_hint(self.makespan, evaluation.latency)
        for p, tile in enumerate(self.tile_begin):
            model.add_hint(tile, int(evaluation.tile_begin[p]))
        for position, variable in self._openings.items():
            model.add_hint(variable, int(opening[position]))
        for i, ladder in enumerate(self._ladders):
            model.add_hint(self.transfer_begin[i], int(begins[i]))
            for k, literal in enumerate(ladder.literals):
                if tensors.is_store[i]:
                    model.add_hint(literal, bool(finishes[i] > opening[ladder.lowest + k]))
                else:
                    model.add_hint(literal, bool(begins[i] >= opening[ladder.lowest + k + 1]))

    def dlsa_of(self, value: "cp_model.CpSolver | cp_model.CpSolverSolutionCallback") -> DLSA:
        """Return the DLSA of a solution: the order of the begins, and the edges of the ladders."""
        tensors = self.plan.tensors
        begins = np.array([value.value(variable) for variable in self.transfer_begin], np.int64)
        start, end = tensors.position.copy(), tensors.least_end.copy()
        for i, ladder in enumerate(self._ladders):
            edge = ladder.lowest + sum(value.boolean_value(literal) for literal in ladder.literals)
            if tensors.is_store[i]:
                end[i] = edge
            else:
                start[i] = edge if edge > 0 else -1
        return DLSA(np.argsort(begins, kind="stable"), start, end)
