"""Lower bounds on energy, latency and cost over *every* LFA and DLSA of a network on a platform.

Each is the sum of what no schedule can avoid:

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

*DRAM.* All weights are loaded once at least, external inputs as far as tiles read them, ofmaps without consumers are
stored.

*Latency.* At least Σ cycles, and at least all transfers. Before the first tile of a layer v, the weights of v and of
all its ancestors have been loaded, and the external inputs of their first tiles. An ancestor in v's FLG has as many
parts as v: at most one for each sample, row and column of a layer that depends on v, and fewer if a transpose on the
way keeps rows or columns whole; any other ancestor has been computed in full. From then on v and all its descendants
compute, and the last tile's ofmap, that of a layer without consumers, is stored.

Before the last tile of v, all that v and its ancestors load has been loaded; it and the last tiles of all descendants
are to come. Before its end, all ancestors have computed; at that moment every weight of a descendant that has been
loaded is still in the buffer, since its layer's last tile is to come; what exceeds the buffer is loaded afterwards, and
after the last of these loads the layer that it is for, and all descendants of that, compute.

*Cost.* Fast tiles and frugal tiles may differ. For any μ ≥ 0, a schedule whose tiles take C cycles has a core energy of
at least Σ min(e + μ c) − μ C, hence one of latency D at least L(μ) − μ D. On an interval of D, the cost
(L − μ D)^n · D^m is log-concave in D, so its least value stands at an end; the best μ of a list is taken for each
interval.
"""

import time
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import networkx as nx
import numpy as np

from soma_cp.model import network_table as nt
from soma_cp.model.evaluation import Objective
from soma_cp.model.network_table import IntArray
from soma_cp.model.platform import DRAM_PJ_PER_BYTE
from soma_cp.model.problem import Problem
from soma_cp.model.tiling import FloatArray, ifmap_extent, operand_extent

COMPUTE = "cheapest tiles of every layer"
TRAFFIC = "compulsory DRAM traffic"
LOADS_BEFORE = "what must be loaded before a layer, and what computes after it"
LAST_TILES = "all that must be loaded before a layer's last tile, and the last tiles after it"
BUFFER = "weights that the buffer can't hold when a layer ends"

INTERVALS = 64
"""Intervals of the latency in which the cost is bounded."""
MULTIPLIERS = 200
"""Values of μ that are tried."""
MET = 1e-9
"""A cost that lies above the bound by at most this share meets it."""
ROUNDING = 1e-12
"""Sums of energies in another order differ by less than this share."""


@dataclass(frozen=True)
class NetworkBound:
    """What no schedule of a problem can beat.

    Parameters
    ----------
    latency
        Cycles.
    latency_source
        Which argument gives it, for people.
    energy_pj
        pJ.
    cost
        Energy^n · Delay^m; at least that of the two bounds together.
    compute_cycles, dram_cycles
        Σ over the layers of the cheapest cycles; cycles of the compulsory traffic.
    core_energy_pj, dram_bytes
        Σ over the layers of the cheapest energy; compulsory traffic in bytes.
    seconds
        That it took.
    """

    latency: int
    latency_source: str
    energy_pj: float
    cost: float
    compute_cycles: int
    dram_cycles: int
    core_energy_pj: float
    dram_bytes: int
    seconds: float

    def is_met_by(self, cost: float) -> bool:
        """Whether a schedule of that cost is optimal over every LFA, but for rounding."""
        return cost <= self.cost * (1 + MET)


@dataclass(frozen=True, eq=False)
class _LayerChoices:
    """Undominated (cycles, energy) of a layer over all tilings: int64[P] ascending, float64[P] descending.

    `shortest_tile` is the least number of cycles of one tile.
    """

    cycles: IntArray
    energy_pj: FloatArray
    shortest_tile: int


def bound_every_lfa(problem: Problem, objective: Objective = Objective()) -> NetworkBound:  # noqa: B008  # immutable
    """Return lower bounds that hold for every LFA and DLSA of `problem`.

    Parameters
    ----------
    problem
        Network, platform and batch; every layer must fit (`check_layers_fit`).
    objective
        What `NetworkBound.cost` bounds.
    """
    begin = time.monotonic()
    extents = _tile_extents(problem)
    choices = _choices(problem, extents)
    inputs = _input_bytes(problem, extents)
    traffic = _compulsory_bytes(problem, inputs)
    compute = np.array([choice.cycles[0] for choice in choices])
    shortest = np.array([choice.shortest_tile for choice in choices])
    dram_cycles = -(-traffic // problem.platform.dram_bytes_per_cycle)
    bounds = [(int(compute.sum()), COMPUTE), (dram_cycles, TRAFFIC), *_chain_bounds(problem, compute, shortest, inputs)]
    latency, source = max(bounds, key=lambda bound: bound[0])
    core_energy = float(sum(choice.energy_pj[-1] for choice in choices)) * (1 - ROUNDING)
    dram_energy = traffic * DRAM_PJ_PER_BYTE
    return NetworkBound(
        latency=latency,
        latency_source=source,
        energy_pj=core_energy + dram_energy,
        cost=_least_cost(choices, dram_energy, latency, objective) * (1 - ROUNDING),
        compute_cycles=int(compute.sum()),
        dram_cycles=dram_cycles,
        core_energy_pj=core_energy,
        dram_bytes=traffic,
        seconds=time.monotonic() - begin,
    )


def _graph(problem: Problem) -> "nx.DiGraph[int]":
    """Return the layers as a graph, from producers to consumers."""
    table = problem.table
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(len(table.layers)))
    graph.add_edges_from(
        (int(table.source[edge]), layer)
        for layer in range(len(table.layers))
        for edge in range(table.source_begin[layer], table.source_begin[layer + 1])
        if table.source[edge] >= 0
    )
    return graph


