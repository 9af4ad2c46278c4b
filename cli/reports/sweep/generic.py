"""Figures over any axes: heat maps, lines and bars."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from soma_cp.cli.reports.sweep.heat import HeatMap, draw_heat, shared_scale
from soma_cp.cli.reports.sweep.marks import (
    EDGE,
    LINE_COLOURS,
    METHOD_COLOURS,
    METHOD_MARKS,
    OTHER_COLOUR,
    SERIES_COLOURS,
    SERIES_MARKS,
    hatch_place,
    infeasible_patch,
    logarithmic,
    ordered,
    quiet,
)
from soma_cp.cli.reports.sweep.panels import Panel, by_place, laid_out, panels_of, sorted_values
from soma_cp.cli.reports.sweep.words import column_label, in_unit, number_text, value_text
from soma_cp.solver.sweep.rows import Row

ROW_HEIGHT, LABEL_HEIGHT = 0.17, 1.1
"""Of a row of a heat map, and of the label beside all rows (inches)."""
PLOT_HEIGHT = 1.3
LOG_FROM = 8.0
"""An axis whose largest value is so many times its smallest one is logarithmic."""


class Shown(NamedTuple):
    """What a figure shows.

    Parameters
    ----------
    x, y
        Columns: of a heat map both axes; of lines and bars the axis below, and what has a line or a bar of its own.
    value
        Column of what is shown.
    """

    x: str
    y: str
    value: str


def draw_heatmap(rows: Sequence[Row], shown: Shown) -> Figure:
    """Draw a heat map for each panel, all in one scale of colours."""
    panels = panels_of(rows, (shown.x, shown.y))
    xs, ys = sorted_values(rows, shown.x), sorted_values(rows, shown.y)
    maps = [_heat(panel, shown, xs, ys) for panel in panels]
    scale = shared_scale(maps)
    figure, all_axes = laid_out(panels, max(len(ys) * ROW_HEIGHT, LABEL_HEIGHT))
    for axes, heat in zip(all_axes, maps, strict=True):
        draw_heat(axes, heat, scale)
        axes.set_xticks(np.arange(len(xs)) + 0.5, [value_text(shown.x, x) for x in xs])
        axes.set_yticks(np.arange(len(ys)) + 0.5, [value_text(shown.y, y) for y in ys])
        axes.set_xlabel(column_label(shown.x), labelpad=1)
        axes.set_ylabel(column_label(shown.y), labelpad=2)
    infeasible = [infeasible_patch()] if any(heat.infeasible.any() for heat in maps) else []
    title = column_label(shown.value)
    figure.text(0.01, 0.995, title, va="top", fontweight="bold")
    figure.legend(handles=infeasible, loc="upper right", frameon=False, borderaxespad=0.1)
    return figure


def _heat(panel: Panel, shown: Shown, xs: Sequence[Any], ys: Sequence[Any]) -> HeatMap:
    found = by_place(panel.rows, (shown.x, shown.y))
    rows = [[found.get((x, y)) for x in xs] for y in ys]
    values = np.array([[_value(row, shown.value) for row in line] for line in rows])
    texts = np.array([[number_text(value) for value in line] for line in values])
    infeasible = np.array([[row is not None and row["status"] == "infeasible" for row in line] for line in rows])
    nothing = np.zeros(values.shape, np.bool_)
    return HeatMap(values, texts, infeasible, nothing, nothing)


def _value(row: Row | None, column: str) -> float:
    return float("nan") if row is None or row[column] is None else float(in_unit(column, row[column]))


def draw_lines(rows: Sequence[Row], shown: Shown) -> Figure:
    """Draw a line for each value of `Shown.y`; where there is no schedule, it is broken."""
    xs = sorted_values(rows, shown.x)
    ticks = [in_unit(shown.x, x) for x in xs]
    are_numbers = all(isinstance(x, int | float) for x in xs)

    def draw(axes: Axes, found: Mapping[tuple[Any, ...], Row], series: Any, style: dict[str, Any]) -> None:
        places = ticks if are_numbers else range(len(xs))
        values = [_value(found.get((x, series)), shown.value) for x in xs]
        axes.plot(places, values, markersize=3, linewidth=0.9, clip_on=False, **style)

    figure = _draw_series(rows, shown, draw, LINE_COLOURS)
    for axes in figure.axes:
        if are_numbers and _is_wide(ticks):
            logarithmic(axes, "x")
        axes.set_xticks(ticks if are_numbers else range(len(xs)), [value_text(shown.x, x) for x in xs])
        values = [value for line in axes.lines for value in np.asarray(line.get_ydata(), np.float64) if value == value]
        if values and _is_wide(values):
            logarithmic(axes, "y")
        else:
            axes.set_ylim(0, None)
    return figure


def draw_bars(rows: Sequence[Row], shown: Shown) -> Figure:
    """Draw a group of bars for each value of `Shown.x`; where there is no schedule, there is no bar."""
    xs = sorted_values(rows, shown.x)
    all_series = _series(rows, shown.y)
    width = 0.84 / len(all_series)

    def draw(axes: Axes, found: Mapping[tuple[Any, ...], Row], series: Any, style: dict[str, Any]) -> None:
        offset = (all_series.index(series) - (len(all_series) - 1) / 2) * width
        for place, x in enumerate(xs):
            row = found.get((x, series))
            if row is not None and row["status"] == "infeasible":
                hatch_place(axes, place + offset - width / 2, width, 0, 1, transform=axes.get_xaxis_transform())
            elif row is not None and row[shown.value] is not None:
                axes.bar(place + offset, _value(row, shown.value), width, color=style["color"], **EDGE)

    figure = _draw_series(rows, shown, draw, METHOD_COLOURS)
    for axes in figure.axes:
        axes.set_xlim(-0.5, len(xs) - 0.5)
        axes.set_xticks(range(len(xs)), [value_text(shown.x, x) for x in xs])
    return figure


DrawSeries = Callable[[Axes, Mapping[tuple[Any, ...], Row], Any, dict[str, Any]], None]


def _draw_series(rows: Sequence[Row], shown: Shown, draw: DrawSeries, colours: Mapping[str, str]) -> Figure:
    """Draw all panels, series by series, with one legend."""
    panels = panels_of(rows, (shown.x, shown.y))
    all_series = _series(rows, shown.y)
    figure, all_axes = laid_out(panels, PLOT_HEIGHT)
    styles = [_style(shown.y, series, number, colours) for number, series in enumerate(all_series)]
    for axes, panel in zip(all_axes, panels, strict=True):
        found = by_place(panel.rows, (shown.x, shown.y))
        for series, style in zip(all_series, styles, strict=True):
            draw(axes, found, series, style)
        quiet(axes)
        axes.set_xlabel(column_label(shown.x), labelpad=1)
        axes.set_ylabel(column_label(shown.value), labelpad=1)
    handles: list[Line2D | Patch] = [
        Line2D([], [], markersize=3, linewidth=0.9, label=value_text(shown.y, series), **style)
        for series, style in zip(all_series, styles, strict=True)
    ]
    if any(row["status"] == "infeasible" for row in rows):
        handles.append(infeasible_patch())
    figure.legend(handles=handles, loc="upper center", ncols=8, frameon=False, borderaxespad=0.1)
    return figure


def _series(rows: Sequence[Row], column: str) -> list[Any]:
    values = sorted_values(rows, column)
    return ordered(values) if column == "method" else values


def _style(column: str, series: Any, number: int, colours: Mapping[str, str]) -> dict[str, Any]:
    if column == "method":
        edge = {"markeredgecolor": "#222222", "markeredgewidth": 0.3}
        return {"color": colours.get(series, OTHER_COLOUR), "marker": METHOD_MARKS.get(series, "X"), **edge}
    place = number % len(SERIES_COLOURS)
    dashes = ("-", "--", ":")[number // len(SERIES_COLOURS) % 3]
    return {"color": SERIES_COLOURS[place], "marker": SERIES_MARKS[place], "linestyle": dashes}


def _is_wide(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) >= LOG_FROM * min(values)
