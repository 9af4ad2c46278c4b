"""The picture: its bars are the events, nothing is missing, and it is the same file every time."""

import base64
import io
import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.patches import PathPatch
from support.browser import browser, why_no_browser
from support.execution_cases import GPT2, at_clock, execution_in, execution_of

from soma_cp.cli.reports import figure
from soma_cp.cli.reports.colours import KINDS
from soma_cp.cli.reports.figure import OCCUPANCY_OF_KIND, TILE_GREYS, draw_figure, write_figure
from soma_cp.cli.reports.reported import Reported
from soma_cp.model.hardware.quantities import MIB
from soma_cp.model.soma.dlsa import double_buffering
from soma_cp.model.soma.execution.events import WEIGHTS
from soma_cp.model.soma.execution.execution import Execution
from soma_cp.model.soma.tensors import WGT

ROW_OF_BOTTOM = {bottom: row for row, (bottom, _) in figure.ROWS.items()}


@pytest.fixture(scope="module")
def gpt2() -> Execution:
    return execution_in(GPT2)


def bars(axes: Axes) -> dict[tuple[str, str, bool], np.ndarray]:
    """Return begins and ends of the bars [n, 2] by row, colour, and whether they are hatched as stalls."""
    found = {}
    for artist in axes.get_children():
        if isinstance(artist, PathPatch):
            corners = artist.get_path().vertices.reshape(-1, 5, 2)
            if len(corners):
                row = ROW_OF_BOTTOM[corners[0, 0, 1]]
                stalled = artist.get_hatch() == figure.STALL_HATCH
                colour = artist.get_edgecolor() if stalled else artist.get_facecolor()
                found[row, to_hex(colour).upper(), stalled] = corners[:, [0, 2], 0]
    return found


def covered(begin: np.ndarray, end: np.ndarray) -> list[tuple[int, int]]:
    """Join intervals that touch."""
    joined: list[tuple[int, int]] = []
    for since, until in zip(begin.tolist(), end.tolist(), strict=True):
        if joined and joined[-1][1] == since:
            since = joined.pop()[0]
        joined.append((since, until))
    return joined


def test_bars_are_the_events(gpt2: Execution) -> None:
    events, _ = draw_figure([Reported("gpt2", gpt2)]).axes
    found, unit = bars(events), 1000
    transfers, tiles = gpt2.transfers, gpt2.tiles
    for kind, held_as in OCCUPANCY_OF_KIND.items():
        colour, own = KINDS[held_as], transfers.kind == kind
        expected = covered(transfers.begin[own], transfers.finish[own])
        assert (found["DRAM", colour, False] * unit).ravel() == pytest.approx(np.ravel(expected))
        stalls = found.get(("compute", colour, True), np.zeros((0, 2)))
        assert np.diff(stalls).sum() * unit == pytest.approx(transfers.stall[own].sum())
    for parity, grey in enumerate(TILE_GREYS):
        own = tiles.flg % 2 == parity
        expected = covered(tiles.begin[own], tiles.end[own])
        assert (found["compute", grey.upper(), False] * unit).ravel() == pytest.approx(np.ravel(expected))


@pytest.mark.parametrize("least", [0.0, 3.0, 1e9])
def test_bars_that_touch_are_parted_where_there_is_room(
    gpt2: Execution, monkeypatch: pytest.MonkeyPatch, least: float
) -> None:
    monkeypatch.setattr(figure, "LEAST_PARTED_WIDTH", least)
    events, _ = draw_figure([Reported("gpt2", gpt2)]).axes
    lines = [line for line in events.collections if to_hex(line.get_colors()[0]) == "#ffffff"]
    drawn = sorted(segment[0, 0] * 1000 for line in lines for segment in line.get_segments())
    points = (figure.WIDTH - figure.LEFT - figure.RIGHT) * 72 / gpt2.latency
    expected = []
    tiles, transfers = gpt2.tiles, gpt2.transfers
    kinds = [(transfers.begin, transfers.finish, transfers.kind == kind) for kind in OCCUPANCY_OF_KIND]
    for begin, end, own in [*kinds, *((tiles.begin, tiles.end, tiles.flg % 2 == parity) for parity in (0, 1))]:
        intervals = list(zip(begin[own].tolist(), end[own].tolist(), strict=True))
        for one, two in pairwise(intervals):
            if one[1] == two[0] and max(one[1] - one[0], two[1] - two[0]) * points >= least:
                expected.append(two[0])
    assert drawn == pytest.approx(sorted(expected))
    assert bool(drawn) == (least < 1e9)


