"""The formats of reports; light, so that ``--help`` stays quick."""

from enum import Enum
from pathlib import Path

from soma_cp.model.errors import UserError


class ReportFormat(Enum):
    """The formats by the names that ``--format`` takes."""

    HTML = "html"
    CSV = "csv"
    PERFETTO = "perfetto"
    SVG = "svg"
    PNG = "png"
    PDF = "pdf"


FORMAT_OF_ENDING = {
    ".html": ReportFormat.HTML,
    ".csv": ReportFormat.CSV,
    ".json": ReportFormat.PERFETTO,
    ".svg": ReportFormat.SVG,
    ".png": ReportFormat.PNG,
    ".pdf": ReportFormat.PDF,
}


def report_format(given: ReportFormat | None, output: Path) -> ReportFormat:
    """Return the format that is given, or else the one that the ending of `output` says.

    Raises
    ------
    UserError
        If neither does.
    """
    format = given or FORMAT_OF_ENDING.get(output.suffix.lower())
    if format is None:
        endings = ", ".join(FORMAT_OF_ENDING)
        raise UserError(f"-o {output}: the ending '{output.suffix}' is none of {endings}; take one, or give --format")
    return format
