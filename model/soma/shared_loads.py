"""Shared loads: which reader of a source loads it for others, as kernels (docs/model.md#shared-loads).

In the paper's space every reader loads a source by itself. A *shared load* is one that serves several readers of one
LG: those of its first reader's FLG use its tiles with the same index, those of other FLGs find all tiles in the buffer.
The former cut the source alike: by rows of their ofmaps, by columns, or not at all.
A reader of another FLG shares it only if the tiles together hold all rows and columns of the source, as a reader in
the owner's FLG needs them that makes its whole ofmap.
Layers of one LG that have the same stored weights share their load in the same way.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import BoolArray, IntArray
from soma_cp.model.compiled import compiled, in_place
from soma_cp.model.network import network_table as nt
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.model.soma.lfa import LFAArrays


class LoadOwners(NamedTuple):
    """Who loads what layers read from DRAM; a layer that shares no load owns its own.

    Parameters
    ----------
    edge
        int64[E]: the edge whose load brings what this edge reads; −1 if that is on chip.
    weights
        int64[L]: the layer that loads this layer's weights.
    holds_all
        bool[E]: whether the tiles of the load together hold all rows and columns of the source, at the owner.
    rows_cut, columns_cut
        int64[E]: by what the tiles of the load cut the source, as in `NetworkTable`, at the owner.
    whole
        bool[L]: scratch, whether the tiles together make all rows and columns of the ofmap.
    latest
        int64[L + I]: scratch, the edge that was the latest to read a layer or an external input from DRAM.
    latest_weights
        int64[L]: scratch, the layer that was the latest with the same stored weights, by the first such layer.
    """

    edge: IntArray
    weights: IntArray
    holds_all: BoolArray
    rows_cut: IntArray
    columns_cut: IntArray
    whole: BoolArray
    latest: IntArray
    latest_weights: IntArray


def empty_load_owners(table: NetworkTable) -> LoadOwners:
    """Allocate a `LoadOwners`."""
    edges, layers = len(table.source), len(table.layers)
    inputs = -int(table.source.min(initial=0))
    return LoadOwners(
        edge=np.zeros(edges, np.int64),
        weights=np.zeros(layers, np.int64),
        holds_all=np.zeros(edges, np.bool_),
        rows_cut=np.zeros(edges, np.int64),
        columns_cut=np.zeros(edges, np.int64),
        whole=np.zeros(layers, np.bool_),
        latest=np.zeros(layers + inputs, np.int64),
        latest_weights=np.zeros(layers, np.int64),
    )


@compiled
def items_with_a_load_before(table: NetworkTable, lfa: LFAArrays, items: IntArray) -> int:
    """Fill `items` with the indices in ``lfa.shares`` that matter: a reader before them in their LG loads the same.

    Returns their number.
    """
    source_begin, sources, stored_weights = table.source_begin, table.source, table.stored_weights
    channels = table.source_channels
    layers, order, begins_lg = table.layers, lfa.order, lfa.begins_lg
    size, edges = len(layers), len(sources)
    lg_of = np.empty(size, np.int64)
    lg = -1
    for place in range(size):
        lg += 1 if begins_lg[place] else 0
        lg_of[order[place]] = lg
    latest_lg = np.full(size + max(-sources.min(), 0), -1, np.int64)  # of the latest reader of a layer or input
    latest_weights_lg = np.full(size, -1, np.int64)
    count = 0
    for place in range(size):
        layer = order[place]
        if layers[layer, nt.K] == 0:  # an absent part
            continue
        lg = lg_of[layer]
        for edge in range(source_begin[layer], source_begin[layer + 1]):
            source = sources[edge]
            if channels[edge] == 0 or (source >= 0 and lg_of[source] == lg):
                continue
            item = source if source >= 0 else size - 1 - source
            if latest_lg[item] == lg:
                items[count] = edge
                count += 1
            latest_lg[item] = lg
        if layers[layer, nt.WEIGHT_BYTES] > 0:
            if latest_weights_lg[stored_weights[layer]] == lg:
                items[count] = edges + layer
                count += 1
            latest_weights_lg[stored_weights[layer]] = lg
    return count


@compiled
def _fill_whole(table: NetworkTable, order: IntArray, flg: IntArray, whole: BoolArray) -> None:
    """Fill `whole`: an ofmap is made whole if the FLG cuts it, or a reader in the FLG needs all of it."""
    source_begin, sources, needs_all, is_output = table.source_begin, table.source, table.needs_all, table.is_output
    read = np.zeros(len(whole), np.bool_)  # by a layer in the FLG
    for layer in range(len(whole)):
        whole[layer] = is_output[layer]
    for place in range(len(order) - 1, -1, -1):
        layer = order[place]
        if table.layers[layer, nt.K] == 0:  # an absent part
            continue
        if not read[layer]:
            whole[layer] = True
        for edge in range(source_begin[layer], source_begin[layer + 1]):
            source = sources[edge]
            if source < 0 or flg[source] != flg[layer]:
                continue
            read[source] = True
            if needs_all[edge] == nt.ANY_TILES or (needs_all[edge] == nt.WHOLE_OFMAP and whole[layer]):
                whole[source] = True


@in_place
def fill_load_owners(table: NetworkTable, lfa: LFAArrays, flg: IntArray, lg: IntArray, owners: LoadOwners) -> None:
    """Fill `owners` for the layers of `lfa`; `flg` and `lg` are int64[L], the groups of each layer."""
    source_begin, sources, readers = table.source_begin, table.source, table.reader
    needs_all, stored_weights, channels = table.needs_all, table.stored_weights, table.source_channels
    layers, shares, order = table.layers, lfa.shares, lfa.order
    owner, weight_owner, holds_all, whole = owners.edge, owners.weights, owners.holds_all, owners.whole
    cuts = ((owners.rows_cut, table.rows_cut), (owners.columns_cut, table.columns_cut))
    latest, latest_weights = owners.latest, owners.latest_weights
    for item in range(len(latest)):
        latest[item] = -1
    for layer in range(len(latest_weights)):
        latest_weights[layer] = -1
    for item in range(len(shares)):
        if shares[item]:
            _fill_whole(table, order, flg, whole)
            break
    for place in range(len(order)):
        layer = order[place]
        absent = layers[layer, nt.K] == 0
        for edge in range(source_begin[layer], source_begin[layer + 1]):
            source = sources[edge]
            owner[edge] = -1
            if absent or channels[edge] == 0 or (source >= 0 and lg[source] == lg[layer]):
                continue
            owner[edge] = edge
            holds_all[edge] = needs_all[edge] == nt.ANY_TILES or (needs_all[edge] == nt.WHOLE_OFMAP and whole[layer])
            for load_cut, edge_cut in cuts:
                load_cut[edge] = edge_cut[edge]
            item = source if source >= 0 else len(layers) - 1 - source
            before = latest[item]
            latest[item] = edge
            if not shares[edge] or before < 0 or lg[readers[before]] != lg[layer]:
                continue
            first = owner[before]
            if flg[readers[first]] == flg[layer]:
                alike = True
                for load_cut, edge_cut in cuts:
                    alike = alike and (
                        load_cut[first] == nt.UNCUT or edge_cut[edge] == nt.UNCUT or load_cut[first] == edge_cut[edge]
                    )
                if not alike:
                    continue
                owner[edge] = first
                for load_cut, edge_cut in cuts:
                    if load_cut[first] == nt.UNCUT:
                        load_cut[first] = edge_cut[edge]
                holds_all[first] = holds_all[first] or holds_all[edge]
            elif holds_all[first]:
                owner[edge] = first
        if layers[layer, nt.WEIGHT_BYTES] > 0:
            weight_owner[layer] = layer
            same = stored_weights[layer]
            other = latest_weights[same]
            latest_weights[same] = layer
            if shares[len(sources) + layer] and other >= 0 and lg[other] == lg[layer]:
                weight_owner[layer] = weight_owner[other]
