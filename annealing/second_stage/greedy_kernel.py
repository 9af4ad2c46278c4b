"""A DLSA in one pass: run the schedule tile by tile, and choose a transfer whenever the channel is free (kernels).

docs/second-stage.md#one-greedy-pass. The pass reserves buffer for the shortest living duration of every tensor.
So each tensor can take that duration whatever was chosen before, and the pass never gets stuck.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import IntArray
from soma_cp.model.compiled import compiled, in_place, inlined
from soma_cp.model.soma.dlsa import DLSA, copy_dlsa, empty_dlsa
from soma_cp.model.soma.occupancy import fill_least_room
from soma_cp.model.soma.tensors import WGT, Tensors
from soma_cp.model.soma.tiling import TileSequence
from soma_cp.model.sorting import sort_keys

OVERFLOW = -1
"""`greedy` returns ``OVERFLOW - p`` if even the shortest living durations exceed the buffer at position p."""
NO_CUTOFF = int(np.iinfo(np.int64).max)
"""A cutoff that no latency reaches; `greedy` returns it if every schedule is slower than the cutoff."""

# What the channel does first when it can load and store.
LOADS_FIRST, STORES_FIRST = 0, 1
POLICIES = 2


class Queues(NamedTuple):
    """The DRAM tensors that wait for the channel; each queue is sorted by position and served in this order.

    Parameters
    ----------
    plain
        int64[D]: loads of weights and of external inputs.
    readers
        int64[D]: loads of ofmaps that another LG stored.
    stores
        int64[D]: stores.
    """

    plain: IntArray
    readers: IntArray
    stores: IntArray


class GreedyScratch(NamedTuple):
    """Scratch arrays of a pass.

    Parameters
    ----------
    free
        int64[T + 1]: bytes left at each position if every living duration is the shortest.
    room
        int64[T + 1]: bytes left now.
    gate, waits
        int64[T + 1]: the cycle before which a tile can't begin; the number of loads that it still waits for.
    keys
        int64[D]: sort keys.
    queues
        The transfers to do.
    dlsa
        The DLSA of the current policy.
    """

    free: IntArray
    room: IntArray
    gate: IntArray
    waits: IntArray
    keys: IntArray
    queues: Queues
    dlsa: DLSA


@inlined
def greedy_scratch(tiles: int, tensors: int) -> GreedyScratch:
    """Allocate a `GreedyScratch`."""
    return GreedyScratch(
        free=np.zeros(tiles + 1, np.int64),
        room=np.zeros(tiles + 1, np.int64),
        gate=np.zeros(tiles + 1, np.int64),
        waits=np.zeros(tiles + 1, np.int64),
        keys=np.zeros(tensors, np.int64),
        queues=Queues(
            plain=np.zeros(tensors, np.int64),
            readers=np.zeros(tensors, np.int64),
            stores=np.zeros(tensors, np.int64),
        ),
        dlsa=empty_dlsa(tensors),
    )


@compiled
def greedy_pass(tensors: Tensors, sequence: TileSequence, capacity: int) -> tuple[int, DLSA, IntArray]:
    """Return what `greedy` does without a cutoff, the DLSA, and `GreedyScratch.free`: one call from Python."""
    count = len(tensors.bytes)
    scratch, dlsa = greedy_scratch(sequence.count, count), empty_dlsa(count)
    return greedy(tensors, count, sequence, capacity, NO_CUTOFF, scratch, dlsa), dlsa, scratch.free


@in_place
def greedy(
    tensors: Tensors,
    count: int,
    sequence: TileSequence,
    capacity: int,
    cutoff: int,
    scratch: GreedyScratch,
    dlsa: DLSA,
) -> int:
    """Fill the first `count` items of `dlsa`; return the latency, or ``OVERFLOW - p``.

    Each policy runs, and the best result is kept, the first of equals. If all take longer than `cutoff` cycles, nothing
    is filled and ``NO_CUTOFF`` is returned.
    """
    if fill_least_room(tensors, count, sequence, capacity, scratch.free) < 0:
        tightest = 0
        for p in range(sequence.count):
            if scratch.free[p] < scratch.free[tightest]:
                tightest = p
        return OVERFLOW - tightest
    counts = _fill_queues(tensors, count, scratch)
    best = NO_CUTOFF
    for policy in range(POLICIES if _policies_differ(tensors.position, counts, scratch.queues) else 1):
        latency = _run(tensors, sequence, counts, policy, cutoff, scratch)
        if latency < best:
            best = latency
            cutoff = latency - 1
            copy_dlsa(scratch.dlsa, count, dlsa)
    return best


@in_place
def _fill_queues(tensors: Tensors, count: int, scratch: GreedyScratch) -> tuple[int, int, int]:
    """Sort the DRAM tensors into the queues; return the numbers of plain loads, readers and stores.

    Also fills the Starts and Ends that are fixed.
    """
    plain, readers, stores = scratch.queues.plain, scratch.queues.readers, scratch.queues.stores
    start, end, spare = scratch.dlsa.start, scratch.dlsa.end, scratch.dlsa.order
    is_store, position, least_end = tensors.is_store, tensors.position, tensors.least_end
    after_begin, after_end = tensors.after_begin, tensors.after_end
    plain_count, reader_count, store_count = 0, 0, 0
    for i in range(count):
        if is_store[i]:
            stores[store_count] = i
            store_count += 1
            start[i] = position[i]
        else:
            end[i] = least_end[i]
            if after_end[i] > after_begin[i]:
                readers[reader_count] = i
                reader_count += 1
            else:
                plain[plain_count] = i
                plain_count += 1
    _sort_by_position(position, tensors.kind, plain, plain_count, scratch.keys, spare)
    _sort_by_position(position, tensors.kind, readers, reader_count, scratch.keys, spare)
    _sort_by_position(position, tensors.kind, stores, store_count, scratch.keys, spare)
    return plain_count, reader_count, store_count


@in_place
def _policies_differ(position: IntArray, counts: tuple[int, int, int], queues: Queues) -> bool:
    """Whether loads and stores ever compete: the loads of a tile are done before the tile ends."""
    plain_count, reader_count, store_count = counts
    last_load = -1
    if plain_count > 0:
        last_load = position[queues.plain[plain_count - 1]]
    if reader_count > 0:
        last_load = max(last_load, position[queues.readers[reader_count - 1]])
    return store_count > 0 and position[queues.stores[0]] < last_load


@in_place
def _sort_by_position(
    position: IntArray, kind: IntArray, items: IntArray, count: int, keys: IntArray, spare: IntArray
) -> None:
    """Sort tensors by position, then weights first, then creation order."""
    last = 1
    for n in range(count):
        last = max(last, items[n] + 1)
    for n in range(count):
        i = items[n]
        keys[n] = (position[i] * 2 + (0 if kind[i] == WGT else 1)) * last + i
    sort_keys(keys, count, spare)
    for n in range(count):
        items[n] = keys[n] % last


@in_place
def _has_room(room: IntArray, size: int, first: int, last: int) -> bool:
    for p in range(first, last):
        if room[p] < size:
            return False
    return True


@in_place
def _outlive(
    positions: IntArray,
    sizes: IntArray,
    stores: IntArray,
    store_at: int,
    store_count: int,
    tile: int,
    room: IntArray,
    end: IntArray,
) -> bool:
    """Extend the living durations of all waiting stores that end at `tile` by one; False if there is no room."""
    n = store_at
    while n < store_count and positions[stores[n]] < tile:
        i = stores[n]
        if end[i] == tile:
            if tile >= len(room) - 1 or room[tile] < sizes[i]:
                return False
            room[tile] -= sizes[i]
            end[i] += 1
        n += 1
    return True


@in_place
def _run(
    tensors: Tensors,
    sequence: TileSequence,
    counts: tuple[int, int, int],
    policy: int,
    cutoff: int,
    scratch: GreedyScratch,
) -> int:
    """Run the schedule under a policy; fill ``scratch.dlsa``; return the latency.

    The run returns ``NO_CUTOFF`` as soon as it must take longer than `cutoff` cycles.

    `counts` are the numbers of plain loads (weights, external inputs), of readers (loads of ofmaps that another LG
    stored) and of stores. The channel is free at the cycle `channel`; all tiles that can begin by then have begun. The
    channel then does one of these:

    - stores the ofmap that the next tile waits for, if there is no room to let the store wait;
    - loads the tensor that is needed first, if it fits from the present tile on, or stores the oldest ofmap; the policy
      says which comes first;
    - waits for the end of the running tile.
    """
    # Arrays as locals: numba counts a reference each time an item of a tuple is read in a loop.
    positions, sizes, cycles = tensors.position, tensors.bytes, tensors.cycles
    least_end, after_end, free = tensors.least_end, tensors.after_end, scratch.free
    plain, readers, stores = scratch.queues.plain, scratch.queues.readers, scratch.queues.stores
    start, end, order = scratch.dlsa.start, scratch.dlsa.end, scratch.dlsa.order
    room, gate, waits = scratch.room, scratch.gate, scratch.waits
    tiles, tile_cycles = sequence.count, sequence.cycles
    plain_count, reader_count, store_count = counts
    for p in range(tiles + 1):
        gate[p] = 0
        waits[p] = 0
        room[p] = free[p]
    for n in range(plain_count):
        waits[positions[plain[n]]] += 1
    for n in range(reader_count):
        waits[positions[readers[n]]] += 1
    channel_left, tiles_left = 0, 0  # cycles of the transfers and tiles that have not begun
    for n in range(store_count):
        end[stores[n]] = least_end[stores[n]]
        channel_left += cycles[stores[n]]
    for n in range(plain_count):
        channel_left += cycles[plain[n]]
    for n in range(reader_count):
        channel_left += cycles[readers[n]]
    for p in range(tiles):
        tiles_left += tile_cycles[p]
    plain_at, reader_at, store_at, place = 0, 0, 0, 0
    channel = 0
    begun = 0  # tiles that have begun
    tile_end = 0  # end of the last of them
    in_flight = -1  # the last transfer, if it is a store
    # The steps stay in the loop: as functions, even inlined ones, they make a pass three times as slow (references to
    # the arrays are counted at every transfer).
    while True:
        # Begin all tiles that can begin by now.
        forced = False
        while begun < tiles and waits[begun] == 0 and max(tile_end, gate[begun]) <= channel:
            begin = max(tile_end, gate[begun])
            # Stores that are not done must stay alive while this tile runs, or the tile has to wait.
            if in_flight >= 0 and end[in_flight] == begun and begin < channel:
                if room[begun] >= sizes[in_flight]:
                    room[begun] -= sizes[in_flight]
                    end[in_flight] += 1
                else:
                    begin = channel
            if not _outlive(positions, sizes, stores, store_at, store_count, begun, room, end):
                forced = True
                break
            tile_end = begin + tile_cycles[begun]
            tiles_left -= tile_cycles[begun]
            begun += 1
        if channel + channel_left > cutoff or tile_end + tiles_left > cutoff:
            return NO_CUTOFF
        if place == plain_count + reader_count + store_count:
            if begun == tiles:
                break
            channel = max(channel, tile_end, gate[begun])  # the remaining tiles begin
            continue
        running = tile_end > channel
        present = begun - 1 if running else begun
        # The oldest ofmap can be stored once its tile has ended.
        has_store = store_at < store_count and (
            positions[stores[store_at]] < begun - 1 or (positions[stores[store_at]] == begun - 1 and not running)
        )
        load = -1
        from_readers = False
        if reader_at < reader_count:
            last_store = after_end[readers[reader_at]] - 1
            if store_at == store_count or positions[last_store] < positions[stores[store_at]]:
                load = readers[reader_at]
                from_readers = True
        if plain_at < plain_count and (load < 0 or positions[plain[plain_at]] <= positions[load]):
            load = plain[plain_at]
            from_readers = False
        take_store = forced
        if not forced:
            need = positions[load] if load >= 0 else tiles
            fits = load >= 0 and _has_room(room, sizes[load], present, need)
            if fits and not running:
                # A load that begins while the next tile waits takes room there: the waiting stores must stay alive too.
                forced = not _outlive(positions, sizes, stores, store_at, store_count, begun, room, end)
                fits = not forced and _has_room(room, sizes[load], present, need)
            if forced or (has_store and (not fits or (policy == STORES_FIRST and need > begun))):
                take_store = True
            elif not fits:
                channel = tile_end  # no transfer is possible before the next tile
                in_flight = -1
                continue
        if take_store:
            i = stores[store_at]
            store_at += 1
            in_flight = i
            channel += cycles[i]
            channel_left -= cycles[i]
        else:
            i = load
            for p in range(present, positions[i]):
                room[p] -= sizes[i]
            start[i] = present if present > 0 else -1
            if from_readers:
                reader_at += 1
            else:
                plain_at += 1
            in_flight = -1
            channel += cycles[i]
            channel_left -= cycles[i]
            gate[positions[i]] = channel
            waits[positions[i]] -= 1
        order[place] = i
        place += 1
    return max(tile_end, channel)
