"""From a problem to a schedule: the first stage finds LFAs, a second stage of choice makes schedules of them.

The second stages are interchangeable; whichever is taken, the shared evaluator prices its schedule.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.buffer_allocator import AllocatorResult, allocate_buffer
from soma_cp.annealing.first_stage import FirstStageParameters
from soma_cp.annealing.greedy import greedy_dlsa
from soma_cp.annealing.progress import Progress, silent
from soma_cp.annealing.second_stage import SecondStageParameters, anneal_dlsas
from soma_cp.model.dlsa import DLSA, double_buffering
from soma_cp.model.evaluation import Evaluation, Objective, evaluate
from soma_cp.model.plan import Plan
from soma_cp.model.problem import Problem
from soma_cp.model.result import SecondStageResult
from soma_cp.model.validity import require_valid, violations
from soma_cp.solver.bounds import best_combinatorial_bound
from soma_cp.solver.choices import Stage2
from soma_cp.solver.parameters import CpSatParameters


@dataclass(frozen=True)
class SolveParameters:
    """How to solve.

    Parameters
    ----------
    stage2
        Which second stage.
    objective
        What to minimise.
    seed
        Of all draws.
    first_stage, second_stage, cpsat
        Parameters of the parts.
    """

    stage2: Stage2 = Stage2.CPSAT
    objective: Objective = Objective()
    seed: int = 0
    first_stage: FirstStageParameters = FirstStageParameters()
    second_stage: SecondStageParameters = SecondStageParameters()
    cpsat: CpSatParameters = CpSatParameters()


@dataclass(frozen=True, eq=False)
class SolveResult:
    """A schedule and how it came about.

    Parameters
    ----------
    parameters
        As given.
    plan
        Of the best LFA.
    best
        The second stage's schedule of it.
    double_buffered
        What the first stage sees of that LFA: its double buffering, which may exceed the buffer.
    iterations, rounds
        Of the Buffer Allocator; first-stage rounds in all.
    interrupted, out_of_time
        Whether the user, or the time limit, ended the search before its own stop rule did.
    seconds
        Wall-clock time in all.
    """

    parameters: SolveParameters
    plan: Plan
    best: SecondStageResult
    double_buffered: Evaluation
    iterations: int
    rounds: int
    interrupted: bool
    out_of_time: bool
    seconds: float


CPSAT_SHARE = 0.4
"""Share of the time left that one CP-SAT run inside the Buffer Allocator may take."""


def solve(
    problem: Problem,
    parameters: SolveParameters = SolveParameters(),  # immutable
    budget: Budget | None = None,
    progress: Progress = silent,
) -> SolveResult:
    """Find a schedule of `problem`.

    Parameters
    ----------
    problem
        Network, platform and batch.
    parameters
        How to search.
    budget
        Deadline and stop request; no limit by default.
    progress
        Called from time to time, from this thread.

    Returns
    -------
    SolveResult
        Always with a valid schedule, however early `budget` ends.

    Raises
    ------
    UserError
        If no schedule can exist: a layer that can't fit into the buffer or run on the core array.
    """
    begin = time.monotonic()
    budget = budget or Budget()

    def second_stage(plan: Plan, left: Budget, iteration: int, wanted: float | None) -> SecondStageResult:
        part = left.part(CPSAT_SHARE) if parameters.stage2 is Stage2.CPSAT else left
        return run_second_stage(plan, parameters, part, progress, iteration, cutoff_latency=wanted)

    found = allocate_buffer(
        problem, second_stage, parameters.seed, parameters.objective, parameters.first_stage, budget, progress
    )
    best = _prove(found, parameters, budget, progress)
    require_valid(found.plan, best.dlsa)
    return SolveResult(
        parameters=parameters,
        plan=found.plan,
        best=best,
        double_buffered=evaluate(found.plan, double_buffering(found.plan)),
        iterations=found.iterations,
        rounds=found.rounds,
        interrupted=budget.stop_requested,
        out_of_time=not budget.stop_requested and budget.over,
        seconds=time.monotonic() - begin,
    )


def _prove(
    found: AllocatorResult, parameters: SolveParameters, budget: Budget, progress: Progress
) -> SecondStageResult:
    """Spend what time is left on the best LFA, if CP-SAT could not finish with it."""
    best = found.second_stage
    if parameters.stage2 is not Stage2.CPSAT or best.proven_optimal or budget.over:
        return best
    again = run_second_stage(found.plan, parameters, budget, progress, found.iterations, incumbent=best.dlsa)
    lower_bound, source = max((r.lower_bound, r.lower_bound_source) for r in (best, again))
    return replace(again, lower_bound=lower_bound, lower_bound_source=source, seconds=best.seconds + again.seconds)


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
        from soma_cp.solver.cpsat import solve_dlsa_exactly

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
