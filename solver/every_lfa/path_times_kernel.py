"""Paths over downsets that know when compute waits: kernels (`soma_cp.solver.every_lfa.path_times` has the theorem).

`extend_labels` takes all steps I → J; `close_labels` ends LGs at J; `pack_labels` keeps what no other label of J
dominates.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import BoolArray, FloatArray, IntArray
from soma_cp.model.compiled import compiled, in_place
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.solver.every_lfa.path_kernel import (
    MOST_SOURCES,
    EndFigures,
    FLGSums,
    LayerFigures,
    alive_at,
    fits_twice,
    gather_flg,
    new_sums,
    raise_need,
    read_later,
    sum_up,
)

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
    depends
        bool[L, L]: by layer and ancestor.
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
    depends: BoolArray
    cycles_per_byte: float


class Labels(NamedTuple):
    """The labels of all downsets that are done.

    Parameters
    ----------
    first
        int64[N, M, N + 1]: by downset and multipliers, the first label of each begin of the last LG.
    cost, lead
        float64[…]: of each label.
    """

    first: IntArray
    cost: FloatArray
    lead: FloatArray


class Buckets(NamedTuple):
    """The labels of a downset by lead: of those in a bucket, the least cost and the largest lead.

    Parameters
    ----------
    cost, lead
        float64[M, N, K]: by multipliers and by the begin of the last LG; infinite cost if there is no label.
    width
        Cycles; the last bucket has all longer leads.
    """

    cost: FloatArray
    lead: FloatArray
    width: float


@compiled
def extend_labels(
    table: NetworkTable,
    member: BoolArray,
    before: IntArray,
    capacity: int,
    multipliers: FloatArray,
    layers: LayerFigures,
    figures: EndFigures,
    times: TimeFigures,
    labels: Labels,
    buckets: Buckets,
) -> None:
    """Add to `buckets` the labels of the paths whose last step is from one of the downsets `before`.

    `multipliers`, float64[M, 2], are those of energy and of latency; the other arguments as in `extend_paths`.
    """
    sums = new_sums(figures)
    most = len(figures.number) + 1 + (times.choice_begin[1:] - times.choice_begin[:-1]).max()
    ways = np.empty((1 << MOST_SOURCES, most, 5), np.float64)
    known = np.zeros((1 << MOST_SOURCES, 3), np.int64)  # at which step; how many ways; bytes of sources that are held
    for i in range(len(before)):
        start = before[i]
        counts = gather_flg(table, member, start, figures, sums)
        sum_up(figures, counts[0], sums)
        for begin in range(start + 1):
            if labels.first[start, 0, begin] == labels.first[start, 0, begin + 1]:
                continue
            loaded = 0
            for n in range(counts[1]):
                if member[begin, sums.sources[n]]:
                    loaded |= 1 << n
            if known[loaded, 0] != i + 1:
                held = 0
                for n in range(counts[1]):
                    if not loaded >> n & 1:
                        held += layers.whole[sums.sources[n]]
                count = _list_ways(capacity - held, layers, figures, times, counts, loaded, sums, ways[loaded])
                known[loaded, 0], known[loaded, 1], known[loaded, 2] = i + 1, count, held
            most_lead = (capacity - known[loaded, 2]) * times.cycles_per_byte
            for mark in range(len(multipliers)):
                _take(
                    labels,
                    labels.first[start, mark, begin],
                    labels.first[start, mark, begin + 1],
                    most_lead,
                    ways[loaded],
                    known[loaded, 1],
                    multipliers[mark, 0],
                    multipliers[mark, 1],
                    buckets.cost[mark, begin],
                    buckets.lead[mark, begin],
                    buckets.width,
                )


@in_place
def _take(
    labels: Labels,
    first: int,
    end: int,
    most_lead: float,
    ways: FloatArray,
    count: int,
    energy_price: float,
    cycle_price: float,
    costs: FloatArray,
    leads: FloatArray,
    width: float,
) -> None:
    """Add the labels after a step to the buckets of a begin, from those before it and the step's ways."""
    for label in range(first, end):
        lead = min(labels.lead[label], most_lead)
        for way in range(count):
            end_of_tiles = max(ways[way, CYCLES], ways[way, UNTIL] - lead)
            loaded = ways[way, LOADS] - lead
            cycles = max(end_of_tiles, loaded)
            loaded = max(loaded, end_of_tiles - ways[way, SLACK])
            cost = labels.cost[label] + energy_price * ways[way, ENERGY] + cycle_price * cycles
            put_label(cost, max(cycles - loaded, 0.0), costs, leads, width)


