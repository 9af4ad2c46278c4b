"""Steps of paths over downsets: kernels for the paths with times and without.

A step I → J is an FLG. It goes from each state of the LG at I, a class of its begins and one of its ends
(`soma_cp.solver.every_lfa.lg_classes`), to those at J. `soma_cp.solver.every_lfa.downset_paths` says what it needs.
"""

from typing import NamedTuple, Protocol

import numpy as np

from soma_cp.model.arrays import BoolArray, FloatArray, IntArray
from soma_cp.model.compiled import compiled, in_place
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.solver.every_lfa.lg_classes import MOST_OPEN, LGClasses

MOST_SOURCES = 12
"""Sources of an FLG that are told apart; any others count as neither loaded nor held, which is less than the truth."""
MOST_NEEDS = 32
"""Sets of kept layers whose needs are kept; after so many, they are found again."""
STATE, TARGET, FOUND, STAYS, RESIDENT, KEPT = range(6)
"""Columns of a move: the state that it starts from, and the one that it leads to; the open layers on chip before and
after the FLG; the bytes of the former, its residents; those of the latter that are in the FLG."""


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


class Needs(NamedTuple):
    """Scratch: bytes that an FLG needs beside residents if it loads certain sources, by option."""

    bytes: IntArray  # [MOST_NEEDS, O]: if it keeps certain layers
    at_turn: IntArray  # [MOST_NEEDS, O]: those at the end of its last round but one
    mask: IntArray  # [MOST_NEEDS]: these layers
    most: IntArray  # [O]: most bytes alive at a tile, without weights
    first: IntArray  # [O]: most bytes alive at a tile, with the weights of its layer
    turn: IntArray  # [O]: bytes alive at the last tile of a round, without weights and tiles that are kept
    alive: IntArray  # [O]: bytes alive at a tile of one layer
    counted: IntArray  # [O]: bytes of tiles that are kept among those
    kept: BoolArray  # [m]: whether layer i of the FLG is kept


class Moves(NamedTuple):
    """Scratch: the moves from the states of a downset along a step."""

    loaded: IntArray  # [A]: by class of begins, which sources the FLG loads; -1 once its moves are listed
    goes_on: BoolArray  # [B, B']: whether a class of ends before the FLG and one after it have an end in common
    listed: IntArray  # [P, 6]


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
    )


@compiled
def new_needs(figures: EndFigures) -> Needs:
    """Return scratch for the needs of the FLGs that end at a downset."""
    m, options = figures.can.shape
    return Needs(
        bytes=np.empty((MOST_NEEDS, options), np.int64),
        at_turn=np.empty((MOST_NEEDS, options), np.int64),
        mask=np.empty(MOST_NEEDS, np.int64),
        most=np.empty(options, np.int64),
        first=np.empty(options, np.int64),
        turn=np.empty(options, np.int64),
        alive=np.empty(options, np.int64),
        counted=np.empty(options, np.int64),
        kept=np.empty(m, np.bool_),
    )


@compiled
def new_moves(classes: LGClasses, before: IntArray, after: int) -> Moves:
    """Return scratch for the moves along steps from these downsets to one."""
    most_begins, most_ends = 0, 0
    for start in before:
        most_begins = max(most_begins, classes.begin_first[start + 1] - classes.begin_first[start])
        most_ends = max(most_ends, classes.end_first[start + 1] - classes.end_first[start])
    ends = classes.end_first[after + 1] - classes.end_first[after]
    return Moves(
        loaded=np.empty(most_begins, np.int64),
        goes_on=np.empty((most_ends, ends), np.bool_),
        listed=np.empty((most_begins * most_ends * ends, 6), np.int64),
    )


@in_place
def begin_step(
    paths: PathInput, start: int, after: int, figures: EndFigures, step: FLGSums, moves: Moves
) -> tuple[int, int, int]:
    """Fill what is known of the FLG between two downsets; return the numbers of its layers, sources and edges."""
    counts = _gather(paths.table, paths.member, start, figures, step)
    _sum_up(figures, counts[0], step)
    mark_pairs(paths.classes, start, after, moves.goes_on)
    first = paths.classes.begin_first[start]
    for at in range(paths.classes.begin_first[start + 1] - first):
        begin, loaded = paths.classes.begin[first + at], 0
        for n in range(counts[1]):
            if paths.member[begin, step.sources[n]]:
                loaded |= 1 << n
        moves.loaded[at] = loaded
    return counts


@in_place
def list_moves(paths: PathInput, start: int, first: int, after: int, moves: Moves) -> int:
    """List the moves from the states whose begins load the same as that of class `first`, with none before it.

    Return how many there are.
    """
    count, sources = 0, moves.loaded[first]
    for at in range(first, paths.classes.begin_first[start + 1] - paths.classes.begin_first[start]):
        if moves.loaded[at] == sources:
            moves.loaded[at] = -1
            count = _list_moves_of(paths, start, at, after, count, moves)
    return count


