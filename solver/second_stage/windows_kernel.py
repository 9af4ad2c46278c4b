"""The window bound (kernels; `windows` has the proof). O(W·(T + D)) time, O(T + D) memory; W is the longest window."""

from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import BoolArray, IntArray
from soma_cp.model.compiled import compiled, in_place
from soma_cp.model.sorting import sort_indices

NO_CHAIN = -(2**60)


class FreeTransfers(NamedTuple):
    """The free transfers of a piece, by tensor; D items each, as in `Piece`."""

    is_store: BoolArray
    bytes: IntArray
    cycles: IntArray
    position: IntArray
    latest_start: IntArray
    least_end: IntArray
    after_begin: IntArray
    after_end: IntArray


class SortedTransfers(NamedTuple):
    """The free transfers of a piece as the window bound needs them; D items each, most cycles per byte first.

    Parameters
    ----------
    is_store
        bool[D].
    bytes, cycles, position, latest_start, least_end
        int64[D]: as in `Piece`.
    earliest_start, latest_end
        int64[D]: the lowest Start of a load and the highest End of a store for which it fits into the buffer at all.
    read_at
        int64[D]: of a store, the first position whose tile needs its ofmap back; N if there is none.
    """

    is_store: BoolArray
    bytes: IntArray
    cycles: IntArray
    position: IntArray
    latest_start: IntArray
    least_end: IntArray
    earliest_start: IntArray
    latest_end: IntArray
    read_at: IntArray


class Paths(NamedTuple):
    """The longest paths to and from every tile, N + 1 items each, as in `Windows`."""

    begin: IntArray
    opening: IntArray
    tail_begin: IntArray
    tail_opening: IntArray


class Frame(NamedTuple):
    """The tiles of a piece, and the constraints of what is fixed around it, as in `Piece`.

    Only windows (p, f) with f − p ≤ `longest_window` count. A transfer then matters only within that distance of its
    position, and how long others can wait beyond it is not looked at.
    """

    tile_cycles: IntArray
    room: IntArray
    tile_ready: IntArray
    tile_tail: IntArray
    channel_ready: int
    channel_tail: int
    longest_window: int


@in_place
def _widest_durations(
    free: FreeTransfers, room: IntArray, longest: int, starts: IntArray, ends: IntArray, read_at: IntArray
) -> None:
    """Fill the last three fields of `SortedTransfers`, by tensor.

    A Start or End more than `longest` positions away is not looked for: it may be any.
    """
    is_store, sizes, position = free.is_store, free.bytes, free.position
    latest_start, least_end, after_begin, after_end = (
        free.latest_start,
        free.least_end,
        free.after_begin,
        free.after_end,
    )
    tiles = len(room)
    for i in range(len(starts)):
        read_at[i] = tiles
    seen_begin, seen_end, seen_position, lowest = 0, 0, 0, 0
    for i in range(len(starts)):
        starts[i] = latest_start[i]
        ends[i] = least_end[i]
        size = sizes[i]
        if is_store[i]:
            while ends[i] < tiles and room[ends[i]] >= size:
                ends[i] = ends[i] + 1 if ends[i] - position[i] <= longest else tiles
            continue
        # Loads of the same ofmap wait for the same stores, which can be as many as the loads: they are looked at once.
        if after_begin[i] != seen_begin or after_end[i] != seen_end or position[i] < seen_position:
            seen_begin, seen_end, seen_position, lowest = after_begin[i], after_end[i], position[i], 0
            for store in range(after_begin[i], after_end[i]):
                # The load comes after the store, and the store begins after its tile.
                lowest = max(lowest, position[store] + 1)
                read_at[store] = min(read_at[store], position[i])
        while starts[i] > lowest and room[starts[i] - 1] >= size:
            starts[i] = starts[i] - 1 if position[i] - starts[i] <= longest else lowest


