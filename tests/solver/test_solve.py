"""From problem to schedule: every second stage, the objective, seeds, budgets, and the Buffer Allocator around them."""

from dataclasses import replace

import numpy as np
import pytest

from soma_cp.annealing import buffer_allocator
from soma_cp.annealing.budget import Budget
from soma_cp.annealing.buffer_allocator import allocate_buffer
from soma_cp.annealing.cocco.cocco_search import CoccoParameters
from soma_cp.annealing.cocco.genetic_search import GeneticParameters
from soma_cp.annealing.first_stage.initial_lfa import initial_lfa
from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters
from soma_cp.annealing.first_stage.paper_search import PaperSearchParameters, PaperSearchResult, anneal_lfas
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.progress import ProgressEvent
from soma_cp.annealing.second_stage.annealing import AnnealingParameters
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
from soma_cp.solver import first_stages
from soma_cp.solver import solve as pipeline
from soma_cp.solver.choices import COCCO_STAGES, FirstStage, SecondStage
from soma_cp.solver.comparison import compare_second_stages
from soma_cp.solver.every_lfa.network_bounds import NetworkBound, bound_every_lfa
from soma_cp.solver.parameters import CpSatParameters, SolveParameters
from soma_cp.solver.second_stage.windows import best_combinatorial_bound
from soma_cp.solver.second_stages import Aim, run_second_stage, timed
from soma_cp.solver.solve import SolveResult, solve

EDGE = PLATFORMS["edge"]
TINY = [name for name in builtin_names() if name.startswith("tiny-")]
QUICK = SolveParameters(
    search=LFASearchParameters(rounds=4000),
    paper_search=PaperSearchParameters(rounds_per_layer=20),
    annealing=AnnealingParameters(),
    cpsat=CpSatParameters(deterministic=True, deterministic_time=2.0),
    path_bound=False,
)


def problem_of(name: str, batch: int = 1, gbuf_bytes: int = EDGE.gbuf_bytes, tokens: int | None = None) -> Problem:
    return Problem(builtin_network(name, tokens), replace(EDGE, gbuf_bytes=gbuf_bytes), batch)


def assert_consistent(result: SolveResult) -> None:
    best = result.best
    assert not violations(result.schedule.plan, best.schedule.dlsa)
    anew = evaluate(result.schedule.plan, best.schedule.dlsa)
    assert (anew.latency, anew.energy_pj) == (best.schedule.evaluation.latency, best.schedule.evaluation.energy_pj)
    assert best.schedule.evaluation.figures.bound <= best.lower_bound <= best.schedule.evaluation.latency
    assert best.proven_optimal == (best.schedule.evaluation.latency == best.lower_bound)
    plan = result.schedule.plan
    assert result.double_buffered.latency == evaluate(plan, double_buffering(plan.tensors)).latency
    assert result.iterations >= 1
    assert not result.interrupted


def same_schedule(a: DLSA, b: DLSA) -> bool:
    return all(np.array_equal(x, y) for x, y in ((a.order, b.order), (a.start, b.start), (a.end, b.end)))


@pytest.mark.parametrize("lfa", FirstStage)
@pytest.mark.parametrize("stage2", SecondStage)
@pytest.mark.parametrize("name", TINY)
def test_every_second_stage_gives_a_valid_schedule_of_a_tiny_network(
    name: str, stage2: SecondStage, lfa: FirstStage
) -> None:
    problem = problem_of(name, gbuf_bytes=512 * KIB)
    result = solve(problem, replace(QUICK, second_stage=stage2, first_stage=lfa))
    assert_consistent(result)
    assert not result.out_of_time
    assert result.best.schedule.evaluation.peak_buffer_bytes <= 512 * KIB
    if stage2 is SecondStage.CPSAT:
        assert result.best.method == "CP-SAT"
        assert result.best.proven_optimal


@pytest.mark.parametrize("lfa", FirstStage)
@pytest.mark.parametrize("stage2", SecondStage)
def test_every_second_stage_gives_a_valid_schedule_of_gpt2_small(stage2: SecondStage, lfa: FirstStage) -> None:
    result = solve(problem_of("gpt2-small"), replace(QUICK, second_stage=stage2, first_stage=lfa), Monitor(Budget(20)))
    assert_consistent(result)


