"""Shared by tests of the searches: distributions of draws, runs of the first stage, small problems."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import TypeVar

import hypothesis.strategies as st
import numpy as np
import pytest

from soma_cp.annealing.acceptance import Cooling
from soma_cp.annealing.first_stage import groups, lfa_pricing
from soma_cp.annealing.first_stage.chain import PUBLISHED_MOVES, Chain, lfa_settings, move_weights
from soma_cp.annealing.first_stage.cost_cache import CostCache
from soma_cp.annealing.first_stage.initial_lfa import initial_lfa
from soma_cp.annealing.first_stage.lfa_pricing import LFASettings
from soma_cp.annealing.first_stage.paper_search import PaperSearchResult, layers_kept_apart
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.arrays import IntArray
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.platform import Platform
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.layers import Conv, ExternalInput, Layer
from soma_cp.model.network.network import Network
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import DLSA, double_buffering
from soma_cp.model.soma.evaluation import evaluate
from soma_cp.model.soma.lfa import FLG, LFA, LFAArrays
from soma_cp.model.soma.lfa_arrays import lfa_arrays
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.result import SecondStageResult
from soma_cp.model.soma.schedule import priced

EDGE = PLATFORMS["edge"]
UNLIMITED = 1 << 60
SEEDS = st.integers(0, 2**32 - 1)
Outcome = TypeVar("Outcome", bound=Hashable)
Distribution = dict[Outcome, float]


def close(figure: float) -> object:
    return pytest.approx(figure, rel=1e-9, abs=0)


def builtin_problem(name: str, platform: Platform = EDGE, batch: int = 1) -> Problem:
    return Problem(builtin_network(name), platform, batch)


def assert_drawn_from(expected: Distribution[Outcome], draw: Callable[[], Outcome], count: int) -> None:
    """Draw `count` outcomes; all must be expected, in about the expected numbers (χ² test, fixed seeds)."""
    assert sum(expected.values()) == close(1)
    found = Counter(draw() for _ in range(count))
    assert set(found) <= set(expected)
    # The χ² approximation needs enough expected draws in each bin, so rare outcomes share one.
    rare = {outcome for outcome, share in expected.items() if share * count < 10}
    groups = [{outcome} for outcome in expected if outcome not in rare] + ([rare] if rare else [])
    statistic = 0.0
    for group in groups:
        wanted = count * sum(expected[outcome] for outcome in group)
        statistic += (sum(found[outcome] for outcome in group) - wanted) ** 2 / wanted
    freedom = max(len(groups) - 1, 1)
    assert statistic < freedom + 5 * math.sqrt(2 * freedom)


Lives = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def lives(dlsa: DLSA) -> Lives:
    return tuple(dlsa.order.tolist()), tuple(dlsa.start.tolist()), tuple(dlsa.end.tolist())


def weighted_usage(plan: Plan, dlsa: DLSA) -> float:
    return float(evaluate(plan, dlsa).usage_bytes.astype(object) @ plan.tile_cycles.astype(object))


def settings_of(
    problem: Problem, limit_bytes: int, objective: Objective, costing: int = lfa_pricing.DOUBLE_BUFFERING
) -> LFASettings:
    """Return the settings of a search of 100 rounds with the published cooling."""
    return lfa_settings(problem, limit_bytes, objective, Cooling(), 100, costing)


def run_of(problem: Problem, settings: LFASettings, random: np.random.Generator) -> Chain:
    """Return a chain at the start of the paper's first stage."""
    weights = move_weights(PUBLISHED_MOVES)
    return Chain(
        problem, initial_lfa(problem), settings, weights, layers_kept_apart(problem), random, CostCache(problem)
    )


def keeps_groups_apart(arrays: LFAArrays, apart: IntArray) -> bool:
    return bool(groups.keeps_groups_apart(arrays.order, arrays.begins_lg, apart))


def assert_priced_as_evaluated(problem: Problem, found: PaperSearchResult, limit_bytes: int) -> None:
    plan = make_plan(problem, found.lfa)
    doubled = evaluate(plan, double_buffering(plan.tensors))
    assert (found.latency, found.peak_bytes) == (doubled.latency, doubled.peak_buffer_bytes)
    assert found.energy_pj == close(doubled.energy_pj)
    assert found.fits == (doubled.peak_buffer_bytes <= limit_bytes)
    apart = layers_kept_apart(problem)
    assert keeps_groups_apart(lfa_arrays(found.lfa, problem.network, problem.table), apart)


def greedy_second_stage(plan: Plan, wanted: float | None, monitor: Monitor) -> SecondStageResult:
    schedule = priced(plan, greedy_dlsa(plan))
    return SecondStageResult("greedy", schedule, schedule.evaluation.figures.bound, "theoretical maximum", 0.0)


def one_layer_problem(layer: Layer, batch: int, side: int) -> Problem:
    channels, rows, columns = layer.wanted_ifmap()
    network = Network("one layer", (ExternalInput("in", (channels, rows, columns)),), (replace(layer, inputs=("in",)),))
    return Problem(network, replace(EDGE, pe_grid=side), batch)


def jumpy_problem() -> Problem:
    """Strides exceed the kernel: on tiles of many rows, counts of the core-array model are negative."""
    return one_layer_problem(Conv(name="jumpy", C=256, K=8, H=64, W=64, S=256, sH=3), batch=1, side=4)


def all_lfas_of_chain(network: Network, numbers: range) -> list[LFA]:
    """List all LFAs of a network that is a chain, with those tiling numbers."""
    names = [layer.name for layer in network.layers]
    found = []
    for borders in itertools.product((None, False, True), repeat=len(names) - 1):
        groups: list[tuple[list[str], bool]] = [([names[0]], True)]
        for name, cut in zip(names[1:], borders, strict=True):
            if cut is None:
                groups[-1][0].append(name)
            else:
                groups.append(([name], cut))
        for tiling in itertools.product(numbers, repeat=len(groups)):
            found.append(LFA(tuple(FLG(tuple(g), n, cut) for (g, cut), n in zip(groups, tiling, strict=True))))
    return found
