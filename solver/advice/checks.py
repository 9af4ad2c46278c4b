"""Checks advice: solves the problem again with each change that is advised.

The search is the same in all but the platform: the same stages, parameters and seed. A schedule that is known for the
changed platform, from the estimate, is kept if the search finds no better one, so a checked gain is never below the
estimate.
"""

from dataclasses import replace

from soma_cp.annealing.monitor import Monitor
from soma_cp.model.problem import Problem
from soma_cp.model.soma.footprint import BufferTooSmallError
from soma_cp.model.soma.lfa import LFA
from soma_cp.model.soma.schedule import Schedule
from soma_cp.solver.advice.advice import Advice
from soma_cp.solver.advice.advise import estimates
from soma_cp.solver.advice.estimates import Estimate, gains
from soma_cp.solver.choices import COCCO_STAGES
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.solve import SolveResult, solve

PROVE_SECONDS = 60.0
"""Without a time limit, CP-SAT may work so long on the best LFA of each change."""


def checked_advice(result: SolveResult, monitor: Monitor) -> tuple[Advice, ...]:
    """Return the advice on the result of a search, each change of the hardware solved again.

    Parameters
    ----------
    result
        Of `soma_cp.solver.solve.solve`.
    monitor
        The time left is shared equally by the changes. Once it is stopped, the other changes keep their estimates; so
        does the one that is being solved, since its search was cut short.
    """
    parameters = result.parameters
    base, lines = estimates(
        result.schedule,
        parameters.objective,
        result.network_bound,
        parameters.seed,
        monitor.budget,
        searches=not is_baseline(parameters),
    )
    again = replace(parameters, prove_seconds=min(parameters.prove_seconds, PROVE_SECONDS))
    lfa = result.schedule.lfa if parameters.fix_lfa else None
    open_checks = sum(line.platform is not None for line in lines)
    checked = []
    for line in lines:
        if line.platform is None or monitor.budget.stop_requested:
            checked.append(line.advice)
            continue
        checked.append(_check(line, base, again, monitor.part(1 / open_checks), lfa))
        open_checks -= 1
    return tuple(checked)


def is_baseline(parameters: SolveParameters) -> bool:
    """Whether what is solved is a baseline, so that no other search says what it lacks."""
    return parameters.first_stage in COCCO_STAGES


def _check(line: Estimate, base: Schedule, parameters: SolveParameters, monitor: Monitor, lfa: LFA | None) -> Advice:
    """Return the line with the gain after solving again; as it is if the user stops that, or a fixed LFA fits no more.

    `lfa` is the LFA that the search keeps, if it keeps one.
    """
    assert line.platform is not None
    assert line.schedule is not None
    problem: Problem = replace(base.problem.whole, platform=line.platform)
    try:
        result = solve(problem, parameters, monitor, lfa)
    except BufferTooSmallError:
        return line.advice
    if result.interrupted:
        return line.advice
    best = min((line.schedule, result.schedule), key=lambda one: one.cost(parameters.objective))
    gain, latency_gain = gains(base, best, parameters.objective)
    return replace(line.advice, checked_gain=gain, checked_latency_gain=latency_gain)
