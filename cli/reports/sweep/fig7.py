"""Fig. 7: latency over buffer and DRAM bandwidth; one column for each network and batch, one row for each method.

Cells print the latency of the whole model in ns, divided by a power of ten that all maps of a column share with the
colours; as in the paper, bandwidth rises from the top to the bottom. The red envelope holds the cells whose printed
value is the smallest one; the paper draws it in Ours alone.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from soma_cp.cli.reports.pictures import FONT_SIZE, WIDTH
from soma_cp.cli.reports.sweep.heat import HeatMap, draw_heat, shared_scale
from soma_cp.cli.reports.sweep.marks import ENVELOPE, NOTHING, ordered
from soma_cp.cli.reports.sweep.words import method_name, network_name
from soma_cp.model.hardware.quantities import MIB
from soma_cp.solver.sweep.findings.cases import Case
from soma_cp.solver.sweep.findings.surface import Cell, Surface, envelope, printed, shared_exponent

METHODS = ("cocco", "paper-2", "ours")
WITHOUT_ENVELOPE = "cocco"
MARKED = ("cocco", "paper-2")
"""`ours` takes what is cheapest of all neighbours; it is slower only where that saves energy."""
NARROWEST = 4.4
"""Inches: what the legend needs."""
MOST_COLUMNS = 6
LEFT, RIGHT, TOP, BOTTOM, BETWEEN, ABOVE = 0.44, 0.06, 0.2, 0.3, 0.05, 0.34
"""Inches around all maps, between two, and above each row of columns."""
CELL_HEIGHT = 0.155
WIDEST_CELL = 0.42
METHOD_TITLE = 0.14

Surfaces = Mapping[Case, Sequence[Surface]]


def draw_fig7(surfaces: Surfaces, beaten: Mapping[str, str]) -> Figure:
    """Draw the surfaces; rows whose keys are `beaten` are marked: a search fell short (docs/sweeps.md#neighbours)."""
    columns = list(surfaces.items())
    methods = [
        method for method in ordered(METHODS) if any(one.method == method for _, all_ in columns for one in all_)
    ]
    lines = [columns[i : i + MOST_COLUMNS] for i in range(0, len(columns), MOST_COLUMNS)]
    heights = [max(len(found[0].bandwidths) for _, found in line) * CELL_HEIGHT for line in lines]
    blocks = [ABOVE + len(methods) * (METHOD_TITLE + tall) for tall in heights]
    height = TOP + sum(blocks) + BOTTOM * len(lines)
    width = min(max(max(_width(line) for line in lines), NARROWEST), WIDTH)
    figure = Figure(figsize=(width, height))
    top = height - TOP
    for line, tall, block in zip(lines, heights, blocks, strict=True):
        _draw_line(figure, line, methods, top, tall, beaten)
        top -= block + BOTTOM
    figure.legend(handles=_legend(surfaces, beaten), ncols=4, loc="upper center", frameon=False, borderaxespad=0.1)
    return figure


def _draw_line(
    figure: Figure,
    line: Sequence[tuple[Case, Sequence[Surface]]],
    methods: Sequence[str],
    top: float,
    tall: float,
    beaten: Mapping[str, str],
) -> None:
    """Draw the maps of some cases; `top` is where the line begins, `tall` how high a map is (inches)."""
    sizes = [len(found[0].buffers) for _, found in line]
    cell = _cell_width(sizes)
    left = LEFT
    for number, ((case, found), size) in enumerate(zip(line, sizes, strict=True)):
        drawn = {one.method: one for one in found if one.method in methods}
        exponent = shared_exponent(list(drawn.values()))
        maps = {method: _heat(one, exponent, beaten) for method, one in drawn.items()}
        scale = shared_scale(list(maps.values()))
        for row, method in enumerate(methods):
            bottom = top - ABOVE - (row + 1) * (METHOD_TITLE + tall)
            place = (
                left / figure.get_figwidth(),
                bottom / figure.get_figheight(),
                cell * size / figure.get_figwidth(),
                tall / figure.get_figheight(),
            )
            axes = figure.add_axes(place)
            axes.set_title(method_name(method), fontsize=FONT_SIZE - 0.5, pad=2)
            if method in maps:
                draw_heat(axes, maps[method], scale)
            axes.set_ylim(tall / CELL_HEIGHT, 0)
            _ticks(axes, found[0], is_first=number == 0, is_last=row == len(methods) - 1)
        title = f"{network_name(case.net)}\nbatch {case.batch}, 10$^{exponent}$ ns"
        middle = (left + cell * size / 2) / figure.get_figwidth()
        figure.text(
            middle,
            (top - 0.03) / figure.get_figheight(),
            title,
            ha="center",
            va="top",
            linespacing=1.1,
            parse_math=True,
        )
        left += cell * size + BETWEEN
    figure.text(
        0.01,
        (top - ABOVE - len(methods) * tall / 2) / figure.get_figheight(),
        "DRAM bandwidth (GB/s)",
        rotation=90,
        va="center",
    )
    figure.text(
        (LEFT + left - BETWEEN) / 2 / figure.get_figwidth(),
        (top - ABOVE - len(methods) * (METHOD_TITLE + tall) - 0.26) / figure.get_figheight(),
        "buffer (MiB)",
        ha="center",
    )


def _cell_width(sizes: Sequence[int]) -> float:
    """Return how wide the cells of a line are (inches); `sizes` are the numbers of buffers of its maps."""
    return min((WIDTH - LEFT - RIGHT - BETWEEN * (len(sizes) - 1)) / sum(sizes), WIDEST_CELL)


def _width(line: Sequence[tuple[Case, Sequence[Surface]]]) -> float:
    sizes = [len(found[0].buffers) for _, found in line]
    return LEFT + _cell_width(sizes) * sum(sizes) + BETWEEN * (len(sizes) - 1) + RIGHT


def _heat(surface: Surface, exponent: int, beaten: Mapping[str, str]) -> HeatMap:
    values = printed(surface, exponent)
    texts = np.array([[f"{value:.2f}" for value in row] for row in values])
    keys = [
        [surface.cells[cell]["key"] if (cell := Cell(one, size)) in surface.cells else "" for size in surface.buffers]
        for one in surface.bandwidths
    ]
    marked = np.array([[key in beaten and surface.method in MARKED for key in row] for row in keys])
    best = np.zeros(values.shape, np.bool_) if surface.method == WITHOUT_ENVELOPE else envelope(values)
    return HeatMap(surface.latency_ns, texts, surface.infeasible, best, marked)


def _ticks(axes: Axes, surface: Surface, is_first: bool, is_last: bool) -> None:
    """Name buffers below the last map of a column, and bandwidths beside the first one of a line."""
    buffers = [f"{size / MIB:g}" for size in surface.buffers] if is_last else []
    bandwidths = [f"{one / 1e9:g}" for one in surface.bandwidths] if is_first else []
    axes.set_xticks(np.arange(len(buffers)) + 0.5, buffers)
    axes.set_yticks(np.arange(len(bandwidths)) + 0.5, bandwidths)


def _legend(surfaces: Surfaces, beaten: Mapping[str, str]) -> list[Patch | Line2D]:
    entries: list[Patch | Line2D] = [Line2D([], [], color=ENVELOPE, linewidth=1.4, label="least printed latency")]
    shown = [one for found in surfaces.values() for one in found if one.method in METHODS]
    if any(one.infeasible.any() for one in shown):
        entries.append(Patch(label="infeasible", **NOTHING))
    if any(row["key"] in beaten for one in shown if one.method in MARKED for row in one.cells.values()):
        label = "slower than a cell with less"
        entries.append(Line2D([], [], color="black", marker="^", markersize=3, linewidth=0, label=label))
    return entries
