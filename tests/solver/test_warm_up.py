"""Warming up compiles every kernel that a run calls, so that none is compiled while the run's clock ticks."""

import subprocess
import sys

import pytest

CALLS = """
from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters
from soma_cp.annealing.first_stage.paper_search import PaperSearchParameters
from soma_cp.model import kernel_compiler
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.problem import Problem
from soma_cp.solver.choices import FirstStage, SecondStage, Space
from soma_cp.solver.parameters import CpSatParameters, SolveParameters
from soma_cp.solver.pricing_warm_up import pricing_kernels, warm_up_pricing
from soma_cp.solver.solve import solve
from soma_cp.solver.warm_up import kernels_of, warm_up

called = []
in_lowered = kernel_compiler.Kernel.compile


def compile(kernel, signature):
    if kernel_compiler._depth == 0:  # Python calls it
        called.append(f"{kernel.__module__}.{kernel.__qualname__}")
    return in_lowered(kernel, signature)


kernel_compiler.Kernel.compile = compile


def run(parameters):
    for network in ("tiny-chain",) if parameters.exact else ("tiny-attention", "tiny-wide", "gpt2-small-decode"):
        solve(Problem(builtin_network(network), PLATFORMS["edge"]), parameters)


def solve_as(second_stage, **others):
    return SolveParameters(
        search=LFASearchParameters(rounds=2000),
        paper_search=PaperSearchParameters(rounds_per_layer=20),
        cpsat=CpSatParameters(deterministic=True, deterministic_time=0.1),
        second_stage=second_stage,
        **others,
    )
"""


def names_after(code: str) -> list[str]:
    """Run `code` in a process of its own; return the lines that it prints."""
    ran = subprocess.run([sys.executable, "-c", CALLS + code], capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


@pytest.mark.parametrize(
    "parameters",
    [
        "solve_as(SecondStage.GREEDY)",
        "solve_as(SecondStage.GREEDY, first_stage=FirstStage.PAPER)",
        "solve_as(SecondStage.NONE, first_stage=FirstStage.COCCO)",
        "solve_as(SecondStage.NONE, first_stage=FirstStage.COCCO_GA)",
        "solve_as(SecondStage.CPSAT)",
        "solve_as(SecondStage.CPSAT, space=Space.PAPER)",
        "solve_as(SecondStage.SA)",
        "solve_as(SecondStage.CPSAT, exact=True)",
    ],
)
def test_no_kernel_waits_for_the_run(parameters: str) -> None:
    code = (
        f"parameters = {parameters}\nwarm_up(parameters)\nassert len(called) > 10\n"
        "called.clear()\nrun(parameters)\nprint(*called)"
    )
    assert names_after(code) == []


@pytest.mark.parametrize(
    ("warm", "names"),
    [
        ("warm_up_pricing()", "pricing_kernels()"),
        ("warm_up(solve_as(SecondStage.GREEDY))", "kernels_of(solve_as(SecondStage.GREEDY))"),
        ("warm_up(solve_as(SecondStage.CPSAT))", "kernels_of(solve_as(SecondStage.CPSAT))"),
        (
            "warm_up(solve_as(SecondStage.CPSAT, space=Space.PAPER))",
            "kernels_of(solve_as(SecondStage.CPSAT, space=Space.PAPER))",
        ),
        ("warm_up()", "kernels_of()"),
    ],
)
def test_the_kernels_that_a_command_counts_are_those_that_it_compiles(warm: str, names: str) -> None:
    assert names_after(f"{warm}\nprint(*sorted(set(called) - {names}))") == []
