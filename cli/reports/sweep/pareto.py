"""Pareto fronts: in each panel the points that no other is at least as good as in all columns and better in one.

A panel holds the rows of one network, batch and whatever else is no column of the front; methods compete within it.
Points on the front are filled; a line joins them where the front has two columns. A star marks the point of least
`buffer_energy_cost`, if that is asked for.
"""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from soma_cp.cli.reports.sweep.generic import LOG_FROM, PLOT_HEIGHT
from soma_cp.cli.reports.sweep.marks import (
    LINE_COLOURS,
    METHOD_MARKS,
    OTHER_COLOUR,
    colour_of,
    logarithmic,
    ordered,
    quiet,
)
from soma_cp.cli.reports.sweep.panels import Panel, laid_out, panels_of
from soma_cp.cli.reports.sweep.words import column_label, in_unit, method_name
from soma_cp.solver.sweep.findings.cases import has_schedule
from soma_cp.solver.sweep.findings.front import buffer_energy_cost, front_keys
from soma_cp.solver.sweep.rows import Row

STAR = "#cc3311"


def front_columns(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the columns of a front by default: latency, energy, buffer, and the bandwidth where it varies."""
    varies = len({row["dram_bytes_per_s"] for row in rows}) > 1
    return ("latency_ns", "energy_pj", "buffer_bytes", *(["dram_bytes_per_s"] if varies else []))


def fronts(rows: Sequence[Row], columns: Sequence[str]) -> set[str]:
    """Return the keys of all rows on the front of their panel."""
    return {key for panel in front_panels(rows, columns) for key in front_keys(panel.rows, columns)}


def front_panels(rows: Sequence[Row], columns: Sequence[str]) -> list[Panel]:
    """Return the panels of a figure of fronts; within each, points compete."""
    return panels_of([row for row in rows if has_schedule(row)], (*columns, "method"))


def draw_pareto(rows: Sequence[Row], columns: Sequence[str], x: str, y: str, alpha: float | None) -> Figure:
    """Draw the points in the plane of two columns; `alpha` is that of `buffer_energy_cost`."""
    panels = front_panels(rows, columns)
    figure, all_axes = laid_out(panels, PLOT_HEIGHT)
    for axes, panel in zip(all_axes, panels, strict=True):
        on_front = front_keys(panel.rows, columns)
        for method in ordered(row["method"] for row in panel.rows):
            for is_on in (False, True):
                found = [row for row in panel.rows if row["method"] == method and (row["key"] in on_front) == is_on]
                if found:
                    _points(axes, found, x, y, method, is_on)
        if set(columns) == {x, y}:
            _join(axes, [row for row in panel.rows if row["key"] in on_front], x, y)
        if alpha is not None:
            cheapest = min(panel.rows, key=lambda row: (buffer_energy_cost(row, alpha) or 0.0, row["key"]))
            place = in_unit(x, cheapest[x]), in_unit(y, cheapest[y])
            axes.plot(*place, marker="*", markersize=7, color=STAR, markeredgewidth=0, zorder=4)
        _scale(axes, panel.rows, x, y)
    figure.legend(handles=_legend(rows, alpha), ncols=6, loc="upper center", frameon=False, borderaxespad=0.1)
    return figure


def _points(axes: Axes, rows: Sequence[Row], x: str, y: str, method: str, is_on: bool) -> None:
    face = colour_of(method) if is_on else "none"
    edge = "#222222" if is_on else LINE_COLOURS.get(method, OTHER_COLOUR)
    axes.plot(
        [in_unit(x, row[x]) for row in rows],
        [in_unit(y, row[y]) for row in rows],
        METHOD_MARKS.get(method, "X"),
        markersize=3.4,
        markerfacecolor=face,
        markeredgecolor=edge,
        markeredgewidth=0.4 if is_on else 0.7,
        zorder=3 if is_on else 2,
        clip_on=False,
    )


def _join(axes: Axes, rows: Sequence[Row], x: str, y: str) -> None:
    places = sorted((in_unit(x, row[x]), in_unit(y, row[y])) for row in rows)
    axes.step(*zip(*places, strict=True), where="post", color="#222222", linewidth=0.6, zorder=1)


def _scale(axes: Axes, rows: Sequence[Row], x: str, y: str) -> None:
    quiet(axes)
    axes.set_xlabel(column_label(x), labelpad=1)
    axes.set_ylabel(column_label(y), labelpad=1)
    for column, name in ((x, "x"), (y, "y")):
        values = [row[column] for row in rows]
        if min(values) > 0 and max(values) >= LOG_FROM * min(values):
            logarithmic(axes, name)


def _legend(rows: Sequence[Row], alpha: float | None) -> list[Line2D]:
    entries = [
        Line2D(
            [],
            [],
            marker=METHOD_MARKS.get(method, "X"),
            markersize=3.4,
            linewidth=0,
            markerfacecolor=colour_of(method),
            markeredgecolor="#222222",
            markeredgewidth=0.4,
            label=method_name(method),
        )
        for method in ordered(row["method"] for row in rows)
    ]
    hollow: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": "#555555", "markeredgewidth": 0.7}
    entries.append(Line2D([], [], marker="o", markersize=3.4, linewidth=0, label="hollow: not on the front", **hollow))
    if alpha is not None:
        label = f"least buffer bytes + {alpha:g} · energy (pJ)"
        entries.append(Line2D([], [], marker="*", markersize=7, linewidth=0, color=STAR, label=label))
    return entries
