"""The shortest path over the downsets of a network: kernels (`soma_cp.solver.every_lfa.downset_paths` has the theorem).

`extend_paths` takes all steps I → J, from each state of the LG at I: a class of its begins, and one of its ends
(`soma_cp.solver.every_lfa.lg_classes`). `close_paths` ends LGs at J.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import BoolArray, FloatArray, IntArray
from soma_cp.model.compiled import compiled, in_place
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.solver.every_lfa.lg_classes import MOST_OPEN, LGClasses

MOST_SOURCES = 12
"""Sources of an FLG that are told apart; any others count as neither loaded nor held, which is less than the truth."""
MOST_NEEDS = 32
"""Sets of kept layers whose needs are kept; after so many, they are found again."""


class LayerFigures(NamedTuple):
    """What is known of the layers whatever the FLG; costs are by multiplier, M of them.

    Parameters
    ----------
    weights
        int64[L]: bytes in the buffer.
    whole
        int64[L]: least bytes of all tiles of the ofmap.
    fine_kept
        int64[L]: least bytes of all tiles but two, if there are more parts than are listed.
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
    fine_kept: IntArray
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


class _Step(NamedTuple):
    """Scratch of an FLG of s layers: sums over its layers, and what its sources bring."""

    places: IntArray  # [m]: of its layers
    live: IntArray  # [m, O]
    possible: BoolArray  # [O]
    energy_pj: FloatArray  # [O]
    cycles: FloatArray  # [O]
    dram_cycles: FloatArray  # [O]
    sources: IntArray  # [MOST_SOURCES]
    edges: IntArray  # [e, 4]: edge of the network, edge of the figures, which of the sources, which of the layers


class PathInput(NamedTuple):
    """What all steps of the paths have in common.

    Parameters
    ----------
    table, layers, classes
        The network, what is known of its layers, and the states of LGs.
    member
        bool[N, L]: the downsets.
    depends
        bool[L, L]: by layer and ancestor.
    capacity
        Bytes of the buffer.
    multipliers
        float64[M, 3]: of energy, of cycles of tiles, of cycles of transfers.
    """

    table: NetworkTable
    layers: LayerFigures
    classes: LGClasses
    member: BoolArray
    depends: BoolArray
    capacity: int
    multipliers: FloatArray


class _Prices(NamedTuple):
    """Scratch: what an FLG costs that loads certain sources."""

    cost: FloatArray  # [O, M]
    need: IntArray  # [MOST_NEEDS, O]: bytes that it needs beside residents, if it keeps certain layers
    need_mask: IntArray  # [MOST_NEEDS]: these layers
    most: IntArray  # [O]: most bytes alive at a tile, without weights
    first: IntArray  # [O]: most bytes alive at a tile, with the weights of its layer
    turn: IntArray  # [O]: bytes alive at the last tile of a round, without weights and tiles that are kept
    alive: IntArray  # [O]: bytes alive at a tile of one layer
    counted: IntArray  # [O]: bytes of tiles that are kept among those
    kept: BoolArray  # [m]: whether layer i of the FLG is kept
    resident: IntArray  # [P]: by price that is known, the bytes of residents
    mask: IntArray  # [P]: the open layers of the FLG that are kept
    least: FloatArray  # [P, M]


