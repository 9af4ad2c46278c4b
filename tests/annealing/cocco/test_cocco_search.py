"""Searches of Cocco's space: what they return is in it, is what the evaluator says, and on tiny networks the best."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from support.annealing_cases import EDGE, assert_drawn_from, assert_priced_as_evaluated, builtin_problem
from support.brute_cocco import cheapest_cocco, may_be_a_group, number_by_rule, own_numbers

from soma_cp.annealing.acceptance import Cooling
from soma_cp.annealing.cocco.cocco_kernel import change_groups, set_figures, shift_border
from soma_cp.annealing.cocco.cocco_search import CoccoParameters, GroupChain, search_groups
from soma_cp.annealing.cocco.genetic_search import GeneticParameters, breed_groups
from soma_cp.annealing.cocco.group_pricer import GroupPricer
from soma_cp.annealing.cocco.tiling_rules import TilingRule
from soma_cp.annealing.first_stage import lfa_pricing
from soma_cp.annealing.first_stage.chain import lfa_settings
from soma_cp.annealing.first_stage.paper_search import PaperSearchParameters, PaperSearchResult
from soma_cp.annealing.monitor import Monitor
from soma_cp.model.errors import UserError
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import FLG, LFA
from soma_cp.model.soma.lfa_arrays import lfa_arrays, lfa_from_arrays

RULES = (TilingRule.OUTPUT, TilingRule.LARGEST)


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng([seed, 1])


def annealed(problem: Problem, rule: TilingRule, rounds_per_layer: int = 100, seed: int = 0) -> PaperSearchResult:
    parameters = CoccoParameters(rule, annealing=PaperSearchParameters(rounds_per_layer))
    return search_groups(problem, problem.platform.gbuf_bytes, random(seed), parameters=parameters)


def bred(problem: Problem, rule: TilingRule, evaluations: int | None = None, seed: int = 0) -> PaperSearchResult:
    space, parameters = CoccoParameters(rule), GeneticParameters(evaluations=evaluations)
    capacity = problem.platform.gbuf_bytes
    return breed_groups(problem, capacity, random(seed), space=space, parameters=parameters)


def assert_in_space(problem: Problem, lfa: LFA, rule: TilingRule) -> None:
    own = own_numbers(problem)
    assert not lfa.is_wide
    for flg in lfa.flgs:
        assert flg.dram_cut
        assert may_be_a_group(problem.network, flg.layers)
        if rule is TilingRule.INHERIT:
            assert flg.tiling_number in own.values()
        else:
            assert flg.tiling_number == number_by_rule(problem.network, flg.layers, own, rule)


@pytest.mark.parametrize("rule", TilingRule)
@pytest.mark.parametrize("name", ["tiny-attention", "tiny-wide", "tiny-pool-fc", "gpt2-small-decode", "googlenet"])
def test_schedules_are_in_the_space_and_priced_as_evaluated(name: str, rule: TilingRule) -> None:
    problem = builtin_problem(name, batch=2)
    found = [annealed(problem, rule)]
    if rule is not TilingRule.INHERIT:
        found.append(bred(problem, rule))
    for one in found:
        assert_in_space(problem, one.lfa, rule)
        assert_priced_as_evaluated(problem, one, problem.platform.gbuf_bytes)


# By the network: batch, and a buffer in which some of the groups do not fit.
ENUMERATED = [("tiny-chain", 4, 1 << 18), ("tiny-pool-fc", 2, 1 << 19), ("tiny-branch", 1, 1 << 18), ("tiny-ffn", 1, 0)]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("name", "batch", "gbuf_bytes"), ENUMERATED)
def test_tiny_networks_are_solved(name: str, batch: int, gbuf_bytes: int, rule: TilingRule) -> None:
    """The annealing finds the optimum of all LFAs, the genetic search that of all genomes."""
    platform = replace(EDGE, gbuf_bytes=gbuf_bytes or EDGE.gbuf_bytes)
    problem = builtin_problem(name, platform, batch)
    best, count = cheapest_cocco(problem, rule)
    best_genome, _ = cheapest_cocco(problem, rule, sorted_groups=True)
    assert count >= 8
    for expected, found in ((best, annealed(problem, rule, 1000)), (best_genome, bred(problem, rule, 5000))):
        assert found.fits
        assert Objective().cost(found.energy_pj, found.latency) == pytest.approx(expected, rel=1e-9)


def test_a_seed_makes_a_run_repeatable() -> None:
    problem = builtin_problem("googlenet", batch=2)
    for search in (annealed, bred):
        same = [search(problem, TilingRule.OUTPUT, seed=seed) for seed in (3, 3)]
        assert same[0].lfa == same[1].lfa
        assert same[0].lfa != search(problem, TilingRule.OUTPUT, seed=4).lfa


def test_as_many_rounds_as_the_papers_search() -> None:
    problem = builtin_problem("tiny-branch", batch=4)
    rounds = PaperSearchParameters().rounds(problem)
    assert annealed(problem, TilingRule.OUTPUT).rounds == bred(problem, TilingRule.OUTPUT).rounds == rounds == 1200


def test_inherited_numbers_are_not_bred() -> None:
    with pytest.raises(UserError, match="no inherited tiling numbers"):
        bred(builtin_problem("tiny-chain"), TilingRule.INHERIT)


def test_nothing_that_fits() -> None:
    """Every layer fits alone, but no double buffering does: the least overflow is searched."""
    problem = builtin_problem("tiny-ffn")
    for search in (search_groups, breed_groups):
        found = search(problem, 1, random())
        assert not found.fits
        assert_priced_as_evaluated(problem, found, 1)


@pytest.mark.parametrize(("energy_exponent", "delay_exponent"), [(1.0, 1.0), (2.0, 0.5), (0.0, 1.0), (1.0, 0.0)])
def test_a_cost_is_that_of_the_objective_and_infinite_beyond_the_buffer(
    energy_exponent: float, delay_exponent: float
) -> None:
    problem, objective = builtin_problem("tiny-chain"), Objective(energy_exponent, delay_exponent)
    figures = np.zeros((3, lfa_pricing.FIGURES))
    for peak, overflow in ((1000, 0), (1001, 1)):
        settings = lfa_settings(problem, 1000, objective, Cooling(), 1, lfa_pricing.DOUBLE_BUFFERING)
        set_figures(figures, lfa_pricing.CANDIDATE, np.array([30.0, 7.0, peak]), settings)
        assert figures[lfa_pricing.CANDIDATE, lfa_pricing.OVERFLOW_BYTES] == overflow
        expected = 30.0**energy_exponent * 7.0**delay_exponent if overflow == 0 else np.inf
        assert figures[lfa_pricing.CANDIDATE, lfa_pricing.COST] == pytest.approx(expected)


def test_the_search_returns_to_the_best_after_nine_tenths_of_the_rounds() -> None:
    problem, capacity = builtin_problem("tiny-branch", batch=2), EDGE.gbuf_bytes
    settings = lfa_settings(problem, capacity, Objective(), Cooling(), 200, lfa_pricing.DOUBLE_BUFFERING)
    pricer = GroupPricer(problem)
    chain = GroupChain(pricer, pricer.start, settings, 0.4, random())
    first, figures = pricer.arrays(pricer.start), chain.state.figures
    chain.run_to(180, Monitor())
    best = figures[lfa_pricing.BEST].copy()
    for array, others in zip(chain.state.current, first, strict=True):
        array[:] = others  # as if the search had gone astray
    figures[lfa_pricing.CURRENT] = np.inf
    chain.run_to(181, Monitor(), heated=False)
    assert figures[lfa_pricing.CURRENT, lfa_pricing.COST] <= best[lfa_pricing.COST] < np.inf


@pytest.mark.parametrize("heated", [True, False])
def test_only_heat_accepts_what_is_worse(heated: bool) -> None:
    problem = builtin_problem("tiny-branch", batch=2)
    settings = lfa_settings(problem, EDGE.gbuf_bytes, Objective(), Cooling(), 400, lfa_pricing.DOUBLE_BUFFERING)
    pricer = GroupPricer(problem)
    chain = GroupChain(pricer, pricer.start, settings, 0.4, random())
    costs = []
    for rounds in range(1, 200):
        chain.run_to(rounds, Monitor(), heated=heated)
        costs.append(chain.state.figures[lfa_pricing.CURRENT, lfa_pricing.COST])
    assert costs[-1] < costs[0]
    assert any(after > before for before, after in pairwise(costs)) == heated


CHAIN = Problem(builtin_problem("tiny-chain").network, EDGE)
NAMES = tuple(layer.name for layer in CHAIN.network.layers)


def grouped(*parts: tuple[int, int]) -> LFA:
    """Return the chain cut into groups of so many layers with these tiling numbers."""
    flgs, at = [], 0
    for size, number in parts:
        flgs.append(FLG(NAMES[at : at + size], number, True))
        at += size
    return LFA(tuple(flgs))


def test_a_border_leaves_nothing_behind_and_groups_keep_their_numbers() -> None:
    draws = random()

    def shifted() -> LFA:
        arrays = lfa_arrays(grouped((1, 2), (3, 8)), CHAIN.network, CHAIN.table)
        assert shift_border(arrays, draws)
        return lfa_from_arrays(arrays, CHAIN.network, CHAIN.table)

    expected = {grouped((2, 2), (2, 8)): 0.5, grouped((3, 2), (1, 8)): 0.5}
    assert_drawn_from(expected, shifted, 400)


def test_moves_are_drawn_by_their_shares() -> None:
    """A chain has one order. With two groups of two layers: one border to fuse, one place in each to split."""
    draws = random()

    def moved() -> LFA:
        arrays = lfa_arrays(grouped((2, 2), (2, 2)), CHAIN.network, CHAIN.table)
        change_groups(CHAIN.table, arrays, 0.4, draws)
        return lfa_from_arrays(arrays, CHAIN.network, CHAIN.table)

    split = 0.6 * 0.3 / 4  # two of the four places begin a group already: nothing happens
    expected = {
        grouped((2, 2), (2, 2)): 0.4 + 2 * split,
        grouped((4, 2)): 0.6 * 0.3,
        grouped((1, 2), (1, 2), (2, 2)): split,
        grouped((2, 2), (1, 2), (1, 2)): split,
        grouped((1, 2), (3, 2)): 0.6 * 0.4 / 2,
        grouped((3, 2), (1, 2)): 0.6 * 0.4 / 2,
    }
    assert_drawn_from(expected, moved, 4000)
