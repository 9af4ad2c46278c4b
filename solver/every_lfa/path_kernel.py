"""The shortest path over the downsets of a network: kernels (`soma_cp.solver.every_lfa.downset_paths` has the theorem).

`fill_tiles` cuts the FLGs that end at a downset J, with every Tiling Number of a list; `extend_paths` takes all steps
I → J, from every beginning A of the last LG.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import BoolArray, FloatArray, IntArray
from soma_cp.model.compiled import compiled, in_place
from soma_cp.model.data_types import packed
from soma_cp.model.network import network_table as nt
from soma_cp.model.network.extents import loaded_extent
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.model.soma.tiling import tile_flg, uncut_dimensions

MOST_SOURCES = 12
"""Sources of an FLG that are told apart; any others count as neither loaded nor held, which is less than the truth."""
EMPTY = -1


class KnownTiles(NamedTuple):
    """All different tiles so far: an open hash table.

    Parameters
    ----------
    keys
        int64[H]: the tile's layer and extent as one number; EMPTY if there is none.
    index
        int64[H]: of the tile.
    strides
        int64[4]: factors of layer, samples, channels and rows in the number; columns have 1.
    """

    keys: IntArray
    index: IntArray  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    strides: IntArray


class Cuts(NamedTuple):
    """How FLGs that end at a downset may be cut: O ways, of an FLG with certain dimensions kept whole.

    Parameters
    ----------
    samples, parts
        int64[O]: samples of a tile, parts of rows and columns.
    keep_rows, keep_columns
        Which dimensions stay whole.
    """

    samples: IntArray
    parts: IntArray
    keep_rows: bool
    keep_columns: bool


class CutTiles(NamedTuple):
    """Tiles of the m layers that may be in an FLG that ends at a downset, by the way in which it is cut.

    Parameters
    ----------
    which
        int64[m, O]: index of the tile in `KnownTiles`; EMPTY if the layer can't be cut so.
    held
        int64[m, O]: bytes of an ofmap tile.
    brought
        int64[e, O]: bytes that a tile reads over each edge of these layers.
    """

    which: IntArray
    held: IntArray
    brought: IntArray


@in_place
def fill_tiles(
    table: NetworkTable,
    order: IntArray,
    flg: IntArray,
    place_of: IntArray,
    cuts: Cuts,
    known: KnownTiles,
    count: int,
    rows: IntArray,
    extents: IntArray,
    tiles: CutTiles,
) -> int:
    """Fill `tiles`, and add those that are new to `known` and to the tile rows; return how many are known now.

    Parameters
    ----------
    order, flg, place_of
        int64[m]: ids of layers, ascending, which hold all their consumers that lie in the downset; int64[L]: whether a
        layer is one of them (1 or 0); int64[L]: its place.
    count, rows
        Tiles known, and int64[…, 5]: what the core array prices, by tile.
    extents
        int64[L, 4]: scratch.
    """
    layers, use_begin, use_layer = table.layers, table.use_begin, table.use_layer
    source_begin, roles = table.source_begin, table.source_role
    channels, bits = table.source_channels, table.source_bits
    size = len(known.keys)
    for option in range(len(cuts.samples)):
        edge_end = len(tiles.brought)
        for place in range(len(order) - 1, -1, -1):
            layer = order[place]
            edge_begin = edge_end - (source_begin[layer + 1] - source_begin[layer])
            edge_end = edge_begin
            possible = True
            for use in range(use_begin[layer], use_begin[layer + 1]):
                consumer = use_layer[use]
                if flg[consumer] == 1 and tiles.which[place_of[consumer], option] == EMPTY:
                    possible = False
            tiles.which[place, option] = EMPTY
            if not possible:
                continue
            if not _tile_layer(table, order, flg, place, cuts, option, extents):
                continue
            b, k, h, w = extents[layer, 0], extents[layer, 1], extents[layer, 2], extents[layer, 3]
            key = layer * known.strides[0] + b * known.strides[1] + k * known.strides[2] + h * known.strides[3] + w
            slot = key % size
            while known.keys[slot] != key and known.keys[slot] != EMPTY:
                slot = slot + 1 if slot + 1 < size else 0
            if known.keys[slot] == EMPTY:
                known.keys[slot] = key
                known.index[slot] = count
                rows[count, 0], rows[count, 1], rows[count, 2], rows[count, 3], rows[count, 4] = layer, b, k, h, w
                count += 1
            tiles.which[place, option] = known.index[slot]
            tiles.held[place, option] = packed(b * k * h * w, layers[layer, nt.OFMAP_BITS])
            for edge in range(source_begin[layer], source_begin[layer + 1]):
                need_rows, need_columns = loaded_extent(layers, extents, layer, roles[edge])
                tiles.brought[edge_begin + edge - source_begin[layer], option] = packed(
                    b * need_rows * need_columns * channels[edge], bits[edge]
                )
    return count


@in_place
def _tile_layer(
    table: NetworkTable,
    order: IntArray,
    flg: IntArray,
    place: int,
    cuts: Cuts,
    option: int,
    extents: IntArray,
) -> bool:
    """Fill the extents of one layer from those of its consumers; return False if it can't be cut that way."""
    return tile_flg(
        table.layers,
        table.use_begin,
        table.use_layer,
        table.use_role,
        table.is_output,
        order,
        flg,
        (place, place + 1, cuts.samples[option], cuts.parts[option]),
        cuts.keep_rows,
        cuts.keep_columns,
        extents,
    )


