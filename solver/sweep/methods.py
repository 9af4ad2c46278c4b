"""The methods of sweeps by name. Methods that come of one run share a family: it is run once for all that are asked.

A result depends on its point and method alone: searches end by rounds, CP-SAT has one thread and a limit in
deterministic time, and no method sees which others are asked for with it.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.buffer_allocator import allocate_buffer
from soma_cp.annealing.first_stage.paper_search import PaperSearchParameters
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.second_stage.annealing import AnnealingParameters
from soma_cp.model.objective import Objective
from soma_cp.model.soma.dlsa import double_buffering
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.result import SecondStageResult
from soma_cp.model.soma.schedule import Schedule, priced
from soma_cp.model.soma.validity import require_valid
from soma_cp.solver.choices import FirstStage, SecondStage
from soma_cp.solver.first_stages import cocco_plan
from soma_cp.solver.parameters import CpSatParameters, SolveParameters
from soma_cp.solver.second_stage.windows import best_combinatorial_bound
from soma_cp.solver.second_stages import run_second_stage
from soma_cp.solver.solve import solve
from soma_cp.solver.sweep.outcome import Outcome, Status
from soma_cp.solver.sweep.point import Point

DETERMINISTIC_TIME = 10.0
"""Limit of CP-SAT for the best LFA of a point, in deterministic time (about as many seconds)."""
LATENCY = Objective(0.0, 1.0)

Found = Mapping[str, Outcome]
"""Outcomes by method."""


@dataclass(frozen=True)
class Family:
    """Methods that come of one run.

    Parameters
    ----------
    run
        Returns the outcomes of the methods that are asked for at a point; raises `UserError` if there is no schedule.
    parameters
        Returns how the point is solved; also says which kernels the run needs.
    has_rule
        Whether the rule of tiling numbers decides the result.
    """

    run: Callable[[Point, Collection[str], Monitor], Found]
    parameters: Callable[[Point], SolveParameters]
    has_rule: bool = False


@dataclass(frozen=True)
class Method:
    """A row of `METHODS`.

    Parameters
    ----------
    family
        Of `FAMILIES`.
    meaning
        What it is, for people.
    uses_solver
        Whether the result depends on the version of CP-SAT.
    """

    family: str
    meaning: str
    uses_solver: bool = False


def parameters_of(point: Point, **given: object) -> SolveParameters:
    """Return the parameters that all methods share, with others for one of them."""
    cpsat = CpSatParameters(
        workers=1,
        seed=point.seed,
        deterministic=True,
        deterministic_time=DETERMINISTIC_TIME * point.effort,
    )
    usual = SolveParameters(objective=point.objective, seed=point.seed, cpsat=cpsat, threads=1, path_bound=False)
    return replace(usual, **given)  # type: ignore[arg-type]


def _share(rounds: int, point: Point) -> int:
    return max(round(rounds * point.effort), 1)


# This project's search


def _ours_parameters(point: Point) -> SolveParameters:
    usual = SolveParameters().search
    return parameters_of(point, search=replace(usual, rounds=_share(usual.rounds, point)))


def _run_ours(point: Point, methods: Collection[str], monitor: Monitor) -> Found:
    begin = time.monotonic()
    result = solve(point.problem, _ours_parameters(point), monitor)
    seconds = time.monotonic() - begin
    outcome = _done(result.schedule, result.best.lower_bound, result.rounds, seconds)
    return dict.fromkeys(methods, replace(outcome, cost_bound=result.network_bound.cost))


# Cocco


def _cocco_parameters(point: Point) -> SolveParameters:
    usual = SolveParameters().cocco
    annealing = replace(usual.annealing, rounds_per_layer=_share(usual.annealing.rounds_per_layer, point))
    cocco = replace(usual, tiling=point.tiling, capped=not point.uncapped, annealing=annealing)
    return parameters_of(point, first_stage=FirstStage.COCCO, cocco=cocco)


def _run_cocco(point: Point, methods: Collection[str], monitor: Monitor) -> Found:
    """Search Cocco's space; give its LFA to the exact second stage if that is asked for."""
    begin = time.monotonic()
    parameters = _cocco_parameters(point)
    plan, rounds = cocco_plan(point.problem, parameters, monitor)
    baseline = priced(plan, double_buffering(plan.tensors))
    outcomes = {"cocco": _done(baseline, best_combinatorial_bound(plan)[0], rounds, time.monotonic() - begin)}
    if "cocco-exact" in methods:
        exact = run_second_stage(plan, parameters, monitor=monitor)
        seconds = time.monotonic() - begin
        outcomes["cocco-exact"] = _done(exact.schedule, exact.lower_bound, rounds, seconds)
    return {name: outcomes[name] for name in methods}


