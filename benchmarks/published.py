"""soma-cp and the published program compared: quality of schedules and search seconds.

    python benchmarks/published.py [--seeds 5] [--only gpt2] [--json results.json]

For each (network, platform, batch) on which the published artifact of the SoMa paper was measured: energy × delay of
the schedule found here, relative to the published program's (below 1 is better), median and worst over the seeds; and
the search seconds of both on one core. Ours are those of the whole `solve`, with the exact second stage of the best few
LFAs, after kernels are compiled and modules loaded. Only proofs do not count: the bound over every LFA (up to a
second), and the time that CP-SAT may spend at the end to prove the winner's DLSA optimal. The last column is the gap of
the median to the bound over every LFA. This process binds itself to one core. All rows run with the default parameters
in the paper's space (`--space wide` for the other), in the published semantics (docs/semantics.md).

The published figures are in ``tests/data/published/artifact_results.csv``, whose README says where they come from.
"""

import argparse
import csv
import json
import math
import os
import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters
from soma_cp.model.files.text_file import write_text_atomically
from soma_cp.model.hardware.builtin.catalogue import platform_named
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.problem import Problem
from soma_cp.solver.choices import Space
from soma_cp.solver.parameters import CpSatParameters, SolveParameters
from soma_cp.solver.solve import solve
from soma_cp.solver.warm_up import warm_up

PUBLISHED = Path(__file__).resolve().parent.parent / "tests" / "data" / "published"
SLOW_SECONDS = 20.0
"""A longer search of the published program is slow: our target is then a tenth of its time, on other rows 3 s."""


@dataclass(frozen=True)
class Row:
    """A problem, the figures that the published program reaches, and its seconds on one core.

    `first_stage_latency` is that of the first stage from which the schedule was made, double buffered.
    """

    network: str
    platform: str
    batch: int
    latency: int
    energy_pj: float
    edp: float
    first_stage_latency: int
    seconds: float

    @property
    def limit_seconds(self) -> float:
        """Our target for the search time."""
        return self.seconds / 10 if self.seconds > SLOW_SECONDS else 3.0


def published_rows() -> list[Row]:
    """Read the published figures."""
    with (PUBLISHED / "artifact_results.csv").open() as file:
        return [
            Row(
                line["network"],
                line["platform"],
                int(line["batch"]),
                int(line["latency"]),
                float(line["energy_pj"]),
                float(line["edp"]),
                int(line["first_stage_latency"]),
                float(line["search_seconds_one_core"]),
            )
            for line in csv.DictReader(file)
        ]


def problem_of(row: Row) -> Problem:
    """Build the problem of a row."""
    return Problem(builtin_network(row.network), platform_named(row.platform), row.batch)


def run(row: Row, seed: int, rounds: int | None, space: Space) -> dict[str, Any]:
    """Solve a row; return its figures."""
    parameters = SolveParameters(seed=seed, threads=1, prove_seconds=0, cpsat=CpSatParameters(workers=1), space=space)
    if rounds is not None:
        parameters = replace(parameters, search=replace(LFASearchParameters(), rounds=rounds))
    result = solve(problem_of(row), parameters)
    found = result.best.schedule.evaluation
    return {
        "network": row.network,
        "platform": row.platform,
        "batch": row.batch,
        "seed": seed,
        "latency": found.latency,
        "energy_pj": found.energy_pj,
        "edp": found.edp,
        "relative_edp": found.edp / row.edp,
        "proven_optimal": result.best.proven_optimal,
        "rounds": result.rounds,
        "bound_edp": result.network_bound.cost,
        "seconds": result.seconds - result.network_bound.seconds,
    }


def geometric_mean(values: list[float]) -> float:
    """Return the geometric mean."""
    return math.exp(statistics.fmean(map(math.log, values)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds, from 0 on")
    parser.add_argument("--rounds", type=int, help="rounds of the first stage; by default those of `solve`")
    parser.add_argument("--space", type=Space, default=Space.PAPER, choices=[*Space], help="paper or wide")
    parser.add_argument("--only", default="", help="part of network/platform/batch")
    parser.add_argument("--json", type=Path, help="file for all figures")
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    warm_up()
    figures: list[dict[str, Any]] = []
    medians, worsts = [], []
    print("published semantics\n")
    print("| network | platform | batch | latency | energy (µJ) | EDP | worst | published (s) | ours (s) | gap |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for row in published_rows():
        if options.only not in f"{row.network}/{row.platform}/{row.batch}":
            continue
        found = [run(row, seed, options.rounds, options.space) for seed in range(options.seeds)]
        figures += found
        ratios = [one["relative_edp"] for one in found]
        middle = sorted(found, key=lambda one: float(one["relative_edp"]))[(len(found) - 1) // 2]
        seconds = statistics.median(one["seconds"] for one in found)
        medians.append(middle["relative_edp"])
        worsts.append(max(ratios))
        cells = (
            row.network,
            row.platform,
            row.batch,
            f"{middle['latency']:,} ({middle['latency'] / row.latency:.3f})",
            f"{middle['energy_pj'] / 1e6:,.0f} ({middle['energy_pj'] / row.energy_pj:.3f})",
            f"{medians[-1]:.4f}",
            f"{worsts[-1]:.4f}",
            row.seconds,
            f"{seconds:.1f}{'' if seconds <= row.limit_seconds else ' !'}",
            f"{middle['edp'] / middle['bound_edp'] - 1:.2%}",
        )
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    print(f"\ngeometric mean of relative EDP: median {geometric_mean(medians):.4f}, worst {geometric_mean(worsts):.4f}")
    if options.json:
        write_text_atomically(options.json, json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
