"""Shows that kernels are being compiled, the first time that a machine needs them."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

from soma_cp.cli.run_log import LOG, logs_to_stderr

if TYPE_CHECKING:
    from soma_cp.solver.parameters import SolveParameters

REFRESHES_PER_SECOND = 4
NOTE = "soma-cp: compiling kernels, once on this machine: up to two minutes"


class _Compiling:
    """What rich draws: the kernels done of all, and seconds. Nothing appears until the first kernel is compiled."""

    def __init__(self, total: Callable[[], int]) -> None:
        self.begin = time.monotonic()
        self.console = Console(stderr=True)
        self.live: Live | None = None
        self.total_of = total
        self.total = 0
        self.begun: dict[str, None] = {}
        self.lock = threading.Lock()

    def compiles(self, kernel: str) -> None:
        """Count a kernel that is about to be compiled."""
        with self.lock:
            if not self.begun:
                self.total = self.total_of()
                if self.console.is_terminal and not logs_to_stderr():
                    self.live = Live(
                        self, console=self.console, refresh_per_second=REFRESHES_PER_SECOND, transient=True
                    )
                    self.live.start()
                else:
                    print(NOTE, file=sys.stderr, flush=True)
            self.begun[kernel] = None
        LOG.info("compiling kernel %d of %d: %s", len(self.begun), max(self.total, len(self.begun)), kernel)

    def end(self) -> None:
        """Take the line away."""
        if self.live is not None:
            self.live.stop()

    def __rich__(self) -> Text:
        done = max(len(self.begun) - 1, 0)
        seconds = time.monotonic() - self.begin
        return Text(f"compiling kernels, once on this machine · {done} of {max(self.total, done)} · {seconds:.0f} s")


def prepare_kernels(*runs: "SolveParameters") -> None:
    """Compile or load the kernels of runs with these parameters, before any clock starts."""
    from soma_cp.solver.warm_up import kernels_of, warm_up

    with _shown(lambda: len(kernels_of(*runs))):
        warm_up(*runs)


@contextmanager
def pricing_shown() -> Iterator[None]:
    """Within the block, or a function decorated by it, show that kernels which price schedules are compiled."""

    def total() -> int:
        from soma_cp.solver.pricing_warm_up import pricing_kernels

        return len(pricing_kernels())

    with _shown(total):
        yield


@contextmanager
def _shown(total: Callable[[], int]) -> Iterator[None]:
    from soma_cp.model.kernel_compiler import watched

    shown = _Compiling(total)
    try:
        with watched(shown.compiles):
            yield
    finally:
        shown.end()
