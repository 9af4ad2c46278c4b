"""Times and buffer of a DLSA: kernels (specification: sections 4 and 5).

All arrays of DRAM tensors have D items in creation order, all arrays of tiles have T items; cycles and bytes.
"""

from soma_cp.model.arrays import BoolArray, IntArray
from soma_cp.model.compiled import compiled


@compiled
def begin_times(
    tile_cycles: IntArray,
    is_store: BoolArray,
    dram_cycles: IntArray,
    position: IntArray,
    order: IntArray,
    start: IntArray,
    end: IntArray,
    gate: IntArray,
    waits: IntArray,
    tile_begin: IntArray,
    tensor_begin: IntArray,
) -> int:
    """Fill `tile_begin` (T) and `tensor_begin` (D); return the latency, or ``-1 - p`` if tile p can never begin.

    One walk along the DRAM Tensor Order; before a tensor, all tiles run that it waits for. `gate` and `waits`
    (T + 1 items) are scratch: the time before which a tile can't begin, and the number of DRAM tensors that
    it still waits for.
    """
    tiles = len(tile_begin)
    for p in range(tiles + 1):
        gate[p] = 0
        waits[p] = 0
    for i in range(len(order)):
        waits[end[i] if is_store[i] else position[i]] += 1
    next_tile = 0
    tiles_end = 0  # end of the last tile that has run
    channel_free = 0
    for place in range(len(order)):
        i = order[place]
        # A load waits for the end of tile Start − 1, a store for the end of the tile that makes it.
        last = position[i] if is_store[i] else start[i] - 1
        while next_tile <= last:
            if waits[next_tile] > 0:
                return -1 - next_tile
            tile_begin[next_tile] = max(tiles_end, gate[next_tile])
            tiles_end = tile_begin[next_tile] + tile_cycles[next_tile]
            next_tile += 1
        ready = tile_begin[last] + tile_cycles[last] if last >= 0 else 0
        tensor_begin[i] = max(channel_free, ready)
        channel_free = tensor_begin[i] + dram_cycles[i]
        gated = end[i] if is_store[i] else position[i]
        gate[gated] = channel_free  # never earlier than another's: the channel is in order
        waits[gated] -= 1
    while next_tile < tiles:
        tile_begin[next_tile] = max(tiles_end, gate[next_tile])
        tiles_end = tile_begin[next_tile] + tile_cycles[next_tile]
        next_tile += 1
    return max(tiles_end, channel_free)
