"""Plans, evaluation and validity rules against plain-Python twins on random networks, LFAs and DLSAs."""

from collections import Counter

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support import slow_model
from support.slow_core_array import NoMapping
from support.slow_model import Record, SlowPlan
from support.strategies import Case, any_dlsas, cases, valid_dlsas, wrong_lfas
from support.twins import (
    RULE_OF_TWIN,
    Pair,
    dlsa_of,
    examples,
    lfa_of,
    pairs,
    problem_of,
    problem_of_case,
    records_of,
    shortest_lives,
    with_buffer,
)

from soma_cp.model.errors import InternalError
from soma_cp.model.hardware.core_array.protocol import NoMappingError
from soma_cp.model.soma.dlsa import DLSA, double_buffer, double_buffering
from soma_cp.model.soma.evaluation import evaluate, plan_figures
from soma_cp.model.soma.lfa import LFAError
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.tensors import KIND_NAMES
from soma_cp.model.soma.validity import InvalidScheduleError, Rule, Violation, require_valid, violations

UNLIMITED = 1 << 60


def close(figure: float) -> object:
    return pytest.approx(figure, rel=1e-9, abs=0)


# Plans.


def assert_equal_plans(slow: SlowPlan, plan: Plan) -> None:
    assert_equal_tiles(slow, plan)
    assert_equal_dram_tensors(slow, plan)
    assert_equal_chip_tensors(slow, plan)
    figures = plan_figures(plan)
    assert figures.compute_cycles == slow.compute_cycles
    assert figures.dram_cycles == slow.dram_cycles
    assert figures.bound == slow.bound
    assert figures.core_energy_pj == close(slow.core_energy_pj)
    assert figures.dram_energy_pj == close(slow.dram_energy_pj)


def assert_equal_tiles(slow: SlowPlan, plan: Plan) -> None:
    layers = plan.problem.network.layers
    assert plan.tile_count == len(slow.tiles)
    assert [layers[i].name for i in plan.tile_layer] == [tile.layer for tile in slow.tiles]
    assert plan.tile_index.tolist() == [tile.index for tile in slow.tiles]
    assert plan.tile_cycles.tolist() == [tile.cycles for tile in slow.tiles]
    assert plan.layers.flg[plan.tile_layer].tolist() == [tile.flg for tile in slow.tiles]
    assert plan.layers.lg[plan.tile_layer].tolist() == [tile.lg for tile in slow.tiles]
    assert plan.layers.energy_pj[plan.tile_layer].tolist() == close([tile.energy_pj for tile in slow.tiles])
    for i, layer in enumerate(layers):
        assert tuple(plan.layers.extent[i]) == slow.tile_shapes[layer.name]
        count, first, step = plan.layers.count[i], plan.layers.first[i], plan.layers.step[i]
        assert [first + tile * step for tile in range(count)] == slow.positions_of_layer[layer.name]


def assert_equal_dram_tensors(slow: SlowPlan, plan: Plan) -> None:
    tensors, expected = plan.tensors, slow.dram_tensors
    assert [plan.tensor_key(i) for i in range(plan.dram_tensor_count)] == [tensor.key for tensor in expected]
    assert [KIND_NAMES[kind] for kind in tensors.kind] == [tensor.key[0] for tensor in expected]
    assert tensors.bytes.tolist() == [tensor.bytes for tensor in expected]
    assert tensors.moved.tolist() == [tensor.moved for tensor in expected]
    assert tensors.cycles.tolist() == [slow.transfer_cycles(tensor.moved) for tensor in expected]
    assert tensors.is_store.tolist() == [not tensor.is_load for tensor in expected]
    needed_or_made = [tensor.needed_at if tensor.is_load else tensor.made_at for tensor in expected]
    assert tensors.position.tolist() == needed_or_made
    assert tensors.least_end.tolist() == [tensor.end_range[0] for tensor in expected]
    last_of_lg = {tile.lg: tile.position for tile in slow.tiles}.values()
    assert tensors.last_of_lg.tolist() == [tensor.made_at in last_of_lg for tensor in expected]
    for i, tensor in enumerate(expected):
        stores_before = set(range(tensors.after_begin[i], tensors.after_end[i]))
        _, _, _, source = tensor.key
        stored = {n for n, other in enumerate(expected) if other.key[0] == "ofm" and other.key[1] == source}
        assert stores_before == stored


