"""Both annealing stages and the Buffer Allocator: their moves against brute force, their states against a recount."""

import itertools
import json
import math
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import hypothesis.strategies as st
import numpy as np
import pytest
import slow_core_array
import slow_model
from hypothesis import given, reject
from slow_model import broken_order_rules
from strategies import Case, cases, networks, valid_dlsas
from strategies import hardware as hardwares
from twins import (
    Pair,
    dlsa_of,
    examples,
    lfa_of,
    pairs,
    problem_of,
    problem_of_case,
    records_of,
)

from soma_cp.annealing import (
    buffer_allocator,
    chunks,
    cost_cache,
    dlsa_kernel,
    first_stage,
    lfa_kernel,
    lfa_moves,
    second_stage,
)
from soma_cp.annealing.acceptance import Cooling, accepts, temperature
from soma_cp.annealing.budget import Budget
from soma_cp.annealing.buffer_allocator import AllocatorResult, allocate_buffer
from soma_cp.annealing.cost_cache import CostCache
from soma_cp.annealing.dlsa_kernel import AVERAGE_BUFFER, LATENCY, DLSAState
from soma_cp.annealing.first_stage import (
    FirstStageParameters,
    FirstStageResult,
    anneal_lfas,
    layers_kept_apart,
)
from soma_cp.annealing.greedy import BufferTooSmallError, greedy_dlsa, least_peak_bytes
from soma_cp.annealing.initial_lfa import LayerTooLargeError, initial_lfa, smallest_filling_tile
from soma_cp.annealing.lfa_kernel import LFASettings, LFAState
from soma_cp.annealing.progress import ProgressEvent
from soma_cp.annealing.second_stage import SecondStageParameters, anneal_dlsas
from soma_cp.model.core_array import NoMappingError
from soma_cp.model.dlsa import DLSA, double_buffering
from soma_cp.model.errors import UserError
from soma_cp.model.evaluation import Objective, evaluate
from soma_cp.model.lfa import FLG, LFA, LFAError, check_lfa, unfused_lfa
from soma_cp.model.network import Conv, ExternalInput, FullyConnected, Layer, Network, PointToPoint
from soma_cp.model.networks.catalogue import builtin_names, builtin_network
from soma_cp.model.plan import Plan, make_plan
from soma_cp.model.platform import DRAM_PJ_PER_BYTE, MIB, PLATFORMS, Platform
from soma_cp.model.problem import Problem
from soma_cp.model.result import SecondStageResult
from soma_cp.model.tiling import LFAArrays, lfa_arrays, lfa_from_arrays
from soma_cp.model.validity import violations

EDGE = PLATFORMS["edge"]
UNLIMITED = 1 << 60
SEEDS = st.integers(0, 2**32 - 1)
Outcome = TypeVar("Outcome", bound=Hashable)
Distribution = dict[Outcome, float]


def close(figure: float) -> object:
    return pytest.approx(figure, rel=1e-9, abs=0)


def builtin_problem(name: str, platform: Platform = EDGE, batch: int = 1) -> Problem:
    return Problem(builtin_network(name), platform, batch)


def assert_drawn_from(expected: Distribution[Outcome], draw: Callable[[], Outcome], count: int) -> None:
    """Draw `count` outcomes: none is unexpected, and their numbers are near enough (χ² test, fixed seeds)."""
    assert sum(expected.values()) == close(1)
    found = Counter(draw() for _ in range(count))
    assert set(found) <= set(expected)
    # Where few are expected, the approximation behind the test needs them pooled.
    rare = {outcome for outcome, share in expected.items() if share * count < 10}
    groups = [{outcome} for outcome in expected if outcome not in rare] + ([rare] if rare else [])
    statistic = 0.0
    for group in groups:
        wanted = count * sum(expected[outcome] for outcome in group)
        statistic += (sum(found[outcome] for outcome in group) - wanted) ** 2 / wanted
    freedom = max(len(groups) - 1, 1)
    assert statistic < freedom + 5 * math.sqrt(2 * freedom)


# Cooling, acceptance, budget, chunks.


def test_the_temperature_falls_from_the_initial_one_to_zero() -> None:
    # T0·(1 − n/N)/(1 + α·n/N)
    assert temperature(0.1, 8.0, 0, 1000) == close(0.1)
    assert temperature(0.1, 8.0, 250, 1000) == close(0.1 * 0.75 / 3)
    assert temperature(0.1, 8.0, 500, 1000) == close(0.1 * 0.5 / 5)
    assert temperature(0.1, 0.0, 500, 1000) == close(0.05)
    assert temperature(0.1, 8.0, 1000, 1000) == 0


def test_a_worse_cost_is_accepted_by_its_share_and_the_temperature() -> None:
    # 10 % worse at T = 0.05: exp(−0.1 / 0.05)
    chance = math.exp(-2)
    for scale in (1.0, 1e15):
        assert accepts(scale, 1.1 * scale, 0.05, chance * 0.999)
        assert not accepts(scale, 1.1 * scale, 0.05, chance * 1.001)


def test_no_worse_cost_is_accepted_at_temperature_zero() -> None:
    assert accepts(1.0, 1.0, 0.0, 0.999999)
    assert accepts(1.0, 0.5, 0.0, 0.999999)
    assert not accepts(1.0, 1.0 + 1e-12, 0.0, 0.0)


def test_the_published_cooling() -> None:
    assert Cooling() == Cooling(initial_temperature=0.1, alpha=8.0, return_to_best_at=0.9)
    assert FirstStageParameters().rounds_per_layer == 100
    assert SecondStageParameters().rounds_per_tensor == 1000
    # N = 100 · layers · √batch
    assert FirstStageParameters().rounds(builtin_problem("resnet50", batch=4)) == 100 * 72 * 2
    assert FirstStageParameters().rounds(builtin_problem("resnet50", batch=2)) == 10183
    for wrong in ({"initial_temperature": -0.1}, {"alpha": -1.0}, {"return_to_best_at": 1.1}):
        with pytest.raises(UserError, match="must be"):
            Cooling(**wrong)


def test_a_budget_ends_at_its_deadline_or_when_asked() -> None:
    assert not Budget().over
    assert Budget().seconds_left == math.inf
    assert Budget(0).over
    whole = Budget(100)
    part = whole.part(0.5)
    assert 40 < part.seconds_left <= 50
    assert Budget(200, parent=whole).seconds_left <= 100
    assert math.isinf(Budget().part(0.5).seconds_left)
    part.request_stop()
    assert part.over
    assert not whole.over
    whole.request_stop()
    assert whole.part(0.5).over