# The paper's search


def _paper_parameters(point: Point) -> SolveParameters:
    lfas, dlsas = PaperSearchParameters(), AnnealingParameters()
    return parameters_of(
        point,
        first_stage=FirstStage.PAPER,
        second_stage=SecondStage.SA,
        paper_search=replace(lfas, rounds_per_layer=_share(lfas.rounds_per_layer, point)),
        annealing=replace(dlsas, rounds_per_tensor=_share(dlsas.rounds_per_tensor, point)),
    )


def _run_paper(point: Point, methods: Collection[str], monitor: Monitor) -> Found:
    """Run the Buffer Allocator, which takes the iteration whose second stage is fastest, as the published program."""
    begin = time.monotonic()
    parameters = _paper_parameters(point)
    first: list[Schedule] = []

    def finish(plan: Plan, wanted: float | None, left: Monitor) -> SecondStageResult:
        result = run_second_stage(plan, parameters, monitor=left)
        if left.iteration == 1:
            first.append(result.schedule.double_buffered)
        return result

    found = allocate_buffer(
        point.problem, finish, point.seed, point.objective, parameters.paper_search, monitor, picks=LATENCY
    )
    seconds = time.monotonic() - begin
    best = found.second_stage
    schedules = {
        "paper-1": best.schedule.double_buffered,
        "paper-2": best.schedule,
        "paper-1-full": first[0],
    }
    return {name: _done(schedules[name], best.lower_bound, found.rounds, seconds) for name in methods}


def _done(schedule: Schedule, lower_bound: int | None, rounds: int, seconds: float) -> Outcome:
    """Return the outcome of a run; double buffering that exceeds the buffer is no schedule."""
    peak, capacity = schedule.evaluation.peak_buffer_bytes, schedule.problem.platform.gbuf_bytes
    if not schedule.fits:
        message = f"double buffering of the LFA needs {peak:,} bytes of the buffer, which has {capacity:,}"
        return Outcome(Status.INFEASIBLE, message=message, rounds=rounds, seconds=seconds)
    require_valid(schedule.plan, schedule.dlsa)
    return Outcome(Status.DONE, schedule, lower_bound=lower_bound, rounds=rounds, seconds=seconds)


FAMILIES: Mapping[str, Family] = {
    "cocco": Family(_run_cocco, _cocco_parameters, has_rule=True),
    "paper": Family(_run_paper, _paper_parameters),
    "ours": Family(_run_ours, _ours_parameters),
}

OURS, ALONE = "ours", "ours-alone"

METHODS: Mapping[str, Method] = {
    "cocco": Method("cocco", "the baseline: Cocco's search and double buffering"),
    "cocco-exact": Method("cocco", "the same layer fusion with the exact second stage", uses_solver=True),
    "paper-1": Method("paper", "the paper's first stage: double buffering of the LFA of paper-2"),
    "paper-2": Method("paper", "the paper's search: Buffer Allocator, the iteration whose second stage is fastest"),
    "paper-1-full": Method("paper", "double buffering of the first iteration's LFA, under the full buffer"),
    ALONE: Method("ours", "this project's default search and CP-SAT, of the point by itself", uses_solver=True),
    OURS: Method("ours", "the same, or the schedule of a neighbouring point if that is better here", uses_solver=True),
}
"""In the order in which rows of a point stand."""


def has_rule(method: str) -> bool:
    """Whether the rule of tiling numbers decides what a method finds."""
    return FAMILIES[METHODS[method].family].has_rule


def point_for(point: Point, method: str) -> Point:
    """Return the point without what the method does not use, so that it is solved once for all rules."""
    return point if has_rule(method) else replace(point, tiling=Point.tiling, uncapped=Point.uncapped)


def run_point(point: Point, family: str, methods: Collection[str]) -> Found:
    """Return the outcomes of some methods of a family at a point."""
    return FAMILIES[family].run(point, methods, Monitor(Budget(point.seconds)))
