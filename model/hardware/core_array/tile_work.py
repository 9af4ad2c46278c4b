"""The work of a tile, whichever core array runs it: its loops, its operations, the bytes it reads and makes."""

from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import BoolArray, FloatArray, IntArray
from soma_cp.model.compiled import compiled
from soma_cp.model.data_types import packed
from soma_cp.model.hardware.core_array.type_costs import type_costs
from soma_cp.model.hardware.platform import Platform
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
    is_matrix = _is_matrix(kind)
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


def _is_matrix(kind: IntArray) -> BoolArray:
    return np.isin(kind, (nt.CONV, nt.GROUP_CONV, nt.FC))


class OperationCosts(NamedTuple):
    """What an operation of N layers or tiles costs with all units busy; each array has N items.

    Parameters
    ----------
    over, under
        int64[N]: ``over`` cycles for ``under`` operations.
    energy_pj
        float64[N].
    """

    over: IntArray
    under: IntArray
    energy_pj: FloatArray


def operation_costs(layer: IntArray, platform: Platform) -> OperationCosts:
    """Return what an operation costs, by the type in which it is computed.

    Parameters
    ----------
    layer
        int64[N, COLUMNS]: rows of `NetworkTable.layers`.
    platform
        Its peaks and energies.
    """
    types, code = type_costs(platform), layer[:, nt.TYPE]
    is_matrix = _is_matrix(layer[:, nt.KIND])
    peak = np.where(is_matrix, platform.macs_per_cycle, platform.vector_ops_per_cycle)
    return OperationCosts(
        over=np.where(is_matrix, types.over[code], types.vector_over[code]),
        under=np.where(is_matrix, types.under[code], types.vector_under[code]) * peak,
        energy_pj=np.where(is_matrix, types.mac_pj[code], types.vector_pj[code]),
    )


def least_per_element(layers: IntArray, platform: Platform) -> tuple[FloatArray, FloatArray]:
    """Return the cycles and pJ of one ofmap element of every layer with all units busy; see `CoreArray`.

    Parameters
    ----------
    layers
        int64[L, COLUMNS]: `NetworkTable.layers`.
    platform
        Its peaks and energies.
    """
    kind = layers[:, nt.KIND]
    is_matrix = _is_matrix(kind)
    window = layers[:, nt.R] * layers[:, nt.S]
    macs = layers[:, nt.IN_CHANNELS] // layers[:, nt.GROUPS] * window
    operations = np.where(is_matrix, macs, np.where(kind == nt.POOL, window, layers[:, nt.OPERANDS]))
    costs = operation_costs(layers, platform)
    cycles: FloatArray = operations / (costs.under / costs.over)
    energy_pj: FloatArray = operations * costs.energy_pj
    return cycles, energy_pj


def ifmap_bytes(layers: IntArray, tiles: IntArray) -> IntArray:
    """Return the bytes of ifmaps that tiles read, each byte once: with the halo, without the padding.

    Parameters are those of `tile_work`.
    """
    return packed(ifmap_bits(layers, tiles), 1)


@compiled
def ifmap_bits(layers: IntArray, tiles: IntArray) -> IntArray:
    """Return the bits of ifmaps that tiles read, each element once: with the halo, without the padding.

    Parameters are those of `tile_work`.
    """
    total = np.empty(len(tiles), np.int64)
    for i in range(len(tiles)):
        layer = tiles[i, 0]
        b, c, h, w = ifmap_extent(layers, layer, tiles[i, 1], tiles[i, 2], tiles[i, 3], tiles[i, 4])
        operands = layers[layer, nt.OPERANDS]
        total[i] = operands * b * c * max(h, 0) * max(w, 0) * layers[layer, nt.IFMAP_BITS]
    return total
