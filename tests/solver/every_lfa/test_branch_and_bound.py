"""Branch and bound over LFAs: its bounds against random LFAs, its answer against going through all LFAs one by one."""

import itertools
import math
import time
import tracemalloc
from contextlib import suppress
from dataclasses import replace
from functools import cache

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support.annealing_cases import EDGE, all_lfas_of_chain, builtin_problem
from support.twins import Pair, examples, pairs

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.errors import UserError
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.layers import Conv, ExternalInput, PointToPoint
from soma_cp.model.network.network import Network
from soma_cp.model.network.network_checks import LARGEST_EXTENT
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.evaluation import evaluate, plan_figures
from soma_cp.model.soma.footprint import BufferTooSmallError, least_peak_bytes
from soma_cp.model.soma.lfa import FLG, LFA
from soma_cp.model.soma.lfa_arrays import lfa_arrays
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.result import SecondStageResult
from soma_cp.model.soma.schedule import Schedule, priced
from soma_cp.solver.choices import SecondStage
from soma_cp.solver.every_lfa import flg_options, suffixes
from soma_cp.solver.every_lfa.branch_and_bound import computing_orders, prove_over_every_lfa
from soma_cp.solver.every_lfa.flg_options import OptionTable
from soma_cp.solver.every_lfa.prefixes import OrderBounds, Prefix
from soma_cp.solver.every_lfa.suffixes import Front, suffix_fronts
from soma_cp.solver.parameters import CpSatParameters, SolveParameters
from soma_cp.solver.second_stage.exact import solve_dlsa_exactly
from soma_cp.solver.second_stage.windows import best_combinatorial_bound
from soma_cp.solver.solve import solve

EXPONENTS = [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (1.0, 2.0)]


def with_buffer(plan: Plan, gbuf_bytes: int) -> Plan:
    problem = plan.problem
    return make_plan(
        Problem(problem.network, replace(problem.platform, gbuf_bytes=gbuf_bytes), problem.batch), plan.lfa
    )


def exact(plan: Plan, latency_to_beat: int | None = None) -> SecondStageResult:
    return solve_dlsa_exactly(
        plan, CpSatParameters(workers=1), monitor=Monitor(Budget(20)), cutoff_latency=latency_to_beat
    )


def bounds_along(plan: Plan, objective: Objective) -> list[float] | None:
    """Return the bounds of all prefixes of an LFA, of both steps; None if it has a Tiling Number that is left out."""
    order = tuple(lfa_arrays(plan.lfa, plan.problem.network, plan.problem.table).order.tolist())
    bounds = OrderBounds(OptionTable(plan.problem), order, objective, math.inf)
    prefix = Prefix()
    found = []
    for flg in plan.lfa.flgs:
        children = bounds.children(prefix, prefix.place + len(flg.layers), flg.dram_cut)
        choices = np.flatnonzero(children.options.number == flg.tiling_number)
        if not len(choices):
            return None
        prefix = bounds.child(prefix, children, int(choices[0]))
        found.append(float(children.cost[choices[0]]))
        found.append(bounds.window_cost(prefix, children, int(choices[0])))
    assert bounds.lfa(prefix) == plan.lfa
    figures = plan_figures(plan)
    assert (prefix.compute, prefix.transfers) == (figures.compute_cycles, figures.dram_cycles)
    assert prefix.energy_pj == pytest.approx(figures.energy_pj, rel=1e-9)
    return found


@examples(200)
@given(pairs(max_layers=7, max_tiling_number=8, wide=False), st.floats(0, 0.5), st.sampled_from(EXPONENTS))
def test_no_beginning_is_bounded_above_its_schedules(pair: Pair, spare: float, exponents: tuple[float, float]) -> None:
    least = least_peak_bytes(pair.plan)
    plan = with_buffer(pair.plan, least + int(spare * least))
    objective = Objective(*exponents)
    bounds = bounds_along(plan, objective)
    if bounds is None:
        return
    evaluation = evaluate(plan, greedy_dlsa(plan))
    latency = evaluation.latency
    if latency > best_combinatorial_bound(plan)[0] and plan.dram_tensor_count <= 30:
        latency = exact(plan).schedule.evaluation.latency
    cost = objective.cost(evaluation.energy_pj, latency)
    assert max(bounds) <= cost * (1 + 1e-9)
    # Of the whole LFA, step 2 knows what the window bound knows.
    windows = objective.cost(evaluation.energy_pj, best_combinatorial_bound(plan)[0])
    assert bounds[-1] == pytest.approx(windows, rel=1e-9)


