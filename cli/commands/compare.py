"""``soma-cp compare``."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.monitor import Monitor
from soma_cp.cli.commands.baselines import BaselineCase, baseline_case, print_baselines, runs_of_baselines
from soma_cp.cli.formats import Format, csv_text, markdown_text
from soma_cp.cli.inputs import budget_from, load_solver, network_from, problem_from
from soma_cp.cli.interrupts import stops_on_interrupt
from soma_cp.cli.json_output import print_json, with_former_names, without_seconds
from soma_cp.cli.kernel_progress import prepare_kernels
from soma_cp.cli.onnx_models import OnnxModels
from soma_cp.cli.option_groups import (
    NO_COCCO,
    NO_LOG,
    CoccoOptions,
    HardwareOptions,
    LogOptions,
    SearchOptions,
    TypeOptions,
)
from soma_cp.cli.progress_display import progress_display
from soma_cp.cli.run_log import LOG, run_log
from soma_cp.cli.search_options import cocco_from, parameters_from
from soma_cp.cli.tables import (
    cell,
    console,
    lfa_text,
    plain_table,
    problem_text,
    seconds_cell,
    short_percent,
    typed_name,
)
from soma_cp.model.errors import UserError
from soma_cp.model.hardware.quantities import MIB
from soma_cp.model.network.types_in_use import types_document, types_in_use
from soma_cp.model.problem import Problem
from soma_cp.model.soma.figures import csv_figures, figure, json_figures, problem_figures
from soma_cp.model.soma.plan import Plan
from soma_cp.solver.choices import FirstStage, SecondStage, UsePeriods
from soma_cp.solver.comparison import Comparison, compare_second_stages
from soma_cp.solver.first_stages import first_stage
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.second_stages import all_second_stages
from soma_cp.solver.solve import solve


@dataclass(frozen=True)
class CompareOptions:
    """The options of the command, as typed."""

    nets: list[str]
    schedules: list[Path]
    batches: list[int]
    seq: int | None
    types: TypeOptions
    hardware: HardwareOptions
    onnx: OnnxModels
    first_stage: str
    search: SearchOptions
    format: Format
    given: frozenset[str] = frozenset()
    """The options on the command line, by the names of their parameters."""
    log: LogOptions = NO_LOG
    cocco: CoccoOptions = NO_COCCO
    baselines: bool = False


@dataclass(frozen=True)
class _Case:
    """One LFA on which the second stages are compared."""

    comparison: Comparison
    origin: str
    path: Path | None
    out_of_time: bool
    deterministic: bool

    @property
    def label(self) -> str:
        """The name of its row in a table: the schedule file, or network and batch."""
        problem = self.comparison.plan.problem
        return f"{problem.network.name}, {problem.samples}" if self.path is None else self.path.name


def run_compare(options: CompareOptions) -> None:
    """Find or read LFAs, run every second stage on each, report."""
    with run_log(options.log):
        _compare(options)


def _compare(options: CompareOptions) -> None:
    _check_source(options)
    if options.baselines:
        _compare_baselines(options)
        return
    first_stage(options.first_stage)  # refuses an unknown name
    parameters = replace(
        parameters_from(options.search),
        first_stage=options.first_stage,
        second_stage=SecondStage.GREEDY,
        cocco=cocco_from(options.cocco, options.first_stage),
    )
    seconds = budget_from(options.search.time_limit).seconds_left
    sources = list(_sources(options))
    load_solver()
    prepare_kernels(*(replace(parameters, second_stage=stage) for stage in (SecondStage.SA, SecondStage.CPSAT)))
    budget = Budget()
    cases: list[_Case] = []
    with stops_on_interrupt(budget):
        for source in sources:
            if budget.stop_requested:
                break
            LOG.info("%s", problem_text(source) if isinstance(source, Problem) else f"LFA of {source[0]}")
            with progress_display(budget) as monitor:
                case = _case(source, parameters, seconds, monitor)
            if not budget.stop_requested or not cases:  # a case that was cut short can't be compared with others
                cases.append(case)
    done = "" if not budget.stop_requested else f"interrupted: {len(cases)} of {len(sources)} compared"
    if options.format is Format.JSON:
        documents = [_document(case) | {"interrupted": budget.stop_requested} for case in cases]
        print_json("compare", documents[0] if len(sources) == 1 else {"comparisons": documents})
    elif options.format is Format.CSV:
        print(csv_text([row for case in cases for row in _rows(case)]), end="")
    elif options.format is Format.MARKDOWN:
        print(markdown_text(_summary_columns(), [_summary(case) for case in cases]), end="")
    elif len(sources) == 1:
        _print(cases[0], done)
    else:
        _print_summary(cases, done)


def _compare_baselines(options: CompareOptions) -> None:
    """Search for every problem with the Cocco baseline, the paper's search and ours."""
    cocco = cocco_from(options.cocco, FirstStage.COCCO)
    parameters = replace(parameters_from(options.search), cocco=cocco)
    seconds = budget_from(options.search.time_limit).seconds_left
    sources = [source for source in _sources(options) if isinstance(source, Problem)]
    load_solver()
    prepare_kernels(*runs_of_baselines(parameters))
    budget = Budget()
    cases: list[BaselineCase] = []
    with stops_on_interrupt(budget):
        for source in sources:
            if budget.stop_requested:
                break
            LOG.info("%s", problem_text(source))
            with progress_display(budget) as monitor:
                case = baseline_case(source, parameters, seconds, monitor)
            if not budget.stop_requested or not cases:
                cases.append(case)
    done = "" if not budget.stop_requested else f"interrupted: {len(cases)} of {len(sources)} compared"
    print_baselines(cases, options.format, done)


