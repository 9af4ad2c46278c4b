"""The schedule file: the published schedules to the cycle, round trips, the sentence for every kind of fault."""

import copy
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.paths import DOCS, PUBLISHED
from support.twins import examples
from support.typed_networks import typed_networks

from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.data_types import data_type, weight_format
from soma_cp.model.errors import UserError
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.platform import Platform
from soma_cp.model.hardware.platform_file import platform_from_document
from soma_cp.model.network.builtin.catalogue import builtin_names, builtin_network
from soma_cp.model.network.layers import ExternalInput, PointToPoint
from soma_cp.model.network.network import Network
from soma_cp.model.network.network_file import network_document, network_from_document
from soma_cp.model.network.rewrites.types import with_types
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import DLSA, double_buffering
from soma_cp.model.soma.evaluation import evaluate
from soma_cp.model.soma.lfa import FLG, LFA, unfused_lfa
from soma_cp.model.soma.plan import make_plan
from soma_cp.model.soma.schedule import Schedule, make_schedule, priced
from soma_cp.model.soma.schedule_document import schedule_document, write_schedule
from soma_cp.model.soma.schedule_file import ScheduleFileError, read_schedule, schedule_from_document
from soma_cp.model.soma.stored_schedule import StoredSchedule, claim_differences
from soma_cp.model.soma.validity import InvalidScheduleError, Rule, violations

FILES = sorted((PUBLISHED / "schedules").glob("*.json"))
INVALID = "gpt2-xl-prefill.b4.32MiB.128GBps"
VALID = [path for path in FILES if path.stem != INVALID]

Document = dict[str, Any]


def named(path: Path) -> str:
    return path.stem


def load(path: Path) -> Document:
    document: Document = json.loads(path.read_text(encoding="utf-8"))
    return document


# The published schedules


def test_there_are_thirteen_of_which_one_is_invalid() -> None:
    assert len(FILES) == 13
    assert len(VALID) == 12


@pytest.mark.parametrize("path", VALID, ids=named)
def test_published_schedule_is_valid(path: Path) -> None:
    stored = read_schedule(path)
    assert violations(stored.plan, stored.dlsa) == []


def test_the_invalid_one_breaks_one_rule() -> None:
    stored = read_schedule(PUBLISHED / "schedules" / f"{INVALID}.json")
    (violation,) = violations(stored.plan, stored.dlsa)
    assert violation.rule is Rule.END_RANGE
    assert [stored.plan.tensor_key(i) for i in violation.tensors] == [("ofm", "norm1", 0, "")]
    assert (violation.needed, violation.available) == (2, 45)


@pytest.mark.parametrize("path", FILES, ids=named)  # the invalid one, too: its figures hold
def test_published_figures(path: Path) -> None:
    document, stored = load(path), read_schedule(path)
    plan, dlsa = stored.plan, stored.dlsa
    expected = document["expect"]
    layer_id = plan.problem.network.layer_id
    assert {name: plan.layers.extent[i].tolist() for name, i in layer_id.items()} == document["tile_shapes"]
    assert plan.tile_count == expected["tiles"]

    evaluation = evaluate(plan, dlsa)
    figures = evaluation.figures
    rows = document["dlsa"]["dram_tensor_order"]
    assert evaluation.tile_begin.tolist() == expected["tile_begin_cycles"]
    assert evaluation.tensor_begin[dlsa.order].tolist() == [row[7] for row in rows]
    assert [plan.tensor_key(i) for i in dlsa.order] == [tuple(row[:4]) for row in rows]
    assert evaluation.latency == expected["latency"]
    assert figures.compute_cycles == expected["compute_cycles"]
    assert figures.dram_cycles == expected["dram_cycles"]
    assert figures.bound == expected["bound"]
    assert evaluation.peak_buffer_bytes == expected["peak_buffer_bytes"]
    assert evaluation.energy_pj == pytest.approx(expected["energy_pj"], rel=1e-9)
    assert figures.core_energy_pj == pytest.approx(expected["core_energy_pj"], rel=1e-9)
    assert figures.dram_energy_pj == pytest.approx(expected["dram_energy_pj"], rel=1e-9)
    assert evaluation.average_buffer_bytes == pytest.approx(expected["average_buffer_bytes"], rel=1e-9)
    double_buffered = evaluate(plan, double_buffering(plan.tensors))
    assert double_buffered.latency == expected["double_buffer_latency"]
    assert double_buffered.peak_buffer_bytes == expected["double_buffer_peak_bytes"]

    assert claim_differences(stored, priced(plan, stored.dlsa)) == []
    assert {*expected, "tile_shapes", "begin_cycle"} == set(stored.claims)


# Round trips


def fused_lfa(network: Network, tiling_number: int) -> LFA:
    """Return the LFA of one FLG with all layers."""
    return LFA((FLG(tuple(layer.name for layer in network.layers), tiling_number, True),))


