"""What ``--json`` prints: one object that says which result it is, in which version (docs/reading-the-output.md)."""

import json
from collections.abc import Mapping
from typing import Any

from soma_cp import __version__
from soma_cp.model.soma.figures import with_former_names as with_former_figures

VERSION = 1
"""Version of the objects; a key that goes, or whose meaning changes, raises it. New keys do not."""
TIMED = ("seconds", "solver_seconds")
"""Keys of values that differ from run to run."""
FORMER_NAMES = {
    "first_stage_latency": "first_stage_latency_cycles",
    "claimed_proven_lower_bound": "claimed_proven_lower_bound_cycles",
    "first_stage_edp": "first_stage_energy_delay_pj_cycles",
}
"""Present names by former ones, of values that are no figures of a schedule."""


def print_json(result: str, document: Mapping[str, Any]) -> None:
    """Print one JSON object.

    Parameters
    ----------
    result
        What it is the result of: the words of the command.
    document
        The keys after those that every object has.
    """
    print(json.dumps({"result": result, "version": VERSION, "tool_version": __version__, **document}, indent=1))


def with_former_names(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document in which values stand under their former names, too, after all others."""
    return with_former_figures(document, FORMER_NAMES)


def without_seconds(value: Any) -> Any:
    """Return a document in which times measured by a clock are null: the same on every run."""
    if isinstance(value, Mapping):
        return {key: None if key in TIMED else without_seconds(item) for key, item in value.items()}
    return [without_seconds(item) for item in value] if isinstance(value, list) else value
