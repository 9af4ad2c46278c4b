"""One line that shows the progress of a search, if stderr is a terminal."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.progress import ProgressEvent, silent
from soma_cp.cli.run_log import LOG, LoggedProgress, logs_to_stderr

REFRESHES_PER_SECOND = 8


class _Line:
    """What rich draws: the last event, with the time that is left now."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.begin = time.monotonic()
        self.event: ProgressEvent | None = None
        self.best_cost = math.inf

    def update(self, event: ProgressEvent) -> None:
        self.event = event

    def __rich__(self) -> Text:
        parts = []
        event = self.event
        if event is None:
            parts.append("starting")
        else:
            if event.iteration:
                parts.append(f"iteration {event.iteration}")
            parts.append(event.stage)
            if event.rounds:
                parts.append(f"{event.rounds_done:,}/{event.rounds:,} rounds")
            elif event.rounds_done:
                parts.append(f"{event.rounds_done:,} done")
            if event.best_cost is not None:
                parts.append(f"best {event.best_cost:.5g}")
            if event.latency is not None:
                parts.append(f"latency {event.latency:,}")
            if event.lower_bound is not None:
                parts.append(f"bound {event.lower_bound:,}")
        left = self.budget.seconds_left
        if self.budget.stop_requested:
            parts.append("stopping")
        elif math.isinf(left):
            parts.append(f"{time.monotonic() - self.begin:.0f} s")
        else:
            parts.append(f"{left:.0f} s left")
        return Text(" · ".join(parts), no_wrap=True, overflow="ellipsis")


@contextmanager
def progress_display(budget: Budget) -> Iterator[Monitor]:
    """Yield a monitor of that budget that keeps the line up to date while the block runs."""
    console = Console(stderr=True)
    log = LoggedProgress().update if LOG.handlers else silent
    if not console.is_terminal or logs_to_stderr():
        yield Monitor(budget, log)
        return
    line = _Line(budget)

    def update(event: ProgressEvent) -> None:
        line.update(event)
        log(event)

    with Live(line, console=console, refresh_per_second=REFRESHES_PER_SECOND, transient=True):
        yield Monitor(budget, update)