@compiled
def sorted_transfers(
    free: FreeTransfers, room: IntArray, longest_window: int
) -> tuple[SortedTransfers, IntArray, IntArray]:
    """Return the sorted transfers of a piece, and the lowest Starts and highest Ends by tensor.

    `room` (int64[N]) is that of the piece; see `Frame` for `longest_window`.
    """
    count = len(free.bytes)
    starts, ends, read_at = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.int64)
    _widest_durations(free, room, longest_window, starts, ends, read_at)
    dearest, spare = np.empty(count, np.int64), np.empty(count, np.int64)
    sort_indices(-(free.cycles / free.bytes), count, dearest, spare)
    transfers = SortedTransfers(
        is_store=free.is_store[dearest],
        bytes=free.bytes[dearest],
        cycles=free.cycles[dearest],
        position=free.position[dearest],
        latest_start=free.latest_start[dearest],
        least_end=free.least_end[dearest],
        earliest_start=starts[dearest],
        latest_end=ends[dearest],
        read_at=read_at[dearest],
    )
    return transfers, starts, ends


@in_place
def _filled(size: int, cycles: int, room: int) -> int:
    """Return an upper bound on the cycles of an item that fit into `room` bytes."""
    if size <= room:
        return cycles
    return -(-room * cycles // size)


@compiled
def _held_at_openings(transfers: SortedTransfers, tiles: int, room: IntArray, longest: int, held: IntArray) -> None:
    """Fill ``held[p]``: the most cycles of loads for tiles from p on that can begin before the end of tile p − 1."""
    left = np.empty(tiles + 1, np.int64)
    left[0] = 0
    held[0] = 0
    for p in range(1, tiles + 1):
        left[p] = room[p - 1]
        held[p] = 0
    for i in range(len(transfers.bytes)):
        if not transfers.is_store[i]:
            size, cycles = transfers.bytes[i], transfers.cycles[i]
            first = max(transfers.earliest_start[i] + 1, 1, transfers.position[i] - longest)
            for p in range(first, transfers.latest_start[i] + 1):
                if left[p] > 0:
                    held[p] += _filled(size, cycles, left[p])
                    left[p] -= size


@compiled
def _held_at_begins(transfers: SortedTransfers, tiles: int, room: IntArray, longest: int, held: IntArray) -> None:
    """Fill ``held[f]``: the most cycles of stores of tiles before f that can finish after tile f has begun."""
    left = np.empty(tiles + 1, np.int64)
    for f in range(tiles):
        left[f] = room[f]
        held[f] = 0
    held[tiles] = 0
    for i in range(len(transfers.bytes)):
        if transfers.is_store[i]:
            size, cycles = transfers.bytes[i], transfers.cycles[i]
            last = min(_waits_until(transfers, i, tiles) - 1, transfers.position[i] + 1 + longest)
            for f in range(transfers.least_end[i], last + 1):
                if left[f] > 0:
                    held[f] += _filled(size, cycles, left[f])
                    left[f] -= size


@in_place
def _waits_until(transfers: SortedTransfers, store: int, tiles: int) -> int:
    """Return the first position from ``least_end`` on whose tile can't begin before this store is finished."""
    due: int = min(transfers.latest_end[store], transfers.read_at[store], tiles)
    return due


@in_place
def _by_key(keys: IntArray, limit: int, begin: IntArray, items: IntArray) -> None:
    """Sort indices by key: those of key k are ``items[begin[k]: begin[k + 1]]``; keys outside 0 … limit are left out.

    `begin` has limit + 2 items, all 0 at the call.
    """
    for key in keys:
        if 0 <= key <= limit:
            begin[key + 1] += 1
    for k in range(limit + 1):
        begin[k + 1] += begin[k]
    for i in range(len(keys)):
        if 0 <= keys[i] <= limit:
            items[begin[keys[i]]] = i
            begin[keys[i]] += 1
    for k in range(limit + 1, 0, -1):
        begin[k] = begin[k - 1]
    begin[0] = 0


@compiled
def longest_paths(transfers: SortedTransfers, frame: Frame, paths: Paths, work: IntArray) -> int:
    """Fill `paths`; return the longest path of all.

    Also fills `work` if it has (N + 1)² items.
    """
    tiles = len(frame.tile_cycles)
    loads_held, stores_held = longest_paths_to(transfers, frame, paths, work)
    _paths_from(transfers, frame, loads_held, stores_held, paths)
    begin = paths.begin
    longest: int = begin[tiles] + frame.channel_tail
    for p in range(tiles):
        longest = max(longest, begin[p] + frame.tile_cycles[p] + frame.tile_tail[p])
    return longest


@compiled
def longest_paths_to(
    transfers: SortedTransfers, frame: Frame, paths: Paths, work: IntArray
) -> tuple[IntArray, IntArray]:
    """Fill only ``paths.begin``, ``paths.opening`` and `work`; return the cycles held of loads and of stores."""
    tiles = len(frame.tile_cycles)
    loads_held, stores_held = np.empty(tiles + 1, np.int64), np.empty(tiles + 1, np.int64)
    _held_at_openings(transfers, tiles, frame.room, frame.longest_window, loads_held)
    _held_at_begins(transfers, tiles, frame.room, frame.longest_window, stores_held)
    _paths_to(transfers, frame, loads_held, stores_held, paths, work)
    return loads_held, stores_held


@compiled
def _paths_to(
    transfers: SortedTransfers,
    frame: Frame,
    loads_held: IntArray,
    stores_held: IntArray,
    paths: Paths,
    work: IntArray,
) -> None:
    begin, opening = paths.begin, paths.opening
    tile_cycles, ready = frame.tile_cycles, frame.tile_ready
    tiles, count = len(tile_cycles), len(transfers.bytes)
    is_store, cycles, position = transfers.is_store, transfers.cycles, transfers.position
    latest_start, earliest_start = transfers.latest_start, transfers.earliest_start
    # Loads by the tile that needs them; stores by the first position at which they can wait, and by that at which they
    # are due.
    needing, waiting, due = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.int64)
    for i in range(count):
        needing[i], waiting[i], due[i] = -1, -1, -1
        if is_store[i]:
            due[i] = _waits_until(transfers, i, tiles)
            if transfers.least_end[i] < due[i]:
                waiting[i] = transfers.least_end[i]
        else:
            needing[i] = position[i]
    loads_begin, loads = np.zeros(tiles + 2, np.int64), np.empty(count, np.int64)
    waiting_begin, waiting_items = np.zeros(tiles + 2, np.int64), np.empty(count, np.int64)
    due_begin, due_items = np.zeros(tiles + 2, np.int64), np.empty(count, np.int64)
    _by_key(needing, tiles, loads_begin, loads)
    _by_key(waiting, tiles, waiting_begin, waiting_items)
    _by_key(due, tiles, due_begin, due_items)
    needed = np.zeros(tiles + 1, np.int64)  # by p: loads for the tiles p … f
    could = np.zeros(tiles + 1, np.int64)  # those of them that can begin before the end of tile p − 1
    must = np.zeros(tiles + 2, np.int64)  # by position + 1: cycles of stores that are due at f; of those that can wait
    may = np.zeros(tiles + 2, np.int64)
    tile_end = 0
    for f in range(tiles + 1):
        first = max(f - frame.longest_window, 0)  # the first p of a window that ends at f
        loaded = 0
        for n in range(loads_begin[f], loads_begin[f + 1]):
            i = loads[n]
            loaded += cycles[i]
            for p in range(max(earliest_start[i] + 1, 1, first), latest_start[i] + 1):
                could[p] += cycles[i]
            for p in range(max(latest_start[i] + 1, first), f + 1):
                needed[p] -= cycles[i]
        for p in range(first, f + 1):
            needed[p] += loaded
        for n in range(waiting_begin[f], waiting_begin[f + 1]):
            i = waiting_items[n]
            may[position[i] + 1] += cycles[i]
        for n in range(due_begin[f], due_begin[f + 1]):
            i = due_items[n]
            if waiting[i] >= 0:
                may[position[i] + 1] -= cycles[i]
            must[position[i] + 1] += cycles[i]
        opening[f] = max(tile_end, frame.channel_ready)
        must_from, may_from = 0, 0
        # The last transfer may end before the last tile: so item N of `begin` is the end of the transfers only.
        best = max(tile_end, ready[f]) if f < tiles else frame.channel_ready
        for p in range(f, first - 1, -1):
            must_from += must[p]
            may_from += may[p]
            span = needed[p] - min(could[p], loads_held[p]) + must_from + max(may_from - stores_held[f], 0)
            if span > 0:
                best = max(best, opening[p] + span)
            if len(work) > 0:
                work[p, f] = span
        begin[f] = best
        if f < tiles:
            tile_end = best + tile_cycles[f]


