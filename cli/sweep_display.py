"""One line that shows how far a sweep is, if stderr is a terminal; the log has a line for each run that ended."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from soma_cp.annealing.budget import Budget
from soma_cp.cli.progress_display import REFRESHES_PER_SECOND
from soma_cp.cli.run_log import LOG, logs_to_stderr
from soma_cp.solver.sweep.run import Progress

_MOST_NAMED = 2


class _Line:
    """What rich draws."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.begin = time.monotonic()
        self.progress: Progress | None = None

    def __rich__(self) -> Text:
        now = self.progress
        parts = ["starting"] if now is None else progress_parts(now)
        parts.append("stopping" if self.budget.stop_requested else duration(time.monotonic() - self.begin))
        return Text(" · ".join(parts), no_wrap=True, overflow="ellipsis")


def progress_parts(progress: Progress) -> list[str]:
    """Return what the line says of a sweep."""
    parts = [f"{progress.done:,}/{progress.tasks:,} runs"]
    if progress.failed:
        parts.append(f"{progress.failed:,} failed")
    left = progress.seconds_left
    if left is not None and progress.done < progress.tasks:
        parts.append(f"about {duration(left)} left")
    named = progress.running[:_MOST_NAMED]
    if named:
        more = len(progress.running) - len(named)
        parts.append(f"now {', '.join(named)}{f' and {more} more' if more else ''}")
    return parts


def duration(seconds: float) -> str:
    """Return seconds as people read them: 40 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


@contextmanager
def sweep_display(budget: Budget) -> Iterator[Callable[[Progress], None]]:
    """Yield what keeps the line up to date while the block runs."""
    console = Console(stderr=True)
    line = _Line(budget)
    logged = 0

    def update(progress: Progress) -> None:
        nonlocal logged
        line.progress = progress
        if progress.done > logged:
            logged = progress.done
            LOG.info("%s", " · ".join(progress_parts(progress)))

    if not console.is_terminal or logs_to_stderr():
        yield update
        return
    with Live(line, console=console, refresh_per_second=REFRESHES_PER_SECOND, transient=True):
        yield update
