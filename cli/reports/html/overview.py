"""The overview: how busy each schedule is over the whole time, and a frame around the part that the charts show."""

from collections.abc import Sequence

import numpy as np
from bokeh.models import ColumnDataSource, FixedTicker, Range1d, RangeTool
from bokeh.models.annotations import BoxAnnotation
from bokeh.plotting import figure

from soma_cp.cli.reports.html.palette import CAPACITY, INK, LINK, TILES
from soma_cp.cli.reports.html.parts import LEFT_MARGIN, RIGHT_MARGIN, style
from soma_cp.cli.timeline import busy_shares
from soma_cp.model.soma.execution.execution import Execution

COLUMNS = 600
ROW, GAP = 0.8, 0.2
PIXELS_PER_ROW = 20
MOST_PIXELS = 150


def make_overview(executions: Sequence[Execution], per_cycle: Sequence[float], time: Range1d, longest: float) -> figure:
    """Return the overview, with two rows for each schedule: the DRAM channel, and the core array with its stalls."""
    rows = 2 * len(executions)
    chart = figure(
        name="overview",
        height=min(PIXELS_PER_ROW * rows, MOST_PIXELS) + 8,
        sizing_mode="stretch_width",
        x_range=Range1d(start=0, end=longest),
        y_range=Range1d(start=0, end=rows),
        tools=[],
        toolbar_location=None,
        lod_threshold=None,
    )
    style(chart)
    chart.min_border = 4
    chart.min_border_left, chart.min_border_right = LEFT_MARGIN, RIGHT_MARGIN
    for index, (execution, scale) in enumerate(zip(executions, per_cycle, strict=True)):
        _draw_rows(chart, execution, scale, rows - 2 * index)
    names = [name for _ in executions for name in ("DRAM", "compute")]
    places = [rows - 0.5 - row for row in range(rows)]
    chart.yaxis.ticker = FixedTicker(ticks=places)
    chart.yaxis.major_label_overrides = dict(zip(places, names, strict=True))
    chart.yaxis.major_tick_line_color = None
    chart.axis.axis_line_color = None
    chart.yaxis.major_label_text_font_size = "11px"
    chart.xaxis.visible = False
    chart.grid.grid_line_color = None
    frame = BoxAnnotation(
        name="frame", fill_color=INK, fill_alpha=0.12, line_color=INK, line_width=1.5, line_alpha=1, syncable=False,
        hover_fill_color=INK, hover_fill_alpha=0.18, propagate_hover=True,
    )  # fmt: skip
    chart.add_tools(RangeTool(x_range=time, overlay=frame, start_gesture="pan"))
    return chart


def _draw_rows(chart: figure, execution: Execution, scale: float, top: int) -> None:
    """Draw shares of the time that is busy or stalled, as heights of columns of time."""
    tiles, transfers, latency = execution.tiles, execution.transfers, execution.latency
    edges = np.linspace(0, latency * scale, COLUMNS + 1)
    dram = busy_shares(transfers.begin, transfers.finish, latency, COLUMNS) * ROW
    compute = busy_shares(tiles.begin, tiles.end, latency, COLUMNS) * ROW
    stall = busy_shares(tiles.begin - tiles.stall, tiles.begin, latency, COLUMNS) * ROW
    for bottom, height, colour in (
        (np.full(COLUMNS, top - 1.0), dram, LINK),
        (np.full(COLUMNS, top - 2.0), compute, TILES[1]),
        (top - 2.0 + compute, stall, CAPACITY),
    ):
        low, high = (np.round(np.append(values, values[-1]), 3) for values in (bottom, bottom + height))
        source = ColumnDataSource({"x": edges, "low": low, "high": high})
        chart.varea_step(x="x", y1="low", y2="high", source=source, fill_color=colour, step_mode="after")
