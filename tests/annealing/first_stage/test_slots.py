"""Slots: what a search that divides layers prices is what the written-out LFA costs; moves keep the rules of parts."""

import copy
from collections import Counter

import numpy as np
import pytest

from soma_cp.annealing.acceptance import Cooling
from soma_cp.annealing.first_stage import lfa_pricing, moves, slots
from soma_cp.annealing.first_stage.chain import Chain, lfa_settings, move_weights
from soma_cp.annealing.first_stage.cost_cache import CostCache
from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa, divided_to_fit
from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters, search_lfas
from soma_cp.annealing.first_stage.moves import DEFAULT_WEIGHTS, Move, apply_move
from soma_cp.annealing.first_stage.slots import SlottedProblem, fit_table, slotted
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.platform_file import with_overrides
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.network import Division
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.footprint import least_peak_bytes
from soma_cp.model.soma.lfa import LFA
from soma_cp.model.soma.plan import make_plan
from soma_cp.model.soma.schedule import priced


def problem_of(name: str, hardware: str = "edge", batch: int = 1, buffer: str | None = None) -> Problem:
    return Problem(builtin_network(name), with_overrides(PLATFORMS[hardware], buffer, None), batch)


def chain_of(slotted_problem: SlottedProblem, start: LFA, seed: int) -> Chain:
    problem = slotted_problem.problem
    limit = problem.platform.gbuf_bytes
    settings = lfa_settings(problem, limit, Objective(), Cooling(), 1000, lfa_pricing.GREEDY)
    return Chain(
        problem,
        start,
        settings,
        move_weights(DEFAULT_WEIGHTS | {Move.DIVIDE: 0.5}),
        np.zeros(len(problem.network.layers), np.int64),
        np.random.default_rng(seed),
        CostCache(problem),
        slotted=slotted_problem,
    )


GPT2 = "gpt2-small-prefill, 2 samples"
CASES = {
    "gpt2-small-decode": problem_of("gpt2-small-decode"),
    GPT2: problem_of("gpt2-small-prefill", batch=2),
    "resnet50 on cloud": problem_of("resnet50", "cloud"),  # fc of 1000 channels: a part off the granule
    "gpt2-xl-decode": problem_of("gpt2-xl-decode", "cloud"),  # 1600 channels, granules of 256
}


@pytest.mark.parametrize("name", CASES)
def test_a_search_prices_what_the_written_out_lfa_costs(name: str) -> None:
    """Walk over LFAs; price each by the kernel, and by the plan of the LFA with divisions."""
    problem = CASES[name]
    of_slots = slotted(problem)
    chain = chain_of(of_slots, coarse_lfa(problem), 1)
    random = np.random.default_rng(7)
    candidate, compared, divided = chain.state.candidate, 0, set()
    for _ in range(160):
        before = copy.deepcopy(candidate)
        fit_table(chain.table, of_slots.slots, candidate.channels)
        apply_move(chain.table, of_slots.slots, candidate, problem.batch, chain.weights, random)
        chain.state.ceiling[0] = np.inf
        if chain.price_candidate() != lfa_pricing.PRICED:
            for changed, earlier in zip(candidate, before, strict=True):
                changed[:] = earlier
            continue
        lfa = of_slots.lfa(candidate, chain.table)
        plan = make_plan(problem, lfa)
        figures = chain.state.figures[lfa_pricing.CANDIDATE]
        compared += 1
        divided.add(lfa.divisions)
        if figures[lfa_pricing.OVERFLOW_BYTES] > 0:
            assert least_peak_bytes(plan) > problem.platform.gbuf_bytes
            continue
        schedule = priced(plan, greedy_dlsa(plan))
        assert figures[lfa_pricing.LATENCY] == schedule.latency
        assert figures[lfa_pricing.ENERGY_PJ] == pytest.approx(schedule.energy_pj, rel=1e-12)
    assert compared > 50
    assert len(divided) > 10


