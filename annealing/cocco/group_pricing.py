"""Prices groups, and schedules made of them, under double buffering (kernels; docs/cocco.md#the-price-of-a-group).

In this space every FLG is an LG, so nothing stays on chip between groups. What crosses a border is time, and the loads
of a group's first tile, which are held during the last tile of the group before. Energy is a sum over groups. For the
latency, let f be the first position of a group, and

- x, y: when the tiles at positions f − 2 and f − 1 end,
- d: when the DRAM channel has served all tensors whose Start is below f − 1,
- q: when the last of the stores that the tile at f waits for has finished, but for that of the tile at f − 1.

Double buffering sorts tensors by Start. The Start f − 1 belongs to the weights of the tile at f, the store of the tile
at f − 1 and the ifmaps of the tile at f, in this order; `_pass_border` serves them. All other tensors of the group have
a Start of f or more, and wait for the tile at f − 1 or for tiles of the group, which wait for one another, for the
begin of the tile at f, and for the channel. Each time is a maximum of sums, and so (x, y, d, q) at the group's end is a
max-plus linear map of y, the begin of the tile at f, and d after the border: 4 × 3 numbers, which depend on the group
alone. `_fill_figures` finds them by running the group once on vectors.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.annealing.cocco.group_table import (
    HEAD_BYTES,
    HEAD_IFMAPS,
    HEAD_WEIGHTS,
    LAST_BYTES,
    NUMBER,
    PEAK_BYTES,
    TAIL,
    TIMES,
    VALID,
    GroupTable,
    has_room,
    insert_group,
    slot_of,
)
from soma_cp.annealing.cocco.tiling_rules import RuleCode
from soma_cp.annealing.first_stage.cost_cache import INFEASIBLE, CostTable, find_cost
from soma_cp.annealing.first_stage.groups import group_end
from soma_cp.annealing.first_stage.lfa_pricing import (
    DONE,
    MAX_CANDIDATE_TILES,
    NEEDED_CHIP_TENSORS,
    NEEDED_TENSORS,
    NEEDED_TILES,
    NEEDS_ROOM,
    TILES_PRICED,
    UNKNOWN,
    UNKNOWN_COSTS,
    lay_out,
)
from soma_cp.model.arrays import BoolArray, FloatArray, IntArray
from soma_cp.model.compiled import compiled, in_place
from soma_cp.model.hardware.platform import DramRate
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.model.soma.dlsa import DLSA, awaited_tile, double_buffer, empty_dlsa, waiting_tile
from soma_cp.model.soma.lfa import LFAArrays
from soma_cp.model.soma.occupancy import fill_usage
from soma_cp.model.soma.tensors import (
    WGT,
    TensorPlaces,
    Tensors,
    count_tensors,
    empty_tensor_places,
    empty_tensors,
    make_tensors,
)
from soma_cp.model.soma.tiling import LayerTiles, TileSequence, cut_group, empty_layer_tiles, place_group

NEVER = -(1 << 60)
"""In a max-plus vector: does not depend on this input."""

# The inputs of a group's map, and its rows.
END_BEFORE, BEGIN, CHANNEL = 0, 1, 2
INPUTS = 3
ROWS = 4  # x, y, d, q

TABLE_FULL = 4
"""Why pricing returned, besides the reasons in `lfa_pricing`: there is no room for another group."""

# Items of the float64 figures of a schedule.
SUM_ENERGY_PJ, SUM_LATENCY, SUM_PEAK_BYTES = 0, 1, 2


class Space(NamedTuple):
    """What the price of a group depends on, besides the network and the costs of tiles.

    Parameters
    ----------
    batch
        Samples.
    dram_rate, dram_pj_per_byte
        Of the platform.
    numbers
        int64[L]: each layer's own tiling number.
    rule
        One of `RuleCode`.
    apart
        int64[L]: a group never mixes layers of different classes.
    """

    batch: int
    dram_rate: DramRate
    dram_pj_per_byte: float
    numbers: IntArray
    rule: int
    apart: IntArray


class GroupScratch(NamedTuple):
    """Scratch for the group that is priced, by layer, DRAM tensor or position.

    Parameters
    ----------
    tiles, places, tensors, dlsa, tile_cycles, chip_usage, usage
        Those of the group alone.
    begins, tiling
        Those of an LFA that is one group: bool[L], true at place 0 alone; int64[L].
    stack
        int64[L]: layers that are known to be connected with the first.
    begin, gate
        int64[T + 1, INPUTS]: when tiles begin, and what they wait for, as max-plus vectors.
    counters
        int64[lfa_pricing.COUNTERS]: those of a search.
    missing
        int64[L]: layers whose tiles have unknown costs.
    """

    tiles: LayerTiles
    places: TensorPlaces
    tensors: Tensors
    dlsa: DLSA
    tile_cycles: IntArray
    chip_usage: IntArray
    usage: IntArray
    begins: BoolArray
    tiling: IntArray
    stack: IntArray
    begin: IntArray
    gate: IntArray
    counters: IntArray
    missing: IntArray


def group_scratch(table: NetworkTable, counters: IntArray, tiles: int, tensors: int, chip: int) -> GroupScratch:
    """Allocate a `GroupScratch` for groups of up to that many tiles, DRAM tensors and ofmap tensors on chip."""
    layers = len(table.layers)
    return GroupScratch(
        tiles=empty_layer_tiles(layers),
        places=empty_tensor_places(table),
        tensors=empty_tensors(tensors, chip),
        dlsa=empty_dlsa(tensors),
        tile_cycles=np.zeros(tiles + 1, np.int64),
        chip_usage=np.zeros(tiles + 1, np.int64),
        usage=np.zeros(tiles + 1, np.int64),
        begins=np.arange(layers) == 0,
        tiling=np.zeros(layers, np.int64),
        stack=np.zeros(layers, np.int64),
        begin=np.zeros((tiles + 1, INPUTS), np.int64),
        gate=np.zeros((tiles + 1, INPUTS), np.int64),
        counters=counters,
        missing=np.zeros(layers, np.int64),
    )


@compiled
def price_groups(
    table: NetworkTable,
    costs: CostTable,
    space: Space,
    groups: GroupTable,
    scratch: GroupScratch,
    lfa: LFAArrays,
    figures: FloatArray,
) -> tuple[int, bool]:
    """Price the schedule of an LFA of this space; return DONE, or what is lacking, and whether the LFA is valid.

    Fills ``figures[SUM_…]`` of a valid one. Where every FLG is an LG, `lfa.begins_lg` alone is read, and
    `lfa.tiling` under the rule INHERIT.
    """
    order, begins, known = lfa.order, lfa.begins_lg, groups.figures
    energy, peak, last_bytes, tail = 0.0, 0, 0, 0
    state = (0, 0, 0, 0)
    begin = 0
    while begin < len(order):
        end = group_end(begins, begin)
        asked = lfa.tiling[begin] if space.rule == RuleCode.INHERIT else 0
        record = groups.slots[slot_of(groups, order, begin, end, asked)]
        if record < 0:
            status = price_group(table, costs, space, groups, scratch, part_of(lfa, begin, end, scratch), asked)
            if status != DONE:
                return status, False
            record = groups.slots[slot_of(groups, order, begin, end, asked)]
        if known[record, VALID] == 0:
            return DONE, False
        energy += groups.energy_pj[record]
        peak = max(peak, known[record, PEAK_BYTES], last_bytes + known[record, HEAD_BYTES])
        state = _after_group(known, record, _pass_border(known, record, state, tail))
        last_bytes, tail = known[record, LAST_BYTES], known[record, TAIL]
        begin = end
    _, tiles_end, channel, _ = state
    if tail > 0:
        channel = max(channel, tiles_end) + tail
    figures[SUM_ENERGY_PJ], figures[SUM_LATENCY], figures[SUM_PEAK_BYTES] = energy, max(tiles_end, channel), peak
    return DONE, True


@compiled
def part_of(lfa: LFAArrays, begin: int, end: int, scratch: GroupScratch) -> LFAArrays:
    """Return the group at places begin … end − 1 as an LFA of its own."""
    size = end - begin
    begins, tiling = scratch.begins[:size], scratch.tiling[:size]
    return LFAArrays(lfa.order[begin:end], begins, begins, tiling, lfa.shares, lfa.channels)


@in_place
def _pass_border(known: IntArray, record: int, state: tuple[int, int, int, int], tail: int) -> tuple[int, int, int]:
    """Serve the transfers at a border; return the inputs of the next group's map. `tail` is of the group before."""
    x, y, d, q = state
    begin = max(y, q)
    weights, ifmaps = known[record, HEAD_WEIGHTS], known[record, HEAD_IFMAPS]
    if weights > 0:
        d = max(d, x) + weights
    if tail > 0:
        d = max(d, y) + tail
    if ifmaps > 0:
        d = max(d, x) + ifmaps
    if weights > 0 or tail > 0 or ifmaps > 0:
        begin = max(begin, d)
    return y, begin, d


