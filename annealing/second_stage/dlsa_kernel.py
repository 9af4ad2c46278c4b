"""Annealing rounds of the second stage, on DRAM Tensor Order and Living Durations (kernels).

Specification: search.md, "Second stage". A state is always a valid DLSA; a move draws a tensor with probability
proportional to its size and a new place, Start or End uniformly from what the order and data rules leave.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.annealing.acceptance import accepts, temperature
from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.compiled import compiled
from soma_cp.model.soma.evaluation_kernel import begin_times
from soma_cp.model.soma.tensors import Tensors

# What a run minimises: the latency to the power of the objective's delay exponent, or the average buffer
# usage among schedules that are no slower than the best.
LATENCY, AVERAGE_BUFFER = 0, 1

# Shares of the operators: order alone 0.1, living duration alone 0.4, else both.
ORDER_SHARE = 0.1
DURATION_SHARE = 0.4


class DLSAState(NamedTuple):
    """A DLSA under change: D items by tensor or place, T + 1 items by position.

    `place` is the inverse of `order`; `room` is the free buffer at each position; `elapsed[p]` is the sum of
    the cycles of the tiles before p. `heaviness` is the running sum of tensor sizes, by which tensors are
    drawn. `weighted_usage[0]` is Σ bytes held × tile cycles, `costs` are [current, best], `latencies` likewise.
    """

    order: IntArray
    place: IntArray
    start: IntArray
    end: IntArray
    best_order: IntArray
    best_start: IntArray
    best_end: IntArray
    room: IntArray
    elapsed: IntArray
    heaviness: FloatArray
    weighted_usage: FloatArray
    costs: FloatArray
    latencies: IntArray
    gate: IntArray
    waits: IntArray
    tile_begin: IntArray
    tensor_begin: IntArray


@compiled
def _may_precede(tensors: Tensors, start: IntArray, end: IntArray, i: int, j: int) -> bool:
    """Whether tensor i may stand before tensor j in the DRAM Tensor Order (section 4, rules 1 and 2)."""
    if start[i] >= end[j]:
        return False
    if not tensors.is_store[j]:
        latest = tensors.position[j] - 1 if tensors.is_store[i] else tensors.position[j]
        if start[i] > latest:
            return False
    return not tensors.after_begin[i] <= j < tensors.after_end[i]


@compiled
def place_range(tensors: Tensors, state: DLSAState, tensor: int) -> tuple[int, int]:
    """Return the first and last place that the tensor can take with all else unchanged."""
    first = last = state.place[tensor]
    while first > 0 and _may_precede(tensors, state.start, state.end, tensor, state.order[first - 1]):
        first -= 1
    size = len(state.order)
    while last < size - 1 and _may_precede(tensors, state.start, state.end, state.order[last + 1], tensor):
        last += 1
    return first, last


@compiled
def duration_range(tensors: Tensors, state: DLSAState, tiles: int, tensor: int) -> tuple[int, int]:
    """Return the least and greatest Start (load) or End (store) that the order leaves."""
    if tensors.is_store[tensor]:
        least = tensors.least_end[tensor]
        for n in range(state.place[tensor]):
            least = max(least, state.start[state.order[n]] + 1)
        return least, tiles
    greatest = tensors.position[tensor]
    for n in range(state.place[tensor] + 1, len(state.order)):
        other = state.order[n]
        greatest = min(greatest, state.end[other] - 1)
        if not tensors.is_store[other]:
            greatest = min(greatest, tensors.position[other])
    return -1, greatest


@compiled
def _move_to(state: DLSAState, tensor: int, new_place: int) -> None:
    """Move `tensor` to a place; those in between close up."""
    order, place = state.order, state.place
    step = 1 if new_place > place[tensor] else -1
    for n in range(place[tensor], new_place, step):
        order[n] = order[n + step]
        place[order[n]] = n
    order[new_place] = tensor
    place[tensor] = new_place


@compiled
def _shift(state: DLSAState, size: int, is_store: bool, old: int, new: int) -> bool:
    """Move a Start or End from `old` to `new`; return whether the buffer still holds all."""
    old, new = max(old, 0), max(new, 0)
    # A load grows towards lower positions, a store towards higher ones.
    grows = new > old if is_store else new < old
    delta = size if grows else -size
    low, high = min(old, new), max(old, new)
    fits = True
    for p in range(low, high):
        state.room[p] -= delta
        fits = fits and state.room[p] >= 0
    state.weighted_usage[0] += float(delta) * (state.elapsed[high] - state.elapsed[low])
    return fits


@compiled
def _other_than(low: int, high: int, present: int, chance: float) -> int:
    """Draw uniformly from low … high without `present`, which lies among them."""
    drawn = low + int(chance * (high - low))
    return drawn if drawn < present else drawn + 1


@compiled
def begin_state(tensors: Tensors, tile_cycles: IntArray, chip_usage: IntArray, capacity: int, state: DLSAState) -> int:
    """Derive all else of `state` from its order, start and end; return the least room (negative: overflow)."""
    tiles = len(tile_cycles)
    for n in range(len(state.order)):
        state.place[state.order[n]] = n
    for p in range(tiles + 1):
        state.room[p] = 0
    state.elapsed[0] = 0
    total = 0.0
    for i in range(len(state.order)):
        state.room[max(state.start[i], 0)] -= tensors.bytes[i]
        state.room[state.end[i]] += tensors.bytes[i]
        total += tensors.bytes[i]
        state.heaviness[i] = total
    held = 0
    least = capacity
    weighted = 0.0
    for p in range(tiles):
        held += state.room[p]
        state.room[p] = capacity + held - chip_usage[p]
        least = min(least, state.room[p])
        weighted += float(capacity - state.room[p]) * tile_cycles[p]
        state.elapsed[p + 1] = state.elapsed[p] + tile_cycles[p]
    state.weighted_usage[0] = weighted
    return least


@compiled
def latency_of(tensors: Tensors, tile_cycles: IntArray, state: DLSAState) -> int:
    """Return the latency of the present state."""
    return begin_times(
        tile_cycles,
        tensors.is_store,
        tensors.cycles,
        tensors.position,
        state.order,
        state.start,
        state.end,
        state.gate,
        state.waits,
        state.tile_begin,
        state.tensor_begin,
    )


@compiled
def anneal_dlsa(
    tensors: Tensors,
    tile_cycles: IntArray,
    state: DLSAState,
    goal: int,
    delay_exponent: float,
    cooling: tuple[float, float, float, float],
    first_round: int,
    last_round: int,
    rounds: int,
    random: np.random.Generator,
) -> None:
    """Do rounds `first_round` … `last_round` − 1 of `rounds`; `cooling` is (T0, α, power, return to best at)."""
    tiles = len(tile_cycles)
    initial, alpha, power, return_at = cooling
    for n in range(first_round, last_round):
        if n == int(return_at * rounds):
            return_to_best(tensors, state)
        heat = temperature(initial, alpha, power, n, rounds)
        operator = random.random()
        drawn = random.random() * state.heaviness[-1]
        tensor = min(np.searchsorted(state.heaviness, drawn, side="right"), len(state.heaviness) - 1)
        old_place = state.place[tensor]
        is_store = tensors.is_store[tensor]
        old_edge = state.end[tensor] if is_store else state.start[tensor]
        changed = False
        if operator < ORDER_SHARE or operator >= ORDER_SHARE + DURATION_SHARE:
            first, last = place_range(tensors, state, tensor)
            if last > first:
                _move_to(state, tensor, _other_than(first, last, old_place, random.random()))
                changed = True
        fits = True
        if operator >= ORDER_SHARE:
            low, high = duration_range(tensors, state, tiles, tensor)
            if high > low:
                edge = _other_than(low, high, old_edge, random.random())
                fits = _shift(state, tensors.bytes[tensor], is_store, old_edge, edge)
                if is_store:
                    state.end[tensor] = edge
                else:
                    state.start[tensor] = edge
                changed = True
        if not changed:
            continue
        accepted = False
        if fits:
            latency = latency_of(tensors, tile_cycles, state)
            cost = float(latency) ** delay_exponent
            if goal == AVERAGE_BUFFER:
                cost = state.weighted_usage[0]
            allowed = goal == LATENCY or latency <= state.latencies[1]
            if allowed and accepts(state.costs[0], cost, heat, random.random()):
                accepted = True
                state.costs[0] = cost
                state.latencies[0] = latency
                if cost < state.costs[1]:
                    state.costs[1] = cost
                    state.latencies[1] = latency
                    state.best_order[:] = state.order
                    state.best_start[:] = state.start
                    state.best_end[:] = state.end
        if not accepted:
            edge = state.end[tensor] if is_store else state.start[tensor]
            if edge != old_edge:
                _shift(state, tensors.bytes[tensor], is_store, edge, old_edge)
                if is_store:
                    state.end[tensor] = old_edge
                else:
                    state.start[tensor] = old_edge
            if state.place[tensor] != old_place:
                _move_to(state, tensor, old_place)


@compiled
def return_to_best(tensors: Tensors, state: DLSAState) -> None:
    """Make the best DLSA the current one."""
    for i in range(len(state.order)):
        old = state.end[i] if tensors.is_store[i] else state.start[i]
        new = state.best_end[i] if tensors.is_store[i] else state.best_start[i]
        if old != new:
            _shift(state, tensors.bytes[i], tensors.is_store[i], old, new)
    state.order[:] = state.best_order
    state.start[:] = state.best_start
    state.end[:] = state.best_end
    for n in range(len(state.order)):
        state.place[state.order[n]] = n
    state.costs[0] = state.costs[1]
    state.latencies[0] = state.latencies[1]
