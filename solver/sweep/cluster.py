"""Runs a sweep on a cluster of dask, whose scheduler is known by its address (extra ``dask``).

The same function is submitted as on one machine. Results come back to this process, which alone writes the store, so
workers need not share a disk. dask itself runs a task elsewhere if its worker dies, as often as its setting
``distributed.scheduler.allowed-failures`` says, and only then says that the task was lost.
"""

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

from soma_cp.model.errors import UserError
from soma_cp.solver.sweep.run import LOST, Lost

CONNECT_SECONDS = 10


@contextmanager
def cluster(address: str) -> Iterator[tuple[Executor, int, Lost]]:
    """Yield an executor of the cluster, how many tasks it runs at once, and errors that say nothing of a task.

    Kernels are compiled by one worker of each host before tasks are sent.

    Raises
    ------
    UserError
        If dask is not installed, there is no scheduler at the address, or it has no workers.
    """
    try:
        from distributed import Client, KilledWorker
    except ImportError:
        raise UserError("--dask needs a package that is not installed: pip install soma-cp[dask]") from None
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        said = " ".join(str(error).split())
        raise UserError(f"--dask {address}: no scheduler answers ({said}); start one with: dask scheduler") from None
    with client:
        workers: dict[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
        if not workers:
            raise UserError(f"--dask {address}: the scheduler has no workers; start some with: dask worker {address}")
        one_of_host = {worker["host"]: name for name, worker in workers.items()}
        client.run(_prepare, workers=list(one_of_host.values()))
        threads = sum(worker["nthreads"] for worker in workers.values())
        executor = client.get_executor(pure=False)
        try:
            yield executor, threads, (*LOST, KilledWorker)
        finally:
            executor.shutdown(wait=False)


def _prepare() -> None:
    """Compile all kernels, or load them."""
    from soma_cp.solver.warm_up import warm_up

    warm_up()
