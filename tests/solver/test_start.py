"""Searches from a start: never worse than it, its LFA kept where it is fixed, the same result each time."""

from collections.abc import Callable
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, reject
from support.divided_cases import DIVIDED_LFA, divided_schedule
from support.divided_cases import PROBLEM as DIVIDED
from support.paths import PUBLISHED
from support.strategies import Case, cases
from support.twins import examples, lfa_of, problem_of_case

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa
from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters
from soma_cp.annealing.first_stage.paper_search import PaperSearchParameters
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.second_stage.annealing import AnnealingParameters
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.errors import UserError
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import DLSA, double_buffering
from soma_cp.model.soma.lfa import FLG, LFA, SharedLoad, unfused_lfa
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.schedule import Schedule, make_schedule, priced
from soma_cp.model.soma.schedule_file import read_schedule
from soma_cp.model.soma.validity import violations
from soma_cp.solver.choices import FirstStage, SecondStage, Space
from soma_cp.solver.parameters import CpSatParameters, SolveParameters
from soma_cp.solver.solve import SolveResult, solve
from soma_cp.solver.start import own_start

EDGE = PLATFORMS["edge"]
CHAIN = Problem(builtin_network("tiny-chain"), EDGE)
BRIEF = SolveParameters(
    search=LFASearchParameters(rounds=200),
    paper_search=PaperSearchParameters(rounds_per_layer=3),
    annealing=AnnealingParameters(rounds_per_tensor=20),
    cpsat=CpSatParameters(deterministic=True, deterministic_time=0.2),
    threads=1,
)
STAGES = st.sampled_from([SecondStage.NONE, *SecondStage])  # NONE is often slower than the start
DLSAS = st.sampled_from([greedy_dlsa, lambda plan: double_buffering(plan.tensors)])
OBJECTIVES = st.sampled_from([Objective(), Objective(1.0, 0.0), Objective(0.0, 1.0), Objective(2.0, 0.5)])


def start_of(case: Case, make_dlsa: Callable[[Plan], DLSA]) -> Schedule:
    """Return a schedule of the case that may run; reject cases without one."""
    try:
        problem = problem_of_case(case)
        plan = make_plan(problem, lfa_of(case.lfa))
        coarse_lfa(problem)
        greedy_dlsa(plan)
        schedule = priced(plan, make_dlsa(plan))
    except UserError:  # a layer or the LFA does not fit into the buffer, or has no mapping
        reject()
    return schedule


def same(one: SolveResult, other: SolveResult) -> bool:
    dlsas = zip(one.schedule.dlsa, other.schedule.dlsa, strict=True)
    return one.schedule.lfa == other.schedule.lfa and all(np.array_equal(a, b) for a, b in dlsas)


@examples(60)
@given(cases(max_layers=4), STAGES, DLSAS, OBJECTIVES)
def test_the_result_is_never_worse_than_the_start(
    case: Case, stage2: SecondStage, make_dlsa: Callable[[Plan], DLSA], objective: Objective
) -> None:
    start = start_of(case, make_dlsa)
    few = LFASearchParameters(rounds=4)  # more would find better schedules without the start
    parameters = replace(BRIEF, second_stage=stage2, objective=objective, search=few)
    result = solve(start.problem, parameters, start=start)
    assert not violations(result.schedule.plan, result.schedule.dlsa)
    assert (result.start is not None) == start.fits
    if result.start is not None:
        assert result.schedule.cost(parameters.objective) <= start.cost(parameters.objective)
    assert result.cost_bound <= result.schedule.cost(parameters.objective) * (1 + 1e-9)
    assert result.best.lower_bound <= result.schedule.latency
    assert same(solve(start.problem, parameters, start=start), result)


@examples(300)
@given(cases(max_layers=4), STAGES, DLSAS, OBJECTIVES)
def test_a_fixed_lfa_is_kept(
    case: Case, stage2: SecondStage, make_dlsa: Callable[[Plan], DLSA], objective: Objective
) -> None:
    start = start_of(case, make_dlsa)
    parameters = replace(BRIEF, second_stage=stage2, objective=objective, fix_lfa=True)
    result = solve(start.problem, parameters, start=start)
    assert result.schedule.lfa == start.lfa
    assert result.rounds == 0
    if start.fits:
        assert result.schedule.latency <= start.latency
    if stage2 is SecondStage.CPSAT:
        assert result.schedule.latency <= priced(start.plan, greedy_dlsa(start.plan)).latency
    assert not violations(start.plan, result.schedule.dlsa)
    assert result.best.lower_bound <= result.schedule.latency


