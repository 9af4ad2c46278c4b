"""The shortest path over the downsets of a network: kernels (`soma_cp.solver.every_lfa.downset_paths` has the theorem).

`extend_paths` takes all steps I → J, from each state of the LG at I; `close_paths` ends LGs at J.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.compiled import compiled, in_place
from soma_cp.solver.every_lfa.lg_classes import LGClasses
from soma_cp.solver.every_lfa.path_steps import (
    KEPT,
    MOST_NEEDS,
    RESIDENT,
    STATE,
    TARGET,
    EndFigures,
    FLGSums,
    LayerFigures,
    Moves,
    Needs,
    PathInput,
    begin_step,
    bytes_of,
    fill_needs,
    list_moves,
    new_moves,
    new_needs,
    new_sums,
    stores_of,
)


class _Prices(NamedTuple):
    """Scratch: what an FLG costs that loads certain sources."""

    cost: FloatArray  # [O, M]
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
    options, marks = len(figures.number), len(paths.multipliers)
    step, needs, moves = new_sums(figures), new_needs(figures), new_moves(paths.classes, before, after)
    prices = _Prices(
        cost=np.empty((options, marks), np.float64),
        resident=np.empty(len(moves.listed), np.int64),
        mask=np.empty(len(moves.listed), np.int64),
        least=np.empty((len(moves.listed), marks), np.float64),
    )
    for start in before:
        counts = begin_step(paths, start, after, figures, step, moves)
        for at in range(paths.classes.begin_first[start + 1] - paths.classes.begin_first[start]):
            loaded = moves.loaded[at]
            if loaded < 0:
                continue
            count = list_moves(paths, start, at, after, moves)
            _cost_options(paths.multipliers, figures, counts[2], loaded, step, prices)
            _take_moves(paths, after, figures, counts, loaded, count, step, needs, prices, moves, least)


@in_place
def _cost_options(
    multipliers: FloatArray, figures: EndFigures, edges: int, loaded: int, step: FLGSums, prices: _Prices
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
def _take_moves(
    paths: PathInput,
    after: int,
    figures: EndFigures,
    counts: tuple[int, int, int],
    loaded: int,
    count: int,
    step: FLGSums,
    needs: Needs,
    prices: _Prices,
    moves: Moves,
    least: FloatArray,
) -> None:
    """Lower the costs of the states to which the listed moves lead."""
    known_prices, known_needs = 0, 0
    for n in range(count):
        move = moves.listed[n]
        if not least[move[STATE], 0] < np.inf:
            continue
        which = 0
        while which < known_prices and (prices.resident[which] != move[RESIDENT] or prices.mask[which] != move[KEPT]):
            which += 1
        if which == known_prices:
            prices.resident[which], prices.mask[which] = move[RESIDENT], move[KEPT]
            known_needs = _price(paths, after, figures, counts, loaded, which, known_needs, step, needs, prices)
            known_prices += 1
        for mark in range(len(paths.multipliers)):
            cost = least[move[STATE], mark] + prices.least[which, mark]
            if cost < least[move[TARGET], mark]:
                least[move[TARGET], mark] = cost


@in_place
def _price(
    paths: PathInput,
    after: int,
    figures: EndFigures,
    counts: tuple[int, int, int],
    loaded: int,
    which: int,
    known_needs: int,
    step: FLGSums,
    needs: Needs,
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
    while need < known_needs and needs.mask[need] != kept:
        need += 1
    if need == known_needs:
        if need == MOST_NEEDS:
            need = known_needs = 0
        needs.mask[need] = kept
        fill_needs(paths, after, figures, counts, loaded, weights, need, step, needs)
        known_needs += 1
    for option in range(len(figures.number)):
        if step.possible[option] and needs.bytes[need, option] <= room:
            for mark in range(marks):
                prices.least[which, mark] = min(prices.least[which, mark], prices.cost[option, mark])
    return known_needs


@in_place
def _price_alone(
    room: int,
    multipliers: FloatArray,
    layers: LayerFigures,
    figures: EndFigures,
    edges: int,
    loaded: int,
    which: int,
    step: FLGSums,
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
    step: FLGSums,
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
    for mark in range(len(multipliers)):
        closed = np.inf
        for begin in range(begins):
            loaded = classes.begin_mask[first + begin]
            energy, dram = stores_of(classes, after, loaded, whole_pj), stores_of(classes, after, loaded, whole_cycles)
            stores = multipliers[mark, 0] * energy + multipliers[mark, 2] * dram
            for end in range(ends):
                if classes.end_mask[first_end + end] & ~loaded == 0:
                    closed = min(closed, least[classes.state_first[after] + begin * ends + end, mark] + stores)
        new = classes.begin_class[after, after]
        for end in range(ends):
            least[classes.state_first[after] + new * ends + end, mark] = closed
