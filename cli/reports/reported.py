"""What a report shows: executions, each with a name of its own, and the time axis that they share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import mul
from typing import Any

from soma_cp.cli.tables import clock_text
from soma_cp.model.soma.execution.execution import Execution

CYCLES = "cycles"
TIME_UNITS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))
LEAST_OF_UNIT = 10
"""The longest schedule takes at least so many of the unit, unless it is the smallest."""


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


@dataclass(frozen=True)
class SharedTime:
    """The time axis that all schedules of a report share.

    Parameters
    ----------
    unit
        ``cycles`` if all platforms have one clock; else ``µs``, ``ms`` or ``s``.
    per_cycle
        How long a cycle of each schedule lasts, in that unit.
    longest
        The latency of the schedule that takes longest, in that unit.
    """

    unit: str
    per_cycle: tuple[float, ...]
    longest: float

    @property
    def is_cycles(self) -> bool:
        """Whether the axis counts cycles."""
        return self.unit == CYCLES


def shared_time(reported: Sequence[Reported]) -> SharedTime:
    """Return the axis: in cycles if all clocks are equal, else in seconds."""
    platforms = [one.execution.schedule.problem.platform for one in reported]
    latencies = [one.execution.latency for one in reported]
    if len({platform.clock_hz for platform in platforms}) == 1:
        return SharedTime(CYCLES, (1.0,) * len(reported), max(latencies))
    seconds = max(platform.seconds(latency) for platform, latency in zip(platforms, latencies, strict=True))
    unit, size = next((unit, size) for unit, size in TIME_UNITS if seconds >= LEAST_OF_UNIT * size or unit == "µs")
    per_cycle = tuple(platform.seconds(1) / size for platform in platforms)
    return SharedTime(unit, per_cycle, max(map(mul, latencies, per_cycle)))


def clocks_text(reported: Sequence[Reported]) -> str:
    """Return the clocks of the schedules, each once."""
    clocks = dict.fromkeys(clock_text(one.execution.schedule.problem.platform) for one in reported)
    return " and ".join(clocks)
