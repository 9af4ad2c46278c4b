"""From a problem to a schedule: the first stage finds LFAs, the chosen second stage makes schedules of them.

The second stages are interchangeable; the same evaluator prices the schedules of all of them.
"""

import math
import time
from dataclasses import dataclass, replace

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.buffer_allocator import Finish
from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa, divided_to_fit
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.progress import ProgressEvent
from soma_cp.model.errors import UserError
from soma_cp.model.network.rewrites.channels import has_parts
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import DLSA
from soma_cp.model.soma.lfa import LFA
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.result import SecondStageResult, relative_gap
from soma_cp.model.soma.schedule import Schedule
from soma_cp.model.soma.validity import require_valid
from soma_cp.solver.choices import PAPER_STAGES, FirstStage, Space
from soma_cp.solver.every_lfa.branch_and_bound import LFAProof, check_provable, prove_over_every_lfa
from soma_cp.solver.every_lfa.downsets import has_many_downsets
from soma_cp.solver.every_lfa.network_bounds import CLOSE, MET, NetworkBound, bound_every_lfa, layer_prices
from soma_cp.solver.first_stages import Found, Origin, first_stage
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.second_stages import Aim, run_second_stage, second_stage
from soma_cp.solver.start import START, OwnStart, Start, found_of_fixed_lfa, found_or_start, own_start


@dataclass(frozen=True, eq=False)
class SolveResult:
    """The best schedule, the bounds, and how the search went.

    Parameters
    ----------
    parameters
        The parameters of the search.
    best
        The best schedule, with the bound of its LFA.
    network_bound
        The bound over every LFA.
    proof
        The result of going through all LFAs; None without `SolveParameters.exact`.
    iterations, rounds
        LFAs that went through the second stage, or iterations of the Buffer Allocator; first-stage rounds in all.
    interrupted, out_of_time
        Whether the user, or the time limit, ended the search before its own stop rule did.
    seconds
        Wall-clock time in all.
    lfa_from
        The first stage that found the LFA, or `START`.
    start
        The schedule from which the search began, as it is under this problem; None without one.
    """

    parameters: SolveParameters
    best: SecondStageResult
    network_bound: NetworkBound
    proof: LFAProof | None
    iterations: int
    rounds: int
    interrupted: bool
    out_of_time: bool
    seconds: float
    lfa_from: str = FirstStage.GREEDY
    start: Schedule | None = None

    @property
    def schedule(self) -> Schedule:
        """The best schedule."""
        return self.best.schedule

    @property
    def double_buffered(self) -> Schedule:
        """Double buffering of the same LFA, as the paper's first stage prices it; it may exceed the buffer."""
        return self.schedule.double_buffered

    @property
    def cost_bound(self) -> float:
        """The lower bound on the cost of every schedule, over every LFA and DLSA."""
        return self.network_bound.cost if self.proof is None else max(self.network_bound.cost, self.proof.lower_bound)

    @property
    def cost_gap(self) -> float:
        """Share by which the cost lies above that bound; the gap to the optimum is at most this."""
        return relative_gap(self.schedule.cost(self.parameters.objective), self.cost_bound)

    @property
    def is_global_optimum(self) -> bool:
        """Whether the schedule is proven optimal over every LFA and DLSA, up to rounding."""
        return self.schedule.cost(self.parameters.objective) <= self.cost_bound * (1 + MET)


BOUND_SHARE = 0.1
"""The bound over every LFA may take this share of the time left before the search, and once more after it."""
PATH_SECONDS, MOST_PATH_SECONDS = 10.0, 60.0
"""The shortest paths of the bound may take so long for each percent that the best schedule is above the other bounds,
and so long at most, even without a deadline: those of wide networks take minutes."""
LAST_SECONDS = 0.25
"""At the deadline, the bound may take this long to become more than nothing."""
PROOF_SHARE = 0.4
"""A second stage that proves optima may take this share of the time left for one LFA of several."""
FIRST_LOOK_SHARE = 0.1
"""CP-SAT may take this share of its limit in deterministic time for one LFA of several."""


