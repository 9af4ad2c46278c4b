"""From a problem to a schedule: the first stage finds LFAs, a second stage of choice makes schedules of them.

The second stages are interchangeable; whichever is taken, the shared evaluator prices its schedule.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.buffer_allocator import SecondStage, allocate_buffer, latency_for
from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa
from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters, search_lfas
from soma_cp.annealing.first_stage.paper_search import FirstStageParameters
from soma_cp.annealing.progress import Progress, ProgressEvent, silent
from soma_cp.annealing.second_stage.annealing import SecondStageParameters, anneal_dlsas
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.errors import UserError
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import DLSA, double_buffering
from soma_cp.model.soma.evaluation import Evaluation, evaluate, plan_figures
from soma_cp.model.soma.lfa import LFA
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.result import SecondStageResult
from soma_cp.model.soma.validity import require_valid, violations
from soma_cp.solver.bounds import best_combinatorial_bound
from soma_cp.solver.choices import FirstStage, Stage2
from soma_cp.solver.lfa_proof import LFAProof, check_provable, prove_over_every_lfa
from soma_cp.solver.network_bounds import MET, NetworkBound, bound_every_lfa
from soma_cp.solver.parameters import CpSatParameters


@dataclass(frozen=True)
class SolveParameters:
    """How to solve.

    Parameters
    ----------
    lfa
        GREEDY: LFAs are priced by the greedy DLSA under the full buffer, and the best few go through the second stage.
        PAPER: they are priced by double buffering, under the Buffer Allocator.
    stage2
        Which second stage.
    objective
        What to minimise.
    seed
        Of all draws.
    search, first_stage, second_stage, cpsat
        Parameters of the parts: of the search with GREEDY, of the paper's two stages, of CP-SAT.
    threads
        For the search with GREEDY; all cores by default. The result does not depend on it.
    prove_seconds
        Where the budget has no deadline and CP-SAT is not deterministic: how long it may go on with the best LFA in
        the end.
    exact
        Whether to go through all LFAs in the end, so that the schedule is proven optimal over all of them; networks of
        at most `MOST_LAYERS` layers, with CP-SAT as the second stage.
    """

    lfa: FirstStage = FirstStage.GREEDY
    stage2: Stage2 = Stage2.CPSAT
    objective: Objective = Objective()
    seed: int = 0
    search: LFASearchParameters = LFASearchParameters()
    first_stage: FirstStageParameters = FirstStageParameters()
    second_stage: SecondStageParameters = SecondStageParameters()
    cpsat: CpSatParameters = CpSatParameters()
    threads: int | None = None
    prove_seconds: float = 60.0
    exact: bool = False


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


SEARCH_SHARE = 0.6
"""Share of the time that the search for LFAs may take."""
CPSAT_SHARE = 0.4
"""Share of the time left that CP-SAT may take for one LFA of several."""
FIRST_LOOK_SHARE = 0.1
"""Share of the limit in deterministic time that CP-SAT may take for one LFA of several."""
LEAST_FINISH_SECONDS = 1.0
"""CP-SAT may take as long for the best few LFAs as their search took, but at least this."""


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
        found = _search_and_finish(problem, start, bound.met_at, parameters, second_stage, budget, progress)
    if found is None:
        found = _allocate(problem, parameters, second_stage, budget, progress)
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


@dataclass(frozen=True, eq=False)
class _Found:
    """A plan, its schedule, how much was tried, and whether a deadline ended the search for LFAs."""

    plan: Plan
    second_stage: SecondStageResult
    iterations: int
    rounds: int
    out_of_time: bool


def _allocate(
    problem: Problem, parameters: SolveParameters, second_stage: SecondStage, budget: Budget, progress: Progress
) -> _Found:
    """Search as the paper does."""
    found = allocate_buffer(
        problem, second_stage, parameters.seed, parameters.objective, parameters.first_stage, budget, progress
    )
    return _Found(found.plan, found.second_stage, found.iterations, found.rounds, budget.over)


def _search_and_finish(
    problem: Problem,
    start: LFA,
    enough: float,
    parameters: SolveParameters,
    second_stage: SecondStage,
    budget: Budget,
    progress: Progress,
) -> _Found | None:
    """Search LFAs by their greedy DLSA, give the best few to the second stage; None if none fits the buffer."""
    searched = search_lfas(
        problem,
        start,
        parameters.seed,
        parameters.objective,
        parameters.search,
        budget.part(SEARCH_SHARE),
        progress,
        parameters.threads,
        enough,
    )
    finish = budget
    if parameters.stage2 is Stage2.CPSAT and not parameters.cpsat.deterministic:
        finish = Budget(max(searched.seconds, LEAST_FINISH_SECONDS), parent=budget)
    best: _Found | None = None
    best_cost = math.inf
    objective = parameters.objective
    finished = 0
    for number, (_, lfa) in enumerate(searched.lfas, start=1):
        if best is not None and finish.over:
            break
        plan = make_plan(problem, lfa)
        figures = plan_figures(plan)
        if best is not None and objective.cost(figures.energy_pj, best_combinatorial_bound(plan)[0]) >= best_cost:
            continue
        wanted = latency_for(best_cost, figures.energy_pj, objective)
        result = second_stage(plan, finish, number, wanted)
        finished += 1
        cost = objective.cost(figures.energy_pj, result.evaluation.latency)
        if cost < best_cost:
            best, best_cost = _Found(plan, result, finished, searched.rounds, searched.out_of_time), cost
    return None if best is None else replace(best, iterations=finished)


def _prove(found: _Found, parameters: SolveParameters, budget: Budget, progress: Progress) -> SecondStageResult:
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
