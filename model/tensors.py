"""Tensors of a tiled LFA, and double buffering: kernels (specification: sections 3 and 4).

They fill a `Tensors`, whose arrays have room for at least as many items as `count_tensors` says.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.model import network_table as nt
from soma_cp.model.compiled import compiled
from soma_cp.model.network_table import IntArray, NetworkTable
from soma_cp.model.tiling import (
    BoolArray,
    LayerTiles,
    LFAArrays,
    ceil_div,
    ifmap_extent,
    operand_extent,
)

# Codes in `Tensors.kind`.
IFM, WGT, OFM = 0, 1, 2
KIND_NAMES = ("ifm", "wgt", "ofm")
NO_SOURCE = int(np.iinfo(np.int64).min)


class Tensors(NamedTuple):
    """The D tensors that touch DRAM, in creation order, and the ofmap tensors that never leave the chip.

    Arrays that a search uses again may be longer than the number of tensors: what is behind has no meaning.

    Parameters
    ----------
    kind
        int64[D]: IFM (load), WGT (load) or OFM (store).
    layer, tile
        int64[D]: the layer that needs (loads) or makes (stores) the tensor, and the tile's index within it.
    source
        int64[D]: of an ifmap load, producing layer's id or ``-1 - id`` of an external input; else NO_SOURCE.
    bytes, cycles
        int64[D]: size, and cycles that the DRAM channel is busy with it.
    is_store
        bool[D].
    position
        int64[D]: of a load the position f of its first need (its Start may be −1 … f); of a store the
        position p that makes it (its Start is p).
    least_end
        int64[D]: of a load its fixed End; of a store the least End that local uses allow (at most T).
    after_begin, after_end
        int64[D]: this tensor must come after the DRAM tensors ``after_begin … after_end − 1`` in the DRAM
        Tensor Order (an ifmap that another LG stored; specification: section 4, rule 2); empty range if none.
    last_of_lg
        bool[D]: whether it is the store of the last tile of its LG.
    chip_layer, chip_tile, chip_bytes, chip_start, chip_end
        int64: ofmap tensors that never touch DRAM, with their fixed living durations.
    """

    kind: IntArray
    layer: IntArray
    tile: IntArray
    source: IntArray
    bytes: IntArray
    cycles: IntArray
    is_store: BoolArray
    position: IntArray
    least_end: IntArray
    after_begin: IntArray
    after_end: IntArray
    last_of_lg: BoolArray
    chip_layer: IntArray
    chip_tile: IntArray
    chip_bytes: IntArray
    chip_start: IntArray
    chip_end: IntArray


def empty_tensors(dram: int, chip: int) -> Tensors:
    """Allocate room for `dram` DRAM tensors and `chip` others."""
    columns = {name: np.zeros(chip if name.startswith("chip_") else dram, np.int64) for name in Tensors._fields}
    columns["is_store"] = np.zeros(dram, np.bool_)
    columns["last_of_lg"] = np.zeros(dram, np.bool_)
    return Tensors(**columns)


@compiled
def _is_stored(table: NetworkTable, tiles: LayerTiles, layer: int) -> bool:
    """Whether the ofmap goes to DRAM: a consumer in another LG, or no consumer at all."""
    begin, end = table.use_begin[layer], table.use_begin[layer + 1]
    for use in range(begin, end):
        if tiles.lg[table.use_layer[use]] != tiles.lg[layer]:
            return True
    return bool(begin == end)


@compiled
def count_tensors(table: NetworkTable, tiles: LayerTiles) -> tuple[int, int]:
    """Return the numbers of DRAM tensors and of ofmap tensors that stay on chip."""
    dram = 0
    chip = 0
    for layer in range(len(tiles.count)):
        for edge in range(table.source_begin[layer], table.source_begin[layer + 1]):
            source = table.source[edge]
            if source < 0 or tiles.lg[source] != tiles.lg[layer]:
                dram += tiles.count[layer]
        dram += 1 if table.layers[layer, nt.WEIGHT_BYTES] > 0 else 0
        if _is_stored(table, tiles, layer):
            dram += tiles.count[layer]
        else:
            chip += tiles.count[layer]
    return dram, chip


@compiled
def make_tensors(
    table: NetworkTable,
    lfa: LFAArrays,
    tiles: LayerTiles,
    dram_bytes_per_cycle: int,
    store_begin: IntArray,
    tensors: Tensors,
) -> tuple[int, int]:
    """Fill `tensors`; return the numbers of DRAM tensors and of others.

    `store_begin`, int64[L], is filled with the first store of every layer that has stores.
    """
    dram = 0
    chip = 0
    for place in range(len(lfa.order)):
        layer = lfa.order[place]
        count, first, step = tiles.count[layer], tiles.first[layer], tiles.step[layer]
        b, k, h, w = (
            tiles.extent[layer, 0],
            tiles.extent[layer, 1],
            tiles.extent[layer, 2],
            tiles.extent[layer, 3],
        )
        loads_begin = dram
        for edge in range(table.source_begin[layer], table.source_begin[layer + 1]):
            source = table.source[edge]
            if source >= 0 and tiles.lg[source] == tiles.lg[layer]:
                continue
            if table.source_role[edge] == nt.IFMAP:
                need = ifmap_extent(table, layer, b, k, h, w)
            else:
                need = operand_extent(table, layer, b, k)
            size = need[0] * need[2] * need[3] * table.source_channels[edge]
            for tile in range(count):
                tensors.kind[dram] = IFM
                tensors.source[dram] = source
                tensors.tile[dram] = tile
                tensors.bytes[dram] = size
                tensors.position[dram] = first + tile * step
                tensors.least_end[dram] = first + tile * step + 1
                tensors.after_begin[dram] = store_begin[source] if source >= 0 else 0
                tensors.after_end[dram] = store_begin[source] + tiles.count[source] if source >= 0 else 0
                dram += 1
        if table.layers[layer, nt.WEIGHT_BYTES] > 0:
            tensors.kind[dram] = WGT
            tensors.source[dram] = NO_SOURCE
            tensors.tile[dram] = 0
            tensors.bytes[dram] = table.layers[layer, nt.WEIGHT_BYTES]
            tensors.position[dram] = first
            tensors.least_end[dram] = first + (count - 1) * step + 1
            tensors.after_begin[dram] = 0
            tensors.after_end[dram] = 0
            dram += 1
        for i in range(loads_begin, dram):
            tensors.is_store[i] = False
            tensors.last_of_lg[i] = False
        stores_begin = dram
        dram, chip = _make_ofmaps(table, lfa, tiles, place, tensors, dram, chip)
        store_begin[layer] = stores_begin
        for i in range(loads_begin, dram):
            tensors.layer[i] = layer
            tensors.cycles[i] = ceil_div(tensors.bytes[i], dram_bytes_per_cycle)
    return dram, chip


@compiled
def _make_ofmaps(
    table: NetworkTable,
    lfa: LFAArrays,
    tiles: LayerTiles,
    place: int,
    tensors: Tensors,
    dram: int,
    chip: int,
) -> tuple[int, int]:
    layer = lfa.order[place]
    count, first, step = tiles.count[layer], tiles.first[layer], tiles.step[layer]
    stored = _is_stored(table, tiles, layer)
    size = (
        tiles.extent[layer, 0] * tiles.extent[layer, 1] * tiles.extent[layer, 2] * tiles.extent[layer, 3]
    )
    same_index = -1  # position of the last consumer's first tile, among consumers in this FLG
    all_tiles = -1  # position of the last tile of consumers elsewhere in this LG, which aggregate the tiles
    for use in range(table.use_begin[layer], table.use_begin[layer + 1]):
        consumer = table.use_layer[use]
        if tiles.flg[consumer] == tiles.flg[layer]:
            same_index = max(same_index, tiles.first[consumer])
        elif tiles.lg[consumer] == tiles.lg[layer]:
            last = tiles.first[consumer] + (tiles.count[consumer] - 1) * tiles.step[consumer]
            all_tiles = max(all_tiles, last)
    last_place_of_lg = place + 1 == len(lfa.order) or lfa.begins_lg[place + 1]
    for tile in range(count):
        position = first + tile * step
        end = max(position, all_tiles) + 1
        if same_index >= 0:
            end = max(end, same_index + tile * step + 1)
        if stored:
            tensors.kind[dram] = OFM
            tensors.source[dram] = NO_SOURCE
            tensors.tile[dram] = tile
            tensors.bytes[dram] = size
            tensors.is_store[dram] = True
            tensors.position[dram] = position
            tensors.least_end[dram] = end
            tensors.after_begin[dram] = 0
            tensors.after_end[dram] = 0
            tensors.last_of_lg[dram] = last_place_of_lg and tile == count - 1
            dram += 1
        else:
            tensors.chip_layer[chip] = layer
            tensors.chip_tile[chip] = tile
            tensors.chip_bytes[chip] = size
            tensors.chip_start[chip] = position
            tensors.chip_end[chip] = end
            chip += 1
    return dram, chip


@compiled
def add_usage(size: IntArray, start: IntArray, end: IntArray, count: int, usage: IntArray) -> None:
    """Add to ``usage[0 … T−1]`` the bytes of tensors alive at each position; ``start`` −1 counts from 0.

    `usage` must have T + 1 items of which the last is scratch, and hold *differences* before and after.
    """
    for i in range(count):
        usage[max(start[i], 0)] += size[i]
        usage[end[i]] -= size[i]


@compiled
def double_buffering(tensors: Tensors, count: int, start: IntArray, end: IntArray, order: IntArray) -> None:
    """Fill the first `count` items of `start`, `end` and `order` with the classical double buffering.

    A load begins one tile ahead of its first need, a store ends one tile after it was made.
    """
    keys = np.empty(count, np.int64)
    span = 0
    for i in range(count):
        if tensors.is_store[i]:
            ahead = 1 if tensors.last_of_lg[i] else 2
            start[i] = tensors.position[i]
            end[i] = max(tensors.position[i] + ahead, tensors.least_end[i])
        else:
            start[i] = tensors.position[i] - 1
            end[i] = tensors.least_end[i]
        span = max(span, end[i] + 1)
    # Sorted by (Start; weights first; End; ifmap before ofmap; creation order), packed into one integer each.
    for i in range(count):
        key = (start[i] + 1) * 2 + (0 if tensors.kind[i] == WGT else 1)
        key = (key * span + end[i]) * 2 + (1 if tensors.kind[i] == OFM else 0)
        keys[i] = key * count + i
    keys.sort()
    for i in range(count):
        order[i] = keys[i] % count
