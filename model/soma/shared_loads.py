"""Shared loads: which reader of a source loads it for others, as kernels (docs/model.md#shared-loads).

In the paper's space every reader loads a source by itself. A *shared load* is one that serves several readers of one
LG: those of its first reader's FLG use its tiles with the same index, those of other FLGs find all tiles in the buffer.
A reader of another FLG shares it only if the tiles together hold all rows and columns of the source that it needs: no
more than one of the readers in that FLG needs, whose stride skips none.
Layers of one LG that have the same stored weights share their load in the same way.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import IntArray
from soma_cp.model.compiled import compiled
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
    rows, columns
        int64[E]: what the tiles of the load together hold for sure, at the owner.
    latest
        int64[L + I]: scratch, the edge that was the latest to read a layer or an external input from DRAM.
    latest_weights
        int64[L]: scratch, the layer that was the latest with the same stored weights, by the first such layer.
    """

    edge: IntArray
    weights: IntArray
    rows: IntArray
    columns: IntArray
    latest: IntArray
    latest_weights: IntArray


def empty_load_owners(table: NetworkTable) -> LoadOwners:
    """Allocate a `LoadOwners`."""
    edges, layers = len(table.source), len(table.layers)
    inputs = -int(table.source.min(initial=0))
    sizes = (edges, layers, edges, edges, layers + inputs, layers)
    return LoadOwners(*(np.zeros(size, np.int64) for size in sizes))


@compiled
def items_with_a_load_before(table: NetworkTable, lfa: LFAArrays, items: IntArray) -> int:
    """Fill `items` with the indices in ``lfa.shares`` that matter: a reader before them in their LG loads the same.

    Returns their number.
    """
    source_begin, sources, stored_weights = table.source_begin, table.source, table.stored_weights
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
        lg = lg_of[layer]
        for edge in range(source_begin[layer], source_begin[layer + 1]):
            source = sources[edge]
            if source >= 0 and lg_of[source] == lg:
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
def fill_load_owners(table: NetworkTable, lfa: LFAArrays, flg: IntArray, lg: IntArray, owners: LoadOwners) -> None:
    """Fill `owners` for the layers of `lfa`; `flg` and `lg` are int64[L], the groups of each layer."""
    source_begin, sources, readers = table.source_begin, table.source, table.reader
    full_rows, full_columns, stored_weights = table.full_rows, table.full_columns, table.stored_weights
    covered_rows, covered_columns = table.covered_rows, table.covered_columns
    layers, shares, order = table.layers, lfa.shares, lfa.order
    owner, weight_owner, rows, columns = owners.edge, owners.weights, owners.rows, owners.columns
    latest, latest_weights = owners.latest, owners.latest_weights
    latest[:] = -1
    latest_weights[:] = -1
    for place in range(len(order)):
        layer = order[place]
        for edge in range(source_begin[layer], source_begin[layer + 1]):
            source = sources[edge]
            owner[edge] = -1
            if source >= 0 and lg[source] == lg[layer]:
                continue
            owner[edge] = edge
            rows[edge], columns[edge] = covered_rows[edge], covered_columns[edge]
            item = source if source >= 0 else len(layers) - 1 - source
            before = latest[item]
            latest[item] = edge
            if not shares[edge] or before < 0 or lg[readers[before]] != lg[layer]:
                continue
            first = owner[before]
            if flg[readers[first]] == flg[layer]:
                owner[edge] = first
                rows[first] = max(rows[first], covered_rows[edge])
                columns[first] = max(columns[first], covered_columns[edge])
            elif full_rows[edge] <= rows[first] and full_columns[edge] <= columns[first]:
                owner[edge] = first
        if layers[layer, nt.WEIGHT_BYTES] > 0:
            weight_owner[layer] = layer
            same = stored_weights[layer]
            other = latest_weights[same]
            latest_weights[same] = layer
            if shares[len(sources) + layer] and other >= 0 and lg[other] == lg[layer]:
                weight_owner[layer] = weight_owner[other]
