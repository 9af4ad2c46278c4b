"""The HTML report in a real browser: what is drawn, hovering, zooming, clicking."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from support.browser import SOURCE, Browser, browser, why_no_browser
from support.execution_cases import GPT2, SCHEDULES, at_clock, execution_in, execution_of
from support.nasty_names import NASTY, nasty_execution

from soma_cp.cli.reports.reported import Reported
from soma_cp.model.hardware.quantities import MIB
from soma_cp.model.soma.dlsa import double_buffering
from soma_cp.model.soma.execution.events import OFMAPS_TO_STORE
from soma_cp.model.soma.execution.execution import Execution
from soma_cp.model.soma.tensors import IFM, OFM, WGT

pytestmark = pytest.mark.skipif(why_no_browser() is not None, reason=str(why_no_browser()))

MANY_ITEMS = SCHEDULES / "resnet50.b4.8MiB.16GBps.json"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


def write_page(executions: list[Execution], path: Path, name: str = "schedule") -> Path:
    from soma_cp.cli.reports.html.page import write_html

    write_html([Reported(f"{name} {i}", execution) for i, execution in enumerate(executions)], path)
    return path


@pytest.fixture(scope="module")
def both() -> list[Execution]:
    gpt2 = execution_in(GPT2)
    return [gpt2, execution_of(gpt2.schedule.plan, double_buffering(gpt2.schedule.plan.tensors))]


@pytest.fixture(scope="module")
def page(both: list[Execution], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(both, tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture
def opened(chromium: Browser, page: Path) -> Browser:
    chromium.open(page)
    return chromium


def counts(execution: Execution) -> dict[str, int]:
    kinds = execution.transfers.kind.tolist()
    return {
        "lg": len(execution.lgs.first),
        "flg": len(execution.flgs.first),
        "weights": kinds.count(WGT),
        "ifmaps": kinds.count(IFM),
        "stores": kinds.count(OFM),
        "idle": len(execution.gaps.begin),
        "tiles": len(execution.tiles.begin),
        "stalls": int((execution.tiles.stall > 0).sum()),
    }


def drawn(chromium: Browser, lane: str) -> int:
    """Return how many items of a lane are drawn, alone or within a block."""
    return len(chromium.data(f"items {lane}")["left"]) + sum(chromium.data(f"blocks {lane}")["count"])


def test_everything_is_drawn_without_errors(opened: Browser, both: list[Execution]) -> None:
    for index, execution in enumerate(both):
        assert {lane: drawn(opened, f"{lane} {index}") for lane in counts(execution)} == counts(execution)
        buffer = opened.data(f"shown buffer {index}")
        assert opened.run(f"return {SOURCE}('buffer {index}').y_range.end") > 8
        assert max(buffer["top3"]) * MIB == execution.schedule.evaluation.peak_buffer_bytes
    assert opened.errors() == []


def test_many_items_are_drawn_as_blocks_until_one_zooms_in(chromium: Browser, tmp_path: Path) -> None:
    execution = execution_in(MANY_ITEMS)
    chromium.open(write_page([execution], tmp_path / "many.html"))
    assert {lane: drawn(chromium, f"{lane} 0") for lane in counts(execution)} == counts(execution)
    blocks = chromium.data("blocks tiles 0")
    alone = chromium.data("items tiles 0")
    assert blocks["count"]
    assert sum(blocks["cycles"]) + sum(alone["cycles"]) == execution.compute_busy
    buffer = chromium.data("shown buffer 0")
    held = execution.schedule.evaluation.usage_bytes
    for left, right, total in zip(buffer["left"], buffer["right"], buffer["total"], strict=True):
        within = held[(execution.handover[:-1] >= left) & (execution.handover[1:] <= right)]
        assert total * MIB == within.max(initial=0)
    assert 1 < len(buffer["left"]) < len(held)
    middle = blocks["left"][0]
    chromium.zoom(*chromium.place("events 0", middle, 1.5), steps=12)
    chromium.until("return Bokeh.documents[0].get_model_by_name('blocks tiles 0').data.left.length === 0")
    assert chromium.data("items tiles 0")["left"]
    assert chromium.errors() == []


def test_stalls_have_the_colour_of_what_they_wait_for(opened: Browser, both: list[Execution]) -> None:
    from soma_cp.cli.reports.colours import OCCUPANCY_OF_KIND
    from soma_cp.cli.reports.html.palette import KINDS

    opened.run(f"{SOURCE}('time').setv({{bounds: null, end: 100 * {SOURCE}('time').end}})")
    opened.until(f"return [0, 1].every(i => {SOURCE}(`blocks stalls ${{i}}`).data.left.length > 0)")
    for index, execution in enumerate(both):
        tiles, colours = execution.tiles, opened.data(f"all stalls {index}")["colour"]
        waits = zip(tiles.cause[tiles.stall > 0].tolist(), tiles.stall[tiles.stall > 0].tolist(), strict=True)
        of_kinds = [(KINDS[OCCUPANCY_OF_KIND[int(execution.transfers.kind[cause])]], stall) for cause, stall in waits]
        assert colours == [colour for colour, _ in of_kinds]
        assert len(set(colours)) > 1
        blocks, items = opened.data(f"blocks stalls {index}"), opened.data(f"items stalls {index}")
        begin = [*opened.data(f"all stalls {index}")["left"]]
        for left, right, colour in zip(blocks["left"], blocks["right"], blocks["colour"], strict=True):
            cycles = dict.fromkeys(KINDS.values(), 0)
            for since, (own, stall) in zip(begin, of_kinds, strict=True):
                cycles[own] += stall if left <= since < right else 0
            assert cycles[colour] == max(cycles.values())
        drawn = dict(zip(items["left"], items["colour"], strict=True))
        assert drawn.items() <= dict(zip(begin, colours, strict=True)).items()


def test_borders_of_groups_are_drawn_where_they_have_room(opened: Browser, both: list[Execution]) -> None:
    inner = f"{SOURCE}('events 0').inner_width"
    pixel = opened.run(f"return {SOURCE}('time').end / {inner}")
    begins = both[0].flgs.begin[1:].tolist()
    assert [cut for cut in opened.data("items flg 0")["cut"] if cut is not None] == begins
    shortest = min(after - before for before, after in pairwise(begins))
    opened.run(f"{SOURCE}('time').setv({{bounds: null, end: {shortest / 5} * {inner}}})")  # five pixels
    opened.until(f"return {SOURCE}('items flg 0').data.cut.filter(cut => cut > 0).length < {len(begins)}")
    cuts = [cut for cut in opened.data("items flg 0")["cut"] if cut is not None]
    assert cuts
    assert all(after - before >= 16 * shortest / 5 for before, after in pairwise(cuts))
    assert pixel < shortest / 5


def test_every_button_beside_a_chart_has_room(opened: Browser) -> None:
    for chart in ("events 0", "buffer 0"):
        toolbar = f"Bokeh.index.find_one_by_id({SOURCE}('{chart}').toolbar.id)"
        assert opened.run(f"return {toolbar}._overflow_menu.items.length") == 0
        names = opened.run(f"return {SOURCE}('{chart}').toolbar.tools.map(tool => tool.filename).filter(name => name)")
        assert names == [chart.replace(" ", "-")]


def test_charts_are_aligned_and_zoom_together(opened: Browser, both: list[Execution]) -> None:
    charts = ("events 0", "buffer 0", "events 1", "buffer 1")
    for cycle in (0, both[0].latency):
        assert len({opened.place(chart, cycle, 0)[0] for chart in (*charts, "overview")}) == 1
    middle = both[0].latency / 2
    opened.zoom(*opened.place("events 1", middle, 4), steps=2)
    opened.until("const time = Bokeh.documents[0].get_model_by_name('time'); return time.start > 0")
    for cycle in (middle, middle * 1.1):
        assert len({opened.place(chart, cycle, 0)[0] for chart in charts}) == 1
    assert drawn(opened, "tiles 1") < len(both[1].tiles.begin)
    assert opened.errors() == []


def test_the_wheel_alone_scrolls_the_page(opened: Browser, both: list[Execution]) -> None:
    x, y = opened.place("events 0", both[0].latency / 2, 4)
    opened.mouse("mouseWheel", x, y, deltaX=0, deltaY=100)
    opened.until("return scrollY > 0")
    assert opened.run("return Bokeh.documents[0].get_model_by_name('time').end") == max(one.latency for one in both)


def longest_load(chromium: Browser) -> tuple[int, float, float]:
    """Return the row of the longest load of weights, and where on the screen it is."""
    loads = chromium.data("items weights 0")
    row = max(range(len(loads["left"])), key=lambda i: loads["right"][i] - loads["left"][i])
    x, y = chromium.place("events 0", (loads["left"][row] + loads["right"][row]) / 2, lane_middle("weights"))
    return row, x, y


def lane_middle(name: str) -> float:
    from soma_cp.cli.reports.html.charts import GAP, LANES

    top = sum(style.height + GAP for style in LANES.values())
    for key, style in LANES.items():
        if key == name:
            return top - style.height / 2
        top -= style.height + GAP
    raise KeyError(name)


def test_a_buffer_that_is_hardly_used_is_drawn_up_to_its_peak(chromium: Browser, tmp_path: Path) -> None:
    from soma_cp.cli.reports.buffer_axis import HEADROOM

    tiny = nasty_execution()
    chromium.open(write_page([tiny], tmp_path / "hardly.html"))
    peak = tiny.schedule.evaluation.peak_buffer_bytes / MIB
    assert chromium.run(f"return {SOURCE}('buffer 0').y_range.end") == pytest.approx(HEADROOM * peak)
    titles = chromium.run(f"return {SOURCE}('buffer 0').above.map(one => one.text)")
    assert titles == ["the capacity, 8 MiB, lies far above"]


def test_what_is_narrower_than_a_pixel_is_seen_and_told(chromium: Browser, tmp_path: Path) -> None:
    tiny = nasty_execution()
    chromium.open(write_page([tiny], tmp_path / "narrow.html"))
    pixel = 2 * tiny.latency  # as if beside a schedule that is thousands of times longer
    chromium.run(f"{SOURCE}('time').setv({{bounds: null, end: {pixel} * {SOURCE}('events 0').inner_width}})")
    chromium.until(f"return {SOURCE}('items tiles 0').data.left.length === 0")
    for lane in counts(tiny):
        for source in (f"items {lane} 0", f"blocks {lane} 0"):
            drawn = chromium.data(source)
            for left, right in zip(drawn["drawn_left"], drawn["drawn_right"], strict=True):
                assert (right - left) / pixel > 1.9
    held = chromium.data("shown buffer 0")
    assert held["left"][-1] / pixel > 1.9
    x, y = chromium.place("events 0", 0, lane_middle("tiles"))
    chromium.hover(x + 1, y)
    chromium.text_with("items")
    chromium.click(x + 1, y)
    chromium.until("return document.getElementById('note-0').textContent.startsWith('ofmap of tile')")
    chromium.click(x + 8, y)
    chromium.until("return document.getElementById('note-0').textContent.startsWith('Click')")
    assert chromium.errors() == []


def test_hovering_tells_what_it_is_and_what_waits_for_it(opened: Browser) -> None:
    row, x, y = longest_load(opened)
    loads = opened.data("items weights 0")
    opened.hover(x, y)
    text = opened.text_with(f"{loads['bytes'][row]:,} bytes")
    assert loads["name"][row] in text
    assert f"Start {loads['start'][row]}, End {loads['end'][row]}" in text
    assert loads["gated"][row] in text


def bottoms_of_outline(chromium: Browser) -> list[float]:
    """Return the bottom of the selected tensor's outline at each step."""
    outline, (height,) = chromium.data("outline 0"), chromium.data("living 0")["top"]
    tops, bottoms = outline["y"][: len(outline["y"]) // 2], outline["y"][len(outline["y"]) // 2 :][::-1]
    assert tops == pytest.approx([bottom + height for bottom in bottoms])
    return bottoms[::2]


def bottoms_of_band(chromium: Browser, kind: int) -> list[float]:
    """Return the bottom of a kind's band at each step while the selected tensor lives."""
    living, shown = chromium.data("living 0"), chromium.data("shown buffer 0")
    steps = zip(shown["left"], shown["right"], strict=True)
    alive = [since < living["right"][0] and until > living["left"][0] for since, until in steps]
    below = [sum(held) for held in zip([0.0] * len(alive), *(shown[f"kind{row}"] for row in range(kind)), strict=True)]
    return [bottom for bottom, own in zip(below, alive, strict=True) if own]


def test_a_click_marks_living_duration_and_consumers(opened: Browser, both: list[Execution]) -> None:
    row, x, y = longest_load(opened)
    loads = opened.data("items weights 0")
    opened.click(x, y)
    opened.until("return Bokeh.documents[0].get_model_by_name('living 0').data.left.length === 1")
    living = opened.data("living 0")
    assert (living["left"], living["right"]) == ([loads["hold_begin"][row]], [loads["hold_end"][row]])
    assert living["top"] == [loads["bytes"][row] / MIB]
    uses = both[0].transfer_uses(loads["place"][row])
    positions = sorted(position for use in uses for position in use.tiles)
    assert opened.data("all readers 0")["left"] == both[0].tiles.begin[positions].tolist()
    assert f"{loads['bytes'][row]:,} bytes" in opened.run("return document.getElementById('note-0').textContent")
    assert bottoms_of_outline(opened) == bottoms_of_band(opened, 0)
    # A click on a tile selects the ofmap that it makes; a click on an empty spot ends this.
    middle = (both[0].tiles.begin[-1] + both[0].tiles.end[-1]) / 2
    opened.click(*opened.place("events 0", middle, lane_middle("tiles")))
    opened.until("return document.getElementById('note-0').textContent.startsWith('ofmap of tile')")
    opened.until(f"return {SOURCE}('outline 0').data.y[0] > {SOURCE}('living 0').data.top[0]")
    assert opened.data("living 0")["kind"] == [OFMAPS_TO_STORE]  # the network's output
    assert bottoms_of_outline(opened) == bottoms_of_band(opened, OFMAPS_TO_STORE)
    opened.click(*opened.place("events 0", both[0].latency / 2, lane_middle("readers")))
    opened.until("return Bokeh.documents[0].get_model_by_name('living 0').data.left.length === 0")
    assert opened.errors() == []


def test_names_do_not_break_the_page(chromium: Browser, tmp_path: Path) -> None:
    execution = nasty_execution()
    chromium.open(write_page([execution], tmp_path / "nasty.html"))
    assert chromium.run("return document.querySelectorAll('b, i, u').length") == 0
    middle = (execution.tiles.begin[0] + execution.tiles.end[0]) / 2
    chromium.hover(*chromium.place("events 0", middle, lane_middle("tiles")))
    assert f"tile 0: {NASTY}[0]" in chromium.text_with("stalled before")
    assert chromium.errors() == []


TABLES_BEYOND = """
return [...document.querySelectorAll(".grid > div")].filter(own =>
  [...own.children].some(one => one.getBoundingClientRect().right > own.getBoundingClientRect().right + 1)).length"""
"""The number of grid cells that something sticks out of."""
HOVER_BOXES = """
function boxes(node, found) {
  const is_box = node.matches?.(".bk-Tooltip, .bk-tooltip-content") && node.innerText
  if (is_box) found.push([node.scrollWidth, node.clientWidth])
  if (node.shadowRoot) boxes(node.shadowRoot, found)
  for (const child of node.children) boxes(child, found)
  return found
}
return boxes(document.body, [])"""
"""Inner and visible widths of hover boxes."""


@pytest.mark.parametrize("width", [1280, 1920])
def test_long_names_stay_within_their_place(chromium: Browser, tmp_path: Path, width: int) -> None:
    long = "a_name_without_spaces." * 20
    execution = nasty_execution(long)
    path = write_page([execution] * 2, tmp_path / "long.html", name=long)
    chromium.resize(width, 1800)
    try:
        chromium.open(path)
        assert chromium.run("return document.documentElement.scrollWidth <= innerWidth")
        assert chromium.run(TABLES_BEYOND) == 0
        tiles = chromium.data("items tiles 0")
        assert any("…" in label for label in chromium.data("items stalls 0")["label"])
        chromium.hover(*chromium.place("events 0", tiles["middle"][0], lane_middle("tiles")))
        chromium.text_with("stalled before")
        boxes = chromium.run(HOVER_BOXES)
        assert len(boxes) == 1
        for scroll_width, client_width in boxes:
            assert scroll_width <= client_width
    finally:
        chromium.resize(1280, 1800)
    assert chromium.errors() == []


def test_a_narrow_flg_still_tells_its_tiling_number(opened: Browser, both: list[Execution]) -> None:
    flgs = both[0].flgs
    begin, cycles = int(flgs.begin[0]), int(flgs.end[0] - flgs.begin[0])
    number = int(flgs.tiling_number[0])
    for pixels, label in ((90, f"FLG 0 ×{number}"), (30, f"×{number}"), (10, "")):
        end = f"{begin} + {cycles / pixels} * {SOURCE}('events 0').inner_width"
        opened.run(f"{SOURCE}('time').setv({{bounds: null, start: {begin}, end: {end}}})")
        opened.until(f"return {SOURCE}('items flg 0').data.label[0] === '{label}'")


def test_a_click_on_a_layer_zooms_and_the_pointer_marks_it(opened: Browser, both: list[Execution]) -> None:
    name = both[0].schedule.lfa.computing_order[-1]
    opened.run("const shown = document.getElementById('layer-shown'); shown.value = 'all 0'; "
               "shown.dispatchEvent(new Event('change'))")  # fmt: skip
    row = f"document.querySelector('tr[data-layer=\"{name}\"]')"
    opened.run(f"{row}.dispatchEvent(new PointerEvent('pointerover', {{bubbles: true}}))")
    opened.until(f"return {SOURCE}('marks 0').data.drawn_left.length > 0")
    tiles = both[0].tiles
    own = tiles.layer == both[0].schedule.problem.network.layer_id[name]
    marks = opened.data("marks 0")
    assert tiles.begin[own].min() in marks["drawn_left"]
    assert tiles.end[own].max() in marks["drawn_right"]
    assert opened.data("marks 1")["drawn_left"] == []
    opened.run("document.querySelector('#layer-table tbody').dispatchEvent(new PointerEvent('pointerleave'))")
    opened.until(f"return {SOURCE}('marks 0').data.drawn_left.length === 0")
    opened.run(f"{row}.querySelector('button').click()")
    opened.until(f"return {SOURCE}('time').start > 0")
    start, end = opened.run(f"return [{SOURCE}('time').start, {SOURCE}('time').end]")
    assert start <= tiles.begin[own].min() < tiles.end[own].max() <= end
    assert end - start < 0.5 * both[0].latency
    assert opened.errors() == []


LAYERS = "return [...document.querySelectorAll('#layer-table tbody tr')].map(row => row.dataset.layer)"


def sort_by(chromium: Browser, title: str) -> str:
    """Click on a heading; return how the column is sorted then."""
    head = f"[...document.querySelectorAll('#layer-table th')].find(cell => cell.textContent.startsWith('{title}'))"
    chromium.run(f"{head}.querySelector('button').click()")
    return str(chromium.run(f"return {head}.getAttribute('aria-sort')"))


def test_the_table_of_layers_is_sorted_and_searched(opened: Browser, both: list[Execution]) -> None:
    from soma_cp.model.soma.execution.execution_tables import layer_table

    order = list(both[0].schedule.lfa.computing_order)
    assert opened.run(LAYERS) == order
    stalls = [dict(zip(order, layer_table(one).stall_cycles.tolist(), strict=True)) for one in both]
    difference = {name: stalls[1][name] - stalls[0][name] for name in order}
    assert sort_by(opened, "difference") == "descending"
    assert opened.run(LAYERS) == sorted(order, key=lambda name: -difference[name])
    texts = opened.run("return [...document.querySelectorAll('#layer-table tr')].map(row => row.lastChild.textContent)")
    largest = max(difference.values())
    assert texts[:2] == ["difference (cycles)", f"+{largest:,}" if largest > 0 else f"{largest:,}"]
    assert sort_by(opened, "difference") == "ascending"
    assert opened.run(LAYERS) == sorted(order, key=difference.__getitem__)
    assert sort_by(opened, "difference") == "none"
    opened.run("const search = document.getElementById('layer-search'); search.value = 'FFN'; "
               "search.dispatchEvent(new Event('input'))")  # fmt: skip
    found = [name for name in order if "ffn" in name]
    assert opened.run(LAYERS) == found
    assert opened.run("return document.getElementById('layer-count').textContent").startswith(f"{len(found)} of ")
    assert opened.errors() == []


def test_the_table_of_layers_works_with_keys(opened: Browser, both: list[Execution]) -> None:
    from selenium.webdriver.common.keys import Keys

    order = list(both[0].schedule.lfa.computing_order)
    stops = "return document.querySelectorAll('#layer-table tbody button[tabindex=\"0\"]').length"
    assert opened.run(stops) == 1
    opened.run("document.querySelector('#layer-table tbody button').focus()")
    focused = "return document.activeElement.closest('tr').dataset.layer"
    for key, name in ((Keys.DOWN, order[1]), (Keys.END, order[-1]), (Keys.UP, order[-2]), (Keys.HOME, order[0])):
        opened.driver.switch_to.active_element.send_keys(key)
        assert opened.run(focused) == name
    assert opened.run(stops) == 1
    opened.driver.switch_to.active_element.send_keys(Keys.ENTER)
    opened.until(f"return {SOURCE}('time').end < {both[0].latency}")


def test_a_click_in_the_chart_points_to_the_row_of_the_layer(opened: Browser, both: list[Execution]) -> None:
    middle = (both[0].tiles.begin[-1] + both[0].tiles.end[-1]) / 2
    opened.click(*opened.place("events 0", middle, lane_middle("tiles")))
    opened.until("return document.querySelector('tr.picked') !== null")
    picked = opened.run("return document.querySelector('tr.picked').dataset.layer")
    assert picked == both[0].schedule.problem.network.layers[both[0].tiles.layer[-1]].name


def test_the_overview_moves_the_view_by_dragging_buttons_and_keys(opened: Browser, both: list[Execution]) -> None:
    from selenium.webdriver.common.keys import Keys

    longest = max(one.latency for one in both)
    seen = f"return [{SOURCE}('time').start, {SOURCE}('time').end]"
    opened.run("document.querySelector('[data-move=closer]').click()")
    assert opened.run(seen) == pytest.approx([longest / 4, 3 * longest / 4])
    assert opened.run("return document.getElementById('time-shown').textContent").endswith("cycles")
    bar = opened.driver.find_element("id", "time-bar")
    bar.send_keys(Keys.ARROW_RIGHT)
    assert opened.run(seen) == pytest.approx([3 * longest / 8, 7 * longest / 8])
    bar.send_keys("0")
    assert opened.run(seen) == [0, longest]
    bar.send_keys("+")
    x, y = opened.place("overview", longest / 2, 2)
    to, _ = opened.place("overview", longest * 0.6, 2)
    opened.hover(x, y)
    opened.mouse("mousePressed", x, y, button="left", clickCount=1)
    for step in range(1, 6):
        opened.mouse("mouseMoved", x + (to - x) * step / 5, y, button="left", buttons=1)
    opened.mouse("mouseReleased", to, y, button="left", clickCount=1)
    opened.until(f"return {SOURCE}('time').start > {0.3 * longest}")
    assert opened.run(seen) == pytest.approx([0.35 * longest, 0.85 * longest], rel=0.02)
    assert opened.errors() == []


def wants(chromium: Browser, scheme: str, media: str = "screen") -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    chromium.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})


