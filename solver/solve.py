"""From a problem to a schedule: the first stage finds LFAs, the chosen second stage makes schedules of them.

The second stages are interchangeable; the same evaluator prices the schedules of all of them.
"""

import math
import time
from dataclasses import dataclass, replace

from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa
from soma_cp.annealing.monitor import Monitor
from soma_cp.model.errors import UserError
from soma_cp.model.problem import Problem
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.result import SecondStageResult, relative_gap
from soma_cp.model.soma.schedule import Schedule
from soma_cp.model.soma.validity import require_valid
from soma_cp.solver.choices import FirstStage, Space
from soma_cp.solver.every_lfa.branch_and_bound import LFAProof, check_provable, prove_over_every_lfa
from soma_cp.solver.every_lfa.network_bounds import MET, NetworkBound, bound_every_lfa, layer_prices
from soma_cp.solver.first_stages import FIRST_STAGES, Found
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.second_stages import SECOND_STAGES, Aim, run_second_stage


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

    Returns
    -------
    SolveResult
        Always has a valid schedule, however early the budget ends.

    Raises
    ------
    UserError
        If no schedule can exist, since a layer can't fit into the buffer or run on the core array; or if `exact` is set
        and the network is too large or the second stage is not CP-SAT.
    """
    begin = time.monotonic()
    monitor = monitor or Monitor()
    budget = monitor.budget
    proves = SECOND_STAGES[parameters.second_stage].proves
    wide = parameters.searched_space is Space.WIDE
    if wide and len(problem.table.shareable) > 0:
        _check_wide(parameters)
    if parameters.exact:
        check_provable(problem)
        if not proves:
            given = parameters.second_stage.value
            raise UserError(f"--exact needs the exact second stage: --stage2 cpsat, not {given}")

    first_look = replace(
        parameters,
        cpsat=replace(parameters.cpsat, deterministic_time=parameters.cpsat.deterministic_time * FIRST_LOOK_SHARE),
    )

    def finish(plan: Plan, wanted: float | None, left: Monitor) -> SecondStageResult:
        return run_second_stage(plan, first_look, Aim(wanted), left.part(PROOF_SHARE) if proves else left)

    start = coarse_lfa(problem)  # raises if no schedule can exist
    # The bound lets the search end early once it is met. It goes on after the search if its share was too short.
    first_share = budget.part(BOUND_SHARE)
    prices = layer_prices(problem, first_share)
    bound = bound_every_lfa(problem, parameters.objective, first_share, prices, wide)
    searching = replace(parameters, search=replace(parameters.search, shared_loads=wide))
    found = None
    for stage in (parameters.first_stage, FirstStage.PAPER):  # the paper's search finds an LFA whenever one exists
        found = found or FIRST_STAGES[stage].run(problem, start, bound.met_at, searching, finish, monitor)
    assert found is not None
    if not bound.complete:
        bound = _higher(bound, bound_every_lfa(problem, parameters.objective, budget.part(BOUND_SHARE), prices, wide))
    best = _prove(found, parameters, monitor)
    if not bound.complete:
        last = budget.extended(LAST_SECONDS) if budget.over else budget
        bound = _higher(bound, bound_every_lfa(problem, parameters.objective, last, prices, wide))
    proof = None
    if parameters.exact:
        best, proof = _go_through_all(best, bound, parameters, monitor)
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
    )


def _check_wide(parameters: SolveParameters) -> None:
    """Refuse the wide space, where it differs from the paper's, to searches that know only the latter."""
    for option, given in (
        ("--exact", parameters.exact),
        ("--lfa paper", parameters.first_stage is FirstStage.PAPER),
    ):
        if given:
            raise UserError(
                f"{option} searches the paper's space, not the wide one; give --space paper, or leave one out"
            )


def _higher(one: NetworkBound, other: NetworkBound) -> NetworkBound:
    """Return the bound of the higher cost, the second of equals: in less time, a later one may prove less."""
    return one if one.cost > other.cost else other


def _prove(found: Found, parameters: SolveParameters, monitor: Monitor) -> SecondStageResult:
    """Spend the time left on the best LFA, if its optimum is not proven yet and the second stage can prove it."""
    best = found.second_stage
    if math.isinf(monitor.budget.deadline) and not parameters.cpsat.deterministic:
        monitor = monitor.within(parameters.prove_seconds)
    if not SECOND_STAGES[parameters.second_stage].proves or best.proven_optimal or monitor.budget.over:
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
        best.schedule.problem,
        best.schedule.cost(parameters.objective),
        bound.cost,
        lambda plan, latency: run_second_stage(plan, parameters, Aim(latency), monitor),
        parameters.objective,
        monitor,
    )
    return proof.improved or best, proof
