"""The least extents of the tiles of each layer, for every LFA.

All tiles of an FLG come from fb · fh · fw parts. A layer without consumers in the FLG has tiles of ⌈H / fh⌉ rows. The
tiles of any other layer have as many rows as the tiles of its consumers in the FLG read; the consumer that reads the
most decides. If a consumer c lies in the FLG, so do all consumers that c depends on, since they come between the layer
and c in every order. So with f row parts a layer's tile has at least ``rows[l][f] = min(⌈H / f⌉, min over consumers c
of read(c))`` rows, where read(c) is the most that c, or a consumer that c depends on, reads with its own
``rows[·][f]``; likewise for columns. (Consumers may read less than the ofmap: a 1×1 kernel of stride 2 skips every
other row, which is then never computed.) A transpose passes the parts of its rows on to the dimension that the rows
come from, and its channels in the same way. These may be fewer than all channels if an element-wise layer reads its
operands as parts of one ofmap.

*Long extents.* ⌈H / f⌉ takes about 2·√H values, and rows[l][·] falls from at most H to 1: so these are kept as `Steps`,
one item for each value, never one for each f. Functions with more steps than `MOST_STEPS` become coarser from below,
by at most the share `COARSENESS`.
"""

from collections.abc import Callable
from functools import partial, reduce
from math import isqrt
from typing import NamedTuple

import numpy as np

from soma_cp.annealing.budget import Budget
from soma_cp.model.arrays import IntArray
from soma_cp.model.compiled import compiled
from soma_cp.model.network import network_table as nt
from soma_cp.model.network.extents import ifmap_extent, operand_extent
from soma_cp.model.problem import Problem

MOST_STEPS = 1 << 13
"""Most steps of the extents of a layer that are kept as they are: those of up to 2²⁴ rows."""
COARSENESS = 1 / 512
"""With more steps, those whose extents differ by less than this share become one; 6,000 are left of 2³¹ rows."""
MOST_VALUES = 1 << 16
"""Most channels, rows or columns that the tiles of a layer may have; with more, the layer keeps its floor."""

CHANNELS, ROWS, COLUMNS = 0, 1, 2
"""Dimensions, as indices into the values of a layer."""

Values = tuple[IntArray, IntArray, IntArray]
"""Channels, rows and columns that the tiles of a layer may have, each ascending."""


def ancestors(problem: Problem) -> list[set[int]]:
    """Return, for each layer, all layers that it depends on."""
    table = problem.table
    found: list[set[int]] = []
    for layer in range(len(table.layers)):  # in a topological order
        sources = table.source[table.source_begin[layer] : table.source_begin[layer + 1]].tolist()
        producers = [source for source in sources if source >= 0]
        found.append(set(producers).union(*(found[producer] for producer in producers)))
    return found


class Steps(NamedTuple):
    """The least extent of tiles by number of parts, a function that never rises.

    Parameters
    ----------
    parts
        int64[N]: ascending from 1, the fewest parts of each step.
    extent
        int64[N]: descending, the extent from ``parts[n]`` parts on.
    """

    parts: IntArray
    extent: IntArray

    @property
    def least_total(self) -> int:
        """The least number of rows, or columns, of all parts together."""
        return int((self.parts * self.extent).min())


