"""Chooses the advice on a schedule: what limits it, and what changes of the hardware are worth.

The lines come in this order: computing, if it is nearly all of the latency; then what gains most, and the longest wait
by its share of the latency; then what could be saved without a loss. See docs/what-limits-me.md.
"""

import math

from soma_cp.annealing.budget import Budget
from soma_cp.model.objective import Objective
from soma_cp.model.soma.schedule import Schedule
from soma_cp.solver.advice.advice import WORTH_SAYING, Advice, Basis, Topic
from soma_cp.solver.advice.estimates import Estimate, base_of, estimate, search_estimate
from soma_cp.solver.advice.levers import levers
from soma_cp.solver.advice.limits import compute_limit, longest_wait
from soma_cp.solver.every_lfa.network_bounds import NetworkBound

MOST_LINES = 3


def advise(
    schedule: Schedule,
    objective: Objective = Objective(),  # noqa: B008  # immutable
    bound: NetworkBound | None = None,
    seed: int = 0,
    budget: Budget | None = None,
    searches: bool = True,
) -> tuple[Advice, ...]:
    """Return at most three lines of advice on a schedule, the most important first.

    The figures are of this schedule re-priced, of a short search, or proven bounds, and every line says which. It
    takes a few tenths of a second and needs no solver.

    Parameters
    ----------
    schedule
        A valid schedule, from a search or a file.
    objective
        What gains are counted in.
    bound
        The bound over every LFA of its problem, if it is known: it limits what DRAM bandwidth can gain.
    seed
        Of the short searches; the same arguments give the same advice.
    budget
        A stop of it ends the short searches at once; its deadline is not looked at.
    searches
        Whether there are short searches. Without them, what is said is of this schedule alone: of a baseline, another
        search would find another method's schedule.

    Returns
    -------
    tuple of Advice
        At least one, unless the schedule exceeds its buffer: on what can't run there is no advice.
    """
    stop = (budget or Budget()).extended(math.inf)
    return tuple(one.advice for one in estimates(schedule, objective, bound, seed, stop, searches)[1])


def estimates(
    schedule: Schedule,
    objective: Objective,
    bound: NetworkBound | None,
    seed: int,
    budget: Budget,
    searches: bool = True,
) -> tuple[Schedule, list[Estimate]]:
    """Return the schedule from which gains are counted, and the lines with the schedules that achieve them."""
    if not schedule.fits:
        return schedule, []
    base = base_of(schedule, objective, seed, budget) if searches else schedule
    gaining: list[Estimate] = []
    saving: list[Estimate] = []
    tried: list[str] = []
    searching = search_estimate(schedule, base, objective)
    if searching.advice.gain >= WORTH_SAYING:
        gaining.append(searching)
    for group in levers(base.problem.platform):
        for lever in group:
            found = estimate(base, lever, objective, seed, budget, searches)
            if found is None:
                continue
            tried.append(found.advice.change)
            if found.advice.gain >= WORTH_SAYING:
                gaining.append(found)
                break
            if lever.saves and found.advice.gain > -WORTH_SAYING:
                saving.append(found)
    limits = [Estimate(one) for one in (compute_limit(schedule, objective, bound),) if one is not None]
    waits = [Estimate(one) for one in (longest_wait(schedule, objective),) if one is not None]
    ranked = limits + sorted(gaining + waits, key=lambda one: -_weight(one.advice)) + saving
    if not ranked:
        nothing = Advice(topic=Topic.NOTHING, basis=Basis.NONE, objective=objective, tried=tuple(tried))
        return base, [Estimate(nothing)]
    return base, ranked[:MOST_LINES]


def _weight(advice: Advice) -> float:
    return advice.stall_share if advice.stall_share is not None else advice.gain
