"""The errors of the project: what a user did wrong, and what the project itself did wrong.

A message is one sentence that names the thing, what was found, what is allowed, and what to change.
"""

from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from typing import Any

_SHOWN_FAULTS = 50


class SomaError(Exception):
    """Any error that the project raises on purpose; it can be pickled, as process pools do."""

    def __reduce__(self) -> tuple[Any, ...]:
        # By default, pickle calls the class with the message alone, whatever its parameters are.
        return _unpickled, (type(self), self.args, self.__dict__)


def _unpickled(kind: type[SomaError], args: tuple[Any, ...], attributes: dict[str, Any]) -> SomaError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(attributes)
    return error


class UserError(SomaError, ValueError):
    """The input is at fault: the command line ends with exit code 2."""


class FileFaultsError(UserError):
    """A file with faults; `problems` has one sentence for each, the message shows at most the first 50."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        shown = list(problems[:_SHOWN_FAULTS])
        if len(problems) > _SHOWN_FAULTS:
            shown.append(f"and {len(problems) - _SHOWN_FAULTS} more faults")
        super().__init__("\n".join(shown))


class InternalError(SomaError, RuntimeError):
    """Two parts of the project disagree: never the user's fault, and never a result."""


def nearest_name_hint(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known name nearest to `name`, or the empty string."""
    matches = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{matches[0]}'?" if matches else ""


def require_name(said: str, name: str, known: Collection[str]) -> None:
    """Raise `UserError` unless `name` is a known one; `said` is what stands before it, such as an option."""
    if name not in known:
        raise UserError(f"{said} {name} (must be one of {', '.join(known)}){nearest_name_hint(name, known)}")


def nearest_beginning_hint(text: str, known: Collection[str]) -> str:
    """Return the hint of `nearest_name_hint` for what stands before a slash in `text`; nothing if it is a known name.

    Known names are in lower case.
    """
    begin = text.partition("/")[0].strip()
    return "" if begin in known else nearest_name_hint(begin.lower(), known)
