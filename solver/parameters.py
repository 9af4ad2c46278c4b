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
    piece_lengths
        Transfers in the pieces of the large-neighbourhood search, one pass after another.
    piece_deterministic_time
        Limit for each piece.
    piece_share
        Share of `deterministic_time` that all pieces may take together, whether or not the run is deterministic.
    most_piece_literals
        A piece whose model has more is left as it is.
    most_literals
        A model of the whole problem with more is not built: only pieces of it are solved, and the bound stays the
        combinatorial one.
    log
        Whether the solver writes its log to stdout.
    """

    workers: int | None = None
    seed: int = 0
    deterministic: bool = False
    deterministic_time: float = 60.0
    piece_lengths: tuple[int, ...] = (32, 64, 128, 256)
    piece_deterministic_time: float = 0.5
    piece_share: float = 0.5
    most_piece_literals: int = 50_000
    most_literals: int = 400_000
    log: bool = False
