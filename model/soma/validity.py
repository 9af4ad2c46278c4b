"""The rules that a DLSA must keep, checked one by one (docs/model.md#validity).

The checker has the last word on any result. It is plain and complete, and shares with the searches only the
rule of what is alive (`occupancy`). It returns reasons with positions and values, never a bare False.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np

from soma_cp.model.errors import UserError
from soma_cp.model.soma.dlsa import DLSA
from soma_cp.model.soma.occupancy import alive_bytes
from soma_cp.model.soma.plan import Plan


class Rule(Enum):
    """The rules, under the names that reports use."""

    PERMUTATION = "the DRAM Tensor Order names every DRAM tensor once"
    START_RANGE = "a load's Start is from -1 to the position of its first need"
    FIXED_START = "a store's Start is the position that makes it"
    FIXED_END = "a load's End is its last need + 1"
    END_RANGE = "a store's End is from its last local use + 1 to the number of tiles"
    SPACE = "a tensor that begins at tile s comes after every tensor that must be finished by tile s"
    DEADLOCK = "nothing that waits for tile f is queued before a load that tile f needs"
    DATA = "an ifmap is loaded after all tiles of its producer are stored"
    CAPACITY = "the living tensors fit into the buffer at every tile"


@dataclass(frozen=True)
class Violation:
    """One broken rule.

    Parameters
    ----------
    rule
        The rule.
    tile
        Position where it is broken, if there is one.
    tensors
        The DRAM tensors that break it, by index; for CAPACITY those alive, largest first.
    needed, available
        The figure found and the figure allowed: bytes for CAPACITY, else positions.
    message
        All of this in one sentence.
    """

    rule: Rule
    tile: int | None
    tensors: tuple[int, ...]
    needed: int
    available: int
    message: str


class InvalidScheduleError(UserError):
    """A schedule that breaks a rule; `violations` lists all broken rules that were found."""

    def __init__(self, violations: list[Violation]) -> None:
        self.violations = violations
        more = f" (and {len(violations) - 1} more broken rules)" if len(violations) > 1 else ""
        super().__init__(f"{violations[0].message}{more}")


def require_valid(plan: Plan, dlsa: DLSA) -> None:
    """Raise `InvalidScheduleError` if `violations` finds any."""
    found = violations(plan, dlsa)
    if found:
        raise InvalidScheduleError(found)


def violations(plan: Plan, dlsa: DLSA) -> list[Violation]:
    """Return the broken rules of (`plan`, `dlsa`); of each rule and tensor only the first violation.

    Parameters
    ----------
    plan, dlsa
        The schedule.
    """
    size = plan.dram_tensor_count
    if not np.array_equal(np.sort(dlsa.order), np.arange(size)):
        message = f"the DRAM Tensor Order is not a permutation of the {size} DRAM tensors of this LFA"
        return [Violation(Rule.PERMUTATION, None, (), len(dlsa.order), size, message)]
    found = list(_range_violations(plan, dlsa))
    if found:
        return found  # the other rules mean nothing outside the ranges
    found += _order_violations(plan, dlsa)
    found += _data_violations(plan, dlsa)
    found += _capacity_violations(plan, dlsa)
    return found


def _range_violations(plan: Plan, dlsa: DLSA) -> Iterator[Violation]:
    tiles = plan.tile_count
    tensors = plan.tensors
    columns = (dlsa.start, dlsa.end, tensors.position, tensors.least_end, tensors.is_store)
    label = plan.tensor_label  # called where a rule is broken: it takes longer than the rules
    for i, row in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        start, end, position, least_end, is_store = row
        if is_store:
            if start != position:
                text = f"{label(i)}: start={start}, but it is made at {plan.tile_label(position)}"
                yield Violation(Rule.FIXED_START, position, (i,), start, position, text)
            if end < least_end:
                user = plan.tile_label(least_end - 1)
                text = (
                    f"{label(i)}: end={end} releases it before its last local use at {user}; end must be ≥ {least_end}"
                )
                yield Violation(Rule.END_RANGE, end, (i,), end, least_end, text)
            elif end > tiles:
                text = f"{label(i)}: end={end} is after the last tile; end must be ≤ {tiles}"
                yield Violation(Rule.END_RANGE, None, (i,), end, tiles, text)
        else:
            if not -1 <= start <= position:
                user = plan.tile_label(position)
                text = f"{label(i)}: start={start} (must be from -1 to {position}, where {user} needs it)"
                yield Violation(Rule.START_RANGE, position, (i,), start, position, text)
            if end != least_end:
                text = f"{label(i)}: end={end}, but its last need is at {plan.tile_label(least_end - 1)}"
                yield Violation(Rule.FIXED_END, least_end - 1, (i,), end, least_end, text)


def _order_violations(plan: Plan, dlsa: DLSA) -> Iterator[Violation]:
    tensors = plan.tensors
    latest = -1  # of the tensors so far, the one with the latest Start
    latest_store = -1
    for j in dlsa.order.tolist():
        end, need = int(dlsa.end[j]), int(tensors.position[j])
        if latest >= 0 and dlsa.start[latest] >= end:
            start = int(dlsa.start[latest])
            text = (
                f"{plan.tensor_label(latest)} (start {start}) is queued before {plan.tensor_label(j)}, which must be "
                f"finished by tile {end}: it would be written into space that is not free yet"
            )
            yield Violation(Rule.SPACE, end, (latest, j), start, end - 1, text)
        if not tensors.is_store[j]:
            blocker = -1
            if latest_store >= 0 and dlsa.start[latest_store] >= need:
                blocker = latest_store
            elif latest >= 0 and dlsa.start[latest] > need:
                blocker = latest
            if blocker >= 0:
                start = int(dlsa.start[blocker])
                text = (
                    f"{plan.tile_label(need)} can never begin: {plan.tensor_label(blocker)} (start {start}) waits for "
                    f"it and is queued before {plan.tensor_label(j)}, which it needs"
                )
                allowed = need - 1 if tensors.is_store[blocker] else need
                yield Violation(Rule.DEADLOCK, need, (blocker, j), start, allowed, text)
        if latest < 0 or dlsa.start[j] > dlsa.start[latest]:
            latest = j
        if tensors.is_store[j] and (latest_store < 0 or dlsa.start[j] > dlsa.start[latest_store]):
            latest_store = j


def _data_violations(plan: Plan, dlsa: DLSA) -> Iterator[Violation]:
    tensors = plan.tensors
    rank = np.empty(plan.dram_tensor_count, np.int64)
    rank[dlsa.order] = np.arange(plan.dram_tensor_count)
    latest: dict[tuple[int, int], int] = {}  # of the stores that many loads come after
    for i in np.flatnonzero(tensors.after_end > tensors.after_begin).tolist():
        begin, end = int(tensors.after_begin[i]), int(tensors.after_end[i])
        if (begin, end) not in latest:
            latest[begin, end] = begin + int(np.argmax(rank[begin:end]))
        last = latest[begin, end]
        if rank[last] > rank[i]:
            text = f"{plan.tensor_label(i)} is queued before {plan.tensor_label(last)} is stored, which it reads"
            position = int(tensors.position[i])
            yield Violation(Rule.DATA, position, (i, last), int(rank[i]), int(rank[last]), text)


def _capacity_violations(plan: Plan, dlsa: DLSA) -> Iterator[Violation]:
    gbuf_bytes = plan.problem.platform.gbuf_bytes
    usage = plan.chip_usage + alive_bytes(plan.tensors.bytes, dlsa.start, dlsa.end, plan.tile_count)
    over = np.flatnonzero(usage > gbuf_bytes)
    if not len(over):
        return
    tile = int(over[np.argmax(usage[over])])
    needed = int(usage[tile])
    alive = np.flatnonzero((dlsa.start <= tile) & (dlsa.end > tile))
    alive = alive[np.argsort(-plan.tensors.bytes[alive], kind="stable")]
    named = [(int(plan.tensors.bytes[i]), plan.tensor_label(int(i))) for i in alive]
    tensors = plan.tensors
    on_chip = np.flatnonzero((tensors.chip_start <= tile) & (tensors.chip_end > tile))
    named += [(int(tensors.chip_bytes[i]), plan.chip_label(int(i))) for i in on_chip]
    named.sort(key=lambda item: -item[0])
    listed = ", ".join(f"{label} {size:,}" for size, label in named[:4])
    rest = f" and {len(named) - 4} more" if len(named) > 4 else ""
    text = (
        f"the buffer overflows at {plan.tile_label(tile)}: {needed:,} bytes needed, {gbuf_bytes:,} available "
        f"({len(over)} of {plan.tile_count} tiles overflow); alive are {listed}{rest}"
    )
    yield Violation(Rule.CAPACITY, tile, tuple(alive.tolist()), needed, gbuf_bytes, text)
