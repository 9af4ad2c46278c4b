"""Advice at the end of ``solve``: estimates, or with ``--advise`` solved again, and how the lines look."""

import math
import textwrap
from itertools import chain, repeat

from rich.console import Console

from soma_cp.annealing.budget import Budget
from soma_cp.cli.interrupts import stops_on_interrupt
from soma_cp.cli.progress_display import progress_display
from soma_cp.cli.tables import LABEL_WIDTH
from soma_cp.solver.advice.advice import Advice
from soma_cp.solver.advice.advise import advise
from soma_cp.solver.advice.checks import checked_advice, is_baseline
from soma_cp.solver.solve import SolveResult


def advice_on(result: SolveResult, budget: Budget, check_seconds: float | None) -> tuple[Advice, ...]:
    """Return the advice on a result.

    Parameters
    ----------
    result
        Of a search under `budget`.
    budget
        Ctrl-C stops it, and the advice with it; its deadline has no effect.
    check_seconds
        How long solving again with all changes may take; infinite for no limit, None for estimates alone.
    """
    with stops_on_interrupt(budget):
        if check_seconds is None:
            parameters = result.parameters
            return advise(
                result.schedule,
                parameters.objective,
                result.network_bound,
                parameters.seed,
                budget,
                searches=not is_baseline(parameters),
            )
        limit = budget.extended(check_seconds)
        with progress_display(limit) as monitor:
            return checked_advice(result, monitor)


def check_seconds(advises: bool, limit: float | None) -> float | None:
    """Return how long the checks may take: as long as the search; None if there are none."""
    if not advises:
        return None
    return math.inf if limit is None else limit


def print_advice(out: Console, advice: tuple[Advice, ...]) -> None:
    """Print the lines, each below its label and broken where the terminal ends."""
    width = max(out.width - LABEL_WIDTH, LABEL_WIDTH)
    labels = chain(["what limits me"], repeat(""))
    if advice:
        out.print()
    for one in advice:
        for line in textwrap.wrap(one.text, width, subsequent_indent="  ", break_long_words=False):
            out.print(f"{next(labels):<{LABEL_WIDTH}}{line}", soft_wrap=True, markup=False)
