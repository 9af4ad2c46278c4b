"""Tiles of LFA candidates, one after the other: an FLG that did not change keeps its tiles (kernels).

The extents of an FLG's tiles depend on its layers, their order, their channels and the tiling number alone. So an FLG
that stands where it stood when it was cut last keeps them, with the costs of its tiles and what its layers need of
their sources.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.annealing.first_stage.cost_cache import INFEASIBLE, CostTable, find_cost
from soma_cp.model.arrays import BoolArray, IntArray
from soma_cp.model.compiled import in_place
from soma_cp.model.data_types import packed
from soma_cp.model.hardware.platform import DramRate
from soma_cp.model.network import network_table as nt
from soma_cp.model.network.extents import loaded_extent
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.model.soma.lfa import LFAArrays
from soma_cp.model.soma.tensors import transfer_cycles
from soma_cp.model.soma.tiling import TILING_TOO_LARGE, LayerTiles, cut_group, number_groups, place_group


class CutFLGs(NamedTuple):
    """The FLGs that were cut last, by place, and what follows from their tiles.

    Parameters
    ----------
    layer, begin
        int64[L]: the layer at each place, and the place where its FLG began, when an FLG was last cut there.
    end, tiling
        int64[L]: where the FLG ended that was last cut with its first place here, and its tiling number.
    place, channels
        int64[L]: by layer id, the place and the channels of the layer when it was last cut.
    priced
        bool[L]: by layer id, whether `LayerTiles` has the costs of its tiles, and it can run.
    rows, columns
        int64[E]: what a tile needs of a source.
    edge_channels
        int64[E]: the channels for which these hold:
    load_bytes, load_cycles
        int64[E]: of a tile, where no other reader shares the load.
    weight_bytes, weight_moved, weight_cycles
        int64[L]: of a layer's weights, in the buffer and in DRAM, and of their transfer.
    ofmap_bytes, store_cycles
        int64[L]: of a tile of the ofmap.
    """

    layer: IntArray
    begin: IntArray
    end: IntArray
    tiling: IntArray
    place: IntArray
    channels: IntArray
    priced: BoolArray
    rows: IntArray
    columns: IntArray
    edge_channels: IntArray
    load_bytes: IntArray
    load_cycles: IntArray
    weight_bytes: IntArray
    weight_moved: IntArray
    weight_cycles: IntArray
    ofmap_bytes: IntArray
    store_cycles: IntArray


def empty_cut_flgs(table: NetworkTable) -> CutFLGs:
    """Allocate a `CutFLGs`; no FLG is cut."""
    edges, layers = len(table.source), len(table.layers)
    by_edge = {"rows", "columns", "edge_channels", "load_bytes", "load_cycles"}
    arrays = {name: np.full(edges if name in by_edge else layers, -1, np.int64) for name in CutFLGs._fields}
    return CutFLGs(**(arrays | {"priced": np.zeros(layers, np.bool_)}))  # type: ignore[arg-type]  # int64 but for one


@in_place
def cut_changed_flgs(
    table: NetworkTable, batch: int, dram_rate: DramRate, lfa: LFAArrays, tiles: LayerTiles, cut: CutFLGs
) -> int:
    """Fill `tiles` (all but the costs) and `cut`; return as `tile_layers` does."""
    order, begins_flg, tiling, channels = lfa.order, lfa.begins_flg, lfa.tiling, lfa.channels
    size = len(lfa.order)
    number_groups(lfa, tiles)
    position, begin = 0, 0
    while begin < size:
        number = tiling[begin]
        end = begin
        same = cut.tiling[begin] == number
        while end == begin or (end < size and not begins_flg[end]):
            layer = order[end]
            same = (
                same
                and cut.layer[end] == layer
                and cut.begin[end] == begin
                and cut.place[layer] == end
                and cut.channels[layer] == channels[layer]
            )
            end += 1
        if not same or cut.end[begin] != end:
            cut.tiling[begin] = -1
            for place in range(begin, end):  # if it can't be cut, the FLGs that had these layers are to be cut anew
                cut.place[order[place]] = -1
            if not cut_group(table, batch, lfa, tiles, begin, end):
                return TILING_TOO_LARGE - begin
            _keep(table, dram_rate, lfa, tiles, cut, begin, end)
        position += place_group(table.layers, lfa, tiles, begin, end, position)
        begin = end
    return position


@in_place
def _keep(
    table: NetworkTable,
    dram_rate: DramRate,
    lfa: LFAArrays,
    tiles: LayerTiles,
    cut: CutFLGs,
    begin: int,
    end: int,
) -> None:
    """Keep the FLG at the places `begin` … `end` − 1, which has been cut."""
    layers, extents = table.layers, tiles.extent
    cut.end[begin], cut.tiling[begin] = end, lfa.tiling[begin]
    for place in range(begin, end):
        layer = lfa.order[place]
        cut.layer[place], cut.begin[place] = layer, begin
        cut.place[layer], cut.channels[layer] = place, lfa.channels[layer]
        cut.priced[layer] = False
        if lfa.channels[layer] == 0:
            continue
        for edge in range(table.source_begin[layer], table.source_begin[layer + 1]):
            cut.rows[edge], cut.columns[edge] = loaded_extent(layers, extents, layer, table.source_role[edge])
            size_load(table, dram_rate, tiles, cut, layer, edge)
        moved = layers[layer, nt.DRAM_WEIGHT_BYTES]
        cut.weight_bytes[layer], cut.weight_moved[layer] = layers[layer, nt.WEIGHT_BYTES], moved
        cut.weight_cycles[layer] = transfer_cycles(moved, dram_rate)
        elements = extents[layer, 0] * extents[layer, 1] * extents[layer, 2] * extents[layer, 3]
        size = packed(elements, layers[layer, nt.OFMAP_BITS])
        cut.ofmap_bytes[layer], cut.store_cycles[layer] = size, transfer_cycles(size, dram_rate)


@in_place
def size_load(table: NetworkTable, dram_rate: DramRate, tiles: LayerTiles, cut: CutFLGs, layer: int, edge: int) -> None:
    """Fill the bytes and cycles of the load of an edge of `layer`."""
    channels = table.source_channels[edge]
    elements = tiles.extent[layer, 0] * cut.rows[edge] * cut.columns[edge] * channels
    size = packed(elements, table.source_bits[edge])
    cut.edge_channels[edge] = channels
    cut.load_bytes[edge], cut.load_cycles[edge] = size, transfer_cycles(size, dram_rate)


@in_place
def look_up_changed(table: CostTable, tiles: LayerTiles, cut: CutFLGs, missing: IntArray) -> tuple[int, bool]:
    """Fill the costs of tiles that lack them; return how many are unknown, and whether the core array can run the rest.

    The ids of the layers whose costs are unknown go into `missing`, int64[L].
    """
    unknown, feasible = 0, True
    for layer in range(len(tiles.count)):
        if cut.priced[layer]:
            continue
        if tiles.count[layer] == 0:  # an absent part
            tiles.cycles[layer] = 0
            tiles.energy_pj[layer] = 0.0
        elif find_cost(table, tiles, layer):
            cut.priced[layer] = tiles.cycles[layer] != INFEASIBLE
            feasible = feasible and cut.priced[layer]
        else:
            missing[unknown] = layer
            unknown += 1
    return unknown, feasible
