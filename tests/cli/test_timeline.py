"""The timeline on the terminal: its columns are shares of the events, and its lines fit the terminal."""

from itertools import pairwise

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support.execution_cases import executions
from support.twins import examples

from soma_cp.cli.tables import percent
from soma_cp.cli.timeline import ASCII, BLOCKS, LABEL_WIDTH, busy_shares, fullest_usage, timeline_lines
from soma_cp.model.soma.execution.execution import Execution


def slow_shares(begin: np.ndarray, end: np.ndarray, latency: int, columns: int) -> list[float]:
    edges = [latency * column / columns for column in range(columns + 1)]
    return [
        sum(max(0.0, min(until, e) - max(since, b)) for b, e in zip(begin.tolist(), end.tolist(), strict=True))
        / (latency / columns)
        for since, until in pairwise(edges)
    ]


@examples(40)
@given(executions(), st.integers(10, 70))
def test_columns_are_the_shares_of_the_events(execution: Execution, columns: int) -> None:
    tiles, transfers, latency = execution.tiles, execution.transfers, execution.latency
    for begin, end, cycles in (
        (transfers.begin, transfers.finish, execution.dram_busy),
        (tiles.begin, tiles.end, execution.compute_busy),
        (tiles.begin - tiles.stall, tiles.begin, execution.stall_cycles),
    ):
        shares = busy_shares(begin, end, latency, columns)
        assert shares == pytest.approx(slow_shares(begin, end, latency, columns), abs=1e-6)
        assert shares.mean() == pytest.approx(cycles / latency, abs=1e-9)


@examples(40)
@given(executions(), st.integers(10, 70))
def test_the_buffer_shows_the_fullest_position_of_each_column(execution: Execution, columns: int) -> None:
    usage, handover = execution.schedule.evaluation.usage_bytes, execution.handover
    expected = []
    for column in range(columns):
        since, until = (execution.latency * edge / columns for edge in (column, column + 1))
        within = (handover[:-1] < until) & (handover[1:] > since)
        expected.append(usage[within].max())
    assert fullest_usage(execution, columns).tolist() == expected


@examples(40)
@given(executions(), st.integers(40, 120), st.booleans())
def test_lines_fit_and_tell_the_shares(execution: Execution, width: int, ascii_only: bool) -> None:
    lines = [line.plain for line in timeline_lines(execution, width, ascii_only)]
    assert len(lines) <= 8
    bars = {line.split()[0]: line for line in lines[1:5]}
    assert list(bars) == ["DRAM", "compute", "stalls", "buffer"]
    assert max(map(len, bars.values())) <= width
    if ascii_only:
        assert all(line.isascii() for line in lines)
    for name, cycles in (
        ("DRAM", execution.dram_busy),
        ("compute", execution.compute_busy),
        ("stalls", execution.stall_cycles),
    ):
        assert f"  {percent(cycles / execution.latency)} " in bars[name]
    tiles, columns = execution.tiles, max(width - LABEL_WIDTH - 17, 10)
    shares = busy_shares(tiles.begin, tiles.end, execution.latency, columns)
    glyphs = ASCII if ascii_only else BLOCKS
    levels = [glyphs.index(glyph) for glyph in bars["compute"][LABEL_WIDTH : LABEL_WIDTH + columns]]
    for level, share in zip(levels, shares, strict=True):
        assert level - 1 < share * 8 + 1e-6
        assert share * 8 - 1e-6 <= level
