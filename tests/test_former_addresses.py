"""Addresses that docs once named still work, with a warning that names the present one."""

import subprocess
import sys

import pytest

from soma_cp.former_addresses import FORMER

GUIDE = """
from soma_cp.model import network_table as nt
from soma_cp.model.core_array import CoreArray
from soma_cp.model.core_arrays.options import require_known, whole_number
from soma_cp.model.core_arrays.tile_work import ifmap_bytes, tile_work
from soma_cp.model.unit_energies import unit_energies
from soma_cp.model.hardware.core_array import protocol
from soma_cp.model.network import network_table
assert CoreArray is protocol.CoreArray and nt.KIND is network_table.KIND
"""
"""The imports of docs/core-arrays.md as they were before the modules moved."""

EXECUTION = """
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.execution import make_execution
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.problem import Problem
from soma_cp.model.soma.evaluation import evaluate
from soma_cp.model.soma.lfa import unfused_lfa
from soma_cp.model.soma.plan import make_plan
network = builtin_network("tiny-chain")
plan = make_plan(Problem(network, PLATFORMS["edge"]), unfused_lfa(network))
dlsa = greedy_dlsa(plan)
execution = make_execution(plan, dlsa, evaluate(plan, dlsa))
assert execution.latency == execution.schedule.latency > 0
"""


def run(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("code", [GUIDE, EXECUTION], ids=["core arrays", "executions"])
def test_code_written_for_former_addresses_runs(code: str) -> None:
    outcome = run(code)
    assert outcome.returncode == 0, outcome.stderr


@pytest.mark.parametrize("former", FORMER)
def test_a_former_address_warns_and_says_the_present_one(former: str) -> None:
    outcome = run(f"import {former}", "-W", "error::DeprecationWarning")
    assert outcome.returncode == 1
    above = (name for name in FORMER if f"{former}.".startswith(f"{name}."))
    first = min(above, key=len)  # a package comes before its modules
    assert f"{first} is now {FORMER[first]}" in outcome.stderr
