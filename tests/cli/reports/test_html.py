"""The HTML report without a browser: its data are the execution's events, and nothing in it breaks the page."""

import json
import sys
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from support.execution_cases import GPT2, at_clock, execution_in, execution_of, executions
from support.nasty_names import NASTY, nasty_execution
from support.twins import examples

from soma_cp.cli.commands.report import ReportOptions, run_report
from soma_cp.cli.reports.html.columns import (
    KIND_COLUMNS,
    Columns,
    buffer_columns,
    flg_columns,
    idle_columns,
    lg_columns,
    stall_columns,
    tile_columns,
    tile_numbers,
    transfer_columns,
)
from soma_cp.cli.reports.html.layers import COLUMNS, layers_document
from soma_cp.cli.reports.html.names import common_prefix
from soma_cp.cli.reports.html.summary import advice_lines, bounds_of, difference_text, figure_rows, stalls
from soma_cp.cli.reports.reported import Reported, shared_time
from soma_cp.model.errors import UserError
from soma_cp.model.hardware.quantities import MIB
from soma_cp.model.soma.dlsa import double_buffering
from soma_cp.model.soma.execution.events import OFMAPS_ON_CHIP
from soma_cp.model.soma.execution.execution import Execution
from soma_cp.model.soma.execution.execution_tables import layer_table
from soma_cp.model.soma.figures import Unit
from soma_cp.model.soma.tensors import IFM, OFM, WGT
from soma_cp.solver.advice.advise import advise


@pytest.fixture(scope="module")
def gpt2() -> Execution:
    return execution_in(GPT2)


@pytest.fixture(scope="module")
def both(gpt2: Execution) -> list[Reported]:
    doubled = execution_of(gpt2.schedule.plan, double_buffering(gpt2.schedule.plan.tensors))
    return [Reported("gpt2", gpt2, {"second_stage": "SA", "seed": 7}, 1), Reported("gpt2, double buffering", doubled)]


@pytest.fixture(scope="module")
def page(both: list[Reported]) -> "Page":
    from soma_cp.cli.reports.html.page import page_text

    return Page(page_text(both))


# Columns.


def columns_of(execution: Execution) -> dict[str, Columns]:
    return {
        "lg": lg_columns(execution),
        "flg": flg_columns(execution),
        "weights": transfer_columns(execution, WGT),
        "ifmaps": transfer_columns(execution, IFM),
        "stores": transfer_columns(execution, OFM),
        "idle": idle_columns(execution),
        "tiles": tile_columns(execution),
        "stalls": stall_columns(execution),
        "buffer": buffer_columns(execution),
    }


@examples(40)
@given(executions())
def test_columns_hold_every_event_once(execution: Execution) -> None:
    columns = columns_of(execution)
    plan = execution.schedule.plan
    for lane in columns.values():
        assert len({len(values) for values in lane.values()}) == 1
        assert (np.asarray(lane["left"]) <= np.asarray(lane["right"])).all()
        assert (np.diff(lane["left"]) >= 0).all()  # the search for items in view relies on this
        assert (np.diff(lane["right"]) >= 0).all()
    transfers = [columns[name] for name in ("weights", "ifmaps", "stores")]
    assert sorted(place for lane in transfers for place in lane["place"]) == list(range(plan.dram_tensor_count))
    assert sum(int(np.sum(lane["bytes"])) for lane in transfers) == plan.tensors.bytes.sum()
    assert sum(int(np.sum(lane["cycles"])) for lane in transfers) == execution.dram_busy
    assert columns["tiles"]["cycles"].sum() == execution.compute_busy
    assert columns["stalls"]["cycles"].sum() == execution.stall_cycles
    assert columns["idle"]["cycles"].sum() == execution.gaps.end.sum() - execution.gaps.begin.sum()
    held = sum(columns["buffer"][kind] for kind in KIND_COLUMNS) * MIB
    assert held.tolist() == execution.schedule.evaluation.usage_bytes.tolist()
    assert columns["buffer"]["right"][-1] == execution.latency


@examples(40)
@given(executions())
def test_every_tile_has_the_ofmap_that_it_makes(execution: Execution) -> None:
    tiles = tile_columns(execution)
    assert list(tiles["start"]) == list(range(execution.schedule.plan.tile_count))
    on_chip = sum(size for size, kept in zip(tiles["bytes"], tiles["kept"], strict=True) if kept == "stays on chip")
    assert on_chip == execution.on_chip.bytes.sum()
    # Each ofmap on chip is held at every position of its Living Duration.
    held = np.zeros(execution.schedule.plan.tile_count, np.int64)
    for start, end, size, kept in zip(tiles["start"], tiles["end"], tiles["bytes"], tiles["kept"], strict=True):
        held[start:end] += size * (kept == "stays on chip")
    assert held.tolist() == execution.occupancy[OFMAPS_ON_CHIP].tolist()


