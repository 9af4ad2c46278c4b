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
from soma_cp.solver.every_lfa.lg_classes import MOST_OPEN, LGClasses
from soma_cp.solver.every_lfa.path_steps import MOST_NEEDS, fill_alive, is_open, made_after, mark_pairs, opens_of

MOST_SOURCES = 8
"""Sources of an FLG that are told apart; any others count as neither loaded nor held, which is less than the truth."""
MOST_PRICES = 1024
"""Prices of an FLG that are kept; after so many, they are found again."""
MOST_FACTS = 60
"""Facts of an FLG that are told apart: two by source, one by layer that may have parts elsewhere, later ones aside."""
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
    fine_kept
        int64[L]: least bytes of all tiles but two, if there are more parts than are listed.
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
    fine_kept: IntArray
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
    item: IntArray  # [n]: place of a layer that may have parts elsewhere; -1 of a source that is found
    part: FloatArray  # [n]: the most of it that may be elsewhere
    gain: FloatArray  # [n, 2]: bytes that it takes less in the buffer if it is loaded, or if it is held
    cost: FloatArray  # [n, 2]: of that
    moved: FloatArray  # [n]: bytes loaded


class WideInput(NamedTuple):
    """What all steps of the paths have in common: as `PathInput`, but for `layers`."""

    table: NetworkTable
    layers: WideLayers
    classes: LGClasses
    member: BoolArray
    depends: BoolArray
    capacity: int
    multipliers: FloatArray


class _Case(NamedTuple):
    """Scratch: the sources and layers of an FLG in an LG that begins at one downset, and the prices that are known."""

    made: BoolArray  # [MOST_SOURCES]: whether a layer of the LG made the source
    divided: BoolArray  # [MOST_SOURCES]: whether channels of the source may be loaded though others are held
    early: BoolArray  # [m]: whether parts of a layer may be in an LG before
    kept: BoolArray  # [m]: whether a layer is kept
    need: IntArray  # [MOST_NEEDS, O]: bytes that the FLG needs beside residents, of each need that is known
    need_key: IntArray  # [MOST_NEEDS, 2]: loaded sources, kept layers
    needs: IntArray  # [1]: how many needs are known
    most: IntArray  # [O]: as in the paper's space, and so are those that follow
    first: IntArray  # [O]
    turn: IntArray  # [O]
    of_kept: IntArray  # [O]
    alive: IntArray  # [O]
    counted: IntArray  # [O]
    prices: IntArray  # [1]: how many prices are known
    key: IntArray  # [MOST_PRICES, 4]: loaded sources, other facts of sources and layers, residents, kept layers
    least: FloatArray  # [MOST_PRICES, M]


@compiled
def extend_wide_paths(paths: WideInput, target: int, before: IntArray, figures: WideEnd, least: FloatArray) -> None:
    """Lower the costs of the states of `target` to those of the paths whose last step is from one of `before`.

    Parameters
    ----------
    target
        The downset that holds the layers of `figures` but for the guests.
    least
        float64[…, M]: by state of the LG.
    """
    m, options = figures.can.shape
    edges, marks, classes = len(figures.brought), len(paths.multipliers), paths.classes
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
        item=np.empty(MOST_SOURCES + m, np.int64),
        part=np.empty(MOST_SOURCES + m, np.float64),
        gain=np.empty((MOST_SOURCES + m, 2), np.float64),
        cost=np.empty((MOST_SOURCES + m, 2), np.float64),
        moved=np.empty(MOST_SOURCES + m, np.float64),
    )
    case = _Case(
        made=np.empty(MOST_SOURCES, np.bool_),
        divided=np.empty(MOST_SOURCES, np.bool_),
        early=np.empty(m, np.bool_),
        kept=np.empty(m, np.bool_),
        need=np.empty((MOST_NEEDS, options), np.int64),
        need_key=np.empty((MOST_NEEDS, 2), np.int64),
        needs=np.zeros(1, np.int64),
        most=np.empty(options, np.int64),
        first=np.empty(options, np.int64),
        turn=np.empty(options, np.int64),
        of_kept=np.empty(options, np.int64),
        alive=np.empty(options, np.int64),
        counted=np.empty(options, np.int64),
        prices=np.zeros(1, np.int64),
        key=np.empty((MOST_PRICES, 4), np.int64),
        least=np.empty((MOST_PRICES, marks), np.float64),
    )
    most_ends = 0
    for start in before:
        most_ends = max(most_ends, classes.end_first[start + 1] - classes.end_first[start])
    goes_on = np.empty((most_ends, classes.end_first[target + 1] - classes.end_first[target]), np.bool_)
    for start in before:
        counts = _gather(paths.table, paths.member, start, paths.layers, figures, step)
        _sum_up(paths.layers, figures, counts, step)
        mark_pairs(classes, start, target, goes_on)
        case.prices[0] = case.needs[0] = 0
        for at in range(classes.begin_first[start + 1] - classes.begin_first[start]):
            _extend_from(paths, (start, at, target), figures, counts, goes_on, step, case, least)


