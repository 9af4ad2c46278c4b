"""Bounds over every LFA: never above any schedule, and close to the best ones."""

import itertools
from dataclasses import replace
from fractions import Fraction
from unittest.mock import patch

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support.annealing_cases import all_lfas_of_chain
from support.budgets import Looks
from support.divided_lfas import SMALL_PARTS, small_parts
from support.twins import Pair, examples, pairs

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.first_stage.initial_lfa import initial_lfa
from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters, search_lfas
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.errors import UserError
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network import network_table as nt
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.layers import Conv, Eltwise, ExternalInput, PointToPoint, Transpose
from soma_cp.model.network.network import Division, Network
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.evaluation import evaluate, plan_figures
from soma_cp.model.soma.footprint import least_peak_bytes
from soma_cp.model.soma.lfa import FLG, LFA
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.solver.every_lfa import layer_bounds, network_bounds
from soma_cp.solver.every_lfa.layer_choices import LayerChoices
from soma_cp.solver.every_lfa.network_bounds import BUFFER, LAST_TILES, LOADS_BEFORE, TRAFFIC, WAITS, bound_every_lfa
from soma_cp.solver.every_lfa.tile_extents import Steps, TileExtents, ancestors, tile_extents
from soma_cp.solver.parameters import CpSatParameters
from soma_cp.solver.second_stage.exact import solve_dlsa_exactly

EDGE = PLATFORMS["edge"]


def with_buffer(problem: Problem, gbuf_bytes: int) -> Problem:
    return Problem(problem.network, replace(problem.platform, gbuf_bytes=gbuf_bytes), problem.batch)


@examples(80)
@given(pairs(max_layers=8, max_tiling_number=16), st.floats(0, 0.5), st.sampled_from([(1, 1), (1, 0), (0, 1), (1, 2)]))
def test_no_schedule_is_below_the_bounds(pair: Pair, spare: float, exponents: tuple[float, float]) -> None:
    least = least_peak_bytes(pair.plan)
    problem = with_buffer(pair.plan.problem, least + int(spare * least))
    plan = make_plan(problem, pair.plan.lfa)
    objective = Objective(*map(float, exponents))
    bound = bound_every_lfa(problem, objective, wide=bool(plan.lfa.shared_loads))
    assert bound_every_lfa(problem, objective, wide=True).cost <= bound.cost  # the paper's space is part of it
    found = evaluate(plan, greedy_dlsa(plan))
    assert bound.energy_pj <= found.energy_pj
    assert bound.core_energy_pj <= found.figures.core_energy_pj
    assert bound.dram_bytes <= plan.tensors.moved.sum()
    assert bound.compute_cycles <= found.figures.compute_cycles
    assert bound.dram_cycles <= found.figures.dram_cycles
    assert bound.latency <= found.latency
    assert bound.cost <= objective.cost(found.energy_pj, found.latency)
    assert bound.cost >= objective.cost(bound.energy_pj, bound.latency) * (1 - 1e-9)


@examples(150)
@given(
    pairs(max_layers=5, max_tiling_number=2, wide=False),
    st.sampled_from(SMALL_PARTS),
    st.integers(0, 2**32 - 1),
    st.floats(0, 0.5),
)
def test_no_schedule_with_divided_layers_is_below_the_bounds(
    pair: Pair, core_array: tuple[str, int], seed: int, spare: float
) -> None:
    with small_parts(pair.plan.problem, core_array, seed) as plan:
        if plan is None:  # no layer can be divided
            return
        least = least_peak_bytes(plan)
        plan = make_plan(with_buffer(plan.problem.whole, least + int(spare * least)), plan.lfa)
        bound = bound_every_lfa(plan.problem, wide=True)
    found = evaluate(plan, greedy_dlsa(plan))
    assert bound.core_energy_pj <= found.figures.core_energy_pj
    assert bound.dram_bytes <= plan.tensors.moved.sum()
    assert bound.compute_cycles <= found.figures.compute_cycles
    assert bound.latency <= found.latency
    assert bound.cost <= found.edp


