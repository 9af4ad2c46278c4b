"""Runs of all searches of the paper: reproducible, and ended by their budgets."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.annealing_cases import EDGE, Lives, assert_priced_as_evaluated, builtin_problem, greedy_second_stage, lives

from soma_cp.annealing import chunks
from soma_cp.annealing.budget import Budget
from soma_cp.annealing.buffer_allocator import AllocatorResult, allocate_buffer
from soma_cp.annealing.first_stage import chain, cost_cache, lfa_pricing
from soma_cp.annealing.first_stage.cost_cache import CostCache
from soma_cp.annealing.first_stage.initial_lfa import initial_lfa
from soma_cp.annealing.first_stage.paper_search import PaperSearchParameters, PaperSearchResult, anneal_lfas
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.second_stage.annealing import AnnealingParameters, anneal_dlsas
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import DLSA, double_buffering
from soma_cp.model.soma.evaluation import evaluate
from soma_cp.model.soma.lfa import LFA
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.validity import violations


def first_stage_run(seed: int) -> PaperSearchResult:
    problem = builtin_problem("inception-resnet-v1")
    parameters = PaperSearchParameters(rounds_per_layer=10)
    random = np.random.default_rng(seed)
    return anneal_lfas(problem, initial_lfa(problem), EDGE.gbuf_bytes, random, parameters=parameters)


def second_stage_run(seed: int) -> Lives:
    problem = builtin_problem("resnet50")
    plan = make_plan(problem, initial_lfa(problem))
    parameters = AnnealingParameters(rounds_per_tensor=3)
    return lives(anneal_dlsas(plan, np.random.default_rng(seed), parameters=parameters).dlsa)


def allocator_run(seed: int) -> AllocatorResult:
    problem = builtin_problem("tiny-unet")
    return allocate_buffer(problem, greedy_second_stage, seed)


def all_searches(seed: int) -> dict[str, str]:
    allocated = allocator_run(seed)
    return {
        "first stage": repr(first_stage_run(seed).lfa),
        "second stage": repr(second_stage_run(seed)),
        "allocator": repr(
            (
                allocated.second_stage.schedule.plan.lfa,
                lives(allocated.second_stage.schedule.dlsa),
                allocated.iterations,
            )
        ),
    }


def test_the_same_seed_gives_the_same_result_in_this_and_another_process() -> None:
    here = all_searches(0)
    assert all_searches(0) == here
    code = "import json, test_annealing_runs as runs; print(json.dumps(runs.all_searches(0)))"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert json.loads(run.stdout) == here


def test_another_seed_searches_elsewhere() -> None:
    assert len({first_stage_run(seed).lfa for seed in range(4)}) > 1
    assert len({second_stage_run(seed) for seed in range(4)}) > 1


@pytest.mark.parametrize("chunk_seconds", [-1.0, 1e9])
def test_results_do_not_depend_on_the_sizes_of_chunks(chunk_seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = all_searches(1)
    monkeypatch.setattr(chunks, "CHUNK_SECONDS", chunk_seconds)
    assert all_searches(1) == expected


def test_results_do_not_depend_on_the_sizes_of_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = all_searches(1)
    scratch, empty_table = chain._scratch, cost_cache._empty_table
    scratches: list[int] = []
    tables: list[int] = []

    # The first ones of a search are small, those that it asks for are what it asks for.
    def small_scratch(problem: Problem, tiles: int, tensors: int, chip: int) -> lfa_pricing.LFAScratch:
        scratches.append(tiles)
        return scratch(problem, 1, 1, 1) if len(scratches) == 1 else scratch(problem, tiles, tensors, chip)

    def small_table(size: int) -> cost_cache.CostTable:
        tables.append(size)
        return empty_table(2 if len(tables) == 1 else size)

    monkeypatch.setattr(chain, "_scratch", small_scratch)
    monkeypatch.setattr(cost_cache, "_empty_table", small_table)
    assert repr(first_stage_run(1).lfa) == expected["first stage"]
    assert len(scratches) > 1
    assert len(tables) > 2


def test_results_do_not_depend_on_which_costs_are_known_already() -> None:
    problem = builtin_problem("tiny-branch")
    costs = CostCache(problem)

    def run() -> LFA:
        random = np.random.default_rng(5)
        return anneal_lfas(problem, initial_lfa(problem), EDGE.gbuf_bytes, random, costs=costs).lfa

    assert run() == run()


# Budgets.


def test_a_budget_that_is_over_at_once_still_gives_a_valid_schedule(resnet_plan: Plan) -> None:
    asked = Budget()
    asked.request_stop()
    problem = resnet_plan.problem
    for budget in (Budget(0), asked):
        found = anneal_lfas(
            problem, initial_lfa(problem), EDGE.gbuf_bytes, np.random.default_rng(0), monitor=Monitor(budget)
        )
        assert_priced_as_evaluated(problem, found, EDGE.gbuf_bytes)
        # A time limit, unlike a request, leaves some rounds that accept improvements only.
        assert found.rounds == (0 if budget is asked else 5 * 72)

        dlsas = anneal_dlsas(resnet_plan, np.random.default_rng(0), monitor=Monitor(budget))
        assert violations(resnet_plan, dlsas.dlsa) == []
        assert dlsas.latency == evaluate(resnet_plan, dlsas.dlsa).latency
        assert dlsas.rounds == (0 if budget is asked else 2 * 10 * resnet_plan.dram_tensor_count)

        allocated = allocate_buffer(problem, greedy_second_stage, seed=0, monitor=Monitor(budget))
        assert violations(allocated.second_stage.schedule.plan, allocated.second_stage.schedule.dlsa) == []
        assert allocated.iterations == 1


ENDLESS_DLSAS = AnnealingParameters(rounds_per_tensor=10**7)


def searches_without_end(problem: Problem, plan: Plan) -> dict[str, Callable[[Budget], tuple[Plan, DLSA]]]:
    endless = PaperSearchParameters(rounds_per_layer=10**7)
    random = np.random.default_rng(0)

    def first(budget: Budget) -> tuple[Plan, DLSA]:
        start = initial_lfa(problem)
        found = anneal_lfas(problem, start, EDGE.gbuf_bytes, random, parameters=endless, monitor=Monitor(budget))
        made = make_plan(problem, found.lfa)
        return made, double_buffering(made.tensors)

    def second(budget: Budget) -> tuple[Plan, DLSA]:
        return plan, anneal_dlsas(plan, random, parameters=ENDLESS_DLSAS, monitor=Monitor(budget)).dlsa

    def both(budget: Budget) -> tuple[Plan, DLSA]:
        found = allocate_buffer(problem, greedy_second_stage, 0, parameters=endless, monitor=Monitor(budget))
        return found.second_stage.schedule.plan, found.second_stage.schedule.dlsa

    return {"first stage": first, "second stage": second, "allocator": both}


@pytest.mark.parametrize("search", ["first stage", "second stage", "allocator"])
@pytest.mark.parametrize("end", ["deadline", "stop request"])
def test_a_search_ends_within_a_second_of_the_deadline_or_a_stop_request(
    search: str, end: str, resnet_plan: Plan
) -> None:
    run = searches_without_end(resnet_plan.problem, resnet_plan)[search]
    run(Budget(0))  # compiles the kernels
    budget = Budget(0.3 if end == "deadline" else None)
    if end == "stop request":
        threading.Timer(0.3, budget.request_stop).start()
    begin, working = time.monotonic(), time.process_time()
    plan, dlsa = run(budget)
    assert time.monotonic() - begin > 0.2
    assert time.process_time() - working < 1.3  # on a busy machine, the clock may be far ahead of that
    assert violations(plan, dlsa) == []
