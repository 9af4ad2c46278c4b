"""The shortest path over downsets in the wide space: kernels (`soma_cp.solver.every_lfa.wide_paths` has the theorem).

`extend_wide_paths` takes all steps I → J, from every beginning A of the last LG.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import BoolArray, FloatArray, IntArray
from soma_cp.model.compiled import compiled, in_place
from soma_cp.model.hardware.platform import DramRate
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.model.soma.tensors import transfer_cycles
from soma_cp.solver.every_lfa.path_kernel import alive_at

MOST_SOURCES = 8
"""Sources of an FLG that are told apart; any others count as neither loaded nor held, which is less than the truth."""
SPARE_BYTES = 1e-3
"""Sums of shares of bytes are too small by less than this."""
MOST_WORTH = 1e5
"""Terms that cancel each other are at most so many times the costs of which they are made."""


class WideLayers(NamedTuple):
    """What is known of L layers and I external inputs whatever the FLG; costs are by multiplier, M of them.

    A source is a layer's id, or L + id of an external input.

    Parameters
    ----------
    whole, full
        int64[L + I]: least bytes of all tiles of a source; its bytes.
    share
        float64[L]: of a layer's channels, those of its smallest part; 1 if it is not divided.
    any_cost, elsewhere_cost, fine_cost, alone_cost
        float64[L, M]: least cost over all divisions and tilings, if it may be divided; with more parts than are listed;
        with one tile. Infinite if there is none.
    alone
        int64[L]: least bytes alive in a layer's only tile: the weights of its smallest part, a tile of it, external
        inputs that are no sources.
    alone_bytes, fine_bytes
        int64[E]: least bytes that the only tile reads over an edge; that all tiles read if there are more parts than
        are listed.
    tracked
        bool[I]: whether an external input is a source.
    served
        bool[L + I]: whether layers that were left out may have loaded a source.
    reader_begin, reader
        int64[L + I + 1], int64: the layers that read a source.
    times
        int64[L + I]: how often a source is counted.
    pj_per_byte, cycles_per_byte
        float64[1] each: of DRAM.
    """

    whole: IntArray
    full: IntArray
    share: FloatArray
    any_cost: FloatArray
    elsewhere_cost: FloatArray
    fine_cost: FloatArray
    alone_cost: FloatArray
    alone: IntArray
    alone_bytes: IntArray
    fine_bytes: IntArray
    tracked: BoolArray
    served: BoolArray
    reader_begin: IntArray
    reader: IntArray
    times: IntArray
    pj_per_byte: FloatArray
    cycles_per_byte: FloatArray


class WideEnd(NamedTuple):
    """What the FLGs that end at a downset cost, by layer or edge and by the way in which they are cut.

    Parameters
    ----------
    order, edge_begin, number, can, energy_pj, cycles, dram_cycles, held, live, brought, crosses, last, fine, gaps
        As in `EndFigures`; `live` and costs are without the sources.
    weights
        int64[m]: bytes in the buffer.
    read
        int64[m, O]: most bytes that a consumer's tile reads of a tile of the layer.
    guest
        bool[m]: whether the layer is there only with its smallest part.
    rate
        Of DRAM.
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
    crosses: BoolArray
    last: BoolArray
    fine: BoolArray
    gaps: bool
    weights: IntArray
    read: IntArray
    guest: BoolArray
    rate: DramRate


class _Step(NamedTuple):
    """Scratch of an FLG of s layers."""

    places: IntArray  # [m]
    inside: BoolArray  # [m]: whether a layer of the FLG reads another one
    capable: BoolArray  # [m]: whether a layer may have parts elsewhere
    live: IntArray  # [m, O]
    possible: BoolArray  # [O]
    energy_pj: FloatArray  # [O]: of all layers but the capable ones
    cycles: FloatArray  # [O]
    dram_cycles: FloatArray  # [O]
    sources: IntArray  # [MOST_SOURCES]
    edges: IntArray  # [e, 4]: edge of the network, edge of the figures, which of the sources, which of the layers
    load: IntArray  # [MOST_SOURCES, O]: bytes of one tile's load
    need: IntArray  # [O]
    item: IntArray  # [n]: place of a layer that may have parts elsewhere; -1 of a source that is found
    part: FloatArray  # [n]: the most of it that may be elsewhere
    gain: FloatArray  # [n, 2]: bytes that it takes less in the buffer if it is loaded, or if it is held
    cost: FloatArray  # [n, 2]: of that
    moved: FloatArray  # [n]: bytes loaded


