"""Pictures for papers: their sizes, their style, and how they are written (SVG, PNG, PDF).

The same figure gives the same bytes: the user's settings of matplotlib do not count, and no date is written.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from soma_cp.model.files.text_file import write_bytes_atomically

WIDTH = 7.16
"""Inches: the two columns of a paper."""
FONT_SIZE = 7
DPI = 300
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": FONT_SIZE,
    "axes.linewidth": 0.5,
    "hatch.linewidth": 0.35,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "pdf.fonttype": 42,
    "svg.hashsalt": "soma-cp",
    "text.parse_math": False,
}
METADATA: dict[str, dict[str, None]] = {
    "svg": {"Date": None},
    "png": {"Software": None},
    "pdf": {"CreationDate": None},
}


def picture_bytes(draw: Callable[[], Figure], *formats: str) -> dict[str, bytes]:
    """Return what `draw` draws, in formats of METADATA; it is drawn once."""
    found = {}
    with mpl.rc_context():
        mpl.rcdefaults()  # the user's settings do not count
        mpl.rcParams.update(STYLE)
        figure = draw()
        for format in formats:
            stream = io.BytesIO()
            figure.savefig(stream, format=format, metadata=METADATA[format], dpi=DPI)
            found[format] = stream.getvalue()
    return found


def write_picture(draw: Callable[[], Figure], output: Path, format: str) -> Path:
    """Write what `draw` draws, in a format of METADATA; return the path."""
    write_bytes_atomically(output, picture_bytes(draw, format)[format])
    return output
