"""The longest paths behind a piece of the second stage: kernel."""

from soma_cp.model.arrays import BoolArray, IntArray
from soma_cp.model.compiled import compiled

NO_PATH = -(2**62)


@compiled
def tails_of_suffix(
    tile_cycles: IntArray,
    is_store: BoolArray,
    cycles: IntArray,
    position: IntArray,
    order: IntArray,
    last: int,
    start: IntArray,
    end: IntArray,
    gates: IntArray,
    tile_tail: IntArray,
    leaving: IntArray,
) -> int:
    """Return the time from the end of the transfer at place ``last − 1`` to the end of the run, by what follows it.

    `gates` is the tile that waits for a transfer (T: none). Fills for every tile the longest path from its end to the
    end of the run through tiles and the transfers from `last` on (`tile_tail`), and of these the longest that begins
    with a transfer (`leaving`; NO_PATH if none).
    """
    tiles = len(tile_cycles)
    for p in range(tiles):
        leaving[p] = NO_PATH
    known = tiles  # tile_tail is final from here on
    tail = 0  # from the end of the transfer before
    for place in range(len(order) - 1, last - 1, -1):
        i = order[place]
        gate = gates[i]
        if gate < tiles:
            while known > gate:
                known -= 1
                behind = tile_cycles[known + 1] + tile_tail[known + 1] if known + 1 < tiles else 0
                tile_tail[known] = max(leaving[known], behind)
            tail = max(tail, tile_cycles[gate] + tile_tail[gate])
        tail += cycles[i]
        waits_for = position[i] if is_store[i] else start[i] - 1
        if waits_for >= 0:
            leaving[waits_for] = max(leaving[waits_for], tail)
    while known > 0:
        known -= 1
        behind = tile_cycles[known + 1] + tile_tail[known + 1] if known + 1 < tiles else 0
        tile_tail[known] = max(leaving[known], behind)
    return tail


@compiled
def shorten(
    is_store: BoolArray,
    cycles: IntArray,
    position: IntArray,
    least_end: IntArray,
    order: IntArray,
    tile_begin: IntArray,
    tile_cycles: IntArray,
    tensor_begin: IntArray,
    start: IntArray,
    end: IntArray,
) -> None:
    """Shorten the living durations of a valid schedule as far as that changes no time: Starts rise, Ends fall."""
    tiles = len(tile_begin)
    earliest_end = tiles + 1  # of the stores behind
    ended = tiles
    for place in range(len(order) - 1, -1, -1):
        i = order[place]
        if is_store[i]:
            earliest_end = min(earliest_end, end[i])
        else:
            while ended > 0 and tile_begin[ended - 1] + tile_cycles[ended - 1] > tensor_begin[i]:
                ended -= 1
            latest = min(position[i], ended, earliest_end - 1)
            if latest > 0:
                start[i] = max(start[i], latest)
    latest_start = -1  # of the transfers before
    begun = 0
    for place in range(len(order)):
        i = order[place]
        if is_store[i]:
            while begun < tiles and tile_begin[begun] < tensor_begin[i] + cycles[i]:
                begun += 1
            end[i] = min(end[i], max(least_end[i], begun, latest_start + 1))
            latest_start = max(latest_start, position[i])
        else:
            latest_start = max(latest_start, start[i])
