"""Annealing over groups (kernels; docs/cocco.md#the-search).

A round changes the Computing Order or a DRAM Cut of the current LFA, prices what that makes, and accepts or refuses it.
Groups that were seen before cost no more than a look-up. The kernel returns in the middle of a round where Python must
help; the next call continues with the same candidate.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.annealing.acceptance import highest_accepted, temperature
from soma_cp.annealing.cocco.group_pricing import (
    SUM_ENERGY_PJ,
    SUM_LATENCY,
    SUM_PEAK_BYTES,
    GroupScratch,
    Space,
    price_groups,
)
from soma_cp.annealing.cocco.group_table import GroupTable
from soma_cp.annealing.first_stage.cost_cache import CostTable
from soma_cp.annealing.first_stage.groups import cut_flg, pick_new_border
from soma_cp.annealing.first_stage.lfa_kernel import copy_figures, copy_lfa, goes_lower
from soma_cp.annealing.first_stage.lfa_pricing import (
    BEST,
    CANDIDATE,
    COST,
    CURRENT,
    DONE,
    ENERGY_PJ,
    LATENCY,
    OVERFLOW_BYTES,
    PAUSE_TILES,
    PAUSED,
    PEAK_BYTES,
    PENDING,
    ROUND,
    TILES_PRICED,
    LFASettings,
)
from soma_cp.annealing.first_stage.moves import FUSE_LGS, SPLIT_LG, change_order, fuse_lgs, split_lg
from soma_cp.model.arrays import FloatArray
from soma_cp.model.compiled import compiled, in_place
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.model.soma.lfa import LFAArrays


class GroupState(NamedTuple):
    """The current LFA, the candidate and the best, with their figures.

    Parameters
    ----------
    current, candidate, best
        The LFAs; every FLG is an LG.
    figures
        float64[3, lfa_pricing.FIGURES], as in `LFAState`.
    sums
        float64[3]: what `price_groups` found last.
    """

    current: LFAArrays
    candidate: LFAArrays
    best: LFAArrays
    figures: FloatArray
    sums: FloatArray


@in_place
def shift_border(lfa: LFAArrays, random: np.random.Generator) -> bool:
    """Move the border between two groups to another place within them; both keep their tiling numbers."""
    border, new = pick_new_border(lfa, random)
    if border < 0:
        return False
    cut_flg(lfa.begins_flg, lfa.tiling, new)
    lfa.tiling[new] = lfa.tiling[border]
    lfa.begins_lg[new] = True
    lfa.begins_flg[border] = False
    lfa.begins_lg[border] = False
    return True


@in_place
def change_groups(table: NetworkTable, lfa: LFAArrays, order_share: float, random: np.random.Generator) -> bool:
    """Draw a move and apply it; return whether it changed anything."""
    if random.random() < order_share:
        return change_order(table, lfa, random)
    drawn = random.random()
    if drawn < FUSE_LGS:
        return fuse_lgs(lfa, random)
    if drawn < FUSE_LGS + SPLIT_LG:
        return split_lg(lfa, random)
    return shift_border(lfa, random)


@in_place
def set_figures(figures: FloatArray, row: int, sums: FloatArray, settings: LFASettings) -> None:
    """Fill a row of the figures of a search from those of `price_groups`."""
    energy, latency, peak = sums[SUM_ENERGY_PJ], sums[SUM_LATENCY], sums[SUM_PEAK_BYTES]
    overflow = max(peak - settings.limit_bytes, 0.0)
    figures[row, OVERFLOW_BYTES] = overflow
    figures[row, LATENCY] = latency
    figures[row, ENERGY_PJ] = energy
    figures[row, PEAK_BYTES] = peak
    figures[row, COST] = np.inf
    if overflow == 0:
        figures[row, COST] = energy**settings.energy_exponent * latency**settings.delay_exponent


@compiled
def anneal_groups(
    table: NetworkTable,
    costs: CostTable,
    space: Space,
    groups: GroupTable,
    scratch: GroupScratch,
    settings: LFASettings,
    order_share: float,
    state: GroupState,
    last_round: int,
    heated: bool,
    random: np.random.Generator,
) -> int:
    """Run until round `last_round`; return DONE, or why it returns before.

    Without `heated`, a candidate is accepted only if it is no worse.
    """
    counters, figures = scratch.counters, state.figures
    while counters[ROUND] < last_round:
        if counters[TILES_PRICED] >= PAUSE_TILES:
            counters[TILES_PRICED] = 0
            return PAUSED
        done = counters[ROUND]
        if counters[PENDING] == 0:
            if done == int(settings.return_to_best_at * settings.rounds):
                copy_lfa(state.best, state.current)
                copy_figures(figures, BEST, CURRENT)
            copy_lfa(state.current, state.candidate)
            if not change_groups(table, state.candidate, order_share, random):
                counters[ROUND] += 1
                continue
            counters[PENDING] = 1
        status, valid = price_groups(table, costs, space, groups, scratch, state.candidate, state.sums)
        if status != DONE:
            return status
        counters[PENDING] = 0
        counters[ROUND] += 1
        chance = random.random()
        if not valid:
            continue
        heat = 0.0
        if heated:
            heat = temperature(settings.initial_temperature, settings.alpha, settings.power, done, settings.rounds)
        set_figures(figures, CANDIDATE, state.sums, settings)
        fits = figures[CURRENT, OVERFLOW_BYTES] == 0 and figures[CANDIDATE, OVERFLOW_BYTES] == 0
        accepted = figures[CANDIDATE, COST] <= highest_accepted(figures[CURRENT, COST], heat, chance)
        if (fits and accepted) or (not fits and goes_lower(figures, CURRENT, True)):
            copy_lfa(state.candidate, state.current)
            copy_figures(figures, CANDIDATE, CURRENT)
            if goes_lower(figures, BEST, False):
                copy_lfa(state.candidate, state.best)
                copy_figures(figures, CANDIDATE, BEST)
    return DONE
