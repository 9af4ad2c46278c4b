"""Bokeh charts: for each execution, lanes of events and, below them, the buffer; all share one time axis.

The sources of all items are not drawn: ``view.mjs`` picks from them the items to draw, and ``select.mjs`` those that a
click highlights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bokeh.core.properties import value
from bokeh.document import Document
from bokeh.events import DocumentReady, DoubleTap, Tap
from bokeh.models import (
    BasicTicker,
    ColumnDataSource,
    CustomJS,
    FixedTicker,
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
from bokeh.models.annotations import Span, Title
from bokeh.models.renderers import GlyphRenderer
from bokeh.plotting import figure

from soma_cp.cli.reports.buffer_axis import highest_buffer
from soma_cp.cli.reports.colours import CAPACITY, GROUPS, IDLE, INK, KINDS, OCCUPANCY_OF_KIND, TILES
from soma_cp.cli.reports.html.columns import (
    KIND_COLUMNS,
    Columns,
    buffer_columns,
    flg_columns,
    idle_columns,
    lg_columns,
    stall_columns,
    tile_columns,
    transfer_columns,
)
from soma_cp.model.hardware.quantities import MIB
from soma_cp.model.soma.execution.events import IFMAPS, OCCUPANCY_NAMES, OFMAPS_ON_CHIP, OFMAPS_TO_STORE, WEIGHTS
from soma_cp.model.soma.execution.execution import Execution
from soma_cp.model.soma.tensors import IFM, OFM, WGT

FOLDER = Path(__file__).parent
FONT = "system-ui, 'Segoe UI', 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
PAPER = "#ffffff"
PALE = 0.5
"""Opacity of hatched fills."""
HATCH = 0.3
"""Opacity of the hatching's lines."""
LEFT_MARGIN = 104
"""Pixels left of the axes, so that the charts lie exactly below one another."""
BOX_STYLE = (
    "font: 12px/1.5 system-ui, 'Segoe UI', Arial, sans-serif; "
    "max-width: 520px; white-space: normal; overflow-wrap: anywhere"
)
TERM_STYLE = "color: #5b6570; padding-right: 10px; white-space: nowrap; vertical-align: top"
EVENTS_HEIGHT = 264
BUFFER_HEIGHT = 168
LEAST_CYCLES_IN_VIEW = 20
GAP = 0.12
DRAWN = ("drawn_left", "drawn_right")
"""Left and right edges as drawn: wider than the item if that is too narrow to be seen."""

HOLDING_ROWS = (
    ("size", "@bytes{0,0} bytes"),
    ("Living Duration", "Start @start, End @end: cycles @hold_begin{0,0} … @hold_end{0,0}"),
    ("read by", "@readers"),
)
TIME_ROWS = (("cycles", "@cycles{0,0}, from @left{0,0} to @right{0,0}"),)
TRANSFER_ROWS = (*TIME_ROWS, *HOLDING_ROWS[:2], ("begins", "@began"), ("waits for it", "@gated"), HOLDING_ROWS[2])
TILE_ROWS = (
    *TIME_ROWS,
    ("group", "@group"),
    ("stalled before", "@waited"),
    ("its ofmap", "@bytes{0,0} bytes, @kept"),
    *HOLDING_ROWS[1:],
)
STALL_ROWS = (*TIME_ROWS, ("waits for", "@cause"), ("since", "@why"))
GROUP_ROWS = (("cycles", "@left{0,0} … @right{0,0}"), ("tiles", "@tiles"), ("layers", "@layers"))


@dataclass(frozen=True)
class LaneStyle:
    """A row of events: its name on the axis, height, colours of items (even and odd ones) and rows of the hover box.

    A hatched row has a pale fill, so that its text stays readable.
    """

    title: str
    height: float
    colours: tuple[str, str]
    hover: tuple[tuple[str, str], ...]
    is_hatched: bool = False


