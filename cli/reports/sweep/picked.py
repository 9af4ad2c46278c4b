"""Which rows and columns a figure takes, from what was typed."""

import json
from collections.abc import Sequence
from string import ascii_letters
from typing import Any

from soma_cp.cli.reports.sweep.words import NUMERIC, column_label, in_unit, value_text
from soma_cp.model.errors import UserError, nearest_name_hint
from soma_cp.model.hardware.quantities import bytes_of
from soma_cp.solver.sweep.rows import COLUMNS, Row

COST_COLUMN = "buffer_energy_cost"
ALIASES = {
    "buffer": "buffer_bytes",
    "dram": "dram_bytes_per_s",
    "latency": "latency_ns",
    "energy": "energy_pj",
    "blocks": "blocks",
}
"""Columns by the names of axes in sweep files, and by shorter ones."""
_NAMES = (*(column.name for column in COLUMNS), COST_COLUMN)


def column_named(typed: str, option: str, numbers: bool = False) -> str:
    """Return the column that was typed.

    Raises
    ------
    UserError
        If there is none, or it must hold numbers and does not.
    """
    name = ALIASES.get(typed, typed)
    allowed = (*NUMERIC, COST_COLUMN) if numbers else _NAMES
    if name not in allowed:
        what = "a column of numbers" if numbers else "a column"
        hint = nearest_name_hint(typed, [*allowed, *ALIASES])
        raise UserError(f"{option} {typed} (must be {what}: {', '.join(allowed)}){hint}")
    return name


def rows_only(rows: Sequence[Row], conditions: Sequence[str]) -> list[Row]:
    """Return the rows that meet all conditions, ``NAME=VALUE`` each; several of one column are alternatives.

    Raises
    ------
    UserError
        If a condition is none, or no row meets all.
    """
    wanted: dict[str, list[str]] = {}
    for condition in conditions:
        name, equals, value = condition.partition("=")
        if not equals:
            raise UserError(f"--only {condition} (must be NAME=VALUE, such as batch=4 or buffer=8MiB)")
        wanted.setdefault(column_named(name, "--only"), []).append(value)
    found = [row for row in rows if all(_has(row, name, values) for name, values in wanted.items())]
    if not found:
        raise UserError(f"no result has {' and '.join(conditions) or 'anything to draw'}")
    return found


def _has(row: Row, column: str, values: Sequence[str]) -> bool:
    value = row[column]
    texts = {str(value), value_text(column, value), json.dumps(value)}  # plain, as in figures, as in files
    return any(typed in texts or _is_number(value, column, typed) for typed in values)


def _is_number(value: Any, column: str, typed: str) -> bool:
    """Whether a typed number is the value: as rows hold it, or as figures show it, with its unit or without."""
    digits = typed.rstrip(f"{ascii_letters}/% ")
    unit = typed[len(digits) :].strip()
    shown = in_unit(column, value)
    try:
        number = float(digits)
    except ValueError:
        return False
    if not unit:
        return number in (value, shown)
    if column.endswith("_bytes"):
        return bool(bytes_of(typed) == value)
    return bool(number == shown) and f"({unit})" in column_label(column)
