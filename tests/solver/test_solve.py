"""From problem to schedule: every second stage, the objective, seeds, budgets, and the Buffer Allocator around them."""

from dataclasses import replace

import numpy as np
import pytest

from soma_cp.annealing import buffer_allocator
from soma_cp.annealing.budget import Budget
from soma_cp.annealing.buffer_allocator import allocate_buffer
from soma_cp.annealing.first_stage.initial_lfa import initial_lfa
from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters
from soma_cp.annealing.first_stage.paper_search import FirstStageParameters, FirstStageResult, anneal_lfas
from soma_cp.annealing.progress import ProgressEvent
from soma_cp.annealing.second_stage.annealing import SecondStageParameters
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.quantities import KIB
from soma_cp.model.network.builtin.catalogue import builtin_names, builtin_network
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import DLSA, double_buffering
from soma_cp.model.soma.evaluation import evaluate
from soma_cp.model.soma.footprint import BufferTooSmallError, LayerTooLargeError
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.result import SecondStageResult
from soma_cp.model.soma.validity import violations
from soma_cp.solver import solve as pipeline
from soma_cp.solver.choices import FirstStage, Stage2
from soma_cp.solver.comparison import compare_second_stages
from soma_cp.solver.parameters import CpSatParameters, SolveParameters
from soma_cp.solver.second_stage.windows import best_combinatorial_bound
from soma_cp.solver.second_stages import buffered, priced, run_second_stage
from soma_cp.solver.solve import SolveResult, solve

EDGE = PLATFORMS["edge"]
TINY = [name for name in builtin_names() if name.startswith("tiny-")]
QUICK = SolveParameters(
    search=LFASearchParameters(rounds=4000),
    first_stage=FirstStageParameters(rounds_per_layer=20),
    second_stage=SecondStageParameters(),
    cpsat=CpSatParameters(deterministic=True, deterministic_time=5.0),
)


def problem_of(name: str, batch: int = 1, gbuf_bytes: int = EDGE.gbuf_bytes, tokens: int | None = None) -> Problem:
    return Problem(builtin_network(name, tokens), replace(EDGE, gbuf_bytes=gbuf_bytes), batch)


def assert_consistent(result: SolveResult) -> None:
    best = result.best
    assert not violations(result.plan, best.dlsa)
    anew = evaluate(result.plan, best.dlsa)
    assert (anew.latency, anew.energy_pj) == (best.evaluation.latency, best.evaluation.energy_pj)
    assert best.evaluation.figures.bound <= best.lower_bound <= best.evaluation.latency
    assert best.proven_optimal == (best.evaluation.latency == best.lower_bound)
    assert result.double_buffered.latency == evaluate(result.plan, double_buffering(result.plan)).latency
    assert result.iterations >= 1
    assert not result.interrupted


def same_schedule(a: DLSA, b: DLSA) -> bool:
    return all(np.array_equal(x, y) for x, y in ((a.order, b.order), (a.start, b.start), (a.end, b.end)))


@pytest.mark.parametrize("lfa", FirstStage)
@pytest.mark.parametrize("stage2", Stage2)
@pytest.mark.parametrize("name", TINY)
def test_every_second_stage_gives_a_valid_schedule_of_a_tiny_network(
    name: str, stage2: Stage2, lfa: FirstStage
) -> None:
    problem = problem_of(name, gbuf_bytes=512 * KIB)
    result = solve(problem, replace(QUICK, stage2=stage2, lfa=lfa))
    assert_consistent(result)
    assert not result.out_of_time
    assert result.best.evaluation.peak_buffer_bytes <= 512 * KIB
    if stage2 is Stage2.CPSAT:
        assert result.best.method == "CP-SAT"
        assert result.best.proven_optimal