@compiled
def extend_paths(paths: PathInput, after: int, before: IntArray, figures: EndFigures, least: FloatArray) -> None:
    """Lower the costs of the states of `after` to those of the paths whose last step is from one of `before`.

    Parameters
    ----------
    least
        float64[…, M]: by state of the LG.
    """
    m, options = figures.can.shape
    edges, marks, classes = len(figures.brought), len(paths.multipliers), paths.classes
    step = _Step(
        places=np.empty(m, np.int64),
        live=np.empty((m, options), np.int64),
        possible=np.empty(options, np.bool_),
        energy_pj=np.empty(options, np.float64),
        cycles=np.empty(options, np.float64),
        dram_cycles=np.empty(options, np.float64),
        sources=np.empty(MOST_SOURCES, np.int64),
        edges=np.empty((edges, 4), np.int64),
    )
    most_begins, most_ends = 0, 0
    for start in before:
        most_begins = max(most_begins, classes.begin_first[start + 1] - classes.begin_first[start])
        most_ends = max(most_ends, classes.end_first[start + 1] - classes.end_first[start])
    ends = classes.end_first[after + 1] - classes.end_first[after]
    most_prices = most_begins * most_ends * ends
    prices = _Prices(
        cost=np.empty((options, marks), np.float64),
        need=np.empty((MOST_NEEDS, options), np.int64),
        need_mask=np.empty(MOST_NEEDS, np.int64),
        most=np.empty(options, np.int64),
        first=np.empty(options, np.int64),
        turn=np.empty(options, np.int64),
        alive=np.empty(options, np.int64),
        counted=np.empty(options, np.int64),
        kept=np.empty(m, np.bool_),
        resident=np.empty(most_prices, np.int64),
        mask=np.empty(most_prices, np.int64),
        least=np.empty((most_prices, marks), np.float64),
    )
    goes_on = np.empty((most_ends, ends), np.bool_)
    loaded = np.empty(most_begins, np.int64)
    for start in before:
        counts = _gather(paths.table, paths.member, start, figures, step)
        _sum_up(figures, counts[0], step)
        mark_pairs(classes, start, after, goes_on)
        first = classes.begin_first[start]
        begins = classes.begin_first[start + 1] - first
        for at in range(begins):
            loaded[at] = _loaded(paths.member, classes.begin[first + at], counts[1], step)
        for at in range(begins):
            sources = loaded[at]
            if sources < 0:
                continue
            _cost_options(paths.multipliers, figures, counts[2], sources, step, prices)
            known = (0, 0)
            for like in range(at, begins):
                if loaded[like] == sources:
                    loaded[like] = -1
                    known = _extend_from(
                        paths, (start, like, after), figures, counts, sources, goes_on, known, step, prices, least
                    )


@in_place
def mark_pairs(classes: LGClasses, start: int, after: int, goes_on: BoolArray) -> None:
    """Mark the classes of ends at `start` and at `after` that have an end in common."""
    goes_on[:] = False
    for end in range(len(classes.end_class)):
        if classes.end_class[after, end] >= 0:
            goes_on[classes.end_class[start, end], classes.end_class[after, end]] = True


@in_place
def _loaded(member: BoolArray, begin: int, sources: int, step: _Step) -> int:
    """Return which sources the FLG loads if the LG begins at `begin`."""
    loaded = 0
    for n in range(sources):
        if member[begin, step.sources[n]]:
            loaded |= 1 << n
    return loaded


@in_place
def _cost_options(
    multipliers: FloatArray, figures: EndFigures, edges: int, loaded: int, step: _Step, prices: _Prices
) -> None:
    """Fill the costs of the FLG, by option, if it loads these sources."""
    for option in range(len(figures.number)):
        if not step.possible[option]:
            continue
        energy, cycles, dram = step.energy_pj[option], step.cycles[option], step.dram_cycles[option]
        for n in range(edges):
            if loaded >> step.edges[n, 2] & 1:
                energy += figures.brought_pj[step.edges[n, 1], option]
                dram += figures.brought_cycles[step.edges[n, 1], option]
        for mark in range(len(multipliers)):
            prices.cost[option, mark] = (
                multipliers[mark, 0] * energy + multipliers[mark, 1] * cycles + multipliers[mark, 2] * dram
            )


@in_place
def _extend_from(
    paths: PathInput,
    places: tuple[int, int, int],
    figures: EndFigures,
    counts: tuple[int, int, int],
    loaded: int,
    goes_on: BoolArray,
    known: tuple[int, int],
    step: _Step,
    prices: _Prices,
    least: FloatArray,
) -> tuple[int, int]:
    """Take the step from the states of a class of begins; return how many prices and needs of the FLG are known now."""
    classes, whole = paths.classes, paths.layers.whole
    start, at, after = places
    known_prices, known_needs = known
    begin = classes.begin_first[start] + at
    at_after = classes.begin_class[after, classes.begin[begin]]
    begin_after = classes.begin_first[after] + at_after
    first_end, first_end_after = classes.end_first[start], classes.end_first[after]
    ends, ends_after = classes.end_first[start + 1] - first_end, classes.end_first[after + 1] - first_end_after
    ends_there = at != classes.begin_class[start, start] and opens_of(classes, start) < MOST_OPEN
    for end in range(ends):
        state = classes.state_first[start] + at * ends + end
        found = classes.end_mask[first_end + end] & ~classes.begin_mask[begin]
        if not least[state, 0] < np.inf or (found == 0 and ends_there):
            continue
        resident = bytes_of(classes, start, found, whole)
        for end_after in range(ends_after):
            if not goes_on[end, end_after]:
                continue
            kept = classes.end_mask[first_end_after + end_after] & ~classes.begin_mask[begin_after]
            if bytes_of(classes, after, kept, whole) > paths.capacity:
                continue
            kept = made_after(classes, paths.member, start, after, kept)
            which = 0
            while which < known_prices and (prices.resident[which] != resident or prices.mask[which] != kept):
                which += 1
            if which == known_prices:
                prices.resident[which], prices.mask[which] = resident, kept
                known_needs = _price(paths, after, figures, counts, loaded, which, known_needs, step, prices)
                known_prices += 1
            target = classes.state_first[after] + at_after * ends_after + end_after
            for mark in range(len(paths.multipliers)):
                cost = least[state, mark] + prices.least[which, mark]
                if cost < least[target, mark]:
                    least[target, mark] = cost
    return known_prices, known_needs