def test_dark_mode_follows_the_system_and_the_switch(opened: Browser) -> None:
    from soma_cp.cli.reports.html.palette import DARK, INK, PAPER

    background = f"return {SOURCE}('events 0').background_fill_color"
    ink = f"return {SOURCE}('events 0').left[0].major_label_text_color"
    paper = "return getComputedStyle(document.body).backgroundColor"
    try:
        for scheme, shade in (("light", PAPER), ("dark", DARK[PAPER])):
            wants(opened, scheme)
            opened.until(f"{background} === '{shade}'")
            rgb = ", ".join(str(int(shade[i : i + 2], 16)) for i in (1, 3, 5))
            assert opened.run(paper) == f"rgb({rgb})"
        assert opened.run(ink) == DARK[INK]
        stall = opened.run(f"return [...{SOURCE}('items stalls 1').data.colour]")
        assert set(stall) <= set(DARK.values())
        assert opened.run("return document.getElementById('dark').getAttribute('aria-checked')") == "true"
        opened.run("document.getElementById('dark').click()")  # the system wants dark, the reader light
        opened.until(f"{background} === '{PAPER}'")
        opened.run("document.getElementById('dark').click(); dispatchEvent(new Event('beforeprint'))")
        assert opened.run(background) == PAPER  # paper is white
        opened.run("dispatchEvent(new Event('afterprint'))")
        assert opened.run(background) == DARK[PAPER]
    finally:
        wants(opened, "light")
    assert opened.errors() == []


