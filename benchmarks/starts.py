"""What last phases and scaled LFAs are worth at large batches: energy × delay after each phase, by seed.

    python benchmarks/starts.py [--seeds 5] [--rounds 40000] [--only resnet101/edge/16]

`solve` runs in the wide space with the greedy second stage, on one thread. Printed are energy × delay (pJ·cycles) and
LGs of the best LFA in one pass after the phases from scratch and after each last phase; then the passes that
win, their energy × delay before LFAs in passes are scaled, and that of the schedule; CPU seconds of all of it.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from soma_cp.annealing.first_stage import lfa_search
from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters
from soma_cp.model.hardware.builtin.catalogue import platform_named
from soma_cp.model.network.sources import load_network
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import LFA
from soma_cp.solver import passes as passes_module
from soma_cp.solver.choices import SecondStage
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.solve import solve
from soma_cp.solver.warm_up import warm_up

ROWS = (
    ("gpt2-small-prefill", "edge", 1),
    ("resnet50", "edge", 1),
    ("gpt2-small-prefill", "edge", 4),
    ("resnet50", "edge", 4),
    *((name, "edge", batch) for batch in (16, 64) for name in ("resnet50", "resnet101", "inception-resnet-v1")),
    *((name, "edge", batch) for batch in (16, 64) for name in ("randwire", "gpt2-small-prefill")),
    *((name, "cloud", batch) for batch in (16, 64) for name in ("inception-resnet-v1", "gpt2-xl-prefill")),
)
"""Network, platform, batch; the first four are searched to their end by the first phases."""


@contextmanager
def recorded(problem: Problem) -> Iterator[tuple[list[str], list[float]]]:
    """Record the phases in one pass, and the cost in passes before scaling."""
    phases: list[str] = []
    before: list[float] = []
    anneal, scale = lfa_search._Run.anneal, passes_module._Search.scale

    def annealed(self: lfa_search._Run, chains: list, rounds: int, share: float = 1.0) -> None:
        anneal(self, chains, rounds, share)
        if chains[0].problem.samples == problem.samples and self.found:
            cost, lfa = self.found[0]
            phases.append(f"{cost:.4g} ({lfa.lg_count})")

    def scaled(self: passes_module._Search, lfa: LFA) -> None:
        before.append(min(self.kept))
        scale(self, lfa)

    with patch.object(lfa_search._Run, "anneal", annealed), patch.object(passes_module._Search, "scale", scaled):
        yield phases, before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds, from 0 on")
    parser.add_argument("--rounds", type=int, default=LFASearchParameters.rounds, help="candidates at batch 1")
    parser.add_argument("--only", default="", help="part of network/platform/batch")
    options = parser.parse_args()
    warm_up()
    heads = ("network", "platform", "batch", "seed", "in one pass, by phase (LGs)", "passes", "before scaling", "solve")
    print("| " + " | ".join((*heads, "CPU s")) + " |")
    print("|---" * (len(heads) + 1) + "|")
    for name, platform, batch in ROWS:
        if options.only not in f"{name}/{platform}/{batch}":
            continue
        problem = Problem(load_network(name, None).network, platform_named(platform), batch)
        for seed in range(options.seeds):
            parameters = SolveParameters(
                second_stage=SecondStage.GREEDY,
                seed=seed,
                threads=1,
                search=LFASearchParameters(rounds=options.rounds),
            )
            begin = time.process_time()
            with recorded(problem) as (phases, before):
                schedule = solve(problem, parameters).schedule
            seconds = time.process_time() - begin
            print(
                f"| {name} | {platform} | {batch} | {seed} | {' → '.join(phases)} | {schedule.lfa.passes} | "
                f"{f'{before[0]:.4g}' if before else '–'} | {schedule.evaluation.edp:.4g} | {seconds:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
