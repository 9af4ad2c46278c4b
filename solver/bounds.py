"""Lower bounds on the latency of every DLSA of a plan, without a solver.

The *window bound*: let ``E_p`` be the end of tile p − 1 (0 for p = 0) and ``C_f`` the begin of tile f (the end of the
run for f = T). Between the two the DRAM channel must do at least ``work[p, f]`` cycles, hence
``C_f ≥ E_p + work[p, f]``; with ``E_{p+1} = C_p + t_p`` the longest path through these arcs bounds the latency.

``work[p, f]`` counts

- every load that a tile p … f needs, but for those that can be under way before ``E_p``: these are alive at position
  p − 1, so their bytes fit into the room that is left there when every other tensor lives as briefly as it can;
- every store made by a tile p − 1 … f − 1, but for those that can be finished after ``C_f``: these are alive at
  position f, so their bytes fit into the room there. Stores that a tile up to f reads back can't wait, nor can any
  at the end of the run.

In both cases the fractional knapsack (cycles to be gained per byte of room) bounds what can be left out.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.annealing.greedy_kernel import least_usage
from soma_cp.model.evaluation import plan_figures
from soma_cp.model.network_table import IntArray
from soma_cp.model.plan import Plan

MOST_TILES = 2_500
"""Beyond this the window bound (T² cells) is not computed."""

THEORETICAL_MAXIMUM = "theoretical maximum"
WINDOW_BOUND = "windows of DRAM transfers"


class Windows(NamedTuple):
    """What the window bound knows of a plan with T tiles and D DRAM tensors.

    Parameters
    ----------
    room
        int64[T]: bytes left at each position when every tensor lives as briefly as it can.
    earliest_start
        int64[D]: of a load, the lowest Start for which it fits at all (at least 0; 0 stands for −1 too).
    latest_end
        int64[D]: of a store, the highest End for which it fits at all.
    work
        int64[T + 1, T + 1]: cycles of the channel between the end of tile p − 1 and the begin of tile f.
    earliest_begin
        int64[T + 1]: bound on the begin of every tile; of the end of the run at T.
    earliest_opening
        int64[T + 1]: bound on the end of tile p − 1.
    tail_from_begin, tail_from_opening
        int64[T + 1]: least time from the begin of tile p, from the end of tile p − 1, to the end of the run.
    """

    room: IntArray
    earliest_start: IntArray
    latest_end: IntArray
    work: IntArray
    earliest_begin: IntArray
    earliest_opening: IntArray
    tail_from_begin: IntArray
    tail_from_opening: IntArray

    @property
    def latency(self) -> int:
        """The bound on the latency."""
        return int(self.earliest_begin[-1])


def best_combinatorial_bound(plan: Plan, gbuf_bytes: int | None = None) -> tuple[int, str]:
    """Return the highest lower bound on the latency (cycles) that needs no solver, and its name."""
    figures = plan_figures(plan)
    if plan.tile_count <= MOST_TILES:
        windows = dram_windows(plan, gbuf_bytes)
        if windows.latency > figures.bound:
            return windows.latency, WINDOW_BOUND
    return figures.bound, THEORETICAL_MAXIMUM


def dram_windows(plan: Plan, gbuf_bytes: int | None = None) -> Windows:
    """Compute the window bound of a plan that fits into the buffer; see the module's text for the proof.

    Parameters
    ----------
    plan
        At most `MOST_TILES` tiles.
    gbuf_bytes
        Capacity; the platform's own by default.
    """
    capacity = plan.problem.platform.gbuf_bytes if gbuf_bytes is None else gbuf_bytes
    tiles = plan.tile_count
    room = np.zeros(tiles + 1, np.int64)
    least_usage(plan.tensors, plan.dram_tensor_count, tiles, plan.chip_usage, capacity, room)
    room = room[:tiles]
    starts, ends, read_at = _widest_durations(plan, room)
    work = _work(plan, room, starts, ends, read_at)
    begin, opening = np.zeros(tiles + 1, np.int64), np.zeros(tiles + 1, np.int64)
    for f in range(tiles + 1):
        if f > 0:
            opening[f] = begin[f - 1] + plan.tile_cycles[f - 1]
        begin[f] = np.max(opening[: f + 1] + work[: f + 1, f])
    tail_begin, tail_opening = np.zeros(tiles + 1, np.int64), np.zeros(tiles + 1, np.int64)
    for p in range(tiles, -1, -1):
        if p < tiles:
            tail_begin[p] = plan.tile_cycles[p] + tail_opening[p + 1]
        tail_opening[p] = np.max(work[p, p:] + tail_begin[p:])
    return Windows(room, starts, ends, work, begin, opening, tail_begin, tail_opening)


def _widest_durations(plan: Plan, room: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Return earliest Starts, latest Ends, and for each store the first position that reads it back (T if none)."""
    tensors = plan.tensors
    starts = tensors.position.copy()
    ends = tensors.least_end.copy()
    read_at = np.full(plan.dram_tensor_count, plan.tile_count, np.int64)
    for i in range(plan.dram_tensor_count):
        size = tensors.bytes[i]
        if tensors.is_store[i]:
            while ends[i] < plan.tile_count and room[ends[i]] >= size:
                ends[i] += 1
            continue
        first, last = tensors.after_begin[i], tensors.after_end[i]
        lowest = 0
        if last > first:
            # It comes after the store of that tile, which begins after the tile.
            lowest = int(tensors.position[last - 1]) + 1
            np.minimum(read_at[first:last], tensors.position[i], out=read_at[first:last])
        while starts[i] > lowest and room[starts[i] - 1] >= size:
            starts[i] -= 1
    return starts, ends, read_at