@compiled
def _paths_from(
    transfers: SortedTransfers,
    frame: Frame,
    loads_held: IntArray,
    stores_held: IntArray,
    paths: Paths,
) -> None:
    tail_begin, tail_opening = paths.tail_begin, paths.tail_opening
    tile_cycles = frame.tile_cycles
    tiles, count = len(tile_cycles), len(transfers.bytes)
    is_store, cycles, position = transfers.is_store, transfers.cycles, transfers.position
    # Loads by the highest p of a window that counts them, and by the highest p at which they can't begin early; stores
    # by the highest p of a window that counts them.
    counted, bound = np.empty(count, np.int64), np.empty(count, np.int64)
    for i in range(count):
        counted[i] = position[i] + 1 if is_store[i] else transfers.latest_start[i]
        bound[i] = -1 if is_store[i] else transfers.earliest_start[i]
    counted_begin, counted_items = np.zeros(tiles + 2, np.int64), np.empty(count, np.int64)
    bound_begin, bound_items = np.zeros(tiles + 2, np.int64), np.empty(count, np.int64)
    _by_key(counted, tiles, counted_begin, counted_items)
    _by_key(bound, tiles, bound_begin, bound_items)
    needed = np.zeros(tiles + 1, np.int64)  # by position: loads; below, those that can begin before tile p − 1 ends
    could = np.zeros(tiles + 1, np.int64)
    must = np.zeros(tiles + 1, np.int64)  # by f: cycles of stores from tile p − 1 on that are due at f; that can wait
    may = np.zeros(tiles + 1, np.int64)
    for p in range(tiles, -1, -1):
        last = min(p + frame.longest_window, tiles)  # the last f of a window that begins at p
        for n in range(counted_begin[p], counted_begin[p + 1]):
            i = counted_items[n]
            if is_store[i]:
                first_due = max(_waits_until(transfers, i, tiles), p)
                for f in range(max(transfers.least_end[i], p), min(first_due, last + 1)):
                    may[f] += cycles[i]
                for f in range(first_due, last + 1):
                    must[f] += cycles[i]
            else:
                needed[position[i]] += cycles[i]
                if bound[i] < counted[i]:
                    could[position[i]] += cycles[i]
        for n in range(bound_begin[p], bound_begin[p + 1]):
            i = bound_items[n]
            if bound[i] < counted[i]:
                could[position[i]] -= cycles[i]
        if p < tiles:
            tail_begin[p] = tile_cycles[p] + max(frame.tile_tail[p], tail_opening[p + 1])
        else:
            tail_begin[p] = frame.channel_tail
        needed_to, could_to = 0, 0
        best = tail_begin[p] if p < tiles else 0
        for f in range(p, last + 1):
            needed_to += needed[f]
            could_to += could[f]
            held = min(could_to, loads_held[p]) if p > 0 else 0
            span = needed_to - held + must[f] + max(may[f] - stores_held[f], 0)
            if span > 0:
                best = max(best, span + tail_begin[f])
        tail_opening[p] = best


