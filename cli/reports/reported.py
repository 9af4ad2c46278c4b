"""What reports are of: executions under the names that tell them apart."""

from dataclasses import dataclass

from soma_cp.model.execution import Execution


@dataclass(frozen=True, eq=False)
class Reported:
    """An execution and its name, which no other in the report has."""

    name: str
    execution: Execution
