"""Shortest paths over downsets: never above any LFA, equal to their slow twin, and as high as computed by hand."""

from dataclasses import replace
from functools import cache
from unittest.mock import patch

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support.brute_lfas import every_lfa, plans_of
from support.slow_paths import slow_costs
from support.tiny_problems import NETWORKS, problem_of
from support.twins import Pair, examples, pairs

from soma_cp.annealing.budget import Budget
from soma_cp.model.problem import Problem
from soma_cp.model.soma.evaluation import plan_figures
from soma_cp.model.soma.footprint import least_peak_bytes
from soma_cp.model.soma.plan import make_plan
from soma_cp.solver.every_lfa import layer_bounds
from soma_cp.solver.every_lfa.downset_paths import ROUNDING, DownsetPaths
from soma_cp.solver.every_lfa.network_bounds import layer_prices

ALONE = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]


def with_buffer(problem: Problem, gbuf_bytes: int) -> Problem:
    return Problem(problem.network, replace(problem.platform, gbuf_bytes=gbuf_bytes), problem.batch)


def costs_of(problem: Problem, multipliers: list[tuple[float, float, float]], most_parts: int) -> np.ndarray | None:
    with patch.object(layer_bounds, "MOST_PARTS", most_parts):
        prices = layer_prices(problem)
        prices.choices()
        return DownsetPaths(problem, prices, np.array(multipliers)).costs(Budget())


@cache
def every_plan(name: str, batch: int, semantics: str) -> np.ndarray:
    """Return, by LFA of the paper's space: bytes of the least buffer, pJ, cycles of tiles, cycles of transfers."""
    problem = problem_of(name, batch, semantics=semantics)
    found = []
    for lfa in every_lfa(problem):
        for plan in plans_of(problem, lfa, wide=False):
            figures = plan_figures(plan)
            found.append((least_peak_bytes(plan), figures.energy_pj, figures.compute_cycles, figures.dram_cycles))
    return np.array(sorted(set(found)))


@pytest.mark.parametrize("most_parts", [1, 2, 128])
@pytest.mark.parametrize(
    ("name", "batch", "semantics"),
    [
        *((name, 1, "published") for name in NETWORKS),
        ("three readers", 1, "corrected"),
        ("tied weights", 2, "published"),
        ("a consumer that skips", 2, "published"),
        ("tiles in the padding", 2, "published"),
        ("tiles in the padding", 2, "corrected"),
        ("compressed weights", 2, "published"),
        ("a divisible layer that skips", 2, "published"),
    ],
)
def test_no_lfa_costs_less_than_the_shortest_path(name: str, batch: int, semantics: str, most_parts: int) -> None:
    """With every buffer that any of the LFAs needs just so, and with a byte less."""
    plans = every_plan(name, batch, semantics)
    problem = problem_of(name, batch, semantics=semantics)
    slope = plans[:, 1].min() / plans[:, 2].min()
    mixtures = [(1.0, slope, 0.0), (1.0, 0.0, slope), (1.0, slope / 3, slope / 3), (0.0, 0.5, 0.5), (0.2, 0.0, 0.0)]
    multipliers = np.array([*ALONE, *mixtures])
    met = 0
    buffers = np.unique(plans[:, 0])
    for gbuf_bytes in [*buffers[:: max(1, len(buffers) // 12)].tolist(), float(buffers[-1])]:
        runs = plans[plans[:, 0] <= gbuf_bytes]
        least = (runs[:, 1:] @ multipliers.T).min(axis=0)
        costs = costs_of(with_buffer(problem, int(gbuf_bytes)), multipliers.tolist(), most_parts)
        assert costs is not None
        assert (costs * (1 - ROUNDING) <= least).all()
        assert (costs[1:3] <= least[1:3]).all()  # exact
        met += (costs >= least * (1 - 1e-9)).sum()
    assert met > 0 or most_parts < 128


@examples(300)
@given(
    pairs(max_layers=8, max_tiling_number=16, wide=False),
    st.floats(0, 0.3),
    st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)),
    st.sampled_from([1, 2, 8, 128]),
)
def test_no_random_lfa_costs_less(
    pair: Pair, spare: float, mixture: tuple[float, float, float], most_parts: int
) -> None:
    least = least_peak_bytes(pair.plan)
    problem = with_buffer(pair.plan.problem, least + int(spare * least))
    figures = plan_figures(make_plan(problem, pair.plan.lfa))
    found = np.array([figures.energy_pj, figures.compute_cycles, figures.dram_cycles])
    scaled = tuple((np.array(mixture) / np.maximum(found, 1)).tolist())
    multipliers = [*ALONE, scaled]
    costs = costs_of(problem, multipliers, most_parts)
    if costs is not None:
        assert (costs * (1 - ROUNDING) <= np.array(multipliers) @ found).all()
        assert (costs[1:3] <= found[1:]).all()


@examples(40)
@given(pairs(max_layers=4, max_tiling_number=8, wide=False), st.floats(0, 1), st.sampled_from([1, 2, 8]))
def test_the_kernels_find_what_the_slow_twin_finds(pair: Pair, spare: float, most_parts: int) -> None:
    least = least_peak_bytes(pair.plan)
    problem = with_buffer(pair.plan.problem, least + int(spare * least))
    multipliers = [*ALONE, (1.0, 300.0, 0.0), (1.0, 100.0, 200.0)]
    found = costs_of(problem, multipliers, most_parts)
    if found is not None:
        assert found == pytest.approx(slow_costs(pair.case, problem, multipliers, most_parts), rel=1e-12)
