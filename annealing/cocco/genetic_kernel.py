"""Generations of the genetic search (kernels; docs/cocco.md#the-genetic-search)."""

from typing import NamedTuple

import numpy as np

from soma_cp.annealing.cocco.cocco_kernel import set_figures
from soma_cp.annealing.cocco.genomes import cross, draw_genome, free_odd_numbers, make_valid, mutate, write_genome
from soma_cp.annealing.cocco.group_pricing import GroupScratch, Space, part_of, price_group, price_groups
from soma_cp.annealing.cocco.group_table import HEAD_BYTES, LAST_BYTES, PEAK_BYTES, VALID, GroupTable, slot_of
from soma_cp.annealing.first_stage.cost_cache import CostTable
from soma_cp.annealing.first_stage.groups import group_end, pick
from soma_cp.annealing.first_stage.lfa_kernel import copy_figures, copy_lfa, goes_lower
from soma_cp.annealing.first_stage.lfa_pricing import (
    BEST,
    CANDIDATE,
    COST,
    DONE,
    PAUSE_TILES,
    PAUSED,
    PENDING,
    ROUND,
    TILES_PRICED,
    LFASettings,
)
from soma_cp.model.arrays import BoolArray, FloatArray, IntArray
from soma_cp.model.compiled import compiled
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.model.soma.lfa import LFAArrays


class Generations(NamedTuple):
    """Two generations of N genomes, and the best LFA.

    Parameters
    ----------
    joins
        bool[L, L]: see `fill_joins`.
    parents, children
        int64[N, L]: genomes.
    parent_costs, child_costs
        float64[N]; infinite for a genome that does not fit.
    chosen, chosen_costs
        Scratch for the next parents, like `parents` and `parent_costs`.
    candidate, best
        The genome that was priced last, and the best of all, as LFAs.
    figures
        float64[3, lfa_pricing.FIGURES]: rows CANDIDATE and BEST.
    sums
        float64[3]: what `price_groups` found last.
    """

    joins: BoolArray
    parents: IntArray
    children: IntArray
    parent_costs: FloatArray
    child_costs: FloatArray
    chosen: IntArray
    chosen_costs: FloatArray
    candidate: LFAArrays
    best: LFAArrays
    figures: FloatArray
    sums: FloatArray


class Rates(NamedTuple):
    """Genomes in a tournament, and the shares of children that are crossed and mutated."""

    tournament: int
    crossover: float
    mutation: float


@compiled
def breed(
    table: NetworkTable,
    costs: CostTable,
    space: Space,
    groups: GroupTable,
    scratch: GroupScratch,
    settings: LFASettings,
    rates: Rates,
    state: Generations,
    last_round: int,
    random: np.random.Generator,
) -> int:
    """Price genomes until `last_round` of them are; return DONE, or why it returns before.

    The first generation is drawn. Each further one is made of the winners of tournaments between those before.
    """
    counters, figures = scratch.counters, state.figures
    count = len(state.children)
    while counters[ROUND] < last_round:
        if counters[TILES_PRICED] >= PAUSE_TILES:
            counters[TILES_PRICED] = 0
            return PAUSED
        generation, n = counters[ROUND] // count, counters[ROUND] % count
        genome = state.children[n]
        if counters[PENDING] == 0:
            if generation == 0:
                draw_genome(state.joins, table, genome, random)
            else:
                if n == 0:
                    select(state, rates.tournament, generation, random)
                make_child(state, rates, genome, random)
            counters[PENDING] = 1
        status = price_genome(table, costs, space, groups, scratch, settings, state, genome)
        if status != DONE:
            return status
        counters[PENDING] = 0
        counters[ROUND] += 1
        state.child_costs[n] = figures[CANDIDATE, COST]
        if goes_lower(figures, BEST, False):
            copy_lfa(state.candidate, state.best)
            copy_figures(figures, CANDIDATE, BEST)
    return DONE


