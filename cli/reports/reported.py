"""What reports are of: executions under the names that tell them apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from soma_cp.cli.tables import clock_text
from soma_cp.model.errors import UserError
from soma_cp.model.soma.execution.execution import Execution


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


def common_clock(reported: Sequence[Reported]) -> str:
    """Return the clock of all schedules, for people; what shows them on one axis of cycles needs one.

    Raises
    ------
    UserError
        If clocks differ.
    """
    clocks = list(dict.fromkeys(clock_text(one.execution.schedule.plan.problem.platform) for one in reported))
    if len(clocks) > 1:
        raise UserError(
            f"the schedules are for clocks of {' and '.join(clocks)}, but have one time axis, in cycles; "
            "write a report for each clock"
        )
    return clocks[0]
