"""The loop: it runs what is missing, stores each result, tries once more what was lost, and can be stopped."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.brute_cocco import number_by_rule, own_numbers

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.cocco.tiling_rules import TilingRule
from soma_cp.model.errors import UserError
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.soma.plan import make_plan
from soma_cp.model.soma.schedule import make_schedule
from soma_cp.model.soma.schedule_file import schedule_from_document
from soma_cp.solver.sweep import tasks
from soma_cp.solver.sweep.grid import Sweep, read_sweep
from soma_cp.solver.sweep.methods import METHODS
from soma_cp.solver.sweep.outcome import Status
from soma_cp.solver.sweep.plan import SweepPlan
from soma_cp.solver.sweep.rows import COLUMNS, sorted_rows
from soma_cp.solver.sweep.run import Progress, run_sweep
from soma_cp.solver.sweep.store import Store, read_rows, read_schedule
from soma_cp.solver.sweep.tasks import OtherVersionsError, PointTask, Task, perform

ALL = "methods: [cocco, cocco-exact, paper-1, paper-2, paper-1-full, ours]\n"


def sweep_of(folder: Path, text: str, rounds: float = 0.02) -> Sweep:
    path = folder / "sweep.yaml"
    path.write_text(f"version: 1\nname: s\nlimits: {{rounds: {rounds}}}\n{text}")
    return read_sweep(path)


class Inline(Executor):
    """Runs tasks at once in this thread; `before` sees each task and may raise in its place."""

    def __init__(self, before: Callable[[Task], None] = lambda _: None) -> None:
        self.before = before
        self.tasks: list[Task] = []

    def submit(self, function: Any, task: Any, /, *_: Any, **__: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self.tasks.append(task)
        try:
            self.before(task)
            future.set_result(function(task))
        except Exception as error:
            future.set_exception(error)
        return future


def done(sweep: Sweep, path: Path, executor: Executor | None = None, **more: Any) -> Progress:
    with Store(path) as store:
        return run_sweep(SweepPlan(sweep), store, executor or Inline(), 2, **more)


SIX = "grid: {net: tiny-chain, batch: [1, 2, 3], dram: [4 GB/s, 8 GB/s]}\n"


def test_a_sweep_runs_once_cheap_points_first(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, f"methods: [paper-2]\n{SIX}")
    first, again = Inline(), Inline()
    progress = done(sweep, tmp_path / "s.db", first)
    assert (progress.tasks, progress.done, progress.failed) == (6, 6, 0)
    assert [task.point.problem.batch for task in first.tasks] == [1, 1, 2, 2, 3, 3]
    assert done(sweep, tmp_path / "s.db", again).tasks == 0
    assert again.tasks == []
    assert [row["status"] for row in read_rows(tmp_path / "s.db", "s")] == ["done"] * 6


def test_an_extended_file_runs_only_what_is_new(tmp_path: Path) -> None:
    done(sweep_of(tmp_path, "methods: [paper-2]\ngrid: {net: tiny-chain}\n"), tmp_path / "s.db")
    more = Inline()
    done(
        sweep_of(tmp_path, "methods: [paper-1, paper-2]\ngrid: {net: [tiny-chain, tiny-ffn]}\n"),
        tmp_path / "s.db",
        more,
    )
    assert [(task.point.net, sorted(task.keys)) for task in more.tasks] == [
        ("tiny-chain", ["paper-1"]),
        ("tiny-ffn", ["paper-1", "paper-2"]),
    ]


def test_no_method_sees_which_others_are_asked_for(tmp_path: Path) -> None:
    grid = "grid: {net: tiny-attention, hw: edge, buffer: 256KiB}\n"
    done(sweep_of(tmp_path, f"{ALL}{grid}"), tmp_path / "all.db")
    together = {row["method"]: row for row in read_rows(tmp_path / "all.db")}
    for method in METHODS:
        done(sweep_of(tmp_path, f"methods: [{method}]\n{grid}"), tmp_path / "one.db")
    steady = [column.name for column in COLUMNS if not column.is_of_run]
    for row in read_rows(tmp_path / "one.db"):
        other = together[row["method"]]
        assert [row[name] for name in steady] == [other[name] for name in steady]


def test_each_rule_of_tiling_numbers_is_a_result_and_other_methods_run_once(tmp_path: Path) -> None:
    grid = "grid: {net: tiny-branch, hw: edge, batch: 4, tiling: [output, largest], uncapped: [false, true]}\n"
    executor = Inline()
    done(sweep_of(tmp_path, f"methods: [cocco, paper-1]\n{grid}"), tmp_path / "s.db", executor)
    assert [task.label.split(" · ")[3:] for task in executor.tasks if task.family == "cocco"] == [
        ["cocco"],
        ["cocco", "uncapped"],
        ["cocco", "largest"],
        ["cocco", "largest", "uncapped"],
    ]
    rows = sorted_rows(read_rows(tmp_path / "s.db", "s"), METHODS)
    assert [(row["method"], row["tiling"], row["uncapped"]) for row in rows] == [
        ("cocco", "output", False),
        ("cocco", "largest", False),
        ("cocco", "output", True),
        ("cocco", "largest", True),
        ("paper-1", None, None),
    ]
    network = builtin_network("tiny-branch")
    for row in rows[:4]:
        stored = schedule_from_document(json.loads(read_schedule(tmp_path / "s.db", row["key"])), row["key"])
        own = own_numbers(stored.plan.problem, capped=not row["uncapped"])
        for flg in stored.plan.lfa.flgs:
            assert flg.tiling_number == number_by_rule(network, flg.layers, own, TilingRule(row["tiling"]))


def test_lost_tasks_run_once_more_after_all_others_and_then_count_as_failed(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, f"methods: [paper-2]\n{SIX}")
    first, second, *_ = SweepPlan(sweep).point_tasks(set())
    tries = {"": 0}

    def breaks(task: Task) -> None:
        if task.point == first.point:
            raise BrokenExecutor("its worker was killed by SIGKILL")
        if task.point == second.point:
            tries[""] += 1
            if tries[""] == 1:
                raise MemoryError

    executor = Inline(breaks)
    progress = done(sweep, tmp_path / "s.db", executor)
    assert (progress.done, progress.failed) == (6, 1)
    assert sorted(task.label for task in executor.tasks[-2:]) == sorted([first.label, second.label])
    assert len(executor.tasks) == 8
    failed = [row for row in read_rows(tmp_path / "s.db") if row["status"] != "done"]
    assert [(row["status"], row["message"]) for row in failed] == [
        ("failed", "2 times, its worker was killed by SIGKILL")
    ]
    assert done(sweep, tmp_path / "s.db").tasks == 0
    assert done(sweep, tmp_path / "s.db", retry_failed=True).tasks == 1
    assert {row["status"] for row in read_rows(tmp_path / "s.db")} == {"done"}


def test_errors_of_a_search_are_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = sweep_of(tmp_path, f"methods: [paper-2]\n{SIX}")
    errors = [UserError("too large"), RuntimeError("odd\nerror"), None, None, None, None]

    def run(*given: Any) -> Any:
        error = errors.pop(0)
        if error is not None:
            raise error
        return original(*given)

    original = tasks.run_point
    monkeypatch.setattr(tasks, "run_point", run)
    done(sweep, tmp_path / "s.db")
    found = sorted((row["status"], row["message"]) for row in read_rows(tmp_path / "s.db"))
    assert found == [("done", "")] * 4 + [("failed", "RuntimeError: odd error"), ("infeasible", "too large")]


def test_a_stop_keeps_what_is_done(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, f"methods: [paper-2]\n{SIX}")
    budget = Budget()
    begun = threading.Semaphore(3)

    def stop(_: Task) -> None:
        if not begun.acquire(blocking=False):
            budget.request_stop()

    progress = done(sweep, tmp_path / "s.db", Inline(stop), budget=budget)
    assert 3 <= progress.done < 6
    assert len(read_rows(tmp_path / "s.db")) == progress.done
    assert done(sweep, tmp_path / "s.db").tasks == 6 - progress.done


def test_a_worker_of_other_versions_is_refused(tmp_path: Path) -> None:
    (task,) = SweepPlan(sweep_of(tmp_path, "methods: [paper-2]\ngrid: {net: tiny-chain}\n")).point_tasks(set())
    with pytest.raises(OtherVersionsError, match="other versions"):
        perform(replace(task, versions="soma-cp 0.0.1"))


def test_infeasible_points_are_results_with_the_bytes(tmp_path: Path) -> None:
    done(sweep_of(tmp_path, f"{ALL}grid: {{net: tiny-chain, buffer: 64KiB}}\n"), tmp_path / "s.db")
    rows = read_rows(tmp_path / "s.db", "s")
    assert len(rows) == 6
    assert {row["status"] for row in rows} == {"infeasible"}
    assert all("148,736 bytes" in row["message"] and "65,536 are available" in row["message"] for row in rows)


# Neighbours


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with every method on 3 buffers × 3 bandwidths, and `ours` alone as well; few rounds, so cells differ."""
    folder = tmp_path_factory.mktemp("neighbours")
    grid = "grid: {net: tiny-attention, batch: 2, buffer: [48KiB, 96KiB, 192KiB], dram: [1 GB/s, 2 GB/s, 4 GB/s]}\n"
    done(sweep_of(folder, f"methods: [cocco, paper-2, ours-alone, ours]\n{grid}", rounds=0.001), folder / "s.db")
    return folder / "s.db"


