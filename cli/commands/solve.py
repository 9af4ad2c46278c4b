"""``soma-cp solve``."""

import math
import os
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from soma_cp.cli.advice import advice_on, check_seconds, print_advice
from soma_cp.cli.inputs import budget_from, load_solver, problem_from, seconds_of
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
    StartOptions,
    TypeOptions,
)
from soma_cp.cli.progress_display import progress_display
from soma_cp.cli.run_log import LOG, run_log
from soma_cp.cli.search_options import cocco_from, parameters_from
from soma_cp.cli.starts import (
    checked_start,
    read_start,
    resumed_options,
    resumed_parameters,
    stored_problem,
)
from soma_cp.cli.tables import (
    LABEL_WIDTH,
    blocks_line,
    bound_lines,
    console,
    cost_name,
    counted,
    lfa_text,
    millijoules,
    percent,
    problem_text,
    schedule_table,
)
from soma_cp.cli.timeline import timeline_lines
from soma_cp.model.errors import UserError
from soma_cp.model.network.rewrites.blocks import blocks_in_a_row
from soma_cp.model.network.types_in_use import types_document
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.execution.execution import make_execution
from soma_cp.model.soma.figures import json_figures
from soma_cp.model.soma.stored_schedule import StoredSchedule
from soma_cp.solver.advice.advice import Advice
from soma_cp.solver.blocks import OneBlockRepeated, one_block_repeated
from soma_cp.solver.choices import COCCO_STAGES
from soma_cp.solver.first_stages import first_stage
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.provenance import cocco_record, provenance, start_record
from soma_cp.solver.second_stages import second_stage
from soma_cp.solver.solve import SolveResult
from soma_cp.solver.solve import solve as solve_problem
from soma_cp.solver.start import OwnStart

ONE_BLOCK_SHARE = 0.2
"""Share of the time limit for one block alone, if several are scheduled as one network."""


@dataclass(frozen=True)
class SolveOptions:
    """The options of the command, as typed."""

    net: str | None
    batch: int
    seq: int | None
    types: TypeOptions
    hardware: HardwareOptions
    onnx: OnnxModels
    first_stage: str
    second_stage: str
    search: SearchOptions
    starts: StartOptions
    exact: bool
    blocks: int | None
    output: Path | None
    as_json: bool
    advise: bool = False
    log: LogOptions = NO_LOG
    cocco: CoccoOptions = NO_COCCO


def run_solve(options: SolveOptions) -> None:
    """Solve, report and write."""
    with run_log(options.log):
        _solve(options)


def _solve(options: SolveOptions) -> None:
    named = options.starts.named
    if named is not None and named[0] == "--resume":
        options = replace(options, output=options.output or named[1])
    job = _job(options, named)
    parameters = job.parameters
    first_stage(parameters.first_stage)  # refuses an unknown name
    takes_solver = second_stage(parameters.second_stage).proves
    if options.output is not None:
        _check_writable(options.output)
    budget_from(job.time_limit)  # refuses an invalid limit before kernels are loaded
    if takes_solver:
        load_solver()
    prepare_kernels(parameters)
    start = None
    if named is not None and job.stored is not None:
        start = checked_start(named, job.stored, job.problem, parameters)
    LOG.info("%s", problem_text(job.problem))
    budget = budget_from(job.time_limit)
    with stops_on_interrupt(budget), progress_display(budget) as monitor:
        alone = None
        if job.block is not None:
            once = replace(parameters, exact=False, fix_lfa=False)
            alone = solve_problem(job.block, once, monitor.part(ONE_BLOCK_SHARE))
        result = solve_problem(job.problem, parameters, monitor, job.stored)
    LOG.info("%s", _end_text(result))
    failure = _written(result, options.output, job.time_limit)
    advice = advice_on(result, budget, check_seconds(options.advise, seconds_of(job.time_limit)))
    repeated = None
    document = _document(result) | {"advice": [one.document() for one in advice]}
    if alone is not None and options.blocks is not None:
        repeated = one_block_repeated(result.schedule, alone.schedule, options.blocks, parameters.objective)
        document["one_block_repeated"] = _repeated_document(repeated)
    if options.as_json:
        print_json("solve", without_seconds(document) if parameters.cpsat.deterministic else document)
    else:
        start_lines = _start_lines(result, named, start)
        _print(result, repeated, start_lines, advice, options.output if failure is None else None)
    if failure is not None:  # raised last, so that the figures are not lost with the file
        sys.stdout.flush()
        raise failure


@dataclass(frozen=True)
class _Job:
    """What the options amount to: a problem, how to search, and where to begin."""

    problem: Problem
    parameters: SolveParameters
    time_limit: float | None
    block: Problem | None = None
    stored: StoredSchedule | None = None