@pytest.mark.parametrize("name", ["gpt2-small", "resnet50", "tiny-unet"])
def test_on_the_same_lfa_cpsat_is_never_worse(name: str) -> None:
    found = solve(problem_of(name), replace(QUICK, second_stage=SecondStage.GREEDY), Monitor(Budget(4)))
    # The LFA without any fusion has more DRAM tensors than CP-SAT gets done with in so little time.
    crowded = make_plan(found.schedule.plan.problem, initial_lfa(found.schedule.plan.problem))
    for plan, seconds in ((found.schedule.plan, 20), (crowded, 20 if name == "tiny-unet" else 1)):
        results = {
            stage2: run_second_stage(plan, replace(QUICK, second_stage=stage2), monitor=Monitor(Budget(seconds)))
            for stage2 in SecondStage
        }
        latency = {stage2: result.schedule.evaluation.latency for stage2, result in results.items()}
        assert latency[SecondStage.CPSAT] <= latency[SecondStage.GREEDY]
        assert latency[SecondStage.GREEDY] == evaluate(plan, greedy_dlsa(plan)).latency
        assert results[SecondStage.CPSAT].lower_bound <= min(latency.values())
        if name == "tiny-unet" or plan is not crowded:
            assert latency[SecondStage.CPSAT] <= latency[SecondStage.SA]


@pytest.mark.parametrize("lfa", FirstStage)
@pytest.mark.parametrize("stage2", SecondStage)
def test_seeds_make_results_reproducible(stage2: SecondStage, lfa: FirstStage) -> None:
    problem = problem_of("tiny-wide", batch=4, gbuf_bytes=96 * KIB)
    first, second = (solve(problem, replace(QUICK, second_stage=stage2, seed=5, first_stage=lfa)) for _ in range(2))
    assert first.schedule.plan.lfa == second.schedule.plan.lfa
    assert same_schedule(first.best.schedule.dlsa, second.best.schedule.dlsa)
    assert (first.iterations, first.rounds) == (second.iterations, second.rounds)


@pytest.mark.parametrize("lfa", FirstStage)
def test_another_seed_searches_elsewhere(lfa: FirstStage) -> None:
    problem = problem_of("resnet50")
    few = PaperSearchParameters(rounds_per_layer=3)
    short = replace(
        QUICK,
        search=LFASearchParameters(rounds=400),
        paper_search=few,
        cocco=CoccoParameters(annealing=few),
        genetic=GeneticParameters(evaluations=1000),
    )
    parameters = replace(short, second_stage=SecondStage.GREEDY, first_stage=lfa)
    assert len({solve(problem, replace(parameters, seed=seed)).schedule.plan.lfa for seed in range(3)}) > 1


@pytest.mark.parametrize("lfa", FirstStage)
def test_the_objective_decides_what_is_found(lfa: FirstStage) -> None:
    """Each first stage by the second stage that it prices LFAs by: Cocco's latencies are those of double buffering."""
    problem = problem_of("gpt2-small", gbuf_bytes=4096 * KIB)
    stages = {
        "search": LFASearchParameters(rounds=16_000),
        "paper_search": PaperSearchParameters(rounds_per_layer=200),
        "genetic": GeneticParameters(evaluations=5000),
    }
    second = SecondStage.NONE if lfa in COCCO_STAGES else SecondStage.GREEDY
    parameters = replace(QUICK, second_stage=second, first_stage=lfa, **stages)
    energy, delay = (
        solve(problem, replace(parameters, objective=objective)).best.schedule.evaluation
        for objective in (Objective(1.0, 0.0), Objective(0.0, 1.0))
    )
    assert energy.energy_pj < delay.energy_pj
    assert delay.latency < energy.latency


@pytest.mark.parametrize("lfa", FirstStage)
@pytest.mark.parametrize("stage2", SecondStage)
@pytest.mark.parametrize("name", ["tiny-branch", "gpt2-small", "randwire"])
def test_a_budget_that_is_over_at_once_gives_a_valid_schedule(name: str, stage2: SecondStage, lfa: FirstStage) -> None:
    result = solve(problem_of(name), replace(QUICK, second_stage=stage2, first_stage=lfa), Monitor(Budget(0)))
    assert_consistent(result)
    assert result.out_of_time


