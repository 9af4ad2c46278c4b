"""What the wide space is worth: energy × delay relative to the paper's space, and the figures to reach.

    python benchmarks/wider.py [--seeds 3] [--only edge] [--passes | --periods]

For each problem and seed, both searches run with the same rounds of their first phase; schedules are those of the
greedy second stage. Printed are energy × delay in the paper's space (the best of the seeds), what the wide space has of
it by seed, the worst of the seeds and what it should not exceed, the CPU seconds of the searches, and the layers that
the last seed divides. Rows that do not fit in the paper's space have cycles in place of energy × delay.

With `--passes`, `solve` runs on large batches in one pass and in as many as it finds best, both in the wide space with
the greedy second stage: energy × delay, passes × batch and LGs of the run, the CPU seconds of all of it, by seed.

With `--periods`, `solve` runs on blocks in a row and on networks with repeats, in one pass of the wide space with the
greedy second stage: energy × delay over the periods, and its ratio to that of blocks one by one, or of the search
without periods; CPU seconds of all of `solve`, by seed. `--off` runs 12 blocks without periods, too, for minutes each.
"""

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path

from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa, divided_to_fit
from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters, LFASearchResult, search_lfas
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.hardware.builtin.catalogue import platform_named
from soma_cp.model.network.rewrites.blocks import blocks_in_a_row
from soma_cp.model.network.sources import load_network
from soma_cp.model.problem import Problem
from soma_cp.model.soma.plan import make_plan
from soma_cp.model.soma.schedule import Schedule, priced
from soma_cp.solver.choices import Extension, SecondStage
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.solve import solve
from soma_cp.solver.warm_up import warm_up

LLAMA = str(Path(__file__).parent / "data" / "llama-7b-decode.json")
"""One block of a model like Llama 7B: width 4096, hidden width 11008, gated, 512 cached tokens."""
ROWS = (
    ("gpt2-small-prefill", "edge", 1, 8.19e14),
    ("gpt2-small-prefill", "edge", 4, 8.07e15),
    ("gpt2-small-decode", "edge", 1, 3.366e14),
    ("gpt2-small-decode", "edge", 4, 5.785e14),
    ("gpt2-xl-decode", "cloud", 1, 8.13e14),
    ("gpt2-xl-prefill", "cloud", 1, 6.295e15),
    ("resnet50", "cloud", 1, 5.76e14),
    ("resnet101", "cloud", 1, 1.746e15),
    ("resnet50", "edge", 4, 1.163e16),
)
"""Network, platform, batch, and the energy × delay to reach (pJ·cycles): those of a prototype, rounded up."""
TOO_LARGE = ((LLAMA, "edge", 1, 12_930_000), ("llama2-70b-decode", "cloud", 1, 5_410_000))
"""Problems whose layers fit in parts alone, and the latency to reach (cycles)."""

IN_PASSES = (
    ("gpt2-small-prefill", "edge", 16, 1.275e17),
    ("gpt2-xl-prefill", "cloud", 16, 1.055e18),
    ("inception-resnet-v1", "edge", 16, 2.62e17),
)
"""Problems that gain by passes, and the energy × delay that the best of the seeds has to reach (pJ·cycles)."""

BLOCKS = (
    ("gpt2-small-prefill", 12, "edge", 1, 1.065e17),
    ("gpt2-small-prefill", 12, "edge", 4, 1.16e18),
    ("gpt2-xl-prefill", 12, "cloud", 1, 8.65e17),
    ("gpt2-xl-prefill", 48, "cloud", 1, 1.37e19),
    ("gpt2-xl-decode", 12, "cloud", 1, 1.1738e17),
)
"""Network, blocks in a row, platform, batch, and the energy × delay that the best of the seeds has to reach."""
WITH_REPEATS = (
    ("resnet101", "edge", 16),
    ("resnet101", "edge", 64),
    ("inception-resnet-v1", "edge", 16),
    ("transformer", "edge", 1),
)
"""Networks of which repeats are a large part."""

HEADS = (
    *("network", "platform", "batch", "paper", "wide / paper, by seed", "wide, worst", "to reach"),
    *("paper (s)", "wide (s)", "parts"),
)


def best_of(problem: Problem, found: LFASearchResult) -> Schedule:
    plan = make_plan(problem, found.lfas[0][1])
    return priced(plan, greedy_dlsa(plan))


def divided(schedule: Schedule) -> str:
    return ", ".join(f"{name} {len(channels)}" for name, channels in schedule.lfa.divisions) or "–"