@in_place
def _list_moves_of(paths: PathInput, start: int, at: int, after: int, count: int, moves: Moves) -> int:
    """Append the moves from the states of a class of begins; return how many moves there are now."""
    classes, whole = paths.classes, paths.layers.whole
    begin = classes.begin_first[start] + at
    at_after = classes.begin_class[after, classes.begin[begin]]
    begin_after = classes.begin_first[after] + at_after
    first_end, first_end_after = classes.end_first[start], classes.end_first[after]
    ends, ends_after = classes.end_first[start + 1] - first_end, classes.end_first[after + 1] - first_end_after
    ends_there = at != classes.begin_class[start, start] and opens_of(classes, start) < MOST_OPEN
    for end in range(ends):
        found = classes.end_mask[first_end + end] & ~classes.begin_mask[begin]
        if found == 0 and ends_there:
            continue
        resident = bytes_of(classes, start, found, whole)
        for end_after in range(ends_after):
            stays = classes.end_mask[first_end_after + end_after] & ~classes.begin_mask[begin_after]
            if not moves.goes_on[end, end_after] or bytes_of(classes, after, stays, whole) > paths.capacity:
                continue
            move = moves.listed[count]
            move[STATE] = classes.state_first[start] + at * ends + end
            move[TARGET] = classes.state_first[after] + at_after * ends_after + end_after
            move[FOUND], move[STAYS], move[RESIDENT] = found, stays, resident
            move[KEPT] = made_after(classes, paths.member, start, after, stays)
            count += 1
    return count


@in_place
def mark_pairs(classes: LGClasses, start: int, after: int, goes_on: BoolArray) -> None:
    """Mark the classes of ends at `start` and at `after` that have an end in common."""
    goes_on[:] = False
    for end in range(len(classes.end_class)):
        if classes.end_class[after, end] >= 0:
            goes_on[classes.end_class[start, end], classes.end_class[after, end]] = True


@in_place
def _gather(
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
def _sum_up(figures: EndFigures, size: int, step: FLGSums) -> None:
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
def stores_of(classes: LGClasses, downset: int, loaded: int, cost: FloatArray) -> float:
    """Return what it costs, by layer in `cost`, to store a downset's open layers but those of the mask `loaded`."""
    found = 0.0
    for bit in range(opens_of(classes, downset)):
        if not loaded >> bit & 1:
            found += cost[classes.open_layer[classes.open_first[downset] + bit]]
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
def fill_needs(
    paths: PathInput,
    after: int,
    figures: EndFigures,
    counts: tuple[int, int, int],
    loaded: int,
    weights: int,
    need: int,
    step: FLGSums,
    needs: Needs,
) -> None:
    """Fill row `need` of the bytes that the FLG needs beside residents, and of those at the turn, by option."""
    for i in range(counts[0]):
        needs.kept[i] = is_open(paths.classes, after, figures.order[step.places[i]], needs.mask[need])
    options, most, first, turn = len(figures.number), needs.most, needs.first, needs.turn
    for option in range(options):
        most[option] = first[option] = 0
        turn[option] = 0 if figures.gaps else paths.capacity + 1
    for i in range(counts[0]):
        fill_alive(paths.depends, figures, counts, i, loaded, step, needs)
        place = step.places[i]
        own = paths.layers.weights[figures.order[place]]
        for option in range(options):
            most[option] = max(most[option], needs.alive[option])
            first[option] = max(first[option], own + needs.alive[option])
        if figures.last[place]:
            for option in range(options):
                turn[option] = min(turn[option], needs.alive[option] - needs.counted[option])
    for option in range(options):
        made = made_in_round(figures, counts[0], option, step, needs)
        number = figures.number[option]
        at_tile = first[option] if number == 2 else weights + most[option] + (number - 2) * made
        needs.at_turn[need, option] = weights + turn[option] + (number - 1) * made
        needs.bytes[need, option] = max(at_tile, needs.at_turn[need, option])


@in_place
def made_in_round(figures: EndFigures, size: int, option: int, step: FLGSums, needs: Needs) -> int:
    """Return the bytes of a tile of each layer that is kept."""
    made: int = 0
    for i in range(size):
        if needs.kept[i]:
            made += figures.held[step.places[i], option]
    return made


class _CutFLGs(Protocol):
    """What `fill_alive` reads of FLGs that end at a downset; as in `EndFigures`."""

    @property
    def order(self) -> IntArray: ...
    @property
    def number(self) -> IntArray: ...
    @property
    def held(self) -> IntArray: ...
    @property
    def brought(self) -> IntArray: ...
    @property
    def crosses(self) -> BoolArray: ...


class _LiveTiles(Protocol):
    """What `fill_alive` reads of one FLG; as in `FLGSums`."""

    @property
    def places(self) -> IntArray: ...
    @property
    def live(self) -> IntArray: ...
    @property
    def edges(self) -> IntArray: ...


class _Alive(Protocol):
    """What `fill_alive` fills, but for `kept`; as in `Needs`."""

    @property
    def kept(self) -> BoolArray: ...
    @property
    def alive(self) -> IntArray: ...
    @property
    def counted(self) -> IntArray: ...


@in_place
def fill_alive(
    depends: BoolArray,
    figures: _CutFLGs,
    counts: tuple[int, int, int],
    i: int,
    loaded: int,
    step: _LiveTiles,
    needs: _Alive,
) -> None:
    """Fill the bytes of this round that are alive at a tile of layer i, and how many are of kept layers.

    Where parts of layers are elsewhere, the latter are at most so many.
    """
    options, place = len(figures.number), step.places[i]
    for option in range(options):
        needs.alive[option] = step.live[i, option]
        needs.counted[option] = figures.held[place, option] if needs.kept[i] else 0
    for n in range(counts[2]):
        if step.edges[n, 3] == i and loaded >> step.edges[n, 2] & 1:
            for option in range(options):
                needs.alive[option] += figures.brought[step.edges[n, 1], option]
    for j in range(i):
        other = step.places[j]
        if not needs.kept[j] or not depends[figures.order[place], figures.order[other]]:
            continue
        for option in range(options):
            needs.counted[option] += figures.held[other, option]
            if not figures.crosses[other, place]:
                needs.alive[option] += figures.held[other, option]
