"""What the corrected semantics change on the paper's networks.

    python benchmarks/semantics.py [--only gpt2] [--buffer 1MiB] [--seed 0]

First table: the LFAs of the published artifact's schedules, with the best DLSA in either semantics. Second table: for
each (network, platform, batch) on which the artifact was measured, the LFA that `solve` finds in the published
semantics, the same LFA in the corrected semantics, and the best LFA known there. All figures are relative to the best
schedule of this project in the published semantics. Figures of the published program are never compared with the
corrected semantics.
"""

import argparse
import math
import statistics
from dataclasses import replace

from published import PUBLISHED, problem_of, published_rows

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.monitor import Monitor
from soma_cp.model.errors import UserError
from soma_cp.model.hardware.platform_file import with_overrides
from soma_cp.model.network.network_file import read_network_file
from soma_cp.model.problem import Problem
from soma_cp.model.semantics import CORRECTED
from soma_cp.model.soma.evaluation import Evaluation
from soma_cp.model.soma.lfa import LFA
from soma_cp.model.soma.plan import make_plan
from soma_cp.model.soma.schedule_file import read_schedule
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.second_stages import run_second_stage
from soma_cp.solver.solve import solve
from soma_cp.solver.warm_up import warm_up

SECONDS = 60.0
"""Limit of each search."""
TIE = 1e-4
"""A relative difference of energy × delay below which two LFAs count as equally good."""


def corrected(problem: Problem) -> Problem:
    """Return the problem in the corrected semantics."""
    return replace(problem, platform=replace(problem.platform, semantics=CORRECTED))


def price(problem: Problem, lfa: LFA, parameters: SolveParameters) -> Evaluation | None:
    """Return the best schedule of an LFA; None if it does not fit."""
    try:
        result = run_second_stage(make_plan(problem, lfa), parameters, monitor=Monitor(Budget(SECONDS)))
        return result.schedule.evaluation
    except UserError:
        return None


def ratios(new: Evaluation | None, old: Evaluation) -> list[str]:
    """Return latency, energy and energy × delay of `new`, relative to those of `old`."""
    if new is None:
        return ["does not fit", "", ""]
    pairs = ((new.latency, old.latency), (new.energy_pj, old.energy_pj), (new.edp, old.edp))
    return [f"{value / base:.4f}" for value, base in pairs]


def shape(lfa: LFA) -> str:
    """Say how an LFA fuses and tiles."""
    tiles = sum(flg.tiling_number * len(flg.layers) for flg in lfa.flgs)
    return f"{lfa.lg_count} / {len(lfa.flgs)} / {tiles}"


def print_row(*cells: object) -> None:
    """Print a row of a table."""
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def published_schedules(only: str, parameters: SolveParameters) -> None:
    """Print the first table."""
    print_row("published schedule", "LGs / FLGs / tiles", "latency", "energy", "EDP")
    print("|---|---|---|---|---|")
    for path in sorted((PUBLISHED / "schedules").glob("*.json")):
        if only not in path.name:
            continue
        network = read_network_file(PUBLISHED / "networks" / f"{path.name.split('.')[0]}.json")
        stored = read_schedule(path, network)
        old = price(stored.problem, stored.lfa, parameters)
        if old is not None:
            new = price(corrected(stored.problem), stored.lfa, parameters)
            print_row(path.name.removesuffix(".json"), shape(stored.lfa), *ratios(new, old))


def own_schedules(only: str, buffer: str | None, parameters: SolveParameters) -> None:
    """Print the second table."""
    same_lfa, winner = "same LFA: latency, energy, EDP", "best LFA: latency, energy, EDP"
    print_row("network", "platform", "batch", "LGs / FLGs / tiles", same_lfa, winner, "LFA that wins")
    print("|---|---|---|---|---|---|---|")
    changes = []
    for row in published_rows():
        if only not in f"{row.network}/{row.platform}/{row.batch}":
            continue
        problem = problem_of(row)
        problem = replace(problem, platform=with_overrides(problem.platform, buffer, None))
        before = solve(problem, parameters, Monitor(Budget(SECONDS)))
        after = solve(corrected(problem), parameters, Monitor(Budget(SECONDS)))
        old, best = before.best.schedule.evaluation, after.best.schedule.evaluation
        same = price(corrected(problem), before.schedule.plan.lfa, parameters)
        wins = shape(after.schedule.plan.lfa)
        if same is not None and same.edp <= best.edp * (1 + TIE):
            best, wins = same, "the same"
        changes.append(best.edp / old.edp)
        figures = (", ".join(filter(None, ratios(one, old))) for one in (same, best))
        print_row(row.network, row.platform, row.batch, shape(before.schedule.plan.lfa), *figures, wins)
    mean = math.exp(statistics.fmean(map(math.log, changes)))
    print(f"\ngeometric mean of the best EDP, corrected over published: {mean:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="part of network/platform/batch, or of a schedule's name")
    parser.add_argument("--buffer", help="another capacity, second table only; a small one forces tiles with halos")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warm_up()
    parameters = SolveParameters(seed=options.seed, prove_seconds=0)
    if options.buffer is None:
        published_schedules(options.only, parameters)
        print()
    own_schedules(options.only, options.buffer, parameters)


if __name__ == "__main__":
    main()
