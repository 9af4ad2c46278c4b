"""The wide space against the paper's: what shared loads are worth, and that the search in the wide space loses nothing.

    python benchmarks/spaces.py [--seeds 3] [--only edge]

For each problem and seed, both searches run with the same rounds. Printed are energy × delay (greedy second stage) of
the wide space relative to the paper's, by seed and in the geometric mean, the CPU seconds of both, and the shared loads
of the best LFA of the last seed.
"""

import argparse
import math
import statistics
import time

from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa
from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters, search_lfas
from soma_cp.model.hardware.builtin.catalogue import platform_named
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.problem import Problem
from soma_cp.solver.warm_up import warm_up

PROBLEMS = (
    ("gpt2-small-prefill", "edge", 1),
    ("gpt2-small-prefill", "edge", 4),
    ("gpt2-small-prefill", "edge", 16),
    ("gpt2-small-decode", "edge", 1),
    ("gpt2-small-decode", "edge", 16),
    ("gpt2-xl-prefill", "cloud", 1),
    ("gpt2-xl-prefill", "cloud", 4),
    ("gpt2-xl-decode", "cloud", 1),
    ("bert-base", "edge", 1),
    ("bert-base", "edge", 4),
    ("transformer-cell", "edge", 1),
    ("resnet50", "edge", 1),
    ("resnet50", "edge", 4),
    ("resnet50", "edge", 16),
    ("resnet101", "edge", 4),
    ("resnet50", "cloud", 4),
    ("inception-resnet-v1", "edge", 1),
    ("googlenet", "edge", 4),
    ("densenet", "edge", 1),
    ("randwire", "edge", 4),
    ("lstm", "edge", 1),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0 on")
    parser.add_argument("--only", default="", help="part of network/platform/batch")
    options = parser.parse_args()
    warm_up()
    print("| network | platform | batch | wide / paper, by seed | mean | paper (s) | wide (s) | shared loads |")
    print("|---|---|---|---|---|---|---|---|")
    means = []
    for name, platform, batch in PROBLEMS:
        if options.only not in f"{name}/{platform}/{batch}":
            continue
        problem = Problem(builtin_network(name), platform_named(platform), batch)
        start = coarse_lfa(problem)
        ratios, shares, seconds = [], 0, {False: 0.0, True: 0.0}
        for seed in range(options.seeds):
            costs = {}
            for wide in (False, True):
                begin = time.process_time()
                found = search_lfas(problem, start, seed, parameters=LFASearchParameters(wide=wide))
                seconds[wide] += time.process_time() - begin
                costs[wide], lfa = found.lfas[0]
                shares = len(lfa.shared_loads)
            ratios.append(costs[True] / costs[False])
        means.append(statistics.fmean(map(math.log, ratios)))
        listed = " ".join(f"{ratio:.4f}" for ratio in ratios)
        spent = " | ".join(f"{seconds[wide] / options.seeds:.1f}" for wide in (False, True))
        print(
            f"| {name} | {platform} | {batch} | {listed} | {math.exp(means[-1]):.4f} | {spent} | {shares} |", flush=True
        )
    print(f"\ngeometric mean {math.exp(statistics.fmean(means)):.4f}")


if __name__ == "__main__":
    main()
