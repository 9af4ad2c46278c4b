"""Writes the report of a sweep into a folder: figures, tables, the claims table, and a page that shows them all.

The same rows give the same bytes.
"""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from soma_cp.cli.formats import csv_text
from soma_cp.cli.reports.pictures import METADATA, picture_bytes
from soma_cp.cli.reports.sweep.catalogue import Drawn, Results, figures_of, front_columns_of
from soma_cp.cli.reports.sweep.claims_table import claims_markdown, claims_rows
from soma_cp.cli.reports.sweep.page import Picture, page_text, tiling_markdown
from soma_cp.cli.reports.sweep.pareto import fronts
from soma_cp.cli.reports.sweep.picked import COST_COLUMN
from soma_cp.cli.sweep_figures import FigureOptions
from soma_cp.model.errors import UserError
from soma_cp.model.files.text_file import write_bytes_atomically, write_text_atomically
from soma_cp.solver.sweep.artifact import artifact_rows
from soma_cp.solver.sweep.findings.paper_claims import verdicts
from soma_cp.solver.sweep.findings.tables import artifact_times, ratio_table, surface_table, tiling_table
from soma_cp.solver.sweep.marks import marked

ON_FRONT = "on_front"


def write_figures(results: Results, options: FigureOptions, folder: Path) -> list[Path]:
    """Write the figure that is asked for in all formats; return the paths."""
    _make(folder)
    paths = []
    for drawn in figures_of(results, options):
        paths += _write_picture(drawn, picture_bytes(drawn.draw, *METADATA), folder)
    return paths


def write_report(results: Results, name: str, options: FigureOptions, folder: Path) -> list[Path]:
    """Write everything that the results allow; return the path of the page, which links the rest."""
    _make(folder)
    pictures = []
    for drawn in figures_of(results, options):
        contents = picture_bytes(drawn.draw, *METADATA)
        _write_picture(drawn, contents, folder)
        inline = base64.b64encode(contents["svg"]).decode()
        pictures.append(Picture(drawn.name, drawn.title, drawn.caption, inline))
    claims = verdicts(results.rows)
    tables = _tables(results, options)
    for file, rows in tables.items():
        write_text_atomically(folder / file, csv_text(rows))
    write_text_atomically(folder / "claims.csv", csv_text(claims_rows(claims)))
    write_text_atomically(folder / "claims.md", claims_markdown(claims))
    files = [*tables, "claims.csv", "claims.md"]
    if "tiling.csv" in tables:
        write_text_atomically(folder / "tiling.md", tiling_markdown(tables["tiling.csv"]))
        files.append("tiling.md")
    page = folder / "index.html"
    write_text_atomically(page, page_text(name, results.rows, pictures, claims, tables, files))
    return [page]


def _tables(results: Results, options: FigureOptions) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Return the tables that are not empty, by the names of their files."""
    found = {
        "points.csv": points(results, options),
        "ratios.csv": ratio_table(results.cases),
        "tiling.csv": tiling_table(results.cases_by_rule),
        "surfaces.csv": surface_table(results.surfaces),
        "artifact-fig6.csv": artifact_rows([row for of in results.cases.values() for row in of.values()]),
        "artifact-fig7.csv": artifact_times(results.surfaces),
    }
    return {file: rows for file, rows in found.items() if rows}


def points(results: Results, options: FigureOptions) -> list[dict[str, Any]]:
    """Return all rows as files have them, with `COST_COLUMN` and whether they are on the front of their panel."""
    front = fronts(results.rows, front_columns_of(results, options))
    rows = marked(results.rows)
    return [
        {**row, COST_COLUMN: whole[COST_COLUMN], ON_FRONT: whole["key"] in front}
        for row, whole in zip(rows, results.rows, strict=True)
    ]


def _write_picture(drawn: Drawn, contents: Mapping[str, bytes], folder: Path) -> list[Path]:
    paths = [folder / f"{drawn.name}.{format}" for format in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        write_bytes_atomically(path, content)
    return paths


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--report {folder}: the folder can't be made ({error.strerror})") from None