@pytest.mark.parametrize("lfa", FirstStage)
def test_a_stop_request_is_told_from_a_deadline(lfa: FirstStage) -> None:
    budget = Budget()
    budget.request_stop()
    result = solve(problem_of("gpt2-small"), replace(QUICK, first_stage=lfa), Monitor(budget))
    assert result.interrupted
    assert not result.out_of_time
    assert not violations(result.schedule.plan, result.best.schedule.dlsa)


def test_a_stop_request_during_the_search_ends_it() -> None:
    budget = Budget()
    iterations = set()

    def stop_in_iteration_two(event: ProgressEvent) -> None:
        iterations.add(event.iteration)
        if event.iteration == 2:
            budget.request_stop()

    parameters = replace(QUICK, second_stage=SecondStage.GREEDY, first_stage=FirstStage.PAPER)
    result = solve(problem_of("gpt2-small"), parameters, Monitor(budget, stop_in_iteration_two))
    assert iterations == {0, 1, 2}  # 0: the bound before the Buffer Allocator
    assert result.iterations == 2
    assert result.interrupted


def test_a_stop_request_during_the_search_by_greedy_pricing_ends_it() -> None:
    budget = Budget()

    def stop_soon(event: ProgressEvent) -> None:
        if event.rounds_done > 0:
            budget.request_stop()

    endless = LFASearchParameters(rounds=10**9)
    result = solve(problem_of("gpt2-small"), replace(QUICK, search=endless), Monitor(budget, stop_soon))
    assert 0 < result.rounds < 10**6
    assert result.interrupted
    assert not violations(result.schedule.plan, result.best.schedule.dlsa)


@pytest.mark.parametrize("lfa", FirstStage)
def test_a_layer_that_cannot_fit_is_refused(lfa: FirstStage) -> None:
    with pytest.raises(LayerTooLargeError, match="'conv_5_0_b'"):
        solve(problem_of("resnet50", gbuf_bytes=1000), replace(QUICK, first_stage=lfa))


def test_where_double_buffering_exceeds_the_buffer_the_greedy_schedule_stands_in() -> None:
    plan = make_plan(problem_of("tiny-chain"), initial_lfa(problem_of("tiny-chain")))
    peak = evaluate(plan, double_buffering(plan.tensors)).peak_buffer_bytes
    unbuffered = replace(QUICK, second_stage=SecondStage.NONE)
    assert run_second_stage(plan, unbuffered).method == "double buffering"
    tight = make_plan(problem_of("tiny-chain", gbuf_bytes=peak - 1), plan.lfa)
    result = run_second_stage(tight, unbuffered)
    assert result.method.startswith("greedy")
    assert not violations(tight, result.schedule.dlsa)


# CP-SAT in the pipeline: a cutoff from other LFAs, and time left for a proof.


