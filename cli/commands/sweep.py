"""``soma-cp sweep``."""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from soma_cp import __version__
from soma_cp.annealing.budget import Budget
from soma_cp.cli.commands.sweep_report import write_sweep_report
from soma_cp.cli.formats import csv_text
from soma_cp.cli.inputs import load_solver
from soma_cp.cli.interrupts import stops_on_interrupt
from soma_cp.cli.json_output import VERSION
from soma_cp.cli.kernel_progress import prepare_kernels
from soma_cp.cli.option_groups import NO_LOG, LogOptions
from soma_cp.cli.run_log import LOG, run_log
from soma_cp.cli.sweep_display import sweep_display
from soma_cp.cli.sweep_figures import FigureOptions
from soma_cp.cli.sweep_formats import SweepFormat
from soma_cp.cli.tables import console, counted
from soma_cp.model.errors import UserError
from soma_cp.model.files.text_file import write_text_atomically
from soma_cp.model.hardware.quantities import MIB, bytes_of, is_bare_number
from soma_cp.solver.parameters import MAX_WORKERS
from soma_cp.solver.sweep.artifact import artifact_rows
from soma_cp.solver.sweep.examples import example
from soma_cp.solver.sweep.findings.cases import newest
from soma_cp.solver.sweep.grid import read_sweep
from soma_cp.solver.sweep.marks import MARKED, marked
from soma_cp.solver.sweep.methods import FAMILIES, METHODS
from soma_cp.solver.sweep.plan import SweepPlan
from soma_cp.solver.sweep.processes import Processes
from soma_cp.solver.sweep.rows import Row, sorted_rows
from soma_cp.solver.sweep.run import LOST, Lost, keys_done, run_sweep
from soma_cp.solver.sweep.store import Store, read_rows, read_schedule

LEAST_MEMORY = 256 * MIB
_MOST_MESSAGES = 5


@dataclass(frozen=True)
class SweepOptions:
    """The options of the command, as typed."""

    file: Path | None
    store: Path | None
    example: str | None = None
    export: str | None = None
    jobs: int | None = None
    dask: str | None = None
    memory: str | None = None
    retry_failed: bool = False
    csv: Path | None = None
    json: Path | None = None
    format: SweepFormat = SweepFormat.CSV
    report: Path | None = None
    drawn: FigureOptions = FigureOptions()
    log: LogOptions = NO_LOG


def run_sweep_command(options: SweepOptions) -> None:
    """Run what is missing and report, print a ready file, or export a schedule."""
    if options.example is not None:
        print(example(options.example), end="")
        return
    if options.store is None:
        raise UserError("sweep needs a store: -o STORE.db")
    if options.export is not None:
        print(read_schedule(options.store, options.export), end="")
        return
    if options.drawn != FigureOptions() and options.report is None:
        raise UserError("--figure and what it shows need a folder: --report DIR")
    if options.file is None and options.report is not None:
        write_sweep_report(
            newest(read_rows(options.store)), options.store, options.store.stem, options.drawn, options.report
        )
        return
    if options.file is None:
        raise UserError("sweep needs a file that says what to vary; soma-cp sweep --example fig7-quick prints one")
    if options.format is not SweepFormat.CSV and options.csv is None:
        raise UserError(f"--format {options.format.value} is for --csv FILE, which is not given")
    with run_log(options.log):
        _sweep(options, options.file, options.store)


def _sweep(options: SweepOptions, file: Path, path: Path) -> None:
    sweep = read_sweep(file)
    for note in sweep.notes:
        print(f"soma-cp: note: {note}", file=sys.stderr)
    plan = SweepPlan(sweep)
    memory = _memory_bytes(options.memory)
    jobs = _jobs(options.jobs)
    budget = Budget()
    with ExitStack() as stack:
        store = stack.enter_context(Store(path))
        keys = [one.key for one in plan.wanted]
        if not keys_done(store.statuses(), options.retry_failed).issuperset(keys):
            _prepare(plan)
        stack.enter_context(stops_on_interrupt(budget))
        workers = stack.enter_context(_workers(options.dask, jobs, memory))
        with sweep_display(budget) as watch:
            run_sweep(plan, store, workers.executor, workers.count, watch, budget, workers.lost, options.retry_failed)
        rows = sorted_rows(store.rows(keys), METHODS)
    _write(rows, options)
    _print(plan, rows, path)
    if options.report is not None and rows:
        write_sweep_report(rows, path, sweep.name, options.drawn, options.report)
    if budget.stop_requested:
        raise KeyboardInterrupt