def print_passes(seeds: int, only: str) -> None:
    heads = ("network", "platform", "batch", "seed", "one pass", "passes", "ratio", "passes × batch", "LGs", "to reach")
    print("| " + " | ".join((*heads, "one pass (s)", "passes (s)")) + " |")
    print("|---" * (len(heads) + 2) + "|")
    for name, platform, batch, most in IN_PASSES:
        if only not in f"{name}/{platform}/{batch}":
            continue
        problem = Problem(load_network(name, None).network, platform_named(platform), batch)
        for seed in range(seeds):
            schedules, seconds = [], []
            for passes in (1, None):
                begin = time.process_time()
                parameters = SolveParameters(second_stage=SecondStage.GREEDY, seed=seed, passes=passes)
                schedules.append(solve(problem, parameters).schedule)
                seconds.append(time.process_time() - begin)
            one, best = (schedule.evaluation.edp for schedule in schedules)
            found = schedules[1]
            print(
                f"| {name} | {platform} | {batch} | {seed} | {one:.4g} | {best:.4g} | {best / one:.4f} | "
                f"{found.lfa.passes} × {found.problem.batch} | {found.plan.run.lg_count} | {most:.4g} | "
                f"{seconds[0]:.1f} | {seconds[1]:.1f} |",
                flush=True,
            )


def print_periods(seeds: int, only: str, off: bool) -> None:
    heads = ("network", "blocks", "platform", "batch", "seed", "periods", "LGs", "ratio to", "without", "to reach")
    print("| " + " | ".join((*heads, "periods (s)", "without (s)")) + " |")
    print("|---" * (len(heads) + 2) + "|")
    rows = [*BLOCKS, *((name, 1, platform, batch, math.nan) for name, platform, batch in WITH_REPEATS)]
    for name, blocks, platform, batch, most in rows:
        if only not in f"{name}/{platform}/{batch}":
            continue
        one = Problem(load_network(name, None).network, platform_named(platform), batch)
        problem = one if blocks == 1 else replace(one, network=blocks_in_a_row(one.network, blocks))
        for seed in range(seeds):
            greedy = SolveParameters(second_stage=SecondStage.GREEDY, seed=seed, passes=1)
            without = replace(greedy, periods=Extension.OFF)
            found, seconds = timed(problem, greedy)
            alone, alone_seconds = timed(problem if blocks == 1 or off else one, without)
            times = 1 if blocks == 1 or off else blocks**2
            reference = "search without" if times == 1 else "blocks one by one"
            print(
                f"| {name} | {blocks} | {platform} | {batch} | {seed} | {found.evaluation.edp:.4g} | "
                f"{found.lfa.lg_count} | "
                f"{reference} | {found.evaluation.edp / (times * alone.evaluation.edp):.4f} | {most:.4g} | "
                f"{seconds:.1f} | {alone_seconds:.1f} |",
                flush=True,
            )


def timed(problem: Problem, parameters: SolveParameters) -> tuple[Schedule, float]:
    begin = time.process_time()
    return solve(problem, parameters).schedule, time.process_time() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0 on")
    parser.add_argument("--only", default="", help="part of network/platform/batch")
    parser.add_argument("--passes", action="store_true", help="large batches in one pass and in several")
    parser.add_argument("--periods", action="store_true", help="blocks in a row and networks with repeats")
    parser.add_argument("--off", action="store_true", help="with --periods: blocks without periods, not one by one")
    options = parser.parse_args()
    warm_up()
    if options.periods:
        print_periods(options.seeds, options.only, options.off)
        return
    if options.passes:
        print_passes(options.seeds, options.only)
        return
    print("| " + " | ".join(HEADS) + " |")
    print("|---" * len(HEADS) + "|")
    for name, platform, batch, most in (*ROWS, *TOO_LARGE):
        if options.only not in f"{name}/{platform}/{batch}":
            continue
        whole = Problem(load_network(name, None).network, platform_named(platform), batch)
        problem = divided_to_fit(whole)
        start = coarse_lfa(problem)
        schedules: dict[bool, list[Schedule]] = {False: [], True: []}
        seconds = {False: 0.0, True: 0.0}
        for seed in range(options.seeds):
            for wide in (False, True) if problem is whole else (True,):
                begin = time.process_time()
                found = search_lfas(problem, start, seed, parameters=LFASearchParameters(wide=wide))
                seconds[wide] += (time.process_time() - begin) / options.seeds
                schedules[wide].append(best_of(whole, found))
        if problem is whole:
            costs = {wide: [one.evaluation.edp for one in schedules[wide]] for wide in schedules}
            ratios = " ".join(f"{b / a:.4f}" for a, b in zip(costs[False], costs[True], strict=True))
            paper, worst, wanted = f"{min(costs[False]):.4g}", f"{max(costs[True]):.4g}", f"{most:.4g}"
        else:
            ratios, paper = "", "does not fit"
            worst, wanted = f"{max(one.latency for one in schedules[True]):,} cycles", f"{most:,}"
        print(
            f"| {Path(name).stem} | {platform} | {batch} | {paper} | {ratios} | {worst} | {wanted} | "
            f"{seconds[False]:.1f} | {seconds[True]:.1f} | {divided(schedules[True][-1])} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
