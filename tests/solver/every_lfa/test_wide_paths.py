"""Shortest paths over downsets in the wide space: never above any LFA with divided layers and shared loads."""

import random
from contextlib import suppress
from dataclasses import replace
from functools import cache
from unittest.mock import patch

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support.attention_blocks import attention, random_lfa
from support.brute_lfas import every_lfa, plans_of
from support.budgets import Looks
from support.divided_lfas import SMALL_PARTS, every_division, small_parts
from support.slow_wide_paths import slow_wide_costs
from support.strategies import Case
from support.tiny_problems import NETWORKS, case_of, problem_of
from support.twins import Pair, examples, pairs

from soma_cp.annealing.budget import Budget
from soma_cp.model.arrays import FloatArray
from soma_cp.model.errors import UserError
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.layers import Conv, ExternalInput, Layer, PointToPoint
from soma_cp.model.network.network import Division, Network
from soma_cp.model.problem import Problem
from soma_cp.model.soma.evaluation import plan_figures
from soma_cp.model.soma.footprint import least_peak_bytes
from soma_cp.model.soma.lfa import FLG, LFA, LFAError, SharedLoad
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.solver.every_lfa import downsets, layer_bounds
from soma_cp.solver.every_lfa.network_bounds import bound_every_lfa, layer_prices
from soma_cp.solver.every_lfa.wide_paths import WidePaths

ALONE = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
ROUNDING = 1e-9
MIXTURES = st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))


def with_buffer(problem: Problem, gbuf_bytes: int) -> Problem:
    return replace(problem, platform=replace(problem.platform, gbuf_bytes=gbuf_bytes))


def costs_of(problem: Problem, multipliers: list[tuple[float, ...]], most_parts: int = 128) -> np.ndarray | None:
    with patch.object(layer_bounds, "MOST_PARTS", most_parts):
        prices = layer_prices(problem)
        prices.choices(wide=True)
        return WidePaths(problem, prices, np.array(multipliers)).costs(Budget())


def figures_of(plan: Plan) -> tuple[float, float, float, float]:
    """Return bytes of the least buffer, pJ, cycles of tiles, cycles of transfers."""
    figures = plan_figures(plan)
    return least_peak_bytes(plan), figures.energy_pj, figures.compute_cycles, figures.dram_cycles


@cache
def every_plan(name: str, batch: int, semantics: str) -> np.ndarray:
    problem = problem_of(name, batch, semantics=semantics)
    most_parts = 2 if name in ("packed parts", "parts of one input") else 3
    plans = (
        plan
        for divisions in every_division(problem, most_parts)
        for lfa in every_lfa(problem.divided_as(divisions))
        for plan in plans_of(problem, lfa, wide=True)
    )
    return np.array(sorted({figures_of(plan) for plan in plans}))


