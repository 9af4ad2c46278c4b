"""Passes over parts of the batch: tiles and times by hand, schedule files, and what is refused."""

import copy
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from support.repeated_cases import PROBLEM, REPEATED_LFA, repeated_schedule
from support.strategies import Case, cases
from support.twins import examples, lfa_of, problem_of_case

from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.core_array.protocol import NoMappingError
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.layers import Conv, ExternalInput
from soma_cp.model.network.network import Network
from soma_cp.model.network.rewrites.passes import PassesError, in_passes
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import DLSA, double_buffering
from soma_cp.model.soma.evaluation import evaluate, plan_figures
from soma_cp.model.soma.lfa import FLG, LFA, LFAError, unfused_lfa
from soma_cp.model.soma.plan import make_plan
from soma_cp.model.soma.schedule import make_schedule
from soma_cp.model.soma.schedule_document import schedule_document
from soma_cp.model.soma.schedule_file import ScheduleFileError, schedule_from_document
from soma_cp.model.soma.stored_schedule import claim_differences

EDGE = PLATFORMS["edge"]


def one_layer(name: str = "conv") -> Network:
    """Return a 1×1 convolution of 8 × 8 pixels, from 32 channels to 64."""
    return Network("one", (ExternalInput("x", (32, 8, 8)),), (Conv(name=name, C=32, K=64, H=8, W=8, inputs=("x",)),))


# Tiles, tensors and times


def test_two_passes_by_hand() -> None:
    """A batch of 4 in two passes of 2.

    In each, x has 2 · 32 · 64 = 4,096 B (256 cycles at 16 B a cycle), the weights have 32 · 64 = 2,048 B (128 cycles),
    the ofmap has 2 · 64 · 64 = 8,192 B (512 cycles). With all loads first, the tile of pass 1 begins when its loads
    have ended, at 256 + 128 = 384, that of pass 2 at 768. The stores then take 768 – 1,280 and 1,280 – 1,792.
    """
    plan = make_plan(Problem(one_layer(), EDGE, 4), LFA((FLG(("conv",), 1, True),), passes=2))
    keys = [plan.key_in_pass(tensor) for tensor in range(plan.dram_tensor_count)]
    assert keys == [
        (kind, "conv", 0, source, number)
        for number in (0, 1)
        for kind, source in (("ifm", "x"), ("wgt", ""), ("ofm", ""))
    ]
    assert plan.tensors.bytes.tolist() == [4096, 2048, 8192] * 2
    assert plan.tensor_label(3) == "ifmap of conv (pass 2)[0] from x (pass 2)"
    assert plan.layers.extent.tolist() == [[2, 64, 8, 8]] * 2
    order = np.array([0, 1, 3, 4, 2, 5])
    start, end = np.array([-1, -1, 0, -1, -1, 1]), np.array([1, 1, 2, 2, 2, 2])
    schedule = make_schedule(plan, DLSA(order, start, end))
    assert plan.tile_cycles.max() <= 384
    assert schedule.evaluation.tile_begin.tolist() == [384, 768]
    assert schedule.evaluation.tensor_begin.tolist() == [0, 256, 768, 384, 640, 1280]
    assert schedule.latency == 1792
    assert schedule.evaluation.figures.dram_energy_pj == 2 * (4096 + 2048 + 8192) * 84
    matrix, _ = schedule.problem.whole.network.operations
    assert schedule.evaluation.figures.operation_cycles == 4 * matrix / EDGE.macs_per_cycle


