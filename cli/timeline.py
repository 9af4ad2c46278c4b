"""A schedule on one screen of a terminal: how busy DRAM and the core array are, and how full the buffer, over time.

Each character is a column of time. Its height is a share: of the column's cycles in which something is busy or stalled,
or of the buffer's capacity that the column's fullest tile needs.
"""

import numpy as np
from rich.text import Text

from soma_cp.cli.tables import percent
from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.soma.execution.execution import Execution
from soma_cp.model.soma.execution.execution_tables import stalls_by_kind
from soma_cp.model.soma.tensors import IFM, OFM, WGT

BLOCKS = " ▁▂▃▄▅▆▇█"
ASCII = " .:-=+*%#"
"""From none to all; only none is blank."""
LABEL_WIDTH = 10
FIGURE_WIDTH = 17
LEAST_COLUMNS = 10
CAUSES = {WGT: "weights", IFM: "ifmaps", OFM: "stores"}


def timeline_lines(execution: Execution, width: int, ascii_only: bool) -> list[Text]:
    """Return the lines of the timeline.

    Parameters
    ----------
    execution
        What to show.
    width
        Characters of a line, with its label and figure.
    ascii_only
        Whether block characters can't be shown.
    """
    columns = max(width - LABEL_WIDTH - FIGURE_WIDTH, LEAST_COLUMNS)
    tiles, transfers, latency = execution.tiles, execution.transfers, execution.latency
    capacity = execution.schedule.plan.problem.platform.gbuf_bytes
    peak = execution.schedule.evaluation.peak_buffer_bytes
    rows = [
        ("DRAM", "blue", busy_shares(transfers.begin, transfers.finish, latency, columns), "busy"),
        ("compute", "green", busy_shares(tiles.begin, tiles.end, latency, columns), "busy"),
        ("stalls", "red", busy_shares(tiles.begin - tiles.stall, tiles.begin, latency, columns), "stalled"),
    ]
    lines = [Text(f"{'timeline':<{LABEL_WIDTH}}{latency:,} cycles, {latency / columns:,.0f} in a column")]
    for label, style, shares, verb in rows:
        lines.append(_line(label, style, shares, f"{percent(float(shares.mean()))} {verb}", ascii_only))
    fullness = fullest_usage(execution, columns) / capacity
    lines.append(_line("buffer", "magenta", fullness, f"peak {percent(peak / capacity)}", ascii_only))
    if execution.stall_cycles:
        waits = (
            f"{CAUSES[cause.kind]} {percent(cause.cycles / latency)}"
            for cause in sorted(stalls_by_kind(execution), key=lambda cause: -cause.cycles)
            if cause.cycles
        )
        lines.append(Text(f"{'':<{LABEL_WIDTH}}stalled for {', '.join(waits)} of the time"))
    return lines


def busy_shares(begin: IntArray, end: IntArray, latency: int, columns: int) -> FloatArray:
    """Return the share that intervals cover of each of `columns` columns of equal time.

    Parameters
    ----------
    begin, end
        int64[n]: in order and apart from one another, within 0 … `latency`.
    """
    times = np.stack([begin, end], axis=1).ravel()
    covered = np.stack([np.cumsum(end - begin) - (end - begin), np.cumsum(end - begin)], axis=1).ravel()
    edges = np.linspace(0, latency, columns + 1)
    shares: FloatArray = np.diff(np.interp(edges, times, covered)) * (columns / latency)
    return shares


def fullest_usage(execution: Execution, columns: int) -> IntArray:
    """Return the most bytes alive at any position within each of `columns` columns of equal time."""
    edges = np.linspace(0, execution.latency, columns + 1)
    first = np.searchsorted(execution.handover, edges[:-1], "right") - 1
    behind = np.searchsorted(execution.handover, edges[1:], "left")
    usage = np.append(execution.schedule.evaluation.usage_bytes, 0)  # `behind` may be T
    fullest: IntArray = np.maximum.reduceat(usage, np.stack([first, behind], axis=1).ravel())[::2]
    return fullest


def _line(label: str, style: str, shares: FloatArray, figure: str, ascii_only: bool) -> Text:
    glyphs = ASCII if ascii_only else BLOCKS
    levels = np.ceil(np.clip(shares - 1e-9, 0, 1) * (len(glyphs) - 1)).astype(int)  # a rounding error stays blank
    bar = "".join(glyphs[level] for level in levels)
    return Text.assemble(f"{label:<{LABEL_WIDTH}}", (bar, style), f"  {figure}")
