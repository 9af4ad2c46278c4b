"""tiny-chain with two layers divided, on a platform whose granule is 64: schedules for tests of files and reports."""

from dataclasses import replace

from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.network import Division
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import FLG, LFA
from soma_cp.model.soma.plan import make_plan
from soma_cp.model.soma.schedule import Schedule, make_schedule

PROBLEM = Problem(builtin_network("tiny-chain"), replace(PLATFORMS["edge"], pe_grid=2))
"""2 rows of PEs with 32 kernels each."""
DIVISIONS = (Division("conv3", (64, 64)), Division("conv4", (64, 64)))
DIVIDED_LFA = LFA(
    (
        FLG(("conv1", "conv2"), 2, True),
        FLG(("conv3/1", "conv3/2", "conv4/2"), 1, False),
        FLG(("conv4/1",), 2, True),
    ),
    divisions=DIVISIONS,
)
"""conv4/2 reads the parts of conv3 on chip, conv4/1 through DRAM."""


def divided_schedule() -> Schedule:
    """Return the greedy schedule of `DIVIDED_LFA`."""
    plan = make_plan(PROBLEM, DIVIDED_LFA)
    return make_schedule(plan, greedy_dlsa(plan))
