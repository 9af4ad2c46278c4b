"""Timed paths over downsets in the wide space: kernels (`soma_cp.solver.every_lfa.wide_times` has the theorem).

`extend_wide_labels` takes all steps I → J; what else is done with labels is as in the paper's space
(`soma_cp.solver.every_lfa.path_times_kernel`).
"""

from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.compiled import compiled, in_place
from soma_cp.solver.every_lfa.path_steps import fill_alive, is_open
from soma_cp.solver.every_lfa.path_times_kernel import (
    CYCLES,
    ENERGY,
    LOADS,
    MOST_WAYS,
    SLACK,
    UNTIL,
    Buckets,
    Labels,
    put_label,
    undominated_ways,
)
from soma_cp.solver.every_lfa.wide_needs import (
    FLGSizes,
    alone_tile,
    cost_of_division,
    fine_loads,
    list_reliefs,
    need_of,
    sizes_of,
)
from soma_cp.solver.every_lfa.wide_steps import (
    BYTES,
    FOUND,
    KEPT,
    RESIDENT,
    STATE,
    STAYS,
    TARGET,
    WideCase,
    WideEnd,
    WideInput,
    WideStep,
    begin_wide_step,
    bytes_paid,
    find_loads,
    least_share,
    list_wide_moves,
    new_wide_case,
    new_wide_moves,
    new_wide_step,
    note_facts,
)


class WideTimes(NamedTuple):
    """What is known of the layers and downsets beside `WideLayers`.

    Parameters
    ----------
    choice_begin
        int64[L + 1]: the choices of each layer with one tile, or over all divisions if it may be divided.
    choice_cycles, choice_pj
        float64[…]: of each choice, by rising cycles; pJ with the loads that are no sources and the stores of outputs.
    last_tile
        float64[L]: least cycles of the only tile of a layer's last part.
    most_elsewhere
        float64[L]: most cycles that are counted of a layer's parts elsewhere.
    fine_cycles, most_fine
        float64[L]: least and most cycles that are counted if there are more parts than are listed.
    fine_number
        The least Tiling Number of these.
    outside, early
        float64[N]: by downset: most cycles that are counted of parts outside that may run before its last tile; by how
        many cycles their loads may take longer than they.
    cycles_per_byte
        A transfer takes at least so many for each byte of the buffer.
    """

    choice_begin: IntArray
    choice_cycles: FloatArray
    choice_pj: FloatArray
    last_tile: FloatArray
    most_elsewhere: FloatArray
    fine_cycles: FloatArray
    most_fine: FloatArray
    fine_number: int
    outside: FloatArray
    early: FloatArray
    cycles_per_byte: float


class _Ways(NamedTuple):
    """Scratch: the ways in which an FLG may run."""

    known: IntArray  # [1]: how many cases are known
    key: IntArray  # [MOST_WAYS, 6]: loaded sources, other facts, and what moves say but for states
    counts: IntArray  # [MOST_WAYS]: of ways that no other dominates
    listed: FloatArray  # [MOST_WAYS, …, 5]
    slack: FloatArray  # [O]: least from the last tile of a layer
    kept: FloatArray  # [O]: bytes of tiles that are kept, of rounds before the last
    after: FloatArray  # [m, O]: cycles after the last tile of a layer, less the weights that they need
    after_loads: FloatArray  # [O]: least cycles of a tile of a layer's last part and of its descendants


