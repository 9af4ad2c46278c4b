"""The tiles of all FLGs that end at a downset of a network: kernels of `soma_cp.solver.every_lfa.downset_paths`.

`fill_tiles` cuts the FLGs that end at a downset J, with every Tiling Number of a list.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import BoolArray, IntArray
from soma_cp.model.compiled import compiled, in_place
from soma_cp.model.data_types import packed
from soma_cp.model.network import network_table as nt
from soma_cp.model.network.extents import loaded_extent
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.model.soma.tiling import tile_flg, uncut_dimensions

EMPTY = -1


class KnownTiles(NamedTuple):
    """All different tiles so far: an open hash table.

    Parameters
    ----------
    keys
        int64[H]: the tile's layer and extent as one number; EMPTY if there is none.
    index
        int64[H]: of the tile.
    strides
        int64[4]: factors of layer, samples, channels and rows in the number; columns have 1.
    """

    keys: IntArray
    index: IntArray  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    strides: IntArray


class Cuts(NamedTuple):
    """How FLGs that end at a downset may be cut: O ways, of an FLG with certain dimensions kept whole.

    Parameters
    ----------
    samples, parts
        int64[O]: samples of a tile, parts of rows and columns.
    keep_rows, keep_columns
        Which dimensions stay whole.
    """

    samples: IntArray
    parts: IntArray
    keep_rows: bool
    keep_columns: bool


class CutTiles(NamedTuple):
    """Tiles of the m layers that may be in an FLG that ends at a downset, by the way in which it is cut.

    Parameters
    ----------
    which
        int64[m, O]: index of the tile in `KnownTiles`; EMPTY if the layer can't be cut so.
    held
        int64[m, O]: bytes of an ofmap tile.
    brought
        int64[e, O]: bytes that a tile reads over each edge of these layers.
    """

    which: IntArray
    held: IntArray
    brought: IntArray


@in_place
def fill_tiles(
    table: NetworkTable,
    order: IntArray,
    flg: IntArray,
    place_of: IntArray,
    cuts: Cuts,
    known: KnownTiles,
    count: int,
    rows: IntArray,
    extents: IntArray,
    tiles: CutTiles,
) -> int:
    """Fill `tiles`, and add those that are new to `known` and to the tile rows; return how many are known now.

    Parameters
    ----------
    order, flg, place_of
        int64[m]: ids of layers, ascending, which hold all their consumers that lie in the downset; int64[L]: whether a
        layer is one of them (1 or 0); int64[L]: its place.
    count, rows
        Tiles known, and int64[…, 5]: what the core array prices, by tile.
    extents
        int64[L, 4]: scratch.
    """
    layers, use_begin, use_layer = table.layers, table.use_begin, table.use_layer
    source_begin, roles = table.source_begin, table.source_role
    channels, bits = table.source_channels, table.source_bits
    size = len(known.keys)
    for option in range(len(cuts.samples)):
        edge_end = len(tiles.brought)
        for place in range(len(order) - 1, -1, -1):
            layer = order[place]
            edge_begin = edge_end - (source_begin[layer + 1] - source_begin[layer])
            edge_end = edge_begin
            possible = True
            for use in range(use_begin[layer], use_begin[layer + 1]):
                consumer = use_layer[use]
                if flg[consumer] == 1 and tiles.which[place_of[consumer], option] == EMPTY:
                    possible = False
            tiles.which[place, option] = EMPTY
            if not possible:
                continue
            if not _tile_layer(table, order, flg, place, cuts, option, extents):
                continue
            b, k, h, w = extents[layer, 0], extents[layer, 1], extents[layer, 2], extents[layer, 3]
            key = layer * known.strides[0] + b * known.strides[1] + k * known.strides[2] + h * known.strides[3] + w
            slot = key % size
            while known.keys[slot] != key and known.keys[slot] != EMPTY:
                slot = slot + 1 if slot + 1 < size else 0
            if known.keys[slot] == EMPTY:
                known.keys[slot] = key
                known.index[slot] = count
                rows[count, 0], rows[count, 1], rows[count, 2], rows[count, 3], rows[count, 4] = layer, b, k, h, w
                count += 1
            tiles.which[place, option] = known.index[slot]
            tiles.held[place, option] = packed(b * k * h * w, layers[layer, nt.OFMAP_BITS])
            for edge in range(source_begin[layer], source_begin[layer + 1]):
                need_rows, need_columns = loaded_extent(layers, extents, layer, roles[edge])
                tiles.brought[edge_begin + edge - source_begin[layer], option] = packed(
                    b * need_rows * need_columns * channels[edge], bits[edge]
                )
    return count


@in_place
def _tile_layer(
    table: NetworkTable,
    order: IntArray,
    flg: IntArray,
    place: int,
    cuts: Cuts,
    option: int,
    extents: IntArray,
) -> bool:
    """Fill the extents of one layer from those of its consumers; return False if it can't be cut that way."""
    return tile_flg(
        table.layers,
        table.use_begin,
        table.use_layer,
        table.use_role,
        table.is_output,
        order,
        flg,
        (place, place + 1, cuts.samples[option], cuts.parts[option]),
        cuts.keep_rows,
        cuts.keep_columns,
        extents,
    )


@compiled
def kept_whole(table: NetworkTable, member: BoolArray, before: IntArray, after: int) -> IntArray:
    """Return int64[P]: which dimensions the FLGs from each downset `before` to `after` keep whole.

    0 if none, 1 if rows, 2 if columns, 3 if both.
    """
    size = member.shape[1]
    found = np.empty(len(before), np.int64)
    flg, order = np.zeros(size, np.int64), np.empty(size, np.int64)
    for i in range(len(before)):
        count = 0
        for layer in range(size):
            flg[layer] = 1 if member[after, layer] and not member[before[i], layer] else 0
            if flg[layer] == 1:
                order[count] = layer
                count += 1
        rows, columns = uncut_dimensions(table.layers, table.source_begin, table.source, order, flg, 0, count)
        found[i] = (1 if rows else 0) + (2 if columns else 0)
    return found