def _job(options: SolveOptions, named: tuple[str, Path] | None) -> _Job:
    """Read what the options name."""
    if named is not None and named[0] == "--resume":
        return _resumed_job(named[1], options.search)
    parameters = replace(
        parameters_from(options.search),
        first_stage=options.first_stage,
        second_stage=options.second_stage,
        cocco=cocco_from(options.cocco, options.first_stage),
        prove_seconds=math.inf,  # --time-limit decides
        fix_lfa=named is not None and named[0] == "--fix-lfa",
        exact=options.exact,
    )
    block: Problem | None = None
    stored: StoredSchedule | None = None
    if options.net is None:
        if named is None:
            raise UserError("solve needs --net NAME|FILE, or --start, --fix-lfa or --resume with a schedule file")
        stored = read_start(named[1], None)
        batch = options.batch if "batch" in options.starts.given else None
        problem = stored_problem(stored, batch, options.hardware)
    else:
        problem = problem_from(options.net, options.seq, options.hardware, options.batch, options.onnx, options.types)
        if options.blocks is not None:
            block, problem = problem, replace(problem, network=blocks_in_a_row(problem.network, options.blocks))
        if named is not None:
            stored = read_start(named[1], problem.network)
    return _Job(problem, parameters, options.search.time_limit, block, stored)


def _resumed_job(path: Path, typed: SearchOptions) -> _Job:
    """Read what a file says of its search."""
    stored = read_start(path, None)
    search = resumed_options(path, stored.provenance, typed.time_limit, typed.workers)
    parameters = resumed_parameters(path, stored.provenance, parameters_from(search))
    return _Job(stored.problem.whole, replace(parameters, prove_seconds=math.inf), search.time_limit, stored=stored)


def _check_writable(path: Path) -> None:
    """Refuse an output path before the search rather than after it."""
    folder = path.resolve().parent
    if not folder.is_dir():
        raise UserError(f"-o {path}: there is no folder '{folder}'; create it first")
    if path.is_dir():
        raise UserError(f"-o {path}: it is a folder; give the name of a file")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise UserError(f"-o {path}: it can't be written; choose a file and folder that can be")


def _document(result: SolveResult) -> dict[str, Any]:
    best, bound = result.best, result.network_bound
    document = json_figures(best.schedule, best.lower_bound) | {
        **types_document(best.schedule.problem.network.whole),
        "lfa_search": str(result.parameters.first_stage),
        "space": result.parameters.searched_space.value,
        **cocco_record(result.parameters),
        "stage2": str(result.parameters.second_stage),
        "second_stage": best.method,
        "proven_lower_bound_source": best.lower_bound_source,
        "bound_over_every_lfa": with_former_names(
            {
                "latency_cycles": bound.latency,
                "latency_source": bound.latency_source,
                "energy_pj": bound.energy_pj,
                "cost": result.cost_bound,
            }
        ),
        "proven_optimal_over_every_lfa": result.is_global_optimum,
        "exact": _proof_document(result),
        "first_stage_latency_cycles": result.double_buffered.latency,
        "first_stage_energy_delay_pj_cycles": result.double_buffered.evaluation.edp,
        "iterations": result.iterations,
        "first_stage_rounds": result.rounds,
        "interrupted": result.interrupted,
        "out_of_time": result.out_of_time,
        "seed": result.parameters.seed,
        "seconds": result.seconds,
        **start_record(result),
    }
    return with_former_names(document)


def _repeated_document(repeated: OneBlockRepeated) -> dict[str, Any]:
    """Return one block run several times, and how the blocks as one network compare."""
    document = asdict(repeated)
    return with_former_names({"blocks": document.pop("blocks"), "latency_cycles": document.pop("latency"), **document})


def _proof_document(result: SolveResult) -> dict[str, Any] | None:
    """Return the outcome of the search through all LFAs."""
    proof = result.proof
    if proof is None:
        return None
    return {
        "complete": proof.complete,
        "improved": proof.improved is not None,
        "computing_orders": proof.orders,
        "beginnings": proof.prefixes,
        "lfas": proof.lfas,
        "lfas_solved": proof.solved,
        "seconds": proof.seconds,
    }


def _written(result: SolveResult, output: Path | None, time_limit: float | None) -> UserError | None:
    """Write the schedule if a file is given; return the error if that fails."""
    if output is None:
        return None
    # Imported late: pydantic takes a while.
    from soma_cp.model.soma.schedule_document import write_schedule

    made = provenance(result, seconds_of(time_limit)) | {"exact": _proof_document(result)}
    if result.parameters.cpsat.deterministic:
        made = without_seconds(made)
    try:
        write_schedule(result.schedule, output, result.best.lower_bound, made)
    except UserError as error:
        return error
    LOG.info("schedule written to %s", output)
    return None


def _network_bound_lines(result: SolveResult) -> list[str]:
    """Say by how much a better LFA could improve the schedule at most."""
    objective, bound = result.parameters.objective, result.network_bound
    verdict = f"at most {percent(result.cost_gap)} above the optimum"
    if result.is_global_optimum:
        verdict = "proven optimal"
    space = result.parameters.searched_space.text
    figures = f"at least {bound.latency:,} cycles, {millijoules(bound.energy_pj)} mJ, {space}"
    lines = [
        f"{'over every LFA':<{LABEL_WIDTH}}{figures}{'' if bound.complete else ' (more time may raise it)'}",
        f"{'':<{LABEL_WIDTH}}{cost_name(objective)} {verdict}",
    ]
    proof = result.proof
    if proof is not None:
        text = "not needed: the bound is met"
        if not proof.complete or proof.orders:
            orders = f"{'all' if proof.complete else 'not complete:'} {counted(proof.orders, 'computing order')}"
            beginnings = f"{counted(proof.prefixes, 'beginning')} looked at closely"
            seconds = "" if result.parameters.cpsat.deterministic else f", {proof.seconds:.1f} s"
            text = f"{orders} gone through, {beginnings}{seconds}"
        lines.append(f"{'exact search':<{LABEL_WIDTH}}{text}")
    return lines


