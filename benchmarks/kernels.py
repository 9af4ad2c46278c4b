"""How many states the compiled kernels try per CPU second.

    python benchmarks/kernels.py                     # figures of this checkout
    python benchmarks/kernels.py --before CHECKOUT   # this checkout relative to another
    python benchmarks/kernels.py --generic           # kernels for any processor relative to those for this one
    python benchmarks/kernels.py --large [--before CHECKOUT]   # LFAs/s of large networks and batches

For each problem, per second on one core: LFAs that the first stage tries, priced by the greedy DLSA (over a whole short
search) and by double buffering (the paper's); DLSAs that the second stage tries for one LFA; greedy passes; and full
evaluations. The kernels are compiled before the clock starts. The machine's load moves all figures together: compare
figures of one run only. A comparison keeps one process for each side and asks them in turn, figure by figure; it prints
the median of the ratios (above 1: faster).
"""

import argparse
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa, initial_lfa
from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters, search_lfas
from soma_cp.annealing.first_stage.paper_search import PaperSearchParameters, anneal_lfas
from soma_cp.annealing.second_stage.annealing import AnnealingParameters, anneal_dlsas
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.hardware.builtin.catalogue import platform_named
from soma_cp.model.network.builtin.catalogue import builtin_network, default_platform
from soma_cp.model.network.rewrites.blocks import blocks_in_a_row
from soma_cp.model.problem import Problem
from soma_cp.model.soma.evaluation import evaluate
from soma_cp.model.soma.plan import make_plan

CHECKOUT = Path(__file__).parent.parent.absolute()
NETWORKS = ("resnet50", "gpt2-small-prefill", "inception-resnet-v1")
BATCHES = (1, 4, 16)
LARGE = (
    ("retinanet-resnet50", 4, 1),
    ("densenet", 4, 1),
    ("resnet101", 16, 1),
    ("resnet101", 64, 1),
    ("inception-resnet-v1", 16, 1),
    ("inception-resnet-v1", 64, 1),
    ("gpt2-small-prefill", 16, 1),
    ("gpt2-small-prefill", 64, 1),
    ("gpt2-small-prefill", 1, 12),
    ("gpt2-small-prefill", 4, 4),
)
"""Networks, batches and blocks in a row."""
FIGURES = ("LFAs/s, greedy", "LFAs/s, paper", "DLSAs/s", "greedy/s", "evaluations/s")


def per_second(work: Callable[[], int], seconds: float) -> float:
    """Run `work`, which returns how many states it tried, until CPU `seconds` are over; return states per second."""
    done = 0
    begin = time.process_time()
    while (taken := time.process_time() - begin) < seconds:
        done += work()
    return done / taken


def works(problem: Problem) -> tuple[Callable[[], int], ...]:
    """Return the work of each of `FIGURES`, each done once."""
    start = initial_lfa(problem)
    first = PaperSearchParameters(rounds_per_layer=20)
    second = AnnealingParameters(rounds_per_tensor=100, smooth_buffer=False)
    capacity = problem.platform.gbuf_bytes
    found = anneal_lfas(problem, start, capacity, np.random.default_rng(0))
    plan = make_plan(problem, found.lfa)
    dlsa = greedy_dlsa(plan)

    def evaluate_often() -> int:
        for _ in range(100):
            evaluate(plan, dlsa)
        return 100

    def construct_often() -> int:
        for _ in range(100):
            greedy_dlsa(plan)
        return 100

    short = LFASearchParameters(rounds=8000)
    made = (
        lambda: search_lfas(problem, coarse_lfa(problem), 1, parameters=short, threads=1).rounds,
        lambda: anneal_lfas(problem, start, capacity, np.random.default_rng(1), parameters=first).rounds,
        lambda: anneal_dlsas(plan, np.random.default_rng(1), parameters=second).rounds,
        construct_often,
        evaluate_often,
    )
    for work in made:
        work()
    return made


def large_problem(name: str, batch: int, blocks: int) -> Problem:
    """Return a problem of `LARGE`."""
    network = builtin_network(name)
    return Problem(
        blocks_in_a_row(network, blocks) if blocks > 1 else network, platform_named(default_platform(name)), batch
    )


def short_search(problem: Problem) -> Callable[[], int]:
    """Return a short search, done once."""
    parameters = LFASearchParameters(rounds=4000)

    def work() -> int:
        return search_lfas(problem, coarse_lfa(problem), 1, parameters=parameters, threads=1).rounds

    search_lfas(problem, coarse_lfa(problem), 1, parameters=replace(parameters, rounds=40), threads=1)
    return work


