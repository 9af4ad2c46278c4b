"""The page: charts, tables and explanations in one file that needs nothing else."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bokeh.resources import Resources
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from soma_cp import __version__
from soma_cp.cli.reports.html.charts import FOLDER, make_charts
from soma_cp.cli.reports.html.document import document_json
from soma_cp.cli.reports.html.layers import layers_document
from soma_cp.cli.reports.html.palette import CAPACITY, DARK, IDLE, INK, KINDS, LINE, LINK, PAPER, SOFT, TILES
from soma_cp.cli.reports.html.summary import advice_lines, bounds_of, figure_rows, ladder, stalls
from soma_cp.cli.reports.reported import Reported, clocks_text, shared_time
from soma_cp.cli.tables import lfa_text, percent, problem_text
from soma_cp.model.files.text_file import write_text_atomically
from soma_cp.model.soma.execution.events import OCCUPANCY_NAMES

DOCUMENT_ID = "report"
BOKEH = Resources(mode="inline", components=["bokeh"], minified=True, log_level="warn")
SCRIPTS = ("page.mjs", "table.mjs")
COLOURS = {
    **{f"kind{row}": KINDS[row] for row in range(len(OCCUPANCY_NAMES))},
    "capacity": CAPACITY,
    "idle": IDLE,
    "tile-even": TILES[0],
    "tile-odd": TILES[1],
    "paper": PAPER,
    "ink": INK,
    "soft": SOFT,
    "line": LINE,
    "link": LINK,
}
"""Colours of the page by the names of its style sheet."""
STAGES = {"cpsat": "CP-SAT", "sa": "SA", "greedy": "greedy", "none": "double buffering"}


def write_html(reported: Sequence[Reported], output: Path) -> list[Path]:
    """Write the page; return its path."""
    write_text_atomically(output, page_text(reported))
    return [output]


def page_text(reported: Sequence[Reported]) -> str:
    """Return the page."""
    shared = shared_time(reported)
    document, ids = document_json(make_charts([one.execution for one in reported], shared))
    charts = [target for index in range(len(reported)) for target in (f"events-{index}", f"buffer-{index}")]
    targets = ["overview", *charts]
    item = {"docid": DOCUMENT_ID, "roots": dict(zip(ids, targets, strict=True)), "root_ids": ids}
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "cycles": "{:,}".format}
    bounds = bounds_of(reported)
    layers = layers_document(reported, shared)
    networks = list(dict.fromkeys(one.execution.schedule.plan.problem.network.name for one in reported))
    return environment.get_template("page.html").render(
        title=", ".join(networks),
        version=__version__,
        clock=clocks_text(reported),
        unit=shared.unit,
        layers=layers,
        layer_data=_script_json(layers),
        scripts=[Markup((FOLDER / name).read_text(encoding="utf-8")) for name in SCRIPTS],
        bokeh=[Markup(script) for script in BOKEH.js_raw],
        data=_script_json({"documents": {DOCUMENT_ID: document}, "items": [item]}),
        schedules=[
            {
                "name": one.name,
                "problem": problem_text(one.execution.schedule.plan.problem),
                "size": lfa_text(one.execution.schedule.plan),
                "made": made_text(one.provenance),
                "ladder": ladder(one, bounds),
                "advice": advice_lines(one, bounds),
                "stalls": stalls(one.execution),
                "latency": one.execution.latency,
                "fits": one.execution.schedule.fits,
            }
            for one in reported
        ],
        figures=figure_rows(reported),
        has_difference=len(reported) == 2,
        kinds=list(OCCUPANCY_NAMES),
        light=COLOURS,
        dark={name: DARK[colour] for name, colour in COLOURS.items()},
    )


def made_text(provenance: Mapping[str, Any]) -> str:
    """Say how a schedule was made, as far as its file says."""
    method = provenance.get("second_stage") or STAGES.get(str(provenance.get("stage2")))
    parts = [str(method) if method else "unknown how"]
    for field, text in (("lfa_search", "--lfa {}"), ("space", "--space {}"), ("seed", "seed {}"), ("seconds", "{} s")):
        if provenance.get(field) is not None:
            parts.append(text.format(provenance[field]))
    return ", ".join(parts)


def _script_json(value: Any) -> Markup:
    """Return JSON that cannot end the script element that holds it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))
