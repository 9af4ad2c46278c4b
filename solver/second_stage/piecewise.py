"""Large-neighbourhood search: CP-SAT solves pieces of the DRAM Tensor Order one after another.

A piece is a stretch of the order (`soma_cp.solver.second_stage.piece`); all other transfers keep their order and
living durations. Only schedules with a lower latency are searched for. For most pieces, the window bound shows without
a solver that there are none. Pieces overlap by half; when a pass over all of them finds nothing, they get longer. Each
run has one worker and a limit in deterministic time, so the result is always the same unless the clock ends the search.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from soma_cp.annealing.budget import Budget, OutOfTimeError
from soma_cp.model.errors import InternalError
from soma_cp.model.soma.dlsa import DLSA
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.schedule import Schedule, priced
from soma_cp.model.soma.validity import violations
from soma_cp.solver.parameters import CpSatParameters
from soma_cp.solver.second_stage.cpsat_model import SecondStageModel
from soma_cp.solver.second_stage.cpsat_run import Run, run_cpsat
from soma_cp.solver.second_stage.piece import Piece, cut_piece, put_back, shortened
from soma_cp.solver.second_stage.windows import Windows, dram_windows, window_arcs


@dataclass(frozen=True, eq=False)
class Improved:
    """The result of the search.

    Parameters
    ----------
    schedule
        The best schedule; never slower than the first.
    pieces, improved
        Pieces that the solver ran on; those in which it found a faster schedule.
    deterministic_time
        Deterministic time of all runs.
    """

    schedule: Schedule
    pieces: int
    improved: int
    deterministic_time: float


def improve_by_pieces(
    schedule: Schedule,
    lower_bound: int,
    parameters: CpSatParameters,
    budget: Budget,
    progress: Callable[[int], None],
) -> Improved:
    """Search for a faster schedule by solving pieces of a given one.

    Parameters
    ----------
    schedule
        A valid schedule.
    lower_bound
        The search ends when the latency meets it (cycles).
    parameters
        Lengths of pieces, limits, seed.
    budget
        Deadline and stop request.
    progress
        Called from this thread with the best latency so far.

    Raises
    ------
    InternalError
        If the solver and the evaluator disagree.
    """
    search = _Pieces(schedule, parameters, budget, progress)
    for length in parameters.piece_lengths:
        if length >= schedule.plan.dram_tensor_count:
            break
        while search.schedule.latency > lower_bound and not search.over:
            if not search.one_pass(length):
                break
    return Improved(search.schedule, search.pieces, search.improved, search.deterministic_time)


class _Pieces:
    """The state of one search."""

    def __init__(
        self,
        schedule: Schedule,
        parameters: CpSatParameters,
        budget: Budget,
        progress: Callable[[int], None],
    ) -> None:
        self.schedule = schedule
        self.parameters = parameters
        self.most_deterministic_time = parameters.deterministic_time * parameters.piece_share
        self.budget = budget
        self.progress = progress
        self.pieces = 0
        self.improved = 0
        self.deterministic_time = 0.0

    @property
    def over(self) -> bool:
        """Whether the search must end now."""
        return self.budget.over or self.deterministic_time >= self.most_deterministic_time

    def one_pass(self, length: int) -> bool:
        """Solve all pieces of `length` transfers once; return whether any of them improved the schedule."""
        improved = False
        count = self.schedule.plan.dram_tensor_count
        for first in range(0, count - length // 2, length - length // 2):
            if self.over:
                break
            improved |= self._solve(cut_piece(self.schedule, first, min(first + length, count)))
        return improved

    def _solve(self, piece: Piece) -> bool:
        """Replace the schedule by a faster one if the piece allows it; return whether it did."""
        latency = self.schedule.latency
        windows = dram_windows(piece)
        if windows.latency >= latency:
            return False
        limit = self.parameters.piece_deterministic_time
        solved = solve_piece(
            piece, windows, latency - 1, self.parameters, limit, self.budget, lambda: self.progress(latency)
        )
        if solved is None:
            return False
        model, run = solved
        self.pieces += 1
        if not run.ended:
            return False
        self.deterministic_time += run.solver.response_proto.deterministic_time
        if run.objective is None:
            return False
        dlsa = put_back(piece, self.schedule.dlsa, *model.edges_of(run.solver))
        found = verified(piece.plan, dlsa, run.objective)
        self.schedule = verified(piece.plan, shortened(found), found.latency)
        self.improved += 1
        return True


def solve_piece(
    piece: Piece,
    windows: Windows,
    most_cycles: int,
    parameters: CpSatParameters,
    deterministic_time: float,
    budget: Budget,
    progress: Callable[[], None] = lambda: None,
) -> tuple[SecondStageModel, Run] | None:
    """Minimise the latency of a piece with one worker; None if its model is too large, or the time is over before.

    Parameters
    ----------
    piece, windows
        The piece and its window bound.
    most_cycles
        The highest latency to look for.
    parameters, deterministic_time, budget
        How CP-SAT is run, and how long.
    progress
        Called from this thread while the solver runs.
    """
    if SecondStageModel.count_literals(piece, windows) > parameters.most_piece_literals:
        return None
    try:
        model = SecondStageModel(piece, windows, window_arcs(piece), most_cycles, budget)
    except OutOfTimeError:
        return None
    alone = replace(parameters, workers=1, deterministic=False)
    return model, run_cpsat(model.model, alone, deterministic_time, budget, lambda *_: progress(), most_cycles)


def verified(plan: Plan, dlsa: DLSA, objective: int, optimal: bool = False) -> Schedule:
    """Check a solver's schedule against the rules and the evaluator; return it priced.

    The evaluator lets everything begin as early as possible. So a solution that is not `optimal` may be faster than the
    solver's `objective` (cycles). An optimal one may not be faster, and none may be slower.

    Raises
    ------
    InternalError
        If the schedule breaks a rule or its latency disagrees with the objective.
    """
    broken = violations(plan, dlsa)
    if broken:
        raise InternalError(f"CP-SAT's schedule breaks a rule: {broken[0].message}")
    schedule = priced(plan, dlsa)
    if schedule.latency > objective or (optimal and schedule.latency != objective):
        raise InternalError(
            f"CP-SAT says {objective:,} cycles, the evaluator {schedule.latency:,} for the same schedule"
        )
    return schedule
