"""The wide space against the paper's at equal time: does dividing layers and sharing loads ever cost something?

    python benchmarks/equal_time.py [--seeds 1] [--only edge]

For each (network, platform, batch) of `published.py` and each seed, `solve` runs in the wide space with the default
parameters, then in the paper's space with the default rounds and with as many more as take the same CPU seconds.
Printed are energy × delay in the wide space relative to both (below 1: the wide space is better), and CPU seconds. All
runs have one thread, and this process binds itself to one core.
"""

import argparse
import os
import statistics
import time
from typing import Any

from published import Row, geometric_mean, published_rows, run

from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters
from soma_cp.solver.choices import Space
from soma_cp.solver.warm_up import warm_up


def timed(row: Row, seed: int, rounds: int | None, space: Space) -> tuple[dict[str, Any], float]:
    """Return figures and CPU seconds."""
    begin = time.process_time()
    figures = run(row, seed, rounds, space)
    return figures, time.process_time() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds, from 0 on")
    parser.add_argument("--only", default="", help="part of network/platform/batch")
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    warm_up()
    usual = LFASearchParameters().rounds
    everything = []
    print("| network | platform | batch | wide / paper, same rounds | same time | CPU s: wide, paper, same |")
    print("|---|---|---|---|---|---|")
    for row in published_rows():
        if options.only not in f"{row.network}/{row.platform}/{row.batch}":
            continue
        same_rounds, same_time, seconds = [], [], []
        for seed in range(options.seeds):
            wide, wide_seconds = timed(row, seed, None, Space.WIDE)
            paper, paper_seconds = timed(row, seed, usual, Space.PAPER)
            more = max(round(usual * wide_seconds / paper_seconds), usual)
            longer, longer_seconds = timed(row, seed, more, Space.PAPER)
            same_rounds.append(wide["edp"] / paper["edp"])
            same_time.append(wide["edp"] / min(paper["edp"], longer["edp"]))
            seconds.append((wide_seconds, paper_seconds, longer_seconds))
        everything += same_time
        cells = (
            row.network,
            row.platform,
            row.batch,
            ", ".join(f"{one:.4f}" for one in same_rounds),
            ", ".join(f"{one:.4f}" for one in same_time),
            ", ".join(f"{statistics.median(each):.1f}" for each in zip(*seconds, strict=True)),
        )
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    print(f"\ngeometric mean at the same time {geometric_mean(everything):.4f}, worst {max(everything):.4f}")


if __name__ == "__main__":
    main()
