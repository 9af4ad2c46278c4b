"""Schedule: an LFA and a DLSA of a problem, evaluated.

A `StoredSchedule` is what a file claims to be a schedule; `claim_differences` compares it with the evaluator.
"""

from dataclasses import dataclass
from functools import cached_property

from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import DLSA, double_buffering
from soma_cp.model.soma.evaluation import Evaluation, evaluate
from soma_cp.model.soma.lfa import LFA
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.validity import require_valid


@dataclass(frozen=True, eq=False)
class Schedule:
    """A plan, a DLSA of it and their evaluation: what stages return, reports show and files hold.

    It can run, but it may not fit the buffer (double buffering): see `fits`.

    Parameters
    ----------
    plan
        Made of the problem and the LFA.
    dlsa
        DRAM Tensor Order and Living Durations.
    evaluation
        Of `plan` and `dlsa`; `priced` makes it.
    """

    plan: Plan
    dlsa: DLSA
    evaluation: Evaluation

    @property
    def problem(self) -> Problem:
        """Network, platform and batch."""
        return self.plan.problem

    @property
    def lfa(self) -> LFA:
        """Layer-Fusion-related Attributes."""
        return self.plan.lfa

    @property
    def latency(self) -> int:
        """Cycles."""
        return self.evaluation.latency

    @property
    def energy_pj(self) -> float:
        """Energy (pJ)."""
        return self.evaluation.energy_pj

    @property
    def fits(self) -> bool:
        """Whether it fits the buffer of its platform."""
        return self.evaluation.peak_buffer_bytes <= self.problem.platform.gbuf_bytes

    @cached_property
    def double_buffered(self) -> "Schedule":
        """Double buffering of the same LFA; it may not fit the buffer."""
        return priced(self.plan, double_buffering(self.plan.tensors))

    def cost(self, objective: Objective) -> float:
        """Return its cost under `objective`."""
        return objective.cost(self.energy_pj, self.latency)


def priced(plan: Plan, dlsa: DLSA) -> Schedule:
    """Evaluate a DLSA that keeps the rules; it may break that of the capacity.

    Raises
    ------
    InternalError
        If it can't run.
    """
    return Schedule(plan, dlsa, evaluate(plan, dlsa))


def make_schedule(plan: Plan, dlsa: DLSA) -> Schedule:
    """Check a DLSA against every rule, and evaluate it.

    Raises
    ------
    InvalidScheduleError
        If the schedule breaks a rule.
    """
    require_valid(plan, dlsa)
    return priced(plan, dlsa)
