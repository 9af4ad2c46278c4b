"""Plan: everything that an LFA fixes, as arrays (specification: sections 2 and 3).

Built once for an LFA; evaluation, searches and solvers all take a `Plan`. Positions are tile ids: the place of
a tile in the tile sequence, 0 … T−1. A DRAM tensor is a load (ifmap or weights) or a store (ofmap).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from soma_cp.model.lfa import LFA
from soma_cp.model.network import Network
from soma_cp.model.network_table import IntArray
from soma_cp.model.platform import Platform

# Codes in `Plan.tensor_kind`.
IFM, WGT, OFM = 0, 1, 2
KIND_NAMES = ("ifm", "wgt", "ofm")
NO_SOURCE = np.iinfo(np.int64).min


@dataclass(frozen=True, eq=False)
class Plan:
    """Tiles and tensors of one LFA: T tiles, D DRAM tensors in creation order, L layers.

    Parameters
    ----------
    network, platform, batch, lfa
        What the plan was made of.
    layer_tile
        int64[L, 4]: extent (samples, channels, rows, columns) of every tile of a layer.
    layer_tile_count, layer_first_position, layer_position_step
        int64[L]: tile i of layer l stands at ``first + i · step``.
    layer_flg, layer_lg
        int64[L]: index of the FLG and of the LG that the layer belongs to.
    tile_layer, tile_index
        int64[T]: layer id of the tile at each position, and its index within the layer.
    tile_cycles
        int64[T]: cycles that the core array takes.
    tile_energy_pj
        float64[T]: energy of the core array.
    tensor_kind
        int64[D]: IFM, WGT or OFM.
    tensor_layer, tensor_tile
        int64[D]: the layer that needs (loads) or makes (stores) the tensor, and the tile's index within it.
    tensor_source
        int64[D]: of an ifmap load, producing layer's id or ``-1 - id`` of an external input; else NO_SOURCE.
    tensor_bytes, dram_cycles
        int64[D]: size, and cycles that the DRAM channel is busy with it.
    is_store
        bool[D].
    position
        int64[D]: of a load the position f of its first need (its Start may be −1 … f); of a store the
        position p that makes it (its Start is p).
    least_end
        int64[D]: of a load its fixed End; of a store the least End that rules and local uses allow (at most T).
    after_begin, after_end
        int64[D]: this tensor must come after the DRAM tensors ``after_begin … after_end − 1`` in the DRAM
        Tensor Order (an ifmap that another LG stored; specification: section 4, rule 2); empty range if none.
    chip_layer, chip_tile, chip_bytes, chip_start, chip_end
        int64: ofmap tensors that never touch DRAM, with their fixed living durations.
    chip_usage
        int64[T]: bytes that those hold at each position.
    """

    network: Network
    platform: Platform
    batch: int
    lfa: LFA
    layer_tile: IntArray
    layer_tile_count: IntArray
    layer_first_position: IntArray
    layer_position_step: IntArray
    layer_flg: IntArray
    layer_lg: IntArray
    tile_layer: IntArray
    tile_index: IntArray
    tile_cycles: IntArray
    tile_energy_pj: npt.NDArray[np.float64]
    tensor_kind: IntArray
    tensor_layer: IntArray
    tensor_tile: IntArray
    tensor_source: IntArray
    tensor_bytes: IntArray
    dram_cycles: IntArray
    is_store: npt.NDArray[np.bool_]
    position: IntArray
    least_end: IntArray
    after_begin: IntArray
    after_end: IntArray
    chip_layer: IntArray
    chip_tile: IntArray
    chip_bytes: IntArray
    chip_start: IntArray
    chip_end: IntArray
    chip_usage: IntArray