@examples(30)
@given(cases(max_layers=4), st.integers(0, 3))
def test_an_lfa_alone_is_a_start_too(case: Case, run: int) -> None:
    start = start_of(case, greedy_dlsa)
    result = solve(start.problem, replace(BRIEF, second_stage="greedy", run=run), start=start.lfa)
    assert result.start is None
    assert result.schedule.cost(BRIEF.objective) <= start.cost(BRIEF.objective)  # greedy is what prices the LFA


@pytest.mark.parametrize("lfa", FirstStage)
@pytest.mark.parametrize("stage2", SecondStage)
def test_a_search_begins_from_its_own_result(stage2: SecondStage, lfa: FirstStage) -> None:
    """What is proven optimal stays so; the search of another run draws anew."""
    parameters = replace(BRIEF, second_stage=stage2, first_stage=lfa)
    first = solve(CHAIN, parameters)
    again = solve(CHAIN, replace(parameters, run=1), start=first.schedule)
    assert again.schedule.cost(parameters.objective) <= first.schedule.cost(parameters.objective)
    assert again.best.lower_bound <= again.schedule.latency
    if again.schedule.lfa == first.schedule.lfa:
        assert again.best.proven_optimal >= first.best.proven_optimal
    assert again.lfa_from in ("start", lfa)


def test_a_start_with_no_time_left_is_the_result() -> None:
    start = solve(CHAIN, BRIEF).schedule
    result = solve(CHAIN, BRIEF, Monitor(Budget(0)), start=start)
    assert result.schedule.cost(BRIEF.objective) <= start.cost(BRIEF.objective)
    assert result.out_of_time
    budget = Budget()
    budget.request_stop()
    stopped = solve(CHAIN, BRIEF, Monitor(budget), start=start)
    assert stopped.schedule.cost(BRIEF.objective) <= start.cost(BRIEF.objective)
    assert stopped.interrupted


def test_a_dlsa_that_greedy_misses_is_kept() -> None:
    """2,639,194 cycles were published for this LFA, and the greedy DLSA takes 2,703,706 (docs/second-stage.md)."""
    stored = read_schedule(PUBLISHED / "schedules" / "resnet50.b4.8MiB.16GBps.json")
    result = solve(stored.problem, replace(BRIEF, second_stage="greedy", fix_lfa=True), start=stored)
    assert (result.best.method, result.schedule.latency) == ("start", 2_639_194)
    assert not result.best.proven_optimal


def test_each_run_draws_anew() -> None:
    assert SolveParameters(seed=5).draws == 5
    draws = {replace(SolveParameters(seed=5), run=run).draws for run in range(50)}
    assert len(draws) == 50
    assert max(draws) < 2**31
    short = replace(BRIEF, second_stage="greedy", search=LFASearchParameters(rounds=400))
    problem = Problem(builtin_network("gpt2-small"), EDGE)
    start = unfused_lfa(problem.network)
    lfas = [solve(problem, replace(short, run=run), start=start).schedule.lfa for run in (1, 1, 2, 3)]
    assert lfas[0] == lfas[1]
    assert len(set(lfas)) > 1


# Starts of other problems.


def test_a_start_with_another_buffer_is_checked_and_priced_again() -> None:
    start = solve(CHAIN, BRIEF).schedule
    peak = start.evaluation.peak_buffer_bytes
    same_buffer = replace(CHAIN, platform=replace(EDGE, gbuf_bytes=peak))
    own = own_start(same_buffer, start, BRIEF)
    assert own.schedule is not None
    assert own.schedule.latency == start.latency
    double = double_buffering(start.plan.tensors)
    smaller = replace(
        CHAIN, platform=replace(EDGE, gbuf_bytes=priced(start.plan, double).evaluation.peak_buffer_bytes - 1)
    )
    own = own_start(smaller, Schedule(start.plan, double, start.evaluation), BRIEF)
    assert own.schedule is None
    assert "the buffer overflows at tile" in own.note
    assert own.note.endswith("[rule: the living tensors fit into the buffer at every tile]")
    with pytest.raises(UserError, match="the buffer is too small at tile"):
        own_start(replace(CHAIN, platform=replace(EDGE, gbuf_bytes=100_000)), start, BRIEF)