@compiled
def kept_whole(table: NetworkTable, member: BoolArray, before: IntArray, after: int) -> IntArray:
    """Return int64[P]: which dimensions the FLGs from each downset `before` to `after` keep whole.

    0 if none, 1 if rows, 2 if columns, 3 if both.
    """
    size = member.shape[1]
    found = np.empty(len(before), np.int64)
    flg, order = np.zeros(size, np.int64), np.empty(size, np.int64)
    for i in range(len(before)):
        count = 0
        for layer in range(size):
            flg[layer] = 1 if member[after, layer] and not member[before[i], layer] else 0
            if flg[layer] == 1:
                order[count] = layer
                count += 1
        rows, columns = uncut_dimensions(table.layers, table.source_begin, table.source, order, flg, 0, count)
        found[i] = (1 if rows else 0) + (2 if columns else 0)
    return found


class LayerFigures(NamedTuple):
    """What is known of the layers whatever the FLG; costs are by multiplier, M of them.

    Parameters
    ----------
    weights
        int64[L]: bytes in the buffer.
    whole
        int64[L]: least bytes of all tiles of the ofmap.
    alone
        int64[L]: least bytes that are alive in a layer's only tile: its weights, its ofmap, its external inputs.
    alone_cost, fine_cost
        float64[L, M]: least cost with one tile; least cost with more parts than are listed. Infinite if there is none.
    alone_bytes
        int64[E]: least bytes that the only tile reads over an edge.
    alone_pj, alone_cycles, fine_pj, fine_cycles
        float64[E]: of loading over an edge, with one tile or with more parts than are listed.
    """

    weights: IntArray
    whole: IntArray
    alone: IntArray
    alone_cost: FloatArray
    fine_cost: FloatArray
    alone_bytes: IntArray
    alone_pj: FloatArray
    alone_cycles: FloatArray
    fine_pj: FloatArray
    fine_cycles: FloatArray


class EndFigures(NamedTuple):
    """What the FLGs that end at a downset cost, by layer or edge and by the way in which they are cut.

    Parameters
    ----------
    order
        int64[m]: the layers, as in `fill_tiles`.
    edge_begin
        int64[m]: the first edge of each layer among these edges.
    number
        int64[O]: Tiling Numbers, at least 2.
    can
        bool[m, O]: whether the layer can be cut so, and the core array can run its tile.
    energy_pj, cycles, dram_cycles
        float64[m, O]: of all tiles of the layer, with the loads of external inputs and the stores of outputs.
    held, live
        int64[m, O]: bytes of an ofmap tile; of it and of the tiles of external inputs.
    brought
        int64[e, O]: bytes that a tile reads over an edge.
    brought_pj, brought_cycles
        float64[e, O]: of loading for all tiles.
    crosses
        bool[m, m]: by p and l: p is an ancestor of l, and l or a descendant of l reads p.
    last
        bool[m]: whether nothing in the downset reads the layer.
    fine
        bool[m]: whether an FLG with the layer may be cut into more parts than are listed.
    gaps
        Whether layers are left out, one of which may be the last of the FLG.
    """

    order: IntArray
    edge_begin: IntArray
    number: IntArray
    can: BoolArray
    energy_pj: FloatArray
    cycles: FloatArray
    dram_cycles: FloatArray
    held: IntArray
    live: IntArray
    brought: IntArray
    brought_pj: FloatArray
    brought_cycles: FloatArray
    crosses: BoolArray
    last: BoolArray
    fine: BoolArray
    gaps: bool