@examples(100)
@given(pairs(max_layers=5, max_tiling_number=8, wide=False))
def test_no_suffix_is_below_its_front(pair: Pair) -> None:
    """The last FLGs of an LFA, alone: some triple of the front is no worse than what the plan says of them."""
    plan = with_buffer(pair.plan, 2 * least_peak_bytes(pair.plan))
    order = tuple(lfa_arrays(plan.lfa, plan.problem.network, plan.problem.table).order.tolist())
    fronts = suffix_fronts(OptionTable(plan.problem), order, Objective(), math.inf)
    evaluation = evaluate(plan, greedy_dlsa(plan))
    tensors, place = plan.tensors, 0
    for flg in plan.lfa.flgs:
        layers = np.array(order[place:])
        begin = int(evaluation.tile_begin[plan.layers.first[layers[0]]])
        loads = ~tensors.is_store & ~np.isin(tensors.layer, layers)
        moved = np.isin(tensors.layer, layers)
        energy = float(plan.layers.count[layers] @ plan.layers.energy_pj[layers]) + 84.0 * tensors.bytes[moved].sum()
        compute, channel = evaluation.latency - begin, evaluation.latency - int(tensors.cycles[loads].sum())
        assert reached(fronts[place], energy, compute, channel)
        place += len(flg.layers)


def reached(front: Front, energy: float, compute: int, channel: int) -> bool:
    return bool(
        np.any(
            (front.energy_pj <= energy * (1 + 1e-9)) & (front.compute_path <= compute) & (front.channel_path <= channel)
        )
    )


# Small networks, LFA by LFA


def small_chain(layers: int, side: int = 4, buffer: int = 4096, width: int = 4) -> Problem:
    """A chain of 3×3 convolutions on few rows: all of its LFAs can be listed."""
    found = [
        Conv(
            name=f"c{i}",
            C=8,
            K=8,
            H=side,
            W=1,
            R=3,
            S=1,
            ifmaps=(f"c{i - 1}",) if i else (),
            inputs=() if i else ("in",),
        )
        for i in range(layers)
    ]
    network = Network("small", (ExternalInput("in", (8, side, 1)),), tuple(found))
    platform = replace(EDGE, gbuf_bytes=buffer, dram_bytes_per_cycle=width)
    return Problem(network, platform, 1)


@cache
def priced_one_by_one(buffer: int, width: int) -> list[tuple[Schedule, int]]:
    """Return the greedy schedule of every LFA of a small chain, and a bound on the latency of its best."""
    problem = small_chain(4, buffer=buffer, width=width)
    found = []
    for lfa in all_lfas_of_chain(problem.network, range(1, 5)):
        try:
            plan = make_plan(problem, lfa)
            found.append((priced(plan, greedy_dlsa(plan)), best_combinatorial_bound(plan)[0]))
        except UserError:
            continue
    return found


@cache
def exact_latency(schedule: Schedule) -> int:
    return exact(schedule.plan).schedule.latency


def cheapest_one_by_one(buffer: int, width: int, objective: Objective) -> float:
    best = math.inf
    for greedy, bound in priced_one_by_one(buffer, width):
        if objective.cost(greedy.energy_pj, bound) < best:
            best = min(best, objective.cost(greedy.energy_pj, exact_latency(greedy)))
    return best


