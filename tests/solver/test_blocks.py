"""One block repeated, beside blocks as one network."""

from dataclasses import replace

from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.rewrites.blocks import blocks_in_a_row
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import unfused_lfa
from soma_cp.model.soma.plan import make_plan
from soma_cp.model.soma.schedule import Schedule, priced
from soma_cp.solver.blocks import OneBlockRepeated, one_block_repeated


def unfused(problem: Problem) -> Schedule:
    plan = make_plan(problem, unfused_lfa(problem.network, 8))
    return priced(plan, greedy_dlsa(plan))


def test_shares_are_of_all_runs_of_the_one_block() -> None:
    block = Problem(builtin_network("gpt2-small", 32), PLATFORMS["edge"])
    alone = unfused(block)
    together = unfused(replace(block, network=blocks_in_a_row(block.network, 3)))
    repeated = one_block_repeated(together, alone, 3, Objective(2, 1))
    latency, energy = together.latency / (3 * alone.latency), together.energy_pj / (3 * alone.energy_pj)
    assert latency < 1  # weights of the next block load early
    assert repeated == OneBlockRepeated(
        blocks=3,
        latency=3 * alone.latency,
        energy_pj=3 * alone.energy_pj,
        latency_as_one=latency,
        energy_as_one=energy,
        cost_as_one=repeated.cost_as_one,
    )
    assert abs(repeated.cost_as_one - energy**2 * latency) < 1e-12