@in_place
def _extend_from(
    paths: WideInput,
    places: tuple[int, int, int],
    figures: WideEnd,
    counts: tuple[int, int, int],
    goes_on: BoolArray,
    step: _Step,
    case: _Case,
    least: FloatArray,
) -> None:
    """Take the step from the states of a class of begins."""
    classes, (start, at, target) = paths.classes, places
    begin = classes.begin_first[start] + at
    at_target = classes.begin_class[target, classes.begin[begin]]
    begin_target = classes.begin_first[target] + at_target
    first_end, first_end_target = classes.end_first[start], classes.end_first[target]
    ends, ends_target = classes.end_first[start + 1] - first_end, classes.end_first[target + 1] - first_end_target
    loaded, shared, paid = _loads(paths, start, classes.begin[begin], counts[1], step)
    facts = _facts(paths, start, classes.begin[begin], figures, counts, step, case)
    ends_there = at != classes.begin_class[start, start] and opens_of(classes, start) < MOST_OPEN
    ends_there &= not classes.begin_shares[begin]
    for end in range(ends):
        state = classes.state_first[start] + at * ends + end
        found = classes.end_mask[first_end + end] & ~classes.begin_mask[begin]
        if not least[state, 0] < np.inf or (found == 0 and ends_there):
            continue
        residents = _skipped(paths, start, classes.begin[begin], found, counts[1], step)
        for end_target in range(ends_target):
            if not goes_on[end, end_target]:
                continue
            kept = classes.end_mask[first_end_target + end_target] & ~classes.begin_mask[begin_target]
            if _least_bytes(paths, target, classes.begin[begin], kept) > paths.capacity:
                continue
            new = made_after(classes, paths.member, start, target, kept)
            state_target = classes.state_first[target] + at_target * ends_target + end_target
            held = shared | paid
            while True:
                moved = 0
                for n in range(counts[1]):
                    if held & paid & (1 << n):
                        source = step.sources[n]
                        moved += int(paths.layers.full[source] * _least_share(paths.layers, source))
                # Without residents and kept layers it costs no more.
                which = _price_of(paths, target, figures, counts, (loaded & ~held, facts, 0, 0), step, case)
                if _is_less(paths, (state, state_target), moved, which, case, least):
                    key = (loaded & ~held, facts, residents, new)
                    which = _price_of(paths, target, figures, counts, key, step, case)
                    _lower(paths, (state, state_target), moved, which, case, least)
                if held == 0:
                    break
                held = (held - 1) & (shared | paid)