def _work(plan: Plan, room: IntArray, starts: IntArray, ends: IntArray, read_at: IntArray) -> IntArray:
    tensors, tiles = plan.tensors, plan.tile_count
    position, cycles = tensors.position, tensors.cycles
    dearest = np.argsort(-(cycles / tensors.bytes), kind="stable")
    loads, stores = dearest[~tensors.is_store[dearest]], dearest[tensors.is_store[dearest]]
    work = np.zeros((tiles + 1, tiles + 1), np.int64)
    for f in range(tiles + 1):
        made = stores[position[stores] < f]
        waits = np.zeros(len(made), np.bool_)
        if f < tiles:
            waits = (read_at[made] > f) & (tensors.least_end[made] <= f) & (ends[made] > f)
            due = made[~waits & ((read_at[made] <= f) | (tensors.least_end[made] <= f))]
        else:
            due = made
        # A store counts in all windows that open no later than its tile ends: p ≤ position + 1.
        must = _from_the_right(position[due] + 1, cycles[due], tiles)
        may = _from_the_right(position[made[waits]] + 1, cycles[made[waits]], tiles)
        held = _knapsack(tensors.bytes[made[waits]], cycles[made[waits]], int(room[f])) if f < tiles else 0
        work[:, f] = must + np.maximum(may - held, 0)
    for p in range(tiles + 1):
        later = loads[position[loads] >= p]
        needed = np.cumsum(np.bincount(position[later], cycles[later], tiles + 1).astype(np.int64))
        if p > 0:
            early = later[starts[later] < p]
            could = np.cumsum(np.bincount(position[early], cycles[early], tiles + 1).astype(np.int64))
            needed -= np.minimum(could, _knapsack(tensors.bytes[early], cycles[early], int(room[p - 1])))
        work[p] += needed
    return np.triu(work)


def _from_the_right(places: IntArray, amounts: IntArray, tiles: int) -> IntArray:
    """Return for each p ≤ `tiles` the sum of the amounts at places ≥ p."""
    at = np.bincount(places, amounts, tiles + 2).astype(np.int64)
    return np.cumsum(at[::-1])[::-1][: tiles + 1]


def _knapsack(sizes: IntArray, cycles: IntArray, room: int) -> int:
    """Return at least the most cycles that fit into `room` bytes; items are sorted by cycles per byte, falling."""
    filled = np.cumsum(sizes)
    whole = int(np.searchsorted(filled, room, side="right"))
    total = int(cycles[:whole].sum())
    if whole < len(sizes):
        left = room - (int(filled[whole - 1]) if whole else 0)
        total += -(-left * int(cycles[whole]) // int(sizes[whole]))
    return total
