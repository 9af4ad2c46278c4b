"""How figures look: the tables that commands print, and the JSON objects behind ``--json``."""

import json
import sys
import textwrap
from typing import Any

from rich.console import Console
from rich.table import Table

from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.platform import CLOCK_HZ, PUBLISHED_CORE_ARRAY, Platform
from soma_cp.model.hardware.quantities import MIB
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.semantics import PUBLISHED
from soma_cp.model.soma.evaluation import Evaluation
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.result import relative_gap

WIDTH_WITHOUT_TERMINAL = 110
HEADER_WIDTH = 20
LABEL_WIDTH = 22
"""Of the labels of the lines below a table."""
PJ_PER_MJ = 1e9


def console() -> Console:
    """Return a console on stdout, wide enough for the tables where it is no terminal."""
    return Console(width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL, highlight=False)


def plain_table(*columns: str, gap: int = 3) -> Table:
    """Return a table whose first column is a label and whose others are figures; headers may have several lines."""
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0))
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
    return table


def print_json(document: dict[str, Any]) -> None:
    """Print one JSON object."""
    print(json.dumps(document, indent=1))


def percent(share: float) -> str:
    """Format a share."""
    return f"{share * 100:.2f} %"


def milliseconds(cycles: int, platform: Platform) -> float:
    """Return how long so many cycles take."""
    return platform.seconds(cycles) * 1e3


def clock_text(platform: Platform) -> str:
    """Format the clock."""
    units = ((10**9, "GHz"), (10**6, "MHz"), (10**3, "kHz"), (1, "Hz"))
    size, unit = next((size, unit) for size, unit in units if platform.clock_hz * 10 >= size)
    return f"{platform.clock_hz / size:g} {unit}"


def platform_text(platform: Platform) -> str:
    """Say in a few words what a platform is."""
    own = platform.name if platform.name not in PLATFORMS else ""
    name = next((name for name, known in PLATFORMS.items() if known == platform), own or "own platform")
    unusual = (
        (platform.clock_hz != CLOCK_HZ, clock_text(platform)),
        (platform.core_array != PUBLISHED_CORE_ARRAY, f"core array: {platform.core_array}"),
        (platform.semantics != PUBLISHED, f"{platform.semantics} semantics"),
    )
    return ", ".join(
        (
            f"{name}: {platform.gbuf_bytes / MIB:g} MiB GBUF",
            f"{platform.dram_bytes_per_second / 1e9:g} GB/s DRAM",
            f"{platform.pe_grid}×{platform.pe_grid} PEs of {platform.macs_per_pe} MACs",
            *(text for holds, text in unusual if holds),
        )
    )


def problem_text(problem: Problem) -> str:
    """Say in one line what is scheduled."""
    return f"{problem.network.name}, batch {problem.batch}, on {platform_text(problem.platform)}"


def figures_document(plan: Plan, evaluation: Evaluation, lower_bound: int) -> dict[str, Any]:
    """Return the figures of a schedule under the names that ``--json`` and files use (cycles, pJ, bytes)."""
    problem = plan.problem
    figures = evaluation.figures
    return {
        "network": problem.network.name,
        "batch": problem.batch,
        "blocks": problem.network.blocks,
        "latency": evaluation.latency,
        "latency_ms": milliseconds(evaluation.latency, problem.platform),
        "energy_pj": evaluation.energy_pj,
        "core_energy_pj": figures.core_energy_pj,
        "dram_energy_pj": figures.dram_energy_pj,
        "edp": evaluation.edp,
        "utilization": evaluation.utilization,
        "bound": figures.bound,
        "gap_to_bound": relative_gap(evaluation.latency, figures.bound),
        "compute_cycles": figures.compute_cycles,
        "dram_cycles": figures.dram_cycles,
        "proven_lower_bound": lower_bound,
        "gap_to_proven_lower_bound": relative_gap(evaluation.latency, lower_bound),
        "proven_optimal": evaluation.latency <= lower_bound,
        "peak_buffer_bytes": evaluation.peak_buffer_bytes,
        "average_buffer_bytes": evaluation.average_buffer_bytes,
        "gbuf_bytes": problem.platform.gbuf_bytes,
        "core_array": problem.platform.core_array,
        "semantics": problem.platform.semantics,
        "lgs": plan.lfa.lg_count,
        "flgs": len(plan.lfa.flgs),
        "tiles": plan.tile_count,
        "dram_tensors": plan.dram_tensor_count,
    }