@compiled
def extend_wide_labels(
    paths: WideInput,
    target: int,
    before: IntArray,
    multipliers: FloatArray,
    figures: WideEnd,
    times: WideTimes,
    labels: Labels,
    buckets: Buckets,
) -> None:
    """Add to `buckets` the labels of the paths to `target` whose last step is from one of the downsets `before`.

    Parameters
    ----------
    paths
        Its multipliers are those of energy alone and of cycles of tiles alone.
    target
        The downset that holds the layers of `figures` but for the guests.
    multipliers
        float64[M, 2]: of energy and of latency.
    """
    options = len(figures.number)
    step, case, moves = new_wide_step(figures), new_wide_case(figures), new_wide_moves(paths.classes, before, target)
    most = options + 1 + (times.choice_begin[1:] - times.choice_begin[:-1]).max()
    ways = _Ways(
        known=np.zeros(1, np.int64),
        key=np.empty((MOST_WAYS, 6), np.int64),
        counts=np.empty(MOST_WAYS, np.int64),
        listed=np.empty((MOST_WAYS, most, 5), np.float64),
        slack=np.empty(options, np.float64),
        kept=np.empty(options, np.float64),
        after=np.empty(figures.can.shape, np.float64),
        after_loads=np.empty(options, np.float64),
    )
    for start in before:
        counts = begin_wide_step(paths, start, target, figures, step, case, moves)
        ways.known[0] = 0
        weights = _weights_of(paths, start, figures, counts[0], times, step)
        _fill_cycles_after(paths, figures, counts[0], times, step, ways)
        for at in range(paths.classes.begin_first[start + 1] - paths.classes.begin_first[start]):
            begin = paths.classes.begin[paths.classes.begin_first[start] + at]
            sources = find_loads(paths, start, begin, counts[1], step)
            facts = note_facts(paths, start, begin, figures, counts, step, case)
            for n in range(list_wide_moves(paths, (start, at, target), counts[1], step, moves)):
                move = moves.listed[n]
                first = move[STATE] * len(multipliers)
                if labels.first[first] < labels.first[first + 1]:
                    _take_move(
                        move,
                        paths,
                        (start, target),
                        multipliers,
                        figures,
                        counts,
                        sources,
                        facts,
                        weights,
                        times,
                        step,
                        case,
                        ways,
                        labels,
                        buckets,
                    )


@in_place
def _weights_of(
    paths: WideInput, start: int, figures: WideEnd, size: int, times: WideTimes, step: WideStep
) -> tuple[float, float]:
    """Return the cycles in which the FLG's weights are loaded, and the least of them before its first tile.

    The latter is −1 if parts of its layers may have run before its begin.
    """
    total, first = 0.0, np.inf
    for i in range(size):
        place = step.places[i]
        if figures.guest[place]:
            continue
        layer, weights = figures.order[place], figures.weights[place] * times.cycles_per_byte
        total += weights
        if step.inside[i]:
            continue
        first = min(first, paths.layers.share[layer] * weights)
        if paths.layers.share[layer] < 1 and not _comes_after(paths, layer, start):
            first = -np.inf
    return total, max(first, -1.0)


@in_place
def _comes_after(paths: WideInput, layer: int, downset: int) -> bool:
    """Return whether all parts of a layer come after all layers of a downset: it depends on each."""
    for other in range(paths.member.shape[1]):
        if paths.member[downset, other] and not paths.depends[layer, other]:
            return False
    return True


@in_place
def _take_move(
    move: IntArray,
    paths: WideInput,
    places: tuple[int, int],
    multipliers: FloatArray,
    figures: WideEnd,
    counts: tuple[int, int, int],
    sources: tuple[int, int, int],
    facts: int,
    weights: tuple[float, float],
    times: WideTimes,
    step: WideStep,
    case: WideCase,
    ways: _Ways,
    labels: Labels,
    buckets: Buckets,
) -> None:
    """Add the labels to which a move leads, whichever shared loads the FLG finds."""
    loaded, shared, paid = sources
    held = shared | paid
    while True:
        moved = bytes_paid(paths, held & paid, counts[1], step) * paths.layers.pj_per_byte[0]
        key = (loaded & ~held, facts, move[RESIDENT], move[KEPT], move[STAYS], move[BYTES])
        which = _ways_of(paths, places[1], figures, counts, key, weights, times, step, case, ways)
        _take_ways(move, paths, places, multipliers, moved, times, which, ways, labels, buckets)
        if held == 0:
            break
        held = (held - 1) & (shared | paid)


