"""Second stage solved exactly with CP-SAT, around an incumbent that is kept outside the solver."""

import os
import threading
import time
from importlib.metadata import version

from ortools.sat.python import cp_model

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.greedy import greedy_dlsa
from soma_cp.annealing.progress import Progress, ProgressEvent, silent
from soma_cp.model.dlsa import DLSA
from soma_cp.model.errors import InternalError
from soma_cp.model.evaluation import Evaluation, evaluate, plan_figures
from soma_cp.model.plan import Plan
from soma_cp.model.result import SecondStageResult
from soma_cp.model.validity import violations
from soma_cp.solver.bounds import MOST_TILES, THEORETICAL_MAXIMUM, WINDOW_BOUND, dram_windows
from soma_cp.solver.cpsat_model import OutOfTimeError, SecondStageModel
from soma_cp.solver.parameters import CpSatParameters

POLL_SECONDS = 0.05
GRACE_SECONDS = 1.0
"""How long a solver that was asked to stop is waited for."""
METHOD = "CP-SAT"


def solve_dlsa_exactly(
    plan: Plan,
    budget: Budget | None = None,
    parameters: CpSatParameters = CpSatParameters(),  # noqa: B008  # immutable
    progress: Progress = silent,
    incumbent: DLSA | None = None,
    cutoff_latency: int | None = None,
    gbuf_bytes: int | None = None,
) -> SecondStageResult:
    """Find the DLSA of `plan` with the lowest latency, and prove that it is.

    Parameters
    ----------
    plan
        Of an LFA that fits into the buffer.
    budget
        Deadline and stop request; no limit by default.
    parameters
        How CP-SAT is run.
    progress
        Called from this thread while the solver runs, with the bound that it has proven so far.
    incumbent
        A valid DLSA to start from; the greedy one by default.
    cutoff_latency
        Only a faster schedule is of use (cycles): the solver stops when it has proven that there is none.
    gbuf_bytes
        Capacity; the platform's own by default.

    Returns
    -------
    SecondStageResult
        Never slower than the incumbent.

    Raises
    ------
    BufferTooSmallError
        If no DLSA of the plan fits into the buffer.
    InternalError
        If the solver and the evaluator disagree.
    """
    begin = time.monotonic()
    budget = budget or Budget()
    search = _Search(plan, parameters, gbuf_bytes, incumbent or greedy_dlsa(plan, gbuf_bytes))
    search.bound_without_solver()
    search.run(budget, progress, cutoff_latency)
    return SecondStageResult(
        METHOD,
        search.best,
        search.evaluation,
        search.lower_bound,
        search.source,
        time.monotonic() - begin,
        search.details,
    )


