"""Lower bounds on the cost of each layer's tiles, for every LFA.

*Compute.* With any tiling of its FLG, a layer is computed in n = fb · fh · fw tiles of B / fb samples. They have at
least rows[l][fh] rows and columns[l][fw] columns, and all channels; in the published semantics they have as many
channels as a consumer asks for (a concatenation asks for all of its own). Costs need not grow with the extents. So the
bound is n times the least cost over all extents, from these up, that tiles can have: parts of the ofmap, and what tiles
of consumers read. The cheapest (fb, fh, fw) bounds the layer, in cycles and in energy.

*Divisions.* In the wide space a layer may be divided by output channels. It costs at least as much as the cheapest of
all divisions, or as it does undivided (`soma_cp.solver.every_lfa.part_bounds`). If the core array knows what a channel
of a tile takes at least in a part of any size (`CoreArray.least_per_channel`), the tiles of all parts take together at
least that for all channels, with the cheapest (fb, fh, fw) of all.

*Time.* Pricing the tiles is what takes long, so it looks at the budget. A layer whose tiles are not priced, or are more
than `MOST_SHAPES`, keeps a floor: each element of its ofmap takes at least so many cycles and so much energy
(`CoreArray.least_per_element`). Its tiles make at least B · min f·rows[l][f] · min f·columns[l][f] elements of each
channel. The parts of a layer make all its channels together, so the floor holds for every division. In the wide space a
layer that may be divided keeps it until the tiles of its parts are priced, too; always if the core array takes long to
price a tile, or if the parts may have more than `MOST_SIZES` sizes.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import isqrt, prod

import numpy as np

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.chunks import run_in_chunks
from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.problem import Problem
from soma_cp.solver.every_lfa.layer_choices import LayerChoices, cheapest, undominated
from soma_cp.solver.every_lfa.part_bounds import PartSizes, divided_choices, part_sizes, with_parts
from soma_cp.solver.every_lfa.tile_extents import COLUMNS, ROWS, Steps, TileExtents, Values

MOST_SHAPES = 1 << 22
"""Most tile shapes of a layer; with more, it keeps its floor. The layers of pnasnet have up to 400,000 at batch 16."""
MOST_SIZES = 1 << 11
"""Most sizes of the parts of a layer; if there may be more, it keeps its floor in the wide space."""
MOST_PARTS = 128
"""Tilings of more parts of rows and columns are bounded together (`LayerPrices.whole_and_fine`)."""
FLOOR_ROUNDING = 1e-9
"""Floors are lowered by this share, far more than the rounding of their products."""


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
        self.part_sizes = part_sizes(problem)
        self._left = self._groups()
        self._left_divided: list[_Shapes] | None = None  # made when the wide space is asked for
        self._undivided: dict[int, LayerChoices] = {}
        self._whole_and_fine: dict[int, tuple[LayerChoices, LayerChoices]] = {}
        self._divided: dict[int, LayerChoices] = {}
        self._whole_and_fine_divided: dict[int, tuple[LayerChoices, LayerChoices]] = {}
        self._per_channel: dict[int, tuple[FloatArray, LayerChoices]] = {}

    def complete(self, wide: bool) -> bool:
        """Return whether no more time could raise the bounds in the wide space, or in the paper's."""
        return self.extents.in_time and not self._left and not (wide and self._left_divided)

    def choices(self, budget: Budget | None = None, wide: bool = False) -> list[LayerChoices]:
        """Return the choices of all layers; those of layers whose tiles are not priced in time are floors.

        Parameters
        ----------
        budget
            When pricing ends; no limit by default.
        wide
            Whether layers may be divided.
        """
        budget = budget or Budget()
        self._price(self._left, self._undivided, budget)
        found = self._floors(wide)
        if wide:
            if self._left_divided is None:
                self._left_divided = self._groups_of_parts()
            self._price(self._left_divided, self._divided, budget)
        for layer, choices in self._undivided.items():
            if not wide or layer not in self.part_sizes:
                found[layer] = choices
            elif layer in self._divided:
                found[layer] = cheapest([choices, self._divided[layer]])
        return found

    def whole_and_fine(self, wide: bool = False) -> list[tuple[LayerChoices, LayerChoices]]:
        """Return, for each layer, its choices with one tile, and those with more than `MOST_PARTS` parts of a sample.

        They are those of undivided layers, or with `wide` of divided ones, too, all parts of which have as many tiles;
        as far as `choices` has priced them: the others have their floors.
        """
        floors = self._floors(wide)
        found = [self._whole_and_fine.get(layer, (floor, floor)) for layer, floor in enumerate(floors)]
        for layer in self.part_sizes if wide else ():
            ways = [self._whole_and_fine.get(layer), self._whole_and_fine_divided.get(layer)]
            known = [way for way in ways if way is not None]
            found[layer] = (floors[layer], floors[layer])
            if len(known) == len(ways):
                found[layer] = (cheapest([one for one, _ in known]), cheapest([fine for _, fine in known]))
        return found

    def per_channel(self, layer: int) -> tuple[FloatArray, LayerChoices] | None:
        """Return what all channels of a layer take at least in tiles of parts; None if these are not priced.

        float64[2, divisors of the batch, MOST_PARTS]: cycles and pJ by samples of a tile and by its parts of rows and
        columns; and the choices over all tilings. Both are proportional to channels: some of the channels take at
        least their share.
        """
        return self._per_channel.get(layer)

    def _price(self, left: "list[_Shapes]", found: dict[int, LayerChoices], budget: Budget) -> None:
        """Add the choices of layers to `found`, the last of `left` first; what is not priced in time stays there."""
        each_whole_and_fine = self._whole_and_fine if found is self._undivided else self._whole_and_fine_divided
        while left and left[-1].price(budget):
            group = left.pop()  # its prices are not kept
            known: dict[tuple[int, ...], LayerChoices] = {}
            whole_and_fine: dict[tuple[int, ...], tuple[LayerChoices, LayerChoices]] = {}
            per_channel: dict[tuple[int, ...], tuple[FloatArray, LayerChoices]] = {}
            for layer in group.layers:
                values, rows, columns = (
                    self.extents.values[layer],
                    self.extents.rows[layer],
                    self.extents.columns[layer],
                )
                key = (*map(id, values), id(rows), id(columns))
                if key not in known:
                    known[key] = group.choices(values, rows, columns)
                    whole_and_fine[key] = group.whole_and_fine(values, rows, columns)
                    if found is self._divided:
                        per_channel[key] = group.per_channel(values, rows, columns)
                found[layer] = known[key]
                each_whole_and_fine[layer] = whole_and_fine[key]
                if found is self._divided:
                    self._per_channel[layer] = per_channel[key]

    def _groups(self) -> "list[_Shapes]":
        """Return the shapes of all layers that can be priced, the fewest last."""
        make = partial(_Shapes, self.problem)
        return _fewest_last([group for layers in self._equal_layers() for group in self._fewest(layers, make)])

    def _groups_of_parts(self) -> "list[_Shapes]":
        """Return the shapes of the parts of all layers that can be priced, the fewest last."""
        problem = self.problem
        equal = {layers[0]: layers for layers in self._equal_layers() if layers[0] in self.part_sizes}
        make: dict[int, Callable[[list[int], list[Values]], _Shapes]]
        if problem.core_array.least_per_channel(problem.table, np.empty((0, 5), np.int64)) is not None:
            make = {first: partial(_ChannelShapes, problem, self.part_sizes[first]) for first in equal}
        elif problem.core_array.takes_long:
            make = {}
        else:
            few = {first: self.part_sizes[first] for first in equal if self.part_sizes[first].count <= MOST_SIZES}
            parts, ids = with_parts(problem, {first: sizes.channels for first, sizes in few.items()})
            make = {first: partial(_PartShapes, parts, sizes, ids[first]) for first, sizes in few.items()}
        return _fewest_last([group for first in make for group in self._fewest(equal[first], make[first])])

    def _fewest(self, layers: list[int], make: "Callable[[list[int], list[Values]], _Shapes]") -> "list[_Shapes]":
        """Return the shapes of equal layers: of all together, or apart by their extents, whichever are fewer."""
        values = self.extents.values
        together = make(layers, [values[layer] for layer in layers])
        apart: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for layer in layers:
            apart[tuple(map(id, values[layer]))].append(layer)
        each = [make(same, [values[same[0]]]) for same in apart.values()]
        return [together] if together.size <= sum(shapes.size for shapes in each) else each

    def _equal_layers(self) -> list[list[int]]:
        """Return the layers whose extents are all known, those with the same fields together."""
        equal: dict[bytes, list[int]] = defaultdict(list)
        for layer, row in enumerate(self.problem.table.layers):
            if self.extents.listed[layer]:
                equal[row.tobytes()].append(layer)
        return list(equal.values())

    def _floors(self, wide: bool) -> list[LayerChoices]:
        extents = self.extents
        per_element = self.problem.core_array.least_per_element(self.problem.table)
        floors = []
        for layer, (cycles, energy_pj) in enumerate(zip(*(each.tolist() for each in per_element), strict=True)):
            channels, rows, columns = (int(values[0]) for values in extents.values[layer])
            total = self.problem.batch * channels * extents.rows[layer].least_total * extents.columns[layer].least_total
            fewest = channels
            if wide and layer in self.part_sizes:
                fewest = min(channels, self.part_sizes[layer].fewest_channels)
            floors.append(
                LayerChoices(
                    cycles=np.array([total * cycles * (1 - FLOOR_ROUNDING)]).astype(np.int64),
                    energy_pj=np.array([total * energy_pj * (1 - FLOOR_ROUNDING)]),
                    last_tiles=int(channels * rows * columns * cycles * (1 - FLOOR_ROUNDING)),
                    shortest_tile=int(fewest * rows * columns * cycles * (1 - FLOOR_ROUNDING)),
                )
            )
        return floors


