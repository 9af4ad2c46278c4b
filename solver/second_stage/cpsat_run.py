"""One run of CP-SAT in its own thread, so that the caller can stop it at a deadline or at Ctrl-C.

A solver that does not stop in time is left behind. The interpreter can't end beside it: a call from it then, with a
bound or a solution, would abort the process. So the process waits for all solvers before it ends.
"""

import atexit
import math
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass

from ortools.sat.python import cp_model

from soma_cp.annealing.budget import Budget
from soma_cp.model.errors import InternalError
from soma_cp.solver.parameters import CpSatParameters

ROUNDING = 1e-6
POLL_SECONDS = 0.05
GRACE_SECONDS = 1.0
"""How long to wait for a solver after the request to stop."""
_running: dict[threading.Event, cp_model.CpSolver] = {}
"""Solvers that run, by what says that they have ended."""


@dataclass(frozen=True, eq=False)
class Run:
    """The result of a run.

    Parameters
    ----------
    status
        Name of the solver's status.
    solver
        The solver; it holds the best solution, if there is one.
    objective
        Objective of that solution, else None.
    lower_bound
        The proven bound; above every value of the objective if the model has no solution.
    ended
        Whether the solver stopped in time; if not, it is still running, and its last answer is dropped.
    """

    status: str
    solver: cp_model.CpSolver
    objective: int | None
    lower_bound: int
    ended: bool = True

    @property
    def optimal(self) -> bool:
        """Whether the solution is proven optimal."""
        return self.status == "OPTIMAL"


def run_cpsat(
    model: cp_model.CpModel,
    parameters: CpSatParameters,
    deterministic_time: float | None,
    budget: Budget,
    progress: Callable[[int | None, int], None],
    most: int,
) -> Run:
    """Minimise a model.

    Parameters
    ----------
    model
        A model whose objective is at most `most`.
    parameters
        Workers, seed, log, and whether the run must be deterministic.
    deterministic_time
        Limit in the solver's deterministic time; None for no limit.
    budget
        Deadline and stop request.
    progress
        Called from this thread with the best objective so far and the bound.
    most
        Highest value of the objective that the model allows.

    Raises
    ------
    InternalError
        If the solver refuses the model.
    """
    solver = _configured(parameters, deterministic_time, budget)
    watch = _Watch()
    solver.best_bound_callback = watch.bound
    ended = threading.Event()

    def work() -> None:
        try:
            try:
                watch.status = solver.solve(model, watch)
            except IndexError:  # presolve of OR-Tools 9.15 may trip over a hint (google/or-tools#5288)
                model.clear_hints()  # type: ignore[no-untyped-call]
                watch.status = solver.solve(model, watch)
        except Exception as error:  # raised in the caller's thread below
            watch.error = error
        finally:
            del _running[ended]
            ended.set()

    _running[ended] = solver
    threading.Thread(target=work, name="cp-sat", daemon=True).start()
    while not ended.wait(POLL_SECONDS):
        progress(watch.objective, watch.lower_bound)
        if budget.over:
            solver.stop_search()
            ended.wait(GRACE_SECONDS)
            break
    if watch.error is not None:
        raise watch.error
    if not ended.is_set():
        status = "did not stop in time; its last answer was dropped"
        return Run(status, solver, None, min(watch.lower_bound, most + 1), ended=False)
    return _outcome(solver, watch, most)


@atexit.register
def _end_all() -> None:
    """Stop all solvers and wait for them."""
    for ended, solver in list(_running.items()):
        solver.stop_search()
        while not ended.wait(POLL_SECONDS):
            solver.stop_search()  # a request before a solver begins has no effect


def _configured(parameters: CpSatParameters, deterministic_time: float | None, budget: Budget) -> cp_model.CpSolver:
    solver = cp_model.CpSolver()
    settings = solver.parameters
    settings.random_seed = parameters.seed
    settings.log_search_progress = parameters.log
    settings.catch_sigint_signal = False  # the caller handles Ctrl-C and stops the solver through the budget
    # Both only cost time on these models (docs/second-stage.md#what-was-tried).
    settings.cp_model_probing_level = 0
    settings.linearization_level = 0
    if parameters.deterministic:
        settings.num_workers = 1
        settings.interleave_search = True
    else:
        settings.num_workers = parameters.workers or os.cpu_count() or 1
    if deterministic_time is not None:
        settings.max_deterministic_time = deterministic_time
    if budget.seconds_left < float("inf"):
        settings.max_time_in_seconds = budget.seconds_left
    return solver


def _outcome(solver: cp_model.CpSolver, watch: "_Watch", most: int) -> Run:
    status = watch.status
    name = solver.status_name(status)
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Run(name, solver, round(solver.objective_value), _rounded_up(solver.best_objective_bound))
    if status == cp_model.INFEASIBLE:
        return Run(name, solver, None, most + 1)
    if status == cp_model.UNKNOWN:
        return Run(name, solver, None, min(watch.lower_bound, most + 1))
    raise InternalError(f"CP-SAT ended with the status {name}")


def _rounded_up(bound: float) -> int:
    """Return a bound on an integer as an integer; a floating-point bound may be slightly above it."""
    return math.ceil(bound - ROUNDING)


class _Watch(cp_model.CpSolverSolutionCallback):
    """What the solver reports while it runs; its threads write, the caller's thread reads."""

    def __init__(self) -> None:
        super().__init__()
        self.lower_bound = 0
        self.status = cp_model.UNKNOWN
        self.objective: int | None = None
        self.error: Exception | None = None

    def on_solution_callback(self) -> None:
        """Record the latency of a new solution."""
        self.objective = round(self.objective_value)

    def bound(self, value: float) -> None:
        """Record a new bound on the latency."""
        self.lower_bound = max(self.lower_bound, _rounded_up(value))
