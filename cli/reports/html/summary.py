"""The tables of a page: figures, the ladder of bounds, and what the core array waits for."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from soma_cp.annealing.budget import Budget
from soma_cp.cli.reports.reported import Reported
from soma_cp.cli.tables import PJ_PER_MJ, counted, mebibytes, percent
from soma_cp.model.hardware.quantities import MIB
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.execution.execution import Execution
from soma_cp.model.soma.execution.execution_tables import longest_stalls, stalls_by_kind
from soma_cp.model.soma.figures import Figure, Measured, Unit, page_figures
from soma_cp.model.soma.tensors import IFM, OFM, WGT
from soma_cp.solver.advice.advise import advise
from soma_cp.solver.choices import COCCO_STAGES
from soma_cp.solver.every_lfa.network_bounds import NetworkBound, bound_every_lfa
from soma_cp.solver.schedule_ladder import Rung, schedule_ladder

MOST_STALLS = 10
OBJECTIVE_FIELDS = ("energy_exponent", "delay_exponent")
STALLED_FOR = {WGT: "weights", IFM: "ifmaps", OFM: "stores that must leave the buffer"}

BOUND_SECONDS = 20.0
"""The bound over every LFA may take so long for each problem; what is proven by then is shown."""


@dataclass(frozen=True)
class Row:
    """A row of a table: its label, a cell for each schedule, whether it belongs to the row above, and the difference.

    Parameters
    ----------
    difference
        Of the second schedule from the first; empty if there are not two, or if the figure has none.
    """

    label: str
    cells: tuple[str, ...]
    difference: str = ""
    is_part: bool = False


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
    Unit.HERTZ: "{:,} Hz".format,
    Unit.BYTES_PER_SECOND: "{:,g} B/s".format,
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
        Row(
            label.strip(),
            tuple(_cell(figures, one.execution) for one in reported),
            " / ".join(_differences(figures, reported)),
            is_part=label.startswith(" "),
        )
        for label, figures in rows.items()
    ]


Bounds = dict[Problem, NetworkBound]


def bounds_of(reported: Sequence[Reported]) -> Bounds:
    """Return the bounds over every LFA of all problems, in which no layer is divided."""
    schedules = [one.execution.schedule for one in reported]
    wide = {schedule.problem.whole for schedule in schedules if schedule.lfa.is_wide}
    return {
        problem: bound_every_lfa(problem, budget=Budget(BOUND_SECONDS), wide=problem in wide)
        for problem in {schedule.problem.whole for schedule in schedules}
    }


def ladder(one: Reported, bounds: Bounds) -> list[Rung]:
    """Return the ladder of a schedule: from the slowest schedule of its LFA down to the bound over every LFA."""
    schedule = one.execution.schedule
    return schedule_ladder(schedule, one.claimed_bound, bounds[schedule.problem.whole].latency)


def advice_lines(one: Reported, bounds: Bounds) -> list[str]:
    """Return what limits a schedule, the most important first; see docs/what-limits-me.md."""
    schedule = one.execution.schedule
    searches = one.provenance.get("lfa_search") not in COCCO_STAGES  # a baseline is what it is
    advice = advise(schedule, _objective(one), bounds[schedule.problem.whole], searches=searches)
    return [line.text for line in advice]


def _objective(one: Reported) -> Objective:
    """Return what the search minimised, as far as the file says so in numbers that make sense."""
    exponents = [one.provenance.get(name) for name in OBJECTIVE_FIELDS]
    try:
        return Objective(*map(float, exponents))  # type: ignore[arg-type]  # unchecked: what else it is, float refuses
    except (TypeError, ValueError):
        return Objective()


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


def _differences(figures: Iterable[Figure], reported: Sequence[Reported]) -> list[str]:
    """Return by how much two schedules differ; cycles of different clocks can't be compared."""
    if len(reported) != 2:
        return []
    one, two = (each.execution.schedule for each in reported)
    same_clock = one.problem.platform.clock_hz == two.problem.platform.clock_hz
    return [
        difference_text(row.unit, row.compute(Measured(one)), row.compute(Measured(two)))
        for row in figures
        if same_clock or row.unit not in (Unit.CYCLES, Unit.PJ_CYCLES)
    ]


def difference_text(unit: Unit, one: float, two: float) -> str:
    """Write how far `two` is from `one`: counts and shares by themselves, all else in percent of `one`."""
    if two == one:
        return "same"
    if unit is Unit.SHARE:
        text = f"{(two - one) * 100:+.2f} points"
    elif unit is Unit.COUNT or one == 0:
        text = f"{two - one:+,}"
    else:
        text = f"{(two / one - 1) * 100:+.2f} %"
    return text.replace("-", "−")


def _cell(figures: Iterable[Figure], execution: Execution) -> str:
    return " / ".join(FORMATS[row.unit](row.compute(Measured(execution.schedule))) for row in figures)
