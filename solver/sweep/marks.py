"""Cells that a search got wrong: the same method is faster with no more buffer and no more bandwidth."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from soma_cp.solver.sweep.rows import COLUMNS, USUAL_RULE, Row

BEATEN_BY = "beaten_by"
BEATEN_BY_MEANS = (
    "key of the fastest row of the same method, alike but with no more buffer and no more bandwidth, that is faster"
)
_SCALED = ("buffer_bytes", "dram_bytes_per_s", "hardware_key")
_STEADY = tuple(column.name for column in COLUMNS if not column.is_of_run)
MARKED = (*_STEADY, BEATEN_BY)
"""The columns of files."""


def beaten_by(rows: Iterable[Row]) -> dict[str, str]:
    """Return, for each row that a row with less beats, the key of the fastest of these.

    The schedule of the other would run here as fast at least: its transfers are no slower, its tiles the same, and it
    fits. So the row is no property of the hardware, but a search that fell short, unless latency was not minimised or
    a larger buffer, which costs more energy a byte, was worth it.
    """
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row["latency_cycles"] is not None:
            groups[_group(row)].append(row)
    found = {}
    for group in groups.values():
        for row in group:
            faster = [one for one in group if _has_less(one, row) and one["latency_cycles"] < row["latency_cycles"]]
            if faster:
                found[row["key"]] = min(faster, key=lambda one: (one["latency_cycles"], one["key"]))["key"]
    return found


def marked(rows: Iterable[Row]) -> list[Mapping[str, Any]]:
    """Return rows as files have them: without what differs from run to run, with `BEATEN_BY` at the end."""
    listed = list(rows)
    marks = beaten_by(listed)
    return [{**{name: row[name] for name in _STEADY}, BEATEN_BY: marks.get(row["key"])} for row in listed]


def _group(row: Row) -> tuple[Any, ...]:
    axes = [column.name for column in COLUMNS if column.is_axis and column.name not in _SCALED]
    return (row["method"], *(row[name] for name in (*axes, *USUAL_RULE)))


def _has_less(one: Row, other: Row) -> bool:
    """Whether one point has no more buffer and no more bandwidth than the other."""
    return all(one[name] <= other[name] for name in ("buffer_bytes", "dram_bytes_per_s"))
