"""The result of a second stage, the same for all of them."""

import math
from dataclasses import dataclass, field
from enum import Enum

from soma_cp.model.soma.schedule import Schedule


class Status(Enum):
    """What is known of a second stage's result."""

    OPTIMAL = "proven optimal"
    FEASIBLE = "not proven optimal"


def relative_gap(value: float, lower_bound: float) -> float:
    """Return by what share `value` exceeds `lower_bound`; the one definition of a gap in the project.

    A bound of 0 comes from energies of 0: then the gap is 0 if `value` is 0, else infinite.
    """
    if lower_bound == 0:
        return 0.0 if value == 0 else math.inf
    return value / lower_bound - 1.0


def reaches_bound(latency: int, lower_bound: int | None) -> bool:
    """Whether a latency is proven to be the lowest: no higher than its bound; never without a bound (None)."""
    return lower_bound is not None and latency <= lower_bound


@dataclass(frozen=True, eq=False)
class SecondStageResult:
    """A schedule of a given LFA, and what is proven about it.

    Parameters
    ----------
    method
        Name of the second stage, as users type it.
    schedule
        The schedule, with its evaluation.
    lower_bound
        No DLSA of this LFA has a lower latency (cycles).
    lower_bound_source
        Where the bound comes from, for people.
    status
        OPTIMAL if and only if the latency equals the lower bound.
    seconds
        Wall-clock time taken.
    details
        Versions, seeds, limits: how it was made.
    """

    method: str
    schedule: Schedule
    lower_bound: int
    lower_bound_source: str
    seconds: float
    details: dict[str, object] = field(default_factory=dict)

    @property
    def status(self) -> Status:
        """Whether the latency is proven to be the lowest."""
        return Status.OPTIMAL if reaches_bound(self.schedule.latency, self.lower_bound) else Status.FEASIBLE

    @property
    def proven_optimal(self) -> bool:
        """Whether it is proven that no DLSA of this LFA is faster."""
        return self.status is Status.OPTIMAL

    @property
    def gap(self) -> float:
        """Share by which the latency exceeds the proven lower bound."""
        return relative_gap(self.schedule.latency, self.lower_bound)
