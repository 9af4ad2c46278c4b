"""``soma-cp compare --baselines``: the Cocco baseline, the paper's search and ours on the same problem (docs/cocco.md).

The baseline has two bars: double buffered, as it is, and its LFA with the exact second stage, which shows what its
layer fusion alone loses. So has the paper's search: its first stage, double buffered, and its result.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from soma_cp.annealing.monitor import Monitor
from soma_cp.cli.formats import Format, csv_text, markdown_text
from soma_cp.cli.json_output import print_json, with_former_names, without_seconds
from soma_cp.cli.tables import cell, console, plain_table, problem_text, seconds_cell
from soma_cp.model.network.types_in_use import types_document
from soma_cp.model.problem import Problem
from soma_cp.model.soma.figures import csv_figures, figure, json_figures, problem_figures
from soma_cp.model.soma.schedule import Schedule
from soma_cp.solver.choices import FirstStage, SecondStage, UsePeriods
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.solve import SolveResult, solve

SHOWN = {
    "latency_cycles": "latency\n(cycles)",
    "energy_pj": "energy\n(mJ)",
    "energy_delay_pj_cycles": "energy × delay\n(pJ·cycles)",
    "lgs": "\nLGs",
    "flgs": "\nFLGs",
}
"""Columns of the table, by the names of their figures."""


@dataclass(frozen=True)
class Bar:
    """A method, its schedule, the lower bound on the latency of its LFA (cycles), and how long it ran (seconds)."""

    method: str
    schedule: Schedule
    lower_bound: int
    seconds: float


@dataclass(frozen=True)
class BaselineCase:
    """The bars of one problem, the baseline first; `note` is what decides its figures."""

    problem: Problem
    bars: tuple[Bar, ...]
    note: str
    deterministic: bool


def runs_of_baselines(parameters: SolveParameters) -> tuple[SolveParameters, ...]:
    """Return the parameters of all searches: the baseline, the paper's, ours."""
    known = replace(parameters, space=None, passes=None, periods=UsePeriods.AUTO)
    return (
        replace(known, first_stage=FirstStage.COCCO, second_stage=SecondStage.NONE),
        replace(known, first_stage=FirstStage.PAPER, second_stage=SecondStage.SA),
        replace(parameters, first_stage=FirstStage.GREEDY, second_stage=SecondStage.CPSAT),
    )


def baseline_case(problem: Problem, parameters: SolveParameters, seconds: float, monitor: Monitor) -> BaselineCase:
    """Run all methods on a problem, each within `seconds`."""

    def timed(run: SolveParameters, start: Schedule | None = None) -> tuple[SolveResult, float]:
        begin = time.monotonic()
        found = solve(problem, replace(run, prove_seconds=math.inf), monitor.within(seconds), start)
        return found, time.monotonic() - begin

    cocco, paper, ours = runs_of_baselines(parameters)
    baseline, baseline_seconds = timed(cocco)
    exact, exact_seconds = timed(replace(cocco, second_stage=SecondStage.CPSAT, fix_lfa=True), start=baseline.schedule)
    published, published_seconds = timed(paper)
    found, found_seconds = timed(ours)
    bars = (
        Bar(f"Cocco, {baseline.best.method}", baseline.schedule, baseline.best.lower_bound, baseline_seconds),
        Bar("Cocco's LFA, exact second stage", exact.schedule, exact.best.lower_bound, exact_seconds),
        Bar("paper's LFA, double buffering", published.double_buffered, published.best.lower_bound, published_seconds),
        Bar("paper's LFA, SA", published.schedule, published.best.lower_bound, published_seconds),
        Bar("ours", found.schedule, found.best.lower_bound, found_seconds),
    )
    capped = "" if parameters.cocco.capped else ", uncapped"
    note = f"Cocco baseline: tiling rule {parameters.cocco.tiling}{capped}, seed {parameters.seed}"
    return BaselineCase(problem, bars, note, parameters.cpsat.deterministic)


def print_baselines(cases: Sequence[BaselineCase], form: Format | None, done: str) -> None:
    """Print all cases in a format; a table unless one is given."""
    if form is Format.JSON:
        documents = [_document(case) for case in cases]
        print_json("compare", {"baselines": documents, "interrupted": bool(done)})
    elif form is Format.CSV:
        rows = [row for case in cases for row in _rows(case)]
        print(csv_text(without_seconds(rows) if cases[0].deterministic else rows), end="")
    elif form is Format.MARKDOWN:
        heads = ("network, batch", "method", *(head.strip() for head in SHOWN.values()), "to the baseline", "seconds")
        print(markdown_text(heads, [(_label(case), *cells) for case in cases for cells in _cells(case)]), end="")
    else:
        _print_tables(cases, done)


def _label(case: BaselineCase) -> str:
    return f"{case.problem.network.name}, {case.problem.samples}"


def _cells(case: BaselineCase) -> list[tuple[str, ...]]:
    """Return a row for each bar; its energy × delay is set against the baseline's."""
    reference = case.bars[0].schedule.evaluation.edp
    return [
        (
            bar.method + ("" if bar.schedule.fits else " *"),
            *(cell(figure(name), bar.schedule) for name in SHOWN),
            f"{bar.schedule.evaluation.edp / reference:.3f}",
            seconds_cell(bar.seconds, 1, case.deterministic),
        )
        for bar in case.bars
    ]


def _print_tables(cases: Sequence[BaselineCase], done: str) -> None:
    out = console()
    for case in cases:
        out.print(problem_text(case.problem))
        table = plain_table("", *SHOWN.values(), "to the\nbaseline", "\nseconds", gap=1)
        for cells in _cells(case):
            table.add_row(*cells)
        out.print(table)
        out.print(f"{case.note}; what it leaves out of Cocco: docs/cocco.md", soft_wrap=True)
        if not all(bar.schedule.fits for bar in case.bars):
            out.print("* exceeds the buffer: can't run")
        out.print()
    if done:
        out.print(done)


def _rows(case: BaselineCase) -> list[dict[str, Any]]:
    return [
        {"method": bar.method, "fits": bar.schedule.fits}
        | csv_figures(bar.schedule, bar.lower_bound)
        | {"seconds": bar.seconds, "baseline": case.note}
        for bar in case.bars
    ]


def _document(case: BaselineCase) -> dict[str, Any]:
    methods = [
        with_former_names(
            json_figures(bar.schedule, bar.lower_bound)
            | {"method": bar.method, "fits": bar.schedule.fits, "seconds": bar.seconds}
        )
        for bar in case.bars
    ]
    document = with_former_names(
        {
            **problem_figures(case.bars[0].schedule),
            **types_document(case.problem.network.whole),
            "baseline": case.note,
            "methods": methods,
        }
    )
    return without_seconds(document) if case.deterministic else document
