"""Ctrl-C once: end with the best so far. Ctrl-C again: end at once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from soma_cp.annealing.budget import Budget

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stops_on_interrupt(budget: Budget, *signals: signal.Signals) -> Iterator[None]:
    """Within the block, turn the first of these signals into a stop request to `budget`; by default SIGINT, SIGTERM."""

    def handle(number: int, frame: FrameType | None) -> None:
        if budget.stop_requested:
            raise KeyboardInterrupt
        budget.request_stop()

    earlier = {number: signal.signal(number, handle) for number in signals or SIGNALS}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