class FLGSums(NamedTuple):
    """Scratch of an FLG of s layers: sums over its layers, and what its sources bring."""

    places: IntArray  # [m]: of its layers
    live: IntArray  # [m, O]
    possible: BoolArray  # [O]
    energy_pj: FloatArray  # [O]
    cycles: FloatArray  # [O]
    dram_cycles: FloatArray  # [O]
    sources: IntArray  # [MOST_SOURCES]
    edges: IntArray  # [e, 4]: edge of the network, edge of the figures, which of the sources, which of the layers
    need: IntArray  # [O]


@compiled
def extend_paths(
    table: NetworkTable,
    member: BoolArray,
    after: int,
    before: IntArray,
    capacity: int,
    multipliers: FloatArray,
    layers: LayerFigures,
    figures: EndFigures,
    least: FloatArray,
) -> None:
    """Lower ``least[after, A]`` to the cost of the paths whose last step is from one of the downsets `before`.

    Parameters
    ----------
    member
        bool[N, L]: the downsets.
    multipliers
        float64[M, 3]: of energy, of cycles of tiles, of cycles of transfers.
    least
        float64[N, N, M]: by downset and by the begin of the last LG, which may be the downset itself.
    """
    step, marks = new_sums(figures), len(multipliers)
    prices = np.empty((1 << MOST_SOURCES, marks), np.float64)
    known = np.zeros(1 << MOST_SOURCES, np.int64)  # at which step the price was found
    for i in range(len(before)):
        start = before[i]
        size, sources, edge_count = gather_flg(table, member, start, figures, step)
        sum_up(figures, size, step)
        for begin in range(start + 1):
            if not least[start, begin, 0] < np.inf:
                continue
            loaded = 0
            for n in range(sources):
                if member[begin, step.sources[n]]:
                    loaded |= 1 << n
            if known[loaded] != i + 1:
                known[loaded] = i + 1
                _price(table, capacity, multipliers, layers, figures, (size, sources, edge_count), loaded, step, prices)
            for mark in range(marks):
                cost = least[start, begin, mark] + prices[loaded, mark]
                if cost < least[after, begin, mark]:
                    least[after, begin, mark] = cost


@compiled
def new_sums(figures: EndFigures) -> FLGSums:
    """Return scratch for the FLGs that end at a downset."""
    m, options = figures.can.shape
    return FLGSums(
        places=np.empty(m, np.int64),
        live=np.empty((m, options), np.int64),
        possible=np.empty(options, np.bool_),
        energy_pj=np.empty(options, np.float64),
        cycles=np.empty(options, np.float64),
        dram_cycles=np.empty(options, np.float64),
        sources=np.empty(MOST_SOURCES, np.int64),
        edges=np.empty((len(figures.brought), 4), np.int64),
        need=np.empty(options, np.int64),
    )


@in_place
def gather_flg(
    table: NetworkTable, member: BoolArray, start: int, figures: EndFigures, step: FLGSums
) -> tuple[int, int, int]:
    """List layers, sources and edges of the FLG after `start`; return how many there are."""
    source_begin = table.source_begin
    size, sources, edges = 0, 0, 0
    for place in range(len(figures.order)):
        layer = figures.order[place]
        if member[start, layer]:
            continue
        for edge in range(source_begin[layer], source_begin[layer + 1]):
            source = table.source[edge]
            if source < 0 or not member[start, source]:
                continue
            which = 0
            while which < sources and step.sources[which] != source:
                which += 1
            if which == MOST_SOURCES:
                continue
            if which == sources:
                step.sources[which] = source
                sources += 1
            step.edges[edges, 0] = edge
            step.edges[edges, 1] = figures.edge_begin[place] + edge - source_begin[layer]
            step.edges[edges, 2] = which
            step.edges[edges, 3] = size
            edges += 1
        step.places[size] = place
        size += 1
    return size, sources, edges


