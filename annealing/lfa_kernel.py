"""Annealing rounds of the first stage (kernels; specification: search.md, "First stage").

A round draws a move, tiles the candidate, looks up what its tiles cost, lists its tensors and runs it under
double buffering. When a tile's cost is not known yet, or the room for tiles and tensors is too small, the kernel
returns in the middle of the round; it goes on with the same candidate when called again.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.annealing.acceptance import accepts, temperature
from soma_cp.annealing.cost_cache import CostTable, look_up_costs
from soma_cp.annealing.lfa_moves import keeps_groups_apart, paper_move
from soma_cp.model.compiled import compiled
from soma_cp.model.evaluation_kernel import begin_times, buffer_usage
from soma_cp.model.network_table import IntArray, NetworkTable
from soma_cp.model.tensors import TensorPlaces, Tensors, count_tensors, double_buffering, make_tensors
from soma_cp.model.tiling import FloatArray, LayerTiles, LFAArrays, tile_layers

# Why `anneal_lfa` returned.
DONE, UNKNOWN_COSTS, NEEDS_ROOM = 0, 1, 2

# Items of `LFAState.counters`.
ROUND = 0  # next round
PENDING = 1  # 1 while a candidate waits to be evaluated
UNKNOWN = 2  # layers in `missing`
NEEDED_TILES, NEEDED_TENSORS, NEEDED_CHIP_TENSORS = 3, 4, 5
COUNTERS = 6

# Items of `LFAState.figures` (float64), once for the current and once for the best LFA.
COST, OVERFLOW_BYTES, LATENCY, ENERGY_PJ, PEAK_BYTES = 0, 1, 2, 3, 4
FIGURES = 5


class LFAState(NamedTuple):
    """The current LFA, the candidate and the best, with figures of the current (row 0) and the best (row 1).

    `figures` is float64[3, FIGURES]; row 2 is the candidate's. An LFA that overflows the buffer has a cost of
    infinity and its overflow in bytes; until a first one fits, the search goes towards less overflow.
    """

    current: LFAArrays
    candidate: LFAArrays
    best: LFAArrays
    figures: FloatArray
    counters: IntArray
    missing: IntArray


class LFAScratch(NamedTuple):
    """Room for one candidate: by layer, by DRAM tensor and by tile position (one more than there are tiles)."""

    tiles: LayerTiles
    places: TensorPlaces
    tensors: Tensors
    start: IntArray
    end: IntArray
    order: IntArray
    tensor_begin: IntArray
    tile_cycles: IntArray
    chip_usage: IntArray
    usage: IntArray
    gate: IntArray
    waits: IntArray
    tile_begin: IntArray


class LFASettings(NamedTuple):
    """What stays the same over a search.

    Parameters
    ----------
    batch
        Samples.
    limit_bytes
        Buffer that the first stage may use.
    dram_bytes_per_cycle, dram_pj_per_byte
        Of the platform.
    energy_exponent, delay_exponent
        Of the objective.
    initial_temperature, alpha, return_to_best_at
        Of the cooling.
    rounds
        N.
    """

    batch: int
    limit_bytes: int
    dram_bytes_per_cycle: int
    dram_pj_per_byte: float
    energy_exponent: float
    delay_exponent: float
    initial_temperature: float
    alpha: float
    return_to_best_at: float
    rounds: int


@compiled
def copy_lfa(source: LFAArrays, target: LFAArrays) -> None:
    """Copy all arrays of an LFA."""
    target.order[:] = source.order
    target.begins_flg[:] = source.begins_flg
    target.begins_lg[:] = source.begins_lg
    target.tiling[:] = source.tiling


@compiled
def lay_out(
    tiles: LayerTiles, tensors: Tensors, chip: int, count: int, scratch_cycles: IntArray, chip_usage: IntArray
) -> None:
    """Fill the cycles and the on-chip bytes of the first `count` positions."""
    for layer in range(len(tiles.count)):
        position = tiles.first[layer]
        for _ in range(tiles.count[layer]):
            scratch_cycles[position] = tiles.cycles[layer]
            position += tiles.step[layer]
    for p in range(count + 1):
        chip_usage[p] = 0
    for n in range(chip):
        chip_usage[tensors.chip_start[n]] += tensors.chip_bytes[n]
        chip_usage[tensors.chip_end[n]] -= tensors.chip_bytes[n]
    for p in range(1, count):
        chip_usage[p] += chip_usage[p - 1]


@compiled
def evaluate_candidate(
    table: NetworkTable,
    costs: CostTable,
    apart: IntArray,
    settings: LFASettings,
    state: LFAState,
    scratch: LFAScratch,
) -> tuple[int, bool]:
    """Fill the candidate's figures; return DONE or what is missing, and whether it is a valid LFA."""
    lfa = state.candidate
    if not keeps_groups_apart(lfa, apart):
        return DONE, False
    total = 0
    place = 0
    while place < len(lfa.order):  # refuse monsters before tiles are counted out
        end = place + 1
        while end < len(lfa.order) and not lfa.begins_flg[end]:
            end += 1
        total += lfa.tiling[place] * (end - place)
        place = end
    if total > MAX_CANDIDATE_TILES:
        return DONE, False
    count = tile_layers(table, settings.batch, lfa, scratch.tiles)
    if count < 0:
        return DONE, False
    unknown, feasible = look_up_costs(costs, scratch.tiles, state.missing)
    if unknown > 0:
        state.counters[UNKNOWN] = unknown
        return UNKNOWN_COSTS, False
    if not feasible:
        return DONE, False
    dram, chip = count_tensors(table, lfa, scratch.tiles, scratch.places)
    if count + 1 > len(scratch.gate) or dram > len(scratch.tensors.kind) or chip > len(scratch.tensors.chip_bytes):
        state.counters[NEEDED_TILES] = count
        state.counters[NEEDED_TENSORS] = dram
        state.counters[NEEDED_CHIP_TENSORS] = chip
        return NEEDS_ROOM, False
    tensors = scratch.tensors
    make_tensors(table, lfa, scratch.tiles, scratch.places, settings.dram_bytes_per_cycle, tensors)
    lay_out(scratch.tiles, tensors, chip, count, scratch.tile_cycles, scratch.chip_usage)
    double_buffering(tensors, dram, scratch.start, scratch.end, scratch.order)
    peak = buffer_usage(
        tensors.bytes[:dram],
        scratch.start[:dram],
        scratch.end[:dram],
        scratch.chip_usage[:count],
        scratch.usage[: count + 1],
    )
    latency = begin_times(
        scratch.tile_cycles[:count],
        tensors.is_store[:dram],
        tensors.cycles[:dram],
        tensors.position[:dram],
        scratch.order[:dram],
        scratch.start[:dram],
        scratch.end[:dram],
        scratch.gate[: count + 1],
        scratch.waits[: count + 1],
        scratch.tile_begin[:count],
        scratch.tensor_begin[:dram],
    )
    energy = 0.0
    for layer in range(len(scratch.tiles.count)):
        energy += scratch.tiles.count[layer] * scratch.tiles.energy_pj[layer]
    for i in range(dram):
        energy += tensors.bytes[i] * settings.dram_pj_per_byte
    figures = state.figures[2]
    figures[OVERFLOW_BYTES] = max(peak - settings.limit_bytes, 0)
    figures[LATENCY] = latency
    figures[ENERGY_PJ] = energy
    figures[PEAK_BYTES] = peak
    figures[COST] = np.inf
    if figures[OVERFLOW_BYTES] == 0:
        figures[COST] = energy**settings.energy_exponent * float(latency) ** settings.delay_exponent
    return DONE, True


