"""Parameters: how to solve, and how CP-SAT is run."""

from dataclasses import dataclass

import numpy as np

from soma_cp.annealing.cocco.cocco_search import CoccoParameters
from soma_cp.annealing.cocco.genetic_search import GeneticParameters
from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters
from soma_cp.annealing.first_stage.paper_search import PaperSearchParameters
from soma_cp.annealing.second_stage.annealing import AnnealingParameters
from soma_cp.model.objective import Objective
from soma_cp.solver.choices import PAPER_STAGES, FirstStage, SecondStage, Space, UsePeriods

MAX_SEED = 2**31 - 1
MAX_EXPONENT = 8.0
MAX_WORKERS = 256
"""What callers may give: the seed of CP-SAT has 32 bits, costs of higher exponents overflow, more threads are idle."""


@dataclass(frozen=True)
class CpSatParameters:
    """How CP-SAT is run.

    Parameters
    ----------
    workers
        Threads; None for all cores. More than one is not deterministic.
    seed
        Seed of the solver.
    deterministic
        One thread, interleaved strategies, a limit in deterministic time: the same DLSA on every run, unless a
        wall-clock limit ends it first.
    deterministic_time
        That limit (about as many seconds on one core).
    piece_lengths
        Transfers in a piece of the large-neighbourhood search, from the first length to the last.
    piece_deterministic_time
        Limit for each piece.
    piece_share
        Share of `deterministic_time` that all pieces together may take, whether or not the run is deterministic.
    window_transfers
        Transfers in a window of the run that is solved for a bound, from the first number to the last.
    window_deterministic_time, window_share
        As those of pieces.
    few_literals
        A whole problem with fewer literals is solved at once, not after windows.
    most_piece_literals
        A piece or window whose model has more literals is skipped.
    most_literals
        If the model of the whole problem has more literals, it is not built: only pieces are solved, and the bound is
        the combinatorial one.
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
    window_transfers: tuple[int, ...] = (48, 96, 192)
    window_deterministic_time: float = 2.0
    window_share: float = 0.25
    few_literals: int = 20_000
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
        PAPER: LFAs are priced by double buffering, inside the Buffer Allocator.
        COCCO and COCCO_GA: the best LFA of Cocco's space, annealed or bred; the baseline has the second stage NONE.
        Or the name of a plug-in (docs/plug-ins.md).
    second_stage
        The method that makes a schedule of an LFA: one of `SecondStage`, or the name of a plug-in.
    objective
        What to minimise.
    seed, run
        Seed of all draws, and how often the search ran before: a search that is resumed draws anew.
    search, paper_search, cocco, genetic, annealing, cpsat
        Parameters of the search with GREEDY, of the paper's first stage, of Cocco's space and its genetic search, of
        the paper's second stage, of CP-SAT.
    threads
        Threads of the search with GREEDY; all cores by default. The result does not depend on it.
    prove_seconds
        How long CP-SAT may work on the best LFA at the end, if the budget has no deadline and CP-SAT is not
        deterministic.
    space
        Which schedules the search may make. By default the wide space; but the paper's if `exact` is set or the first
        stage is one of `PAPER_STAGES`, which know no other.
    passes
        In how many passes the batch is run (docs/model.md#passes); by default the search decides, where it knows them.
    path_bound
        Whether the bound over every LFA looks for shortest paths, which is limited by the clock: without them, it is
        the same on every machine, and often lower.
    periods
        Whether alike layers that repeat are searched as periods, in the wide space.
    fix_lfa
        Whether the LFA of the start is kept: no LFA is searched, the second stage alone runs.
    exact
        Whether to go through all LFAs at the end and prove the schedule optimal over them; for networks of at most
        `MOST_LAYERS` layers, with CP-SAT as the second stage.
    """

    first_stage: str = FirstStage.GREEDY
    second_stage: str = SecondStage.CPSAT
    objective: Objective = Objective()
    seed: int = 0
    run: int = 0
    search: LFASearchParameters = LFASearchParameters()
    paper_search: PaperSearchParameters = PaperSearchParameters()
    cocco: CoccoParameters = CoccoParameters()
    genetic: GeneticParameters = GeneticParameters()
    annealing: AnnealingParameters = AnnealingParameters()
    cpsat: CpSatParameters = CpSatParameters()
    threads: int | None = None
    prove_seconds: float = 60.0
    space: Space | None = None
    passes: int | None = None
    path_bound: bool = True
    periods: UsePeriods = UsePeriods.AUTO
    fix_lfa: bool = False
    exact: bool = False

    @property
    def draws(self) -> int:
        """What searches seed their draws with: `seed` in the first run, a number made of seed and run in later ones."""
        if self.run == 0:
            return self.seed
        return int(np.random.SeedSequence([self.seed, self.run]).generate_state(1)[0] >> 1)

    @property
    def searched_space(self) -> Space:
        """The space that is searched, and over which bounds and proofs hold."""
        if self.space is not None:
            return self.space
        return Space.PAPER if self.exact or self.first_stage in PAPER_STAGES else Space.WIDE

    @property
    def searches_periods(self) -> bool:
        """Whether the search looks for periods."""
        return self.periods is UsePeriods.AUTO and self.searched_space is Space.WIDE