LANES = {
    "lg": LaneStyle("LG", 0.5, GROUPS, GROUP_ROWS),
    "flg": LaneStyle("FLG × tiling", 0.5, GROUPS, (("tiling number", "@tiling_number"), *GROUP_ROWS)),
    "weights": LaneStyle("load weights", 0.6, (KINDS[WEIGHTS],) * 2, TRANSFER_ROWS),
    "ifmaps": LaneStyle("load ifmaps", 0.6, (KINDS[IFMAPS],) * 2, TRANSFER_ROWS),
    "stores": LaneStyle("store ofmaps", 0.6, (KINDS[OFMAPS_TO_STORE],) * 2, TRANSFER_ROWS),
    "idle": LaneStyle("DRAM idle", 0.34, (IDLE,) * 2, (*TIME_ROWS, ("because", "@why"))),
    "tiles": LaneStyle("compute", 0.9, TILES, TILE_ROWS),
    "stalls": LaneStyle("stall", 0.45, (PAPER,) * 2, STALL_ROWS, is_hatched=True),
    "readers": LaneStyle("reads it", 0.3, (INK,) * 2, ()),
}
"""From the top down."""
CLICKABLE = ("weights", "ifmaps", "stores", "tiles")


@dataclass(frozen=True, eq=False)
class Lane:
    """A drawn lane: all items, those drawn alone, blocks of those too narrow for that, bottom, top and opacity."""

    all: ColumnDataSource
    items: ColumnDataSource
    blocks: ColumnDataSource
    bottom: float
    top: float
    opacity: float


def make_charts(executions: Sequence[Execution]) -> Document:
    """Return a document with the charts of all schedules, all from cycle 0 on one scale.

    Its roots are the events and the buffer of each schedule in turn.
    """
    longest = max(execution.latency for execution in executions)
    time = Range1d(start=0, end=longest, bounds=(0, longest), min_interval=LEAST_CYCLES_IN_VIEW, name="time")
    view: dict[str, Any] = {"range": time, "lanes": [], "buffers": []}
    show = CustomJS.from_file(FOLDER / "view.mjs")
    charts = [
        _charts(execution, index, highest_buffer(execution, executions), time, view, show)
        for index, execution in enumerate(executions)
    ]
    show.args = view | {"figure": charts[0][0]}
    for end in ("start", "end"):
        time.js_on_change(end, show)
    document = Document()
    for pair in charts:
        for chart in pair:
            document.add_root(chart)
    document.js_on_event(DocumentReady, show)
    return document


def _charts(
    execution: Execution, index: int, highest: float, time: Range1d, view: dict[str, Any], show: CustomJS
) -> tuple[figure, figure]:
    events = _figure(time, EVENTS_HEIGHT, f"events {index}")
    buffer = _figure(time, BUFFER_HEIGHT, f"buffer {index}")
    living = ColumnDataSource({"left": [], "right": [], "top": [], "kind": []}, name=f"living {index}")
    lanes = _draw_lanes(events, execution, living, index)
    view["lanes"] += [vars(lane) for lane in lanes.values()]
    view["buffers"].append(_draw_buffer(buffer, execution, living, index, highest))
    lanes["readers"].all.js_on_change("data", show)
    living.js_on_change("data", show)
    picked = ColumnDataSource({"left": [], "right": [], "bottom": [], "top": []}, name=f"picked {index}")
    events.quad(
        "left",
        "right",
        "bottom",
        "top",
        source=picked,
        fill_color=None,
        line_color=INK,
        line_width=2.5,
        level="overlay",
    )
    clickable = [vars(lanes[key]) | {"is_compute": key == "tiles"} for key in CLICKABLE]
    select = CustomJS.from_file(
        FOLDER / "select.mjs",
        lanes=clickable,
        tiles=lanes["tiles"].all,
        picked=picked,
        living=living,
        readers=lanes["readers"].all,
        note=f"note-{index}",
        mib=MIB,
        range=time,
        figure=events,
    )
    for event in (Tap, DoubleTap):  # two quick clicks, wherever they are, are a tap and a double tap
        events.js_on_event(event, select)
    events.segment(
        "cut", lanes["tiles"].bottom, "cut", lanes["flg"].bottom, source=lanes["flg"].items, line_color=INK,
        line_alpha=0.35, line_width=0.75,
    )  # fmt: skip
    for chart in (events, buffer):
        chart.ray(
            "cut", 0, length=0, angle=90, angle_units="deg", source=lanes["lg"].items, line_color=INK, line_alpha=0.45,
            line_dash=[2, 3],
        )  # fmt: skip
        chart.add_layout(Span(location=execution.latency, dimension="height", line_color=INK))
        for renderer in chart.renderers:
            if isinstance(renderer, GlyphRenderer):  # nothing is ever selected or muted: drop the glyphs for that
                renderer.selection_glyph = renderer.nonselection_glyph = renderer.muted_glyph = None
    return events, buffer


