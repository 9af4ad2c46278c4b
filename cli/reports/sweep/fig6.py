"""Fig. 6: energy, utilization and buffer usage of every case and method.

A line for each platform, a column for each network, a group for each batch. From the top: energy (core array and
DRAM, stacked) over that of the first method; utilization of the computing resources, with diamonds at what the LFA's
bound allows; buffer in use, averaged over the cycles of the tiles. Where a case has no schedule there is no bar: its
place is hatched if it is known that there is none, else empty.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from soma_cp.cli.reports.pictures import FONT_SIZE, WIDTH
from soma_cp.cli.reports.sweep.marks import (
    DIAMOND,
    EDGE,
    SMALL,
    colour_of,
    hatch_place,
    infeasible_patch,
    method_patches,
    ordered,
    quiet,
    tint,
)
from soma_cp.cli.reports.sweep.words import method_name, network_name, network_place
from soma_cp.model.hardware.quantities import MIB
from soma_cp.solver.sweep.findings.cases import Case, Cases, has_schedule
from soma_cp.solver.sweep.rows import Row

METHODS = ("cocco", "paper-1", "paper-2", "ours")
SAME_ENERGY = ("paper-1", "paper-2")
"""Both have one LFA, so one bar of energy stands for both."""
MOST_COLUMNS = 6
LINE_HEIGHTS = (0.85, 0.85, 0.6)
TOP, ABOVE, BETWEEN_LINES, BOTTOM = 0.36, 0.2, 0.32, 0.32
LOW_UTILIZATION = 0.2
"""A network whose utilization nowhere exceeds this has a scale of its own."""
GROUP_WIDTH = 0.84
DRAM_HATCH = "//////"
LABEL_AT = -0.29
"""Inches from the first axes to the middle of their labels."""


class Column(NamedTuple):
    """A network on a platform."""

    net: str
    hw: str
    batches: tuple[int, ...]


def draw_fig6(cases: Cases) -> Figure:
    """Draw the cases of a sweep."""
    methods = [method for method in ordered(METHODS) if any(method in found for found in cases.values())]
    lines = _lines(cases)
    block = ABOVE + sum(LINE_HEIGHTS)
    height = TOP + len(lines) * (block + BETWEEN_LINES) - BETWEEN_LINES + BOTTOM
    figure = Figure(figsize=(WIDTH, height))
    top = height - TOP
    for line in lines:
        _draw_line(figure, cases, line, methods, (top - ABOVE) / height, (top - block) / height)
        top -= block + BETWEEN_LINES
    figure.text(0.5, 0.03 / height, "batch", ha="center", va="bottom")
    figure.legend(
        handles=_legend(cases, methods),
        ncols=8,
        loc="upper center",
        frameon=False,
        borderaxespad=0.1,
        handlelength=1.4,
        columnspacing=1.1,
    )
    return figure


def _lines(cases: Cases) -> list[list[Column]]:
    """Return the columns of each line: of one platform, at most `MOST_COLUMNS`, in the paper's order.

    Those with a scale of their own stand last, where their ticks are on the right.
    """
    batches: dict[tuple[str, str], set[int]] = defaultdict(set)
    for case in cases:
        batches[case.net, case.hw].add(case.batch)
    found = []
    for platform in dict.fromkeys(hw for _, hw in batches):
        columns = [Column(net, hw, tuple(sorted(of))) for (net, hw), of in batches.items() if hw == platform]
        columns.sort(key=lambda column: (_is_low(cases, column), network_place(column.net)))
        found += [columns[i : i + MOST_COLUMNS] for i in range(0, len(columns), MOST_COLUMNS)]
    return found


def _draw_line(
    figure: Figure, cases: Cases, line: Sequence[Column], methods: Sequence[str], top: float, bottom: float
) -> None:
    grid = GridSpec(
        len(LINE_HEIGHTS),
        len(line),
        figure,
        left=0.075,
        right=0.965,
        top=top,
        bottom=bottom,
        hspace=0.18,
        wspace=0.12,
        height_ratios=LINE_HEIGHTS,
        width_ratios=[max(len(column.batches), 2) for column in line],
    )
    low = [_is_low(cases, column) for column in line]
    energies, buffers = [], []
    for number, column in enumerate(line):
        rows = [cases[Case(column.net, column.hw, batch)] for batch in column.batches]
        energy, utilization, buffer = (figure.add_subplot(grid[row, number]) for row in range(len(LINE_HEIGHTS)))
        energy.set_title(network_name(column.net), fontsize=FONT_SIZE, pad=3)
        _draw_energy(energy, rows, methods)
        _draw_utilization(utilization, rows, methods, is_low=low[number])
        _draw_buffer(buffer, rows, methods)
        _finish(energy, utilization, buffer, column, is_first=number == 0, is_low=low[number])
        energies.append(energy)
        buffers.append(buffer)
    for row in (energies, buffers):
        highest = max(axes.get_ylim()[1] for axes in row)
        for axes in row:
            axes.set_ylim(0, highest)
    _name_line(figure, line[0].hw, top, energies[0], methods)


def _name_line(figure: Figure, hw: str, top: float, energy: Axes, methods: Sequence[str]) -> None:
    figure.text(0.004, top + 0.06 / figure.get_figheight(), hw, fontsize=FONT_SIZE, fontweight="bold", va="bottom")
    energy.set_ylabel(f"energy over\n{method_name(methods[0])}", fontsize=SMALL + 0.5)


def _is_low(cases: Cases, column: Column) -> bool:
    rows = [row for batch in column.batches for row in cases[Case(column.net, column.hw, batch)].values()]
    return all(row["bound_utilization"] <= LOW_UTILIZATION for row in rows if has_schedule(row))


def _places(count: int) -> tuple[Any, float]:
    """Return how far bars are from the middle of their group, and their width."""
    width = GROUP_WIDTH / count
    return (np.arange(count) - (count - 1) / 2) * width, width


def _draw_energy(axes: Axes, rows: Sequence[Mapping[str, Row]], methods: Sequence[str]) -> None:
    """Draw energy over that of the first method; without that there is no bar."""
    drawn = [method for method in methods if method != SAME_ENERGY[0] or SAME_ENERGY[1] not in methods]
    offsets, width = _places(len(drawn))
    for group, found in enumerate(rows):
        base = found.get(methods[0])
        for offset, method in zip(offsets, drawn, strict=True):
            row = _energy_row(found, method)
            left = group + offset - width / 2
            if _is_infeasible(row):
                hatch_place(axes, left, width, 0, 1)
            elif row is not None and base is not None and has_schedule(row) and has_schedule(base):
                core, dram = (row[name] / base["energy_pj"] for name in ("core_energy_pj", "dram_energy_pj"))
                style = {"width": width, "color": colour_of(method), "align": "edge", **EDGE}
                axes.bar(left, core, **style)
                axes.bar(left, dram, bottom=core, hatch=DRAM_HATCH, **(style | {"color": tint(colour_of(method))}))


def _energy_row(found: Mapping[str, Row], method: str) -> Row | None:
    """Return the row that gives the energy of a bar: either of those with the same LFA."""
    row = found.get(method)
    if method in SAME_ENERGY and not has_schedule(row):
        return next((found[one] for one in SAME_ENERGY if has_schedule(found.get(one))), row)
    return row


def _draw_utilization(axes: Axes, rows: Sequence[Mapping[str, Row]], methods: Sequence[str], is_low: bool) -> None:
    top = 100.0
    if is_low:
        known = [row["bound_utilization"] for found in rows for row in found.values() if has_schedule(row)]
        top = 100 * max(known, default=LOW_UTILIZATION) * 1.15
    offsets, width = _places(len(methods))
    for group, found in enumerate(rows):
        for offset, method in zip(offsets, methods, strict=True):
            row = found.get(method)
            if _is_infeasible(row):
                hatch_place(axes, group + offset - width / 2, width, 0, top)
            elif row is not None and has_schedule(row):
                axes.bar(group + offset, 100 * row["utilization"], width, color=colour_of(method), **EDGE)
        for method in SAME_ENERGY[::-1]:
            row = found.get(method)
            if row is not None and has_schedule(row):
                own = [offsets[methods.index(one)] for one in SAME_ENERGY if one in methods]
                _diamond(axes, group + float(np.mean(own)), 100 * row["bound_utilization"])
                break
    axes.set_ylim(0, top)


def _diamond(axes: Axes, x: float, y: float) -> None:
    axes.plot(
        [x],
        [y],
        marker="D",
        markersize=3.0,
        color=DIAMOND,
        markeredgecolor="white",
        markeredgewidth=0.4,
        zorder=4,
        clip_on=False,
    )


def _draw_buffer(axes: Axes, rows: Sequence[Mapping[str, Row]], methods: Sequence[str]) -> None:
    offsets, width = _places(len(methods))
    for group, found in enumerate(rows):
        for offset, method in zip(offsets, methods, strict=True):
            row = found.get(method)
            if _is_infeasible(row):
                capacity = row["buffer_bytes"] / MIB if row is not None else 0.0
                hatch_place(axes, group + offset - width / 2, width, 0, capacity)
            elif row is not None and has_schedule(row):
                axes.bar(group + offset, row["average_buffer_bytes"] / MIB, width, color=colour_of(method), **EDGE)
    capacity = next((row["buffer_bytes"] / MIB for found in rows for row in found.values()), 1.0)
    axes.axhline(capacity, color="black", linewidth=0.7, linestyle="--")
    axes.set_ylim(0, capacity * 1.08)


def _is_infeasible(row: Row | None) -> bool:
    return row is not None and row["status"] == "infeasible"


def _finish(energy: Axes, utilization: Axes, buffer: Axes, column: Column, is_first: bool, is_low: bool) -> None:
    """Set ticks and labels: on the left of the first column, and on the right of one with a scale of its own."""
    for axes in (energy, utilization, buffer):
        quiet(axes)
        axes.set_xlim(-0.5, len(column.batches) - 0.5)
        axes.set_xticks(range(len(column.batches)), [str(batch) for batch in column.batches])
        axes.tick_params(labelbottom=axes is buffer, labelleft=is_first, bottom=False)
    if is_low and not is_first:
        utilization.yaxis.tick_right()
        utilization.tick_params(labelright=True, right=True, left=False, length=2, pad=1.5, labelsize=SMALL)
        utilization.spines["right"].set_visible(True)
        utilization.spines["left"].set_visible(False)
    if is_first:
        utilization.set_ylabel("utilization\n(%)", fontsize=SMALL + 0.5)
        buffer.set_ylabel("buffer use\n(MiB)", fontsize=SMALL + 0.5)
        for axes in (energy, utilization, buffer):
            axes.yaxis.set_label_coords(LABEL_AT / (axes.get_position().width * WIDTH), 0.5)


def _legend(cases: Cases, methods: Sequence[str]) -> list[Patch | Line2D]:
    entries: list[Patch | Line2D] = list(method_patches(methods))
    entries.append(Patch(facecolor="white", hatch=DRAM_HATCH, label="DRAM's part of energy", **EDGE))
    entries.append(
        Line2D([], [], marker="D", markersize=3.0, color=DIAMOND, linewidth=0, label="bound of the LFA of Ours")
    )
    entries.append(Line2D([], [], color="black", linewidth=0.7, linestyle="--", label="capacity"))
    if any(_is_infeasible(row) for found in cases.values() for row in found.values()):
        entries.append(infeasible_patch())
    return entries
