"""The first stages by name: each finds LFAs, and has a second stage make schedules of them."""

import math
from dataclasses import dataclass, replace

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.buffer_allocator import SecondStage, allocate_buffer, latency_for
from soma_cp.annealing.first_stage.lfa_search import search_lfas
from soma_cp.annealing.progress import Progress
from soma_cp.model.problem import Problem
from soma_cp.model.soma.evaluation import plan_figures
from soma_cp.model.soma.lfa import LFA
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.result import SecondStageResult
from soma_cp.solver.choices import Stage2
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.second_stage.windows import best_combinatorial_bound

SEARCH_SHARE = 0.6
"""Share of the time that the search for LFAs may take."""


LEAST_FINISH_SECONDS = 1.0
"""CP-SAT may take as long for the best few LFAs as their search took, but at least this."""


@dataclass(frozen=True, eq=False)
class Found:
    """A plan, its schedule, how much was tried, and whether a deadline ended the search for LFAs."""

    plan: Plan
    second_stage: SecondStageResult
    iterations: int
    rounds: int
    out_of_time: bool


def allocate(
    problem: Problem, parameters: SolveParameters, second_stage: SecondStage, budget: Budget, progress: Progress
) -> Found:
    """Search as the paper does."""
    found = allocate_buffer(
        problem, second_stage, parameters.seed, parameters.objective, parameters.first_stage, budget, progress
    )
    return Found(found.plan, found.second_stage, found.iterations, found.rounds, budget.over)


def search_and_finish(
    problem: Problem,
    start: LFA,
    enough: float,
    parameters: SolveParameters,
    second_stage: SecondStage,
    budget: Budget,
    progress: Progress,
) -> Found | None:
    """Search LFAs by their greedy DLSA, give the best few to the second stage; None if none fits the buffer."""
    searched = search_lfas(
        problem,
        start,
        parameters.seed,
        parameters.objective,
        parameters.search,
        budget.part(SEARCH_SHARE),
        progress,
        parameters.threads,
        enough,
    )
    finish = budget
    if parameters.stage2 is Stage2.CPSAT and not parameters.cpsat.deterministic:
        finish = Budget(max(searched.seconds, LEAST_FINISH_SECONDS), parent=budget)
    best: Found | None = None
    best_cost = math.inf
    objective = parameters.objective
    finished = 0
    for number, (_, lfa) in enumerate(searched.lfas, start=1):
        if best is not None and finish.over:
            break
        plan = make_plan(problem, lfa)
        figures = plan_figures(plan)
        if best is not None and objective.cost(figures.energy_pj, best_combinatorial_bound(plan)[0]) >= best_cost:
            continue
        wanted = latency_for(best_cost, figures.energy_pj, objective)
        result = second_stage(plan, finish, number, wanted)
        finished += 1
        cost = objective.cost(figures.energy_pj, result.evaluation.latency)
        if cost < best_cost:
            best, best_cost = Found(plan, result, finished, searched.rounds, searched.out_of_time), cost
    return None if best is None else replace(best, iterations=finished)
