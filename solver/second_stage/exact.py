"""The exact second stage: CP-SAT improves an incumbent that is kept outside the solver."""

import os
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from soma_cp.annealing.budget import OutOfTimeError
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.progress import ProgressEvent
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.errors import InternalError
from soma_cp.model.soma.dlsa import DLSA
from soma_cp.model.soma.evaluation import plan_figures
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.result import SecondStageResult
from soma_cp.model.soma.schedule import Schedule, priced
from soma_cp.solver.parameters import CpSatParameters
from soma_cp.solver.second_stage.cpsat_model import SecondStageModel
from soma_cp.solver.second_stage.cpsat_run import Run, run_cpsat
from soma_cp.solver.second_stage.exact_windows import EXACT_WINDOWS, WindowSearch
from soma_cp.solver.second_stage.piece import put_back, whole_problem
from soma_cp.solver.second_stage.piecewise import improve_by_pieces, verified
from soma_cp.solver.second_stage.windows import THEORETICAL_MAXIMUM, WINDOW_BOUND, dram_windows, window_arcs

METHOD = "CP-SAT"


def solve_dlsa_exactly(
    plan: Plan,
    parameters: CpSatParameters = CpSatParameters(),  # noqa: B008  # immutable
    incumbent: DLSA | None = None,
    cutoff_latency: int | None = None,
    monitor: Monitor | None = None,
) -> SecondStageResult:
    """Find the DLSA of `plan` with the lowest latency, and prove that it is optimal.

    If the greedy schedule does not meet the window bound, short windows of the run are solved
    (`soma_cp.solver.second_stage.exact_windows`). If that does not prove it optimal, its pieces are solved one after
    another (`soma_cp.solver.second_stage.piecewise`), then more windows of a large problem, then the whole problem.

    Parameters
    ----------
    plan
        Of an LFA that fits into the buffer.
    parameters
        How CP-SAT is run.
    incumbent
        A valid DLSA to start from, unless the greedy one is faster.
    cutoff_latency
        Only a faster schedule is useful (cycles): the solver stops when it has proven that there is none.
    monitor
        How the search is stopped and watched; its events report the bound proven so far.

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
    monitor = monitor or Monitor()
    start = priced(plan, greedy_dlsa(plan))
    if incumbent is not None:
        start = min(priced(plan, incumbent), start, key=lambda schedule: schedule.latency)  # of equals the incumbent
    search = _Search(start, parameters)
    search.bound_without_solver()
    search.look_at_windows(monitor, cutoff_latency)
    search.improve_piece_by_piece(monitor, cutoff_latency)
    search.bound_window_by_window(monitor, cutoff_latency)
    search.solve_whole(monitor, cutoff_latency)
    return SecondStageResult(
        METHOD,
        search.best,
        search.lower_bound,
        search.source,
        time.monotonic() - begin,
        search.details,
    )


class _Search:
    """One exact search: the best schedule, the best bound, and details for the result."""

    def __init__(self, incumbent: Schedule, parameters: CpSatParameters) -> None:
        self.plan = incumbent.plan
        self.parameters = parameters
        self.best = incumbent
        self.lower_bound = plan_figures(self.plan).bound
        self.source = THEORETICAL_MAXIMUM
        self.deterministic_time = parameters.deterministic_time
        self.details: dict[str, Any] = {
            "ortools": version("ortools"),
            "seed": parameters.seed,
            "deterministic": parameters.deterministic,
            "workers": 1 if parameters.deterministic else parameters.workers or os.cpu_count() or 1,
            "incumbent_latency": self.best.latency,
            "solver_status": "not needed",
        }

    def bound_without_solver(self) -> None:
        """Take the window bound."""
        self.whole = whole_problem(self.plan)
        self.windows = dram_windows(self.whole)
        self._raise_bound(self.windows.latency, WINDOW_BOUND)

    def _raise_bound(self, bound: int, source: str) -> None:
        if bound > self.best.latency:
            raise InternalError(
                f"{source} bounds the latency to at least {bound:,} cycles, "
                f"but a valid schedule takes {self.best.latency:,}"
            )
        if bound > self.lower_bound:
            self.lower_bound = bound
            self.source = source

    def _wanted(self, cutoff_latency: int | None) -> int:
        """The latency to beat: that of the incumbent, or the cutoff if it is lower."""
        return self.best.latency if cutoff_latency is None else min(self.best.latency, cutoff_latency)

    def improve_piece_by_piece(self, monitor: Monitor, cutoff_latency: int | None) -> None:
        """Improve the incumbent by solving pieces of it, unless the bound is met."""
        if self._wanted(cutoff_latency) <= self.lower_bound or monitor.budget.over:
            return
        found = improve_by_pieces(
            self.best,
            self.lower_bound,
            self.parameters,
            monitor.budget,
            lambda latency: monitor.progress(self._event(latency, self.lower_bound)),
        )
        self.best = found.schedule
        self.deterministic_time -= found.deterministic_time
        self.details |= {"pieces": found.pieces, "pieces_improved": found.improved}

    def look_at_windows(self, monitor: Monitor, cutoff_latency: int | None) -> None:
        """Prove the incumbent optimal by short windows of the run, if it loses in none of them."""
        wanted = self._wanted(cutoff_latency)
        if wanted > self.lower_bound and not monitor.budget.over:
            self._solve_windows(monitor, lambda search: search.first_look())

    def bound_window_by_window(self, monitor: Monitor, cutoff_latency: int | None) -> None:
        """Raise the bound by solving windows of the run, unless it is met or the whole problem is small."""
        wanted = self._wanted(cutoff_latency)
        large = SecondStageModel.count_literals(self.whole, self.windows) > self.parameters.few_literals
        if large and wanted > self.lower_bound and not monitor.budget.over:
            self._solve_windows(monitor, lambda search: search.run(wanted))

    def _solve_windows(self, monitor: Monitor, search_of: Callable[[WindowSearch], int]) -> None:
        search = WindowSearch(self.best, self.whole, self.windows, self.parameters, monitor.budget)
        self._raise_bound(search_of(search), EXACT_WINDOWS)
        self.deterministic_time -= search.deterministic_time
        self.details["windows"] = search.solved + self.details.get("windows", 0)
        monitor.progress(self._event(self.best.latency, self.lower_bound))

    def solve_whole(self, monitor: Monitor, cutoff_latency: int | None) -> None:
        """Let CP-SAT improve the incumbent and the bound, unless the bound is met."""
        wanted = self._wanted(cutoff_latency)
        if self.best.latency <= self.lower_bound or wanted <= self.lower_bound or monitor.budget.over:
            return
        literals = SecondStageModel.count_literals(self.whole, self.windows)
        if literals > self.parameters.most_literals:
            self.details["solver_status"] = f"not run: {literals} literals, more than {self.parameters.most_literals}"
            return
        if self.parameters.deterministic and self.deterministic_time <= 0:
            self.details["solver_status"] = "not run: the deterministic time was over"
            return
        # Without a cutoff the incumbent itself is a solution; with one, only schedules below the cutoff are.
        hinted = wanted == self.best.latency
        most_cycles = wanted if hinted else wanted - 1
        try:
            model = SecondStageModel(self.whole, self.windows, window_arcs(self.whole), most_cycles, monitor.budget)
        except OutOfTimeError:
            self.details["solver_status"] = "not run: the time was over before the model was built"
            return
        if hinted:
            model.hint(self.best)
        if not monitor.budget.over:
            limit = self.deterministic_time if self.parameters.deterministic else None
            run = run_cpsat(
                model.model,
                self.parameters,
                limit,
                monitor.budget,
                lambda objective, bound: monitor.progress(self._event(objective, bound)),
                most_cycles,
            )
            self._take_over(model, run)

    def _event(self, latency: int | None, lower_bound: int) -> ProgressEvent:
        latency = min(self.best.latency, latency or self.best.latency)
        return ProgressEvent(METHOD, 0, 0, 0, None, latency=latency, lower_bound=max(self.lower_bound, lower_bound))

    def _take_over(self, model: SecondStageModel, run: Run) -> None:
        self.details["solver_status"] = run.status
        if run.ended:
            self.details |= {
                "solver_seconds": round(run.solver.wall_time, 3),
                "branches": run.solver.num_branches,
                "conflicts": run.solver.num_conflicts,
            }
        if run.objective is not None:
            self.details["objective"] = run.objective
            dlsa = put_back(self.whole, self.best.dlsa, *model.edges_of(run.solver))
            schedule = verified(self.plan, dlsa, run.objective, optimal=run.optimal)
            if schedule.latency < self.best.latency:
                self.best = schedule
        self._raise_bound(run.lower_bound, METHOD)
