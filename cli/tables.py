"""How figures look in the tables and lines that commands print."""

import sys
import textwrap
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

from soma_cp.model.hardware.builtin.catalogue import known_name
from soma_cp.model.hardware.platform import CLOCK_HZ, PUBLISHED_CORE_ARRAY, Platform
from soma_cp.model.hardware.quantities import MIB
from soma_cp.model.network.network import Network
from soma_cp.model.network.types_in_use import types_in_use
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.semantics import PUBLISHED
from soma_cp.model.soma.figures import Figure, Measured, Unit, table_figures
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.result import SecondStageResult
from soma_cp.model.soma.schedule import Schedule

WIDTH_WITHOUT_TERMINAL = 110
HEADER_WIDTH = 20
LABEL_WIDTH = 22
"""Characters of a label in the lines below a table."""
PJ_PER_MJ = 1e9


def console() -> Console:
    """Return a console on stdout, wide enough for the tables if it is no terminal."""
    return Console(width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL, highlight=False)


def plain_table(*columns: str, gap: int = 3) -> Table:
    """Return a table whose first column is a label and whose others are figures; headers may have several lines."""
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0))
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
    return table


def percent(share: float) -> str:
    """Format a share."""
    return f"{share * 100:.2f} %"


def short_percent(share: float) -> str:
    """Format a share for a table of many columns: from 10 % on with one decimal."""
    return percent(share) if share < 0.09995 else f"{share * 100:.1f} %"


def seconds_cell(seconds: float, digits: int, deterministic: bool) -> str:
    """Format a time; a dash where the output must be the same on every run."""
    return "–" if deterministic else f"{seconds:.{digits}f}"


def mebibytes(size: float) -> str:
    """Format a size in MiB."""
    return f"{size / MIB:.3f}"


def millijoules(energy_pj: float) -> str:
    """Format an energy in mJ."""
    return f"{energy_pj / PJ_PER_MJ:.4f}"


CELLS: dict[Unit, Callable[[Any], str]] = {
    Unit.NAME: str,
    Unit.CYCLES: "{:,}".format,
    Unit.MILLISECONDS: "{:.4f}".format,
    Unit.PJ: millijoules,
    Unit.PJ_CYCLES: "{:.5g}".format,
    Unit.BYTES: mebibytes,
    Unit.AVERAGE_BYTES: mebibytes,
    Unit.MOVED_BYTES: mebibytes,
    Unit.HERTZ: "{:,}".format,
    Unit.BYTES_PER_SECOND: "{:g}".format,
    Unit.COUNT: "{:,}".format,
    Unit.SHARE: percent,
    Unit.VERDICT: str,
}
"""How tables write figures of a unit."""


def milliseconds(cycles: int, platform: Platform) -> float:
    """Return how long `cycles` take."""
    return platform.seconds(cycles) * 1e3


def clock_text(platform: Platform) -> str:
    """Format the clock."""
    units = ((10**9, "GHz"), (10**6, "MHz"), (10**3, "kHz"), (1, "Hz"))
    size, unit = next((size, unit) for size, unit in units if platform.clock_hz * 10 >= size)
    return f"{platform.clock_hz / size:g} {unit}"


def array_text(platform: Platform) -> str:
    """Say in a few words what the PE array is; of one PE, the number of MACs alone matters."""
    if platform.pe_rows == platform.pe_columns == 1:
        return f"{platform.macs_per_pe:,} MACs per cycle"
    macs = f"{platform.macs_per_pe} MAC{'s' if platform.macs_per_pe > 1 else ''}"
    return f"{platform.pe_rows}×{platform.pe_columns} PEs of {macs}"


def platform_text(platform: Platform) -> str:
    """Say in a few words what a platform is."""
    name = known_name(platform) or "own platform"
    unusual = (
        (platform.clock_hz != CLOCK_HZ, clock_text(platform)),
        (bool(platform.macs_per_cycle_by_type), rates_text(platform)),
        (platform.core_array != PUBLISHED_CORE_ARRAY, f"core array: {platform.core_array}"),
        (platform.semantics != PUBLISHED, f"{platform.semantics} semantics"),
    )
    return ", ".join(
        (
            f"{name}: {platform.gbuf_bytes / MIB:.4g} MiB GBUF",
            f"{platform.dram_bytes_per_second / 1e9:g} GB/s DRAM",
            array_text(platform),
            *(text for holds, text in unusual if holds),
        )
    )