class _Shapes:
    """The tile shapes of equal layers: every combination of samples, channels, rows and columns.

    Parameters
    ----------
    problem
        Its core array prices the tiles.
    layers
        The layers.
    values
        Extents of the tiles, for some of these layers; the layers have no others.
    """

    def __init__(self, problem: Problem, layers: list[int], values: list[Values]) -> None:
        self.problem = problem
        self.layers = layers
        channels, rows, columns = (_united([one[dimension] for one in values]) for dimension in range(3))
        self.axes = (divisors(problem.batch), channels, rows, columns)
        self.ids = np.full(len(channels), layers[0])  # by channels: the layer of `problem` that has such tiles
        self._done = 0
        self._costs = np.empty((2, 0))

    @property
    def size(self) -> int:
        """The number of shapes."""
        return prod(len(axis) for axis in self.axes)

    def price(self, budget: Budget) -> bool:
        """Go on pricing; return whether all shapes are priced."""
        if self._done == 0:
            self._costs = np.empty((2, self.size))
        shape = tuple(len(axis) for axis in self.axes)

        def price(first: int, last: int) -> None:
            places = np.unravel_index(np.arange(first, last), shape)
            extents = [axis[at] for axis, at in zip(self.axes, places, strict=True)]
            self._costs[:, first:last] = self._prices(np.column_stack([self.ids[places[1]], *extents]))

        smallest = 1 if self.problem.core_array.takes_long else 16
        self._done = run_in_chunks(price, self.size, budget, lambda _: None, self._done, smallest)
        return self._done == self.size

    def choices(self, values: Values, rows: Steps, columns: Steps) -> LayerChoices:
        """Return the choices of a layer with these extents, once all shapes are priced."""
        return _choices_of(self.problem.batch, self._least(values).min(axis=2), values, rows, columns)

    def whole_and_fine(self, values: Values, rows: Steps, columns: Steps) -> tuple[LayerChoices, LayerChoices]:
        """Return the choices with one tile, and those with more than `MOST_PARTS` parts, once all shapes are priced."""
        least = self._least(values).min(axis=2)
        whole = _choices_of(1, least[:, -1:], values, _first(rows), _first(columns))
        return whole, _choices_of(self.problem.batch, least, values, rows, columns, MOST_PARTS + 1)

    def per_channel(self, values: Values, rows: Steps, columns: Steps) -> tuple[FloatArray, LayerChoices]:
        """See `LayerPrices.per_channel`."""
        return _all_channels(self.problem.batch, self._least(values).min(axis=2), values, rows, columns)

    def _prices(self, tiles: IntArray) -> FloatArray:
        """Return float64[2, N]: cycles and pJ of tile rows, infinite if the core array can't run them."""
        cycles, energy = self.problem.core_array.least_costs(self.problem.table, tiles)
        return np.where(cycles < 0, np.inf, np.stack([cycles.astype(np.float64), energy]))

    def _least(self, values: Values) -> FloatArray:
        """Return the least cost of a tile with at least so many rows and columns, over all extents in `values`.

        float64[2, divisors of the batch, channels, rows, columns]: cycles and pJ, by samples and by index in `values`;
        infinite if the core array can run no such tile.
        """
        costs: FloatArray = self._costs.reshape(2, *map(len, self.axes))
        for axis, wanted in enumerate(values, start=2):
            if len(wanted) < len(self.axes[axis - 1]):
                costs = costs.take(np.searchsorted(self.axes[axis - 1], wanted), axis=axis)
        for axis in (3, 4):
            costs = np.flip(np.minimum.accumulate(np.flip(costs, axis), axis), axis)
        return costs


