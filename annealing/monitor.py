"""Monitor: how a search is stopped and watched."""

from dataclasses import dataclass, field, replace

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.progress import Progress, silent


@dataclass(frozen=True)
class Monitor:
    """A budget to heed, and a callback to tell where the search stands.

    Parameters
    ----------
    budget
        Deadline and stop request; no limit by default.
    progress
        Called from time to time, from the thread of the search.
    iteration
        Of the Buffer Allocator, or number of the LFA that a second stage works on, from 1; 0 outside both.
    """

    budget: Budget = field(default_factory=Budget)
    progress: Progress = silent
    iteration: int = 0

    def part(self, share: float) -> "Monitor":
        """Return the monitor of a search that may take that share of the time left."""
        return replace(self, budget=self.budget.part(share))

    def within(self, seconds: float | None) -> "Monitor":
        """Return the monitor of a search that may take so many seconds from now, but no longer than this one."""
        return replace(self, budget=Budget(seconds, parent=self.budget))

    def at(self, iteration: int) -> "Monitor":
        """Return the same for another iteration."""
        return replace(self, iteration=iteration)
