"""``soma-cp solve``."""

import math
import os
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from soma_cp.cli.advice import advice_on, check_seconds, print_advice
from soma_cp.cli.inputs import HardwareOptions, budget_from, load_solver, problem_from, seconds_of
from soma_cp.cli.interrupts import stops_on_interrupt
from soma_cp.cli.onnx_models import OnnxModels
from soma_cp.cli.progress_display import prepare_kernels, progress_display
from soma_cp.cli.search_options import SearchOptions, parameters_from
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
    print_json,
    problem_text,
    schedule_table,
)
from soma_cp.cli.timeline import timeline_lines
from soma_cp.model.errors import UserError
from soma_cp.model.network.rewrites.blocks import blocks_in_a_row
from soma_cp.model.objective import Objective
from soma_cp.model.soma.execution.execution import make_execution
from soma_cp.model.soma.figures import json_figures
from soma_cp.solver.advice.advice import Advice
from soma_cp.solver.blocks import OneBlockRepeated, one_block_repeated
from soma_cp.solver.choices import FirstStage, SecondStage
from soma_cp.solver.first_stages import FIRST_STAGES
from soma_cp.solver.provenance import provenance
from soma_cp.solver.solve import SolveResult
from soma_cp.solver.solve import solve as solve_problem

ONE_BLOCK_SHARE = 0.2
"""Share of the time limit for one block alone, if several are scheduled as one network."""


@dataclass(frozen=True)
class SolveOptions:
    """The options of the command, as typed."""

    net: str
    batch: int
    seq: int | None
    hardware: HardwareOptions
    onnx: OnnxModels
    first_stage: FirstStage
    second_stage: SecondStage
    search: SearchOptions
    exact: bool
    blocks: int | None
    output: Path | None
    as_json: bool
    advise: bool = False


def run_solve(options: SolveOptions) -> None:
    """Solve, report and write."""
    problem = problem_from(options.net, options.seq, options.hardware, options.batch, options.onnx)
    block = None
    if options.blocks is not None:
        block, problem = problem, replace(problem, network=blocks_in_a_row(problem.network, options.blocks))
    parameters = replace(
        parameters_from(options.search),
        first_stage=options.first_stage,
        second_stage=options.second_stage,
        prove_seconds=math.inf,  # --time-limit decides
        exact=options.exact,
    )
    if options.output is not None:
        _check_writable(options.output)
    budget_from(options.search.time_limit)  # refuses an invalid limit before kernels are loaded
    if options.second_stage is SecondStage.CPSAT:
        load_solver()
    prepare_kernels(options.exact)
    budget = budget_from(options.search.time_limit)
    with stops_on_interrupt(budget), progress_display(budget) as monitor:
        alone = None
        if block is not None:
            alone = solve_problem(block, replace(parameters, exact=False), monitor.part(ONE_BLOCK_SHARE))
        result = solve_problem(problem, parameters, monitor)
    failure = _written(result, options)
    advice = advice_on(result, budget, check_seconds(options.advise, seconds_of(options.search.time_limit)))
    repeated = None
    document = _document(result) | {"advice": [one.document() for one in advice]}
    if alone is not None and options.blocks is not None:
        repeated = one_block_repeated(result.schedule, alone.schedule, options.blocks, parameters.objective)
        document["one_block_repeated"] = asdict(repeated)
    if options.as_json:
        print_json(document)
    else:
        _print(result, repeated, advice, options.output if failure is None else None)
    if failure is not None:  # raised last, so that the figures are not lost with the file
        sys.stdout.flush()
        raise failure


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
    return json_figures(best.schedule, best.lower_bound) | {
        "lfa_search": result.parameters.first_stage.value,
        "space": result.parameters.searched_space.value,
        "stage2": result.parameters.second_stage.value,
        "second_stage": best.method,
        "proven_lower_bound_source": best.lower_bound_source,
        "bound_over_every_lfa": {
            "latency": bound.latency,
            "latency_source": bound.latency_source,
            "energy_pj": bound.energy_pj,
            "cost": result.cost_bound,
        },
        "proven_optimal_over_every_lfa": result.is_global_optimum,
        "exact": _proof_document(result),
        "first_stage_latency": result.double_buffered.latency,
        "first_stage_edp": result.double_buffered.evaluation.edp,
        "iterations": result.iterations,
        "first_stage_rounds": result.rounds,
        "interrupted": result.interrupted,
        "out_of_time": result.out_of_time,
        "seed": result.parameters.seed,
        "seconds": result.seconds,
    }


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


def _written(result: SolveResult, options: SolveOptions) -> UserError | None:
    """Write the schedule if a file is given; return the error if that fails."""
    if options.output is None:
        return None
    # Imported late: pydantic takes a while.
    from soma_cp.model.soma.schedule_document import write_schedule

    made = provenance(result, seconds_of(options.search.time_limit)) | {"exact": _proof_document(result)}
    try:
        write_schedule(result.schedule, options.output, result.best.lower_bound, made)
    except UserError as error:
        return error
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
            text = f"{orders} gone through, {beginnings}, {proof.seconds:.1f} s"
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


def _print(
    result: SolveResult, repeated: OneBlockRepeated | None, advice: tuple[Advice, ...], output: Path | None
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
    blocks = blocks_line(schedule)
    if blocks:
        out.print(blocks)
    if repeated is not None:
        out.print(_repeated_line(repeated, result.parameters.objective), soft_wrap=True)
    finished = f"{result.iterations:,} finished"
    if FIRST_STAGES[result.parameters.first_stage].counts_iterations:
        finished = counted(result.iterations, "iteration")
    ended = "interrupted; " if result.interrupted else "time limit reached; " if result.out_of_time else ""
    out.print(
        f"{'search':<{LABEL_WIDTH}}{ended}{result.seconds:.1f} s, {counted(result.rounds, 'LFA')} tried, {finished}, "
        f"seed {result.parameters.seed}"
    )
    out.print()
    execution = make_execution(schedule)
    for timeline_line in timeline_lines(execution, out.width, out.options.ascii_only):
        out.print(timeline_line, no_wrap=True, overflow="crop")
    print_advice(out, advice)
    if output is not None:
        out.print()
        out.print(f"{'schedule written to':<{LABEL_WIDTH}}{output}", soft_wrap=True, markup=False)
