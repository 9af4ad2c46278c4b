"""Claims about means over cases, how they are judged, and how close is close (docs/sweeps.md#claims).

A claim is judged if every case behind it has the schedules that it compares; else its figure is shown, and that it
can't be told. Tolerances are fixed here, before any run.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from soma_cp.solver.sweep.findings.cases import Case, Cases
from soma_cp.solver.sweep.findings.ratios import Mean, Quantity, mean_over


class Kind(Enum):
    """What a claim's figure is."""

    RATIO = "ratio"
    REDUCTION = "reduction"
    """Of a ratio new/old: how much less, in percent."""
    DISTANCE = "distance"
    """Of a ratio bound/latency: how far the bound is below, in percent."""
    SHARE = "share"
    """In percent."""
    COUNT = "count"
    UTILIZATION = "utilization"
    """In percent, printed with two decimals."""


class Tolerance(NamedTuple):
    """How far ours may be from the paper's figure.

    Parameters
    ----------
    value
        The distance; of a relative one a share of the paper's figure.
    is_relative
        Whether it is relative.
    text
        In words.
    """

    value: float
    is_relative: bool
    text: str


TOLERANCES: Mapping[Kind, Tolerance] = {
    Kind.RATIO: Tolerance(0.1, True, "±10 %"),
    Kind.REDUCTION: Tolerance(3.0, False, "±3 points"),
    Kind.DISTANCE: Tolerance(3.0, False, "±3 points"),
    Kind.SHARE: Tolerance(3.0, False, "±3 points"),
    Kind.COUNT: Tolerance(0.1, True, "±10 %"),
    Kind.UTILIZATION: Tolerance(0.02, False, "±0.02"),
}


class Answer(Enum):
    """Whether a claim holds here."""

    MET = "met"
    NOT_MET = "not met"
    UNKNOWN = "can't be told"


@dataclass(frozen=True)
class Verdict:
    """A row of the claims table.

    Parameters
    ----------
    number, text
        The claim.
    paper, ours, geometric
        Its figure in the paper, ours (an arithmetic mean as in the paper), and the geometric mean; texts, empty where
        there is none.
    cases, wanted
        Cases that ours is the mean of, and those that the claim is about.
    tolerance
        In words.
    answer
        Whether it holds.
    why
        What differs and why, or what is missing.
    """

    number: str
    text: str
    paper: str
    ours: str
    geometric: str
    cases: int
    wanted: int
    tolerance: str
    answer: Answer
    why: str


@dataclass(frozen=True)
class MeanClaim:
    """A mean over cases.

    Parameters
    ----------
    number, text
        The claim.
    kind
        What its figure is.
    paper
        The paper's figure, in the unit of its kind.
    quantity
        Returns the figure of a case; of a reduction or a distance the ratio behind it.
    cases
        The cases of the mean.
    reason
        Why ours may differ.
    """

    number: str
    text: str
    kind: Kind
    paper: float
    quantity: Quantity
    cases: tuple[Case, ...]
    reason: str = ""

    def judge(self, cases: Cases) -> Verdict:
        """Return what the cases of a sweep say."""
        mean = mean_over(cases, self.cases, self.quantity)
        ours = in_unit(self.kind, mean.arithmetic)
        answer = Answer.UNKNOWN
        if mean.cases == len(self.cases):
            answer = Answer.MET if is_near(self.kind, ours, self.paper) else Answer.NOT_MET
        return Verdict(
            self.number,
            self.text,
            shown(self.kind, self.paper),
            shown(self.kind, ours),
            _geometric(self.kind, mean),
            mean.cases,
            len(self.cases),
            TOLERANCES[self.kind].text,
            answer,
            _why(answer, mean.cases, len(self.cases), self.reason),
        )


def in_unit(kind: Kind, value: float) -> float:
    """Return a mean in the unit in which the paper gives it."""
    return 100 * (1 - value) if kind in (Kind.REDUCTION, Kind.DISTANCE) else value


def is_near(kind: Kind, ours: float, paper: float) -> bool:
    """Whether ours is within the tolerance; a distance equal to it is."""
    tolerance = TOLERANCES[kind]
    allowed = tolerance.value * (abs(paper) if tolerance.is_relative else 1.0)
    if kind is Kind.UTILIZATION:
        ours = round(ours, 2)
    return abs(ours - paper) <= allowed * (1 + 1e-9)


_FORMS: Mapping[Kind, str] = {
    Kind.RATIO: "{:.2f}×",
    Kind.REDUCTION: "−{:.1f} %",
    Kind.DISTANCE: "{:.1f} %",
    Kind.SHARE: "{:.2f} %",
    Kind.COUNT: "{:.1f}",
    Kind.UTILIZATION: "{:.2f} %",
}


def shown(kind: Kind, value: float) -> str:
    """Return a figure as the paper prints its kind; empty if it is not a number."""
    if math.isnan(value):
        return ""
    if kind is Kind.REDUCTION and value < 0:
        return f"+{-value:.1f} %"
    if kind is Kind.COUNT and value >= 100:
        return f"{value:,.0f}"
    return _FORMS[kind].format(value)


def _geometric(kind: Kind, mean: Mean) -> str:
    """Return the geometric mean of a ratio; sums and shares have none."""
    has_one = kind in (Kind.RATIO, Kind.REDUCTION, Kind.DISTANCE)
    return shown(kind, in_unit(kind, mean.geometric)) if has_one else ""


def _why(answer: Answer, count: int, wanted: int, reason: str) -> str:
    if answer is Answer.UNKNOWN:
        return f"{wanted - count:,} of {wanted:,} cases lack a schedule" if count else "no case has the schedules"
    return reason if answer is Answer.NOT_MET else ""
