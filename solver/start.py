"""Where a search begins if the user says so: a schedule or an LFA, as it is under the problem at hand.

The LFA must suit the problem; the DLSA is used if it is valid here, else the LFA alone. A schedule made for another
platform or batch is thus checked and priced again.
"""

import math
from dataclasses import dataclass, replace

from soma_cp.annealing.buffer_allocator import Finish, latency_for
from soma_cp.annealing.cocco.group_pricer import GroupPricer
from soma_cp.annealing.first_stage.groups import keeps_groups_apart
from soma_cp.annealing.first_stage.lfa_pricing import MAX_CANDIDATE_TILES
from soma_cp.annealing.first_stage.paper_search import layers_kept_apart
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.errors import UserError
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import DLSA
from soma_cp.model.soma.evaluation import plan_figures
from soma_cp.model.soma.lfa import LFA
from soma_cp.model.soma.lfa_arrays import lfa_arrays
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.schedule import Schedule, priced
from soma_cp.model.soma.stored_schedule import StoredSchedule
from soma_cp.model.soma.validity import violations
from soma_cp.solver.choices import COCCO_STAGES, FirstStage, Space
from soma_cp.solver.first_stages import LEAST_FINISH_SECONDS, Found, first_stage
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.second_stage.windows import best_combinatorial_bound
from soma_cp.solver.second_stages import Aim, run_second_stage, second_stage, timed

START = "start"
"""The method of a schedule that is the user's own, and where its LFA comes from."""
Start = Schedule | StoredSchedule | LFA
"""What a search may begin from; it may belong to another problem."""


@dataclass(frozen=True, eq=False)
class OwnStart:
    """A start under the problem at hand.

    Parameters
    ----------
    plan
        Of its LFA.
    schedule
        Its schedule, valid and priced here; None if the LFA alone can be used.
    note
        Why the LFA alone is used, in words; empty if that was all there is, or if all is used.
    """

    plan: Plan
    schedule: Schedule | None
    note: str = ""

    @property
    def dlsa(self) -> DLSA | None:
        """Its DLSA, if that is valid here."""
        return None if self.schedule is None else self.schedule.dlsa


def own_start(problem: Problem, start: Start, parameters: SolveParameters) -> OwnStart:
    """Take a start over into `problem`.

    Parameters
    ----------
    problem
        What is scheduled.
    start
        Of this problem, or of one whose network has the same layers.
    parameters
        How to search: the LFA must be one that this search can begin from.

    Raises
    ------
    UserError
        If the layers differ, a part is off the granule of the core array, a tiling number is too large, no DLSA of the
        LFA fits into the buffer, or the search can't begin there.
    """
    lfa = start if isinstance(start, LFA) else start.plan.lfa
    if lfa.is_wide and parameters.searched_space is Space.PAPER:
        raise UserError(f"the start {lfa.wide_text}, which the paper's space does not have; search the wide space")
    if parameters.passes not in (None, lfa.passes):
        raise UserError(
            f"the start runs in {lfa.passes} pass{'es' if lfa.passes > 1 else ''}, not in {parameters.passes}; give "
            f"--passes {lfa.passes}, or leave it out"
        )
    plan = make_plan(problem, lfa)
    greedy_dlsa(plan)  # raises if none fits
    if not parameters.fix_lfa:
        _check_search(plan, parameters)
    if isinstance(start, LFA):
        return OwnStart(plan, None)
    if not _has_same_tensors(plan, start.plan):
        return OwnStart(plan, None, "its DRAM tensors are others here")
    broken = violations(plan, start.dlsa)
    if broken:
        return OwnStart(plan, None, f"{broken[0].message} [rule: {broken[0].rule.value}]")
    return OwnStart(plan, priced(plan, start.dlsa.copy()))


