"""What reports are of: executions under the names that tell them apart."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from soma_cp.model.execution import Execution


@dataclass(frozen=True, eq=False)
class Reported:
    """An execution, its name, and what its file tells.

    Parameters
    ----------
    name
        No other in the report has it.
    execution
        The events.
    provenance
        How the schedule came about; empty where that is not known.
    claimed_bound
        The lower bound on the LFA's latency that the file gives (cycles), which nothing has checked.
    """

    name: str
    execution: Execution
    provenance: Mapping[str, Any] = field(default_factory=dict)
    claimed_bound: int | None = None
