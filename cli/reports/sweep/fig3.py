"""Fig. 3: DRAM bytes over operations of layers by themselves, and of the tiles of a schedule.

Both are divided by their largest value. Points that lie on one another are darker. The titles of tiles say how busy the
DRAM channel and the core array are.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from soma_cp.cli.reports.sweep.marks import SMALL, quiet
from soma_cp.model.soma.execution.execution import Execution
from soma_cp.solver.sweep.findings.imbalance import Imbalance, imbalance_of_layers, imbalance_of_tiles

PANEL, GAP, LEFT, RIGHT, TOP, BOTTOM = 1.44, 0.26, 0.5, 0.08, 0.34, 0.38
"""Inches; four panels in a line fill the two columns of a paper."""
PANELS_IN_LINE = 4
COLOUR = "#332288"
ONE_POINT = 0.35
"""Opacity of a point by itself."""


class Scattered(NamedTuple):
    """What has a panel of layers and one of tiles.

    Parameters
    ----------
    name
        Of the network.
    method
        Of the schedule.
    execution
        The schedule.
    """

    name: str
    method: str
    execution: Execution


def draw_fig3(scattered: Sequence[Scattered]) -> Figure:
    """Draw layers of all networks, then tiles of all schedules."""
    panels = [
        (f"{one.name}: layers", "by themselves", imbalance_of_layers(one.execution.schedule.problem))
        for one in scattered
    ]
    panels += [
        (f"{one.name}: tiles, {one.method}", _busy(one.execution), imbalance_of_tiles(one.execution))
        for one in scattered
    ]
    in_line = min(PANELS_IN_LINE, len(panels))
    lines = -(-len(panels) // in_line)
    block = TOP + PANEL + BOTTOM
    width, height = LEFT + in_line * PANEL + (in_line - 1) * GAP + RIGHT, lines * block
    figure = Figure(figsize=(width, height))
    for number, (title, second, points) in enumerate(panels):
        line, place = divmod(number, in_line)
        left, bottom = LEFT + place * (PANEL + GAP), height - line * block - TOP - PANEL
        axes = figure.add_axes((left / width, bottom / height, PANEL / width, PANEL / height))
        _scatter(axes, points)
        letter = chr(ord("a") + number)
        axes.set_title(f"({letter}) {title}\n{second}", fontsize=SMALL, pad=3, linespacing=1.15)
        axes.set_xlabel("operations / largest", labelpad=1)
        if place == 0:
            axes.set_ylabel("DRAM bytes / largest", labelpad=1)
        else:
            axes.tick_params(labelleft=False)
    return figure


def _busy(execution: Execution) -> str:
    dram, compute = (100 * busy / execution.latency for busy in (execution.dram_busy, execution.compute_busy))
    return f"busy: {dram:.1f} % DRAM, {compute:.1f} % compute"


def _scatter(axes: Axes, points: Imbalance) -> None:
    """Draw each place once; the more points lie there, the darker it is."""
    x = points.operations / max(points.operations.max(), 1.0)
    y = points.dram_bytes / max(points.dram_bytes.max(), 1)
    places, count = np.unique(np.column_stack([x, y]), axis=0, return_counts=True)
    opacity: Any = 1 - (1 - ONE_POINT) ** count  # one for each point, which the stubs of matplotlib don't know
    axes.scatter(places[:, 0], places[:, 1], s=9, color=COLOUR, alpha=opacity, linewidths=0, clip_on=False)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    quiet(axes)