@examples(120)
@given(pairs(max_layers=7, max_tiling_number=6, divides=True, passes=True), st.floats(0, 0.5))
def test_no_schedule_in_passes_is_below_the_bounds(pair: Pair, spare: float) -> None:
    """Not below those of the wide space, and not below what is said of schedules in so many passes alone."""
    least = least_peak_bytes(pair.plan)
    plan = make_plan(with_buffer(pair.plan.problem, least + int(spare * least)), pair.plan.lfa)
    found = evaluate(plan, greedy_dlsa(plan))
    latency = found.latency
    if plan.dram_tensor_count <= 16:
        exact = solve_dlsa_exactly(plan, CpSatParameters(workers=1))
        latency = exact.schedule.latency
    bound = bound_every_lfa(plan.problem, wide=True)
    assert bound.core_energy_pj <= found.figures.core_energy_pj
    assert bound.dram_bytes <= plan.tensors.moved.sum()
    assert bound.compute_cycles <= found.figures.compute_cycles
    assert bound.latency <= latency
    assert bound.cost <= found.energy_pj * latency
    assert bound.cost <= bound.one_pass_cost
    problem, passes = plan.problem.whole, plan.lfa.passes
    prices = network_bounds.layer_prices(problem)
    tiles = network_bounds._tiles(prices, prices.choices(wide=True), True)
    loads = network_bounds._loads(problem, prices.extents, tiles, True)
    for numbers in (network_bounds._several_passes(problem.batch), network_bounds.Passes(passes, passes)):
        chains = network_bounds._chain_bounds(problem, prices.needs, tiles, loads, Budget(), numbers)
        assert max(cycles for cycles, _ in chains) <= latency
    moved = bound.dram_bytes + (passes - 1) * int(loads.moved.sum())
    assert moved <= plan.tensors.moved.sum()


def assert_foreseen(plan: Plan) -> None:
    extents = extents_of(plan.problem)
    for layer, (_, *tile) in enumerate(plan.layers.extent.tolist()):
        assert all(extent in foreseen for extent, foreseen in zip(tile, extents.values[layer], strict=True))
        assert tile[1] >= extents.rows[layer].extent[-1]
        assert tile[2] >= extents.columns[layer].extent[-1]


@examples(300)
@given(pairs(max_layers=8, max_tiling_number=16))
def test_tiles_have_extents_that_were_foreseen(pair: Pair) -> None:
    assert_foreseen(pair.plan)


def test_extents_that_halos_add_up_to_are_foreseen() -> None:
    layers = (
        conv("a", "in", C=8, K=8, H=20, W=20, R=1, S=1),
        conv("b", "a", C=8, K=8, H=20, W=20, R=3, S=3),
        conv("c", "b", C=8, K=8, H=20, W=20, R=3, S=3),
    )
    problem = Problem(Network("halos", (ExternalInput("in", (8, 20, 20)),), layers), EDGE)
    plan = make_plan(problem, LFA((FLG(("a", "b", "c"), 9, True),)))
    assert plan.layers.extent[:, 2].tolist() == [9, 8, 7]  # 9 and 8 rows are no part of 20
    assert_foreseen(plan)


@examples(60)
@given(pairs(max_layers=5, max_tiling_number=12), st.integers(0, 2**32 - 1), st.booleans())
def test_not_even_the_best_that_a_search_finds_is_below_the_bounds(pair: Pair, seed: int, wide: bool) -> None:
    least = least_peak_bytes(pair.plan)
    problem = with_buffer(pair.plan.problem, least)
    parameters = LFASearchParameters(rounds=60, chains=2, wide=wide)
    start = pair.plan.lfa if wide else replace(pair.plan.lfa, shared_loads=())
    found = search_lfas(problem, start, seed, parameters=parameters, threads=1)
    if found.lfas:  # without shared loads, the least buffer of the start may be too small
        assert bound_every_lfa(problem, wide=wide).cost <= found.lfas[0][0]
        assert wide or not any(lfa.shared_loads for _, lfa in found.lfas)


@pytest.mark.parametrize("wide", [False, True])
def test_waits_are_bounded_where_nothing_takes_energy(wide: bool) -> None:
    layer = PointToPoint(name="added", K=1, H=8, W=8, inputs=("in",))
    platform = replace(EDGE, dram_pj_per_byte=0.0, energy_pj=(("vector_operation", 0.0),))
    problem = Problem(Network("free", (ExternalInput("in", (1, 8, 8)),), (layer,)), platform)
    bound = bound_every_lfa(problem, wide=wide)
    assert bound.cost == bound.energy_pj == 0
    assert bound.latency >= bound_every_lfa(problem, wide=wide, with_paths=False).latency > 0


