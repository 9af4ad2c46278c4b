"""The window bound as ``soma_cp.solver.second_stage.windows`` states it: the slow twin of the compiled kernels.

It prices each of the T² windows (p, f) by itself, with up to D transfers each. Only the plan is the package's.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from soma_cp.model.soma.plan import Plan


class SlowWindows(NamedTuple):
    """The bound; names and lengths are those of `soma_cp.solver.second_stage.windows.Windows`."""

    latency: int
    earliest_start: list[int]
    latest_end: list[int]
    earliest_begin: list[int]
    earliest_opening: list[int]
    tail_from_begin: list[int]
    tail_from_opening: list[int]
    work: np.ndarray


class _Items:
    """Transfers of one kind, the most cycles per byte first."""

    def __init__(self, plan: Plan, chosen: np.ndarray, edge: np.ndarray, read_at: np.ndarray) -> None:
        tensors = plan.tensors
        chosen = chosen[np.argsort(-(tensors.cycles[chosen] / tensors.bytes[chosen]), kind="stable")]
        self.bytes = tensors.bytes[chosen]
        self.cycles = tensors.cycles[chosen]
        self.position = tensors.position[chosen]
        self.least_end = tensors.least_end[chosen]
        self.edge = edge[chosen]
        self.read_at = read_at[chosen]

    def sum(self, mask: np.ndarray) -> int:
        return int(self.cycles[mask].sum())

    def most_cycles(self, mask: np.ndarray, room: int) -> int:
        """Return the most cycles that fit the room: the dearest transfers first, a part of the last (rounded up)."""
        total = 0
        for n in np.flatnonzero(mask):
            size, cycles = int(self.bytes[n]), int(self.cycles[n])
            if room <= 0:
                break
            total += cycles if size <= room else -(-room * cycles // size)
            room -= size
        return total


def slow_windows(plan: Plan, capacity: int) -> SlowWindows:
    tiles = plan.tile_count
    room = _room(plan, capacity)
    edge, read_at = _widest_lives(plan, room)
    is_store = plan.tensors.is_store
    loads = _Items(plan, np.flatnonzero(~is_store), edge, read_at)
    stores = _Items(plan, np.flatnonzero(is_store), edge, read_at)
    work = np.zeros((tiles + 1, tiles + 1), np.int64)
    _add_loads(loads, room, work)
    _add_stores(stores, room, work)
    cycles: list[int] = plan.tile_cycles.tolist()
    begin, opening = longest_paths_to(cycles, [(p, f, int(work[p, f])) for p, f in np.argwhere(work > 0)])
    latency = max(begin[tiles], begin[tiles - 1] + cycles[-1])
    tail_begin, tail_opening = [0] * (tiles + 1), [0] * (tiles + 1)
    for p in range(tiles, -1, -1):
        if p < tiles:
            tail_begin[p] = cycles[p] + tail_opening[p + 1]
        tail_opening[p] = int(np.max(work[p, p:] + np.array(tail_begin[p:])))
    ends = np.where(is_store, edge, plan.tensors.least_end)
    starts = np.where(is_store, plan.tensors.position, edge)
    return SlowWindows(latency, starts.tolist(), ends.tolist(), begin, opening, tail_begin, tail_opening, work)


def longest_paths_to(
    tile_cycles: Sequence[int],
    arcs: Sequence[tuple[int, int, int]],
    ready: Sequence[int] | None = None,
    channel_ready: int = 0,
) -> tuple[list[int], list[int]]:
    """Return the longest paths to begins and openings over arcs ``(p, f, cycles)`` and the tiles.

    The last begin is the end of all transfers; only arcs lead to it.
    """
    tiles = len(tile_cycles)
    into: list[list[tuple[int, int]]] = [[] for _ in range(tiles + 1)]
    for p, f, cycles in arcs:
        into[f].append((p, cycles))
    begin, opening = [0] * (tiles + 1), [0] * (tiles + 1)
    end = 0
    for f in range(tiles + 1):
        opening[f] = max(end, channel_ready)
        begin[f] = channel_ready if f == tiles else max(end, ready[f] if ready is not None else 0)
        for p, cycles in into[f]:
            begin[f] = max(begin[f], opening[p] + cycles)
        if f < tiles:
            end = begin[f] + tile_cycles[f]
    return begin, opening


def _room(plan: Plan, capacity: int) -> list[int]:
    """Return the room at each position if every tensor lives as briefly as it can."""
    tensors = plan.tensors
    room = capacity - plan.chip_usage
    for i in range(plan.dram_tensor_count):
        room[tensors.position[i] : tensors.least_end[i]] -= tensors.bytes[i]
    return [int(bytes_left) for bytes_left in room]


def _widest_lives(plan: Plan, room: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest Start of loads and the highest End of stores; and when a store is read back (T if never)."""
    tensors, tiles = plan.tensors, plan.tile_count
    edge = np.where(tensors.is_store, tensors.least_end, tensors.position)
    read_at = np.full(plan.dram_tensor_count, tiles)
    for i in range(plan.dram_tensor_count):
        size = int(tensors.bytes[i])
        if tensors.is_store[i]:
            while edge[i] < tiles and room[edge[i]] >= size:
                edge[i] += 1
        else:
            awaited = slice(int(tensors.after_begin[i]), int(tensors.after_end[i]))
            lowest = int(tensors.position[awaited].max(initial=-1)) + 1
            read_at[awaited] = np.minimum(read_at[awaited], tensors.position[i])
            while edge[i] > lowest and room[edge[i] - 1] >= size:
                edge[i] -= 1
    return edge, read_at


def _add_loads(loads: _Items, room: list[int], work: np.ndarray) -> None:
    """Add the loads that the tiles p … f need, less those that can be under way before the end of tile p − 1."""
    tiles = len(room)
    for p in range(tiles + 1):
        early = (loads.position >= p) & (loads.edge < p)
        held = loads.most_cycles(early, room[p - 1]) if p else 0
        for f in range(p, tiles + 1):
            needed = (loads.position >= p) & (loads.position <= f)
            work[p, f] += loads.sum(needed) - min(held, loads.sum(needed & early))


def _add_stores(stores: _Items, room: list[int], work: np.ndarray) -> None:
    """Add the stores that the tiles p − 1 … f − 1 make, less those that can be finished after the begin of tile f."""
    tiles = len(room)
    for f in range(tiles + 1):
        made = stores.position < f
        if f == tiles:
            due, waits, held = made, made & False, 0
        else:
            known = made & (stores.least_end <= f)
            waits = known & (stores.edge > f) & (stores.read_at > f)
            due = made & ~waits & ((stores.read_at <= f) | (stores.least_end <= f))
            held = stores.most_cycles(waits, room[f])
        for p in range(f + 1):
            inside = stores.position >= p - 1
            work[p, f] += stores.sum(due & inside) + max(stores.sum(waits & inside) - held, 0)
