"""Windows of a run solved exactly: against every DLSA of tiny plans, and as proofs of plans that repeat."""

from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given, reject
from support.brute_dlsa import TooManyError, every_dlsa
from support.budgets import Looks
from support.twins import Pair, examples, pairs, with_buffer

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.hardware.builtin.catalogue import platform_named
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.network import Division
from soma_cp.model.network.rewrites.blocks import blocks_in_a_row
from soma_cp.model.problem import Problem
from soma_cp.model.soma.evaluation import evaluate
from soma_cp.model.soma.footprint import least_peak_bytes
from soma_cp.model.soma.lfa import FLG, LFA, unfused_lfa
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.schedule import priced
from soma_cp.solver.parameters import CpSatParameters
from soma_cp.solver.second_stage.cpsat_model import SecondStageModel
from soma_cp.solver.second_stage.cpsat_run import run_cpsat
from soma_cp.solver.second_stage.exact import solve_dlsa_exactly
from soma_cp.solver.second_stage.exact_windows import (
    EXACT_WINDOWS,
    WindowSearch,
    cuts_of,
    period_of,
    relaxed_window,
)
from soma_cp.solver.second_stage.piece import whole_problem
from soma_cp.solver.second_stage.windows import dram_windows, window_arcs, window_work

ONE = CpSatParameters(workers=1)

BLOCK = """
16 norm1 attention_Q/2
1 attention_K10 attention_Kt10 attention_Q/1 attention_K4
1 attention_K11 attention_K8
1 attention_K1 attention_K5 attention_K6 attention_Kt4
1 attention_K9 attention_Kt11 attention_K0 attention_K7 attention_K3 attention_V attention_Kt5 attention_Kt0
4 attention_Kt3
1 attention_K2 attention_Kt1 attention_Kt2 attention_Kt8
2 attention_Kt9 attention_Kt6 attention_Kt7
1 attention_K
16 attention_QK attention_QK_elt attention_QKV
1 attention_FC
8 res1 norm2 ffn1/1 ffn1/2 GeLU ffn2/1 ffn2/2 res2
"""
"""Tiling Numbers and layers of a block of GPT-2 Small at batch 4, the FLGs of one LG."""
DIVISIONS = {"attention_Q": (256, 512), "ffn1": (256, 2816), "ffn2": (512, 256)}


def blocks_plan(count: int) -> Plan:
    network = blocks_in_a_row(builtin_network("gpt2-small-prefill"), count)
    flgs, divisions = [], []
    for block in range(1, count + 1):
        divisions += [Division(f"b{block}.{name}", channels) for name, channels in DIVISIONS.items()]
        for place, line in enumerate(BLOCK.split("\n")[1:-1]):
            number, *layers = line.split()
            flgs.append(FLG(tuple(f"b{block}.{name}" for name in layers), int(number), place == 0))
    problem = Problem(network, platform_named("edge"), 4)
    return make_plan(problem, LFA(tuple(flgs), divisions=tuple(divisions)))


def exact_work(plan: Plan, p: int, f: int) -> int:
    """Return the optimum of a window."""
    window = relaxed_window(whole_problem(plan), p, f)
    windows = dram_windows(window.piece)
    most = int(window.piece.tile_cycles.sum() + 2 * window.piece.cycles.sum()) + 1
    model = SecondStageModel(window.piece, windows, window_arcs(window.piece), most)
    run = run_cpsat(model.model, ONE, None, Budget(), lambda *_: None, most)
    assert run.optimal
    return run.lower_bound - window.lead


@examples(25)
@given(pairs(max_layers=3, max_tiling_number=3), st.data())
def test_no_dlsa_is_faster_through_a_window(pair: Pair, data: st.DataObject) -> None:
    assume(pair.plan.dram_tensor_count <= 7)
    least = least_peak_bytes(pair.plan)
    plan = with_buffer(pair.plan, data.draw(st.integers(least, 2 * least)))
    tiles = plan.tile_count
    fastest = np.full((tiles + 1, tiles + 1), np.iinfo(np.int64).max)
    try:
        for dlsa in every_dlsa(plan, plan.problem.platform.gbuf_bytes, 3_000):
            found = evaluate(plan, dlsa)
            ends = np.concatenate([[0], found.tile_begin + plan.tile_cycles])
            begins = np.concatenate([found.tile_begin, [found.latency]])
            fastest = np.minimum(fastest, begins[None, :] - ends[:, None])
    except TooManyError:
        reject()
    work = window_work(whole_problem(plan))
    for p in range(tiles + 1):
        for f in range(p, tiles + 1):
            exact = exact_work(plan, p, f)
            assert work[p, f] <= exact <= fastest[p, f], (p, f)
    assert exact_work(plan, 0, tiles) == fastest[0, tiles]


