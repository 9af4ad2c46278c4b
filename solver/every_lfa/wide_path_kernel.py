"""The shortest path over downsets in the wide space: kernels (`soma_cp.solver.every_lfa.wide_paths` has the theorem).

`extend_wide_paths` takes all steps I → J, from every beginning A of the last LG.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.compiled import compiled, in_place
from soma_cp.model.soma.tensors import transfer_cycles
from soma_cp.solver.every_lfa.wide_needs import (
    alone_tile,
    cost_of_division,
    fine_loads,
    list_reliefs,
    need_of,
    sizes_of,
)
from soma_cp.solver.every_lfa.wide_steps import (
    KEPT,
    RESIDENT,
    STATE,
    TARGET,
    WideCase,
    WideEnd,
    WideInput,
    WideLayers,
    WideStep,
    begin_wide_step,
    bytes_paid,
    find_loads,
    list_wide_moves,
    new_wide_case,
    new_wide_moves,
    new_wide_step,
    note_facts,
    per_byte,
)

MOST_PRICES = 1024
"""Prices of an FLG that are kept; after so many, they are found again."""


class _Prices(NamedTuple):
    """Scratch: the prices of an FLG that are known."""

    known: IntArray  # [1]: how many there are
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
    step, case, moves = new_wide_step(figures), new_wide_case(figures), new_wide_moves(paths.classes, before, target)
    prices = _Prices(
        known=np.zeros(1, np.int64),
        key=np.empty((MOST_PRICES, 4), np.int64),
        least=np.empty((MOST_PRICES, len(paths.multipliers)), np.float64),
    )
    for start in before:
        counts = begin_wide_step(paths, start, target, figures, step, case, moves)
        prices.known[0] = 0
        for at in range(paths.classes.begin_first[start + 1] - paths.classes.begin_first[start]):
            begin = paths.classes.begin[paths.classes.begin_first[start] + at]
            loads = find_loads(paths, start, begin, counts[1], step)
            facts = note_facts(paths, start, begin, figures, counts, step, case)
            for n in range(list_wide_moves(paths, (start, at, target), counts[1], step, moves)):
                move = moves.listed[n]
                if least[move[STATE], 0] < np.inf:
                    _take_move(move, paths, target, figures, counts, loads, facts, step, case, prices, least)


@in_place
def _take_move(
    move: IntArray,
    paths: WideInput,
    target: int,
    figures: WideEnd,
    counts: tuple[int, int, int],
    loads: tuple[int, int, int],
    facts: int,
    step: WideStep,
    case: WideCase,
    prices: _Prices,
    least: FloatArray,
) -> None:
    """Lower the costs of the state to which a move leads."""
    loaded, shared, paid = loads
    states = (move[STATE], move[TARGET])
    held = shared | paid
    while True:
        moved = bytes_paid(paths, held & paid, counts[1], step)
        # Without residents and kept layers it costs no more.
        which = _price_of(paths, target, figures, counts, (loaded & ~held, facts, 0, 0), step, case, prices)
        if _is_less(paths, states, moved, which, prices, least):
            key = (loaded & ~held, facts, move[RESIDENT], move[KEPT])
            which = _price_of(paths, target, figures, counts, key, step, case, prices)
            _lower(paths, states, moved, which, prices, least)
        if held == 0:
            break
        held = (held - 1) & (shared | paid)


@in_place
def _is_less(
    paths: WideInput, states: tuple[int, int], moved: int, which: int, prices: _Prices, least: FloatArray
) -> bool:
    """Return whether a step from one state to another costs less at any multiplier than what is known."""
    for mark in range(len(paths.multipliers)):
        cost = least[states[0], mark] + prices.least[which, mark]
        if cost + moved * per_byte(paths.multipliers, mark, paths.layers) < least[states[1], mark]:
            return True
    return False


@in_place
def _lower(
    paths: WideInput, states: tuple[int, int], moved: int, which: int, prices: _Prices, least: FloatArray
) -> None:
    """Lower the costs of a state to those of the step from another one, which moves so many bytes besides."""
    for mark in range(len(paths.multipliers)):
        cost = least[states[0], mark] + prices.least[which, mark]
        cost += moved * per_byte(paths.multipliers, mark, paths.layers)
        least[states[1], mark] = min(least[states[1], mark], cost)


@in_place
def _price_of(
    paths: WideInput,
    target: int,
    figures: WideEnd,
    counts: tuple[int, int, int],
    key: tuple[int, int, int, int],
    step: WideStep,
    case: WideCase,
    prices: _Prices,
) -> int:
    """Return the place of a price, which is found if it is not known."""
    known = prices.known[0]
    for which in range(known):
        if (
            prices.key[which, 0] == key[0]
            and prices.key[which, 1] == key[1]
            and prices.key[which, 2] == key[2]
            and prices.key[which, 3] == key[3]
        ):
            return which
    place = known if known < MOST_PRICES else 0
    prices.known[0] = place + 1
    prices.key[place, 0], prices.key[place, 1], prices.key[place, 2], prices.key[place, 3] = key
    _price(paths, target, figures, counts, place, step, case, prices)
    return place


@in_place
def _price(
    paths: WideInput,
    target: int,
    figures: WideEnd,
    counts: tuple[int, int, int],
    which: int,
    step: WideStep,
    case: WideCase,
    prices: _Prices,
) -> None:
    """Fill ``prices.least[which]``: the least costs of the FLG in the case that ``prices.key[which]`` says."""
    size, sources, _ = counts
    layers, multipliers, loaded = paths.layers, paths.multipliers, prices.key[which, 0]
    options, marks = len(figures.number), len(multipliers)
    for mark in range(marks):
        prices.least[which, mark] = np.inf
    room = paths.capacity - prices.key[which, 2]
    kept = prices.key[which, 3]
    sizes = sizes_of(paths, target, figures, counts, loaded, kept, step, case)
    if size == 1:
        _price_alone(room, multipliers, layers, figures, counts, which, step, case, prices)
    least = sizes.least_weights + sizes.least_found
    if least > room:
        return
    if sizes.fine and least + sizes.fine_kept <= room:
        _price_fine(multipliers, layers, figures, counts, which, step, prices)
    need = need_of(paths, figures, counts, sizes.weights, loaded, kept, step, case)
    for option in range(options):
        if not step.possible[option]:
            continue
        excess = sizes.found + case.need[need, option] - room
        items, most = list_reliefs(layers, figures, size, sources, loaded, option, step, case)
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
            if items > 0 and cost < prices.least[which, mark]:
                most = prices.least[which, mark] - cost
                cost += cost_of_division(excess, most, multipliers, mark, layers, figures, items, option, step)
            prices.least[which, mark] = min(prices.least[which, mark], cost)


@in_place
def _price_alone(
    room: int,
    multipliers: FloatArray,
    layers: WideLayers,
    figures: WideEnd,
    counts: tuple[int, int, int],
    which: int,
    step: WideStep,
    case: WideCase,
    prices: _Prices,
) -> None:
    """Lower the costs of a layer in an FLG of its own to those with one tile."""
    layer = figures.order[step.places[0]]
    alive, energy, dram = alone_tile(layers, figures, counts, prices.key[which, 0], step, case)
    if alive > room:
        return
    for mark in range(len(multipliers)):
        cost = layers.alone_cost[layer, mark] + multipliers[mark, 0] * energy + multipliers[mark, 2] * dram
        prices.least[which, mark] = min(prices.least[which, mark], cost)


@in_place
def _price_fine(
    multipliers: FloatArray,
    layers: WideLayers,
    figures: WideEnd,
    counts: tuple[int, int, int],
    which: int,
    step: WideStep,
    prices: _Prices,
) -> None:
    """Lower the costs to those with more parts than are listed."""
    energy, dram = fine_loads(layers, figures, counts, prices.key[which, 0], step)
    for mark in range(len(multipliers)):
        cost = multipliers[mark, 0] * energy + multipliers[mark, 2] * dram
        for i in range(counts[0]):
            layer = figures.order[step.places[i]]
            if step.capable[i]:
                cost += layers.any_cost[layer, mark]
            elif not figures.guest[step.places[i]]:
                cost += layers.fine_cost[layer, mark]
        prices.least[which, mark] = min(prices.least[which, mark], cost)
