"""Buffer Allocator: both stages again and again under a first-stage buffer limit that shrinks.

What double buffering may not use in the first stage is left for the second stage to load ahead
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
"""Share of the first iteration's peak by which every later limit is lower."""
STOP_AFTER = 2
"""Iterations in a row without a new best after which the allocator stops."""


Finish = Callable[[Plan, float | None, Monitor], SecondStageResult]
"""Makes a schedule of a plan; called with the latency (cycles) below which it would be a new best (None: any would)."""


@dataclass(frozen=True, eq=False)
class AllocatorResult:
    """The best schedule over all iterations.

    Parameters
    ----------
    first_stage
        The annealing run that found the LFA.
    second_stage
        Its schedule.
    iterations
        Iterations done; how many evaluated a schedule.
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
) -> AllocatorResult:
    """Search LFAs under shrinking buffer limits, give each to the second stage, return the best schedule.

    Iteration 1 may use the whole GBUF; iteration i the first iteration's peak, lowered by (i − 1) · 10 % of it.
    The second stage may always use the whole GBUF.

    Parameters
    ----------
    problem
        Network, platform, batch.
    finish
        What turns a plan into a schedule.
    seed
        Of the first stage's draws.
    objective, parameters
        What is minimised, and how.
    monitor
        How it is stopped and watched.

    Raises
    ------
    UserError
        If a layer can't fit into the buffer.
    """
    monitor = monitor or Monitor()
    start = initial_lfa(problem)
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
        plan = _plan_that_fits(problem, stage, start, required=best is None)
        if plan is not None:
            figures = plan_figures(plan)
            if objective.cost(figures.energy_pj, figures.bound) < best_cost:
                wanted = latency_for(best_cost, figures.energy_pj, objective)
                outcome = finish(plan, wanted, monitor.at(iteration))
                cost = outcome.schedule.cost(objective)
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
"""Share of the time left that one annealing run of the first stage may take."""


def latency_for(cost: float, energy_pj: float, objective: Objective) -> float | None:
    """Return the latency at which a schedule of that energy costs `cost`; None if every latency does."""
    if objective.delay_exponent == 0 or cost == float("inf"):
        return None
    return float((cost / energy_pj**objective.energy_exponent) ** (1.0 / objective.delay_exponent))


def _plan_that_fits(problem: Problem, stage: PaperSearchResult, start: LFA, required: bool) -> Plan | None:
    """Return the plan of the stage's LFA, or of the start, if some DLSA of it fits into the whole buffer."""
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
