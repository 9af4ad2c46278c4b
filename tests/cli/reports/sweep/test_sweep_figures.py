"""Figures of sweeps: they show the rows, invent nothing, can be read at print size, and are the same every time."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from support.execution_cases import SCHEDULES, execution_in
from support.sweep_rows import made_row
from support.sweep_store import SCHEDULE, case_rows, map_rows

from soma_cp.cli.reports.pictures import STYLE, WIDTH, picture_bytes
from soma_cp.cli.reports.sweep.fig3 import Scattered, draw_fig3
from soma_cp.cli.reports.sweep.fig6 import draw_fig6
from soma_cp.cli.reports.sweep.fig7 import draw_fig7
from soma_cp.cli.reports.sweep.fig8 import draw_fig8
from soma_cp.cli.reports.sweep.generic import Shown, draw_bars, draw_heatmap, draw_lines
from soma_cp.cli.reports.sweep.heat import ENVELOPE
from soma_cp.cli.reports.sweep.marks import METHOD_COLOURS, NOTHING
from soma_cp.cli.reports.sweep.panels import panels_of
from soma_cp.cli.reports.sweep.pareto import draw_pareto, front_columns, fronts
from soma_cp.model.errors import UserError
from soma_cp.model.hardware.quantities import MIB
from soma_cp.solver.sweep.findings.cases import Case, cases_of
from soma_cp.solver.sweep.findings.surface import surfaces_of
from soma_cp.solver.sweep.marks import beaten_by

BATCH = Shown("batch", "method", "latency_ns")
MAP = Shown("buffer_bytes", "dram_bytes_per_s", "latency_ns")


def fig3() -> Figure:
    return draw_fig3([Scattered("ResNet-50", "Cocco", execution_in(SCHEDULE))])


def fig8() -> Figure:
    execution = execution_in(SCHEDULE)
    return draw_fig8(Case("resnet50", "edge", 1), {"paper-2": execution, "cocco": execution})


def fig7() -> Figure:
    return draw_fig7(surfaces_of(map_rows()), beaten_by(map_rows()))


FIGURES: Mapping[str, Callable[[], Figure]] = {
    "fig3": fig3,
    "fig6": lambda: draw_fig6(cases_of(case_rows())),
    "fig7": fig7,
    "fig8": fig8,
    "heatmap": lambda: draw_heatmap(map_rows(), MAP),
    "line": lambda: draw_lines(map_rows(), Shown("dram_bytes_per_s", "method", "latency_ns")),
    "bar": lambda: draw_bars(case_rows(), BATCH),
    "pareto": lambda: draw_pareto(map_rows()[1:], front_columns(map_rows()), "latency_ns", "energy_pj", 0.0024),
}


def drawn(name: str) -> Figure:
    """Return a figure as it is written."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        figure = FIGURES[name]()
        FigureCanvasAgg(figure).draw()
        return figure


@pytest.mark.parametrize("name", FIGURES)
def test_text_can_be_read_at_print_size_and_lies_within(name: str) -> None:
    with mpl.rc_context(STYLE):
        figure = drawn(name)
        assert figure.get_figwidth() <= WIDTH
        texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
        assert texts
        for text in texts:
            assert text.get_fontsize() >= 6.0, text
        used, width, height = figure.get_tightbbox(), figure.get_figwidth(), figure.get_figheight()
        assert min(used.x0, used.y0) >= -0.01
        assert used.x1 <= width + 0.01
        assert used.y1 <= height + 0.01


@pytest.mark.parametrize("name", ["fig6", "fig7", "pareto"])
def test_the_same_rows_give_the_same_bytes(name: str) -> None:
    formats = ("svg", "png", "pdf")
    assert picture_bytes(FIGURES[name], *formats) == picture_bytes(FIGURES[name], *formats)


def bars(axes: Axes) -> dict[float, list[tuple[float, str]]]:
    """Return heights and colours of the bars at each middle, from below."""
    found: dict[float, list[tuple[float, str]]] = {}
    for patch in axes.patches:
        if isinstance(patch, Rectangle) and patch.get_hatch() != NOTHING["hatch"]:
            middle = round(patch.get_x() + patch.get_width() / 2, 3)
            found.setdefault(middle, []).append((patch.get_height(), to_hex(patch.get_facecolor())))
    return found


def hatched(axes: Axes) -> list[float]:
    return [patch.get_x() + patch.get_width() / 2 for patch in axes.patches if patch.get_hatch() == NOTHING["hatch"]]