@in_place
def _after_group(known: IntArray, record: int, inputs: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Apply a group's map."""
    y, begin, d = inputs
    x_next = max(known[record, TIMES] + y, known[record, TIMES + 1] + begin, known[record, TIMES + 2] + d)
    y_next = max(known[record, TIMES + 3] + y, known[record, TIMES + 4] + begin, known[record, TIMES + 5] + d)
    d_next = max(known[record, TIMES + 6] + y, known[record, TIMES + 7] + begin, known[record, TIMES + 8] + d)
    q_next = max(known[record, TIMES + 9] + y, known[record, TIMES + 10] + begin, known[record, TIMES + 11] + d)
    return x_next, y_next, d_next, q_next


@compiled
def price_group(
    table: NetworkTable,
    costs: CostTable,
    space: Space,
    groups: GroupTable,
    scratch: GroupScratch,
    lfa: LFAArrays,
    asked: int,
) -> int:
    """Insert the group that is all of `lfa`; return DONE, or what is lacking."""
    order, tiles, places, tensors = lfa.order, scratch.tiles, scratch.places, scratch.tensors
    counters, size = scratch.counters, len(lfa.order)
    if not has_room(groups, size):
        return TABLE_FULL
    for layer in range(len(tiles.count)):
        tiles.flg[layer] = tiles.lg[layer] = -1
        tiles.count[layer] = 0
    for layer in order:
        tiles.flg[layer] = tiles.lg[layer] = 0
    number = asked if space.rule == RuleCode.INHERIT else number_of(table, tiles.flg, order, space.numbers, space.rule)
    lfa.tiling[0] = number
    if (
        number * size > MAX_CANDIDATE_TILES
        or not is_one_group(table, tiles.flg, order, space.apart, scratch.stack)
        or not cut_group(table, space.batch, lfa, tiles, 0, size)
    ):
        insert_group(groups, order, 0, size, asked)
        return DONE
    count = place_group(table.layers, lfa, tiles, 0, size, 0)
    status, feasible = _look_up(costs, order, scratch)
    if status != DONE:
        return status
    dram, chip = count_tensors(table, lfa, tiles, places)
    if count + 1 > len(scratch.usage) or dram > len(tensors.kind) or chip > len(tensors.chip_bytes):
        counters[NEEDED_TILES], counters[NEEDED_TENSORS], counters[NEEDED_CHIP_TENSORS] = count, dram, chip
        return NEEDS_ROOM
    record = insert_group(groups, order, 0, size, asked)
    if feasible:
        counters[TILES_PRICED] += count
        make_tensors(table, lfa, tiles, places, space.dram_rate, tensors)
        lay_out(tiles, tensors, chip, count, scratch.tile_cycles, scratch.chip_usage)
        double_buffer(tensors, dram, scratch.dlsa)
        row = groups.figures[record]
        row[VALID], row[NUMBER] = 1, number
        groups.energy_pj[record] = _energy_pj(order, tiles, tensors, dram, space.dram_pj_per_byte)
        _fill_figures(TileSequence(count, scratch.tile_cycles, scratch.chip_usage), dram, scratch, row)
    return DONE


@in_place
def _look_up(costs: CostTable, order: IntArray, scratch: GroupScratch) -> tuple[int, bool]:
    """Fill the costs of tiles; return DONE or UNKNOWN_COSTS, and whether the core array can run those it knows."""
    unknown, feasible = 0, True
    for layer in order:
        if not find_cost(costs, scratch.tiles, layer):
            scratch.missing[unknown] = layer
            unknown += 1
        elif scratch.tiles.cycles[layer] == INFEASIBLE:
            feasible = False
    scratch.counters[UNKNOWN] = unknown
    return UNKNOWN_COSTS if unknown > 0 else DONE, feasible


@in_place
def _energy_pj(order: IntArray, tiles: LayerTiles, tensors: Tensors, dram: int, dram_pj_per_byte: float) -> float:
    """Sum the energy of a group, as `evaluation.plan_figures` does for a plan."""
    energy, moved = 0.0, 0
    for layer in order:
        energy += tiles.count[layer] * tiles.energy_pj[layer]
    for i in range(dram):
        moved += tensors.moved[i]
    return energy + moved * dram_pj_per_byte


@in_place
def number_of(table: NetworkTable, flg: IntArray, order: IntArray, numbers: IntArray, rule: int) -> int:
    """Return the tiling number that a rule gives the group of the layers of `order`, which alone have their `flg`."""
    number = 0
    for layer in order:
        is_read = False
        for use in range(table.use_begin[layer], table.use_begin[layer + 1]):
            is_read = is_read or flg[table.use_layer[use]] == flg[layer]
        if rule == RuleCode.LARGEST or not is_read:
            number = max(number, numbers[layer])
    return number


@in_place
def is_one_group(table: NetworkTable, flg: IntArray, order: IntArray, apart: IntArray, stack: IntArray) -> bool:
    """Whether the layers of `order`, which alone have their `flg`, may be a group: of one class, and connected.

    Two layers are connected if one reads the other, or if both read the same layer or external input. `flg` is changed
    meanwhile.
    """
    own = flg[order[0]]
    reached = own + 1  # marks the layers on the stack; no other layer has this
    flg[order[0]] = reached
    stack[0] = order[0]
    count, done = 1, 0
    while done < count:
        layer = stack[done]
        done += 1
        for other in order:
            if flg[other] == own and touch(table, layer, other):
                flg[other] = reached
                stack[count] = other
                count += 1
    one_class = True
    for layer in order:
        flg[layer] = own
        one_class = one_class and apart[layer] == apart[order[0]]
    return one_class and count == len(order)


@in_place
def touch(table: NetworkTable, one: int, other: int) -> bool:
    """Whether one of two layers reads the other, or both read the same."""
    source_begin, sources = table.source_begin, table.source
    for edge in range(source_begin[one], source_begin[one + 1]):
        if sources[edge] == other:
            return True
        for another in range(source_begin[other], source_begin[other + 1]):
            if sources[another] == sources[edge]:
                return True
    for another in range(source_begin[other], source_begin[other + 1]):
        if sources[another] == one:
            return True
    return False


@in_place
def _fill_figures(sequence: TileSequence, dram: int, scratch: GroupScratch, row: IntArray) -> None:
    """Fill the bytes that a group holds, and what crosses its borders: its head, its tail and its map."""
    row[PEAK_BYTES] = fill_usage(scratch.tensors.bytes, dram, scratch.dlsa, sequence, scratch.usage)
    row[LAST_BYTES] = scratch.usage[sequence.count - 1]
    tensors, dlsa, begin, gate = scratch.tensors, scratch.dlsa, scratch.begin, scratch.gate
    is_store, cycles, position = tensors.is_store, tensors.cycles, tensors.position
    tiles, tile_cycles = sequence.count, sequence.cycles
    for p in range(tiles + 1):
        for n in range(INPUTS):
            gate[p, n] = NEVER
            begin[p, n] = NEVER
    begin[0, BEGIN] = 0
    c0, c1, c2 = NEVER, NEVER, 0  # when the channel is free
    next_tile = 1  # the first that has not run
    for rank in range(dram):
        i = dlsa.order[rank]
        if dlsa.start[i] < 0:
            row[HEAD_WEIGHTS if tensors.kind[i] == WGT else HEAD_IFMAPS] += cycles[i]
            row[HEAD_BYTES] += tensors.bytes[i]
            continue
        if tensors.last_of_lg[i]:
            row[TAIL] = cycles[i]
            continue
        last = awaited_tile(is_store[i], position[i], dlsa.start[i])
        next_tile = _run_tiles(begin, gate, tile_cycles, next_tile, last + 1)
        if last >= 0:
            c0 = max(c0, begin[last, 0] + tile_cycles[last])
            c1 = max(c1, begin[last, 1] + tile_cycles[last])
            c2 = max(c2, begin[last, 2] + tile_cycles[last])
        else:
            c0 = max(c0, 0)
        c0, c1, c2 = c0 + cycles[i], c1 + cycles[i], c2 + cycles[i]
        gated = waiting_tile(is_store[i], position[i], dlsa.end[i])
        gate[gated, 0], gate[gated, 1], gate[gated, 2] = c0, c1, c2  # never earlier than before
    _run_tiles(begin, gate, tile_cycles, next_tile, tiles)
    for n in range(INPUTS):
        row[TIMES + n] = NEVER if tiles == 1 else begin[tiles - 2, n] + tile_cycles[tiles - 2]
        row[TIMES + INPUTS + n] = begin[tiles - 1, n] + tile_cycles[tiles - 1]
        row[TIMES + 3 * INPUTS + n] = gate[tiles, n]
    if tiles == 1:
        row[TIMES + END_BEFORE] = 0
    row[TIMES + 2 * INPUTS], row[TIMES + 2 * INPUTS + 1], row[TIMES + 2 * INPUTS + 2] = c0, c1, c2


@in_place
def _run_tiles(begin: IntArray, gate: IntArray, tile_cycles: IntArray, first: int, end: int) -> int:
    """Run the tiles first … end − 1, all but that at position 0; return the next."""
    while first < end:
        for n in range(INPUTS):
            begin[first, n] = max(begin[first - 1, n] + tile_cycles[first - 1], gate[first, n])
        first += 1
    return first