def _check_source(options: CompareOptions) -> None:
    """Refuse options that name no LFA, or that contradict the schedule files."""
    if not options.nets and not options.schedules:
        raise UserError("compare needs --net NAME|FILE to search an LFA for, or --schedule FILE to take one from")
    if options.baselines:
        other = "--schedule" if options.schedules else "--lfa" if "lfa" in options.given else ""
        if other:
            raise UserError(f"--baselines searches with all first stages; leave {other} out")
    if options.schedules:
        batch = ("--batch", str(options.batches[0])) if options.batches else None
        space = ("--space", options.search.space.value) if options.search.space is not None else None
        passes = ("--passes", options.search.passes) if options.search.passes != "auto" else None
        periods = ("--periods", options.search.periods.value)
        searched = periods if options.search.periods is not UsePeriods.AUTO else None
        lfa = ("--lfa", options.first_stage) if "lfa" in options.given else None
        for given in (batch, options.hardware.given, space, passes, searched, lfa):
            if given is not None:
                raise UserError(f"{'='.join(given)} with --schedule, which has its own; leave one of the two out")
        seq = ("--seq", str(options.seq)) if options.seq is not None else None
        of_network = seq or options.types.given
        if of_network is not None and not options.nets:
            raise UserError(f"{'='.join(of_network)} with --schedule, which has its own; leave one of the two out")
        if len(options.nets) > 1:
            raise UserError(
                "--schedule takes at most one --net, the network file of the schedules; leave the others out"
            )


def _sources(options: CompareOptions) -> Iterator[Problem | tuple[Path, Plan]]:
    """Yield problems to search LFAs for, or the LFAs of files; all are read before any search."""
    if options.schedules:
        # Imported late: pydantic takes a while.
        from soma_cp.model.soma.schedule_file import read_schedule

        network = network_from(options.nets[0], options.seq, options.onnx, options.types) if options.nets else None
        for path in options.schedules:
            yield path, read_schedule(path, network).plan
        return
    for net in options.nets:
        for batch in options.batches or [1]:
            yield problem_from(net, options.seq, options.hardware, batch, options.onnx, options.types)


def _case(source: Problem | tuple[Path, Plan], parameters: SolveParameters, seconds: float, monitor: Monitor) -> _Case:
    """Search for an LFA, or take that of a file, and run every second stage on it."""
    deterministic = parameters.cpsat.deterministic
    if not isinstance(source, Problem):
        path, plan = source
        comparison = compare_second_stages(plan, parameters, seconds, monitor)
        return _Case(comparison, f"LFA of {path}", path, False, deterministic)
    found = solve(source, parameters, monitor.within(seconds))
    search = first_stage(parameters.first_stage).description
    comparison = compare_second_stages(found.schedule.plan, parameters, seconds, monitor)
    origin = f"LFA of the {search}, seed {parameters.seed}"
    return _Case(comparison, origin, None, found.out_of_time, deterministic)


def _print_ends(cases: list[_Case], done: str) -> None:
    """Say what was cut short."""
    out = console()
    late = [case.label for case in cases if case.out_of_time]
    if late:
        out.print(f"time limit reached in the search for the LFA: {'; '.join(late)}")
    if done:
        out.print(done)