# Tile extents


class _TileExtents(NamedTuple):
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


def _tile_extents(problem: Problem) -> _TileExtents:
    table = problem.table
    layers = table.layers
    parts = np.arange(1, int(layers[:, [nt.H, nt.W]].max()) + 1)
    rows = -(-layers[:, nt.H, None] // parts)
    columns = -(-layers[:, nt.W, None] // parts)
    channels = [{int(k)} for k in layers[:, nt.K]]
    graph = _graph(problem)
    needs = {layer: nx.ancestors(graph, layer) for layer in graph}
    for layer in reversed(range(len(layers))):  # layers are in a topological order
        uses = range(table.use_begin[layer], table.use_begin[layer + 1])
        consumers = [(int(table.use_layer[use]), int(table.use_role[use])) for use in uses]
        reads = []
        for consumer, role in consumers:
            k = int(layers[consumer, nt.K])
            reads.append(_extents_read(layers, consumer, role, k, rows[consumer], columns[consumer]))
            for k in channels[consumer]:
                asked = _extents_read(layers, consumer, role, k, rows[consumer, :1], columns[consumer, :1])
                whole = _whole_extent(layers, consumer, role, k)
                channels[layer].update(range(asked.channels, whole[0] + 1))  # several behind a transpose alone
        for consumer, _ in consumers:
            inside = [read for read, (c, _) in zip(reads, consumers, strict=True) if c in needs[consumer] | {consumer}]
            np.minimum(rows[layer], np.max([read.rows for read in inside], axis=0), out=rows[layer])
            np.minimum(columns[layer], np.max([read.columns for read in inside], axis=0), out=columns[layer])
    return _TileExtents([sorted(ks) for ks in channels], rows, columns)


class _Read(NamedTuple):
    """What a tile reads of a source: channels, and rows and columns by the number of parts less one."""

    channels: int
    rows: IntArray
    columns: IntArray


def _extents_read(layers: IntArray, consumer: int, role: int, k: int, rows: IntArray, columns: IntArray) -> _Read:
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


def _choices(problem: Problem, extents: _TileExtents) -> list[_LayerChoices]:
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


def _choices_of(batch: int, least: FloatArray, rows: IntArray, columns: IntArray) -> _LayerChoices:
    """Return the undominated choices of parts, from what `_least_costs` returns and `_TileExtents` says."""
    fewest_rows, row_parts = _fewest_parts(rows)
    fewest_columns, column_parts = _fewest_parts(columns)
    count = (batch // _divisors(batch))[:, None, None] * row_parts[:, None] * column_parts
    cycles, energy = (count * least[:, :, fewest_rows - 1][:, :, :, fewest_columns - 1]).reshape(2, -1)
    order = np.lexsort((energy, cycles))
    cycles, energy = cycles[order], energy[order]
    frugal = np.minimum.accumulate(energy)
    keep = np.isfinite(energy) & np.concatenate([[True], frugal[1:] < frugal[:-1]])
    return _LayerChoices(np.rint(cycles[keep]).astype(np.int64), energy[keep], int(least[0].min()))


def _fewest_parts(extents: IntArray) -> tuple[IntArray, IntArray]:
    """Return the different extents of tiles, and of each the lowest number of parts that gives it."""
    different, first = np.unique(extents, return_index=True)
    return different, first + 1


# DRAM and latency


def _input_bytes(problem: Problem, extents: _TileExtents) -> IntArray:
    """Return int64[L]: bytes of external inputs that the tiles of each layer load in all."""
    table = problem.table
    parts = np.arange(1, extents.rows.shape[1] + 1)
    total = np.zeros(len(table.layers), np.int64)
    for layer in range(len(table.layers)):
        for edge in range(table.source_begin[layer], table.source_begin[layer + 1]):
            if table.source[edge] < 0:
                role, channels = int(table.source_role[edge]), int(table.source_channels[edge])
                k = extents.channels[layer][0]
                read = _extents_read(table.layers, layer, role, k, extents.rows[layer], extents.columns[layer])
                rows, columns = int((parts * read.rows).min()), int((parts * read.columns).min())
                total[layer] += problem.batch * channels * rows * columns
    return total


def _final_layers(problem: Problem) -> IntArray:
    """Return the layers without consumers."""
    return np.flatnonzero(np.diff(problem.table.use_begin) == 0)


def _compulsory_bytes(problem: Problem, inputs: IntArray) -> int:
    """Return bytes of weights, of external inputs as far as they are needed, and of final ofmaps."""
    layers = problem.table.layers
    ofmaps = layers[_final_layers(problem)][:, [nt.K, nt.H, nt.W]].prod(axis=1)
    return int(layers[:, nt.WEIGHT_BYTES].sum() + inputs.sum() + problem.batch * ofmaps.sum())


def _uncut_by_transposes(layers: IntArray) -> dict[int, tuple[bool, bool]]:
    """Return for each transpose whether it keeps rows, columns of the FLG whole that holds it and a producer of it."""
    found = {}
    for layer in np.flatnonzero(layers[:, nt.KIND] == nt.TRANSPOSE).tolist():
        from_channels, from_rows, from_columns = layers[layer, [nt.IFMAP_C_FROM, nt.IFMAP_H_FROM, nt.IFMAP_W_FROM]]
        if (from_channels, from_rows, from_columns) != (0, 2, 1):  # else rows and columns change places
            found[layer] = (bool(from_rows != 1), bool(from_columns != 2))
    return found


def _chain_bounds(problem: Problem, compute: IntArray, shortest: IntArray, inputs: IntArray) -> list[tuple[int, str]]:
    """Return the bounds from what must be loaded before a layer and from what the buffer can't hold.

    By layer: cycles of all its tiles, of the shortest tile, bytes of external inputs.
    """
    layers, batch, platform = problem.table.layers, problem.batch, problem.platform
    width = platform.dram_bytes_per_cycle
    weights = layers[:, nt.WEIGHT_BYTES]
    load = -(-weights // width)
    last_store = int((-(-layers[_final_layers(problem), nt.K] // width)).min())
    graph = _graph(problem)
    after = {v: sorted(nx.descendants(graph, v)) for v in graph}
    needs = {v: nx.ancestors(graph, v) for v in graph}
    uncut = _uncut_by_transposes(layers)
    compute_from = {v: int(compute[v]) + int(compute[after[v]].sum()) for v in graph}
    bounds = []
    for v in graph:
        before = sorted(nx.ancestors(graph, v))
        most_rows, most_columns = (int(most) for most in layers[[v, *after[v]]][:, [nt.H, nt.W]].max(axis=0))
        head = int(load[[v, *before]].sum())
        for u in [v, *before]:
            whole = [keeps for t, keeps in uncut.items() if u in needs[t] and (v == t or t in needs[v])]
            row_parts = 1 if any(keeps_rows for keeps_rows, _ in whole) else most_rows
            column_parts = 1 if any(keeps_columns for _, keeps_columns in whole) else most_columns
            head += -(-int(inputs[u]) // (batch * row_parts * column_parts * width))
        bounds.append((head + compute_from[v] + last_store, LOADS_BEFORE))
        whole_head = int(load[[v, *before]].sum()) + int((-(-inputs[[v, *before]] // width)).sum())
        bounds.append((whole_head + int(shortest[[v, *after[v]]].sum()) + last_store, LAST_TILES))
        excess = int(weights[after[v]].sum()) - platform.gbuf_bytes
        if excess > 0:
            rest = min(compute_from[u] for u in after[v] if weights[u] > 0)
            until = int(compute[v]) + int(compute[before].sum()) - (-excess // width)
            bounds.append((until + rest + last_store, BUFFER))
    return bounds


# Cost


def _least_cost(choices: list[_LayerChoices], dram_energy: float, latency: int, objective: Objective) -> float:
    """Return a lower bound on the cost over all latencies from `latency` on."""
    frugal = float(sum(choice.cycles[-1] for choice in choices))  # cycles of the tiles with the least energy
    least_energy = float(sum(choice.energy_pj[-1] for choice in choices)) + dram_energy
    beyond = objective.cost(least_energy, max(frugal, latency))
    if frugal <= latency or all(len(choice.cycles) == 1 for choice in choices):
        return beyond
    ends = np.linspace(latency, frugal, INTERVALS + 1)
    # Slopes of the choices: energy that is bought with cycles.
    slopes = [-np.diff(choice.energy_pj) / np.diff(choice.cycles) for choice in choices if len(choice.cycles) > 1]
    steepest = max(float(slope.max()) for slope in slopes)
    multipliers = np.concatenate([[0.0], np.geomspace(steepest * 1e-6, steepest * 1.01, MULTIPLIERS)])
    intercepts = np.full(len(multipliers), dram_energy)
    for choice in choices:
        intercepts += (choice.energy_pj[None, :] + multipliers[:, None] * choice.cycles[None, :]).min(axis=1)
    costs = []
    for low, high in pairwise(ends.tolist()):
        energies = np.maximum(intercepts[:, None] - multipliers[:, None] * np.array([low, high])[None, :], 0.0)
        at_ends = [
            [objective.cost(float(e), float(d)) for e, d in zip(pair, (low, high), strict=True)] for pair in energies
        ]
        costs.append(max(min(pair) for pair in at_ends))
    return min(beyond, *costs)
