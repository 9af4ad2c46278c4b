"""Workers: one that dies takes only its own task with it, and none outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from soma_cp.solver.sweep.processes import Processes, WorkerDiedError


@pytest.fixture
def processes() -> Iterator[Processes]:
    """Two workers that may use 1 GiB each."""
    made = Processes(2, memory_bytes=1 << 30)
    yield made
    made.shutdown(wait=False, cancel_futures=True)


def test_a_worker_that_dies_takes_its_own_task_alone(processes: Processes) -> None:
    slow = processes.submit(time.sleep, 2.0)
    dying = processes.submit(signal.raise_signal, signal.SIGKILL)
    with pytest.raises(WorkerDiedError, match="its worker was killed by SIGKILL"):
        dying.result()
    with pytest.raises(WorkerDiedError, match="its worker ended with exit code 3"):
        processes.submit(os._exit, 3).result()
    assert processes.submit(abs, -7).result() == 7
    assert slow.result() is None


def test_errors_come_back_and_the_worker_goes_on(processes: Processes) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        processes.submit(int, "x").result()
    with pytest.raises(MemoryError):
        processes.submit(bytes, 2 << 30).result()
    assert processes.submit(len, b"abc").result() == 3


def test_workers_have_one_thread_and_ignore_interrupts(processes: Processes) -> None:
    assert processes.submit(os.getenv, "OMP_NUM_THREADS").result() == "1"
    processes.submit(signal.raise_signal, signal.SIGINT).result()
    assert processes.submit(abs, -7).result() == 7


def test_a_shutdown_ends_what_runs(processes: Processes) -> None:
    running = processes.submit(time.sleep, 60.0)
    while not processes.process_ids:
        time.sleep(0.01)
    begin = time.monotonic()
    processes.shutdown(wait=True, cancel_futures=True)
    assert time.monotonic() - begin < 30
    with pytest.raises(WorkerDiedError):
        running.result()


PARENT = """
import sys, time
from soma_cp.solver.sweep.processes import Processes
if __name__ == "__main__":
    processes = Processes(1)
    processes.submit(abs, 1).result()
    print(processes.process_ids[0], flush=True)
    processes.submit(time.sleep, 60)
    time.sleep(60)
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for the process in /proc")
def test_a_worker_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    parent = subprocess.Popen([sys.executable, tmp_path / "parent.py"], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    time.sleep(0.2)
    parent.kill()
    parent.wait()
    until = time.monotonic() + 30
    while is_alive(worker) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_alive(worker)


def is_alive(process: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
