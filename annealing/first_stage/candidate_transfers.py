"""Peak and transfers of an LFA candidate, without a list of its tensors (kernels; docs/first-stage.md#the-search).

The tiles of an FLG come in *rounds*: round t has tile t of each of its layers. What is alive at the places of a round
differs little from round to round if every living duration is the shortest:

- a tensor whose last use is in its own FLG lives within one round, and its like lives in every other round;
- a *held* tensor is used by all tiles of a layer in a later FLG: from round to round one more is alive;
- weights come in the first round, and go in the last round of the last layer that uses them.

So between the first round and the last, the bytes alive grow by the same amount at each place, and the peak of an FLG
of n > 3 rounds is in its first round, its last, or the one before: the *outline* of an LFA has only these. It shows
whether a candidate fits, and the room of all other positions follows from it.

The queues of the greedy pass are filled in the order in which they are sorted: by FLG, round and place.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.annealing.first_stage.candidate_tiles import CutFLGs, size_load
from soma_cp.annealing.second_stage.greedy_kernel import Queue, Queues
from soma_cp.model.arrays import IntArray
from soma_cp.model.compiled import in_place
from soma_cp.model.data_types import packed
from soma_cp.model.hardware.platform import DramRate
from soma_cp.model.network import network_table as nt
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.model.soma.lfa import LFAArrays
from soma_cp.model.soma.tensors import TensorPlaces, count_tensors, transfer_cycles
from soma_cp.model.soma.tiling import LayerTiles

ROUNDS = 3
"""Rounds of an FLG in an outline, at most."""


# Columns of `Outline.items`.
FLG, QUEUE, POSITION, LIMIT, LIMIT_STEP, STEP, BYTES, CYCLES = range(8)
ITEM = 8
# The queue of an item; weights have but one tensor, which is queued among the plain loads.
PLAIN_LOADS, READER_LOADS, STORED, WEIGHTS = range(4)


class Outline(NamedTuple):
    """The first rounds of each FLG, the last, and the one before; by layer id unless stated otherwise.

    Parameters
    ----------
    first, last
        int64[L]: positions in the outline of the layer's first and last tile.
    held, weights_last
        int64[E], int64[L]: positions in the outline: of the last tile of the readers in other FLGs of the load of an
        edge, −1 if there are none, at its owner; and of the last tile that uses the weights. Where no load is shared,
        `held` is not filled.
    growth
        int64[L]: by the place where an FLG begins, the bytes by which each round outgrows the one before.
    alive
        int64[ROUNDS · L + 1]: bytes alive at each position of the outline.
    rounds
        int64[L]: by the place where an FLG begins, how many tiles its layers have.
    items
        int64[E + 2 · L, ITEM]: tensors of one layer, alike but for the tile: the place where the FLG begins, the queue,
        position and limit of the first (`Queue`), by how much limit and position grow from tile to tile, bytes, cycles.
    """

    first: IntArray
    last: IntArray
    held: IntArray
    weights_last: IntArray
    growth: IntArray
    alive: IntArray
    rounds: IntArray
    items: IntArray


class Survey(NamedTuple):
    """What the tensors of a candidate add up to.

    Parameters
    ----------
    dram, chip
        Numbers of DRAM tensors and of ofmap tensors that stay on chip.
    moved_bytes
        Of all transfers.
    loads, stores, head, tail
        Cycles of all loads, all stores, the loads of the first tile, and the store of the last.
    last_layer
        Id of the layer that the last tile belongs to.
    positions, items
        Numbers of positions and of items of the outline.
    """

    dram: int
    chip: int
    moved_bytes: int
    loads: int
    stores: int
    head: int
    tail: int
    last_layer: int
    positions: int
    items: int


def empty_outline(table: NetworkTable) -> Outline:
    """Allocate an `Outline`."""
    layers, edges = len(table.layers), len(table.source)
    counts = (layers, layers, edges, layers, layers, ROUNDS * layers + 1, layers, (edges + 2 * layers, ITEM))
    return Outline(*(np.zeros(count, np.int64) for count in counts))


@in_place
def survey(
    table: NetworkTable,
    lfa: LFAArrays,
    tiles: LayerTiles,
    cut: CutFLGs,
    dram_rate: DramRate,
    all_places: bool,
    times: IntArray,
    places: TensorPlaces,
    outline: Outline,
) -> Survey:
    """Fill `outline` and `places`; return what the tensors add up to.

    `times` (int64[L]) says how many layers a layer stands for (`Periods`); `head`, `tail`, tensors, items count once.
    If no load is shared, and without `all_places`, only the owners and `stored` are filled of `places`.
    ``outline.alive`` has the bytes that come alive at each position less those that go, for `least_peak`.
    """
    order, begins_flg = lfa.order, lfa.begins_flg
    counts, firsts, steps, flg, lg = tiles.count, tiles.first, tiles.step, tiles.flg, tiles.lg
    source_begin, sources, channels = table.source_begin, table.source, table.source_channels
    use_begin, use_layer, is_output = table.use_begin, table.use_layer, table.is_output
    owner, weight_owner, stored = places.owners.edge, places.owners.weights, places.stored
    first, last, growth, alive = outline.first, outline.last, outline.growth, outline.alive
    items = 0
    shares = 0
    for item in range(len(lfa.shares)):
        shares += 1 if lfa.shares[item] else 0
    shared = shares > 0 or all_places
    if shared:
        count_tensors(table, lfa, tiles, places)
    positions = _place_outline(table, lfa, tiles, places, shared, outline)
    for p in range(positions + 1):
        alive[p] = 0
    first_place, last_place = 0, len(order) - 1
    while counts[order[first_place]] == 0:  # an absent part
        first_place += 1
    while counts[order[last_place]] == 0:
        last_place -= 1
    dram, chip, moved, loads, stores, head, tail = 0, 0, 0, 0, 0, 0, 0
    flg_begin, begin = 0, 0  # the FLG's first place, and where its outline begins
    empty = True  # so far the FLG has absent parts alone
    for place in range(len(order)):
        if begins_flg[place]:
            flg_begin = place
            growth[place] = 0
            empty = True
        layer = order[place]
        count, step, at = counts[layer], steps[layer], first[layer]
        if count == 0:  # an absent part
            continue
        if empty:
            begin = at
            outline.rounds[flg_begin] = count
            empty = False
        position = firsts[layer]
        weights = cut.weight_bytes[layer]
        if weights > 0:
            if not shared:
                weight_owner[layer] = layer
                outline.weights_last[layer] = last[layer]
            if weight_owner[layer] == layer:
                duration = cut.weight_cycles[layer]
                alive[at] += weights
                alive[outline.weights_last[layer] + 1] -= weights
                _add_item(outline.items, items, flg_begin, WEIGHTS, position, 0, 0, 0, weights, duration)
                items += 1
                dram += 1
                moved += cut.weight_moved[layer] * times[layer]
                loads += duration * times[layer]
                head += duration if place == first_place else 0
        for edge in range(source_begin[layer], source_begin[layer + 1]):
            until = -1
            uses = 0
            if not shared:
                source = sources[edge]
                if channels[edge] == 0 or (source >= 0 and lg[source] == lg[layer]):
                    owner[edge] = -1
                    continue
                owner[edge] = edge
                if cut.edge_channels[edge] != channels[edge]:
                    size_load(table, dram_rate, tiles, cut, layer, edge)
                size, duration = cut.load_bytes[edge], cut.load_cycles[edge]
            elif owner[edge] != edge:
                continue
            else:
                elements = tiles.extent[layer, 0] * places.rows[edge] * places.columns[edge] * channels[edge]
                size = packed(elements, table.source_bits[edge])
                duration = transfer_cycles(size, dram_rate)
                until, uses = outline.held[edge], places.last_reader[edge] - firsts[layer]
            source = sources[edge]
            queue, limit = PLAIN_LOADS, 0
            if source >= 0:
                queue, limit = READER_LOADS, firsts[source] + (counts[source] - 1) * steps[source]
            _add_item(outline.items, items, flg_begin, queue, position, limit, 0, step, size, duration)
            items += 1
            _mark(size, count, begin, at, step, uses, until, alive)
            growth[flg_begin] += size if until >= 0 else 0
            dram += count
            moved += count * size * times[layer]
            loads += count * duration * times[layer]
            head += duration if place == first_place else 0
        uses, until, held_until = 0, -1, -1
        to_dram = is_output[layer]
        for use in range(use_begin[layer], use_begin[layer + 1]):
            consumer = use_layer[use]
            if flg[consumer] == flg[layer]:
                uses = max(uses, firsts[consumer] - firsts[layer])
            elif lg[consumer] == lg[layer]:
                until = max(until, firsts[consumer] + (counts[consumer] - 1) * steps[consumer])
                held_until = max(held_until, last[consumer])
            else:
                to_dram = True
        size = cut.ofmap_bytes[layer]
        _mark(size, count, begin, at, step, uses, held_until, alive)
        growth[flg_begin] += size if held_until >= 0 else 0
        stored[layer] = to_dram
        if to_dram:
            dram += count
            moved += count * size * times[layer]
            stores += count * cut.store_cycles[layer] * times[layer]
            tail = cut.store_cycles[layer] if place == last_place else tail
            limit, grows = until + 1, 0
            if until < 0:
                limit, grows = position + uses + 1, step
            duration = cut.store_cycles[layer]
            _add_item(outline.items, items, flg_begin, STORED, position, limit, grows, step, size, duration)
            items += 1
        else:
            chip += count
    return Survey(dram, chip, moved, loads, stores, head, tail, order[last_place], positions, items)


@in_place
def _place_outline(
    table: NetworkTable, lfa: LFAArrays, tiles: LayerTiles, places: TensorPlaces, shared: bool, outline: Outline
) -> int:
    """Fill the positions in `outline`, and if loads are shared, what is held until when; return how many it has."""
    order, begins_flg = lfa.order, lfa.begins_flg
    counts, firsts, steps, flg = tiles.count, tiles.first, tiles.step, tiles.flg
    source_begin, readers, layers = table.source_begin, table.reader, table.layers
    owner, weight_owner = places.owners.edge, places.owners.weights
    first, last, held, weights_last = outline.first, outline.last, outline.held, outline.weights_last
    at, begin, width = 0, 0, 0  # in the outline; the FLG's first position in the LFA; positions of its outline
    empty = True  # so far the FLG has absent parts alone
    for place in range(len(order)):
        if begins_flg[place]:
            at += width
            width = 0
            empty = True
        layer = order[place]
        if counts[layer] == 0:  # an absent part
            continue
        if empty:
            begin = firsts[layer]
            width = min(counts[layer], ROUNDS) * steps[layer]
            empty = False
        first[layer] = at + firsts[layer] - begin
        last[layer] = first[layer] + width - steps[layer]
        if not shared:
            continue
        for edge in range(source_begin[layer], source_begin[layer + 1]):
            own = owner[edge]
            if own == edge:
                held[edge] = -1
            elif own >= 0 and flg[readers[own]] != flg[layer]:
                held[own] = last[layer]
        if layers[layer, nt.WEIGHT_BYTES] > 0:
            weights_last[weight_owner[layer]] = last[layer]
    return at + width


@in_place
def least_peak(outline: Outline, positions: int) -> int:
    """Fill ``outline.alive``; return the peak (bytes) if every living duration is the shortest."""
    alive = outline.alive
    peak: int = alive[0]
    for p in range(1, positions):
        alive[p] += alive[p - 1]
        peak = max(peak, alive[p])
    return peak


@in_place
def _mark(
    size: int, count: int, begin: int, first: int, step: int, uses: int, held_until: int, alive: IntArray
) -> None:
    """Mark the tensors of `count` tiles, the first at `first`, held until a position or used `uses` positions later.

    The outline of the FLG begins at `begin`.
    """
    if held_until < 0:
        for tile in range(min(count, ROUNDS)):
            alive[first + tile * step] += size
            alive[first + tile * step + uses + 1] -= size
        return
    alive[held_until + 1] -= count * size
    alive[first] += size
    if count > 1:
        alive[first + (min(count, ROUNDS) - 1) * step] += size
    if count > 2:
        alive[begin + step] += (count - ROUNDS) * size  # of the rounds that the outline leaves out
        alive[first + step] += size


@in_place
def fill_room(lfa: LFAArrays, tiles: LayerTiles, outline: Outline, capacity: int, free: IntArray) -> None:
    """Fill ``free[0 … T − 1]`` with the bytes left at each position if every living duration is the shortest."""
    order, begins_flg, alive, growths = lfa.order, lfa.begins_flg, outline.alive, outline.growth
    flg_begin = 0
    empty = True  # so far the FLG has absent parts alone
    for place in range(len(order)):
        if begins_flg[place]:
            flg_begin = place
            empty = True
        layer = order[place]
        count, step = tiles.count[layer], tiles.step[layer]
        if count == 0 or not empty:
            continue
        empty = False
        at = tiles.first[layer]
        growth = growths[flg_begin]
        row, last = outline.first[layer], outline.last[layer]
        left = capacity + (count - ROUNDS) * growth  # in the second round
        for p in range(step):
            free[at + p] = capacity - alive[row + p]
        if count > 2:
            for p in range(step):
                free[at + step + p] = left - alive[row + step + p]
            for p in range(at + 2 * step, at + (count - 1) * step):
                free[p] = free[p - step] - growth
        if count > 1:
            at += (count - 1) * step
            for p in range(step):
                free[at + p] = capacity - alive[last + p]


@in_place
def fill_elapsed(lfa: LFAArrays, tiles: LayerTiles, elapsed: IntArray) -> None:
    """Fill ``elapsed[0 … T]`` with the cycles of all tiles before each position."""
    order, begins_flg = lfa.order, lfa.begins_flg
    counts, steps, cycles = tiles.count, tiles.step, tiles.cycles
    elapsed[0] = 0
    at = 0
    place = 0
    while place < len(order):
        count, step, begin = 0, 0, at
        while place < len(order) and (place == 0 or at == begin or not begins_flg[place]):
            layer = order[place]
            if counts[layer] > 0:
                count, step = counts[layer], steps[layer]
                elapsed[at + 1] = elapsed[at] + cycles[layer]
                at += 1
            place += 1
        round_cycles = elapsed[at] - elapsed[begin]
        for p in range(at + 1, begin + count * step + 1):
            elapsed[p] = elapsed[p - step] + round_cycles
        at = begin + count * step


@in_place
def fill_queues(count: int, outline: Outline, queues: Queues) -> tuple[int, int, int]:
    """Fill `queues`, but for indices of tensors, from the first `count` items; return how long the queues are."""
    items, all_rounds = outline.items, outline.rounds
    plain, readers, stores = queues.plain, queues.readers, queues.stores
    plain_at, reader_at, store_at = 0, 0, 0
    begin = 0
    while begin < count:
        flg = items[begin, FLG]
        rounds = all_rounds[flg]
        end, weights = begin, 0
        plain_step, reader_step, store_step = 0, 0, 0  # tensors of a round, without weights
        while end < count and items[end, FLG] == flg:
            queue = items[end, QUEUE]
            plain_step += 1 if queue == PLAIN_LOADS else 0
            reader_step += 1 if queue == READER_LOADS else 0
            store_step += 1 if queue == STORED else 0
            weights += 1 if queue == WEIGHTS else 0
            end += 1
        next_plain = plain_at + plain_step + weights  # in the second round
        next_reader, next_store = reader_at, store_at
        plain_end = plain_at + weights + plain_step * rounds
        reader_end, store_end = reader_at + reader_step * rounds, store_at + store_step * rounds
        for item in range(begin, end):
            queue = items[item, QUEUE]
            if queue == STORED:
                _queue(items, item, stores, next_store, 0, rounds, store_step)
                next_store += 1
            elif queue == READER_LOADS:
                _queue(items, item, readers, next_reader, 0, rounds, reader_step)
                next_reader += 1
            else:
                _queue(items, item, plain, plain_at, 0, 1, 0)
                plain_at += 1
                if queue == PLAIN_LOADS:
                    _queue(items, item, plain, next_plain, 1, rounds, plain_step)
                    next_plain += 1
        plain_at, reader_at, store_at = plain_end, reader_end, store_end
        begin = end
    return plain_at, reader_at, store_at


@in_place
def _queue(items: IntArray, item: int, queue: Queue, at: int, first: int, last: int, stride: int) -> None:
    """Put the tensors of an item of the tiles `first` … `last` − 1 into `queue`, every `stride` from `at` on."""
    positions, sizes, durations, limits = queue.position, queue.bytes, queue.cycles, queue.limit
    step, limit_step = items[item, STEP], items[item, LIMIT_STEP]
    position, limit = items[item, POSITION] + first * step, items[item, LIMIT] + first * limit_step
    size, cycles = items[item, BYTES], items[item, CYCLES]
    for _ in range(first, last):
        positions[at] = position
        sizes[at] = size
        durations[at] = cycles
        limits[at] = limit
        at += stride
        position += step
        limit += limit_step


@in_place
def _add_item(
    items: IntArray,
    at: int,
    flg: int,
    queue: int,
    position: int,
    limit: int,
    limit_step: int,
    step: int,
    size: int,
    cycles: int,
) -> None:
    """Write the item `at`."""
    items[at, FLG], items[at, QUEUE], items[at, POSITION], items[at, LIMIT] = flg, queue, position, limit
    items[at, LIMIT_STEP], items[at, STEP], items[at, BYTES], items[at, CYCLES] = limit_step, step, size, cycles
