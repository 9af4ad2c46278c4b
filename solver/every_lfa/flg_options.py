"""All options of an FLG: its possible Tiling Numbers, with the costs and transfers of each.

Tile extents depend only on the FLG's layers and Tiling Number, hence so do its compute cycles and core energy. Loads
also depend on which producers are in its LG, so they are listed by source.

If transposes keep both rows and columns whole, more than one tile for each sample would only make copies: more cycles
and energy, and no byte less. Then only Tiling Numbers up to the batch are listed.

No LFA has more than `MAX_TILES` tiles, hence no FLG of m layers a Tiling Number above `MAX_TILES` / m.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from math import isqrt

import numpy as np

from soma_cp.annealing.budget import Budget, OutOfTimeError
from soma_cp.annealing.chunks import run_in_chunks
from soma_cp.model.arrays import BoolArray, FloatArray, IntArray
from soma_cp.model.compiled import compiled
from soma_cp.model.data_types import packed
from soma_cp.model.network import network_table as nt
from soma_cp.model.network.extents import loaded_extent
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.model.problem import Problem
from soma_cp.model.soma.plan import MAX_TILES
from soma_cp.model.soma.tensors import transfer_cycles
from soma_cp.model.soma.tiling import tile_flg, uncut_dimensions
from soma_cp.solver.every_lfa.layer_bounds import divisors

MOST_CELLS = 1 << 24
"""Most tiles, one for each layer and option, whose figures a table keeps: below 2 GB."""


@dataclass(frozen=True, eq=False)
class Load:
    """What one layer of an FLG loads from one source, if the source is not in its LG.

    Parameters
    ----------
    place
        Index of the layer in the FLG.
    source
        Id of the producer, or ``-1 - id`` of an external input.
    bytes, cycles
        int64[O]: of the load of one tile, by Tiling Number.
    """

    place: int
    source: int
    bytes: IntArray
    cycles: IntArray


@dataclass(frozen=True, eq=False)
class FLGOptions:
    """An FLG of m layers, and the O Tiling Numbers that are possible on the core array; O may be 0.

    Parameters
    ----------
    layers
        Ids in computing order.
    number
        int64[O]: the Tiling Numbers, ascending.
    extent
        int64[O, m, 4]: tile extents.
    tile_cycles
        int64[O, m]: of one tile of each layer.
    core_pj
        float64[O]: of all tiles.
    loads
        Loads from sources outside the FLG.
    weight_bytes, weight_cycles
        int64[m]: of loading the layers' weights.
    store_bytes, store_cycles
        int64[O, m]: of one ofmap tile, if it is stored.
    is_output
        bool[m]: whether a layer's ofmap is stored, whatever reads it.
    dram_pj_per_byte
        Of the platform.
    """

    layers: tuple[int, ...]
    number: IntArray
    extent: IntArray
    tile_cycles: IntArray
    core_pj: FloatArray
    loads: tuple[Load, ...]
    weight_bytes: IntArray
    weight_cycles: IntArray
    store_bytes: IntArray
    store_cycles: IntArray
    is_output: tuple[bool, ...]
    dram_pj_per_byte: float
    _moved: dict[tuple[bool, ...], "Moved"] = field(default_factory=dict)

    @cached_property
    def compute(self) -> IntArray:
        """int64[O]: cycles of all tiles."""
        total: IntArray = self.number * self.tile_cycles.sum(axis=1)
        return total

    @cached_property
    def before(self) -> IntArray:
        """int64[O, m]: cycles of tile 0 of the layers before each layer."""
        summed: IntArray = np.cumsum(self.tile_cycles, axis=1) - self.tile_cycles
        return summed

    @cached_property
    def outputs(self) -> tuple[IntArray, IntArray]:
        """int64[O] each: bytes and cycles of storing the outputs of the network."""
        per_tile = self.store_bytes @ np.array(self.is_output, np.int64)
        cycles = self.store_cycles @ np.array(self.is_output, np.int64)
        return self.number * per_tile, self.number * cycles

    @cached_property
    def to_the_end(self) -> IntArray:
        """int64[O, m]: least time from the begin of tile 0 of each layer to the end of the FLG."""
        rest: IntArray = self.compute[:, None] - self.before
        return rest

    @cached_property
    def to_the_end_of_the_run(self) -> IntArray:
        """int64[O, m]: the same to the end of the run if the FLG is the last; counts the stores of its last layer."""
        store = self.store_cycles[:, -1:]
        first_out = self.tile_cycles.sum(axis=1)[:, None] - self.before
        ends: IntArray = np.maximum(self.to_the_end + store, first_out + self.number[:, None] * store)
        return ends

    def moved(self, outside: frozenset[int]) -> "Moved":
        """Return the transfers that are certain if these layers are outside the LG and all others inside."""
        key = tuple(load.source < 0 or load.source in outside for load in self.loads)
        if key not in self._moved:
            self._moved[key] = self._count_moved([load for load, out in zip(self.loads, key, strict=True) if out])
        return self._moved[key]

    def _count_moved(self, loads: "list[Load]") -> "Moved":
        size = len(self.number)
        loaded_bytes = np.full(size, self.weight_bytes.sum())
        loaded_cycles = np.full(size, self.weight_cycles.sum())
        first = np.tile(self.weight_cycles, (size, 1))
        for load in loads:
            loaded_bytes += self.number * load.bytes
            loaded_cycles += self.number * load.cycles
            first[:, load.place] += load.cycles
        energy = self.core_pj + (loaded_bytes + self.outputs[0]) * self.dram_pj_per_byte
        needed = np.cumsum(first, axis=1)
        return Moved(energy, loaded_cycles, needed, (needed - self.before).max(axis=1))


@dataclass(frozen=True, eq=False)
class Moved:
    """Energy and loads of an FLG, by Tiling Number.

    Parameters
    ----------
    energy_pj
        float64[O]: of the core array, of all loads, and of the stores of outputs.
    loads
        int64[O]: cycles of all loads.
    needed
        int64[O, m]: cycles of all loads before tile 0 of each layer.
    waits
        int64[O]: the largest difference between these cycles and the compute cycles before the same tile.
    """

    energy_pj: FloatArray
    loads: IntArray
    needed: IntArray
    waits: IntArray


class OptionTable:
    """The options of all FLGs of a problem; the options of an FLG are computed at its first use.

    Parameters
    ----------
    problem
        Network, platform and batch.
    budget
        No limit by default.
    """

    def __init__(self, problem: Problem, budget: Budget | None = None) -> None:
        self.problem = problem
        self.budget = budget or Budget()
        self._cells = 0
        self._known: dict[tuple[int, ...], FLGOptions] = {}

    def options(self, layers: tuple[int, ...]) -> FLGOptions:
        """Return the options of the FLG of these layers (ids in computing order).

        Raises
        ------
        OutOfTimeError
            If the budget ends first, or the options of all FLGs are too many to keep.
        """
        if layers not in self._known:
            self._known[layers] = self._make(layers)
        return self._known[layers]

    def _make(self, layers: tuple[int, ...]) -> FLGOptions:
        problem, table = self.problem, self.problem.table
        rate = problem.platform.dram_rate
        order = np.array(layers, np.int64)
        rows, columns = (int(most) for most in table.layers[order][:, [nt.H, nt.W]].max(axis=0))
        number = _possible_numbers(problem.batch, rows, columns, MAX_TILES // len(layers))
        self._cells += len(number) * len(layers)
        if self._cells > MOST_CELLS:
            raise OutOfTimeError
        extent = np.empty((len(number), len(layers), 4), np.int64)
        possible = np.zeros(len(number), np.bool_)
        self._in_chunks(
            len(number),
            lambda first, last: tilings(
                table, problem.batch, order, number[first:last], extent[first:last], possible[first:last]
            ),
        )
        number, extent = number[possible], extent[possible]
        cycles = np.empty((len(number), len(layers)), np.int64)
        energy = np.empty((len(number), len(layers)))

        def price(first: int, last: int) -> None:
            tiles = np.column_stack([np.tile(order, last - first), extent[first:last].reshape(-1, 4)])
            costs = problem.core_array.tile_costs(table, tiles)
            cycles[first:last], energy[first:last] = (cost.reshape(last - first, -1) for cost in costs)

        self._in_chunks(len(number), price)
        runs = (cycles >= 0).all(axis=1)
        number, extent, cycles, energy = number[runs], extent[runs], cycles[runs], energy[runs]
        store_bytes = packed(extent.prod(axis=2), table.layers[order, nt.OFMAP_BITS])
        weight_bytes = table.layers[order, nt.DRAM_WEIGHT_BYTES]
        return FLGOptions(
            layers=layers,
            number=number,
            extent=extent,
            tile_cycles=cycles,
            core_pj=number * energy.sum(axis=1),
            loads=tuple(self._loads(layers, extent)),
            weight_bytes=weight_bytes,
            weight_cycles=transfer_cycles(weight_bytes, rate),
            store_bytes=store_bytes,
            store_cycles=transfer_cycles(store_bytes, rate),
            is_output=tuple(bool(table.is_output[i]) for i in layers),
            dram_pj_per_byte=problem.platform.dram_pj_per_byte,
        )

    def _in_chunks(self, count: int, run: Callable[[int, int], None]) -> None:
        """Call ``run(first, last)`` for consecutive ranges of `count` items, as long as there is time."""
        if run_in_chunks(run, count, self.budget, lambda _: None) < count:
            raise OutOfTimeError

    def _loads(self, layers: tuple[int, ...], extent: IntArray) -> list[Load]:
        table, rate = self.problem.table, self.problem.platform.dram_rate
        found = []
        for place, layer in enumerate(layers):
            for edge in range(table.source_begin[layer], table.source_begin[layer + 1]):
                source = int(table.source[edge])
                if source in layers:
                    continue
                size = np.empty(len(extent), np.int64)
                tile_loads(table.layers, layer, int(table.source_role[edge]), extent[:, place], size)
                size = packed(size * int(table.source_channels[edge]), int(table.source_bits[edge]))
                found.append(Load(place, source, size, transfer_cycles(size, rate)))
        return found


def _possible_numbers(batch: int, rows: int, columns: int, most: int) -> IntArray:
    """Return a superset of the Tiling Numbers up to `most` that cut `batch` samples, `rows` rows, `columns` columns."""
    most = min(most, batch * rows * columns)
    is_product = np.zeros(most + 1, np.bool_)
    root = isqrt(most)  # one of two factors is at most the root
    for few, many in ((rows, columns), (columns, rows)):
        for factor in range(1, min(few, root) + 1):
            is_product[factor : factor * many + 1 : factor] = True
    parts = np.flatnonzero(is_product)
    numbers = [np.zeros(0, np.int64)]
    for d in divisors(batch):
        multiples = d * parts[: np.searchsorted(parts, most // d, side="right")]
        numbers.append(multiples[np.gcd(batch, multiples) == d])
    return np.unique(np.concatenate(numbers)).astype(np.int64)


@compiled
def tilings(
    table: NetworkTable, batch: int, order: IntArray, number: IntArray, extent: IntArray, possible: BoolArray
) -> None:
    """Fill `possible`, whether the FLG can have each Tiling Number, and `extent` where it can."""
    size = len(order)
    flg = np.zeros(len(table.layers), np.int64)
    for place in range(size):
        flg[order[place]] = 1
    keep_rows, keep_columns = uncut_dimensions(table.layers, table.source_begin, table.source, order, flg, 0, size)
    extents = np.empty((len(table.layers), 4), np.int64)
    for option in range(len(number)):
        n = number[option]
        samples = batch // np.gcd(batch, n)
        parts = n // (batch // samples)
        if keep_rows and keep_columns and parts > 1:
            continue
        if tile_flg(
            table.layers,
            table.use_begin,
            table.use_layer,
            table.use_role,
            table.is_output,
            order,
            flg,
            (0, size, samples, parts),
            keep_rows,
            keep_columns,
            extents,
        ):
            possible[option] = True
            for place in range(size):
                extent[option, place] = extents[order[place]]


@compiled
def tile_loads(layers: IntArray, layer: int, role: int, extent: IntArray, size: IntArray) -> None:
    """Fill the elements that one tile loads for each channel of a source, by option."""
    extents = np.zeros((layer + 1, 4), np.int64)
    for option in range(len(size)):
        extents[layer] = extent[option]
        rows, columns = loaded_extent(layers, extents, layer, role)
        size[option] = extent[option, 0] * rows * columns