@pytest.mark.parametrize("exponents", EXPONENTS)
@pytest.mark.parametrize(("buffer", "width"), [(1200, 4), (4096, 4), (600, 1), (4096, 64)])
def test_the_optimum_of_small_chains(buffer: int, width: int, exponents: tuple[float, float]) -> None:
    problem, objective = small_chain(4, buffer=buffer, width=width), Objective(*exponents)
    optimum = cheapest_one_by_one(buffer, width, objective)
    assert optimum < math.inf
    for start in (math.inf, 2 * optimum):
        proof = prove_over_every_lfa(problem, start, 0.0, exact, objective)
        assert proof.complete
        assert proof.improved is not None
        assert proof.improved.schedule.cost(objective) == pytest.approx(optimum)
        assert proof.lower_bound == pytest.approx(optimum)
    proof = prove_over_every_lfa(problem, optimum, 0.0, exact, objective)
    assert (proof.complete, proof.improved) == (True, None)
    assert proof.lower_bound == optimum


def test_all_computing_orders_are_gone_through() -> None:
    problem = builtin_problem("tiny-wide")
    orders = list(computing_orders(problem))
    assert len(orders) == len(set(orders)) == math.factorial(4)
    needs = {
        name: set(layer.ifmaps) for name, layer in zip(problem.network.layer_id, problem.network.layers, strict=True)
    }
    names = list(problem.network.layer_id)
    for order in orders:
        placed = [names[i] for i in order]
        assert all(needs[name] <= set(placed[:place]) for place, name in enumerate(placed))
    chain = itertools.islice(computing_orders(builtin_problem("tiny-chain")), 2)
    assert list(chain) == [(0, 1, 2, 3)]


def test_all_tiling_numbers_are_listed() -> None:
    layers = (
        Conv(name="a", C=8, K=8, H=6, W=5, R=3, S=3, inputs=("in",)),
        Conv(name="b", C=8, K=8, H=3, W=5, R=1, S=1, sH=2, ifmaps=("a",)),
    )
    problem = Problem(Network("two", (ExternalInput("in", (8, 6, 5)),), layers), EDGE, 4)
    for names in (("a",), ("b",), ("a", "b")):
        valid = []
        for number in range(1, 4 * 6 * 5 + 2):
            flgs = [FLG((name,), 1, True) for name in ("a", "b") if name not in names]
            flgs.insert(0 if "a" in names else 1, FLG(names, number, True))
            with suppress(UserError):
                make_plan(problem, LFA(tuple(flgs)))
                valid.append(number)
        ids = tuple(problem.network.layer_id[name] for name in names)
        assert OptionTable(problem).options(ids).number.tolist() == valid


def test_a_limit_holds_while_options_are_listed() -> None:
    problem = builtin_problem("tiny-concat", batch=4096)
    began = time.monotonic()
    proof = prove_over_every_lfa(problem, math.inf, 0.0, exact, monitor=Monitor(Budget(0.5)))
    assert time.monotonic() - began < 10  # one FLG more than the limit; all of them take far longer
    assert (proof.complete, proof.orders, proof.lower_bound) == (False, 0, 0.0)


# In `solve`


@pytest.mark.parametrize("name", ["tiny-chain", "tiny-branch", "tiny-ffn", "tiny-concat", "tiny-wide", "tiny-unet"])
def test_builtin_tiny_networks_are_proven_optimal(name: str) -> None:
    result = solve(builtin_problem(name), SolveParameters(exact=True), Monitor(Budget(120)))
    assert result.is_global_optimum
    assert result.proof is not None
    assert result.proof.complete
    assert result.cost_bound == pytest.approx(result.best.schedule.evaluation.edp)


def test_a_bad_search_is_made_good() -> None:
    problem = builtin_problem("tiny-branch")
    parameters = SolveParameters(search=LFASearchParameters(rounds=4, chains=1), exact=True)
    poor = solve(problem, replace(parameters, exact=False))
    result = solve(problem, parameters, Monitor(Budget(120)))
    best = solve(problem, SolveParameters(exact=True), Monitor(Budget(120)))
    assert result.best.schedule.evaluation.edp == best.best.schedule.evaluation.edp < poor.best.schedule.evaluation.edp
    assert not poor.is_global_optimum
    assert result.is_global_optimum


def test_a_limit_leaves_the_bound_that_was_known() -> None:
    problem = builtin_problem("tiny-attention")
    result = solve(problem, SolveParameters(exact=True), Monitor(Budget(1.5)))
    assert result.proof is not None
    assert not result.proof.complete
    assert not result.is_global_optimum
    assert result.cost_bound == result.network_bound.cost


