"""What a user can choose between, by the names of the command line; light, so that ``--help`` stays quick."""

from enum import Enum


class SecondStage(Enum):
    """What makes a schedule of an LFA; `soma_cp.solver.second_stages` has a row for each."""

    CPSAT = "cpsat"
    SA = "sa"
    GREEDY = "greedy"
    NONE = "none"


class FirstStage(Enum):
    """What finds LFAs, and prices them; `soma_cp.solver.first_stages` has a row for each."""

    GREEDY = "greedy"
    PAPER = "paper"
