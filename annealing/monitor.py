"""Monitor: how a search is stopped and watched."""

from dataclasses import dataclass, field, replace

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.progress import Progress, silent


@dataclass(frozen=True)
class Monitor:
    """A budget that limits the search, and a callback that reports its progress.

    Parameters
    ----------
    budget
        Deadline and stop request; no limit by default.
    progress
        Called from time to time, in the thread of the search.
    iteration
        Iteration of the Buffer Allocator, or number of the LFA in the second stage, from 1; 0 outside both.
    """

    budget: Budget = field(default_factory=Budget)
    progress: Progress = silent
    iteration: int = 0

    def part(self, share: float) -> "Monitor":
        """Return the monitor of a search that may take a share of the time left."""
        return replace(self, budget=self.budget.part(share))

    def within(self, seconds: float | None) -> "Monitor":
        """Return the monitor of a search that ends after `seconds`, or when this one ends."""
        return replace(self, budget=Budget(seconds, parent=self.budget))

    def at(self, iteration: int) -> "Monitor":
        """Return the same monitor for another iteration."""
        return replace(self, iteration=iteration)
