"""From a problem to a schedule: the first stage finds LFAs, a second stage of choice makes schedules of them.

The second stages are interchangeable; whichever is taken, the shared evaluator prices its schedule.
"""

import math
import time
from dataclasses import dataclass, replace

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa
from soma_cp.annealing.progress import Progress, ProgressEvent, silent
from soma_cp.model.errors import UserError
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import double_buffering
from soma_cp.model.soma.evaluation import Evaluation, evaluate
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.result import SecondStageResult
from soma_cp.model.soma.validity import require_valid
from soma_cp.solver.choices import FirstStage, Stage2
from soma_cp.solver.every_lfa.branch_and_bound import LFAProof, check_provable, prove_over_every_lfa
from soma_cp.solver.every_lfa.network_bounds import MET, NetworkBound, bound_every_lfa
from soma_cp.solver.first_stages import Found, allocate, search_and_finish
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.second_stages import run_second_stage


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
    network_bound
        What no LFA can beat.
    proof
        What going through all LFAs came to; None if that was not asked for.
    iterations, rounds
        LFAs that went through the second stage or, in the Buffer Allocator, iterations; first-stage rounds in all.
    interrupted, out_of_time
        Whether the user, or the time limit, ended the search before its own stop rule did.
    seconds
        Wall-clock time in all.
    """

    parameters: SolveParameters
    plan: Plan
    best: SecondStageResult
    double_buffered: Evaluation
    network_bound: NetworkBound
    proof: LFAProof | None
    iterations: int
    rounds: int
    interrupted: bool
    out_of_time: bool
    seconds: float

    @property
    def cost_bound(self) -> float:
        """What no schedule costs less than, over every LFA and DLSA."""
        return self.network_bound.cost if self.proof is None else max(self.network_bound.cost, self.proof.lower_bound)

    @property
    def is_global_optimum(self) -> bool:
        """Whether the schedule is proven optimal over every LFA and DLSA, but for rounding."""
        evaluation = self.best.evaluation
        cost = self.parameters.objective.cost(evaluation.energy_pj, evaluation.latency)
        return cost <= self.cost_bound * (1 + MET)


CPSAT_SHARE = 0.4
"""Share of the time left that CP-SAT may take for one LFA of several."""
FIRST_LOOK_SHARE = 0.1
"""Share of the limit in deterministic time that CP-SAT may take for one LFA of several."""


def solve(
    problem: Problem,
    parameters: SolveParameters = SolveParameters(),  # noqa: B008  # immutable
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
        If no schedule can exist: a layer that can't fit into the buffer or run on the core array; if an exact search
        is asked for that can't be had.
    """
    begin = time.monotonic()
    budget = budget or Budget()
    if parameters.exact:
        check_provable(problem)
        if parameters.stage2 is not Stage2.CPSAT:
            raise UserError(f"--exact needs the exact second stage: --stage2 cpsat, not {parameters.stage2.value}")

    first_look = replace(
        parameters,
        cpsat=replace(parameters.cpsat, deterministic_time=parameters.cpsat.deterministic_time * FIRST_LOOK_SHARE),
    )

    def second_stage(plan: Plan, left: Budget, iteration: int, wanted: float | None) -> SecondStageResult:
        part = left.part(CPSAT_SHARE) if parameters.stage2 is Stage2.CPSAT else left
        return run_second_stage(plan, first_look, part, progress, iteration, cutoff_latency=wanted)

    start = coarse_lfa(problem)  # refuses what can't be scheduled
    bound = bound_every_lfa(problem, parameters.objective)
    found = None
    if parameters.lfa is FirstStage.GREEDY:
        found = search_and_finish(problem, start, bound.met_at, parameters, second_stage, budget, progress)
    if found is None:
        found = allocate(problem, parameters, second_stage, budget, progress)
    plan, best = found.plan, _prove(found, parameters, budget, progress)
    proof = None
    if parameters.exact:
        plan, best, proof = _go_through_all(plan, best, bound, parameters, budget, progress)
    require_valid(plan, best.dlsa)
    return SolveResult(
        parameters=parameters,
        plan=plan,
        best=best,
        double_buffered=evaluate(plan, double_buffering(plan)),
        network_bound=bound,
        proof=proof,
        iterations=found.iterations,
        rounds=found.rounds,
        interrupted=budget.stop_requested,
        out_of_time=not budget.stop_requested and (budget.over or found.out_of_time),
        seconds=time.monotonic() - begin,
    )


def _prove(found: Found, parameters: SolveParameters, budget: Budget, progress: Progress) -> SecondStageResult:
    """Spend what time is left on the best LFA, if CP-SAT could not finish with it."""
    best = found.second_stage
    if math.isinf(budget.deadline) and not parameters.cpsat.deterministic:
        budget = Budget(parameters.prove_seconds, parent=budget)
    if parameters.stage2 is not Stage2.CPSAT or best.proven_optimal or budget.over:
        return best
    again = run_second_stage(found.plan, parameters, budget, progress, found.iterations, incumbent=best.dlsa)
    lower_bound, source = max((r.lower_bound, r.lower_bound_source) for r in (best, again))
    return replace(again, lower_bound=lower_bound, lower_bound_source=source, seconds=best.seconds + again.seconds)


def _go_through_all(
    plan: Plan,
    best: SecondStageResult,
    bound: NetworkBound,
    parameters: SolveParameters,
    budget: Budget,
    progress: Progress,
) -> tuple[Plan, SecondStageResult, LFAProof]:
    """Prove the best schedule optimal over every LFA, or find a better one."""
    objective = parameters.objective
    cost = objective.cost(best.evaluation.energy_pj, best.evaluation.latency)
    proof = prove_over_every_lfa(
        plan.problem,
        cost,
        bound.cost,
        lambda plan, latency: run_second_stage(plan, parameters, budget, progress, cutoff_latency=latency),
        objective,
        budget,
        lambda beginnings, cost: progress(ProgressEvent("all layer fusions", 0, beginnings, 0, cost)),
    )
    if proof.improved is not None:
        plan, best = proof.improved
    return plan, best, proof
