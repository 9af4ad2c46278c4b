"""Make the compiled kernels ready before a clock starts.

The first run on a machine compiles them, which takes up to a minute; later runs load the machine code from disk. None
of that should come out of a user's time limit, so a command runs this before it starts its budget.
"""

from soma_cp.annealing.first_stage import FirstStageParameters
from soma_cp.annealing.lfa_search import LFASearchParameters
from soma_cp.annealing.second_stage import SecondStageParameters
from soma_cp.model.networks.catalogue import builtin_network
from soma_cp.model.platform import PLATFORMS
from soma_cp.model.problem import Problem
from soma_cp.solver.choices import FirstStage, Stage2
from soma_cp.solver.pipeline import SolveParameters, solve


def warm_up() -> None:
    """Run every kernel once, on a network of four layers."""
    problem = Problem(builtin_network("tiny-chain"), PLATFORMS["edge"])
    paper = SolveParameters(
        lfa=FirstStage.PAPER,
        stage2=Stage2.SA,
        first_stage=FirstStageParameters(rounds_per_layer=1),
        second_stage=SecondStageParameters(rounds_per_tensor=1),
    )
    solve(problem, paper)
    solve(problem, SolveParameters(stage2=Stage2.GREEDY, search=LFASearchParameters(rounds=100)))
