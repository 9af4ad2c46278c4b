"""The tables of a page: figures, the ladder of bounds, and what the core array waits for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.cli.reports.reported import Reported
from soma_cp.cli.tables import PJ_PER_MJ, counted, milliseconds, percent
from soma_cp.model.hardware.quantities import MIB
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import DLSA, double_buffering
from soma_cp.model.soma.evaluation import Evaluation, evaluate
from soma_cp.model.soma.execution.execution import Execution
from soma_cp.model.soma.execution.execution_tables import longest_stalls, stalls_by_kind
from soma_cp.model.soma.result import relative_gap
from soma_cp.model.soma.tensors import IFM, OFM, WGT
from soma_cp.solver.every_lfa.network_bounds import bound_every_lfa
from soma_cp.solver.ladder import BOUND_OF_ALL, BOUND_OF_LFA, MAXIMUM_OF_LFA
from soma_cp.solver.second_stage.windows import best_combinatorial_bound

MOST_STALLS = 10
LIMITED_BY = {"compute": "computing", "DRAM": "transfers"}
STALLED_FOR = {WGT: "weights", IFM: "ifmaps", OFM: "stores that must leave the buffer"}


@dataclass(frozen=True)
class Row:
    """A row of a table: its label, a cell for each schedule, and whether it belongs to the row above."""

    label: str
    cells: tuple[str, ...]
    is_part: bool = False


@dataclass(frozen=True)
class Rung:
    """A step of the ladder of one schedule.

    Parameters
    ----------
    name
        What it is.
    latency
        Cycles.
    kind
        ``"schedule"``, ``"this"`` (the schedule itself) or ``"bound"``.
    note
        What it is worth.
    above
        By what share it lies above the bound of the LFA.
    width
        Share of the longest latency in the ladder, to draw it.
    """

    name: str
    latency: int
    kind: str
    note: str
    above: float
    width: float


@dataclass(frozen=True)
class Stalls:
    """What the core array of one schedule waits for: by kind, and the longest stalls one by one."""

    total: str
    kinds: tuple[str, ...]
    longest: tuple[tuple[str, int, str], ...]


def figure_rows(reported: Sequence[Reported]) -> list[Row]:
    """Return the figures of all schedules, a cell each."""
    columns = [_figures(one.execution) for one in reported]
    return [
        Row(label.strip(), tuple(column[label] for column in columns), is_part=label.startswith(" "))
        for label in columns[0]
    ]


def ladders(reported: Sequence[Reported]) -> list[list[Rung]]:
    """Return the ladder of every schedule: from the slowest schedule of its LFA down to the bound over every LFA."""
    bounds: dict[Problem, int] = {}
    return [_ladder(one, bounds) for one in reported]


def stalls(execution: Execution) -> Stalls:
    """Return what the core array waits for."""
    tiles, plan, total = execution.tiles, execution.plan, execution.stall_cycles
    return Stalls(
        total=f"{total:,} cycles, {percent(total / execution.latency)} of the latency",
        kinds=tuple(
            f"{cause.cycles:,} cycles in {counted(cause.stalls, 'stall')} for {STALLED_FOR[cause.kind]}"
            for cause in stalls_by_kind(execution)
            if cause.stalls
        ),
        longest=tuple(
            (plan.tile_label(tile), int(tiles.stall[tile]), execution.transfer_label(int(tiles.cause[tile])))
            for tile in longest_stalls(execution, MOST_STALLS).tolist()
        ),
    )


def _figures(execution: Execution) -> dict[str, str]:
    evaluation, plan = execution.evaluation, execution.plan
    figures = evaluation.figures
    latency = evaluation.latency
    platform = plan.problem.platform
    return {
        "latency": f"{latency:,} cycles",
        " in time": f"{milliseconds(latency, platform):.4g} ms",
        " core array computes": percent(figures.compute_cycles / latency),
        " core array stalls": percent(execution.stall_cycles / latency),
        " DRAM channel busy": percent(figures.dram_cycles / latency),
        "energy": f"{evaluation.energy_pj / PJ_PER_MJ:.4g} mJ",
        " core array": f"{figures.core_energy_pj / PJ_PER_MJ:.4g} mJ",
        " DRAM": f"{figures.dram_energy_pj / PJ_PER_MJ:.4g} mJ",
        "energy × delay": f"{evaluation.edp:.5g} pJ·cycles",
        "utilization": percent(evaluation.utilization),
        "peak buffer": f"{evaluation.peak_buffer_bytes / MIB:.3f} MiB",
        " of the capacity": percent(evaluation.peak_buffer_bytes / platform.gbuf_bytes),
        " average": f"{evaluation.average_buffer_bytes / MIB:.3f} MiB",
        "LGs / FLGs": f"{plan.lfa.lg_count:,} / {len(plan.lfa.flgs):,}",
        "tiles": f"{plan.tile_count:,}",
        "DRAM tensors": f"{plan.dram_tensor_count:,}",
        " bytes moved": f"{int(plan.tensors.bytes.sum()) / MIB:,.3f} MiB",
    }


def _ladder(one: Reported, bounds_of_all: dict[Problem, int]) -> list[Rung]:
    execution = one.execution
    plan = execution.plan
    problem = plan.problem
    if problem not in bounds_of_all:
        bounds_of_all[problem] = bound_every_lfa(problem).latency
    capacity = problem.platform.gbuf_bytes
    doubled, greedy = double_buffering(plan), greedy_dlsa(plan)
    schedules = {
        "double buffering": evaluate(plan, doubled),
        "greedy": evaluate(plan, greedy),
        "this schedule": execution.evaluation,
    }
    if _same(doubled, execution.dlsa):
        del schedules["double buffering"]
    fastest = min((e.latency for e in schedules.values() if e.peak_buffer_bytes <= capacity), default=None)
    bound, source, if_so = _bound_of_lfa(one, fastest)
    steps = []
    for name, evaluation in schedules.items():
        note = _overflow(evaluation, capacity)
        if not note and evaluation.latency <= bound:
            note = f"the optimum of this LFA{if_so}"
        steps.append((name, evaluation.latency, "this" if name == "this schedule" else "schedule", note))
    steps.sort(key=lambda step: -step[1])
    figures = execution.evaluation.figures
    bounds = [
        (BOUND_OF_LFA, bound, "bound", source),
        (MAXIMUM_OF_LFA, figures.bound, "bound", f"perfect overlap: all {LIMITED_BY[figures.limit]}"),
        (BOUND_OF_ALL, bounds_of_all[problem], "bound", ""),
    ]
    steps += sorted(bounds, key=lambda step: -step[1])
    longest = max(latency for _, latency, _, _ in steps)
    return [
        Rung(name, latency, kind, note, relative_gap(latency, bound), latency / longest)
        for name, latency, kind, note in steps
    ]


def _bound_of_lfa(one: Reported, fastest: int | None) -> tuple[int, str, str]:
    """Return the bound of the LFA, where it comes from, and under which condition it is one.

    A file may claim a better one than is known without a solver; one above a schedule that can run is wrong.
    """
    bound, source = best_combinatorial_bound(one.execution.plan)
    claim = one.claimed_bound
    if claim is None or claim <= bound:
        return bound, source, ""
    if fastest is not None and claim > fastest:
        return bound, f"{source}; the {claim:,} that the file claims is wrong", ""
    return claim, "says the schedule file, unchecked", ", if the file's bound holds"


def _same(a: DLSA, b: DLSA) -> bool:
    return all(np.array_equal(x, y) for x, y in ((a.order, b.order), (a.start, b.start), (a.end, b.end)))


def _overflow(evaluation: Evaluation, capacity: int) -> str:
    return "exceeds the buffer: can't run" if evaluation.peak_buffer_bytes > capacity else ""
