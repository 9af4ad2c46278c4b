"""A stored schedule: what a schedule file holds, and which of its claims do not hold."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from soma_cp.model.arrays import IntArray
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import DLSA
from soma_cp.model.soma.figures import figure, schedule_figures, tile_shapes, with_former_names
from soma_cp.model.soma.lfa import LFA
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.schedule import Schedule

_RELATIVE_ERROR = 1e-9
"""Relative tolerance of energies and averages: sums of floats depend on their order."""
_BOUNDS = (figure("proven_lower_bound_cycles").name, figure("proven_lower_bound_cycles").former)


@dataclass(frozen=True, eq=False)
class StoredSchedule:
    """What a schedule file holds; it may break rules.

    Parameters
    ----------
    plan
        Made from the file's network, hardware, batch and LFA.
    dlsa
        That of the file, by the tensor indices of `plan`. Living Durations are not checked: call
        `soma_cp.model.soma.validity.violations` before evaluating.
    claims
        The figures that the file gives, by their names in the file, present or former; `claim_differences` checks them.
        ``begin_cycle`` holds those of the DRAM tensors, by tensor index.
    provenance
        How the schedule was made, according to the file.
    """

    plan: Plan
    dlsa: DLSA
    claims: Mapping[str, Any]
    provenance: Mapping[str, Any]

    @property
    def problem(self) -> Problem:
        """Network, platform and batch."""
        return self.plan.problem

    @property
    def lfa(self) -> LFA:
        """Layer-Fusion-related Attributes."""
        return self.plan.lfa

    @property
    def claimed_lower_bound(self) -> int | None:
        """Cycles below which, according to the file, no DLSA of this LFA has its latency; None if it says nothing."""
        claimed: int | None = next((self.claims[name] for name in _BOUNDS if name in self.claims), None)
        return claimed


def claim_differences(stored: StoredSchedule, schedule: Schedule) -> list[str]:
    """Return a sentence for each claim of a schedule file that does not hold.

    Parameters
    ----------
    stored
        Read from a file.
    schedule
        The schedule of the same plan and DLSA.
    """
    plan, claims, evaluation = schedule.plan, stored.claims, schedule.evaluation
    found = []
    for name, value in with_former_names(schedule_figures(schedule)).items():
        claimed = claims.get(name, value)
        if not math.isclose(claimed, value, rel_tol=_RELATIVE_ERROR if isinstance(value, float) else 0.0):
            found.append(f"{name}: the file says {claimed}, but it is {value}")
    found += _begin_differences("tile_begin_cycles", claims, evaluation.tile_begin, plan.tile_label)
    found += _begin_differences("begin_cycle", claims, evaluation.tensor_begin, plan.tensor_label)
    found += _shape_differences(claims, tile_shapes(plan))
    latency = evaluation.latency
    bounds = {name: claims[name] for name in _BOUNDS if claims.get(name) is not None}
    for name, bound in bounds.items():
        if bound > latency:
            found.append(f"{name}: the file says {bound}, which is above the latency of {latency}")
    if claims.get("proven_optimal") and max(bounds.values(), default=0) < latency:
        found.append(f"proven_optimal: the file says true, but no bound in it reaches the latency of {latency}")
    return found


def _begin_differences(
    name: str, claims: Mapping[str, Any], actual: IntArray, label: Callable[[int], str]
) -> Iterator[str]:
    claimed: Sequence[int] = claims.get(name, actual)
    if len(claimed) != len(actual):
        yield f"{name}: the file gives {len(claimed)}, but there are {len(actual)}"
        return
    places = np.flatnonzero(np.asarray(claimed) != actual)
    if len(places):
        first = int(places[0])
        yield (
            f"{name}: {len(places)} of {len(actual)} differ, first {label(first)}: "
            f"the file says {claimed[first]}, but it is {actual[first]}"
        )


def _shape_differences(claims: Mapping[str, Any], actual: Mapping[str, list[int]]) -> Iterator[str]:
    claimed: Mapping[str, list[int]] = claims.get("tile_shapes", {})
    wrong = [layer for layer, shape in claimed.items() if actual.get(layer) != shape]
    if wrong:
        said, found = claimed[wrong[0]], actual.get(wrong[0], "not a layer")
        yield f"tile_shapes: {len(wrong)} differ, first '{wrong[0]}': the file says {said}, but it is {found}"