def by_cell(path: Path, method: str) -> dict[tuple[int, float], Any]:
    rows = [row for row in read_rows(path, "s") if row["method"] == method]
    return {(row["buffer_bytes"], row["dram_bytes_per_s"]): row for row in rows}


def test_cost_of_ours_never_grows_with_bandwidth(neighbours: Path) -> None:
    ours, alone = by_cell(neighbours, "ours"), by_cell(neighbours, "ours-alone")
    assert len(ours) == len(alone) == 9
    assert all(ours[cell]["cost"] <= alone[cell]["cost"] for cell in ours)
    assert any(ours[cell]["cost"] < alone[cell]["cost"] for cell in ours)  # else the grid tests nothing
    for (buffer, dram), row in ours.items():
        for (other_buffer, other_dram), other in ours.items():
            if other_buffer == buffer and other_dram >= dram:
                assert other["cost"] <= row["cost"]


def test_no_neighbours_schedule_priced_here_is_better(neighbours: Path, tmp_path: Path) -> None:
    """Each schedule of a point with no larger a buffer is read from its file and priced by the evaluator."""
    ours, alone = by_cell(neighbours, "ours"), by_cell(neighbours, "ours-alone")
    read = {
        cell: schedule_from_document(json.loads(read_schedule(neighbours, row["key"])), "x")
        for cell, row in (ours | {(*cell, "alone"): row for cell, row in alone.items()}).items()
    }
    for cell, row in ours.items():
        platform = read[cell].plan.problem.platform
        for other, stored in read.items():
            if len(other) == 3 and other[0] <= cell[0]:
                problem = replace(stored.plan.problem.whole, platform=platform)
                here = make_schedule(make_plan(problem, stored.plan.lfa), stored.dlsa)
                assert row["cost"] <= here.evaluation.edp


