"""Occupancy: the bytes alive at each position: kernels (specification: section 4)."""

from soma_cp.model.arrays import IntArray
from soma_cp.model.compiled import compiled
from soma_cp.model.soma.tensors import Tensors


@compiled
def buffer_usage(tensor_bytes: IntArray, start: IntArray, end: IntArray, chip_usage: IntArray, usage: IntArray) -> int:
    """Fill ``usage[0 … T−1]`` with the bytes alive at each position; return their peak.

    `usage` has T + 1 items; `chip_usage` (T) is what on-chip tensors hold.
    """
    tiles = len(chip_usage)
    for p in range(tiles + 1):
        usage[p] = 0
    for i in range(len(tensor_bytes)):
        usage[max(start[i], 0)] += tensor_bytes[i]
        usage[end[i]] -= tensor_bytes[i]
    held = 0
    peak = 0
    for p in range(tiles):
        held += usage[p]
        usage[p] = held + chip_usage[p]
        peak = max(peak, usage[p])
    usage[tiles] = 0
    return peak


@compiled
def least_usage(tensors: Tensors, count: int, tiles: int, chip_usage: IntArray, capacity: int, free: IntArray) -> int:
    """Fill ``free[0 … tiles−1]`` with the room that stays when every tensor lives as briefly as it can.

    Returns the least room; negative means that no DLSA of this LFA fits.
    """
    for p in range(tiles + 1):
        free[p] = 0
    for i in range(count):
        free[tensors.position[i]] -= tensors.bytes[i]
        free[tensors.least_end[i]] += tensors.bytes[i]
    held = 0
    least = capacity
    for p in range(tiles):
        held += free[p]
        free[p] = capacity + held - chip_usage[p]
        least = min(least, free[p])
    return least
