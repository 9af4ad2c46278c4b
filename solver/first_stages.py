"""The first stages by name: each finds LFAs and runs a second stage on them.

A new one is a row of `FIRST_STAGES`, or a plug-in: an entry point of the group of `FIRST_STAGE_KIND`, a function of a
problem and a monitor that yields LFAs (docs/plug-ins.md). Those LFAs are priced as our search prices its own, by the
greedy DLSA, and the best few go through the second stage.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from soma_cp.annealing.buffer_allocator import Finish, allocate_buffer, latency_for, plan_that_fits
from soma_cp.annealing.cocco.cocco_search import search_groups
from soma_cp.annealing.cocco.genetic_search import breed_groups
from soma_cp.annealing.first_stage.initial_lfa import initial_lfa
from soma_cp.annealing.first_stage.lfa_search import LFASearchResult
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.progress import ProgressEvent
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.errors import InternalError
from soma_cp.model.objective import Objective
from soma_cp.model.plug_ins import PlugIn, PlugInError
from soma_cp.model.problem import Problem
from soma_cp.model.soma.evaluation import plan_figures
from soma_cp.model.soma.footprint import least_peak_bytes
from soma_cp.model.soma.lfa import LFA
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.result import SecondStageResult
from soma_cp.model.soma.schedule import priced
from soma_cp.solver.choices import FIRST_STAGE_KIND, FirstStage
from soma_cp.solver.every_lfa.network_bounds import NetworkBound
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.passes import needs_no_passes, numbers_of_passes, search_passes
from soma_cp.solver.periods import OnePassSearch, joined
from soma_cp.solver.plug_in_calls import Caller, LeftBehindError, wanted_keywords
from soma_cp.solver.plug_in_results import checked_plan
from soma_cp.solver.second_stage.windows import best_combinatorial_bound
from soma_cp.solver.second_stages import second_stage

SEARCH_SHARE = 0.6
"""Share of the time that the search for LFAs may take."""
PASSES_SHARE = 0.5
"""Share of the time left after it that the search for LFAs in several passes may take."""
LEAST_FINISH_SECONDS = 1.0
"""CP-SAT may take as long for the best few LFAs as the search took, but at least this."""


PRICE_TOLERANCE = 1e-9
"""Relative; searches add up energies in another order."""

_END = object()
"""Stands for the end of a plug-in's LFAs; it may yield anything."""


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


@dataclass(frozen=True)
class Origin:
    """Where a search begins.

    Parameters
    ----------
    coarse
        The LFA without any fusion and with the fewest tiles, `coarse_lfa`.
    own
        The user's LFA to begin from; None without one.
    """

    coarse: LFA
    own: LFA | None = None


