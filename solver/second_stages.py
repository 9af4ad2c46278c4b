"""The second stages by name: each makes a schedule of an LFA.

A new one is a row of `SECOND_STAGES`, or a plug-in: an entry point of the group of `SECOND_STAGE_KIND`, a function of a
plan and a monitor that returns a DLSA (docs/plug-ins.md).
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.progress import ProgressEvent
from soma_cp.annealing.second_stage.annealing import anneal_dlsas
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.plug_ins import PlugIn
from soma_cp.model.soma.dlsa import DLSA, double_buffering
from soma_cp.model.soma.evaluation import plan_figures
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.result import SecondStageResult
from soma_cp.model.soma.schedule import priced
from soma_cp.solver.choices import SECOND_STAGE_KIND, SecondStage
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.plug_in_calls import Caller, LeftBehindError, wanted_keywords
from soma_cp.solver.plug_in_results import checked_dlsa
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
        Whether it runs until the optimum is proven.
    takes_all_time
        Whether it may run until its budget is over; its time must then be limited.
    shows_seconds
        Whether comparisons show how long it takes.
    compared
        What comparisons run instead of `run`; its schedule may exceed the buffer.
    plug_in
        What brings it, unless it is built in.
    """

    run: Run
    column: str
    proves: bool = False
    takes_all_time: bool = False
    shows_seconds: bool = False
    compared: Run | None = None
    plug_in: PlugIn | None = None


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
    return second_stage(parameters.second_stage).run(plan, parameters, aim, monitor or Monitor())


def second_stage(name: str) -> SecondStageEntry:
    """Return the second stage called `name`, built in or a plug-in.

    Raises
    ------
    UserError
        If there is none of that name, or the package that brings it is broken.
    """
    return SECOND_STAGES.get(name) or _of_package(SECOND_STAGE_KIND.load(name))


def all_second_stages() -> dict[str, SecondStageEntry]:
    """Return every second stage by its name, those of packages last."""
    return {**SECOND_STAGES, **{name: second_stage(name) for name in SECOND_STAGE_KIND.installed}}


def _of_package(plug_in: PlugIn) -> SecondStageEntry:
    """Return the row of a plug-in."""
    head, dash, tail = plug_in.name.rpartition("-")
    return SecondStageEntry(
        partial(_run_plug_in, plug_in),
        f"{head}{dash}\n{tail}",
        takes_all_time=True,
        shows_seconds=True,
        plug_in=plug_in,
    )


def _run_plug_in(
    plug_in: PlugIn, plan: Plan, parameters: SolveParameters, aim: Aim, monitor: Monitor
) -> SecondStageResult:
    """Run a second stage of a package and check what it returns; greedy stands in if the user won't wait for it."""
    own = make_plan(plan.problem, plan.lfa)  # a package may write into the arrays that it gets
    offered = {"seed": parameters.draws, "objective": parameters.objective, "incumbent": aim.incumbent}
    caller = Caller(plug_in, monitor)
    keywords = wanted_keywords(plug_in, offered)

    def make() -> DLSA:
        returned = caller.call(lambda: plug_in.function(own, caller.monitor, **keywords))
        return checked_dlsa(plug_in, plan, returned)

    try:
        result = timed(plug_in.name, plan, make)
    except LeftBehindError:
        return timed(f"greedy ({plug_in.name} was interrupted)", plan, lambda: greedy_dlsa(plan))
    finally:
        caller.end()
    return replace(result, details={"package": plug_in.package, "package_version": plug_in.version})


def _exact(plan: Plan, parameters: SolveParameters, aim: Aim, monitor: Monitor) -> SecondStageResult:
    # Imported late: loading the solver takes most of a second.
    from soma_cp.solver.second_stage.exact import solve_dlsa_exactly

    cutoff = None if aim.cutoff_latency is None else int(aim.cutoff_latency)
    energy_pj, watched = plan_figures(plan).energy_pj, monitor.progress

    def priced_event(event: ProgressEvent) -> None:
        cost = None if event.latency is None else parameters.objective.cost(energy_pj, event.latency)
        watched(replace(event, best_cost=cost))

    return solve_dlsa_exactly(plan, parameters.cpsat, aim.incumbent, cutoff, replace(monitor, progress=priced_event))


def _annealed(plan: Plan, parameters: SolveParameters, aim: Aim, monitor: Monitor) -> SecondStageResult:
    random = np.random.default_rng([parameters.draws, 1000 + monitor.iteration])

    def make() -> DLSA:
        return anneal_dlsas(
            plan, random, parameters.objective, parameters.annealing, monitor, incumbent=aim.incumbent
        ).dlsa

    return timed("SA", plan, make)


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


SECOND_STAGES: Mapping[str, SecondStageEntry] = {
    SecondStage.NONE: SecondStageEntry(_double_buffered_or_greedy, "double\nbuffer", compared=_double_buffered),
    SecondStage.GREEDY: SecondStageEntry(_greedy, "\ngreedy"),
    SecondStage.SA: SecondStageEntry(_annealed, "\nSA", shows_seconds=True),
    SecondStage.CPSAT: SecondStageEntry(_exact, "\nCP-SAT", proves=True, takes_all_time=True, shows_seconds=True),
}
"""The built-in ones in the order of comparisons, the simplest first."""


def timed(method: str, plan: Plan, make: Callable[[], DLSA]) -> SecondStageResult:
    """Time `make`, price its DLSA, and add the bound that needs no solver."""
    begin = time.monotonic()
    dlsa = make()
    seconds = time.monotonic() - begin
    bound, source = best_combinatorial_bound(plan)
    return SecondStageResult(method, priced(plan, dlsa), bound, source, seconds)