def test_a_start_of_another_bandwidth_is_priced_again() -> None:
    start = solve(CHAIN, BRIEF).schedule
    platform = replace(PLATFORMS["cloud"], gbuf_bytes=EDGE.gbuf_bytes)
    own = own_start(replace(CHAIN, platform=platform), start, BRIEF)
    assert own.schedule is not None
    assert own.schedule.latency == make_schedule(own.plan, start.dlsa).latency != start.latency


def test_a_start_of_another_batch_gives_its_lfa() -> None:
    start = solve(replace(CHAIN, batch=2), BRIEF).schedule
    own = own_start(replace(CHAIN, batch=4), start, BRIEF)
    assert own.plan.lfa == start.lfa
    with pytest.raises(UserError, match=r"tiling_number=5000 of the FLG .* is too large"):
        own_start(CHAIN, unfused_lfa(CHAIN.network, 5000), BRIEF)


def test_a_start_of_other_layers_is_refused() -> None:
    start = solve(CHAIN, BRIEF).schedule
    with pytest.raises(UserError, match="the LFA names the layer 'conv1', which 'tiny-wide' does not have"):
        solve(Problem(builtin_network("tiny-wide"), EDGE), BRIEF, start=start)


def test_a_start_that_a_search_can_not_begin_from_is_refused() -> None:
    network = builtin_network("tiny-pool-fc")
    fused = LFA((FLG(tuple(layer.name for layer in network.layers), 1, True),))
    problem = Problem(network, EDGE)
    own_start(problem, fused, BRIEF)
    with pytest.raises(UserError, match="a fully connected layer in an LG with others, which the paper's search never"):
        own_start(problem, fused, replace(BRIEF, first_stage=FirstStage.PAPER))
    own_start(problem, fused, replace(BRIEF, first_stage=FirstStage.PAPER, fix_lfa=True))


def test_shared_loads_need_the_wide_space() -> None:
    problem = Problem(builtin_network("tiny-attention"), EDGE)
    result = solve(problem, replace(BRIEF, second_stage="greedy", search=LFASearchParameters(rounds=4000)))
    shared = replace(result.schedule.lfa, shared_loads=result.schedule.lfa.shared_loads or (SharedLoad("K", "input"),))
    with pytest.raises(UserError, match="the start shares loads, which the paper's space does not have"):
        own_start(problem, shared, replace(BRIEF, space=Space.PAPER))


def test_divided_layers_need_the_wide_space() -> None:
    with pytest.raises(UserError, match="the start divides layers, which the paper's space does not have"):
        own_start(DIVIDED, DIVIDED_LFA, replace(BRIEF, space=Space.PAPER))


def test_a_fixed_lfa_keeps_its_divisions() -> None:
    start = divided_schedule()
    result = solve(DIVIDED, replace(BRIEF, fix_lfa=True), start=start)
    assert result.schedule.lfa == DIVIDED_LFA
    assert result.schedule.latency <= start.latency
    assert own_start(start.problem, start, BRIEF).schedule is not None


def test_parts_that_another_core_array_does_not_fill_are_refused() -> None:
    with pytest.raises(UserError, match="must be multiples of 128, which the core array 'published' computes at once"):
        own_start(CHAIN, divided_schedule(), replace(BRIEF, fix_lfa=True))


def test_a_fixed_lfa_needs_a_start_and_no_proof_over_all() -> None:
    with pytest.raises(UserError, match="fix_lfa keeps the LFA of a start, and there is none"):
        solve(CHAIN, replace(BRIEF, fix_lfa=True))
    with pytest.raises(UserError, match="--exact goes through all LFAs, and --fix-lfa keeps one"):
        solve(CHAIN, replace(BRIEF, fix_lfa=True, exact=True), start=coarse_lfa(CHAIN))


def test_a_proof_over_every_lfa_takes_the_start() -> None:
    first = solve(CHAIN, replace(BRIEF, exact=True, cpsat=CpSatParameters(deterministic=True)))
    assert first.proof is not None
    again = solve(CHAIN, replace(BRIEF, exact=True, cpsat=CpSatParameters(deterministic=True)), start=first.schedule)
    assert again.is_global_optimum
    assert again.schedule.cost(BRIEF.objective) <= first.schedule.cost(BRIEF.objective)