def solve(
    problem: Problem,
    parameters: SolveParameters = SolveParameters(),  # noqa: B008  # immutable
    monitor: Monitor | None = None,
    start: Start | None = None,
) -> SolveResult:
    """Find a schedule of `problem`.

    Parameters
    ----------
    problem
        Network, platform and batch.
    parameters
        How to search.
    monitor
        How the run is stopped and watched; by default it runs to its end without reports.
    start
        A schedule or an LFA from which the search begins. The result is never worse than a schedule that is valid here.
        With `parameters.fix_lfa` its LFA is kept, and the second stage alone runs.

    Returns
    -------
    SolveResult
        Always has a valid schedule, however early the budget ends.

    Raises
    ------
    UserError
        If no schedule can exist, since a layer can't fit into the buffer or run on the core array; if `exact` is set
        and the network is too large or the second stage is not CP-SAT; if the start does not suit the problem; or if a
        package that brings a stage is at fault.
    """
    begin = time.monotonic()
    monitor = monitor or Monitor()
    budget = monitor.budget
    _check(problem, parameters, start)
    wide = parameters.searched_space is Space.WIDE
    searched = divided_to_fit(problem) if parameters.divides_layers else problem
    coarse = coarse_lfa(searched)  # raises if no schedule can exist
    own = None if start is None else own_start(problem, start, parameters)
    # The bound lets the search end early once it is met. It goes on after the search if its share was too short, or if
    # the best schedule is not close to it.
    first_share = budget.part(BOUND_SHARE)
    prices = layer_prices(problem, first_share)
    bound = bound_every_lfa(problem, parameters.objective, first_share, prices, wide, with_paths=False)
    monitor.progress(ProgressEvent("bound over every LFA", 0, 0, 0, None, cost_bound=bound.cost))
    searching = parameters.searched
    if parameters.run:
        searching = replace(searching, cpsat=replace(searching.cpsat, seed=parameters.draws))
    found, lfa_from = _found(searched, coarse, own, bound, searching, monitor)
    cost = found.second_stage.schedule.cost(parameters.objective)
    gap = relative_gap(cost, bound.cost)
    paths = parameters.path_bound and (gap > CLOSE or (gap > MET and not has_many_downsets(problem.whole.table)))
    if paths or not bound.complete:
        share = Budget(min(PATH_SECONDS * max(100 * gap, 1.0), MOST_PATH_SECONDS), budget.part(BOUND_SHARE))
        bound = _higher(bound, bound_every_lfa(problem, parameters.objective, share, prices, wide, paths, cost))
    best = _prove(found, searching, monitor)
    if not bound.complete and math.isfinite(budget.deadline):
        last = budget.extended(LAST_SECONDS) if budget.over else budget
        cost = best.schedule.cost(parameters.objective)
        bound = _higher(bound, bound_every_lfa(problem, parameters.objective, last, prices, wide, paths, cost))
    proof = None
    if parameters.exact:
        best, proof = _go_through_all(best, bound, searching, monitor)
    schedule = best.schedule
    require_valid(schedule.plan, schedule.dlsa)
    return SolveResult(
        parameters=parameters,
        best=best,
        network_bound=bound,
        proof=proof,
        iterations=found.iterations,
        rounds=found.rounds,
        interrupted=budget.stop_requested,
        out_of_time=not budget.stop_requested and (budget.over or found.out_of_time),
        seconds=time.monotonic() - begin,
        lfa_from=lfa_from,
        start=None if own is None else own.schedule,
    )


def _check(problem: Problem, parameters: SolveParameters, start: Start | None) -> None:
    """Refuse parameters that contradict one another, before anything is searched."""
    first_stage(parameters.first_stage)
    entry = second_stage(parameters.second_stage)
    if parameters.searched_space is Space.WIDE and _is_wider(problem):
        _check_wide(parameters)
    if parameters.passes is not None:
        _check_passes(problem, parameters)
    if parameters.exact:
        check_provable(problem)
        if not entry.proves:
            raise UserError(f"--exact needs the exact second stage: --stage2 cpsat, not {parameters.second_stage}")
    if parameters.fix_lfa and start is None:
        raise UserError("fix_lfa keeps the LFA of a start, and there is none; give one")
    if parameters.fix_lfa and parameters.exact:
        raise UserError("--exact goes through all LFAs, and --fix-lfa keeps one; leave one out")


def _check_passes(problem: Problem, parameters: SolveParameters) -> None:
    """Refuse a number of passes that the search can't make."""
    number = parameters.passes
    assert number is not None
    if number < 1 or problem.samples % number:
        raise UserError(f"--passes={number} (must be auto or a divisor of the batch, {problem.samples})")
    if parameters.fix_lfa:
        raise UserError("--fix-lfa keeps the passes of its LFA; leave --passes out")
    if number == 1:
        return
    if parameters.searched_space is Space.PAPER:
        stage = _stage_of_paper(parameters)
        raise UserError(f"--passes={number} needs the wide space; leave --space paper, --exact and --lfa {stage} out")
    if parameters.first_stage != FirstStage.GREEDY:
        raise UserError(f"--passes={number} needs the search of --lfa greedy, not {parameters.first_stage}")


