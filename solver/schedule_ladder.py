"""The ladder of one schedule: schedules of the same LFA, then lower bounds on their latency.

It runs no search and no solver; `soma_cp.solver.ladder` does.
"""

from dataclasses import dataclass

import numpy as np

from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.soma.dlsa import DLSA
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.result import relative_gap
from soma_cp.model.soma.schedule import Schedule, priced
from soma_cp.solver.ladder import BOUND_OF_ALL, BOUND_OF_LFA, MAXIMUM_OF_LFA
from soma_cp.solver.second_stage.windows import best_combinatorial_bound

LIMITED_BY = {"compute": "computing", "DRAM": "transfers"}


@dataclass(frozen=True)
class Rung:
    """A step of the ladder of one schedule.

    Parameters
    ----------
    name
        Name of the schedule or bound.
    latency
        Cycles.
    kind
        ``"schedule"``, ``"this"`` (the schedule itself) or ``"bound"``.
    note
        A remark, for example that the schedule is optimal.
    above
        Share by which it lies above the bound of the LFA.
    """

    name: str
    latency: int
    kind: str
    note: str
    above: float


def schedule_ladder(this: Schedule, claimed_bound: int | None, bound_of_all: int) -> list[Rung]:
    """Return the ladder of a schedule: the schedules of its LFA, slowest first, then the bounds, highest first.

    Parameters
    ----------
    this
        The schedule; it may exceed the buffer.
    claimed_bound
        The lower bound on the LFA's latency in its file (cycles); it is unchecked.
    bound_of_all
        The bound over every LFA of its problem (cycles).
    """
    schedules = {
        "double buffering": this.double_buffered,
        "greedy": priced(this.plan, greedy_dlsa(this.plan)),
        "this schedule": this,
    }
    if _same(this.double_buffered.dlsa, this.dlsa):
        del schedules["double buffering"]
    fastest = min((one.latency for one in schedules.values() if one.fits), default=None)
    bound, source, if_so = _bound_of_lfa(this.plan, claimed_bound, fastest)
    steps = []
    for name, one in schedules.items():
        note = "" if one.fits else "exceeds the buffer: can't run"
        if not note and one.latency <= bound:
            note = f"the optimum of this LFA{if_so}"
        steps.append((name, one.latency, "this" if one is this else "schedule", note))
    steps.sort(key=lambda step: -step[1])
    figures = this.evaluation.figures
    bounds = [
        (BOUND_OF_LFA, bound, "bound", source),
        (MAXIMUM_OF_LFA, figures.bound, "bound", f"perfect overlap: all {LIMITED_BY[figures.limit]}"),
        (BOUND_OF_ALL, bound_of_all, "bound", ""),
    ]
    steps += sorted(bounds, key=lambda step: -step[1])
    return [Rung(name, latency, kind, note, relative_gap(latency, bound)) for name, latency, kind, note in steps]


def _bound_of_lfa(plan: Plan, claim: int | None, fastest: int | None) -> tuple[int, str, str]:
    """Return the bound of the LFA, its source, and the condition under which it holds.

    A file may claim a higher bound than the one known without a solver. A claim above a schedule that fits is wrong.
    """
    bound, source = best_combinatorial_bound(plan)
    if claim is None or claim <= bound:
        return bound, source, ""
    if fastest is not None and claim > fastest:
        return bound, f"{source}; the {claim:,} that the file claims is wrong", ""
    return claim, "says the schedule file, unchecked", ", if the file's bound holds"


def _same(a: DLSA, b: DLSA) -> bool:
    return all(np.array_equal(x, y) for x, y in ((a.order, b.order), (a.start, b.start), (a.end, b.end)))