class _Search:
    """One exact search: the incumbent, the best bound, and how they came about."""

    def __init__(self, plan: Plan, parameters: CpSatParameters, gbuf_bytes: int | None, incumbent: DLSA) -> None:
        self.plan = plan
        self.parameters = parameters
        self.gbuf_bytes = gbuf_bytes
        self.best = incumbent
        self.evaluation = evaluate(plan, incumbent)
        self.lower_bound = plan_figures(plan).bound
        self.source = THEORETICAL_MAXIMUM
        self.details: dict[str, object] = {
            "ortools": version("ortools"),
            "seed": parameters.seed,
            "deterministic": parameters.deterministic,
            "workers": 1 if parameters.deterministic else parameters.workers or os.cpu_count() or 1,
            "incumbent_latency": self.evaluation.latency,
            "solver_status": "not needed",
        }

    def bound_without_solver(self) -> None:
        """Take the window bound where it is affordable."""
        self.windows = None
        if self.plan.tile_count <= MOST_TILES:
            self.windows = dram_windows(self.plan, self.gbuf_bytes)
            self._raise_bound(self.windows.latency, WINDOW_BOUND)

    def _raise_bound(self, bound: int, source: str) -> None:
        if bound > self.evaluation.latency:
            raise InternalError(
                f"{source} bounds the latency to at least {bound:,} cycles, "
                f"but a valid schedule takes {self.evaluation.latency:,}"
            )
        if bound > self.lower_bound:
            self.lower_bound = bound
            self.source = source

    def run(self, budget: Budget, progress: Progress, cutoff_latency: int | None) -> None:
        """Let CP-SAT improve the incumbent and the bound, where anything is left to find."""
        wanted = self.evaluation.latency
        if cutoff_latency is not None:
            wanted = min(wanted, cutoff_latency)
        if self.evaluation.latency <= self.lower_bound or wanted <= self.lower_bound or budget.over:
            return
        if self.windows is None:
            self.details["solver_status"] = f"not run: more than {MOST_TILES} tiles"
            return
        literals = SecondStageModel.count_literals(self.plan, self.windows)
        if literals > self.parameters.most_literals:
            self.details["solver_status"] = f"not run: {literals} literals, more than {self.parameters.most_literals}"
            return
        # Without a cutoff the incumbent itself is a solution; with one, only what beats it.
        hinted = wanted == self.evaluation.latency
        most_cycles = wanted if hinted else wanted - 1
        try:
            model = SecondStageModel(self.plan, self.windows, most_cycles, budget)
        except OutOfTimeError:
            self.details["solver_status"] = "not run: the time was over before the model was built"
            return
        if hinted:
            model.hint(self.best, self.evaluation)
        if not budget.over:
            self._solve(model, most_cycles, budget, progress)

    def _solve(self, model: SecondStageModel, most_cycles: int, budget: Budget, progress: Progress) -> None:
        solver = self._configured(budget)
        watch = _Watch()
        solver.best_bound_callback = watch.bound
        ended = threading.Event()

        def work() -> None:
            try:
                watch.status = solver.solve(model.model, watch)
            except Exception as error:  # told to the caller's thread below
                watch.error = error
            finally:
                ended.set()

        thread = threading.Thread(target=work, name="cp-sat", daemon=True)
        thread.start()
        while not ended.wait(POLL_SECONDS):
            progress(self._event(watch))
            if budget.over:
                solver.stop_search()
                ended.wait(GRACE_SECONDS)
                break
        if watch.error is not None:
            raise watch.error
        if not ended.is_set():
            self.details["solver_status"] = "did not stop in time; its last answer was left"
            if watch.lower_bound > self.lower_bound:
                self._raise_bound(min(watch.lower_bound, most_cycles + 1), METHOD)
            return
        self._take_over(model, solver, watch, most_cycles)

    def _event(self, watch: "_Watch") -> ProgressEvent:
        latency = min(self.evaluation.latency, watch.objective or self.evaluation.latency)
        lower_bound = max(self.lower_bound, watch.lower_bound)
        return ProgressEvent(METHOD, 0, 0, 0, None, latency=latency, lower_bound=lower_bound)

    def _configured(self, budget: Budget) -> cp_model.CpSolver:
        solver = cp_model.CpSolver()
        settings = solver.parameters
        settings.random_seed = self.parameters.seed
        settings.log_search_progress = self.parameters.log
        settings.catch_sigint_signal = False  # Ctrl-C is the caller's, who stops the solver through the budget
        # Both only cost time on these models (docs/second-stage.md).
        settings.cp_model_probing_level = 0
        settings.linearization_level = 0
        if self.parameters.deterministic:
            settings.num_workers = 1
            settings.interleave_search = True
            settings.max_deterministic_time = self.parameters.deterministic_time
        else:
            settings.num_workers = self.parameters.workers or os.cpu_count() or 1
        if budget.seconds_left < float("inf"):
            settings.max_time_in_seconds = budget.seconds_left
        return solver

    def _take_over(self, model: SecondStageModel, solver: cp_model.CpSolver, watch: "_Watch", most_cycles: int) -> None:
        status = watch.status
        self.details |= {
            "solver_status": solver.status_name(status),
            "solver_seconds": round(solver.wall_time, 3),
            "branches": solver.num_branches,
            "conflicts": solver.num_conflicts,
        }
        if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            objective = round(solver.objective_value)
            self.details["objective"] = objective
            found = self._checked(model.dlsa_of(solver), objective, optimal=status == cp_model.OPTIMAL)
            if found is not None:
                self.best, self.evaluation = found
            self._raise_bound(int(-(-solver.best_objective_bound // 1)), METHOD)
        elif status == cp_model.INFEASIBLE:
            self._raise_bound(most_cycles + 1, METHOD)
        elif status == cp_model.UNKNOWN:
            self._raise_bound(min(watch.lower_bound, most_cycles + 1), METHOD)
        else:
            raise InternalError(f"CP-SAT ended with the status {solver.status_name(status)}")

    def _checked(self, dlsa: DLSA, objective: int, optimal: bool) -> tuple[DLSA, Evaluation] | None:
        """Hold a solution against the rules and the evaluator; return it if it beats the incumbent.

        The evaluator moves everything as early as it can, so a solution that is not optimal may turn out faster
        than the solver thought; an optimal one may not, and none may turn out slower.
        """
        broken = violations(self.plan, dlsa, self.gbuf_bytes)
        if broken:
            raise InternalError(f"CP-SAT's schedule breaks a rule: {broken[0].message}")
        evaluation = evaluate(self.plan, dlsa)
        if evaluation.latency > objective or (optimal and evaluation.latency != objective):
            raise InternalError(
                f"CP-SAT says {objective:,} cycles, the evaluator {evaluation.latency:,} for the same schedule"
            )
        return (dlsa, evaluation) if evaluation.latency < self.evaluation.latency else None


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
        self.lower_bound = max(self.lower_bound, int(-(-value // 1)))
