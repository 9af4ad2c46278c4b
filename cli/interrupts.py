"""Ctrl-C or SIGTERM once: end with the best so far. Once more: end at once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from soma_cp.annealing.budget import Budget

SIGNALS = (signal.SIGINT, signal.SIGTERM)
EXIT_AT_ONCE = 130
"""128 and the number of SIGINT, as shells count."""
EXIT_TERMINATED = 143
"""The same of SIGTERM; also where the search ended with a schedule, since whoever asked for the end expects it."""

_received: list[int] = []
"""The signals that this process has turned into stop requests: an exit code is that of the process."""


def exit_code(otherwise: int) -> int:
    """Return the exit code of a process that ends now: `EXIT_TERMINATED` after SIGTERM."""
    return EXIT_TERMINATED if signal.SIGTERM in _received else otherwise


@contextmanager
def stops_on_interrupt(budget: Budget, *signals: signal.Signals) -> Iterator[None]:
    """Within the block, turn the first of these signals into a stop request to `budget`; by default SIGINT, SIGTERM."""

    def handle(number: int, frame: FrameType | None) -> None:
        _received.append(number)
        if budget.stop_requested:
            raise KeyboardInterrupt
        budget.request_stop()

    earlier = {number: signal.signal(number, handle) for number in signals or SIGNALS}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
