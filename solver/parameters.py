"""Parameters of the exact second stage; light, so that the command line can name them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CpSatParameters:
    """How CP-SAT is run.

    Parameters
    ----------
    workers
        Threads; None for all cores. More than one is not deterministic.
    seed
        Of the solver.
    deterministic
        One thread, interleaved strategies, a limit in deterministic time: the same DLSA on every run, unless a
        wall-clock limit ends it first.
    deterministic_time
        That limit (about as many seconds of one core).
    most_literals
        A model with more is not built: the second stage then stays at the incumbent, with its combinatorial bound.
    log
        Whether the solver writes its log to stdout.
    """

    workers: int | None = None
    seed: int = 0
    deterministic: bool = False
    deterministic_time: float = 60.0
    most_literals: int = 400_000
    log: bool = False