def cut(extent: int) -> Steps:
    """Return ⌈extent / f⌉ by the number of parts f."""
    # ⌈E / f⌉ = ⌊(E − 1) / f⌋ + 1. Every value of the quotient is ⌊n / f⌋ for an f up to √n, or itself at most √n.
    n = extent - 1
    low = np.arange(1, isqrt(n) + 2, dtype=np.int64)
    parts = np.unique(np.concatenate([low, n // low + 1]))
    parts = parts[parts <= extent]
    return _steps(parts, -(-extent // parts))


def _steps(parts: IntArray, extent: IntArray) -> Steps:
    """Return the function with these extents from these numbers of parts on; it may become coarser from below."""
    first = np.concatenate([[True], extent[1:] < extent[:-1]])
    parts, extent = parts[first], extent[first]
    if len(parts) > MOST_STEPS:
        class_of = np.floor(np.log(extent) / np.log1p(COARSENESS))
        begins = np.flatnonzero(np.concatenate([[True], class_of[1:] < class_of[:-1]]))
        ends = np.append(begins[1:], len(parts)) - 1
        parts, extent = parts[begins], extent[ends]
    return Steps(parts, extent)


def _joined(choose: Callable[[IntArray, IntArray], IntArray], a: Steps, b: Steps) -> Steps:
    """Return the lower, or the higher, of two functions."""
    if a is b:
        return a
    parts = np.union1d(a.parts, b.parts)
    at = [one.extent[np.searchsorted(one.parts, parts, side="right") - 1] for one in (a, b)]
    return _steps(parts, choose(*at))


class TileExtents(NamedTuple):
    """Extents of the tiles of every layer.

    Parameters
    ----------
    values
        For each layer, the numbers of channels, rows and columns that its tiles may have, each ascending.
    listed
        For each layer, whether `values` has all of them; otherwise it has only the least, and some others.
    rows, columns
        For each layer, the least number of rows, of columns.
    in_time
        Whether the budget was enough to look at all layers.
    """

    values: list[Values]
    listed: list[bool]
    rows: list[Steps]
    columns: list[Steps]
    in_time: bool


def tile_extents(problem: Problem, needs: list[set[int]], budget: Budget | None = None) -> TileExtents:
    """Return the extents; `needs` is what `ancestors` returns.

    If `budget` ends first, the first layers are said to have tiles of at least one row and one column.
    """
    budget = budget or Budget()
    table = problem.table
    layers = table.layers
    heights, widths = layers[:, nt.H].tolist(), layers[:, nt.W].tolist()
    one = np.ones(1, np.int64)
    rows, columns = [Steps(one, one)] * len(layers), [Steps(one, one)] * len(layers)
    values, listed = [(one, one, one)] * len(layers), [False] * len(layers)
    own: dict[int, Steps] = {}
    shared = _Shared()
    in_time = True
    for layer in reversed(range(len(layers))):  # layers are in a topological order
        if budget.over:
            in_time = False
            break
        for extent in (heights[layer], widths[layer]):
            own[extent] = own.get(extent) or cut(extent)
        layer_rows, layer_columns = own[heights[layer]], own[widths[layer]]
        lists = [[layers[layer, nt.K : nt.K + 1]], [layer_rows.extent[::-1]], [layer_columns.extent[::-1]]]
        complete = max(len(layer_rows.parts), len(layer_columns.parts)) < MOST_STEPS
        reads = {}
        for use in range(table.use_begin[layer], table.use_begin[layer + 1]):
            consumer, role = int(table.use_layer[use]), int(table.use_role[use])
            its_rows, its_columns = rows[consumer], columns[consumer]
            read = extents_read(layers, consumer, role, int(values[consumer][0][0]), its_rows, its_columns)
            reads[consumer] = (shared.steps(read[0]), shared.steps(read[1]))
            uncut = (0, int(its_rows.extent[0]), int(its_columns.extent[0]))
            asked = _values_read(layers, consumer, role, values[consumer], uncut, listed[consumer])
            complete = complete and listed[consumer]
            for known, more in zip(lists, asked, strict=True):
                known.append(more)
        if layers[layer, nt.TILE_CHANNELS] > 0:
            del lists[0][1:]
        united = [np.unique(np.concatenate(arrays)) for arrays in lists]
        listed[layer] = complete and max(map(len, united)) <= MOST_VALUES
        k, h, w = (shared.values(array if listed[layer] else array[[0, -1]]) for array in united)
        values[layer] = (k, h, w)
        if table.is_output[layer]:  # an output is made whole
            reads = {}
        rows[layer] = shared.steps(_least_extents(layer_rows, {c: read[0] for c, read in reads.items()}, needs))
        columns[layer] = shared.steps(_least_extents(layer_columns, {c: read[1] for c, read in reads.items()}, needs))
    return TileExtents(values, listed, rows, columns, in_time)


class _Shared:
    """Arrays that many layers have in common, each kept once."""

    def __init__(self) -> None:
        self._values: dict[bytes, IntArray] = {}
        self._steps: dict[tuple[bytes, bytes], Steps] = {}

    def values(self, array: IntArray) -> IntArray:
        return self._values.setdefault(array.tobytes(), array)

    def steps(self, function: Steps) -> Steps:
        return self._steps.setdefault((function.parts.tobytes(), function.extent.tobytes()), function)


def _least_extents(own: Steps, reads: dict[int, Steps], needs: list[set[int]]) -> Steps:
    """Return the least extent of a layer's tiles, from its own cuts and from what each consumer reads."""
    least, seen = own, set()
    for consumer in reads:
        inside = {id(reads[c]): reads[c] for c in (consumer, *(needs[consumer] & reads.keys()))}
        if frozenset(inside) in seen:
            continue
        seen.add(frozenset(inside))
        least = _joined(np.minimum, least, reduce(partial(_joined, np.maximum), inside.values()))
    return least


def extents_read(
    layers: IntArray, consumer: int, role: int, k: int, rows: Steps, columns: Steps
) -> tuple[Steps, Steps]:
    """Return the rows and columns that tiles with k channels and these rows and columns read, by number of parts."""
    if role == nt.WEIGHT_OPERAND:
        _, _, h, w = operand_extent(layers, consumer, 1, k)
        return _constant(h), _constant(w)
    if layers[consumer, nt.KIND] == nt.TRANSPOSE:
        made = (_constant(k), rows, columns)
        from_rows, from_columns = layers[consumer, [nt.IFMAP_H_FROM, nt.IFMAP_W_FROM]].tolist()
        return (
            _share_read(layers, consumer, from_rows, nt.REAL_H, made),
            _share_read(layers, consumer, from_columns, nt.REAL_W, made),
        )
    return (
        _steps(rows.parts, read_extents(layers, consumer, ROWS, rows.extent)),
        _steps(columns.parts, read_extents(layers, consumer, COLUMNS, columns.extent)),
    )


def _constant(extent: int) -> Steps:
    return Steps(np.ones(1, np.int64), np.full(1, extent, np.int64))


def _share_read(
    layers: IntArray, transpose: int, dimension: int, whole: int, made: tuple[Steps, Steps, Steps]
) -> Steps:
    """Return `_share` of the channels, rows or columns `made` of a transpose's tiles, by number of parts."""
    if dimension == nt.WHOLE:
        return _constant(int(layers[transpose, whole]))
    return _steps(made[dimension].parts, _share(layers, transpose, dimension, whole, made[dimension].extent))


def _share(layers: IntArray, transpose: int, dimension: int, whole: int, made: IntArray) -> IntArray:
    """Return what tiles with these extents of `dimension` read of the ifmap dimension that became it.

    `whole` is the column that has its extent.
    """
    shares: IntArray = -(-made * layers[transpose, whole] // layers[transpose, nt.K + dimension])
    return shares


@compiled
def read_extents(layers: IntArray, consumer: int, dimension: int, extents: IntArray) -> IntArray:
    """Return the channels, rows or columns, at least 1, that tiles with these channels, rows or columns read."""
    read = np.empty(len(extents), np.int64)
    for i in range(len(extents)):
        k = extents[i] if dimension == CHANNELS else layers[consumer, nt.K]
        h = extents[i] if dimension == ROWS else 1
        w = extents[i] if dimension == COLUMNS else 1
        need = ifmap_extent(layers, consumer, 1, k, h, w)
        read[i] = max(need[1 + dimension], 1)
    return read


def _values_read(
    layers: IntArray,
    consumer: int,
    role: int,
    values: Values,
    uncut: tuple[int, int, int],
    listed: bool,
) -> Values:
    """Return all channels, rows and columns that tiles with one of these channels, rows and columns may read.

    In an FLG with a transpose and a producer of it, rows or columns that become channels stay whole: at least `uncut`.
    """
    if role == nt.WEIGHT_OPERAND:
        _, _, h, w = operand_extent(layers, consumer, 1, 1)
        return values[0], np.full(1, h, np.int64), np.full(1, w, np.int64)
    if layers[consumer, nt.KIND] == nt.TRANSPOSE:
        c_from, h_from, w_from = layers[consumer, [nt.IFMAP_C_FROM, nt.IFMAP_H_FROM, nt.IFMAP_W_FROM]].tolist()
        made = list(values)
        if c_from in (ROWS, COLUMNS):
            made[c_from] = made[c_from][made[c_from] >= uncut[c_from]]
            if not listed:  # the least of those that are left out may be as low as `uncut`
                made[c_from] = np.append(np.full(1, uncut[c_from], np.int64), made[c_from])
        channels, rows, columns = (
            layers[consumer, whole : whole + 1]
            if dimension == nt.WHOLE
            else _share(layers, consumer, dimension, whole, extents[dimension])
            for dimension, whole, extents in (
                (c_from, nt.IN_CHANNELS, made),
                (h_from, nt.REAL_H, values),
                (w_from, nt.REAL_W, values),
            )
        )
        return channels, rows, columns
    channels, rows, columns = (
        read_extents(layers, consumer, dimension, values[dimension]) for dimension in (CHANNELS, ROWS, COLUMNS)
    )
    return channels, rows, columns
