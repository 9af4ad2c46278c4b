"""Where a search begins if the user says so: a schedule or an LFA, as it is under the problem at hand.

The LFA must suit the problem; the DLSA is used if it is valid here, else the LFA alone. A schedule made for another
platform or batch is thus checked and priced again.
"""

from dataclasses import dataclass

from soma_cp.annealing.first_stage.groups import keeps_groups_apart
from soma_cp.annealing.first_stage.lfa_pricing import MAX_CANDIDATE_TILES
from soma_cp.annealing.first_stage.paper_search import layers_kept_apart
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.errors import UserError
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import DLSA
from soma_cp.model.soma.lfa import LFA
from soma_cp.model.soma.lfa_arrays import lfa_arrays
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.schedule import Schedule, priced
from soma_cp.model.soma.stored_schedule import StoredSchedule
from soma_cp.model.soma.validity import violations
from soma_cp.solver.choices import FirstStage, Space
from soma_cp.solver.parameters import SolveParameters

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
        If the layers differ, a tiling number is too large, no DLSA of the LFA fits into the buffer, or the search can't
        begin there.
    """
    lfa = start if isinstance(start, LFA) else start.plan.lfa
    if lfa.shared_loads and parameters.searched_space is Space.PAPER:
        raise UserError("the start shares loads, which the paper's space does not have; search the wide space")
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
    if plan.tile_count > MAX_CANDIDATE_TILES:
        raise UserError(
            f"the start has {plan.tile_count:,} tiles (a search takes at most {MAX_CANDIDATE_TILES:,}); fix its LFA, "
            "or lower its tiling numbers"
        )
    problem = plan.problem
    arrays = lfa_arrays(plan.lfa, problem.network, problem.table)
    apart = layers_kept_apart(problem)
    if parameters.first_stage == FirstStage.PAPER and not keeps_groups_apart(arrays.order, arrays.begins_lg, apart):
        raise UserError(
            "the start has a fully connected layer in an LG with others, which the paper's search never makes; take "
            "another first stage, or fix the LFA"
        )


def _has_same_tensors(plan: Plan, other: Plan) -> bool:
    """Whether the DRAM tensors of both have the same names in the same order: then their DLSAs have the same form."""
    if (plan.tile_count, plan.dram_tensor_count) != (other.tile_count, other.dram_tensor_count):
        return False
    return all(plan.tensor_key(i) == other.tensor_key(i) for i in range(plan.dram_tensor_count))
