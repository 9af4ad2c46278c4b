"""What the shortest path over downsets adds to the bound over every LFA, and how long it takes.

    python benchmarks/path_bound.py [--only resnet50] [--wide] [--solve]

By network, platform and batch: the factors by which it raises the bounds on energy, latency and energy × delay, and
the seconds of the bound without and with it, after kernels are compiled. With ``--solve``, also the gap of the schedule
that `solve` finds on one thread, without and with the path. All is of the paper's space, or with ``--wide`` of the wide
space. Seconds are CPU time of one thread.
"""

import argparse
import time

from soma_cp.model.hardware.builtin.catalogue import platform_named
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.problem import Problem
from soma_cp.solver.choices import Space
from soma_cp.solver.every_lfa.network_bounds import bound_every_lfa
from soma_cp.solver.parameters import CpSatParameters, SolveParameters
from soma_cp.solver.solve import solve
from soma_cp.solver.warm_up import warm_up

NETWORKS = (
    ("gpt2-small-prefill", "edge"),
    ("gpt2-xl-prefill", "cloud"),
    ("gpt2-small-decode", "edge"),
    ("resnet50", "edge"),
    ("resnet50", "cloud"),
    ("resnet101", "edge"),
    ("resnet101", "cloud"),
    ("inception-resnet-v1", "edge"),
    ("inception-resnet-v1", "cloud"),
)
BATCHES = (1, 4, 16, 64)


def measure(name: str, platform: str, batch: int, wide: bool, solves: bool) -> list[str]:
    """Return the cells of a row."""
    problem = Problem(builtin_network(name), platform_named(platform), batch)
    begin = time.process_time()
    before = bound_every_lfa(problem, wide=wide, with_paths=False)
    middle = time.process_time()
    bound = bound_every_lfa(problem, wide=wide)
    seconds = (middle - begin, time.process_time() - middle)
    cells = [name, platform, str(batch)]
    cells += [f"{new / old:.4f}" for new, old in ((bound.energy_pj, before.energy_pj), (bound.latency, before.latency))]
    cells += [f"{bound.cost / before.cost:.4f}", *(f"{one:.1f}" for one in seconds)]
    if solves:
        space = Space.WIDE if wide else Space.PAPER
        parameters = SolveParameters(threads=1, prove_seconds=0, cpsat=CpSatParameters(workers=1), space=space)
        edp = solve(problem, parameters).best.schedule.evaluation.edp
        cells += [f"{edp / one.cost - 1:.1%}" for one in (before, bound)]
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="part of network/platform/batch")
    parser.add_argument("--solve", action="store_true", help="solve each problem, too")
    parser.add_argument("--wide", action="store_true", help="in the wide space")
    options = parser.parse_args()
    warm_up()
    heads = ["network", "platform", "batch", "energy ×", "latency ×", "energy × delay ×", "s without", "s with"]
    heads += ["gap without", "gap with"] if options.solve else []
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|", flush=True)
    for name, platform in NETWORKS:
        for batch in BATCHES:
            if options.only in f"{name}/{platform}/{batch}":
                print("| " + " | ".join(measure(name, platform, batch, options.wide, options.solve)) + " |", flush=True)


if __name__ == "__main__":
    main()
