"""The exact second stage on the LFAs of the published schedules.

    python benchmarks/exact_second_stage.py

For each schedule file under ``tests/data/published/schedules``: latency of double buffering, of the published schedule,
of the greedy pass and of CP-SAT, which does not know the published schedule; the proven lower bound, what proved it,
and the seconds.
"""

import argparse
from pathlib import Path

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.monitor import Monitor
from soma_cp.model.files.text_file import read_json
from soma_cp.model.network.builtin.catalogue import builtin_names
from soma_cp.model.network.network_file import read_network_file
from soma_cp.model.soma.dlsa import double_buffering
from soma_cp.model.soma.evaluation import evaluate
from soma_cp.model.soma.schedule_file import read_schedule
from soma_cp.solver.second_stage.exact import solve_dlsa_exactly

PUBLISHED = Path(__file__).resolve().parent.parent / "tests" / "data" / "published"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="limit for each schedule")
    seconds = parser.parse_args().seconds
    print("| LFA of | transfers | double buffering | published | greedy | CP-SAT | proven bound | by | s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for path in sorted((PUBLISHED / "schedules").glob("*.json")):
        document = read_json(path)
        name = document["network"]
        network = None if name in builtin_names() else read_network_file(PUBLISHED / "networks" / f"{name}.json")
        plan = read_schedule(path, network).plan
        result = solve_dlsa_exactly(plan, monitor=Monitor(Budget(seconds)))
        cells = (
            path.stem,
            plan.dram_tensor_count,
            f"{evaluate(plan, double_buffering(plan.tensors)).latency:,}",
            f"{document['expect']['latency']:,}",
            f"{result.details['incumbent_latency']:,}",
            f"{result.schedule.evaluation.latency:,}",
            f"{result.lower_bound:,}" if not result.proven_optimal else "optimal",
            result.lower_bound_source,
            f"{result.seconds:.2f}",
        )
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    main()
