"""Parameters: how to solve, and how CP-SAT is run."""

from dataclasses import dataclass

from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters
from soma_cp.annealing.first_stage.paper_search import PaperSearchParameters
from soma_cp.annealing.second_stage.annealing import AnnealingParameters
from soma_cp.model.objective import Objective
from soma_cp.solver.choices import FirstStage, SecondStage


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


@dataclass(frozen=True)
class SolveParameters:
    """How to solve.

    Parameters
    ----------
    first_stage
        GREEDY: LFAs are priced by the greedy DLSA under the full buffer, and the best few go through the second stage.
        PAPER: they are priced by double buffering, under the Buffer Allocator.
    second_stage
        What makes schedules of LFAs.
    objective
        What to minimise.
    seed
        Of all draws.
    search, paper_search, annealing, cpsat
        Parameters of the parts: of the search with GREEDY, of the paper's two stages, of CP-SAT.
    threads
        For the search with GREEDY; all cores by default. The result does not depend on it.
    prove_seconds
        Where the budget has no deadline and CP-SAT is not deterministic: how long it may go on with the best LFA in
        the end.
    exact
        Whether to go through all LFAs in the end, so that the schedule is proven optimal over all of them; networks of
        at most `MOST_LAYERS` layers, with CP-SAT as the second stage.
    """

    first_stage: FirstStage = FirstStage.GREEDY
    second_stage: SecondStage = SecondStage.CPSAT
    objective: Objective = Objective()
    seed: int = 0
    search: LFASearchParameters = LFASearchParameters()
    paper_search: PaperSearchParameters = PaperSearchParameters()
    annealing: AnnealingParameters = AnnealingParameters()
    cpsat: CpSatParameters = CpSatParameters()
    threads: int | None = None
    prove_seconds: float = 60.0
    exact: bool = False