def rates_text(platform: Platform) -> str:
    """Say how many multiply-accumulates a platform does per cycle with types that it names; empty without any."""
    rates = (f"{rate:,} with {name}" for name, rate in platform.macs_per_cycle_by_type)
    return " and ".join(rates).replace(" with", " MACs per cycle with", 1)


def typed_name(network: Network) -> str:
    """Return a network's name, with its data types if not all is INT8."""
    types = types_in_use(network).text
    return f"{network.name} with {types}" if types else network.name


def problem_text(problem: Problem) -> str:
    """Say in one line what is scheduled."""
    return f"{typed_name(problem.network)}, batch {problem.samples}, on {platform_text(problem.platform)}"


def schedule_table(columns: dict[str, Schedule]) -> Table:
    """Return a table of the figures of one or more schedules of the same LFA, a column each."""
    table = plain_table("", *(_header(column) for column in columns), gap=2)
    schedules = columns.values()
    clock = clock_text(next(iter(schedules)).problem.platform)
    for row in table_figures():
        table.add_row(row.table.format(clock=clock), *(_marked_cell(row, schedule) for schedule in schedules))
    return table


def cell(row: Figure, schedule: Schedule, lower_bound: int | None = None) -> str:
    """Format a figure for tables, whose headers or labels name the unit."""
    return CELLS[row.unit](row.compute(Measured(schedule, lower_bound)))


def _marked_cell(row: Figure, schedule: Schedule) -> str:
    mark = " (exceeds the buffer)" if row.name == "peak_buffer_bytes" and not schedule.fits else ""
    return f"{cell(row, schedule)}{mark}"


def _header(text: str) -> str:
    """Break the lines of a header that are too long."""
    return "\n".join(textwrap.fill(line, HEADER_WIDTH, break_on_hyphens=False) for line in text.splitlines())


def cost_name(objective: Objective) -> str:
    """Say what is minimised."""
    return objective.text


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is 1."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def lfa_text(plan: Plan) -> str:
    """Say in one line how large the schedule is, what shares a load, what is divided, and how many passes there are."""
    numbers = (plan.run.lg_count, len(plan.run.flgs), plan.tile_count, plan.dram_tensor_count)
    shared = len(plan.lfa.shared_loads)
    sharing = () if not shared else (f"{counted(shared, 'read')} share{'' if shared > 1 else 's'} a load",)
    divided, parts = len(plan.lfa.divisions), sum(len(division.channels) for division in plan.lfa.divisions)
    dividing = () if not divided else (f"{counted(divided, 'layer')} in {parts} parts",)
    repeating = () if plan.lfa.passes == 1 else (f"{plan.lfa.passes} passes of batch {plan.problem.batch}",)
    return ", ".join((*map(counted, numbers, ("LG", "FLG", "tile", "DRAM tensor")), *sharing, *dividing, *repeating))


def bound_lines(result: SecondStageResult) -> list[str]:
    """Say by how much a better DLSA could improve the schedule at most."""
    figures = result.schedule.evaluation.figures
    lines = [
        f"{'theoretical maximum':<{LABEL_WIDTH}}{figures.bound:,} cycles ({figures.limit}-bound)",
        f"{'proven lower bound':<{LABEL_WIDTH}}{result.lower_bound:,} cycles ({result.lower_bound_source})",
    ]
    if result.proven_optimal:
        verdict = "proven optimal for this LFA"
    else:
        verdict = f"at most {percent(result.gap)} above the optimum for this LFA"
    lines.append(f"{'this schedule':<{LABEL_WIDTH}}{verdict}")
    return lines


def blocks_line(schedule: Schedule) -> str | None:
    """Return the figures of the whole model if the network is one block of several."""
    blocks = schedule.problem.network.blocks
    if blocks == 1:
        return None
    latency = milliseconds(schedule.latency * blocks, schedule.problem.platform)
    energy = millijoules(schedule.energy_pj * blocks)
    return f"{'whole model':<{LABEL_WIDTH}}{blocks} blocks in a row: {latency:.4f} ms, {energy} mJ"