@in_place
def sum_up(figures: EndFigures, size: int, step: FLGSums) -> None:
    """Sum costs over the layers of the FLG; fill what is alive at a tile of each if no source is loaded."""
    options = len(figures.number)
    possible, energy, cycles, dram = step.possible, step.energy_pj, step.cycles, step.dram_cycles
    for option in range(options):
        possible[option] = True
        energy[option] = cycles[option] = dram[option] = 0.0
    for i in range(size):
        place = step.places[i]
        for option in range(options):
            possible[option] &= figures.can[place, option]
            energy[option] += figures.energy_pj[place, option]
            cycles[option] += figures.cycles[place, option]
            dram[option] += figures.dram_cycles[place, option]
            step.live[i, option] = figures.live[place, option]
        for j in range(i):
            other = step.places[j]
            if figures.crosses[other, place]:
                for option in range(options):
                    step.live[i, option] += figures.held[other, option]


@in_place
def _price(
    table: NetworkTable,
    capacity: int,
    multipliers: FloatArray,
    layers: LayerFigures,
    figures: EndFigures,
    counts: tuple[int, int, int],
    loaded: int,
    step: FLGSums,
    prices: FloatArray,
) -> None:
    """Fill ``prices[loaded]``: the least costs of the FLG if it loads these sources, and finds the others."""
    size, sources, edges = counts
    options = len(figures.number)
    marks = len(multipliers)
    for mark in range(marks):
        prices[loaded, mark] = np.inf
    weights = 0
    for i in range(size):
        weights += layers.weights[figures.order[step.places[i]]]
    found = 0  # bytes of sources that are held
    for n in range(sources):
        if not loaded >> n & 1:
            found += layers.whole[step.sources[n]]
    if size == 1:
        _price_alone(capacity - found, multipliers, layers, figures, edges, loaded, step, prices)
    room = capacity - weights - found
    if room < 0:
        return
    fine = True
    for i in range(size):
        fine &= figures.fine[step.places[i]]
    if fine:
        _price_fine(multipliers, layers, figures, size, edges, loaded, step, prices)
    for option in range(options):
        step.need[option] = 0
    for i in range(size):
        raise_need(figures, i, edges, loaded, step)
    for option in range(options):
        if not step.possible[option]:
            continue
        if figures.number[option] == 2:
            if not fits_twice(capacity - found, weights, layers, figures, size, edges, loaded, option, step):
                continue
        elif step.need[option] > room:
            continue
        energy, cycles, dram = step.energy_pj[option], step.cycles[option], step.dram_cycles[option]
        for n in range(edges):
            if loaded >> step.edges[n, 2] & 1:
                energy += figures.brought_pj[step.edges[n, 1], option]
                dram += figures.brought_cycles[step.edges[n, 1], option]
        for mark in range(marks):
            cost = multipliers[mark, 0] * energy + multipliers[mark, 1] * cycles + multipliers[mark, 2] * dram
            prices[loaded, mark] = min(prices[loaded, mark], cost)


@in_place
def raise_need(figures: EndFigures, i: int, edges: int, loaded: int, step: FLGSums) -> None:
    """Raise the bytes that are needed beside weights and held sources to those at a tile of layer i of the FLG."""
    options = len(figures.number)
    loads = False
    for n in range(edges):
        loads |= step.edges[n, 3] == i and (loaded >> step.edges[n, 2] & 1) == 1
    if not loads:
        for option in range(options):
            step.need[option] = max(step.need[option], step.live[i, option])
        return
    for option in range(options):
        step.need[option] = max(
            step.need[option], alive_at(i, option, step.live, figures.brought, step.edges, edges, loaded)
        )


@in_place
def alive_at(
    i: int, option: int, live: IntArray, brought: IntArray, step_edges: IntArray, edges: int, loaded: int
) -> int:
    """Return the bytes that are alive at a tile of layer i of the FLG, but for weights and held sources."""
    alive: int = live[i, option]
    for n in range(edges):
        if step_edges[n, 3] == i and loaded >> step_edges[n, 2] & 1:
            alive += brought[step_edges[n, 1], option]
    return alive


