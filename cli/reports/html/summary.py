"""The tables of a page: figures, the ladder of bounds, and what the core array waits for."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.cli.reports.reported import Reported
from soma_cp.cli.tables import PJ_PER_MJ, counted, mebibytes, percent
from soma_cp.model.hardware.platform import MIB
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import DLSA, double_buffering
from soma_cp.model.soma.evaluation import Evaluation, evaluate
from soma_cp.model.soma.execution.execution import Execution
from soma_cp.model.soma.execution.execution_tables import longest_stalls, stalls_by_kind
from soma_cp.model.soma.figures import Figure, Measured, Unit, page_figures
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


FORMATS: dict[Unit, Callable[[Any], str]] = {
    Unit.NAME: str,
    Unit.CYCLES: "{:,} cycles".format,
    Unit.MILLISECONDS: "{:.4g} ms".format,
    Unit.PJ: lambda energy: f"{energy / PJ_PER_MJ:.4g} mJ",
    Unit.PJ_CYCLES: "{:.5g} pJ·cycles".format,
    Unit.BYTES: lambda size: f"{mebibytes(size)} MiB",
    Unit.AVERAGE_BYTES: lambda size: f"{mebibytes(size)} MiB",
    Unit.MOVED_BYTES: lambda size: f"{size / MIB:,.3f} MiB",
    Unit.COUNT: "{:,}".format,
    Unit.SHARE: percent,
    Unit.VERDICT: str,
}
"""How the page writes figures of a unit."""


def figure_rows(reported: Sequence[Reported]) -> list[Row]:
    """Return the figures of all schedules, a cell each."""
    rows: dict[str, list[Figure]] = {}
    for row in page_figures():
        rows.setdefault(row.page, []).append(row)
    return [
        Row(label.strip(), tuple(_cell(figures, one.execution) for one in reported), is_part=label.startswith(" "))
        for label, figures in rows.items()
    ]


def ladders(reported: Sequence[Reported]) -> list[list[Rung]]:
    """Return the ladder of every schedule: from the slowest schedule of its LFA down to the bound over every LFA."""
    bounds: dict[Problem, int] = {}
    return [_ladder(one, bounds) for one in reported]


def stalls(execution: Execution) -> Stalls:
    """Return what the core array waits for."""
    tiles, plan, total = execution.tiles, execution.schedule.plan, execution.stall_cycles
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


def _cell(figures: Iterable[Figure], execution: Execution) -> str:
    return " / ".join(FORMATS[row.unit](row.compute(Measured(execution.schedule))) for row in figures)


def _ladder(one: Reported, bounds_of_all: dict[Problem, int]) -> list[Rung]:
    execution = one.execution
    plan = execution.schedule.plan
    problem = plan.problem
    if problem not in bounds_of_all:
        bounds_of_all[problem] = bound_every_lfa(problem).latency
    capacity = problem.platform.gbuf_bytes
    doubled, greedy = double_buffering(plan), greedy_dlsa(plan)
    schedules = {
        "double buffering": evaluate(plan, doubled),
        "greedy": evaluate(plan, greedy),
        "this schedule": execution.schedule.evaluation,
    }
    if _same(doubled, execution.schedule.dlsa):
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
    figures = execution.schedule.evaluation.figures
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
    bound, source = best_combinatorial_bound(one.execution.schedule.plan)
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
