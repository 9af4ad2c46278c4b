"""A DLSA in one pass: loads as early as the buffer allows, the channel's order by deadline (kernels).

Specification: search.md, "One greedy pass". The order is made while the schedule is run, so that a candidate
costs one walk over tiles and DRAM tensors, no evaluation on top.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.model.compiled import compiled
from soma_cp.model.network_table import IntArray
from soma_cp.model.tensors import WGT, Tensors

OVERFLOW = -1
"""`greedy` returns ``OVERFLOW - p`` where even the least that must be alive at tile p exceeds the buffer."""

# Ways to share the room that is left in the buffer between loads and stores.
LOADS_FIRST, STORES_FIRST = 0, 1
POLICIES = 2


class GreedyScratch(NamedTuple):
    """Room for the passes: T + 1 items by position, D items by tensor."""

    free: IntArray
    room: IntArray
    gate: IntArray
    waits: IntArray
    finish: IntArray
    keys: IntArray
    loads: IntArray
    stores: IntArray
    start: IntArray
    end: IntArray
    order: IntArray


def greedy_scratch(tiles: int, tensors: int) -> GreedyScratch:
    """Allocate a `GreedyScratch`."""
    by_position = [np.zeros(tiles + 1, np.int64) for _ in range(5)]
    by_tensor = [np.zeros(tensors, np.int64) for _ in range(6)]
    return GreedyScratch(*by_position, *by_tensor)


@compiled
def least_usage(
    tensors: Tensors, count: int, tiles: int, chip_usage: IntArray, capacity: int, free: IntArray
) -> int:
    """Fill ``free[0 … tiles−1]`` with the room that stays when every tensor lives as briefly as it can.

    Returns the least room; negative means that no DLSA of this LFA fits.
    """
    for p in range(tiles + 1):
        free[p] = 0
    for i in range(count):
        free[tensors.position[i]] -= tensors.bytes[i]
        free[tensors.least_end[i]] += tensors.bytes[i]
    held = 0
    least = capacity
    for p in range(tiles):
        held += free[p]
        free[p] = capacity + held - chip_usage[p]
        least = min(least, free[p])
    return least


@compiled
def _sort_by(first: IntArray, second: IntArray, items: IntArray, count: int, keys: IntArray) -> None:
    """Sort `items` (tensor indices, at most as many as there are) by (first, second, index)."""
    span = 1
    last = 1
    for n in range(count):
        span = max(span, second[items[n]] + 2)
        last = max(last, items[n] + 1)
    for n in range(count):
        keys[n] = ((first[items[n]] + 1) * span + second[items[n]] + 1) * last + items[n]
    keys[:count].sort()
    for n in range(count):
        items[n] = keys[n] % last


@compiled
def _pull_loads(
    tensors: Tensors, loads: IntArray, count: int, room: IntArray, start: IntArray
) -> None:
    """Pull each Start as early as the room and the previous load's Start allow; `loads` are in order of need."""
    previous = -1
    for n in range(count):
        i = loads[n]
        waits_for_stores = tensors.after_end[i] > tensors.after_begin[i]
        earliest = previous
        if waits_for_stores:
            earliest = max(earliest, tensors.position[tensors.after_end[i] - 1] + 1)
        at = tensors.position[i]
        while at > max(earliest, 0) and room[at - 1] >= tensors.bytes[i]:
            at -= 1
            room[at] -= tensors.bytes[i]
        # Start −1 and 0 hold the same buffer and begin at the same time.
        start[i] = -1 if at == 0 and earliest < 0 else at
        if not waits_for_stores:
            previous = max(previous, start[i])


@compiled
def _extend_stores(
    tensors: Tensors, stores: IntArray, count: int, tiles: int, reach: int, room: IntArray, end: IntArray
) -> None:
    """Let each store end up to `reach` tiles later than it must, while there is room."""
    for n in range(count):
        i = stores[n]
        limit = min(tiles, tensors.position[i] + 1 + reach)
        while end[i] < limit and room[end[i]] >= tensors.bytes[i]:
            room[end[i]] -= tensors.bytes[i]
            end[i] += 1