@pytest.mark.parametrize("tight", [False, True])
def test_the_bounds_hold_for_every_lfa_of_a_chain_solved_exactly(tight: bool) -> None:
    problem = Problem(builtin_network("tiny-chain"), EDGE, 2)
    if tight:
        whole = make_plan(problem, all_lfas_of_chain(problem.network, range(1, 2))[0])
        problem = with_buffer(problem, least_peak_bytes(whole))
    bound = bound_every_lfa(problem)
    least_latency, least_energy, least_cost, tried = 1 << 60, np.inf, np.inf, 0
    for lfa in all_lfas_of_chain(problem.network, range(1, 5)):
        try:
            plan = make_plan(problem, lfa)
            greedy = evaluate(plan, greedy_dlsa(plan))
        except UserError:  # cannot be tiled so, or overflows
            continue
        tried += 1
        latency = greedy.latency
        if latency < 1.1 * least_latency:
            exact = solve_dlsa_exactly(plan)
            assert exact.proven_optimal
            latency = exact.schedule.evaluation.latency
        least_latency = min(least_latency, latency)
        least_energy = min(least_energy, greedy.energy_pj)
        least_cost = min(least_cost, latency * greedy.energy_pj)
    assert tried > 100
    assert bound.latency <= least_latency < 1.25 * bound.latency
    assert bound.energy_pj <= least_energy < 1.1 * bound.energy_pj
    assert bound.cost <= least_cost < 1.3 * bound.cost


def extents_of(problem: Problem) -> TileExtents:
    return tile_extents(problem, ancestors(problem))


def least_at(steps: Steps, parts: int) -> int:
    """Return the least extent of tiles at this number of parts."""
    return int(steps.extent[np.flatnonzero(steps.parts <= parts)[-1]])


def conv(name: str, source: str, **fields: int) -> Conv:
    inputs = {"inputs": (source,)} if source == "in" else {"ifmaps": (source,)}
    return Conv(name=name, **inputs, **fields)  # type: ignore[arg-type]


def test_rows_that_a_stride_skips_are_not_counted() -> None:
    layers = (
        conv("a", "in", C=64, K=64, H=16, W=16, R=1, S=1),
        conv("b", "a", C=64, K=64, H=8, W=8, R=1, S=1, sH=2, sW=2),
    )
    problem = Problem(Network("skips", (ExternalInput("in", (64, 16, 16)),), layers), EDGE)
    bound = bound_every_lfa(problem)
    plan = make_plan(problem, LFA((FLG(("a", "b"), 64, True),)))
    figures = plan_figures(plan)
    assert plan.layers.extent.tolist() == [[1, 64, 1, 1], [1, 64, 1, 1]]  # a makes 64 of its 256 positions
    assert bound.dram_bytes == plan.tensors.bytes.sum()
    assert bound.compute_cycles <= figures.compute_cycles
    whole = plan_figures(make_plan(problem, LFA((FLG(("a",), 1, True), FLG(("b",), 1, False)))))
    assert bound.dram_bytes < whole.dram_cycles * EDGE.dram_bytes_per_cycle


