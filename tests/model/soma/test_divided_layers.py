"""Layers divided by output channels: tiles and tensors by hand, schedule files, and what is refused."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from support.divided_cases import DIVIDED_LFA, DIVISIONS, PROBLEM, divided_schedule
from support.paths import DOCS
from support.strategies import Case, cases
from support.twins import examples, lfa_of, problem_of_case

from soma_cp.model.errors import UserError
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.core_array.protocol import NoMappingError
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.layers import Conv, ExternalInput, PointToPoint
from soma_cp.model.network.network import Division, Network
from soma_cp.model.network.network_file import network_document, network_from_document
from soma_cp.model.network.rewrites.channels import divided, divisions_up_to
from soma_cp.model.problem import Problem
from soma_cp.model.semantics import CORRECTED
from soma_cp.model.soma.dlsa import double_buffering
from soma_cp.model.soma.evaluation import evaluate
from soma_cp.model.soma.lfa import FLG, LFA, LFAError, unfused_lfa
from soma_cp.model.soma.lfa_arrays import lfa_arrays, lfa_from_arrays
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.schedule import make_schedule
from soma_cp.model.soma.schedule_document import schedule_document
from soma_cp.model.soma.schedule_file import ScheduleFileError, schedule_from_document
from soma_cp.model.soma.stored_schedule import claim_differences

EDGE = PLATFORMS["edge"]


def two(kernels: int) -> Network:
    """Return two 1×1 convolutions of 8 × 8 pixels, the first with that many kernels."""
    first = Conv(name="first", C=32, K=kernels, H=8, W=8, inputs=("x",))
    second = Conv(name="second", C=kernels, K=16, H=8, W=8, ifmaps=("first",))
    return Network("two", (ExternalInput("x", (32, 8, 8)),), (first, second))


def tensors(plan: Plan) -> list[tuple[str, str, int, str, int]]:
    return [(*plan.tensor_key(i), int(plan.tensors.bytes[i])) for i in range(plan.dram_tensor_count)]


# Tiles and tensors


def test_every_part_has_tensors_of_its_own() -> None:
    """Each part loads all 32 · 64 B of x, and its weights; each reader loads every part."""
    problem = Problem(two(256), EDGE)
    names = ("first/2", "first/1", "second")
    lfa = LFA(tuple(FLG((name,), 1, True) for name in names), divisions=(Division("first", (128, 128)),))
    plan = make_plan(problem, lfa)
    assert tensors(plan) == [
        ("ifm", "first/2", 0, "x", 2048),
        ("wgt", "first/2", 0, "", 32 * 128),
        ("ofm", "first/2", 0, "", 128 * 64),
        ("ifm", "first/1", 0, "x", 2048),
        ("wgt", "first/1", 0, "", 32 * 128),
        ("ofm", "first/1", 0, "", 128 * 64),
        ("ifm", "second", 0, "first/1", 128 * 64),
        ("ifm", "second", 0, "first/2", 128 * 64),
        ("wgt", "second", 0, "", 256 * 16),
        ("ofm", "second", 0, "", 16 * 64),
    ]


@pytest.mark.parametrize("platform", [EDGE, replace(EDGE, semantics=CORRECTED)], ids=lambda one: one.semantics)
def test_a_tile_of_a_part_has_its_own_channels(platform: Any) -> None:
    """In published semantics, a producer of an ordinary concatenation makes all 256 channels."""
    problem = Problem(two(256), platform)
    lfa = LFA((FLG(("first/1", "first/2", "second"), 2, True),), divisions=(Division("first", (128, 128)),))
    assert make_plan(problem, lfa).layers.extent[:2].tolist() == [[1, 128, 8, 4], [1, 128, 8, 4]]
    ordinary = make_plan(Problem(divided(two(256), 32 * 128), platform), replace(lfa, divisions=()))
    channels = 128 if platform.semantics == CORRECTED else 256
    assert ordinary.layers.extent[:2].tolist() == [[1, channels, 8, 4], [1, channels, 8, 4]]


def test_whole_granules_take_no_more_cycles() -> None:
    """1600 kernels on cloud: 256 at a time take 7 rounds, as 3 + 4 do; two halves of 800 take 8, and are refused."""
    projection = Conv(name="first", C=1600, K=1600, H=512, W=1, inputs=("x",))
    problem = Problem(Network("xl", (ExternalInput("x", (1600, 512, 1)),), (projection,)), PLATFORMS["cloud"])
    whole = make_plan(problem, unfused_lfa(problem.network)).layers.cycles[0]
    in_parts = (Division("first", (768, 832)),)
    parts = make_plan(problem, replace(unfused_lfa(problem.divided_as(in_parts).network), divisions=in_parts))
    assert parts.layers.cycles[0] + parts.layers.cycles[1] == whole
    with pytest.raises(UserError, match=r"800 \+ 800 channels: all parts but one must be multiples of 256, which the"):
        problem.divided_as((Division("first", (800, 800)),))


def assert_same_costs(plan: Plan, other: Plan) -> None:
    assert tensors(plan) == tensors(other)
    one, another = (evaluate(each, double_buffering(each.tensors)) for each in (plan, other))
    assert (one.latency, one.energy_pj, one.peak_buffer_bytes) == (
        another.latency,
        another.energy_pj,
        another.peak_buffer_bytes,
    )


@examples(150)
@given(cases(divides=True))
def test_in_corrected_semantics_a_division_is_an_ordinary_network(case: Case) -> None:
    case = case._replace(hardware=case.hardware | {"semantics": CORRECTED})
    problem, lfa = problem_of_case(case), lfa_of(case.lfa)
    try:
        plan = make_plan(problem, lfa)
    except NoMappingError:
        return
    made = plan.problem.network
    ordinary = network_from_document(network_document(made), "here")
    assert (made.whole, ordinary.divisions) == (problem.network, ())
    assert_same_costs(plan, make_plan(replace(problem, network=ordinary), replace(lfa, divisions=())))


def test_gpt2_divided_is_the_network_that_is_written_out() -> None:
    network = builtin_network("gpt2-small-prefill")
    divisions = divisions_up_to(network, 1 << 20, 256)
    assert [(one.layer, one.channels) for one in divisions] == [("ffn1", (1280, 1280, 512)), ("ffn2", (256,) * 3)]
    problem = Problem(network, replace(PLATFORMS["cloud"], semantics=CORRECTED), 2)
    ordinary = replace(problem, network=divided(network, 1 << 20))
    lfa = unfused_lfa(ordinary.network, 2)
    assert_same_costs(make_plan(problem, replace(lfa, divisions=divisions)), make_plan(ordinary, lfa))


def test_divisions_are_in_the_order_of_the_network() -> None:
    plan = make_plan(PROBLEM, replace(DIVIDED_LFA, divisions=DIVISIONS[::-1]))
    assert plan.lfa == DIVIDED_LFA
    assert plan.problem.divided_as(()) == PROBLEM
    assert make_plan(plan.problem, plan.lfa).problem is plan.problem


def test_arrays_keep_divisions() -> None:
    problem = PROBLEM.divided_as(DIVISIONS)
    arrays = lfa_arrays(DIVIDED_LFA, problem.network, problem.table)
    assert lfa_from_arrays(arrays, problem.network, problem.table) == DIVIDED_LFA
    assert make_plan(problem, unfused_lfa(problem.network)).problem is problem


def test_another_platform_has_another_granule() -> None:
    divided = make_plan(PROBLEM, DIVIDED_LFA).problem
    with pytest.raises(UserError, match="must be multiples of 128, which the core array 'published' computes at once"):
        make_plan(replace(divided, platform=EDGE), DIVIDED_LFA)
    free = replace(EDGE, core_array="roofline")
    assert make_plan(replace(divided, platform=free), DIVIDED_LFA).tile_count == 9


def test_parts_with_the_same_kernels_of_shared_weights_share_them() -> None:
    """The first 128 kernels are a part of both; the other 256 are one part of `a`, two of `b`."""
    layers = tuple(Conv(name=name, C=16, K=384, H=4, W=1, inputs=("x",), weights="tied") for name in ("a", "b"))
    problem = Problem(Network("tied", (ExternalInput("x", (16, 4, 1)),), layers), EDGE)
    divisions = (Division("a", (128, 256)), Division("b", (128, 128, 128)))
    assert problem.divided_as(divisions).table.stored_weights.tolist() == [0, 1, 0, 3, 4]


# Schedule files


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The file of the divided schedule."""
    found: dict[str, Any] = json.loads(json.dumps(schedule_document(divided_schedule())))
    return found


