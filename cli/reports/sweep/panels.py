"""Which rows share a panel of a figure over any axes: those that are alike in all axes that it does not show."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from soma_cp.cli.reports.pictures import FONT_SIZE, WIDTH
from soma_cp.cli.reports.sweep.words import AXES, named_value, value_text
from soma_cp.model.errors import UserError
from soma_cp.solver.sweep.findings.cases import middle
from soma_cp.solver.sweep.rows import USUAL_RULE, Row, rule_value

MOST_PANELS = 24
MOST_IN_LINE = 4
LEFT, RIGHT, TOP, BOTTOM = 0.5, 0.08, 0.3, 0.36
"""Inches around each panel."""
LEGEND = 0.2
"""Inches above all panels."""
LETTERS_PER_INCH = 21
NAMES_ITSELF = ("net", "hw", "method", "core_array", "semantics", "types")
"""Columns whose values need no name beside them."""


class Panel(NamedTuple):
    """The rows of a panel, and what they share, in words."""

    title: str
    rows: list[Row]


def panels_of(rows: Sequence[Row], shown: Sequence[str]) -> list[Panel]:
    """Return the panels of a figure that shows some columns; of several seeds the middle row is taken.

    A column that the others determine parts no panels: the hash of the hardware, say, where the buffer is shown. Where
    panels differ in the rule of tiling numbers, methods without one stand in the panel of the usual rule.
    """
    fixed = [column for column in shown if column in (*AXES, *USUAL_RULE, "method")]
    parting: list[str] = []
    axes = (name for name in AXES if name not in ("seed", "hardware_key"))
    for column in (*axes, *USUAL_RULE, "method", "hardware_key"):
        if column not in shown and not _is_determined(rows, column, (*fixed, *parting)):
            parting.append(column)
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(rule_value(row, column) for column in parting)].append(row)
    return [Panel(_title(parting, values), _middles(found)) for values, found in groups.items()]


def _is_determined(rows: Sequence[Row], column: str, by: Sequence[str]) -> bool:
    found: dict[tuple[Any, ...], Any] = {}
    for row in rows:
        value = rule_value(row, column)
        if found.setdefault(tuple(rule_value(row, name) for name in by), value) != value:
            return False
    return True


def _middles(rows: Sequence[Row]) -> list[Row]:
    seeds: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        seeds[(row["method"], *(row[name] for name in (*AXES, *USUAL_RULE) if name != "seed"))].append(row)
    return [middle(alike) for alike in seeds.values()]


def _title(columns: Sequence[str], values: Sequence[Any]) -> str:
    parts = [
        value_text(column, value) if column in NAMES_ITSELF else named_value(column, value)
        for column, value in zip(columns, values, strict=True)
        if value not in (None, "")
    ]
    return ", ".join(parts)


def laid_out(panels: Sequence[Panel], height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure with axes for each panel; `height` is that of the axes (inches).

    Raises
    ------
    UserError
        If there are more panels than fit in a figure.
    """
    if len(panels) > MOST_PANELS:
        raise UserError(
            f"a figure of {len(panels)} panels (must be at most {MOST_PANELS}); pick rows with --only NAME=VALUE"
        )
    in_line = min(MOST_IN_LINE, len(panels))
    lines = -(-len(panels) // in_line)
    block = TOP + height + BOTTOM
    whole = lines * block + LEGEND
    figure = Figure(figsize=(WIDTH, whole))
    width = WIDTH / max(in_line, 2)
    found = []
    for number, panel in enumerate(panels):
        line, place = divmod(number, in_line)
        bottom = whole - LEGEND - line * block - TOP - height
        box = (place * width + LEFT, bottom, width - LEFT - RIGHT, height)
        axes = figure.add_axes((box[0] / WIDTH, box[1] / whole, box[2] / WIDTH, box[3] / whole))
        axes.set_title(_wrapped(panel.title, box[2]), fontsize=FONT_SIZE, pad=3, linespacing=1.1)
        found.append(axes)
    return figure, found


def _wrapped(title: str, inches: float) -> str:
    """Break a title that is too long for its panel after a comma."""
    lines = [""]
    for part in title.split(", "):
        joined = f"{lines[-1]}, {part}" if lines[-1] else part
        if lines[-1] and len(joined) > inches * LETTERS_PER_INCH:
            lines[-1] += ","
            lines.append(part)
        else:
            lines[-1] = joined
    return "\n".join(lines)


def sorted_values(rows: Sequence[Row], column: str) -> list[Any]:
    """Return the values of a column, each once: numbers ascend, texts stand in the order of the rows."""
    values = list(dict.fromkeys(row[column] for row in rows if row[column] is not None))
    return sorted(values) if all(isinstance(value, int | float) for value in values) else values


def by_place(rows: Sequence[Row], columns: Sequence[str]) -> Mapping[tuple[Any, ...], Row]:
    """Return rows by their values of some columns.

    Raises
    ------
    UserError
        If two rows have the same.
    """
    found: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        place = tuple(row[column] for column in columns)
        if place in found:
            raise UserError(
                f"two results have the same {', '.join(columns)} ({', '.join(map(str, place))}): {found[place]['key']} "
                f"and {row['key']}; pick rows with --only NAME=VALUE"
            )
        found[place] = row
    return found