@compiled
def extend_wide_paths(
    table: NetworkTable,
    member: BoolArray,
    target: int,
    before: IntArray,
    capacity: int,
    multipliers: FloatArray,
    layers: WideLayers,
    figures: WideEnd,
    least: FloatArray,
) -> None:
    """Lower ``least[target, A]`` to the cost of the paths whose last step is from one of the downsets `before`.

    Parameters
    ----------
    member
        bool[N, L]: the downsets.
    target
        The downset that holds the layers of `figures` but for the guests.
    multipliers
        float64[M, 3]: of energy, of cycles of tiles, of cycles of transfers.
    least
        float64[N, N, M]: by downset and by the begin of the last LG, which may be the downset itself.
    """
    m, options = figures.can.shape
    edges, marks, size = len(figures.brought), len(multipliers), member.shape[1]
    step = _Step(
        places=np.empty(m, np.int64),
        inside=np.empty(m, np.bool_),
        capable=np.empty(m, np.bool_),
        live=np.empty((m, options), np.int64),
        possible=np.empty(options, np.bool_),
        energy_pj=np.empty(options, np.float64),
        cycles=np.empty(options, np.float64),
        dram_cycles=np.empty(options, np.float64),
        sources=np.empty(MOST_SOURCES, np.int64),
        edges=np.empty((edges, 4), np.int64),
        load=np.empty((MOST_SOURCES, options), np.int64),
        need=np.empty(options, np.int64),
        item=np.empty(MOST_SOURCES + m, np.int64),
        part=np.empty(MOST_SOURCES + m, np.float64),
        gain=np.empty((MOST_SOURCES + m, 2), np.float64),
        cost=np.empty((MOST_SOURCES + m, 2), np.float64),
        moved=np.empty(MOST_SOURCES + m, np.float64),
    )
    prices = np.empty((1 << MOST_SOURCES, marks), np.float64)
    known = np.zeros(1 << MOST_SOURCES, np.int64)  # at which step the price was found
    for i in range(len(before)):
        start = before[i]
        counts = _gather(table, member, start, layers, figures, step)
        sources = counts[1]
        _sum_up(layers, figures, counts, step)
        for begin in range(start + 1):
            if not least[start, begin, 0] < np.inf:
                continue
            loaded, shared, paid = 0, 0, 0
            for n in range(sources):
                source = step.sources[n]
                if source < size and not member[begin, source]:
                    continue
                loaded |= 1 << n
                known_reader, other_reader = False, layers.served[source]
                for at in range(layers.reader_begin[source], layers.reader_begin[source + 1]):
                    reader = layers.reader[at]
                    known_reader |= member[start, reader] and not member[begin, reader]
                    other_reader |= layers.share[reader] < 1 and not member[start, reader]
                if known_reader:
                    shared |= 1 << n
                elif other_reader:
                    paid |= 1 << n
            may_be_held = shared | paid
            held = may_be_held
            while True:
                mask = loaded & ~held
                if known[mask] != i + 1:
                    known[mask] = i + 1
                    _price(capacity, multipliers, layers, figures, counts, mask, step, prices)
                moved = 0
                for n in range(sources):
                    if held & paid & (1 << n):
                        moved += int(layers.full[step.sources[n]] * _least_share(layers, step.sources[n]))
                for mark in range(marks):
                    cost = least[start, begin, mark] + prices[mask, mark]
                    cost += moved * _per_byte(multipliers, mark, layers)
                    if cost < least[target, begin, mark]:
                        least[target, begin, mark] = cost
                if held == 0:
                    break
                held = (held - 1) & may_be_held


@in_place
def _least_share(layers: WideLayers, source: int) -> float:
    """Return the share of the smallest part of a source; 1 if it is not divided."""
    share: float = layers.share[source] if source < len(layers.share) else 1.0
    return share


