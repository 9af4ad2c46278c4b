"""Compiles the kernels that check and price a schedule, or loads their machine code; enough to read schedule files."""

from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.core_array.published_kernel import tile_costs
from soma_cp.model.kernel_compiler import called_kernels
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.problem import Problem
from soma_cp.model.soma import evaluation_kernel
from soma_cp.model.soma.dlsa import double_buffer, double_buffering
from soma_cp.model.soma.lfa import unfused_lfa
from soma_cp.model.soma.occupancy import fill_alive, fill_least_room
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.schedule import priced
from soma_cp.model.soma.tensors import count_tensors, make_tensors
from soma_cp.model.soma.tiling import tile_layers
from soma_cp.solver.second_stage.windows import best_combinatorial_bound
from soma_cp.solver.second_stage.windows_kernel import longest_paths, sorted_transfers

PRICING = (
    tile_costs,
    tile_layers,
    count_tensors,
    make_tensors,
    fill_alive,
    fill_least_room,
    double_buffer,
    evaluation_kernel.run,
    sorted_transfers,
    longest_paths,
)
"""The kernels that Python calls to price a schedule."""


def warm_up_pricing() -> None:
    """Compile or load the kernels that price a schedule and bound its latency."""
    plan = unfused_plan(smallest_problem())
    priced(plan, double_buffering(plan.tensors))
    best_combinatorial_bound(plan)


def pricing_kernels() -> set[str]:
    """Return the names of the kernels that `warm_up_pricing` compiles or loads."""
    return called_kernels(*PRICING)


def smallest_problem() -> Problem:
    """Return a problem of four layers that needs every kernel."""
    return Problem(builtin_network("tiny-chain"), PLATFORMS["edge"])


def unfused_plan(problem: Problem) -> Plan:
    """Return a plan of the problem."""
    return make_plan(problem, unfused_lfa(problem.network))
