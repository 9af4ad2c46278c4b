"""Ctrl-C once: end with the best so far. Ctrl-C again: end at once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from soma_cp.annealing.budget import Budget


@contextmanager
def stops_on_interrupt(budget: Budget) -> Iterator[None]:
    """Within the block, turn the first SIGINT or SIGTERM into a stop request to `budget`."""

    def handle(number: int, frame: FrameType | None) -> None:
        if budget.stop_requested:
            raise KeyboardInterrupt
        budget.request_stop()

    earlier = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