def test_a_point_without_neighbours_is_the_search_alone(tmp_path: Path) -> None:
    done(sweep_of(tmp_path, "methods: [ours-alone, ours]\ngrid: {net: tiny-ffn}\n"), tmp_path / "s.db")
    alone, ours = read_rows(tmp_path / "s.db", "s")
    assert ours["key"] != alone["key"]
    differ = ("key", "method", "seconds", "date")
    assert {n: v for n, v in ours.items() if n not in differ} == {n: v for n, v in alone.items() if n not in differ}


def test_what_is_made_of_a_failed_run_failed_too_and_is_made_when_that_is_run_again(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, "methods: [ours]\ngrid: {net: tiny-ffn, dram: [4 GB/s, 8 GB/s]}\n")
    dead = SweepPlan(sweep).point_tasks(set())[0]

    def breaks(task: Task) -> None:
        if isinstance(task, PointTask) and task.point == dead.point:
            raise BrokenExecutor("died")

    assert done(sweep, tmp_path / "s.db", Inline(breaks)).failed == 3  # its own, and both cells
    rows = read_rows(tmp_path / "s.db", "s")
    assert all(f"runs that it may need failed: {dead.keys['ours-alone']}" in row["message"] for row in rows)
    assert done(sweep, tmp_path / "s.db", retry_failed=True).tasks == 3
    done(sweep, tmp_path / "other.db")
    both = [[(row["key"], row["cost"]) for row in read_rows(tmp_path / name, "s")] for name in ("s.db", "other.db")]
    assert both[0] == both[1]


def test_rows_are_sorted_by_point_then_method(neighbours: Path) -> None:
    rows = sorted_rows(reversed(read_rows(neighbours)), METHODS)
    cells = [(row["buffer_bytes"], row["dram_bytes_per_s"]) for row in rows]
    assert cells == sorted(cells)
    assert [row["method"] for row in rows[:4]] == ["cocco", "paper-2", "ours-alone", "ours"]


def test_statuses_are_those_of_the_store(neighbours: Path) -> None:
    assert {row["status"] for row in read_rows(neighbours)} <= {status.value for status in Status}