@in_place
def _per_byte(multipliers: FloatArray, mark: int, layers: WideLayers) -> float:
    """Return the least cost of moving a byte."""
    cost: float = multipliers[mark, 0] * layers.pj_per_byte[0] + multipliers[mark, 2] * layers.cycles_per_byte[0]
    return cost


@in_place
def _gather(
    table: NetworkTable, member: BoolArray, start: int, layers: WideLayers, figures: WideEnd, step: _Step
) -> tuple[int, int, int]:
    """List layers, sources and edges of the FLG after `start`; return how many there are."""
    source_begin = table.source_begin
    size, sources, edges = 0, 0, 0
    for place in range(len(figures.order)):
        layer = figures.order[place]
        if member[start, layer]:
            continue
        step.inside[size] = False
        for edge in range(source_begin[layer], source_begin[layer + 1]):
            source = table.source[edge]
            if source >= 0 and not member[start, source]:
                step.inside[size] = True
                continue
            if figures.guest[place]:
                continue
            if source < 0:
                if not layers.tracked[-1 - source]:
                    continue
                source = member.shape[1] - 1 - source
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
        step.capable[size] = layers.share[layer] < 1 and not step.inside[size] and not figures.guest[place]
        size += 1
    return size, sources, edges


@in_place
def _sum_up(layers: WideLayers, figures: WideEnd, counts: tuple[int, int, int], step: _Step) -> None:
    """Sum costs over the layers of the FLG; fill what is alive at a tile of each, and what a tile's loads are."""
    size, sources, edges = counts
    options = len(figures.number)
    for option in range(options):
        step.possible[option] = True
        step.energy_pj[option] = step.cycles[option] = step.dram_cycles[option] = 0.0
    for i in range(size):
        place = step.places[i]
        for option in range(options):
            step.possible[option] &= figures.can[place, option]
            step.live[i, option] = figures.live[place, option]
        if not step.capable[i]:
            for option in range(options):
                step.energy_pj[option] += figures.energy_pj[place, option]
                step.cycles[option] += figures.cycles[place, option]
                step.dram_cycles[option] += figures.dram_cycles[place, option]
        for j in range(i):
            other = step.places[j]
            if figures.crosses[other, place]:
                for option in range(options):
                    step.live[i, option] += figures.held[other, option]
    for n in range(sources):
        for option in range(options):
            step.load[n, option] = 0
    for at in range(edges):
        n, edge = step.edges[at, 2], step.edges[at, 1]
        for option in range(options):
            step.load[n, option] = max(step.load[n, option], figures.brought[edge, option])


@in_place
def _price(
    capacity: int,
    multipliers: FloatArray,
    layers: WideLayers,
    figures: WideEnd,
    counts: tuple[int, int, int],
    loaded: int,
    step: _Step,
    prices: FloatArray,
) -> None:
    """Fill ``prices[loaded]``: the least costs of the FLG if it loads these sources, and finds the others."""
    size, sources, edges = counts
    options, marks = len(figures.number), len(multipliers)
    for mark in range(marks):
        prices[loaded, mark] = np.inf
    weights, found, least_weights = 0, 0, 0
    for i in range(size):
        weight = figures.weights[step.places[i]]
        weights += weight
        least_weights += int(weight * layers.share[figures.order[step.places[i]]]) if step.capable[i] else weight
    least_found = 0
    for n in range(sources):
        if not loaded >> n & 1:
            whole = layers.whole[step.sources[n]]
            found += whole
            least_found += int(whole * _least_share(layers, step.sources[n]))
    if size == 1:
        _price_alone(capacity, multipliers, layers, figures, counts, loaded, step, prices)
    if least_weights + least_found > capacity:
        return
    fine = True
    for i in range(size):
        fine &= figures.fine[step.places[i]]
    if fine:
        _price_fine(multipliers, layers, figures, counts, loaded, step, prices)
    for option in range(options):
        step.need[option] = 0
    for i in range(size):
        _need(figures, i, edges, loaded, step)
    for option in range(options):
        if not step.possible[option]:
            continue
        if figures.number[option] == 2:
            excess = found + _least_of_two(weights, figures, size, edges, loaded, option, step) - capacity
        else:
            excess = found + weights + step.need[option] - capacity
        items, most = _reliefs(layers, figures, size, sources, loaded, option, step)
        if most < excess:
            continue
        energy, cycles, dram = step.energy_pj[option], step.cycles[option], step.dram_cycles[option]
        number = figures.number[option]
        for n in range(sources):
            if loaded >> n & 1:
                times = number * layers.times[step.sources[n]]
                energy += times * step.load[n, option] * layers.pj_per_byte[0]
                dram += times * transfer_cycles(step.load[n, option], figures.rate)
        for mark in range(marks):
            cost = multipliers[mark, 0] * energy + multipliers[mark, 1] * cycles + multipliers[mark, 2] * dram
            if items > 0 and cost < prices[loaded, mark]:
                most = prices[loaded, mark] - cost
                cost += _cost_of_division(excess, most, multipliers, mark, layers, figures, items, option, step)
            prices[loaded, mark] = min(prices[loaded, mark], cost)


