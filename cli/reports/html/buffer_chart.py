"""The chart of the buffer: what it holds over time, stacked by kind, and the capacity."""

from typing import Any

from bokeh.models import BasicTicker, ColumnDataSource, Range1d
from bokeh.models.annotations import Span, Title
from bokeh.plotting import figure

from soma_cp.cli.reports.html.columns import KIND_COLUMNS, buffer_columns
from soma_cp.cli.reports.html.palette import CAPACITY, INK, KINDS, PAPER
from soma_cp.cli.reports.html.parts import FONT, add_hover
from soma_cp.model.hardware.quantities import MIB
from soma_cp.model.soma.execution.events import OCCUPANCY_NAMES
from soma_cp.model.soma.execution.execution import Execution


def draw_buffer(
    chart: figure, execution: Execution, living: ColumnDataSource, index: int, highest: float
) -> dict[str, Any]:
    """Draw the buffer; return what ``view.mjs`` needs.

    Parameters
    ----------
    living
        The selected tensor, if there is one.
    highest
        Top of the axis (MiB).
    """
    columns = buffer_columns(execution)
    tops = [f"top{row}" for row in range(len(KIND_COLUMNS))]
    everything = ColumnDataSource(columns, name=f"all buffer {index}")
    # One row: Bokeh never finishes drawing steps of no rows.
    shown = ColumnDataSource(
        {name: [0] for name in (*columns, *tops, "bottom", "drawn_left", "drawn_right")}, name=f"shown buffer {index}"
    )
    capacity = execution.schedule.plan.problem.platform.gbuf_bytes / MIB
    chart.y_range = Range1d(start=0, end=highest)
    for row, (below, top) in enumerate(zip(["bottom", *tops], tops, strict=False)):
        chart.varea_step(x="drawn_left", y1=below, y2=top, source=shown, fill_color=KINDS[row], step_mode="after")
    outline = ColumnDataSource({"x": [], "y": []}, name=f"outline {index}")
    chart.patch(
        "x", "y", source=outline, fill_color=PAPER, fill_alpha=0.35, line_color=INK, line_width=2, line_join="miter",
        hatch_pattern="\\", hatch_color=INK, hatch_alpha=0.7, hatch_scale=8,
    )  # fmt: skip
    boxes = chart.quad("drawn_left", "drawn_right", 0, "total", source=shown, fill_alpha=0, line_alpha=0)
    kinds = [(name, f"@kind{row}{{0.000}} MiB") for row, name in enumerate(OCCUPANCY_NAMES)]
    rows = (("cycles", "@left{0,0} … @right{0,0}"), ("held", f"@total{{0.000}} of {capacity:g} MiB"), *kinds)
    add_hover(chart, boxes, "@name", rows)
    _draw_capacity(chart, capacity, highest)
    chart.yaxis.axis_label = "buffer (MiB)"
    chart.yaxis.ticker = BasicTicker(desired_num_ticks=4)
    chart.xgrid.grid_line_color = None
    return {"all": everything, "shown": shown, "living": living, "outline": outline, "kinds": list(KIND_COLUMNS)}


def _draw_capacity(chart: figure, capacity: float, highest: float) -> None:
    if capacity <= highest:
        line = Span(location=capacity, dimension="width", line_color=CAPACITY, line_width=1.5, line_dash="dashed")
        chart.add_layout(line)
        return
    note = f"the capacity, {capacity:g} MiB, lies far above"
    title = Title(
        text=note, align="right", text_font=FONT, text_font_size="12px", text_font_style="normal", text_color=INK
    )
    chart.add_layout(title, "above")
