"""Short names of layers: without the prefix that all of a network's layers have in common."""

from collections.abc import Sequence

from soma_cp.model.soma.execution.execution import Execution

SEPARATORS = "/._:-"
LEAST_LETTERS = 3
"""A shorter prefix is not worth the trouble."""


def common_prefix(names: Sequence[str]) -> str:
    """Return what all names begin with, up to a separator; empty if that is short, or a whole name."""
    if len(names) < 2:
        return ""
    first, last = min(names), max(names)  # all others begin with what these two begin with
    same = next((i for i, (one, two) in enumerate(zip(first, last, strict=False)) if one != two), len(first))
    start = first[:same]
    end = max(start.rfind(separator) for separator in SEPARATORS) + 1
    prefix = start[:end]
    return "" if len(prefix) < LEAST_LETTERS or prefix in names else prefix


def prefix_of(execution: Execution) -> str:
    """Return the common prefix of the layers' names."""
    return common_prefix([layer.name for layer in execution.schedule.problem.network.layers])
