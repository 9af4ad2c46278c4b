"""An executor with a process for each worker, so that one that dies takes nothing with it but its own task.

`concurrent.futures.ProcessPoolExecutor` loses all tasks that run when one process dies, and does not say which did.
Processes are started afresh (spawn), run one task at a time with one thread each, ignore Ctrl-C, which the parent
handles, and end when the parent does, however it ends.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
ONE_THREAD: Mapping[str, str] = dict.fromkeys(_THREADS, "1")
"""What keeps the libraries of a worker at one thread."""


class WorkerDiedError(BrokenExecutor):
    """The process of a worker ended within a task; it says how."""


class Processes(Executor):
    """Runs functions that can be pickled in processes of their own.

    Parameters
    ----------
    workers
        How many there are.
    memory_bytes
        Memory that each may use for its data (Linux); None without a limit. A task that needs more raises
        `MemoryError`, or its process dies.
    """

    def __init__(self, workers: int, memory_bytes: int | None = None) -> None:
        self._memory_bytes = memory_bytes
        self._threads = ThreadPoolExecutor(workers)
        self._own = threading.local()
        self._lock = threading.Lock()
        self._workers: set[_Worker] = set()
        self._is_down = False

    def submit(
        self, function: Callable[Parameters, Returned], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> "Future[Returned]":
        """Run a function in the next process that is free."""
        return self._threads.submit(self._call, function, args, kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End all processes; what still runs is lost unless `wait` is set and `cancel_futures` is not."""
        if wait and not cancel_futures:
            self._threads.shutdown()
        with self._lock:
            self._is_down = True
            for worker in self._workers:
                worker.kill()
        self._threads.shutdown(wait, cancel_futures=cancel_futures)

    @property
    def process_ids(self) -> list[int]:
        """Ids of the processes that live."""
        with self._lock:
            return [worker.process.pid for worker in self._workers if worker.process.pid and worker.process.is_alive()]

    def _call(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if hasattr(signal, "pthread_sigmask"):  # what a thread blocks, the processes that it starts block, too
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        worker: _Worker | None = getattr(self._own, "worker", None)
        if worker is None or not worker.process.is_alive():
            worker = self._own.worker = self._started(worker)
        return worker.call(function, args, kwargs)

    def _started(self, dead: "_Worker | None") -> "_Worker":
        with self._lock:
            if self._is_down:
                raise WorkerDiedError("the sweep has ended")
            if dead is not None:
                self._workers.discard(dead)
            worker = _Worker(self._memory_bytes)
            self._workers.add(worker)
        return worker


class _Worker:
    """A process, and the pipe to it."""

    def __init__(self, memory_bytes: int | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_serve, args=(theirs, memory_bytes), daemon=True)
        with _environment(ONE_THREAD):
            self.process.start()
        theirs.close()

    def kill(self) -> None:
        """End the process at once."""
        with contextlib.suppress(ValueError):
            self.process.kill()

    def call(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a function in the process.

        Raises
        ------
        WorkerDiedError
            If the process ends before it returns.
        """
        try:
            self.pipe.send((function, args, kwargs))
            wait([self.pipe, self.process.sentinel])
            if not self.pipe.poll():
                raise EOFError
            error, returned = self.pipe.recv()
        except (OSError, EOFError):
            self.process.join()
            raise WorkerDiedError(f"its worker {_death(self.process.exitcode)}") from None
        if error is not None:
            raise error
        return returned


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables while a process starts, which takes them over."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _death(code: int | None) -> str:
    """Say how a process ended."""
    if code is None or code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"


# In the process


def _serve(pipe: Connection, memory_bytes: int | None) -> None:
    """Run what the parent sends until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if memory_bytes is not None:
        _limit_memory(memory_bytes)
    while True:
        try:
            function, args, kwargs = pipe.recv()
        except EOFError:
            return
        answer: tuple[Exception | None, Any]
        try:
            answer = None, function(*args, **kwargs)
        except Exception as error:
            answer = error, None
        pipe.send(answer)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _limit_memory(memory_bytes: int) -> None:
    """Limit the data of this process, where the system can."""
    with contextlib.suppress(ImportError):  # not on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
