"""The first stage: what a candidate costs, and whole runs."""

import itertools
import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, reject
from support.annealing_cases import (
    EDGE,
    SEEDS,
    UNLIMITED,
    assert_priced_as_evaluated,
    builtin_problem,
    close,
    jumpy_problem,
    keeps_groups_apart,
    run_of,
    settings_of,
)
from support.strategies import Case, cases
from support.twins import examples, lfa_of, problem_of_case, with_buffer

from soma_cp.annealing.acceptance import Cooling
from soma_cp.annealing.first_stage import chain, cost_cache, lfa_kernel, lfa_pricing
from soma_cp.annealing.first_stage.candidate_tiles import empty_cut_flgs, look_up_changed
from soma_cp.annealing.first_stage.cost_cache import CostCache
from soma_cp.annealing.first_stage.initial_lfa import initial_lfa
from soma_cp.annealing.first_stage.lfa_pricing import LFAState
from soma_cp.annealing.first_stage.moves import Move
from soma_cp.annealing.first_stage.paper_search import PaperSearchParameters, anneal_lfas, layers_kept_apart
from soma_cp.annealing.first_stage.periods import without_periods
from soma_cp.annealing.first_stage.slots import without_slots
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.progress import ProgressEvent
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.hardware.core_array.protocol import NoMappingError
from soma_cp.model.hardware.quantities import MIB
from soma_cp.model.network.layers import ExternalInput, PointToPoint
from soma_cp.model.network.network import Network
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import double_buffering
from soma_cp.model.soma.evaluation import evaluate
from soma_cp.model.soma.footprint import BufferTooSmallError, least_peak_bytes
from soma_cp.model.soma.lfa import FLG, LFA, LFAError
from soma_cp.model.soma.lfa_arrays import lfa_arrays, lfa_from_arrays
from soma_cp.model.soma.plan import make_plan

# First stage: cost of a candidate.


def candidate_figures(
    problem: Problem, lfa: LFA, limit_bytes: int, objective: Objective, costing: int
) -> dict[int, float] | None:
    """Evaluate one LFA as a round of the first stage does, from empty tables; None if it is not valid."""
    size = len(problem.network.layers)
    candidate = lfa_arrays(lfa, problem.network, problem.table)
    state = LFAState(
        current=lfa_arrays(lfa, problem.network, problem.table),
        candidate=candidate,
        best=lfa_arrays(lfa, problem.network, problem.table),
        written=candidate,
        figures=np.zeros((3, lfa_pricing.FIGURES)),
        ceiling=np.full(1, np.inf),
        counters=np.zeros(lfa_pricing.COUNTERS, np.int64),
        missing=np.zeros(size, np.int64),
        archive=np.zeros((0, 4, size), np.int64),
        archive_shares=np.zeros((0, len(problem.table.source) + size), np.bool_),
        archive_costs=np.zeros(0),
    )
    scratch = chain._scratch(problem, 0, 0, 0)
    costs = CostCache(problem)
    costs.table = cost_cache._empty_table(1)
    settings = settings_of(problem, limit_bytes, objective, costing)
    apart = np.zeros(size, np.int64)
    slotted = without_slots(problem)
    periods = without_periods(slotted, problem.table)
    weights, random = np.zeros(len(Move)), np.random.default_rng(0)  # no move is drawn

    def price() -> tuple[int, int]:
        status = lfa_kernel.anneal_lfa(
            problem.table,
            slotted.slots,
            costs.table,
            apart,
            weights,
            settings,
            state,
            scratch,
            lfa_pricing.PRICE_ALONE,
            False,
            random,
            periods,
        )
        return status, int(state.counters[lfa_pricing.VERDICT])

    asked = []
    tiles, tensors, chip = 0, 0, 0
    while True:
        status, verdict = price()
        asked.append(status)
        assert len(asked) <= 3
        if status == lfa_pricing.UNKNOWN_COSTS:
            costs.learn(scratch.tiles, state.missing[: state.counters[lfa_pricing.UNKNOWN]])
            assert (costs.table.keys[:, 0] >= 0).sum() * 2 <= len(costs.table.keys)
        elif status == lfa_pricing.NEEDS_ROOM:
            # Exactly what the kernel asks for must do.
            tiles, tensors, chip = (int(state.counters[item]) for item in (3, 4, 5))
            scratch = chain._scratch(problem, tiles, tensors, chip)
        elif verdict == lfa_pricing.INVALID:
            return None
        else:
            break
    assert verdict == lfa_pricing.PRICED
    figures = state.figures[lfa_pricing.CANDIDATE].tolist()
    if costing == lfa_pricing.GREEDY and figures[lfa_pricing.OVERFLOW_BYTES] > 0:  # seen without tensors
        assert asked == [lfa_pricing.UNKNOWN_COSTS, lfa_pricing.DONE]
    else:
        assert asked == [lfa_pricing.UNKNOWN_COSTS, lfa_pricing.NEEDS_ROOM, lfa_pricing.DONE]
    # More room, and what another candidate left there, change nothing.
    scratch = chain._scratch(problem, 3 * tiles + 5, 2 * tensors + 3, chip + 4)
    for _ in range(2):
        assert price() == (lfa_pricing.DONE, lfa_pricing.PRICED)
        assert state.figures[lfa_pricing.CANDIDATE].tolist() == figures
    if figures[lfa_pricing.OVERFLOW_BYTES] == 0:
        cost = figures[lfa_pricing.COST]
        for share in (0.5, 0.9, 0.99):  # may be told without a schedule
            state.ceiling[0] = share * cost
            status, verdict = price()
            assert (status, verdict != lfa_pricing.INVALID) == (lfa_pricing.DONE, True)
        for share in (1.0, 1 + 1e-12, 2.0):
            state.ceiling[0] = share * cost
            assert price() == (lfa_pricing.DONE, lfa_pricing.PRICED)
            assert state.figures[lfa_pricing.CANDIDATE].tolist() == figures
    return dict(enumerate(figures))


