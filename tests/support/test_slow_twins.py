"""The plain-Python twins against all figures of the published data, and their rules against one another."""

import csv
import json
from functools import cache

import hypothesis.strategies as st
import pytest
from hypothesis import Phase, find, given, settings

from support import slow_core_array, slow_model
from support.paths import PUBLISHED
from support.strategies import (
    KINDS,
    Case,
    TileCase,
    any_dlsas,
    cases,
    matrix_tile_cases,
    networks,
    plans,
    valid_dlsas,
    wrong_lfas,
)
from support.twins import examples

TILE_COST_FILES = sorted(path.name for path in (PUBLISHED / "tilecost").glob("*.csv"))
SCHEDULE_FILES = sorted(path.name for path in (PUBLISHED / "schedules").glob("*.json"))
RANDOM_LFAS = json.loads((PUBLISHED / "random_lfas.json").read_text())
NETWORKS_OF_RANDOM_LFAS = sorted({case["network"] for case in RANDOM_LFAS})

BROKEN_SCHEDULE = "gpt2-xl-prefill.b4.32MiB.128GBps.json"


@cache
def read_json(name: str) -> dict:
    return json.loads((PUBLISHED / name).read_text())


def network(name: str) -> dict:
    return read_json(f"networks/{name}.json")


def platform(name: str) -> dict:
    return read_json("hardware.json")["platforms"][name]


def close(figure: float):
    return pytest.approx(figure, rel=1e-9, abs=0)


@pytest.mark.parametrize("name", ["edge", "cloud"])
def test_memories_of_the_published_platforms(name: str) -> None:
    found = slow_core_array.memories(platform(name))
    for memory, published in platform(name)["memories"].items():
        assert found[memory].read_pj == close(published["read_pj"])
        assert found[memory].write_pj == close(published["write_pj"])
        if memory in ("AL1", "WL1", "OL1"):
            assert found[memory].bytes == published["bytes"]


@pytest.mark.parametrize("macs_per_pe", slow_core_array.VEC_AND_LANE)
def test_every_array_of_the_table_has_its_memories(macs_per_pe: int) -> None:
    found = slow_core_array.memories({**platform("edge"), "macs_per_pe": macs_per_pe})
    assert all(memory.read_pj > 0 and memory.write_pj > 0 for memory in found.values())


@pytest.mark.parametrize("file", TILE_COST_FILES)
def test_published_tile_costs(file: str) -> None:
    network_name, platform_name, _ = file.rsplit(".", 2)
    layers = {layer["name"]: layer for layer in network(network_name)["layers"]}
    with (PUBLISHED / "tilecost" / file).open() as lines:
        rows = list(csv.DictReader(lines))
    assert rows
    for row in rows:
        tile = (int(row["b"]), int(row["k"]), int(row["h"]), int(row["w"]))
        cost = slow_core_array.tile_cost(layers[row["layer"]], tile, platform(platform_name))
        assert cost.cycles == int(row["cycles"]), row
        for part in ("energy_pj", "gbuf_pj", "buffer_pj", "noc_pj", "mac_pj"):
            assert getattr(cost, part) == close(float(row[part])), (row, part)


def test_a_kernel_too_large_for_the_weight_memory_has_no_mapping() -> None:
    layer = {"name": "wide", "kind": "fc", "C": 4096, "K": 10, "R": 14, "S": 14}
    with pytest.raises(slow_core_array.NoMapping, match="wide"):
        slow_core_array.tile_cost(layer, (1, 10, 1, 1), platform("edge"))


@pytest.mark.parametrize("network_name", NETWORKS_OF_RANDOM_LFAS)
def test_published_random_lfas(network_name: str) -> None:
    for case in RANDOM_LFAS:
        if case["network"] != network_name:
            continue
        expect = case["expect"]
        plan = slow_model.plan(network(network_name), case["batch"], platform(case["platform"]), case["lfa"])
        assert [list(shape) for shape in plan.tile_shapes.values()] == expect["tile_shapes"]
        assert len(plan.tiles) == expect["tiles"]
        assert len(plan.dram_tensors) == expect["dram_tensors"]
        assert plan.compute_cycles == expect["compute_cycles"]
        assert plan.dram_cycles == expect["dram_cycles"]
        dlsa = slow_model.double_buffering(plan)
        found = slow_model.evaluate(plan, dlsa)
        assert found.latency == expect["double_buffer_latency"]
        assert found.peak_bytes == expect["double_buffer_peak_bytes"]
        assert found.energy_pj == close(expect["energy_pj"])
        assert slow_model.violations(plan, dlsa, gbuf_bytes=found.peak_bytes) == []