class _PartShapes(_Shapes):
    """The tile shapes of the parts of equal layers, of parts of every size.

    Parameters
    ----------
    problem
        What `with_parts` returns.
    sizes
        Of the parts.
    ids
        int64: the parts as layers of `problem`.
    layers, values
        As those of `_Shapes`.
    """

    def __init__(
        self, problem: Problem, sizes: PartSizes, ids: IntArray, layers: list[int], values: list[Values]
    ) -> None:
        super().__init__(problem, layers, values)
        self.sizes = sizes
        self.ids = ids
        samples, _, rows, columns = self.axes
        self.axes = (samples, sizes.channels, rows, columns)

    def choices(self, values: Values, rows: Steps, columns: Steps) -> LayerChoices:
        """Return the choices of a layer with these extents over all its divisions, once all shapes are priced."""
        costs = self._least((self.sizes.channels, *values[1:]))
        parts = [
            _choices_of(self.problem.batch, costs[:, :, size], values, rows, columns)
            for size in range(self.sizes.count)
        ]
        return divided_choices(self.sizes, parts)

    def whole_and_fine(self, values: Values, rows: Steps, columns: Steps) -> tuple[LayerChoices, LayerChoices]:
        """Return the choices over all divisions into parts of one tile each, and of more than `MOST_PARTS` parts."""
        costs = self._least((self.sizes.channels, *values[1:]))
        whole, fine = [], []
        for size in range(self.sizes.count):
            least = costs[:, :, size]
            whole.append(_choices_of(1, least[:, -1:], values, _first(rows), _first(columns)))
            fine.append(_choices_of(self.problem.batch, least, values, rows, columns, MOST_PARTS + 1))
        return divided_choices(self.sizes, whole), divided_choices(self.sizes, fine)

    def per_channel(self, values: Values, rows: Steps, columns: Steps) -> tuple[FloatArray, LayerChoices]:
        """See `LayerPrices.per_channel`."""
        share = self.sizes.channels / self.sizes.all_channels
        least = (self._least((self.sizes.channels, *values[1:])) / share[:, None, None]).min(axis=2)
        return _all_channels(self.problem.batch, least * (1 - FLOOR_ROUNDING), values, rows, columns)