@in_place
def opens_of(classes: LGClasses, downset: int) -> int:
    """Return how many open layers of a downset are told apart."""
    opens: int = classes.open_first[downset + 1] - classes.open_first[downset]
    return min(MOST_OPEN, opens)


@in_place
def bytes_of(classes: LGClasses, downset: int, mask: int, size: IntArray) -> int:
    """Return the bytes, by layer in `size`, of the open layers of a downset in `mask`."""
    found: int = 0
    at = classes.open_first[downset]
    while mask != 0:
        if mask & 1:
            found += size[classes.open_layer[at]]
        mask >>= 1
        at += 1
    return found


@in_place
def made_after(classes: LGClasses, member: BoolArray, start: int, after: int, mask: int) -> int:
    """Return which of the open layers of `after` in `mask` are not in `start`."""
    found = mask
    for bit in range(opens_of(classes, after)):
        if member[start, classes.open_layer[classes.open_first[after] + bit]]:
            found &= ~(1 << bit)
    return found


@in_place
def _price(
    paths: PathInput,
    after: int,
    figures: EndFigures,
    counts: tuple[int, int, int],
    loaded: int,
    which: int,
    known_needs: int,
    step: _Step,
    prices: _Prices,
) -> int:
    """Fill ``prices.least[which]``: the least costs of the FLG beside so many residents, if it keeps such layers.

    Return how many needs are known now.
    """
    size, _, edges = counts
    marks, layers, kept = len(paths.multipliers), paths.layers, prices.mask[which]
    room = paths.capacity - prices.resident[which]
    for mark in range(marks):
        prices.least[which, mark] = np.inf
    if size == 1:
        _price_alone(room, paths.multipliers, layers, figures, edges, loaded, which, step, prices)
    weights, fine = 0, True
    for i in range(size):
        weights += layers.weights[figures.order[step.places[i]]]
        fine &= figures.fine[step.places[i]]
    if weights > room:
        return known_needs
    if fine and weights + bytes_of(paths.classes, after, kept, layers.fine_kept) <= room:
        _price_fine(paths.multipliers, layers, figures, size, edges, loaded, which, step, prices)
    need = 0
    while need < known_needs and prices.need_mask[need] != kept:
        need += 1
    if need == known_needs:
        if need == MOST_NEEDS:
            need = known_needs = 0
        prices.need_mask[need] = kept
        _need(paths, after, figures, counts, loaded, weights, need, step, prices)
        known_needs += 1
    for option in range(len(figures.number)):
        if step.possible[option] and prices.need[need, option] <= room:
            for mark in range(marks):
                prices.least[which, mark] = min(prices.least[which, mark], prices.cost[option, mark])
    return known_needs


@in_place
def is_open(classes: LGClasses, downset: int, layer: int, mask: int) -> bool:
    """Return whether a layer is among the open layers of a downset in `mask`."""
    at = classes.open_first[downset]
    while mask != 0:
        if mask & 1 and classes.open_layer[at] == layer:
            return True
        mask >>= 1
        at += 1
    return False


