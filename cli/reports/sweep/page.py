"""The page of a sweep: claims, figures, tables and where they come from, in one file that needs nothing else."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from soma_cp import __version__
from soma_cp.cli.formats import markdown_text
from soma_cp.cli.reports.html.palette import CAPACITY, DARK, INK, KINDS, LINE, LINK, PAPER, SOFT
from soma_cp.cli.reports.sweep.claims_table import HEADERS, NOTE, claims_cells
from soma_cp.cli.reports.sweep.marks import LEFT_OUT
from soma_cp.cli.reports.sweep.words import METHOD_NAMES, method_name
from soma_cp.model.soma.execution.events import OFMAPS_TO_STORE
from soma_cp.solver.sweep.findings.claims import Answer, Verdict
from soma_cp.solver.sweep.methods import METHODS
from soma_cp.solver.sweep.rows import Row

FOLDER = Path(__file__).parent
COLOURS = {
    "paper": PAPER,
    "ink": INK,
    "soft": SOFT,
    "line": LINE,
    "link": LINK,
    "met": KINDS[OFMAPS_TO_STORE],
    "not-met": CAPACITY,
}
"""Colours by the names of the style sheet."""
ANSWERS = {Answer.MET.value: "met", Answer.NOT_MET.value: "not-met", Answer.UNKNOWN.value: "unknown"}
TILING = "Sensitivity to the rule of tiling numbers"
TITLES = {"ratios.csv": "Ratios of methods", "tiling.csv": TILING, "surfaces.csv": "Fig. 7 in numbers"}
"""Tables that the page shows; the others are files beside it."""
FILES = {
    "points.csv": "every point and method, with units in the names, what beats it, and whether it is on the front",
    "ratios.csv": "ratios of methods, by family",
    "tiling.csv": "ratios to Cocco for each rule of tiling numbers, and its LGs and tiles",
    "tiling.md": "the same in Markdown",
    "surfaces.csv": "gains per doubling of bandwidth and buffer, and the fastest cells",
    "artifact-fig6.csv": "the cases, in the columns of the published script",
    "artifact-fig7.csv": "the maps, in the columns of the published script",
    "claims.csv": "the claims table",
    "claims.md": "the claims table, in Markdown",
}
LEFT_OUT_POINTS = (
    "No halo is computed or loaded twice: Cocco keeps the rows and columns that neighbouring tiles share on chip. Here "
    "they are computed and loaded again, for every method.",
    "Consumption-centric flow: Cocco aligns how often layers run by the least common multiple of what is consumed. "
    "Here every layer has as many tiles as its group.",
    "Prefetching by subgraphs: Cocco loads the weights of the next subgraph during the present one. Double buffering "
    "by tiles is finer, and waits at the borders of groups.",
    "Its machine: 2 TOPS, separate buffers for activations and weights. Its reported gains are of memory and fusion "
    "together.",
)
TILING_NOTE = (
    "The rule of tiling numbers decides what Cocco reaches, and it is not published. Each row holds a method against "
    "Cocco by one rule: means over the cases where both have a schedule, and Cocco's mean LGs and tiles there."
)
MOST_MESSAGES = 8


class Picture(NamedTuple):
    """A figure on the page; `inline` is its SVG in base64."""

    name: str
    title: str
    caption: str
    inline: str


def page_text(
    name: str,
    rows: Sequence[Row],
    pictures: Sequence[Picture],
    claims: Sequence[Verdict],
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
    files: Sequence[str],
) -> str:
    """Return the page."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    methods = list(dict.fromkeys(row["method"] for row in rows))
    answers = Counter(one.answer.value for one in claims)
    return environment.get_template("page.html").render(
        name=name,
        version=__version__,
        pictures=pictures,
        links=_links(pictures),
        claim_headers=HEADERS,
        claim_note=NOTE,
        claims=claims_cells(claims),
        answers=ANSWERS,
        answer_counts={answer: answers[answer] for answer in ANSWERS},
        tables=[(title, *_cells(tables[file])) for file, title in TITLES.items() if file in tables],
        files=[(file, FILES[file]) for file in files],
        statuses=dict(Counter(row["status"] for row in rows)),
        messages=Counter((row["status"], row["message"]) for row in rows if row["message"]).most_common(MOST_MESSAGES),
        methods=[(method, METHOD_NAMES.get(method, method), _meaning(method)) for method in methods],
        circumstances=_circumstances(rows),
        has_cocco=any(method.startswith("cocco") for method in methods),
        left_out=LEFT_OUT,
        left_out_points=LEFT_OUT_POINTS,
        light=COLOURS,
        dark={key: DARK[colour] for key, colour in COLOURS.items()},
    )


def tiling_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table of rules as Markdown, with its explanation."""
    return f"# {TILING}\n\n{TILING_NOTE}\n\n{markdown_text(*_cells(rows))}"


def _links(pictures: Sequence[Picture]) -> dict[str, str]:
    """Return where each figure begins, by its label; one of several pictures at the first."""
    found: dict[str, str] = {}
    for one in pictures:
        found.setdefault(one.title.partition(":")[0], one.name)
    return found


def _meaning(method: str) -> str:
    return METHODS[method].meaning if method in METHODS else ""


def _circumstances(rows: Sequence[Row]) -> list[tuple[str, list[str]]]:
    """Return what the rows were made with: each kind with its values."""
    kinds = {"versions": "versions", "machines": "machine", "seeds": "seed", "effort": "effort", "limit (s)": "limit_s"}
    found = []
    for kind, column in kinds.items():
        values = sorted({row[column] for row in rows if row[column] is not None})
        if values:
            found.append((kind, [f"{value:g}" if isinstance(value, int | float) else value for value in values]))
    return found


def _cells(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Return the headers and the cells of a table."""
    headers = [name.replace("_", " ") for name in rows[0]]
    return headers, [[_text(name, value) for name, value in row.items()] for row in rows]


def _text(name: str, value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name in ("method", "over"):
        return method_name(value)
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)
