"""Lower bounds on the cost of each layer's tiles, for every LFA.

*Compute.* With any tiling of its FLG, a layer is computed in n = fb · fh · fw tiles of B / fb samples. They have at
least rows[l][fh] rows and columns[l][fw] columns, and all channels; in the published semantics they have as many
channels as a consumer asks for (a concatenation asks for all of its own). Costs need not grow with the extents. So the
bound is n times the least cost over all extents, from these up, that tiles can have: parts of the ofmap, and what tiles
of consumers read. The cheapest (fb, fh, fw) bounds the layer, in cycles and in energy.

*Time.* Pricing the tiles is what takes long, so it looks at the budget. A layer whose tiles are not priced, or are more
than `MOST_SHAPES`, keeps a floor: each element of its ofmap takes at least so many cycles and so much energy
(`CoreArray.least_per_element`). Its tiles make at least B · min f·rows[l][f] · min f·columns[l][f] elements of each
channel.
"""

from collections import defaultdict
from dataclasses import dataclass
from math import isqrt, prod

import numpy as np

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.chunks import run_in_chunks
from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.problem import Problem
from soma_cp.solver.every_lfa.tile_extents import COLUMNS, ROWS, Steps, TileExtents, Values

MOST_SHAPES = 1 << 22
"""Most tile shapes of a layer; with more, it keeps its floor. The layers of pnasnet have up to 400,000 at batch 16."""
FLOOR_ROUNDING = 1e-9
"""Floors are lowered by this share, far more than the rounding of their products."""


@dataclass(frozen=True, eq=False)
class LayerChoices:
    """Undominated pairs (cycles, energy) of a layer over all tilings: int64[P] ascending, float64[P] descending.

    `shortest_tile` is the least number of cycles of one tile.
    """

    cycles: IntArray
    energy_pj: FloatArray
    shortest_tile: int


class LayerPrices:
    """Prices the tiles of all layers, as far as a budget allows; it goes on where it ended.

    Layers with the same fields are priced together, for all extents that tiles of any of them may have.

    Parameters
    ----------
    problem
        Its core array prices the tiles.
    needs
        What `ancestors` returns.
    extents
        The extents of the tiles.
    """

    def __init__(self, problem: Problem, needs: list[set[int]], extents: TileExtents) -> None:
        self.problem = problem
        self.needs = needs
        self.extents = extents
        self._samples = divisors(problem.batch)
        self._left = sorted(self._groups(), key=lambda group: group.size, reverse=True)
        self._choices = self._floors()

    @property
    def complete(self) -> bool:
        """Whether no more time could raise the bounds."""
        return self.extents.in_time and not self._left

    def choices(self, budget: Budget | None = None) -> list[LayerChoices]:
        """Return the choices of all layers; those of layers whose tiles are not priced in time are floors."""
        budget = budget or Budget()
        while self._left and self._left[-1].price(self.problem, budget):
            group = self._left.pop()  # the smallest is priced first, and its prices are not kept
            known: dict[tuple[int, ...], LayerChoices] = {}
            for layer in group.layers:
                values, rows, columns = (
                    self.extents.values[layer],
                    self.extents.rows[layer],
                    self.extents.columns[layer],
                )
                key = (*map(id, values), id(rows), id(columns))
                if key not in known:
                    known[key] = _choices_of(self.problem.batch, group.least(values), values, rows, columns)
                self._choices[layer] = known[key]
        return list(self._choices)

    def _groups(self) -> "list[_Shapes]":
        """Return the shapes of all layers that can be priced."""
        equal: dict[bytes, list[int]] = defaultdict(list)
        for layer, row in enumerate(self.problem.table.layers):
            if self.extents.listed[layer]:
                equal[row.tobytes()].append(layer)
        groups = []
        for layers in equal.values():
            together = _Shapes(layers, self._samples, [self.extents.values[layer] for layer in layers])
            apart: dict[tuple[int, ...], list[int]] = defaultdict(list)
            for layer in layers:
                apart[tuple(map(id, self.extents.values[layer]))].append(layer)
            each = [_Shapes(same, self._samples, [self.extents.values[same[0]]]) for same in apart.values()]
            groups += [together] if together.size <= sum(shapes.size for shapes in each) else each
        return [shapes for shapes in groups if shapes.size <= MOST_SHAPES]

    def _floors(self) -> list[LayerChoices]:
        extents = self.extents
        floors = []
        for layer, (cycles, energy_pj) in enumerate(zip(*self._per_element(), strict=True)):
            channels, rows, columns = (int(values[0]) for values in extents.values[layer])
            tile = channels * rows * columns
            total = self.problem.batch * channels * extents.rows[layer].least_total * extents.columns[layer].least_total
            least = np.array([total * cycles * (1 - FLOOR_ROUNDING)]).astype(np.int64)
            energy = np.array([total * energy_pj * (1 - FLOOR_ROUNDING)])
            floors.append(LayerChoices(least, energy, int(tile * cycles * (1 - FLOOR_ROUNDING))))
        return floors

    def _per_element(self) -> tuple[list[float], list[float]]:
        cycles, energy_pj = self.problem.core_array.least_per_element(self.problem.table)
        return cycles.tolist(), energy_pj.tolist()


