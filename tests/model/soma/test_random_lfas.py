"""The 55 published random LFAs under double buffering: tile shapes, counts, cycles, energy, buffer."""

import json
from typing import Any

import pytest
from support.paths import PUBLISHED

from soma_cp.model.hardware.builtin.catalogue import platform_named
from soma_cp.model.network.network_file import read_network_file
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import double_buffering
from soma_cp.model.soma.evaluation import evaluate
from soma_cp.model.soma.lfa import FLG, LFA
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.validity import Rule, violations

CASES = json.loads((PUBLISHED / "random_lfas.json").read_text(encoding="utf-8"))


def plan_of(case: dict[str, Any]) -> Plan:
    network = read_network_file(PUBLISHED / "networks" / f"{case['network']}.json")
    problem = Problem(network, platform_named(case["platform"]), case["batch"])
    flgs = case["lfa"]["flgs"]
    return make_plan(
        problem, LFA(tuple(FLG(tuple(flg["layers"]), flg["tiling_number"], flg["dram_cut"]) for flg in flgs))
    )


def test_there_are_55() -> None:
    assert len(CASES) == 55


@pytest.mark.parametrize("number", range(len(CASES)))
def test_random_lfa(number: int) -> None:
    expected = CASES[number]["expect"]
    plan = plan_of(CASES[number])
    order = [plan.problem.network.layer_id[name] for name in plan.lfa.computing_order]
    assert plan.layers.extent[order].tolist() == expected["tile_shapes"]
    assert plan.tile_count == expected["tiles"]
    assert plan.dram_tensor_count == expected["dram_tensors"]

    dlsa = double_buffering(plan.tensors)
    evaluation = evaluate(plan, dlsa)
    assert evaluation.latency == expected["double_buffer_latency"]
    assert evaluation.figures.compute_cycles == expected["compute_cycles"]
    assert evaluation.figures.dram_cycles == expected["dram_cycles"]
    assert evaluation.energy_pj == pytest.approx(expected["energy_pj"], rel=1e-9)
    assert evaluation.peak_buffer_bytes == expected["double_buffer_peak_bytes"]
    # Double buffering keeps every rule but the capacity, to which it pays no attention.
    assert {violation.rule for violation in violations(plan, dlsa)} <= {Rule.CAPACITY}
