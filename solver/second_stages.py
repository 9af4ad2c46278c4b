"""The second stages by name: each makes a DLSA of a plan, and the shared evaluator prices it."""

import time
from collections.abc import Callable

import numpy as np

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.progress import Progress, silent
from soma_cp.annealing.second_stage.annealing import anneal_dlsas
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.soma.dlsa import DLSA, double_buffering
from soma_cp.model.soma.evaluation import evaluate
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.result import SecondStageResult
from soma_cp.model.soma.validity import violations
from soma_cp.solver.choices import Stage2
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.second_stage.windows import best_combinatorial_bound


def run_second_stage(
    plan: Plan,
    parameters: SolveParameters,
    budget: Budget,
    progress: Progress = silent,
    iteration: int = 0,
    cutoff_latency: float | None = None,
    incumbent: DLSA | None = None,
) -> SecondStageResult:
    """Run the second stage that `parameters` names on one plan.

    Parameters
    ----------
    plan
        Of an LFA that fits into the buffer.
    parameters, budget, progress, iteration
        As for `solve`.
    cutoff_latency
        A schedule that is no faster is of no use (cycles); CP-SAT stops once it knows that.
    incumbent
        A schedule to improve on, for CP-SAT.

    Raises
    ------
    BufferTooSmallError
        If no DLSA of the plan fits into the buffer.
    """
    if parameters.stage2 is Stage2.CPSAT:
        # Imported late: loading the solver takes most of a second.
        from soma_cp.solver.second_stage.exact import solve_dlsa_exactly

        cutoff = None if cutoff_latency is None else int(cutoff_latency)
        return solve_dlsa_exactly(plan, budget, parameters.cpsat, progress, incumbent, cutoff)
    if parameters.stage2 is Stage2.SA:
        return annealed(plan, parameters, budget, progress, iteration)
    if parameters.stage2 is Stage2.GREEDY:
        return priced(plan, "greedy", lambda: greedy_dlsa(plan))
    return buffered(plan)


def annealed(
    plan: Plan, parameters: SolveParameters, budget: Budget, progress: Progress = silent, iteration: int = 0
) -> SecondStageResult:
    """Run the paper's second stage."""
    random = np.random.default_rng([parameters.seed, 1000 + iteration])
    return priced(
        plan,
        "SA",
        lambda: (
            anneal_dlsas(plan, random, parameters.objective, parameters.second_stage, budget, progress, iteration).dlsa
        ),
    )


def buffered(plan: Plan) -> SecondStageResult:
    """Keep double buffering; where that exceeds the buffer, take the greedy DLSA."""
    if violations(plan, double_buffering(plan)):
        return priced(plan, "greedy (double buffering exceeds the buffer)", lambda: greedy_dlsa(plan))
    return priced(plan, "double buffering", lambda: double_buffering(plan))


def priced(plan: Plan, method: str, make: Callable[[], DLSA]) -> SecondStageResult:
    """Time `make`, evaluate what it makes, and set it beside the bound that needs no solver."""
    begin = time.monotonic()
    dlsa = make()
    seconds = time.monotonic() - begin
    bound, source = best_combinatorial_bound(plan)
    return SecondStageResult(method, dlsa, evaluate(plan, dlsa), bound, source, seconds)