def assert_equal_chip_tensors(slow: SlowPlan, plan: Plan) -> None:
    expected = [tensor for tensor in slow.tensors if not tensor.on_dram]
    tensors, layers = plan.tensors, plan.problem.network.layers
    assert [layers[i].name for i in tensors.chip_layer] == [tensor.key[1] for tensor in expected]
    assert tensors.chip_tile.tolist() == [tensor.key[2] for tensor in expected]
    assert tensors.chip_bytes.tolist() == [tensor.bytes for tensor in expected]
    assert tensors.chip_start.tolist() == [tensor.start_range[0] for tensor in expected]
    assert tensors.chip_end.tolist() == [tensor.end_range[0] for tensor in expected]
    usage = [
        sum(tensor.bytes for tensor in expected if tensor.start_range[0] <= p < tensor.end_range[0])
        for p in range(len(slow.tiles))
    ]
    assert plan.chip_usage.tolist() == usage


def assert_equal_double_buffering(slow: SlowPlan, plan: Plan) -> None:
    doubled = double_buffering(plan.tensors)
    expected = slow_model.double_buffering(slow)
    assert records_of(plan, doubled) == expected
    assert_equal_evaluations(slow, expected, plan, doubled)


def assert_equal_evaluations(slow: SlowPlan, records: list[Record], plan: Plan, dlsa: DLSA) -> None:
    expected = slow_model.evaluate(slow, records)
    found = evaluate(plan, dlsa)
    assert found.latency == expected.latency
    assert found.tile_begin.tolist() == expected.tile_begin
    assert found.tensor_begin[dlsa.order].tolist() == expected.tensor_begin
    assert found.usage_bytes.tolist() == expected.usage
    assert found.peak_buffer_bytes == expected.peak_bytes
    assert found.average_buffer_bytes == close(expected.average_bytes)
    assert found.energy_pj == close(expected.energy_pj)
    assert found.figures.bound == expected.bound


def assert_plans_agree(case: Case) -> None:
    """Plan a case twice: both refuse it, for the same reason, or the plans are equal."""
    try:
        slow = slow_model.plan(*case)
    except slow_model.InvalidLFA:
        with pytest.raises(LFAError):
            make_plan(problem_of_case(case), lfa_of(case.lfa))
        return
    except NoMapping:
        with pytest.raises(NoMappingError):
            make_plan(problem_of_case(case), lfa_of(case.lfa))
        return
    plan = make_plan(problem_of_case(case), lfa_of(case.lfa))
    assert_equal_plans(slow, plan)
    assert_equal_double_buffering(slow, plan)


@examples(800)
@given(cases(valid=False))
def test_plans_and_double_buffering_of_small_networks(case: Case) -> None:
    assert_plans_agree(case)


@examples(500)
@given(cases(max_layers=12, max_tiling_number=30, valid=False))
def test_plans_and_double_buffering_of_larger_networks(case: Case) -> None:
    assert_plans_agree(case)


@examples(700)
@given(cases(valid=False, divides=True))
def test_plans_and_double_buffering_of_divided_layers(case: Case) -> None:
    assert_plans_agree(case)


@examples(1000)
@given(cases(valid=False, types=True))
def test_plans_and_double_buffering_of_data_types(case: Case) -> None:
    assert_plans_agree(case)


@examples(300)
@given(cases(valid=False, divides=True, types=True))
def test_plans_and_double_buffering_of_divided_layers_of_data_types(case: Case) -> None:
    assert_plans_agree(case)


@examples(700)
@given(cases(valid=False, passes=True))
def test_plans_and_double_buffering_of_passes(case: Case) -> None:
    assert_plans_agree(case)


@examples(300)
@given(cases(valid=False, divides=True, passes=True))
def test_plans_and_double_buffering_of_passes_over_divided_layers(case: Case) -> None:
    assert_plans_agree(case)


@examples(150)
@given(pairs(passes=True), st.data())
def test_dlsas_of_passes(pair: Pair, data: st.DataObject) -> None:
    _, slow, plan = pair
    for strategy in (valid_dlsas(slow), any_dlsas(slow)):
        records = data.draw(strategy)
        dlsa = dlsa_of(plan, records)
        assert_equal_violations(slow, records, plan, dlsa)
        assert_runs_or_deadlocks_alike(slow, records, plan, dlsa)


