"""How reports of several rows are written; light, so that ``--help`` stays quick."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

from soma_cp.model.errors import UserError


class Format(Enum):
    """The formats."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


def format_from(given: Format | None, as_json: bool) -> Format:
    """Return the format that ``--format`` and ``--json`` stand for together; a table by default.

    Raises
    ------
    UserError
        If they contradict each other.
    """
    if as_json and given not in (None, Format.JSON):
        raise UserError(f"--json with --format={given.value}; leave one of the two out")
    return Format.JSON if as_json else given or Format.TABLE


def csv_text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> str:
    """Return rows with the same keys as CSV with a header; of no rows, a header of `columns`, if any."""
    if not rows and not columns:
        return ""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]) if rows else columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def markdown_text(headers: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table; line breaks in headers become spaces."""
    names = [" ".join(header.split()) for header in headers]
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"
