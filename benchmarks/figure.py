"""Draw one or two schedules on one time axis: DRAM channel, compute, buffer (the form of the SoMa paper's Fig. 4).

    python benchmarks/figure.py SCHEDULE.json -o figure.svg

Needs matplotlib: ``pip install 'soma-cp[figures]'``.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from soma_cp.model.dlsa import DLSA, double_buffering
from soma_cp.model.evaluation import evaluate
from soma_cp.model.plan import Plan
from soma_cp.model.platform import MIB
from soma_cp.model.schedule_file import read_schedule
from soma_cp.model.tensors import IFM, OFM, WGT

# Okabe and Ito's colours, apart for colour-blind readers too.
COLOURS = {WGT: "#0072B2", IFM: "#E69F00", OFM: "#009E73"}
NAMES = {WGT: "load weights", IFM: "load ifmap", OFM: "store ofmap"}


def draw(axes: tuple[Axes, Axes], plan: Plan, dlsa: DLSA, title: str) -> int:
    """Draw one schedule into two axes; return its latency."""
    evaluation = evaluate(plan, dlsa)
    bars, buffer = axes
    kcycles = 1e-3
    for kind, colour in COLOURS.items():
        of_kind = np.flatnonzero(plan.tensors.kind == kind)
        spans = [(evaluation.tensor_begin[i] * kcycles, plan.tensors.cycles[i] * kcycles) for i in of_kind]
        bars.broken_barh(spans, (1.1, 0.8), color=colour, edgecolor="white", linewidth=0.3, label=NAMES[kind])
    tiles = list(zip(evaluation.tile_begin * kcycles, plan.tile_cycles * kcycles, strict=True))
    bars.broken_barh(tiles, (0.1, 0.8), color="#999999", edgecolor="white", linewidth=0.3, label="compute tile")
    bars.set_yticks([0.5, 1.5], ["compute", "DRAM"])
    bars.set_title(f"{title}: {evaluation.latency:,} cycles", loc="left", fontsize=9)
    edges = np.append(evaluation.tile_begin, evaluation.latency) * kcycles
    buffer.stairs(evaluation.usage_bytes / MIB, edges, fill=True, color="#CC79A7")
    buffer.axhline(plan.problem.platform.gbuf_bytes / MIB, color="black", linewidth=0.8, linestyle="--")
    buffer.set_ylabel("MiB")
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return evaluation.latency


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("schedule", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    stored = read_schedule(options.schedule)
    mpl.rcParams.update({"font.size": 8, "svg.hashsalt": "soma-cp"})
    figure, axes = plt.subplots(4, 1, figsize=(9, 4.6), sharex=True, height_ratios=[2, 1, 2, 1], layout="constrained")
    draw((axes[0], axes[1]), stored.plan, double_buffering(stored.plan), "double buffering")
    draw((axes[2], axes[3]), stored.plan, stored.dlsa, "second stage, same LFA")
    axes[0].legend(ncols=4, loc="lower right", bbox_to_anchor=(1, 1), frameon=False)
    axes[3].set_xlabel("thousand cycles; below each: buffer in use, dashed its capacity")
    figure.savefig(options.output, metadata={"Date": None} if options.output.suffix == ".svg" else None, dpi=150)


if __name__ == "__main__":
    main()