def test_texts_say_what_waits_for_what(gpt2: Execution) -> None:
    stalls = stall_columns(gpt2)
    tiles = tile_columns(gpt2)
    for i, cause in enumerate(stalls["cause"]):
        position = int(np.flatnonzero(tiles["left"] == stalls["right"][i])[0])
        assert tiles["waited"][position] == f"{stalls['cycles'][i]:,} cycles for {cause}"
    said = [text for kind in (WGT, IFM, OFM) for text in transfer_columns(gpt2, kind)["gated"] if "stalls" in text]
    assert len(said) == len(stalls["cause"]) > 0


# The page.


class Page(HTMLParser):
    """The elements of a page, its data, and its text outside scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open == "script":
            self.scripts[-1] += data
        elif self._open != "style":
            self.words.append(data)

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(next(text for text in self.scripts if text.startswith('{"documents"')))
        return found


def plain(values: Any) -> str:
    """Write a column, so that NaNs are equal."""
    return repr(values.tolist() if isinstance(values, np.ndarray) else list(values))


def sources_of(page: Page) -> dict[str, Mapping[str, Any]]:
    from bokeh.document import Document
    from bokeh.models import ColumnDataSource

    document = Document.from_json(page.data["documents"]["report"])
    return {source.name: source.data for source in document.select({"type": ColumnDataSource})}


def test_the_page_holds_the_columns(both: list[Reported], page: Page) -> None:
    sources = sources_of(page)
    for index, one in enumerate(both):
        for name, columns in columns_of(one.execution).items():
            embedded = sources[f"all {name} {index}"]
            for column in columns.keys() - {"odd"}:
                assert plain(embedded[column]) == plain(columns[column]), (name, column)


def test_the_page_is_the_same_each_time(both: list[Reported], page: Page) -> None:
    from soma_cp.cli.reports.html.page import page_text

    assert page_text(both) == page.text


def test_the_page_needs_nothing_else(page: Page) -> None:
    tags = [tag for tag, _ in page.elements]
    assert not {"link", "img", "iframe", "object", "embed"} & set(tags)
    assert all("src" not in attributes for _, attributes in page.elements)
    links = [attributes["href"] or "" for _, attributes in page.elements if "href" in attributes]
    assert all(link.startswith("#") for link in links)
    targets = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert {link[1:] for link in links} <= targets


def test_the_page_says_what_the_schedules_are(both: list[Reported], page: Page) -> None:
    words = " ".join(" ".join(page.words).split())
    for one in both:
        evaluation = one.execution.schedule.evaluation
        for figure in (f"{evaluation.latency:,} cycles", f"{evaluation.peak_buffer_bytes / MIB:.3f} MiB"):
            assert figure in words
    assert "gpt2-small-prefill, batch 1, on edge: 8 MiB GBUF" in words
    assert "made by SA, seed 7" in words
    for term in ("Living Duration", "LFA", "FLG", "LG", "DLSA", "DRAM cut", "tiling number", "stall", "bound"):
        assert term in words


def test_names_do_not_break_the_page() -> None:
    from soma_cp.cli.reports.html.page import page_text

    page = Page(page_text([Reported(f"<u>{NASTY}", nasty_execution())]))
    assert not {"b", "i", "u"} & {tag for tag, _ in page.elements}
    assert f"<u>{NASTY}" in page.words
    assert sources_of(page)["all tiles 0"]["label"][0] == f"{NASTY}[0]"


# The command.


def test_the_command_writes_a_page(tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    run_report(ReportOptions([GPT2], None, True, None, output))
    text = output.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert text.count('<section class="schedule">') == 2
    assert "double buffering of the LFA of" in text


@pytest.mark.parametrize(
    ("package", "message"),
    [
        ("bokeh", "a report in HTML needs Bokeh, which is not installed; pip install"),
        ("jinja2", "a report in HTML needs Bokeh, which does not load .*jinja2"),
    ],
)
def test_a_broken_import_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, message: str
) -> None:
    class Absent:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            if name == package:
                raise ModuleNotFoundError(f"No module named '{package}'", name=package)

    gone = ("soma_cp.cli.reports.html", package)
    for name in [name for name in sys.modules if name == package or name.startswith(tuple(f"{one}." for one in gone))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Absent, *sys.meta_path])
    with pytest.raises(UserError, match=message):
        run_report(ReportOptions([GPT2], None, False, None, tmp_path / "report.html"))
    assert not list(tmp_path.iterdir())


# Tables.


@pytest.mark.parametrize(
    ("unit", "one", "two", "text"),
    [
        (Unit.CYCLES, 200, 150, "−25.00 %"),
        (Unit.SHARE, 0.5, 0.625, "+12.50 points"),
        (Unit.COUNT, 1200, 2500, "+1,300"),
        (Unit.PJ, 3.0, 3.0, "same"),
        (Unit.BYTES, 0, 7, "+7"),
    ],
)
def test_differences_are_of_the_second_from_the_first(unit: Unit, one: float, two: float, text: str) -> None:
    assert difference_text(unit, one, two) == text


def test_figures_of_two_schedules_have_a_difference(both: list[Reported]) -> None:
    rows = {row.label: row for row in figure_rows(both)}
    one, two = (each.execution.latency for each in both)
    assert rows["latency"].difference == difference_text(Unit.CYCLES, one, two) != "same"
    assert {row.difference for row in figure_rows([*both, *both])} == {""}
    slow = Reported("slow", at_clock(both[0].execution, 500_000_000))
    rows = {row.label: row for row in figure_rows([both[0], slow])}
    assert rows["latency"].difference == ""
    assert rows["in time"].difference


def test_the_table_of_layers_holds_the_figures_of_each_layer(both: list[Reported]) -> None:
    document = layers_document(both, shared_time(both))
    for one, schedule in zip(both, document["schedules"], strict=True):
        table = layer_table(one.execution)
        values = dict(zip([column.title for column in COLUMNS], schedule["values"], strict=True))
        assert schedule["layer"] == list(one.execution.schedule.lfa.computing_order)
        assert values["stalls before its tiles"] == table.stall_cycles.tolist()
        assert sum(values["weights"]) == pytest.approx(table.weight_bytes.sum() / MIB, abs=1e-3)


@pytest.mark.parametrize(
    ("names", "prefix"),
    [
        (["/model/layers.0/attn", "/model/layers.1/mlp"], "/model/layers."),
        (["conv_1", "conv_2"], "conv_"),
        (["convolution1", "convolution2"], ""),
        (["net/a", "net/"], ""),
        (["only/one"], ""),
        (["a/b", "a/c"], ""),
    ],
)
def test_names_lose_what_all_have_in_common(names: list[str], prefix: str) -> None:
    assert common_prefix(names) == prefix


def test_schedules_of_different_clocks_share_an_axis_in_seconds(gpt2: Execution) -> None:
    slow = at_clock(gpt2, 500_000_000)
    shared = shared_time([Reported("one", gpt2), Reported("other", slow)])
    assert (shared.unit, shared.per_cycle) == ("µs", (pytest.approx(1e-3), pytest.approx(2e-3)))
    assert shared.longest == pytest.approx(max(gpt2.latency * 1e-3, slow.latency * 2e-3))
    assert shared_time([Reported("one", gpt2)]).unit == "cycles"


@pytest.mark.parametrize(
    ("tiles", "text"),
    [
        (range(5, 6), "tile 5"),
        (range(223, 227, 3), "tiles 223, 226"),
        (range(78, 87, 2), "tiles 78 … 86, every other"),
        (range(10, 20), "tiles 10 … 19"),
        (range(0, 50, 7), "tiles 0 … 49, one of 7"),
    ],
)
def test_only_tiles_that_read_are_named(tiles: range, text: str) -> None:
    assert tile_numbers(tiles) == text


def test_the_longest_stalls_come_first_and_add_up(gpt2: Execution) -> None:
    found = stalls(gpt2)
    cycles = [cycles for _, cycles, _ in found.longest]
    assert cycles == sorted(gpt2.tiles.stall.tolist(), reverse=True)[: len(cycles)]
    assert f"{gpt2.stall_cycles:,} cycles" in found.total
    of_kinds = [int(text.split(" cycles")[0].replace(",", "")) for text in found.kinds]
    assert sum(of_kinds) == gpt2.stall_cycles


def test_the_page_says_what_limits_each_schedule_as_the_advice_does(both: list[Reported], page: Page) -> None:
    words = " ".join(" ".join(page.words).split())
    bounds = bounds_of(both)
    for one in both:
        lines = advice_lines(one, bounds)
        assert lines == [
            line.text for line in advise(one.execution.schedule, bound=bounds[one.execution.schedule.problem])
        ]
        assert all(line in words for line in lines)
    assert advice_lines(both[0], bounds)


def test_a_baseline_is_told_of_no_other_search(gpt2: Execution) -> None:
    bounds = bounds_of([Reported("gpt2", gpt2)])
    assert any("short search" in line for line in advice_lines(Reported("gpt2", gpt2), bounds))
    for lfa in ("cocco", "cocco-ga"):
        lines = advice_lines(Reported("gpt2", gpt2, {"lfa_search": lfa}), bounds)
        assert lines
        assert not any("search" in line for line in lines)


@pytest.mark.parametrize("exponents", [{}, {"energy_exponent": "much", "delay_exponent": 1}, {"energy_exponent": [1]}])
def test_advice_does_not_rely_on_what_a_file_says_of_itself(gpt2: Execution, exponents: dict[str, Any]) -> None:
    one = Reported("gpt2", gpt2, exponents)
    bounds = bounds_of([one])
    assert advice_lines(one, bounds) == advice_lines(Reported("gpt2", gpt2), bounds)
    hasty = Reported("gpt2", gpt2, {"energy_exponent": 0.0, "delay_exponent": 1.0})
    assert any("latency" in line for line in advice_lines(hasty, bounds))
