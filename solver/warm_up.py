"""Compiles kernels, or loads their machine code, before a time limit starts.

The first run on a machine compiles what it needs, which takes up to half a minute; later runs load it from disk. This
time must not count against a user's time limit, so a command warms up before it starts its budget. Two threads may do
so at once.
"""

import math

import numpy as np

from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa
from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters, search_lfas
from soma_cp.annealing.second_stage.annealing import AnnealingParameters, anneal_dlsas
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import double_buffering
from soma_cp.model.soma.lfa import unfused_lfa
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.schedule import priced
from soma_cp.solver.choices import SecondStage
from soma_cp.solver.every_lfa.branch_and_bound import prove_over_every_lfa
from soma_cp.solver.every_lfa.network_bounds import bound_every_lfa
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.second_stage.piece import cut_piece, shortened
from soma_cp.solver.second_stage.windows import best_combinatorial_bound, window_arcs
from soma_cp.solver.second_stages import run_second_stage

WITHOUT_PIECES = (SecondStage.NONE, SecondStage.GREEDY, SecondStage.SA)
"""Second stages that cut no pieces."""


def warm_up(*runs: SolveParameters) -> None:
    """Compile or load the kernels that `soma_cp.solver.solve.solve` calls with any of these parameters.

    Parameters
    ----------
    runs
        How to solve; without any, all kernels are compiled or loaded.
    """
    warm_up_pricing()
    problem = _problem()
    greedy = SolveParameters(second_stage=SecondStage.GREEDY)
    search_lfas(problem, coarse_lfa(problem), 0, parameters=LFASearchParameters(rounds=100))
    bound_every_lfa(problem)
    schedule = priced(plan := _plan(problem), greedy_dlsa(plan))
    if not runs or any(run.second_stage is SecondStage.SA for run in runs):
        anneal_dlsas(plan, np.random.default_rng(0), parameters=AnnealingParameters(rounds_per_tensor=1))
    if not runs or any(run.second_stage not in WITHOUT_PIECES for run in runs):
        shortened(schedule)
        window_arcs(cut_piece(schedule, 1, 4))
    if not runs or any(run.exact for run in runs):
        prove_over_every_lfa(problem, math.inf, 0.0, lambda plan, _: run_second_stage(plan, greedy))


def warm_up_pricing() -> None:
    """Compile or load the kernels that read, check and price a schedule, and bound its latency."""
    plan = _plan(_problem())
    priced(plan, double_buffering(plan.tensors))
    best_combinatorial_bound(plan)


def _problem() -> Problem:
    return Problem(builtin_network("tiny-chain"), PLATFORMS["edge"])


def _plan(problem: Problem) -> Plan:
    return make_plan(problem, unfused_lfa(problem.network))