def test_a_row_that_another_consumer_on_the_way_reads_is_counted() -> None:
    """The shortcut of a residual block skips rows, but the branch, which must lie in the same FLG, reads all."""
    layers = (
        conv("a", "in", C=8, K=8, H=16, W=16, R=1, S=1),
        conv("b", "a", C=8, K=8, H=16, W=16, R=1, S=1),
        conv("c", "a", C=8, K=8, H=8, W=8, R=1, S=1, sH=2, sW=2),
        conv("d", "b", C=8, K=8, H=8, W=8, R=2, S=2, sH=2, sW=2),
        Eltwise(name="e", K=8, H=8, W=8, N=2, ifmaps=("c", "d")),
    )
    problem = Problem(Network("block", (ExternalInput("in", (8, 16, 16)),), layers), EDGE)
    extents = extents_of(problem)
    assert [least_at(extents.rows[0], parts) for parts in (1, 4, 8)] == [15, 3, 1]  # c alone may share a's FLG
    depends = (*layers[:2], conv("c", "b", C=8, K=8, H=8, W=8, R=1, S=1, sH=2, sW=2), *layers[3:])
    assert least_at(extents_of(Problem(Network("n", problem.network.inputs, depends), EDGE)).rows[0], 8) == 1
    joined = (*layers[:2], Eltwise(name="c", K=8, H=16, W=16, N=2, ifmaps=("a", "b")))
    joined = (*joined, conv("d", "c", C=8, K=8, H=8, W=8, R=1, S=1, sH=2, sW=2))
    rows = extents_of(Problem(Network("n", problem.network.inputs, joined), EDGE)).rows
    assert [least_at(one, 8) for one in rows[:3]] == [1, 1, 1]


@pytest.mark.parametrize(("semantics", "rows"), [("published", 16), ("corrected", 32)])
def test_operands_that_are_parts_of_one_ofmap_are_read_as_one(semantics: str, rows: int) -> None:
    # The sum's 16 channels ask the transpose for 16 of its 32 (published), so that it reads 16 of the 32 rows.
    turned = Transpose(name="turned", K=32, H=16, W=1, order="HCW", inputs=("image",))
    total = Eltwise(name="total", N=2, K=16, H=16, W=1, ifmaps=("turned",))
    network = Network("parts", (ExternalInput("image", (16, 32, 1)),), (turned, total))
    problem = Problem(network, replace(EDGE, semantics=semantics))
    plan = make_plan(problem, LFA((FLG(("turned", "total"), 1, True),)))
    assert plan.layers.extent[0].tolist() == [1, rows, 16, 1]
    evaluation, bound = evaluate(plan, greedy_dlsa(plan)), bound_every_lfa(problem)
    assert bound.dram_bytes == plan.tensors.bytes.sum() == 16 * rows + 256
    assert bound.latency <= evaluation.latency
    assert bound.cost <= evaluation.edp
    assert_foreseen(plan)


