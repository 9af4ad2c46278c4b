"""The greedy DLSA: one pass, near the optimum and often optimal (docs/second-stage.md#one-greedy-pass)."""

from soma_cp.annealing.second_stage.greedy_kernel import OVERFLOW, greedy_pass
from soma_cp.model.soma.dlsa import DLSA
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
    capacity = plan.problem.platform.gbuf_bytes
    latency, dlsa, free = greedy_pass(plan.tensors, plan.sequence, capacity)
    if latency < 0:
        tile = OVERFLOW - latency
        raise BufferTooSmallError(plan, tile, int(capacity - free[tile]), capacity)
    return dlsa
