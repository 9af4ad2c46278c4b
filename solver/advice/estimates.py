"""What a change of the platform is worth at least: a valid schedule of the changed platform, and its cost.

*The same schedule, re-priced.* The same LFA and DLSA on the changed platform, priced by the evaluator. Transfers that
take fewer cycles delay nothing, so more DRAM bandwidth never makes it slower; a larger buffer keeps it valid.

*A short search.* The LFA is planned for the changed platform with the greedy DLSA, then one annealing chain varies the
LFA for a few rounds, as the first stage does. Their number depends on the size of the schedule alone, so the result is
the same on every machine. What the same short search gains on the unchanged platform is no gain of a change: the
better schedule, the *base*, is what all gains are counted from.

What is found can run, so a gain is at least the figure. How much more there is, only solving again can tell.
"""

from dataclasses import dataclass, replace

import numpy as np

from soma_cp.annealing.acceptance import Cooling
from soma_cp.annealing.budget import Budget
from soma_cp.annealing.chunks import run_in_chunks
from soma_cp.annealing.first_stage import lfa_pricing
from soma_cp.annealing.first_stage.chain import Chain, lfa_settings, move_weights
from soma_cp.annealing.first_stage.cost_cache import CostCache
from soma_cp.annealing.first_stage.moves import DEFAULT_WEIGHTS, Move
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.errors import UserError
from soma_cp.model.hardware.platform import Platform
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import LFA
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.schedule import Schedule, priced
from soma_cp.model.soma.tensors import transfer_cycles
from soma_cp.solver.advice.advice import Advice, Basis, Topic
from soma_cp.solver.advice.levers import Lever

