"""The one narrow callback through which searches can be watched."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class ProgressEvent:
    """Where a search stands.

    Parameters
    ----------
    stage
        Name of what is running, as the user knows it.
    iteration
        Of the Buffer Allocator, from 1; 0 outside it.
    rounds_done, rounds
        Rounds of this stage; `rounds` is 0 where there is no fixed number.
    best_cost
        Objective of the best schedule so far, None before there is one.
    latency
        Of the best schedule of the LFA in hand (cycles), None if the stage does not say.
    lower_bound
        Latency in cycles that this stage has proven to be unavoidable, None if it proves nothing.
    """

    stage: str
    iteration: int
    rounds_done: int
    rounds: int
    best_cost: float | None
    latency: int | None = None
    lower_bound: int | None = None


Progress = Callable[[ProgressEvent], None]


def silent(event: ProgressEvent) -> None:
    """Watch nothing."""