Run = Callable[[Problem, Origin, NetworkBound, SolveParameters, Finish, Monitor], Found | None]
"""Searches LFAs; may end once a schedule meets the bound. None if no LFA that fits was found."""


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
    plug_in
        What brings it, unless it is built in.
    """

    run: Run
    description: str
    counts_iterations: bool = False
    plug_in: PlugIn | None = None


def first_stage(name: str) -> FirstStageEntry:
    """Return the first stage called `name`, built in or a plug-in.

    Raises
    ------
    UserError
        If there is none of that name, or the package that brings it is broken.
    """
    if name in FIRST_STAGES:
        return FIRST_STAGES[name]
    plug_in = FIRST_STAGE_KIND.load(name)
    return FirstStageEntry(partial(_take_and_finish, plug_in), str(plug_in), plug_in=plug_in)


def _search_and_finish(
    problem: Problem,
    origin: Origin,
    bound: NetworkBound,
    parameters: SolveParameters,
    finish: Finish,
    monitor: Monitor,
) -> Found | None:
    """Search LFAs by their greedy DLSA, in one pass and in several; then run the second stage on the best few."""
    numbers, own = numbers_of_passes(problem, parameters, origin.own), origin.own
    searches, best_cost = [], math.inf
    if 1 in numbers:
        in_one = OnePassSearch(
            problem,
            origin.coarse,
            parameters.draws,
            parameters.objective,
            parameters.search,
            parameters.threads,
            bound.met_in_one_pass_at,
            monitor.part(SEARCH_SHARE),
            own if own is not None and own.passes == 1 else None,
        ).run(parameters.searches_periods)
        searches.append(in_one)
        best_cost = min((cost for cost, _ in in_one.lfas), default=math.inf)
        undecided = len(numbers) > 1 and (own is None or own.passes == 1)
        if undecided and in_one.lfas and needs_no_passes(problem, in_one.lfas[0][1]):
            numbers = (1,)
    several = [number for number in numbers if number > 1]
    if several and not (searches and monitor.budget.over):
        share = PASSES_SHARE if searches else SEARCH_SHARE
        in_passes = search_passes(problem, several, parameters, bound, best_cost, monitor.part(share), own)
        searches.append(in_passes)
    return _finish(problem, joined(searches), parameters, finish, monitor)


def _finish(
    problem: Problem, searched: LFASearchResult, parameters: SolveParameters, finish: Finish, monitor: Monitor
) -> Found | None:
    """Run the second stage on the best few LFAs, cheapest first, and return the best schedule."""
    if second_stage(parameters.second_stage).proves and not parameters.cpsat.deterministic:
        monitor = monitor.within(max(searched.seconds, LEAST_FINISH_SECONDS))
    best: Found | None = None
    best_cost = math.inf
    objective = parameters.objective
    finished = 0
    for number, (cost_found, lfa) in enumerate(searched.lfas, start=1):
        if best is not None and monitor.budget.over:
            break
        plan = make_plan(problem, lfa)
        figures = plan_figures(plan)
        if number == 1:
            _check_price(plan, cost_found, objective)
        if best is not None and objective.cost(figures.energy_pj, best_combinatorial_bound(plan)[0]) >= best_cost:
            continue
        wanted = latency_for(best_cost, figures.energy_pj, objective)
        result = finish(plan, wanted, monitor.at(number))
        finished += 1
        cost = result.schedule.cost(objective)
        if cost < best_cost:
            best, best_cost = Found(result, finished, searched.rounds, searched.out_of_time), cost
    return None if best is None else replace(best, iterations=finished)


def _check_price(plan: Plan, cost: float, objective: Objective) -> None:
    """Hold the price that a search gave its best LFA against the evaluator."""
    exact = priced(plan, greedy_dlsa(plan)).cost(objective)
    if not math.isclose(cost, exact, rel_tol=PRICE_TOLERANCE):
        raise InternalError(f"a search says that its best LFA costs {cost:.9g}, the evaluator says {exact:.9g}")


def _take_and_finish(
    plug_in: PlugIn,
    problem: Problem,
    origin: Origin,
    bound: NetworkBound,
    parameters: SolveParameters,
    finish: Finish,
    monitor: Monitor,
) -> Found | None:
    """Take the LFAs of a package, then run the second stage on the best few."""
    searching = monitor.part(SEARCH_SHARE)
    begin = time.monotonic()
    found: dict[float, LFA] = {}
    count = 0
    for count, plan in _plans_of(plug_in, problem, origin, parameters, searching):
        if plan is not None and least_peak_bytes(plan) <= problem.platform.gbuf_bytes:
            cost = priced(plan, greedy_dlsa(plan)).cost(parameters.objective)
            found.setdefault(cost, plan.lfa)
            if len(found) > parameters.search.archive_size:
                del found[max(found)]
        lowest = min(found, default=None)
        searching.progress(ProgressEvent(f"first stage {plug_in.name}", 0, count, 0, lowest))
        if lowest is not None and lowest <= bound.met_at:
            break
    if not found and not searching.budget.over:
        nothing = "yielded no LFA" if count == 0 else f"yielded no LFA that fits into the buffer, of {count:,}"
        raise PlugInError(f"{plug_in} {nothing}; repair it, enlarge the buffer, or take another first stage")
    out_of_time = searching.budget.over and not searching.budget.stop_requested
    searched = LFASearchResult(tuple(sorted(found.items())), count, out_of_time, time.monotonic() - begin)
    return _finish(problem, searched, parameters, finish, monitor)


def _plans_of(
    plug_in: PlugIn, problem: Problem, origin: Origin, parameters: SolveParameters, monitor: Monitor
) -> Iterator[tuple[int, Plan | None]]:
    """Yield number and plan of each LFA of a package until it ends or the budget is over; see `checked_plan`."""
    offered = {"seed": parameters.draws, "objective": parameters.objective, "start": origin.own}
    keywords = wanted_keywords(plug_in, offered)
    caller = Caller(plug_in, monitor)
    number = 0
    try:
        lfas = caller.call(lambda: iter(plug_in.function(problem, caller.monitor, **keywords)))
        while not monitor.budget.over:
            yielded = caller.call(lambda: next(lfas, _END))
            if yielded is _END:
                return
            number += 1
            yield number, checked_plan(plug_in, problem, parameters.searched_space, yielded, number)
    except LeftBehindError:  # the best so far is what was asked for
        return
    finally:
        caller.end()


def _allocate(
    problem: Problem,
    origin: Origin,
    bound: NetworkBound,
    parameters: SolveParameters,
    finish: Finish,
    monitor: Monitor,
) -> Found:
    """Search as the paper does; the coarse LFA and the bound are not used."""
    found = allocate_buffer(
        problem, finish, parameters.draws, parameters.objective, parameters.paper_search, monitor, origin.own
    )
    return Found(found.second_stage, found.iterations, found.rounds, monitor.budget.over)


def _search_cocco(
    problem: Problem,
    origin: Origin,
    bound: NetworkBound,
    parameters: SolveParameters,
    finish: Finish,
    monitor: Monitor,
) -> Found:
    """Search Cocco's space under double buffering, and run the second stage on the best LFA."""
    searching = monitor.part(SEARCH_SHARE).at(1)
    plan, rounds = cocco_plan(problem, parameters, searching, origin.own)
    out_of_time = searching.budget.over and not searching.budget.stop_requested
    return Found(finish(plan, None, monitor.at(1)), 1, rounds, out_of_time)