@in_place
def _take_ways(
    move: IntArray,
    paths: WideInput,
    places: tuple[int, int],
    multipliers: FloatArray,
    moved_pj: float,
    times: WideTimes,
    which: int,
    ways: _Ways,
    labels: Labels,
    buckets: Buckets,
) -> None:
    """Add the labels to which a move leads in the ways of one case."""
    listed, target = ways.listed[which], move[TARGET] - paths.classes.state_first[places[1]]
    most_lead = (paths.capacity - move[FOUND]) * times.cycles_per_byte + times.early[places[0]]
    outside, early = times.outside[places[1]], times.early[places[1]]
    for mark in range(len(multipliers)):
        first = move[STATE] * len(multipliers) + mark
        energy_price, cycle_price = multipliers[mark, 0], multipliers[mark, 1]
        for label in range(labels.first[first], labels.first[first + 1]):
            before, loaded = labels.cost[label], labels.loaded[label]
            lead = min((before - loaded) / cycle_price, most_lead)
            before += energy_price * moved_pj
            for way in range(ways.counts[which]):
                end_of_tiles = max(listed[way, CYCLES], listed[way, UNTIL] - lead)
                cycles = max(listed[way, CYCLES], end_of_tiles - outside)
                loads = max(listed[way, LOADS] - lead, end_of_tiles - listed[way, SLACK] - early)
                cost = before + energy_price * listed[way, ENERGY] + cycle_price * cycles
                put_label(cost, cycles - loads, cycle_price, target, mark, buckets)


@in_place
def _ways_of(
    paths: WideInput,
    target: int,
    figures: WideEnd,
    counts: tuple[int, int, int],
    key: tuple[int, int, int, int, int, int],
    weights: tuple[float, float],
    times: WideTimes,
    step: WideStep,
    case: WideCase,
    ways: _Ways,
) -> int:
    """Return the place of the ways of a case, which are found if they are not known."""
    for which in range(ways.known[0]):
        same = True
        for column in range(6):
            same &= ways.key[which, column] == key[column]
        if same:
            return which
    which = ways.known[0] if ways.known[0] < MOST_WAYS else 0
    ways.known[0] = which + 1
    for column in range(6):
        ways.key[which, column] = key[column]
    ways.counts[which] = _list_ways(
        paths, target, figures, counts, key, weights, times, step, case, ways, ways.listed[which]
    )
    return which


@in_place
def _list_ways(
    paths: WideInput,
    target: int,
    figures: WideEnd,
    counts: tuple[int, int, int],
    key: tuple[int, int, int, int, int, int],
    weights: tuple[float, float],
    times: WideTimes,
    step: WideStep,
    case: WideCase,
    ways: _Ways,
    listed: FloatArray,
) -> int:
    """Fill the ways of the FLG in a case; return how many no other dominates."""
    loaded, room = key[0], paths.capacity - key[2]
    sizes = sizes_of(paths, target, figures, counts, loaded, key[3], step, case)
    count, least = 0, sizes.least_weights + sizes.least_found
    if counts[0] == 1:
        count = _ways_of_one_tile(room, paths, figures, counts, loaded, weights, times, step, case, listed)
    if least > room:
        return count
    if sizes.fine and least + sizes.fine_kept <= room:
        left = room - (least - sizes.of_guests + sizes.fine_kept)
        count += _fine_way(left, paths, figures, counts, loaded, weights, times, step, listed[count])
    need = need_of(paths, figures, counts, sizes.weights, loaded, key[3], step, case)
    _find_slacks(paths, target, figures, counts, loaded, (key[4], key[5]), times, step, case, ways)
    for option in range(len(figures.number)):
        if step.possible[option]:
            count += _fill_way(
                room,
                paths,
                figures,
                counts,
                loaded,
                weights,
                need,
                sizes,
                option,
                times,
                step,
                case,
                ways,
                listed[count],
            )
    return undominated_ways(listed, count)


