"""The Buffer Allocator: limits, when it stops, and what it does where double buffering never fits."""

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.annealing_cases import EDGE, assert_priced_as_evaluated, builtin_problem, close, greedy_second_stage

from soma_cp.annealing import buffer_allocator
from soma_cp.annealing.buffer_allocator import allocate_buffer
from soma_cp.annealing.first_stage.initial_lfa import initial_lfa
from soma_cp.annealing.first_stage.paper_search import PaperSearchResult, anneal_lfas
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.second_stage.annealing import anneal_dlsas
from soma_cp.model.network.layers import Conv, ExternalInput
from soma_cp.model.network.network import Network
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import LFA
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.result import SecondStageResult
from soma_cp.model.soma.validity import violations


def test_the_allocator_lowers_the_limit_and_stops_after_two_iterations_without_a_new_best(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = builtin_problem("tiny-unet", replace(EDGE, gbuf_bytes=300_000))
    limits: list[int] = []
    stages: list[PaperSearchResult] = []
    outcomes: list[tuple[int, float, float | None]] = []  # iteration, cost, wanted cost

    def recorded_anneal_lfas(problem: Problem, start: LFA, limit_bytes: int, *rest: Any) -> PaperSearchResult:
        limits.append(limit_bytes)
        stages.append(anneal_lfas(problem, start, limit_bytes, *rest))
        return stages[-1]

    def recorded_second_stage(plan: Plan, wanted: float | None, monitor: Monitor) -> SecondStageResult:
        found = greedy_second_stage(plan, wanted, monitor)
        energy_pj = found.schedule.evaluation.energy_pj
        wanted_cost = None if wanted is None else energy_pj * wanted
        outcomes.append((monitor.iteration, found.schedule.evaluation.edp, wanted_cost))
        return found

    monkeypatch.setattr(buffer_allocator, "anneal_lfas", recorded_anneal_lfas)
    found = allocate_buffer(problem, recorded_second_stage, seed=0)
    assert violations(found.second_stage.schedule.plan, found.second_stage.schedule.dlsa) == []

    # Iteration 1 may use all, iteration i the first one's peak less (i − 1) tenths of it.
    peak = stages[0].peak_bytes
    assert limits == [300_000] + [peak - round(i * peak / 10) for i in range(1, len(limits))]
    assert found.iterations == len(limits)
    assert found.rounds == sum(stage.rounds for stage in stages)

    best, new_bests = math.inf, []
    for iteration, cost, wanted_cost in outcomes:
        assert wanted_cost is None if best == math.inf else wanted_cost == close(best)
        if cost < best:
            best = cost
            new_bests.append(iteration)
    assert found.iterations == min(new_bests[-1] + 2, 10)
    assert all(later - earlier <= 2 for earlier, later in itertools.pairwise(new_bests))
    assert found.second_stage.schedule.evaluation.edp == best
    assert found.first_stage is stages[new_bests[-1] - 1]
    assert found.second_stage.schedule.plan.lfa == found.first_stage.lfa


def two_heavy_layers() -> Problem:
    """Two layers of 6000 bytes of weights each, in a buffer of 10,000: never both at once."""
    one = Conv(name="one", C=60, K=100, H=1, W=1, inputs=("in",))
    two = Conv(name="two", C=100, K=60, H=1, W=1, ifmaps=("one",))
    network = Network("heavy", (ExternalInput("in", (60, 1, 1)),), (one, two))
    return Problem(network, replace(EDGE, gbuf_bytes=10_000))


def test_where_double_buffering_never_fits_a_valid_schedule_is_found_all_the_same() -> None:
    problem = two_heavy_layers()
    first = anneal_lfas(problem, initial_lfa(problem), 10_000, np.random.default_rng(0))
    assert not first.fits
    assert_priced_as_evaluated(problem, first, 10_000)
    found = allocate_buffer(problem, greedy_second_stage, seed=0)
    assert violations(found.second_stage.schedule.plan, found.second_stage.schedule.dlsa) == []
    annealed = anneal_dlsas(found.second_stage.schedule.plan, np.random.default_rng(0))
    assert violations(found.second_stage.schedule.plan, annealed.dlsa) == []
    assert annealed.latency <= found.second_stage.schedule.evaluation.latency
