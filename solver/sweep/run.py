"""Runs what a store lacks on any executor of `concurrent.futures`, and stores each result as it comes.

A task whose worker died, or ran out of memory, is run once more, after all others; then the results are stored as
failed. Nothing else that runs is lost with a worker, unless the executor loses it, too: that counts as one try.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from dataclasses import dataclass, field

from soma_cp.annealing.budget import Budget
from soma_cp.solver.sweep.outcome import Status, versions_text
from soma_cp.solver.sweep.plan import SweepPlan, Wanted
from soma_cp.solver.sweep.rows import Row
from soma_cp.solver.sweep.store import Result, Store
from soma_cp.solver.sweep.tasks import NeighbourTask, Task, perform

TRIES = 2
POLL_SECONDS = 0.2

Lost = tuple[type[BaseException], ...]
LOST: Lost = (BrokenExecutor, MemoryError)
"""Errors of executors that say nothing of the task."""


@dataclass
class Progress:
    """How far a sweep is.

    Parameters
    ----------
    tasks, done, failed
        Runs that were missing at the beginning, those that ended, and those of them that failed.
    running
        What runs now, in words.
    work, work_done
        Sizes of all runs, and of those that ended, by family.
    seconds
        Wall-clock seconds of those, by family.
    workers
        How many run at once.
    """

    workers: int
    tasks: int = 0
    done: int = 0
    failed: int = 0
    running: list[str] = field(default_factory=list)
    work: dict[str, float] = field(default_factory=dict)
    work_done: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def expect(self, tasks: Iterable[Task]) -> None:
        """Count tasks that are about to run."""
        for task in tasks:
            self.tasks += 1
            self.work[task.family] = self.work.get(task.family, 0.0) + task.size

    def count(self, task: Task, results: list[Result]) -> None:
        """Count a task that ended."""
        self.done += 1
        self.failed += any(result.row["status"] == Status.FAILED for result in results)
        self.work_done[task.family] = self.work_done.get(task.family, 0.0) + task.size
        spent = max(float(result.row["seconds"]) for result in results)
        if task.size:
            self.seconds[task.family] = self.seconds.get(task.family, 0.0) + spent

    @property
    def seconds_left(self) -> float | None:
        """About how long the rest takes, judged by runs of the same family; None before one of each has ended."""
        left = 0.0
        for family, work in self.work.items():
            done = self.work_done.get(family, 0.0)
            if work > 0 and done == 0:
                return None
            left += (work - done) * self.seconds.get(family, 0.0) / done if done else 0.0
        return left / self.workers


Watch = Callable[[Progress], None]


def run_sweep(
    plan: SweepPlan,
    store: Store,
    executor: Executor,
    workers: int,
    watch: Watch = lambda _: None,
    budget: Budget | None = None,
    lost: Lost = LOST,
    retry_failed: bool = False,
) -> Progress:
    """Run everything that the store lacks.

    Parameters
    ----------
    plan
        What the sweep needs.
    store
        Where results are kept.
    executor
        What runs tasks; the caller closes it.
    workers
        Tasks that are given to it at once.
    watch
        Called from this thread from time to time.
    budget
        A stop request, or its deadline, ends the sweep once what is done is stored; what runs then is left behind.
    lost
        Errors of the executor that say nothing of the task: it is run once more.
    retry_failed
        Whether results that are stored as failed are run again.

    Raises
    ------
    StoreError
        If a result can't be stored.
    OtherVersionsError
        If a worker has other versions than this process.
    """
    budget = budget or Budget()
    stored = keys_done(store.statuses(), retry_failed)
    progress = Progress(workers)
    loop = _Loop(store, executor, progress, watch, budget, lost)
    store.remember(plan.sweep.name, [one.key for one in plan.wanted])
    runs = plan.point_tasks(stored)
    missing = [one for one in plan.wanted if one.neighbours and one.key not in stored]
    progress.expect(runs)
    progress.tasks += len(missing)
    loop.run(runs)
    if not budget.over:
        loop.run(_neighbour_tasks(missing, store))
    return progress


def keys_done(statuses: Mapping[str, Status], retry_failed: bool) -> set[str]:
    """Return the keys of results that need no run."""
    return {key for key, status in statuses.items() if status is not Status.FAILED or not retry_failed}


def _neighbour_tasks(wanted: list[Wanted], store: Store) -> Iterator[Task]:
    """Yield the tasks of results that are made of others; each loads its schedules when it is about to run."""
    for one in wanted:
        rows: list[Row] = store.rows(one.neighbours)
        failed = tuple(row["key"] for row in rows if row["status"] == Status.FAILED)
        yield NeighbourTask(one.point, one.key, versions_text(), rows[0], store.schedules(one.neighbours), failed)


class _Loop:
    """Keeps all workers busy, and stores what they return."""

    def __init__(
        self, store: Store, executor: Executor, progress: Progress, watch: Watch, budget: Budget, lost: Lost
    ) -> None:
        self.store = store
        self.executor = executor
        self.progress = progress
        self.watch = watch
        self.budget = budget
        self.lost = lost
        self.running: dict[Future[list[Result]], Task] = {}
        self.lost_once: list[Task] = []

    def run(self, tasks: Iterable[Task]) -> None:
        """Run `tasks`, then once more those that were lost."""
        self._run(iter(tasks), tries_left=TRIES - 1)
        again, self.lost_once = self.lost_once, []
        self._run(iter(again), tries_left=0)

    def _run(self, tasks: Iterator[Task], tries_left: int) -> None:
        self._fill(tasks)
        while self.running:
            done, _ = wait(self.running, POLL_SECONDS, FIRST_COMPLETED)
            ended = [(self.running.pop(future), future) for future in done]
            self._fill(tasks)  # before results are stored: workers don't wait for the disk
            for task, future in ended:
                self._take(task, future, tries_left)
            self._show()
            if self.budget.over:
                self._leave()

    def _fill(self, tasks: Iterator[Task]) -> None:
        while len(self.running) < self.progress.workers and not self.budget.over:
            task = next(tasks, None)
            if task is None:
                return
            self.running[self.executor.submit(perform, task)] = task

    def _take(self, task: Task, future: Future[list[Result]], tries_left: int) -> None:
        try:
            results = future.result()
        except CancelledError:
            return
        except self.lost as error:
            if tries_left:
                self.lost_once.append(task)
                return
            results = task.failed(f"{TRIES} times, {_said(error)}")
        self.store.add(results)
        self.progress.count(task, results)

    def _show(self) -> None:
        self.progress.running = [task.label for task in self.running.values()]
        self.watch(self.progress)

    def _leave(self) -> None:
        """Take what is done by now; cancel the rest."""
        for future, task in self.running.items():
            if future.done():
                self._take(task, future, tries_left=1)
            future.cancel()
        self.running = {}


def _said(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "the memory did not suffice"
    return " ".join(str(error).split()) or type(error).__name__
