"""The second stages by name: each makes a schedule of an LFA. A new one is a row of `SECOND_STAGES`."""

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
    """What a second stage should reach, and where it starts.

    Parameters
    ----------
    cutoff_latency
        Only a faster schedule is useful (cycles): a stage may stop once it knows that there is none. None: every
        schedule is useful.
    incumbent
        A schedule to improve; None for the stage's own start.
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
        Column header in comparisons, on two lines.
    proves
        Whether it runs until the optimum is proven; its time must then be limited.
    shows_seconds
        Whether comparisons show how long it takes.
    compared
        What comparisons run instead of `run`; its schedule may exceed the buffer.
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
        What it should reach; by default the best schedule.
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
    """Return double buffering, or the greedy DLSA if double buffering exceeds the buffer."""
    # The bound of `timed` costs far more than pricing, so it is computed for one of the two only.
    if priced(plan, double_buffering(plan.tensors)).fits:
        return _double_buffered(plan, parameters, aim, monitor)
    return timed("greedy (double buffering exceeds the buffer)", plan, lambda: greedy_dlsa(plan))


SECOND_STAGES: Mapping[SecondStage, SecondStageEntry] = {
    SecondStage.NONE: SecondStageEntry(_double_buffered_or_greedy, "double\nbuffer", compared=_double_buffered),
    SecondStage.GREEDY: SecondStageEntry(_greedy, "\ngreedy"),
    SecondStage.SA: SecondStageEntry(_annealed, "\nSA", shows_seconds=True),
    SecondStage.CPSAT: SecondStageEntry(_exact, "\nCP-SAT", proves=True, shows_seconds=True),
}
"""In the order of comparisons, the simplest first."""


def timed(method: str, plan: Plan, make: Callable[[], DLSA]) -> SecondStageResult:
    """Time `make`, price its DLSA, and add the bound that needs no solver."""
    begin = time.monotonic()
    dlsa = make()
    seconds = time.monotonic() - begin
    bound, source = best_combinatorial_bound(plan)
    return SecondStageResult(method, priced(plan, dlsa), bound, source, seconds)