@pytest.mark.parametrize(
    ("name", "batch", "semantics"),
    [
        *((name, 1, "published") for name in NETWORKS),
        ("three readers", 1, "corrected"),
        ("a consumer that skips", 2, "published"),
        ("tiles in the padding", 2, "published"),
        ("much to compute", 2, "corrected"),
        ("operands in one ofmap", 2, "published"),
    ],
)
def test_no_lfa_costs_less_than_the_shortest_path(name: str, batch: int, semantics: str) -> None:
    """With every buffer that any of the LFAs needs just so."""
    plans = every_plan(name, batch, semantics)
    problem = problem_of(name, batch, semantics=semantics)
    slope = plans[:, 1].min() / plans[:, 2].min()
    mixtures = [(1.0, slope, 0.0), (1.0, 0.0, slope), (1.0, slope / 3, slope / 3), (0.0, 0.5, 0.5), (0.2, 0.0, 0.0)]
    multipliers = [*ALONE, *mixtures]
    met = 0
    buffers = np.unique(plans[:, 0])
    for place, gbuf_bytes in enumerate([*buffers[:: max(1, len(buffers) // 12)].tolist(), float(buffers[-1])]):
        least = (plans[plans[:, 0] <= gbuf_bytes][:, 1:] @ np.array(multipliers).T).min(axis=0)
        for most_parts in (128, 1 + place % 2):
            costs = costs_of(with_buffer(problem, int(gbuf_bytes)), multipliers, most_parts)
            assert costs is not None
            assert (costs * (1 - ROUNDING) <= least).all()
            met += (costs >= least * (1 - 1e-8)).sum() if most_parts == 128 else 0
    assert met > 0


def assert_not_below(plan: Plan, spare: float, mixture: tuple[float, ...], most_parts: int) -> None:
    least, *found = figures_of(plan)
    problem = with_buffer(plan.problem.whole, int(least + int(spare * least)))
    found = np.array(figures_of(make_plan(problem, plan.lfa))[1:])
    multipliers = [*ALONE, tuple((np.array(mixture) / np.maximum(found, 1)).tolist())]
    costs = costs_of(problem, multipliers, most_parts)
    assert costs is None or (costs * (1 - ROUNDING) <= np.array(multipliers) @ found).all()


@examples(150)
@given(
    pairs(max_layers=7, max_tiling_number=8, divides=True),
    st.sampled_from([0.0, 0.0, 0.3]),
    MIXTURES,
    st.sampled_from([1, 2, 8, 128]),
)
def test_no_random_lfa_costs_less(pair: Pair, spare: float, mixture: tuple[float, ...], most_parts: int) -> None:
    assert_not_below(pair.plan, spare, mixture, most_parts)


@examples(100)
@given(
    pairs(max_layers=6, max_tiling_number=2, wide=False),
    st.sampled_from(SMALL_PARTS),
    st.integers(0, 2**32 - 1),
    MIXTURES,
)
def test_no_random_lfa_with_small_parts_costs_less(
    pair: Pair, core_array: tuple[str, int], seed: int, mixture: tuple[float, ...]
) -> None:
    with small_parts(pair.plan.problem, core_array, seed) as plan:
        if plan is not None:
            assert_not_below(plan, 0.0, mixture, 8)


@examples(60)
@given(pairs(max_layers=8, max_tiling_number=16), MIXTURES, st.sampled_from([2, 128]))
def test_no_random_lfa_with_shared_loads_costs_less(pair: Pair, mixture: tuple[float, ...], most_parts: int) -> None:
    assert_not_below(pair.plan, 0.0, mixture, most_parts)


def assert_found_by_the_twin(case: Case, problem: Problem, most_parts: int) -> None:
    """In a large buffer, too."""
    for one in (with_buffer(problem, 1 << 32), problem):
        found, slow = of_kernel_and_twin(case, one, most_parts)
        assert found == pytest.approx(slow.tolist(), rel=1e-9)


def of_kernel_and_twin(case: Case, problem: Problem, most_parts: int) -> tuple[FloatArray, FloatArray]:
    multipliers = [*ALONE, (1.0, 300.0, 0.0), (1.0, 100.0, 200.0)]
    with patch.object(layer_bounds, "MOST_PARTS", most_parts):
        prices = layer_prices(problem)
        prices.choices(wide=True)
        paths = WidePaths(problem, prices, np.array(multipliers))
        found = paths.costs(Budget())
        names = [layer.name for layer in problem.network.layers]
        heads = [[(names[conv], names[turned]) for conv, turned in alike] for alike in paths._heads]
        slow = slow_wide_costs(case, problem, prices, multipliers, most_parts, heads)
    return np.full(len(slow), np.inf) if found is None else found, slow


@examples(40)
@given(pairs(max_layers=4, max_tiling_number=8, divides=True), st.floats(0, 1), st.sampled_from([1, 2, 8]))
def test_the_kernel_finds_what_the_slow_twin_finds(pair: Pair, spare: float, most_parts: int) -> None:
    least = least_peak_bytes(pair.plan)
    problem = with_buffer(pair.plan.problem.whole, least + int(spare * least))
    assert_found_by_the_twin(pair.case, problem, most_parts)


@examples(40)
@given(st.sampled_from(sorted(NETWORKS)), st.integers(1, 2), st.floats(0.3, 2), st.sampled_from([1, 2, 128]))
def test_the_kernel_finds_what_the_slow_twin_finds_of_tiny_networks(
    name: str, batch: int, size: float, most_parts: int
) -> None:
    """The buffer holds about as much as layers need that run one by one."""
    room = problem_of(name, batch, tight=True).platform.gbuf_bytes
    problem = with_buffer(problem_of(name, batch), max(1, int(size * room)))
    assert_found_by_the_twin(case_of(problem), problem, most_parts)


@examples(20)
@given(st.integers(2, 4), st.integers(1, 3), st.integers(1, 2), st.integers(1, 2), st.floats(0, 2))
def test_the_kernel_finds_what_the_slow_twin_finds_of_heads(
    heads: int, tokens: int, channels: int, batch: int, size: float
) -> None:
    problem = attention(heads, tokens, channels, batch, more=False)
    width = heads * channels
    problem = with_buffer(problem, int(size * batch * tokens * width) + width * channels + 1)
    with patch.object(downsets, "MOST_DOWNSETS", 6):
        assert_found_by_the_twin(case_of(problem), problem, 128)


def chain(layers: tuple[Layer, ...], shape: tuple[int, int, int], gbuf_bytes: int) -> Problem:
    """Return a problem whose DRAM moves a byte per cycle, with a granule of 8 channels."""
    platform = replace(PLATFORMS["edge"], dram_bytes_per_cycle=1, gbuf_bytes=gbuf_bytes, macs_per_pe=32, pe_grid=1)
    return Problem(Network("chain", (ExternalInput("x", shape),), layers), platform)


def transfers(problem: Problem) -> float:
    found = costs_of(problem, ALONE)
    return np.inf if found is None else found[2]


def test_what_two_readers_load_is_loaded_once() -> None:
    # x has 16 bytes, and so have y and z, which has 4 bytes of weights.
    layers: tuple[Layer, ...] = (
        PointToPoint(name="y", K=2, H=8, W=1, inputs=("x",)),
        Conv(name="z", C=2, K=2, H=8, W=1, inputs=("x",)),
    )
    assert transfers(chain(layers, (2, 8, 1), 1000)) == 4 + 3 * 16
    apart = replace(layers[1], inputs=("w",))
    inputs = tuple(ExternalInput(name, (2, 8, 1)) for name in ("x", "w"))
    two = Problem(Network("two", inputs, (layers[0], apart)), chain(layers, (2, 8, 1), 1000).platform)
    assert transfers(two) == 4 + 4 * 16


@pytest.mark.parametrize(("gbuf_bytes", "cycles"), [(1000, 152), (48, 152), (40, 184), (32, 216), (31, np.inf)])
def test_a_share_of_a_layer_may_be_elsewhere(gbuf_bytes: int, cycles: float) -> None:
    # 16 bytes of weights, 8 of x and 128 of p are moved. Tiles of a row have 16 bytes of a and 16 of p: 48 with the
    # weights. Half of a's channels may be elsewhere: of its 16 + 16 bytes, each saved takes a 32nd of 128 bytes loaded.
    layers: tuple[Layer, ...] = (
        Conv(name="a", C=1, K=16, H=8, W=1, inputs=("x",)),
        PointToPoint(name="p", K=16, H=8, W=1, ifmaps=("a",)),
    )
    assert transfers(chain(layers, (1, 8, 1), gbuf_bytes)) == pytest.approx(cycles, rel=1e-9)


def test_a_part_that_comes_earlier_decides_how_large_the_tiles_of_its_producer_are() -> None:
    # g skips every other row of p. In the FLG of p and one part of g, p makes 16 of its 32 rows. This FLG needs 88
    # bytes; with all of g it would need 280, and p alone in one tile 8 + 128 + 16. So p's last FLG has no last part of
    # g, yet makes 16 rows; without the rule, the bound is that of 32 rows, which take 16 cycles more.
    p = Conv(name="p", C=1, K=8, H=32, W=1, inputs=("x",))
    g = Conv(name="g", C=8, K=32, H=16, W=1, sH=2, ifmaps=("p",))
    problem = chain((p, g), (1, 32, 1), 88)
    flgs = (FLG(("p", "g/1"), 16, dram_cut=True), *(FLG((f"g/{n}",), 16, dram_cut=True) for n in (2, 3, 4)))
    peak, *_, cycles, _ = figures_of(make_plan(problem, LFA(flgs, divisions=(Division("g", (8, 8, 8, 8)),))))
    assert (peak, cycles) == (88, 144)
    costs = costs_of(problem, ALONE)
    assert costs is not None
    assert 143 < costs[1] <= 144
    for gbuf_bytes in (72, 88, 160, 300):
        assert_found_by_the_twin(case_of(problem), with_buffer(problem, gbuf_bytes), 128)


@examples(40)
@given(pairs(max_layers=6, max_tiling_number=8, divides=True), st.integers(0, 12))
def test_paths_that_were_cut_short_prove_nothing_and_go_on(pair: Pair, looks: int) -> None:
    problem = pair.plan.problem.whole
    prices = layer_prices(problem)
    prices.choices(wide=True)
    multipliers = np.array([*ALONE, (1.0, 10.0, 10.0)])
    whole = WidePaths(problem, prices, multipliers).costs(Budget())
    paths = WidePaths(problem, prices, multipliers)
    found = paths.costs(Looks(looks))
    assert found is None or whole is None or found.tolist() == whole.tolist()
    assert paths.can_go_on == (found is None and whole is not None) or whole is None
    again = paths.costs(Budget())
    assert (again is None) == (whole is None)
    assert again is None or whole is None or again.tolist() == whole.tolist()


@examples(40)
@given(
    st.tuples(st.integers(2, 4), st.integers(1, 4), st.integers(1, 3), st.sampled_from([1, 2, 4]), st.booleans()),
    st.integers(0, 2**32 - 1),
)
def test_one_head_for_all_costs_no_more_than_any_lfa(shape: tuple[int, int, int, int, bool], seed: int) -> None:
    """Also if heads share the loads of what they read."""
    problem, rng = attention(*shape), random.Random(seed)
    found = []
    for _ in range(30):
        with suppress(UserError):
            plan = make_plan(problem, random_lfa(problem, rng))
            for layer in problem.network.layers:
                for source in layer.ifmaps:
                    with suppress(LFAError):
                        share = (*plan.lfa.shared_loads, SharedLoad(layer.name, source))
                        plan = make_plan(problem, replace(plan.lfa, shared_loads=share))
            found.append(figures_of(plan))
    if not found:
        return
    plans = np.array(sorted(found))
    slope = plans[:, 1].min() / plans[:, 2].min()
    multipliers = [*ALONE, (1.0, slope, 0.0), (1.0, slope / 2, slope / 2)]
    for gbuf_bytes in (plans[0, 0], plans[len(plans) // 3, 0]):
        runs = plans[plans[:, 0] <= gbuf_bytes]
        with patch.object(downsets, "MOST_DOWNSETS", 30 if shape[-1] else 6):
            costs = costs_of(with_buffer(problem, int(gbuf_bytes)), multipliers)
        assert costs is not None
        assert (costs * (1 - ROUNDING) <= (runs[:, 1:] @ np.array(multipliers).T).min(axis=0)).all()


def test_paths_close_half_of_the_gap_of_large_batches() -> None:
    """Energy × delay of known schedules, in pJ · cycles: 25.7 % and 23.1 % above the bounds without paths."""
    for name, platform, cost, gap in (
        ("gpt2-small-prefill", "edge", 1.268e17, 0.11),
        ("gpt2-xl-prefill", "cloud", 1.041e18, 0.12),
    ):
        problem = Problem(builtin_network(name), PLATFORMS[platform], 16)
        bound = bound_every_lfa(problem, wide=True)
        assert bound.complete
        assert bound.cost < cost < (1 + gap) * bound.cost
        assert bound_every_lfa(problem, wide=True, with_paths=False).cost < cost / 1.2