@examples(40)
@given(pairs(max_layers=6, max_tiling_number=4), st.data())
def test_the_bound_is_between_the_windows_and_the_optimum(pair: Pair, data: st.DataObject) -> None:
    least = least_peak_bytes(pair.plan)
    plan = with_buffer(pair.plan, data.draw(st.integers(least, 3 * least)))
    schedule, whole = priced(plan, greedy_dlsa(plan)), whole_problem(plan)
    windows = dram_windows(whole)
    assume(windows.latency < schedule.latency)
    lengths = data.draw(st.sampled_from([(1,), (2,), (3, 6)]))
    search = WindowSearch(schedule, whole, windows, replace(ONE, window_transfers=lengths), Budget())
    bound = search.run(schedule.latency)
    optimum = solve_dlsa_exactly(plan, replace(ONE, window_transfers=()))
    assert optimum.proven_optimal
    assert windows.latency <= bound <= optimum.schedule.latency


@examples(60)
@given(pairs(max_layers=5, max_tiling_number=6), st.integers(1, 12))
def test_cuts_lay_windows_end_to_end(pair: Pair, transfers: int) -> None:
    whole = whole_problem(with_buffer(pair.plan, 2 * least_peak_bytes(pair.plan)))
    cuts = cuts_of(whole, transfers)
    assert cuts[0] == 0
    assert cuts == sorted(set(cuts))
    assert cuts[-1] < whole.tile_count


def test_blocks_are_the_periods_of_a_plan() -> None:
    plan = blocks_plan(4)
    whole = whole_problem(plan)
    period, first, last = period_of(whole)
    assert period == plan.tile_count // 4
    assert last - first > 2 * period
    inside = [cut for cut in cuts_of(whole, 52) if first <= cut < last + period]
    assert set(np.diff(inside)) == {period}


def test_nothing_repeats_in_a_plan_without_periods() -> None:
    problem = Problem(builtin_network("tiny-branch"), platform_named("edge"))
    assert period_of(whole_problem(make_plan(problem, unfused_lfa(problem.network)))) == (0, 0, 0)


def test_blocks_are_proven_by_a_window_of_one_of_them() -> None:
    """Twelve blocks have too many literals for the whole model, the windows of all inner blocks are the same."""
    plan = blocks_plan(12)
    without = solve_dlsa_exactly(plan, replace(ONE, window_transfers=(), piece_lengths=(), most_literals=0))
    assert without.lower_bound < without.schedule.latency
    found = solve_dlsa_exactly(plan, replace(ONE, piece_lengths=(), most_literals=0))
    assert found.proven_optimal
    assert found.lower_bound_source == EXACT_WINDOWS
    assert found.details["windows"] <= 4
    assert found.schedule.latency == without.schedule.latency


@pytest.mark.parametrize("looks", [0, 3, 40])
def test_an_interrupted_search_claims_nothing_that_it_has_not_proven(looks: int) -> None:
    """However early it ends, the bound is at most that of the whole search."""
    plan = blocks_plan(3)
    schedule, whole = priced(plan, greedy_dlsa(plan)), whole_problem(plan)
    windows = dram_windows(whole)
    full = WindowSearch(schedule, whole, windows, ONE, Budget()).run(schedule.latency)
    search = WindowSearch(schedule, whole, windows, ONE, Looks(looks))
    assert windows.latency <= search.run(schedule.latency) <= full


def test_the_second_stage_runs_deterministically_with_windows() -> None:
    plan = blocks_plan(3)
    parameters = CpSatParameters(deterministic=True, deterministic_time=5)
    one, other = (solve_dlsa_exactly(plan, parameters, monitor=Monitor()) for _ in range(2))
    assert one.lower_bound == other.lower_bound
    assert one.schedule.latency == other.schedule.latency
    assert one.details == other.details
