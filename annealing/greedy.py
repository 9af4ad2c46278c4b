"""Greedy DLSA: one pass, within a few percent of the optimum and mostly on it (specification: search.md)."""

import numpy as np

from soma_cp.annealing.greedy_kernel import NO_CUTOFF, OVERFLOW, greedy, greedy_scratch, least_usage
from soma_cp.model.dlsa import DLSA
from soma_cp.model.errors import UserError
from soma_cp.model.evaluation_kernel import buffer_usage
from soma_cp.model.plan import Plan


class BufferTooSmallError(UserError):
    """No DLSA of the LFA fits into the buffer, however briefly every tensor lives.

    Parameters
    ----------
    tile
        The position that needs most.
    needed_bytes, available_bytes
        Least that must be alive there, and the capacity.
    """

    def __init__(self, plan: Plan, tile: int, needed_bytes: int, available_bytes: int) -> None:
        self.tile = tile
        self.needed_bytes = needed_bytes
        self.available_bytes = available_bytes
        super().__init__(
            f"the buffer is too small at {plan.tile_label(tile)}: at least {needed_bytes:,} bytes must be alive "
            f"there, {available_bytes:,} are available; raise the tiling numbers, fuse less, or enlarge the buffer"
        )


def greedy_dlsa(plan: Plan, gbuf_bytes: int | None = None) -> DLSA:
    """Return the greedy DLSA of `plan`, always valid.

    Parameters
    ----------
    plan
        The plan of an LFA.
    gbuf_bytes
        Capacity; the platform's own by default.

    Raises
    ------
    BufferTooSmallError
        If no DLSA of this LFA fits: exactly then.
    """
    capacity = plan.problem.platform.gbuf_bytes if gbuf_bytes is None else gbuf_bytes
    size, tiles = plan.dram_tensor_count, plan.tile_count
    dlsa = DLSA(np.zeros(size, np.int64), np.zeros(size, np.int64), np.zeros(size, np.int64))
    scratch = greedy_scratch(tiles, size)
    latency = greedy(
        plan.tensors,
        size,
        tiles,
        plan.tile_cycles,
        plan.chip_usage,
        capacity,
        scratch,
        dlsa.start,
        dlsa.end,
        dlsa.order,
        NO_CUTOFF,
    )
    if latency < 0:
        tile = OVERFLOW - latency
        raise BufferTooSmallError(plan, tile, int(capacity - scratch.free[tile]), capacity)
    return dlsa


def least_peak_bytes(plan: Plan) -> int:
    """Return the smallest buffer in which any DLSA of `plan` fits (bytes)."""
    free = np.zeros(plan.tile_count + 1, np.int64)
    least = least_usage(plan.tensors, plan.dram_tensor_count, plan.tile_count, plan.chip_usage, 0, free)
    return -least


def peak_bytes(plan: Plan, dlsa: DLSA) -> int:
    """Return the peak buffer usage of a schedule (bytes)."""
    usage = np.empty(plan.tile_count + 1, np.int64)
    return buffer_usage(plan.tensors.bytes, dlsa.start, dlsa.end, plan.chip_usage, usage)
