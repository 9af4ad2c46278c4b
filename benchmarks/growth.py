"""How search time and memory grow with batch and layers.

    python benchmarks/growth.py [--cores 1]

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

from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa
from soma_cp.annealing.first_stage.lfa_search import search_lfas
from soma_cp.model.hardware.builtin.catalogue import platform_named
from soma_cp.model.network.builtin.catalogue import builtin_network, default_platform
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
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
