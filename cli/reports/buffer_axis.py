"""The top of a buffer chart's axis: the capacity, or the peak if that is far below the capacity."""

from collections.abc import Sequence

from soma_cp.model.hardware.quantities import MIB
from soma_cp.model.soma.execution.execution import Execution

HEADROOM = 1.08
LEAST_SHARE_OF_BUFFER = 0.25
"""Below this share of the capacity, the axis ends at the peak."""


def highest_buffer(execution: Execution, executions: Sequence[Execution]) -> float:
    """Return the top of the buffer's axis (MiB) for one execution; executions of the same capacity share it."""
    capacity = _capacity(execution)
    peak = max(other.schedule.evaluation.peak_buffer_bytes for other in executions if _capacity(other) == capacity)
    return HEADROOM * (peak if peak < LEAST_SHARE_OF_BUFFER * capacity else max(peak, capacity)) / MIB


def _capacity(execution: Execution) -> int:
    return execution.schedule.plan.problem.platform.gbuf_bytes
