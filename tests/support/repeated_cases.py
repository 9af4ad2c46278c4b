"""tiny-chain in two passes, with a layer divided: schedules for tests of files and reports."""

from dataclasses import replace

from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.soma.plan import make_plan
from soma_cp.model.soma.schedule import Schedule, make_schedule
from support import divided_cases

PROBLEM = replace(divided_cases.PROBLEM, batch=6)
REPEATED_LFA = replace(divided_cases.DIVIDED_LFA, passes=2)
"""Of a pass over three samples."""


def repeated_schedule() -> Schedule:
    """Return the greedy schedule of `REPEATED_LFA`."""
    plan = make_plan(PROBLEM, REPEATED_LFA)
    return make_schedule(plan, greedy_dlsa(plan))
