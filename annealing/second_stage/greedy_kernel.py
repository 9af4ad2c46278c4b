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

BLOCK_BITS = 5
"""Positions of a block of `Room`: 32."""


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


class Room(NamedTuple):
    """The bytes left at each position, in blocks of ``1 << BLOCK_BITS`` positions, so that a change to many is cheap.

    Parameters
    ----------
    left
        int64[T + 1]: bytes left, before `lowered` is taken off.
    least
        int64[B]: at most the least of `left` in each block.
    lowered
        int64[B]: what is taken off all positions of the block.
    """

    left: IntArray
    least: IntArray
    lowered: IntArray


class GreedyScratch(NamedTuple):
    """Scratch arrays of a pass.

    Parameters
    ----------
    free
        int64[T + 1]: bytes left at each position if every living duration is the shortest.
    room
        Bytes left now.
    gate, waits
        int64[T + 1]: the cycle before which a tile can't begin; the number of loads that it still waits for.
    due
        int64[T + 1]: bytes of the stores to do whose least End is the position.
    elapsed
        int64[T + 1]: cycles of all tiles before the position.
    keys
        int64[D]: sort keys.
    queues
        The transfers to do.
    dlsa
        The DLSA of the current policy.
    favourite
        int64[1]: the policy that was best in the last pass; the next pass runs it first.
    """

    free: IntArray
    room: Room
    gate: IntArray
    waits: IntArray
    due: IntArray
    elapsed: IntArray
    keys: IntArray
    queues: Queues
    dlsa: DLSA
    favourite: IntArray


