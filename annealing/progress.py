"""The callback through which searches are watched."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class ProgressEvent:
    """Where a search stands.

    Parameters
    ----------
    stage
        The user's name of what is running.
    iteration
        Iteration of the Buffer Allocator, from 1; 0 outside it.
    rounds_done, rounds
        Rounds of this stage; `rounds` is 0 if their number is not fixed.
    best_cost
        Objective of the best schedule so far; None before the first.
    latency
        Latency (cycles) of the best schedule of the current LFA; None if the stage does not report it.
    lower_bound
        Lower bound on the latency (cycles) that this stage has proven; None if it proves nothing.
    cost_bound
        Lower bound on the objective over every LFA and DLSA, in the event that reports it; else None.
    """

    stage: str
    iteration: int
    rounds_done: int
    rounds: int
    best_cost: float | None
    latency: int | None = None
    lower_bound: int | None = None
    cost_bound: float | None = None


Progress = Callable[[ProgressEvent], None]


def silent(event: ProgressEvent) -> None:
    """Ignore the event."""