@in_place
def put_label(cost: float, lead: float, costs: FloatArray, leads: FloatArray, width: float) -> None:
    """Put a label into its bucket."""
    last = len(costs) - 1
    bucket = int(lead / width) if lead < width * last else last
    costs[bucket] = min(costs[bucket], cost)
    leads[bucket] = max(leads[bucket], lead)


@in_place
def _list_ways(
    room: int,
    layers: LayerFigures,
    figures: EndFigures,
    times: TimeFigures,
    counts: tuple[int, int, int],
    loaded: int,
    sums: FLGSums,
    ways: FloatArray,
) -> int:
    """Fill the ways in which the FLG may run if it loads these sources; return how many no other dominates.

    `room` is what the buffer has beside the sources that are held.
    """
    size, _, edges = counts
    count, weights, fine = 0, 0, True
    for i in range(size):
        weights += layers.weights[figures.order[sums.places[i]]]
        fine &= figures.fine[sums.places[i]]
    if size == 1:
        count = _ways_of_one_tile(room, layers, figures, times, edges, loaded, sums, ways)
    if weights > room:
        return count
    if fine:
        count += _fine_way(room - weights, weights, layers, figures, times, counts, loaded, sums, ways[count])
    for option in range(len(figures.number)):
        sums.need[option] = 0
    for i in range(size):
        raise_need(figures, i, edges, loaded, sums)
    for option in range(len(figures.number)):
        if not sums.possible[option]:
            continue
        if figures.number[option] == 2:
            if not fits_twice(room, weights, layers, figures, size, edges, loaded, option, sums):
                continue
        elif sums.need[option] > room - weights:
            continue
        _fill_way(room, weights, layers, figures, times, counts, loaded, option, sums, ways[count])
        count += 1
    return _undominated(ways, count)


@in_place
def _ways_of_one_tile(
    room: int,
    layers: LayerFigures,
    figures: EndFigures,
    times: TimeFigures,
    edges: int,
    loaded: int,
    sums: FLGSums,
    ways: FloatArray,
) -> int:
    """Fill the ways of a layer in an FLG of its own with one tile; return how many there are."""
    layer = figures.order[sums.places[0]]
    moved, energy, count = 0, 0.0, 0
    for n in range(edges):
        if loaded >> sums.edges[n, 2] & 1:
            moved += layers.alone_bytes[sums.edges[n, 0]]
            energy += layers.alone_pj[sums.edges[n, 0]]
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
    layers: LayerFigures,
    figures: EndFigures,
    times: TimeFigures,
    counts: tuple[int, int, int],
    loaded: int,
    sums: FLGSums,
    way: FloatArray,
) -> int:
    """Fill the way that stands for more parts than are listed; return how many such ways there are, 1 or 0."""
    size, _, edges = counts
    energy, cycles = 0.0, 0.0
    for i in range(size):
        energy += times.fine_pj[figures.order[sums.places[i]]]
        cycles += times.fine_cycles[figures.order[sums.places[i]]]
    if not energy < np.inf:
        return 0
    for n in range(edges):
        if loaded >> sums.edges[n, 2] & 1:
            energy += layers.fine_pj[sums.edges[n, 0]]
    one_round = cycles / times.fine_number
    loads = weights * times.cycles_per_byte
    way[ENERGY], way[CYCLES], way[UNTIL], way[LOADS] = energy, cycles, loads + cycles - one_round, loads
    way[SLACK] = one_round + left * times.cycles_per_byte
    return 1