@pytest.mark.parametrize("lfa", FirstStage)
@pytest.mark.parametrize("stage2", Stage2)
def test_every_second_stage_gives_a_valid_schedule_of_gpt2_small(stage2: Stage2, lfa: FirstStage) -> None:
    result = solve(problem_of("gpt2-small"), replace(QUICK, stage2=stage2, lfa=lfa), Budget(20))
    assert_consistent(result)


@pytest.mark.parametrize("name", ["gpt2-small", "resnet50", "tiny-unet"])
def test_on_the_same_lfa_cpsat_is_never_worse(name: str) -> None:
    found = solve(problem_of(name), replace(QUICK, stage2=Stage2.GREEDY), Budget(4))
    # The LFA without any fusion has more DRAM tensors than CP-SAT gets done with in so little time.
    crowded = make_plan(found.plan.problem, initial_lfa(found.plan.problem))
    for plan in (found.plan, crowded):
        results = {stage2: run_second_stage(plan, replace(QUICK, stage2=stage2), Budget(3)) for stage2 in Stage2}
        latency = {stage2: result.evaluation.latency for stage2, result in results.items()}
        assert latency[Stage2.CPSAT] <= latency[Stage2.GREEDY]
        assert latency[Stage2.GREEDY] == evaluate(plan, greedy_dlsa(plan)).latency
        assert results[Stage2.CPSAT].lower_bound <= min(latency.values())
        if name == "tiny-unet" or plan is not crowded:
            assert latency[Stage2.CPSAT] <= latency[Stage2.SA]


@pytest.mark.parametrize("lfa", FirstStage)
@pytest.mark.parametrize("stage2", Stage2)
def test_seeds_make_results_reproducible(stage2: Stage2, lfa: FirstStage) -> None:
    problem = problem_of("tiny-wide", batch=4, gbuf_bytes=96 * KIB)
    first, second = (solve(problem, replace(QUICK, stage2=stage2, seed=5, lfa=lfa)) for _ in range(2))
    assert first.plan.lfa == second.plan.lfa
    assert same_schedule(first.best.dlsa, second.best.dlsa)
    assert (first.iterations, first.rounds) == (second.iterations, second.rounds)


@pytest.mark.parametrize("lfa", FirstStage)
def test_another_seed_searches_elsewhere(lfa: FirstStage) -> None:
    problem = problem_of("resnet50")
    short = replace(QUICK, search=LFASearchParameters(rounds=400), first_stage=FirstStageParameters(rounds_per_layer=3))
    parameters = replace(short, stage2=Stage2.GREEDY, lfa=lfa)
    assert len({solve(problem, replace(parameters, seed=seed)).plan.lfa for seed in range(3)}) > 1


@pytest.mark.parametrize("lfa", FirstStage)
def test_the_objective_decides_what_is_found(lfa: FirstStage) -> None:
    problem = problem_of("gpt2-small", gbuf_bytes=4096 * KIB)
    stages = {"first_stage": FirstStageParameters(rounds_per_layer=200), "search": LFASearchParameters(rounds=16_000)}
    parameters = replace(QUICK, stage2=Stage2.GREEDY, lfa=lfa, **stages)
    energy, delay = (
        solve(problem, replace(parameters, objective=objective)).best.evaluation
        for objective in (Objective(1.0, 0.0), Objective(0.0, 1.0))
    )
    assert energy.energy_pj < delay.energy_pj
    assert delay.latency < energy.latency


@pytest.mark.parametrize("lfa", FirstStage)
@pytest.mark.parametrize("stage2", Stage2)
@pytest.mark.parametrize("name", ["tiny-branch", "gpt2-small", "randwire"])
def test_a_budget_that_is_over_at_once_gives_a_valid_schedule(name: str, stage2: Stage2, lfa: FirstStage) -> None:
    result = solve(problem_of(name), replace(QUICK, stage2=stage2, lfa=lfa), Budget(0))
    assert_consistent(result)
    assert result.out_of_time


