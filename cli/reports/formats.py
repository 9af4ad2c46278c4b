"""The formats of reports; light, so that ``--help`` stays quick."""

from enum import Enum
from pathlib import Path

from soma_cp.model.errors import UserError


class ReportFormat(Enum):
    """The formats, by their names for ``--format``."""

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
    """Return the given format, or else the one of the ending of `output`.

    Raises
    ------
    UserError
        If neither gives a format.
    """
    format = given or FORMAT_OF_ENDING.get(output.suffix.lower())
    if format is None:
        endings = ", ".join(FORMAT_OF_ENDING)
        raise UserError(f"-o {output}: the ending '{output.suffix}' is none of {endings}; take one, or give --format")
    return format