def test_fig6() -> None:
    """Three columns on edge, then one on cloud, each of energy, utilization and buffer."""
    axes = drawn("fig6").axes
    assert [one.get_title() for one in axes[::3]] == ["ResNet-50", "ResNet-101", "GPT-2-S decode", "ResNet-50"]
    energy, utilization, buffer = axes[:3]
    # At batch 1 Cocco's energy is 1, Ours' a half, each 0.6 core array and 0.4 DRAM; at batch 4 there is no Cocco.
    assert [[round(height, 6) for height, _ in stack] for stack in bars(energy).values()] == [[0.6, 0.4], [0.3, 0.2]]
    assert len(hatched(energy)) == len(hatched(utilization)) == len(hatched(buffer)) == 1
    assert [stack[0] for stack in bars(utilization).values()] == [
        (pytest.approx(20), METHOD_COLOURS["cocco"]),
        (pytest.approx(32), METHOD_COLOURS["paper-1"]),
        (pytest.approx(40), METHOD_COLOURS["paper-2"]),
        (pytest.approx(32), METHOD_COLOURS["paper-1"]),
        (pytest.approx(40), METHOD_COLOURS["paper-2"]),
    ]
    diamonds = [line.get_ydata()[0] for line in utilization.lines if line.get_marker() == "D"]
    assert diamonds == pytest.approx([44, 44])
    assert [stack[0][0] for stack in bars(buffer).values()] == pytest.approx([3e6 / MIB] * 5)
    missing = axes[4]  # ResNet-101 without paper-1
    assert [stack[0][1] for stack in bars(missing).values()] == [METHOD_COLOURS["cocco"], METHOD_COLOURS["paper-2"]]
    assert hatched(missing) == []
    assert axes[1].get_ylim() == (0, 100)
    assert axes[7].get_ylim()[1] == pytest.approx(1.1 * 1.15)  # decode has a scale of its own


def numbers(axes: Axes) -> dict[tuple[float, float], str]:
    return {(text.xy[0] - 0.5, text.xy[1] - 0.5): text.get_text() for text in axes.texts}


def test_fig7() -> None:
    """Latencies of Cocco 2 × 4000, 1000, …, as 10³ ns; rows from 4 to 32 GB/s, columns 4 and 16 MiB."""
    cocco, ours = drawn("fig7").axes
    assert numbers(cocco) == {(1, 0): "2.00", (1, 1): "2.00", (0, 2): "2.00", (1, 2): "2.70"}  # one missing
    assert numbers(ours) == {
        (0, 0): "4.00",
        (1, 0): "1.00",
        (0, 1): "2.00",
        (1, 1): "1.00",
        (0, 2): "1.00",
        (1, 2): "1.70",
    }
    assert hatched(cocco) == [0.5]
    assert hatched(ours) == []
    red = [line for line in ours.collections if to_hex(line.get_edgecolor()[0]) == ENVELOPE]
    edges = sum(len(line.get_segments()) for line in red)
    assert edges == 10  # of the two cells with 16 MiB, six; of the third one, four
    assert not any(
        to_hex(line.get_edgecolor()[0]) == ENVELOPE for line in cocco.collections if len(line.get_edgecolor())
    )
    triangles = [patch for patch in ours.patches if len(patch.get_xy()) == 4 and not isinstance(patch, Rectangle)]
    assert len(triangles) == 1  # 1.70 with most of both
    assert [label.get_text() for label in cocco.get_yticklabels()] == ["4", "8", "32"]
    assert ours.get_ylim() == (3, 0)


def test_fig3() -> None:
    """Each place is drawn once; all lie between 0 and 1."""
    for axes in drawn("fig3").axes:
        (points,) = axes.collections
        places = np.asarray(points.get_offsets())
        assert len(np.unique(places, axis=0)) == len(places)
        assert places.min() >= 0
        assert places.max(axis=0) == pytest.approx([1, 1])


def test_fig8_shows_methods_in_their_order() -> None:
    titles = [axes.get_title(loc="left") for axes in drawn("fig8").axes[::2]]
    assert [title.partition(":")[0] for title in titles] == [
        "Cocco, ResNet-50, edge, batch 1",
        "Ours_2, ResNet-50, edge, batch 1",
    ]