@in_place
def fits_twice(
    room: int,
    weights: int,
    layers: LayerFigures,
    figures: EndFigures,
    size: int,
    edges: int,
    loaded: int,
    option: int,
    step: FLGSums,
) -> bool:
    """Return whether an FLG of Tiling Number 2 may fit into the room that its held sources leave."""
    fits_at_the_turn = figures.gaps and weights <= room
    for i in range(size):
        alive = alive_at(i, option, step.live, figures.brought, step.edges, edges, loaded)
        if layers.weights[figures.order[step.places[i]]] + alive > room:
            return False
        if figures.last[step.places[i]] and weights + alive <= room:
            fits_at_the_turn = True
    return fits_at_the_turn


@in_place
def _price_alone(
    room: int,
    multipliers: FloatArray,
    layers: LayerFigures,
    figures: EndFigures,
    edges: int,
    loaded: int,
    step: FLGSums,
    prices: FloatArray,
) -> None:
    """Lower the costs of a layer in an FLG of its own to those with one tile."""
    layer = figures.order[step.places[0]]
    alive = layers.alone[layer]
    energy, dram = 0.0, 0.0
    for n in range(edges):
        if loaded >> step.edges[n, 2] & 1:
            alive += layers.alone_bytes[step.edges[n, 0]]
            energy += layers.alone_pj[step.edges[n, 0]]
            dram += layers.alone_cycles[step.edges[n, 0]]
    if alive > room:
        return
    for mark in range(len(multipliers)):
        cost = layers.alone_cost[layer, mark] + multipliers[mark, 0] * energy + multipliers[mark, 2] * dram
        prices[loaded, mark] = min(prices[loaded, mark], cost)


@in_place
def _price_fine(
    multipliers: FloatArray,
    layers: LayerFigures,
    figures: EndFigures,
    size: int,
    edges: int,
    loaded: int,
    step: FLGSums,
    prices: FloatArray,
) -> None:
    """Lower the costs to those with more parts than are listed."""
    energy, dram = 0.0, 0.0
    for n in range(edges):
        if loaded >> step.edges[n, 2] & 1:
            energy += layers.fine_pj[step.edges[n, 0]]
            dram += layers.fine_cycles[step.edges[n, 0]]
    for mark in range(len(multipliers)):
        cost = multipliers[mark, 0] * energy + multipliers[mark, 2] * dram
        for i in range(size):
            cost += layers.fine_cost[figures.order[step.places[i]], mark]
        prices[loaded, mark] = min(prices[loaded, mark], cost)


@compiled
def close_paths(
    table: NetworkTable,
    member: BoolArray,
    after: int,
    multipliers: FloatArray,
    whole_pj: FloatArray,
    whole_cycles: FloatArray,
    least: FloatArray,
) -> None:
    """Fill ``least[after, after]``: the least cost of the paths to a downset if an LG ends there.

    `whole_pj` and `whole_cycles`, float64[L], are the least energy and cycles of storing a layer's ofmap; 0 of outputs.
    """
    stored = read_later(table, member, after)
    for begin in range(after):
        if not least[after, begin, 0] < np.inf:
            continue
        energy, dram = 0.0, 0.0
        for layer in range(len(stored)):
            if stored[layer] and not member[begin, layer]:
                energy += whole_pj[layer]
                dram += whole_cycles[layer]
        for mark in range(len(multipliers)):
            cost = least[after, begin, mark] + multipliers[mark, 0] * energy + multipliers[mark, 2] * dram
            least[after, after, mark] = min(least[after, after, mark], cost)


@compiled
def read_later(table: NetworkTable, member: BoolArray, after: int) -> BoolArray:
    """Return bool[L]: which layers of a downset have a consumer outside of it; the last of `member` has all layers."""
    use_begin, use_layer = table.use_begin, table.use_layer
    found, everything = np.zeros(member.shape[1], np.bool_), len(member) - 1
    for layer in range(len(found)):
        for use in range(use_begin[layer], use_begin[layer + 1]):
            consumer = use_layer[use]
            found[layer] |= member[after, layer] and member[everything, consumer] and not member[after, consumer]
    return found
