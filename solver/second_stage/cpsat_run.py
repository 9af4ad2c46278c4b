"""One run of CP-SAT in a thread of its own, so that the caller's clock and Ctrl-C hold."""

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
"""How long a solver that was asked to stop is waited for."""


@dataclass(frozen=True, eq=False)
class Run:
    """What a run came to.

    Parameters
    ----------
    status
        The solver's, by its name.
    solver
        With the best solution, if there is one.
    objective
        Of that solution, else None.
    lower_bound
        Proven; more than any value of the objective if the model has no solution.
    ended
        Whether the solver stopped in time; if not, it is still running, and its last answer is left.
    """

    status: str
    solver: cp_model.CpSolver
    objective: int | None
    lower_bound: int
    ended: bool = True

    @property
    def optimal(self) -> bool:
        """Whether the solution is proven to be the best."""
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
        With an objective of at most `most`.
    parameters
        Workers, seed, log, and whether the run has to be deterministic.
    deterministic_time
        Limit in the solver's own measure; None for none.
    budget
        Deadline and stop request.
    progress
        Called from this thread with the objective so far and the bound.
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
            watch.status = solver.solve(model, watch)
        except Exception as error:  # told to the caller's thread below
            watch.error = error
        finally:
            ended.set()

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
        status = "did not stop in time; its last answer was left"
        return Run(status, solver, None, min(watch.lower_bound, most + 1), ended=False)
    return _outcome(solver, watch, most)


def _configured(parameters: CpSatParameters, deterministic_time: float | None, budget: Budget) -> cp_model.CpSolver:
    solver = cp_model.CpSolver()
    settings = solver.parameters
    settings.random_seed = parameters.seed
    settings.log_search_progress = parameters.log
    settings.catch_sigint_signal = False  # Ctrl-C is the caller's, who stops the solver through the budget
    # Both only cost time on these models (docs/second-stage.md).
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
    """Return the whole number that a bound on one stands for; floating point may be a trifle above it."""
    return math.ceil(bound - ROUNDING)


class _Watch(cp_model.CpSolverSolutionCallback):
    """What the solver says while it runs, written by its threads and read by the caller's."""

    def __init__(self) -> None:
        super().__init__()
        self.lower_bound = 0
        self.status = cp_model.UNKNOWN
        self.objective: int | None = None
        self.error: Exception | None = None

    def on_solution_callback(self) -> None:
        """Note a new solution's latency."""
        self.objective = round(self.objective_value)

    def bound(self, value: float) -> None:
        """Note a new bound on the latency."""
        self.lower_bound = max(self.lower_bound, _rounded_up(value))
