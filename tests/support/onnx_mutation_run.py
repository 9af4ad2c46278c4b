"""Import many models with faults, in worker processes with limits of memory and time, and report what went wrong.

    python tests/support/onnx_mutation_run.py [--count 10000] [--first 0] [--workers 1] [--seed N]

Each must give a network or a `UserError` of printable lines. Reported are other exceptions with their place, processes
that end by a signal, imports of more than 20 s, and networks that can't be written as a file and read again. The exit
code is 1 if there is any. ``--seed`` imports one model in this process, with its traceback, and keeps it as a file.
"""

import argparse
import collections
import os
import queue
import resource
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

MOST_SECONDS = 20
MOST_BYTES = 4 << 30
"""Address space of a worker."""


def outcome(seed: int, folder: Path) -> tuple[str, str]:
    """Import the model of a seed; return ``network``, ``refused`` or ``fault``, and what is wrong."""
    from soma_cp.model.errors import UserError
    from soma_cp.model.network.network_file import read_network_file, write_network_file
    from soma_cp.model.network.onnx_import.importing import import_onnx
    from support.onnx_mutation import mutated

    drawn = mutated(seed)
    path = folder / "net.onnx"
    path.write_bytes(drawn.content)
    try:
        network = import_onnx(path, drawn.extents, drawn.ignore_unsupported, drawn.ends).network
    except UserError as error:
        told = str(error).split("\n")
        if not all(line and line.isprintable() for line in told):
            return "fault", f"unprintable: {told!r}"[:300]
        return "refused", ""
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return "fault", f"{type(error).__name__}: {' '.join(str(error).split())[:150]} @ {_place(error)}"
    try:
        write_network_file(network, folder / "net.json")
        if read_network_file(folder / "net.json") != network:
            return "fault", "the network differs after it was written and read"
    except Exception as error:
        return "fault", f"network file: {type(error).__name__}: {str(error)[:150]} @ {_place(error)}"
    return "network", ""


def _place(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "soma_cp" in frame.filename]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames[-3:]))


def work(first: int, count: int, step: int) -> None:
    """Import every model of a range; print a line before and after each."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, count, step):
            print("begin", seed, flush=True)
            print("end", seed, *outcome(seed, Path(folder)), flush=True)


class Worker:
    """A process that imports models one after another; a new one takes over if it ends or hangs."""

    def __init__(self, first: int, end: int, step: int, results: dict[int, tuple[str, str]]) -> None:
        self._next, self._end, self._step = first, end, step
        self._results = results

    def run(self) -> None:
        while self._next < self._end:
            self._run_process()

    def _run_process(self) -> None:
        command = [sys.executable, __file__, "--work", str(self._next), str(self._end), str(self._step)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
        lines: queue.Queue[str] = queue.Queue()
        noise: collections.deque[str] = collections.deque(maxlen=5)

        def read() -> None:
            for line in process.stdout or ():
                lines.put(line)
            lines.put("")

        for target in (read, lambda: noise.extend(process.stderr or ())):
            threading.Thread(target=target, daemon=True).start()
        current = self._next
        while True:
            try:
                line = lines.get(timeout=MOST_SECONDS + 20 * (current == self._next))
            except queue.Empty:
                process.kill()
                self._end_of(current, f"hang: more than {MOST_SECONDS} s")
                return
            if not line:
                break
            kind, seed, *rest = line.rstrip("\n").split(" ", 3)
            if kind == "begin":
                current = int(seed)
            elif kind == "end":
                self._end_of(int(seed), rest[1] if len(rest) > 1 else "", rest[0])
        if process.wait() or self._next < self._end:
            said = " ".join(" ".join(noise).split())[-200:]
            self._end_of(current, f"abort: the process ended with {process.returncode}: {said}")

    def _end_of(self, seed: int, what: str, kind: str = "fault") -> None:
        self._results[seed] = (kind, what)
        self._next = seed + self._step


def run(first: int, count: int, workers: int) -> int:
    """Import the models of a range of seeds; print a report; return the number of faults."""
    results: dict[int, tuple[str, str]] = {}
    begin = time.monotonic()
    threads = [threading.Thread(target=Worker(first + i, first + count, workers, results).run) for i in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    faults = {seed: what for seed, (kind, what) in results.items() if kind == "fault"}
    kinds = collections.Counter(kind for kind, _ in results.values())
    print(f"{len(results)} models in {time.monotonic() - begin:.0f} s: {dict(kinds)}")
    groups = collections.defaultdict(list)
    for seed, what in sorted(faults.items()):
        kind = "" if what.startswith("unprintable") else what[:60]
        groups[what.partition(" @ ")[2] or kind].append((seed, what))
    for members in sorted(groups.values(), key=len, reverse=True):
        print(f"{len(members):5} × {members[0][1]}   seeds {[seed for seed, _ in members[:6]]}")
    return len(faults)


def show(seed: int) -> None:
    """Import one model here, with its traceback, and keep its file."""
    from soma_cp.model.network.onnx_import.importing import import_onnx
    from support.onnx_mutation import mutated

    drawn = mutated(seed)
    path = Path(tempfile.gettempdir()) / f"mutated_{seed}.onnx"
    path.write_bytes(drawn.content)
    print(path, drawn.changes, dict(drawn.extents), drawn.ignore_unsupported, drawn.ends)
    print(import_onnx(path, drawn.extents, drawn.ignore_unsupported, drawn.ends))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--work", type=int, nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path[:2])
    if options.work:
        work(*options.work)
    elif options.seed is not None:
        show(options.seed)
    else:
        sys.exit(1 if run(options.first, options.count, options.workers) else 0)


if __name__ == "__main__":
    main()