@pytest.mark.parametrize("lfa", FirstStage)
def test_a_stop_request_is_told_from_a_deadline(lfa: FirstStage) -> None:
    budget = Budget()
    budget.request_stop()
    result = solve(problem_of("gpt2-small"), replace(QUICK, lfa=lfa), budget)
    assert result.interrupted
    assert not result.out_of_time
    assert not violations(result.plan, result.best.dlsa)


def test_a_stop_request_during_the_search_ends_it() -> None:
    budget = Budget()
    iterations = set()

    def stop_in_iteration_two(event: ProgressEvent) -> None:
        iterations.add(event.iteration)
        if event.iteration == 2:
            budget.request_stop()

    parameters = replace(QUICK, stage2=Stage2.GREEDY, lfa=FirstStage.PAPER)
    result = solve(problem_of("gpt2-small"), parameters, budget, stop_in_iteration_two)
    assert iterations == {1, 2}
    assert result.iterations == 2
    assert result.interrupted


def test_a_stop_request_during_the_search_by_greedy_pricing_ends_it() -> None:
    budget = Budget()

    def stop_soon(event: ProgressEvent) -> None:
        if event.rounds_done > 0:
            budget.request_stop()

    endless = LFASearchParameters(rounds=10**9)
    result = solve(problem_of("gpt2-small"), replace(QUICK, search=endless), budget, stop_soon)
    assert 0 < result.rounds < 10**6
    assert result.interrupted
    assert not violations(result.plan, result.best.dlsa)


@pytest.mark.parametrize("lfa", FirstStage)
def test_a_layer_that_cannot_fit_is_refused(lfa: FirstStage) -> None:
    with pytest.raises(LayerTooLargeError, match="'conv_5_0_b'"):
        solve(problem_of("resnet50", gbuf_bytes=1000), replace(QUICK, lfa=lfa))


def test_where_double_buffering_exceeds_the_buffer_the_greedy_schedule_stands_in() -> None:
    plan = make_plan(problem_of("tiny-chain"), initial_lfa(problem_of("tiny-chain")))
    peak = evaluate(plan, double_buffering(plan)).peak_buffer_bytes
    assert buffered(plan).method == "double buffering"
    tight = make_plan(problem_of("tiny-chain", gbuf_bytes=peak - 1), plan.lfa)
    result = buffered(tight)
    assert result.method.startswith("greedy")
    assert not violations(tight, result.dlsa)


# CP-SAT in the pipeline: a cutoff from other LFAs, and time left for a proof.