def _check_search(plan: Plan, parameters: SolveParameters) -> None:
    """Refuse an LFA that a built-in search can't begin from."""
    tiles = plan.tile_count // plan.lfa.passes
    if tiles > MAX_CANDIDATE_TILES:
        in_each = " in each pass" if plan.lfa.passes > 1 else ""
        raise UserError(
            f"the start has {tiles:,} tiles{in_each} (a search takes at most {MAX_CANDIDATE_TILES:,}); fix its LFA, "
            "or lower its tiling numbers"
        )
    problem = plan.problem
    arrays = lfa_arrays(plan.run, problem.network, problem.table)
    apart = layers_kept_apart(problem)
    if parameters.first_stage == FirstStage.PAPER and not keeps_groups_apart(arrays.order, arrays.begins_lg, apart):
        raise UserError(
            "the start has a fully connected layer in an LG with others, which the paper's search never makes; take "
            "another first stage, or fix the LFA"
        )
    rule = parameters.cocco
    if parameters.first_stage in COCCO_STAGES and not GroupPricer(problem, rule.tiling, rule.capped).has(plan.lfa):
        raise UserError(
            f"the start is not in Cocco's space, where every FLG is a connected LG whose tiling number is that of the "
            f"rule '{rule.tiling}'; take another first stage, or fix the LFA"
        )


def _has_same_tensors(plan: Plan, other: Plan) -> bool:
    """Whether the DRAM tensors of both have the same names in the same order: then their DLSAs have the same form."""
    if (plan.tile_count, plan.dram_tensor_count) != (other.tile_count, other.dram_tensor_count):
        return False
    return all(plan.tensor_key(i) == other.tensor_key(i) for i in range(plan.dram_tensor_count))


def found_of_fixed_lfa(own: OwnStart, parameters: SolveParameters, monitor: Monitor) -> Found:
    """Return a schedule of the start's LFA; a second stage that proves optima then goes on from there."""
    if second_stage(parameters.second_stage).proves:
        result = timed("greedy", own.plan, lambda: greedy_dlsa(own.plan))
    else:
        result = run_second_stage(own.plan, parameters, Aim(incumbent=own.dlsa), monitor.at(1))
    return _better_of(Found(result, 1, 0, False), own, parameters)


def found_or_start(
    found: Found | None, own: OwnStart, parameters: SolveParameters, finish: Finish, monitor: Monitor
) -> Found:
    """Give the start's LFA to the second stage, too; return the best of its result, the start itself, and `found`.

    The second stage is left out if the bound of the LFA promises nothing better, or the time is over.
    """
    objective, plan = parameters.objective, own.plan
    best_cost = math.inf if found is None else found.second_stage.schedule.cost(objective)
    energy_pj = plan_figures(plan).energy_pj
    promises = objective.cost(energy_pj, best_combinatorial_bound(plan)[0]) < best_cost
    if found is None or (promises and not monitor.budget.over):
        if second_stage(parameters.second_stage).proves and not parameters.cpsat.deterministic:
            monitor = monitor.within(LEAST_FINISH_SECONDS)
        iterations = 1 if found is None else found.iterations + 1
        result = finish(plan, latency_for(best_cost, energy_pj, objective), monitor.at(iterations))
        if found is None:
            found = Found(result, iterations, 0, False)
        elif not first_stage(parameters.first_stage).counts_iterations:
            found = replace(found, iterations=iterations)
        if result.schedule.cost(objective) < best_cost:
            found = replace(found, second_stage=result)
    return _better_of(found, own, parameters)


def _better_of(found: Found, own: OwnStart, parameters: SolveParameters) -> Found:
    """Return what was found, or the start itself if that is better, or as good with another LFA."""
    dlsa = own.dlsa
    if dlsa is None:
        return found
    result, objective = found.second_stage, parameters.objective
    kept = timed(START, own.plan, lambda: dlsa)
    ranks = [(one.schedule.cost(objective), one.schedule.latency) for one in (result, kept)]
    same_lfa = result.schedule.lfa == own.plan.lfa
    if ranks[0] < ranks[1] or (ranks[0] == ranks[1] and same_lfa):  # the latter with what it has proven
        return found
    if same_lfa and result.lower_bound > kept.lower_bound:
        kept = replace(kept, lower_bound=result.lower_bound, lower_bound_source=result.lower_bound_source)
    return replace(found, second_stage=kept)