MAX_CANDIDATE_TILES = 500_000
"""Candidates with more tiles are refused: they would cost a search minutes each, and never win."""


@compiled
def _accepted(state: LFAState, heat: float, chance: float) -> bool:
    current, candidate = state.figures[0], state.figures[2]
    if current[OVERFLOW_BYTES] > 0 or candidate[OVERFLOW_BYTES] > 0:
        return bool(candidate[OVERFLOW_BYTES] <= current[OVERFLOW_BYTES])
    return accepts(current[COST], candidate[COST], heat, chance)


@compiled
def _is_new_best(state: LFAState) -> bool:
    best, candidate = state.figures[1], state.figures[2]
    if best[OVERFLOW_BYTES] > 0 or candidate[OVERFLOW_BYTES] > 0:
        return bool(candidate[OVERFLOW_BYTES] < best[OVERFLOW_BYTES])
    return bool(candidate[COST] < best[COST])


@compiled
def anneal_lfa(
    table: NetworkTable,
    costs: CostTable,
    apart: IntArray,
    settings: LFASettings,
    state: LFAState,
    scratch: LFAScratch,
    last_round: int,
    heated: bool,
    random: np.random.Generator,
) -> int:
    """Go on until round `last_round`; return DONE, UNKNOWN_COSTS or NEEDS_ROOM.

    Without `heated`, only what is no worse is accepted.
    """
    counters = state.counters
    while counters[ROUND] < last_round:
        done = counters[ROUND]
        if counters[PENDING] == 0:
            if done == int(settings.return_to_best_at * settings.rounds):
                copy_lfa(state.best, state.current)
                state.figures[0] = state.figures[1]
            copy_lfa(state.current, state.candidate)
            if not paper_move(table, state.candidate, random):
                counters[ROUND] += 1
                continue
            counters[PENDING] = 1
        status, valid = evaluate_candidate(table, costs, apart, settings, state, scratch)
        if status != DONE:
            return status
        counters[PENDING] = 0
        counters[ROUND] += 1
        if not valid:
            continue
        heat = temperature(settings.initial_temperature, settings.alpha, done, settings.rounds) if heated else 0.0
        if _accepted(state, heat, random.random()):
            copy_lfa(state.candidate, state.current)
            state.figures[0] = state.figures[2]
            if _is_new_best(state):
                copy_lfa(state.candidate, state.best)
                state.figures[1] = state.figures[2]
    return DONE