def _print(case: _Case, done: str) -> None:
    out = console()
    comparison = case.comparison
    plan = comparison.plan
    out.print(problem_text(plan.problem))
    out.print(case.origin)
    out.print(lfa_text(plan))
    out.print()
    known = "optimum" if comparison.is_met else "bound"
    columns = {
        "latency_cycles": "latency\n(cycles)",
        "above_proven_lower_bound": f"above\n{known}",
        "above_theoretical_maximum": "above\nmaximum",
        "energy_delay_pj_cycles": "energy × delay\n(pJ·cycles)",
        "peak_buffer_bytes": "peak\n(MiB)",
    }
    table = plain_table("\nsecond stage", *columns.values(), "\nseconds", gap=2)
    for result in comparison.results:
        schedule = result.schedule
        table.add_row(
            result.method if schedule.fits else f"{result.method} *",
            *(cell(figure(name), schedule, comparison.lower_bound) for name in columns),
            seconds_cell(result.seconds, 3, case.deterministic),
        )
    out.print(table)
    if not comparison.all_fit:
        out.print(f"* exceeds the buffer of {plan.problem.platform.gbuf_bytes / MIB:g} MiB: can't run")
    out.print()
    out.print(f"proven {known:<15}{comparison.lower_bound:,} cycles ({comparison.lower_bound_source})")
    out.print(f"{'theoretical maximum':<22}{comparison.results[0].schedule.evaluation.figures.bound:,} cycles")
    _print_ends([case], done)


def _summary_columns() -> tuple[str, ...]:
    """Return the headers of the table of several cases."""
    entries = all_second_stages().values()
    return (
        "\nnetwork, batch",
        "DRAM\ntensors",
        *(entry.column for entry in entries),
        "bound\n(cycles)",
        *(f"{entry.column.strip()}\n(s)" for entry in entries if entry.shows_seconds),
    )


def _summary(case: _Case) -> tuple[str, ...]:
    """Return the cells of one case: how far every second stage is above the proven bound."""
    comparison = case.comparison
    above = [
        short_percent(comparison.gap(result)) + ("" if result.schedule.fits else " *") for result in comparison.results
    ]
    entries = zip(all_second_stages().values(), comparison.results, strict=True)
    seconds = [seconds_cell(result.seconds, 1, case.deterministic) for entry, result in entries if entry.shows_seconds]
    return (
        case.label,
        str(comparison.plan.dram_tensor_count),
        *above,
        f"{comparison.lower_bound:,}",
        *seconds,
    )


def _print_summary(cases: list[_Case], done: str) -> None:
    out = console()
    table = plain_table(*_summary_columns(), gap=1)
    for case in cases:
        table.add_row(*_summary(case))
    out.print(table)
    out.print()
    out.print("latency above the proven lower bound; 0.00 % is the optimum of that layer fusion")
    if not all(case.comparison.all_fit for case in cases):
        out.print("* exceeds the buffer: can't run")
    networks = [case.comparison.plan.problem.network for case in cases]
    typed = dict.fromkeys(typed_name(network) for network in networks if types_in_use(network).text)
    for name in typed:
        out.print(name)
    _print_ends(cases, done)


_COLUMNS = (
    *("network", "batch", "tiles", "dram_tensors", "second_stage", "fits", "latency_cycles", "energy_pj", "edp"),
    *("proven_lower_bound", "proven_lower_bound_source", "latency_above_bound", "theoretical_maximum"),
    *("peak_buffer_bytes", "seconds", "lfa", "out_of_time"),
)
"""The first columns of the CSV, in this order."""


def _rows(case: _Case) -> list[dict[str, Any]]:
    """Return a row for each second stage."""
    comparison = case.comparison
    rows = []
    for result in comparison.results:
        row = csv_figures(result.schedule, comparison.lower_bound) | {
            "second_stage": result.method,
            "fits": result.schedule.fits,
            "proven_lower_bound_source": comparison.lower_bound_source,
            "seconds": result.seconds,
            "lfa": case.origin,
            "out_of_time": case.out_of_time,
        }
        rows.append({name: row[name] for name in (*_COLUMNS, *row)})
    return without_seconds(rows) if case.deterministic else rows


def _document(case: _Case) -> dict[str, Any]:
    comparison = case.comparison
    rows = []
    for result in comparison.results:
        figures = json_figures(result.schedule, comparison.lower_bound)
        others = {"second_stage": result.method, "fits": result.schedule.fits, "seconds": result.seconds}
        rows.append(with_former_names(figures | others))
    document = {
        **problem_figures(comparison.results[0].schedule),
        **types_document(comparison.plan.problem.network.whole),
        "lfa": case.origin,
        "out_of_time": case.out_of_time,
        "theoretical_maximum_cycles": comparison.results[0].schedule.evaluation.figures.bound,
        "proven_lower_bound_cycles": comparison.lower_bound,
        "proven_lower_bound_source": comparison.lower_bound_source,
        "second_stages": rows,
    }
    document = with_former_names(document)
    return without_seconds(document) if case.deterministic else document
