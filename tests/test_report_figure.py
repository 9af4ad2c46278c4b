"""The picture: its bars are the events, nothing is missing, and it is the same file every time."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from execution_cases import execution_of
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.patches import PathPatch

from soma_cp.cli.reports import figure
from soma_cp.cli.reports.figure import COLOURS, OCCUPANCY_OF_KIND, TILE_GREYS, draw_figure, write_figure
from soma_cp.cli.reports.reported import Reported
from soma_cp.model.dlsa import double_buffering
from soma_cp.model.execution import Execution
from soma_cp.model.platform import MIB
from soma_cp.model.schedule_file import read_schedule

SCHEDULES = Path(__file__).parent / "data" / "published" / "schedules"
ROW_OF_BOTTOM = {bottom: row for row, (bottom, _) in figure.ROWS.items()}


@pytest.fixture(scope="module")
def gpt2() -> Execution:
    stored = read_schedule(SCHEDULES / "gpt2-small-prefill.b1.8MiB.16GBps.json")
    return execution_of(stored.plan, stored.dlsa)


def bars(axes: Axes) -> dict[tuple[str, str, bool], np.ndarray]:
    """Return begins and ends of the bars [n, 2] by row, colour, and whether they are tinted as stalls."""
    found = {}
    for artist in axes.get_children():
        if isinstance(artist, PathPatch):
            corners = artist.get_path().vertices.reshape(-1, 5, 2)
            if len(corners):
                row = ROW_OF_BOTTOM[corners[0, 0, 1]]
                tinted = artist.get_facecolor()[3] < 1
                found[row, to_hex(artist.get_facecolor()).upper(), tinted] = corners[:, [0, 2], 0]
    return found


@pytest.mark.parametrize("edge", [0.0, 1e9], ids=["one by one", "joined"])
def test_bars_are_the_events(gpt2: Execution, monkeypatch: pytest.MonkeyPatch, edge: float) -> None:
    monkeypatch.setattr(figure, "LEAST_EDGED_WIDTH", edge)
    events, _ = draw_figure([Reported("gpt2", gpt2)]).axes
    found, unit = bars(events), 1000
    transfers, tiles = gpt2.transfers, gpt2.tiles
    for kind, held_as in OCCUPANCY_OF_KIND.items():
        colour, own = COLOURS[held_as], transfers.kind == kind
        drawn = found["DRAM", colour, False] * unit
        assert np.diff(drawn).sum() == pytest.approx((transfers.finish - transfers.begin)[own].sum())
        if edge == 0:
            assert drawn.ravel() == pytest.approx(np.column_stack([transfers.begin, transfers.finish])[own].ravel())
        stalls = found.get(("compute", colour, True), np.zeros((0, 2)))
        assert np.diff(stalls).sum() * unit == pytest.approx(transfers.stall[own].sum())
    computing = [found["compute", grey.upper(), False] * unit for grey in TILE_GREYS]
    assert sum(np.diff(part).sum() for part in computing) == pytest.approx(gpt2.compute_busy)
    assert min(part.min() for part in computing) == pytest.approx(tiles.begin[0])


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
    usage = gpt2.evaluation.usage_bytes / MIB
    tiles = len(usage)
    outline = next(band for band in reversed(bands) if len(band) == 4 * tiles)
    assert outline[: 2 * tiles : 2, 1] == pytest.approx(usage)
    assert outline[: 2 * tiles : 2, 0] == pytest.approx(gpt2.handover[:-1] / 1000)
    capacity = gpt2.plan.problem.platform.gbuf_bytes / MIB
    assert any(line.get_ydata()[0] == capacity for line in buffer.lines)


def test_schedules_share_one_time_axis_and_say_what_does_not_fit(gpt2: Execution) -> None:
    small = execution_of(gpt2.plan, double_buffering(gpt2.plan))
    drawn = draw_figure([Reported("one", gpt2), Reported("two", small)])
    longest = max(gpt2.latency, small.latency) / 1000
    assert [axes.get_xlim() for axes in drawn.axes] == [(0, pytest.approx(longest))] * 4
    titles = [axes.get_title(loc="left") for axes in drawn.axes[::2]]
    for title, execution in zip(titles, (gpt2, small), strict=True):
        over = execution.evaluation.peak_buffer_bytes > execution.plan.problem.platform.gbuf_bytes
        assert f"{execution.latency:,} cycles" in title
        assert ("exceeds the buffer" in title) == over
    legend = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert [label.split(" (")[0] for label in legend] == [
        *("weights", "ifmaps", "ofmaps to DRAM", "ofmaps on chip", "compute", "stall", "capacity")
    ]


@pytest.mark.parametrize("format", ["svg", "png", "pdf"])
def test_the_same_schedule_gives_the_same_bytes(gpt2: Execution, tmp_path: Path, format: str) -> None:
    reported = [Reported("a $name$ that is no <formula>", gpt2)]
    one, two = (write_figure(reported, tmp_path / name, format)[0].read_bytes() for name in ("one", "two"))
    assert one == two
    if format == "svg":
        assert ElementTree.fromstring(one).tag.endswith("svg")


def test_drawing_leaves_the_settings_of_matplotlib_alone(gpt2: Execution, tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    write_figure([Reported("gpt2", gpt2)], tmp_path / "x.svg", "svg")
    assert dict(mpl.rcParams) == before
