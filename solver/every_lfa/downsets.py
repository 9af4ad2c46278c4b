"""The downsets of a network: sets of layers that hold all producers of their members.

What stands before a cut of a Computing Order is a downset. So an LFA is a chain of downsets from the empty one to all
layers: one more after each FLG. Networks that are chains of blocks have few.
"""

from collections.abc import Collection

import numpy as np

from soma_cp.model.arrays import BoolArray
from soma_cp.model.network.network_table import NetworkTable

MOST_DOWNSETS = 500
"""Networks with more are not looked at: a path has to pass three of them at a time."""

MANY_DOWNSETS = 200
"""Paths of networks with more take from seconds to minutes; those of the others a few seconds at most."""


def has_many_downsets(table: NetworkTable) -> bool:
    """Return whether the shortest paths of a network take long; those with more than `MOST_DOWNSETS` have none."""
    found = all_downsets(table)
    return found is not None and len(found) > MANY_DOWNSETS


def all_downsets(table: NetworkTable, left_out: Collection[int] = ()) -> BoolArray | None:
    """Return bool[N, L]: which layers each downset holds, the fewest first; None if there are too many.

    Layers that are left out are in none of them.
    """
    if len(table.layers) - len(left_out) >= MOST_DOWNSETS:  # each layer makes one more
        return None
    needs = []
    for layer in range(len(table.layers)):
        sources = table.source[table.source_begin[layer] : table.source_begin[layer + 1]].tolist()
        needs.append(sum(1 << source for source in {*sources}.difference(left_out) if source >= 0))
    found = [0]
    known = {0}
    for downset in found:  # it grows as it is gone through
        for layer, need in enumerate(needs):
            if layer in left_out:
                continue
            larger = downset | 1 << layer
            if need & ~downset == 0 and larger not in known:
                known.add(larger)
                found.append(larger)
                if len(found) > MOST_DOWNSETS:
                    return None
    members: BoolArray = np.array([[one >> layer & 1 for layer in range(len(needs))] for one in found], np.bool_)
    return members
