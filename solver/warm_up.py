"""Compiles kernels, or loads their machine code, before a time limit starts.

The first run on a machine compiles what it needs, which takes up to a minute; later runs load it from disk. This
time must not count against a user's time limit, so a command warms up before it starts its budget. Two threads may do
so at once.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from soma_cp.annealing.cocco import group_table
from soma_cp.annealing.cocco.cocco_kernel import anneal_groups, set_figures
from soma_cp.annealing.cocco.cocco_search import search_groups
from soma_cp.annealing.cocco.genetic_kernel import breed
from soma_cp.annealing.cocco.genetic_search import breed_groups
from soma_cp.annealing.cocco.genomes import fill_joins
from soma_cp.annealing.cocco.group_pricer import GroupPricer
from soma_cp.annealing.cocco.group_pricing import price_groups
from soma_cp.annealing.first_stage import cost_cache
from soma_cp.annealing.first_stage.groups import group_end
from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa
from soma_cp.annealing.first_stage.lfa_kernel import anneal_lfa, copy_lfa, file_away
from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters, search_lfas
from soma_cp.annealing.first_stage.periods import without_periods, write_out
from soma_cp.annealing.first_stage.slots import fit_table, without_slots
from soma_cp.annealing.second_stage.annealing import AnnealingParameters, anneal_dlsas
from soma_cp.annealing.second_stage.dlsa_kernel import anneal_dlsa, begin_state
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.annealing.second_stage.greedy_kernel import greedy_pass
from soma_cp.model.kernel_compiler import called_kernels
from soma_cp.model.network.extents import operand_extent
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import unfused_lfa
from soma_cp.model.soma.lfa_arrays import lfa_arrays, lfa_from_arrays
from soma_cp.model.soma.schedule import priced
from soma_cp.model.soma.shared_loads import fill_load_owners
from soma_cp.model.soma.tiling import split_rows_columns
from soma_cp.solver.choices import COCCO_STAGES, FirstStage, SecondStage, Space
from soma_cp.solver.every_lfa import (
    path_kernel,
    path_tiles,
    path_times_kernel,
    tile_extents,
    wide_path_kernel,
    wide_times_kernel,
)
from soma_cp.solver.every_lfa.branch_and_bound import prove_over_every_lfa
from soma_cp.solver.every_lfa.flg_options import tile_loads, tilings
from soma_cp.solver.every_lfa.network_bounds import bound_every_lfa
from soma_cp.solver.every_lfa.prefix_kernel import prefix_latency
from soma_cp.solver.every_lfa.suffixes import undominated
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.pricing_warm_up import PRICING, smallest_problem, unfused_plan, warm_up_pricing
from soma_cp.solver.second_stage.piece import cut_piece, shortened
from soma_cp.solver.second_stage.piece_kernel import shorten, tails_of_suffix
from soma_cp.solver.second_stage.windows import window_arcs
from soma_cp.solver.second_stage.windows_kernel import needed_arcs
from soma_cp.solver.second_stages import run_second_stage

WITHOUT_PIECES = (SecondStage.NONE, SecondStage.GREEDY, SecondStage.SA)
"""Second stages that cut no pieces."""


SEARCH = (
    anneal_lfa,
    copy_lfa,
    file_away,
    cost_cache.insert,
    cost_cache.missing_rows,
    split_rows_columns,
    tile_extents.read_extents,
    greedy_pass,
    fill_load_owners,
    fit_table,
    write_out,
    operand_extent,
    path_tiles.fill_tiles,
    path_tiles.kept_whole,
    path_kernel.close_paths,
    path_times_kernel.close_labels,
    path_times_kernel.pack_labels,
)
PATHS: dict[Space, tuple[Callable[..., Any], ...]] = {
    Space.PAPER: (path_kernel.extend_paths, path_times_kernel.extend_labels),
    Space.WIDE: (wide_path_kernel.extend_wide_paths, wide_times_kernel.extend_wide_labels),
}
PIECES = (shorten, tails_of_suffix, needed_arcs)
ANNEALING = (begin_state, anneal_dlsa)
COCCO = (price_groups, group_table.slot_of, group_table.fill_slots, group_end, set_figures, anneal_groups)
GENETIC = (fill_joins, breed)
EXACT = (tilings, tile_loads, prefix_latency, undominated)
"""The kernels that Python calls, by what needs them; tests/solver/test_warm_up.py knows whether they are all."""


def kernels_of(*runs: SolveParameters) -> set[str]:
    """Return the names of the kernels that `warm_up` compiles or loads for `runs`."""
    entries: tuple[Callable[..., Any], ...] = PRICING + SEARCH
    for space in _spaces(runs):
        entries += PATHS[space]
    entries += PIECES if _cuts_pieces(runs) else ()
    entries += ANNEALING if _anneals(runs) else ()
    entries += EXACT if _proves(runs) else ()
    entries += COCCO if _searches(runs, *COCCO_STAGES) else ()
    entries += GENETIC if _searches(runs, FirstStage.COCCO_GA) else ()
    return called_kernels(*entries)


def _spaces(runs: Sequence[SolveParameters]) -> list[Space]:
    """Return the spaces over which the runs have bounds."""
    searched = {run.searched_space for run in runs}
    return [space for space in Space if not runs or space in searched]


def _cuts_pieces(runs: Sequence[SolveParameters]) -> bool:
    return not runs or any(run.second_stage not in WITHOUT_PIECES for run in runs)


def _anneals(runs: Sequence[SolveParameters]) -> bool:
    return not runs or any(run.second_stage is SecondStage.SA for run in runs)


def _proves(runs: Sequence[SolveParameters]) -> bool:
    return not runs or any(run.exact for run in runs)


def _searches(runs: Sequence[SolveParameters], *stages: FirstStage) -> bool:
    return not runs or any(run.first_stage in stages for run in runs)


def warm_up(*runs: SolveParameters) -> None:
    """Compile or load the kernels that `soma_cp.solver.solve.solve` calls with any of these parameters.

    Parameters
    ----------
    runs
        How to solve; without any, all kernels are compiled or loaded.
    """
    warm_up_pricing()
    problem = smallest_problem()
    greedy = SolveParameters(second_stage=SecondStage.GREEDY)
    search_lfas(problem, coarse_lfa(problem), 0, parameters=LFASearchParameters(rounds=100))
    for space in _spaces(runs):
        bound_every_lfa(problem, wide=space is Space.WIDE)
    _warm_up_rare(problem)
    schedule = priced(plan := unfused_plan(problem), greedy_dlsa(plan))
    if _anneals(runs):
        anneal_dlsas(plan, np.random.default_rng(0), parameters=AnnealingParameters(rounds_per_tensor=1))
    if _searches(runs, *COCCO_STAGES):
        capacity, random = problem.platform.gbuf_bytes, np.random.default_rng(0)
        search_groups(problem, capacity, random)
        pricer = GroupPricer(problem)
        pricer.groups = group_table.enlarged(pricer.groups)
        if _searches(runs, FirstStage.COCCO_GA):
            breed_groups(problem, capacity, random)
    if _cuts_pieces(runs):
        shortened(schedule)
        window_arcs(cut_piece(schedule, 1, 4))
    if _proves(runs):
        prove_over_every_lfa(problem, math.inf, 0.0, lambda plan, _: run_second_stage(plan, greedy))


def _warm_up_rare(problem: Problem) -> None:
    """Compile or load what searches call for some networks alone: with shared loads, parts, or second operands."""
    network, table = problem.network, problem.table
    arrays = lfa_arrays(unfused_lfa(network), network, table)
    lfa_from_arrays(arrays._replace(shares=np.ones_like(arrays.shares)), network, table)
    operand_extent(table.layers, 0, 1, 1)
    fit_table(table, without_slots(problem).slots, arrays.channels)
    write_out(without_periods(without_slots(problem), table), arrays, arrays)
