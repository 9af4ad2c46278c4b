"""Generations of the genetic search: who becomes a parent, how children are made, and that every genome counts."""

from collections import Counter

import numpy as np
import pytest
from support.annealing_cases import EDGE, builtin_problem

from soma_cp.annealing.acceptance import Cooling
from soma_cp.annealing.cocco.genetic_kernel import Generations, Rates, breed, make_child, select
from soma_cp.annealing.cocco.genetic_search import _generations
from soma_cp.annealing.cocco.group_pricer import GroupPricer
from soma_cp.annealing.first_stage import lfa_pricing
from soma_cp.annealing.first_stage.chain import lfa_settings
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem

PROBLEM = builtin_problem("tiny-chain")


def generations(problem: Problem, count: int, limit_bytes: int) -> tuple[GroupPricer, Generations]:
    settings = lfa_settings(problem, limit_bytes, Objective(), Cooling(), 1, lfa_pricing.DOUBLE_BUFFERING)
    pricer = GroupPricer(problem)
    return pricer, _generations(pricer, pricer.start, count, settings)


def with_costs(*costs: float) -> Generations:
    """Return generations of two parents and two children with these costs; genome n holds n + 1 alone."""
    _, state = generations(PROBLEM, 2, EDGE.gbuf_bytes)
    state.parents[:] = [[1], [2]]
    state.children[:] = [[3], [4]]
    state.parent_costs[:], state.child_costs[:] = costs[:2], costs[2:]
    return state


def test_the_first_generation_becomes_the_parents_whole() -> None:
    state = with_costs(1.0, 2.0, 9.0, 8.0)
    select(state, 4, 1, np.random.default_rng(0))
    assert state.parents[:, 0].tolist() == [3, 4]
    assert state.parent_costs.tolist() == [9.0, 8.0]


def test_parents_win_tournaments_among_parents_and_children() -> None:
    """Of four genomes, the n-th best wins a tournament of three with (5 − n)³/4³ − (4 − n)³/4³."""
    random, winners = np.random.default_rng(0), Counter[int]()
    for _ in range(500):
        state = with_costs(4.0, 1.0, 3.0, 2.0)  # genome 2 is the best, then 4, 3 and 1
        select(state, 3, 2, random)
        assert [
            {1: 4.0, 2: 1.0, 3: 3.0, 4: 2.0}[n] for n in state.parents[:, 0].tolist()
        ] == state.parent_costs.tolist()
        winners.update(state.parents[:, 0].tolist())
    for genome, expected in ((2, 37), (4, 19), (3, 7), (1, 1)):
        assert winners[genome] / 1000 == pytest.approx(expected / 64, abs=0.05)


def children(crossover: float, mutation: float) -> Counter[tuple[int, ...]]:
    """Return children of the chain as one group and as two."""
    random, made = np.random.default_rng(1), Counter[tuple[int, ...]]()
    _, state = generations(PROBLEM, 2, EDGE.gbuf_bytes)
    state.parents[:] = [[0, 0, 0, 0], [0, 0, 1, 1]]
    child = np.zeros(4, np.int64)
    for _ in range(400):
        make_child(state, Rates(4, crossover, mutation), child, random)
        made[tuple(child.tolist())] += 1
    return made


def test_a_child_of_one_parent_is_its_copy() -> None:
    made = children(0.0, 0.0)
    assert set(made) == {(0, 0, 0, 0), (0, 0, 1, 1)}
    assert made[0, 0, 0, 0] / 400 == pytest.approx(0.5, abs=0.1)


def test_a_child_of_two_parents_has_groups_of_both() -> None:
    """Of the second parent the first group, of the first the rest: a group of its own, or one with the first."""
    made = children(1.0, 0.0)
    assert set(made) == {(0, 0, 0, 0), (0, 0, 1, 1)}
    # Both parents are the same in half of the cases. Else the first layer takes the one or the other; of the other,
    # the next does so again, and joins what is decided in half of the cases where it takes the first.
    assert made[0, 0, 0, 0] / 400 == pytest.approx(0.25 + 0.25 + 0.5 * 0.5 * 0.25, abs=0.08)


def test_children_are_mutated() -> None:
    whole = {(0, 0, 0, 0), (0, 0, 1, 1)}
    copies = sum(count for child, count in children(0.0, 1.0).items() if child in whole)
    assert copies < 200
    assert children(0.0, 0.3).total() - sum(children(0.0, 0.3)[one] for one in whole) == pytest.approx(90, abs=50)


def priced_whole(problem: Problem, limit_bytes: int) -> tuple[float, float, int]:
    """Return cost, peak and groups of what the genome of one group of all layers becomes when it is priced."""
    settings = lfa_settings(problem, limit_bytes, Objective(), Cooling(), 1, lfa_pricing.DOUBLE_BUFFERING)
    pricer, state = generations(problem, 2, limit_bytes)
    pricer.counters[lfa_pricing.PENDING] = 1  # the first child, all of whose layers are in group 0, waits for its price
    status = -1
    while status != lfa_pricing.DONE:
        pricing = (pricer.table, pricer.costs.table, pricer.space, pricer.groups, pricer.scratch)
        status = breed(*pricing, settings, Rates(4, 0.5, 0.3), state, 1, np.random.default_rng(0))
        pricer.provide(status)
    figures = state.figures[lfa_pricing.CANDIDATE]
    groups = len(set(state.children[0].tolist()))
    return float(figures[lfa_pricing.COST]), float(figures[lfa_pricing.PEAK_BYTES]), groups


@pytest.mark.parametrize("name", ["tiny-branch", "tiny-attention", "tiny-wide"])
def test_a_genome_that_exceeds_the_buffer_is_cut_until_it_fits(name: str) -> None:
    """With a byte less than the whole network needs as one group."""
    problem = builtin_problem(name, batch=4)
    cost, peak, groups = priced_whole(problem, 1 << 40)
    assert np.isfinite(cost)
    assert groups == 1
    cost, less, groups = priced_whole(problem, int(peak) - 1)
    assert np.isfinite(cost)
    assert less < peak
    assert groups > 1