def _figure(time: Range1d, height: int, name: str) -> figure:
    zoom = WheelZoomTool(dimensions="width", modifiers={"ctrl": True})
    pan = PanTool(dimensions="width")
    tools: list[Tool] = [pan, zoom]
    if height == EVENTS_HEIGHT:  # these zoom the buffer, too, which has no room for its own
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
        min_border_left=LEFT_MARGIN,
        min_border_right=16,
        toolbar_location="right",
        outline_line_color=None,
    )
    chart.toolbar.logo = None
    chart.toolbar.autohide = True
    chart.xaxis.formatter = NumeralTickFormatter(format="0,0")
    chart.axis.axis_line_color = "#9aa0a6"
    chart.axis.major_tick_line_color = "#9aa0a6"
    chart.axis.minor_tick_line_color = None
    chart.axis.major_label_text_font = FONT
    chart.axis.major_label_text_color = INK
    chart.axis.major_label_text_font_size = "12px"
    chart.axis.axis_label_text_font = FONT
    chart.axis.axis_label_text_font_style = "normal"
    chart.axis.axis_label_text_font_size = "12px"
    chart.grid.grid_line_color = "#eceff1"
    return chart


def _draw_lanes(chart: figure, execution: Execution, living: ColumnDataSource, index: int) -> dict[str, Lane]:
    columns: dict[str, Columns] = {
        "lg": lg_columns(execution),
        "flg": flg_columns(execution),
        "weights": transfer_columns(execution, WGT),
        "ifmaps": transfer_columns(execution, IFM),
        "stores": transfer_columns(execution, OFM),
        "idle": idle_columns(execution),
        "tiles": tile_columns(execution),
        "stalls": stall_columns(execution),
        "readers": {"left": [], "right": [], "name": [], "label": []},
    }
    tiles, transfers = execution.tiles, execution.transfers
    causes = transfers.kind[tiles.cause[tiles.stall > 0]].tolist()
    columns["stalls"]["colour"] = [KINDS[OCCUPANCY_OF_KIND[kind]] for kind in causes]
    for key, kind in {"weights": WEIGHTS, "ifmaps": IFMAPS, "stores": OFMAPS_TO_STORE}.items():
        columns[key]["held_as"] = [kind] * len(columns[key]["name"])
    ofmaps = np.full(len(tiles.begin), OFMAPS_ON_CHIP)
    ofmaps[transfers.start[transfers.kind == OFM]] = OFMAPS_TO_STORE  # an ofmap's Start is the tile that makes it
    columns["tiles"]["held_as"] = ofmaps
    columns["lg"]["short"] = [f"{index}" for index in range(len(execution.lgs.first))]
    columns["flg"]["cut"] = np.append(np.nan, execution.flgs.begin[1:])  # none before the first
    columns["flg"]["short"] = [f"×{number}" for number in execution.flgs.tiling_number.tolist()]
    height = sum(style.height + GAP for style in LANES.values()) + GAP
    chart.y_range = Range1d(start=0, end=height)
    chart.quad("left", "right", 0, height, source=living, fill_color=INK, fill_alpha=0.06, line_color=None)
    lanes: dict[str, Lane] = {}
    top = height - GAP
    for key, style in LANES.items():
        lanes[key] = _draw_lane(chart, style, columns[key], top, f"{key} {index}")
        top -= style.height + GAP
    chart.yaxis.ticker = FixedTicker(ticks=[(lane.bottom + lane.top) / 2 for lane in lanes.values()])
    chart.yaxis.major_label_overrides = {(lane.bottom + lane.top) / 2: LANES[key].title for key, lane in lanes.items()}
    chart.yaxis.major_tick_line_color = None
    chart.ygrid.grid_line_color = None
    chart.xaxis.visible = False
    return lanes