@pytest.mark.parametrize("file", SCHEDULE_FILES)
def test_published_schedules(file: str) -> None:
    schedule = read_json(f"schedules/{file}")
    expect = schedule["expect"]
    hardware = schedule["hardware"]
    plan = slow_model.plan(network(schedule["network"]), schedule["batch"], hardware, schedule["lfa"])
    assert {name: list(shape) for name, shape in plan.tile_shapes.items()} == schedule["tile_shapes"]
    assert len(plan.tiles) == expect["tiles"]
    assert plan.compute_cycles == expect["compute_cycles"]
    assert plan.dram_cycles == expect["dram_cycles"]
    assert plan.bound == expect["bound"]
    assert plan.core_energy_pj == close(expect["core_energy_pj"])
    assert plan.dram_energy_pj == close(expect["dram_energy_pj"])

    order = schedule["dlsa"]["dram_tensor_order"]
    found = slow_model.evaluate(plan, order)
    assert found.tile_begin == expect["tile_begin_cycles"]
    assert found.tensor_begin == [row[7] for row in order]
    assert found.latency == expect["latency"]
    assert found.peak_bytes == expect["peak_buffer_bytes"]
    assert found.average_bytes == close(expect["average_buffer_bytes"])
    assert found.energy_pj == close(expect["energy_pj"])
    assert found.bound == expect["bound"]
    broken = slow_model.violations(plan, order, hardware["gbuf_bytes"])
    assert [(fault.rule, fault.tensors[0][1:3]) for fault in broken] == [
        ("domain", (fault["layer"], fault["tile"])) for fault in schedule["violations"]
    ]

    doubled = slow_model.double_buffering(plan)
    found = slow_model.evaluate(plan, doubled)
    assert found.latency == expect["double_buffer_latency"]
    assert found.peak_bytes == expect["double_buffer_peak_bytes"]
    assert slow_model.violations(plan, doubled, hardware["gbuf_bytes"]) == []


def test_the_broken_published_schedule_is_refused() -> None:
    schedule = read_json(f"schedules/{BROKEN_SCHEDULE}")
    plan = slow_model.plan(network(schedule["network"]), schedule["batch"], schedule["hardware"], schedule["lfa"])
    order = schedule["dlsa"]["dram_tensor_order"]
    (fault,) = slow_model.violations(plan, order, schedule["hardware"]["gbuf_bytes"])
    assert fault.rule == "domain"
    assert fault.tensors == (("ofm", "norm1", 0, ""),)
    assert fault.text.startswith("End 2 is not in 45..")


# The rules against one another, on random cases.

UNLIMITED = 1 << 60
FIRST_FOUND = settings(max_examples=5000, phases=[Phase.generate], derandomize=True)


@examples(150)
@given(plans(), st.data())
def test_a_valid_dlsa_runs_within_the_bound(plan: slow_model.SlowPlan, data: st.DataObject) -> None:
    dlsa = data.draw(valid_dlsas(plan))
    assert slow_model.violations(plan, dlsa, UNLIMITED) == []
    found = slow_model.evaluate(plan, dlsa)
    assert found.latency >= found.bound
    assert slow_model.violations(plan, dlsa, found.peak_bytes) == []
    full = slow_model.violations(plan, dlsa, found.peak_bytes - 1)
    assert {fault.rule for fault in full} == {"3"}
    assert [fault.tile for fault in full] == [p for p, used in enumerate(found.usage) if used == found.peak_bytes]


@examples(150)
@given(plans())
def test_double_buffering_is_valid_but_for_the_capacity(plan: slow_model.SlowPlan) -> None:
    assert slow_model.violations(plan, slow_model.double_buffering(plan), UNLIMITED) == []


