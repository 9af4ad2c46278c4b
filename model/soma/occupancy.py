"""Occupancy, kernels: the bytes alive at each position, and the room that they leave (docs/model.md#buffer).

All follow from one rule, `_mark_lives`: a tensor is alive at the positions ``start … end − 1`` of its Living Duration.
"""

import numpy as np

from soma_cp.model.arrays import IntArray
from soma_cp.model.compiled import in_place
from soma_cp.model.soma.dlsa import DLSA
from soma_cp.model.soma.tensors import Tensors
from soma_cp.model.soma.tiling import TileSequence


@in_place
def _mark_lives(sizes: IntArray, start: IntArray, end: IntArray, count: int, positions: int, change: IntArray) -> None:
    """Fill ``change[0 … positions]`` with the bytes that come alive at each position less those that go."""
    for p in range(positions + 1):
        change[p] = 0
    for i in range(count):
        change[max(start[i], 0)] += sizes[i]
        change[end[i]] -= sizes[i]


@in_place
def fill_alive(sizes: IntArray, start: IntArray, end: IntArray, count: int, positions: int, alive: IntArray) -> None:
    """Fill ``alive[0 … positions − 1]`` with the bytes of the first `count` tensors that are alive there.

    Parameters
    ----------
    sizes, start, end
        int64[count]: bytes, and Living Durations in positions; a Start may be −1.
    positions
        Number of positions.
    alive
        int64[positions + 1] at least; the item after the last position is scratch.
    """
    _mark_lives(sizes, start, end, count, positions, alive)
    for p in range(1, positions):
        alive[p] += alive[p - 1]


def alive_bytes(sizes: IntArray, start: IntArray, end: IntArray, positions: int) -> IntArray:
    """Return int64[positions]: the bytes alive at each position; see `fill_alive`."""
    alive = np.empty(positions + 1, np.int64)
    fill_alive(sizes, start, end, len(sizes), positions, alive)
    return alive[:-1]


@in_place
def fill_usage(sizes: IntArray, count: int, dlsa: DLSA, sequence: TileSequence, usage: IntArray) -> int:
    """Fill ``usage[0 … T − 1]`` with all bytes alive under a DLSA of `count` DRAM tensors; return the peak.

    `sizes` are the bytes of the DRAM tensors; `usage` has at least T + 1 items.
    """
    _mark_lives(sizes, dlsa.start, dlsa.end, count, sequence.count, usage)
    chip_usage = sequence.chip_usage
    alive = 0
    peak = 0
    for p in range(sequence.count):
        alive += usage[p]
        usage[p] = alive + chip_usage[p]
        peak = max(peak, usage[p])
    return peak


@in_place
def fill_least_room(tensors: Tensors, count: int, sequence: TileSequence, capacity: int, room: IntArray) -> int:
    """Fill ``room[0 … T − 1]`` with the room that is left if each of `count` DRAM tensors lives as briefly as it can.

    `room` has at least T + 1 items. Returns the least room; if it is negative, no DLSA of this LFA fits.
    """
    _mark_lives(tensors.bytes, tensors.position, tensors.least_end, count, sequence.count, room)
    chip_usage = sequence.chip_usage
    alive = 0
    least = capacity
    for p in range(sequence.count):
        alive += room[p]
        room[p] = capacity - alive - chip_usage[p]
        least = min(least, room[p])
    return least