class _Shapes:
    """The tile shapes of equal layers: every combination of samples, channels, rows and columns."""

    def __init__(self, layers: list[int], samples: IntArray, values: list[Values]) -> None:
        self.layers = layers
        channels, rows, columns = (_united([one[dimension] for one in values]) for dimension in range(3))
        self.axes = (samples, channels, rows, columns)
        self.size = prod(len(axis) for axis in self.axes)
        self._done = 0
        self._costs = np.empty((2, 0))

    def price(self, problem: Problem, budget: Budget) -> bool:
        """Go on pricing; return whether all shapes are priced."""
        if self._done == 0:
            self._costs = np.empty((2, self.size))
        shape = tuple(len(axis) for axis in self.axes)

        def price(first: int, last: int) -> None:
            places = np.unravel_index(np.arange(first, last), shape)
            extents = [axis[at] for axis, at in zip(self.axes, places, strict=True)]
            tiles = np.column_stack([np.full(last - first, self.layers[0]), *extents])
            cycles, energy = problem.core_array.least_costs(problem.table, tiles)
            self._costs[:, first:last] = np.where(cycles < 0, np.inf, np.stack([cycles.astype(np.float64), energy]))

        smallest = 1 if problem.core_array.takes_long else 16
        self._done = run_in_chunks(price, self.size, budget, lambda _: None, self._done, smallest)
        return self._done == self.size

    def least(self, values: Values) -> FloatArray:
        """Return the least cost of a tile with at least so many rows and columns, over all extents in `values`.

        float64[2, divisors of the batch, rows, columns]: cycles and pJ, by samples and by index in `values`; infinite
        if the core array can run no such tile.
        """
        costs = self._costs.reshape(2, *map(len, self.axes))
        for axis, wanted in enumerate(values, start=2):
            if len(wanted) < len(self.axes[axis - 1]):
                costs = costs.take(np.searchsorted(self.axes[axis - 1], wanted), axis=axis)
        least: FloatArray = costs.min(axis=2)
        for axis in (2, 3):
            least = np.flip(np.minimum.accumulate(np.flip(least, axis), axis), axis)
        return least


def _united(arrays: list[IntArray]) -> IntArray:
    different = list({id(array): array for array in arrays}.values())
    return different[0] if len(different) == 1 else np.unique(np.concatenate(different))


def divisors(number: int) -> IntArray:
    """Return all divisors of a number, ascending."""
    low = [d for d in range(1, isqrt(number) + 1) if number % d == 0]
    return np.array(sorted({*low, *(number // d for d in low)}))


def _choices_of(batch: int, least: FloatArray, values: Values, rows: Steps, columns: Steps) -> LayerChoices:
    """Return the undominated choices of a layer, from the least costs of its tiles and its rows and columns."""
    count = (batch // divisors(batch))[:, None, None] * rows.parts[:, None] * columns.parts
    row_places = np.searchsorted(values[ROWS], rows.extent)
    column_places = np.searchsorted(values[COLUMNS], columns.extent)
    cycles, energy = (count * least[:, :, row_places][:, :, :, column_places]).reshape(2, -1)
    order = np.lexsort((energy, cycles))
    cycles, energy = cycles[order], energy[order]
    frugal = np.minimum.accumulate(energy)
    keep = np.isfinite(energy) & np.concatenate([[True], frugal[1:] < frugal[:-1]])
    return LayerChoices(np.rint(cycles[keep]).astype(np.int64), energy[keep], int(least[0].min()))
