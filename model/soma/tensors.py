"""Tensors of a tiled LFA: kernels (docs/model.md#tensors).

They fill a `Tensors`, whose arrays have at least as many items as `count_tensors` returns.
"""

from typing import NamedTuple, TypeVar

import numpy as np

from soma_cp.model.arrays import BoolArray, IntArray
from soma_cp.model.compiled import in_place, inlined
from soma_cp.model.data_types import packed
from soma_cp.model.hardware.platform import DramRate
from soma_cp.model.network import network_table as nt
from soma_cp.model.network.extents import loaded_extent
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.model.soma.lfa import LFAArrays
from soma_cp.model.soma.shared_loads import LoadOwners, empty_load_owners, fill_load_owners
from soma_cp.model.soma.tiling import LayerTiles

# Codes in `Tensors.kind`.
IFM, WGT, OFM = 0, 1, 2
KIND_NAMES = ("ifm", "wgt", "ofm")
NO_SOURCE = int(np.iinfo(np.int64).min)


class Tensors(NamedTuple):
    """The D DRAM tensors, in creation order, and the ofmap tensors that stay on chip.

    A search reuses arrays, so they may be longer than the number of tensors: any items past it are unused.

    Parameters
    ----------
    kind
        int64[D]: IFM (load), WGT (load) or OFM (store).
    layer, tile
        int64[D]: the layer that first needs (loads) or makes (stores) the tensor, and the tile's index within it.
    source
        int64[D]: of an ifmap load the id of the producing layer, or ``-1 - id`` of an external input; else NO_SOURCE.
    bytes
        int64[D]: size in the buffer.
    moved
        int64[D]: bytes of the transfer: `bytes`, unless weights are compressed in DRAM.
    cycles
        int64[D]: of the transfer.
    is_store
        bool[D].
    position
        int64[D]: of a load the position f of its first need (Start may be −1 … f); of a store the position p of
        the tile that makes it (Start is p).
    least_end
        int64[D]: of a load its fixed End; of a store the least End that uses in its LG allow (at most T).
    after_begin, after_end
        int64[D]: this tensor comes after the DRAM tensors ``after_begin … after_end − 1`` in the DRAM Tensor
        Order, because it loads what they store (docs/model.md#validity, DATA); an empty range if there are none.
    last_of_lg
        bool[D]: whether it is the store of the last tile of its LG.
    chip_layer, chip_tile, chip_bytes, chip_start, chip_end
        int64: ofmap tensors that stay on chip, with their fixed living durations.
    """

    kind: IntArray
    layer: IntArray
    tile: IntArray
    source: IntArray
    bytes: IntArray
    moved: IntArray
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
    fields = {name: np.zeros(chip if name.startswith("chip_") else dram, np.int64) for name in Tensors._fields}
    marks = {name: np.zeros(dram, np.bool_) for name in ("is_store", "last_of_lg")}
    return Tensors(**(fields | marks))  # type: ignore[arg-type]  # int64 but for the marks


class TensorPlaces(NamedTuple):
    """Where the tensors of each layer begin, by layer id, and what each load brings, at its owner.

    Parameters
    ----------
    stored
        bool[L]: whether the ofmap goes to DRAM.
    loads, stores, chips
        int64[L]: indices of the layer's first load, its first store, and its first ofmap tensor on chip.
    owners
        Who loads what.
    rows, columns
        int64[E]: of one tile of the load.
    last_reader
        int64[E]: first position of the last reader in the owner's FLG.
    held_until
        int64[E]: last position of the readers in other FLGs, each of which needs all tiles; −1 if there is none.
    weights_until
        int64[L]: last position of the layers that use the weights.
    """

    stored: BoolArray
    loads: IntArray
    stores: IntArray
    chips: IntArray
    owners: LoadOwners
    rows: IntArray
    columns: IntArray
    last_reader: IntArray
    held_until: IntArray
    weights_until: IntArray


def empty_tensor_places(table: NetworkTable) -> TensorPlaces:
    """Allocate a `TensorPlaces`."""
    layers, edges = len(table.layers), len(table.source)
    return TensorPlaces(
        stored=np.zeros(layers, np.bool_),
        loads=np.zeros(layers, np.int64),
        stores=np.zeros(layers, np.int64),
        chips=np.zeros(layers, np.int64),
        owners=empty_load_owners(table),
        rows=np.zeros(edges, np.int64),
        columns=np.zeros(edges, np.int64),
        last_reader=np.zeros(edges, np.int64),
        held_until=np.zeros(edges, np.int64),
        weights_until=np.zeros(layers, np.int64),
    )