COSTINGS = {"double buffering": lfa_pricing.DOUBLE_BUFFERING, "greedy": lfa_pricing.GREEDY}


@pytest.mark.parametrize("costing", COSTINGS)
@examples(200)
@given(
    cases(max_layers=8, max_tiling_number=20, valid=False),
    st.sampled_from([Objective(), Objective(0, 1), Objective(2, 0.5)]),
)
def test_candidates_cost_what_the_evaluator_says(costing: str, case: Case, objective: Objective) -> None:
    problem, lfa = problem_of_case(case), lfa_of(case.lfa)
    try:
        plan = make_plan(problem, lfa)
    except (LFAError, NoMappingError):
        assert candidate_figures(problem, lfa, 20_000, objective, COSTINGS[costing]) is None
        return
    doubled = evaluate(plan, double_buffering(plan.tensors))
    peak = doubled.peak_buffer_bytes if costing == "double buffering" else least_peak_bytes(plan)
    for limit in (peak + peak // 8, peak, peak - 1, 0):
        figures = candidate_figures(problem, lfa, limit, objective, COSTINGS[costing])
        assert figures is not None
        overflow = max(peak - limit, 0)
        expected = doubled
        if costing == "greedy":
            if overflow and limit:  # no platform has a buffer of 0 bytes
                with pytest.raises(BufferTooSmallError):
                    greedy_dlsa(with_buffer(plan, limit))
            elif not overflow:
                expected = evaluate(plan, greedy_dlsa(with_buffer(plan, limit)))
        if costing == "double buffering" or not overflow:
            assert figures[lfa_pricing.LATENCY] == expected.latency
        assert figures[lfa_pricing.PEAK_BYTES] == peak
        assert figures[lfa_pricing.ENERGY_PJ] == close(expected.energy_pj)
        assert figures[lfa_pricing.OVERFLOW_BYTES] == overflow
        cost = objective.cost(expected.energy_pj, expected.latency)
        assert figures[lfa_pricing.COST] == (math.inf if overflow else close(cost))


def is_valid_candidate(problem: Problem, lfa: LFA) -> bool:
    """Evaluate one LFA as a round of the first stage does that began with `initial_lfa`."""
    run = run_of(problem, settings_of(problem, UNLIMITED, Objective()), np.random.default_rng(0))
    lfa_kernel.copy_lfa(lfa_arrays(lfa, problem.network, problem.table), run.state.candidate)
    run.state.ceiling[0] = math.inf
    verdict = run.price_candidate()
    assert verdict != lfa_pricing.TOO_COSTLY
    return verdict == lfa_pricing.PRICED


def test_candidates_that_mix_groups_are_refused() -> None:
    problem = builtin_problem("tiny-pool-fc")
    whole = LFA((FLG(tuple(layer.name for layer in problem.network.layers), 1, True),))
    make_plan(problem, whole)
    assert not is_valid_candidate(problem, whole)
    assert is_valid_candidate(problem, initial_lfa(problem))


def test_candidates_of_too_many_tiles_are_refused() -> None:
    layer = PointToPoint(name="large", K=1, H=1024, W=1024, inputs=("in",))
    problem = Problem(Network("large", (ExternalInput("in", (1, 1024, 1024)),), (layer,)), EDGE)
    assert 1 << 18 < lfa_pricing.MAX_CANDIDATE_TILES < 1 << 19
    assert is_valid_candidate(problem, LFA((FLG(("large",), 1 << 18, True),)))
    many = LFA((FLG(("large",), 1 << 19, True),))
    make_plan(problem, many)
    assert not is_valid_candidate(problem, many)


def test_candidates_that_the_core_array_cannot_run_are_refused() -> None:
    problem = jumpy_problem()
    for number in (1, 4):
        with pytest.raises(NoMappingError):
            make_plan(problem, LFA((FLG(("jumpy",), number, True),)))
        assert not is_valid_candidate(problem, LFA((FLG(("jumpy",), number, True),)))
    assert is_valid_candidate(problem, LFA((FLG(("jumpy",), 64 * 64, True),)))


def test_costs_of_more_tiles_than_the_table_has_room_for_are_all_remembered() -> None:
    problem = builtin_problem("tiny-branch", batch=3)
    layers = problem.network.layers
    plan = make_plan(problem, initial_lfa(problem))
    costs = CostCache(problem)
    costs.table = cost_cache._empty_table(2)
    missing = np.zeros(len(layers), np.int64)

    def look_up() -> tuple[int, bool]:
        return look_up_changed(costs.table, plan.layers, empty_cut_flgs(problem.table), missing)

    learned: dict[tuple[int, ...], tuple[int, float]] = {}
    # Extents that differ in one dimension only are tiles of their own.
    for extent in itertools.product((1, 2, 3), (1, 2, 48), (1, 3, 14), (1, 2, 3, 9)):
        plan.layers.extent[:] = extent
        unknown, _ = look_up()
        assert missing[:unknown].tolist() == list(range(len(layers)))
        costs.learn(plan.layers, missing[:unknown])
        assert look_up() == (0, True)
        for layer in range(len(layers)):
            learned[layer, *extent] = (int(plan.layers.cycles[layer]), float(plan.layers.energy_pj[layer]))
    cycles, energy_pj = problem.core_array.tile_costs(problem.table, np.array(list(learned)))
    assert list(learned.values()) == list(zip(cycles.tolist(), energy_pj.tolist(), strict=True))
    for tile, expected in learned.items():  # what came later has pushed nothing out
        plan.layers.extent[:] = tile[1:]
        assert look_up() == (0, True)
        assert (plan.layers.cycles[tile[0]], plan.layers.energy_pj[tile[0]]) == expected
    taken = costs.table.keys[:, 0] >= 0
    assert taken.sum() == len(learned) <= len(costs.table.keys) // 2


# First stage: whole runs.


def test_the_first_stage_reaches_the_published_latency_of_resnet50() -> None:
    # artifact_results.csv: first_stage_latency of resnet50, edge, batch 1
    problem = builtin_problem("resnet50")
    found = anneal_lfas(problem, initial_lfa(problem), EDGE.gbuf_bytes, np.random.default_rng(0))
    assert_priced_as_evaluated(problem, found, EDGE.gbuf_bytes)
    assert found.latency == pytest.approx(1_902_450, rel=0.02)
    assert found.rounds == 7200


@pytest.mark.parametrize("mib", [4, 5, 6])
def test_the_first_stage_respects_its_limit(mib: int) -> None:
    """Also where double buffering of the LFA that it starts from overflows: gpt2-small-prefill."""
    for name in ("resnet50", "gpt2-small-prefill"):
        problem = builtin_problem(name)
        found = anneal_lfas(problem, initial_lfa(problem), mib * MIB, np.random.default_rng(0))
        assert found.fits
        assert_priced_as_evaluated(problem, found, mib * MIB)
    start = make_plan(problem, initial_lfa(problem))
    assert evaluate(start, double_buffering(start.tensors)).peak_buffer_bytes > 7 * MIB


@examples(25)
@given(cases(max_layers=8), SEEDS, st.sampled_from([1.0, 0.6, 0.0]))
def test_the_first_stage_prices_the_best_lfa_as_the_evaluator_does(case: Case, seed: int, share: float) -> None:
    problem, start = problem_of_case(case), lfa_of(case.lfa)
    try:
        doubled = make_plan(problem, start)
    except NoMappingError:
        reject()
    if not keeps_groups_apart(lfa_arrays(start, problem.network, problem.table), layers_kept_apart(problem)):
        reject()
    first = evaluate(doubled, double_buffering(doubled.tensors))
    limit = int(share * first.peak_buffer_bytes)
    found = anneal_lfas(problem, start, limit, np.random.default_rng(seed), parameters=PaperSearchParameters(30))
    assert_priced_as_evaluated(problem, found, limit)
    if share == 1:
        assert found.energy_pj * found.latency <= first.edp * (1 + 1e-9)
    else:
        assert found.fits or found.peak_bytes <= first.peak_buffer_bytes


def test_the_first_stage_returns_to_the_best_after_nine_tenths_of_the_rounds() -> None:
    problem = builtin_problem("tiny-attention")
    hot = Cooling(initial_temperature=1e30, alpha=0.0)
    settings = settings_of(problem, UNLIMITED, Objective())._replace(
        initial_temperature=hot.initial_temperature, alpha=hot.alpha, rounds=1000
    )
    run = run_of(problem, settings, np.random.default_rng(0))
    current, best = run.state.figures[0], run.state.figures[1]
    run.run_to(900, heated=True)
    assert current[lfa_pricing.COST] > best[lfa_pricing.COST]
    run.apart = np.arange(1, len(problem.network.layers) + 1)  # refuses what that round makes of the best
    run.run_to(901, heated=False)
    assert current[lfa_pricing.COST] == best[lfa_pricing.COST]
    assert lfa_from_arrays(run.state.current, problem.network, problem.table) == lfa_from_arrays(
        run.state.best, problem.network, problem.table
    )


def test_without_heat_the_first_stage_accepts_nothing_worse() -> None:
    problem = builtin_problem("tiny-attention")
    settings = settings_of(problem, UNLIMITED, Objective())._replace(initial_temperature=1e30)
    run = run_of(problem, settings, np.random.default_rng(0))
    costs = []
    for last in range(1, 80):
        run.run_to(last, heated=False)
        costs.append(run.state.figures[0, lfa_pricing.COST])
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < costs[0]


def test_the_first_stage_keeps_the_cheapest_lfa_that_it_accepted() -> None:
    """Which is neither the fastest nor the last one."""
    problem = builtin_problem("tiny-unet")
    objective = Objective(energy_exponent=3, delay_exponent=0.1)
    settings = settings_of(problem, UNLIMITED, objective)._replace(initial_temperature=1.0, alpha=0.0, rounds=1000)
    run = run_of(problem, settings, np.random.default_rng(4))
    accepted: list[tuple[float, float]] = []  # cost and latency
    for last in range(800):
        run.run_to(last, heated=True)
        current = run.state.figures[0]
        accepted.append((float(current[lfa_pricing.COST]), float(current[lfa_pricing.LATENCY])))
        cheapest = min(accepted)[0]
        assert run.state.figures[1, lfa_pricing.COST] == cheapest
    best = make_plan(problem, lfa_from_arrays(run.state.best, problem.network, problem.table))
    found = evaluate(best, double_buffering(best.tensors))
    assert objective.cost(found.energy_pj, found.latency) == close(cheapest)
    assert found.latency > min(latency for _, latency in accepted)
    assert accepted[-1][0] > cheapest


def test_where_nothing_fits_the_lfa_that_overflows_least_is_found() -> None:
    problem = builtin_problem("resnet50")
    start = initial_lfa(problem)
    plan = make_plan(problem, start)
    found = anneal_lfas(problem, start, MIB, np.random.default_rng(0))
    assert not found.fits
    assert_priced_as_evaluated(problem, found, MIB)
    assert found.peak_bytes < evaluate(plan, double_buffering(plan.tensors)).peak_buffer_bytes


def test_progress_of_the_first_stage() -> None:
    problem = builtin_problem("resnet50")
    events: list[ProgressEvent] = []
    random = np.random.default_rng(0)
    monitor = Monitor(progress=events.append, iteration=4)
    found = anneal_lfas(problem, initial_lfa(problem), EDGE.gbuf_bytes, random, monitor=monitor)
    done = [event.rounds_done for event in events]
    costs = [event.best_cost for event in events]
    assert done == sorted(set(done))
    assert costs == sorted(costs, reverse=True)
    assert done[-1] == events[-1].rounds == found.rounds
    assert {event.iteration for event in events} == {4}
    assert costs[-1] == close(found.energy_pj * found.latency)