@in_place
def _ways_of_one_tile(
    room: int,
    paths: WideInput,
    figures: WideEnd,
    counts: tuple[int, int, int],
    loaded: int,
    weights: tuple[float, float],
    times: WideTimes,
    step: WideStep,
    case: WideCase,
    listed: FloatArray,
) -> int:
    """Fill the ways of a layer in an FLG of its own with one tile; return how many there are."""
    alive, energy, _ = alone_tile(paths.layers, figures, counts, loaded, step, case)
    if alive > room:
        return 0
    layer, count = figures.order[step.places[0]], 0
    first, divides = times.choice_begin[layer], paths.layers.share[layer] < 1
    for choice in range(first, times.choice_begin[layer + 1]):
        way = listed[count]
        # What is divided may cost as much as two choices in any proportion.
        at_least = max(first, choice - 1) if divides else choice
        way[ENERGY], way[CYCLES] = times.choice_pj[choice] + energy, times.choice_cycles[at_least]
        way[UNTIL] = weights[0] + (times.last_tile[layer] if divides else way[CYCLES])
        if weights[1] >= 0:
            way[UNTIL] = max(way[UNTIL], weights[1] + way[CYCLES])
        way[LOADS], way[SLACK] = weights[0], (room - alive) * times.cycles_per_byte
        count += 1
    return count


@in_place
def _fine_way(
    left: int,
    paths: WideInput,
    figures: WideEnd,
    counts: tuple[int, int, int],
    loaded: int,
    weights: tuple[float, float],
    times: WideTimes,
    step: WideStep,
    way: FloatArray,
) -> int:
    """Fill the way that stands for more parts than are listed; return how many such ways there are, 1 or 0.

    `left` are bytes of the buffer beside residents, weights, sources and tiles that are kept.
    """
    layers = paths.layers
    energy, _ = fine_loads(layers, figures, counts, loaded, step)
    cycles, here, most = 0.0, 0.0, 0.0
    for i in range(counts[0]):
        layer = figures.order[step.places[i]]
        if step.capable[i]:
            energy += layers.any_cost[layer, 0]
            cycles += layers.any_cost[layer, 1]
            most += times.most_elsewhere[layer]
        elif not figures.guest[step.places[i]]:
            energy += layers.fine_cost[layer, 0]
            cycles += layers.fine_cost[layer, 1]
            here += times.fine_cycles[layer]
            most += times.most_fine[layer]
    if not energy < np.inf:
        return 0
    way[ENERGY], way[CYCLES], way[LOADS] = energy, cycles, weights[0]
    way[UNTIL] = weights[0] + here * (1 - 1 / times.fine_number)
    if weights[1] >= 0:
        way[UNTIL] = max(way[UNTIL], weights[1] + cycles)
    way[SLACK] = most / times.fine_number + left * times.cycles_per_byte
    return 1


@in_place
def _fill_way(
    room: int,
    paths: WideInput,
    figures: WideEnd,
    counts: tuple[int, int, int],
    loaded: int,
    weights: tuple[float, float],
    need: int,
    sizes: FLGSizes,
    option: int,
    times: WideTimes,
    step: WideStep,
    case: WideCase,
    ways: _Ways,
    way: FloatArray,
) -> int:
    """Fill the way of a Tiling Number of 2 or more; return how many such ways there are, 1 or 0."""
    layers, number = paths.layers, figures.number[option]
    excess = sizes.found + case.need[need, option] - room
    items, relief = list_reliefs(layers, figures, counts[0], counts[1], loaded, option, step, case)
    if relief < excess:
        return 0
    energy, cycles = step.energy_pj[option], step.cycles[option]
    for n in range(counts[1]):
        if loaded >> n & 1:
            energy += number * step.load[n, option] * layers.pj_per_byte[0]
    most, here = cycles, cycles
    for i in range(counts[0]):
        if step.capable[i]:
            layer, of_layer = figures.order[step.places[i]], figures.cycles[step.places[i], option]
            most += max(of_layer, times.most_elsewhere[layer])
            here += layers.share[layer] * of_layer
    if items > 0:
        energy += cost_of_division(excess, np.inf, paths.multipliers, 0, layers, figures, items, option, step)
        cycles += cost_of_division(excess, np.inf, paths.multipliers, 1, layers, figures, items, option, step)
    left = room - (case.at_turn[need, option] - sizes.of_guests + sizes.found) + (relief if items > 0 else 0.0)
    way[ENERGY], way[CYCLES], way[LOADS] = energy, cycles, weights[0]
    way[UNTIL] = weights[0] + ways.after_loads[option] + (number - 1) * here / number
    if weights[1] >= 0:
        way[UNTIL] = max(way[UNTIL], weights[1] + cycles)
    way[SLACK] = min(ways.slack[option], most / number + left * times.cycles_per_byte)
    return 1


