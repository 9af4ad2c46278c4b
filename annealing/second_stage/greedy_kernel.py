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


class Queue(NamedTuple):
    """DRAM tensors that wait for the channel and are served in this order: by position, weights first; [Q] each.

    Parameters
    ----------
    tensor
        int64[Q]: indices of the tensors; only a DLSA needs them.
    position, bytes, cycles
        int64[Q]: as in `Tensors`.
    limit
        int64[Q]: of a reader the position of the last tile whose store it waits for; of a store its least End; a plain
        load has none.
    """

    tensor: IntArray
    position: IntArray
    bytes: IntArray
    cycles: IntArray
    limit: IntArray


class Queues(NamedTuple):
    """All DRAM tensors, in queues that the channel serves.

    Parameters
    ----------
    plain
        Loads of weights and of external inputs.
    readers
        Loads of ofmaps that another LG stored.
    stores
        Stores.
    """

    plain: Queue
    readers: Queue
    stores: Queue


@inlined
def _empty_queue(tensors: int) -> Queue:
    return Queue(
        np.zeros(tensors, np.int64),
        np.zeros(tensors, np.int64),
        np.zeros(tensors, np.int64),
        np.zeros(tensors, np.int64),
        np.zeros(tensors, np.int64),
    )


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


# Columns of `Log.points`.
BEGUN, PLAIN_DONE, READERS_DONE, STORES_DONE, TIME, SEEN = 0, 1, 2, 3, 4, 5
POINT = 6
# Columns of `Log.ends`.
POINTS, LATENCY, EXACT = 0, 1, 2
END = 3
# Items of `Log.counts`.
TILES, PLAIN, READERS, STORES, FILLED = 0, 1, 2, 3, 4
COUNTS = 5


class Log(NamedTuple):
    """What a pass leaves for passes over tiles and tensors of which many are the same (`Change`).

    A run is at a *point* when no tile runs, the channel is free, and no due store is extended past the next tile. What
    follows depends on the numbers of tiles and transfers done, and on nothing else that was before.

    Parameters
    ----------
    points
        int64[POLICIES, POINT, T + 2]: the first point at each number of begun tiles, in order: this number; plain
        loads, readers and stores done; the cycle; and a position up to which the run has looked at what comes.
    ends
        int64[POLICIES, END]: number of points; the latency; 1 if the run has it, 0 if it takes at least so long.
    counts
        int64[COUNTS]: tiles, plain loads, readers, stores; 1 if there was a pass.
    """

    points: IntArray
    ends: IntArray
    counts: IntArray


