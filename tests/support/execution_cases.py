"""Executions of random schedules for tests of events and reports."""

from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st

from soma_cp.model.soma.dlsa import DLSA, double_buffering
from soma_cp.model.soma.execution.execution import Execution, make_execution
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.schedule import priced
from soma_cp.model.soma.schedule_file import read_schedule
from support.paths import PUBLISHED
from support.strategies import valid_dlsas
from support.twins import dlsa_of, pairs

SCHEDULES = PUBLISHED / "schedules"
GPT2 = SCHEDULES / "gpt2-small-prefill.b1.8MiB.16GBps.json"


def execution_of(plan: Plan, dlsa: DLSA) -> Execution:
    return make_execution(priced(plan, dlsa))


def execution_in(path: Path) -> Execution:
    """Return the events of a stored schedule."""
    stored = read_schedule(path)
    return execution_of(stored.plan, stored.dlsa)


def at_clock(execution: Execution, clock_hz: int) -> Execution:
    """Return double buffering of the same LFA on a platform of another clock."""
    problem = execution.schedule.problem
    problem = replace(problem, platform=replace(problem.platform, clock_hz=clock_hz))
    plan = make_plan(problem, execution.schedule.lfa)
    return execution_of(plan, double_buffering(plan.tensors))


@st.composite
def executions(draw: st.DrawFn) -> Execution:
    """Draw the events of a random schedule that is valid, except that it may exceed the capacity."""
    pair = draw(pairs(divides=True))
    return execution_of(pair.plan, dlsa_of(pair.plan, draw(valid_dlsas(pair.slow))))
