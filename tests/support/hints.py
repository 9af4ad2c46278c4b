"""Checks that CP-SAT accepts a schedule as a hint."""

from ortools.sat.python import cp_model

from soma_cp.model.soma.dlsa import DLSA
from soma_cp.model.soma.schedule import priced
from soma_cp.solver.second_stage.cpsat_model import SecondStageModel
from soma_cp.solver.second_stage.piece import Piece
from soma_cp.solver.second_stage.windows import dram_windows, window_arcs


def assert_hint_is_a_solution(piece: Piece, dlsa: DLSA, slack: int) -> None:
    """Check that the schedule from which a piece was cut solves its model with up to `slack` cycles more."""
    schedule = priced(piece.plan, dlsa)
    model = SecondStageModel(piece, dram_windows(piece), window_arcs(piece), schedule.latency + slack)
    model.hint(schedule)
    solver = cp_model.CpSolver()
    lines: list[str] = []
    solver.log_callback = lines.append
    solver.parameters.log_search_progress = True
    solver.parameters.log_to_stdout = False
    solver.parameters.num_workers = 1
    solver.parameters.max_time_in_seconds = 2
    solver.parameters.stop_after_first_solution = True
    # Presolve must not fill in what the hint leaves out.
    solver.parameters.cp_model_presolve = False
    solver.solve(model.model)
    log = "\n".join(lines)
    assert "The solution hint is complete and is feasible." in log, log[:3000]