class Change(NamedTuple):
    """What differs from the pass before.

    Parameters
    ----------
    head
        All that is before this position is as before.
    tail
        All that is from this position on is as before, counted from the last tile; T + 1 if nothing is.
    """

    head: int
    tail: int


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
    run, best
        The DLSA of the current policy, and the best; a tensor is known by its number in the queues: plain loads, then
        readers, then stores. Only the Starts of loads and the Ends of stores are filled.
    favourite
        int64[1]: the policy that was best in the last pass; the next pass runs it first.
    log
        Of the last pass.
    """

    free: IntArray
    room: Room
    gate: IntArray
    waits: IntArray
    due: IntArray
    elapsed: IntArray
    keys: IntArray
    queues: Queues
    run: DLSA
    best: DLSA
    favourite: IntArray
    log: Log


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
            plain=_empty_queue(tensors),
            readers=_empty_queue(tensors),
            stores=_empty_queue(tensors),
        ),
        run=empty_dlsa(tensors),
        best=empty_dlsa(tensors),
        favourite=np.zeros(1, np.int64),
        log=Log(
            points=np.zeros((POLICIES, POINT, tiles + 2), np.int64),
            ends=np.zeros((POLICIES, END), np.int64),
            counts=np.zeros(COUNTS, np.int64),
        ),
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
    tiles, free, elapsed = sequence.count, scratch.free, scratch.elapsed
    if fill_least_room(tensors, count, sequence, capacity, free) < 0:
        tightest = 0
        for p in range(tiles):
            if free[p] < free[tightest]:
                tightest = p
        return OVERFLOW - tightest
    counts = _fill_queues(tensors, count, scratch)
    elapsed[0] = 0
    for p in range(tiles):
        elapsed[p + 1] = elapsed[p] + sequence.cycles[p]
    latency = run_policies(tiles, counts, cutoff, scratch, scratch, Change(0, tiles + 1))
    if latency < NO_CUTOFF:
        _fill_dlsa(tensors, counts, scratch, dlsa)
    return latency


@in_place
def run_policies(
    tiles: int,
    counts: tuple[int, int, int],
    cutoff: int,
    scratch: GreedyScratch,
    before: GreedyScratch,
    change: Change,
) -> int:
    """Fill ``scratch.best``, the first of equals; return its latency, ``NO_CUTOFF`` if it is longer than `cutoff`.

    ``scratch.free``, ``elapsed`` and ``queues`` are filled, the latter with as many plain loads, readers and stores as
    `counts` says. The policy that was best last time runs first: its latency ends most runs of the other early.

    `change` says what differs from the pass in `before`. Where anything is the same, ``scratch.best`` has no meaning.
    """
    differ = _policies_differ(counts, scratch.queues)
    favourite = before.favourite[0] if differ else LOADS_FIRST
    scratch.favourite[0] = before.favourite[0]
    log = scratch.log
    log.counts[TILES] = tiles
    log.counts[PLAIN], log.counts[READERS], log.counts[STORES] = counts
    log.counts[FILLED] = 1
    log.ends[1, POINTS], log.ends[1, LATENCY], log.ends[1, EXACT] = 0, 0, 0
    whole = change.head == 0 and change.tail > tiles
    best = NO_CUTOFF
    for number in range(POLICIES if differ else 1):
        policy = favourite if number == 0 else 1 - favourite
        latency = _run(tiles, counts, policy, cutoff, scratch, before, change)
        if latency < NO_CUTOFF:
            best = latency
            cutoff = latency - 1 if policy == LOADS_FIRST else latency  # the first policy wins if both are equal
            if whole:
                copy_dlsa(scratch.run, counts[0] + counts[1] + counts[2], scratch.best)
            if differ:
                scratch.favourite[0] = policy
    return best


@in_place
def find_change(tiles: int, counts: tuple[int, int, int], scratch: GreedyScratch, before: GreedyScratch) -> Change:
    """Return what differs between the pass that `scratch` is filled for and the pass in `before`."""
    old = before.log.counts
    if old[FILLED] == 0:
        return Change(0, tiles + 1)
    free, elapsed, old_free, old_elapsed = scratch.free, scratch.elapsed, before.free, before.elapsed
    shift = tiles - old[TILES]
    head = 0
    while head < min(tiles, old[TILES]) and free[head] == old_free[head] and elapsed[head + 1] == old_elapsed[head + 1]:
        head += 1
    tail = tiles
    later = elapsed[tiles] - old_elapsed[old[TILES]]
    while (
        tail > max(shift, 0)
        and free[tail - 1] == old_free[tail - 1 - shift]
        and elapsed[tail - 1] - old_elapsed[tail - 1 - shift] == later
    ):
        tail -= 1
    queues, old_queues = scratch.queues, before.queues
    head = _same_head(queues.plain, counts[0], old_queues.plain, old[PLAIN], head)
    head = _same_head(queues.readers, counts[1], old_queues.readers, old[READERS], head)
    head = _same_head(queues.stores, counts[2], old_queues.stores, old[STORES], head)
    tail = _same_tail(queues.plain, counts[0], old_queues.plain, old[PLAIN], shift, tail, PLAIN)
    tail = _same_tail(queues.readers, counts[1], old_queues.readers, old[READERS], shift, tail, READERS)
    tail = _same_tail(queues.stores, counts[2], old_queues.stores, old[STORES], shift, tail, STORES)
    return Change(head, tail)


@in_place
def _same_head(queue: Queue, count: int, old: Queue, old_count: int, head: int) -> int:
    """Return the first position before `head` at which two queues differ, else `head`."""
    n = 0
    while (
        n < min(count, old_count)
        and queue.position[n] < head
        and queue.position[n] == old.position[n]
        and queue.bytes[n] == old.bytes[n]
        and queue.cycles[n] == old.cycles[n]
        and queue.limit[n] == old.limit[n]
    ):
        n += 1
    if n < count:
        head = min(head, queue.position[n])
    if n < old_count:
        head = min(head, old.position[n])
    return head


@in_place
def _same_tail(queue: Queue, count: int, old: Queue, old_count: int, shift: int, tail: int, kind: int) -> int:
    """Return the first position from `tail` on from which two queues are the same; the old one's are `shift` less.

    What a reader waits for may differ if both are before that position.
    """
    n, m = count - 1, old_count - 1
    while (
        n >= 0
        and m >= 0
        and queue.position[n] >= tail
        and queue.position[n] == old.position[m] + shift
        and queue.bytes[n] == old.bytes[m]
        and queue.cycles[n] == old.cycles[m]
        and (kind != STORES or queue.limit[n] == old.limit[m] + shift)
    ):
        if kind == READERS and queue.limit[n] != old.limit[m] + shift:
            tail = max(tail, queue.limit[n] + 1, old.limit[m] + shift + 1)
        n -= 1
        m -= 1
    if n >= 0:
        tail = max(tail, queue.position[n] + 1)
    if m >= 0:
        tail = max(tail, old.position[m] + shift + 1)
    return tail


@in_place
def _fill_queues(tensors: Tensors, count: int, scratch: GreedyScratch) -> tuple[int, int, int]:
    """Sort the DRAM tensors into the queues; return the numbers of plain loads, readers and stores."""
    queues = scratch.queues
    plain, readers, stores = queues.plain.tensor, queues.readers.tensor, queues.stores.tensor
    is_store, after_begin, after_end = tensors.is_store, tensors.after_begin, tensors.after_end
    plain_count, reader_count, store_count = 0, 0, 0
    for i in range(count):
        if is_store[i]:
            stores[store_count] = i
            store_count += 1
        elif after_end[i] > after_begin[i]:
            readers[reader_count] = i
            reader_count += 1
        else:
            plain[plain_count] = i
            plain_count += 1
    _fill_queue(tensors, plain_count, queues.plain, scratch)
    _fill_queue(tensors, reader_count, queues.readers, scratch)
    _fill_queue(tensors, store_count, queues.stores, scratch)
    position, limit = tensors.position, queues.readers.limit
    for n in range(reader_count):
        limit[n] = position[after_end[readers[n]] - 1]
    return plain_count, reader_count, store_count


@in_place
def _fill_queue(tensors: Tensors, count: int, queue: Queue, scratch: GreedyScratch) -> None:
    """Sort ``queue.tensor`` by position, then weights first, then creation order; fill the rest."""
    position, kind, items, keys = tensors.position, tensors.kind, queue.tensor, scratch.keys
    last = 1
    for n in range(count):
        last = max(last, items[n] + 1)
    for n in range(count):
        i = items[n]
        keys[n] = (position[i] * 2 + (0 if kind[i] == WGT else 1)) * last + i
    sort_keys(keys, count, scratch.run.order)
    for n in range(count):
        i = keys[n] % last
        items[n] = i
        queue.position[n] = position[i]
        queue.bytes[n] = tensors.bytes[i]
        queue.cycles[n] = tensors.cycles[i]
        queue.limit[n] = tensors.least_end[i]


@in_place
def _fill_dlsa(tensors: Tensors, counts: tuple[int, int, int], scratch: GreedyScratch, dlsa: DLSA) -> None:
    """Fill `dlsa` from ``scratch.best``."""
    plain_count, reader_count, store_count = counts
    queues, best, index = scratch.queues, scratch.best, scratch.keys
    for n in range(plain_count):
        index[n] = queues.plain.tensor[n]
    for n in range(reader_count):
        index[plain_count + n] = queues.readers.tensor[n]
    loads = plain_count + reader_count
    for n in range(store_count):
        index[loads + n] = queues.stores.tensor[n]
    for n in range(loads + store_count):
        i = index[n]
        dlsa.order[n] = index[best.order[n]]
        dlsa.start[i] = best.start[n] if n < loads else tensors.position[i]
        dlsa.end[i] = tensors.least_end[i] if n < loads else best.end[n]


@in_place
def _policies_differ(counts: tuple[int, int, int], queues: Queues) -> bool:
    """Whether loads and stores ever compete: the loads of a tile are done before the tile ends."""
    plain_count, reader_count, store_count = counts
    last_load = -1
    if plain_count > 0:
        last_load = queues.plain.position[plain_count - 1]
    if reader_count > 0:
        last_load = max(last_load, queues.readers.position[reader_count - 1])
    return store_count > 0 and queues.stores.position[0] < last_load


@in_place
def _fill_room(free: IntArray, first: int, tiles: int, room: Room) -> None:
    """Make `room` that in `free`, from the position `first` to the last of `tiles`."""
    left, least, lowered = room.left, room.least, room.lowered
    for block in range(first >> BLOCK_BITS, ((tiles - 1) >> BLOCK_BITS) + 1):
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
    tiles: int,
    counts: tuple[int, int, int],
    policy: int,
    cutoff: int,
    scratch: GreedyScratch,
    before: GreedyScratch,
    change: Change,
) -> int:
    """Run the schedule under a policy; fill ``scratch.run``; return the latency.

    The run returns ``NO_CUTOFF`` if it takes longer than `cutoff` cycles, as soon as that is certain.

    `counts` are the numbers of plain loads, of readers and of stores. The channel is free at the cycle `channel`; all
    tiles that can begin by then have begun. The channel then does one of these:

    - stores the ofmap that the next tile waits for, if there is no room to let the store wait;
    - loads the tensor that is needed first, if it fits from the present tile on, or stores the oldest ofmap; the policy
      says which comes first;
    - waits for the end of the running tile.

    A store that waits past its least End is *due*: each tile that begins extends it by one position. Such stores are
    known by their bytes in all; only where these have no room they are extended one by one, the oldest first.

    Room only gets less. So a load that lacks room at a position fits no earlier than after that tile, and while the
    channel can do nothing until then, all tiles up to there run at once.

    The run begins at the last point of the run before (`Log`) that has seen nothing of what differs. It ends at a point
    after all that differs at which the run before was, too: the rest takes as long as there.
    """
    # Arrays as locals: numba counts a reference each time an item of a tuple is read in a loop.
    plain, readers, stores = scratch.queues.plain, scratch.queues.readers, scratch.queues.stores
    plain_position, plain_bytes, plain_cycles = plain.position, plain.bytes, plain.cycles
    reader_position, reader_bytes, reader_cycles = readers.position, readers.bytes, readers.cycles
    store_position, store_bytes, store_cycles = stores.position, stores.bytes, stores.cycles
    reader_limit, least_end = readers.limit, stores.limit
    start, end, order = scratch.run.start, scratch.run.end, scratch.run.order
    room, gate, waits, due, elapsed = scratch.room, scratch.gate, scratch.waits, scratch.due, scratch.elapsed
    plain_count, reader_count, store_count = counts
    loads = plain_count + reader_count
    log, old = scratch.log.points, before.log.points
    points = 0
    plain_at, reader_at, store_at = 0, 0, 0
    channel = 0
    begun = 0  # tiles that have begun
    seen = 0
    if change.head > 0:
        points = _points_before(old, policy, SEEN, before.log.ends[policy, POINTS], change.head)
        for column in range(POINT):
            for point in range(points):
                log[policy, column, point] = old[policy, column, point]
        if points > 0:
            begun, channel, seen = (
                old[policy, BEGUN, points - 1],
                old[policy, TIME, points - 1],
                old[policy, SEEN, points - 1],
            )
            plain_at, reader_at = old[policy, PLAIN_DONE, points - 1], old[policy, READERS_DONE, points - 1]
            store_at = old[policy, STORES_DONE, points - 1]
    place = plain_at + reader_at + store_at
    logged = begun if points > 0 else -1
    tail = change.tail
    due_bytes, channel_left = _set_up(tiles, counts, begun, plain_at, reader_at, store_at, scratch)
    plain_blocked, reader_blocked = -1, -1  # where the next load of each queue lacks room
    tile_end = channel  # end of the last tile that has begun
    flying_end, flying_bytes = -1, 0  # End and bytes of the last transfer if it is a store; −1 if not
    # `due_bytes` are those of the waiting stores that are due at the next tile.
    short_bytes = due_bytes  # of those that are not extended to it yet
    extended = 0  # due stores before this one in the queue are extended
    while True:
        # Begin all tiles that can begin by now.
        forced = False
        while begun < tiles and waits[begun] == 0 and tile_end <= channel:
            begin = max(tile_end, gate[begun])
            # Stores that are not done must stay alive while this tile runs, or the tile has to wait.
            if flying_end == begun and begin < channel:
                if _last_without_room(room, flying_bytes, begun, begun + 1) < 0:
                    _take_room_at(room, flying_bytes, begun)
                    flying_end += 1
                    end[loads + store_at - 1] = flying_end
                else:
                    begin = channel
            if short_bytes > 0:
                short_bytes, extended = _extend(stores, max(extended, store_at), store_count, begun, short_bytes, room)
                if short_bytes > 0:
                    forced = True
                    break
            tile_end = begin + elapsed[begun + 1] - elapsed[begun]
            begun += 1
            due_bytes += due[begun]
            short_bytes = due_bytes
            extended = 0
        if channel + channel_left > cutoff or tile_end + elapsed[tiles] - elapsed[begun] > cutoff:
            _end_log(scratch.log, policy, points, cutoff + 1, 0)
            return NO_CUTOFF
        if place == loads + store_count:
            if begun == tiles:
                break
            channel = max(channel, tile_end, gate[begun])  # the remaining tiles begin
            continue
        running = tile_end > channel
        present = begun - 1 if running else begun
        oldest = store_position[store_at] if store_at < store_count else tiles
        seen = max(seen, begun)
        if not running and not forced and begun > logged and extended == 0:
            logged = begun
            _add_point(log, policy, points, begun, plain_at, reader_at, store_at, channel, seen)
            points += 1
            if begun >= tail and oldest >= tail and _meets(scratch.log, points, before.log, policy):
                latency = _known_latency(scratch.log, policy, cutoff)
                if latency >= 0:
                    return latency
                tail = tiles + 1
        take_store = forced
        from_readers = False
        size = 0
        need = tiles
        if not forced:
            # The oldest ofmap can be stored once its tile has ended.
            has_store = store_at < store_count and (oldest < begun - 1 or (oldest == begun - 1 and not running))
            blocked = tiles  # where the load lacks room; before the present position if it fits
            if reader_at < reader_count and reader_limit[reader_at] < oldest:
                need = reader_position[reader_at]
                size = reader_bytes[reader_at]
                blocked = reader_blocked
                from_readers = True
            if plain_at < plain_count and plain_position[plain_at] <= need:
                need = plain_position[plain_at]
                size = plain_bytes[plain_at]
                blocked = plain_blocked
                from_readers = False
            if blocked < present:
                blocked = _last_without_room(room, size, present, need)
            seen = max(seen, need)
            fits = blocked < present
            if fits and not running and short_bytes > 0:
                # A load that begins while the next tile waits takes room there: the waiting stores must stay alive too.
                short_bytes, extended = _extend(stores, max(extended, store_at), store_count, begun, short_bytes, room)
                forced = short_bytes > 0
                if not forced and need > begun:
                    blocked = _last_without_room(room, size, begun, begun + 1)
                fits = not forced and blocked < present
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
                flying_end = -1
                if begun > logged and extended == 0:
                    logged = begun
                    seen = max(seen, begun)
                    _add_point(log, policy, points, begun, plain_at, reader_at, store_at, channel, seen)
                    points += 1
                    if begun >= tail and oldest >= tail and _meets(scratch.log, points, before.log, policy):
                        latency = _known_latency(scratch.log, policy, cutoff)
                        if latency >= 0:
                            return latency
                        tail = tiles + 1
            if not fits or take_store:
                if from_readers:
                    reader_blocked = blocked
                elif need < tiles:
                    plain_blocked = blocked
                if not take_store:
                    continue
        if take_store:
            flying_bytes = store_bytes[store_at]
            if least_end[store_at] > begun:
                flying_end = least_end[store_at]
                due[flying_end] -= flying_bytes
            else:
                flying_end = begun
                due_bytes -= flying_bytes
                if short_bytes == 0 or store_at < extended:
                    flying_end += 1
                else:
                    short_bytes -= flying_bytes
            end[loads + store_at] = flying_end
            order[place] = loads + store_at
            duration = store_cycles[store_at]
            store_at += 1
            channel += duration
        else:
            _take_room(room, size, present, need)
            if from_readers:
                number = plain_count + reader_at
                duration = reader_cycles[reader_at]
                reader_at += 1
                reader_blocked = -1
            else:
                number = plain_at
                duration = plain_cycles[plain_at]
                plain_at += 1
                plain_blocked = -1
            start[number] = present if present > 0 else -1
            order[place] = number
            flying_end = -1
            channel += duration
            waits[need] -= 1
            gate[need] = channel
        channel_left -= duration
        place += 1
    latency = max(tile_end, channel)
    _end_log(scratch.log, policy, points, latency, 1)
    return latency


@in_place
def _set_up(
    tiles: int,
    counts: tuple[int, int, int],
    begun: int,
    plain_at: int,
    reader_at: int,
    store_at: int,
    scratch: GreedyScratch,
) -> tuple[int, int]:
    """Fill the scratch arrays for a run from a point on; return the bytes due, and the cycles of all transfers left."""
    plain, readers, stores = scratch.queues.plain, scratch.queues.readers, scratch.queues.stores
    room, gate, waits, due = scratch.room, scratch.gate, scratch.waits, scratch.due
    _fill_room(scratch.free, begun, tiles, room)
    for p in range(begun, tiles + 1):
        gate[p] = 0
    for p in range(begun, tiles + 1):
        waits[p] = 0
    for p in range(begun, tiles + 1):
        due[p] = 0
    due_bytes, channel_left = 0, 0
    n = plain_at - 1
    while n >= 0 and plain.position[n] > begun:
        _take_room(room, plain.bytes[n], begun, plain.position[n])
        n -= 1
    n = reader_at - 1
    while n >= 0 and readers.position[n] > begun:
        _take_room(room, readers.bytes[n], begun, readers.position[n])
        n -= 1
    for n in range(plain_at, counts[0]):
        waits[plain.position[n]] += 1
        channel_left += plain.cycles[n]
    for n in range(reader_at, counts[1]):
        waits[readers.position[n]] += 1
        channel_left += readers.cycles[n]
    for n in range(store_at, counts[2]):
        channel_left += stores.cycles[n]
        if stores.limit[n] > begun:
            due[stores.limit[n]] += stores.bytes[n]
        else:
            due_bytes += stores.bytes[n]
    return due_bytes, channel_left


@in_place
def _add_point(
    points: IntArray, policy: int, at: int, begun: int, plain: int, readers: int, stores: int, time: int, seen: int
) -> None:
    """Write the point number `at`."""
    points[policy, BEGUN, at] = begun
    points[policy, PLAIN_DONE, at] = plain
    points[policy, READERS_DONE, at] = readers
    points[policy, STORES_DONE, at] = stores
    points[policy, TIME, at] = time
    points[policy, SEEN, at] = seen


@in_place
def _end_log(log: Log, policy: int, points: int, latency: int, exact: int) -> None:
    log.ends[policy, POINTS], log.ends[policy, LATENCY], log.ends[policy, EXACT] = points, latency, exact


@in_place
def _points_before(points: IntArray, policy: int, column: int, count: int, limit: int) -> int:
    """Return how many of the first `count` points have less than `limit` in an ascending column."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if points[policy, column, middle] < limit:
            low = middle + 1
        else:
            high = middle
    return low


