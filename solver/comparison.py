"""All second stages on the same LFA, side by side."""

from dataclasses import dataclass, replace

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.progress import Progress, silent
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.soma.dlsa import double_buffering
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.result import SecondStageResult
from soma_cp.model.soma.validity import violations
from soma_cp.solver.choices import Stage2
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.second_stages import annealed, priced, run_second_stage


@dataclass(frozen=True, eq=False)
class Comparison:
    """Results of all second stages on one plan.

    Parameters
    ----------
    plan
        Of the LFA.
    results
        In the order double buffering, greedy, SA, CP-SAT.
    fits
        For each result, whether it stays within the buffer (double buffering may not).
    lower_bound, lower_bound_source
        Highest proven lower bound on the latency over all results (cycles).
    """

    plan: Plan
    results: tuple[SecondStageResult, ...]
    fits: tuple[bool, ...]
    lower_bound: int
    lower_bound_source: str


def inexact_second_stages(
    plan: Plan, parameters: SolveParameters, seconds: float | None, budget: Budget, progress: Progress = silent
) -> tuple[SecondStageResult, SecondStageResult, SecondStageResult]:
    """Run double buffering, greedy, and SA under a time limit, on `plan`; see `compare_second_stages`."""
    return (
        priced(plan, "double buffering", lambda: double_buffering(plan)),
        priced(plan, "greedy", lambda: greedy_dlsa(plan)),
        annealed(plan, parameters, Budget(seconds, parent=budget), progress),
    )


def compare_second_stages(
    plan: Plan,
    parameters: SolveParameters,
    seconds_each: float | None,
    budget: Budget,
    progress: Progress = silent,
) -> Comparison:
    """Run every second stage on `plan`; CP-SAT starts from its own greedy solution, not from the others'.

    Parameters
    ----------
    plan
        Of an LFA that fits into the buffer.
    parameters
        Objective, seed, parameters of SA and CP-SAT; its `stage2` is not used.
    seconds_each
        Time limit of SA and of CP-SAT each; None for no limit.
    budget
        Stop request.
    progress
        Called from time to time.

    Raises
    ------
    BufferTooSmallError
        If no DLSA of the plan fits into the buffer.
    """
    exact = replace(parameters, stage2=Stage2.CPSAT)
    results = (
        *inexact_second_stages(plan, parameters, seconds_each, budget, progress),
        run_second_stage(plan, exact, Budget(seconds_each, parent=budget), progress),
    )
    tightest = max(results, key=lambda result: result.lower_bound)
    return Comparison(
        plan,
        results,
        tuple(not violations(plan, result.dlsa) for result in results),
        tightest.lower_bound,
        tightest.lower_bound_source,
    )