@in_place
def count_tensors(table: NetworkTable, lfa: LFAArrays, tiles: LayerTiles, places: TensorPlaces) -> tuple[int, int]:
    """Fill `places`; return the numbers of DRAM tensors and of ofmap tensors that stay on chip."""
    # Locals for the arrays: numba counts references whenever a tuple's item is taken in a loop.
    lg, flg, counts, firsts, steps, extents = tiles.lg, tiles.flg, tiles.count, tiles.first, tiles.step, tiles.extent
    source_begin, roles, readers = table.source_begin, table.source_role, table.reader
    use_begin, use_layer = table.use_begin, table.use_layer
    layers, order = table.layers, lfa.order
    stored, loads, stores, chips = places.stored, places.loads, places.stores, places.chips
    owner, weight_owner, weights_until = places.owners.edge, places.owners.weights, places.weights_until
    rows, columns, last_reader, held_until = places.rows, places.columns, places.last_reader, places.held_until
    fill_load_owners(table, lfa, flg, lg, places.owners)
    dram = 0
    chip = 0
    for place in range(len(order)):
        layer = order[place]
        loads[layer] = dram
        last = firsts[layer] + (counts[layer] - 1) * steps[layer]
        for edge in range(source_begin[layer], source_begin[layer + 1]):
            own = owner[edge]
            if own < 0:
                continue
            need_rows, need_columns = loaded_extent(layers, extents, layer, roles[edge])
            if own == edge:
                dram += counts[layer]
                rows[edge], columns[edge] = need_rows, need_columns
                last_reader[edge] = firsts[layer]
                held_until[edge] = -1
            elif flg[readers[own]] == flg[layer]:
                rows[own], columns[own] = max(rows[own], need_rows), max(columns[own], need_columns)
                last_reader[own] = firsts[layer]
            else:
                held_until[own] = last
        if layers[layer, nt.WEIGHT_BYTES] > 0:
            weights_until[weight_owner[layer]] = last
            if weight_owner[layer] == layer:
                dram += 1
        stores[layer] = dram
        chips[layer] = chip
        # A consumer in another LG, or an output of the network.
        to_dram = table.is_output[layer]
        for use in range(use_begin[layer], use_begin[layer + 1]):
            if lg[use_layer[use]] != lg[layer]:
                to_dram = True
        stored[layer] = to_dram
        if to_dram:
            dram += counts[layer]
        else:
            chip += counts[layer]
    return dram, chip


@in_place
def make_tensors(
    table: NetworkTable,
    lfa: LFAArrays,
    tiles: LayerTiles,
    places: TensorPlaces,
    dram_rate: DramRate,
    tensors: Tensors,
) -> None:
    """Fill `tensors`, which is large enough, from the `places` that `count_tensors` filled."""
    _make_loads(table, tiles, places, dram_rate, tensors)
    _make_ofmaps(table, lfa, tiles, places, dram_rate, tensors)


@in_place
def _make_loads(
    table: NetworkTable, tiles: LayerTiles, places: TensorPlaces, dram_rate: DramRate, tensors: Tensors
) -> None:
    counts, firsts, steps, extents = tiles.count, tiles.first, tiles.step, tiles.extent
    source_begin, sources = table.source_begin, table.source
    channels, bits, layers = table.source_channels, table.source_bits, table.layers
    loads, stores = places.loads, places.stores
    owner, weight_owner, weights_until = places.owners.edge, places.owners.weights, places.weights_until
    rows, columns, last_reader, held_until = places.rows, places.columns, places.last_reader, places.held_until
    kinds, owners, indices, origins = tensors.kind, tensors.layer, tensors.tile, tensors.source
    sizes, moved, cycles = tensors.bytes, tensors.moved, tensors.cycles
    positions, ends = tensors.position, tensors.least_end
    after_begin, after_end = tensors.after_begin, tensors.after_end
    for layer in range(len(counts)):
        at = loads[layer]
        count, first, step = counts[layer], firsts[layer], steps[layer]
        if count == 0:  # the LFA is not complete yet
            continue
        for edge in range(source_begin[layer], source_begin[layer + 1]):
            source = sources[edge]
            if owner[edge] != edge:
                continue
            size = packed(extents[layer, 0] * rows[edge] * columns[edge] * channels[edge], bits[edge])
            duration = transfer_cycles(size, dram_rate)
            waits_from = stores[source] if source >= 0 else 0
            waits_to = stores[source] + counts[source] if source >= 0 else 0
            for tile in range(count):
                kinds[at] = IFM
                owners[at] = layer
                indices[at] = tile
                origins[at] = source
                sizes[at] = size
                moved[at] = size
                cycles[at] = duration
                positions[at] = first + tile * step
                ends[at] = max(last_reader[edge] + tile * step, held_until[edge]) + 1
                after_begin[at] = waits_from
                after_end[at] = waits_to
                at += 1
        if layers[layer, nt.WEIGHT_BYTES] > 0 and weight_owner[layer] == layer:
            kinds[at] = WGT
            owners[at] = layer
            indices[at] = 0
            origins[at] = NO_SOURCE
            sizes[at] = layers[layer, nt.WEIGHT_BYTES]
            moved[at] = layers[layer, nt.DRAM_WEIGHT_BYTES]
            cycles[at] = transfer_cycles(moved[at], dram_rate)
            positions[at] = first
            ends[at] = weights_until[layer] + 1
            after_begin[at] = 0
            after_end[at] = 0
            at += 1
        for i in range(loads[layer], at):
            tensors.is_store[i] = False
            tensors.last_of_lg[i] = False


