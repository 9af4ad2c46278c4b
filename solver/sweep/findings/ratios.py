"""Ratios of one method to another, case by case, and their means."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from soma_cp.solver.sweep.findings.cases import ByMethod, Case, Cases, has_schedule
from soma_cp.solver.sweep.rows import Row

Quantity = Callable[[ByMethod], float | None]
"""Returns a positive figure of a case; None if a method has no schedule there."""


class Mean(NamedTuple):
    """Means of a figure over cases.

    Parameters
    ----------
    arithmetic, geometric
        The means; not a number without a case.
    cases
        Number of cases.
    """

    arithmetic: float
    geometric: float
    cases: int


def mean_of(values: Sequence[float]) -> Mean:
    """Return both means of positive figures."""
    if not values:
        return Mean(math.nan, math.nan, 0)
    return Mean(statistics.fmean(values), statistics.geometric_mean(values), len(values))


def mean_over(cases: Cases, over: Iterable[Case], quantity: Quantity) -> Mean:
    """Return the means of a figure over those cases of `over` that have it."""
    values = (quantity(cases[case]) for case in over if case in cases)
    return mean_of([value for value in values if value is not None])


def figure_of(method: str, figure: Callable[[Row], float]) -> Quantity:
    """Return a figure of one method's row."""

    def value(methods: ByMethod) -> float | None:
        row = methods.get(method)
        return None if row is None or not has_schedule(row) else figure(row)

    return value


def value_of(method: str, column: str) -> Quantity:
    """Return a column of one method's row."""
    return figure_of(method, lambda row: float(row[column]))


def percent_of(method: str, share: Callable[[Row], float]) -> Quantity:
    """Return a share of one method's row, in percent."""
    return figure_of(method, lambda row: 100 * share(row))


def ratio(above: str, below: str, column: str) -> Quantity:
    """Return the quotient of a column of two methods."""

    one, other = value_of(above, column), value_of(below, column)

    def value(methods: ByMethod) -> float | None:
        values = one(methods), other(methods)
        return None if values[0] is None or values[1] is None else values[0] / values[1]

    return value


def speedup(new: str, old: str) -> Quantity:
    """Return how many times as fast `new` is."""
    return ratio(old, new, "latency_cycles")


def bound_share(method: str) -> Quantity:
    """Return the share of the latency that the LFA's bound is: the larger of the sums over tiles and transfers."""
    return figure_of(method, lambda row: max(row["tile_cycles"], row["dram_cycles"]) / row["latency_cycles"])