def test_a_file_makes_the_round_trip(document: dict[str, Any]) -> None:
    stored = schedule_from_document(document, "here")
    assert stored.plan.lfa == DIVIDED_LFA
    schedule = make_schedule(stored.plan, stored.dlsa)
    assert claim_differences(stored, schedule) == []
    assert schedule_document(schedule) == document


def test_what_a_file_says(document: dict[str, Any]) -> None:
    assert (document["version"], document["network"]) == (2, "tiny-chain")
    assert document["lfa"]["divisions"] == [
        {"layer": "conv3", "channels": [64, 64]},
        {"layer": "conv4", "channels": [64, 64]},
    ]
    assert document["lfa"]["flgs"][1]["layers"] == ["conv3/1", "conv3/2", "conv4/2"]
    assert document["tile_shapes"]["conv4/1"] == [1, 64, 14, 7]
    sources = {row[3] for row in document["dlsa"]["dram_tensor_order"] if row[1] == "conv4/1"}
    assert sources == {"", "conv3/1", "conv3/2"}


def test_version_1_is_taken_as_well(document: dict[str, Any]) -> None:
    """As with shared loads."""
    assert schedule_from_document(document | {"version": 1}, "here").plan.lfa == DIVIDED_LFA


def in_parts(*channels: int) -> list[dict[str, Any]]:
    return [{"layer": "conv3", "channels": [64, 64]}, {"layer": "conv4", "channels": list(channels)}]


