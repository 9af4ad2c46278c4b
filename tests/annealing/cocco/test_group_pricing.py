"""The price of a schedule in Cocco's space, against the evaluator."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, reject
from support.annealing_cases import EDGE, builtin_problem, close
from support.brute_cocco import may_be_a_group, number_by_rule, own_numbers
from support.strategies import Case, cases
from support.twins import examples, lfa_of, problem_of_case

from soma_cp.annealing.cocco.group_pricer import GroupPricer
from soma_cp.annealing.cocco.group_table import empty_group_table, enlarged
from soma_cp.annealing.cocco.tiling_rules import TilingRule
from soma_cp.model.errors import UserError
from soma_cp.model.hardware.core_array.protocol import NoMappingError
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import double_buffering
from soma_cp.model.soma.evaluation import evaluate
from soma_cp.model.soma.lfa import FLG, LFA, LFAError
from soma_cp.model.soma.plan import make_plan


def of_whole_groups(lfa: LFA) -> LFA:
    """Return the LFA with a DRAM Cut at every FLC and no shared loads."""
    return LFA(tuple(replace(flg, dram_cut=True) for flg in lfa.flgs))


def assert_priced_as_evaluated(problem: Problem, pricer: GroupPricer, lfa: LFA) -> None:
    """Hold a price against the evaluator, for groups that are all in the space."""
    sums = np.zeros(3)
    valid = pricer.price(pricer.arrays(lfa), sums)
    inside = all(may_be_a_group(problem.network, flg.layers) for flg in lfa.flgs)
    try:
        plan = make_plan(problem, lfa)
    except (LFAError, NoMappingError):
        assert not valid
        return
    assert valid == inside
    if valid:
        doubled = evaluate(plan, double_buffering(plan.tensors))
        assert tuple(sums[1:]) == (doubled.latency, doubled.peak_buffer_bytes)
        assert sums[0] == close(doubled.energy_pj)
        assert pricer.lfa(pricer.arrays(lfa)) == lfa


@given(cases(max_layers=8, max_tiling_number=20, valid=False))
@examples(200)
def test_a_schedule_costs_what_the_evaluator_says(case: Case) -> None:
    problem = problem_of_case(case)
    problem = replace(problem, platform=replace(problem.platform, gbuf_bytes=1 << 30))
    lfa = of_whole_groups(lfa_of(case.lfa))
    try:
        pricer = GroupPricer(problem, TilingRule.INHERIT)
    except UserError:  # a layer that can't run
        reject()
    pricer.groups = empty_group_table(1, 1)  # so that it grows
    for _ in range(2):  # the second time, all groups are known
        assert_priced_as_evaluated(problem, pricer, lfa)


@pytest.mark.parametrize("name", ["tiny-branch", "tiny-attention", "tiny-wide", "gpt2-small-decode", "googlenet"])
@pytest.mark.parametrize("batch", [1, 6])
def test_groups_cost_the_same_wherever_they_stand(name: str, batch: int) -> None:
    """Random cuts of one network, priced one after another by one pricer: groups come back beside others."""
    problem = builtin_problem(name, batch=batch)
    pricer = GroupPricer(problem, TilingRule.INHERIT)
    names = [layer.name for layer in problem.network.layers]
    random = np.random.default_rng(batch)
    for _ in range(20):
        flgs: list[FLG] = []
        for layer in names:
            if flgs and random.random() < 0.5 and may_be_a_group(problem.network, (*flgs[-1].layers, layer)):
                flgs[-1] = replace(flgs[-1], layers=(*flgs[-1].layers, layer))
            else:
                flgs.append(FLG((layer,), int(random.integers(1, 5)), True))
        assert_priced_as_evaluated(problem, pricer, LFA(tuple(flgs)))


@given(cases(max_layers=8, valid=False))
@examples(100)
def test_rules_give_the_number_of_outputs_or_of_all(case: Case) -> None:
    problem = problem_of_case(case)
    problem = replace(problem, platform=replace(problem.platform, gbuf_bytes=1 << 30))
    lfa = of_whole_groups(lfa_of(case.lfa))
    for rule in (TilingRule.OUTPUT, TilingRule.LARGEST):
        for capped in (True, False):
            try:
                pricer = GroupPricer(problem, rule, capped)
                own = own_numbers(problem, capped)
            except UserError:
                reject()
            by_rule = tuple(
                replace(flg, tiling_number=number_by_rule(problem.network, flg.layers, own, rule)) for flg in lfa.flgs
            )
            assert_priced_as_evaluated(problem, pricer, replace(lfa, flgs=by_rule))
            others = tuple(replace(flg, tiling_number=flg.tiling_number + 1) for flg in by_rule)
            assert not pricer.has(replace(lfa, flgs=others))


def test_a_cap_of_16_tiles_a_sample_can_be_taken_off() -> None:
    problem = builtin_problem("resnet50")
    capped, free = own_numbers(problem), own_numbers(problem, capped=False)
    assert max(capped.values()) == 16
    assert max(free.values()) > 16
    assert all(capped[name] in (1, number) or number <= 16 for name, number in free.items())


def test_a_table_that_grows_keeps_its_groups() -> None:
    problem = Problem(builtin_problem("googlenet").network, EDGE, 1)
    pricer = GroupPricer(problem)
    arrays, sums, again = pricer.arrays(pricer.start), np.zeros(3), np.zeros(3)
    assert pricer.price(arrays, sums)
    known = pricer.groups.used.tolist()
    pricer.groups = enlarged(pricer.groups)
    assert pricer.price(arrays, again)
    assert pricer.groups.used.tolist() == known
    assert again.tolist() == sums.tolist()