def loads_of(
    inputs: np.ndarray, weights: np.ndarray, first_weights: np.ndarray, shared: bool, ratio: Fraction = Fraction(1)
) -> network_bounds._Loads:
    """Return what layers load if all weights are compressed alike, to a ratio that divides them."""
    moved, first_moved = (each * ratio.numerator // ratio.denominator for each in (weights, first_weights))
    return network_bounds._Loads(inputs, weights, first_weights, moved, first_moved, ratio, shared)


@pytest.mark.parametrize("shared", [False, True])
def test_latency_bounds_of_a_chain_by_hand(shared: bool) -> None:
    layers = (
        conv("a", "in", C=64, K=64, H=4, W=4, R=1, S=1),
        conv("b", "a", C=64, K=32, H=4, W=4, R=1, S=1),
        conv("c", "b", C=32, K=16, H=2, W=2, R=2, S=2, sH=2, sW=2),
    )
    problem = with_buffer(Problem(Network("chain", (ExternalInput("in", (64, 4, 4)),), layers), EDGE, 2), 6000)
    compute, inputs = np.array([1000, 200, 30]), np.array([[2048], [0], [0]])
    weights = problem.table.layers[:, nt.WEIGHT_BYTES]
    loads = loads_of(inputs, weights, weights, shared)
    shortest, smallest = np.array([20, 7, 3]), np.array([100, 50, 20])
    tiles = network_bounds._Tiles(compute, shortest, shortest, problem.table.layers[:, nt.K], smallest)
    bounds = network_bounds._chain_bounds(problem, ancestors(problem), tiles, loads, Budget())
    # Weights of 4096, 2048 and 2048 bytes at 16 bytes a cycle; 16 bytes are stored last; at most 32, 32, 8 tiles.
    assert bounds == [
        (256 + 4 + 1230 + 1, LOADS_BEFORE),
        (256 + 128 + 30 + 1, LAST_TILES),
        (256 + 4 + 128 + 230 + 1, LOADS_BEFORE),
        (256 + 128 + 128 + 10 + 1, LAST_TILES),
        (256 + 16 + 128 + 128 + 30 + 1, LOADS_BEFORE),
        (256 + 128 + 128 + 128 + 3 + 1, LAST_TILES),
        (260 + 1230 + 1, BUFFER),
        # While the last tile of a runs, until 260 + 1000, 6000 − 4096 − 100 bytes are left for the weights of b and c.
        (1260 + 16 + 230 + 1, BUFFER),
        (1260 + 144 + 30 + 1, BUFFER),
    ]
    # In half the bytes, weights take half the time; the buffer holds as many, and the rest is loaded in half the time.
    halved = loads_of(inputs, weights, weights, shared, Fraction(1, 2))
    assert network_bounds._chain_bounds(problem, ancestors(problem), tiles, halved, Budget()) == [
        (128 + 4 + 1230 + 1, LOADS_BEFORE),
        (128 + 128 + 30 + 1, LAST_TILES),
        (128 + 4 + 64 + 230 + 1, LOADS_BEFORE),
        (128 + 128 + 64 + 10 + 1, LAST_TILES),
        (128 + 16 + 64 + 64 + 30 + 1, LOADS_BEFORE),
        (128 + 128 + 64 + 64 + 3 + 1, LAST_TILES),
        (132 + 1230 + 1, BUFFER),
        (1132 + 8 + 230 + 1, BUFFER),
        (1132 + 72 + 30 + 1, BUFFER),
    ]


def test_tiles_of_parts_are_smaller_than_those_of_the_layer() -> None:
    # Two layers of 300 channels on 4 rows, of which b reads every other one: with a granule of 128 the smallest part
    # has 44 channels.
    layers = (
        conv("a", "in", C=8, K=300, H=4, W=1, R=1, S=1),
        conv("b", "a", C=300, K=300, H=2, W=1, R=1, S=1, sH=2),
    )
    prices = network_bounds.layer_prices(Problem(Network("chain", (ExternalInput("in", (8, 4, 1)),), layers), EDGE))
    for wide, channels in ((False, 300), (True, 44)):
        tiles = network_bounds._tiles(prices, prices.choices(wide=wide), wide)
        assert tiles.fewest_channels.tolist() == tiles.smallest_bytes.tolist() == [channels, channels]
        assert (tiles.shortest < tiles.last).all() == wide


def test_latency_bounds_of_a_chain_with_divided_layers_by_hand() -> None:
    layers = (
        conv("a", "in", C=64, K=64, H=4, W=4, R=1, S=1),
        conv("b", "a", C=64, K=32, H=4, W=4, R=1, S=1),
        conv("c", "b", C=32, K=64, H=2, W=2, R=1, S=1, sH=2, sW=2),
    )
    problem = with_buffer(Problem(Network("chain", (ExternalInput("in", (64, 4, 4)),), layers), EDGE, 2), 3000)
    loads = loads_of(np.array([[2048], [0], [0]]), np.array([4096, 2048, 2048]), np.array([1024, 512, 512]), True)
    tiles = network_bounds._Tiles(
        cycles=np.array([1000, 200, 30]),
        last=np.array([40, 14, 6]),
        shortest=np.array([20, 7, 3]),
        fewest_channels=np.array([16, 8, 16]),
        smallest_bytes=np.array([100, 50, 20]),
    )
    # All weights take 256, 128 and 128 cycles, those of the smallest parts 64, 32 and 32; a part of c stores 16 bytes.
    assert network_bounds._chain_bounds(problem, ancestors(problem), tiles, loads, Budget()) == [
        (64 + 4 + 1230 + 1, LOADS_BEFORE),
        (256 + 128 + 20 + 14 + 6 + 1, LAST_TILES),
        (256 + 4 + 32 + 230 + 1, LOADS_BEFORE),
        (256 + 128 + 128 + 7 + 6 + 1, LAST_TILES),
        (256 + 16 + 128 + 32 + 30 + 1, LOADS_BEFORE),
        (256 + 128 + 128 + 128 + 3 + 1, LAST_TILES),
        (68 + 1230 + 1, BUFFER),
        (292 + 230 + 1, BUFFER),
        # While the last tile of a runs, until 68 + 1000, 3000 − 1024 − 100 bytes are left for all of b and a part of c.
        (1068 + 43 + 30 + 1, BUFFER),
    ]
    # If a takes 100 cycles, its last tile ends once all its loads and that tile are done.
    faster = tiles._replace(cycles=np.array([100, 200, 30]))
    bounds = network_bounds._chain_bounds(problem, ancestors(problem), faster, loads, Budget())
    assert bounds[-1] == (256 + 128 + 20 + 43 + 30 + 1, BUFFER)


def test_traffic_of_inputs_and_weights_that_layers_share() -> None:
    """Two 1×1 convolutions of 64 to 32 channels over 4×4: x has 1,024 B; 2,048 B of weights; ofmaps of 512 B each."""
    layers = tuple(replace(conv(name, "in", C=64, K=32, H=4, W=4, R=1, S=1), weights="w") for name in ("a", "b"))
    problem = Problem(Network("tied", (ExternalInput("in", (64, 4, 4)),), layers), EDGE)
    assert bound_every_lfa(problem).dram_bytes == 2 * (1024 + 2048 + 512)
    assert bound_every_lfa(problem, wide=True).dram_bytes == 1024 + 2048 + 2 * 512


@pytest.mark.parametrize(
    ("name", "batch", "with_paths", "source"),
    [
        ("tiny-ffn", 1, True, TRAFFIC),
        ("gpt2-small-decode", 4, True, LAST_TILES),
        ("gpt2-small-prefill", 1, True, LOADS_BEFORE),
        ("resnet50", 4, False, BUFFER),
        ("resnet50", 4, True, WAITS),
    ],
)
def test_every_argument_is_the_strongest_somewhere(name: str, batch: int, with_paths: bool, source: str) -> None:
    bound = bound_every_lfa(Problem(builtin_network(name), EDGE, batch), with_paths=with_paths)
    assert bound.latency_source == source


@pytest.mark.parametrize(
    ("name", "platform", "latency", "energy_pj", "gap"),
    [
        ("gpt2-xl-decode", "cloud", 285_653, 3.050334e9, 1e-5),  # that of the published program
        ("gpt2-small-decode", "edge", 500_895, 6.821235e8, 1e-5),  # likewise
        ("inception-resnet-v1", "edge", 1_643_855, 3.2058e9, 0.0005),
        ("resnet101", "cloud", 352_398, 4.9932e9, 0.002),
        ("resnet50", "edge", 1_611_411, 2.8062e9, 0.005),
    ],
)
def test_known_schedules_are_proven_near_the_optimum_over_every_lfa(
    name: str, platform: str, latency: int, energy_pj: float, gap: float
) -> None:
    bound = bound_every_lfa(Problem(builtin_network(name), PLATFORMS[platform]), with_paths=False)
    assert bound.cost <= latency * energy_pj < (1 + gap) * bound.cost


@pytest.mark.parametrize(
    ("name", "platform", "latency", "cost", "gap"),
    [
        ("gpt2-xl-decode", "cloud", 266_466, 8.128e14, 0.0003),
        ("resnet101", "cloud", 349_320, 1.744e15, 0.001),
        ("resnet50", "cloud", 201_352, 5.746e14, 0.003),
        ("gpt2-small-decode", "edge", 493_215, 3.364e14, 0.0003),
        ("gpt2-small-prefill", "edge", 586_099, 8.175e14, 0.08),
    ],
)
def test_known_schedules_with_divided_layers_are_near_the_optimum(
    name: str, platform: str, latency: int, cost: float, gap: float
) -> None:
    problem = Problem(builtin_network(name), PLATFORMS[platform])
    bound = bound_every_lfa(problem, wide=True, with_paths=name.startswith("gpt2"))
    assert bound.latency <= latency
    assert bound.cost * (1 - 1e-3) <= cost < (1 + gap) * bound.cost  # costs are known to four digits


def test_a_divided_problem_has_the_bound_of_the_undivided_one() -> None:
    problem = Problem(builtin_network("gpt2-small-prefill"), EDGE)
    divided = problem.divided_as((Division("ffn1", (1024, 2048)), Division("ffn2", (384, 384))))
    bounds = [replace(bound_every_lfa(one, wide=True), seconds=0.0) for one in (problem, divided)]
    assert bounds[0] == bounds[1]
    assert bounds[0].latency == 568_416  # 619,104 undivided


def test_nothing_changes_where_no_layer_is_divisible() -> None:
    problem = Problem(builtin_network("tiny-attention"), EDGE, 2)
    wide = replace(bound_every_lfa(problem, wide=True), seconds=0.0)
    with patch.object(layer_bounds, "part_sizes", lambda _: {}):
        assert replace(bound_every_lfa(problem, wide=True), seconds=0.0) == wide
    assert wide.core_energy_pj == bound_every_lfa(problem).core_energy_pj


@examples(200)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(1, 50), st.floats(1, 100)), min_size=1, max_size=4), min_size=1, max_size=4
    ),
    st.floats(0, 50),
    st.integers(1, 150),
    st.sampled_from([(1.0, 1.0), (2.0, 1.0), (0.5, 1.5), (0.0, 1.0), (1.0, 0.0)]),
)
def test_the_cost_is_bounded_jointly(
    layers: list[list[tuple[int, float]]], dram_energy: float, latency: int, exponents: tuple[float, float]
) -> None:
    objective = Objective(*exponents)
    choices = []
    for options in layers:
        undominated = sorted({a for a in options if not any(b != a and b[0] <= a[0] and b[1] <= a[1] for b in options)})
        cycles, energy = np.array([a[0] for a in undominated]), np.array([a[1] for a in undominated])
        choices.append(LayerChoices(cycles, energy, 1, 1))
    bound = network_bounds._least_cost(choices, dram_energy, latency, objective)
    least = min(
        objective.cost(dram_energy + sum(e for _, e in picked), max(latency, sum(c for c, _ in picked)))
        for picked in itertools.product(*layers)
    )
    assert bound <= least * (1 + 1e-9)


