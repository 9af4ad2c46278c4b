"""What workers do: one task is one run, whose results are stored together. Tasks and results can be sent anywhere.

A task never fails for what it solves: that there is no schedule is a result, and so is an error of a search. Only a
lack of memory is raised, so that the run can be tried once more.
"""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from soma_cp.model.errors import UserError
from soma_cp.model.plug_ins import PlugInError
from soma_cp.model.soma.schedule import Schedule
from soma_cp.model.soma.schedule_document import schedule_text
from soma_cp.model.soma.schedule_file import schedule_from_document
from soma_cp.solver.second_stage.windows import best_combinatorial_bound
from soma_cp.solver.start import own_start
from soma_cp.solver.sweep.methods import FAMILIES, METHODS, OURS, run_point
from soma_cp.solver.sweep.outcome import Measured, Outcome, Status, circumstances, versions_text
from soma_cp.solver.sweep.point import Point, canonical
from soma_cp.solver.sweep.rows import Row, row_of
from soma_cp.solver.sweep.store import Result


class OtherVersionsError(UserError):
    """A worker that would give other results than the process that sent it the task."""


@dataclass(frozen=True, eq=False)
class PointTask:
    """A family's methods at a point.

    Parameters
    ----------
    point
        What is solved.
    family
        Of `FAMILIES`.
    keys
        Keys of the results, by method.
    versions
        Those of the process that made the task.
    """

    point: Point
    family: str
    keys: Mapping[str, str]
    versions: str

    @cached_property
    def size(self) -> float:
        """About how long it takes, in no unit."""
        network = self.point.problem.network
        return len(network.layers) * math.sqrt(1 + self.point.problem.samples) * self.point.effort

    @property
    def label(self) -> str:
        """What it does, for people."""
        problem = self.point.problem
        parts = [self.point.net, f"batch {problem.samples}", self.point.hw or "own platform", self.family]
        if self.point.tiling is not Point.tiling:
            parts.append(self.point.tiling.value)
        if self.point.uncapped:
            parts.append("uncapped")
        return " · ".join(parts)

    def run(self) -> list[Result]:
        """Solve the point."""
        begin = time.monotonic()
        try:
            found = dict(run_point(self.point, self.family, list(self.keys)))
        except MemoryError:
            raise
        except Exception as error:
            seconds = time.monotonic() - begin
            found = dict.fromkeys(self.keys, _outcome_of(error, seconds))
        return [result_of(self.point, method, self.keys[method], found[method]) for method in self.keys]

    def failed(self, message: str) -> list[Result]:
        """Return the results of a run that did not end."""
        outcome = Outcome(Status.FAILED, message=message)
        return [result_of(self.point, method, key, outcome) for method, key in self.keys.items()]


@dataclass(frozen=True, eq=False)
class NeighbourTask:
    """The best of a point's own schedule and those of its neighbours, priced at the point (docs/sweeps.md#neighbours).

    Parameters
    ----------
    point, key, versions
        As for `PointTask`.
    own
        The row of the point by itself.
    schedules
        Schedule files by the keys of their results: of the point itself, and of its neighbours.
    failed_neighbours
        Keys of those whose runs failed. The result would be another one with them, so there is none without.
    """

    point: Point
    key: str
    versions: str
    own: Row
    schedules: Mapping[str, str]
    failed_neighbours: tuple[str, ...] = ()

    family = OURS
    size = 0.0

    @property
    def label(self) -> str:
        """What it does, for people."""
        return f"{self.point.net} · neighbours"

    def run(self) -> list[Result]:
        """Price all schedules at the point."""
        if self.failed_neighbours:
            keys = ", ".join(self.failed_neighbours)
            return self.failed(f"runs that it may need failed: {keys}; --retry-failed runs them again")
        begin = time.monotonic()
        try:
            outcome = self._best()
        except MemoryError:
            raise
        except Exception as error:
            outcome = _outcome_of(error, 0.0)
        seconds = float(self.own["seconds"] or 0.0) + time.monotonic() - begin
        return [result_of(self.point, OURS, self.key, replace(outcome, seconds=seconds))]

    def failed(self, message: str) -> list[Result]:
        """Return the results of a run that did not end."""
        return [result_of(self.point, OURS, self.key, Outcome(Status.FAILED, message=message))]

    def _best(self) -> Outcome:
        """Return the own schedule, unless another one costs less here; of several, the one of the first key."""
        own = self.own["key"]
        schedules = {own: self._priced(own)} if own in self.schedules else {}
        schedules |= {key: self._priced(key) for key in sorted(self.schedules) if key != own}
        usable = {key: schedule for key, schedule in schedules.items() if schedule is not None}
        if not usable:
            return Outcome(Status(self.own["status"]), message=self.own["message"], rounds=self.own["rounds"])
        best = min(usable, key=lambda key: usable[key].cost(self.point.objective))
        schedule = usable[best]
        bound = self.own["latency_bound_cycles"] if best == own else best_combinatorial_bound(schedule.plan)[0]
        return Outcome(
            Status.DONE,
            schedule,
            lower_bound=bound,
            cost_bound=self.own["cost_bound"],
            rounds=self.own["rounds"],
        )

    def _priced(self, key: str) -> Schedule | None:
        stored = schedule_from_document(json.loads(self.schedules[key]), f"the schedule of {key}")
        fixed = replace(FAMILIES[OURS].parameters(self.point), fix_lfa=True)
        try:
            return own_start(self.point.problem, stored, fixed).schedule
        except UserError:  # its LFA can't run here
            return None


Task = PointTask | NeighbourTask


def perform(task: Task) -> list[Result]:
    """Run a task; what executors call.

    Raises
    ------
    OtherVersionsError
        If this process has other versions than the one that made the task.
    MemoryError
        If the memory does not suffice.
    """
    if task.versions != versions_text():
        raise OtherVersionsError(
            f"a worker has other versions than this process, so its results may differ: {versions_text()}, not "
            f"{task.versions}; install the same on all machines"
        )
    return task.run()


def _outcome_of(error: Exception, seconds: float) -> Outcome:
    """Return what an error of a run stands for: there is no schedule, or something is at fault."""
    said = " ".join(str(error).split())
    if isinstance(error, UserError) and not isinstance(error, PlugInError):
        return Outcome(Status.INFEASIBLE, message=said, seconds=seconds)
    return Outcome(Status.FAILED, message=f"{type(error).__name__}: {said}", seconds=seconds)


def result_of(point: Point, method: str, key: str, outcome: Outcome) -> Result:
    """Return what is stored of an outcome."""
    row = row_of(Measured(key, point, method, outcome, circumstances()))
    decided_by = {**point.document, "method": method}
    text = None
    if outcome.schedule is not None:
        text = schedule_text(outcome.schedule, outcome.lower_bound, _provenance(row, decided_by))
    return Result(row, canonical(decided_by), text)


def _provenance(row: Mapping[str, Any], decided_by: Mapping[str, Any]) -> dict[str, Any]:
    """Return what it takes to make the schedule again; nothing that differs from run to run."""
    return {
        "tool": "soma-cp sweep",
        "versions": row["versions"],
        "key": row["key"],
        "method_is": METHODS[row["method"]].meaning,
        "point": dict(decided_by),
    }
