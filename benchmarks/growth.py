"""How search time and memory grow with batch and layers.

    python benchmarks/growth.py [--cores 1]
    python benchmarks/growth.py --blocks           # CPU seconds of the LFA search by transformer blocks in a row

For ResNet-50 and GPT-2-Small at batch 1, 4, 16 and 64, and for networks of more layers: layers, tiles and DRAM tensors
of the schedule found, candidates, seconds of the LFA search, seconds in all (with the exact second stage of the best
few LFAs), and the peak of resident memory. Every line runs in its own process, with the default parameters.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import replace

from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa
from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters, search_lfas
from soma_cp.model.hardware.builtin.catalogue import platform_named
from soma_cp.model.network.builtin.catalogue import builtin_network, default_platform
from soma_cp.model.network.rewrites.blocks import blocks_in_a_row
from soma_cp.model.problem import Problem
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.solve import solve
from soma_cp.solver.warm_up import warm_up

CASES = (
    *(("resnet50", batch) for batch in (1, 4, 16, 64)),
    *(("gpt2-small-prefill", batch) for batch in (1, 4, 16, 64)),
    *(("gpt2-small-decode", batch) for batch in (1, 4, 16, 64)),
    *(("inception-resnet-v1", batch) for batch in (1, 4, 16)),
    *(("resnet101", batch) for batch in (1, 4, 16)),
)


def measure(name: str, batch: int) -> None:
    """Print one line of the table."""
    warm_up()
    problem = Problem(builtin_network(name), platform_named(default_platform(name)), batch)
    begin = time.monotonic()
    search_lfas(problem, coarse_lfa(problem), 0)
    searched = time.monotonic() - begin
    result = solve(problem, SolveParameters(prove_seconds=0))
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cells = (
        name,
        batch,
        len(problem.network.layers),
        result.schedule.plan.tile_count,
        result.schedule.plan.dram_tensor_count,
        f"{result.rounds:,}",
        f"{searched:.1f}",
        f"{result.seconds:.1f}",
        f"{megabytes:,.0f}",
    )
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def measure_blocks(blocks: int, batch: int) -> None:
    """Print layers and CPU seconds of the LFA search for `blocks` blocks in a row, with 8,000 rounds at batch 1."""
    network = builtin_network("gpt2-small-prefill")
    network = blocks_in_a_row(network, blocks) if blocks > 1 else network
    problem = Problem(network, platform_named("edge"), batch)
    parameters = LFASearchParameters(rounds=8000)
    search_lfas(problem, coarse_lfa(problem), 0, parameters=replace(parameters, rounds=40), threads=1)
    begin = time.process_time()
    found = search_lfas(problem, coarse_lfa(problem), 0, parameters=parameters, threads=1)
    seconds = time.process_time() - begin
    print(f"| {blocks} | {len(network.layers)} | {batch} | {found.rounds:,} | {seconds:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--blocks", action="store_true")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.blocks:
        print("| blocks | layers | batch | candidates | LFA search (CPU s) |")
        print("|---|---|---|---|---|", flush=True)
        for batch in (1, 4):
            for blocks in (1, 2, 4, 8):
                measure_blocks(blocks, batch)
        return
    if options.case:
        measure(*json.loads(options.case))
        return
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[-options.cores :]))
    print("| network | batch | layers | tiles | DRAM tensors | candidates | LFA search (s) | in all (s) | MB |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for case in CASES:
        subprocess.run([sys.executable, __file__, "--case", json.dumps(case)], check=True)


if __name__ == "__main__":
    main()
