"""The ladder of one schedule: what it claims, what is proven, what can run."""

from dataclasses import replace

from support.execution_cases import GPT2

from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import double_buffering
from soma_cp.model.soma.evaluation import evaluate
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.result import relative_gap
from soma_cp.model.soma.schedule import Schedule, priced
from soma_cp.model.soma.schedule_file import read_schedule
from soma_cp.solver.every_lfa.network_bounds import bound_every_lfa
from soma_cp.solver.ladder import BOUND_OF_LFA
from soma_cp.solver.schedule_ladder import Rung, schedule_ladder


def ladder_of(schedule: Schedule, claimed: int | None = None) -> list[Rung]:
    return schedule_ladder(schedule, claimed, bound_every_lfa(schedule.problem).latency)


def test_the_ladder_goes_down_from_schedules_to_bounds() -> None:
    stored = read_schedule(GPT2)
    schedule = priced(stored.plan, stored.dlsa)
    for one in (schedule, schedule.double_buffered):
        ladder = ladder_of(one, 1)
        kinds = [rung.kind for rung in ladder]
        assert kinds == sorted(kinds, key="bound".__eq__)
        others = ["greedy"] if one is not schedule else ["double buffering", "greedy"]
        assert sorted(rung.name for rung in ladder if rung.kind == "schedule") == others
        assert kinds.count("bound") == 3
        schedules, bounds = ladder[:-3], ladder[-3:]
        for part in (schedules, bounds):
            assert [rung.latency for rung in part] == sorted((rung.latency for rung in part), reverse=True)
        this = next(rung for rung in schedules if rung.kind == "this")
        assert this.latency == one.latency
        valid = [rung.latency for rung in schedules if "exceeds" not in rung.note]
        assert min(valid) >= bounds[0].latency == next(r.latency for r in bounds if r.name == BOUND_OF_LFA)
        assert all(rung.above == relative_gap(rung.latency, bounds[0].latency) for rung in ladder)


def coarse_plan(name: str, kibibytes: int) -> Plan:
    problem = Problem(builtin_network(name), replace(PLATFORMS["edge"], gbuf_bytes=kibibytes << 10))
    return make_plan(problem, coarse_lfa(problem))


def test_a_bound_that_the_file_claims_is_marked_as_unchecked() -> None:
    plan = coarse_plan("tiny-concat", 256)
    doubled = priced(plan, double_buffering(plan.tensors))

    def bound(claimed: int | None) -> Rung:
        return next(rung for rung in ladder_of(doubled, claimed) if rung.name == BOUND_OF_LFA)

    proven = bound(None)
    assert proven.latency < doubled.latency
    assert bound(proven.latency - 1) == proven
    greedy = evaluate(plan, greedy_dlsa(plan)).latency
    assert proven.latency < greedy < doubled.latency
    for claim in (greedy + 1, doubled.latency + 1):  # refuted by a schedule that can run
        refuted = bound(claim)
        assert refuted.latency == proven.latency
        assert refuted.note == f"{proven.note}; the {claim:,} that the file claims is wrong"
    claimed = bound(greedy)
    assert (claimed.latency, claimed.note) == (greedy, "says the schedule file, unchecked")
    notes = {rung.name: rung.note for rung in ladder_of(doubled, greedy)}
    assert notes["greedy"] == "the optimum of this LFA, if the file's bound holds"
    assert notes["this schedule"] == ""


def test_what_cannot_run_is_never_the_optimum() -> None:
    # Double buffering exceeds the buffer, and meets a bound that schedules which do not can't reach.
    plan = coarse_plan("tiny-attention", 96)
    doubled = priced(plan, double_buffering(plan.tensors))
    assert doubled.evaluation.peak_buffer_bytes > 96 << 10
    ladder = ladder_of(doubled)
    notes = {rung.name: rung.note for rung in ladder}
    assert {rung.latency for rung in ladder if rung.kind == "this" or rung.name == BOUND_OF_LFA} == {doubled.latency}
    assert notes["this schedule"] == "exceeds the buffer: can't run"
    assert "double buffering" not in notes  # it is this schedule