@compiled
def select(state: Generations, tournament: int, generation: int, random: np.random.Generator) -> None:
    """Make the winners of tournaments the parents; in generation 1, all of the first generation are."""
    count = len(state.children)
    for n in range(count):
        winner = n + count  # genomes are numbered parents first
        if generation > 1:
            winner = pick(2 * count, random)
            for _ in range(tournament - 1):
                other = pick(2 * count, random)
                if _cost(state, other) < _cost(state, winner):
                    winner = other
        state.chosen[n] = state.parents[winner] if winner < count else state.children[winner - count]
        state.chosen_costs[n] = _cost(state, winner)
    state.parents[:] = state.chosen
    state.parent_costs[:] = state.chosen_costs


@compiled
def _cost(state: Generations, number: int) -> float:
    """Return the cost of a genome, the parents numbered first."""
    count = len(state.parents)
    return float(state.parent_costs[number] if number < count else state.child_costs[number - count])


@compiled
def make_child(state: Generations, rates: Rates, child: IntArray, random: np.random.Generator) -> None:
    """Cross two parents or copy one, then perhaps mutate the child."""
    parents = state.parents
    mother = pick(len(parents), random)
    if random.random() < rates.crossover:
        cross(parents[mother], parents[pick(len(parents), random)], child, random)
    else:
        child[:] = parents[mother]
    if random.random() < rates.mutation:
        mutate(state.joins, child, random)


@compiled
def price_genome(
    table: NetworkTable,
    costs: CostTable,
    space: Space,
    groups: GroupTable,
    scratch: GroupScratch,
    settings: LFASettings,
    state: Generations,
    genome: IntArray,
) -> int:
    """Make a genome valid, cut in it what exceeds the buffer, and price it; return DONE, or what is lacking.

    Called again with what is lacking, it goes on where it was.
    """
    lfa = state.candidate
    while True:
        make_valid(table, state.joins, genome)
        write_genome(genome, lfa)
        status, too_large = price_parts(table, costs, space, groups, scratch, lfa, settings.limit_bytes, genome)
        if status != DONE:
            return status
        if not too_large:
            break
    status, valid = price_groups(table, costs, space, groups, scratch, lfa, state.sums)
    if valid:
        set_figures(state.figures, CANDIDATE, state.sums, settings)
    else:  # a layer alone that can't run
        state.figures[CANDIDATE] = np.inf
    return status


@compiled
def price_parts(
    table: NetworkTable,
    costs: CostTable,
    space: Space,
    groups: GroupTable,
    scratch: GroupScratch,
    lfa: LFAArrays,
    limit_bytes: int,
    genome: IntArray,
) -> tuple[int, bool]:
    """Price the groups of an LFA; return DONE or what is lacking, and whether any was cut in `genome`.

    A group is halved that can't be cut into its tiles, or that exceeds the buffer, alone or with what is loaded for the
    next.
    """
    free_odd_numbers(genome)
    cut = False
    last_bytes, begin, before = 0, 0, 0
    while begin < len(lfa.order):
        end = group_end(lfa.begins_lg, begin)
        record = groups.slots[slot_of(groups, lfa.order, begin, end, 0)]
        if record < 0:
            status = price_group(table, costs, space, groups, scratch, part_of(lfa, begin, end, scratch), 0)
            if status != DONE:
                return status, cut
            record = groups.slots[slot_of(groups, lfa.order, begin, end, 0)]
        row = groups.figures[record]
        larger = begin
        exceeds = row[VALID] == 0 or row[PEAK_BYTES] > limit_bytes
        if not exceeds and last_bytes + row[HEAD_BYTES] > limit_bytes:
            exceeds = True
            larger = begin if end - begin >= begin - before else before
        size = group_end(lfa.begins_lg, larger) - larger
        if exceeds and size > 1:
            cut = True
            for place in range(larger + size // 2, larger + size):
                genome[lfa.order[place]] |= 1
        before, begin, last_bytes = begin, end, row[LAST_BYTES]
    return DONE, cut
