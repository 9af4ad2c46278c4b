"""Times of a DLSA: kernel (docs/model.md#latency)."""

from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import IntArray
from soma_cp.model.compiled import in_place
from soma_cp.model.soma.dlsa import DLSA, awaited_tile, waiting_tile
from soma_cp.model.soma.occupancy import fill_usage
from soma_cp.model.soma.tensors import Tensors
from soma_cp.model.soma.tiling import TileSequence


class Times(NamedTuple):
    """When tiles and transfers begin, and the scratch of the walk that computes it.

    Parameters
    ----------
    tile_begin, tensor_begin
        int64[T], int64[D]: begin cycles, by position and by tensor index.
    gate, waits
        int64[T + 1], scratch: the cycle before which a tile can't begin; how many DRAM tensors it still waits for.
    """

    tile_begin: IntArray
    tensor_begin: IntArray
    gate: IntArray
    waits: IntArray


def empty_times(tiles: int, tensors: int) -> Times:
    """Allocate a `Times`."""
    return Times(
        tile_begin=np.zeros(tiles, np.int64),
        tensor_begin=np.zeros(tensors, np.int64),
        gate=np.zeros(tiles + 1, np.int64),
        waits=np.zeros(tiles + 1, np.int64),
    )


@in_place
def run(sequence: TileSequence, tensors: Tensors, count: int, dlsa: DLSA, times: Times, usage: IntArray) -> int:
    """Fill `times` and `usage` (int64[T + 1]: bytes alive) in one call from Python; return as `begin_times` does."""
    latency = begin_times(sequence, tensors, count, dlsa, times)
    fill_usage(tensors.bytes, count, dlsa, sequence, usage)
    return latency


@in_place
def begin_times(sequence: TileSequence, tensors: Tensors, count: int, dlsa: DLSA, times: Times) -> int:
    """Fill `times`; return the latency, or ``-1 - p`` if tile p can never begin.

    It walks along the DRAM Tensor Order once; before each tensor it runs all tiles that the tensor waits for.

    Parameters
    ----------
    sequence
        The tiles.
    tensors, dlsa
        Any DRAM tensors past `count` are unused.
    times
        Large enough for all.
    """
    # Locals for the arrays: numba counts references whenever a tuple's item is taken in a loop.
    tiles, tile_cycles = sequence.count, sequence.cycles
    is_store, dram_cycles, position = tensors.is_store, tensors.cycles, tensors.position
    order, start, end = dlsa.order, dlsa.start, dlsa.end
    tile_begin, tensor_begin, gate, waits = times.tile_begin, times.tensor_begin, times.gate, times.waits
    for p in range(tiles + 1):
        gate[p] = 0
        waits[p] = 0
    for i in range(count):
        waits[waiting_tile(is_store[i], position[i], end[i])] += 1
    next_tile = 0
    tiles_end = 0  # cycle at which the last tile that has run ends
    channel_free = 0
    for rank in range(count):
        i = order[rank]
        last = awaited_tile(is_store[i], position[i], start[i])
        while next_tile <= last:
            if waits[next_tile] > 0:
                return -1 - next_tile
            tile_begin[next_tile] = max(tiles_end, gate[next_tile])
            tiles_end = tile_begin[next_tile] + tile_cycles[next_tile]
            next_tile += 1
        ready = tile_begin[last] + tile_cycles[last] if last >= 0 else 0
        tensor_begin[i] = max(channel_free, ready)
        channel_free = tensor_begin[i] + dram_cycles[i]
        gated = waiting_tile(is_store[i], position[i], end[i])
        gate[gated] = channel_free  # never earlier than before: the channel keeps its order
        waits[gated] -= 1
    while next_tile < tiles:
        tile_begin[next_tile] = max(tiles_end, gate[next_tile])
        tiles_end = tile_begin[next_tile] + tile_cycles[next_tile]
        next_tile += 1
    return max(tiles_end, channel_free)