@in_place
def _reliefs(
    layers: WideLayers, figures: WideEnd, size: int, sources: int, loaded: int, option: int, step: _Step
) -> tuple[int, float]:
    """List what may be elsewhere; return how many there are, and the most bytes that they take less in the buffer.

    Each has two ways: its channels elsewhere are loaded, or held in whole.
    """
    items, most = 0, SPARE_BYTES
    number = figures.number[option]
    for n in range(sources):
        source = step.sources[n]
        share = _least_share(layers, source)
        if loaded >> n & 1 or share == 1:
            continue
        step.item[items] = -1
        step.part[items] = 1 - share
        step.gain[items, 0] = step.gain[items, 1] = layers.whole[source]
        step.moved[items] = number * step.load[n, option]
        most += step.part[items] * step.gain[items, 0]
        items += 1
    for i in range(size):
        if not step.capable[i]:
            continue
        place = step.places[i]
        layer = figures.order[place]
        kept = figures.weights[place] + figures.held[place, option]
        step.item[items] = place
        step.part[items] = 1 - layers.share[layer]
        step.gain[items, 0] = kept
        step.gain[items, 1] = kept if figures.last[place] else kept - layers.whole[layer]
        step.moved[items] = 0 if figures.last[place] else number * figures.read[place, option]
        most += step.part[items] * kept
        items += 1
    return items, most


@in_place
def _cost_of_division(
    excess: int,
    most: float,
    multipliers: FloatArray,
    mark: int,
    layers: WideLayers,
    figures: WideEnd,
    items: int,
    option: int,
    step: _Step,
) -> float:
    """Return the least cost of all that may be elsewhere, such that so many bytes less are held: by duality.

    It may be any bound of at least `most` if it is more than that.
    """
    per_byte = _per_byte(multipliers, mark, layers)
    base, simple = 0.0, excess <= 0
    for at in range(items):
        place = step.item[at]
        step.cost[at, 0] = step.moved[at] * per_byte
        step.cost[at, 1] = step.cost[at, 0]
        if place >= 0:
            here = multipliers[mark, 0] * figures.energy_pj[place, option]
            here += multipliers[mark, 1] * figures.cycles[place, option]
            here += multipliers[mark, 2] * figures.dram_cycles[place, option]
            elsewhere = layers.elsewhere_cost[figures.order[place], mark] - here
            base += here
            step.cost[at, 0] += elsewhere
            step.cost[at, 1] = elsewhere
            simple &= elsewhere >= 0 or step.gain[at, 1] >= 0
    best = _dual(0.0, excess, items, step)
    if simple or base + best >= most:  # with room to spare, a byte is worth nothing
        return base + best
    total, bytes_ = base, abs(float(excess))
    for at in range(items):
        total += abs(step.cost[at, 0]) + abs(step.cost[at, 1])
        bytes_ += abs(step.gain[at, 0]) + abs(step.gain[at, 1])
    for at in range(items):
        for way in range(3):  # where one of the three ways of an item becomes better than another
            cost = step.cost[at, way] if way < 2 else step.cost[at, 0] - step.cost[at, 1]
            gain = step.gain[at, way] if way < 2 else step.gain[at, 0] - step.gain[at, 1]
            if cost * gain > 0 and cost / gain * bytes_ < MOST_WORTH * total:
                best = max(best, _dual(cost / gain, excess, items, step))
    return base + best