@pytest.mark.parametrize("lfa", FirstStage)
def test_time_left_is_spent_on_a_proof_for_the_best_lfa(lfa: FirstStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second stage that proves nothing at first is called again with its schedule as the incumbent."""
    incumbents = []
    real = run_second_stage

    def unproven(plan: Plan, parameters: SolveParameters, aim: Aim, monitor: Monitor) -> SecondStageResult:
        incumbents.append(aim.incumbent)
        if aim.incumbent is None:
            weak = timed("CP-SAT", plan, lambda: greedy_dlsa(plan))
            return replace(weak, lower_bound=1, lower_bound_source="weak", seconds=100.0)
        return real(plan, parameters, aim, monitor)

    monkeypatch.setattr(pipeline, "run_second_stage", unproven)
    result = solve(problem_of("tiny-attention"), replace(QUICK, first_stage=lfa))
    assert [incumbent is not None for incumbent in incumbents].count(True) == 1
    assert incumbents[-1] is not None
    assert result.best.proven_optimal
    assert result.best.lower_bound_source != "weak"
    assert result.best.seconds > 100


@pytest.mark.parametrize("lfa", FirstStage)
@pytest.mark.parametrize("stage2", [SecondStage.SA, SecondStage.GREEDY, SecondStage.NONE])
def test_other_second_stages_are_not_run_again(
    stage2: SecondStage, lfa: FirstStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    iterations = []
    real = run_second_stage

    def spy(plan: Plan, parameters: SolveParameters, aim: Aim, monitor: Monitor) -> SecondStageResult:
        iterations.append(monitor.iteration)
        return real(plan, parameters, aim, monitor)

    monkeypatch.setattr(pipeline, "run_second_stage", spy)
    solve(problem_of("tiny-wide"), replace(QUICK, second_stage=stage2, first_stage=lfa))
    assert iterations == sorted(set(iterations))


# The Buffer Allocator, with the first stage watched and the second stage scripted.


class Script:
    """A second stage that returns schedules with the latencies of a script, and notes how it was called."""

    def __init__(self, *latencies: int) -> None:
        self.latencies = latencies
        self.iterations: list[int] = []
        self.wanted: list[float | None] = []

    def __call__(self, plan: Plan, wanted: float | None, monitor: Monitor) -> SecondStageResult:
        iteration = monitor.iteration
        self.iterations.append(iteration)
        self.wanted.append(wanted)
        result = timed(f"script {iteration}", plan, lambda: greedy_dlsa(plan))
        latency = self.latencies[min(iteration, len(self.latencies)) - 1]
        scripted = replace(result.schedule, evaluation=replace(result.schedule.evaluation, latency=latency))
        return replace(result, schedule=scripted)


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect the limits of the first stage, which always finds the LFA of its first call."""
    seen: list[int] = []
    found: list[PaperSearchResult] = []

    def spy(problem: Problem, start: object, limit: int, *rest: object) -> PaperSearchResult:
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
    result = allocate_buffer(problem_of("tiny-chain"), script, 0, DELAY, QUICK.paper_search)
    # Every iteration betters the last, so only the limit of 0 ends the search.
    assert limits == [EDGE.gbuf_bytes, *range(90_000, 0, -10_000)]
    assert result.iterations == 10
    assert result.second_stage.method == "script 9"


def test_two_iterations_without_a_new_best_end_the_search(limits: list[int]) -> None:
    huge = 10**9
    script = Script(huge, huge, huge - 1, huge - 1, huge, 1)
    result = allocate_buffer(problem_of("tiny-chain"), script, 0, DELAY, QUICK.paper_search)
    assert script.iterations == [1, 2, 3, 4, 5]
    assert result.iterations == len(limits) == 5
    assert result.second_stage.method == "script 3"
    assert result.second_stage.schedule.evaluation.latency == huge - 1


def test_the_second_stage_is_told_what_it_must_beat(limits: list[int]) -> None:
    huge = 10**9
    script = Script(huge, huge - 7, huge, huge)
    allocate_buffer(problem_of("tiny-chain"), script, 0, DELAY, QUICK.paper_search)
    assert script.wanted[0] is None
    assert script.wanted[1:] == pytest.approx([huge, huge - 7, huge - 7], rel=1e-12)

    script = Script(huge, huge - 7, huge, huge)
    allocate_buffer(problem_of("tiny-chain"), script, 0, Objective(2.0, 3.0), QUICK.paper_search)
    assert script.wanted[1:] == pytest.approx([huge, huge - 7, huge - 7], rel=1e-12)

    script = Script(huge)
    allocate_buffer(problem_of("tiny-chain"), script, 0, Objective(1.0, 0.0), QUICK.paper_search)
    assert set(script.wanted) == {None}


def test_an_lfa_that_cannot_be_the_best_is_not_given_to_the_second_stage(limits: list[int]) -> None:
    script = Script(1)  # faster than any bound: no later LFA can beat it
    result = allocate_buffer(problem_of("tiny-chain"), script, 0, DELAY, QUICK.paper_search)
    assert script.iterations == [1]
    assert result.iterations == 3


def test_a_budget_that_ends_in_the_second_stage_ends_the_search(limits: list[int]) -> None:
    budget = Budget()
    script = Script(10**9, 10**9 - 1, 10**9 - 2)

    def stops(plan: Plan, wanted: float | None, monitor: Monitor) -> SecondStageResult:
        if monitor.iteration == 2:
            budget.request_stop()
        return script(plan, wanted, monitor)

    result = allocate_buffer(problem_of("tiny-chain"), stops, 0, DELAY, QUICK.paper_search, Monitor(budget))
    assert result.iterations == 2
    assert result.second_stage.method == "script 2"


def test_each_iteration_of_the_first_stage_gets_half_of_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = []
    budget = Budget(1000)

    def spy(*arguments: object) -> PaperSearchResult:
        part = arguments[-1]
        assert isinstance(part, Monitor)
        shares.append(part.budget.seconds_left / budget.seconds_left)
        return anneal_lfas(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(buffer_allocator, "anneal_lfas", spy)
    allocate_buffer(problem_of("tiny-chain"), Script(1), 0, DELAY, QUICK.paper_search, Monitor(budget))
    assert shares == pytest.approx([0.5] * 3, abs=0.01)


# compare_second_stages.


def test_comparison_puts_all_second_stages_side_by_side() -> None:
    problem = problem_of("gpt2-small")
    plan = make_plan(problem, initial_lfa(problem))
    comparison = compare_second_stages(plan, QUICK, 1)
    assert [result.method for result in comparison.results] == ["double buffering", "greedy", "SA", "CP-SAT"]
    for result in comparison.results:
        assert result.schedule.fits == (not violations(plan, result.schedule.dlsa))
        assert result.schedule.evaluation.latency == evaluate(plan, result.schedule.dlsa).latency
        assert result.schedule.evaluation.latency >= comparison.lower_bound or not result.schedule.fits
    buffering, greedy, annealed, exact = (result.schedule.evaluation.latency for result in comparison.results)
    assert exact <= greedy <= buffering
    assert annealed <= buffering
    assert comparison.lower_bound == max(result.lower_bound for result in comparison.results)
    assert all(result.schedule.fits for result in comparison.results)


def test_comparison_marks_double_buffering_that_exceeds_the_buffer() -> None:
    plan = make_plan(problem_of("tiny-chain"), initial_lfa(problem_of("tiny-chain")))
    peak = evaluate(plan, double_buffering(plan.tensors)).peak_buffer_bytes
    tight = make_plan(problem_of("tiny-chain", gbuf_bytes=peak - 1), plan.lfa)
    comparison = compare_second_stages(tight, QUICK, 5)
    assert [result.schedule.fits for result in comparison.results] == [False, True, True, True]
    assert comparison.results[0].schedule.evaluation.peak_buffer_bytes == peak


def test_comparison_refuses_a_plan_that_never_fits() -> None:
    plan = make_plan(problem_of("tiny-chain"), initial_lfa(problem_of("tiny-chain")))
    with pytest.raises(BufferTooSmallError):
        compare_second_stages(make_plan(problem_of("tiny-chain", gbuf_bytes=1000), plan.lfa), QUICK, 5)


def test_a_stop_request_ends_a_comparison_with_every_row() -> None:
    problem = problem_of("gpt2-small")
    budget = Budget()
    budget.request_stop()
    comparison = compare_second_stages(make_plan(problem, initial_lfa(problem)), QUICK, None, Monitor(budget))
    assert len(comparison.results) == 4
    assert all(result.schedule.fits for result in comparison.results)


def test_once_the_time_is_over_no_further_lfa_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    bounded: list[Plan] = []

    def bound(plan: Plan) -> tuple[int, str]:
        bounded.append(plan)
        return best_combinatorial_bound(plan)

    monkeypatch.setattr(first_stages, "best_combinatorial_bound", bound)
    problem = problem_of("tiny-branch")
    parameters = replace(QUICK, first_stage=FirstStage.GREEDY, second_stage=SecondStage.CPSAT)
    assert solve(problem, parameters, Monitor(Budget(0.0))).iterations == 1
    assert bounded == []
    solve(problem, parameters)
    assert bounded


def test_the_bound_after_the_search_knows_what_the_best_schedule_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    known = []

    def noted(*arguments: object) -> NetworkBound:
        known.append(arguments[6])
        return bound_every_lfa(*arguments)  # type: ignore[arg-type]

    def before(*arguments: object, with_paths: bool) -> NetworkBound:
        monkeypatch.setattr(pipeline, "bound_every_lfa", noted)
        return bound_every_lfa(*arguments, with_paths=with_paths)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "bound_every_lfa", before)
    result = solve(problem_of("tiny-unet"), replace(QUICK, path_bound=True))
    assert known == [result.schedule.cost(result.parameters.objective)]
