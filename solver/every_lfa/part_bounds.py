"""Lower bounds on the cost of a layer that is divided by output channels, over every division of it.

*Sizes.* Let K be the channels of the layer, n = ⌊K / granule⌋ and r the rest. All parts but one have a multiple of the
granule (docs/model.md#divided-layers). If r = 0, so has that one, and since there are two parts or more, they have 1 …
n − 1 granules. If r > 0, exactly one part has r channels and j granules, j = 0 … n − 1, and the others have n − j
granules together.

*Tiles.* The parts read what the layer reads, and what reads the layer reads all of them. So whatever lies between two
layers in every order still does, with all its parts, and the tiles of a part have as many rows and columns as those of
the layer may have (`soma_cp.solver.every_lfa.tile_extents`). They have all channels of the part, whatever a consumer
asks for. So a part costs at least what `soma_cp.solver.every_lfa.layer_bounds` says of a layer with its channels: f(m)
with m granules, o(j) with the rest and j granules.

*Divisions.* f(m) is m times f(m) / m. So parts that have N granules together cost at least N · min over m of f(m) / m,
with m up to N: in cycles, in energy, and in any weighted sum of both. Hence a division costs at least the cheapest of
f(m) · n / m if r = 0, and of o(j) + f(m) · (n − j) / m otherwise, over all sizes and all tilings. Each of these is a
pair of cycles and energy; cycles are rounded down.

*Last tiles.* Let s(m) be the cycles of the shortest tile of a part of m granules. One tile of each of these parts takes
N · min over m of s(m) / m cycles together, rounded up.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.network.layers import Conv
from soma_cp.model.network.network import Network
from soma_cp.model.network.rewrites.channels import has_parts
from soma_cp.model.problem import Problem
from soma_cp.solver.every_lfa.layer_choices import LayerChoices, cheapest, together, undominated


class PartSizes(NamedTuple):
    """The sizes of the parts into which a layer may be divided.

    Parameters
    ----------
    granule
        Channels.
    granules, rest
        n and r: the layer has so many granules, and so many channels more.
    """

    granule: int
    granules: int
    rest: int

    @property
    def whole(self) -> IntArray:
        """int64: granules of the parts without the rest."""
        return np.arange(1, self.granules + (self.rest > 0), dtype=np.int64)

    @property
    def beside_rest(self) -> IntArray:
        """int64: granules of the part with the rest; empty if there is no rest."""
        return np.arange(self.granules if self.rest else 0, dtype=np.int64)

    @property
    def channels(self) -> IntArray:
        """int64: channels of the parts of `whole`, then of `beside_rest`."""
        return np.concatenate([self.whole * self.granule, self.beside_rest * self.granule + self.rest])

    @property
    def count(self) -> int:  # type: ignore[override]  # hides tuple.count, which nobody calls
        """The number of sizes."""
        return self.granules - 1 if self.rest == 0 else 2 * self.granules

    @property
    def all_channels(self) -> int:
        """Channels of the layer."""
        return self.granules * self.granule + self.rest

    @property
    def fewest_channels(self) -> int:
        """Channels of the smallest part."""
        return self.rest or self.granule


def part_sizes(problem: Problem) -> dict[int, PartSizes]:
    """Return the sizes of the parts of each layer that may be divided."""
    granule = problem.core_array.granule
    return {
        layer: PartSizes(granule, *divmod(fields.K, granule))
        for layer, fields in enumerate(problem.network.layers)
        if isinstance(fields, Conv) and has_parts(fields, granule)
    }


def with_parts(problem: Problem, channels: dict[int, IntArray]) -> tuple[Problem, dict[int, IntArray]]:
    """Return a problem in which the tiles of parts can be priced: its layers, and parts of them as further layers.

    Parameters
    ----------
    problem
        The problem.
    channels
        The channels of some parts, by layer.

    Returns
    -------
    tuple
        The problem; and by layer, the ids of these parts as layers: int64, in the same order.
    """
    network = problem.network
    between = "/" * (1 + max(map(len, (*network.layer_id, *network.input_id))))  # no name has so many
    layers, ids = list(network.layers), {}
    for layer, sizes in channels.items():
        whole = network.layers[layer]
        assert isinstance(whole, Conv)
        ids[layer] = np.arange(len(layers), len(layers) + len(sizes), dtype=np.int64)
        layers += [replace(whole, name=f"{whole.name}{between}{k}", K=k, weights="") for k in sizes.tolist()]
    more = Network(network.name, network.inputs, tuple(layers), network.blocks, network.outputs)
    return replace(problem, network=more), ids


def divided_choices(sizes: PartSizes, parts: Sequence[LayerChoices]) -> LayerChoices:
    """Return the choices of a layer over all its divisions.

    Parameters
    ----------
    sizes
        Of its parts.
    parts
        The choices of a part of each size, in the order of `sizes.channels`.
    """
    count = len(sizes.whole)
    whole = _Granules.of(sizes.whole, parts[:count])
    if sizes.rest == 0:
        return whole.together(sizes.granules)
    beside = zip(sizes.beside_rest.tolist(), parts[count:], strict=True)
    return cheapest([together(part, whole.together(sizes.granules - j)) for j, part in beside])


class _Granules(NamedTuple):
    """The choices of parts of some granules each, those of all sizes in one array.

    Parameters
    ----------
    granules
        int64[P]: ascending.
    cycles, energy_pj
        int64[P], float64[P]: a pair of a part of so many granules.
    shortest_tile
        int64[P]: cycles of the shortest tile of such a part.
    """

    granules: IntArray
    cycles: IntArray
    energy_pj: FloatArray
    shortest_tile: IntArray

    @classmethod
    def of(cls, granules: IntArray, parts: Sequence[LayerChoices]) -> "_Granules":
        """Return the choices of parts, one for each number of granules."""
        counts = [len(part.cycles) for part in parts]
        return cls(
            granules=np.repeat(granules, counts),
            cycles=np.concatenate([part.cycles for part in parts]),
            energy_pj=np.concatenate([part.energy_pj for part in parts]),
            shortest_tile=np.repeat([part.shortest_tile for part in parts], counts),
        )

    def together(self, number: int) -> LayerChoices:
        """Return the choices of so many granules in one part or several."""
        fit = int(np.searchsorted(self.granules, number, side="right"))
        granules, cycles, energy_pj = self.granules[:fit], self.cycles[:fit], self.energy_pj[:fit]
        shortest = self.shortest_tile[:fit]
        if fit == 0:
            return LayerChoices(cycles, energy_pj, last_tiles=0, shortest_tile=0)
        return LayerChoices(
            *undominated(_share(cycles, number, granules), energy_pj * number / granules),
            last_tiles=-int(_share(-shortest, number, granules).max()),
            shortest_tile=int(shortest.min()),
        )


def _share(cycles: IntArray, number: int, granules: IntArray) -> IntArray:
    """Return ⌊cycles · number / granules⌋, whose product may not fit into 64 bits."""
    each, rest = np.divmod(cycles, granules)
    return each * number + rest * number // granules