def answer(seconds: float) -> None:
    """Read problems, one a line; then measure a figure for each line that holds its number."""
    made: tuple[Callable[[], int], ...] = ()
    for line in sys.stdin:
        match line.split():
            case [name, batch, blocks]:
                made = (short_search(large_problem(name, int(batch), int(blocks))),)
                print("ready", flush=True)
            case [name, batch]:
                made = works(Problem(builtin_network(name), platform_named(default_platform(name)), int(batch)))
                print("ready", flush=True)
            case [figure]:
                print(per_second(made[int(figure)], seconds), flush=True)


class Side:
    """A process that measures when it is asked."""

    def __init__(self, checkout: Path, seconds: float, generic: bool = False) -> None:
        environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
        if generic:
            environment |= {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--answer", "--seconds", str(seconds)],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip

    def ask(self, question: str) -> str:
        """Return the answer to a line."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{question}\n")
        return self._process.stdout.readline()


def compare(side: Side, base: Side, rounds: int) -> None:
    """Print the speed of `side` relative to `base`."""
    all_ratios: list[list[float]] = [[] for _ in FIGURES]
    for name in NETWORKS:
        for batch in BATCHES:
            for one in (side, base):
                one.ask(f"{name} {batch}")
            for figure, ratios in enumerate(all_ratios):
                pairs = [(side.ask(str(figure)), base.ask(str(figure))) for _ in range(rounds)]
                ratios.append(statistics.median(float(one) / float(other) for one, other in pairs))
            print_row(name, batch, [f"{ratios[-1]:.3f}" for ratios in all_ratios])
    means = [statistics.geometric_mean(ratios) for ratios in all_ratios]
    print("| geometric mean | | | " + " | ".join(f"{mean:.3f}" for mean in means) + " |")
    print(f"\nall figures: {math.prod(means) ** (1 / len(means)):.3f}")


def compare_large(sides: list[Side], rounds: int) -> None:
    """Print LFAs/s of each side, and how many times as many the last has as the first: medians of the `rounds`."""
    ratios = []
    for case in LARGE:
        for side in sides:
            side.ask(" ".join(map(str, case)))
        speeds = [[float(side.ask("0")) for side in sides] for _ in range(rounds)]
        ratios.append(statistics.median(row[-1] / row[0] for row in speeds))
        medians = [f"{statistics.median(column):,.0f}" for column in zip(*speeds, strict=True)]
        layers = len(large_problem(*case).network.layers)
        print(
            f"| {case[0]} | {case[2]} | {layers} | {case[1]} | {' | '.join(medians)} | {ratios[-1]:.2f} |", flush=True
        )
    print(f"\ngeometric mean: {statistics.geometric_mean(ratios):.2f}")


def print_row(name: str, batch: int, cells: list[str]) -> None:
    print(f"| {name} | {default_platform(name)} | {batch} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="print speeds relative to this checkout's")
    parser.add_argument("--generic", action="store_true", help="print speeds of kernels for any processor")
    parser.add_argument("--large", action="store_true", help="LFAs/s of large networks and batches alone")
    parser.add_argument("--seconds", type=float, default=1.0, help="CPU seconds of each measurement")
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each figure, in a comparison")
    parser.add_argument("--answer", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.answer:
        answer(options.seconds)
        return
    if options.large:
        sides = [Side(options.before.absolute(), options.seconds)] if options.before else []
        print("| network | blocks | layers | batch |" + " before |" * len(sides) + " LFAs/s | ratio |")
        print("|---" * (6 + len(sides)) + "|")
        compare_large([*sides, Side(CHECKOUT, options.seconds)], options.rounds)
        return
    print("| network | platform | batch | " + " | ".join(FIGURES) + " |")
    print("|---|---|---" + "|---" * len(FIGURES) + "|")
    if options.before or options.generic:
        base = Side((options.before or CHECKOUT).absolute(), options.seconds)
        compare(Side(CHECKOUT, options.seconds, options.generic), base, options.rounds)
        return
    for name in NETWORKS:
        for batch in BATCHES:
            made = works(Problem(builtin_network(name), platform_named(default_platform(name)), batch))
            print_row(name, batch, [f"{per_second(work, options.seconds):,.0f}" for work in made])


if __name__ == "__main__":
    main()
