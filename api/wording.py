"""Messages in the words of Python: the floors below name options of the command line, callers know parameters."""

import re
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from soma_cp.model.errors import SomaError

_Parameters = ParamSpec("_Parameters")
_Returned = TypeVar("_Returned")

_OF_INPUTS = {"dim": "dims", "layout": "layouts", "batch-axis": "batch_axes", "input": "inputs"}
"""Options that are given once for each name, and the parameters that map names to values."""
_NAMES = {
    "seq": "tokens",
    "fix-lfa": "fix_lfa",
    "ignore-unsupported": "ignore_unsupported",
    "end": "ends",
    "net": "network",
    "time-limit": "time_limit",
    **_OF_INPUTS,
}
"""Options whose parameter has another name."""
_TEXT_VALUED = (
    *("stage2", "lfa", "space", "present", "types", "buffer", "dram"),
    *("weights", "activations", "accumulators", "divisions"),
)


def in_python(text: str) -> str:
    """Return a message with parameters of the Python API in place of options of the command line.

    Examples
    --------
    >>> in_python("give a larger buffer, at least --buffer 5MiB")
    "give a larger buffer, at least buffer='5MiB'"
    """
    text = re.sub(r"soma-cp nets --export NET --divide (\S+) -o FILE", r"load_network(..., divide='\1')", text)
    text = text.replace("--net FILE", "network")
    text = re.sub(rf"--({'|'.join(_OF_INPUTS)}) ('[^']*'|[^\s=]+)=(-?[\w…]+)", _of_input, text)
    text = re.sub(r"--end (\S+?)(?=[:,;]?(?:\s|$))", lambda found: f"ends=[{_quoted(found[1])}]", text)
    text = re.sub(rf"--({'|'.join(_TEXT_VALUED)})[ =]([\w.]+(?:/[\w:]+)?)", r"\1='\2'", text)
    text = re.sub(r"--passes (\d+)", r"passes=\1", text)
    return re.sub(r"--([a-z][a-z0-9-]*)", lambda found: _NAMES.get(found[1], found[1].replace("-", "_")), text)


def _of_input(found: re.Match[str]) -> str:
    option, name, value = found.groups()
    if value == "none":
        shown = "None"
    elif value == "…" or value.lstrip("-").isdigit():
        shown = value
    else:
        shown = repr(value)
    return f"{_OF_INPUTS[option]}={{{_quoted(name)}: {shown}}}"


def _quoted(name: str) -> str:
    return name if name.startswith("'") else repr(name)


def speaks_python(call: Callable[_Parameters, _Returned]) -> Callable[_Parameters, _Returned]:
    """Make a function raise the errors of the floors below in the words of Python."""

    @wraps(call)
    def wrapped(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Returned:
        try:
            return call(*args, **kwargs)
        except SomaError as error:
            error.args = tuple(in_python(said) if isinstance(said, str) else said for said in error.args)
            problems = getattr(error, "problems", None)
            if problems:
                error.problems = tuple(in_python(problem) for problem in problems)  # type: ignore[attr-defined]
            raise

    return wrapped