@pytest.mark.parametrize("chunk_seconds", [-1.0, 0.05, 1e9])
def test_chunks_follow_one_another_whatever_their_sizes(chunk_seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_SECONDS", chunk_seconds)
    ranges: list[tuple[int, int]] = []
    told: list[int] = []
    done = chunks.run_in_chunks(lambda *part: ranges.append(part), 1000, Budget(), told.append)
    assert done == 1000
    assert [last for _, last in ranges] == told
    assert [first for first, _ in ranges] == [0, *told[:-1]]
    assert told[-1] == 1000
    assert (len(ranges) > 500) == (chunk_seconds < 0)  # slow pieces get smaller, quick ones larger


def test_no_chunk_begins_when_the_budget_is_over() -> None:
    budget = Budget()
    ranges: list[tuple[int, int]] = []
    done = chunks.run_in_chunks(
        lambda *part: ranges.append(part), 1000, budget, lambda done: done < 100 or budget.request_stop()
    )
    assert 100 <= done < 1000
    assert ranges[-1][1] == done
    assert chunks.run_in_chunks(lambda *part: ranges.append(part), 1000, Budget(0), lambda _: None) == 0


# Second stage: states and ranges of moves.


def begun_state(plan: Plan, dlsa: DLSA, capacity: int) -> DLSAState:
    state = second_stage._state(plan, dlsa)
    room = dlsa_kernel.begin_state(plan.tensors, plan.tile_cycles, plan.chip_usage, capacity, state)
    assert room == capacity - evaluate(plan, dlsa).peak_buffer_bytes
    state.latencies[:] = dlsa_kernel.latency_of(plan.tensors, plan.tile_cycles, state)
    return state


def current_dlsa(state: DLSAState) -> DLSA:
    return DLSA(state.order.copy(), state.start.copy(), state.end.copy())


def anneal_rounds(
    plan: Plan,
    state: DLSAState,
    goal: int,
    heat: float,
    part: tuple[int, int],
    rounds: int,
    random: np.random.Generator,
    delay_exponent: float = 1.0,
) -> None:
    cooling = (heat, 8.0, 0.9)
    dlsa_kernel.anneal_dlsa(plan.tensors, plan.tile_cycles, state, goal, delay_exponent, cooling, *part, rounds, random)


def weighted_usage(plan: Plan, dlsa: DLSA) -> float:
    return float(evaluate(plan, dlsa).usage_bytes.astype(object) @ plan.tile_cycles.astype(object))


def assert_sound_state(plan: Plan, state: DLSAState, capacity: int, cost: Callable[[DLSA], float]) -> None:
    current, best = current_dlsa(state), second_stage._best(state)
    for dlsa, row in ((current, 0), (best, 1)):
        assert violations(plan, dlsa, capacity) == []
        assert state.latencies[row] == evaluate(plan, dlsa).latency
        assert state.costs[row] == close(cost(dlsa))
    assert state.place[state.order].tolist() == list(range(plan.dram_tensor_count))
    assert state.room[:-1].tolist() == (capacity - evaluate(plan, current).usage_bytes).tolist()
    assert state.weighted_usage[0] == close(weighted_usage(plan, current))


@examples(50)
@given(pairs(), st.data(), SEEDS, st.sampled_from([1.0, 0.5, 2.0]))
def test_every_round_leaves_a_valid_dlsa_and_right_sums(
    pair: Pair, data: st.DataObject, seed: int, exponent: float
) -> None:
    plan = pair.plan
    start = dlsa_of(plan, data.draw(valid_dlsas(pair.slow)))
    peak = evaluate(plan, start).peak_buffer_bytes
    capacity = peak + data.draw(st.sampled_from([0, peak // 20, peak // 4, peak]))
    state = begun_state(plan, start, capacity)
    random = np.random.default_rng(seed)
    rounds = 40
    for goal in (LATENCY, AVERAGE_BUFFER):
        if goal == AVERAGE_BUFFER:
            dlsa_kernel.return_to_best(plan.tensors, state)

        def cost(dlsa: DLSA, goal: int = goal) -> float:
            if goal == AVERAGE_BUFFER:
                return weighted_usage(plan, dlsa)
            return evaluate(plan, dlsa).latency ** exponent

        state.costs[:] = cost(current_dlsa(state))
        lowest = state.costs[0]
        latency = state.latencies[1]
        for n in range(rounds):
            anneal_rounds(plan, state, goal, 0.5, (n, n + 1), rounds, random, exponent)
            assert_sound_state(plan, state, capacity, cost)
            lowest = min(lowest, state.costs[0])
            assert state.costs[1] == lowest
            if goal == AVERAGE_BUFFER:
                assert state.latencies[0] <= state.latencies[1] <= latency
        dlsa_kernel.return_to_best(plan.tensors, state)
        assert_sound_state(plan, state, capacity, cost)
        assert state.costs[0] == state.costs[1]


def with_place(order: list[int], tensor: int, place: int) -> list[int]:
    others = [i for i in order if i != tensor]
    return [*others[:place], tensor, *others[place:]]


def legal_places(pair: Pair, dlsa: DLSA, tensor: int) -> list[int]:
    """Return the places of a valid DLSA's order that the tensor can take, by the twin's order rules."""
    records = records_of(pair.plan, dlsa)
    others = [record for record in records if record.key != pair.plan.tensor_key(tensor)]
    (moved,) = (record for record in records if record.key == pair.plan.tensor_key(tensor))
    return [
        place
        for place in range(len(records))
        if not any(broken_order_rules(pair.slow, before, moved) for before in others[:place])
        and not any(broken_order_rules(pair.slow, moved, after) for after in others[place:])
    ]


def legal_edges(pair: Pair, dlsa: DLSA, tensor: int) -> list[int]:
    """Return the Starts of a load (Ends of a store) that the ranges and the order leave in a valid DLSA."""
    records = records_of(pair.plan, dlsa)
    place = dlsa.order.tolist().index(tensor)
    expected = pair.slow.dram_tensors[tensor]
    edge, (low, high) = ("start", expected.start_range) if expected.is_load else ("end", expected.end_range)
    legal = []
    for value in range(low, high + 1):
        moved = records[place]._replace(**{edge: value})
        if not any(broken_order_rules(pair.slow, before, moved) for before in records[:place]) and not any(
            broken_order_rules(pair.slow, moved, after) for after in records[place + 1 :]
        ):
            legal.append(value)
    return legal


@examples(250)
@given(pairs(), st.data())
def test_moves_range_over_exactly_what_the_rules_leave(pair: Pair, data: st.DataObject) -> None:
    _, slow, plan = pair
    dlsa = dlsa_of(plan, data.draw(valid_dlsas(slow)))
    state = begun_state(plan, dlsa, UNLIMITED)
    tensors = range(plan.dram_tensor_count)
    for tensor in data.draw(st.sets(st.sampled_from(tensors), min_size=1, max_size=8)):
        first, last = dlsa_kernel.place_range(plan.tensors, state, tensor)
        assert list(range(first, last + 1)) == legal_places(pair, dlsa, tensor)
        low, high = dlsa_kernel.duration_range(plan.tensors, state, plan.tile_count, tensor)
        assert list(range(low, high + 1)) == legal_edges(pair, dlsa, tensor)


def small_pair() -> Pair:
    """Three layers in two LGs: weights, an input, a fmap that goes through DRAM, and stores that may wait."""

    def pointwise(name: str, C: int, K: int, source: dict) -> dict:
        window = {"R": 1, "S": 1, "sH": 1, "sW": 1}
        return {"name": name, "kind": "conv", "C": C, "K": K, "H": 4, "W": 4, **window, **source}

    layers = [
        pointwise("one", 2, 3, {"inputs": ["in"]}),
        pointwise("two", 3, 4, {"ifmaps": ["one"]}),
        pointwise("three", 4, 2, {"ifmaps": ["two"]}),
    ]
    network = {"name": "small", "inputs": [{"name": "in", "shape": [2, 4, 4]}], "layers": layers}
    lfa = {
        "flgs": [
            {"tiling_number": 2, "dram_cut": True, "layers": ["one", "two"]},
            {"tiling_number": 1, "dram_cut": True, "layers": ["three"]},
        ]
    }
    hardware = {
        "gbuf_bytes": MIB,
        "pe_grid": 4,
        "macs_per_pe": 512,
        "gbuf_bytes_per_cycle": 256,
        "dram_bytes_per_cycle": 1,
    }
    case = Case(network, 1, hardware, lfa)
    return Pair(case, slow_model.plan(*case), make_plan(problem_of_case(case), lfa_of(lfa)))


Lives = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def lives(dlsa: DLSA | DLSAState) -> Lives:
    return tuple(dlsa.order.tolist()), tuple(dlsa.start.tolist()), tuple(dlsa.end.tolist())


def second_stage_moves(pair: Pair, dlsa: DLSA) -> Distribution[Lives]:
    """Return the DLSAs that one move makes of a valid one, with their probabilities (search.md)."""
    shares: Distribution[Lives] = defaultdict(float)
    sizes = pair.plan.tensors.bytes.tolist()

    def moved(dlsa: DLSA, tensor: int) -> list[DLSA]:
        present = dlsa.order.tolist().index(tensor)
        places = [place for place in legal_places(pair, dlsa, tensor) if place != present]
        orders = [with_place(dlsa.order.tolist(), tensor, place) for place in places or [present]]
        return [replace(dlsa, order=np.array(order)) for order in orders]

    def lived(dlsa: DLSA, tensor: int) -> list[DLSA]:
        edge = "end" if pair.plan.tensors.is_store[tensor] else "start"
        made = []
        for value in legal_edges(pair, dlsa, tensor):
            column = getattr(dlsa, edge).copy()
            if column[tensor] != value:
                column[tensor] = value
                made.append(replace(dlsa, **{edge: column}))
        return made or [dlsa]

    def spread(made: list[DLSA], share: float) -> None:
        for each in made:
            shares[lives(each)] += share / len(made)

    for tensor, size in enumerate(sizes):
        drawn = size / sum(sizes)
        spread(moved(dlsa, tensor), 0.1 * drawn)
        spread(lived(dlsa, tensor), 0.4 * drawn)
        both = moved(dlsa, tensor)
        for each in both:
            spread(lived(each, tensor), 0.5 * drawn / len(both))
    return shares


def test_a_move_draws_tensor_operator_place_and_edge_as_published() -> None:
    pair = small_pair()
    plan = pair.plan
    start = double_buffering(plan)
    expected = second_stage_moves(pair, start)
    for column, before in enumerate((np.argsort(start.order), start.start, start.end)):
        reached = [np.argsort(found[0]) if column == 0 else np.array(found[column]) for found in expected]
        assert any((values < before).any() for values in reached)
        assert any((values > before).any() for values in reached)

    state = begun_state(plan, start, UNLIMITED)
    state.costs[:] = state.latencies[0]
    random = np.random.default_rng(11)

    def draw() -> Lives:
        # So hot that every move is accepted.
        anneal_rounds(plan, state, LATENCY, 1e30, (0, 1), 1000, random)
        found = lives(state)
        for current, before in ((state.order, start.order), (state.start, start.start), (state.end, start.end)):
            current[:] = before
        dlsa_kernel.begin_state(plan.tensors, plan.tile_cycles, plan.chip_usage, UNLIMITED, state)
        return found

    assert_drawn_from(expected, draw, 30_000)


def test_the_second_stage_returns_to_the_best_after_nine_tenths_of_the_rounds() -> None:
    plan = make_plan(builtin_problem("tiny-attention"), initial_lfa(builtin_problem("tiny-attention")))
    state = begun_state(plan, double_buffering(plan), UNLIMITED)
    state.costs[:] = state.latencies[0]
    random = np.random.default_rng(0)
    anneal_rounds(plan, state, LATENCY, 1e30, (0, 899), 1000, random)
    for n in range(899, 905):
        before = state.costs[0]
        assert before > state.costs[1]
        anneal_rounds(plan, state, LATENCY, 0.0, (n, n + 1), 1000, random)
        if n < 900:
            assert state.costs[0] > state.costs[1]
        else:
            assert state.costs[0] == state.costs[1]
            break
    assert n == 900


# Second stage: whole runs.


@pytest.fixture(scope="module")
def resnet_plan() -> Plan:
    problem = builtin_problem("resnet50")
    found = anneal_lfas(problem, initial_lfa(problem), EDGE.gbuf_bytes, np.random.default_rng(0))
    return make_plan(problem, found.lfa)


QUICK_DLSAS = SecondStageParameters(rounds_per_tensor=50)
ENDLESS_DLSAS = SecondStageParameters(rounds_per_tensor=10**7)


def test_annealing_betters_double_buffering_and_then_smooths_the_buffer(resnet_plan: Plan) -> None:
    doubled = evaluate(resnet_plan, double_buffering(resnet_plan))
    rough = anneal_dlsas(resnet_plan, np.random.default_rng(1), parameters=replace(QUICK_DLSAS, smooth_buffer=False))
    smooth = anneal_dlsas(resnet_plan, np.random.default_rng(1), parameters=QUICK_DLSAS)
    for found, rounds in ((rough, 50), (smooth, 100)):
        assert violations(resnet_plan, found.dlsa) == []
        assert found.latency == evaluate(resnet_plan, found.dlsa).latency < doubled.latency
        assert found.rounds == rounds * resnet_plan.dram_tensor_count
    assert smooth.latency <= rough.latency
    assert weighted_usage(resnet_plan, smooth.dlsa) < weighted_usage(resnet_plan, rough.dlsa)


@examples(25)
@given(pairs(), SEEDS, st.data())
def test_annealed_dlsas_are_valid_within_any_capacity_that_some_dlsa_fits(
    pair: Pair, seed: int, data: st.DataObject
) -> None:
    plan = pair.plan
    least = least_peak_bytes(plan)
    doubled = evaluate(plan, double_buffering(plan))
    capacity = data.draw(st.sampled_from([least, (least + doubled.peak_buffer_bytes) // 2, UNLIMITED]))
    random = np.random.default_rng(seed)
    quick = SecondStageParameters(rounds_per_tensor=10)
    found = anneal_dlsas(plan, random, parameters=quick, gbuf_bytes=capacity)
    assert violations(plan, found.dlsa, capacity) == []
    assert found.latency == evaluate(plan, found.dlsa).latency
    first = doubled if doubled.peak_buffer_bytes <= capacity else evaluate(plan, greedy_dlsa(plan, capacity))
    assert found.latency <= first.latency
    with pytest.raises(BufferTooSmallError):
        anneal_dlsas(plan, random, parameters=quick, gbuf_bytes=least - 1)


def test_progress_of_the_second_stage(resnet_plan: Plan) -> None:
    events: list[ProgressEvent] = []
    found = anneal_dlsas(
        resnet_plan, np.random.default_rng(0), parameters=QUICK_DLSAS, progress=events.append, iteration=3
    )
    done = [event.rounds_done for event in events]
    costs = [event.best_cost for event in events]
    assert done == sorted(set(done))
    assert costs == sorted(costs, reverse=True)
    assert done[-1] == events[-1].rounds == found.rounds
    assert {event.iteration for event in events} == {3}
    assert costs[-1] == close(evaluate(resnet_plan, found.dlsa).edp)


# First stage: moves.


def forked_network() -> Network:
    """Eight layers with some freedom of order; sizes that any tiling number here can cut."""

    def layer(name: str, *ifmaps: str) -> Layer:
        return PointToPoint(
            name=name, K=2 * max(len(ifmaps), 1), H=64, W=64, ifmaps=ifmaps, inputs=() if ifmaps else ("in",)
        )

    layers = (layer("a"), layer("b", "a"), layer("c", "a"), layer("d"), layer("e", "b", "c"), layer("f", "d"))
    layers += (replace(layer("g", "e", "f"), K=6), layer("h"))
    return Network("forked", (ExternalInput("in", (2, 64, 64)),), layers)


FORKED = forked_network()
FORKED_LFA = LFA(
    (
        FLG(("a", "b"), 4, True),
        FLG(("d",), 2, False),
        FLG(("c", "e", "f"), 6, True),
        FLG(("g",), 3, False),
        FLG(("h",), 8, True),
    )
)
"""Three LGs of 3, 4 and 1 layers, two FLCs inside them, even and odd tiling numbers."""

TABLE = Problem(FORKED, EDGE).table
Move = Callable[[LFAArrays, np.random.Generator], bool]


def on_forked_network(kernel: Callable[..., bool]) -> Move:
    return lambda lfa, random: kernel(TABLE, lfa, random)


def certain(lfas: Iterable[LFA], otherwise: LFA) -> Distribution[LFA]:
    """Draw one of `lfas` uniformly, `otherwise` if there are none."""
    made = list(lfas) or [otherwise]
    return mixture((1 / len(made), {lfa: 1.0}) for lfa in made)


def mixture(parts: Iterable[tuple[float, Distribution[LFA]]]) -> Distribution[LFA]:
    shares: Distribution[LFA] = defaultdict(float)
    for weight, part in parts:
        for lfa, share in part.items():
            shares[lfa] += weight * share
    return dict(shares)


def producers_first(lfa: LFA) -> bool:
    try:
        check_lfa(lfa, FORKED)
    except LFAError:
        return False
    return True


def with_order(lfa: LFA, order: list[str]) -> LFA:
    """Return the LFA with other layers at the same places."""
    left = iter(order)
    return LFA(tuple(replace(flg, layers=tuple(next(left) for _ in flg.layers)) for flg in lfa.flgs))


def flg_places(lfa: LFA) -> list[int]:
    """Return the places at which FLGs begin, and the number of layers."""
    return np.cumsum([0, *(len(flg.layers) for flg in lfa.flgs)]).tolist()


def merged(lfa: LFA, flg: int) -> Distribution[LFA]:
    """Merge the FLGs number `flg` − 1 and `flg`."""
    first, second = lfa.flgs[flg - 1 : flg + 1]
    parts = []
    for kept in (first, second):
        whole = FLG(first.layers + second.layers, kept.tiling_number, first.dram_cut)
        share = len(kept.layers) / len(whole.layers)
        parts.append((share, {LFA((*lfa.flgs[: flg - 1], whole, *lfa.flgs[flg + 1 :])): 1.0}))
    return mixture(parts)


def with_dram_cut(lfa: LFA, place: int) -> LFA:
    """Return the LFA with a DRAM Cut before `place`, which may be inside an FLG."""
    flgs = []
    for begin, flg in zip(flg_places(lfa), lfa.flgs, strict=False):
        inside = place - begin
        if inside == 0:
            flgs.append(replace(flg, dram_cut=True))
        elif 0 < inside < len(flg.layers):
            flgs.append(replace(flg, layers=flg.layers[:inside]))
            flgs.append(replace(flg, layers=flg.layers[inside:], dram_cut=True))
        else:
            flgs.append(flg)
    return LFA(tuple(flgs))


def changes_of_order(lfa: LFA) -> Distribution[LFA]:
    order = list(lfa.computing_order)
    parts = []
    for old, name in enumerate(order):
        others = order[:old] + order[old + 1 :]
        changed = [with_order(lfa, [*others[:new], name, *others[new:]]) for new in range(len(order)) if new != old]
        parts.append((1 / len(order), certain(filter(producers_first, changed), otherwise=lfa)))
    return mixture(parts)


def changes_of_tiling(lfa: LFA) -> Distribution[LFA]:
    parts = []
    for i, flg in enumerate(lfa.flgs):
        for number in (flg.tiling_number * 2, flg.tiling_number / 2):
            whole = flg.tiling_number if number % 1 else int(number)
            changed = LFA((*lfa.flgs[:i], replace(flg, tiling_number=whole), *lfa.flgs[i + 1 :]))
            parts.append((0.5 / len(lfa.flgs), {changed: 1.0}))
    return mixture(parts)


def removals_of_an_flc(lfa: LFA) -> Distribution[LFA]:
    flcs = [i for i, flg in enumerate(lfa.flgs) if not flg.dram_cut]
    return mixture((1 / len(flcs), merged(lfa, i)) for i in flcs) if flcs else {lfa: 1.0}


def lg_borders(lfa: LFA) -> list[int]:
    """Return the FLGs before which a border between two LGs runs."""
    return [i for i, flg in enumerate(lfa.flgs) if flg.dram_cut and i > 0]


def fusions_of_lgs(lfa: LFA) -> Distribution[LFA]:
    borders = lg_borders(lfa)
    return mixture((1 / len(borders), merged(lfa, i)) for i in borders) if borders else {lfa: 1.0}


def splits_of_an_lg(lfa: LFA) -> Distribution[LFA]:
    return certain([with_dram_cut(lfa, place) for place in range(len(lfa.computing_order))], otherwise=lfa)


def moves_of_a_border(lfa: LFA) -> Distribution[LFA]:
    borders = lg_borders(lfa)
    places = flg_places(lfa)
    parts = []
    for border in borders:
        begin = max((places[i] for i in [0, *borders] if i < border), default=0)
        end = min((places[i] for i in borders if i > border), default=len(lfa.computing_order))
        flgs = list(lfa.flgs)
        flgs[border] = replace(flgs[border], dram_cut=False)
        others = [place for place in range(begin + 1, end) if place != places[border]]
        changed = [with_dram_cut(LFA(tuple(flgs)), place) for place in others]
        parts.append((1 / len(borders), certain(changed, otherwise=lfa)))
    return mixture(parts) if parts else {lfa: 1.0}


def moves_of_dram_cuts(lfa: LFA) -> Distribution[LFA]:
    parts = ((0.3, fusions_of_lgs(lfa)), (0.3, splits_of_an_lg(lfa)), (0.4, moves_of_a_border(lfa)))
    return mixture(parts)


def published_moves(lfa: LFA) -> Distribution[LFA]:
    return mixture(
        (
            (0.2, changes_of_order(lfa)),
            (0.35, changes_of_tiling(lfa)),
            (0.15, removals_of_an_flc(lfa)),
            (0.3, moves_of_dram_cuts(lfa)),
        )
    )


OPERATORS: dict[str, tuple[Move, Callable[[LFA], Distribution[LFA]]]] = {
    "change order": (on_forked_network(lfa_moves.change_order), changes_of_order),
    "change tiling": (lfa_moves.change_tiling, changes_of_tiling),
    "remove FLC": (lfa_moves.remove_flc, removals_of_an_flc),
    "fuse LGs": (lfa_moves.fuse_lgs, fusions_of_lgs),
    "split LG": (lfa_moves.split_lg, splits_of_an_lg),
    "move border": (lfa_moves.move_border, moves_of_a_border),
    "all by their weights": (on_forked_network(lfa_moves.paper_move), published_moves),
}

START_LFAS = {
    "some of all": FORKED_LFA,
    "unfused": unfused_lfa(FORKED),
    "one FLG": LFA((FLG(FORKED_LFA.computing_order, 5, True),)),
    "LGs of one and two layers": LFA(
        (
            FLG(("a", "b"), 4, True),
            FLG(("d",), 2, True),
            FLG(("c",), 6, True),
            FLG(("e",), 1, True),
            FLG(("f",), 3, False),
            FLG(("g", "h"), 5, True),
        )
    ),
}


@pytest.mark.parametrize("start", START_LFAS)
@pytest.mark.parametrize("operator", OPERATORS)
def test_operators_of_the_first_stage_make_what_is_documented_as_often_as_documented(operator: str, start: str) -> None:
    move, documented = OPERATORS[operator]
    lfa = START_LFAS[start]
    random = np.random.default_rng(3)

    def draw() -> LFA:
        arrays = lfa_arrays(lfa, FORKED)
        changed = move(arrays, random)
        made = lfa_from_arrays(arrays, FORKED)
        assert changed == (made != lfa)
        return made

    assert_drawn_from(documented(lfa), draw, 12_000 if operator == "all by their weights" else 3_000)


def test_tiling_numbers_stop_growing() -> None:
    arrays = lfa_arrays(LFA((FLG(FORKED_LFA.computing_order, lfa_moves.MAX_TILING_NUMBER, True),)), FORKED)
    random = np.random.default_rng(0)
    for _ in range(50):
        lfa_moves.change_tiling(arrays, random)
        assert arrays.tiling[0] <= lfa_moves.MAX_TILING_NUMBER


@examples(60)
@given(cases(max_layers=10), SEEDS)
def test_moves_keep_producers_first_and_groups_well_formed(case: Case, seed: int) -> None:
    problem = problem_of_case(case)
    arrays = lfa_arrays(lfa_of(case.lfa), problem.network)
    random = np.random.default_rng(seed)
    for _ in range(80):
        lfa_moves.paper_move(problem.table, arrays, random)
        assert arrays.begins_flg[0]
        assert arrays.begins_lg[0]
        assert not (arrays.begins_lg & ~arrays.begins_flg).any()
        assert (arrays.tiling[arrays.begins_flg] >= 1).all()
        check_lfa(lfa_from_arrays(arrays, problem.network), problem.network)


# First stage: what is kept apart.


@pytest.mark.parametrize(
    ("network", "apart"),
    [
        ("resnet50", [{"pool5", "fc"}]),
        # Dropout is modelled as a fully connected layer of its own; no pool stands right before the classifier.
        ("inception-resnet-v1", [{"AvgPool", "Dropout"}, {"FC"}]),
        ("gpt2-small-prefill", []),
    ],
)
def test_fully_connected_layers_stay_with_the_pools_before_them(network: str, apart: list[set[str]]) -> None:
    problem = builtin_problem(network)
    groups = layers_kept_apart(problem)
    names = np.array([layer.name for layer in problem.network.layers])
    found = [set(names[groups == group].tolist()) for group in np.unique(groups[groups > 0])]
    assert found == apart
    assert sum(groups > 0) == sum(map(len, apart))


def test_an_lg_that_mixes_groups_is_told_from_one_that_does_not() -> None:
    problem = builtin_problem("resnet50")
    apart = layers_kept_apart(problem)
    network = problem.network

    def with_cuts_before(*names: str) -> LFAArrays:
        arrays = lfa_arrays(unfused_lfa(network), network)
        arrays.begins_lg[1:] = False
        for name in names:
            arrays.begins_lg[network.layer_id[name]] = True
        return arrays

    assert lfa_moves.keeps_groups_apart(lfa_arrays(unfused_lfa(network), network), apart)
    assert lfa_moves.keeps_groups_apart(with_cuts_before("pool5"), apart)
    assert lfa_moves.keeps_groups_apart(with_cuts_before("conv1", "pool1", "pool5", "fc"), apart)
    assert not lfa_moves.keeps_groups_apart(with_cuts_before(), apart)
    assert not lfa_moves.keeps_groups_apart(with_cuts_before("fc"), apart)
    # An FLC is no DRAM Cut.
    assert not lfa_moves.keeps_groups_apart(with_cuts_before("pool1"), apart)


# First stage: cost of a candidate.


def settings_of(problem: Problem, limit_bytes: int, objective: Objective) -> LFASettings:
    return LFASettings(
        problem.batch,
        limit_bytes,
        problem.platform.dram_bytes_per_cycle,
        DRAM_PJ_PER_BYTE,
        objective.energy_exponent,
        objective.delay_exponent,
        0.1,
        8.0,
        0.9,
        100,
    )


def candidate_figures(problem: Problem, lfa: LFA, limit_bytes: int, objective: Objective) -> dict[int, float] | None:
    """Evaluate one LFA as a round of the first stage does, from empty tables; None if it is not valid."""
    size = len(problem.network.layers)
    arrays = [lfa_arrays(lfa, problem.network) for _ in range(3)]
    state = LFAState(
        *arrays,
        np.zeros((3, lfa_kernel.FIGURES)),
        np.zeros(lfa_kernel.COUNTERS, np.int64),
        np.zeros(size, np.int64),
    )
    scratch = first_stage._scratch(size, 0, 0, 0)
    costs = CostCache(problem)
    costs.table = cost_cache._empty_table(1)
    settings = settings_of(problem, limit_bytes, objective)
    apart = np.zeros(size, np.int64)
    asked = []
    while True:
        status, valid = lfa_kernel.evaluate_candidate(problem.table, costs.table, apart, settings, state, scratch)
        asked.append(status)
        assert len(asked) <= 3
        if status == lfa_kernel.UNKNOWN_COSTS:
            costs.learn(scratch.tiles, state.missing[: state.counters[lfa_kernel.UNKNOWN]])
            assert (costs.table.keys[:, 0] >= 0).sum() * 2 <= len(costs.table.keys)
        elif status == lfa_kernel.NEEDS_ROOM:
            # Exactly what the kernel asks for must do.
            tiles, tensors, chip = (int(state.counters[item]) for item in (3, 4, 5))
            scratch = first_stage._scratch(size, tiles, tensors, chip)
        elif not valid:
            return None
        else:
            assert asked == [lfa_kernel.UNKNOWN_COSTS, lfa_kernel.NEEDS_ROOM, lfa_kernel.DONE]
            return dict(enumerate(state.figures[2].tolist()))


@examples(250)
@given(
    cases(max_layers=8, max_tiling_number=20, valid=False),
    st.sampled_from([Objective(), Objective(0, 1), Objective(2, 0.5)]),
)
def test_candidates_cost_what_the_evaluator_says(case: Case, objective: Objective) -> None:
    problem, lfa = problem_of_case(case), lfa_of(case.lfa)
    limit = 20_000
    try:
        plan = make_plan(problem, lfa)
    except (LFAError, NoMappingError):
        assert candidate_figures(problem, lfa, limit, objective) is None
        return
    expected = evaluate(plan, double_buffering(plan))
    for limit in (expected.peak_buffer_bytes, expected.peak_buffer_bytes - 1, 0):
        figures = candidate_figures(problem, lfa, limit, objective)
        assert figures is not None
        assert figures[lfa_kernel.LATENCY] == expected.latency
        assert figures[lfa_kernel.PEAK_BYTES] == expected.peak_buffer_bytes
        assert figures[lfa_kernel.ENERGY_PJ] == close(expected.energy_pj)
        overflow = max(expected.peak_buffer_bytes - limit, 0)
        assert figures[lfa_kernel.OVERFLOW_BYTES] == overflow
        cost = objective.cost(expected.energy_pj, expected.latency)
        assert figures[lfa_kernel.COST] == (math.inf if overflow else close(cost))


def is_valid_candidate(problem: Problem, lfa: LFA) -> bool:
    """Evaluate one LFA as a round of the first stage does that began with `initial_lfa`."""
    settings = settings_of(problem, UNLIMITED, Objective())
    random = np.random.default_rng(0)
    run = first_stage._Run(problem, CostCache(problem), initial_lfa(problem), settings, random)
    lfa_kernel.copy_lfa(lfa_arrays(lfa, problem.network), run.state.candidate)
    while True:
        status, valid = lfa_kernel.evaluate_candidate(
            problem.table, run.costs.table, run.apart, run.settings, run.state, run.scratch
        )
        if status == lfa_kernel.DONE:
            return bool(valid)
        run._provide(status)


def test_candidates_that_mix_groups_are_refused() -> None:
    problem = builtin_problem("tiny-pool-fc")
    whole = LFA((FLG(tuple(layer.name for layer in problem.network.layers), 1, True),))
    make_plan(problem, whole)
    assert not is_valid_candidate(problem, whole)
    assert is_valid_candidate(problem, initial_lfa(problem))


def test_candidates_of_too_many_tiles_are_refused() -> None:
    layer = PointToPoint(name="large", K=1, H=1024, W=1024, inputs=("in",))
    problem = Problem(Network("large", (ExternalInput("in", (1, 1024, 1024)),), (layer,)), EDGE)
    assert 1 << 18 < lfa_kernel.MAX_CANDIDATE_TILES < 1 << 19
    assert is_valid_candidate(problem, LFA((FLG(("large",), 1 << 18, True),)))
    many = LFA((FLG(("large",), 1 << 19, True),))
    make_plan(problem, many)
    assert not is_valid_candidate(problem, many)


def jumpy_problem() -> Problem:
    """Strides beyond the kernel: on tiles of many rows, counts of the core-array model are negative."""
    return one_layer_problem(Conv(name="jumpy", C=256, K=8, H=64, W=64, S=256, sH=3), batch=1, side=4)


def test_candidates_that_the_core_array_cannot_run_are_refused() -> None:
    problem = jumpy_problem()
    for number in (1, 4):
        with pytest.raises(NoMappingError):
            make_plan(problem, LFA((FLG(("jumpy",), number, True),)))
        assert not is_valid_candidate(problem, LFA((FLG(("jumpy",), number, True),)))
    assert is_valid_candidate(problem, LFA((FLG(("jumpy",), 64 * 64, True),)))


def test_costs_of_more_tiles_than_the_table_has_room_for_are_all_remembered() -> None:
    problem = builtin_problem("tiny-branch", batch=3)
    layers = problem.network.layers
    plan = make_plan(problem, initial_lfa(problem))
    costs = CostCache(problem)
    costs.table = cost_cache._empty_table(2)
    missing = np.zeros(len(layers), np.int64)
    learned: dict[tuple[int, ...], tuple[int, float]] = {}
    # Extents that differ in one dimension only are tiles of their own.
    for extent in itertools.product((1, 2, 3), (1, 2, 48), (1, 3, 14), (1, 2, 3, 9)):
        plan.layers.extent[:] = extent
        unknown, _ = cost_cache.look_up_costs(costs.table, plan.layers, missing)
        assert missing[:unknown].tolist() == list(range(len(layers)))
        costs.learn(plan.layers, missing[:unknown])
        assert cost_cache.look_up_costs(costs.table, plan.layers, missing) == (0, True)
        for layer in range(len(layers)):
            learned[layer, *extent] = (int(plan.layers.cycles[layer]), float(plan.layers.energy_pj[layer]))
    cycles, energy_pj = problem.core_array.tile_costs(problem.network, problem.table, np.array(list(learned)))
    assert list(learned.values()) == list(zip(cycles.tolist(), energy_pj.tolist(), strict=True))
    for tile, expected in learned.items():  # what came later has pushed nothing out
        plan.layers.extent[:] = tile[1:]
        assert cost_cache.look_up_costs(costs.table, plan.layers, missing) == (0, True)
        assert (plan.layers.cycles[tile[0]], plan.layers.energy_pj[tile[0]]) == expected
    taken = costs.table.keys[:, 0] >= 0
    assert taken.sum() == len(learned) <= len(costs.table.keys) // 2


# First stage: whole runs.


def assert_priced_as_evaluated(problem: Problem, found: FirstStageResult, limit_bytes: int) -> None:
    plan = make_plan(problem, found.lfa)
    doubled = evaluate(plan, double_buffering(plan))
    assert (found.latency, found.peak_bytes) == (doubled.latency, doubled.peak_buffer_bytes)
    assert found.energy_pj == close(doubled.energy_pj)
    assert found.fits == (doubled.peak_buffer_bytes <= limit_bytes)
    apart = layers_kept_apart(problem)
    assert lfa_moves.keeps_groups_apart(lfa_arrays(found.lfa, problem.network), apart)


def test_the_first_stage_reaches_the_published_latency_of_resnet50() -> None:
    # artifact_results.csv: first_stage_latency of resnet50, edge, batch 1
    problem = builtin_problem("resnet50")
    found = anneal_lfas(problem, initial_lfa(problem), EDGE.gbuf_bytes, np.random.default_rng(0))
    assert_priced_as_evaluated(problem, found, EDGE.gbuf_bytes)
    assert found.latency == pytest.approx(1_902_450, rel=0.02)
    assert found.rounds == 7200


@pytest.mark.parametrize("mib", [4, 5, 6])
def test_the_first_stage_respects_its_limit(mib: int) -> None:
    """Also where double buffering of the LFA that it starts from overflows: gpt2-small-prefill."""
    for name in ("resnet50", "gpt2-small-prefill"):
        problem = builtin_problem(name)
        found = anneal_lfas(problem, initial_lfa(problem), mib * MIB, np.random.default_rng(0))
        assert found.fits
        assert_priced_as_evaluated(problem, found, mib * MIB)
    start = make_plan(problem, initial_lfa(problem))
    assert evaluate(start, double_buffering(start)).peak_buffer_bytes > 7 * MIB


@examples(25)
@given(cases(max_layers=8), SEEDS, st.sampled_from([1.0, 0.6, 0.0]))
def test_the_first_stage_prices_the_best_lfa_as_the_evaluator_does(case: Case, seed: int, share: float) -> None:
    problem, start = problem_of_case(case), lfa_of(case.lfa)
    try:
        doubled = make_plan(problem, start)
    except NoMappingError:
        reject()
    if not lfa_moves.keeps_groups_apart(lfa_arrays(start, problem.network), layers_kept_apart(problem)):
        reject()
    first = evaluate(doubled, double_buffering(doubled))
    limit = int(share * first.peak_buffer_bytes)
    found = anneal_lfas(problem, start, limit, np.random.default_rng(seed), parameters=FirstStageParameters(30))
    assert_priced_as_evaluated(problem, found, limit)
    if share == 1:
        assert found.energy_pj * found.latency <= first.edp * (1 + 1e-9)
    else:
        assert found.fits or found.peak_bytes <= first.peak_buffer_bytes


def test_the_first_stage_returns_to_the_best_after_nine_tenths_of_the_rounds() -> None:
    problem = builtin_problem("tiny-attention")
    hot = Cooling(initial_temperature=1e30, alpha=0.0)
    settings = settings_of(problem, UNLIMITED, Objective())._replace(
        initial_temperature=hot.initial_temperature, alpha=hot.alpha, rounds=1000
    )
    run = first_stage._Run(problem, CostCache(problem), initial_lfa(problem), settings, np.random.default_rng(0))
    current, best = run.state.figures[0], run.state.figures[1]
    run.rounds(900, heated=True)
    assert current[lfa_kernel.COST] > best[lfa_kernel.COST]
    run.rounds(901, heated=False)  # accepts nothing worse
    assert current[lfa_kernel.COST] == best[lfa_kernel.COST]
    assert lfa_from_arrays(run.state.current, problem.network) == lfa_from_arrays(run.state.best, problem.network)


def test_without_heat_the_first_stage_accepts_nothing_worse() -> None:
    problem = builtin_problem("tiny-attention")
    settings = settings_of(problem, UNLIMITED, Objective())._replace(initial_temperature=1e30)
    run = first_stage._Run(problem, CostCache(problem), initial_lfa(problem), settings, np.random.default_rng(0))
    costs = []
    for last in range(1, 80):
        run.rounds(last, heated=False)
        costs.append(run.state.figures[0, lfa_kernel.COST])
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < costs[0]


def test_the_first_stage_keeps_the_cheapest_lfa_that_it_accepted() -> None:
    """Which is neither the fastest nor the last one."""
    problem = builtin_problem("tiny-unet")
    objective = Objective(energy_exponent=3, delay_exponent=0.1)
    settings = settings_of(problem, UNLIMITED, objective)._replace(initial_temperature=1.0, alpha=0.0, rounds=1000)
    run = first_stage._Run(problem, CostCache(problem), initial_lfa(problem), settings, np.random.default_rng(0))
    accepted: list[tuple[float, float]] = []  # cost and latency
    for last in range(800):
        run.rounds(last, heated=True)
        current = run.state.figures[0]
        accepted.append((float(current[lfa_kernel.COST]), float(current[lfa_kernel.LATENCY])))
        cheapest = min(accepted)[0]
        assert run.state.figures[1, lfa_kernel.COST] == cheapest
    best = make_plan(problem, lfa_from_arrays(run.state.best, problem.network))
    found = evaluate(best, double_buffering(best))
    assert objective.cost(found.energy_pj, found.latency) == close(cheapest)
    assert found.latency > min(latency for _, latency in accepted)
    assert accepted[-1][0] > cheapest


def test_where_nothing_fits_the_lfa_that_overflows_least_is_found() -> None:
    problem = builtin_problem("resnet50")
    start = initial_lfa(problem)
    plan = make_plan(problem, start)
    found = anneal_lfas(problem, start, MIB, np.random.default_rng(0))
    assert not found.fits
    assert_priced_as_evaluated(problem, found, MIB)
    assert found.peak_bytes < evaluate(plan, double_buffering(plan)).peak_buffer_bytes


def test_progress_of_the_first_stage() -> None:
    problem = builtin_problem("resnet50")
    events: list[ProgressEvent] = []
    random = np.random.default_rng(0)
    found = anneal_lfas(problem, initial_lfa(problem), EDGE.gbuf_bytes, random, progress=events.append, iteration=4)
    done = [event.rounds_done for event in events]
    costs = [event.best_cost for event in events]
    assert done == sorted(set(done))
    assert costs == sorted(costs, reverse=True)
    assert done[-1] == events[-1].rounds == found.rounds
    assert {event.iteration for event in events} == {4}
    assert costs[-1] == close(found.energy_pj * found.latency)


# Reproducible runs.


def greedy_second_stage(plan: Plan, budget: Budget, iteration: int, wanted: float | None) -> SecondStageResult:
    dlsa = greedy_dlsa(plan)
    found = evaluate(plan, dlsa)
    return SecondStageResult("greedy", dlsa, found, found.figures.bound, "theoretical maximum", 0.0)


def first_stage_run(seed: int) -> FirstStageResult:
    problem = builtin_problem("inception-resnet-v1")
    parameters = FirstStageParameters(rounds_per_layer=10)
    random = np.random.default_rng(seed)
    return anneal_lfas(problem, initial_lfa(problem), EDGE.gbuf_bytes, random, parameters=parameters)


def second_stage_run(seed: int) -> Lives:
    problem = builtin_problem("resnet50")
    plan = make_plan(problem, initial_lfa(problem))
    parameters = SecondStageParameters(rounds_per_tensor=3)
    return lives(anneal_dlsas(plan, np.random.default_rng(seed), parameters=parameters).dlsa)


def allocator_run(seed: int) -> AllocatorResult:
    problem = builtin_problem("tiny-unet")
    return allocate_buffer(problem, greedy_second_stage, seed)


def all_searches(seed: int) -> dict[str, str]:
    allocated = allocator_run(seed)
    return {
        "first stage": repr(first_stage_run(seed).lfa),
        "second stage": repr(second_stage_run(seed)),
        "allocator": repr((allocated.plan.lfa, lives(allocated.second_stage.dlsa), allocated.iterations)),
    }


def test_the_same_seed_gives_the_same_result_in_this_and_another_process() -> None:
    here = all_searches(0)
    assert all_searches(0) == here
    code = "import json, test_annealing; print(json.dumps(test_annealing.all_searches(0)))"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert json.loads(run.stdout) == here


def test_another_seed_searches_elsewhere() -> None:
    assert len({first_stage_run(seed).lfa for seed in range(4)}) > 1
    assert len({second_stage_run(seed) for seed in range(4)}) > 1


@pytest.mark.parametrize("chunk_seconds", [-1.0, 1e9])
def test_results_do_not_depend_on_the_sizes_of_chunks(chunk_seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = all_searches(1)
    monkeypatch.setattr(chunks, "CHUNK_SECONDS", chunk_seconds)
    assert all_searches(1) == expected


def test_results_do_not_depend_on_the_sizes_of_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = all_searches(1)
    scratch, empty_table = first_stage._scratch, cost_cache._empty_table
    scratches: list[int] = []
    tables: list[int] = []

    # The first ones of a search are small, those that it asks for are what it asks for.
    def small_scratch(layers: int, tiles: int, tensors: int, chip: int) -> lfa_kernel.LFAScratch:
        scratches.append(tiles)
        return scratch(layers, 1, 1, 1) if len(scratches) == 1 else scratch(layers, tiles, tensors, chip)

    def small_table(size: int) -> cost_cache.CostTable:
        tables.append(size)
        return empty_table(2 if len(tables) == 1 else size)

    monkeypatch.setattr(first_stage, "_scratch", small_scratch)
    monkeypatch.setattr(cost_cache, "_empty_table", small_table)
    assert repr(first_stage_run(1).lfa) == expected["first stage"]
    assert len(scratches) > 1
    assert len(tables) > 2


def test_results_do_not_depend_on_which_costs_are_known_already() -> None:
    problem = builtin_problem("tiny-branch")
    costs = CostCache(problem)

    def run() -> LFA:
        random = np.random.default_rng(5)
        return anneal_lfas(problem, initial_lfa(problem), EDGE.gbuf_bytes, random, costs=costs).lfa

    assert run() == run()


# Budgets.


def test_a_budget_that_is_over_at_once_still_gives_a_valid_schedule(resnet_plan: Plan) -> None:
    asked = Budget()
    asked.request_stop()
    problem = resnet_plan.problem
    for budget in (Budget(0), asked):
        found = anneal_lfas(problem, initial_lfa(problem), EDGE.gbuf_bytes, np.random.default_rng(0), budget=budget)
        assert_priced_as_evaluated(problem, found, EDGE.gbuf_bytes)
        # A time limit, unlike a request, leaves some rounds that accept improvements only.
        assert found.rounds == (0 if budget is asked else 5 * 72)

        dlsas = anneal_dlsas(resnet_plan, np.random.default_rng(0), budget=budget)
        assert violations(resnet_plan, dlsas.dlsa) == []
        assert dlsas.latency == evaluate(resnet_plan, dlsas.dlsa).latency
        assert dlsas.rounds == (0 if budget is asked else 2 * 10 * resnet_plan.dram_tensor_count)

        allocated = allocate_buffer(problem, greedy_second_stage, seed=0, budget=budget)
        assert violations(allocated.plan, allocated.second_stage.dlsa) == []
        assert allocated.iterations == 1


def searches_without_end(problem: Problem, plan: Plan) -> dict[str, Callable[[Budget], tuple[Plan, DLSA]]]:
    endless = FirstStageParameters(rounds_per_layer=10**7)
    random = np.random.default_rng(0)

    def first(budget: Budget) -> tuple[Plan, DLSA]:
        start = initial_lfa(problem)
        found = anneal_lfas(problem, start, EDGE.gbuf_bytes, random, parameters=endless, budget=budget)
        made = make_plan(problem, found.lfa)
        return made, double_buffering(made)

    def second(budget: Budget) -> tuple[Plan, DLSA]:
        return plan, anneal_dlsas(plan, random, parameters=ENDLESS_DLSAS, budget=budget).dlsa

    def both(budget: Budget) -> tuple[Plan, DLSA]:
        found = allocate_buffer(problem, greedy_second_stage, 0, parameters=endless, budget=budget)
        return found.plan, found.second_stage.dlsa

    return {"first stage": first, "second stage": second, "allocator": both}


@pytest.mark.parametrize("search", ["first stage", "second stage", "allocator"])
@pytest.mark.parametrize("end", ["deadline", "stop request"])
def test_a_search_ends_within_a_second_of_the_deadline_or_a_stop_request(
    search: str, end: str, resnet_plan: Plan
) -> None:
    run = searches_without_end(resnet_plan.problem, resnet_plan)[search]
    run(Budget(0))  # compiles the kernels
    budget = Budget(0.3 if end == "deadline" else None)
    if end == "stop request":
        threading.Timer(0.3, budget.request_stop).start()
    begin, working = time.monotonic(), time.process_time()
    plan, dlsa = run(budget)
    assert time.monotonic() - begin > 0.2
    assert time.process_time() - working < 1.3  # on a busy machine, the clock may be far ahead of that
    assert violations(plan, dlsa) == []


# Buffer Allocator.


def test_the_allocator_lowers_the_limit_and_stops_after_two_iterations_without_a_new_best(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = builtin_problem("tiny-unet", replace(EDGE, gbuf_bytes=300_000))
    limits: list[int] = []
    stages: list[FirstStageResult] = []
    outcomes: list[tuple[int, float, float | None]] = []  # iteration, cost, wanted cost

    def recorded_anneal_lfas(problem: Problem, start: LFA, limit_bytes: int, *rest: Any) -> FirstStageResult:
        limits.append(limit_bytes)
        stages.append(anneal_lfas(problem, start, limit_bytes, *rest))
        return stages[-1]

    def recorded_second_stage(plan: Plan, budget: Budget, iteration: int, wanted: float | None) -> SecondStageResult:
        found = greedy_second_stage(plan, budget, iteration, wanted)
        energy_pj = found.evaluation.energy_pj
        wanted_cost = None if wanted is None else energy_pj * wanted
        outcomes.append((iteration, found.evaluation.edp, wanted_cost))
        return found

    monkeypatch.setattr(buffer_allocator, "anneal_lfas", recorded_anneal_lfas)
    found = allocate_buffer(problem, recorded_second_stage, seed=0)
    assert violations(found.plan, found.second_stage.dlsa) == []

    # Iteration 1 may use all, iteration i the first one's peak less (i − 1) tenths of it.
    peak = stages[0].peak_bytes
    assert limits == [300_000] + [peak - round(i * peak / 10) for i in range(1, len(limits))]
    assert found.iterations == len(limits)
    assert found.rounds == sum(stage.rounds for stage in stages)

    best, new_bests = math.inf, []
    for iteration, cost, wanted_cost in outcomes:
        assert wanted_cost is None if best == math.inf else wanted_cost == close(best)
        if cost < best:
            best = cost
            new_bests.append(iteration)
    assert found.iterations == min(new_bests[-1] + 2, 10)
    assert all(later - earlier <= 2 for earlier, later in itertools.pairwise(new_bests))
    assert found.second_stage.evaluation.edp == best
    assert found.first_stage is stages[new_bests[-1] - 1]
    assert found.plan.lfa == found.first_stage.lfa


def two_heavy_layers() -> Problem:
    """Two layers of 6000 bytes of weights each, in a buffer of 10,000: never both at once."""
    one = Conv(name="one", C=60, K=100, H=1, W=1, inputs=("in",))
    two = Conv(name="two", C=100, K=60, H=1, W=1, ifmaps=("one",))
    network = Network("heavy", (ExternalInput("in", (60, 1, 1)),), (one, two))
    return Problem(network, replace(EDGE, gbuf_bytes=10_000))


def test_where_double_buffering_never_fits_a_valid_schedule_is_found_all_the_same() -> None:
    problem = two_heavy_layers()
    first = anneal_lfas(problem, initial_lfa(problem), 10_000, np.random.default_rng(0))
    assert not first.fits
    assert_priced_as_evaluated(problem, first, 10_000)
    found = allocate_buffer(problem, greedy_second_stage, seed=0)
    assert violations(found.plan, found.second_stage.dlsa) == []
    annealed = anneal_dlsas(found.plan, np.random.default_rng(0))
    assert violations(found.plan, annealed.dlsa) == []
    assert annealed.latency <= found.second_stage.evaluation.latency


# Where the first stage begins.


def one_layer_problem(layer: Layer, batch: int, side: int) -> Problem:
    channels, rows, columns = layer.wanted_ifmap()
    network = Network("one layer", (ExternalInput("in", (channels, rows, columns)),), (replace(layer, inputs=("in",)),))
    return Problem(network, replace(EDGE, pe_grid=side), batch)


def square_conv(C: int, K: int, extent: int) -> Conv:
    return Conv(name="conv", C=C, K=K, H=extent, W=extent)


# On PEs of vec 16 and lane 32: C1 = C/16, K1 = K/32. P is the side of the array.
@pytest.mark.parametrize(
    ("layer", "batch", "side", "tile", "number"),
    [
        # C1 = 4, K1 = 4, P = 4: C×K is full. 4·4 tiles.
        pytest.param(square_conv(64, 128, 16), 1, 4, (1, 4, 4), 16, id="C×K"),
        # 14·14 = 196 tiles, rounded up to 256, exceed 16·1: one for each sample.
        pytest.param(square_conv(64, 128, 56), 1, 4, (1, 4, 4), 1, id="C×K, more than 16 tiles"),
        # 4·4·3 = 48, rounded up to 64, exceed 16·3.
        pytest.param(square_conv(64, 128, 13), 3, 4, (1, 4, 4), 3, id="C×K, more than 16 tiles for 3 samples"),
        # 4·4·4 = 64, not above 16·4.
        pytest.param(square_conv(64, 128, 13), 4, 4, (1, 4, 4), 64, id="C×K, 16 tiles for 4 samples"),
        # 3·3·3 = 27, rounded up.
        pytest.param(square_conv(64, 128, 9), 3, 4, (1, 4, 4), 32, id="C×K, rounded up"),
        # K1 = 1: C×K is 1/4 full, C×B with 4 samples full. 2·2·1 tiles.
        pytest.param(square_conv(64, 32, 8), 4, 4, (4, 4, 4), 4, id="C×B"),
        # C1 = 8, K1 = 1, P = 8: C×K 1/8, C×B 1/8, C×W full. 4·2 tiles.
        pytest.param(square_conv(128, 32, 16), 1, 8, (1, 4, 8), 8, id="C×W"),
        # C1 = 1, K1 = 8: what splits C is 1/8 full, B×K with 8 samples full. 4·4·1 tiles.
        pytest.param(square_conv(16, 256, 16), 8, 8, (8, 4, 4), 16, id="B×K"),
        # The same with one sample: B×K 1/8, H×K full. 2·4 tiles.
        pytest.param(square_conv(16, 256, 16), 1, 8, (1, 8, 4), 8, id="H×K"),
        # C1 = 1, K1 = 1: H×K 1/8, H×W full. 2·2 tiles.
        pytest.param(square_conv(16, 32, 16), 1, 8, (1, 8, 8), 4, id="H×W"),
        # C1 = 1/2, K1 = 8: H×K and H×W both 1/2, the rest less; the first wins. 2·4 tiles.
        pytest.param(square_conv(8, 256, 16), 1, 8, (1, 8, 4), 8, id="tie of H×K and H×W"),
        # With 8 samples B×K is 1/2 full, too. 4·4·1 tiles.
        pytest.param(square_conv(8, 256, 16), 8, 8, (8, 4, 4), 16, id="tie of B×K, H×K and H×W"),
        # C1 = 1/4, K1 = 1/2, half as many rows as PEs: C×K 1/512, H×K 1/4·1/2·1/16, H×W 1/4·1/2·1 the most.
        pytest.param(Conv(name="conv", C=4, K=16, H=4, W=16), 1, 8, (1, 4, 8), 2, id="none full, H×W the fullest"),
        # As on an array of 8 above, but 32·32 = 1024 tiles exceed 16. The whole layer has 4096 bytes of weights
        # and 64·256·256 of each fmap: 8,392,704. Half of the buffer is 4,194,304. Two tiles of 256×128 need
        # 4,198,400 each, four of 128×128 2,101,248.
        pytest.param(square_conv(64, 64, 256), 1, 4, (1, 4, 4), 4, id="doubled until half of the buffer holds it"),
        # A vector layer's input channels are its K: C1 = 32, K1 = 16.
        pytest.param(PointToPoint(name="ptp", K=512, H=16, W=16), 1, 8, (1, 4, 4), 16, id="vector layer"),
        # 4096·1000 weights and 5096 bytes of fmaps are below half of the buffer.
        pytest.param(FullyConnected(name="fc", C=4096, K=1000), 4, 4, (1, 1, 1), 4, id="fc"),
        # 8,198,096 bytes fit into the buffer, not into half of it; there is nothing to cut.
        pytest.param(FullyConnected(name="fc", C=4096, K=2000), 1, 4, (1, 1, 1), 1, id="fc of one tile"),
        # 3 samples, rounded up to 4 tiles; these can't be cut from 3·1·1, nor can 2.
        pytest.param(FullyConnected(name="fc", C=4096, K=1000), 3, 4, (1, 1, 1), 1, id="fc, 3 samples"),
    ],
)
def test_initial_tiling_numbers_by_hand(
    layer: Layer, batch: int, side: int, tile: tuple[int, int, int], number: int
) -> None:
    problem = one_layer_problem(layer, batch, side)
    assert smallest_filling_tile(problem, 0) == tile
    assert initial_lfa(problem) == LFA((FLG((layer.name,), number, True),))


def test_a_layer_that_cannot_fit_is_refused_with_what_its_smallest_tile_needs() -> None:
    layer = Conv(name="conv", C=64, K=128, H=56, W=56, R=3, S=3, inputs=("in",))
    network = Network("one layer", (ExternalInput("in", (64, 56, 56)),), (layer,))
    # 64·128·3·3 weights, a corner tile's ifmap of 64 · (3 − 1) rows · (3 − 1) columns, 128 bytes of ofmap
    needed = 73_728 + 256 + 128
    initial_lfa(Problem(network, replace(EDGE, gbuf_bytes=needed)))
    for batch in (1, 7):
        with pytest.raises(LayerTooLargeError, match=f"'conv' can't fit .* {needed:,} bytes") as refused:
            initial_lfa(Problem(network, replace(EDGE, gbuf_bytes=needed - 1), batch))
        assert refused.value.layer == "conv"
        assert refused.value.needed_bytes == needed
        assert refused.value.available_bytes == needed - 1


def test_a_layer_that_the_core_array_cannot_run_is_refused() -> None:
    layer = FullyConnected(name="classifier", C=512, K=10, R=30, S=40)
    with pytest.raises(NoMappingError, match="classifier"):
        allocate_buffer(one_layer_problem(layer, 1, 4), greedy_second_stage, seed=0)


def test_a_layer_that_only_small_tiles_of_can_run_begins_with_the_smallest() -> None:
    problem = jumpy_problem()
    with pytest.raises(NoMappingError):
        make_plan(problem, LFA((FLG(("jumpy",), 1, True),)))
    start = initial_lfa(problem)
    assert start.flgs[0].tiling_number == 64 * 64
    make_plan(problem, start)


def footprint(network: dict, layer: dict, tile: slow_model.Extent) -> int:
    """Return the bytes of weights, ifmaps and ofmap of one tile, by the twin's extents."""
    shapes = slow_model.source_shapes(network)
    size = slow_model.loaded_weight_bytes(layer) + math.prod(tile)
    operands = layer.get("weight_operands", [])
    for source in [*layer.get("ifmaps", []), *operands, *layer.get("inputs", [])]:
        if source in operands:
            b, _, h, w = slow_model.weight_operand_extent(layer, tile)
        else:
            b, _, h, w = slow_model.ifmap_extent(layer, tile, network)
        size += b * shapes[source][0] * h * w
    return size


@examples(300)
@given(networks(), hardwares(), st.sampled_from([1, 2, 3, 4, 16]))
def test_the_initial_lfa_is_valid_or_a_layer_is_refused_for_a_reason(network: dict, hardware: dict, batch: int) -> None:
    problem = problem_of(network, batch, hardware)
    capacity = hardware["gbuf_bytes"]
    least = {layer["name"]: footprint(network, layer, (1, layer["K"], 1, 1)) for layer in network["layers"]}
    too_large = [name for name, size in least.items() if size > capacity]
    if too_large:
        with pytest.raises(LayerTooLargeError) as refused:
            initial_lfa(problem)
        assert (refused.value.layer, refused.value.needed_bytes) == (too_large[0], least[too_large[0]])
        return
    try:
        for layer in network["layers"]:
            slow_core_array.tile_cost(layer, (1, layer["K"], 1, 1), hardware)
    except slow_core_array.NoMapping:
        with pytest.raises(NoMappingError, match=layer["name"]):
            initial_lfa(problem)
        return
    start = initial_lfa(problem)
    plan = make_plan(problem, start)
    assert start.computing_order == tuple(layer["name"] for layer in network["layers"])
    assert all(flg.dram_cut and len(flg.layers) == 1 for flg in start.flgs)
    assert least_peak_bytes(plan) <= capacity


# Tiles of gpt2-xl would need more than the buffer of edge for their weights alone.
TOO_LARGE = {("gpt2-xl-prefill", "edge"), ("gpt2-xl-decode", "edge")}


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", builtin_names())
def test_the_initial_lfa_of_built_in_networks(name: str, platform: str) -> None:
    for batch in (1, 3, 4, 16):
        problem = builtin_problem(name, PLATFORMS[platform], batch)
        if (name, platform) in TOO_LARGE:
            with pytest.raises(LayerTooLargeError):
                initial_lfa(problem)
            continue
        plan = make_plan(problem, initial_lfa(problem))
        assert least_peak_bytes(plan) <= problem.platform.gbuf_bytes