@in_place
def _need(
    paths: PathInput,
    after: int,
    figures: EndFigures,
    counts: tuple[int, int, int],
    loaded: int,
    weights: int,
    need: int,
    step: _Step,
    prices: _Prices,
) -> None:
    """Fill ``prices.need[need]``: the bytes that the FLG needs beside residents, by option."""
    for i in range(counts[0]):
        prices.kept[i] = is_open(paths.classes, after, figures.order[step.places[i]], prices.need_mask[need])
    options, most, first, turn = len(figures.number), prices.most, prices.first, prices.turn
    for option in range(options):
        most[option] = first[option] = 0
        turn[option] = 0 if figures.gaps else paths.capacity + 1
    for i in range(counts[0]):
        _fill_alive(paths.depends, figures, counts, i, loaded, step, prices)
        place = step.places[i]
        own = paths.layers.weights[figures.order[place]]
        for option in range(options):
            most[option] = max(most[option], prices.alive[option])
            first[option] = max(first[option], own + prices.alive[option])
        if figures.last[place]:
            for option in range(options):
                turn[option] = min(turn[option], prices.alive[option] - prices.counted[option])
    for option in range(options):
        made = 0
        for i in range(counts[0]):
            if prices.kept[i]:
                made += figures.held[step.places[i], option]
        number = figures.number[option]
        at_tile = first[option] if number == 2 else weights + most[option] + (number - 2) * made
        prices.need[need, option] = max(at_tile, weights + turn[option] + (number - 1) * made)


@in_place
def _fill_alive(
    depends: BoolArray,
    figures: EndFigures,
    counts: tuple[int, int, int],
    i: int,
    loaded: int,
    step: _Step,
    prices: _Prices,
) -> None:
    """Fill the bytes of this round that are alive at a tile of layer i, and how many are of kept layers."""
    options, place = len(figures.number), step.places[i]
    for option in range(options):
        prices.alive[option] = step.live[i, option]
        prices.counted[option] = figures.held[place, option] if prices.kept[i] else 0
    for n in range(counts[2]):
        if step.edges[n, 3] == i and loaded >> step.edges[n, 2] & 1:
            for option in range(options):
                prices.alive[option] += figures.brought[step.edges[n, 1], option]
    for j in range(i):
        other = step.places[j]
        if not prices.kept[j] or not depends[figures.order[place], figures.order[other]]:
            continue
        for option in range(options):
            prices.counted[option] += figures.held[other, option]
            if not figures.crosses[other, place]:
                prices.alive[option] += figures.held[other, option]


@in_place
def _gather(
    table: NetworkTable, member: BoolArray, start: int, figures: EndFigures, step: _Step
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
def _sum_up(figures: EndFigures, size: int, step: _Step) -> None:
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
def _price_alone(
    room: int,
    multipliers: FloatArray,
    layers: LayerFigures,
    figures: EndFigures,
    edges: int,
    loaded: int,
    which: int,
    step: _Step,
    prices: _Prices,
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
        prices.least[which, mark] = min(prices.least[which, mark], cost)


@in_place
def _price_fine(
    multipliers: FloatArray,
    layers: LayerFigures,
    figures: EndFigures,
    size: int,
    edges: int,
    loaded: int,
    which: int,
    step: _Step,
    prices: _Prices,
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
        prices.least[which, mark] = min(prices.least[which, mark], cost)


@compiled
def close_paths(
    classes: LGClasses,
    after: int,
    multipliers: FloatArray,
    whole_pj: FloatArray,
    whole_cycles: FloatArray,
    least: FloatArray,
) -> None:
    """Lower the costs of the states of `after` in which an LG begins there to those of the paths whose LG ends there.

    `whole_pj` and `whole_cycles`, float64[L], are the least energy and cycles of storing a layer's ofmap; 0 of outputs.
    """
    first, first_end = classes.begin_first[after], classes.end_first[after]
    begins, ends = classes.begin_first[after + 1] - first, classes.end_first[after + 1] - first_end
    opens = opens_of(classes, after)
    for mark in range(len(multipliers)):
        closed = np.inf
        for begin in range(begins):
            energy, dram = 0.0, 0.0
            for bit in range(opens):
                if not classes.begin_mask[first + begin] >> bit & 1:
                    layer = classes.open_layer[classes.open_first[after] + bit]
                    energy += whole_pj[layer]
                    dram += whole_cycles[layer]
            stores = multipliers[mark, 0] * energy + multipliers[mark, 2] * dram
            for end in range(ends):
                if classes.end_mask[first_end + end] & ~classes.begin_mask[first + begin] == 0:
                    closed = min(closed, least[classes.state_first[after] + begin * ends + end, mark] + stores)
        new = classes.begin_class[after, after]
        for end in range(ends):
            least[classes.state_first[after] + new * ends + end, mark] = closed