def test_groups_and_tiling_numbers(gpt2: Execution) -> None:
    events, _ = draw_figure([Reported("gpt2", gpt2)]).axes
    found = bars(events)
    for row, groups in (("FLG tiling", gpt2.flgs), ("LG", gpt2.lgs)):
        drawn = np.concatenate([part for (place, _, _), part in found.items() if place == row]) * 1000
        assert sorted(drawn[:, 0]) == pytest.approx(groups.begin.tolist())
        assert sorted(drawn[:, 1]) == pytest.approx(groups.end.tolist())
    middle = (gpt2.flgs.begin + gpt2.flgs.end) / 2000
    labels = {text.xy[0]: text.get_text() for text in events.texts if text.xy[1] < figure.ROWS["LG"][0]}
    assert len(labels) > len(middle) / 3
    for at, label in labels.items():
        flg = int(np.argmin(abs(middle - at)))
        assert (at, label) == (pytest.approx(middle[flg]), str(gpt2.flgs.tiling_number[flg]))


def test_the_buffer_is_stacked_up_to_the_usage(gpt2: Execution) -> None:
    _, buffer = draw_figure([Reported("gpt2", gpt2)]).axes
    bands = [artist.get_path().vertices for artist in buffer.get_children() if isinstance(artist, PathPatch)]
    usage = gpt2.schedule.evaluation.usage_bytes / MIB
    tiles = len(usage)
    outline = next(band for band in reversed(bands) if len(band) == 4 * tiles)
    assert outline[: 2 * tiles : 2, 1] == pytest.approx(usage)
    assert outline[: 2 * tiles : 2, 0] == pytest.approx(gpt2.handover[:-1] / 1000)
    capacity = gpt2.schedule.plan.problem.platform.gbuf_bytes / MIB
    assert any(line.get_ydata()[0] == capacity for line in buffer.lines)


def test_schedules_share_one_time_axis_and_say_what_does_not_fit(gpt2: Execution) -> None:
    small = execution_of(gpt2.schedule.plan, double_buffering(gpt2.schedule.plan.tensors))
    drawn = draw_figure([Reported("one", gpt2), Reported("two", small)])
    longest = max(gpt2.latency, small.latency) / 1000
    assert [axes.get_xlim() for axes in drawn.axes] == [(0, pytest.approx(longest))] * 4
    titles = [axes.get_title(loc="left") for axes in drawn.axes[::2]]
    for title, execution in zip(titles, (gpt2, small), strict=True):
        over = execution.schedule.evaluation.peak_buffer_bytes > execution.schedule.plan.problem.platform.gbuf_bytes
        assert f"{execution.latency:,} cycles" in title
        assert ("exceeds the buffer" in title) == over
    legend = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert [label.split(" (")[0] for label in legend] == [
        *("weights", "ifmaps", "ofmaps to DRAM", "ofmaps on chip", "compute", "stall", "capacity")
    ]


def test_schedules_of_different_clocks_share_an_axis_in_seconds(gpt2: Execution) -> None:
    slow = at_clock(gpt2, 500_000_000)
    drawn = draw_figure([Reported("one", gpt2), Reported("two", slow)])
    microseconds = 1e6 * slow.latency / 500_000_000
    assert [axes.get_xlim() for axes in drawn.axes] == [(0, pytest.approx(microseconds))] * 4
    assert drawn.axes[-1].get_xlabel() == "time (µs)"
    for execution, events, clock in ((gpt2, drawn.axes[0], 1e9), (slow, drawn.axes[2], 5e8)):
        lgs = np.concatenate([part for (row, _, _), part in bars(events).items() if row == "LG"])
        assert sorted(lgs[:, 1]) == pytest.approx((execution.lgs.end * 1e6 / clock).tolist())
        assert f"{execution.latency:,} cycles at {clock / 1e9:g} GHz" in events.get_title(loc="left")