def _prepare(plan: SweepPlan) -> None:
    """Load the solver and compile kernels before there are workers, which then find the machine code on the disk."""
    load_solver()
    families = {METHODS[method].family for method in plan.sweep.methods}
    prepare_kernels(*(FAMILIES[family].parameters(plan.sweep.points[0]) for family in sorted(families)))


@dataclass(frozen=True)
class _Workers:
    """What runs tasks, how many at once, and which of its errors say nothing of a task."""

    executor: Executor
    count: int
    lost: Lost = LOST


@contextmanager
def _workers(dask: str | None, jobs: int, memory: int | None) -> Iterator[_Workers]:
    """Yield processes of this machine, or a cluster; end what runs with the block."""
    if dask is not None:
        # Imported late: an extra.
        from soma_cp.solver.sweep.cluster import cluster

        with cluster(dask) as (executor, count, lost):
            yield _Workers(executor, count, lost)
        return
    processes = Processes(jobs, memory)
    try:
        yield _Workers(processes, jobs)
    finally:
        processes.shutdown(wait=False, cancel_futures=True)


def _jobs(typed: int | None) -> int:
    if typed is not None and not 1 <= typed <= MAX_WORKERS:
        raise UserError(f"--jobs={typed} (must be from 1 to {MAX_WORKERS})")
    return typed or min(os.cpu_count() or 1, MAX_WORKERS)


def _memory_bytes(typed: str | None) -> int | None:
    if typed is None:
        return None
    size = None if is_bare_number(typed) else bytes_of(typed)
    if size is None or size < LEAST_MEMORY:
        raise UserError(f"--memory={typed} (must be a size such as 4GiB, at least {LEAST_MEMORY // MIB}MiB)")
    return size


def _write(rows: list[Row], options: SweepOptions) -> None:
    """Write the files that are asked for."""
    steady = marked(rows)
    if options.csv is not None:
        as_artifact = options.format is SweepFormat.ARTIFACT_CSV
        text = csv_text(artifact_rows(rows)) if as_artifact else csv_text(steady, MARKED)
        write_text_atomically(options.csv, text)
    if options.json is not None:
        head = {"result": "sweep", "version": VERSION, "tool_version": __version__}
        text = json.dumps({**head, "rows": steady}, indent=1, ensure_ascii=False) + "\n"
        write_text_atomically(options.json, text)


def _print(plan: SweepPlan, rows: list[Row], path: Path) -> None:
    """Say what the store has of the sweep."""
    ended = Counter(row["status"] for row in rows)
    missing = len(plan.wanted) - len(rows)
    parts = [f"{count:,} {status}" for status, count in ended.items()] + ([f"{missing:,} missing"] if missing else [])
    points = f"{counted(len(plan.sweep.points), 'point')}, {counted(len(plan.wanted), 'result')}"
    text = f"{plan.sweep.name}: {points}: {', '.join(parts)}"
    LOG.info("%s", text)
    out = console()
    out.print(text, soft_wrap=True, markup=False)
    messages = Counter((row["status"], row["message"]) for row in rows if row["message"])
    for (status, message), count in messages.most_common(_MOST_MESSAGES):
        out.print(f"  {count:,} {status}: {message}", soft_wrap=True, markup=False)
    if len(messages) > _MOST_MESSAGES:
        out.print(f"  and {len(messages) - _MOST_MESSAGES:,} more messages", soft_wrap=True)
    if missing:
        out.print(f"the same command goes on, with what {path} has", soft_wrap=True, markup=False)
