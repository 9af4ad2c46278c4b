"""The first stages by name: each finds LFAs and runs a second stage on them.

A new first stage is a row of `FIRST_STAGES`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from soma_cp.annealing.buffer_allocator import Finish, allocate_buffer, latency_for
from soma_cp.annealing.first_stage.lfa_search import search_lfas
from soma_cp.annealing.monitor import Monitor
from soma_cp.model.problem import Problem
from soma_cp.model.soma.evaluation import plan_figures
from soma_cp.model.soma.lfa import LFA
from soma_cp.model.soma.plan import make_plan
from soma_cp.model.soma.result import SecondStageResult
from soma_cp.solver.choices import FirstStage
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.second_stage.windows import best_combinatorial_bound
from soma_cp.solver.second_stages import SECOND_STAGES

SEARCH_SHARE = 0.6
"""Share of the time that the search for LFAs may take."""
LEAST_FINISH_SECONDS = 1.0
"""CP-SAT may take as long for the best few LFAs as the search took, but at least this."""


@dataclass(frozen=True, eq=False)
class Found:
    """The best schedule over all LFAs that a first stage found.

    Parameters
    ----------
    second_stage
        That schedule.
    iterations, rounds
        LFAs that went through the second stage, or iterations of the Buffer Allocator; first-stage rounds in all.
    out_of_time
        Whether a deadline ended the search for LFAs.
    """

    second_stage: SecondStageResult
    iterations: int
    rounds: int
    out_of_time: bool


Run = Callable[[Problem, LFA, float, SolveParameters, Finish, Monitor], Found | None]
"""Searches from a valid LFA; may end once a cost is as low as the float given. None if no LFA that fits was found."""


@dataclass(frozen=True)
class FirstStageEntry:
    """A first stage.

    Parameters
    ----------
    run
        Finds LFAs, and runs the second stage on the best.
    description
        Its name in comparisons.
    counts_iterations
        Whether it repeats the search, as the Buffer Allocator does; otherwise several LFAs of one search are finished.
    """

    run: Run
    description: str
    counts_iterations: bool = False


def _search_and_finish(
    problem: Problem, start: LFA, enough: float, parameters: SolveParameters, finish: Finish, monitor: Monitor
) -> Found | None:
    """Search LFAs by their greedy DLSA, then run the second stage on the best few."""
    searched = search_lfas(
        problem,
        start,
        parameters.seed,
        parameters.objective,
        parameters.search,
        parameters.threads,
        enough,
        monitor.part(SEARCH_SHARE),
    )
    if SECOND_STAGES[parameters.second_stage].proves and not parameters.cpsat.deterministic:
        monitor = monitor.within(max(searched.seconds, LEAST_FINISH_SECONDS))
    best: Found | None = None
    best_cost = math.inf
    objective = parameters.objective
    finished = 0
    for number, (_, lfa) in enumerate(searched.lfas, start=1):
        if best is not None and monitor.budget.over:
            break
        plan = make_plan(problem, lfa)
        figures = plan_figures(plan)
        if best is not None and objective.cost(figures.energy_pj, best_combinatorial_bound(plan)[0]) >= best_cost:
            continue
        wanted = latency_for(best_cost, figures.energy_pj, objective)
        result = finish(plan, wanted, monitor.at(number))
        finished += 1
        cost = result.schedule.cost(objective)
        if cost < best_cost:
            best, best_cost = Found(result, finished, searched.rounds, searched.out_of_time), cost
    return None if best is None else replace(best, iterations=finished)


def _allocate(
    problem: Problem, start: LFA, enough: float, parameters: SolveParameters, finish: Finish, monitor: Monitor
) -> Found:
    """Search as the paper does; `start` and `enough` are not used."""
    found = allocate_buffer(problem, finish, parameters.seed, parameters.objective, parameters.paper_search, monitor)
    return Found(found.second_stage, found.iterations, found.rounds, monitor.budget.over)


FIRST_STAGES: Mapping[FirstStage, FirstStageEntry] = {
    FirstStage.GREEDY: FirstStageEntry(_search_and_finish, "search that prices LFAs by the greedy second stage"),
    FirstStage.PAPER: FirstStageEntry(
        _allocate, "paper's first stage, Buffer Allocator with the greedy second stage", counts_iterations=True
    ),
}