def test_schedules_of_two_clocks_share_an_axis_of_time(
    chromium: Browser, both: list[Execution], tmp_path: Path
) -> None:
    slow = at_clock(both[0], 500_000_000)
    chromium.open(write_page([both[0], slow], tmp_path / "clocks.html"))
    for index, (execution, microseconds) in enumerate(((both[0], 1e-3), (slow, 2e-3))):
        drawn = chromium.data(f"items tiles {index}")
        widest = int(np.argmax(np.subtract(drawn["right"], drawn["left"])))
        assert drawn["drawn_right"][widest] == pytest.approx(drawn["right"][widest] * microseconds)
        assert drawn["right"][widest] in execution.tiles.end
    assert chromium.run(f"return {SOURCE}('buffer 0').below[0].axis_label") == "time (µs)"
    assert chromium.run(f"return {SOURCE}('time').end") == pytest.approx(2e-3 * slow.latency)
    middle = (slow.tiles.begin[-1] + slow.tiles.end[-1]) / 2
    chromium.click(*chromium.place("events 1", middle * 2e-3, lane_middle("tiles")))
    chromium.until("return document.getElementById('note-1').textContent.startsWith('ofmap of tile')")
    assert chromium.data("living 1")["drawn_left"][0] == pytest.approx(chromium.data("living 1")["left"][0] * 2e-3)
    chromium.hover(*chromium.place("events 1", middle * 2e-3, lane_middle("tiles")))
    assert f"from {slow.tiles.begin[-1]:,} to {slow.tiles.end[-1]:,}" in chromium.text_with("stalled before")
    assert chromium.errors() == []


def test_a_narrow_page_does_not_scroll_sideways(chromium: Browser, page: Path) -> None:
    chromium.resize(400, 900)
    try:
        chromium.open(page)
        assert chromium.run("return document.documentElement.scrollWidth") <= 400
    finally:
        chromium.resize(1280, 1800)


def test_labels_are_cut_in_the_middle(opened: Browser, both: list[Execution]) -> None:
    lanes = [f"{lane} {index}" for lane in ("tiles", "stalls", "idle") for index in range(len(both))]
    labels = [label for lane in lanes for label in opened.data(f"items {lane}")["label"] if "…" in label]
    full = [label for lane in lanes for label in opened.data(f"all {lane}")["label"]]
    assert labels
    for label in labels:
        head, tail = label.split("…")
        assert tail
        assert any(name.startswith(head) and name.endswith(tail) for name in full)