class _ChannelShapes(_Shapes):
    """The tile shapes of equal layers, priced by the least that each channel takes in a part of any size.

    Parameters
    ----------
    problem
        Its core array knows what a channel takes at least.
    sizes
        Of the parts.
    layers, values
        As those of `_Shapes`.
    """

    def __init__(self, problem: Problem, sizes: PartSizes, layers: list[int], values: list[Values]) -> None:
        super().__init__(problem, layers, values)
        self.sizes = sizes
        samples, _, rows, columns = self.axes
        self.axes = (samples, np.array([sizes.all_channels]), rows, columns)

    def choices(self, values: Values, rows: Steps, columns: Steps) -> LayerChoices:
        """Return the choices of a layer with these extents over all its divisions, once all shapes are priced."""
        together = super().choices((self.axes[1], *values[1:]), rows, columns)
        shortest = together.shortest_tile * self.sizes.fewest_channels // self.sizes.all_channels
        return replace(together, shortest_tile=shortest)

    def whole_and_fine(self, values: Values, rows: Steps, columns: Steps) -> tuple[LayerChoices, LayerChoices]:
        """Return the choices over all divisions into parts of one tile each, and of more than `MOST_PARTS` parts."""
        return super().whole_and_fine((self.axes[1], *values[1:]), rows, columns)

    def per_channel(self, values: Values, rows: Steps, columns: Steps) -> tuple[FloatArray, LayerChoices]:
        """See `LayerPrices.per_channel`."""
        return super().per_channel((self.axes[1], *values[1:]), rows, columns)

    def _prices(self, tiles: IntArray) -> FloatArray:
        """Return float64[2, N]: the least cycles and pJ of tiles of all parts together."""
        each = self.problem.core_array.least_per_channel(self.problem.table, tiles)
        assert each is not None
        return np.stack(each) * tiles[:, 2] * (1 - FLOOR_ROUNDING)