@compiled
def run_by_deadline(
    tensors: Tensors,
    tiles: int,
    tile_cycles: IntArray,
    loads: IntArray,
    load_count: int,
    stores: IntArray,
    store_count: int,
    scratch: GreedyScratch,
    order: IntArray,
) -> int:
    """Run the schedule and make its DRAM Tensor Order on the way; return the latency.

    `loads` are sorted by Start, `stores` by position; ``scratch.start`` and ``scratch.end`` are valid living
    durations. Whenever the channel is free, the first load and the first store in line compete: what can
    begin sooner goes first; if both can begin at once, what must be finished by the earlier tile. A store
    that must be finished by the load's Start goes before that load (rule 1), and so does a store that the
    load reads (rule 2).
    """
    start, end = scratch.start, scratch.end
    gate, waits = scratch.gate, scratch.waits
    for p in range(tiles + 1):
        gate[p] = 0
        waits[p] = 0
    for n in range(load_count):
        waits[tensors.position[loads[n]]] += 1
    for n in range(store_count):
        waits[end[stores[n]]] += 1
    # The smallest End of this and all later stores, to see when a later one forces this one.
    urgent = scratch.keys
    smallest = tiles + 1
    for n in range(store_count - 1, -1, -1):
        smallest = min(smallest, end[stores[n]])
        urgent[n] = smallest
    finish = scratch.finish
    ran = 0  # tiles 0 … ran − 1 have run
    channel = 0
    load_at, store_at = 0, 0
    for place in range(load_count + store_count):
        has_load, has_store = load_at < load_count, store_at < store_count
        load = loads[load_at] if has_load else 0
        store = stores[store_at] if has_store else 0
        # Tiles that the two in line wait for: the load for tile Start − 1, the store for its own.
        load_tile = start[load] - 1 if has_load else -1
        store_tile = tensors.position[store] if has_store else -1
        while ran <= max(load_tile, store_tile) and waits[ran] == 0:
            finish[ran] = max(finish[ran - 1] if ran > 0 else 0, gate[ran]) + tile_cycles[ran]
            ran += 1
        load_ready = finish[load_tile] if 0 <= load_tile < ran else 0
        store_ready = finish[store_tile] if 0 <= store_tile < ran else 0
        take_store = False
        if has_store and not has_load:
            take_store = True
        elif has_store:
            reads_later = tensors.after_end[load] > tensors.after_begin[load] and (
                tensors.position[tensors.after_end[load] - 1] >= tensors.position[store]
            )
            if urgent[store_at] <= start[load] or reads_later or load_tile >= ran:
                take_store = True
            elif store_tile < ran:
                load_begin, store_begin = max(channel, load_ready), max(channel, store_ready)
                if load_begin != store_begin:
                    take_store = store_begin < load_begin
                else:
                    take_store = end[store] < tensors.position[load]
        if take_store:
            i = store
            channel = max(channel, store_ready) + tensors.cycles[i]
            gated = end[i]
            store_at += 1
        else:
            i = load
            channel = max(channel, load_ready) + tensors.cycles[i]
            gated = tensors.position[i]
            load_at += 1
        gate[gated] = max(gate[gated], channel)
        waits[gated] -= 1
        order[place] = i
    while ran < tiles:
        finish[ran] = max(finish[ran - 1] if ran > 0 else 0, gate[ran]) + tile_cycles[ran]
        ran += 1
    return max(finish[tiles - 1], channel)


@compiled
def greedy(
    tensors: Tensors,
    count: int,
    tiles: int,
    tile_cycles: IntArray,
    chip_usage: IntArray,
    capacity: int,
    scratch: GreedyScratch,
    start: IntArray,
    end: IntArray,
    order: IntArray,
) -> int:
    """Fill the first `count` items of `start`, `end`, `order`; return the latency, or ``OVERFLOW - p``.

    Every policy is run, and the first of the best kept.
    """
    if least_usage(tensors, count, tiles, chip_usage, capacity, scratch.free) < 0:
        tightest = 0
        for p in range(tiles):
            if scratch.free[p] < scratch.free[tightest]:
                tightest = p
        return OVERFLOW - tightest
    load_count = 0
    store_count = 0
    for i in range(count):
        if tensors.is_store[i]:
            scratch.stores[store_count] = i
            store_count += 1
        else:
            scratch.loads[load_count] = i
            load_count += 1
    _sort_by(tensors.position, tensors.position, scratch.stores, store_count, scratch.keys)
    best = -1
    for policy in range(POLICIES):
        _sort_by_need(tensors, scratch, load_count)
        for p in range(tiles):
            scratch.room[p] = scratch.free[p]
        for n in range(store_count):
            i = scratch.stores[n]
            scratch.start[i] = tensors.position[i]
            scratch.end[i] = tensors.least_end[i]
        for n in range(load_count):
            scratch.end[scratch.loads[n]] = tensors.least_end[scratch.loads[n]]
        if policy == STORES_FIRST:
            _extend_stores(tensors, scratch.stores, store_count, tiles, 1, scratch.room, scratch.end)
        _pull_loads(tensors, scratch.loads, load_count, scratch.room, scratch.start)
        _extend_stores(tensors, scratch.stores, store_count, tiles, tiles, scratch.room, scratch.end)
        _sort_by(scratch.start, tensors.position, scratch.loads, load_count, scratch.keys)
        latency = run_by_deadline(
            tensors,
            tiles,
            tile_cycles,
            scratch.loads,
            load_count,
            scratch.stores,
            store_count,
            scratch,
            scratch.order,
        )
        if best < 0 or latency < best:
            best = latency
            for i in range(count):
                start[i] = scratch.start[i]
                end[i] = scratch.end[i]
                order[i] = scratch.order[i]
        if store_count == 0:
            break
    return best


@compiled
def _sort_by_need(tensors: Tensors, scratch: GreedyScratch, count: int) -> None:
    """Sort the loads by first need; for the same tile weights first, since they wait for no store."""
    for n in range(count):
        i = scratch.loads[n]
        scratch.end[i] = 0 if tensors.kind[i] == WGT else 1
    _sort_by(tensors.position, scratch.end, scratch.loads, count, scratch.keys)
