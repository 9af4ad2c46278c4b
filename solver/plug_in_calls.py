"""Calls of plug-ins: what they raise becomes a sentence that names the package, and Ctrl-C ends the wait for them.

A plug-in may ignore its budget. It is then waited for beyond a deadline, but not after a stop request: whoever asked
for the stop wants the best so far. So a plug-in runs in a thread of its own, which is left behind in that case.
"""

import inspect
import threading
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.progress import ProgressEvent
from soma_cp.model.errors import UserError
from soma_cp.model.plug_ins import PlugIn, PlugInError, said

POLL_SECONDS = 0.05
GRACE_SECONDS = 1.0
"""After a stop request, a plug-in has this long to return its own best."""

Result = TypeVar("Result")


class LeftBehindError(Exception):
    """A stop was requested and the plug-in did not return in time."""


class Caller:
    """Calls a plug-in, one call after another in the same thread.

    Parameters
    ----------
    plug_in
        The plug-in that messages name.
    monitor
        Its budget ends the wait for a call; its progress reports reach the caller until then.
    """

    def __init__(self, plug_in: PlugIn, monitor: Monitor) -> None:
        self.plug_in = plug_in
        self.budget: Budget = monitor.budget
        self.monitor = Monitor(monitor.budget, self._report, monitor.iteration)
        self._progress = monitor.progress
        self._left_behind = False
        self._calls: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()
        self._results: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        threading.Thread(target=self._work, name=str(plug_in), daemon=True).start()

    def call(self, function: Callable[[], Result]) -> Result:
        """Return what `function` returns, which calls the plug-in.

        Raises
        ------
        PlugInError
            If it raises anything.
        LeftBehindError
            If a stop was requested and it does not return; the caller then serves for no other call.
        """
        self._calls.put(function)
        result, error = self._wait()
        if isinstance(error, UserError):
            raise PlugInError(f"{self.plug_in}: {error}") from error
        if error is not None:
            raise PlugInError(
                f"{self.plug_in} failed: {said(error)}; repair or uninstall the package (SOMA_CP_TRACEBACK=1 shows "
                "where it failed)"
            ) from error
        return result  # type: ignore[no-any-return]

    def end(self) -> None:
        """Let the thread end."""
        self._calls.put(None)

    def _wait(self) -> tuple[Any, BaseException | None]:
        grace = int(GRACE_SECONDS / POLL_SECONDS)
        while True:
            try:
                return self._results.get(timeout=POLL_SECONDS)
            except Empty:
                if self.budget.stop_requested:
                    grace -= 1
                if grace < 0:
                    self._left_behind = True
                    raise LeftBehindError from None

    def _work(self) -> None:
        for function in iter(self._calls.get, None):
            try:
                self._results.put((function(), None))
            except BaseException as error:
                self._results.put((None, error))

    def _report(self, event: ProgressEvent) -> None:
        if not self._left_behind:
            self._progress(event)


def wanted_keywords(plug_in: PlugIn, offered: Mapping[str, object]) -> dict[str, object]:
    """Return those of the offered keyword arguments that the plug-in names in its signature."""
    try:
        named = inspect.signature(plug_in.function).parameters
    except (TypeError, ValueError):  # a callable without a signature takes the two arguments alone
        return {}
    return {name: value for name, value in offered.items() if name in named}