@inlined
def greedy_scratch(tiles: int, tensors: int) -> GreedyScratch:
    """Allocate a `GreedyScratch`."""
    blocks = (tiles >> BLOCK_BITS) + 1
    return GreedyScratch(
        free=np.zeros(tiles + 1, np.int64),
        room=Room(
            left=np.zeros(tiles + 1, np.int64),
            least=np.zeros(blocks, np.int64),
            lowered=np.zeros(blocks, np.int64),
        ),
        gate=np.zeros(tiles + 1, np.int64),
        waits=np.zeros(tiles + 1, np.int64),
        due=np.zeros(tiles + 1, np.int64),
        elapsed=np.zeros(tiles + 1, np.int64),
        keys=np.zeros(tensors, np.int64),
        queues=Queues(
            plain=np.zeros(tensors, np.int64),
            readers=np.zeros(tensors, np.int64),
            stores=np.zeros(tensors, np.int64),
        ),
        dlsa=empty_dlsa(tensors),
        favourite=np.zeros(1, np.int64),
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
    is filled and ``NO_CUTOFF`` is returned. The policy that was best last time runs first: its latency ends most runs
    of the other early.
    """
    if fill_least_room(tensors, count, sequence, capacity, scratch.free) < 0:
        tightest = 0
        for p in range(sequence.count):
            if scratch.free[p] < scratch.free[tightest]:
                tightest = p
        return OVERFLOW - tightest
    counts = _fill_queues(tensors, count, scratch)
    elapsed = scratch.elapsed
    elapsed[0] = 0
    for p in range(sequence.count):
        elapsed[p + 1] = elapsed[p] + sequence.cycles[p]
    differ = _policies_differ(tensors.position, counts, scratch.queues)
    favourite = scratch.favourite[0] if differ else 0
    best = NO_CUTOFF
    for number in range(POLICIES if differ else 1):
        policy = favourite if number == 0 else 1 - favourite
        latency = _run(tensors, sequence, counts, policy, cutoff, scratch)
        if latency < NO_CUTOFF:
            best = latency
            cutoff = latency - 1 if policy == 0 else latency  # the first policy wins if both are equal
            copy_dlsa(scratch.dlsa, count, dlsa)
            scratch.favourite[0] = policy if differ else favourite
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
def _fill_room(free: IntArray, tiles: int, room: Room) -> None:
    """Make `room` that of the first `tiles` positions in `free`."""
    left, least, lowered = room.left, room.least, room.lowered
    for block in range(((tiles - 1) >> BLOCK_BITS) + 1):
        lowered[block] = 0
        begin = block << BLOCK_BITS
        low = free[begin]
        for p in range(begin, min(begin + (1 << BLOCK_BITS), tiles)):
            left[p] = free[p]
            low = min(low, free[p])
        least[block] = low


@in_place
def _last_without_room(room: Room, size: int, first: int, last: int) -> int:
    """Return the last of the positions `first` … `last` − 1 that has less than `size` bytes left; −1 if all have."""
    left, least, lowered = room.left, room.least, room.lowered
    p = last - 1
    while p >= first:
        block = p >> BLOCK_BITS
        begin = max(block << BLOCK_BITS, first)
        short = size + lowered[block]
        if least[block] < short:
            while p >= begin:
                if left[p] < short:
                    return p
                p -= 1
        p = begin - 1
    return -1


@in_place
def _take_room(room: Room, size: int, first: int, last: int) -> None:
    """Take `size` bytes at the positions `first` … `last` − 1; what is left before `first` has no meaning any more."""
    left, least, lowered = room.left, room.least, room.lowered
    whole = last >> BLOCK_BITS
    for block in range(first >> BLOCK_BITS, whole):
        lowered[block] += size
    begin = max(whole << BLOCK_BITS, first)
    if begin < last:
        low = least[whole]
        for p in range(begin, last):
            left[p] -= size
            low = min(low, left[p])
        least[whole] = low


@in_place
def _take_room_at(room: Room, size: int, p: int) -> None:
    """Take `size` bytes at the position `p`."""
    room.left[p] -= size
    block = p >> BLOCK_BITS
    room.least[block] = min(room.least[block], room.left[p])


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

    The run returns ``NO_CUTOFF`` if it takes longer than `cutoff` cycles, as soon as that is certain.

    `counts` are the numbers of plain loads (weights, external inputs), of readers (loads of ofmaps that another LG
    stored) and of stores. The channel is free at the cycle `channel`; all tiles that can begin by then have begun. The
    channel then does one of these:

    - stores the ofmap that the next tile waits for, if there is no room to let the store wait;
    - loads the tensor that is needed first, if it fits from the present tile on, or stores the oldest ofmap; the policy
      says which comes first;
    - waits for the end of the running tile.

    A store that waits past its least End is *due*: each tile that begins extends it by one position. Such stores are
    known by their bytes in all; only where these have no room they are extended one by one, the oldest first.

    Room only gets less. So a load that lacks room at a position fits no earlier than after that tile, and while the
    channel can do nothing until then, all tiles up to there run at once.
    """
    # Arrays as locals: numba counts a reference each time an item of a tuple is read in a loop.
    positions, sizes, cycles = tensors.position, tensors.bytes, tensors.cycles
    least_end, after_end = tensors.least_end, tensors.after_end
    plain, readers, stores = scratch.queues.plain, scratch.queues.readers, scratch.queues.stores
    start, end, order = scratch.dlsa.start, scratch.dlsa.end, scratch.dlsa.order
    room, gate, waits, due, elapsed = scratch.room, scratch.gate, scratch.waits, scratch.due, scratch.elapsed
    tiles, tile_cycles = sequence.count, sequence.cycles
    plain_count, reader_count, store_count = counts
    _fill_room(scratch.free, tiles, room)
    for p in range(tiles + 1):
        gate[p] = 0
    for p in range(tiles + 1):
        waits[p] = 0
    for p in range(tiles + 1):
        due[p] = 0
    channel_left = 0  # cycles of the transfers that have not begun
    for n in range(plain_count):
        waits[positions[plain[n]]] += 1
        channel_left += cycles[plain[n]]
    for n in range(reader_count):
        waits[positions[readers[n]]] += 1
        channel_left += cycles[readers[n]]
    for n in range(store_count):
        due[least_end[stores[n]]] += sizes[stores[n]]
        channel_left += cycles[stores[n]]
    plain_at, reader_at, store_at, place = 0, 0, 0, 0
    plain_blocked, reader_blocked = -1, -1  # where the next load of each queue lacks room
    channel = 0
    begun = 0  # tiles that have begun
    tile_end = 0  # end of the last of them
    in_flight = -1  # the last transfer, if it is a store
    due_bytes = 0  # of the waiting stores that are due at the next tile
    short_bytes = 0  # of those that are not extended to it yet
    extended = 0  # due stores before this one in the queue are extended
    while True:
        # Begin all tiles that can begin by now.
        forced = False
        while begun < tiles and waits[begun] == 0 and max(tile_end, gate[begun]) <= channel:
            begin = max(tile_end, gate[begun])
            # Stores that are not done must stay alive while this tile runs, or the tile has to wait.
            if in_flight >= 0 and end[in_flight] == begun and begin < channel:
                if _last_without_room(room, sizes[in_flight], begun, begun + 1) < 0:
                    _take_room_at(room, sizes[in_flight], begun)
                    end[in_flight] += 1
                else:
                    begin = channel
            if short_bytes > 0:
                short_bytes, extended = _extend(
                    sizes, least_end, stores, max(extended, store_at), store_count, begun, short_bytes, room
                )
                if short_bytes > 0:
                    forced = True
                    break
            tile_end = begin + tile_cycles[begun]
            begun += 1
            due_bytes += due[begun]
            short_bytes = due_bytes
            extended = 0
        if channel + channel_left > cutoff or tile_end + elapsed[tiles] - elapsed[begun] > cutoff:
            return NO_CUTOFF
        if place == plain_count + reader_count + store_count:
            if begun == tiles:
                break
            channel = max(channel, tile_end, gate[begun])  # the remaining tiles begin
            continue
        running = tile_end > channel
        present = begun - 1 if running else begun
        oldest = positions[stores[store_at]] if store_at < store_count else tiles
        # The oldest ofmap can be stored once its tile has ended.
        has_store = store_at < store_count and (oldest < begun - 1 or (oldest == begun - 1 and not running))
        load = -1
        from_readers = False
        if reader_at < reader_count:
            last_store = after_end[readers[reader_at]] - 1
            if store_at == store_count or positions[last_store] < oldest:
                load = readers[reader_at]
                from_readers = True
        if plain_at < plain_count and (load < 0 or positions[plain[plain_at]] <= positions[load]):
            load = plain[plain_at]
            from_readers = False
        take_store = forced
        if not forced:
            need = positions[load] if load >= 0 else tiles
            blocked = tiles
            if load >= 0:
                blocked = reader_blocked if from_readers else plain_blocked
                if blocked < present:
                    blocked = _last_without_room(room, sizes[load], present, need)
            fits = blocked < present
            if fits and not running and short_bytes > 0:
                # A load that begins while the next tile waits takes room there: the waiting stores must stay alive too.
                short_bytes, extended = _extend(
                    sizes, least_end, stores, max(extended, store_at), store_count, begun, short_bytes, room
                )
                forced = short_bytes > 0
                if not forced and need > begun:
                    blocked = _last_without_room(room, sizes[load], begun, begun + 1)
                fits = not forced and blocked < present
            if from_readers:
                reader_blocked = blocked
            elif load >= 0:
                plain_blocked = blocked
            if forced or (has_store and (not fits or (policy == STORES_FIRST and need > begun))):
                take_store = True
            elif not fits:
                # No transfer is possible before these tiles have ended.
                last = min(blocked, oldest, tiles - 1)
                if last >= begun:
                    tile_end += elapsed[last + 1] - elapsed[begun]
                    begun = last + 1
                    due_bytes = due[begun]
                    short_bytes = due_bytes
                    extended = 0
                channel = tile_end
                in_flight = -1
                continue
        if take_store:
            i = stores[store_at]
            if least_end[i] > begun:
                due[least_end[i]] -= sizes[i]
                end[i] = least_end[i]
            else:
                due_bytes -= sizes[i]
                end[i] = begun
                if short_bytes == 0 or store_at < extended:
                    end[i] += 1
                else:
                    short_bytes -= sizes[i]
            store_at += 1
            in_flight = i
        else:
            i = load
            _take_room(room, sizes[i], present, positions[i])
            start[i] = present if present > 0 else -1
            if from_readers:
                reader_at += 1
                reader_blocked = -1
            else:
                plain_at += 1
                plain_blocked = -1
            in_flight = -1
            waits[positions[i]] -= 1
        channel += cycles[i]
        channel_left -= cycles[i]
        if not take_store:
            gate[positions[i]] = channel
        order[place] = i
        place += 1
    return max(tile_end, channel)


@in_place
def _extend(
    sizes: IntArray,
    least_end: IntArray,
    stores: IntArray,
    first: int,
    count: int,
    tile: int,
    short: int,
    room: Room,
) -> tuple[int, int]:
    """Extend the due stores from the queue's item `first` on, `short` bytes in all, to `tile`, as long as they fit.

    Returns the bytes of those that do not fit, and the first of them.
    """
    left = room.left[tile] - room.lowered[tile >> BLOCK_BITS]
    if left >= short:
        _take_room_at(room, short, tile)
        return 0, count
    taken = 0
    n = first
    while True:  # ends: not all of them fit
        i = stores[n]
        if least_end[i] <= tile:
            if left - taken < sizes[i]:
                break
            taken += sizes[i]
        n += 1
    _take_room_at(room, taken, tile)
    return short - taken, n
