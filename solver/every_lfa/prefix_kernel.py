"""The window bound of a prefix of an LFA (kernel)."""

from typing import NamedTuple

import numpy as np

from soma_cp.annealing.first_stage.lfa_pricing import lay_out
from soma_cp.model.compiled import compiled
from soma_cp.model.hardware.platform import DramRate
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.model.soma.lfa import LFAArrays
from soma_cp.model.soma.occupancy import fill_least_room
from soma_cp.model.soma.tensors import TensorPlaces, Tensors, count_tensors, make_tensors
from soma_cp.model.soma.tiling import LayerTiles, TileSequence
from soma_cp.solver.second_stage.windows_kernel import Frame, FreeTransfers, Paths, longest_paths_to, sorted_transfers

NOTHING_FITS = -1


class PrefixScratch(NamedTuple):
    """Scratch arrays for a prefix: its DRAM tensors."""

    places: TensorPlaces
    tensors: Tensors


@compiled
def prefix_latency(
    table: NetworkTable,
    dram_rate: DramRate,
    capacity: int,
    lfa: LFAArrays,
    tiles: LayerTiles,
    tile_count: int,
    scratch: PrefixScratch,
) -> tuple[int, int]:
    """Return lower bounds on the end of the prefix's tiles and on the end of its transfers.

    Parameters
    ----------
    lfa
        The layers of the prefix.
    tiles
        Tiles of all layers, with `cycles`. Layers after the prefix have a count of 0, the last LG, no FLG, and −1 as
        their first tile: so ofmaps that they read are neither stored nor kept for them.
    tile_count
        Tiles of the prefix.
    scratch
        Arrays that are long enough.

    Returns
    -------
    tuple of int
        Cycles; both NOTHING_FITS if the buffer is too small for any DLSA.
    """
    tensors = scratch.tensors
    dram, chip = count_tensors(table, lfa, tiles, scratch.places)
    make_tensors(table, lfa, tiles, scratch.places, dram_rate, tensors)
    tile_cycles, chip_usage = np.empty(tile_count, np.int64), np.empty(tile_count + 1, np.int64)
    lay_out(tiles, tensors, chip, tile_count, tile_cycles, chip_usage)
    sequence = TileSequence(tile_count, tile_cycles, chip_usage)
    room = np.empty(tile_count + 1, np.int64)
    if fill_least_room(tensors, dram, sequence, capacity, room) < 0:
        return NOTHING_FITS, NOTHING_FITS
    room = room[:tile_count]
    free = FreeTransfers(
        is_store=tensors.is_store[:dram],
        bytes=tensors.bytes[:dram],
        cycles=tensors.cycles[:dram],
        position=tensors.position[:dram],
        latest_start=tensors.position[:dram],
        least_end=tensors.least_end[:dram],
        after_begin=tensors.after_begin[:dram],
        after_end=tensors.after_end[:dram],
    )
    transfers, _, _ = sorted_transfers(free, room, tile_count)
    zeros = np.zeros(tile_count, np.int64)
    frame = Frame(
        tile_cycles=tile_cycles,
        room=room,
        tile_ready=zeros,
        tile_tail=zeros,
        channel_ready=0,
        channel_tail=0,
        longest_window=tile_count,
    )
    begin, opening, unused = (
        np.zeros(tile_count + 1, np.int64),
        np.zeros(tile_count + 1, np.int64),
        np.empty(0, np.int64),
    )
    longest_paths_to(transfers, frame, Paths(begin, opening, unused, unused), np.empty((0, 0), np.int64))
    return opening[tile_count], begin[tile_count]