def cocco_plan(
    problem: Problem, parameters: SolveParameters, monitor: Monitor, start: LFA | None = None
) -> tuple[Plan, int]:
    """Return the plan of the best LFA that a search of Cocco's space finds, and the rounds of that search."""
    capacity, objective = problem.platform.gbuf_bytes, parameters.objective
    random = np.random.default_rng([parameters.draws, 1])  # as the first iteration of the Buffer Allocator
    if parameters.first_stage == FirstStage.COCCO_GA:
        space, genetic = parameters.cocco, parameters.genetic
        found = breed_groups(problem, capacity, random, objective, space, genetic, monitor, start)
    else:
        found = search_groups(problem, capacity, random, objective, parameters.cocco, monitor, start)
    plan = plan_that_fits(problem, found, initial_lfa(problem, parameters.cocco.capped), required=True)
    assert plan is not None  # one is required
    return plan, found.rounds


FIRST_STAGES: Mapping[str, FirstStageEntry] = {
    FirstStage.GREEDY: FirstStageEntry(_search_and_finish, "search that prices LFAs by the greedy second stage"),
    FirstStage.PAPER: FirstStageEntry(
        _allocate, "paper's first stage, Buffer Allocator with the greedy second stage", counts_iterations=True
    ),
    FirstStage.COCCO: FirstStageEntry(_search_cocco, "Cocco baseline, annealed"),
    FirstStage.COCCO_GA: FirstStageEntry(_search_cocco, "Cocco baseline, genetic search"),
}
