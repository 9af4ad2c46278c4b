"""What all charts of a page have in common: figures on the shared time axis, hover boxes, themes."""

from collections.abc import Sequence
from typing import Any

from bokeh.document import Document
from bokeh.models import (
    CustomJS,
    HoverTool,
    NumeralTickFormatter,
    PanTool,
    Range1d,
    ResetTool,
    SaveTool,
    Tool,
    WheelZoomTool,
    ZoomInTool,
    ZoomOutTool,
)
from bokeh.models.renderers import GlyphRenderer
from bokeh.plotting import figure

from soma_cp.cli.reports.html.palette import AXIS, DARK, GRID, INK, PAPER

FONT = "system-ui, 'Segoe UI', 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
LEFT_MARGIN = 104
"""Pixels left of the axes, so that the charts lie exactly below one another."""
RIGHT_MARGIN = 30
"""Room for the buttons beside a chart; the overview has none, and the same margin."""
BOX_STYLE = (
    "font: 12px/1.5 system-ui, 'Segoe UI', Arial, sans-serif; "
    "max-width: 520px; white-space: normal; overflow-wrap: anywhere; "
    "background: var(--paper); color: var(--ink); box-shadow: 0 0 0 6px var(--paper)"
)
TERM_STYLE = "color: var(--soft); padding-right: 10px; white-space: nowrap; vertical-align: top"


def time_figure(time: Range1d, height: int, name: str, with_buttons: bool) -> figure:
    """Return an empty chart on the shared time axis."""
    zoom = WheelZoomTool(dimensions="width", modifiers={"ctrl": True})
    pan = PanTool(dimensions="width")
    tools: list[Tool] = [pan, zoom]
    if with_buttons:
        tools += [ZoomInTool(dimensions="width"), ZoomOutTool(dimensions="width"), ResetTool()]
    tools.append(SaveTool(filename=name.replace(" ", "-")))
    chart = figure(
        name=name,
        height=height,
        sizing_mode="stretch_width",
        x_range=time,
        tools=tools,
        active_scroll=zoom,
        active_drag=pan,
        lod_threshold=None,
        toolbar_location="right",
    )
    chart.toolbar.autohide = True
    style(chart)
    return chart


def style(chart: figure) -> None:
    """Give a chart the page's font, colours and margins."""
    chart.toolbar.logo = None
    chart.min_border_left = LEFT_MARGIN
    chart.min_border_right = RIGHT_MARGIN
    chart.outline_line_color = None
    chart.background_fill_color = PAPER
    chart.border_fill_color = PAPER
    chart.xaxis.formatter = NumeralTickFormatter(format="0,0.[000000]")
    chart.axis.axis_line_color = AXIS
    chart.axis.major_tick_line_color = AXIS
    chart.axis.minor_tick_line_color = None
    chart.axis.major_label_text_font = FONT
    chart.axis.major_label_text_color = INK
    chart.axis.major_label_text_font_size = "12px"
    chart.axis.axis_label_text_color = INK
    chart.axis.axis_label_text_font = FONT
    chart.axis.axis_label_text_font_style = "normal"
    chart.axis.axis_label_text_font_size = "12px"
    chart.grid.grid_line_color = GRID


def add_hover(chart: figure, renderer: "GlyphRenderer[Any]", title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Show a hover box with a title and rows; Bokeh escapes the values of the fields."""
    lines = "".join(f'<tr><td style="{TERM_STYLE}">{name}</td><td>{value}</td></tr>' for name, value in rows)
    box = f'<div style="{BOX_STYLE}"><b>{title}</b><table>{lines}</table></div>'
    chart.add_tools(HoverTool(renderers=[renderer], tooltips=box, visible=False, attachment="vertical"))


def themed(document: Document, script: CustomJS) -> None:
    """Hand all colours of a document that differ in the dark to the script, as ``[model, property, colour]``."""
    found = []
    for model in sorted(document.models, key=lambda model: int(model.id[1:])):
        for name, colour in sorted(model.properties_with_values().items()):
            colour = getattr(colour, "value", colour)
            if isinstance(colour, str) and colour in DARK:
                found.append([model, name, colour])
    script.args = {"colours": found, "dark": DARK}
