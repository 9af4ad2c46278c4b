"""The exact second stage on the LFAs of both first stages: what is proven, the gaps of the rest, and seconds.

    python benchmarks/second_stage_at_scale.py [--seconds 60] [--only resnet50] [--all-rows]
    python benchmarks/second_stage_at_scale.py --search

The LFAs are those that the paper's first stage (double buffering under the full buffer) and the LFA search (greedy
DLSA) find, seed 0, for the networks of the paper on both platforms at batch 1, 4 and 16; GPT-2-XL does not fit
``edge``. They are stored in ``benchmarks/data/second_stage_lfas.json``; ``--search`` finds them anew, with a limit of
60 s for each. Rows that the window bound settles without a solver are counted; ``--all-rows`` lists them, too.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa, initial_lfa
from soma_cp.annealing.first_stage.lfa_search import search_lfas
from soma_cp.annealing.first_stage.paper_search import anneal_lfas
from soma_cp.annealing.monitor import Monitor
from soma_cp.model.files.text_file import write_text_atomically
from soma_cp.model.hardware.builtin.catalogue import platform_named
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.problem import Problem
from soma_cp.model.soma.footprint import LayerTooLargeError
from soma_cp.model.soma.lfa import FLG, LFA
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.solver.second_stage.exact import solve_dlsa_exactly
from soma_cp.solver.warm_up import warm_up

LFAS = Path(__file__).resolve().parent / "data" / "second_stage_lfas.json"
NETWORKS = (
    "gpt2-small-prefill",
    "gpt2-small-decode",
    "gpt2-xl-prefill",
    "gpt2-xl-decode",
    "resnet50",
    "resnet101",
    "inception-resnet-v1",
    "randwire",
)
SEARCH_SECONDS = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="limit for each LFA")
    parser.add_argument("--only", default="", help="only rows whose name contains this")
    parser.add_argument("--all-rows", action="store_true", help="also list rows that need no solver")
    parser.add_argument("--search", action="store_true", help="find the LFAs anew and store them")
    options = parser.parse_args()
    warm_up()
    if options.search:
        search_all()
        return
    print("| LFA search | network, platform, batch | tiles | transfers | greedy above | found above | proven by | s |")
    print("|---|---|---|---|---|---|---|---|")
    rows = [row for row in json.loads(LFAS.read_text()) if options.only in name_of(row)]
    proven, without_solver, worst = 0, 0, 0.0
    for row in rows:
        result = solve_dlsa_exactly(plan_of(row), monitor=Monitor(Budget(options.seconds)))
        gap = result.schedule.evaluation.latency / result.lower_bound - 1
        proven += result.proven_optimal
        without_solver += "windows" not in result.details
        worst = max(worst, gap)
        if options.all_rows or "windows" in result.details:
            print_row(row, result)
    print()
    print(f"{proven} of {len(rows)} proven optimal, {without_solver} of them by windows alone; worst gap {worst:.2%}")


def print_row(row: dict[str, Any], result: Any) -> None:
    """Print one line of the table."""
    plan = plan_of(row)
    bound = result.lower_bound
    cells = (
        row["search"],
        f"{row['network']}, {row['platform']}, {row['batch']}",
        plan.tile_count,
        plan.dram_tensor_count,
        f"{result.details['incumbent_latency'] / bound - 1:.3%}",
        "optimal" if result.proven_optimal else f"{result.schedule.evaluation.latency / bound - 1:.3%}",
        result.lower_bound_source,
        f"{result.seconds:.1f}",
    )
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def name_of(row: dict[str, Any]) -> str:
    """Name a row for ``--only``."""
    return f"{row['search']} {row['network']} {row['platform']} {row['batch']}"


def plan_of(row: dict[str, Any]) -> Plan:
    """Return the plan of the LFA of a row."""
    problem = Problem(builtin_network(row["network"]), platform_named(row["platform"]), row["batch"])
    layers = problem.network.layers
    flgs = tuple(FLG(tuple(layers[i].name for i in ids), number, cut) for number, cut, ids in row["flgs"])
    return make_plan(problem, LFA(flgs))


def search_all() -> None:
    """Find the LFAs of all rows and write them."""
    rows = []
    for search in ("greedy", "paper"):
        for network in NETWORKS:
            for platform in ("edge", "cloud"):
                for batch in (1, 4, 16):
                    problem = Problem(builtin_network(network), platform_named(platform), batch)
                    try:
                        lfa = found_by(search, problem)
                    except LayerTooLargeError as error:
                        print(f"left out: {network} on {platform}, batch {batch}: {error}")
                        continue
                    ids = problem.network.layer_id
                    flgs = [[flg.tiling_number, flg.dram_cut, [ids[name] for name in flg.layers]] for flg in lfa.flgs]
                    rows.append(
                        {"search": search, "network": network, "platform": platform, "batch": batch, "flgs": flgs}
                    )
                    print(name_of(rows[-1]), flush=True)
    write_rows(rows)


def write_rows(rows: list[dict[str, Any]]) -> None:
    """Write the rows, one a line."""
    LFAS.parent.mkdir(exist_ok=True)
    write_text_atomically(LFAS, "[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]\n")


def found_by(search: str, problem: Problem) -> LFA:
    """Return the best LFA of a first stage."""
    budget = Budget(SEARCH_SECONDS)
    if search == "greedy":
        return search_lfas(problem, coarse_lfa(problem), 0, monitor=Monitor(budget)).lfas[0][1]
    random = np.random.default_rng(0)
    return anneal_lfas(problem, initial_lfa(problem), problem.platform.gbuf_bytes, random, monitor=Monitor(budget)).lfa


if __name__ == "__main__":
    main()