@in_place
def _fill_cycles_after(
    paths: WideInput, figures: WideEnd, size: int, times: WideTimes, step: WideStep, ways: _Ways
) -> None:
    """Fill what may run after the last tile of each layer of the FLG, and after its last load."""
    options = len(figures.number)
    for option in range(options):
        ways.after_loads[option] = np.inf
    for i in range(size):
        place = step.places[i]
        if figures.guest[place]:
            continue
        layer = figures.order[place]
        for option in range(options):
            ways.after[i, option] = 0.0
        for j in range(size):
            other = figures.order[step.places[j]]
            if not figures.guest[step.places[j]] and paths.depends[other, layer]:
                for option in range(options):
                    ways.after[i, option] += figures.cycles[step.places[j], option] / figures.number[option]
        for option in range(options):
            own = paths.layers.share[layer] * figures.cycles[place, option] / figures.number[option]
            ways.after_loads[option] = min(ways.after_loads[option], own + ways.after[i, option])
        for j in range(size):
            other = figures.order[step.places[j]]
            beside = other != layer and not (paths.depends[other, layer] or paths.depends[layer, other])
            if beside and not figures.guest[step.places[j]]:
                loads = figures.weights[step.places[j]] * times.cycles_per_byte
                for option in range(options):
                    tile = figures.cycles[step.places[j], option] / figures.number[option]
                    ways.after[i, option] += max(0.0, tile - loads)


@in_place
def _find_slacks(
    paths: WideInput,
    target: int,
    figures: WideEnd,
    counts: tuple[int, int, int],
    loaded: int,
    stays: tuple[int, int],
    times: WideTimes,
    step: WideStep,
    case: WideCase,
    ways: _Ways,
) -> None:
    """Fill the least slack from the last tile of a layer."""
    options = len(figures.number)
    for option in range(options):
        ways.slack[option], ways.kept[option] = np.inf, 0.0
    for j in range(counts[0]):
        place = step.places[j]
        elsewhere = 1 - paths.layers.share[figures.order[place]] if step.capable[j] else 0.0
        in_round = 0 if figures.last[place] else 1  # only a share of it counts, if nothing reads it
        for option in range(options):
            rounds = figures.number[option] - 1 if case.kept[j] else 0
            ways.kept[option] += (rounds - elsewhere * (rounds + in_round)) * figures.held[place, option]
    for i in range(counts[0]):
        if figures.guest[step.places[i]]:
            continue
        fill_alive(paths.depends, figures, counts, i, loaded, step, case)
        held = _held_at_last_tile(paths, target, figures, counts, i, loaded, stays, step, case)
        for option in range(options):
            left = paths.capacity - held - ways.kept[option] - case.alive[option]
            slack = ways.after[i, option] + left * times.cycles_per_byte
            ways.slack[option] = min(ways.slack[option], slack)


@in_place
def _held_at_last_tile(
    paths: WideInput,
    target: int,
    figures: WideEnd,
    counts: tuple[int, int, int],
    i: int,
    loaded: int,
    stays: tuple[int, int],
    step: WideStep,
    case: WideCase,
) -> int:
    """Return bytes at the last tile of layer i of the FLG: weights, residents that stay, and sources still to be read.

    The weights are those of its last part and of its descendants.
    """
    layer, layers = figures.order[step.places[i]], paths.layers
    held = stays[1] + int(figures.weights[step.places[i]] * layers.share[layer])
    for j in range(counts[0]):
        place = step.places[j]
        if paths.depends[figures.order[place], layer] and not figures.guest[place]:
            held += figures.weights[place]
    for n in range(counts[1]):
        source = step.sources[n]
        stay = source < paths.member.shape[1] and is_open(paths.classes, target, source, stays[0])
        if loaded >> n & 1 or stay:
            continue
        is_read = False
        for at in range(counts[2]):
            reader = figures.order[step.places[step.edges[at, 3]]]
            is_read |= step.edges[at, 2] == n and (reader == layer or paths.depends[reader, layer])
        if is_read:
            whole = layers.whole[source]
            held += int(whole * least_share(layers, source)) if case.divided[n] else whole
    return held
