"""When a search has to end: a deadline, and a request from outside."""

import math
import time


class OutOfTimeError(Exception):
    """The budget was over before what was asked for was there."""


class Budget:
    """Time that is left, and whether somebody asked to stop; searches look at it between chunks of work.

    Parameters
    ----------
    seconds
        From now on; no limit by default.
    parent
        A budget whose deadline and stop request hold for this one too.
    """

    def __init__(self, seconds: float | None = None, parent: "Budget | None" = None) -> None:
        self.parent = parent
        self._stop_requested = False
        self.deadline = math.inf if seconds is None else time.monotonic() + seconds
        if parent is not None:
            self.deadline = min(self.deadline, parent.deadline)

    def request_stop(self) -> None:
        """Ask everything under this budget to end with the best it has."""
        self._stop_requested = True

    @property
    def stop_requested(self) -> bool:
        """Whether this budget, or one above it, was asked to stop."""
        return self._stop_requested or (self.parent is not None and self.parent.stop_requested)

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline, 0 once it has passed; infinite without a limit."""
        return max(self.deadline - time.monotonic(), 0.0)

    @property
    def over(self) -> bool:
        """Whether to end now."""
        return self.stop_requested or self.seconds_left <= 0.0

    def part(self, share: float) -> "Budget":
        """Return a budget of that share of the time left, which stops when this one does."""
        left = self.seconds_left
        return Budget(None if math.isinf(left) else left * share, parent=self)
