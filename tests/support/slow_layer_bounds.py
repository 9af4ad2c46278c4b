"""The bounds of layers as ``tile_extents`` and ``layer_bounds`` state them, for every number of parts by itself.

It keeps an item for each number of parts from 1 to the largest extent, and prices all tile shapes of every layer.
"""

import itertools
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from soma_cp.model.network import network_table as nt
from soma_cp.model.network.extents import ifmap_extent, operand_extent
from soma_cp.model.network.network import Division
from soma_cp.model.network.rewrites.channels import divided_as
from soma_cp.model.problem import Problem


class SlowExtents(NamedTuple):
    """By layer: the channels, rows and columns of tiles; the least rows and columns by number of parts, from 1."""

    values: list[tuple[set[int], set[int], set[int]]]
    rows: list[list[int]]
    columns: list[list[int]]


def slow_tile_extents(problem: Problem) -> SlowExtents:
    table = problem.table
    layers = table.layers
    most = int(layers[:, [nt.H, nt.W]].max())
    rows = [[-(-int(h) // f) for f in range(1, most + 1)] for h in layers[:, nt.H]]
    columns = [[-(-int(w) // f) for f in range(1, most + 1)] for w in layers[:, nt.W]]
    values = [({int(k)}, set(r), set(c)) for k, r, c in zip(layers[:, nt.K], rows, columns, strict=True)]
    needs: list[set[int]] = []
    for layer in range(len(layers)):
        sources = table.source[table.source_begin[layer] : table.source_begin[layer + 1]].tolist()
        needs.append(set().union(*({s} | needs[s] for s in sources if s >= 0)))
    for layer in reversed(range(len(layers))):
        read = {}
        for use in range(table.use_begin[layer], table.use_begin[layer + 1]):
            consumer, role = int(table.use_layer[use]), int(table.use_role[use])
            fewest = min(values[consumer][0])
            read[consumer] = [
                _need(layers, consumer, role, fewest, h, w)
                for h, w in zip(rows[consumer], columns[consumer], strict=True)
            ]
            for own, more in zip(
                values[layer],
                _values(layers, consumer, role, values[consumer], rows[consumer][0], columns[consumer][0]),
                strict=True,
            ):
                own |= more
        if layers[layer, nt.TILE_CHANNELS] > 0:
            values[layer] = ({int(layers[layer, nt.K])}, *values[layer][1:])
        for consumer in [] if table.is_output[layer] else read:  # an output is made whole
            inside = [c for c in read if c == consumer or c in needs[consumer]]
            for f in range(most):
                rows[layer][f] = min(rows[layer][f], max(read[c][f][1] for c in inside))
                columns[layer][f] = min(columns[layer][f], max(read[c][f][2] for c in inside))
    return SlowExtents(values, rows, columns)


def _need(layers: np.ndarray, consumer: int, role: int, k: int, h: int, w: int) -> tuple[int, int, int]:
    """Return channels, rows and columns that a tile reads."""
    if role == nt.WEIGHT_OPERAND:
        _, c, h, w = operand_extent(layers, consumer, 1, k)
    else:
        _, c, h, w = ifmap_extent(layers, consumer, 1, k, h, w)
    return int(c), max(int(h), 1), max(int(w), 1)


def _values(
    layers: np.ndarray, consumer: int, role: int, values: tuple[set[int], set[int], set[int]], rows: int, columns: int
) -> tuple[set[int], set[int], set[int]]:
    kept: tuple[set[int], set[int], set[int]] = (set(), set(), set())
    moves = role == nt.IFMAP and layers[consumer, nt.KIND] == nt.TRANSPOSE
    became_channels = int(layers[consumer, nt.IFMAP_C_FROM]) if moves else 0
    whole = {1: rows, 2: columns}.get(became_channels, 0)
    for tile in itertools.product(*values):
        need = _need(layers, consumer, role, *tile)
        if whole == 0 or tile[became_channels] >= whole:  # rows or columns that become channels stay whole
            kept[0].add(need[0])
        kept[1].add(need[1])
        kept[2].add(need[2])
    return kept


def slow_choices(problem: Problem, extents: SlowExtents, layer: int) -> set[tuple[float, float]]:
    """Return the undominated pairs (cycles, energy) of a layer over all tilings."""
    batch = problem.batch
    samples = [b for b in range(1, batch + 1) if batch % b == 0]
    shapes = list(itertools.product(samples, *map(sorted, extents.values[layer])))
    tiles = np.array([(layer, *shape) for shape in shapes], np.int64)
    cycles, energy = problem.core_array.least_costs(problem.table, tiles)
    costs = np.where(cycles < 0, np.inf, np.stack([cycles.astype(float), energy]))
    found = set()
    for b in samples:
        for (fh, h), (fw, w) in itertools.product(
            enumerate(extents.rows[layer], 1), enumerate(extents.columns[layer], 1)
        ):
            large = (tiles[:, 1] == b) & (tiles[:, 3] >= h) & (tiles[:, 4] >= w)
            found.add(tuple(batch // b * fh * fw * costs[:, large].min(axis=1)))
    return {one for one in found if np.isfinite(one[1]) and not any(_dominates(other, one) for other in found)}


def slow_part_choices(
    problem: Problem, extents: SlowExtents, layer: int, k: int
) -> tuple[set[tuple[float, float]], float]:
    """Return the undominated pairs of a part of k channels, and the cycles of its shortest tile."""
    whole = problem.network.layers[layer]
    parts = divided_as(problem.network, [Division(whole.name, (k, whole.ofmap[0] - k))])
    divided = replace(problem, network=parts)
    part = parts.layer_id[f"{whole.name}/1"]
    _, rows, columns = extents.values[layer]
    values = {part: ({k}, rows, columns)}
    own = SlowExtents(values, {part: extents.rows[layer]}, {part: extents.columns[layer]})  # type: ignore[arg-type]
    tiles = [
        (part, b, k, h, w) for b in range(1, problem.batch + 1) if problem.batch % b == 0 for h in rows for w in columns
    ]
    cycles, _ = divided.core_array.least_costs(divided.table, np.array(tiles, np.int64))
    return slow_choices(divided, own, part), min((int(c) for c in cycles if c >= 0), default=0)


def slow_wide_choices(problem: Problem, extents: SlowExtents, layer: int) -> set[tuple[float, float]]:
    """Return the undominated pairs of a layer over all tilings and divisions: see ``part_bounds``."""
    channels = problem.network.layers[layer].ofmap[0]
    granule = problem.core_array.granule
    rest = channels % granule
    found = slow_choices(problem, extents, layer)
    for odd in range(rest, channels, granule) if rest else [0]:
        left = channels - odd
        first = slow_part_choices(problem, extents, layer, odd)[0] if odd else {(0, 0.0)}
        for k in range(granule, min(left, channels - 1) + 1, granule):
            for pair in slow_part_choices(problem, extents, layer, k)[0]:
                for c, e in first:
                    found.add((c + int(pair[0]) * left // k, e + pair[1] * (left // granule) / (k // granule)))
    return {one for one in found if not any(_dominates(other, one) for other in found)}


def _dominates(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return a != b and a[0] <= b[0] and a[1] <= b[1]
