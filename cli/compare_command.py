"""``soma-cp compare``."""

from dataclasses import dataclass, replace
from pathlib import Path

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.progress import Progress
from soma_cp.cli.inputs import budget_from, load_solver, network_from, problem_from
from soma_cp.cli.interrupts import stops_on_interrupt
from soma_cp.cli.progress_display import prepare_kernels, progress_display
from soma_cp.cli.search_options import SearchOptions, parameters_from
from soma_cp.cli.tables import (
    console,
    figures_document,
    lfa_text,
    percent,
    plain_table,
    print_json,
    problem_text,
)
from soma_cp.model.errors import UserError
from soma_cp.model.plan import Plan
from soma_cp.model.platform import MIB
from soma_cp.model.result import relative_gap
from soma_cp.solver.choices import FirstStage, Stage2
from soma_cp.solver.comparison import Comparison, compare_second_stages
from soma_cp.solver.pipeline import SolveParameters, solve


@dataclass(frozen=True)
class CompareOptions:
    """The options of the command, as typed."""

    net: str | None
    schedule: Path | None
    batch: int | None
    seq: int | None
    hardware: str | None
    lfa: FirstStage
    search: SearchOptions
    as_json: bool


def run_compare(options: CompareOptions) -> None:
    """Find or read an LFA, run every second stage on it, report."""
    _check_source(options)
    parameters = replace(parameters_from(options.search), lfa=options.lfa, stage2=Stage2.GREEDY)
    seconds = budget_from(options.search.time_limit).seconds_left
    load_solver()
    prepare_kernels()
    budget = Budget()
    with stops_on_interrupt(budget), progress_display(budget) as progress:
        plan, origin = _plan(options, parameters, seconds, budget, progress)
        comparison = compare_second_stages(plan, parameters, seconds, budget, progress)
    if options.as_json:
        _print_json(comparison, origin)
    else:
        _print(comparison, origin)


def _check_source(options: CompareOptions) -> None:
    """Refuse options that name no LFA, or two."""
    if options.net is None and options.schedule is None:
        raise UserError("compare needs --net NAME|FILE, or --schedule FILE whose LFA to take")
    if options.schedule is not None:
        for option, value in (("--batch", options.batch), ("--hw", options.hardware)):
            if value is not None:
                raise UserError(f"{option}={value} with --schedule, which has its own; leave one of the two out")
        if options.seq is not None and options.net is None:
            raise UserError(f"--seq={options.seq} with --schedule, which has its own; leave one of the two out")


def _plan(
    options: CompareOptions, parameters: SolveParameters, seconds: float, budget: Budget, progress: Progress
) -> tuple[Plan, str]:
    """Return the plan on which to compare, and where its LFA is from."""
    if options.schedule is not None:
        # Imported late: pydantic takes a while.
        from soma_cp.model.schedule_file import read_schedule

        network = None if options.net is None else network_from(options.net, options.seq)
        return read_schedule(options.schedule, network).plan, f"LFA of {options.schedule}"
    assert options.net is not None
    problem = problem_from(options.net, options.seq, options.hardware, 1 if options.batch is None else options.batch)
    found = solve(problem, parameters, Budget(seconds, parent=budget), progress)
    search = "search that prices LFAs by the greedy second stage"
    if parameters.lfa is FirstStage.PAPER:
        search = "paper's first stage, Buffer Allocator with the greedy second stage"
    return found.plan, f"LFA of the {search}, seed {parameters.seed}"


def _print(comparison: Comparison, origin: str) -> None:
    out = console()
    plan = comparison.plan
    out.print(problem_text(plan.problem))
    out.print(origin)
    out.print(lfa_text(plan))
    out.print()
    pairs = list(zip(comparison.results, comparison.fits, strict=True))
    optimal = any(fits and result.evaluation.latency <= comparison.lower_bound for result, fits in pairs)
    known = "optimum" if optimal else "bound"
    table = plain_table(
        "\nsecond stage",
        "latency\n(cycles)",
        f"above\n{known}",
        "above\nmaximum",
        "energy × delay\n(pJ·cycles)",
        "peak\n(MiB)",
        "\nseconds",
        gap=2,
    )
    for result, fits in pairs:
        evaluation = result.evaluation
        table.add_row(
            result.method if fits else f"{result.method} *",
            f"{evaluation.latency:,}",
            percent(relative_gap(evaluation.latency, comparison.lower_bound)),
            percent(relative_gap(evaluation.latency, evaluation.figures.bound)),
            f"{evaluation.edp:.5g}",
            f"{evaluation.peak_buffer_bytes / MIB:.3f}",
            f"{result.seconds:.3f}",
        )
    out.print(table)
    if not all(comparison.fits):
        out.print(f"* exceeds the buffer of {plan.problem.platform.gbuf_bytes / MIB:g} MiB: can't run")
    out.print()
    out.print(f"proven {known:<15}{comparison.lower_bound:,} cycles ({comparison.lower_bound_source})")
    out.print(f"{'theoretical maximum':<22}{comparison.results[0].evaluation.figures.bound:,} cycles")


def _print_json(comparison: Comparison, origin: str) -> None:
    rows = []
    for result, fits in zip(comparison.results, comparison.fits, strict=True):
        figures = figures_document(comparison.plan, result.evaluation, comparison.lower_bound)
        rows.append(figures | {"second_stage": result.method, "fits": fits, "seconds": result.seconds})
    print_json(
        {
            "network": comparison.plan.problem.network.name,
            "batch": comparison.plan.problem.batch,
            "lfa": origin,
            "bound": comparison.results[0].evaluation.figures.bound,
            "proven_lower_bound": comparison.lower_bound,
            "proven_lower_bound_source": comparison.lower_bound_source,
            "second_stages": rows,
        }
    )