@in_place
def _meets(log: Log, points: int, old: Log, policy: int) -> bool:
    """Whether the run before was where this one is at the last of `points`; if so, end `log` as that run went on."""
    now, then, counts, old_counts = log.points, old.points, log.counts, old.counts
    at = points - 1
    begun = counts[TILES] - old_counts[TILES]
    plain, readers = counts[PLAIN] - old_counts[PLAIN], counts[READERS] - old_counts[READERS]
    stores = counts[STORES] - old_counts[STORES]
    old_points = old.ends[policy, POINTS]
    met = _points_before(then, policy, BEGUN, old_points, now[policy, BEGUN, at] - begun)
    if (
        met == old_points
        or now[policy, BEGUN, at] != then[policy, BEGUN, met] + begun
        or now[policy, PLAIN_DONE, at] != then[policy, PLAIN_DONE, met] + plain
        or now[policy, READERS_DONE, at] != then[policy, READERS_DONE, met] + readers
        or now[policy, STORES_DONE, at] != then[policy, STORES_DONE, met] + stores
    ):
        return False
    later = now[policy, TIME, at] - then[policy, TIME, met]
    shifts = (begun, plain, readers, stores, later, begun)
    count = old_points - met - 1
    for column in range(POINT):
        shift = shifts[column]
        for point in range(count):
            now[policy, column, points + point] = then[policy, column, met + 1 + point] + shift
    seen = now[policy, SEEN, at]
    n = points  # the positions seen ascend
    while n < points + count and now[policy, SEEN, n] < seen:
        now[policy, SEEN, n] = seen
        n += 1
    _end_log(log, policy, points + count, old.ends[policy, LATENCY] + later, old.ends[policy, EXACT])
    return True


@in_place
def _known_latency(log: Log, policy: int, cutoff: int) -> int:
    """Return what a run that has ended as the one before returns; −1 if that one was cut off too early to know."""
    latency: int = log.ends[policy, LATENCY]
    if latency > cutoff:
        return NO_CUTOFF
    return latency if log.ends[policy, EXACT] else -1


@in_place
def _extend(stores: Queue, first: int, count: int, tile: int, short: int, room: Room) -> tuple[int, int]:
    """Extend the due stores from the queue's item `first` on, `short` bytes in all, to `tile`, as long as they fit.

    Returns the bytes of those that do not fit, and the first of them.
    """
    sizes, least_end = stores.bytes, stores.limit
    left = room.left[tile] - room.lowered[tile >> BLOCK_BITS]
    if left >= short:
        _take_room_at(room, short, tile)
        return 0, count
    taken = 0
    n = first
    while True:  # ends: not all of them fit
        if least_end[n] <= tile:
            if left - taken < sizes[n]:
                break
            taken += sizes[n]
        n += 1
    _take_room_at(room, taken, tile)
    return short - taken, n
