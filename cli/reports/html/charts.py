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
from bokeh.models import ColumnDataSource, CustomJS, FixedTicker, Range1d
from bokeh.models.annotations import Span
from bokeh.models.renderers import GlyphRenderer
from bokeh.plotting import figure

from soma_cp.cli.reports.buffer_axis import highest_buffer
from soma_cp.cli.reports.colours import OCCUPANCY_OF_KIND
from soma_cp.cli.reports.html.buffer_chart import draw_buffer
from soma_cp.cli.reports.html.columns import (
    IN_DRAM,
    Columns,
    flg_columns,
    idle_columns,
    lg_columns,
    stall_columns,
    tile_columns,
    transfer_columns,
)
from soma_cp.cli.reports.html.overview import make_overview
from soma_cp.cli.reports.html.palette import DARK, GROUPS, IDLE, INK, KINDS, PAPER, TILES, text_on
from soma_cp.cli.reports.html.parts import FONT, add_hover, themed, time_figure
from soma_cp.cli.reports.reported import SharedTime
from soma_cp.model.hardware.quantities import MIB
from soma_cp.model.soma.execution.events import IFMAPS, OFMAPS_ON_CHIP, OFMAPS_TO_STORE, WEIGHTS
from soma_cp.model.soma.execution.execution import Execution
from soma_cp.model.soma.tensors import IFM, OFM, WGT

FOLDER = Path(__file__).parent
PALE = 0.5
"""Opacity of hatched fills."""
HATCH = 0.3
"""Opacity of the hatching's lines."""
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
IN_DRAM_ROW = ("in DRAM", f"@{IN_DRAM}{{0,0}} bytes")
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
    """A drawn lane: all items, those drawn alone, blocks of those too narrow for that, its place, opacity and scale."""

    all: ColumnDataSource
    items: ColumnDataSource
    blocks: ColumnDataSource
    bottom: float
    top: float
    opacity: float
    per_cycle: float


def make_charts(executions: Sequence[Execution], shared: SharedTime) -> Document:
    """Return a document with the charts of all schedules, all from cycle 0 on one time axis.

    Its roots are the overview, then the events and the buffer of each schedule in turn.
    """
    longest, least = shared.longest, LEAST_CYCLES_IN_VIEW * min(shared.per_cycle)
    time = Range1d(start=0, end=longest, bounds=(0, longest), min_interval=least, name="time")
    view: dict[str, Any] = {"range": time, "lanes": [], "buffers": [], "marks": [], "dark": DARK}
    show = CustomJS.from_file(FOLDER / "view.mjs")
    charts = [
        _charts(execution, index, highest_buffer(execution, executions), time, shared, view, show)
        for index, execution in enumerate(executions)
    ]
    show.args = view | {"figure": charts[0][0]}
    for end in ("start", "end"):
        time.js_on_change(end, show)
    document = Document()
    document.add_root(make_overview(executions, shared.per_cycle, time, longest))
    for pair in charts:
        for chart in pair:
            document.add_root(chart)
    theme = CustomJS.from_file(FOLDER / "theme.mjs")
    themed(document, theme)
    document.js_on_event(DocumentReady, show, theme)
    return document


def _charts(
    execution: Execution,
    index: int,
    highest: float,
    time: Range1d,
    shared: SharedTime,
    view: dict[str, Any],
    show: CustomJS,
) -> tuple[figure, figure]:
    per_cycle = shared.per_cycle[index]
    events = time_figure(time, EVENTS_HEIGHT, f"events {index}", with_buttons=True)  # they zoom the buffer, too
    buffer = time_figure(time, BUFFER_HEIGHT, f"buffer {index}", with_buttons=False)
    buffer.xaxis.axis_label = f"time ({shared.unit})"
    living = ColumnDataSource({"left": [], "right": [], "top": [], "kind": [], **_no_edges()}, name=f"living {index}")
    lanes = _draw_lanes(events, execution, living, index, per_cycle)
    view["lanes"] += [vars(lane) for lane in lanes.values()]
    view["buffers"].append(draw_buffer(buffer, execution, living, index, highest) | {"per_cycle": per_cycle})
    view["marks"].append(
        {"lanes": [vars(lanes[key]) for key in CLICKABLE], "source": _draw_marks(events, index), "per_cycle": per_cycle}
    )
    lanes["readers"].all.js_on_change("data", show)
    living.js_on_change("data", show)
    _select_on_click(events, lanes, living, index, time)
    events.segment(
        "cut", lanes["tiles"].bottom, "cut", lanes["flg"].bottom, source=lanes["flg"].items, line_color=INK,
        line_alpha=0.35, line_width=0.75,
    )  # fmt: skip
    for chart in (events, buffer):
        chart.ray(
            "cut", 0, length=0, angle=90, angle_units="deg", source=lanes["lg"].items, line_color=INK, line_alpha=0.45,
            line_dash=[2, 3],
        )  # fmt: skip
        chart.add_layout(Span(location=execution.latency * per_cycle, dimension="height", line_color=INK))
        for renderer in chart.renderers:
            if isinstance(renderer, GlyphRenderer):  # nothing is ever selected or muted: drop the glyphs for that
                renderer.selection_glyph = renderer.nonselection_glyph = renderer.muted_glyph = None
    return events, buffer