@in_place
def _make_ofmaps(
    table: NetworkTable,
    lfa: LFAArrays,
    tiles: LayerTiles,
    places: TensorPlaces,
    dram_rate: DramRate,
    tensors: Tensors,
) -> None:
    lg, flg, counts, firsts, steps = tiles.lg, tiles.flg, tiles.count, tiles.first, tiles.step
    extents, order, begins_lg = tiles.extent, lfa.order, lfa.begins_lg
    use_begin, use_layer = table.use_begin, table.use_layer
    stored, stores, chips = places.stored, places.stores, places.chips
    kinds, owners, indices, origins = tensors.kind, tensors.layer, tensors.tile, tensors.source
    sizes, moved, cycles = tensors.bytes, tensors.moved, tensors.cycles
    positions, ends = tensors.position, tensors.least_end
    after_begin, after_end = tensors.after_begin, tensors.after_end
    is_store, last_of_lg = tensors.is_store, tensors.last_of_lg
    chip_layer, chip_tile, chip_bytes = tensors.chip_layer, tensors.chip_tile, tensors.chip_bytes
    chip_start, chip_end = tensors.chip_start, tensors.chip_end
    for place in range(len(order)):
        layer = order[place]
        count, first, step = counts[layer], firsts[layer], steps[layer]
        elements = extents[layer, 0] * extents[layer, 1] * extents[layer, 2] * extents[layer, 3]
        size = packed(elements, table.layers[layer, nt.OFMAP_BITS])
        duration = transfer_cycles(size, dram_rate)
        same_index = -1  # first position of the last consumer in this FLG
        all_tiles = -1  # last position of the consumers elsewhere in this LG, each of which needs all tiles
        for use in range(use_begin[layer], use_begin[layer + 1]):
            consumer = use_layer[use]
            if flg[consumer] == flg[layer]:
                same_index = max(same_index, firsts[consumer])
            elif lg[consumer] == lg[layer]:
                last = firsts[consumer] + (counts[consumer] - 1) * steps[consumer]
                all_tiles = max(all_tiles, last)
        last_place = place + 1 == len(order) or begins_lg[place + 1]
        at = stores[layer] if stored[layer] else chips[layer]
        for tile in range(count):
            position = first + tile * step
            end = max(position, all_tiles) + 1
            if same_index >= 0:
                end = max(end, same_index + tile * step + 1)
            if stored[layer]:
                kinds[at] = OFM
                owners[at] = layer
                indices[at] = tile
                origins[at] = NO_SOURCE
                sizes[at] = size
                moved[at] = size
                cycles[at] = duration
                is_store[at] = True
                positions[at] = position
                ends[at] = end
                after_begin[at] = 0
                after_end[at] = 0
                last_of_lg[at] = last_place and tile == count - 1
            else:
                chip_layer[at] = layer
                chip_tile[at] = tile
                chip_bytes[at] = size
                chip_start[at] = position
                chip_end[at] = end
            at += 1


Bytes = TypeVar("Bytes", int, IntArray)


@inlined
def transfer_cycles(size: Bytes, rate: DramRate) -> Bytes:
    """Return the cycles of a DRAM transfer of `size` bytes; `size` may be an array."""
    return -((-size * rate.cycles) // rate.bytes)