@examples(60)
@given(pairs())
def test_double_buffering_where_sort_keys_with_the_creation_order_exceed_64_bits(pair: Pair) -> None:
    plan = pair.plan
    size, late = plan.dram_tensor_count, 10**9
    tensors = plan.tensors._replace(position=plan.tensors.position + late, least_end=plan.tensors.least_end + late)
    start, end, order = (np.zeros(size, np.int64) for _ in range(3))
    double_buffer(tensors, size, DLSA(order, start, end))
    expected = double_buffering(plan.tensors)
    assert order.tolist() == expected.order.tolist()
    assert start.tolist() == (expected.start + late).tolist()
    assert end.tolist() == (expected.end + late).tolist()


@examples(250)
@given(cases(), st.data())
def test_an_lfa_that_breaks_a_rule_is_refused(case: Case, data: st.DataObject) -> None:
    problem = problem_of(case.network, case.batch, case.hardware)
    with pytest.raises(LFAError):
        make_plan(problem, lfa_of(data.draw(wrong_lfas(case.network, case.batch))))


# DLSAs.


def assert_equal_violations(slow: SlowPlan, records: list[Record], plan: Plan, dlsa: DLSA) -> None:
    """Check that both break the same rules, and that the package names tensors and tiles that break them."""
    usage = slow_model.buffer_usage(slow, records)
    least = max(slow_model.buffer_usage(slow, shortest_lives(slow)))
    expected = [fault for fault in slow_model.violations(slow, records, max(usage)) if fault.rule != "3"]
    assert_equal_order_violations(expected, plan, violations(with_buffer(plan, UNLIMITED), dlsa))
    for capacity in (max(usage), max(usage) - 1, (max(usage) + least) // 2, least - 1):
        found = violations(with_buffer(plan, capacity), dlsa)
        rules = {fault.rule for fault in expected} | ({"3"} if max(usage) > capacity else set())
        assert {RULE_OF_TWIN[fault.rule] for fault in found} == ({"domain"} if "domain" in rules else rules)
        for fault in found:
            if fault.rule is Rule.CAPACITY:
                assert (fault.needed, fault.available) == (max(usage), capacity)
                assert fault.tile == usage.index(max(usage))
                alive = {record.key for record in records if record.start <= fault.tile < record.end}
                assert {plan.tensor_key(i) for i in fault.tensors} == alive


def assert_equal_order_violations(expected: list[slow_model.Violation], plan: Plan, found: list[Violation]) -> None:
    out_of_range = {(fault.tensors[0], fault.text.split()[0]) for fault in expected if fault.rule == "domain"}
    if out_of_range:  # then the package checks no other rule
        assert Counter((plan.tensor_key(fault.tensors[0]), edge_of(fault)) for fault in found) == Counter(out_of_range)
        return
    # Of the pairs that break a rule, the package names one for each later tensor (for DATA, for each load).
    for rule, number, named_once in ((Rule.SPACE, "1a", 1), (Rule.DEADLOCK, "1b", 1), (Rule.DATA, "2", 0)):
        pairs_found = [tuple(map(plan.tensor_key, fault.tensors)) for fault in found if fault.rule is rule]
        pairs_expected = {fault.tensors for fault in expected if fault.rule == number}
        assert set(pairs_found) <= pairs_expected
        assert Counter(pair[named_once] for pair in pairs_found) == Counter(
            {pair[named_once] for pair in pairs_expected}
        )
    assert {RULE_OF_TWIN[fault.rule] for fault in found} <= {"1a", "1b", "2"}


def edge_of(fault: Violation) -> str:
    return "Start" if fault.rule in (Rule.START_RANGE, Rule.FIXED_START) else "End"


def assert_runs_or_deadlocks_alike(slow: SlowPlan, records: list[Record], plan: Plan, dlsa: DLSA) -> None:
    try:
        slow_model.evaluate(slow, records)
    except slow_model.Deadlock:
        with pytest.raises(InternalError, match="waits for"):
            evaluate(plan, dlsa)
    else:
        assert_equal_evaluations(slow, records, plan, dlsa)


@examples(300)
@given(pairs(), st.data())
def test_valid_dlsas(pair: Pair, data: st.DataObject) -> None:
    _, slow, plan = pair
    for _ in range(3):
        records = data.draw(valid_dlsas(slow))
        dlsa = dlsa_of(plan, records)
        assert records_of(plan, dlsa) == records
        assert violations(with_buffer(plan, UNLIMITED), dlsa) == []
        assert_equal_evaluations(slow, records, plan, dlsa)
        assert_equal_violations(slow, records, plan, dlsa)


@examples(250)
@given(pairs(), st.data())
def test_dlsas_that_may_break_any_rule(pair: Pair, data: st.DataObject) -> None:
    _, slow, plan = pair
    for within_range in (True, True, False):
        records = data.draw(any_dlsas(slow, within_range))
        dlsa = dlsa_of(plan, records)
        assert_equal_violations(slow, records, plan, dlsa)
        if within_range:
            assert_runs_or_deadlocks_alike(slow, records, plan, dlsa)


@examples(150)
@given(pairs(max_layers=12, max_tiling_number=24), st.data())
def test_dlsas_of_larger_networks(pair: Pair, data: st.DataObject) -> None:
    _, slow, plan = pair
    for strategy in (valid_dlsas(slow), any_dlsas(slow)):
        records = data.draw(strategy)
        dlsa = dlsa_of(plan, records)
        assert_equal_violations(slow, records, plan, dlsa)
        assert_runs_or_deadlocks_alike(slow, records, plan, dlsa)


@examples(150)
@given(pairs(), st.data())
def test_a_start_or_end_just_outside_its_range_is_all_that_is_refused(pair: Pair, data: st.DataObject) -> None:
    _, slow, plan = pair
    records = slow_model.double_buffering(slow)
    tensor_of = {tensor.key: tensor for tensor in slow.dram_tensors}
    # Few stores are held by local consumers after their own tile, so all of them are tested.
    held = [
        place
        for place, record in enumerate(records)
        if record.kind == "ofm" and tensor_of[record.key].end_range[0] > record.start + 1
    ]
    places = {*held, *data.draw(st.lists(st.integers(0, len(records) - 1), min_size=3, max_size=3))}
    for place in places:
        tensor = tensor_of[records[place].key]
        for edge, (low, high) in (("start", tensor.start_range), ("end", tensor.end_range)):
            for value in (low - 1, high + 1):
                moved = [*records]
                moved[place] = records[place]._replace(**{edge: value})
                (fault,) = violations(with_buffer(plan, UNLIMITED), dlsa_of(plan, moved))
                assert plan.tensor_key(fault.tensors[0]) == tensor.key
                assert (RULE_OF_TWIN[fault.rule], edge_of(fault)) == ("domain", edge.capitalize())


@examples(200)
@given(pairs(), st.data())
def test_living_durations_far_outside_the_run_are_refused_one_by_one(pair: Pair, data: st.DataObject) -> None:
    _, slow, plan = pair
    records = slow_model.double_buffering(slow)
    tiles = len(slow.tiles)
    far = st.sampled_from([-UNLIMITED, -3, -2, -1, 0, tiles, tiles + 1, tiles + 2, UNLIMITED])
    for _ in range(3):
        place = data.draw(st.integers(0, len(records) - 1))
        edge = data.draw(st.sampled_from(["start", "end"]))
        records[place] = records[place]._replace(**{edge: data.draw(far)})
    assert_equal_violations(slow, records, plan, dlsa_of(plan, records))


@examples(150)
@given(pairs(), st.data())
def test_an_order_that_is_no_permutation_of_the_dram_tensors_is_refused(pair: Pair, data: st.DataObject) -> None:
    plan = pair.plan
    order, start, end = (column.copy() for column in double_buffering(plan.tensors))
    fault = data.draw(st.sampled_from(["short", "twice", "behind", "below", "empty"]))
    place = data.draw(st.integers(0, len(order) - 1))
    if fault == "short":
        order = np.delete(order, place)
    elif fault == "twice":
        order = np.insert(order, place, order[data.draw(st.integers(0, len(order) - 1))])
    elif fault == "behind":
        order[place] = plan.dram_tensor_count
    elif fault == "below":
        order[place] = -1
    else:
        order = order[:0]
    (found,) = violations(with_buffer(plan, UNLIMITED), DLSA(order, start, end))
    assert found.rule is Rule.PERMUTATION


@examples(150)
@given(pairs(), st.data())
def test_the_capacity_is_the_platforms_own_unless_one_is_given(pair: Pair, data: st.DataObject) -> None:
    _, slow, plan = pair
    records = data.draw(any_dlsas(slow, within_range=False))
    dlsa = dlsa_of(plan, records)
    found = violations(plan, dlsa)
    assert bool(found) == bool(slow_model.violations(slow, records, slow.hardware["gbuf_bytes"]))
    if not found:
        require_valid(plan, dlsa)
        return
    with pytest.raises(InvalidScheduleError) as raised:
        require_valid(plan, dlsa)
    assert raised.value.violations == found
    assert found[0].message in str(raised.value)
