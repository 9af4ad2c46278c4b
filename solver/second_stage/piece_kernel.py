"""The longest paths after a piece of the second stage, and the shortest living durations (kernels)."""

from soma_cp.model.arrays import IntArray
from soma_cp.model.compiled import in_place
from soma_cp.model.soma.dlsa import DLSA, awaited_tile, waiting_tile
from soma_cp.model.soma.tensors import Tensors
from soma_cp.model.soma.tiling import TileSequence

NO_PATH = -(2**62)


@in_place
def tails_of_suffix(
    sequence: TileSequence, tensors: Tensors, dlsa: DLSA, last: int, tile_tail: IntArray, leaving: IntArray
) -> int:
    """Return the longest path from the end of the transfer at rank ``last − 1`` to the end of the run.

    Paths lead through tiles and the transfers from rank `last` on. Also fills the longest path from the end of each
    tile to the end of the run (`tile_tail`, int64[T]), and the longest of these that begins with a transfer (`leaving`,
    int64[T]; NO_PATH if there is none).
    """
    tiles, tile_cycles = sequence.count, sequence.cycles
    is_store, cycles, position = tensors.is_store, tensors.cycles, tensors.position
    order, start, end = dlsa.order, dlsa.start, dlsa.end
    for p in range(tiles):
        leaving[p] = NO_PATH
    known = tiles  # tile_tail is final from here on
    tail = 0  # from the end of the previous transfer
    for rank in range(len(order) - 1, last - 1, -1):
        i = order[rank]
        gate = waiting_tile(is_store[i], position[i], end[i])
        if gate < tiles:
            while known > gate:
                known -= 1
                behind = tile_cycles[known + 1] + tile_tail[known + 1] if known + 1 < tiles else 0
                tile_tail[known] = max(leaving[known], behind)
            tail = max(tail, tile_cycles[gate] + tile_tail[gate])
        tail += cycles[i]
        awaited = awaited_tile(is_store[i], position[i], start[i])
        if awaited >= 0:
            leaving[awaited] = max(leaving[awaited], tail)
    while known > 0:
        known -= 1
        behind = tile_cycles[known + 1] + tile_tail[known + 1] if known + 1 < tiles else 0
        tile_tail[known] = max(leaving[known], behind)
    return tail


@in_place
def shorten(sequence: TileSequence, tensors: Tensors, tile_begin: IntArray, tensor_begin: IntArray, dlsa: DLSA) -> None:
    """Shorten the living durations of a valid schedule as far as no time changes: Starts rise, Ends fall.

    `tile_begin` (int64[T]) and `tensor_begin` (int64[D]) are the begin cycles of its tiles and transfers.
    """
    tiles, tile_cycles = sequence.count, sequence.cycles
    is_store, cycles, position, least_end = tensors.is_store, tensors.cycles, tensors.position, tensors.least_end
    order, start, end = dlsa.order, dlsa.start, dlsa.end
    earliest_end = tiles + 1  # of the stores after
    ended = tiles
    for rank in range(len(order) - 1, -1, -1):
        i = order[rank]
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
    for rank in range(len(order)):
        i = order[rank]
        if is_store[i]:
            while begun < tiles and tile_begin[begun] < tensor_begin[i] + cycles[i]:
                begun += 1
            end[i] = min(end[i], max(least_end[i], begun, latest_start + 1))
            latest_start = max(latest_start, position[i])
        else:
            latest_start = max(latest_start, start[i])
