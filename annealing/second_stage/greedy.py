"""The greedy DLSA: one pass, near the optimum and often optimal (docs/second-stage.md#one-greedy-pass)."""

from soma_cp.annealing.second_stage.greedy_kernel import NO_CUTOFF, OVERFLOW, greedy, greedy_scratch
from soma_cp.model.soma.dlsa import DLSA, empty_dlsa
from soma_cp.model.soma.footprint import BufferTooSmallError
from soma_cp.model.soma.plan import Plan


def greedy_dlsa(plan: Plan) -> DLSA:
    """Return the greedy DLSA of `plan`; it is always valid.

    Parameters
    ----------
    plan
        The plan of an LFA.

    Raises
    ------
    BufferTooSmallError
        If, and only if, no DLSA of this LFA fits into the buffer.
    """
    size, capacity = plan.dram_tensor_count, plan.problem.platform.gbuf_bytes
    dlsa = empty_dlsa(size)
    scratch = greedy_scratch(plan.tile_count, size)
    latency = greedy(plan.tensors, size, plan.sequence, capacity, NO_CUTOFF, scratch, dlsa)
    if latency < 0:
        tile = OVERFLOW - latency
        raise BufferTooSmallError(plan, tile, int(capacity - scratch.free[tile]), capacity)
    return dlsa
