"""What a layer costs at least: pairs of cycles and energy, none of which is both slower and dearer than another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from soma_cp.model.arrays import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class LayerChoices:
    """Undominated pairs (cycles, energy) of a layer over all tilings, and over all divisions if it may be divided.

    Parameters
    ----------
    cycles
        int64[P], ascending. There are no pairs if the core array can't run the layer.
    energy_pj
        float64[P]: pJ, descending.
    last_tiles
        The fewest cycles that one tile of each part takes together; of the layer's tile if it is not divided.
    shortest_tile
        The fewest cycles of any tile of any part.
    """

    cycles: IntArray
    energy_pj: FloatArray
    last_tiles: int
    shortest_tile: int


def undominated(cycles: IntArray, energy_pj: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return the pairs to which no other is at least as good in both, by ascending cycles."""
    order = np.lexsort((energy_pj, cycles))
    cycles, energy_pj = cycles[order], energy_pj[order]
    frugal = np.minimum.accumulate(energy_pj)
    keep = np.concatenate([[True], frugal[1:] < frugal[:-1]]) if len(order) else order.astype(np.bool_)
    return cycles[keep], energy_pj[keep]


def cheapest(choices: Sequence[LayerChoices]) -> LayerChoices:
    """Return the choices of a layer that may run in each of several ways; at least one is given."""
    can_run = [one for one in choices if len(one.cycles)] or choices[:1]
    return LayerChoices(
        *undominated(
            np.concatenate([one.cycles for one in can_run]), np.concatenate([one.energy_pj for one in can_run])
        ),
        last_tiles=min(one.last_tiles for one in can_run),
        shortest_tile=min(one.shortest_tile for one in can_run),
    )


def together(a: LayerChoices, b: LayerChoices) -> LayerChoices:
    """Return the choices of parts of a layer, from those of some of them and of the others."""
    return LayerChoices(
        *undominated((a.cycles[:, None] + b.cycles).reshape(-1), (a.energy_pj[:, None] + b.energy_pj).reshape(-1)),
        last_tiles=a.last_tiles + b.last_tiles,
        shortest_tile=min(a.shortest_tile, b.shortest_tile),
    )