@compiled
def needed_arcs(work: IntArray, tile_cycles: IntArray, begins_with_a_tile: bool) -> IntArray:
    """Return int64[A, 3]: p, f and ``work[p, f]`` of the arcs that no path of other arcs and tiles implies.

    Tile p begins after the end of tile p − 1 without any arc. Tile 0 begins after the time at which the channel is
    ready only if `begins_with_a_tile`. The end of all transfers need not come after the last tile.
    """
    tiles = len(tile_cycles)
    implied = np.full((tiles + 1, tiles + 1), NO_CHAIN)
    rest = np.full((tiles + 1, tiles + 1), NO_CHAIN)  # by f and p: `implied`, plus the cycles of the tile before p
    arcs = []
    for span in range(tiles + 1):
        for p in range(tiles + 1 - span):
            f = p + span
            through = 0
            if f == tiles or (p == 0 and not begins_with_a_tile):
                through = NO_CHAIN
            for q in range(p, f):
                through = max(through, implied[p, q] + rest[f, q + 1])
            if work[p, f] > max(through, 0):
                arcs.append((p, f))
                through = work[p, f]
            if through < 0:
                continue
            implied[p, f] = through
            rest[f, p] = through + (tile_cycles[p - 1] if p > 0 else 0)
    found = np.empty((len(arcs), 3), np.int64)
    for n in range(len(arcs)):
        p, f = arcs[n]
        found[n, 0], found[n, 1], found[n, 2] = p, f, work[p, f]
    return found