@in_place
def _is_less(paths: WideInput, states: tuple[int, int], moved: int, which: int, case: _Case, least: FloatArray) -> bool:
    """Return whether a step from one state to another costs less at any multiplier than what is known."""
    for mark in range(len(paths.multipliers)):
        cost = least[states[0], mark] + case.least[which, mark]
        if cost + moved * _per_byte(paths.multipliers, mark, paths.layers) < least[states[1], mark]:
            return True
    return False


@in_place
def _lower(paths: WideInput, states: tuple[int, int], moved: int, which: int, case: _Case, least: FloatArray) -> None:
    """Lower the costs of a state to those of the step from another one, which moves so many bytes besides."""
    for mark in range(len(paths.multipliers)):
        cost = least[states[0], mark] + case.least[which, mark]
        cost += moved * _per_byte(paths.multipliers, mark, paths.layers)
        least[states[1], mark] = min(least[states[1], mark], cost)


@in_place
def _price_of(
    paths: WideInput,
    target: int,
    figures: WideEnd,
    counts: tuple[int, int, int],
    key: tuple[int, int, int, int],
    step: _Step,
    case: _Case,
) -> int:
    """Return the place of a price, which is found if it is not known."""
    known = case.prices[0]
    for which in range(known):
        if (
            case.key[which, 0] == key[0]
            and case.key[which, 1] == key[1]
            and case.key[which, 2] == key[2]
            and case.key[which, 3] == key[3]
        ):
            return which
    place = known if known < MOST_PRICES else 0
    case.prices[0] = place + 1
    case.key[place, 0], case.key[place, 1], case.key[place, 2], case.key[place, 3] = key
    _price(paths, target, figures, counts, place, step, case)
    return place


@in_place
def _loads(paths: WideInput, start: int, begin: int, sources: int, step: _Step) -> tuple[int, int, int]:
    """Return which sources are in no FLG of the LG; whose load a layer before may share; or one that was left out."""
    layers, member = paths.layers, paths.member
    loaded, shared, paid = 0, 0, 0
    for n in range(sources):
        source = step.sources[n]
        if source < member.shape[1] and not member[begin, source]:
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
    return loaded, shared, paid


@in_place
def _facts(
    paths: WideInput,
    start: int,
    begin: int,
    figures: WideEnd,
    counts: tuple[int, int, int],
    step: _Step,
    case: _Case,
) -> int:
    """Fill what is known of sources and layers if the LG begins at `begin`; return it as one number."""
    facts, bit = 0, 0
    for n in range(counts[1]):
        source = step.sources[n]
        case.made[n] = source < paths.member.shape[1] and not paths.member[begin, source]
        case.divided[n] = not case.made[n] or _may_be_early(paths, begin, source)
        facts |= int(case.made[n]) << bit | int(case.divided[n]) << (bit + 1)
        bit += 2
    for i in range(counts[0]):
        case.early[i] = step.capable[i]
        if step.capable[i] and bit < MOST_FACTS:
            case.early[i] = _may_be_early(paths, begin, figures.order[step.places[i]])
            facts |= int(case.early[i]) << bit
            bit += 1
    return facts


@in_place
def _may_be_early(paths: WideInput, begin: int, layer: int) -> bool:
    """Return whether parts of a layer may be in an LG before one that begins at `begin`: all its producers are."""
    for edge in range(paths.table.source_begin[layer], paths.table.source_begin[layer + 1]):
        source = paths.table.source[edge]
        if source >= 0 and paths.member[len(paths.member) - 1, source] and not paths.member[begin, source]:
            return False
    return True


@in_place
def _resident_bytes(paths: WideInput, begin: int, layer: int) -> int:
    """Return the least bytes of a layer that an LG has made and goes on to read."""
    if paths.layers.share[layer] < 1 and _may_be_early(paths, begin, layer):
        return int(paths.layers.whole[layer] * paths.layers.share[layer])
    whole: int = paths.layers.whole[layer]
    return whole


