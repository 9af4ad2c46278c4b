"""How a caller ends a search early: a `Cancel` or an event from any thread, or Ctrl-C.

Ctrl-C is taken in the main thread alone, and only where nobody else has: the first one ends the search with the best
schedule so far, as in other solvers; a second one raises KeyboardInterrupt.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from soma_cp.annealing.budget import Budget
from soma_cp.cli.interrupts import stops_on_interrupt
from soma_cp.model.errors import UserError


@runtime_checkable
class Stopper(Protocol):
    """What can ask a search to stop: `Cancel`, `threading.Event`, `multiprocessing.Event`."""

    def is_set(self) -> bool:
        """Whether the search must end."""


class Cancel:
    """Ends searches early, from a progress callback or another thread; they return the best schedule so far.

    Examples
    --------
    >>> import soma_cp as sc
    >>> cancel = sc.Cancel()
    >>> cancel.stop()
    >>> sc.solve("tiny-chain", stage2="greedy", cancel=cancel).interrupted
    True
    """

    def __init__(self) -> None:
        self._event = threading.Event()

    def stop(self) -> None:
        """Ask every search that was given this object to end with the best it has found."""
        self._event.set()

    def is_set(self) -> bool:
        """Whether `stop` was called."""
        return self._event.is_set()

    def __repr__(self) -> str:
        return f"<Cancel: {'stopped' if self.is_set() else 'not stopped'}>"


class CancellableBudget(Budget):
    """A budget that a `Stopper` ends, too.

    Parameters
    ----------
    seconds
        Time from now; None for no limit.
    cancel
        Asked between chunks of work; None if nothing but the time ends the search.

    Raises
    ------
    UserError
        If `cancel` can't be asked.
    """

    def __init__(self, seconds: float | None, cancel: Stopper | None) -> None:
        super().__init__(seconds)
        if cancel is not None and not isinstance(cancel, Stopper):
            raise UserError(f"cancel is of the type {type(cancel).__name__} (must be a Cancel or an Event)")
        self._cancel = cancel

    @property
    def stop_requested(self) -> bool:
        """Whether a stop was requested."""
        return super().stop_requested or (self._cancel is not None and self._cancel.is_set())


@contextmanager
def interruptible(budget: Budget) -> Iterator[None]:
    """Within the block, turn the first Ctrl-C into a stop request to `budget`."""
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        with stops_on_interrupt(budget, signal.SIGINT):
            yield
    else:
        yield
