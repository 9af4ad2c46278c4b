"""The work of a tile, whichever core array runs it: its loops, its operations, the bytes it reads and makes."""

from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import BoolArray, FloatArray, IntArray
from soma_cp.model.compiled import compiled
from soma_cp.model.network import network_table as nt
from soma_cp.model.network.extents import ifmap_extent


class TileWork(NamedTuple):
    """N tiles; each array has N items.

    Parameters
    ----------
    is_matrix
        Whether the PE array runs the tile (conv, group_conv, fc) rather than the vector unit.
    operations
        Multiply-accumulates of a matrix tile, element operations of a vector tile.
    groups
        G: groups that have weights of their own; where another layer makes the weights, each sample has its own.
    samples, channels, in_channels
        B, K and C of one group.
    rows, columns
        H and W of the ofmap tile.
    """

    is_matrix: BoolArray
    operations: IntArray
    groups: IntArray
    samples: IntArray
    channels: IntArray
    in_channels: IntArray
    rows: IntArray
    columns: IntArray


def tile_work(layers: IntArray, tiles: IntArray) -> TileWork:
    """Return the loops of tiles (docs/model.md#matrix-tiles, docs/model.md#vector-tiles).

    Parameters
    ----------
    layers
        int64[L, COLUMNS]: `NetworkTable.layers`.
    tiles
        int64[N, 5]: layer id, samples, channels, rows, columns.
    """
    layer = layers[tiles[:, 0]]
    b, k, h, w = tiles[:, 1:].T
    kind = layer[:, nt.KIND]
    is_matrix = np.isin(kind, (nt.CONV, nt.GROUP_CONV, nt.FC))
    channels_of_group = layer[:, nt.K] // layer[:, nt.GROUPS]
    groups = np.where(kind == nt.GROUP_CONV, -(-k // channels_of_group), 1)
    channels = np.where(groups > 1, channels_of_group, k)
    in_channels = layer[:, nt.IN_CHANNELS] // layer[:, nt.GROUPS]
    own_weights = layer[:, nt.HAS_OPERAND] == 1
    samples = np.where(own_weights, 1, b)
    groups = np.where(own_weights, groups * b, groups)
    window = layer[:, nt.R] * layer[:, nt.S]
    vector_operations = b * k * h * w * np.where(kind == nt.POOL, window, layer[:, nt.OPERANDS])
    matrix_operations = groups * samples * channels * in_channels * window * h * w
    operations = np.where(is_matrix, matrix_operations, vector_operations)
    return TileWork(is_matrix, operations, groups, samples, channels, in_channels, h, w)


def least_per_element(
    layers: IntArray, macs_per_cycle: int, vector_ops_per_cycle: int, mac_pj: float, vector_pj: float
) -> tuple[FloatArray, FloatArray]:
    """Return the cycles and pJ of one ofmap element of every layer with all units busy; see `CoreArray`.

    Parameters
    ----------
    layers
        int64[L, COLUMNS]: `NetworkTable.layers`.
    macs_per_cycle, vector_ops_per_cycle
        The peak of the array and of the vector unit.
    mac_pj, vector_pj
        Energy of one operation of each.
    """
    kind = layers[:, nt.KIND]
    is_matrix = np.isin(kind, (nt.CONV, nt.GROUP_CONV, nt.FC))
    window = layers[:, nt.R] * layers[:, nt.S]
    macs = layers[:, nt.IN_CHANNELS] // layers[:, nt.GROUPS] * window
    operations = np.where(is_matrix, macs, np.where(kind == nt.POOL, window, layers[:, nt.OPERANDS]))
    cycles: FloatArray = operations / np.where(is_matrix, macs_per_cycle, vector_ops_per_cycle)
    energy_pj: FloatArray = operations * np.where(is_matrix, mac_pj, vector_pj)
    return cycles, energy_pj


@compiled
def ifmap_bytes(layers: IntArray, tiles: IntArray) -> IntArray:
    """Return the bytes of ifmaps that tiles read, each byte once: with the halo, without the padding.

    Parameters are those of `tile_work`.
    """
    total = np.empty(len(tiles), np.int64)
    for i in range(len(tiles)):
        layer = tiles[i, 0]
        b, c, h, w = ifmap_extent(layers, layer, tiles[i, 1], tiles[i, 2], tiles[i, 3], tiles[i, 4])
        operands = layers[layer, nt.OPERANDS]
        total[i] = operands * b * c * max(h, 0) * max(w, 0)
    return total