@in_place
def _skipped(paths: WideInput, start: int, begin: int, mask: int, sources: int, step: _Step) -> int:
    """Return the bytes of the residents in `mask` that are no sources of the FLG."""
    found, at = 0, paths.classes.open_first[start]
    while mask != 0:
        if mask & 1:
            layer = paths.classes.open_layer[at]
            is_source = False
            for n in range(sources):
                is_source |= step.sources[n] == layer
            if not is_source:
                found += _resident_bytes(paths, begin, layer)
        mask >>= 1
        at += 1
    return found


@in_place
def _least_bytes(paths: WideInput, downset: int, begin: int, mask: int) -> int:
    """Return the least bytes of the open layers of a downset in `mask`, of an LG that begins at `begin`."""
    found, at = 0, paths.classes.open_first[downset]
    while mask != 0:
        if mask & 1:
            found += _resident_bytes(paths, begin, paths.classes.open_layer[at])
        mask >>= 1
        at += 1
    return found


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
    paths: WideInput,
    target: int,
    figures: WideEnd,
    counts: tuple[int, int, int],
    which: int,
    step: _Step,
    case: _Case,
) -> None:
    """Fill ``case.least[which]``: the least costs of the FLG in the case that ``case.key[which]`` says."""
    size, sources, _ = counts
    layers, multipliers, loaded = paths.layers, paths.multipliers, case.key[which, 0]
    options, marks = len(figures.number), len(multipliers)
    for mark in range(marks):
        case.least[which, mark] = np.inf
    room = paths.capacity - case.key[which, 2]
    weights, least_weights, fine_kept, fine = 0, 0, 0, True
    for i in range(size):
        place, share = step.places[i], 1.0
        layer = figures.order[place]
        weight = figures.weights[place]
        weights += weight
        if step.capable[i]:
            share = layers.share[layer]
        least_weights += int(weight * share) if step.capable[i] else weight
        case.kept[i] = is_open(paths.classes, target, layer, case.key[which, 3])
        if case.kept[i]:
            fine_kept += int(layers.fine_kept[layer] * share)
        fine &= figures.fine[place]
    found, least_found = 0, 0
    for n in range(sources):
        if not loaded >> n & 1:
            whole = layers.whole[step.sources[n]]
            found += whole
            least_found += int(whole * _least_share(layers, step.sources[n])) if case.divided[n] else whole
    if size == 1:
        _price_alone(room, multipliers, layers, figures, counts, which, step, case)
    if least_weights + least_found > room:
        return
    if fine and least_weights + least_found + fine_kept <= room:
        _price_fine(multipliers, layers, figures, counts, which, step, case)
    need = _known_need(loaded, case.key[which, 3], case)
    if need < 0:
        need = _need(paths, figures, counts, weights, loaded, case.key[which, 3], step, case)
    for option in range(options):
        if not step.possible[option]:
            continue
        excess = found + case.need[need, option] - room
        items, most = _reliefs(layers, figures, size, sources, loaded, option, step, case)
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
            if items > 0 and cost < case.least[which, mark]:
                most = case.least[which, mark] - cost
                cost += _cost_of_division(excess, most, multipliers, mark, layers, figures, items, option, step)
            case.least[which, mark] = min(case.least[which, mark], cost)


@in_place
def _reliefs(
    layers: WideLayers, figures: WideEnd, size: int, sources: int, loaded: int, option: int, step: _Step, case: _Case
) -> tuple[int, float]:
    """List what may be elsewhere; return how many there are, and the most bytes that they take less in the buffer.

    Each has two ways: its channels elsewhere are loaded, if they may be in another LG, or held in whole.
    """
    items, most = 0, SPARE_BYTES
    number = figures.number[option]
    for n in range(sources):
        source = step.sources[n]
        share = _least_share(layers, source)
        if loaded >> n & 1 or share == 1 or not case.divided[n]:
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
        rounds = max(1, number - 1) if case.kept[i] else 1
        kept = figures.weights[place] + rounds * figures.held[place, option]
        step.item[items] = place
        step.part[items] = 1 - layers.share[layer]
        step.gain[items, 1] = kept if figures.last[place] and not case.kept[i] else kept - layers.whole[layer]
        step.gain[items, 0] = kept if case.early[i] else step.gain[items, 1]
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
def _known_need(loaded: int, kept: int, case: _Case) -> int:
    """Return the place of what the FLG needs; −1 if it is not known."""
    for at in range(case.needs[0]):
        if case.need_key[at, 0] == loaded and case.need_key[at, 1] == kept:
            return at
    return -1


