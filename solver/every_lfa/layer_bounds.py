"""Lower bounds on the cost of each layer's tiles, for every LFA.

*Tile extents.* All tiles of an FLG come from fb · fh · fw parts. A layer without consumers in the FLG has tiles of
⌈H / fh⌉ rows. The tiles of any other layer have as many rows as the tiles of its consumers in the FLG read; the
consumer that reads the most decides. If a consumer c lies in the FLG, so do all consumers that c depends on, since they
come between the layer and c in every order. So with f row parts a layer's tile has at least
``rows[l][f] = min(⌈H / f⌉, min over consumers c of read(c))`` rows, where read(c) is the most that c, or a consumer
that c depends on, reads with its own ``rows[·][f]``; likewise for columns. (Consumers may read less than the ofmap: a
1×1 kernel of stride 2 skips every other row, which is then never computed.) A transpose passes the parts of its rows on
to the dimension that the rows come from, and its channels in the same way. These may be fewer than all channels if an
element-wise layer reads its operands as parts of one ofmap.

*Compute.* With any tiling of its FLG, a layer is computed in n = fb · fh · fw tiles of B / fb samples. They have at
least rows[l][fh] rows and columns[l][fw] columns, and all channels; in the published semantics they have as many
channels as a consumer asks for (a concatenation asks for all of its own). Costs need not grow with the extents. So the
bound is n times the least cost over all extents, from these up, that tiles can have: parts of the ofmap, and what tiles
of consumers read. The cheapest (fb, fh, fw) bounds the layer, in cycles and in energy.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.network import network_table as nt
from soma_cp.model.network.extents import ifmap_extent, operand_extent
from soma_cp.model.problem import Problem


@dataclass(frozen=True, eq=False)
class LayerChoices:
    """Undominated pairs (cycles, energy) of a layer over all tilings: int64[P] ascending, float64[P] descending.

    `shortest_tile` is the least number of cycles of one tile.
    """

    cycles: IntArray
    energy_pj: FloatArray
    shortest_tile: int


def ancestors(problem: Problem) -> list[set[int]]:
    """Return, for each layer, all layers that it depends on."""
    table = problem.table
    found: list[set[int]] = []
    for layer in range(len(table.layers)):  # in a topological order
        sources = table.source[table.source_begin[layer] : table.source_begin[layer + 1]].tolist()
        producers = [source for source in sources if source >= 0]
        found.append(set(producers).union(*(found[producer] for producer in producers)))
    return found


# Tile extents


class TileExtents(NamedTuple):
    """Extents of the tiles of every layer.

    Parameters
    ----------
    values
        For each layer, the numbers of channels, rows and columns that its tiles may have, each ascending.
    rows, columns
        int64[L, F]: the least number of rows, of columns; item f is for f + 1 parts.
    """

    values: list[tuple[IntArray, IntArray, IntArray]]
    rows: IntArray
    columns: IntArray


def tile_extents(problem: Problem, needs: list[set[int]]) -> TileExtents:
    """Return the extents; `needs` is what `ancestors` returns."""
    table = problem.table
    layers = table.layers
    parts = np.arange(1, int(layers[:, [nt.H, nt.W]].max()) + 1)
    rows = -(-layers[:, nt.H, None] // parts)
    columns = -(-layers[:, nt.W, None] // parts)
    values = [
        ({int(k)}, set(r), set(c)) for k, r, c in zip(layers[:, nt.K], rows.tolist(), columns.tolist(), strict=True)
    ]
    for layer in reversed(range(len(layers))):  # layers are in a topological order
        uses = range(table.use_begin[layer], table.use_begin[layer + 1])
        consumers = [(int(table.use_layer[use]), int(table.use_role[use])) for use in uses]
        reads = []
        for consumer, role in consumers:
            fewest = min(values[consumer][0])
            reads.append(extents_read(layers, consumer, role, fewest, rows[consumer], columns[consumer]))
            uncut = (0, int(rows[consumer, 0]), int(columns[consumer, 0]))
            asked = _values_read(layers, consumer, role, values[consumer], uncut)
            if layers[layer, nt.TILE_CHANNELS] > 0:
                asked = (set(), *asked[1:])
            for own, more in zip(values[layer], asked, strict=True):
                own |= more
        for consumer, _ in [] if table.is_output[layer] else consumers:  # an output is made whole
            inside = [read for read, (c, _) in zip(reads, consumers, strict=True) if c in needs[consumer] | {consumer}]
            np.minimum(rows[layer], np.max([read[0] for read in inside], axis=0), out=rows[layer])
            np.minimum(columns[layer], np.max([read[1] for read in inside], axis=0), out=columns[layer])
    ascending = [(_ascending(k), _ascending(r), _ascending(c)) for k, r, c in values]
    return TileExtents(ascending, rows, columns)


def _ascending(values: set[int]) -> IntArray:
    return np.array(sorted(values), np.int64)


def extents_read(
    layers: IntArray, consumer: int, role: int, k: int, rows: IntArray, columns: IntArray
) -> tuple[IntArray, IntArray]:
    """Return the rows and columns that tiles with k channels and these rows and columns read, by number of parts."""
    if role == nt.WEIGHT_OPERAND:
        _, _, h, w = operand_extent(layers, consumer, 1, k)
        return np.full(len(rows), h), np.full(len(columns), w)
    if layers[consumer, nt.KIND] == nt.TRANSPOSE:
        made = (np.full(len(rows), k), rows, columns)
        from_rows, from_columns = layers[consumer, [nt.IFMAP_H_FROM, nt.IFMAP_W_FROM]]
        return (
            _share(layers, consumer, from_rows, nt.REAL_H, made),
            _share(layers, consumer, from_columns, nt.REAL_W, made),
        )
    read = [ifmap_extent(layers, consumer, 1, k, int(h), int(w)) for h, w in zip(rows, columns, strict=True)]
    return (
        np.maximum(np.array([extent[2] for extent in read], np.int64), 1),
        np.maximum(np.array([extent[3] for extent in read], np.int64), 1),
    )


def _share(layers: IntArray, transpose: int, dimension: int, whole: int, made: tuple[IntArray, ...]) -> IntArray:
    """Return what tiles of a transpose read of the ifmap dimension in column `whole`, which became `dimension`.

    `made` are the channels, rows and columns of the tiles.
    """
    extent = layers[transpose, whole]
    if dimension == nt.WHOLE:
        return np.full(len(made[1]), extent)
    shares: IntArray = -(-made[dimension] * extent // layers[transpose, nt.K + dimension])
    return shares


def _values_read(
    layers: IntArray,
    consumer: int,
    role: int,
    values: tuple[set[int], set[int], set[int]],
    uncut: tuple[int, int, int],
) -> tuple[set[int], set[int], set[int]]:
    """Return all channels, rows and columns that tiles with one of these channels, rows and columns may read.

    In an FLG with a transpose and a producer of it, rows or columns that become channels stay whole: at least `uncut`.
    """
    k, h, w = (max(extents) for extents in values)
    if role == nt.WEIGHT_OPERAND:
        read = [operand_extent(layers, consumer, 1, channels) for channels in values[0]]
        return {int(e[1]) for e in read}, {int(e[2]) for e in read}, {int(e[3]) for e in read}
    if layers[consumer, nt.KIND] == nt.TRANSPOSE:
        c_from, h_from, w_from = layers[consumer, [nt.IFMAP_C_FROM, nt.IFMAP_H_FROM, nt.IFMAP_W_FROM]].tolist()
        k_made, h_made, w_made = (_ascending(extents) for extents in values)
        made = (k_made, h_made, w_made)
        became_channels = tuple(extents[extents >= least] for extents, least in zip(made, uncut, strict=True))
        return (
            set(_share(layers, consumer, c_from, nt.IN_CHANNELS, became_channels).tolist()),
            set(_share(layers, consumer, h_from, nt.REAL_H, made).tolist()),
            set(_share(layers, consumer, w_from, nt.REAL_W, made).tolist()),
        )
    return (
        {int(ifmap_extent(layers, consumer, 1, channels, h, w)[1]) for channels in values[0]},
        {max(int(ifmap_extent(layers, consumer, 1, k, rows, w)[2]), 1) for rows in values[1]},
        {max(int(ifmap_extent(layers, consumer, 1, k, h, columns)[3]), 1) for columns in values[2]},
    )


# Tiles


def layer_choices(problem: Problem, extents: TileExtents) -> list[LayerChoices]:
    """Return the choices of all layers; identical layers are priced once."""
    priced: dict[tuple[bytes, ...], FloatArray] = {}
    found = []
    for layer, row in enumerate(problem.table.layers):
        values = extents.values[layer]
        key = (row.tobytes(), *(value.tobytes() for value in values))
        if key not in priced:
            priced[key] = _least_costs(problem, layer, values)
        found.append(_choices_of(problem.batch, priced[key], values, extents.rows[layer], extents.columns[layer]))
    return found


def divisors(number: int) -> IntArray:
    """Return all divisors of a number, ascending."""
    return np.array([d for d in range(1, number + 1) if number % d == 0])


def _least_costs(problem: Problem, layer: int, values: tuple[IntArray, IntArray, IntArray]) -> FloatArray:
    """Return the least cost of a tile with at least so many rows and columns, over all extents in `values`.

    float64[2, divisors of the batch, rows, columns]: cycles and pJ, by samples and by index in `values`; infinite if
    the core array can run no such tile.
    """
    grid = np.stack(np.meshgrid(divisors(problem.batch), *values, indexing="ij"), axis=-1)
    tiles = np.column_stack([np.full(grid.size // 4, layer), grid.reshape(-1, 4)])
    cycles, energy = problem.core_array.least_costs(problem.table, tiles)
    costs = np.where(cycles < 0, np.inf, np.stack([cycles.astype(np.float64), energy]))
    least: FloatArray = costs.reshape(2, *grid.shape[:-1]).min(axis=2)
    for axis in (2, 3):
        least = np.flip(np.minimum.accumulate(np.flip(least, axis), axis), axis)
    return least


def _choices_of(
    batch: int, least: FloatArray, values: tuple[IntArray, IntArray, IntArray], rows: IntArray, columns: IntArray
) -> LayerChoices:
    """Return the undominated choices of a layer, from its `_least_costs` and its rows and columns in `TileExtents`."""
    fewest_rows, row_parts = _fewest_parts(rows)
    fewest_columns, column_parts = _fewest_parts(columns)
    count = (batch // divisors(batch))[:, None, None] * row_parts[:, None] * column_parts
    row_places, column_places = np.searchsorted(values[1], fewest_rows), np.searchsorted(values[2], fewest_columns)
    cycles, energy = (count * least[:, :, row_places][:, :, :, column_places]).reshape(2, -1)
    order = np.lexsort((energy, cycles))
    cycles, energy = cycles[order], energy[order]
    frugal = np.minimum.accumulate(energy)
    keep = np.isfinite(energy) & np.concatenate([[True], frugal[1:] < frugal[:-1]])
    return LayerChoices(np.rint(cycles[keep]).astype(np.int64), energy[keep], int(least[0].min()))


def _fewest_parts(extents: IntArray) -> tuple[IntArray, IntArray]:
    """Return the different extents of tiles, and the lowest number of parts that gives each."""
    different, first = np.unique(extents, return_index=True)
    return different, first + 1