@pytest.mark.parametrize("name", CASES)
def test_lfas_become_slots_and_come_back(name: str) -> None:
    problem = CASES[name]
    of_slots = slotted(problem)
    chain = chain_of(of_slots, coarse_lfa(problem), 2)
    random = np.random.default_rng(3)
    candidate = chain.state.candidate
    seen: set[LFA] = set()
    for _ in range(150):
        fit_table(chain.table, of_slots.slots, candidate.channels)
        apply_move(chain.table, of_slots.slots, candidate, problem.batch, chain.weights, random)
        lfa = of_slots.lfa(candidate, chain.table)
        again = of_slots.arrays(lfa)
        assert of_slots.lfa(again, of_slots.table()) == lfa
        seen.add(lfa)
    assert sum(bool(lfa.divisions) for lfa in seen) > 20


def test_divide_splits_merges_and_evens_in_granules_as_often_as_documented() -> None:
    problem = problem_of("gpt2-xl-decode", "cloud")
    of_slots = slotted(problem)
    granule = problem.core_array.granule
    names = {layer.name: layer.ofmap[0] for layer in problem.network.layers}
    arrays = of_slots.arrays(coarse_lfa(problem))
    random = np.random.default_rng(5)
    kinds: Counter[str] = Counter()
    for _ in range(1000):
        before = of_slots.lfa(arrays, of_slots.table()).divisions
        changed = moves.divide(of_slots.slots, arrays, random)
        after = of_slots.lfa(arrays, of_slots.table()).divisions
        for name, channels in after:
            assert sum(channels) == names[name]
            assert sum(part % granule != 0 for part in channels) <= 1
            assert len(channels) <= slots.MOST_PARTS
        sizes = [sum(len(one.channels) - 1 for one in divisions) for divisions in (before, after)]
        if changed:
            kinds[{1: "split", -1: "merge", 0: "even"}[sizes[1] - sizes[0]]] += 1
        else:
            assert before == after
            kinds["nothing"] += 1
    assert min(kinds[kind] for kind in ("split", "merge", "even")) > 100, kinds


def test_the_layers_worth_dividing() -> None:
    def divided(problem: Problem) -> set[str]:
        return {division.layer for division in slotted(problem).problem.network.divisions}

    large = {"attention_Q", "attention_V", "attention_FC", "ffn1", "ffn2"}
    assert divided(problem_of("gpt2-small-prefill")) == large
    assert divided(problem_of("tiny-chain")) == set()  # their weights are small beside the buffer
    by_hand = LFA((), divisions=(Division("ffn1", (384,) * 8), Division("ffn2", (384, 384))))
    parts = {name: len(channels) for name, channels in slotted(CASES[GPT2], [by_hand]).problem.network.divisions}
    assert (parts["ffn1"], parts["ffn2"]) == (8, slots.MOST_PARTS)
    assert divided_to_fit(problem_of("gpt2-small-prefill")).network.divisions == ()


def test_what_does_not_fit_is_divided_into_parts_of_an_eighth_of_the_buffer() -> None:
    problem = problem_of("resnet50", buffer="1MiB")
    fitting = divided_to_fit(problem)
    assert fitting.network.divisions
    granule = problem.core_array.granule
    for name in fitting.network.part_names:
        layer = fitting.network.layers[fitting.network.layer_id[name]]
        assert layer.weight_bytes <= 1 << 17 or layer.ofmap[0] <= granule
    lfa = coarse_lfa(fitting)
    assert lfa.divisions == fitting.network.divisions
    make_plan(problem, lfa)


@pytest.mark.parametrize(("name", "hardware"), [("gpt2-small-decode", "edge"), ("gpt2-xl-decode", "cloud")])
def test_dividing_lowers_the_cost_and_is_the_same_on_any_number_of_cores(name: str, hardware: str) -> None:
    problem = problem_of(name, hardware)
    start = coarse_lfa(problem)
    paper = search_lfas(problem, start, 0, parameters=LFASearchParameters(rounds=4000))
    wide = LFASearchParameters(rounds=4000, wide=True)
    found = [search_lfas(problem, start, 0, parameters=wide, threads=threads) for threads in (1, 2)]
    assert found[0].lfas == found[1].lfas
    cost, lfa = found[0].lfas[0]
    assert cost < paper.lfas[0][0]
    assert lfa.divisions
    plan = make_plan(problem, lfa)
    assert priced(plan, greedy_dlsa(plan)).evaluation.edp == pytest.approx(cost, rel=1e-9)
