"""Compiles or loads all kernels before a time limit starts.

The first run on a machine compiles them, which takes up to a minute; later runs load the machine code from disk. This
time must not count against a user's time limit, so a command warms up before it starts its budget.
"""

import math

from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters
from soma_cp.annealing.first_stage.paper_search import PaperSearchParameters
from soma_cp.annealing.second_stage.annealing import AnnealingParameters
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import unfused_lfa
from soma_cp.model.soma.plan import make_plan
from soma_cp.model.soma.schedule import priced
from soma_cp.solver.choices import FirstStage, SecondStage
from soma_cp.solver.every_lfa.branch_and_bound import prove_over_every_lfa
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.second_stage.piece import cut_piece, shortened
from soma_cp.solver.second_stage.windows import window_arcs
from soma_cp.solver.second_stages import run_second_stage
from soma_cp.solver.solve import solve


def warm_up(exact: bool = False) -> None:
    """Run every kernel once, on a network of four layers; with `exact`, also those of the proof over every LFA."""
    problem = Problem(builtin_network("tiny-chain"), PLATFORMS["edge"])
    paper = SolveParameters(
        first_stage=FirstStage.PAPER,
        second_stage=SecondStage.SA,
        paper_search=PaperSearchParameters(rounds_per_layer=1),
        annealing=AnnealingParameters(rounds_per_tensor=1),
    )
    solve(problem, paper)
    solve(problem, SolveParameters(second_stage=SecondStage.GREEDY, search=LFASearchParameters(rounds=100)))
    plan = make_plan(problem, unfused_lfa(problem.network))
    schedule = priced(plan, greedy_dlsa(plan))
    shortened(schedule)
    window_arcs(cut_piece(schedule, 1, 4))
    if exact:
        greedy = SolveParameters(second_stage=SecondStage.GREEDY)
        prove_over_every_lfa(problem, math.inf, 0.0, lambda plan, _: run_second_stage(plan, greedy))
