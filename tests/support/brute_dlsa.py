"""The optimal DLSA of a small plan by brute force: all durations, all orders, each priced by the evaluator.

It takes two shortcuts, which follow from docs/model.md. Start −1 also stands for Start 0: times, rules and bytes are
the same from tile 0 on. And durations that could be longer within the capacity are left out, unless `all_durations` is
set: a longer duration allows all orders that the shorter one allows (rule 1), and delays nothing. Rules 1a, 1b and 2
are SPACE, DEADLOCK and DATA of docs/model.md#validity, under the numbers of `slow_model`.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from soma_cp.model.soma.dlsa import DLSA
from soma_cp.model.soma.evaluation import evaluate
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.validity import violations
from support.twins import with_buffer


class TooManyError(Exception):
    """There are more schedules than the caller allows."""


class Life(NamedTuple):
    """A Living Duration."""

    start: int
    end: int


def brute_force_latency(plan: Plan, capacity: int, most: int = 4_000, all_durations: bool = False) -> int:
    """Return the lowest latency of any valid DLSA of `plan` within `capacity`.

    Raises
    ------
    TooManyError
        If there are more than `most` of them to look at.
    """
    lives = [_possible_lives(plan, tensor) for tensor in range(plan.dram_tensor_count)]
    return _best_latency(plan, capacity, lives, [], [], most, all_durations)


def every_dlsa(plan: Plan, capacity: int, most: int) -> Iterator[DLSA]:
    """Yield every valid DLSA of `plan` within `capacity`, all durations included.

    Raises
    ------
    TooManyError
        If there are more than `most`.
    """
    lives = [_possible_lives(plan, tensor) for tensor in range(plan.dram_tensor_count)]
    count = 0
    for chosen in _choices(plan, capacity, lives, most):
        start, end = (np.array(edges, np.int64) for edges in zip(*chosen, strict=True))
        for order in _orders(plan, chosen, [], []):
            count += 1
            if count > most:
                raise TooManyError
            yield DLSA(np.array(order, np.int64), start, end)


def brute_force_piece(plan: Plan, dlsa: DLSA, first: int, last: int, capacity: int, most: int = 4_000) -> int:
    """Return the lowest latency of any valid DLSA that differs from `dlsa` only in a stretch of the order.

    The transfers of the ranks ``first … last − 1`` may exchange their ranks, and change their durations.

    Raises
    ------
    TooManyError
        If there are more than `most` of them to look at.
    """
    order = dlsa.order.tolist()
    lives = [[Life(int(dlsa.start[i]), int(dlsa.end[i]))] for i in range(plan.dram_tensor_count)]
    for tensor in order[first:last]:
        lives[tensor] = _possible_lives(plan, tensor)
    return _best_latency(plan, capacity, lives, order[:first], order[last:], most)


def _best_latency(
    plan: Plan,
    capacity: int,
    lives: list[list[Life]],
    prefix: list[int],
    suffix: list[int],
    most: int,
    all_durations: bool = False,
) -> int:
    """Return the lowest latency over the durations in `lives` and all orders from `prefix` to `suffix`."""
    choices = list(_choices(plan, capacity, lives, most))
    if not all_durations:
        choices = _longest(choices)
    schedules = []
    for chosen in choices:
        for order in _orders(plan, chosen, prefix, suffix):
            schedules.append((order, chosen))
            if len(schedules) > most:
                raise TooManyError
    best = None
    for order, chosen in schedules:
        start, end = (np.array(edges, np.int64) for edges in zip(*chosen, strict=True))
        dlsa = DLSA(np.array(order, np.int64), start, end)
        latency = evaluate(plan, dlsa).latency
        if best is None or latency < best:
            assert violations(with_buffer(plan, capacity), dlsa) == []
            best = latency
    assert best is not None, "no DLSA fits"
    return best


def _possible_lives(plan: Plan, tensor: int) -> list[Life]:
    """Return all durations of a tensor, the shortest first."""
    tensors = plan.tensors
    position, least_end = int(tensors.position[tensor]), int(tensors.least_end[tensor])
    if tensors.is_store[tensor]:
        return [Life(position, end) for end in range(least_end, plan.tile_count + 1)]
    return [Life(start, least_end) for start in (*range(position, 0, -1), -1)]


def _choices(plan: Plan, capacity: int, lives: list[list[Life]], most: int) -> Iterator[tuple[Life, ...]]:
    """Yield all combinations of durations in `lives` that stay within the capacity."""
    sizes = plan.tensors.bytes.tolist()
    # The least bytes that the tensors not yet chosen hold.
    least = plan.chip_usage.copy()
    for size, options in zip(sizes, lives, strict=True):
        _hold(least, size, options[0])
    found = 0

    def extend(chosen: list[Life], usage: np.ndarray) -> Iterator[tuple[Life, ...]]:
        nonlocal found
        if np.any(usage > capacity):
            return
        tensor = len(chosen)
        if tensor == len(lives):
            found += 1
            if found > 10 * most:
                raise TooManyError
            yield tuple(chosen)
            return
        for life in lives[tensor]:
            longer = usage.copy()
            _hold(longer, -sizes[tensor], lives[tensor][0])
            _hold(longer, sizes[tensor], life)
            yield from extend([*chosen, life], longer)

    yield from extend([], least)


def _hold(usage: np.ndarray, size: int, life: Life) -> None:
    usage[max(life.start, 0) : life.end] += size


def _longest(choices: list[tuple[Life, ...]]) -> list[tuple[Life, ...]]:
    """Leave out each choice that is nowhere longer and somewhere shorter than another."""
    known = set(choices)
    return [lives for lives in choices if not any(longer in known for longer in _longer_by_one(lives))]


def _longer_by_one(lives: tuple[Life, ...]) -> Iterator[tuple[Life, ...]]:
    """Yield the choices in which one duration is one position longer; some of them may not be possible."""
    for tensor, life in enumerate(lives):
        before = -1 if life.start == 1 else life.start - 1
        for longer in (Life(before, life.end), Life(life.start, life.end + 1)):
            yield (*lives[:tensor], longer, *lives[tensor + 1 :])


def _orders(plan: Plan, lives: tuple[Life, ...], order: list[int], suffix: list[int]) -> Iterator[list[int]]:
    """Yield all orders that begin with `order`, end with `suffix` and keep rules 1 and 2."""
    if len(order) == len(lives):
        yield list(order)
        return
    fixed = len(lives) - len(suffix)
    following = range(len(lives)) if len(order) < fixed else [suffix[len(order) - fixed]]
    for tensor in following:
        waits = len(order) < fixed and tensor in suffix
        if tensor not in order and not waits and _may_follow(plan, lives, order, tensor):
            yield from _orders(plan, lives, [*order, tensor], suffix)


def _may_follow(plan: Plan, lives: tuple[Life, ...], order: list[int], tensor: int) -> bool:
    tensors = plan.tensors
    if any(lives[before].start >= lives[tensor].end for before in order):
        return False  # rule 1a
    if not tensors.is_store[tensor]:
        need = int(tensors.position[tensor])
        if any(lives[before].start >= need + (not tensors.is_store[before]) for before in order):
            return False  # rule 1b
        awaited = range(int(tensors.after_begin[tensor]), int(tensors.after_end[tensor]))
        if any(store not in order for store in awaited):
            return False  # rule 2
    return True
