"""Run compiled rounds in chunks, short enough that a search reacts to a deadline or Ctrl-C soon."""

import time
from collections.abc import Callable

from soma_cp.annealing.budget import Budget

CHUNK_SECONDS = 0.05
CLOSING_SECONDS = 0.5
"""How long a search goes on after a time limit, accepting only what is no worse, if the core array is fast."""


def run_in_chunks(
    run: Callable[[int, int], None],
    rounds: int,
    budget: Budget,
    report: Callable[[int], None],
    first: int = 0,
    size: int = 16,
) -> int:
    """Call ``run(first, last)`` for consecutive ranges from `first` until `rounds` are done or `budget` is over.

    The first chunk has `size` rounds. The size of the others depends on time, so it must not change what `run`
    computes. After each chunk, `report` gets the rounds done. Returns the rounds done.
    """
    done = first
    while done < rounds and not budget.over:
        last = min(done + size, rounds)
        begin = time.monotonic()
        run(done, last)
        taken = time.monotonic() - begin
        done = last
        report(done)
        if taken < CHUNK_SECONDS / 2:
            size *= 2
        elif taken > CHUNK_SECONDS:
            size = max(size // 2, 1)
    return done
