"""When a search must end: a deadline, or a request to stop."""

import math
import time


class OutOfTimeError(Exception):
    """The budget ended before the result was ready."""


class Budget:
    """The time left, and whether a stop was requested; searches check it between chunks of work.

    Parameters
    ----------
    seconds
        Time from now; no limit by default.
    parent
        A budget whose deadline and stop request also apply to this one.
    """

    def __init__(self, seconds: float | None = None, parent: "Budget | None" = None) -> None:
        self.parent = parent
        self._stop_requested = False
        self.deadline = math.inf if seconds is None else time.monotonic() + seconds
        if parent is not None:
            self.deadline = min(self.deadline, parent.deadline)

    def request_stop(self) -> None:
        """Ask every search under this budget to end with the best it has found."""
        self._stop_requested = True

    @property
    def stop_requested(self) -> bool:
        """Whether a stop of this budget, or of a parent, was requested."""
        return self._stop_requested or (self.parent is not None and self.parent.stop_requested)

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline, 0 once it has passed; infinite without a limit."""
        return max(self.deadline - time.monotonic(), 0.0)

    @property
    def over(self) -> bool:
        """Whether the search must end now."""
        return self.stop_requested or self.seconds_left <= 0.0

    def part(self, share: float) -> "Budget":
        """Return a budget with a share of the time left; it stops when this one does."""
        left = self.seconds_left
        return Budget(None if math.isinf(left) else left * share, parent=self)

    def extended(self, seconds: float) -> "Budget":
        """Return a budget that ends after `seconds`, even if this one ends before; a stop of this one stops it, too."""
        longer = Budget(seconds)
        longer.parent = self
        return longer