WORK = 50_000
"""Tiles and DRAM tensors that all rounds of a short search price together, about."""
MOST_ROUNDS, LEAST_ROUNDS = 500, 20
COOLING = Cooling(initial_temperature=0.03, power=2.0)
"""As in the last phase of the first stage: the search stays near the LFA."""
DRAWS = 5003
"""Tells the draws of short searches from those of other searches of the same seed."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """A line of advice, and the schedule that achieves its gain; None if it speaks of no change."""

    advice: Advice
    schedule: Schedule | None = None
    platform: Platform | None = None


def repriced(schedule: Schedule, platform: Platform) -> Schedule:
    """Return the same LFA and DLSA on another platform; it may exceed a smaller buffer."""
    return priced(_plan(schedule.plan, platform), schedule.dlsa)


def _plan(plan: Plan, platform: Platform) -> Plan:
    """Return the plan of the same LFA on another platform."""
    problem = replace(plan.problem, platform=platform)
    if not plan.problem.core_array.takes_long:
        return make_plan(problem, plan.lfa)
    # No core array that takes long looks at the DRAM bandwidth, so its tiles cost what they did.
    cycles = transfer_cycles(plan.tensors.moved, platform.dram_rate)
    return replace(plan, problem=problem, tensors=plan.tensors._replace(cycles=cycles))


def searched(
    schedule: Schedule, platform: Platform, objective: Objective, seed: int, budget: Budget
) -> Schedule | None:
    """Return the best schedule that a short search from the LFA of `schedule` finds on `platform`; None if none fits.

    Once `budget` is over, it ends with what it has.
    """
    problem = replace(schedule.problem, platform=platform)
    best: Schedule | None = None
    for lfa in (schedule.lfa, *_search(problem, schedule, objective, seed, budget)):
        try:
            plan = make_plan(problem, lfa)
            found = priced(plan, greedy_dlsa(plan))
        except UserError:  # no DLSA of this LFA fits
            continue
        if best is None or found.cost(objective) < best.cost(objective):
            best = found
    return best


def _search(problem: Problem, schedule: Schedule, objective: Objective, seed: int, budget: Budget) -> list[LFA]:
    """Return the best LFA of a short search, if any fits; of a schedule in passes, one pass is searched."""
    passes = schedule.lfa.passes
    problem = problem.one_pass
    size = schedule.plan.tile_count + schedule.plan.dram_tensor_count
    rounds = min(max(WORK // size, LEAST_ROUNDS), MOST_ROUNDS)
    capacity = problem.platform.gbuf_bytes
    shares = {} if schedule.lfa.shared_loads else {Move.TURN_SHARE: 0.0}
    chain = Chain(
        problem,
        replace(schedule.lfa, passes=1),
        lfa_settings(problem, capacity, objective, COOLING, rounds, lfa_pricing.GREEDY),
        move_weights({**DEFAULT_WEIGHTS, **shares}),
        np.zeros(len(problem.network.layers), np.int64),
        np.random.default_rng([seed, DRAWS]),
        CostCache(problem),
        archive_size=1,
    )
    if chain.start_is_valid:
        run_in_chunks(lambda _, to: chain.run_to(to, budget=budget), rounds, budget, lambda _: None)
    return [replace(lfa, passes=passes) for _, lfa in chain.archived()]


def base_of(schedule: Schedule, objective: Objective, seed: int, budget: Budget) -> Schedule:
    """Return the better of a schedule and what a short search makes of it on its own platform."""
    if schedule.problem.core_array.takes_long:
        return schedule
    found = searched(schedule, schedule.problem.platform, objective, seed, budget)
    return schedule if found is None or found.cost(objective) >= schedule.cost(objective) else found


def estimate(
    base: Schedule, lever: Lever, objective: Objective, seed: int, budget: Budget, searches: bool = True
) -> Estimate | None:
    """Return what a lever is worth at least, counted from `base`; None if nothing that can run is found.

    Parameters
    ----------
    base
        A schedule that fits its buffer.
    lever
        Another platform.
    objective
        What is minimised.
    seed
        Of the short search.
    budget
        Once it is over, no search goes on.
    searches
        Whether there is a short search, besides re-pricing the base.
    """
    same_tiles = lever.topic is Topic.DRAM
    if base.problem.core_array.takes_long and not same_tiles:
        return None  # another buffer may change the cost of every tile
    found: list[tuple[Basis, Schedule]] = [(Basis.REPRICED, repriced(base, lever.platform))]
    if searches and not same_tiles:
        other = searched(base, lever.platform, objective, seed, budget)
        found += [] if other is None else [(Basis.SEARCHED, other)]
    fitting = [(basis, one) for basis, one in found if one.fits]
    if not fitting:
        return None
    basis, best = min(fitting, key=lambda item: item[1].cost(objective))
    return Estimate(_lever_advice(base, lever, best, basis, objective), best, lever.platform)


def search_estimate(schedule: Schedule, base: Schedule, objective: Objective) -> Estimate:
    """Return what the base gains over the schedule: what going on with the search gains at least."""
    gain, latency_gain = gains(schedule, base, objective)
    return Estimate(
        Advice(
            topic=Topic.SEARCH,
            basis=Basis.SEARCHED,
            objective=objective,
            estimated_gain=gain,
            estimated_latency_gain=latency_gain,
        )
    )


def gains(base: Schedule, other: Schedule, objective: Objective) -> tuple[float, float]:
    """Return the shares by which cost and latency of `other` are below those of `base`."""
    cost = base.cost(objective)
    return (1 - other.cost(objective) / cost if cost else 0.0), 1 - other.latency / base.latency


def _lever_advice(base: Schedule, lever: Lever, best: Schedule, basis: Basis, objective: Objective) -> Advice:
    before, after = base.problem.platform, lever.platform
    gain, latency_gain = gains(base, best, objective)
    buffer = lever.topic is Topic.BUFFER
    rate = after.dram_bytes_per_second
    return Advice(
        topic=lever.topic,
        basis=basis,
        objective=objective,
        change_bytes=after.gbuf_bytes - before.gbuf_bytes if buffer else None,
        becomes_bytes=after.gbuf_bytes if buffer else None,
        change_bytes_per_second=None if buffer else rate - before.dram_bytes_per_second,
        becomes_bytes_per_second=None if buffer else rate,
        estimated_gain=gain,
        estimated_latency_gain=latency_gain,
    )
