"""The history of a search: what it had found and proven at each moment at which one of both changed."""

import math
import time
from collections.abc import Callable

import numpy as np

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.progress import ProgressEvent
from soma_cp.api.tables import Table, make_table
from soma_cp.model.errors import UserError

OnProgress = Callable[[ProgressEvent], object]


class Recorder:
    """Records events, and passes them on to the caller's function.

    Parameters
    ----------
    on_progress
        The caller's function; None if there is none. What it raises stops the search, and is raised by `finish`.
    budget
        Stopped if the function raises.
    """

    def __init__(self, on_progress: OnProgress | None, budget: Budget) -> None:
        if on_progress is not None and not callable(on_progress):
            raise UserError(f"on_progress is of the type {type(on_progress).__name__} (must be a function)")
        self._on_progress = on_progress
        self._budget = budget
        self._begin = time.monotonic()
        self._rows: list[tuple[float, float, float]] = []
        self._raised: BaseException | None = None

    def record(self, event: ProgressEvent) -> None:
        """Take an event."""
        cost, bound = self._rows[-1][1:] if self._rows else (math.inf, 0.0)
        better = min(cost, math.inf if event.best_cost is None else event.best_cost)
        higher = max(bound, event.cost_bound or 0.0)
        if (better, higher) != (cost, bound):
            self._rows.append((time.monotonic() - self._begin, better, higher))
        if self._on_progress is None or self._raised is not None:
            return
        try:
            self._on_progress(event)
        except BaseException as error:  # raised by `finish`: searches run in threads and must end first
            self._raised = error
            self._budget.request_stop()

    def finish(self, seconds: float, cost: float, bound: float) -> Table:
        """Return the history that ends with a cost and a bound.

        A stage may price an LFA below what any schedule of it costs; such rows are left out.
        """
        self.raise_again()
        rows = [row for row in self._rows if row[1] > cost and row[2] <= bound]
        times, costs, bounds = np.array([*rows, (seconds, cost, bound)], np.float64).T
        return make_table({"seconds": times, "cost": costs, "bound": bounds})

    def raise_again(self) -> None:
        """Raise what the caller's function raised."""
        if self._raised is not None:
            raise self._raised