def _all_channels(
    batch: int, least: FloatArray, values: Values, rows: Steps, columns: Steps
) -> tuple[FloatArray, LayerChoices]:
    """Return what tiles take by samples and parts, and over all tilings, from the least costs by extents."""
    by_extent = least[:, :, np.searchsorted(values[ROWS], rows.extent)]
    by_extent = by_extent[:, :, :, np.searchsorted(values[COLUMNS], columns.extent)]
    parts = np.arange(1, MOST_PARTS + 1)
    at_row, at_column = (np.searchsorted(steps.parts, parts, side="right") - 1 for steps in (rows, columns))
    samples = divisors(batch)
    found = np.full((2, len(samples), MOST_PARTS), np.inf)
    for row_parts in range(1, MOST_PARTS + 1):
        column_parts = parts[: MOST_PARTS // row_parts]
        tile = by_extent[:, :, at_row[row_parts - 1]][:, :, at_column[column_parts - 1]]
        product = row_parts * column_parts
        found[:, :, product - 1] = np.minimum(found[:, :, product - 1], tile * product)
    found *= (batch // samples)[:, None]
    return found, _choices_of(batch, least, values, rows, columns)


def _fewest_last(groups: list[_Shapes]) -> list[_Shapes]:
    """Return the groups that are small enough to be priced."""
    small = [shapes for shapes in groups if shapes.size <= MOST_SHAPES]
    return sorted(small, key=lambda shapes: shapes.size, reverse=True)


def _united(arrays: list[IntArray]) -> IntArray:
    different = list({id(array): array for array in arrays}.values())
    return different[0] if len(different) == 1 else np.unique(np.concatenate(different))


def divisors(number: int) -> IntArray:
    """Return all divisors of a number, ascending."""
    low = [d for d in range(1, isqrt(number) + 1) if number % d == 0]
    return np.array(sorted({*low, *(number // d for d in low)}))


def _first(steps: Steps) -> Steps:
    """Return the first step alone: one part."""
    return Steps(steps.parts[:1], steps.extent[:1])


def _choices_of(
    batch: int, least: FloatArray, values: Values, rows: Steps, columns: Steps, fewest_parts: int = 1
) -> LayerChoices:
    """Return the undominated choices of a layer, from the least costs of its tiles and its rows and columns.

    With `fewest_parts`, they are those of tilings of that many parts of rows and columns or more. Steps that also hold
    for fewer parts count as that many.
    """
    parts = np.maximum(rows.parts[:, None] * columns.parts, fewest_parts)
    count = (batch // divisors(batch))[:, None, None] * parts
    # A step ends where the next begins; for the last, `fewest_parts` are as good as any number.
    most_rows, most_columns = (np.append(one.parts[1:] - 1, fewest_parts) for one in (rows, columns))
    can_be = most_rows[:, None] * most_columns >= fewest_parts
    row_places = np.searchsorted(values[ROWS], rows.extent)
    column_places = np.searchsorted(values[COLUMNS], columns.extent)
    cycles, energy = (count * least[:, :, row_places][:, :, :, column_places])[:, :, can_be].reshape(2, -1)
    runs = np.isfinite(energy)
    pairs = undominated(cycles[runs].astype(np.int64), energy[runs])
    shortest = int(least[0].min()) if runs.any() else 0
    return LayerChoices(*pairs, last_tiles=shortest, shortest_tile=shortest)
