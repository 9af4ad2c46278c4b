"""What advice promises: schedules that the checker accepts, and bounds that no schedule breaks."""

from dataclasses import replace
from fractions import Fraction

import hypothesis.strategies as st
import pytest
from hypothesis import assume, given, reject
from support.brute_dlsa import TooManyError, brute_force_latency
from support.brute_lfas import cheapest
from support.strategies import valid_dlsas
from support.twins import dlsa_of, examples, pairs

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.quantities import MOST_DENOMINATOR
from soma_cp.model.network.layers import Conv, ExternalInput
from soma_cp.model.network.network import Network
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.evaluation import evaluate
from soma_cp.model.soma.lfa import unfused_lfa
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.schedule import Schedule, priced
from soma_cp.model.soma.validity import violations
from soma_cp.solver.advice import limits
from soma_cp.solver.advice.advice import Basis, Topic
from soma_cp.solver.advice.advise import estimates
from soma_cp.solver.advice.estimates import base_of, estimate, repriced
from soma_cp.solver.advice.levers import levers
from soma_cp.solver.advice.limits import compute_limit
from soma_cp.solver.every_lfa.network_bounds import bound_every_lfa

EDP = Objective()


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Draw a valid schedule of a random network, whose buffer is as large as the schedule needs."""
    pair = draw(pairs(max_layers=3, max_tiling_number=3))
    dlsa = dlsa_of(pair.plan, draw(valid_dlsas(pair.slow)))
    needed = evaluate(pair.plan, dlsa).peak_buffer_bytes
    platform = replace(pair.plan.problem.platform, gbuf_bytes=max(needed, 8))
    return priced(make_plan(replace(pair.plan.problem, platform=platform), pair.plan.lfa), dlsa)


@examples(40)
@given(schedules(), st.sampled_from([EDP, Objective(0.0, 1.0), Objective(1.0, 0.0)]))
def test_every_gain_is_that_of_a_schedule_that_the_checker_accepts(schedule: Schedule, objective: Objective) -> None:
    base, lines = estimates(schedule, objective, None, 0, Budget())
    assert base.problem == schedule.problem
    assert not violations(base.plan, base.dlsa)
    assert base.cost(objective) <= schedule.cost(objective)
    for line in lines:
        if line.platform is None:
            continue
        assert line.schedule is not None
        problem = replace(schedule.problem, platform=line.platform)
        plan = make_plan(problem, line.schedule.lfa)
        assert not violations(plan, line.schedule.dlsa)
        anew = evaluate(plan, line.schedule.dlsa)
        cost = objective.cost(anew.energy_pj, anew.latency)
        assert cost == pytest.approx(base.cost(objective) * (1 - line.advice.gain))
        assert line.advice.estimated_latency_gain == 1 - anew.latency / base.latency


@examples(40)
@given(schedules(), st.integers(2, 9))
def test_more_bandwidth_never_makes_the_same_schedule_slower(schedule: Schedule, factor: int) -> None:
    platform = schedule.problem.platform
    rate = Fraction(platform.dram_bytes_per_cycle) * factor / 2
    faster = repriced(schedule, replace(platform, dram_bytes_per_cycle=rate.limit_denominator(MOST_DENOMINATOR)))
    assert faster.latency <= schedule.latency
    assert faster.energy_pj == schedule.energy_pj
    assert faster.fits


@examples(40)
@given(schedules(), st.integers(1, 1000))
def test_a_larger_buffer_keeps_the_same_schedule_valid(schedule: Schedule, more: int) -> None:
    platform = schedule.problem.platform
    larger = repriced(schedule, replace(platform, gbuf_bytes=platform.gbuf_bytes + more))
    assert not violations(larger.plan, larger.dlsa)


@examples(30)
@given(schedules())
def test_a_step_that_takes_nothing_away_loses_no_latency(schedule: Schedule) -> None:
    latency = Objective(0.0, 1.0)
    base = base_of(schedule, latency, 0, Budget())
    for group in levers(schedule.problem.platform):
        for lever in group:
            if not lever.saves and lever.topic is Topic.DRAM:
                found = estimate(base, lever, latency, 0, Budget())
                assert found is not None
                assert found.advice.gain >= 0
                assert found.advice.basis is Basis.REPRICED


@examples(25)
@given(schedules(), st.sampled_from([2, 1000]))
def test_no_dlsa_gains_more_from_bandwidth_than_the_bound_says(schedule: Schedule, factor: int) -> None:
    assume(schedule.plan.dram_tensor_count <= 6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "COMPUTES_MOSTLY", 0.0)  # the line is shown from a share on, but holds for any
        limit = compute_limit(schedule, EDP, None)
    assert limit is not None
    assert limit.most_gain is not None
    platform = schedule.problem.platform
    faster = replace(platform, dram_bytes_per_cycle=platform.dram_bytes_per_cycle * factor)
    plan = make_plan(replace(schedule.problem, platform=faster), schedule.lfa)
    try:
        best = brute_force_latency(plan, 1 << 40)  # no buffer gains more, either, while tiles cost the same
    except TooManyError:
        reject()
    assert best >= schedule.latency * (1 - limit.most_gain) - 1e-6


def test_no_lfa_gains_more_from_bandwidth_than_the_bound_says() -> None:
    layers = (
        Conv(name="a", C=8, K=8, H=2, W=2, inputs=("x",)),
        Conv(name="b", C=8, K=8, H=2, W=2, R=2, S=2, ifmaps=("a",)),
    )
    network = Network("two", (ExternalInput("x", (8, 2, 2)),), layers)
    platform = replace(PLATFORMS["ethos-u85"], dram_bytes_per_cycle=64, macs_per_pe=1, pe_grid=1)
    problem = Problem(network, platform)
    plan = make_plan(problem, unfused_lfa(network))
    schedule = plan_and_greedy(plan)
    limit = compute_limit(schedule, EDP, bound_every_lfa(problem))
    assert limit is not None
    assert limit.most_gain is not None
    assert limit.most_gain_of_any is not None
    assert limit.most_gain_of_any >= limit.most_gain
    fast = replace(problem, platform=replace(platform, dram_bytes_per_cycle=4096))
    (latency,), count = cheapest(fast, [Objective(0.0, 1.0)], wide=False)
    assert count > 4
    assert latency >= schedule.latency * (1 - limit.most_gain_of_any) - 1e-6


def plan_and_greedy(plan: Plan) -> Schedule:
    return priced(plan, greedy_dlsa(plan))
