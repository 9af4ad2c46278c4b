"""Writes reports of schedules: pages, pictures, tables, traces."""

import os
from collections.abc import Sequence
from pathlib import Path

from soma_cp.model.errors import UserError
from soma_cp.model.soma.execution.execution import make_execution
from soma_cp.model.soma.schedule import Schedule


def write_report(
    named: Sequence[tuple[str, Schedule, dict[str, object], int]],
    path: str | os.PathLike[str],
    format: str | None,
) -> tuple[Path, ...]:
    """Write one report of schedules, each with a name, its provenance and its bound; return the files written."""
    # Imported late: these load the parts that print.
    from soma_cp.cli.commands.report import WRITERS
    from soma_cp.cli.reports.formats import FORMAT_OF_ENDING, ReportFormat
    from soma_cp.cli.reports.reported import Reported

    output = Path(path)
    if format is None:
        chosen = FORMAT_OF_ENDING.get(output.suffix.lower())
        if chosen is None:
            endings = ", ".join(FORMAT_OF_ENDING)
            raise UserError(
                f"{output}: the ending '{output.suffix}' is none of {endings}; take one, or give the format"
            )
    else:
        try:
            chosen = ReportFormat(format)
        except ValueError:
            allowed = ", ".join(repr(one.value) for one in ReportFormat)
            raise UserError(f"format={format!r} (must be one of {allowed})") from None
    reported = [Reported(name, make_execution(one), made, bound) for name, one, made, bound in named]
    return tuple(WRITERS[chosen](reported, output))