@in_place
def _dual(worth: float, excess: int, items: int, step: _Step) -> float:
    """Return what the parts elsewhere cost at least if a byte of the buffer is worth so much."""
    value = worth * excess
    for at in range(items):
        ways = min(step.cost[at, 0] - worth * step.gain[at, 0], step.cost[at, 1] - worth * step.gain[at, 1])
        value += step.part[at] * min(0.0, ways)
    return value


@in_place
def _need(figures: WideEnd, i: int, edges: int, loaded: int, step: _Step) -> None:
    """Raise the bytes that are needed beside weights and held sources to those at a tile of layer i of the FLG."""
    options = len(figures.number)
    for option in range(options):
        step.need[option] = max(
            step.need[option], alive_at(i, option, step.live, figures.brought, step.edges, edges, loaded)
        )


@in_place
def _least_of_two(weights: int, figures: WideEnd, size: int, edges: int, loaded: int, option: int, step: _Step) -> int:
    """Return the bytes, but for held sources, that an FLG of Tiling Number 2 needs at least."""
    most, turn = 0, -1
    for i in range(size):
        alive = alive_at(i, option, step.live, figures.brought, step.edges, edges, loaded)
        most = max(most, figures.weights[step.places[i]] + alive)
        if figures.last[step.places[i]] and (turn < 0 or weights + alive < turn):
            turn = weights + alive
    if figures.gaps:
        turn = weights
    return max(most, turn)


@in_place
def _price_alone(
    capacity: int,
    multipliers: FloatArray,
    layers: WideLayers,
    figures: WideEnd,
    counts: tuple[int, int, int],
    loaded: int,
    step: _Step,
    prices: FloatArray,
) -> None:
    """Lower the costs of a layer in an FLG of its own to those with one tile."""
    _, _, edges = counts
    layer = figures.order[step.places[0]]
    alive = layers.alone[layer]
    energy, dram = 0.0, 0.0
    for at in range(edges):
        n, moved = step.edges[at, 2], layers.alone_bytes[step.edges[at, 0]]
        source = step.sources[n]
        if not loaded >> n & 1:
            alive += min(layers.whole[source], moved)
            continue
        alive += moved
        times = layers.times[source]
        energy += times * moved * layers.pj_per_byte[0]
        dram += times * transfer_cycles(moved, figures.rate)
    if alive > capacity:
        return
    for mark in range(len(multipliers)):
        cost = layers.alone_cost[layer, mark] + multipliers[mark, 0] * energy + multipliers[mark, 2] * dram
        prices[loaded, mark] = min(prices[loaded, mark], cost)


@in_place
def _price_fine(
    multipliers: FloatArray,
    layers: WideLayers,
    figures: WideEnd,
    counts: tuple[int, int, int],
    loaded: int,
    step: _Step,
    prices: FloatArray,
) -> None:
    """Lower the costs to those with more parts than are listed."""
    size, sources, edges = counts
    energy, dram = 0.0, 0.0
    for n in range(sources):
        if loaded >> n & 1 == 0:
            continue
        moved = 0
        for at in range(edges):
            if step.edges[at, 2] == n:
                moved = max(moved, layers.fine_bytes[step.edges[at, 0]])
        times = layers.times[step.sources[n]]
        energy += times * moved * layers.pj_per_byte[0]
        dram += times * transfer_cycles(moved, figures.rate)
    for mark in range(len(multipliers)):
        cost = multipliers[mark, 0] * energy + multipliers[mark, 2] * dram
        for i in range(size):
            layer = figures.order[step.places[i]]
            if step.capable[i]:
                cost += layers.any_cost[layer, mark]
            elif not figures.guest[step.places[i]]:
                cost += layers.fine_cost[layer, mark]
        prices[loaded, mark] = min(prices[loaded, mark], cost)