@examples(150)
@given(cases(passes=True, divides=True))
def test_passes_cost_as_often_as_one_pass(case: Case) -> None:
    """Energies, cycles and transfers are those of a batch of one pass, once for each."""
    problem, lfa = problem_of_case(case), lfa_of(case.lfa)
    try:
        plan = make_plan(problem, lfa)
    except NoMappingError:
        return
    alone = make_plan(replace(problem, batch=problem.batch // lfa.passes), replace(lfa, passes=1))
    run, once = plan_figures(plan), plan_figures(alone)
    assert (run.compute_cycles, run.dram_cycles) == (lfa.passes * once.compute_cycles, lfa.passes * once.dram_cycles)
    assert run.energy_pj == pytest.approx(lfa.passes * once.energy_pj, rel=1e-12)
    assert run.operation_cycles == pytest.approx(lfa.passes * once.operation_cycles, rel=1e-12)
    in_a_row, single = (evaluate(one, double_buffering(one.tensors)) for one in (plan, alone))
    assert in_a_row.latency <= lfa.passes * single.latency
    assert (plan.problem.whole, plan.problem.samples) == (problem, problem.batch)


def test_the_problem_of_a_plan_is_the_problem_in_passes() -> None:
    plan = make_plan(PROBLEM, REPEATED_LFA)
    assert (plan.problem.batch, plan.problem.samples, plan.problem.network.passes) == (3, 6, 2)
    assert (plan.problem.whole, plan.problem.one_pass.batch) == (PROBLEM, 3)
    assert make_plan(plan.problem, plan.lfa).problem is plan.problem
    assert make_plan(plan.problem, replace(plan.lfa, passes=3)).problem.batch == 2
    assert make_plan(plan.problem, replace(plan.lfa, passes=1)).problem == PROBLEM.divided_as(plan.lfa.divisions)
    assert (plan.run.lg_count, plan.lfa.lg_count) == (2 * plan.lfa.lg_count, 2)


def test_weights_with_a_name_are_loaded_in_each_pass() -> None:
    layers = tuple(Conv(name=name, C=16, K=16, H=4, W=1, inputs=("x",), weights="tied") for name in ("a", "b"))
    problem = Problem(Network("tied", (ExternalInput("x", (16, 4, 1)),), layers), EDGE, 2)
    repeated = problem.arranged_as((), 2)
    assert repeated.table.stored_weights.tolist() == [0, 0, 2, 2]


# What is refused


def test_passes_are_equal() -> None:
    lfa = replace(unfused_lfa(one_layer()), passes=3)
    with pytest.raises(LFAError, match=r"passes=3 for a batch of 4 \(must be a divisor of the batch"):
        make_plan(Problem(one_layer(), EDGE, 4), lfa)
    with pytest.raises(LFAError, match="passes=0 for a batch of 4"):
        make_plan(Problem(one_layer(), EDGE, 4), replace(lfa, passes=0))


def test_a_name_of_a_copy_is_refused() -> None:
    layers = tuple(Conv(name=name, C=16, K=16, H=4, W=1, inputs=("x",)) for name in ("a", "a (pass 2)"))
    network = Network("clash", (ExternalInput("x", (16, 4, 1)),), layers)
    with pytest.raises(PassesError, match=r"it has the name 'a \(pass 2\)' already"):
        in_passes(network, 2)
    with pytest.raises(LFAError, match="can't run in passes"):
        make_plan(Problem(network, EDGE, 2), replace(unfused_lfa(network), passes=2))


def test_layers_are_those_of_one_pass() -> None:
    lfa = LFA((FLG(("conv", "conv (pass 2)"), 1, True),), passes=2)
    with pytest.raises(LFAError, match=r"the LFA names the layer 'conv \(pass 2\)', which 'one' does not have"):
        make_plan(Problem(one_layer(), EDGE, 2), lfa)


# Schedule files


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The file of the schedule in passes."""
    found: dict[str, Any] = json.loads(json.dumps(schedule_document(repeated_schedule())))
    return found


def test_a_file_makes_the_round_trip(document: dict[str, Any]) -> None:
    stored = schedule_from_document(document, "here")
    assert stored.plan.lfa == REPEATED_LFA
    schedule = make_schedule(stored.plan, stored.dlsa)
    assert claim_differences(stored, schedule) == []
    assert schedule_document(schedule) == document


def test_what_a_file_says(document: dict[str, Any]) -> None:
    assert (document["version"], document["network"], document["batch"]) == (2, "tiny-chain", 6)
    assert document["lfa"]["passes"] == {"count": 2}
    assert document["lfa"]["flgs"][1]["layers"] == ["conv3/1", "conv3/2", "conv4/2"]
    assert document["tile_shapes"]["conv4/1"] == [3, 64, 14, 7]
    assert document["dlsa"]["columns"][-1] == "pass"
    rows = document["dlsa"]["dram_tensor_order"]
    keys = {number: sorted(tuple(row[:5]) for row in rows if row[-1] == number) for number in (0, 1)}
    assert keys[0] == keys[1]
    assert len(keys[0]) == 17


def test_one_pass_is_no_passes(document: dict[str, Any]) -> None:
    problem = Problem(builtin_network("tiny-chain"), EDGE, 2)
    plan = make_plan(problem, unfused_lfa(problem.network))
    written = schedule_document(make_schedule(plan, double_buffering(plan.tensors)))
    assert "passes" not in written["lfa"]
    assert (written["version"], "pass" in written["dlsa"]["columns"]) == (1, False)
    written["lfa"]["passes"] = {"count": 1}
    assert schedule_from_document(written, "here").plan.lfa == plan.lfa


def changed(document: dict[str, Any], **lfa: Any) -> dict[str, Any]:
    made = copy.deepcopy(document)
    made["lfa"] |= lfa
    return made


@pytest.mark.parametrize(
    ("passes", "words"),
    [
        ({"count": 4}, "passes=4 for a batch of 6 (must be a divisor of the batch: all passes are alike)"),
        ({"count": 0}, "lfa: passes: count=0 (must be a whole number from 1 to 1048576, in digits alone)"),
        ({"count": 2, "kept": []}, 'lfa: passes: "kept" is not a field (must be one of count)'),
        (2, "lfa: passes: holds 2 (must be an object with count)"),
    ],
)
def test_faults_of_passes(document: dict[str, Any], passes: Any, words: str) -> None:
    with pytest.raises(ScheduleFileError) as raised:
        schedule_from_document(changed(document, passes=passes), "here")
    assert words in str(raised.value)


def test_faults_of_the_column(document: dict[str, Any]) -> None:
    wrong = copy.deepcopy(document)
    wrong["dlsa"]["dram_tensor_order"][0][-1] = 2
    with pytest.raises(ScheduleFileError, match=r"pass=2 \(must be from 0 to 1, one less than lfa.passes\)"):
        schedule_from_document(wrong, "here")
    wrong["dlsa"]["columns"].pop()
    for row in wrong["dlsa"]["dram_tensor_order"]:
        row.pop()
    with pytest.raises(ScheduleFileError, match="the column pass is missing"):
        schedule_from_document(wrong, "here")
