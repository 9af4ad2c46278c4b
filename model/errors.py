"""The errors of the project: what a user did wrong, and what the project itself did wrong.

A message is one sentence that names the thing, what was found, what is allowed, and what to change.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class SomaError(Exception):
    """Any error that the project raises on purpose."""


class UserError(SomaError, ValueError):
    """The input is at fault: the command line ends with exit code 2."""


class InternalError(SomaError, RuntimeError):
    """Two parts of the project disagree: never the user's fault, and never a result."""


def nearest_name_hint(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known name nearest to `name`, or the empty string."""
    matches = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{matches[0]}'?" if matches else ""
