"""Bounds and proofs against every schedule of tiny networks: every LFA, every set of shared loads, exact DLSAs."""

import math
from functools import cache

import pytest
from support.brute_lfas import cheapest
from support.tiny_problems import DIVISIBLE, problem_of

from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters
from soma_cp.model.objective import Objective
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.result import SecondStageResult
from soma_cp.solver.choices import Space
from soma_cp.solver.every_lfa.branch_and_bound import prove_over_every_lfa
from soma_cp.solver.every_lfa.network_bounds import bound_every_lfa
from soma_cp.solver.parameters import CpSatParameters, SolveParameters
from soma_cp.solver.second_stage.exact import solve_dlsa_exactly
from soma_cp.solver.solve import solve

OBJECTIVES = [Objective(1.0, 1.0), Objective(1.0, 0.0), Objective(0.0, 1.0), Objective(1.0, 2.0), Objective(2.0, 1.0)]
CPSAT = CpSatParameters(workers=1)


@cache
def optima(name: str, batch: int, tight: bool, semantics: str, wide: bool) -> list[float]:
    found, count = cheapest(problem_of(name, batch, tight, semantics), OBJECTIVES, wide)
    assert count > 20
    assert max(found) < math.inf
    return found


CASES = pytest.mark.parametrize(
    ("name", "batch", "tight", "semantics"),
    [
        ("three readers", 1, True, "published"),
        ("tied weights", 1, False, "published"),
        ("tied weights", 1, True, "published"),
        ("a consumer that skips", 1, False, "published"),
        ("a consumer that skips", 1, True, "published"),
        ("tiles in the padding", 1, False, "published"),
        ("tiles in the padding", 2, True, "published"),
        ("tiles in the padding", 1, True, "corrected"),
        ("an output that two read", 1, True, "published"),
        ("a product of readers", 1, True, "published"),
        ("compressed weights", 1, True, "published"),
    ],
)


@CASES
def test_no_schedule_of_a_space_is_below_its_bound(name: str, batch: int, tight: bool, semantics: str) -> None:
    problem = problem_of(name, batch, tight, semantics)
    spaces = [optima(name, batch, tight, semantics, wide) for wide in (False, True)]
    # Shared loads are worth something, unless all readers fit into the LG of the layer that they read.
    assert (spaces[1][0] < spaces[0][0]) == (name != "an output that two read")
    for wide in (False, True):
        for objective, least in zip(OBJECTIVES, spaces[wide], strict=True):
            bound = bound_every_lfa(problem, objective, wide=wide)
            assert 0 < bound.cost <= least * (1 + 1e-9)
            if (objective.energy_exponent, objective.delay_exponent) == (1.0, 0.0):
                assert bound.energy_pj <= least * (1 + 1e-9)
            if (objective.energy_exponent, objective.delay_exponent) == (0.0, 1.0):
                assert bound.latency <= least


@pytest.mark.parametrize("tight", [False, True])
@pytest.mark.parametrize("name", DIVISIBLE)
def test_no_schedule_with_divided_layers_is_below_the_bound_of_the_wide_space(name: str, tight: bool) -> None:
    problem = problem_of(name, tight=tight)
    # Of two layers with three parts or more each there are too many plans.
    found, count = cheapest(problem, OBJECTIVES, wide=True, most_parts=2 if name == "packed parts" else 3)
    assert count > 20
    for objective, least in zip(OBJECTIVES, found, strict=True):
        bound = bound_every_lfa(problem, objective, wide=True)
        assert 0 < bound.cost <= least * (1 + 1e-9)


@pytest.mark.parametrize("tight", [False, True])
@pytest.mark.parametrize(
    ("name", "batch"), [("two divisible layers", 2), ("two divisible layers", 3), ("much to compute", 2)]
)
def test_no_schedule_in_passes_is_below_the_bound_of_the_wide_space(name: str, batch: int, tight: bool) -> None:
    problem = problem_of(name, batch, tight=tight)
    found, count = cheapest(problem, OBJECTIVES, wide=True, most_parts=2, passes=True)
    assert count > 5
    for objective, least in zip(OBJECTIVES, found, strict=True):
        bound = bound_every_lfa(problem, objective, wide=True)
        assert 0 < bound.cost <= least * (1 + 1e-9)


@CASES
def test_solve_claims_no_more_than_is_true(name: str, batch: int, tight: bool, semantics: str) -> None:
    problem = problem_of(name, batch, tight, semantics)
    for rounds, objective, least in zip(
        (4, 40, 200), OBJECTIVES, optima(name, batch, tight, semantics, True), strict=False
    ):
        parameters = SolveParameters(
            search=LFASearchParameters(rounds=rounds, chains=2),
            cpsat=CPSAT,
            objective=objective,
            threads=1,
            space=Space.WIDE,
        )
        result = solve(problem, parameters)
        cost = result.schedule.cost(objective)
        assert cost >= least * (1 - 1e-9)
        assert result.cost_bound <= least * (1 + 1e-9)
        assert not result.is_global_optimum or cost == pytest.approx(least)


@CASES
def test_branch_and_bound_finds_the_optimum(name: str, batch: int, tight: bool, semantics: str) -> None:
    """Of the paper's space, of networks with outputs that are read and with weights that layers share."""
    problem = problem_of(name, batch, tight, semantics)

    def exact(plan: Plan, latency_to_beat: int) -> SecondStageResult:
        return solve_dlsa_exactly(plan, CPSAT, cutoff_latency=latency_to_beat)

    for objective, least in zip(OBJECTIVES, optima(name, batch, tight, semantics, False), strict=True):
        proof = prove_over_every_lfa(problem, math.inf, 0.0, exact, objective)
        assert proof.complete
        assert proof.improved is not None
        assert proof.improved.schedule.cost(objective) == pytest.approx(least)
        assert proof.lower_bound == pytest.approx(least)
