"""Annealing rounds of the second stage, on DRAM Tensor Order and Living Durations (kernels).

docs/second-stage.md#the-papers-annealing. A state is always a valid DLSA. A move draws a tensor with probability
proportional to its bytes. It then draws a new rank, Start or End uniformly from those that the rules allow.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.annealing.acceptance import accepts, temperature
from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.compiled import compiled, in_place
from soma_cp.model.soma.dlsa import DLSA, copy_dlsa
from soma_cp.model.soma.evaluation_kernel import Times, begin_times
from soma_cp.model.soma.occupancy import fill_usage
from soma_cp.model.soma.tensors import Tensors
from soma_cp.model.soma.tiling import TileSequence

# What a run minimises: the latency to the power of the objective's delay exponent, or the average buffer usage of
# schedules that are no slower than the best.
LATENCY, AVERAGE_BUFFER = 0, 1

# Shares of the moves: order only 0.1, living duration only 0.4, both 0.5.
ORDER_SHARE = 0.1
DURATION_SHARE = 0.4


class DLSAState(NamedTuple):
    """The current DLSA, and the best so far.

    Parameters
    ----------
    dlsa, best
        The current DLSA and the best.
    rank
        int64[D]: rank of each tensor; the inverse of ``dlsa.order``.
    room
        int64[T + 1]: bytes left at each position.
    elapsed
        int64[T + 1]: cycles of the tiles before each position.
    heaviness
        float64[D]: running sum of the tensors' bytes, by which tensors are drawn.
    weighted_usage
        float64[1]: Σ bytes alive × tile cycles.
    costs, latencies
        float64[2], int64[2]: of the current DLSA, of the best.
    times
        Of the DLSA that was evaluated last.
    """

    dlsa: DLSA
    best: DLSA
    rank: IntArray
    room: IntArray
    elapsed: IntArray
    heaviness: FloatArray
    weighted_usage: FloatArray
    costs: FloatArray
    latencies: IntArray
    times: Times


@in_place
def _may_precede(tensors: Tensors, start: IntArray, end: IntArray, i: int, j: int) -> bool:
    """Whether tensor i may come before tensor j (docs/model.md#validity: SPACE, DEADLOCK, DATA)."""
    if start[i] >= end[j]:
        return False
    if not tensors.is_store[j]:
        latest = tensors.position[j] - 1 if tensors.is_store[i] else tensors.position[j]
        if start[i] > latest:
            return False
    return not tensors.after_begin[i] <= j < tensors.after_end[i]


@in_place
def rank_range(tensors: Tensors, state: DLSAState, tensor: int) -> tuple[int, int]:
    """Return the first and last rank that the tensor can take while everything else stays."""
    order, start, end = state.dlsa.order, state.dlsa.start, state.dlsa.end
    first = last = state.rank[tensor]
    while first > 0 and _may_precede(tensors, start, end, tensor, order[first - 1]):
        first -= 1
    size = len(order)
    while last < size - 1 and _may_precede(tensors, start, end, order[last + 1], tensor):
        last += 1
    return first, last


@in_place
def duration_range(tensors: Tensors, state: DLSAState, tiles: int, tensor: int) -> tuple[int, int]:
    """Return the least and greatest Start (load) or End (store) that the order allows."""
    order, start, end = state.dlsa.order, state.dlsa.start, state.dlsa.end
    if tensors.is_store[tensor]:
        least = tensors.least_end[tensor]
        for n in range(state.rank[tensor]):
            least = max(least, start[order[n]] + 1)
        return least, tiles
    greatest = tensors.position[tensor]
    for n in range(state.rank[tensor] + 1, len(order)):
        other = order[n]
        greatest = min(greatest, end[other] - 1)
        if not tensors.is_store[other]:
            greatest = min(greatest, tensors.position[other])
    return -1, greatest


@in_place
def _move_to(state: DLSAState, tensor: int, new_rank: int) -> None:
    """Move `tensor` to `new_rank`; the tensors in between shift by one."""
    order, rank = state.dlsa.order, state.rank
    step = 1 if new_rank > rank[tensor] else -1
    for n in range(rank[tensor], new_rank, step):
        order[n] = order[n + step]
        rank[order[n]] = n
    order[new_rank] = tensor
    rank[tensor] = new_rank


@in_place
def _shift(state: DLSAState, size: int, is_store: bool, old: int, new: int) -> bool:
    """Move a Start or End from `old` to `new`; return whether everything still fits into the buffer."""
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


@in_place
def _other_than(low: int, high: int, present: int, chance: float) -> int:
    """Draw uniformly from low … high, but never `present`, which is one of them."""
    drawn = low + int(chance * (high - low))
    return drawn if drawn < present else drawn + 1


@in_place
def begin_state(tensors: Tensors, sequence: TileSequence, capacity: int, state: DLSAState) -> int:
    """Compute all other fields of `state` from its DLSA; return the least room (negative: overflow)."""
    size = len(state.rank)
    total = 0.0
    for n in range(size):
        state.rank[state.dlsa.order[n]] = n
        total += tensors.bytes[n]
        state.heaviness[n] = total
    peak = fill_usage(tensors.bytes, size, state.dlsa, sequence, state.room)
    state.elapsed[0] = 0
    weighted = 0.0
    for p in range(sequence.count):
        weighted += float(state.room[p]) * sequence.cycles[p]
        state.room[p] = capacity - state.room[p]
        state.elapsed[p + 1] = state.elapsed[p] + sequence.cycles[p]
    state.weighted_usage[0] = weighted
    return capacity - peak


@compiled
def anneal_dlsa(
    tensors: Tensors,
    sequence: TileSequence,
    state: DLSAState,
    goal: int,
    delay_exponent: float,
    cooling: tuple[float, float, float, float],
    first_round: int,
    last_round: int,
    rounds: int,
    random: np.random.Generator,
) -> None:
    """Run rounds `first_round` … `last_round` − 1 of `rounds`; `cooling` is (T0, α, power, return to best at)."""
    dlsa, best = state.dlsa, state.best
    initial, alpha, power, return_at = cooling
    for n in range(first_round, last_round):
        if n == int(return_at * rounds):
            return_to_best(tensors, state)
        heat = temperature(initial, alpha, power, n, rounds)
        move = random.random()
        drawn = random.random() * state.heaviness[-1]
        tensor = min(np.searchsorted(state.heaviness, drawn, side="right"), len(state.heaviness) - 1)
        old_rank = state.rank[tensor]
        is_store = tensors.is_store[tensor]
        old_edge = dlsa.end[tensor] if is_store else dlsa.start[tensor]
        changed = False
        if move < ORDER_SHARE or move >= ORDER_SHARE + DURATION_SHARE:
            first, last = rank_range(tensors, state, tensor)
            if last > first:
                _move_to(state, tensor, _other_than(first, last, old_rank, random.random()))
                changed = True
        fits = True
        if move >= ORDER_SHARE:
            low, high = duration_range(tensors, state, sequence.count, tensor)
            if high > low:
                edge = _other_than(low, high, old_edge, random.random())
                fits = _shift(state, tensors.bytes[tensor], is_store, old_edge, edge)
                if is_store:
                    dlsa.end[tensor] = edge
                else:
                    dlsa.start[tensor] = edge
                changed = True
        if not changed:
            continue
        accepted = False
        if fits:
            latency = begin_times(sequence, tensors, len(state.rank), dlsa, state.times)
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
                    copy_dlsa(dlsa, len(state.rank), best)
        if not accepted:
            edge = dlsa.end[tensor] if is_store else dlsa.start[tensor]
            if edge != old_edge:
                _shift(state, tensors.bytes[tensor], is_store, edge, old_edge)
                if is_store:
                    dlsa.end[tensor] = old_edge
                else:
                    dlsa.start[tensor] = old_edge
            if state.rank[tensor] != old_rank:
                _move_to(state, tensor, old_rank)


@in_place
def return_to_best(tensors: Tensors, state: DLSAState) -> None:
    """Make the best DLSA the current one."""
    dlsa, best = state.dlsa, state.best
    for i in range(len(state.rank)):
        old = dlsa.end[i] if tensors.is_store[i] else dlsa.start[i]
        new = best.end[i] if tensors.is_store[i] else best.start[i]
        if old != new:
            _shift(state, tensors.bytes[i], tensors.is_store[i], old, new)
    copy_dlsa(best, len(state.rank), dlsa)
    for n in range(len(state.rank)):
        state.rank[dlsa.order[n]] = n
    state.costs[0] = state.costs[1]
    state.latencies[0] = state.latencies[1]
