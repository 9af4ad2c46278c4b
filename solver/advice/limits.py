"""What a schedule waits for, and what no bandwidth can change.

*Stalls.* Each stall has one cause: the DRAM tensor whose finish ends it (`soma_cp.model.soma.execution`). The kind and
layer whose tensors cause the most stall cycles are named. The cycles are counted, not a gain: without that wait,
another tensor may be late.

*Compute.* The core array runs one tile at a time, and the DRAM bandwidth changes no tile. So Σ tile cycles of an LFA
are a lower bound on its latency at any bandwidth, and the least Σ tile cycles over all tilings one over every LFA.
"""

from collections import defaultdict

import numpy as np

from soma_cp.model.objective import Objective
from soma_cp.model.soma.execution.execution import make_execution
from soma_cp.model.soma.schedule import Schedule
from soma_cp.model.soma.tensors import KIND_NAMES
from soma_cp.solver.advice.advice import WORTH_SAYING, Advice, Basis, Topic
from soma_cp.solver.every_lfa.network_bounds import NetworkBound

COMPUTES_MOSTLY = 0.9
"""From this share of the latency on, computing is named as the limit."""


def longest_wait(schedule: Schedule, objective: Objective) -> Advice | None:
    """Return the kind and layer of DRAM tensors for which the core array waits longest; None if it hardly waits.

    Parameters
    ----------
    schedule
        A schedule that can run.
    objective
        If it has no delay in it, no wait matters.
    """
    if not objective.delay_exponent:
        return None
    execution = make_execution(schedule)
    transfers = execution.transfers
    waits: dict[tuple[int, int], int] = defaultdict(int)
    for kind, layer, stall in zip(
        transfers.kind.tolist(), transfers.layer.tolist(), transfers.stall.tolist(), strict=True
    ):
        waits[kind, layer] += stall
    (kind, layer), cycles = max(waits.items(), key=lambda item: (item[1], -item[0][0], -item[0][1]))
    if cycles < WORTH_SAYING * schedule.latency:
        return None
    causes = (transfers.kind == kind) & (transfers.layer == layer) & (transfers.stall > 0)
    return Advice(
        topic=Topic.STALL,
        basis=Basis.MEASURED,
        objective=objective,
        stall_cycles=cycles,
        stall_share=cycles / schedule.latency,
        kind_stall_share=int(transfers.stall[transfers.kind == kind].sum()) / schedule.latency,
        tensor=KIND_NAMES[kind],
        layer=schedule.problem.network.layers[layer].name,
        at_start=not np.any(transfers.gates[causes]),
    )


def compute_limit(schedule: Schedule, objective: Objective, bound: NetworkBound | None) -> Advice | None:
    """Return what more DRAM bandwidth can gain at most, if the schedule computes nearly all the time.

    Parameters
    ----------
    schedule
        A schedule that can run.
    objective
        If it has no delay in it, computing limits nothing.
    bound
        The bound over every LFA of the schedule's space, if it is known.
    """
    share = schedule.evaluation.figures.compute_cycles / schedule.latency
    if not objective.delay_exponent or share < COMPUTES_MOSTLY:
        return None
    return Advice(
        topic=Topic.COMPUTE,
        basis=Basis.BOUND,
        objective=objective,
        compute_share=share,
        most_gain=1 - share,
        most_gain_of_any=None if bound is None else 1 - bound.compute_cycles / schedule.latency,
    )