def assert_comes_back(
    schedule: Schedule, path: Path, bound: int | None = None, provenance: Mapping[str, Any] | None = None
) -> StoredSchedule:
    write_schedule(schedule, path, bound, provenance)
    stored = read_schedule(path)
    assert (stored.problem, stored.lfa) == (schedule.problem, schedule.lfa)
    for name in ("order", "start", "end"):
        assert np.array_equal(getattr(stored.dlsa, name), getattr(schedule.dlsa, name))
    assert claim_differences(stored, schedule) == []
    again = make_schedule(stored.plan, stored.dlsa)
    assert schedule_document(again, bound, stored.provenance) == load(path)
    return stored


@pytest.mark.parametrize("path", VALID, ids=named)
def test_published_schedule_makes_the_round_trip(path: Path, tmp_path: Path) -> None:
    published = read_schedule(path)
    schedule = make_schedule(published.plan, published.dlsa)
    assert_comes_back(schedule, tmp_path / "schedule.json")
    document, original = load(tmp_path / "schedule.json"), load(path)
    for field in ("batch", "hardware", "violations", "lfa", "dlsa", "tile_shapes"):
        assert document[field] == original[field]
    assert document["network"] == original["network"]


@pytest.mark.parametrize("name", ["gpt2-small-prefill", "gpt2-small-decode"])
@pytest.mark.parametrize("tokens", [None, 64])
def test_network_is_named_if_it_is_the_one_built_in(name: str, tokens: int | None, tmp_path: Path) -> None:
    network = builtin_network(name, tokens)
    plan = make_plan(Problem(network, PLATFORMS["cloud"], 2), unfused_lfa(network))
    schedule = make_schedule(plan, greedy_dlsa(plan))
    assert_comes_back(schedule, tmp_path / "schedule.json")
    stored_network = load(tmp_path / "schedule.json")["network"]
    assert stored_network == (name if tokens is None else network_document(network))


@pytest.mark.parametrize("name", [name for name in builtin_names() if name.startswith("tiny-")])
def test_tiny_networks_on_an_own_platform(name: str, tmp_path: Path) -> None:
    network = builtin_network(name)
    plan = make_plan(Problem(network, Platform(2**22, 2, 64, 128, 8), 4), fused_lfa(network, 4))
    assert_comes_back(make_schedule(plan, greedy_dlsa(plan)), tmp_path / "schedule.json")


