"""The Cocco baseline against the published program: performance, energy, and what the rule of tiling numbers does.

    python benchmarks/cocco.py [--seeds 3] [--rules output largest] [--uncapped] [--genetic] [--exact 10] [--only edge]

For each problem on which the published program of the SoMa paper was measured: the latency of the baseline under each
rule, median over the seeds and its range; how much faster the published first stage (Ours_1) and the published result
(Ours_2) are than the median; energy saved by that result, LGs and tiles of the median, and CPU seconds of a search.
``--uncapped`` adds layers with more than 16 tiles for each sample, ``--genetic`` Cocco's own search with as many
evaluations. ``--exact SECONDS`` adds the latency of the median's LFA under the exact second stage: what fusion alone
loses. Means over the problems follow, arithmetic and geometric.

Figures depend on the rule more than on anything else (docs/cocco.md#sensitivity).
"""

import argparse
import statistics
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from published import Row, geometric_mean, problem_of, published_rows

from soma_cp.annealing.cocco.cocco_search import CoccoParameters, search_groups
from soma_cp.annealing.cocco.genetic_search import breed_groups
from soma_cp.annealing.cocco.tiling_rules import TilingRule
from soma_cp.annealing.first_stage.paper_search import PaperSearchResult
from soma_cp.annealing.monitor import Monitor
from soma_cp.model.errors import UserError
from soma_cp.model.hardware.builtin.catalogue import platform_named
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.problem import Problem
from soma_cp.model.soma.plan import make_plan
from soma_cp.solver.parameters import CpSatParameters
from soma_cp.solver.second_stage.exact import solve_dlsa_exactly


@dataclass(frozen=True)
class Variant:
    """A way to search Cocco's space."""

    rule: TilingRule
    capped: bool = True
    genetic: bool = False

    @property
    def label(self) -> str:
        return f"{self.rule}{'' if self.capped else ', uncapped'}{', genetic' if self.genetic else ''}"

    def run(self, problem: Problem, seed: int) -> PaperSearchResult:
        """Search with the seed of the first iteration of the paper's search."""
        space, capacity = CoccoParameters(self.rule, self.capped), problem.platform.gbuf_bytes
        random = np.random.default_rng([seed, 1])
        if self.genetic:
            return breed_groups(problem, capacity, random, space=space)
        return search_groups(problem, capacity, random, parameters=space)


def variants_of(options: argparse.Namespace) -> list[Variant]:
    """Return what is measured."""
    found = [Variant(TilingRule(rule)) for rule in options.rules]
    if options.uncapped:
        found += [Variant(TilingRule(rule), capped=False) for rule in options.rules]
    if options.genetic:
        found += [Variant(one.rule, one.capped, True) for one in found if one.rule is not TilingRule.INHERIT]
    return found


def measure(row: Row, variant: Variant, seeds: int, exact_seconds: float) -> dict[str, Any]:
    """Search one problem with each seed; return the figures of the median."""
    problem = problem_of(row)
    cpu = time.process_time()
    found = sorted((variant.run(problem, seed) for seed in range(seeds)), key=lambda one: one.latency)
    cpu = (time.process_time() - cpu) / seeds
    middle = found[(seeds - 1) // 2]
    exact = None
    if exact_seconds > 0:
        plan = make_plan(problem, middle.lfa)
        monitor = Monitor().within(exact_seconds)
        exact = solve_dlsa_exactly(plan, CpSatParameters(workers=1), monitor=monitor).schedule.latency
    return {
        "fits": middle.fits,
        "latency": middle.latency,
        "range": (found[0].latency, found[-1].latency),
        "ours_1": middle.latency / row.first_stage_latency,
        "ours_2": middle.latency / row.latency,
        "energy": 1 - row.energy_pj / middle.energy_pj,
        "lgs": middle.lfa.lg_count,
        "tiles": sum(flg.tiling_number * len(flg.layers) for flg in middle.lfa.flgs),
        "exact": exact,
        "seconds": cpu,
    }


def cells_of(row: Row, figures: dict[str, Any]) -> list[str]:
    """Return a row of a table."""
    least, most = figures["range"]
    exact = [] if figures["exact"] is None else [f"{figures['exact']:,}"]
    return [
        *(row.network, row.platform, str(row.batch)),
        f"{figures['latency']:,}{'' if figures['fits'] else ' *'}",
        "" if least == most else f"{least:,} … {most:,}",
        *exact,
        *(f"{figures[name]:.2f}" for name in ("ours_1", "ours_2")),
        f"{figures['energy']:.1%}",
        *(f"{figures[name]:,}" for name in ("lgs", "tiles")),
        f"{figures['seconds']:.2f}",
    ]


def print_table(heads: list[str], rows: list[list[str]]) -> None:
    """Print a table in Markdown."""
    for line in (heads, ["---"] * len(heads), *rows):
        print("| " + " | ".join(line) + " |", flush=True)
    print()


def mean_cells(label: str, found: list[dict[str, Any]]) -> list[str]:
    """Return the means over all problems of one variant."""

    def mean(name: str) -> str:
        values = [figures[name] for figures in found]
        return f"{statistics.fmean(values):.2f} ({geometric_mean(values):.2f})"

    shares = statistics.fmean(figures["energy"] for figures in found)
    lgs, tiles = (statistics.fmean(figures[name] for figures in found) for name in ("lgs", "tiles"))
    return [label, str(len(found)), mean("ours_1"), mean("ours_2"), f"{shares:.1%}", f"{lgs:.1f}", f"{tiles:,.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds, from 0 on")
    parser.add_argument("--rules", nargs="*", default=["output"], choices=[*TilingRule], help="of tiling numbers")
    parser.add_argument("--uncapped", action="store_true", help="also without the cap of 16 tiles a sample")
    parser.add_argument("--genetic", action="store_true", help="also Cocco's own search")
    parser.add_argument("--exact", type=float, default=0.0, metavar="SECONDS", help="also the exact second stage")
    parser.add_argument("--only", default="", help="part of network/platform/batch")
    options = parser.parse_args()
    smallest = Problem(builtin_network("tiny-chain"), platform_named("edge"))
    for variant in variants_of(options):  # compiles or loads kernels
        variant.run(smallest, 0)
    rows = [row for row in published_rows() if options.only in f"{row.network}/{row.platform}/{row.batch}"]
    heads = ["network", "platform", "batch", "Cocco (cycles)", "seeds"]
    heads += ["exact second stage"] if options.exact else []
    heads += ["Ours_1 over Cocco", "Ours_2 over Cocco", "energy saved", "LGs", "tiles", "CPU s"]
    means = []
    for variant in variants_of(options):
        found, cells = [], []
        for row in rows:
            try:
                found.append(measure(row, variant, options.seeds, options.exact))
                cells.append(cells_of(row, found[-1]))
            except UserError as error:
                cells.append([row.network, row.platform, str(row.batch), str(error)])
        print(f"{variant.label}\n")
        print_table(heads, cells)
        if found:
            means.append(mean_cells(variant.label, found))
    print_table(["rule", "problems", "Ours_1 over Cocco", "Ours_2 over Cocco", "energy saved", "LGs", "tiles"], means)


if __name__ == "__main__":
    main()
