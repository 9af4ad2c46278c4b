"""Greedy DLSA: one pass, within a few percent of the optimum and mostly on it (specification: search.md)."""

import numpy as np

from soma_cp.annealing.second_stage.greedy_kernel import NO_CUTOFF, OVERFLOW, greedy, greedy_scratch
from soma_cp.model.soma.dlsa import DLSA
from soma_cp.model.soma.footprint import BufferTooSmallError
from soma_cp.model.soma.plan import Plan


def greedy_dlsa(plan: Plan) -> DLSA:
    """Return the greedy DLSA of `plan`, always valid.

    Parameters
    ----------
    plan
        The plan of an LFA.

    Raises
    ------
    BufferTooSmallError
        If no DLSA of this LFA fits: exactly then.
    """
    capacity = plan.problem.platform.gbuf_bytes
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