@pytest.mark.parametrize("lfa", FirstStage)
def test_time_left_is_spent_on_a_proof_for_the_best_lfa(lfa: FirstStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second stage that proves nothing at first is called again with its schedule as the incumbent."""
    incumbents = []
    real = run_second_stage

    def unproven(plan: Plan, *arguments: object, incumbent: DLSA | None = None, **options: object) -> SecondStageResult:
        incumbents.append(incumbent)
        if incumbent is None:
            weak = priced(plan, "CP-SAT", lambda: greedy_dlsa(plan))
            return replace(weak, lower_bound=1, lower_bound_source="weak", seconds=100.0)
        return real(plan, *arguments, incumbent=incumbent, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "run_second_stage", unproven)
    result = solve(problem_of("tiny-attention"), replace(QUICK, lfa=lfa))
    assert [incumbent is not None for incumbent in incumbents].count(True) == 1
    assert incumbents[-1] is not None
    assert result.best.proven_optimal
    assert result.best.lower_bound_source != "weak"
    assert result.best.seconds > 100


@pytest.mark.parametrize("lfa", FirstStage)
@pytest.mark.parametrize("stage2", [Stage2.SA, Stage2.GREEDY, Stage2.NONE])
def test_other_second_stages_are_not_run_again(
    stage2: Stage2, lfa: FirstStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    iterations = []
    real = run_second_stage

    def spy(*arguments: object, **options: object) -> SecondStageResult:
        iterations.append(arguments[4])
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "run_second_stage", spy)
    solve(problem_of("tiny-wide"), replace(QUICK, stage2=stage2, lfa=lfa))
    assert iterations == sorted(set(iterations))


# The Buffer Allocator, with the first stage watched and the second stage scripted.


class Script:
    """A second stage that returns schedules with the latencies of a script, and notes how it was called."""

    def __init__(self, *latencies: int) -> None:
        self.latencies = latencies
        self.iterations: list[int] = []
        self.wanted: list[float | None] = []

    def __call__(self, plan: Plan, budget: Budget, iteration: int, wanted: float | None) -> SecondStageResult:
        self.iterations.append(iteration)
        self.wanted.append(wanted)
        result = priced(plan, f"script {iteration}", lambda: greedy_dlsa(plan))
        latency = self.latencies[min(iteration, len(self.latencies)) - 1]
        return replace(result, evaluation=replace(result.evaluation, latency=latency))


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect the limits of the first stage, which always finds the LFA of its first call."""
    seen: list[int] = []
    found: list[FirstStageResult] = []

    def spy(problem: Problem, start: object, limit: int, *rest: object) -> FirstStageResult:
        seen.append(limit)
        if not found:
            stage = anneal_lfas(problem, start, limit, *rest)  # type: ignore[arg-type]
            found.append(replace(stage, peak_bytes=100_000))
        return found[0]

    monkeypatch.setattr(buffer_allocator, "anneal_lfas", spy)
    return seen


DELAY = Objective(0.0, 1.0)


def test_the_limit_falls_by_a_tenth_of_the_first_peak_at_each_iteration(limits: list[int]) -> None:
    huge = 10**9
    script = Script(*(huge - i for i in range(9)), huge)
    result = allocate_buffer(problem_of("tiny-chain"), script, 0, DELAY, QUICK.first_stage)
    # Every iteration betters the last, so only the limit of 0 ends the search.
    assert limits == [EDGE.gbuf_bytes, *range(90_000, 0, -10_000)]
    assert result.iterations == 10
    assert result.second_stage.method == "script 9"


def test_two_iterations_without_a_new_best_end_the_search(limits: list[int]) -> None:
    huge = 10**9
    script = Script(huge, huge, huge - 1, huge - 1, huge, 1)
    result = allocate_buffer(problem_of("tiny-chain"), script, 0, DELAY, QUICK.first_stage)
    assert script.iterations == [1, 2, 3, 4, 5]
    assert result.iterations == len(limits) == 5
    assert result.second_stage.method == "script 3"
    assert result.second_stage.evaluation.latency == huge - 1


def test_the_second_stage_is_told_what_it_must_beat(limits: list[int]) -> None:
    huge = 10**9
    script = Script(huge, huge - 7, huge, huge)
    allocate_buffer(problem_of("tiny-chain"), script, 0, DELAY, QUICK.first_stage)
    assert script.wanted[0] is None
    assert script.wanted[1:] == pytest.approx([huge, huge - 7, huge - 7], rel=1e-12)

    script = Script(huge, huge - 7, huge, huge)
    allocate_buffer(problem_of("tiny-chain"), script, 0, Objective(2.0, 3.0), QUICK.first_stage)
    assert script.wanted[1:] == pytest.approx([huge, huge - 7, huge - 7], rel=1e-12)

    script = Script(huge)
    allocate_buffer(problem_of("tiny-chain"), script, 0, Objective(1.0, 0.0), QUICK.first_stage)
    assert set(script.wanted) == {None}


def test_an_lfa_that_cannot_be_the_best_is_not_given_to_the_second_stage(limits: list[int]) -> None:
    script = Script(1)  # faster than any bound: no later LFA can beat it
    result = allocate_buffer(problem_of("tiny-chain"), script, 0, DELAY, QUICK.first_stage)
    assert script.iterations == [1]
    assert result.iterations == 3


def test_a_budget_that_ends_in_the_second_stage_ends_the_search(limits: list[int]) -> None:
    budget = Budget()
    script = Script(10**9, 10**9 - 1, 10**9 - 2)

    def stops(plan: Plan, left: Budget, iteration: int, wanted: float | None) -> SecondStageResult:
        if iteration == 2:
            budget.request_stop()
        return script(plan, left, iteration, wanted)

    result = allocate_buffer(problem_of("tiny-chain"), stops, 0, DELAY, QUICK.first_stage, budget)
    assert result.iterations == 2
    assert result.second_stage.method == "script 2"


def test_each_iteration_of_the_first_stage_gets_half_of_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = []
    budget = Budget(1000)

    def spy(*arguments: object) -> FirstStageResult:
        part = arguments[6]
        assert isinstance(part, Budget)
        shares.append(part.seconds_left / budget.seconds_left)
        return anneal_lfas(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(buffer_allocator, "anneal_lfas", spy)
    allocate_buffer(problem_of("tiny-chain"), Script(1), 0, DELAY, QUICK.first_stage, budget)
    assert shares == pytest.approx([0.5] * 3, abs=0.01)


# compare_second_stages.


def test_comparison_puts_all_second_stages_side_by_side() -> None:
    problem = problem_of("gpt2-small")
    plan = make_plan(problem, initial_lfa(problem))
    comparison = compare_second_stages(plan, QUICK, 2, Budget())
    assert [result.method for result in comparison.results] == ["double buffering", "greedy", "SA", "CP-SAT"]
    for result, fits in zip(comparison.results, comparison.fits, strict=True):
        assert fits == (not violations(plan, result.dlsa))
        assert result.evaluation.latency == evaluate(plan, result.dlsa).latency
        assert result.evaluation.latency >= comparison.lower_bound or not fits
    buffering, greedy, annealed, exact = (result.evaluation.latency for result in comparison.results)
    assert exact <= greedy <= buffering
    assert annealed <= buffering
    assert comparison.lower_bound == max(result.lower_bound for result in comparison.results)
    assert comparison.fits == (True, True, True, True)


def test_comparison_marks_double_buffering_that_exceeds_the_buffer() -> None:
    plan = make_plan(problem_of("tiny-chain"), initial_lfa(problem_of("tiny-chain")))
    peak = evaluate(plan, double_buffering(plan)).peak_buffer_bytes
    tight = make_plan(problem_of("tiny-chain", gbuf_bytes=peak - 1), plan.lfa)
    comparison = compare_second_stages(tight, QUICK, 5, Budget())
    assert comparison.fits == (False, True, True, True)
    assert comparison.results[0].evaluation.peak_buffer_bytes == peak


def test_comparison_refuses_a_plan_that_never_fits() -> None:
    plan = make_plan(problem_of("tiny-chain"), initial_lfa(problem_of("tiny-chain")))
    with pytest.raises(BufferTooSmallError):
        compare_second_stages(make_plan(problem_of("tiny-chain", gbuf_bytes=1000), plan.lfa), QUICK, 5, Budget())


def test_a_stop_request_ends_a_comparison_with_every_row() -> None:
    problem = problem_of("gpt2-small")
    budget = Budget()
    budget.request_stop()
    comparison = compare_second_stages(make_plan(problem, initial_lfa(problem)), QUICK, None, budget)
    assert len(comparison.results) == 4
    assert all(comparison.fits)


def test_once_the_time_is_over_no_further_lfa_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    bounded: list[Plan] = []

    def bound(plan: Plan) -> tuple[int, str]:
        bounded.append(plan)
        return best_combinatorial_bound(plan)

    monkeypatch.setattr(pipeline, "best_combinatorial_bound", bound)
    problem = problem_of("tiny-branch")
    parameters = replace(QUICK, lfa=FirstStage.GREEDY, stage2=Stage2.CPSAT)
    assert solve(problem, parameters, Budget(0.0)).iterations == 1
    assert bounded == []
    solve(problem, parameters)
    assert bounded
