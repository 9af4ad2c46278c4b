"""``soma-cp gap``."""

from dataclasses import dataclass, replace
from typing import Any

from soma_cp.annealing.budget import Budget
from soma_cp.cli.formats import Format, csv_text, markdown_text
from soma_cp.cli.inputs import budget_from, load_solver, problem_from
from soma_cp.cli.interrupts import stops_on_interrupt
from soma_cp.cli.json_output import print_json, without_seconds
from soma_cp.cli.kernel_progress import prepare_kernels
from soma_cp.cli.onnx_models import OnnxModels
from soma_cp.cli.option_groups import NO_LOG, HardwareOptions, LogOptions, SearchOptions, TypeOptions
from soma_cp.cli.progress_display import progress_display
from soma_cp.cli.run_log import LOG, run_log
from soma_cp.cli.search_options import parameters_from
from soma_cp.cli.tables import (
    LABEL_WIDTH,
    console,
    cost_name,
    lfa_text,
    millijoules,
    percent,
    plain_table,
    problem_text,
    seconds_cell,
)
from soma_cp.model.errors import UserError
from soma_cp.model.network.types_in_use import types_document
from soma_cp.model.soma.figures import Measured, figure, problem_figures
from soma_cp.solver.choices import SecondStage
from soma_cp.solver.ladder import BOUND_OF_ALL, MAXIMUM_OF_LFA, Ladder, Step, gap_ladder


@dataclass(frozen=True)
class GapOptions:
    """The options of the command, as typed."""

    nets: list[str]
    batches: list[int]
    seq: int | None
    types: TypeOptions
    hardware: HardwareOptions
    onnx: OnnxModels
    search: SearchOptions
    format: Format
    log: LogOptions = NO_LOG


def run_gap(options: GapOptions) -> None:
    """Make the ladder of every network at every batch; tables are printed one by one, other formats at the end."""
    with run_log(options.log):
        _gap(options)


def _gap(options: GapOptions) -> None:
    if not options.nets:
        raise UserError("missing option '--net', or a network after 'gap'; see 'soma-cp gap --help'")
    problems = [
        problem_from(net, options.seq, options.hardware, batch, options.onnx, options.types)
        for net in options.nets
        for batch in options.batches
    ]
    parameters = parameters_from(options.search)
    seconds = budget_from(options.search.time_limit).seconds_left
    load_solver()
    prepare_kernels(*(replace(parameters, second_stage=stage) for stage in (SecondStage.SA, SecondStage.CPSAT)))
    budget = Budget()
    deterministic = parameters.cpsat.deterministic
    ladders: list[Ladder] = []
    with stops_on_interrupt(budget):
        for problem in problems:
            if budget.stop_requested:
                break
            LOG.info("%s", problem_text(problem))
            with progress_display(budget) as monitor:
                ladders.append(gap_ladder(problem, parameters, seconds, monitor))
            if options.format is Format.TABLE:
                _print(ladders[-1], deterministic, first=len(ladders) == 1)
    if options.format is Format.JSON:
        document = {"ladders": [_document(ladder) for ladder in ladders]}
        print_json("gap", without_seconds(document) if deterministic else document)
    elif options.format is Format.CSV:
        rows = [_row(ladder, step) for ladder in ladders for step in ladder.steps]
        print(csv_text(without_seconds(rows) if deterministic else rows), end="")
    elif options.format is Format.MARKDOWN:
        print(markdown_text(_MARKDOWN, [_cells(ladder, step) for ladder in ladders for step in ladder.steps]), end="")


def _print(ladder: Ladder, deterministic: bool, first: bool) -> None:
    out = console()
    if not first:
        out.print()
    out.print(problem_text(ladder.problem))
    out.print(lfa_text(ladder.plan))
    out.print()
    table = plain_table(
        "",
        "latency\n(cycles)",
        "energy\n(mJ)",
        f"{cost_name(ladder.objective)}\n",
        "latency above\nthe LFA's bound",
        "cost above\nevery LFA's",
        "seconds\n",
        gap=2,
    )
    for step in ladder.steps:
        table.add_row(
            f"{step.name} *" if step.how and not step.is_bound else step.name,
            f"{step.latency:,}",
            millijoules(step.energy_pj),
            f"{step.cost:.5g}",
            "" if step.is_bound else percent(ladder.above_lfa_bound(step)),
            _above_every_lfa(ladder, step),
            seconds_cell(step.seconds, 2, deterministic),
        )
    out.print(table)
    out.print()
    for step in ladder.steps:
        if step.how:
            out.print(f"{step.name if step.is_bound else step.name + ' *':<{LABEL_WIDTH}}{step.how}", soft_wrap=True)
    ended = _ended(ladder)
    if ended:
        out.print(f"{'search':<{LABEL_WIDTH}}{ended}")


def _above_every_lfa(ladder: Ladder, step: Step) -> str:
    """Return the gap to the bound over every LFA, of schedules and of the tightest bound of their LFA alone."""
    return "" if step.name in (BOUND_OF_ALL, MAXIMUM_OF_LFA) else percent(ladder.above_every_lfa(step))


def _ended(ladder: Ladder) -> str:
    if ladder.interrupted:
        return "interrupted: a longer search may find a better LFA"
    return "time limit reached: a longer search may find a better LFA" if ladder.out_of_time else ""


def _row(ladder: Ladder, step: Step) -> dict[str, Any]:
    return {
        "network": ladder.problem.network.name,
        "batch": ladder.problem.samples,
        "step": step.name,
        "kind": "bound" if step.is_bound else "schedule",
        "latency_cycles": step.latency,
        "energy_pj": step.energy_pj,
        "cost": step.cost,
        "latency_above_lfa_bound": None if step.is_bound else ladder.above_lfa_bound(step),
        "cost_above_every_lfa": ladder.above_every_lfa(step),
        "how": step.how,
        "seconds": step.seconds,
    }


_SIZE = ("lgs", "flgs", "tiles", "dram_tensors")


def _document(ladder: Ladder) -> dict[str, Any]:
    objective = ladder.objective
    return {
        **problem_figures(ladder.schedule),
        **types_document(ladder.problem.network.whole),
        **{name: figure(name).compute(Measured(ladder.schedule)) for name in _SIZE},
        "energy_exponent": objective.energy_exponent,
        "delay_exponent": objective.delay_exponent,
        "space": ladder.space.value,
        "interrupted": ladder.interrupted,
        "out_of_time": ladder.out_of_time,
        "steps": [_row(ladder, step) for step in ladder.steps],
    }


_MARKDOWN = (
    "network",
    "batch",
    "step",
    "latency (cycles)",
    "energy (mJ)",
    "cost",
    "above LFA's bound",
    "above every LFA's",
)


def _cells(ladder: Ladder, step: Step) -> tuple[object, ...]:
    return (
        ladder.problem.network.name,
        ladder.problem.samples,
        step.name,
        f"{step.latency:,}",
        millijoules(step.energy_pj),
        f"{step.cost:.5g}",
        "" if step.is_bound else percent(ladder.above_lfa_bound(step)),
        _above_every_lfa(ladder, step),
    )
