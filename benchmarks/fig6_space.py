"""The 48 cases of the paper's Fig. 6 in the wide space: against the paper's space, the published program and the bound.

    python benchmarks/fig6_space.py RESULTS [--only edge] [--variants wide paper] [--prove-seconds 60]

Each case is solved with the default settings and seed 0, once for each variant:

- ``wide``: the default;
- ``paper``: the same in the paper's space, ``--space paper``;
- ``one-pass``: the wide space without passes, ``--passes 1``;
- ``paper-lfa``: the paper's first stage, ``--lfa paper`` (not by default: slow at large batches);
- ``cocco``: the Cocco baseline, ``--lfa cocco``, double buffered; its figures are those of one rule of tiling numbers
  (docs/cocco.md#sensitivity);
- ``cocco-exact``: the same LFA with the exact second stage: what fusion alone loses.

Every result is a line of the file RESULTS. Cases that the file has are not run again, so an interrupted run goes on
where it stopped; without cases to run, the table alone is printed. Its columns are energy × delay of ``wide``, its
ratio to the other variants and to the published program (where that was measured:
``tests/data/published/artifact_results.csv``), the gap to the bound over the wide space, and wall-clock seconds.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from published import geometric_mean, published_rows

from soma_cp.model.hardware.builtin.catalogue import platform_named
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.problem import Problem
from soma_cp.solver.choices import FirstStage, SecondStage, Space
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.solve import solve
from soma_cp.solver.warm_up import warm_up

BOTH = ("resnet50", "resnet101", "inception-resnet-v1", "randwire-small")
NETWORKS = {
    "edge": (*BOTH, "gpt2-small-prefill", "gpt2-small-decode"),
    "cloud": (*BOTH, "gpt2-xl-prefill", "gpt2-xl-decode"),
}
BATCHES = (1, 4, 16, 64)
VARIANTS: dict[str, dict[str, Any]] = {
    "wide": {},
    "paper": {"space": Space.PAPER},
    "one-pass": {"passes": 1},
    "paper-lfa": {"first_stage": FirstStage.PAPER},
    "cocco": {"first_stage": FirstStage.COCCO, "second_stage": SecondStage.NONE},
    "cocco-exact": {"first_stage": FirstStage.COCCO},
}

Case = tuple[str, str, int]


def cases(only: str) -> list[Case]:
    """Return network, platform and batch of the cases whose name has `only` in it, small batches first."""
    every = [(name, platform, batch) for batch in BATCHES for platform in NETWORKS for name in NETWORKS[platform]]
    return [case for case in every if only in "/".join(map(str, case))]


def run(case: Case, variant: str, prove_seconds: float, seed: int) -> dict[str, Any]:
    """Solve a case; return its figures."""
    name, platform, batch = case
    problem = Problem(builtin_network(name), platform_named(platform), batch)
    parameters = SolveParameters(prove_seconds=prove_seconds, seed=seed, **VARIANTS[variant])
    wall, cpu = time.monotonic(), time.process_time()
    result = solve(problem, parameters)
    schedule = result.schedule
    return {
        "case": case,
        "variant": variant,
        "seed": seed,
        "edp": schedule.evaluation.edp,
        "latency": schedule.latency,
        "energy_pj": schedule.energy_pj,
        "bound": result.cost_bound,
        "bound_complete": result.network_bound.complete,
        "bound_seconds": result.network_bound.seconds,
        "proven_second_stage": result.best.proven_optimal,
        "lgs": schedule.plan.run.lg_count,
        "passes": schedule.lfa.passes,
        "divided": len(schedule.lfa.divisions),
        "shared": len(schedule.lfa.shared_loads),
        "rounds": result.rounds,
        "seconds": time.monotonic() - wall,
        "cpu_seconds": time.process_time() - cpu,
    }


def print_table(found: dict[tuple[Case, str], dict[str, Any]], only: str) -> None:
    """Print a row for each case that was solved in the wide space, and the means."""
    others = [variant for variant in VARIANTS if variant != "wide"]
    known = {(row.network, row.platform, row.batch): row.edp for row in published_rows()}
    ratios: dict[str, list[float]] = {name: [] for name in (*others, "published", "gap")}
    heads = ("network", "platform", "batch", "energy × delay", *others, "published", "gap", "LGs", "passes", "divided")
    print("| " + " | ".join((*heads, "s", "CPU s")) + " |")
    print("|---" * (len(heads) + 2) + "|")
    for case in cases(only):
        wide = found.get((case, "wide"))
        if wide is None:
            continue
        cost = wide["edp"]
        cells = [*case, f"{cost:.4g}"]
        for name in (*others, "published"):
            solved = found.get((case, name))
            other = known.get(case) if name == "published" else solved and solved["edp"]
            cells.append("" if other is None else f"{cost / other:.4f}")
            if other is not None:
                ratios[name].append(cost / other)
        ratios["gap"].append(cost / wide["bound"])
        cells += [f"{cost / wide['bound'] - 1:.1%}", wide["lgs"], wide["passes"], wide["divided"]]
        cells += [f"{wide['seconds']:.0f}", f"{wide['cpu_seconds']:.0f}"]
        print("| " + " | ".join(map(str, cells)) + " |")
    print()
    for name, values in ratios.items():
        if values:
            worst = max(values)
            print(f"{name}: {len(values)} cases, geometric mean {geometric_mean(values):.4f}, worst {worst:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="file of results, which is read and appended to")
    parser.add_argument("--only", default="", help="part of network/platform/batch")
    parser.add_argument("--variants", nargs="*", default=["wide", "paper"], choices=[*VARIANTS], help="what to run")
    parser.add_argument("--prove-seconds", type=float, default=SolveParameters().prove_seconds, help="as of `solve`")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    lines = options.results.read_text().splitlines() if options.results.exists() else []
    rows = [json.loads(line) for line in lines]
    found = {((*row["case"],), row["variant"]): row for row in rows if row["seed"] == options.seed}
    missing = [
        (case, variant) for case in cases(options.only) for variant in options.variants if (case, variant) not in found
    ]
    if missing:
        warm_up()
    for case, variant in missing:
        row = run(case, variant, options.prove_seconds, options.seed)
        found[case, variant] = row
        with options.results.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{'/'.join(map(str, case))} {variant}: {row['edp']:.4g} in {row['seconds']:.0f} s", flush=True)
    print_table(found, options.only)


if __name__ == "__main__":
    main()
