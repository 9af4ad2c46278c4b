"""Heat maps: cells with printed values, an envelope of the best, hatched cells where there is no schedule.

The colours rise in lightness (cividis), so that they are the same in grey, and nearly so for colour-blind readers.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize

from soma_cp.cli.reports.sweep.marks import ENVELOPE, SMALL, hatch_place
from soma_cp.model.arrays import FloatArray
from soma_cp.solver.sweep.findings.surface import BoolArray

COLOURS = "cividis_r"
DARK = 0.5
"""Text on colours below this luminance is white."""
ENVELOPE_WIDTH = 1.4
MARK_SIZE = 0.32
"""Share of a cell that the mark in its corner takes."""


class HeatMap(NamedTuple):
    """What is drawn: H rows from below, W columns.

    Parameters
    ----------
    values
        float64[H, W]: what colours show; not a number where there is no value.
    texts
        str[H, W]: what is printed.
    infeasible, best, marked
        bool[H, W]: cells without a schedule; cells within the envelope; cells with a mark in the corner.
    """

    values: FloatArray
    texts: "np.ndarray[tuple[int, ...], np.dtype[np.str_]]"
    infeasible: BoolArray
    best: BoolArray
    marked: BoolArray


def shared_scale(maps: Sequence[HeatMap]) -> Normalize:
    """Return one scale of colours for several maps: logarithmic if all values are positive."""
    known = np.concatenate([one.values[np.isfinite(one.values)] for one in maps])
    if not known.size:
        return Normalize(0.0, 1.0)
    low, high = float(known.min()), float(known.max())
    return LogNorm(low, max(high, low * 1.001)) if low > 0 else Normalize(low, max(high, low + 1e-12))


def draw_heat(axes: Axes, heat: HeatMap, scale: Normalize, font_size: float = SMALL) -> None:
    """Draw a map; the caller sets ticks."""
    height, width = heat.values.shape
    colours = mpl.colormaps[COLOURS]
    axes.pcolormesh(np.ma.masked_invalid(heat.values), cmap=COLOURS, norm=scale, edgecolors="white", linewidth=0.4)
    for i in range(height):
        for j in range(width):
            if heat.infeasible[i, j]:
                hatch_place(axes, j, 1, i, 1)
            elif np.isfinite(heat.values[i, j]):
                rgb = colours(float(scale(heat.values[i, j])))[:3]
                ink = "white" if np.dot(rgb, (0.299, 0.587, 0.114)) < DARK else "black"
                place = (j + 0.5, i + 0.5)
                axes.annotate(heat.texts[i, j], place, ha="center", va="center", fontsize=font_size, color=ink)
                if heat.marked[i, j]:
                    _mark(axes, i, j, ink)
    if heat.best.any():
        _outline(axes, heat.best)
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.tick_params(length=0, pad=2, labelsize=SMALL)
    axes.spines[:].set_linewidth(0.4)


def _mark(axes: Axes, i: int, j: int, ink: str) -> None:
    """Mark the upper right corner of a cell."""
    corner = [(j + 1, i + 1), (j + 1 - MARK_SIZE / 2, i + 1), (j + 1, i + 1 - MARK_SIZE)]
    axes.add_patch(mpl.patches.Polygon(corner, closed=True, facecolor=ink, linewidth=0))


def _outline(axes: Axes, best: BoolArray) -> None:
    """Draw the edges between cells within the envelope and others."""
    padded = np.pad(best, 1)
    rows, columns = np.nonzero(padded[1:, 1:-1] != padded[:-1, 1:-1])
    style: dict[str, Any] = {
        "colors": ENVELOPE,
        "linewidths": ENVELOPE_WIDTH,
        "clip_on": False,
        "zorder": 5,
        "capstyle": "projecting",
    }
    axes.hlines(rows, columns, columns + 1, **style)
    rows, columns = np.nonzero(padded[1:-1, 1:] != padded[1:-1, :-1])
    axes.vlines(columns, rows, rows + 1, **style)
