"""Paths over downsets that know when compute waits: kernels (`soma_cp.solver.every_lfa.path_times` has the theorem).

`extend_labels` takes all steps I → J; `close_labels` ends LGs at J; `pack_labels` keeps what no other label of J
dominates.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import BoolArray, FloatArray, IntArray
from soma_cp.model.compiled import compiled, in_place
from soma_cp.solver.every_lfa.lg_classes import LGClasses
from soma_cp.solver.every_lfa.path_steps import (
    FOUND,
    KEPT,
    RESIDENT,
    STATE,
    STAYS,
    TARGET,
    EndFigures,
    FLGSums,
    Needs,
    PathInput,
    begin_step,
    bytes_of,
    fill_alive,
    fill_needs,
    is_open,
    list_moves,
    made_in_round,
    new_moves,
    new_needs,
    new_sums,
    opens_of,
    stores_of,
)

MOST_WAYS = 64
"""Pairs of what is on chip before and after an FLG whose ways are kept; after so many, they are found again."""
ENERGY, CYCLES, UNTIL, LOADS, SLACK = range(5)
"""Columns of a way: pJ; cycles of its tiles; from when its first loads could begin to its end at least; cycles of all
its loads; by how many cycles the channel may be ahead of its end at most."""


class TimeFigures(NamedTuple):
    """What is known of the layers beside `LayerFigures`.

    Parameters
    ----------
    choice_begin
        int64[L + 1]: the choices of each layer with one tile.
    choice_cycles, choice_pj
        float64[…]: of each choice; pJ with the loads of external inputs and the stores of outputs.
    fine_cycles, fine_pj
        float64[L]: least of each over all tilings with more parts than are listed; infinite if there is none.
    fine_number
        The least Tiling Number of these.
    uses
        bool[L, L]: by producer and consumer.
    cycles_per_byte
        A transfer takes at least so many for each byte of the buffer.
    """

    choice_begin: IntArray
    choice_cycles: FloatArray
    choice_pj: FloatArray
    fine_cycles: FloatArray
    fine_pj: FloatArray
    fine_number: int
    uses: BoolArray
    cycles_per_byte: float


class Labels(NamedTuple):
    """The labels of all downsets that are done.

    Parameters
    ----------
    first
        int64[S · M + 1]: the first label of each state of an LG and multipliers, those of a state together.
    cost, loaded
        float64[…]: of each label: with the time of compute, and with that of the channel.
    """

    first: IntArray
    cost: FloatArray
    loaded: FloatArray


class Buckets(NamedTuple):
    """The labels of a downset by lead: of those in a bucket, the least of each cost.

    Parameters
    ----------
    cost, loaded
        float64[S, M, K]: by state of the downset and multipliers; infinite if there is no label.
    least, width
        Cycles: the least lead of the first bucket, which has all shorter ones, too; leads of a bucket. The last has all
        longer ones.
    """

    cost: FloatArray
    loaded: FloatArray
    least: float
    width: float


class _Ways(NamedTuple):
    """Scratch: the ways in which an FLG may run if it loads certain sources."""

    found: IntArray  # [MOST_WAYS]: open layers that are on chip before the FLG
    stays: IntArray  # [MOST_WAYS]: and after it
    counts: IntArray  # [MOST_WAYS]: of ways that no other dominates
    listed: FloatArray  # [MOST_WAYS, …, 5]
    slack: FloatArray  # [O]: least from the last tile of a layer
    after_loads: FloatArray  # [O]: least cycles of a tile of a layer and of its descendants


@compiled
def extend_labels(
    paths: PathInput,
    after: int,
    before: IntArray,
    multipliers: FloatArray,
    figures: EndFigures,
    times: TimeFigures,
    labels: Labels,
    buckets: Buckets,
) -> None:
    """Add to `buckets` the labels of the paths to `after` whose last step is from one of the downsets `before`.

    `multipliers`, float64[M, 2], are those of energy and of latency; they replace those of `paths`.
    """
    options = len(figures.number)
    step, needs, moves = new_sums(figures), new_needs(figures), new_moves(paths.classes, before, after)
    most = options + 1 + (times.choice_begin[1:] - times.choice_begin[:-1]).max()
    ways = _Ways(
        found=np.empty(MOST_WAYS, np.int64),
        stays=np.empty(MOST_WAYS, np.int64),
        counts=np.empty(MOST_WAYS, np.int64),
        listed=np.empty((MOST_WAYS, most, 5), np.float64),
        slack=np.empty(options, np.float64),
        after_loads=np.empty(options, np.float64),
    )
    for start in before:
        counts = begin_step(paths, start, after, figures, step, moves)
        for at in range(paths.classes.begin_first[start + 1] - paths.classes.begin_first[start]):
            loaded = moves.loaded[at]
            if loaded < 0:
                continue
            known = 0
            for n in range(list_moves(paths, start, at, after, moves)):
                move = moves.listed[n]
                first = move[STATE] * len(multipliers)
                if labels.first[first] == labels.first[first + 1]:
                    continue
                which = 0
                while which < known and (ways.found[which] != move[FOUND] or ways.stays[which] != move[STAYS]):
                    which += 1
                if which == known:
                    which = which % MOST_WAYS
                    known = which + 1
                    ways.found[which], ways.stays[which] = move[FOUND], move[STAYS]
                    ways.counts[which] = _list_ways(
                        paths, (start, after), move, figures, times, counts, loaded, step, needs, ways, which
                    )
                _take_move(
                    move, paths, after, multipliers, times, labels, ways.listed[which], ways.counts[which], buckets
                )


@in_place
def _take_move(
    move: IntArray,
    paths: PathInput,
    after: int,
    multipliers: FloatArray,
    times: TimeFigures,
    labels: Labels,
    ways: FloatArray,
    count: int,
    buckets: Buckets,
) -> None:
    """Add the labels to which a move leads."""
    target = move[TARGET] - paths.classes.state_first[after]
    most_lead = (paths.capacity - move[RESIDENT]) * times.cycles_per_byte
    for mark in range(len(multipliers)):
        first = move[STATE] * len(multipliers) + mark
        energy_price, cycle_price = multipliers[mark, 0], multipliers[mark, 1]
        for label in range(labels.first[first], labels.first[first + 1]):
            lead = min((labels.cost[label] - labels.loaded[label]) / cycle_price, most_lead)
            for way in range(count):
                end_of_tiles = max(ways[way, CYCLES], ways[way, UNTIL] - lead)
                loaded = ways[way, LOADS] - lead
                cycles = max(end_of_tiles, loaded)
                loaded = max(loaded, end_of_tiles - ways[way, SLACK])
                cost = labels.cost[label] + energy_price * ways[way, ENERGY] + cycle_price * cycles
                put_label(cost, max(cycles - loaded, 0.0), cycle_price, target, mark, buckets)


@in_place
def put_label(cost: float, lead: float, cycle_price: float, state: int, mark: int, buckets: Buckets) -> None:
    """Put a label of a state into its bucket."""
    last = buckets.cost.shape[2] - 1
    place = (lead - buckets.least) / buckets.width
    bucket = max(int(place), 0) if place < last else last
    costs, loaded = buckets.cost[state, mark], buckets.loaded[state, mark]
    costs[bucket] = min(costs[bucket], cost)
    loaded[bucket] = min(loaded[bucket], cost - cycle_price * lead)


@in_place
def _list_ways(
    paths: PathInput,
    places: tuple[int, int],
    move: IntArray,
    figures: EndFigures,
    times: TimeFigures,
    counts: tuple[int, int, int],
    loaded: int,
    step: FLGSums,
    needs: Needs,
    ways: _Ways,
    which: int,
) -> int:
    """Fill the ways in which the FLG may run along a move if it loads these sources.

    Return how many no other dominates.
    """
    size, _, edges = counts
    listed, layers = ways.listed[which], paths.layers
    room = paths.capacity - move[RESIDENT]
    count, weights, fine = 0, 0, True
    for i in range(size):
        weights += layers.weights[figures.order[step.places[i]]]
        fine &= figures.fine[step.places[i]]
    if size == 1:
        count = _ways_of_one_tile(room, paths, figures, times, edges, loaded, step, listed)
    if weights > room:
        return count
    if fine:
        left = room - weights - bytes_of(paths.classes, places[1], move[KEPT], layers.fine_kept)
        count += _fine_way(left, weights, paths, figures, times, counts, loaded, step, listed[count])
    needs.mask[0] = move[KEPT]
    fill_needs(paths, places[1], figures, counts, loaded, weights, 0, step, needs)
    _find_slacks(paths, places, move, figures, times, counts, loaded, step, needs, ways)
    for option in range(len(figures.number)):
        if step.possible[option] and needs.bytes[0, option] <= room:
            left = room - needs.at_turn[0, option]
            _fill_way(left, weights, figures, times, edges, loaded, option, step, ways, listed[count])
            count += 1
    return undominated_ways(listed, count)


@in_place
def _ways_of_one_tile(
    room: int,
    paths: PathInput,
    figures: EndFigures,
    times: TimeFigures,
    edges: int,
    loaded: int,
    step: FLGSums,
    ways: FloatArray,
) -> int:
    """Fill the ways of a layer in an FLG of its own with one tile; return how many there are."""
    layers = paths.layers
    layer = figures.order[step.places[0]]
    moved, energy, count = 0, 0.0, 0
    for n in range(edges):
        if loaded >> step.edges[n, 2] & 1:
            moved += layers.alone_bytes[step.edges[n, 0]]
            energy += layers.alone_pj[step.edges[n, 0]]
    left = room - layers.alone[layer] - moved
    if left < 0:
        return 0
    loads = (layers.weights[layer] + moved) * times.cycles_per_byte
    for choice in range(times.choice_begin[layer], times.choice_begin[layer + 1]):
        ways[count, ENERGY] = times.choice_pj[choice] + energy
        ways[count, CYCLES] = times.choice_cycles[choice]
        ways[count, UNTIL] = loads + times.choice_cycles[choice]
        ways[count, LOADS] = loads
        ways[count, SLACK] = left * times.cycles_per_byte
        count += 1
    return count


@in_place
def _fine_way(
    left: int,
    weights: int,
    paths: PathInput,
    figures: EndFigures,
    times: TimeFigures,
    counts: tuple[int, int, int],
    loaded: int,
    step: FLGSums,
    way: FloatArray,
) -> int:
    """Fill the way that stands for more parts than are listed; return how many such ways there are, 1 or 0.

    `left` are bytes of the buffer beside residents, weights and tiles that are kept.
    """
    size, _, edges = counts
    energy, cycles = 0.0, 0.0
    for i in range(size):
        energy += times.fine_pj[figures.order[step.places[i]]]
        cycles += times.fine_cycles[figures.order[step.places[i]]]
    if left < 0 or not energy < np.inf:
        return 0
    for n in range(edges):
        if loaded >> step.edges[n, 2] & 1:
            energy += paths.layers.fine_pj[step.edges[n, 0]]
    one_round = cycles / times.fine_number
    loads = weights * times.cycles_per_byte
    way[ENERGY], way[CYCLES], way[UNTIL], way[LOADS] = energy, cycles, loads + cycles - one_round, loads
    way[SLACK] = one_round + left * times.cycles_per_byte
    return 1


@in_place
def _fill_way(
    left: int,
    weights: int,
    figures: EndFigures,
    times: TimeFigures,
    edges: int,
    loaded: int,
    option: int,
    step: FLGSums,
    ways: _Ways,
    way: FloatArray,
) -> None:
    """Fill the way of a Tiling Number of 2 or more; `left` are free bytes at the end of the last round but one."""
    number, per_byte = figures.number[option], times.cycles_per_byte
    energy, moved = step.energy_pj[option], 0  # bytes that a round loads
    for n in range(edges):
        if loaded >> step.edges[n, 2] & 1:
            energy += figures.brought_pj[step.edges[n, 1], option]
            moved += figures.brought[step.edges[n, 1], option]
    one_round = step.cycles[option] / number
    way[ENERGY], way[CYCLES] = energy, step.cycles[option]
    way[UNTIL] = (weights + moved) * per_byte + ways.after_loads[option] + (number - 1) * one_round
    way[LOADS] = (weights + number * moved) * per_byte
    way[SLACK] = min(ways.slack[option], one_round + (left - moved) * per_byte)


@in_place
def _find_slacks(
    paths: PathInput,
    places: tuple[int, int],
    move: IntArray,
    figures: EndFigures,
    times: TimeFigures,
    counts: tuple[int, int, int],
    loaded: int,
    step: FLGSums,
    needs: Needs,
    ways: _Ways,
) -> None:
    """Fill the least slack from the last tile of a layer, and the least cycles of one of it and of its descendants."""
    options = len(figures.number)
    for option in range(options):
        ways.slack[option] = ways.after_loads[option] = np.inf
    for i in range(counts[0]):
        fill_alive(paths.depends, figures, counts, i, loaded, step, needs)
        held = _held_at_last_tile(paths, places, move, figures, times, counts[0], i, step)
        layer = figures.order[step.places[i]]
        for option in range(options):
            if not step.possible[option]:
                continue
            number = figures.number[option]
            after, may_be_after = 0.0, 0.0
            for j in range(counts[0]):
                other = figures.order[step.places[j]]
                tile = figures.cycles[step.places[j], option] / number
                if paths.depends[other, layer]:
                    after += tile
                elif other != layer and not paths.depends[layer, other]:
                    may_be_after += max(0.0, tile - paths.layers.weights[other] * times.cycles_per_byte)
            made = (number - 1) * made_in_round(figures, counts[0], option, step, needs)
            left = paths.capacity - held - made - needs.alive[option]
            slack = after + may_be_after + left * times.cycles_per_byte
            ways.slack[option] = min(ways.slack[option], slack)
            own = figures.cycles[step.places[i], option] / number
            ways.after_loads[option] = min(ways.after_loads[option], own + after)


@in_place
def _held_at_last_tile(
    paths: PathInput,
    places: tuple[int, int],
    move: IntArray,
    figures: EndFigures,
    times: TimeFigures,
    size: int,
    i: int,
    step: FLGSums,
) -> int:
    """Return bytes at the last tile of layer i of the FLG: its weights, those of its descendants, and residents.

    A resident counts if it stays after the FLG, or if this layer or a descendant reads it.
    """
    layer, held = figures.order[step.places[i]], 0
    at = paths.classes.open_first[places[0]]
    for j in range(size):
        other = figures.order[step.places[j]]
        if other == layer or paths.depends[other, layer]:
            held += paths.layers.weights[other]
    for bit in range(opens_of(paths.classes, places[0])):
        if not move[FOUND] >> bit & 1:
            continue
        source = paths.classes.open_layer[at + bit]
        stays = is_open(paths.classes, places[1], source, move[STAYS])
        for j in range(size):
            reader = figures.order[step.places[j]]
            stays |= times.uses[source, reader] and (reader == layer or paths.depends[reader, layer])
        if stays:
            held += paths.layers.whole[source]
    return held


@in_place
def undominated_ways(ways: FloatArray, count: int) -> int:
    """Move the ways that no other dominates to the front; return how many there are."""
    kept = 0
    for way in range(count):
        worse = False
        for other in range(kept):
            worse |= _dominates(ways, other, way)
        if worse:
            continue
        left = 0  # of those kept so far
        for other in range(kept):
            if not _dominates(ways, way, other):
                for column in range(5):
                    ways[left, column] = ways[other, column]
                left += 1
        for column in range(5):
            ways[left, column] = ways[way, column]
        kept = left + 1
    return kept


@in_place
def _dominates(ways: FloatArray, a: int, b: int) -> bool:
    """Return whether way a is at least as good as way b in everything."""
    less = True
    for column in range(SLACK):
        less &= ways[a, column] <= ways[b, column]
    found: bool = less and ways[a, SLACK] >= ways[b, SLACK]
    return found


@compiled
def close_labels(
    classes: LGClasses, after: int, multipliers: FloatArray, whole_pj: FloatArray, buckets: Buckets
) -> None:
    """Add the labels of the paths to a downset if an LG ends there; arguments as in `close_paths`."""
    first, first_end = classes.begin_first[after], classes.end_first[after]
    begins, ends = classes.begin_first[after + 1] - first, classes.end_first[after + 1] - first_end
    new = classes.begin_class[after, after]
    for begin in range(begins):
        energy = stores_of(classes, after, classes.begin_mask[first + begin], whole_pj)
        for end in range(ends):
            if classes.end_mask[first_end + end] & ~classes.begin_mask[first + begin] != 0:
                continue
            for mark in range(len(multipliers)):
                for bucket in range(buckets.cost.shape[2]):
                    cost = buckets.cost[begin * ends + end, mark, bucket]
                    if cost < np.inf:
                        lead = (cost - buckets.loaded[begin * ends + end, mark, bucket]) / multipliers[mark, 1]
                        cost += multipliers[mark, 0] * energy
                        for target in range(new * ends, (new + 1) * ends):
                            put_label(cost, lead, multipliers[mark, 1], target, mark, buckets)


@compiled
def pack_labels(buckets: Buckets, states: tuple[int, int], labels: Labels, count: int, most: int) -> int:
    """Append the labels of a downset that no other dominates, and empty the buckets; return how many there are in all.

    `states` are the first state of the downset and that of the next. If there is no room for `most` of them, it is to
    be called again with more: −1.
    """
    marks, last = buckets.cost.shape[1], buckets.cost.shape[2] - 1
    for state in range(states[1] - states[0]):
        for mark in range(marks):
            costs, loaded = buckets.cost[state, mark], buckets.loaded[state, mark]
            labels.first[(states[0] + state) * marks + mark] = count
            best = np.inf
            for bucket in range(last, -1, -1):  # a longer lead at no more cost dominates
                if costs[bucket] < best:
                    best = costs[bucket]
                else:
                    costs[bucket] = np.inf
            best = np.inf
            for bucket in range(last + 1):  # and a shorter one if the channel is there at no more cost
                if costs[bucket] < np.inf and loaded[bucket] < best:
                    if count == most:
                        return -1
                    best = loaded[bucket]
                    labels.cost[count], labels.loaded[count] = costs[bucket], best
                    count += 1
    labels.first[states[1] * marks] = count
    buckets.cost[:] = np.inf
    buckets.loaded[:] = np.inf
    return count
