"""Reports as a picture for papers (SVG, PNG, PDF): one panel for each schedule, all on one time axis.

After the SoMa paper's Fig. 8, from the top: LGs, FLGs with their tiling numbers, the DRAM channel, the core array with
its stalls, the buffer. docs/reports.md describes the rows. The same schedules give the same bytes.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path

from soma_cp.cli.reports.buffer_axis import HEADROOM, highest_buffer
from soma_cp.cli.reports.colours import KINDS, OCCUPANCY_OF_KIND
from soma_cp.cli.reports.pictures import FONT_SIZE, WIDTH, write_picture
from soma_cp.cli.reports.reported import Reported, shared_time
from soma_cp.cli.tables import clock_text
from soma_cp.model.arrays import FloatArray
from soma_cp.model.hardware.quantities import MIB
from soma_cp.model.soma.execution.events import IFMAPS, OFMAPS_ON_CHIP, OFMAPS_TO_STORE, WEIGHTS, Groups
from soma_cp.model.soma.execution.execution import Execution

# Hatching distinguishes kinds in print without colour.
HATCHES = {WEIGHTS: "", IFMAPS: "////", OFMAPS_TO_STORE: "\\\\\\\\", OFMAPS_ON_CHIP: ""}
LEGEND = {WEIGHTS: "weights", IFMAPS: "ifmaps", OFMAPS_TO_STORE: "ofmaps to DRAM", OFMAPS_ON_CHIP: "ofmaps on chip"}
TILE_GREYS = ("#7f7f7f", "#b3b3b3")  # FLGs alternate
GROUP_GREYS = ("#ffffff", "#e3e3e3")
STALL_HATCH = "xxxxxx"
STALL_TINT = 0.25

# Sizes in inches.
LEFT, RIGHT, TOP, BOTTOM = 0.68, 0.12, 0.24, 0.26
LABEL_AT = -0.34  # where the label of the buffer's axis stands, from that axis
TITLE, EVENTS, SPACE, BUFFER, BELOW = 0.22, 1.1, 0.05, 0.62, 0.14
POINTS_PER_INCH = 72

ROWS = {"compute": (0.0, 0.8), "DRAM": (1.0, 0.8), "FLG tiling": (2.0, 0.45), "LG": (2.5, 0.45)}
"""Bottom and height of each row of events."""
TOP_OF_ROWS = 2.95
PARTING_WIDTH = 0.4
LEAST_PARTED_WIDTH = 3.0
"""No line separates narrower bars (points): nothing would be left of them."""


def write_figure(reported: Sequence[Reported], output: pathlib.Path, format: str) -> list[pathlib.Path]:
    """Write the picture in a format of METADATA."""
    return [write_picture(lambda: draw_figure(reported), output, format)]


def draw_figure(reported: Sequence[Reported]) -> Figure:
    """Draw all schedules on one time axis: in cycles, or in seconds if their clocks differ."""
    panel = TITLE + EVENTS + SPACE + BUFFER + BELOW
    height = TOP + len(reported) * panel + BOTTOM
    figure = Figure(figsize=(WIDTH, height))
    executions = [one.execution for one in reported]
    time = shared_time(reported)
    scale, unit_name = _time_unit(time.longest) if time.is_cycles else (1.0, time.unit)
    longest = time.longest / scale

    def axes_at(bottom: float, tall: float) -> Axes:
        axes = figure.add_axes((LEFT / WIDTH, bottom / height, (WIDTH - LEFT - RIGHT) / WIDTH, tall / height))
        axes.set_xlim(0, longest)
        axes.spines[["top", "right"]].set_visible(False)
        return axes

    for index, (one, per_cycle) in enumerate(zip(reported, time.per_cycle, strict=True)):
        unit = scale / per_cycle
        top = height - TOP - index * panel - TITLE
        events = axes_at(top - EVENTS, EVENTS)
        _draw_events(events, one.execution, unit, (WIDTH - LEFT - RIGHT) * POINTS_PER_INCH / longest)
        events.set_title(_title(one, with_clock=not time.is_cycles), loc="left", fontsize=FONT_SIZE + 0.5, pad=3)
        buffer = axes_at(top - EVENTS - SPACE - BUFFER, BUFFER)
        _draw_buffer(buffer, one, unit, highest_buffer(one.execution, executions))
        if index + 1 < len(reported):
            buffer.tick_params(labelbottom=False)
        else:
            buffer.set_xlabel(f"time ({unit_name})")
    figure.legend(
        handles=_legend_handles(),
        ncols=7,
        loc="upper center",
        bbox_to_anchor=(0.5, 1 - 0.04 / height),
        frameon=False,
        handlelength=1.6,
        columnspacing=1.2,
        borderaxespad=0,
    )
    return figure


def _time_unit(cycles: float) -> tuple[float, str]:
    for unit, name in ((1e6, "million cycles"), (1e3, "thousand cycles")):
        if cycles >= 10 * unit:
            return unit, name
    return 1.0, "cycles"


def _title(one: Reported, with_clock: bool) -> str:
    execution = one.execution
    latency = execution.latency
    clock = f" at {clock_text(execution.schedule.problem.platform)}" if with_clock else ""
    parts = [
        f"{latency:,} cycles{clock}",
        f"DRAM busy {execution.dram_busy / latency * 100:.1f} %",
        f"compute busy {execution.compute_busy / latency * 100:.1f} %",
    ]
    if not execution.schedule.fits:
        parts.append("exceeds the buffer")
    return f"{one.name}: " + ", ".join(parts)


def _draw_events(axes: Axes, execution: Execution, unit: float, points: float) -> None:
    """Draw all rows but the buffer; `points` is the width of one unit of time on paper, in points."""
    tiles, transfers, flgs, lgs = execution.tiles, execution.transfers, execution.flgs, execution.lgs
    for kind, held_as in OCCUPANCY_OF_KIND.items():
        own = transfers.kind == kind
        begin, end = transfers.begin[own] / unit, transfers.finish[own] / unit
        _draw_bars(axes, begin, end, "DRAM", KINDS[held_as], points, HATCHES[held_as])
        stalled = tiles.cause[tiles.stall > 0]
        waits = np.flatnonzero(tiles.stall > 0)[transfers.kind[stalled] == kind]
        stall_begin = (tiles.begin[waits] - tiles.stall[waits]) / unit
        _draw_stalls(axes, stall_begin, tiles.begin[waits] / unit, KINDS[held_as])
    for parity, grey in enumerate(TILE_GREYS):
        own = tiles.flg % 2 == parity
        _draw_bars(axes, tiles.begin[own] / unit, tiles.end[own] / unit, "compute", grey, points)
    _draw_groups(axes, flgs, "FLG tiling", [str(number) for number in flgs.tiling_number], unit, points)
    _draw_groups(axes, lgs, "LG", [str(number) for number in range(len(lgs.first))], unit, points)
    top_of_flgs = sum(ROWS["FLG tiling"])
    axes.vlines(flgs.begin[1:] / unit, 0, top_of_flgs, colors="0.35", linewidths=0.3, linestyles=(0, (4, 3)))
    axes.vlines(lgs.begin[1:] / unit, 0, TOP_OF_ROWS, colors="black", linewidths=0.7)
    finish = [execution.latency / unit]
    axes.vlines(finish, 0, TOP_OF_ROWS, colors="black", linewidths=0.7, linestyles=":", clip_on=False)
    axes.set_ylim(-0.1, TOP_OF_ROWS)
    axes.set_yticks([bottom + height / 2 for bottom, height in ROWS.values()], list(ROWS))
    axes.tick_params(left=False, bottom=False, labelbottom=False)
    axes.spines[["left", "bottom"]].set_visible(False)


def _draw_groups(axes: Axes, groups: Groups, row: str, labels: list[str], unit: float, points: float) -> None:
    """Draw groups as boxes, with the labels that fit."""
    begin, end = groups.begin / unit, groups.end / unit
    bottom, height = ROWS[row]
    for parity, grey in enumerate(GROUP_GREYS):
        own = np.arange(len(begin)) % 2 == parity
        axes.add_artist(_bars(begin[own], end[own], row, facecolor=grey, edgecolor="0.35", linewidth=0.3))
    for label, since, until in zip(labels, begin, end, strict=True):
        if len(label) * 0.65 * FONT_SIZE < (until - since) * points:
            middle = ((since + until) / 2, bottom + height / 2)
            axes.annotate(label, middle, ha="center", va="center_baseline", fontsize=FONT_SIZE - 1)


def _draw_bars(
    axes: Axes, begin: FloatArray, end: FloatArray, row: str, colour: str, points: float, hatch: str = ""
) -> None:
    """Draw bars of one kind; a white line separates bars that touch, if one of them is wide."""
    if not len(begin):
        return
    touch = begin[1:] <= end[:-1]
    joined_begin, joined_end = begin[np.append(True, ~touch)], end[np.append(~touch, True)]
    style = {"facecolor": colour, "edgecolor": "white", "linewidth": 0.0, "hatch": hatch}
    axes.add_artist(_bars(joined_begin, joined_end, row, **style))
    wide = (end - begin) * points >= LEAST_PARTED_WIDTH
    bottom, height = ROWS[row]
    parted = begin[1:][touch & (wide[1:] | wide[:-1])]
    axes.vlines(parted, bottom, bottom + height, colors="white", linewidths=PARTING_WIDTH)


def _draw_stalls(axes: Axes, begin: FloatArray, end: FloatArray, colour: str) -> None:
    axes.add_artist(_bars(begin, end, "compute", **_stall_style(colour)))


def _stall_style(colour: str) -> dict[str, Any]:
    """Return hatching on a tint, which is opaque: SVG applies the opacity of a fill to its pattern, too."""
    tint = STALL_TINT * np.array(mpl.colors.to_rgb(colour)) + (1 - STALL_TINT)
    return {"facecolor": tuple(tint), "edgecolor": colour, "linewidth": 0.0, "hatch": STALL_HATCH}


def _bars(begin: FloatArray, end: FloatArray, row: str, **style: Any) -> PathPatch:
    """Return all bars as one path: hatching thousands of bars one by one takes minutes."""
    bottom, height = ROWS[row]
    low, high = np.full(len(begin), bottom), np.full(len(begin), bottom + height)
    corners = ((begin, low), (begin, high), (end, high), (end, low), (begin, low))
    vertices = np.stack([np.stack(corner, axis=1) for corner in corners], axis=1).reshape(-1, 2)
    codes = np.tile([Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY], len(begin))
    return PathPatch(Path(vertices, codes), **style)


def _band(edges: FloatArray, low: FloatArray, high: FloatArray, **style: Any) -> PathPatch:
    """Return the area between two step functions, whose values hold from one edge to the next."""
    times = np.repeat(edges, 2)[1:-1]
    outline = np.column_stack([np.append(times, times[::-1]), np.append(np.repeat(high, 2), np.repeat(low, 2)[::-1])])
    return PathPatch(Path(outline, closed=False), **style)


def _style(row: int) -> dict[str, Any]:
    return {"facecolor": KINDS[row], "edgecolor": "white", "linewidth": 0.0, "hatch": HATCHES[row]}


def _capacity(one: Reported) -> int:
    return one.execution.schedule.plan.problem.platform.gbuf_bytes


def _draw_buffer(axes: Axes, one: Reported, unit: float, highest: float) -> None:
    execution, capacity = one.execution, _capacity(one) / MIB
    edges = execution.handover / unit
    held = np.zeros(execution.schedule.plan.tile_count)
    for row in KINDS:
        above = held + execution.occupancy[row] / MIB
        axes.add_artist(_band(edges, held, above, **_style(row)))
        held = above
    axes.set_ylim(0, highest)
    axes.set_ylabel("buffer\n(MiB)")
    axes.yaxis.set_label_coords(LABEL_AT / (WIDTH - LEFT - RIGHT), 0.5)
    if capacity <= highest:
        axes.axhline(capacity, color="black", linewidth=0.7, linestyle="--")
        axes.set_yticks([0, capacity], ["0", f"{capacity:.4g}"])
    else:
        top = highest / HEADROOM
        axes.set_yticks([0, top], ["0", f"{top:.3g}"])
        axes.annotate(f"capacity {capacity:.4g} MiB", (1, 1), xycoords="axes fraction", ha="right", va="top")


def _legend_handles() -> list[Patch | Line2D]:
    kinds = [Patch(label=LEGEND[row], **_style(row)) for row in KINDS]
    tile = Patch(facecolor=TILE_GREYS[0], label="compute")
    stall = Patch(label="stall (colour: its cause)", **_stall_style(KINDS[WEIGHTS]))
    capacity = Line2D([], [], color="black", linewidth=0.7, linestyle="--", label="capacity")
    return [*kinds, tile, stall, capacity]
