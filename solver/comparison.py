"""All second stages on the same LFA, side by side."""

from dataclasses import dataclass

from soma_cp.annealing.monitor import Monitor
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.result import SecondStageResult, relative_gap
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.second_stages import SECOND_STAGES, Aim, SecondStageEntry, all_second_stages


@dataclass(frozen=True, eq=False)
class Comparison:
    """Results of all second stages on one plan.

    Parameters
    ----------
    plan
        The plan of the LFA.
    results
        By second stage: double buffering, greedy, SA, CP-SAT, then those of packages. Double buffering may exceed the
        buffer.
    lower_bound, lower_bound_source
        The highest lower bound on the latency that any of them proved (cycles), and how.
    """

    plan: Plan
    results: tuple[SecondStageResult, ...]
    lower_bound: int
    lower_bound_source: str

    @property
    def all_fit(self) -> bool:
        """Whether all schedules fit into the buffer."""
        return all(result.schedule.fits for result in self.results)

    @property
    def is_met(self) -> bool:
        """Whether a schedule that fits meets the bound; it is then an optimum of the LFA."""
        schedules = [result.schedule for result in self.results]
        return any(one.fits and one.latency <= self.lower_bound for one in schedules)

    def gap(self, result: SecondStageResult) -> float:
        """Return the share by which a result's latency lies above the bound."""
        return relative_gap(result.schedule.latency, self.lower_bound)


def compare_second_stages(
    plan: Plan, parameters: SolveParameters, seconds_each: float | None, monitor: Monitor | None = None
) -> Comparison:
    """Run every second stage on `plan`; none starts from the result of another.

    Parameters
    ----------
    plan
        Of an LFA that fits into the buffer.
    parameters
        Objective, seed and parameters of the second stages; `second_stage` is not used.
    seconds_each
        Time limit of each; None for no limit.
    monitor
        How they are stopped and watched.

    Raises
    ------
    BufferTooSmallError
        If no DLSA of the plan fits into the buffer.
    """
    monitor = monitor or Monitor()
    entries = all_second_stages().values()
    results = tuple(_compared(entry, plan, parameters, seconds_each, monitor) for entry in entries)
    tightest = max(results, key=lambda result: result.lower_bound)
    return Comparison(plan, results, tightest.lower_bound, tightest.lower_bound_source)


def inexact_second_stages(
    plan: Plan, parameters: SolveParameters, seconds_each: float | None, monitor: Monitor
) -> tuple[SecondStageResult, ...]:
    """Run the built-in second stages that prove nothing; see `compare_second_stages`."""
    inexact = [entry for entry in SECOND_STAGES.values() if not entry.proves]
    return tuple(_compared(entry, plan, parameters, seconds_each, monitor) for entry in inexact)


def _compared(
    entry: SecondStageEntry, plan: Plan, parameters: SolveParameters, seconds: float | None, monitor: Monitor
) -> SecondStageResult:
    return (entry.compared or entry.run)(plan, parameters, Aim(), monitor.within(seconds))