@examples(150)
@given(plans(), st.data())
def test_a_dlsa_deadlocks_exactly_when_the_order_rules_say_so(plan: slow_model.SlowPlan, data: st.DataObject) -> None:
    """Rule 1b, and rule 1a on stores as the later tensor; 1a forbids a little more where Start equals End."""
    dlsa = data.draw(any_dlsas(plan))
    deadlocks = False
    for place, before in enumerate(dlsa):
        for after in dlsa[place + 1 :]:
            if after.kind != "ofm":
                deadlocks |= "1b" in slow_model.broken_order_rules(plan, before, after)
            elif before.kind == "ofm":
                deadlocks |= before.start >= after.end
            else:
                deadlocks |= before.start > after.end
    if deadlocks:
        with pytest.raises(slow_model.Deadlock):
            slow_model.evaluate(plan, dlsa)
    else:
        slow_model.evaluate(plan, dlsa)


@examples(150)
@given(cases(), st.data())
def test_a_wrong_lfa_is_refused(case: Case, data: st.DataObject) -> None:
    network, batch, hardware, _ = case
    with pytest.raises(slow_model.InvalidLFA):
        slow_model.plan(network, batch, hardware, data.draw(wrong_lfas(network, batch)))


def test_records_that_are_not_the_tensors_of_the_plan_are_refused() -> None:
    schedule = read_json("schedules/gpt2-small-decode.b1.8MiB.16GBps.json")
    plan = slow_model.plan(network(schedule["network"]), 1, schedule["hardware"], schedule["lfa"])
    first, *others = slow_model.as_records(schedule["dlsa"]["dram_tensor_order"])
    for wrong in (
        others,
        [first, first, *others],
        [first._replace(layer="no such layer"), *others],
        [first._replace(bytes=first.bytes + 1), *others],
    ):
        assert {fault.rule for fault in slow_model.violations(plan, wrong, UNLIMITED)} == {"tensors"}
        with pytest.raises(ValueError, match="not the DRAM tensors"):
            slow_model.evaluate(plan, wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_random_networks_have_every_kind(kind: str) -> None:
    find(
        networks(),
        lambda network: any(layer["kind"] == kind for layer in network["layers"]),
        settings=FIRST_FOUND,
    )


def test_random_networks_have_operands_that_cross_lgs_in_spatial_tiles() -> None:
    def loads_an_operand_by_spatial_tiles(plan: slow_model.SlowPlan) -> bool:
        layers = {layer["name"]: layer for layer in plan.network["layers"]}
        return any(
            tensor.key[3] in layers[tensor.key[1]].get("weight_operands", [])
            and plan.tile_shapes[tensor.key[1]][2] < layers[tensor.key[1]]["H"]
            for tensor in plan.dram_tensors
        )

    find(plans(), loads_an_operand_by_spatial_tiles, settings=FIRST_FOUND)


def test_random_tiles_have_some_whose_operands_rotate() -> None:
    def rotates(case: TileCase) -> bool:
        try:
            return slow_core_array.tile_cost(case.layer, case.tile, case.hardware).noc_pj > 0
        except slow_core_array.NoMapping:
            return False

    find(matrix_tile_cases(), rotates, settings=FIRST_FOUND)


def test_random_lfas_divide_layers_whose_parts_stand_in_several_lgs_and_are_fused_with_a_reader() -> None:
    def crosses_and_fuses(plan: slow_model.SlowPlan) -> bool:
        parts = {layer["name"] for layer in plan.network["layers"] if "part" in layer}
        crossed = {tensor.key[3] for tensor in plan.dram_tensors if tensor.key[0] == "ifm"} & parts
        fused = {tensor.key[1] for tensor in plan.tensors if not tensor.on_dram} & parts
        return bool(crossed and fused)

    find(plans(divides=True), crosses_and_fuses, settings=FIRST_FOUND)


def test_random_divisions_put_the_rest_into_any_part() -> None:
    for place in (0, -1):
        find(
            cases(divides=True),
            lambda case, place=place: any(
                len(one["channels"]) > 1 and one["channels"][place] % slow_model.granule(case.hardware)
                for one in case.lfa.get("divisions", [])
            ),
            settings=FIRST_FOUND,
        )


def test_tiling_numbers_may_be_too_large() -> None:
    def too_large(case: Case) -> bool:
        try:
            slow_model.plan(*case)
        except slow_model.InvalidLFA:
            return True
        except slow_core_array.NoMapping:
            return False
        return False

    find(cases(valid=False), too_large, settings=FIRST_FOUND)
