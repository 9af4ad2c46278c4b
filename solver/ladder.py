"""The ladder of a problem: schedules from double buffering to the best one found, then the proven lower bounds."""

from dataclasses import dataclass, replace

from soma_cp.annealing.monitor import Monitor
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.evaluation import plan_figures
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.result import SecondStageResult, relative_gap
from soma_cp.model.soma.schedule import Schedule
from soma_cp.solver.choices import SecondStage, Space
from soma_cp.solver.comparison import inexact_second_stages
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.solve import solve

BOUND_OF_LFA = "bound of this LFA"
MAXIMUM_OF_LFA = "theoretical maximum"
BOUND_OF_ALL = "bound over every LFA"


@dataclass(frozen=True)
class Step:
    """One step of a ladder.

    Parameters
    ----------
    name
        Name of the schedule or bound.
    is_bound
        False for schedules.
    latency, energy_pj, cost
        Cycles, pJ and the objective: of a schedule, or a lower bound on those of every schedule (of the LFA, or of the
        problem).
    how
        How it was obtained, and what it proves.
    seconds
        Wall-clock time.
    """

    name: str
    is_bound: bool
    latency: int
    energy_pj: float
    cost: float
    how: str
    seconds: float


@dataclass(frozen=True, eq=False)
class Ladder:
    """All steps of one problem, from the slowest schedule to the bound over every LFA.

    Parameters
    ----------
    schedule
        The best schedule found, of the best LFA found.
    objective
        The objective of `Step.cost`.
    space
        The space that was searched, in which the bound over every LFA holds.
    steps
        Schedules of that LFA, then bounds.
    interrupted, out_of_time
        Whether the user, or the time limit, ended the search for the LFA before its own stop rule did.
    """

    schedule: Schedule
    objective: Objective
    space: Space
    steps: tuple[Step, ...]
    interrupted: bool
    out_of_time: bool

    @property
    def problem(self) -> Problem:
        """Network, platform and batch."""
        return self.schedule.problem

    @property
    def plan(self) -> Plan:
        """The plan of that LFA."""
        return self.schedule.plan

    def above_lfa_bound(self, step: Step) -> float:
        """Return the share by which a schedule's latency lies above the bound of the LFA."""
        return relative_gap(step.latency, self.bound(BOUND_OF_LFA).latency)

    def above_every_lfa(self, step: Step) -> float:
        """Return the share by which a step's cost lies above the bound over every LFA."""
        return relative_gap(step.cost, self.bound(BOUND_OF_ALL).cost)

    def bound(self, name: str) -> Step:
        """Return the bound with that name."""
        return next(step for step in self.steps if step.name == name)


def gap_ladder(
    problem: Problem, parameters: SolveParameters, seconds: float | None, monitor: Monitor | None = None
) -> Ladder:
    """Search an LFA, run every second stage on it, and list the bounds of the LFA and of the problem.

    Parameters
    ----------
    problem
        Network, platform and batch.
    parameters
        As for `solve`; the second stage is CP-SAT.
    seconds
        Time limit of the search with the exact second stage, and of each other second stage; None for no limit.
    monitor
        How the run is stopped and watched.

    Raises
    ------
    UserError
        If no schedule can exist.
    """
    monitor = monitor or Monitor()
    parameters = replace(parameters, second_stage=SecondStage.CPSAT)
    objective = parameters.objective
    found = solve(problem, parameters, monitor.within(seconds))
    plan = found.schedule.plan
    figures = plan_figures(plan)
    results = (*inexact_second_stages(plan, parameters, seconds, monitor), found.best)
    steps = [_schedule(objective, result) for result in results]
    tightest = max(results, key=lambda result: result.lower_bound)
    met = any(not step.how and step.latency <= tightest.lower_bound for step in steps)

    def bound_of_lfa(name: str, latency: int, how: str) -> Step:
        cost = objective.cost(figures.energy_pj, latency)
        return Step(name, True, latency, figures.energy_pj, cost, how, 0.0)

    how = f"{tightest.lower_bound_source}; " + ("met: the optimum of this LFA" if met else "not met: open")
    steps.append(bound_of_lfa(BOUND_OF_LFA, tightest.lower_bound, how))
    steps.append(bound_of_lfa(MAXIMUM_OF_LFA, figures.bound, f"of this LFA; {figures.limit}-bound"))
    bound = found.network_bound
    space = parameters.searched_space
    how = f"{bound.latency_source}; {space.text}"
    steps.append(Step(BOUND_OF_ALL, True, bound.latency, bound.energy_pj, bound.cost, how, bound.seconds))
    return Ladder(found.schedule, objective, space, tuple(steps), found.interrupted, found.out_of_time)


def _schedule(objective: Objective, result: SecondStageResult) -> Step:
    schedule = result.schedule
    how = "" if schedule.fits else "exceeds the buffer: can't run"
    cost = schedule.cost(objective)
    return Step(result.method, False, schedule.latency, schedule.energy_pj, cost, how, result.seconds)
