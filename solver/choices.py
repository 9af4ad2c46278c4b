"""What a user can choose between, by the names of the command line; light, so that ``--help`` stays quick."""

from enum import Enum


class Stage2(Enum):
    """The second stages."""

    CPSAT = "cpsat"
    SA = "sa"
    GREEDY = "greedy"
    NONE = "none"


class FirstStage(Enum):
    """What prices the LFAs of the first stage."""

    GREEDY = "greedy"
    PAPER = "paper"
