"""How many states the compiled kernels try per second and core.

    python benchmarks/kernels.py

For each problem, per second on one core: LFAs that the first stage tries, priced by the greedy DLSA (over a whole short
search) and by double buffering (the paper's); DLSAs that the second stage tries for one LFA; greedy passes; and full
evaluations. The kernels are compiled before the clock starts. The machine's load moves all figures together: compare
figures of one run only.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np

from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa, initial_lfa
from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters, search_lfas
from soma_cp.annealing.first_stage.paper_search import PaperSearchParameters, anneal_lfas
from soma_cp.annealing.second_stage.annealing import AnnealingParameters, anneal_dlsas
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.hardware.builtin.catalogue import platform_named
from soma_cp.model.network.builtin.catalogue import builtin_network, default_platform
from soma_cp.model.problem import Problem
from soma_cp.model.soma.evaluation import evaluate
from soma_cp.model.soma.plan import make_plan

NETWORKS = ("resnet50", "gpt2-small-prefill", "inception-resnet-v1")
BATCHES = (1, 4, 16)
SECONDS = 1.0


def per_second(work: Callable[[], int]) -> float:
    """Run `work`, which returns how many states it tried, until `SECONDS` are over; return states per second."""
    work()
    done = 0
    begin = time.perf_counter()
    while (taken := time.perf_counter() - begin) < SECONDS:
        done += work()
    return done / taken


def measure(problem: Problem) -> tuple[float, ...]:
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
    return (
        per_second(lambda: search_lfas(problem, coarse_lfa(problem), 1, parameters=short, threads=1).rounds),
        per_second(lambda: anneal_lfas(problem, start, capacity, np.random.default_rng(1), parameters=first).rounds),
        per_second(lambda: anneal_dlsas(plan, np.random.default_rng(1), parameters=second).rounds),
        per_second(construct_often),
        per_second(evaluate_often),
    )


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    print("| network | platform | batch | LFAs/s, greedy | LFAs/s, paper | DLSAs/s | greedy/s | evaluations/s |")
    print("|---|---|---|---|---|---|---|---|")
    for name in NETWORKS:
        platform = default_platform(name)
        for batch in BATCHES:
            figures = measure(Problem(builtin_network(name), platform_named(platform), batch))
            print(
                f"| {name} | {platform} | {batch} | " + " | ".join(f"{value:,.0f}" for value in figures) + " |",
                flush=True,
            )


if __name__ == "__main__":
    main()