def test_what_the_second_stage_leaves_open_is_not_proven() -> None:
    def undecided(plan: Plan, latency_to_beat: int) -> SecondStageResult:
        found = priced(plan, greedy_dlsa(plan))
        return SecondStageResult("greedy", found, found.evaluation.figures.bound, "theoretical maximum", 0.0)

    problem = small_chain(4, buffer=1200)
    proof = prove_over_every_lfa(problem, math.inf, 0.0, undecided)
    assert not proof.complete
    assert proof.improved is not None
    assert proof.lower_bound < proof.improved.schedule.evaluation.edp


def test_no_proof_where_nothing_fits() -> None:
    problem = small_chain(3, buffer=200)
    with pytest.raises(BufferTooSmallError):
        greedy_dlsa(make_plan(problem, all_lfas_of_chain(problem.network, range(1, 2))[0]))
    proof = prove_over_every_lfa(problem, math.inf, 0.0, exact)
    assert proof.improved is None


@pytest.mark.parametrize(
    ("name", "stage2", "message"),
    [("resnet50", SecondStage.CPSAT, "at most 12 layers; 'resnet50' has 72"), ("tiny-chain", SecondStage.SA, "not sa")],
)
def test_what_can_not_be_proven_is_refused(name: str, stage2: SecondStage, message: str) -> None:
    with pytest.raises(UserError, match=message):
        solve(builtin_problem(name), SolveParameters(second_stage=stage2, exact=True))


@pytest.mark.parametrize(
    ("batch", "rows", "columns", "most"),
    [(1, 7, 5, 35), (4, 6, 6, 144), (12, 10, 1, 50), (6, 40, 30, 700), (8, 1, 1, 3)],
)
def test_possible_tiling_numbers_are_all_products(batch: int, rows: int, columns: int, most: int) -> None:
    # n = gcd(batch, n) · r · c: samples are cut first, the rest over r rows and c columns.
    parts = {r * c for r in range(1, rows + 1) for c in range(1, columns + 1)}
    expected = [n for n in range(1, most + 1) if n // math.gcd(batch, n) in parts]
    assert flg_options._possible_numbers(batch, rows, columns, most).tolist() == expected


@pytest.mark.parametrize("rows", [46_000, LARGEST_EXTENT // 46_000])
def test_options_of_a_huge_layer_look_at_the_clock_and_take_little_memory(rows: int) -> None:
    layer = PointToPoint(name="a", K=1, H=rows, W=46_000, inputs=("in",))
    problem = Problem(Network("huge", (ExternalInput("in", (1, rows, 46_000)),), (layer,)), EDGE)
    tracemalloc.start()
    proof = prove_over_every_lfa(
        problem, math.inf, 1.0, lambda *_: pytest.fail("no time"), monitor=Monitor(Budget(0.2))
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not proof.complete
    assert proof.lower_bound == 1.0
    assert peak < 500e6


def test_too_many_options_end_the_proof_without_a_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flg_options, "MOST_CELLS", 10)
    problem = Problem(builtin_network("tiny-chain"), EDGE)
    proof = prove_over_every_lfa(problem, math.inf, 1.0, lambda *_: pytest.fail("no options"))
    assert (proof.complete, proof.lower_bound, proof.improved) == (False, 1.0, None)


@examples(60)
@given(pairs(max_layers=4, max_tiling_number=4), st.integers(1, 20))
def test_fronts_do_not_depend_on_chunks(pair: Pair, triples: int) -> None:
    table, order = OptionTable(pair.plan.problem), tuple(range(len(pair.plan.problem.network.layers)))
    whole = suffix_fronts(table, order, Objective(), math.inf)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suffixes, "TRIPLES_AT_ONCE", triples)
        chunks = suffix_fronts(table, order, Objective(), math.inf)
    for one, other in zip(whole, chunks, strict=True):
        assert one.energy_pj.tolist() == other.energy_pj.tolist()
        assert one.compute_path.tolist() == other.compute_path.tolist()
        assert one.channel_path.tolist() == other.channel_path.tolist()