def schedule_table(columns: dict[str, Evaluation], platform: Platform) -> Table:
    """Return a table of the figures of one or more schedules of the same LFA, a column each."""
    table = plain_table("", *(_header(column) for column in columns), gap=2)
    values = list(columns.values())

    def row(label: str, *cells: str) -> None:
        table.add_row(label, *cells)

    row("latency (cycles)", *(f"{e.latency:,}" for e in values))
    row(f"latency (ms at {clock_text(platform)})", *(f"{milliseconds(e.latency, platform):.4f}" for e in values))
    row("energy (mJ)", *(f"{e.energy_pj / PJ_PER_MJ:.4f}" for e in values))
    row("  core array", *(f"{e.figures.core_energy_pj / PJ_PER_MJ:.4f}" for e in values))
    row("  DRAM", *(f"{e.figures.dram_energy_pj / PJ_PER_MJ:.4f}" for e in values))
    row("energy × delay (pJ·cycles)", *(f"{e.edp:.5g}" for e in values))
    row("utilization", *(percent(e.utilization) for e in values))
    row("above theoretical maximum", *(percent(relative_gap(e.latency, e.figures.bound)) for e in values))
    row("peak buffer (MiB)", *(_mebibytes(e.peak_buffer_bytes, platform.gbuf_bytes) for e in values))
    row("average buffer (MiB)", *(f"{e.average_buffer_bytes / MIB:.3f}" for e in values))
    return table


def _header(text: str) -> str:
    """Break a header's lines where they are too long."""
    return "\n".join(textwrap.fill(line, HEADER_WIDTH, break_on_hyphens=False) for line in text.splitlines())


def _mebibytes(size: int, capacity: int) -> str:
    mark = " (exceeds the buffer)" if size > capacity else ""
    return f"{size / MIB:.3f}{mark}"


def cost_name(objective: Objective) -> str:
    """Say what is minimised."""
    if objective.energy_exponent == objective.delay_exponent == 1:
        return "energy × delay"
    return f"energy^{objective.energy_exponent:g} × delay^{objective.delay_exponent:g}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural where that is right."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def lfa_text(plan: Plan) -> str:
    """Say in one line how large the schedule is."""
    numbers = (plan.lfa.lg_count, len(plan.lfa.flgs), plan.tile_count, plan.dram_tensor_count)
    return ", ".join(map(counted, numbers, ("LG", "FLG", "tile", "DRAM tensor")))


def bound_lines(evaluation: Evaluation, lower_bound: int, source: str) -> list[str]:
    """Say what is known of how much better the second stage could be."""
    bound = evaluation.figures.bound
    lines = [
        f"{'theoretical maximum':<{LABEL_WIDTH}}{bound:,} cycles ({evaluation.figures.limit}-bound)",
        f"{'proven lower bound':<{LABEL_WIDTH}}{lower_bound:,} cycles ({source})",
    ]
    if evaluation.latency <= lower_bound:
        verdict = "proven optimal for this LFA"
    else:
        verdict = f"at most {percent(relative_gap(evaluation.latency, lower_bound))} above the optimum for this LFA"
    lines.append(f"{'this schedule':<{LABEL_WIDTH}}{verdict}")
    return lines


def blocks_line(problem: Problem, evaluation: Evaluation) -> str | None:
    """Return the figures of the whole model where the network is one block of several."""
    blocks = problem.network.blocks
    if blocks == 1:
        return None
    latency = milliseconds(evaluation.latency * blocks, problem.platform)
    energy = evaluation.energy_pj * blocks / PJ_PER_MJ
    return f"{'whole model':<{LABEL_WIDTH}}{blocks} blocks in a row: {latency:.4f} ms, {energy:.4f} mJ"
