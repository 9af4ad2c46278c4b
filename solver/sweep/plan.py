"""Which results a sweep needs, and which tasks make those that a store does not have."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

from soma_cp.solver.sweep.grid import Sweep
from soma_cp.solver.sweep.methods import ALONE, METHODS, OURS, point_for
from soma_cp.solver.sweep.outcome import versions_text
from soma_cp.solver.sweep.point import MODEL_VERSION, SEARCH_VERSION, Point, canonical
from soma_cp.solver.sweep.tasks import PointTask

_SCALED = ("gbuf_bytes", "dram_bytes_per_cycle")
"""Fields of the platform in which neighbours differ."""


@dataclass(frozen=True, eq=False)
class Wanted:
    """A result that a sweep needs.

    Parameters
    ----------
    point, method, key
        What it is the result of.
    neighbours
        Keys of the results that it is made of, its own first; empty if it is made by a run.
    """

    point: Point
    method: str
    key: str
    neighbours: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class SweepPlan:
    """What a sweep needs.

    Parameters
    ----------
    sweep
        The sweep.
    """

    sweep: Sweep

    @cached_property
    def wanted(self) -> list[Wanted]:
        """Every result that the sweep reports, by point and method; points that a method can't tell apart give one."""
        found = (
            self._wanted(point_for(point, method), method)
            for point in self.sweep.points
            for method in self.sweep.methods
        )
        return list({one.key: one for one in found}.values())

    @cached_property
    def _alike(self) -> dict[str, list[Point]]:
        """The points that differ in buffer and bandwidth alone, by what they share."""
        alike: dict[str, list[Point]] = defaultdict(list)
        for point in self.sweep.points:
            own = point_for(point, OURS)
            alike[_shared(own)].append(own)
        return alike

    def _wanted(self, point: Point, method: str) -> Wanted:
        if method != OURS:
            return Wanted(point, method, key_of(point, method))
        capacity = point.problem.platform.gbuf_bytes
        others = [one for one in self._alike[_shared(point)] if one.problem.platform.gbuf_bytes <= capacity]
        own = key_of(point, ALONE)
        neighbours = sorted({key_of(one, ALONE) for one in others} - {own})
        return Wanted(point, method, key_of(point, method, neighbours), (own, *neighbours))

    def point_tasks(self, stored: Collection[str]) -> list[PointTask]:
        """Return the runs whose results are not stored, cheap ones first; of a family, only the methods asked for."""
        missing: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
        points: dict[str, Point] = {}
        for point, method, key in self._runs():
            if key not in stored:
                content = canonical(point.document)
                points[content] = point
                missing[content, METHODS[method].family][method] = key
        tasks = [
            PointTask(points[content], family, keys, versions_text()) for (content, family), keys in missing.items()
        ]
        return sorted(tasks, key=lambda task: task.size)

    def _runs(self) -> Iterator[tuple[Point, str, str]]:
        """Yield point, method and key of every result that a run makes."""
        for one in self.wanted:
            method = ALONE if one.method == OURS else one.method
            yield one.point, method, key_of(one.point, method)


def key_of(point: Point, method: str, neighbours: Sequence[str] = ()) -> str:
    """Return the key of a result of this version of the project."""
    versions: dict[str, Any] = {"model": MODEL_VERSION, "search": SEARCH_VERSION}
    if METHODS[method].uses_solver:
        versions["ortools"] = version("ortools")
    return point.key(method, versions, neighbours)


def _shared(point: Point) -> str:
    """Return what a point shares with its neighbours."""
    hardware = {name: value for name, value in point.hardware.items() if name not in _SCALED}
    return canonical({**point.document, "hardware": hardware})
