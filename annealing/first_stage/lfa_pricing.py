"""Prices LFA candidates (kernels; docs/first-stage.md#the-search).

A candidate is tiled, the costs of its tiles are looked up, and it is priced: by double buffering, as in the paper, or
by the greedy DLSA under the full buffer, which is close to the result of an exact second stage. A candidate that must
cost more than a ceiling is refused early: by its energy and a rough latency bound, or during the greedy pass.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.annealing.first_stage.cost_cache import CostTable, look_up_costs
from soma_cp.annealing.first_stage.groups import group_end, keeps_groups_apart
from soma_cp.annealing.first_stage.periods import Periods, cycles_left_out
from soma_cp.annealing.second_stage.greedy_kernel import NO_CUTOFF, GreedyScratch, greedy
from soma_cp.model.arrays import BoolArray, FloatArray, IntArray
from soma_cp.model.compiled import in_place
from soma_cp.model.data_types import packed
from soma_cp.model.hardware.platform import DramRate
from soma_cp.model.network import network_table as nt
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.model.soma.dlsa import DLSA, double_buffer
from soma_cp.model.soma.evaluation_kernel import Times, begin_times
from soma_cp.model.soma.lfa import LFAArrays
from soma_cp.model.soma.occupancy import fill_alive, fill_usage
from soma_cp.model.soma.tensors import (
    TensorPlaces,
    Tensors,
    count_tensors,
    make_tensors,
    transfer_cycles,
)
from soma_cp.model.soma.tiling import LayerTiles, TileSequence, tile_layers

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
COUNTERS = 8

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
    """Scratch arrays for one candidate: by layer, by DRAM tensor, and by position (one item more than tiles)."""

    tiles: LayerTiles
    places: TensorPlaces
    tensors: Tensors
    dlsa: DLSA
    tile_cycles: IntArray
    chip_usage: IntArray
    usage: IntArray
    times: Times
    greedy: GreedyScratch


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
def rough_figures(
    table: NetworkTable,
    lfa: LFAArrays,
    tiles: LayerTiles,
    places: TensorPlaces,
    dram_rate: DramRate,
    dram_pj_per_byte: float,
    times: IntArray,
) -> tuple[float, int]:
    """Return the energy (pJ) and a lower bound on the latency (cycles) of every DLSA, without listing tensors.

    The bound adds two facts to the theoretical maximum. The first tile waits for its loads. All loads end before the
    last tile begins, and the ofmap of that tile is stored after it, since its layer has no consumers. Absent parts have
    no tiles.
    """
    counts, extents, cycles, energies = tiles.count, tiles.extent, tiles.cycles, tiles.energy_pj
    source_begin, channels, bits, layers = table.source_begin, table.source_channels, table.source_bits, table.layers
    owner, weight_owner, rows, columns = places.owners.edge, places.owners.weights, places.rows, places.columns
    stored = places.stored
    first_place, last_place = 0, len(lfa.order) - 1
    while counts[lfa.order[first_place]] == 0:  # an absent part
        first_place += 1
    while counts[lfa.order[last_place]] == 0:
        last_place -= 1
    first_layer, last_layer = lfa.order[first_place], lfa.order[last_place]
    energy = 0.0
    moved = 0  # bytes
    loads, stores, head, tail = 0, 0, 0, 0  # cycles: all loads, all stores, loads of the first tile, store of the last
    computes = 0
    for layer in range(len(counts)):
        count = counts[layer] * times[layer]
        energy += count * energies[layer]
        computes += count * cycles[layer]
        for edge in range(source_begin[layer], source_begin[layer + 1]):
            if owner[edge] != edge:
                continue
            size = packed(extents[layer, 0] * rows[edge] * columns[edge] * channels[edge], bits[edge])
            moved += count * size
            duration = transfer_cycles(size, dram_rate)
            loads += count * duration
            head += duration if layer == first_layer else 0
        weights = layers[layer, nt.DRAM_WEIGHT_BYTES] if weight_owner[layer] == layer else 0
        moved += weights * times[layer]
        duration = transfer_cycles(weights, dram_rate)
        loads += duration * times[layer]
        head += duration if layer == first_layer else 0
        if stored[layer]:
            elements = extents[layer, 0] * extents[layer, 1] * extents[layer, 2] * extents[layer, 3]
            size = packed(elements, layers[layer, nt.OFMAP_BITS])
            moved += count * size
            duration = transfer_cycles(size, dram_rate)
            stores += count * duration
            tail = duration if layer == last_layer else tail
    latency = max(head + computes + tail, loads + stores, loads + cycles[last_layer] + tail)
    return energy + moved * dram_pj_per_byte, latency


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
    count = tile_layers(table, settings.batch, lfa, tiles)
    if count < 0:
        return DONE, INVALID
    unknown, feasible = look_up_costs(costs, tiles, state.missing)
    if unknown > 0:
        state.counters[UNKNOWN] = unknown
        return UNKNOWN_COSTS, INVALID
    if not feasible:
        return DONE, INVALID
    dram, chip = count_tensors(table, lfa, tiles, places)
    energy, bound = rough_figures(
        table, lfa, tiles, places, settings.dram_rate, settings.dram_pj_per_byte, periods.times
    )
    energy_factor = energy**settings.energy_exponent
    if energy_factor * float(bound) ** settings.delay_exponent > state.ceiling[0]:
        return DONE, TOO_COSTLY
    if count + 1 > len(scratch.usage) or dram > len(tensors.kind) or chip > len(tensors.chip_bytes):
        state.counters[NEEDED_TILES] = count
        state.counters[NEEDED_TENSORS] = dram
        state.counters[NEEDED_CHIP_TENSORS] = chip
        return NEEDS_ROOM, INVALID
    state.counters[TILES_PRICED] += count
    make_tensors(table, lfa, tiles, places, settings.dram_rate, tensors)
    lay_out(tiles, tensors, chip, count, scratch.tile_cycles, scratch.chip_usage)
    sequence = TileSequence(count, scratch.tile_cycles, scratch.chip_usage)
    # Both ways of pricing stand here: passing their arrays to functions takes a twentieth of the time of a candidate.
    dlsa, limit = scratch.dlsa, settings.limit_bytes
    if settings.costing == GREEDY:
        cutoff = _slowest_accepted(state.ceiling[0], energy_factor, settings.delay_exponent)
        shorter = len(periods.copies) > 0
        if shorter and cutoff < NO_CUTOFF:
            cutoff -= cycles_left_out(periods, tiles, tensors, dram, scratch.times.tile_begin, False)
        latency = max(greedy(tensors, dram, sequence, limit, cutoff, scratch.greedy, dlsa), 0)  # 0: overflows
        if latency == NO_CUTOFF:
            return DONE, TOO_COSTLY
        if shorter and latency > 0:
            begin_times(sequence, tensors, dram, dlsa, scratch.times)
            latency += cycles_left_out(periods, tiles, tensors, dram, scratch.times.tile_begin, True)
        peak = limit - _least(scratch.greedy.free, count)
    else:
        double_buffer(tensors, dram, dlsa)
        peak = fill_usage(tensors.bytes, dram, dlsa, sequence, scratch.usage)
        latency = begin_times(sequence, tensors, dram, dlsa, scratch.times)
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


@in_place
def _least(values: IntArray, count: int) -> int:
    """Return the least of the first `count` values."""
    least: int = values[0]
    for p in range(1, count):
        least = min(least, values[p])
    return least