@in_place
def _fill_way(
    room: int,
    weights: int,
    layers: LayerFigures,
    figures: EndFigures,
    times: TimeFigures,
    counts: tuple[int, int, int],
    loaded: int,
    option: int,
    sums: FLGSums,
    way: FloatArray,
) -> None:
    """Fill the way of a Tiling Number of 2 or more."""
    size, _, edges = counts
    number, per_byte = figures.number[option], times.cycles_per_byte
    energy, moved = sums.energy_pj[option], 0  # bytes that a round loads
    for n in range(edges):
        if loaded >> sums.edges[n, 2] & 1:
            energy += figures.brought_pj[sums.edges[n, 1], option]
            moved += figures.brought[sums.edges[n, 1], option]
    one_round = sums.cycles[option] / number
    least_alive, slack, after_loads = -1, np.inf, one_round
    for i in range(size):
        alive = alive_at(i, option, sums.live, figures.brought, sums.edges, edges, loaded)
        if figures.last[sums.places[i]] and (least_alive < 0 or alive < least_alive):
            least_alive = alive
        in_slack, rest = _at_last_tile(room - alive, layers, figures, times, counts, loaded, option, i, sums)
        slack, after_loads = min(slack, in_slack), min(after_loads, rest)
    way[ENERGY], way[CYCLES] = energy, sums.cycles[option]
    way[UNTIL] = (weights + moved) * per_byte + after_loads + (number - 1) * one_round
    way[LOADS] = (weights + number * moved) * per_byte
    way[SLACK] = min(slack, one_round + (room - weights - max(least_alive, 0) - moved) * per_byte)


@in_place
def _at_last_tile(
    room: int,
    layers: LayerFigures,
    figures: EndFigures,
    times: TimeFigures,
    counts: tuple[int, int, int],
    loaded: int,
    option: int,
    i: int,
    sums: FLGSums,
) -> tuple[float, float]:
    """Return the slack from the last tile of layer i of the FLG, and cycles of one tile of it and its descendants.

    `room` is what the buffer has beside the sources that are held and the tiles that are alive.
    """
    size, sources, _ = counts
    number, per_byte = figures.number[option], times.cycles_per_byte
    layer = figures.order[sums.places[i]]
    cycles = figures.cycles[sums.places[i], option] / number
    after, may_be_after = 0.0, 0.0
    left = room - layers.weights[layer]
    for j in range(size):
        other = figures.order[sums.places[j]]
        tile = figures.cycles[sums.places[j], option] / number
        if times.depends[other, layer]:
            after += tile
            left -= layers.weights[other]
        elif other != layer and not times.depends[layer, other]:
            may_be_after += max(0.0, tile - layers.weights[other] * per_byte)
    for n in range(sources):  # those that only layers before it read may be gone
        if loaded >> n & 1:
            continue
        read = False
        for j in range(size):
            reader = figures.order[sums.places[j]]
            read |= times.uses[sums.sources[n], reader] and (reader == layer or times.depends[reader, layer])
        if not read:
            left += layers.whole[sums.sources[n]]
    return after + may_be_after + left * per_byte, cycles + after


@in_place
def _undominated(ways: FloatArray, count: int) -> int:
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
    table: NetworkTable,
    member: BoolArray,
    after: int,
    multipliers: FloatArray,
    whole_pj: FloatArray,
    buckets: Buckets,
) -> None:
    """Add the labels of the paths to a downset if an LG ends there; arguments as in `close_paths`."""
    stored = read_later(table, member, after)
    for begin in range(after):
        energy = 0.0
        for layer in range(len(stored)):
            if stored[layer] and not member[begin, layer]:
                energy += whole_pj[layer]
        for mark in range(len(multipliers)):
            costs, leads = buckets.cost[mark], buckets.lead[mark]
            for bucket in range(costs.shape[1]):
                if costs[begin, bucket] < np.inf:
                    cost = costs[begin, bucket] + multipliers[mark, 0] * energy
                    put_label(cost, leads[begin, bucket], costs[after], leads[after], buckets.width)


@compiled
def pack_labels(buckets: Buckets, after: int, labels: Labels, count: int, most: int) -> int:
    """Append the labels of a downset that no other dominates, and empty the buckets; return how many there are in all.

    Nothing is changed if there is no room for `most` of them: −1.
    """
    costs, leads = buckets.cost, buckets.lead
    for mark in range(len(costs)):
        for begin in range(costs.shape[1]):
            labels.first[after, mark, begin] = count
            best = np.inf
            for bucket in range(costs.shape[2] - 1, -1, -1):
                if costs[mark, begin, bucket] < best:
                    if count == most:
                        return -1
                    best = costs[mark, begin, bucket]
                    labels.cost[count], labels.lead[count] = best, leads[mark, begin, bucket]
                    count += 1
        labels.first[after, mark, costs.shape[1]] = count
    costs[:] = np.inf
    leads[:] = 0.0
    return count
