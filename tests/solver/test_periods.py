"""Searches over periods: never worse than blocks one by one, all blocks alike, and within their time."""

from dataclasses import replace

import pytest
from support.repeated_blocks import blocks_problem, feed_forward_block

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.progress import ProgressEvent
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import FLG, LFA
from soma_cp.model.soma.validity import violations
from soma_cp.solver import periods as periods_module
from soma_cp.solver.choices import Extension, SecondStage, Space
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.solve import SolveResult, solve

FEW = SolveParameters(
    second_stage=SecondStage.GREEDY, search=LFASearchParameters(rounds=400, chains=2), threads=1, prove_seconds=0
)
LARGE, SMALL = 128, 24
"""KiB of buffer: weights of several blocks and all fmaps, and less than the weights of one block."""


def one_block(problem: Problem, count: int) -> Problem:
    return replace(problem, network=feed_forward_block(count))


def block_of(lfa: LFA, number: int, size: int) -> list[FLG]:
    """The FLGs of a block of so many layers, under the names of one alone; its first DRAM Cut does not count."""
    own = f"b{number}."
    flgs = [flg for flg in lfa.flgs if flg.layers[0].startswith(own)]
    assert all(name.startswith(own) for flg in flgs for name in flg.layers)
    assert sum(len(flg.layers) for flg in flgs) >= size
    bare = [replace(flg, layers=tuple(name.removeprefix(own) for name in flg.layers)) for flg in flgs]
    return [replace(bare[0], dram_cut=True), *bare[1:]]


@pytest.mark.parametrize(
    ("count", "buffer_kib", "batch", "seed"),
    [(3, LARGE, 1, 0), (3, SMALL, 4, 1), (8, LARGE, 1, 0), (8, SMALL, 1, 0), (8, SMALL, 1, 1), (8, SMALL, 4, 0)],
)
def test_blocks_together_never_cost_more_than_one_by_one(count: int, buffer_kib: int, batch: int, seed: int) -> None:
    problem = blocks_problem(count, buffer_kib, batch)
    parameters = replace(FEW, seed=seed, passes=1)
    together = solve(problem, parameters)
    alone = solve(one_block(problem, count), parameters)
    energy, latency = count * alone.schedule.energy_pj, count * alone.schedule.latency
    assert together.schedule.cost(parameters.objective) <= parameters.objective.cost(energy, latency) * (1 + 1e-12)
    assert violations(together.schedule.plan, together.schedule.dlsa) == []
    assert together.cost_bound <= together.schedule.cost(parameters.objective)


def test_all_blocks_are_alike_and_stay_on_chip_where_the_buffer_is_large() -> None:
    lfa = solve(blocks_problem(8, LARGE), FEW).schedule.lfa
    assert lfa.lg_count == 1
    assert all(block_of(lfa, number, 5) == block_of(lfa, 1, 5) for number in range(2, 9))


def test_passes_go_around_blocks() -> None:
    result = solve(blocks_problem(8, SMALL, batch=4), replace(FEW, passes=2))
    lfa = result.schedule.lfa
    assert lfa.passes == 2
    assert all(block_of(lfa, number, 5) == block_of(lfa, 1, 5) for number in range(2, 9))
    assert violations(result.schedule.plan, result.schedule.dlsa) == []


def refuses_periods(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("periods are looked for")

    monkeypatch.setattr(periods_module, "find_repeats", fail)


@pytest.mark.parametrize("parameters", [replace(FEW, periods=Extension.OFF), replace(FEW, space=Space.PAPER)])
def test_periods_can_be_left_out(parameters: SolveParameters, monkeypatch: pytest.MonkeyPatch) -> None:
    refuses_periods(monkeypatch)
    assert solve(blocks_problem(4, LARGE), parameters).rounds > 0


def test_the_result_does_not_depend_on_threads() -> None:
    results = [solve(blocks_problem(6, SMALL), replace(FEW, threads=threads)) for threads in (1, 2)]
    assert results[0].schedule.lfa == results[1].schedule.lfa


def test_there_is_a_schedule_without_time() -> None:
    stopped = Budget()
    stopped.request_stop()
    for budget in (Budget(0.0), stopped):
        result = solve(blocks_problem(8, LARGE), FEW, Monitor(budget))
        assert violations(result.schedule.plan, result.schedule.dlsa) == []


def test_progress_never_reports_costs_of_one_block() -> None:
    events: list[ProgressEvent] = []
    result: SolveResult = solve(blocks_problem(8, LARGE), FEW, Monitor(progress=events.append))
    least = result.schedule.cost(FEW.objective)
    assert {event.stage for event in events} >= {"first stage, one block", "first stage, blocks on chip"}
    assert all(event.best_cost is None or event.best_cost >= least * (1 - 1e-9) for event in events)


def test_a_start_is_searched_from_and_never_lost() -> None:
    problem = blocks_problem(6, SMALL)
    best = solve(problem, replace(FEW, search=LFASearchParameters(rounds=4000, chains=2))).schedule
    again = solve(problem, replace(FEW, seed=1, search=LFASearchParameters(rounds=40, chains=1)), start=best.lfa)
    assert again.schedule.cost(FEW.objective) <= best.cost(FEW.objective)
