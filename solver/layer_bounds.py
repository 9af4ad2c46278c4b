"""What the tiles of each layer cost at least, whatever the LFA.

*Tile extents.* All tiles of an FLG come from fb · fh · fw parts. A layer without consumers in the FLG has tiles of
⌈H / fh⌉ rows; any other has as many rows as the tile reads of that consumer in the FLG that reads most. With a
consumer c, all consumers that c depends on lie in the FLG too, since they stand between in every order. So with f row
parts a layer's tile has at least ``rows[l][f] = min(⌈H / f⌉, min over consumers c of read(c))`` rows, where read(c)
is the most that c, or a consumer that c depends on, reads with its own ``rows[·][f]``; likewise for columns. (What is
read may be less than all: a 1×1 kernel of stride 2 skips every other row, which is then never made.) A transpose hands
its rows' parts on to the dimension that they came from.

*Compute.* Whatever the tiling of its FLG, a layer is computed in n = fb · fh · fw tiles of B / fb samples, of
at least rows[l][fh] rows and columns[l][fw] columns, and of all its channels, or of as many as a consumer asks for
(a concatenation asks for all of its own). Costs need not grow with the extents, so n times the least cost over all
extents from there on counts. The cheapest (fb, fh, fw) bounds the layer, in cycles and in energy.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from soma_cp.model import network_table as nt
from soma_cp.model.network_table import IntArray
from soma_cp.model.problem import Problem
from soma_cp.model.tiling import FloatArray, ifmap_extent, operand_extent


@dataclass(frozen=True, eq=False)
class LayerChoices:
    """Undominated (cycles, energy) of a layer over all tilings: int64[P] ascending, float64[P] descending.

    `shortest_tile` is the least number of cycles of one tile.
    """

    cycles: IntArray
    energy_pj: FloatArray
    shortest_tile: int


def ancestors(problem: Problem) -> list[set[int]]:
    """Return for each layer all layers that it depends on."""
    table = problem.table
    found: list[set[int]] = []
    for layer in range(len(table.layers)):  # in a topological order
        sources = table.source[table.source_begin[layer] : table.source_begin[layer + 1]].tolist()
        producers = [source for source in sources if source >= 0]
        found.append(set(producers).union(*(found[producer] for producer in producers)))
    return found


# Tile extents


class TileExtents(NamedTuple):
    """Least extents of the tiles of every layer.

    Parameters
    ----------
    channels
        Of each layer, the numbers of channels that its tiles may have, ascending.
    rows, columns
        int64[L, F]: the least number, by the number of parts less one.
    """

    channels: list[list[int]]
    rows: IntArray
    columns: IntArray


def tile_extents(problem: Problem, needs: list[set[int]]) -> TileExtents:
    """Return the least extents; `needs` is what `ancestors` returns."""
    table = problem.table
    layers = table.layers
    parts = np.arange(1, int(layers[:, [nt.H, nt.W]].max()) + 1)
    rows = -(-layers[:, nt.H, None] // parts)
    columns = -(-layers[:, nt.W, None] // parts)
    channels = [{int(k)} for k in layers[:, nt.K]]
    for layer in reversed(range(len(layers))):  # layers are in a topological order
        uses = range(table.use_begin[layer], table.use_begin[layer + 1])
        consumers = [(int(table.use_layer[use]), int(table.use_role[use])) for use in uses]
        reads = []
        for consumer, role in consumers:
            k = int(layers[consumer, nt.K])
            reads.append(extents_read(layers, consumer, role, k, rows[consumer], columns[consumer]))
            for k in channels[consumer]:
                asked = extents_read(layers, consumer, role, k, rows[consumer, :1], columns[consumer, :1])
                whole = _whole_extent(layers, consumer, role, k)
                channels[layer].update(range(asked.channels, whole[0] + 1))  # several behind a transpose alone
        for consumer, _ in consumers:
            inside = [read for read, (c, _) in zip(reads, consumers, strict=True) if c in needs[consumer] | {consumer}]
            np.minimum(rows[layer], np.max([read.rows for read in inside], axis=0), out=rows[layer])
            np.minimum(columns[layer], np.max([read.columns for read in inside], axis=0), out=columns[layer])
    return TileExtents([sorted(ks) for ks in channels], rows, columns)


class _Read(NamedTuple):
    """What a tile reads of a source: channels, and rows and columns by the number of parts less one."""

    channels: int
    rows: IntArray
    columns: IntArray


def extents_read(layers: IntArray, consumer: int, role: int, k: int, rows: IntArray, columns: IntArray) -> _Read:
    """Return the least that tiles of k channels and of such rows and columns read."""
    if role == nt.WEIGHT_OPERAND:
        _, channels, h, w = operand_extent(layers, consumer, 1, k)
        return _Read(channels, np.full(len(rows), h), np.full(len(columns), w))
    if layers[consumer, nt.KIND] == nt.TRANSPOSE:
        # Rows that have become channels are not cut: the FLG keeps them whole.
        sources = (np.full(len(rows), k), rows, columns)
        from_rows, from_columns = layers[consumer, [nt.IFMAP_H_FROM, nt.IFMAP_W_FROM]]
        channels = int(sources[layers[consumer, nt.IFMAP_C_FROM]][0])
        return _Read(channels, sources[from_rows], sources[from_columns])
    read = [ifmap_extent(layers, consumer, 1, k, int(h), int(w)) for h, w in zip(rows, columns, strict=True)]
    return _Read(
        int(read[0][1]),
        np.maximum(np.array([extent[2] for extent in read], np.int64), 1),
        np.maximum(np.array([extent[3] for extent in read], np.int64), 1),
    )


def _whole_extent(layers: IntArray, consumer: int, role: int, k: int) -> tuple[int, int, int]:
    """Return channels, rows and columns that the whole ofmap of a layer, with k channels, reads."""
    if role == nt.WEIGHT_OPERAND:
        extent = operand_extent(layers, consumer, 1, k)
    else:
        extent = ifmap_extent(layers, consumer, 1, k, int(layers[consumer, nt.H]), int(layers[consumer, nt.W]))
    return int(extent[1]), int(extent[2]), int(extent[3])


# Tiles


def layer_choices(problem: Problem, extents: TileExtents) -> list[LayerChoices]:
    """Return the choices of all layers; layers alike are priced once."""
    priced: dict[tuple[object, ...], FloatArray] = {}
    found = []
    for layer, row in enumerate(problem.table.layers):
        largest = _largest_extent(problem, layer)
        key = (row.tobytes(), *extents.channels[layer], largest)
        if key not in priced:
            priced[key] = _least_costs(problem, layer, extents.channels[layer], largest)
        found.append(_choices_of(problem.batch, priced[key], extents.rows[layer], extents.columns[layer]))
    return found


def _divisors(number: int) -> IntArray:
    return np.array([d for d in range(1, number + 1) if number % d == 0])


def _least_costs(problem: Problem, layer: int, channels: list[int], largest: tuple[int, int]) -> FloatArray:
    """Return the least cost of a tile of at least some rows and columns.

    float64[2, divisors of the batch, rows, columns]: cycles and pJ; by samples, and by rows and columns less one;
    infinite where the core array can run no such tile.
    """
    axes = (_divisors(problem.batch), np.array(channels), np.arange(1, largest[0] + 1), np.arange(1, largest[1] + 1))
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    tiles = np.column_stack([np.full(grid.size // 4, layer), grid.reshape(-1, 4)])
    cycles, energy = problem.core_array.tile_costs(problem.network, problem.table, tiles)
    costs = np.where(cycles < 0, np.inf, np.stack([cycles.astype(np.float64), energy]))
    least: FloatArray = costs.reshape(2, *grid.shape[:-1]).min(axis=2)
    for axis in (2, 3):
        least = np.flip(np.minimum.accumulate(np.flip(least, axis), axis), axis)
    return least


def _largest_extent(problem: Problem, layer: int) -> tuple[int, int]:
    """Return the most rows and columns that a tile of the layer can have."""
    table = problem.table
    rows, columns = (int(extent) for extent in table.layers[layer, [nt.H, nt.W]])
    for use in range(table.use_begin[layer], table.use_begin[layer + 1]):
        consumer = int(table.use_layer[use])
        k = int(table.layers[consumer, nt.K])
        _, read_rows, read_columns = _whole_extent(table.layers, consumer, int(table.use_role[use]), k)
        rows, columns = max(rows, read_rows), max(columns, read_columns)
    return rows, columns


def _choices_of(batch: int, least: FloatArray, rows: IntArray, columns: IntArray) -> LayerChoices:
    """Return the undominated choices of parts, from what `_least_costs` returns and `TileExtents` says."""
    fewest_rows, row_parts = _fewest_parts(rows)
    fewest_columns, column_parts = _fewest_parts(columns)
    count = (batch // _divisors(batch))[:, None, None] * row_parts[:, None] * column_parts
    cycles, energy = (count * least[:, :, fewest_rows - 1][:, :, :, fewest_columns - 1]).reshape(2, -1)
    order = np.lexsort((energy, cycles))
    cycles, energy = cycles[order], energy[order]
    frugal = np.minimum.accumulate(energy)
    keep = np.isfinite(energy) & np.concatenate([[True], frugal[1:] < frugal[:-1]])
    return LayerChoices(np.rint(cycles[keep]).astype(np.int64), energy[keep], int(least[0].min()))


def _fewest_parts(extents: IntArray) -> tuple[IntArray, IntArray]:
    """Return the different extents of tiles, and of each the lowest number of parts that gives it."""
    different, first = np.unique(extents, return_index=True)
    return different, first + 1