def test_the_svg_shows_the_hatching_of_stalls_as_the_png_does(gpt2: Execution, tmp_path: Path) -> None:
    """The widest stall in both pictures: the same share of its pixels is darker than the tint, by as much."""
    if (missing := why_no_browser()) is not None:
        pytest.skip(missing)
    svg, png = (write_figure([Reported("gpt2", gpt2)], tmp_path / f"x.{kind}", kind)[0] for kind in ("svg", "png"))
    drawn = image_of(png.read_bytes())
    tall, wide = drawn.shape[:2]
    page = tmp_path / "page.html"
    page.write_text(f'<body style="margin: 0"><img src="{svg.name}" width="{wide}" height="{tall}">', encoding="utf-8")
    with browser(tmp_path / "profile") as chromium:
        chromium.resize(wide, tall)
        chromium.driver.get(page.as_uri())
        chromium.until("return document.images[0].complete && document.images[0].naturalWidth > 0")
        shown = image_of(base64.b64decode(chromium.driver.get_screenshot_as_base64()))
    assert shown.shape == drawn.shape
    with_stall = widest_stall(gpt2, drawn.shape)
    of_png, of_svg = (hatched_share(picture[with_stall], KINDS[WEIGHTS]) for picture in (drawn, shown))
    assert of_png > 0.15
    assert of_svg == pytest.approx(of_png, rel=0.25)


def image_of(png: bytes) -> np.ndarray:
    """Return the pixels of a picture: float64[rows, columns, 3], 0 … 1."""
    return np.asarray(mpl.image.imread(io.BytesIO(png), format="png"))[..., :3].astype(float)


def widest_stall(execution: Execution, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return where the inner part of the longest stall for weights is: its rows and columns of pixels."""
    tiles, transfers = execution.tiles, execution.transfers
    stalls = [tiles.stall[p] if transfers.kind[tiles.cause[p]] == WGT else 0 for p in range(len(tiles.stall))]
    tile = int(np.argmax(stalls))
    (events, _), (tall, wide) = draw_figure([Reported("gpt2", execution)]).axes, shape[:2]
    bottom, height = figure.ROWS["compute"]
    begin, end = (tiles.begin[tile] - tiles.stall[tile]) / 1000, tiles.begin[tile] / 1000
    corners = [(0.9 * begin + 0.1 * end, bottom + 0.2 * height), (0.1 * begin + 0.9 * end, bottom + 0.8 * height)]
    (left, low), (right, high) = events.figure.transSubfigure.inverted().transform(events.transData.transform(corners))
    return slice(round((1 - high) * tall), round((1 - low) * tall)), slice(round(left * wide), round(right * wide))


def hatched_share(pixels: np.ndarray, colour: str) -> float:
    """Return the share of pixels that are at least half as dark as the lines of the hatching, from the tint on."""
    line = np.array(mpl.colors.to_rgb(colour))
    tint = figure.STALL_TINT * line + 1 - figure.STALL_TINT
    way = (pixels - tint) @ (line - tint) / ((line - tint) @ (line - tint))
    return float((way > 0.5).mean())


@pytest.mark.parametrize("format", ["svg", "png", "pdf"])
def test_the_same_schedule_gives_the_same_bytes(gpt2: Execution, tmp_path: Path, format: str) -> None:
    reported = [Reported("a $name$ that is no <formula>", gpt2)]
    one = write_figure(reported, tmp_path / "one", format)[0].read_bytes()
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "red"}):  # the user's settings don't matter
        two = write_figure(reported, tmp_path / "two", format)[0].read_bytes()
    assert one == two
    if format == "svg":
        assert ElementTree.fromstring(one).tag.endswith("svg")


def test_drawing_leaves_the_settings_of_matplotlib_alone(gpt2: Execution, tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    write_figure([Reported("gpt2", gpt2)], tmp_path / "x.svg", "svg")
    assert dict(mpl.rcParams) == before
