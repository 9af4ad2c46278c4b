"""Buffer Allocator: repeats both stages while the buffer limit of the first stage shrinks.

The second stage prefetches into the part of the buffer that the first stage may not use
(docs/first-stage.md#the-papers-search; SoMa paper, Sec. V).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from soma_cp.annealing.first_stage.cost_cache import CostCache
from soma_cp.annealing.first_stage.initial_lfa import initial_lfa
from soma_cp.annealing.first_stage.paper_search import PaperSearchParameters, PaperSearchResult, anneal_lfas
from soma_cp.annealing.monitor import Monitor
from soma_cp.model.errors import UserError
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.evaluation import plan_figures
from soma_cp.model.soma.footprint import least_peak_bytes
from soma_cp.model.soma.lfa import LFA
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.result import SecondStageResult

SHRINK_BY = 0.1
"""Every iteration lowers the limit by this share of the first iteration's peak."""
STOP_AFTER = 2
"""The allocator stops after this many iterations in a row without a new best."""


Finish = Callable[[Plan, float | None, Monitor], SecondStageResult]
"""Makes a schedule of a plan. A schedule below the given latency (cycles) is a new best; None: any schedule is."""


@dataclass(frozen=True, eq=False)
class AllocatorResult:
    """The best schedule over all iterations.

    Parameters
    ----------
    first_stage
        The annealing run that found the LFA.
    second_stage
        The schedule of that LFA.
    iterations
        Iterations done.
    rounds
        First-stage rounds of all iterations.
    """

    first_stage: PaperSearchResult
    second_stage: SecondStageResult
    iterations: int
    rounds: int


def allocate_buffer(
    problem: Problem,
    finish: Finish,
    seed: int,
    objective: Objective = Objective(),  # noqa: B008  # immutable
    parameters: PaperSearchParameters = PaperSearchParameters(),  # noqa: B008
    monitor: Monitor | None = None,
    start: LFA | None = None,
    picks: Objective | None = None,
) -> AllocatorResult:
    """Search LFAs under shrinking buffer limits, run the second stage on each, return the best schedule.

    In iteration 1, the first stage may use the whole GBUF. In iteration i, it may use the peak of iteration 1, lowered
    by (i − 1) · 10 %. The second stage may always use the whole GBUF.

    Parameters
    ----------
    problem
        Network, platform, batch.
    finish
        Makes a schedule of a plan.
    seed
        Seed of the first stage's draws.
    objective, parameters
        What is minimised, and how.
    monitor
        How the search is stopped and watched.
    start
        The LFA from which each iteration begins, one of the paper's space that `check_start` takes; by default
        `initial_lfa`.
    picks
        What decides between iterations, and when to stop; by default the objective. The published program takes the
        latency, whatever the first stage minimises.

    Raises
    ------
    UserError
        If a layer can't fit into the buffer.
    """
    monitor = monitor or Monitor()
    picks = picks or objective
    start = initial_lfa(problem) if start is None else start
    costs = CostCache(problem)
    capacity = problem.platform.gbuf_bytes
    limit = capacity
    first_peak = 0
    best: AllocatorResult | None = None
    best_cost = float("inf")
    since_best = 0
    iteration = 0
    rounds = 0
    while since_best < STOP_AFTER and limit > 0:
        iteration += 1
        random = np.random.default_rng([seed, iteration])
        stage = anneal_lfas(
            problem,
            start,
            limit,
            random,
            objective,
            parameters,
            costs,
            monitor.part(FIRST_STAGE_SHARE).at(iteration),
        )
        rounds += stage.rounds
        since_best += 1
        plan = plan_that_fits(problem, stage, start, required=best is None)
        if plan is not None:
            figures = plan_figures(plan)
            if picks.cost(figures.energy_pj, figures.bound) < best_cost:
                wanted = latency_for(best_cost, figures.energy_pj, picks)
                outcome = finish(plan, wanted, monitor.at(iteration))
                cost = outcome.schedule.cost(picks)
                if cost < best_cost:
                    best = AllocatorResult(stage, outcome, iteration, rounds)
                    best_cost = cost
                    since_best = 0
        if iteration == 1:
            first_peak = min(stage.peak_bytes, capacity)
        limit = first_peak - round(iteration * SHRINK_BY * first_peak)
        if monitor.budget.over and best is not None:
            break
    assert best is not None  # iteration 1 either found a schedule or raised
    return AllocatorResult(best.first_stage, best.second_stage, iteration, rounds)


FIRST_STAGE_SHARE = 0.5
"""One annealing run of the first stage may take this share of the time left."""


def latency_for(cost: float, energy_pj: float, objective: Objective) -> float | None:
    """Return the latency (cycles) at which a schedule with this energy costs `cost`; None if there is no limit."""
    if objective.delay_exponent == 0 or cost == float("inf"):
        return None
    return float((cost / energy_pj**objective.energy_exponent) ** (1.0 / objective.delay_exponent))


def plan_that_fits(problem: Problem, stage: PaperSearchResult, start: LFA, required: bool) -> Plan | None:
    """Return the plan of the stage's LFA, or of the start, if one of its DLSAs fits into the whole buffer.

    Raises
    ------
    UserError
        If a plan is required, and there is none.
    """
    for lfa in (stage.lfa, start):
        plan = make_plan(problem, lfa)
        if least_peak_bytes(plan) <= problem.platform.gbuf_bytes:
            return plan
    if required:
        raise UserError(
            f"no LFA was found for '{problem.network.name}' whose tensors fit into the buffer of "
            f"{problem.platform.gbuf_bytes:,} bytes; enlarge the buffer or lower the batch"
        )
    return None
