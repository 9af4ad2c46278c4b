"""Annealing rounds on LFAs (kernels; docs/first-stage.md#the-search).

A round draws a move and prices the candidate. It draws the highest cost to accept first, so most candidates are refused
without a schedule. If the cost of a tile is unknown, or the arrays for tiles and tensors are too short, the kernel
returns in the middle of the round. The next call continues with the same candidate.
"""

import numpy as np

from soma_cp.annealing.acceptance import highest_accepted, temperature
from soma_cp.annealing.first_stage.cost_cache import CostTable
from soma_cp.annealing.first_stage.lfa_pricing import (
    BEST,
    CANDIDATE,
    COST,
    CURRENT,
    DONE,
    FIGURES,
    INVALID,
    OVERFLOW_BYTES,
    PAUSE_TILES,
    PAUSED,
    PENDING,
    PRICE_ALONE,
    PRICED,
    ROUND,
    SIDE,
    TILES_PRICED,
    VERDICT,
    LFAScratch,
    LFASettings,
    LFAState,
    evaluate_candidate,
)
from soma_cp.annealing.first_stage.moves import apply_move
from soma_cp.annealing.first_stage.periods import Periods, write_out
from soma_cp.annealing.first_stage.slots import Slots, fit_table
from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.compiled import compiled, in_place
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.model.soma.lfa import LFAArrays


@in_place
def copy_lfa(source: LFAArrays, target: LFAArrays) -> None:
    """Copy all arrays of an LFA."""
    for place in range(len(source.order)):
        target.order[place] = source.order[place]
        target.begins_flg[place] = source.begins_flg[place]
        target.begins_lg[place] = source.begins_lg[place]
        target.tiling[place] = source.tiling[place]
        target.channels[place] = source.channels[place]
    for item in range(len(source.shares)):
        target.shares[item] = source.shares[item]


@in_place
def copy_figures(figures: FloatArray, source: int, target: int) -> None:
    """Copy the figures of one row to another."""
    for column in range(FIGURES):
        figures[target, column] = figures[source, column]


@in_place
def goes_lower(figures: FloatArray, reference: int, or_equal: bool) -> bool:
    """Whether the candidate overflows less than the LFA in row `reference`, or costs less if both fit."""
    column = COST
    if figures[reference, OVERFLOW_BYTES] > 0 or figures[CANDIDATE, OVERFLOW_BYTES] > 0:
        column = OVERFLOW_BYTES
    candidate, present = figures[CANDIDATE, column], figures[reference, column]
    return bool(candidate < present or (or_equal and candidate == present))


@in_place
def file_away(state: LFAState) -> None:
    """Put the candidate into the archive if it is among the cheapest and no archived LFA has the same cost."""
    costs, archive, shares, lfa = state.archive_costs, state.archive, state.archive_shares, state.candidate
    cost = state.figures[CANDIDATE, COST]
    size = len(costs)
    if size == 0 or cost >= costs[size - 1]:
        return
    at = size - 1
    while at > 0 and costs[at - 1] >= cost:
        at -= 1
    if costs[at] == cost:
        return
    for n in range(size - 1, at, -1):
        costs[n] = costs[n - 1]
        for row in range(archive.shape[1]):
            for place in range(archive.shape[2]):
                archive[n, row, place] = archive[n - 1, row, place]
        for item in range(shares.shape[1]):
            shares[n, item] = shares[n - 1, item]
    costs[at] = cost
    for item in range(len(lfa.shares)):
        shares[at, item] = lfa.shares[item]
    for place in range(len(lfa.order)):
        archive[at, 0, place] = lfa.order[place]
        archive[at, 1, place] = 1 if lfa.begins_flg[place] else 0
        archive[at, 2, place] = 1 if lfa.begins_lg[place] else 0
        archive[at, 3, place] = lfa.tiling[place]
        archive[at, 4, place] = lfa.channels[place]


@in_place
def _written_out(periods: Periods, state: LFAState) -> bool:
    """Write the candidate out over its periods; False if it can't be."""
    if not write_out(periods, state.candidate, state.written):
        return False
    fit_table(periods.table, periods.slots, state.written.channels)
    return True


@compiled
def anneal_lfa(
    table: NetworkTable,
    slots: Slots,
    costs: CostTable,
    apart: IntArray,
    weights: FloatArray,
    settings: LFASettings,
    state: LFAState,
    scratch: LFAScratch,
    last_round: int,
    heated: bool,
    random: np.random.Generator,
    periods: Periods,
) -> int:
    """Run until round `last_round`; return DONE, or why it returns before: UNKNOWN_COSTS, NEEDS_ROOM or PAUSED.

    `table` is made to fit the LFA at hand, where layers have `slots` for parts; LFAs are written out over
    `periods` and priced so. `weights` are the running sums of the
    moves' weights. Without `heated`, a candidate is accepted only if it is no worse. With `PRICE_ALONE` as the last
    round, the candidate is priced and nothing else happens; ``counters[VERDICT]`` is then what `evaluate_candidate`
    returns. One kernel does both, since each would be compiled with all that prices.
    """
    counters, figures, ceiling = state.counters, state.figures, state.ceiling
    alone = last_round == PRICE_ALONE
    while alone or counters[ROUND] < last_round:
        if not alone and counters[TILES_PRICED] >= PAUSE_TILES:
            counters[TILES_PRICED] = 0
            return PAUSED
        if not alone and counters[PENDING] == 0:
            done = counters[ROUND]
            if done == int(settings.return_to_best_at * settings.rounds):
                copy_lfa(state.best, state.current)
                copy_figures(figures, BEST, CURRENT)
            copy_lfa(state.current, state.candidate)
            fit_table(table, slots, state.candidate.channels)
            if not apply_move(table, slots, state.candidate, settings.batch, weights, random):
                counters[ROUND] += 1
                continue
            chance = random.random()
            heat = 0.0
            if heated:
                heat = temperature(settings.initial_temperature, settings.alpha, settings.power, done, settings.rounds)
            ceiling[0] = highest_accepted(figures[CURRENT, COST], heat, chance)
            counters[PENDING] = 1
        fit_table(table, slots, state.candidate.channels)
        status, verdict = DONE, INVALID
        if len(periods.copies) == 0 or _written_out(periods, state):
            status, verdict = evaluate_candidate(periods.table, costs, apart, settings, state, scratch, periods)
        if alone:
            counters[VERDICT] = verdict
            return status
        if status != DONE:
            return status
        counters[PENDING] = 0
        counters[ROUND] += 1
        if verdict != PRICED:
            continue
        fits = figures[CURRENT, OVERFLOW_BYTES] == 0 and figures[CANDIDATE, OVERFLOW_BYTES] == 0
        if (fits and figures[CANDIDATE, COST] <= ceiling[0]) or (not fits and goes_lower(figures, CURRENT, True)):
            copy_lfa(state.candidate, state.current)
            copy_figures(figures, CANDIDATE, CURRENT)
            counters[SIDE] = 1 - counters[SIDE]
            file_away(state)
            if goes_lower(figures, BEST, False):
                copy_lfa(state.candidate, state.best)
                copy_figures(figures, CANDIDATE, BEST)
    return DONE