def test_a_heat_map_has_a_panel_for_each_method() -> None:
    cocco, ours = drawn("heatmap").axes
    assert (cocco.get_title(), ours.get_title()) == ("Cocco", "Ours_2")
    assert numbers(cocco) == {(1, 0): "0.002", (1, 1): "0.002", (0, 2): "0.002", (1, 2): "0.0027"}
    assert hatched(cocco) == [0.5]


def test_lines_break_where_there_is_no_schedule() -> None:
    rows = [row for row in map_rows() if row["buffer_bytes"] == 4 * MIB]
    (axes,) = draw_lines(rows, Shown("dram_bytes_per_s", "method", "latency_ns")).axes
    cocco, ours = axes.lines
    np.testing.assert_equal(cocco.get_ydata(), [np.nan, np.nan, 0.002])
    np.testing.assert_allclose(ours.get_ydata(), [0.004, 0.002, 0.001])
    assert list(ours.get_xdata()) == [4, 8, 32]


def test_bars_are_the_rows() -> None:
    edge = drawn("bar").axes[0]
    assert edge.get_title() == "ResNet-50, edge"
    assert sorted(height for stack in bars(edge).values() for height, _ in stack) == pytest.approx(
        [0.0002, 0.00025, 0.0004, 0.0004, 0.0005]
    )
    assert len(hatched(edge)) == 1


def test_filled_points_are_the_front() -> None:
    rows = [row for row in map_rows() if row["status"] == "done"]
    (axes,) = drawn("pareto").axes
    filled = [line for line in axes.lines if line.get_markerfacecolor() != "none" and line.get_marker() != "*"]
    places = {(x, y) for line in filled for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)}
    keys = fronts(rows, front_columns(rows))
    assert places == {(row["latency_ns"] / 1e6, row["energy_pj"] / 1e9) for row in rows if row["key"] in keys}
    (star,) = [line for line in axes.lines if line.get_marker() == "*"]
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (0.001, 0.125)  # 4 MiB + 0.0024 · 0.125 mJ


def panels(rows: Sequence[Mapping[str, Any]], *shown: str) -> list[str]:
    return [panel.title for panel in panels_of(rows, shown)]


def test_panels_are_parted_by_what_the_figure_does_not_show() -> None:
    rows = [made_row("resnet50", hw, batch, "ours", latency_cycles=5) for hw in ("edge", "cloud") for batch in (1, 4)]
    assert panels(rows, "batch", "method") == ["edge", "cloud"]
    assert panels(rows, "latency_ns", "method") == [
        "edge, batch 1",
        "edge, batch 4",
        "cloud, batch 1",
        "cloud, batch 4",
    ]
    with pytest.raises(UserError, match=r"30 panels \(must be at most 24\)"):
        draw_bars(
            [made_row("resnet50", "edge", batch, "ours", latency_cycles=5) for batch in range(1, 31)],
            Shown("hw", "method", "latency_ns"),
        )


def test_rules_of_tiling_numbers_part_panels_and_methods_without_one_stand_beside_the_usual_one() -> None:
    rows = [
        made_row("resnet50", "edge", 1, "cocco", latency_cycles=9),
        made_row("resnet50", "edge", 1, "ours", latency_cycles=5),
        made_row("resnet50", "edge", 1, "cocco", latency_cycles=7, tiling="largest"),
    ]
    assert panels(rows[:2], "batch", "method") == [""]
    usual, largest = panels_of(rows, ("batch", "method"))
    assert (usual.title, largest.title) == ("tiling output", "tiling largest")
    assert (usual.rows, largest.rows) == (rows[:2], rows[2:])
    assert panels(rows, "tiling", "method") == [""]
    (axes,) = draw_bars(rows, Shown("tiling", "method", "latency_ns")).axes
    assert sorted(height for stack in bars(axes).values() for height, _ in stack) == pytest.approx([7e-6, 9e-6])
    uncapped = [rows[0], made_row("resnet50", "edge", 1, "cocco", latency_cycles=7, uncapped=True)]
    assert panels(uncapped, "batch", "method") == ["uncapped no", "uncapped yes"]


def test_methods_can_be_told_apart_in_grey() -> None:
    greys = {
        name: np.dot(to_rgb(METHOD_COLOURS[name]), (0.299, 0.587, 0.114))
        for name in ("cocco", "paper-1", "paper-2", "ours")
    }
    assert min(abs(one - other) for one, other in combinations(greys.values(), 2)) > 0.12
    assert SCHEDULES.is_dir()
