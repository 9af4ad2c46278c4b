"""The second stage: its moves against brute force, its states against a recount."""

from collections import defaultdict
from collections.abc import Callable

import hypothesis.strategies as st
import numpy as np
from hypothesis import given
from support import slow_model
from support.annealing_cases import (
    SEEDS,
    UNLIMITED,
    Distribution,
    Lives,
    assert_drawn_from,
    builtin_problem,
    close,
    lives,
    weighted_usage,
)
from support.slow_model import broken_order_rules
from support.strategies import Case, valid_dlsas
from support.twins import Pair, dlsa_of, examples, lfa_of, pairs, problem_of_case, records_of, with_buffer

from soma_cp.annealing.first_stage.initial_lfa import initial_lfa
from soma_cp.annealing.second_stage import annealing as second_stage
from soma_cp.annealing.second_stage import dlsa_kernel
from soma_cp.annealing.second_stage.dlsa_kernel import AVERAGE_BUFFER, LATENCY, DLSAState
from soma_cp.model.hardware.quantities import MIB
from soma_cp.model.soma.dlsa import DLSA, double_buffering
from soma_cp.model.soma.evaluation import evaluate
from soma_cp.model.soma.evaluation_kernel import begin_times
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.validity import violations


def begun_state(plan: Plan, dlsa: DLSA, capacity: int) -> DLSAState:
    state = second_stage._state(plan, dlsa)
    room = dlsa_kernel.begin_state(plan.tensors, plan.sequence, capacity, state)
    assert room == capacity - evaluate(plan, dlsa).peak_buffer_bytes
    size = plan.dram_tensor_count
    state.latencies[:] = begin_times(plan.sequence, plan.tensors, size, state.dlsa, state.times)
    return state


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
    cooling = (heat, 8.0, 1.0, 0.9)
    dlsa_kernel.anneal_dlsa(plan.tensors, plan.sequence, state, goal, delay_exponent, cooling, *part, rounds, random)


def assert_sound_state(plan: Plan, state: DLSAState, capacity: int, cost: Callable[[DLSA], float]) -> None:
    current, best = state.dlsa, state.best
    for dlsa, row in ((current, 0), (best, 1)):
        assert violations(with_buffer(plan, capacity), dlsa) == []
        assert state.latencies[row] == evaluate(plan, dlsa).latency
        assert state.costs[row] == close(cost(dlsa))
    assert state.rank[state.dlsa.order].tolist() == list(range(plan.dram_tensor_count))
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

        state.costs[:] = cost(state.dlsa)
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
        first, last = dlsa_kernel.rank_range(plan.tensors, state, tensor)
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


def second_stage_moves(pair: Pair, dlsa: DLSA) -> Distribution[Lives]:
    """Return the DLSAs that one move makes of a valid one, with their probabilities (search.md)."""
    shares: Distribution[Lives] = defaultdict(float)
    sizes = pair.plan.tensors.bytes.tolist()

    def moved(dlsa: DLSA, tensor: int) -> list[DLSA]:
        present = dlsa.order.tolist().index(tensor)
        places = [place for place in legal_places(pair, dlsa, tensor) if place != present]
        orders = [with_place(dlsa.order.tolist(), tensor, place) for place in places or [present]]
        return [dlsa._replace(order=np.array(order)) for order in orders]

    def lived(dlsa: DLSA, tensor: int) -> list[DLSA]:
        edge = "end" if pair.plan.tensors.is_store[tensor] else "start"
        made = []
        for value in legal_edges(pair, dlsa, tensor):
            column = getattr(dlsa, edge).copy()
            if column[tensor] != value:
                column[tensor] = value
                made.append(dlsa._replace(**{edge: column}))
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
    start = double_buffering(plan.tensors)
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
        found = lives(state.dlsa)
        for current, before in zip(state.dlsa, start, strict=True):
            current[:] = before
        dlsa_kernel.begin_state(plan.tensors, plan.sequence, UNLIMITED, state)
        return found

    assert_drawn_from(expected, draw, 30_000)


def test_the_second_stage_returns_to_the_best_after_nine_tenths_of_the_rounds() -> None:
    plan = make_plan(builtin_problem("tiny-attention"), initial_lfa(builtin_problem("tiny-attention")))
    state = begun_state(plan, double_buffering(plan.tensors), UNLIMITED)
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