def test_the_first_lfa_of_every_builtin_network_is_above_its_bounds() -> None:
    for name in ("gpt2-small-prefill", "gpt2-small-decode", "randwire", "tiny-attention", "tiny-concat", "tiny-unet"):
        for batch in (1, 6) if name != "randwire" else (1,):
            problem = Problem(builtin_network(name), EDGE, batch)
            plan = make_plan(problem, initial_lfa(problem))
            found = evaluate(plan, greedy_dlsa(plan))
            bound = bound_every_lfa(problem, with_paths=name.startswith("tiny"))
            assert bound.latency <= found.latency
            assert bound.energy_pj <= found.energy_pj


@examples(150)
@given(pairs(max_layers=8, max_tiling_number=4), st.integers(0, 20))
def test_bounds_of_chains_that_were_cut_short_are_some_of_all(pair: Pair, looks: int) -> None:
    problem = pair.plan.problem
    size = len(problem.table.layers)
    rng = np.random.default_rng(looks)
    tiles = network_bounds._Tiles(*(rng.integers(1, 1000, size) for _ in range(5)))
    weights = rng.integers(0, 10**7, size)
    loads = loads_of(rng.integers(0, 500, (size, 2)), weights, weights // 2, False)
    needs = ancestors(problem)
    whole = network_bounds._chain_bounds(problem, needs, tiles, loads, Budget())
    short = network_bounds._chain_bounds(problem, needs, tiles, loads, Looks(looks))
    assert len(whole) == 3 * size
    assert short == whole[: len(short)]
    looks = max(looks - 1, 0)  # the first is before any layer
    assert len(short) == min(3 * size, 2 * looks if looks < size else looks + size)


@pytest.mark.parametrize(
    ("name", "kib", "wide"), [("tiny-unet", 48, False), ("tiny-unet", 48, True), ("tiny-branch", 96, False)]
)
def test_waits_raise_the_bound_on_the_cost_and_lower_no_other(
    name: str, kib: int, wide: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_bounds, "FEW_DOWNSETS", 0)
    problem = Problem(builtin_network(name), replace(PLATFORMS["edge"], gbuf_bytes=kib << 10), 4)
    with_waits, without = (bound_every_lfa(problem, wide=wide, known_cost=cost) for cost in (np.inf, 0.0))
    assert with_waits.cost > 1.05 * without.cost
    assert with_waits.latency >= without.latency
    assert with_waits.energy_pj >= without.energy_pj
