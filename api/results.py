"""The result of a search: the schedule, what is proven about it, and how the search went."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from soma_cp.api.bounding import Bounds
from soma_cp.api.schedules import Schedule, ScheduleLike
from soma_cp.api.tables import Table, html_table
from soma_cp.model.objective import Objective
from soma_cp.model.soma.result import relative_gap


class Status(Enum):
    """What is proven about a result."""

    OPTIMAL = "proven optimal over every LFA and DLSA"
    OPTIMAL_OF_LFA = "proven to be the fastest of its LFA"
    FEASIBLE = "valid, not proven optimal"


@dataclass(frozen=True, eq=False)
class Result:
    """The best schedule that a search found.

    Parameters
    ----------
    schedule
        Always valid, however early the search ended.
    status
        What is proven; OPTIMAL means: among the schedules of `bounds.space`.
    bounds
        Lower bounds over every LFA and DLSA.
    history
        Rows of (seconds, cost, bound): the objective of the best found so far, infinite before the first, and the lower
        bound over every LFA and DLSA, 0 before the first. The last row is the result; which rows come before it depends
        on when the search reports, on any run.
    seconds
        Wall-clock time, without that for preparing kernels.
    interrupted, out_of_time
        Whether the caller, or the time limit, ended the search before its own stop rule did.
    objective
        What was minimised.
    parameters
        The arguments of the search.
    iterations, rounds
        LFAs that went through the second stage; LFAs that were tried.
    """

    schedule: Schedule
    status: Status
    bounds: Bounds
    history: Table
    seconds: float
    interrupted: bool
    out_of_time: bool
    objective: Objective
    parameters: Mapping[str, Any]
    iterations: int
    rounds: int

    @property
    def cost(self) -> float:
        """The objective of the schedule."""
        return self.schedule.priced.cost(self.objective)

    @property
    def gap(self) -> float:
        """Share by which the cost exceeds the bound; the gap to the optimum is at most this."""
        return relative_gap(self.cost, self.bounds.cost)

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence for each approximation or doubt about the network and the hardware."""
        return self.schedule.notes

    @property
    def layers(self) -> Table:
        """A row for each layer; see `Schedule.layers`."""
        return self.schedule.layers

    @property
    def tiles(self) -> Table:
        """A row for each tile; see `Schedule.tiles`."""
        return self.schedule.tiles

    @property
    def tensors(self) -> Table:
        """A row for each tensor that touches DRAM; see `Schedule.tensors`."""
        return self.schedule.tensors

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the schedule; see `Schedule.save`."""
        self.schedule.save(path)

    def report(
        self, path: str | os.PathLike[str], *others: ScheduleLike, format: str | None = None
    ) -> tuple[Path, ...]:
        """Write a report of the schedule; see `Schedule.report`."""
        return self.schedule.report(path, *others, format=format)

    def __repr__(self) -> str:
        schedule = self.schedule
        return (
            f"<Result of '{schedule.network.name}', batch {schedule.batch}: {self.status.name}, "
            f"{schedule.latency_cycles:,} cycles, {schedule.energy_pj:.4g} pJ, "
            f"at most {self.gap:.2%} above the optimum {self.bounds.space.text}>"
        )

    def _repr_html_(self) -> str:
        ended = "interrupted" if self.interrupted else "time limit reached" if self.out_of_time else "finished"
        rows = [
            *self.schedule.summary(),
            ("bound over every LFA", f"{self.bounds.latency_cycles:,} cycles, {self.bounds.energy_pj / 1e9:.4g} mJ"),
            ("status", f"{self.status.value}; at most {self.gap:.2%} above the optimum {self.bounds.space.text}"),
            ("search", f"{ended} after {self.seconds:.1f} s, {self.rounds:,} LFAs tried"),
        ]
        return html_table(("figure", "value"), rows)