def _repeated_line(repeated: OneBlockRepeated, objective: Objective) -> str:
    shares = ", ".join(
        f"{share:.3f} of {name}"
        for share, name in (
            (repeated.latency_as_one, "the latency"),
            (repeated.energy_as_one, "the energy"),
            (repeated.cost_as_one, cost_name(objective)),
        )
    )
    figures = f"{repeated.latency:,} cycles, {millijoules(repeated.energy_pj)} mJ"
    return f"{'one block repeated':<{LABEL_WIDTH}}{figures}; as one network {shares}"


def _start_lines(result: SolveResult, named: tuple[str, Path] | None, own: OwnStart | None) -> list[str]:
    """Say what became of the start, and that the LFA was fixed."""
    if named is None or own is None:
        return []
    path, start, objective = named[1], result.start, result.parameters.objective
    text = f"{path}: its LFA alone"
    if start is not None:
        figures = f"{start.latency:,} cycles, {millijoules(start.energy_pj)} mJ"
        share = result.schedule.cost(objective) / start.cost(objective) if start.cost(objective) else 1.0
        better = f"{cost_name(objective)} is now {share:.4f} of it" if share < 1 else "nothing better was found"
        text = f"{path}: {figures}; {better}"
    lines = [f"{'start':<{LABEL_WIDTH}}{text}"]
    if result.parameters.fix_lfa:
        lines.append(
            f"{'fixed LFA':<{LABEL_WIDTH}}that of the start, and no other was searched: the proven lower bound is of "
            "it alone"
        )
    return lines


def _baseline_lines(parameters: SolveParameters) -> list[str]:
    """Say of the Cocco baseline what decides its figures, and what it leaves out."""
    if parameters.first_stage not in COCCO_STAGES:
        return []
    rule = f"tiling rule {parameters.cocco.tiling}{'' if parameters.cocco.capped else ', uncapped'}"
    return [
        f"{'Cocco baseline':<{LABEL_WIDTH}}{rule}, which decides the figures",
        f"{'':<{LABEL_WIDTH}}without its reuse of halos and order of updates",
    ]


def _end_text(result: SolveResult) -> str:
    """Say for the log how the search ended, and what it found."""
    schedule, best = result.schedule, result.best
    ended = "interrupted" if result.interrupted else "time limit reached" if result.out_of_time else "finished"
    figures = f"{schedule.latency:,} cycles, {millijoules(schedule.energy_pj)} mJ"
    return f"{ended}: {figures}, proven lower bound {best.lower_bound:,} cycles ({best.lower_bound_source})"


def _print(
    result: SolveResult,
    repeated: OneBlockRepeated | None,
    start_lines: list[str],
    advice: tuple[Advice, ...],
    output: Path | None,
) -> None:
    out = console()
    best, schedule = result.best, result.schedule
    out.print(problem_text(schedule.problem))
    out.print(lfa_text(schedule.plan))
    out.print()
    columns = {
        "first stage\n(double buffering)": result.double_buffered,
        f"second stage\n({best.method})": schedule,
    }
    out.print(schedule_table(columns))
    out.print()
    for line in bound_lines(best):
        out.print(line)
    for line in _network_bound_lines(result):
        out.print(line)
    for line in _baseline_lines(result.parameters):
        out.print(line)
    for line in start_lines:
        out.print(line, soft_wrap=True, markup=False)
    blocks = blocks_line(schedule)
    if blocks:
        out.print(blocks)
    if repeated is not None:
        out.print(_repeated_line(repeated, result.parameters.objective), soft_wrap=True)
    finished = f"{result.iterations:,} finished"
    if first_stage(result.parameters.first_stage).counts_iterations:
        finished = counted(result.iterations, "iteration")
    ended = "interrupted; " if result.interrupted else "time limit reached; " if result.out_of_time else ""
    seconds = "" if result.parameters.cpsat.deterministic else f"{result.seconds:.1f} s, "
    out.print(
        f"{'search':<{LABEL_WIDTH}}{ended}{seconds}{counted(result.rounds, 'LFA')} tried, {finished}, "
        f"seed {result.parameters.seed}{f', run {result.parameters.run + 1}' if result.parameters.run else ''}"
    )
    out.print()
    execution = make_execution(schedule)
    for timeline_line in timeline_lines(execution, out.width, out.options.ascii_only):
        out.print(timeline_line, no_wrap=True, overflow="crop")
    print_advice(out, advice)
    if output is not None:
        out.print()
        out.print(f"{'schedule written to':<{LABEL_WIDTH}}{output}", soft_wrap=True, markup=False)