@pytest.mark.parametrize(
    ("divisions", "words"),
    [
        (
            in_parts(64, 63),
            "layer 'conv4' can't be divided into 64 + 63 channels (must be two or more parts of at least 1 channel "
            "that add up to its 128)",
        ),
        (
            in_parts(60, 68),
            "layer 'conv4' can't be divided into 60 + 68 channels: all parts but one must be multiples of 64, which "
            "the core array 'published' computes at once",
        ),
        (in_parts(64, 64) * 2, "the layer 'conv3' is divided twice; keep one division"),
        (
            [{"layer": "conv5", "channels": [64, 64]}],
            "a division names the layer 'conv5', which 'tiny-chain' does not have; did you mean 'conv4'?",
        ),
        (
            in_parts(128),
            "lfa: division number 2: channels=[128] (must be a list of two or more whole numbers of at least 1)",
        ),
        (
            in_parts(128, 0),
            "lfa: division number 2: channels=[128, 0] (must be a list of two or more whole numbers of at least 1)",
        ),
        (
            in_parts(64, 64)[:1],
            "the LFA names the layer 'conv4/2', a part of 'conv4', which no division names",
        ),
    ],
)
def test_a_division_that_cannot_be_is_refused(document: dict[str, Any], divisions: object, words: str) -> None:
    check_refused(document | {"lfa": document["lfa"] | {"divisions": divisions}}, words)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        (["conv3/1", "conv4/2"], "the LFA runs 'conv4/2' before its producer 'conv3/2'; put producers first"),
        (["conv3/1", "conv3/2"], "the LFA leaves out 1 of 6 layers, first 'conv4/2'"),
        (["conv3/1", "conv3/2", "conv3/1"], "the LFA runs the layer 'conv3/1' twice; a layer stands in one FLG"),
        (
            ["conv3/1", "conv3/2", "conv4"],
            "the LFA names the layer 'conv4', which is divided; name its parts 'conv4/1', 'conv4/2'",
        ),
    ],
)
def test_parts_that_do_not_stand_once_are_refused(document: dict[str, Any], layers: list[str], words: str) -> None:
    changed = copy.deepcopy(document)
    changed["lfa"]["flgs"][1]["layers"] = layers
    check_refused(changed, words)


def test_a_tensor_of_a_divided_layer_is_refused(document: dict[str, Any]) -> None:
    changed = copy.deepcopy(document)
    row = next(row for row in changed["dlsa"]["dram_tensor_order"] if row[1] == "conv4/2")
    row[1] = "conv4"
    with pytest.raises(ScheduleFileError, match='layer="conv4", which is divided; name its parts '):
        schedule_from_document(changed, "here")


def check_refused(document: object, words: str) -> None:
    with pytest.raises(ScheduleFileError) as error:
        schedule_from_document(document, "here")
    assert error.value.problems == (f"here: {words}",)


def test_layers_that_cannot_be_divided_are_refused() -> None:
    act = PointToPoint(name="act", K=256, H=4, W=1, inputs=("x",))
    problem = Problem(Network("one", (ExternalInput("x", (256, 4, 1)),), (act,)), EDGE)
    with pytest.raises(UserError, match="layer 'act' can't be divided: it is no conv or fc with weights of its own"):
        problem.divided_as((Division("act", (128, 128)),))
    layers = (Conv(name="a", C=8, K=256, H=4, W=1, inputs=("a/2",)),)
    network = Network("taken", (ExternalInput("a/2", (8, 4, 1)),), layers)
    with pytest.raises(UserError, match="'a' can't be divided: its part 'a/2' would have the name of another input"):
        Problem(network, EDGE).divided_as((Division("a", (128, 128)),))


def test_a_shared_load_of_a_divided_layer_is_refused() -> None:
    lfa = LFA(DIVIDED_LFA.flgs, divisions=DIVISIONS)
    shared = replace(lfa, shared_loads=(("conv4", ""),))  # type: ignore[arg-type]
    with pytest.raises(LFAError, match="a shared load names the layer 'conv4', which is divided; name its parts"):
        make_plan(PROBLEM, shared)


def test_the_example_of_the_page_is_right() -> None:
    page = (DOCS / "file-formats.md").read_text(encoding="utf-8")
    example = page.split("**`lfa.divisions[]`**")[1].split("```json\n")[1].split("```")[0]
    document = schedule_document(divided_schedule())
    assert json.loads(example) == document["lfa"]


def test_files_are_those_of_the_disk(tmp_path: Path, document: dict[str, Any]) -> None:
    """A network of one's own is written whole, and undivided."""
    named = replace(PROBLEM, network=replace(PROBLEM.network, name="mine"))
    plan = make_plan(named, DIVIDED_LFA)
    written = schedule_document(make_schedule(plan, divided_schedule().dlsa))
    assert written["network"] == network_document(named.network)
    assert written["lfa"] == document["lfa"]
