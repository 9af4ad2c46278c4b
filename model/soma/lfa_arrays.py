"""From an LFA of names to arrays for kernels, and back."""

from itertools import pairwise

import numpy as np

from soma_cp.model.arrays import BoolArray, IntArray
from soma_cp.model.network import network_table as nt
from soma_cp.model.network.network import Network
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.model.soma.lfa import FLG, LFA, LFAArrays, SharedLoad
from soma_cp.model.soma.shared_loads import LoadOwners, empty_load_owners, fill_load_owners


def lfa_arrays(lfa: LFA, network: Network, table: NetworkTable) -> LFAArrays:
    """Turn a checked LFA into arrays; `table` is that of `network`."""
    size, edges = len(network.layers), len(table.source)
    arrays = LFAArrays(
        order=np.zeros(size, np.int64),
        begins_flg=np.zeros(size, np.bool_),
        begins_lg=np.zeros(size, np.bool_),
        tiling=np.ones(size, np.int64),
        shares=np.zeros(edges + size, np.bool_),
        channels=table.layers[:, nt.K].copy(),
    )
    place = 0
    for flg in lfa.flgs:
        arrays.begins_flg[place] = True
        arrays.begins_lg[place] = flg.dram_cut
        arrays.tiling[place] = flg.tiling_number
        for name in flg.layers:
            arrays.order[place] = network.layer_id[name]
            place += 1
    for share in lfa.shared_loads:
        arrays.shares[item_of(share, network, table)] = True
    return arrays


def item_of(share: SharedLoad, network: Network, table: NetworkTable) -> int:
    """Return the index of a shared load in `LFAArrays.shares`."""
    layer = network.layer_id[share.layer]
    if not share.source:
        return len(table.source) + layer
    known = network.layer_id
    source = known[share.source] if share.source in known else -1 - network.input_id[share.source]
    begin, end = table.source_begin[layer], table.source_begin[layer + 1]
    return int(begin + np.flatnonzero(table.source[begin:end] == source)[0])


def lfa_from_arrays(arrays: LFAArrays, network: Network, table: NetworkTable) -> LFA:
    """Turn arrays back into an LFA of names; only shared loads that serve a layer are kept."""
    begins = [*np.flatnonzero(arrays.begins_flg).tolist(), len(arrays.order)]
    names = tuple(network.layer_id)
    order = [names[layer] for layer in arrays.order.tolist()]
    flgs = tuple(
        FLG(tuple(order[begin:end]), int(arrays.tiling[begin]), bool(arrays.begins_lg[begin]))
        for begin, end in pairwise(begins)
    )
    return LFA(flgs, _shared_loads(arrays, network, table), network.divisions)


def _shared_loads(arrays: LFAArrays, network: Network, table: NetworkTable) -> tuple[SharedLoad, ...]:
    if not arrays.shares.any():
        return ()
    owners = empty_load_owners(table)
    fill_load_owners(table, arrays, _groups(arrays, arrays.begins_flg), _groups(arrays, arrays.begins_lg), owners)
    found = []
    for layer in arrays.order.tolist():
        name = network.layers[layer].name
        for edge in range(table.source_begin[layer], table.source_begin[layer + 1]):
            if owners.edge[edge] not in (edge, -1):
                found.append(SharedLoad(name, network.source_name(int(table.source[edge]))))
        if table.layers[layer, nt.WEIGHT_BYTES] and owners.weights[layer] != layer:
            found.append(SharedLoad(name, ""))
    return tuple(found)


def unused_share(arrays: LFAArrays, owners: LoadOwners) -> int:
    """Return the first item of `LFAArrays.shares` that shares no load; −1 if there is none."""
    edges = len(owners.edge)
    serves = np.concatenate([owners.edge >= 0, owners.weights >= 0])
    serves &= np.concatenate([owners.edge, edges + owners.weights]) != np.arange(len(arrays.shares))
    unused = np.flatnonzero(arrays.shares & ~serves)
    return int(unused[0]) if len(unused) else -1


def _groups(arrays: LFAArrays, begins: BoolArray) -> IntArray:
    """Return int64[L]: the number of each layer's group."""
    groups = np.empty(len(arrays.order), np.int64)
    groups[arrays.order] = np.cumsum(begins) - 1
    return groups
