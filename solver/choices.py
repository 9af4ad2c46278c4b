"""The choices of a user, by their names on the command line; few imports keep ``--help`` fast."""

from enum import Enum, StrEnum

from soma_cp.model.plug_ins import PlugInKind


class SecondStage(StrEnum):
    """Built-in methods that make a schedule of an LFA; `soma_cp.solver.second_stages` has a row for each."""

    CPSAT = "cpsat"
    SA = "sa"
    GREEDY = "greedy"
    NONE = "none"


class FirstStage(StrEnum):
    """Built-in methods that find and price LFAs; `soma_cp.solver.first_stages` has a row for each."""

    GREEDY = "greedy"
    PAPER = "paper"
    COCCO = "cocco"
    COCCO_GA = "cocco-ga"


COCCO_STAGES = (FirstStage.COCCO, FirstStage.COCCO_GA)
"""First stages that search the space of the Cocco baseline (docs/cocco.md)."""
PAPER_STAGES = (FirstStage.PAPER, *COCCO_STAGES)
"""First stages that know the paper's space alone."""


def usual_second_stage(first_stage: str) -> SecondStage:
    """Return the second stage that a first stage gets where none is named: double buffering is Cocco's."""
    return SecondStage.NONE if first_stage in COCCO_STAGES else SecondStage.CPSAT


SECOND_STAGE_KIND = PlugInKind(
    "soma_cp.second_stages", "second stage", tuple(SecondStage), "a function of a plan and a monitor"
)
FIRST_STAGE_KIND = PlugInKind(
    "soma_cp.first_stages", "first stage", tuple(FirstStage), "a function of a problem and a monitor"
)


class UsePeriods(Enum):
    """Whether alike layers that repeat are searched as periods (docs/first-stage.md#periods).

    AUTO: where the wide space is searched. OFF: never.
    """

    AUTO = "auto"
    OFF = "off"


class Space(Enum):
    """Which schedules a search may make (docs/model.md#spaces).

    In the paper's space, every reader of a source loads it by itself. In the wide space, readers may share loads.
    """

    PAPER = "paper"
    WIDE = "wide"

    @property
    def text(self) -> str:
        """Where a bound holds, in words."""
        return "in the wide space" if self is Space.WIDE else "in the paper's space"
