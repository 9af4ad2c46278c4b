"""The outcome of one method at one point: a schedule, or why there is none."""

import datetime
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.metadata import version

from soma_cp import __version__
from soma_cp.model.soma.schedule import Schedule
from soma_cp.solver.provenance import LIBRARIES
from soma_cp.solver.sweep.point import MODEL_VERSION, SEARCH_VERSION, Point


class Status(StrEnum):
    """How a run ended."""

    DONE = "done"
    INFEASIBLE = "infeasible"
    """There is no schedule; the message says why."""
    FAILED = "failed"
    """The run raised an error, or its worker died, twice."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one method found at one point.

    Parameters
    ----------
    status
        How the run ended.
    schedule
        The schedule; None unless the status is DONE.
    message
        Why there is no schedule; empty if there is one.
    lower_bound
        No DLSA of the schedule's LFA has a lower latency (cycles); None if nothing is proven.
    cost_bound
        No schedule at all has a lower cost; None if nothing is proven.
    rounds
        Rounds of the first stage.
    seconds
        Wall-clock time of the run; methods of one run share it.
    """

    status: Status
    schedule: Schedule | None = None
    message: str = ""
    lower_bound: int | None = None
    cost_bound: float | None = None
    rounds: int | None = None
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class Measured:
    """What the columns of a row are computed from.

    Parameters
    ----------
    key
        Of the result.
    point, method
        What was run.
    outcome
        What came of it.
    circumstances
        Machine, versions and date of the run.
    """

    key: str
    point: Point
    method: str
    outcome: Outcome
    circumstances: Mapping[str, str]


def circumstances() -> dict[str, str]:
    """Return where, when and with which versions this process runs: texts by column."""
    return {"machine": machine(), "versions": versions_text(), "date": now()}


def now() -> str:
    """Return date and time, UTC."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@cache
def machine() -> str:
    """Return the name and the kind of this machine."""
    return f"{platform.node()} {platform.system()} {platform.machine()}"


@cache
def versions_text() -> str:
    """Return the versions of the project, of model and search, and of the libraries."""
    libraries = {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES}
    listed = [f"{name} {number}" for name, number in libraries.items()]
    return ", ".join([f"soma-cp {__version__}", f"model {MODEL_VERSION}", f"search {SEARCH_VERSION}", *listed])
