"""The second stages by name: each makes a schedule of an LFA; a new one is a row of `SECOND_STAGES`."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.second_stage.annealing import anneal_dlsas
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.soma.dlsa import DLSA, double_buffering
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.result import SecondStageResult
from soma_cp.model.soma.schedule import priced
from soma_cp.solver.choices import SecondStage
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.second_stage.windows import best_combinatorial_bound


@dataclass(frozen=True, eq=False)
class Aim:
    """What a second stage is for, besides the best schedule it can find.

    Parameters
    ----------
    cutoff_latency
        A schedule that is no faster is of no use (cycles): a stage may stop once it knows that there is none. None:
        any is.
    incumbent
        A schedule to improve on; None for a stage's own start.
    """

    cutoff_latency: float | None = None
    incumbent: DLSA | None = None


Run = Callable[[Plan, SolveParameters, Aim, Monitor], SecondStageResult]
"""Makes a schedule of a plan that fits into the buffer."""


@dataclass(frozen=True)
class SecondStageEntry:
    """A second stage.

    Parameters
    ----------
    run
        Makes a valid schedule.
    column
        Header of comparisons, in two lines.
    proves
        Whether it goes on until the optimum is proven, so that it has to share the time with others.
    shows_seconds
        Whether comparisons show how long it takes.
    compared
        What comparisons run, where that is not `run`; its schedule may exceed the buffer.
    """

    run: Run
    column: str
    proves: bool = False
    shows_seconds: bool = False
    compared: Run | None = None


def run_second_stage(
    plan: Plan, parameters: SolveParameters, aim: Aim = Aim(), monitor: Monitor | None = None
) -> SecondStageResult:
    """Run the second stage that `parameters` names on one plan.

    Parameters
    ----------
    plan
        Of an LFA that fits into the buffer.
    parameters
        As for `soma_cp.solver.solve.solve`.
    aim
        What it is for; by default the best schedule.
    monitor
        How it is stopped and watched.

    Raises
    ------
    BufferTooSmallError
        If no DLSA of the plan fits into the buffer.
    """
    return SECOND_STAGES[parameters.second_stage].run(plan, parameters, aim, monitor or Monitor())


def _exact(plan: Plan, parameters: SolveParameters, aim: Aim, monitor: Monitor) -> SecondStageResult:
    # Imported late: loading the solver takes most of a second.
    from soma_cp.solver.second_stage.exact import solve_dlsa_exactly

    cutoff = None if aim.cutoff_latency is None else int(aim.cutoff_latency)
    return solve_dlsa_exactly(plan, parameters.cpsat, aim.incumbent, cutoff, monitor)


def _annealed(plan: Plan, parameters: SolveParameters, aim: Aim, monitor: Monitor) -> SecondStageResult:
    random = np.random.default_rng([parameters.seed, 1000 + monitor.iteration])
    annealing = parameters.annealing
    return timed("SA", plan, lambda: anneal_dlsas(plan, random, parameters.objective, annealing, monitor).dlsa)


def _greedy(plan: Plan, parameters: SolveParameters, aim: Aim, monitor: Monitor) -> SecondStageResult:
    return timed("greedy", plan, lambda: greedy_dlsa(plan))


def _double_buffered(plan: Plan, parameters: SolveParameters, aim: Aim, monitor: Monitor) -> SecondStageResult:
    return timed("double buffering", plan, lambda: double_buffering(plan.tensors))


def _double_buffered_or_greedy(
    plan: Plan, parameters: SolveParameters, aim: Aim, monitor: Monitor
) -> SecondStageResult:
    """Keep double buffering; where that exceeds the buffer, take the greedy DLSA."""
    buffered = _double_buffered(plan, parameters, aim, monitor)
    if buffered.schedule.fits:
        return buffered
    return timed("greedy (double buffering exceeds the buffer)", plan, lambda: greedy_dlsa(plan))


SECOND_STAGES: Mapping[SecondStage, SecondStageEntry] = {
    SecondStage.NONE: SecondStageEntry(_double_buffered_or_greedy, "double\nbuffer", compared=_double_buffered),
    SecondStage.GREEDY: SecondStageEntry(_greedy, "\ngreedy"),
    SecondStage.SA: SecondStageEntry(_annealed, "\nSA", shows_seconds=True),
    SecondStage.CPSAT: SecondStageEntry(_exact, "\nCP-SAT", proves=True, shows_seconds=True),
}
"""In the order of comparisons, from the simplest up."""


def timed(method: str, plan: Plan, make: Callable[[], DLSA]) -> SecondStageResult:
    """Time `make`, price what it makes, and set it beside the bound that needs no solver."""
    begin = time.monotonic()
    dlsa = make()
    seconds = time.monotonic() - begin
    bound, source = best_combinatorial_bound(plan)
    return SecondStageResult(method, priced(plan, dlsa), bound, source, seconds)