def _no_edges() -> dict[str, list[float]]:
    return {edge: [] for edge in DRAWN}


def _draw_marks(events: figure, index: int) -> ColumnDataSource:
    """Draw frames around the tiles and transfers of a layer that the table of layers marks; none so far."""
    marks = ColumnDataSource(_no_edges() | {"bottom": [], "top": []}, name=f"marks {index}")
    events.quad(
        *DRAWN, "bottom", "top", source=marks, fill_color=INK, fill_alpha=0.2, line_color=INK, line_width=2,
        level="overlay",
    )  # fmt: skip
    return marks


def _select_on_click(
    events: figure, lanes: dict[str, Lane], living: ColumnDataSource, index: int, time: Range1d
) -> None:
    picked = ColumnDataSource({"left": [], "right": [], "bottom": [], "top": []}, name=f"picked {index}")
    events.quad(
        "left", "right", "bottom", "top", source=picked, fill_color=None, line_color=INK, line_width=2.5,
        level="overlay",
    )  # fmt: skip
    select = CustomJS.from_file(
        FOLDER / "select.mjs",
        lanes=[vars(lanes[key]) | {"is_compute": key == "tiles"} for key in CLICKABLE],
        tiles=lanes["tiles"].all,
        picked=picked,
        living=living,
        readers=lanes["readers"].all,
        index=index,
        mib=MIB,
        range=time,
        figure=events,
    )
    for event in (Tap, DoubleTap):  # two quick clicks, wherever they are, are a tap and a double tap
        events.js_on_event(event, select)


def _draw_lanes(
    chart: figure, execution: Execution, living: ColumnDataSource, index: int, per_cycle: float
) -> dict[str, Lane]:
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
    chart.quad(*DRAWN, 0, height, source=living, fill_color=INK, fill_alpha=0.06, line_color=None)
    lanes: dict[str, Lane] = {}
    top = height - GAP
    for key, style in LANES.items():
        lanes[key] = _draw_lane(chart, style, columns[key], top, f"{key} {index}", per_cycle)
        top -= style.height + GAP
    chart.yaxis.ticker = FixedTicker(ticks=[(lane.bottom + lane.top) / 2 for lane in lanes.values()])
    chart.yaxis.major_label_overrides = {(lane.bottom + lane.top) / 2: LANES[key].title for key, lane in lanes.items()}
    chart.yaxis.major_tick_line_color = None
    chart.ygrid.grid_line_color = None
    chart.xaxis.visible = False
    return lanes


def _draw_lane(chart: figure, style: LaneStyle, columns: Columns, top: float, name: str, per_cycle: float) -> Lane:
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
        per_cycle=per_cycle,
    )
    pattern = {"hatch_pattern": "/", "hatch_color": colour, "hatch_alpha": HATCH, "hatch_scale": 6}
    hatch: dict[str, Any] = pattern if style.is_hatched else {}
    items = chart.quad(
        *DRAWN,
        bottom,
        top,
        source=lane.items,
        fill_color=colour,
        fill_alpha=lane.opacity,
        line_color=PAPER,
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
        text_color=INK if even in (PAPER, *GROUPS) else text_on(even),
    )
    if style.hover:
        add_hover(chart, items, "@name", _hover(style, columns))
        add_hover(chart, blocks, "@count{0,0} items", (*TIME_ROWS, ("", "zoom in to tell them apart")))
    return lane


def _hover(style: LaneStyle, columns: Columns) -> tuple[tuple[str, str], ...]:
    """Return the rows of a lane's hover box; where weights are compressed, their bytes in DRAM, too."""
    if IN_DRAM not in columns:
        return style.hover
    after = style.hover.index(HOLDING_ROWS[0]) + 1
    return (*style.hover[:after], IN_DRAM_ROW, *style.hover[after:])