@in_place
def _need(
    paths: WideInput,
    figures: WideEnd,
    counts: tuple[int, int, int],
    weights: int,
    loaded: int,
    kept: int,
    step: _Step,
    case: _Case,
) -> int:
    """Fill the bytes, but for residents and held sources, that the FLG needs at least with all channels in it.

    Return the place of the row in ``case.need``.
    """
    at = case.needs[0] if case.needs[0] < MOST_NEEDS else 0
    case.needs[0] = at + 1
    case.need_key[at, 0], case.need_key[at, 1] = loaded, kept
    size, options = counts[0], len(figures.number)
    for option in range(options):
        case.most[option] = case.first[option] = case.of_kept[option] = 0
        case.turn[option] = 0 if figures.gaps else paths.capacity
    for i in range(size):
        place = step.places[i]
        fill_alive(paths.depends, figures, counts, i, loaded, step, case)
        for option in range(options):
            case.most[option] = max(case.most[option], case.alive[option])
            case.first[option] = max(case.first[option], figures.weights[place] + case.alive[option])
        if case.kept[i]:
            for option in range(options):
                case.of_kept[option] += figures.held[place, option]
        if figures.last[place]:
            for option in range(options):
                case.turn[option] = min(case.turn[option], max(0, case.alive[option] - case.counted[option]))
    for option in range(options):
        number, made = figures.number[option], case.of_kept[option]
        at_tile = case.first[option] if number == 2 else weights + case.most[option] + (number - 2) * made
        case.need[at, option] = max(at_tile, weights + case.turn[option] + (number - 1) * made)
    return at


@in_place
def _price_alone(
    room: int,
    multipliers: FloatArray,
    layers: WideLayers,
    figures: WideEnd,
    counts: tuple[int, int, int],
    which: int,
    step: _Step,
    case: _Case,
) -> None:
    """Lower the costs of a layer in an FLG of its own to those with one tile."""
    _, sources, edges = counts
    loaded = case.key[which, 0]
    layer = figures.order[step.places[0]]
    alive = layers.alone[layer]
    energy, dram = 0.0, 0.0
    for at in range(edges):
        n, moved = step.edges[at, 2], layers.alone_bytes[step.edges[at, 0]]
        source = step.sources[n]
        if not loaded >> n & 1:
            if case.divided[n]:
                alive += min(layers.whole[source], moved)
            continue
        alive += moved
        times = layers.times[source]
        energy += times * moved * layers.pj_per_byte[0]
        dram += times * transfer_cycles(moved, figures.rate)
    for n in range(sources):
        if not (loaded >> n & 1 or case.divided[n]):
            alive += layers.whole[step.sources[n]]
    if alive > room:
        return
    for mark in range(len(multipliers)):
        cost = layers.alone_cost[layer, mark] + multipliers[mark, 0] * energy + multipliers[mark, 2] * dram
        case.least[which, mark] = min(case.least[which, mark], cost)


@in_place
def _price_fine(
    multipliers: FloatArray,
    layers: WideLayers,
    figures: WideEnd,
    counts: tuple[int, int, int],
    which: int,
    step: _Step,
    case: _Case,
) -> None:
    """Lower the costs to those with more parts than are listed."""
    size, sources, edges = counts
    loaded = case.key[which, 0]
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
        case.least[which, mark] = min(case.least[which, mark], cost)
