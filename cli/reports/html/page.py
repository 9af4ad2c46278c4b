"""The page: charts, tables and explanations in one file that needs nothing else."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bokeh.resources import Resources
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from soma_cp import __version__
from soma_cp.cli.reports.colours import CAPACITY, IDLE, KINDS, TILES
from soma_cp.cli.reports.html.charts import FOLDER, make_charts
from soma_cp.cli.reports.html.document import document_json
from soma_cp.cli.reports.html.summary import figure_rows, ladders, stalls
from soma_cp.cli.reports.reported import Reported, common_clock
from soma_cp.cli.tables import lfa_text, percent, problem_text
from soma_cp.model.files.text_file import write_text_atomically
from soma_cp.model.soma.execution.events import OCCUPANCY_NAMES

DOCUMENT_ID = "report"
BOKEH = Resources(mode="inline", components=["bokeh"], minified=True, log_level="warn")
STAGES = {"cpsat": "CP-SAT", "sa": "SA", "greedy": "greedy", "none": "double buffering"}


def write_html(reported: Sequence[Reported], output: Path) -> list[Path]:
    """Write the page; return its path."""
    write_text_atomically(output, page_text(reported))
    return [output]


def page_text(reported: Sequence[Reported]) -> str:
    """Return the page.

    Raises
    ------
    UserError
        If the schedules' clocks differ.
    """
    clock = common_clock(reported)
    document, ids = document_json(make_charts([one.execution for one in reported]))
    targets = [target for index in range(len(reported)) for target in (f"events-{index}", f"buffer-{index}")]
    item = {"docid": DOCUMENT_ID, "roots": dict(zip(ids, targets, strict=True)), "root_ids": ids}
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "cycles": "{:,}".format}
    networks = list(dict.fromkeys(one.execution.schedule.plan.problem.network.name for one in reported))
    return environment.get_template("page.html").render(
        title=", ".join(networks),
        version=__version__,
        clock=clock,
        bokeh=[Markup(script) for script in BOKEH.js_raw],
        data=_script_json({"documents": {DOCUMENT_ID: document}, "items": [item]}),
        schedules=[
            {
                "name": one.name,
                "problem": problem_text(one.execution.schedule.plan.problem),
                "size": lfa_text(one.execution.schedule.plan),
                "made": made_text(one.provenance),
                "ladder": ladder,
                "stalls": stalls(one.execution),
                "latency": one.execution.latency,
                "fits": one.execution.schedule.fits,
            }
            for one, ladder in zip(reported, ladders(reported), strict=True)
        ],
        figures=figure_rows(reported),
        kinds=[(KINDS[row], name) for row, name in enumerate(OCCUPANCY_NAMES)],
        colours={"capacity": CAPACITY, "idle": IDLE, "tiles": TILES},
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