def _found(
    problem: Problem,
    coarse: LFA,
    own: OwnStart | None,
    bound: NetworkBound,
    parameters: SolveParameters,
    monitor: Monitor,
) -> tuple[Found, str]:
    """Run the first stage; return the best schedule that it or the start has, and where its LFA comes from."""
    if own is not None and parameters.fix_lfa:
        return found_of_fixed_lfa(own, parameters, monitor), START
    name = str(parameters.first_stage)
    origin = Origin(coarse, None if own is None else own.plan.lfa)
    finish = _finisher(parameters)
    found = first_stage(name).run(problem, origin, bound, parameters, finish, monitor)
    if own is not None:
        found = found_or_start(found, own, parameters, _finisher(parameters, own.dlsa), monitor)
        return found, START if found.second_stage.schedule.lfa == own.plan.lfa else name
    if found is None:  # the paper's search finds an LFA whenever one exists
        name = str(FirstStage.PAPER)
        found = first_stage(name).run(problem, origin, bound, parameters, finish, monitor)
    assert found is not None
    return found, name


def _finisher(parameters: SolveParameters, incumbent: DLSA | None = None) -> Finish:
    """Return the second stage as it runs on one LFA of several; with an incumbent, on that LFA alone."""
    short = parameters.cpsat.deterministic_time * FIRST_LOOK_SHARE
    first_look = replace(parameters, cpsat=replace(parameters.cpsat, deterministic_time=short))
    takes_all_time = second_stage(parameters.second_stage).takes_all_time

    def finish(plan: Plan, wanted: float | None, left: Monitor) -> SecondStageResult:
        part = left.part(PROOF_SHARE) if takes_all_time else left
        return run_second_stage(plan, first_look, Aim(wanted, incumbent), part)

    return finish


def _is_wider(problem: Problem) -> bool:
    """Return whether the wide space has schedules that the paper's does not have."""
    granule = problem.core_array.granule
    divisible = any(has_parts(layer, granule) for layer in problem.network.whole.layers)
    return divisible or len(problem.table.shareable) > 0 or problem.samples > 1


def _check_wide(parameters: SolveParameters) -> None:
    """Refuse the wide space, where it differs from the paper's, to searches that know only the latter."""
    for option, given in (
        ("--exact", parameters.exact),
        (f"--lfa {_stage_of_paper(parameters)}", parameters.first_stage in PAPER_STAGES),
    ):
        if given:
            raise UserError(
                f"{option} searches the paper's space, not the wide one; give --space paper, or leave one out"
            )


def _stage_of_paper(parameters: SolveParameters) -> str:
    """Return the name of the first stage if it knows the paper's space alone, else that of one which does."""
    return str(parameters.first_stage if parameters.first_stage in PAPER_STAGES else FirstStage.PAPER)


def _higher(one: NetworkBound, other: NetworkBound) -> NetworkBound:
    """Return the bound of the higher cost, the second of equals: in less time, a later one may prove less."""
    return one if one.cost > other.cost else other


def _prove(found: Found, parameters: SolveParameters, monitor: Monitor) -> SecondStageResult:
    """Spend the time left on the best LFA, if its optimum is not proven yet and the second stage can prove it."""
    best = found.second_stage
    if math.isinf(monitor.budget.deadline) and not parameters.cpsat.deterministic:
        monitor = monitor.within(parameters.prove_seconds)
    if not second_stage(parameters.second_stage).proves or best.proven_optimal or monitor.budget.over:
        return best
    aim = Aim(incumbent=best.schedule.dlsa)
    again = run_second_stage(best.schedule.plan, parameters, aim, monitor.at(found.iterations))
    lower_bound, source = max((r.lower_bound, r.lower_bound_source) for r in (best, again))
    return replace(again, lower_bound=lower_bound, lower_bound_source=source, seconds=best.seconds + again.seconds)


def _go_through_all(
    best: SecondStageResult, bound: NetworkBound, parameters: SolveParameters, monitor: Monitor
) -> tuple[SecondStageResult, LFAProof]:
    """Prove the best schedule optimal over every LFA, or find a better one."""
    proof = prove_over_every_lfa(
        best.schedule.problem.whole,
        best.schedule.cost(parameters.objective),
        bound.cost,
        lambda plan, latency: run_second_stage(plan, parameters, Aim(latency), monitor),
        parameters.objective,
        monitor,
    )
    return proof.improved or best, proof
