"""A search that reuses what it knows of the LFAs before prices each candidate as if it were alone, bit for bit."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support.twins import Pair, examples, pairs, problem_of_case

from soma_cp.annealing.acceptance import Cooling
from soma_cp.annealing.first_stage import chain as chains
from soma_cp.annealing.first_stage import lfa_kernel, lfa_pricing
from soma_cp.annealing.first_stage.chain import Chain, lfa_settings, move_weights
from soma_cp.annealing.first_stage.cost_cache import CostCache
from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa
from soma_cp.annealing.first_stage.moves import DEFAULT_WEIGHTS, Move
from soma_cp.annealing.first_stage.slots import SlottedProblem, slotted, without_slots
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.footprint import least_peak_bytes
from soma_cp.model.soma.lfa import LFA

WEIGHTS = DEFAULT_WEIGHTS | {Move.TURN_SHARE: 0.1, Move.DIVIDE: 0.1}


def chain_from(of_slots: SlottedProblem, start: LFA, limit_bytes: int, rounds: int, shares: bool) -> Chain:
    problem = of_slots.problem
    settings = lfa_settings(problem, limit_bytes, Objective(), Cooling(), rounds, lfa_pricing.GREEDY)
    apart = np.zeros(len(problem.network.layers), np.int64)
    weights = WEIGHTS if of_slots.divides else WEIGHTS | {Move.DIVIDE: 0.0}
    random = np.random.default_rng(5)
    return Chain(
        problem, start, settings, move_weights(weights), apart, random, CostCache(problem), 4, shares, of_slots
    )


def price_alone(alone: Chain, search: Chain) -> int:
    """Price the candidate of `search` with empty arrays."""
    alone.scratch = chains._scratch(alone.problem, *(3 * [4 * len(alone.problem.network.layers)]))
    lfa_kernel.copy_lfa(search.state.candidate, alone.state.candidate)
    alone.state.ceiling[:] = search.state.ceiling
    alone.state.figures[lfa_pricing.CANDIDATE] = np.nan
    return alone.price_candidate()


def compare_rounds(search: Chain, alone: Chain, rounds: int) -> int:
    """Run `search`, and price each of its candidates alone; return how many have a price."""
    priced = 0
    for done in range(1, rounds + 1):
        search.state.ceiling[0] = np.nan
        search.state.figures[lfa_pricing.CANDIDATE] = np.nan
        search.run_to(done)
        if np.isnan(search.state.ceiling[0]):  # the move changed nothing
            continue
        verdict = price_alone(alone, search)
        row = search.state.figures[lfa_pricing.CANDIDATE].tolist()
        assert np.array_equal(row, alone.state.figures[lfa_pricing.CANDIDATE], equal_nan=True)
        assert np.isnan(row[lfa_pricing.COST]) == (verdict != lfa_pricing.PRICED)
        priced += verdict == lfa_pricing.PRICED
        if done % 50 == 0:
            search.return_to_best()
    return priced


@examples(60)
@given(pairs(max_layers=12, max_tiling_number=24, divides=True), st.floats(0, 0.5), st.booleans())
def test_candidates_of_random_networks(pair: Pair, spare: float, shares: bool) -> None:
    problem, start = problem_of_case(pair.case), pair.plan.lfa
    least = least_peak_bytes(pair.plan)
    limit = least + int(spare * least)
    of_slots = slotted(problem, [start])
    search, alone = (chain_from(of_slots, start, limit, 80, shares) for _ in range(2))
    if search.start_is_valid:  # no more tiles than a search takes
        compare_rounds(search, alone, 80)


@pytest.mark.parametrize(
    ("name", "platform", "batch", "divides", "rounds"),
    [
        ("resnet50", "edge", 4, False, 300),
        ("gpt2-small-prefill", "edge", 16, True, 300),
        ("tiny-unet", "edge", 6, False, 300),
        ("gpt2-small-decode", "edge", 2, True, 300),
        ("gpt2-xl-decode", "cloud", 4, True, 1_200),  # some FLGs can't be cut after their first layers have been
    ],
)
def test_candidates_of_networks_with_many_tiles(
    name: str, platform: str, batch: int, divides: bool, rounds: int
) -> None:
    problem = Problem(builtin_network(name), PLATFORMS[platform], batch)
    start = coarse_lfa(problem)
    of_slots = slotted(problem) if divides else without_slots(problem)
    search, alone = (chain_from(of_slots, start, problem.platform.gbuf_bytes, rounds, divides) for _ in range(2))
    assert compare_rounds(search, alone, rounds) > 30