def test_a_network_of_other_types_is_written_whole(tmp_path: Path) -> None:
    """Four bits of weights with scales, compressed to 70 % in DRAM, and activations of 16 bits."""
    plain = builtin_network("gpt2-small-decode")
    network = with_types(plain, weight_format("int4/128"), data_type("fp16"), data_type("fp32"), Fraction(7, 10))
    platform = replace(PLATFORMS["edge"], macs_per_cycle_by_type=(("fp16", 2048),), mac_pj_by_type=(("fp16", 0.1),))
    plan = make_plan(Problem(network, platform, 1), unfused_lfa(network))
    schedule = make_schedule(plan, greedy_dlsa(plan))
    assert_comes_back(schedule, tmp_path / "schedule.json")
    document = load(tmp_path / "schedule.json")
    assert document["network"] == network_document(network)
    assert document["network"]["version"] == 3
    layer = network.layers[network.layer_id["ffn1"]]
    # 3,072 kernels of 768 weights and 6 scales.
    assert layer.weight_bytes == 3072 * (768 * 4 + 6 * 16) // 8
    (row,) = [row for row in document["dlsa"]["dram_tensor_order"] if row[:2] == ["wgt", "ffn1"]]
    assert row[4] == layer.weight_bytes
    moved = int(plan.tensors.moved.sum())
    assert moved == int(plan.tensors.bytes.sum()) - sum(
        one.weight_bytes - -(-one.weight_bytes * 7 // 10) for one in network.layers
    )
    assert document["dram_energy_pj"] == pytest.approx(moved * platform.dram_pj_per_byte)
    named = document | {"network": network.name}
    (fault,) = problems(named)[:1]
    assert "bytes=" in fault  # a name stands for the network in INT8


@examples(20)
@given(typed_networks())
def test_schedules_of_any_types_make_the_round_trip(tmp_path_factory: pytest.TempPathFactory, network: Network) -> None:
    platform = replace(PLATFORMS["cloud"], core_array="roofline")  # takes layers of any types
    plan = make_plan(Problem(network, platform, 1), unfused_lfa(network))
    assert_comes_back(make_schedule(plan, greedy_dlsa(plan)), tmp_path_factory.getbasetemp() / "typed.json")


def test_provenance_and_proof_come_back(schedule: Schedule, tmp_path: Path) -> None:
    latency = schedule.evaluation.latency
    provenance = {"seed": 7, "limits": {"seconds": 1.5, "workers": None}, "steps": ["a", "b"], "done": True}
    stored = assert_comes_back(schedule, tmp_path / "schedule.json", latency, provenance)
    assert stored.provenance == provenance
    assert stored.claims["proven_lower_bound"] == latency
    assert stored.claims["proven_optimal"] is True
    assert schedule_document(schedule, latency - 1)["proven_optimal"] is False
    assert schedule_document(schedule)["proven_lower_bound"] is None
    assert schedule_document(schedule)["proven_optimal"] is False


def test_odd_provenance_is_written_as_text(schedule: Schedule, tmp_path: Path) -> None:
    odd: dict[Any, Any] = {
        "limit": float("inf"),
        "path": Path("out.json"),
        "count": np.int64(3),
        5: "\udcff",
        "pair": (1, 2),
    }
    write_schedule(schedule, tmp_path / "schedule.json", provenance=odd)
    assert read_schedule(tmp_path / "schedule.json").provenance == {
        "limit": "inf",
        "path": "out.json",
        "count": 3,
        "5": "\\udcff",
        "pair": [1, 2],
    }


# What is written


@pytest.fixture
def schedule() -> Schedule:
    return tiny_schedule(builtin_network("tiny-branch"))


def tiny_schedule(network: Network) -> Schedule:
    """Return a schedule of two LGs; the first has two FLGs."""
    names = [layer.name for layer in network.layers]
    lfa = LFA((FLG(tuple(names[:1]), 2, True), FLG(tuple(names[1:3]), 4, False), FLG(tuple(names[3:]), 2, True)))
    plan = make_plan(Problem(network, PLATFORMS["edge"], 2), lfa)
    return make_schedule(plan, double_buffering(plan.tensors))


def test_fields_of_a_written_file(schedule: Schedule) -> None:
    document = schedule_document(schedule)
    evaluation, plan = schedule.evaluation, schedule.plan
    assert document["version"] == 1
    assert document["network"] == "tiny-branch"
    assert document["batch"] == 2
    assert document["hardware"] == load(FILES[0])["hardware"]  # edge
    assert document["violations"] == []
    assert document["latency"] == document["double_buffer_latency"] == evaluation.latency
    assert document["edp"] == document["latency"] * document["energy_pj"]
    assert document["energy_pj"] == document["core_energy_pj"] + document["dram_energy_pj"]
    assert document["bound"] == max(document["compute_cycles"], document["dram_cycles"])
    assert document["peak_buffer_bytes"] == document["double_buffer_peak_bytes"] == max(evaluation.usage_bytes)
    assert document["average_buffer_bytes"] == evaluation.average_buffer_bytes
    assert document["tiles"] == len(document["tile_begin_cycles"]) == plan.tile_count
    assert document["dram_tensors"] == len(document["dlsa"]["dram_tensor_order"]) == plan.dram_tensor_count
    assert list(document["tile_shapes"]) == [layer.name for layer in plan.problem.network.layers]
    assert document["dlsa"]["columns"] == load(FILES[0])["dlsa"]["columns"]
    assert list(document)[:4] == ["version", "network", "batch", "hardware"]
    assert list(document)[-2:] == ["lfa", "dlsa"]
    published = {*load(FILES[0])} - {"expect"}
    assert published | {*load(FILES[0])["expect"]} < set(document)


def test_layout_of_a_written_file(tmp_path: Path) -> None:
    network = builtin_network("tiny-branch")
    schedule = tiny_schedule(Network("own", network.inputs, network.layers))
    write_schedule(schedule, tmp_path / "schedule.json")
    text = (tmp_path / "schedule.json").read_text(encoding="utf-8")
    document = json.loads(text)
    lines = text.splitlines()
    assert text.endswith("}\n")
    assert list(document) == list(schedule_document(schedule))
    for row in document["dlsa"]["dram_tensor_order"]:
        assert f"   {json.dumps(row)}" in [line.rstrip(",") for line in lines]
    for flg in document["lfa"]["flgs"]:
        assert f"   {json.dumps(flg)}" in [line.rstrip(",") for line in lines]
    for layer in document["network"]["layers"]:
        assert f"   {json.dumps(layer)}" in [line.rstrip(",") for line in lines]
    for name, shape in document["tile_shapes"].items():
        assert f"  {json.dumps(name)}: {json.dumps(shape)}" in [line.rstrip(",") for line in lines]
    listed = 2 * len(network.layers) + len(network.inputs) + len(document["lfa"]["flgs"]) + document["dram_tensors"]
    assert len(lines) == listed + 49  # fields and brackets


def test_a_written_file_is_replaced_as_a_whole(schedule: Schedule, tmp_path: Path) -> None:
    path = tmp_path / "schedule.json"
    write_schedule(schedule, path)
    write_schedule(schedule, path, proven_lower_bound=5)
    assert load(path)["proven_lower_bound"] == 5
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_told(schedule: Schedule, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="can't write"):
        write_schedule(schedule, tmp_path / "no" / "schedule.json")


def test_only_a_valid_schedule_is_made(schedule: Schedule) -> None:
    late = DLSA(schedule.dlsa.order[::-1].copy(), schedule.dlsa.start, schedule.dlsa.end)
    with pytest.raises(InvalidScheduleError):
        make_schedule(schedule.plan, late)


# What may differ


@pytest.fixture
def document(schedule: Schedule) -> Document:
    return copy.deepcopy(schedule_document(schedule))


FIGURES = (
    *("latency", "double_buffer_latency", "bound", "compute_cycles", "dram_cycles"),
    *("energy_pj", "core_energy_pj", "dram_energy_pj", "edp", "average_buffer_bytes"),
    *("peak_buffer_bytes", "double_buffer_peak_bytes", "tiles", "dram_tensors"),
)


def test_figures_may_be_left_out(document: Document, schedule: Schedule) -> None:
    short = {field: document[field] for field in ("network", "batch", "hardware", "lfa", "dlsa")}
    stored = schedule_from_document(short, "here")
    assert set(stored.claims) == {"begin_cycle"}
    assert claim_differences(stored, schedule) == []
    assert stored.provenance == {}


def test_columns_may_stand_in_any_order_and_two_may_be_missing(document: Document, schedule: Schedule) -> None:
    wanted = ["end", "start", "source", "tile", "layer", "kind"]
    columns = document["dlsa"]["columns"]
    rows = document["dlsa"]["dram_tensor_order"]
    document["dlsa"]["dram_tensor_order"] = [[row[columns.index(name)] for name in wanted] for row in rows]
    document["dlsa"]["columns"] = wanted
    stored = schedule_from_document(document, "here")
    assert np.array_equal(stored.dlsa.order, schedule.dlsa.order)
    assert np.array_equal(stored.dlsa.start, schedule.dlsa.start)
    assert np.array_equal(stored.dlsa.end, schedule.dlsa.end)
    assert "begin_cycle" not in stored.claims


def test_broken_rules_are_not_the_readers_matter(document: Document) -> None:
    stores = [row for row in document["dlsa"]["dram_tensor_order"] if row[0] == "ofm"]
    stores[0][6] = -7
    stores[1][5] = 10**9
    stored = schedule_from_document(document, "here")
    assert {violation.rule for violation in violations(stored.plan, stored.dlsa)} == {
        Rule.END_RANGE,
        Rule.FIXED_START,
    }


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_that_does_not_hold(document: Document, schedule: Schedule, name: str) -> None:
    true = document[name]
    wrong = true + 1 if isinstance(true, int) else true * (1 + 1e-8)
    document[name] = wrong
    stored = schedule_from_document(document, "here")
    expected = [f"{name}: the file says {wrong}, but it is {true}"]
    assert claim_differences(stored, schedule) == expected


def test_a_cycle_of_billions_counts() -> None:
    layer = PointToPoint(name="layer", K=1, H=2**16, W=2**15, inputs=("image",))
    network = Network("large", (ExternalInput("image", (1, 2**16, 2**15)),), (layer,))
    plan = make_plan(Problem(network, Platform(2**32, 4, 512, 256, 1)), unfused_lfa(network, 8))
    schedule = make_schedule(plan, double_buffering(plan.tensors))
    document = schedule_document(schedule)
    assert schedule.evaluation.latency == 2**32
    document["latency"] += 1
    (difference,) = claim_differences(schedule_from_document(document, "here"), schedule)
    assert difference.startswith("latency: ")


def test_lists_that_do_not_hold(document: Document, schedule: Schedule) -> None:
    first = document["tile_begin_cycles"][0]
    document["tile_begin_cycles"][0] += 1
    row = document["dlsa"]["dram_tensor_order"][2]
    row[7] += 5
    layer, shape = next(iter(document["tile_shapes"].items()))
    document["tile_shapes"][layer] = [9, 9, 9, 9]
    label = schedule.plan.tensor_label(int(schedule.dlsa.order[2]))
    count = schedule.plan.dram_tensor_count
    tile = schedule.plan.tile_label(0)
    tiles = schedule.plan.tile_count
    assert claim_differences(schedule_from_document(document, "here"), schedule) == [
        f"tile_begin_cycles: 1 of {tiles} differ, first {tile}: the file says {first + 1}, but it is {first}",
        f"begin_cycle: 1 of {count} differ, first {label}: the file says {row[7]}, but it is {row[7] - 5}",
        f"tile_shapes: 1 differ, first '{layer}': the file says [9, 9, 9, 9], but it is {shape}",
    ]
    document["tile_begin_cycles"].pop()
    document["tile_shapes"] = {"nobody": shape}
    row[7] -= 5
    assert claim_differences(schedule_from_document(document, "here"), schedule) == [
        f"tile_begin_cycles: the file gives {tiles - 1}, but there are {tiles}",
        f"tile_shapes: 1 differ, first 'nobody': the file says {shape}, but it is not a layer",
    ]


def test_a_proof_that_does_not_hold(document: Document, schedule: Schedule) -> None:
    def differences(bound: int | None, optimal: bool) -> list[str]:
        changed = document | {"proven_lower_bound": bound, "proven_optimal": optimal}
        return claim_differences(schedule_from_document(changed, "here"), schedule)

    latency = schedule.evaluation.latency
    unproven = f"proven_optimal: the file says true, but no bound in it reaches the latency of {latency}"
    above = f"proven_lower_bound: the file says {latency + 1}, which is above the latency of {latency}"
    assert differences(latency, True) == differences(latency - 1, False) == differences(None, False) == []
    assert differences(latency - 1, True) == differences(None, True) == [unproven]
    assert differences(latency + 1, True) == [above]


# The page for users


def test_the_examples_of_the_page_are_right() -> None:
    page = (DOCS / "file-formats.md").read_text(encoding="utf-8")
    blocks = [block.split("```")[0] for block in page.split("```json\n")[1:]]
    network, typed, hardware, example, _ = map(json.loads, blocks)  # the last is of test_divided_layers.py
    up, gelu, down = network_from_document(typed, "page").layers
    assert (up.weight_bytes, up.dram_weight_bytes) == (1_216_512, 851_559)  # as the page says
    assert up.weight_bytes == 3072 * (768 * 4 + 6 * 16) // 8
    assert [layer.types.ofmap.name for layer in (up, gelu, down)] == ["fp16", "int8", "fp16"]
    assert (down.types.weights.text, down.weight_bytes) == ("int8", 3072 * 768)
    assert len(network_from_document(network, "docs").layers) == 5
    assert platform_from_document(hardware, "docs").dram_bytes_per_cycle == 8
    stored = schedule_from_document(example, "docs")
    schedule = make_schedule(stored.plan, stored.dlsa)
    assert claim_differences(stored, schedule) == []
    assert schedule_document(schedule, stored.claimed_lower_bound, stored.provenance) == example
    for field in example:
        assert f"`{field}`" in page or f"`{field}[" in page or f"`{field}." in page, field


# Networks of files


def problems(document: object, network: Network | None = None) -> list[str]:
    """Return every problem of a document, without the name of the file."""
    with pytest.raises(ScheduleFileError) as error:
        schedule_from_document(document, "s.json", network)
    assert all(problem.startswith("s.json: ") for problem in error.value.problems)
    assert str(error.value).splitlines()[:50] == list(error.value.problems)[:50]
    return [problem.removeprefix("s.json: ") for problem in error.value.problems]


def test_a_network_that_is_not_built_in(document: Document) -> None:
    document["network"] = "mine"
    assert problems(document) == ['network="mine" is not built in; give its network file with --net FILE']


def test_a_network_of_another_name(document: Document) -> None:
    assert problems(document, builtin_network("resnet50")) == [
        "network=\"tiny-branch\", but the network given with --net is 'resnet50'"
    ]


def test_a_network_of_that_name_with_other_layers(document: Document) -> None:
    other = builtin_network("tiny-chain")
    (problem,) = problems(document, Network("tiny-branch", other.inputs, other.layers))
    assert problem.startswith("the LFA names the layer '")
    assert "which 'tiny-branch' does not have" in problem


def test_a_network_of_that_name_with_other_sizes() -> None:
    path = next(path for path in FILES if path.stem.startswith("gpt2-small-prefill.b1"))
    assert read_schedule(path, builtin_network("gpt2-small-prefill")).problem.batch == 1
    message = r"bytes=393216, but it is 49152 for the ifmap of norm1\[0\] from input_qkv"
    with pytest.raises(ScheduleFileError, match=message):
        read_schedule(path, builtin_network("gpt2-small-prefill", 64))


def test_a_network_besides_the_one_in_the_file(document: Document) -> None:
    own = builtin_network("tiny-branch")
    document["network"] = network_document(own)
    assert schedule_from_document(document, "here", own).problem.network == own
    assert problems(document, builtin_network("tiny-chain")) == [
        "network: the file holds a network, 'tiny-branch', and it is not the one given with --net, "
        "'tiny-chain'; leave --net out"
    ]


def test_faults_of_a_network_in_the_file(document: Document) -> None:
    document["network"] = network_document(builtin_network("tiny-branch"))
    document["network"]["layers"][0]["K"] = 0
    del document["network"]["layers"][1]["H"]
    first, second = problems(document)
    assert first.startswith("network: layer '")
    assert "K=0 (must be" in first
    assert "H is missing" in second


# Faults

Change = Callable[[Document], object]


def rows(document: Document) -> list[Any]:
    table: list[Any] = document["dlsa"]["dram_tensor_order"]
    return table


def row_with(document: Document, kind: str) -> list[Any]:
    return next(row for row in rows(document) if row[0] == kind)


NUMBER = "a whole number from -9007199254740992 to 9007199254740992"
ROW = "dlsa: DRAM tensor number"
FAULTS: dict[str, tuple[Change, str]] = {
    "no network": (
        lambda d: d.pop("network"),
        "network is missing (must be the name of a built-in network, or a ",
    ),
    "number for a network": (
        lambda d: d.update(network=5),
        "network=5 (must be the name of a built-in network, or ",
    ),
    "list for a network": (
        lambda d: d.update(network=[]),
        "network=[] (must be the name of a built-in network, or ",
    ),
    "version 3": (lambda d: d.update(version=3), "version=3 (must be 1 or 2)"),
    "batch 0": (
        lambda d: d.update(batch=0),
        "batch=0 (must be a whole number from 1 to 1048576, in digits alone)",
    ),
    "batch as text": (lambda d: d.update(batch="1"), 'batch="1" (must be a whole number from 1 to 1048576'),
    "unknown field": (lambda d: d.update(hardwar=1), '"hardwar" is not a field (must be one of '),
    "no hardware": (
        lambda d: d.pop("hardware"),
        "hardware is missing (must be an object with the fields of a ",
    ),
    "hardware as text": (
        lambda d: d.update(hardware="edge"),
        'hardware: holds "edge" (must be an object with gbuf_',
    ),
    "no PEs": (
        lambda d: d["hardware"].update(pe_grid=0),
        "hardware: pe_grid=0 (must be a whole number from 1 to ",
    ),
    "negative latency": (lambda d: d.update(latency=-1), "latency=-1 (must be a whole number from 0 to "),
    "latency with a point": (
        lambda d: d.update(latency=5.0),
        "latency=5.0 (must be a whole number from 0 to ",
    ),
    "energy that is none": (lambda d: d.update(edp=float("nan")), "edp=NaN (must be a number of at least 0)"),
    "twice a figure": (
        lambda d: d.update(expect={"tiles": 3}),
        "tiles is given twice, once in expect; keep one",
    ),
    "expected": (
        lambda d: d.update(expect={"tile": 3}),
        'expect: "tile" is not a field (must be one of latency_cycles, double_buffer',
    ),
    "bound as text": (
        lambda d: d.update(proven_lower_bound="5"),
        'proven_lower_bound="5" (must be a whole number of at least 0, or null)',
    ),
    "half a proof": (lambda d: d.update(proven_optimal=1), "proven_optimal=1 (must be true or false)"),
    "no provenance": (lambda d: d.update(provenance=None), "provenance=null (must be an object)"),
    "shapes": (
        lambda d: d.update(tile_shapes={"a": [1]}),
        'tile_shapes={"a": [1]} (must be an object with a list ',
    ),
    "begins": (
        lambda d: d.update(tile_begin_cycles=[0.5]),
        "tile_begin_cycles=[0.5] (must be a list of whole num",
    ),
    "no LFA": (lambda d: d.pop("lfa"), "lfa is missing (must be an object with flgs)"),
    "LFA as list": (lambda d: d.update(lfa=[]), "lfa: holds [] (must be an object with flgs)"),
    "no FLGs": (lambda d: d["lfa"].update(flgs=[]), "lfa: flgs=[] (must be a list of FLGs, not empty)"),
    "FLG as number": (
        lambda d: d["lfa"].update(flgs=[3]),
        "lfa: FLG number 1: holds 3 (must be an object with tili",
    ),
    "tiling number 0": (
        lambda d: d["lfa"]["flgs"][1].update(tiling_number=0),
        "lfa: FLG number 2: tiling_number=0 (must be a whole number from 1 to 2000000, in digits alone)",
    ),
    "tiling number too large": (
        lambda d: d["lfa"]["flgs"][0].update(tiling_number=999_999),
        "tiling_number=999999 of the FLG that begins with '",
    ),
    "cut": (
        lambda d: d["lfa"]["flgs"][2].update(dram_cut=0),
        "lfa: FLG number 3: dram_cut=0 (must be true or false)",
    ),
    "empty FLG": (
        lambda d: d["lfa"]["flgs"][2].update(layers=[]),
        "lfa: FLG number 3: layers=[] (must be a list of ",
    ),
    "layer as number": (
        lambda d: d["lfa"]["flgs"][2].update(layers=[7]),
        "lfa: FLG number 3: layers=[7] (must be a ",
    ),
    "no first cut": (
        lambda d: d["lfa"]["flgs"][0].update(dram_cut=False),
        "the first FLG must begin an LG: set its ",
    ),
    "layer left out": (lambda d: d["lfa"]["flgs"].pop(), "the LFA leaves out 3 of 6 layers, first '"),
    "layer unknown": (
        lambda d: d["lfa"]["flgs"][2]["layers"].append("nobody"),
        "the LFA names the layer 'nobody', which 'tiny-branch' does not have",
    ),
    "no DLSA": (
        lambda d: d.pop("dlsa"),
        "dlsa is missing (must be an object with columns and dram_tensor_order)",
    ),
    "no columns": (lambda d: d["dlsa"].pop("columns"), "dlsa: columns is missing (must be a list of names)"),
    "unknown column": (
        lambda d: d["dlsa"]["columns"].__setitem__(0, "king"),
        'dlsa: columns names "king" (must be one of kind, layer, tile, source, bytes, start, end, '
        "begin_cycle, pass); did you mean 'kind'?",
    ),
    "column as list": (
        lambda d: d["dlsa"]["columns"].__setitem__(7, []),
        "dlsa: columns names [] (must be one of ",
    ),
    "column twice": (
        lambda d: d["dlsa"]["columns"].append("end"),
        'dlsa: columns names "end" 2 times; keep one',
    ),
    "column missing": (
        lambda d: d["dlsa"]["columns"].remove("start"),
        'dlsa: columns leaves out "start"; only bytes and begin_cycle may be left out',
    ),
    "row as text": (
        lambda d: rows(d).insert(0, "ifm"),
        f'{ROW} 1: "ifm" (must be a list of 8 values: kind, layer, ',
    ),
    "row too short": (lambda d: rows(d)[1].pop(), f"{ROW} 2: ["),
    "unknown kind": (
        lambda d: rows(d)[2].__setitem__(0, "of"),
        f'{ROW} 3: kind="of" (must be one of ifm, wgt, ofm)',
    ),
    "layer as null": (
        lambda d: rows(d)[0].__setitem__(1, None),
        f"{ROW} 1: layer=null (must be the name of a layer)",
    ),
    "tile with a point": (lambda d: rows(d)[0].__setitem__(2, 0.0), f"{ROW} 1: tile=0.0 (must be {NUMBER})"),
    "source as null": (
        lambda d: rows(d)[0].__setitem__(3, None),
        f"{ROW} 1: source=null (must be a name, or empty ",
    ),
    "start as truth": (lambda d: rows(d)[0].__setitem__(5, True), f"{ROW} 1: start=true (must be {NUMBER})"),
    "end as text": (lambda d: rows(d)[0].__setitem__(6, "4"), f'{ROW} 1: end="4" (must be {NUMBER})'),
    "end too large": (
        lambda d: rows(d)[0].__setitem__(6, 2**63),
        f"{ROW} 1: end=9223372036854775808 (must be {NUMBER}",
    ),
    "other layer": (
        lambda d: row_with(d, "wgt").__setitem__(1, "nobody"),
        "layer=\"nobody\", which 'tiny-branch' does not have",
    ),
    "other source": (
        lambda d: row_with(d, "ifm").__setitem__(3, "inpt"),
        "source=\"inpt\" (must be one of input); did you mean 'input'?",
    ),
    "source of weights": (
        lambda d: row_with(d, "wgt").__setitem__(3, "image"),
        'source="image" (must be empty for wgt)',
    ),
    "tile of weights": (
        lambda d: row_with(d, "wgt").__setitem__(2, 1),
        "tile=1 (must be 0: weights are loaded once)",
    ),
    "tile 9": (
        lambda d: row_with(d, "ifm").__setitem__(2, 9),
        "tile=9 (must be from 0 to 1: 'stem' has 2 tiles)",
    ),
    "tile -1": (lambda d: row_with(d, "ofm").__setitem__(2, -1), "tile=-1 (must be from 0 to "),
    "bytes": (
        lambda d: row_with(d, "wgt").__setitem__(4, 1),
        "bytes=1, but it is 36864 for the weights of stem",
    ),
    "left out": (lambda d: rows(d).pop(0), "dlsa: dram_tensor_order leaves out 1 of the "),
    "all left out": (lambda d: rows(d).clear(), "dlsa: dram_tensor_order leaves out "),
    "twice": (lambda d: rows(d).append(rows(d)[0]), " is number 1 already; keep one of them"),
}


@pytest.mark.parametrize(("change", "words"), FAULTS.values(), ids=FAULTS)
def test_a_fault(document: Document, change: Change, words: str) -> None:
    change(document)
    found = problems(document)
    assert any(words in problem for problem in found), found
    assert all("\n" not in problem and len(problem) < 500 for problem in found)


@pytest.mark.parametrize(
    ("kind", "layer", "words"),
    [
        ("ifm", "add", "'add' loads no ifmap from DRAM under this LFA"),
        ("wgt", "add", "'add' has no weights of its own under this LFA"),
        ("ofm", "stem", "the ofmap of 'stem' stays on chip under this LFA"),
    ],
)
def test_a_tensor_that_this_lfa_does_not_have(kind: str, layer: str, words: str) -> None:
    network = builtin_network("tiny-branch")
    plan = make_plan(Problem(network, PLATFORMS["edge"]), fused_lfa(network, 1))
    document = copy.deepcopy(schedule_document(make_schedule(plan, double_buffering(plan.tensors))))
    rows(document).append([kind, layer, 0, "", 1, 0, 1, 0])
    number = len(rows(document))
    assert problems(document) == [f'{ROW} {number}: kind="{kind}", but {words}; leave it out']


@pytest.mark.parametrize("holds", [[], 5, None, "schedule", True])
def test_no_object(holds: object) -> None:
    (problem,) = problems(holds)
    assert problem.endswith("(must be an object with network, batch, hardware, lfa, dlsa)")


def test_faults_of_all_parts_are_told_at_once(document: Document) -> None:
    document["batch"] = 0
    document["network"] = "nonet"
    document["hardware"]["pe_grid"] = -1
    document["lfa"]["flgs"][0]["tiling_number"] = "2"
    document["lfa"]["flgs"][2]["dram_cut"] = None
    rows(document)[3][0] = "x"
    rows(document)[4][5] = None
    starts = [
        "batch=0",
        'network="nonet"',
        "hardware: pe_grid=-1",
        "lfa: FLG number 1: ",
        "lfa: FLG number 3: ",
    ]
    starts += [f'{ROW} 4: kind="x"', f"{ROW} 5: start=null"]
    found = problems(document)
    assert [problem.startswith(start) for problem, start in zip(found, starts, strict=True)] == [True] * 7


def test_at_most_fifty_faults_are_shown() -> None:
    document = load(next(path for path in FILES if path.stem.startswith("gpt2-xl-prefill")))
    for row in rows(document):
        row[4] += 1
    with pytest.raises(ScheduleFileError) as error:
        schedule_from_document(document, "s.json")
    assert len(error.value.problems) == len(rows(document)) > 50
    assert str(error.value).splitlines()[50:] == [f"and {len(rows(document)) - 50} more faults"]


def test_a_capacity_is_not_the_readers_matter(document: Document) -> None:
    document["hardware"]["gbuf_bytes"] = 1000
    stored = schedule_from_document(document, "here")
    assert [violation.rule for violation in violations(stored.plan, stored.dlsa)] == [Rule.CAPACITY]


def test_lists_in_lists(document: Document, tmp_path: Path) -> None:
    deep: list[Any] = []
    for _ in range(10**5):
        deep = [deep]
    assert problems(document | {"batch": deep}) == ["lists or objects are nested too deeply"]
    (tmp_path / "s.json").write_text("[" * 10**5, encoding="utf-8")
    with pytest.raises(UserError, match="nested too deeply"):
        read_schedule(tmp_path / "s.json")


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such file"):
        read_schedule(tmp_path / "s.json")


# Mutations

ODD_VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 3, 7, 2**31, 2**63, -(2**63), 10**30, 0.5, 1e300),
    *(float("nan"), float("inf"), "", "x", "input", "stem", "ifm", "wgt", "ofm", "tiny-chain", "\udcff"),
    *([], {}, [[]], [1, 2], ["stem"], {"x": 1}),
]


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every container in `value` with each of its keys or indices."""
    if isinstance(value, dict):
        return [(value, key) for key in value] + [place for item in value.values() for place in places(item)]
    if isinstance(value, list):
        return [(value, i) for i in range(len(value))] + [place for item in value for place in places(item)]
    return []


def mutate(document: Any, draw: random.Random) -> None:
    """Delete, repeat, replace, move or change one value at a random place."""
    found = places(document)
    if not found:
        return
    container, key = draw.choice(found)
    action = draw.randrange(6)
    if action == 0:
        del container[key]
    elif action == 1 and isinstance(container, list):
        container.insert(draw.randrange(len(container) + 1), copy.deepcopy(container[key]))
    elif action == 2 and isinstance(container[key], int):
        container[key] += draw.choice([-2, -1, 1, 2, 1000])
    elif action == 3:
        container[key] = copy.deepcopy(draw.choice([other[place] for other, place in found]))
    elif action == 4 and isinstance(container, dict):
        container[draw.choice(["x", "bytes", "name", "version"])] = container.pop(key)
    else:
        container[key] = copy.deepcopy(draw.choice(ODD_VALUES))


def use(read: Callable[[], StoredSchedule]) -> bool:
    """Read, check and evaluate; return whether this gives a schedule. If not, it must raise a `UserError`."""
    try:
        stored = read()
    except UserError as error:
        message = str(error)
    else:
        if not violations(stored.plan, stored.dlsa):
            claim_differences(stored, make_schedule(stored.plan, stored.dlsa))
        return True
    assert 0 < len(message) < 50_000
    assert message.encode()  # any terminal can print it
    return False


def original(embedded: bool) -> Document:
    network = builtin_network("tiny-branch")
    document = copy.deepcopy(schedule_document(tiny_schedule(network)))
    if embedded:
        document["network"] = network_document(network)
    return document


@pytest.mark.parametrize("embedded", [False, True])
@given(seed=st.integers(0, 2**63), mutations=st.integers(0, 3))
@examples(400)
def test_a_mutated_document_is_read_or_refused(embedded: bool, seed: int, mutations: int) -> None:
    document = original(embedded)
    draw = random.Random(seed)
    for _ in range(mutations):
        mutate(document, draw)
    assert use(lambda: schedule_from_document(document, "s.json")) or mutations > 0


@given(seed=st.integers(0, 2**63), number=st.integers(0, len(FILES) - 1))
@examples(60)
def test_a_mutated_published_file_is_read_or_refused(seed: int, number: int) -> None:
    document = load(FILES[number])
    mutate(document, random.Random(seed))
    use(lambda: schedule_from_document(document, "s.json"))


def test_a_mutated_text_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    data = json.dumps(original(embedded=True)).encode()
    draw = random.Random(1)
    for _ in range(200):
        broken = bytearray(data[: draw.choice([len(data), draw.randrange(len(data))])])
        for _ in range(draw.randrange(3)):
            broken[draw.randrange(len(broken))] = draw.randrange(256)
        path.write_bytes(broken)
        use(lambda: read_schedule(path))