def _draw_lane(chart: figure, style: LaneStyle, columns: Columns, top: float, name: str) -> Lane:
    bottom = top - style.height
    even, odd = style.colours
    colour, block_columns = even, ["left", "right", *DRAWN, "count", "cycles", "alpha"]
    if "odd" in columns:
        columns["colour"] = [odd if is_odd else even for is_odd in columns.pop("odd")]
    if "colour" in columns:
        colour = "colour"
        block_columns.append(colour)
    item_columns = [*DRAWN, "middle", "edge", *columns]
    lane = Lane(
        all=ColumnDataSource(columns, name=f"all {name}"),
        items=ColumnDataSource({column: [] for column in item_columns}, name=f"items {name}"),
        blocks=ColumnDataSource({column: [] for column in block_columns}, name=f"blocks {name}"),
        bottom=bottom,
        top=top,
        opacity=PALE if style.is_hatched else 1,
    )
    hatch: dict[str, Any] = {}
    if style.is_hatched:
        hatch = {"hatch_pattern": "/", "hatch_color": colour, "hatch_alpha": HATCH, "hatch_scale": 6}
    items = chart.quad(
        *DRAWN,
        bottom,
        top,
        source=lane.items,
        fill_color=colour,
        fill_alpha=lane.opacity,
        line_color="white",
        line_width="edge",
        **hatch,
    )
    blocks = chart.quad(
        *DRAWN, bottom, top, source=lane.blocks, fill_color=colour, fill_alpha="alpha", line_color=None, **hatch
    )
    chart.text(
        "middle",
        (bottom + top) / 2,
        text="label",
        source=lane.items,
        text_align="center",
        text_baseline="middle",
        text_font=value(FONT),
        text_font_size="11px",
        text_color=_readable_on(even),
    )
    if style.hover:
        _add_hover(chart, items, "@name", style.hover)
        _add_hover(chart, blocks, "@count{0,0} items", (*TIME_ROWS, ("", "zoom in to tell them apart")))
    return lane


def _draw_buffer(
    chart: figure, execution: Execution, living: ColumnDataSource, index: int, highest: float
) -> dict[str, Any]:
    columns = buffer_columns(execution)
    tops = [f"top{row}" for row in range(len(KIND_COLUMNS))]
    everything = ColumnDataSource(columns, name=f"all buffer {index}")
    # One row: Bokeh never finishes drawing steps of no rows.
    shown = ColumnDataSource(
        {name: [0] for name in (*columns, *tops, "bottom", "drawn_right")}, name=f"shown buffer {index}"
    )
    capacity = execution.schedule.plan.problem.platform.gbuf_bytes / MIB
    chart.y_range = Range1d(start=0, end=highest)
    for row, (below, top) in enumerate(zip(["bottom", *tops], tops, strict=False)):
        chart.varea_step(x="left", y1=below, y2=top, source=shown, fill_color=KINDS[row], step_mode="after")
    outline = ColumnDataSource({"x": [], "y": []}, name=f"outline {index}")
    chart.patch(
        "x", "y", source=outline, fill_color="white", fill_alpha=0.35, line_color=INK, line_width=2, line_join="miter",
        hatch_pattern="\\", hatch_color=INK, hatch_alpha=0.7, hatch_scale=8,
    )  # fmt: skip
    boxes = chart.quad("left", "drawn_right", 0, "total", source=shown, fill_alpha=0, line_alpha=0)
    kinds = [(name, f"@kind{row}{{0.000}} MiB") for row, name in enumerate(OCCUPANCY_NAMES)]
    rows = (("cycles", "@left{0,0} … @right{0,0}"), ("held", f"@total{{0.000}} of {capacity:g} MiB"), *kinds)
    _add_hover(chart, boxes, "@name", rows)
    if capacity <= highest:
        line = Span(location=capacity, dimension="width", line_color=CAPACITY, line_width=1.5, line_dash="dashed")
        chart.add_layout(line)
    else:
        note = f"the capacity, {capacity:g} MiB, lies far above"
        chart.add_layout(
            Title(text=note, align="right", text_font=FONT, text_font_size="12px", text_font_style="normal",
                  text_color=INK), "above",
        )  # fmt: skip
    chart.yaxis.axis_label = "buffer (MiB)"
    chart.xaxis.axis_label = "time (cycles)"
    chart.yaxis.ticker = BasicTicker(desired_num_ticks=4)
    chart.xgrid.grid_line_color = None
    return {"all": everything, "shown": shown, "living": living, "outline": outline, "kinds": list(KIND_COLUMNS)}


def _add_hover(chart: figure, renderer: "GlyphRenderer[Any]", title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Show a hover box with a title and rows; Bokeh escapes the values of the fields."""
    lines = "".join(f'<tr><td style="{TERM_STYLE}">{name}</td><td>{value}</td></tr>' for name, value in rows)
    box = f'<div style="{BOX_STYLE}"><b>{title}</b><table>{lines}</table></div>'
    chart.add_tools(HoverTool(renderers=[renderer], tooltips=box, visible=False, attachment="vertical"))


def _readable_on(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "white"
