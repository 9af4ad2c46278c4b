"""Steps of paths over downsets in the wide space: kernels for the paths with times and without.

As `soma_cp.solver.every_lfa.path_steps` for the paper's space; `soma_cp.solver.every_lfa.wide_paths` has the theorem.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import BoolArray, FloatArray, IntArray
from soma_cp.model.compiled import compiled, in_place
from soma_cp.model.hardware.platform import DramRate
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.solver.every_lfa.lg_classes import MOST_OPEN, LGClasses
from soma_cp.solver.every_lfa.path_steps import MOST_NEEDS, made_after, mark_pairs, opens_of

MOST_SOURCES = 8
"""Sources of an FLG that are told apart; any others count as neither loaded nor held, which is less than the truth."""
MOST_FACTS = 60
"""Facts of an FLG that are told apart: two by source, one by layer that may have parts elsewhere, later ones aside."""
STATE, TARGET, RESIDENT, KEPT, FOUND, STAYS, BYTES = range(7)
"""Columns of a move: the state that it starts from, and the one that it leads to; bytes of the residents that are no
sources of the FLG; the open layers on chip after the FLG that are in it; least bytes of all residents; the open layers
on chip after the FLG that are not in it, and their least bytes."""


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


class WideInput(NamedTuple):
    """What all steps of the paths have in common: as `PathInput`, but for `layers`."""

    table: NetworkTable
    layers: WideLayers
    classes: LGClasses
    member: BoolArray
    depends: BoolArray
    capacity: int
    multipliers: FloatArray


class WideStep(NamedTuple):
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


class WideCase(NamedTuple):
    """Scratch: the sources and layers of an FLG in an LG that begins at one downset."""

    made: BoolArray  # [MOST_SOURCES]: whether a layer of the LG made the source
    divided: BoolArray  # [MOST_SOURCES]: whether channels of the source may be loaded though others are held
    early: BoolArray  # [m]: whether parts of a layer may be in an LG before
    kept: BoolArray  # [m]: whether a layer is kept
    need: IntArray  # [MOST_NEEDS, O]: bytes that the FLG needs beside residents, of each need that is known
    at_turn: IntArray  # [MOST_NEEDS, O]: those at the end of its last round but one
    need_key: IntArray  # [MOST_NEEDS, 2]: loaded sources, kept layers
    needs: IntArray  # [1]: how many needs are known
    most: IntArray  # [O]: as in the paper's space, and so are those that follow
    first: IntArray  # [O]
    turn: IntArray  # [O]
    of_kept: IntArray  # [O]
    alive: IntArray  # [O]
    counted: IntArray  # [O]


class WideMoves(NamedTuple):
    """Scratch: the moves from the states of a downset along a step."""

    goes_on: BoolArray  # [B, B']: whether a class of ends before the FLG and one after it have an end in common
    listed: IntArray  # [B · B', 7]: the moves from the states of a class of begins


@compiled
def new_wide_step(figures: WideEnd) -> WideStep:
    """Return scratch for the FLGs that end at a downset."""
    m, options = figures.can.shape
    return WideStep(
        places=np.empty(m, np.int64),
        inside=np.empty(m, np.bool_),
        capable=np.empty(m, np.bool_),
        live=np.empty((m, options), np.int64),
        possible=np.empty(options, np.bool_),
        energy_pj=np.empty(options, np.float64),
        cycles=np.empty(options, np.float64),
        dram_cycles=np.empty(options, np.float64),
        sources=np.empty(MOST_SOURCES, np.int64),
        edges=np.empty((len(figures.brought), 4), np.int64),
        load=np.empty((MOST_SOURCES, options), np.int64),
        item=np.empty(MOST_SOURCES + m, np.int64),
        part=np.empty(MOST_SOURCES + m, np.float64),
        gain=np.empty((MOST_SOURCES + m, 2), np.float64),
        cost=np.empty((MOST_SOURCES + m, 2), np.float64),
        moved=np.empty(MOST_SOURCES + m, np.float64),
    )


@compiled
def new_wide_case(figures: WideEnd) -> WideCase:
    """Return scratch for the cases of the FLGs that end at a downset."""
    m, options = figures.can.shape
    return WideCase(
        made=np.empty(MOST_SOURCES, np.bool_),
        divided=np.empty(MOST_SOURCES, np.bool_),
        early=np.empty(m, np.bool_),
        kept=np.empty(m, np.bool_),
        need=np.empty((MOST_NEEDS, options), np.int64),
        at_turn=np.empty((MOST_NEEDS, options), np.int64),
        need_key=np.empty((MOST_NEEDS, 2), np.int64),
        needs=np.zeros(1, np.int64),
        most=np.empty(options, np.int64),
        first=np.empty(options, np.int64),
        turn=np.empty(options, np.int64),
        of_kept=np.empty(options, np.int64),
        alive=np.empty(options, np.int64),
        counted=np.empty(options, np.int64),
    )


@compiled
def new_wide_moves(classes: LGClasses, before: IntArray, target: int) -> WideMoves:
    """Return scratch for the moves along steps from these downsets to one."""
    most_ends, ends = 0, classes.end_first[target + 1] - classes.end_first[target]
    for start in before:
        most_ends = max(most_ends, classes.end_first[start + 1] - classes.end_first[start])
    return WideMoves(
        goes_on=np.empty((most_ends, ends), np.bool_),
        listed=np.empty((most_ends * ends, 7), np.int64),
    )


@in_place
def begin_wide_step(
    paths: WideInput, start: int, target: int, figures: WideEnd, step: WideStep, case: WideCase, moves: WideMoves
) -> tuple[int, int, int]:
    """Fill what is known of the FLG between two downsets; return the numbers of its layers, sources and edges."""
    counts = _gather(paths.table, paths.member, start, paths.layers, figures, step)
    _sum_up(paths.layers, figures, counts, step)
    mark_pairs(paths.classes, start, target, moves.goes_on)
    case.needs[0] = 0
    return counts


@in_place
def list_wide_moves(
    paths: WideInput, places: tuple[int, int, int], sources: int, step: WideStep, moves: WideMoves
) -> int:
    """List the moves from the states of a class of begins; return how many there are.

    `places` are a downset, the place of a class of its begins, and the downset to which the moves lead.
    """
    classes, (start, at, target) = paths.classes, places
    count, begin = 0, classes.begin_first[start] + at
    first = classes.begin[begin]
    at_target = classes.begin_class[target, first]
    begin_target = classes.begin_first[target] + at_target
    first_end, first_end_target = classes.end_first[start], classes.end_first[target]
    ends, ends_target = classes.end_first[start + 1] - first_end, classes.end_first[target + 1] - first_end_target
    ends_there = at != classes.begin_class[start, start] and opens_of(classes, start) < MOST_OPEN
    ends_there &= not classes.begin_shares[begin]
    for end in range(ends):
        found = classes.end_mask[first_end + end] & ~classes.begin_mask[begin]
        if found == 0 and ends_there:
            continue
        residents = _skipped_bytes(paths, start, first, found, sources, step)
        held = _least_bytes(paths, start, first, found)
        for end_target in range(ends_target):
            if not moves.goes_on[end, end_target]:
                continue
            kept = classes.end_mask[first_end_target + end_target] & ~classes.begin_mask[begin_target]
            if _least_bytes(paths, target, first, kept) > paths.capacity:
                continue
            new = made_after(classes, paths.member, start, target, kept)
            move = moves.listed[count]
            move[STATE] = classes.state_first[start] + at * ends + end
            move[TARGET] = classes.state_first[target] + at_target * ends_target + end_target
            move[RESIDENT], move[KEPT], move[FOUND] = residents, new, held
            move[STAYS], move[BYTES] = kept & ~new, _least_bytes(paths, target, first, kept & ~new)
            count += 1
    return count


@in_place
def bytes_paid(paths: WideInput, held: int, sources: int, step: WideStep) -> int:
    """Return the bytes of the sources in a mask whose loads nobody else counts."""
    moved = 0
    for n in range(sources):
        if held & (1 << n):
            source = step.sources[n]
            moved += int(paths.layers.full[source] * least_share(paths.layers, source))
    return moved


@in_place
def _gather(
    table: NetworkTable, member: BoolArray, start: int, layers: WideLayers, figures: WideEnd, step: WideStep
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
def _sum_up(layers: WideLayers, figures: WideEnd, counts: tuple[int, int, int], step: WideStep) -> None:
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
def find_loads(paths: WideInput, start: int, begin: int, sources: int, step: WideStep) -> tuple[int, int, int]:
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
def note_facts(
    paths: WideInput,
    start: int,
    begin: int,
    figures: WideEnd,
    counts: tuple[int, int, int],
    step: WideStep,
    case: WideCase,
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
def _skipped_bytes(paths: WideInput, start: int, begin: int, mask: int, sources: int, step: WideStep) -> int:
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
def least_share(layers: WideLayers, source: int) -> float:
    """Return the share of the smallest part of a source; 1 if it is not divided."""
    share: float = layers.share[source] if source < len(layers.share) else 1.0
    return share


@in_place
def per_byte(multipliers: FloatArray, mark: int, layers: WideLayers) -> float:
    """Return the least cost of moving a byte."""
    cost: float = multipliers[mark, 0] * layers.pj_per_byte[0] + multipliers[mark, 2] * layers.cycles_per_byte[0]
    return cost
