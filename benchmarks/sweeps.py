"""Sweeps of tiny points: what they cost beside bare solves, and what is left after many kills.

    python benchmarks/sweeps.py throughput [--points 200]
    python benchmarks/sweeps.py kills [--kills 20] [--seed 0]

``throughput`` solves the points in a loop in this process and as a sweep with one worker, by turns, a quarter of the
points each, and compares wall-clock time; starting the worker and loading kernels come before. ``kills`` runs a sweep,
kills its coordinator or a worker (SIGKILL) at random moments, begins again where the coordinator died, and compares the
CSV of the end with that of a run which nobody disturbed.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from soma_cp.solver.sweep.grid import Sweep, read_sweep
from soma_cp.solver.sweep.plan import SweepPlan
from soma_cp.solver.sweep.point import Point
from soma_cp.solver.sweep.processes import Processes
from soma_cp.solver.sweep.run import run_sweep
from soma_cp.solver.sweep.store import Store
from soma_cp.solver.sweep.tasks import PointTask, perform
from soma_cp.solver.warm_up import warm_up

LONGEST_SECONDS = 20.0
"""Between two kills."""
TURNS = 4
TINY = """
version: 1
name: tiny
methods: [{methods}]
grid:
  net: [tiny-chain, tiny-attention, tiny-ffn, tiny-pool-fc]
  seed: {{from: 1, to: {seeds}, plus: 1}}
limits: {{rounds: {rounds}}}
"""


def file_of(folder: Path, points: int, methods: str, rounds: float) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(TINY.format(seeds=points // 4, methods=methods, rounds=rounds))
    return path


def throughput(folder: Path, points: int) -> None:
    """Print the points a second of a loop and of a sweep."""
    sweep = read_sweep(file_of(folder, points, "ours-alone", 0.2))
    warm_up()
    processes = Processes(1)
    solve_all(sweep.points[:4], sweep)
    processes.submit(solve_all, sweep.points[:4], sweep).result()
    seconds = {"loop": 0.0, "sweep": 0.0}
    with Store(folder / "s.db") as store:
        for turn in range(TURNS):
            part = replace(sweep, points=sweep.points[turn::TURNS])
            begin = time.monotonic()
            solve_all(part.points, part)
            seconds["loop"] += time.monotonic() - begin
            begin = time.monotonic()
            run_sweep(SweepPlan(part), store, processes, 1)
            seconds["sweep"] += time.monotonic() - begin
    processes.shutdown()
    rates = ", ".join(f"{name} {len(sweep.points) / spent:.2f} points/s" for name, spent in seconds.items())
    print(f"{len(sweep.points)} points: {rates}: {seconds['loop'] / seconds['sweep']:.1%}")


def solve_all(points: Sequence[Point], sweep: Sweep) -> None:
    """Solve points one after another, and store nothing."""
    tasks: list[PointTask] = SweepPlan(replace(sweep, points=tuple(points))).point_tasks(set())
    for task in tasks:
        perform(task)


def kills(folder: Path, points: int, count: int, seed: int) -> None:
    """Print whether the results after many kills are those of an undisturbed run."""
    file = file_of(folder, points, "cocco, paper-1, paper-2, ours", 1.0)
    draws = random.Random(seed)
    begin = time.monotonic()
    started(file, folder / "whole").wait()
    print(f"undisturbed: {time.monotonic() - begin:.0f} s", flush=True)
    process = started(file, folder / "killed")
    for number in range(count):
        time.sleep(draws.uniform(0.0, LONGEST_SECONDS))
        workers = children(process.pid)
        if process.poll() is None and workers and draws.random() < 0.5:
            victim = draws.choice(workers)
            print(f"kill {number + 1}: a worker", flush=True)
            subprocess.run(["kill", "-9", str(victim)])
        else:
            print(
                f"kill {number + 1}: the coordinator{'' if process.poll() is None else ', which had ended'}", flush=True
            )
            process.send_signal(signal.SIGKILL)
            process.wait()
            process = started(file, folder / "killed")
    process.wait()
    started(file, folder / "killed", "--retry-failed").wait()
    same = (folder / "whole.csv").read_bytes() == (folder / "killed.csv").read_bytes()
    print("the same CSV" if same else "ANOTHER CSV")


def started(file: Path, path: Path, *more: str) -> "subprocess.Popen[bytes]":
    words = ["sweep", str(file), "-o", f"{path}.db", "--csv", f"{path}.csv", "-j", "2", *more]
    return subprocess.Popen([sys.executable, "-m", "soma_cp", *words])


def children(pid: int) -> list[int]:
    """Return the workers of a sweep: its children but for Python's tracker of resources."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in path.read_text().split()]
    return [one for one in found if "spawn_main" in Path(f"/proc/{one}/cmdline").read_text()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["throughput", "kills"])
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.what == "throughput":
            throughput(Path(folder), given.points)
        else:
            kills(Path(folder), given.points, given.kills, given.seed)


if __name__ == "__main__":
    main()
