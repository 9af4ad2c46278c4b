"""What each part of the LFA search is worth.

    python benchmarks/ablation.py [--seeds 3]

One line for each variant of the search. The first figure is the energy × delay of its best LFA (greedy DLSA) relative
to the published program's: the geometric mean over the seeds and over the rows where searches differ. Then follow the
largest loss of a row against the full search, and the search seconds relative to the full search's. All variants do the
same number of rounds, on one core.
"""

import argparse
import math
import os
import statistics
from dataclasses import replace

from published import problem_of, published_rows

from soma_cp.annealing.acceptance import Cooling
from soma_cp.annealing.first_stage.chain import PUBLISHED_MOVES
from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa
from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters, search_lfas
from soma_cp.annealing.first_stage.moves import Move
from soma_cp.solver.warm_up import warm_up

ROWS = (
    "gpt2-xl-prefill/cloud/1",
    "gpt2-small-prefill/edge/1",
    "inception-resnet-v1/edge/1",
    "gpt2-xl-prefill/cloud/4",
    "resnet50/cloud/4",
    "gpt2-small-prefill/edge/4",
    "resnet50/edge/4",
    "gpt2-small-prefill/edge/16",
)


def without(operator: Move) -> LFASearchParameters:
    full = LFASearchParameters()
    return replace(full, weights={one: weight for one, weight in full.weights.items() if one != operator})


def variants() -> dict[str, LFASearchParameters]:
    full = LFASearchParameters()
    found = {"full search": full}
    for operator in full.weights:
        found[f"without {operator.name.lower()}"] = without(operator)
    return found | {
        "published operators only": replace(full, weights=PUBLISHED_MOVES),
        "published cooling": replace(full, cooling=Cooling()),
        "chains that never meet": replace(full, meetings=()),
        "one chain": replace(full, chains=1),
        "8 chains": replace(full, chains=8),
        "all chains begin unfused": replace(full, mixed_starts=False),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0 on")
    seeds = parser.parse_args().seeds
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    warm_up()
    rows = [row for row in published_rows() if f"{row.network}/{row.platform}/{row.batch}" in ROWS]
    problems = [problem_of(row) for row in rows]
    starts = [coarse_lfa(problem) for problem in problems]
    print("| variant | relative EDP | largest loss | seconds |")
    print("|---|---|---|---|")
    full_logs: list[float] = []
    full_seconds = 0.0
    for name, parameters in variants().items():
        logs, seconds = [], 0.0  # logs: mean over the seeds, by row
        for row, problem, start in zip(rows, problems, starts, strict=True):
            found = [search_lfas(problem, start, seed, parameters=parameters, threads=1) for seed in range(seeds)]
            logs.append(statistics.fmean(math.log(one.lfas[0][0] / row.edp) for one in found))
            seconds += sum(one.seconds for one in found)
        full_logs, full_seconds = full_logs or logs, full_seconds or seconds
        loss, where = max((log - full, row) for log, full, row in zip(logs, full_logs, ROWS, strict=True))
        mean = math.exp(statistics.fmean(logs))
        worst = f"{math.expm1(loss):+.1%} ({where})" if loss > 5e-4 else "none"
        print(f"| {name} | {mean:.4f} | {worst} | {seconds / full_seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()
