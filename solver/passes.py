"""LFAs in several passes: a part of the batch is searched, and what is found is repeated (docs/first-stage.md#passes).

For p passes the search for LFAs runs at a batch of B / p samples, as it does for any problem. p passes take about p
times the energy and p times the time of one, so p passes of an LFA cost about p^(n + m) times what it costs at that
batch; the exact cost is that of the greedy DLSA of the whole run. Many p need no search:

- None does if the best schedule in one pass has one LG and takes at most `NEAR` more than the theoretical maximum of
  its LFA: no fmap goes through DRAM, and nothing is left to hide.
- p passes load all weights p times. If even the cheapest tiles and this traffic cost as much as the best schedule so
  far, p is left out.
- The more passes, the smaller the fmaps, and the more weights are loaded. So the search ends with the first p whose
  best LFA has one LG.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa, divided_to_fit
from soma_cp.annealing.first_stage.lfa_search import LFASearchResult, search_lfas
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.progress import ProgressEvent
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import LFA
from soma_cp.model.soma.plan import make_plan
from soma_cp.model.soma.schedule import Schedule, priced
from soma_cp.model.soma.tensors import transfer_cycles
from soma_cp.solver.every_lfa.layer_bounds import divisors
from soma_cp.solver.every_lfa.network_bounds import NetworkBound
from soma_cp.solver.parameters import SolveParameters

NEAR = 0.05
"""A schedule with one LG is left in one pass if its latency exceeds the theoretical maximum by at most this share."""
REPEATED = 2
"""For so many numbers of passes, the cheapest ones, all LFAs of a search are repeated, not the best alone."""


@dataclass(frozen=True)
class _Tried:
    """What a search at a part of the batch has found.

    Parameters
    ----------
    passes
        Their number.
    cost
        Of the best LFA in so many passes.
    found
        LFAs of one pass.
    """

    passes: int
    cost: float
    found: LFASearchResult


def numbers_of_passes(problem: Problem, parameters: SolveParameters, own: LFA | None) -> tuple[int, ...]:
    """Return the numbers of passes that a search may try, 1 among them if it may.

    Parameters
    ----------
    problem
        The problem in one pass.
    parameters
        Its `passes` is the only number, if it is given.
    own
        The user's LFA to begin from, whose passes come first; None without one.
    """
    if parameters.passes is not None:
        return (parameters.passes,)
    if not parameters.search.wide:
        return (1,)
    numbers = divisors(problem.batch).tolist()
    first = 1 if own is None else own.passes
    return tuple(sorted(numbers, key=lambda number: (number not in (1, first), number)))


def needs_no_passes(problem: Problem, lfa: LFA) -> bool:
    """Return whether an LFA in one pass is so good that passes are not tried."""
    if lfa.lg_count > 1:
        return False
    schedule = _greedy(problem, lfa)
    return schedule.latency <= schedule.evaluation.figures.bound * (1 + NEAR)


def search_passes(
    problem: Problem,
    numbers: Sequence[int],
    parameters: SolveParameters,
    bound: NetworkBound,
    best_cost: float,
    monitor: Monitor,
    own: LFA | None = None,
) -> LFASearchResult:
    """Search LFAs in several passes.

    Parameters
    ----------
    problem
        The problem in one pass.
    numbers
        Numbers of passes to try, in this order.
    parameters
        How to search.
    bound
        Over every LFA of the problem.
    best_cost
        Of the best schedule in one pass; infinite to leave out no number.
    monitor
        How the search is stopped and watched.
    own
        The user's LFA to begin from; used, and its number of passes tried in any case, if that is one of `numbers`.

    Returns
    -------
    LFASearchResult
        LFAs in passes, with their costs under the greedy DLSA of the whole run. If no number promises anything, there
        are none; but at least one, however early the budget ends, if `best_cost` is infinite.
    """
    objective, rounds, seconds, out_of_time = parameters.objective, 0, 0.0, False
    tried: list[_Tried] = []
    least = best_cost
    for place, passes in enumerate(numbers):
        begins = own is not None and own.passes == passes
        if monitor.budget.over:
            break
        if not begins and _least_cost(problem, passes, bound, parameters) >= least:
            continue
        part = _part(problem, passes)
        found = search_lfas(
            part,
            coarse_lfa(part),
            parameters.draws,
            objective,
            parameters.search,
            parameters.threads,
            monitor=_of_passes(monitor.part(1 / (len(numbers) - place)), passes, least),
            own_start=replace(own, passes=1) if own is not None and begins else None,
        )
        rounds, seconds, out_of_time = rounds + found.rounds, seconds + found.seconds, out_of_time or found.out_of_time
        if found.lfas:
            best = found.lfas[0][1]
            tried.append(_Tried(passes, _greedy(problem, replace(best, passes=passes)).cost(objective), found))
            least = min(least, tried[-1].cost)
            if best.lg_count == 1:
                break
    lfas: dict[float, LFA] = {}
    for rank, one in enumerate(sorted(tried, key=lambda one: one.cost)):
        for _, lfa in one.found.lfas if rank < REPEATED else one.found.lfas[:1]:
            if monitor.budget.over and lfas:
                break
            repeated = replace(lfa, passes=one.passes)
            lfas.setdefault(_greedy(problem, repeated).cost(objective), repeated)
    if not lfas and math.isinf(best_cost):
        lfa = replace(coarse_lfa(_part(problem, numbers[0])), passes=numbers[0])
        lfas[_greedy(problem, lfa).cost(objective)] = lfa
    best_ones = tuple(sorted(lfas.items())[: parameters.search.archive_size])
    return LFASearchResult(best_ones, rounds, out_of_time, seconds)


def _part(problem: Problem, passes: int) -> Problem:
    """Return the problem of one of so many passes, with large layers divided if they do not fit."""
    return divided_to_fit(replace(problem.whole, batch=problem.batch // passes))


def _greedy(problem: Problem, lfa: LFA) -> Schedule:
    """Return the greedy schedule of an LFA that fits the buffer."""
    plan = make_plan(problem, lfa)
    return priced(plan, greedy_dlsa(plan))


def _least_cost(problem: Problem, passes: int, bound: NetworkBound, parameters: SolveParameters) -> float:
    """Return what schedules in so many passes cost at least: the cheapest tiles, and all weights in every pass."""
    platform = problem.platform
    moved = bound.dram_bytes + (passes - 1) * problem.network.whole.dram_weight_bytes
    energy_pj = bound.core_energy_pj + moved * platform.dram_pj_per_byte
    latency = max(bound.compute_cycles, int(transfer_cycles(moved, platform.dram_rate)))
    return parameters.objective.cost(energy_pj, latency)


def _of_passes(monitor: Monitor, passes: int, best_cost: float) -> Monitor:
    """Return a monitor of a search at a part of the batch, whose costs are none of the whole."""
    known = best_cost if math.isfinite(best_cost) else None

    def progress(event: ProgressEvent) -> None:
        monitor.progress(replace(event, stage=f"{event.stage} in {passes} passes", best_cost=known))

    return replace(monitor, progress=progress)
