"""Prices LFA candidates (kernels; docs/first-stage.md#the-search).

A candidate is tiled, the costs of its tiles are looked up, and it is priced: by double buffering, as in the paper, or
by the greedy DLSA under the full buffer, which is close to the result of an exact second stage. A candidate that must
cost more than a ceiling is refused early: by its energy and a rough latency bound, or during the greedy pass.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.annealing.first_stage.candidate_tiles import CutFLGs, cut_changed_flgs, look_up_changed
from soma_cp.annealing.first_stage.candidate_transfers import (
    Outline,
    Survey,
    fill_elapsed,
    fill_queues,
    fill_room,
    least_peak,
    survey,
)
from soma_cp.annealing.first_stage.cost_cache import CostTable
from soma_cp.annealing.first_stage.groups import group_end, keeps_groups_apart
from soma_cp.annealing.first_stage.periods import Periods, cycles_left_out
from soma_cp.annealing.second_stage.greedy_kernel import (
    NO_CUTOFF,
    GreedyScratch,
    find_change,
    greedy,
    run_policies,
)
from soma_cp.model.arrays import BoolArray, FloatArray, IntArray
from soma_cp.model.compiled import in_place
from soma_cp.model.hardware.platform import DramRate
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.model.soma.dlsa import DLSA, double_buffer
from soma_cp.model.soma.evaluation_kernel import Times, begin_times
from soma_cp.model.soma.lfa import LFAArrays
from soma_cp.model.soma.occupancy import fill_alive, fill_usage
from soma_cp.model.soma.tensors import TensorPlaces, Tensors, make_tensors
from soma_cp.model.soma.tiling import LayerTiles, TileSequence

# Why `evaluate_candidate`, or a search, returned.
DONE, UNKNOWN_COSTS, NEEDS_ROOM, PAUSED = 0, 1, 2, 3

PRICE_ALONE = -1
"""The last round of a call that prices the candidate and ends."""

# The DLSA that prices a candidate.
DOUBLE_BUFFERING, GREEDY = 0, 1

# Verdicts on a candidate.
INVALID, TOO_COSTLY, PRICED = 0, 1, 2

# Items of `LFAState.counters`.
ROUND = 0  # next round
PENDING = 1  # 1 while a candidate waits to be evaluated
UNKNOWN = 2  # number of layers in `missing`
NEEDED_TILES, NEEDED_TENSORS, NEEDED_CHIP_TENSORS = 3, 4, 5
TILES_PRICED = 6  # tiles of all candidates that were priced since the last pause
VERDICT = 7  # on the candidate, of a call that prices it alone
SIDE = 8  # which of the two scratches of the greedy pass is the candidate's; the other is that of the current LFA
COUNTERS = 9

# Columns of `LFAState.figures`.
COST, OVERFLOW_BYTES, LATENCY, ENERGY_PJ, PEAK_BYTES = 0, 1, 2, 3, 4
FIGURES = 5

# Rows of `LFAState.figures`.
CURRENT, BEST, CANDIDATE = 0, 1, 2

LARGEST_CUTOFF = 1e15
"""Cycles; a higher cutoff counts as none."""

MAX_CANDIDATE_TILES = 500_000
"""Candidates with more tiles are refused: each would take seconds to minutes, and none would win."""
PAUSE_TILES = 100_000
"""A search returns after candidates with so many tiles, to look at the clock; the largest takes seconds alone."""


class LFAState(NamedTuple):
    """The current LFA, the candidate and the best, with their figures.

    Parameters
    ----------
    current, candidate, best
        The LFAs.
    written
        The candidate as it is priced: itself, or written out over periods.
    figures
        float64[3, FIGURES]: rows CURRENT, BEST, CANDIDATE. An LFA that overflows the buffer has an infinite cost, and
        its overflow in bytes. Until one fits, the search minimises the overflow.
    ceiling
        float64[1]: the highest cost at which the candidate is accepted.
    counters
        int64[COUNTERS].
    missing
        int64[L]: layers of the written LFA whose tiles have unknown costs; the first ``counters[UNKNOWN]`` items are
        used.
    archive, archive_costs
        The cheapest LFAs so far, all with different costs: int64[A, 5, L] (order, begins_flg, begins_lg, tiling,
        channels) and float64[A], ascending, infinite in a free row. A may be 0.
    archive_shares
        bool[A, E + L]: their shared loads.
    """

    current: LFAArrays
    candidate: LFAArrays
    best: LFAArrays
    written: LFAArrays
    figures: FloatArray
    ceiling: FloatArray
    counters: IntArray
    missing: IntArray
    archive: IntArray
    archive_costs: FloatArray
    archive_shares: BoolArray


class LFAScratch(NamedTuple):
    """Scratch arrays for one candidate: by layer, by DRAM tensor, and by position (one item more than tiles).

    `tiles` and `cut` also keep what is known of the candidates before; `greedy` has the candidate's pass, and that of
    the current LFA, which may be out of date: passes compare what they are given.
    """

    tiles: LayerTiles
    cut: CutFLGs
    places: TensorPlaces
    outline: Outline
    tensors: Tensors
    dlsa: DLSA
    tile_cycles: IntArray
    chip_usage: IntArray
    usage: IntArray
    times: Times
    greedy: tuple[GreedyScratch, GreedyScratch]


class LFASettings(NamedTuple):
    """The settings of a search.

    Parameters
    ----------
    batch
        Samples.
    limit_bytes
        Buffer that the first stage may use.
    dram_rate, dram_pj_per_byte
        Of the platform.
    energy_exponent, delay_exponent
        Of the objective.
    initial_temperature, alpha, power, return_to_best_at
        As in `Cooling`.
    rounds
        N, the number of rounds.
    costing
        DOUBLE_BUFFERING or GREEDY.
    """

    batch: int
    limit_bytes: int
    dram_rate: DramRate
    dram_pj_per_byte: float
    energy_exponent: float
    delay_exponent: float
    initial_temperature: float
    alpha: float
    power: float
    return_to_best_at: float
    rounds: int
    costing: int


@in_place
def lay_out(
    tiles: LayerTiles, tensors: Tensors, chip: int, count: int, tile_cycles: IntArray, chip_usage: IntArray
) -> None:
    """Fill the cycles and on-chip ofmap bytes of the first `count` positions.

    `chip` is the number of ofmaps that stay on chip.
    """
    for layer in range(len(tiles.count)):
        position = tiles.first[layer]
        for _ in range(tiles.count[layer]):
            tile_cycles[position] = tiles.cycles[layer]
            position += tiles.step[layer]
    fill_alive(tensors.chip_bytes, tensors.chip_start, tensors.chip_end, chip, count, chip_usage)


@in_place
def _tile_total(begins_flg: BoolArray, tiling: IntArray) -> int:
    total = 0
    place = 0
    while place < len(begins_flg):
        end = group_end(begins_flg, place)
        total += tiling[place] * (end - place)
        place = end
    return total


@in_place
def rough_figures(tiles: LayerTiles, sums: Survey, dram_pj_per_byte: float, times: IntArray) -> tuple[float, int]:
    """Return the energy (pJ) and a lower bound on the latency (cycles) of every DLSA, without a list of tensors.

    The bound adds two facts to the theoretical maximum. The first tile waits for its loads. All loads end before the
    last tile begins, and the ofmap of that tile is stored after it, since its layer has no consumers. Absent parts have
    no tiles.
    """
    counts, cycles, energies = tiles.count, tiles.cycles, tiles.energy_pj
    energy = 0.0
    computes = 0
    for layer in range(len(counts)):
        count = counts[layer] * times[layer]
        energy += count * energies[layer]
        computes += count * cycles[layer]
    last = sums.loads + cycles[sums.last_layer] + sums.tail
    latency = max(sums.head + computes + sums.tail, sums.loads + sums.stores, last)
    return energy + sums.moved_bytes * dram_pj_per_byte, latency


@in_place
def _slowest_accepted(ceiling: float, energy_factor: float, delay_exponent: float) -> int:
    """Return a latency (cycles) above which a candidate must cost more than `ceiling`."""
    if delay_exponent <= 0.0 or energy_factor <= 0.0 or not ceiling < np.inf:
        return NO_CUTOFF
    latency = (ceiling / energy_factor) ** (1.0 / delay_exponent) * (1.0 + 1e-9) + 1.0
    return int(latency) if latency < LARGEST_CUTOFF else NO_CUTOFF


@in_place
def evaluate_candidate(
    table: NetworkTable,
    costs: CostTable,
    apart: IntArray,
    settings: LFASettings,
    state: LFAState,
    scratch: LFAScratch,
    periods: Periods,
) -> tuple[int, int]:
    """Price the candidate; return DONE, UNKNOWN_COSTS or NEEDS_ROOM, and INVALID, TOO_COSTLY or PRICED.

    The figures of a PRICED candidate are in row CANDIDATE; a TOO_COSTLY one costs more than ``state.ceiling``.
    """
    lfa, tiles, places, tensors = state.written, scratch.tiles, scratch.places, scratch.tensors
    if (
        not keeps_groups_apart(lfa.order, lfa.begins_lg, apart)
        or _tile_total(lfa.begins_flg, lfa.tiling) > MAX_CANDIDATE_TILES
    ):
        return DONE, INVALID
    rate, cut, outline = settings.dram_rate, scratch.cut, scratch.outline
    count = cut_changed_flgs(table, settings.batch, rate, lfa, tiles, cut)
    if count < 0:
        return DONE, INVALID
    unknown, feasible = look_up_changed(costs, tiles, cut, state.missing)
    if unknown > 0:
        state.counters[UNKNOWN] = unknown
        return UNKNOWN_COSTS, INVALID
    if not feasible:
        return DONE, INVALID
    folded = len(periods.copies) > 0
    sums = survey(table, lfa, tiles, cut, rate, folded or settings.costing != GREEDY, periods.times, places, outline)
    energy, bound = rough_figures(tiles, sums, settings.dram_pj_per_byte, periods.times)
    energy_factor = energy**settings.energy_exponent
    if energy_factor * float(bound) ** settings.delay_exponent > state.ceiling[0]:
        return DONE, TOO_COSTLY
    limit = settings.limit_bytes
    peak = least_peak(outline, sums.positions) if settings.costing == GREEDY else 0
    dram, chip = sums.dram, sums.chip
    latency = 0  # of what overflows
    if peak <= limit:
        if count + 1 > len(scratch.usage) or dram > len(tensors.kind) or chip > len(tensors.chip_bytes):
            state.counters[NEEDED_TILES] = count
            state.counters[NEEDED_TENSORS] = dram
            state.counters[NEEDED_CHIP_TENSORS] = chip
            return NEEDS_ROOM, INVALID
        state.counters[TILES_PRICED] += count
    # Both ways of pricing stand here: passing their arrays to functions takes a twentieth of the time of a candidate.
    if settings.costing != GREEDY:
        make_tensors(table, lfa, tiles, places, rate, tensors)
        lay_out(tiles, tensors, chip, count, scratch.tile_cycles, scratch.chip_usage)
        sequence = TileSequence(count, scratch.tile_cycles, scratch.chip_usage)
        double_buffer(tensors, dram, scratch.dlsa)
        peak = fill_usage(tensors.bytes, dram, scratch.dlsa, sequence, scratch.usage)
        latency = begin_times(sequence, tensors, dram, scratch.dlsa, scratch.times)
    elif peak <= limit and folded:
        cutoff = _slowest_accepted(state.ceiling[0], energy_factor, settings.delay_exponent)
        make_tensors(table, lfa, tiles, places, rate, tensors)
        lay_out(tiles, tensors, chip, count, scratch.tile_cycles, scratch.chip_usage)
        sequence = TileSequence(count, scratch.tile_cycles, scratch.chip_usage)
        if cutoff < NO_CUTOFF:
            cutoff -= cycles_left_out(periods, tiles, tensors, dram, scratch.times.tile_begin, False)
        latency = greedy(tensors, dram, sequence, limit, cutoff, scratch.greedy[0], scratch.dlsa)
        if latency == NO_CUTOFF:
            return DONE, TOO_COSTLY
        begin_times(sequence, tensors, dram, scratch.dlsa, scratch.times)
        latency += cycles_left_out(periods, tiles, tensors, dram, scratch.times.tile_begin, True)
    elif peak <= limit:
        cutoff = _slowest_accepted(state.ceiling[0], energy_factor, settings.delay_exponent)
        side = state.counters[SIDE]
        own, other = scratch.greedy[side], scratch.greedy[1 - side]
        fill_room(lfa, tiles, outline, limit, own.free)
        fill_elapsed(lfa, tiles, own.elapsed)
        counts = fill_queues(sums.items, outline, own.queues)
        latency = run_policies(count, counts, cutoff, own, other, find_change(count, counts, own, other))
        if latency == NO_CUTOFF:
            return DONE, TOO_COSTLY
    overflow = max(peak - limit, 0)
    figures = state.figures
    figures[CANDIDATE, OVERFLOW_BYTES] = overflow
    figures[CANDIDATE, LATENCY] = latency
    figures[CANDIDATE, ENERGY_PJ] = energy
    figures[CANDIDATE, PEAK_BYTES] = peak
    figures[CANDIDATE, COST] = np.inf
    if overflow == 0:
        figures[CANDIDATE, COST] = energy_factor * float(latency) ** settings.delay_exponent
    return DONE, PRICED
