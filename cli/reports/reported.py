"""What a report shows: executions, each with a name of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from soma_cp.cli.tables import clock_text
from soma_cp.model.errors import UserError
from soma_cp.model.soma.execution.execution import Execution


@dataclass(frozen=True, eq=False)
class Reported:
    """An execution, its name, and what its file says of it.

    Parameters
    ----------
    name
        Unique in the report.
    execution
        The events.
    provenance
        How the schedule was made; empty if unknown.
    claimed_bound
        The lower bound on the LFA's latency that the file claims (cycles); it is not checked.
    """

    name: str
    execution: Execution
    provenance: Mapping[str, Any] = field(default_factory=dict)
    claimed_bound: int | None = None


def common_clock(reported: Sequence[Reported]) -> str:
    """Return the clock of all schedules as text; one axis of cycles needs one clock.

    Raises
    ------
    UserError
        If clocks differ.
    """
    clocks = list(dict.fromkeys(clock_text(one.execution.schedule.plan.problem.platform) for one in reported))
    if len(clocks) > 1:
        raise UserError(
            f"the schedules have clocks of {' and '.join(clocks)}, but share one time axis in cycles; "
            "write a report for each clock"
        )
    return clocks[0]
