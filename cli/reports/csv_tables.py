"""Reports as CSV (RFC 4180): one table of layers, one of tensors; docs/reports.md has the columns."""

import csv
import io
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from soma_cp.cli.reports.reported import Reported
from soma_cp.model.arrays import IntArray
from soma_cp.model.files.text_file import write_text_atomically
from soma_cp.model.soma.execution.events import NONE, WAITED_FOR_NAMES
from soma_cp.model.soma.execution.execution import Execution
from soma_cp.model.soma.execution.execution_tables import layer_table
from soma_cp.model.soma.tensors import KIND_NAMES, OFM

Columns = dict[str, list[Any]]


def write_csv(reported: Sequence[Reported], output: Path) -> list[Path]:
    """Write ``STEM.layers.csv`` and ``STEM.tensors.csv`` into the folder of `output`; return both paths."""
    paths = [output.with_name(f"{output.stem}.{table}.csv") for table in ("layers", "tensors")]
    for path, columns_of in zip(paths, (layer_columns, tensor_columns), strict=True):
        write_text_atomically(path, _text([(one.name, columns_of(one.execution)) for one in reported]))
    return paths


def layer_columns(execution: Execution) -> Columns:
    """Return the table of layers, in Computing Order."""
    table = layer_table(execution)
    layers = execution.schedule.plan.problem.network.layers
    return {
        "layer": [layers[i].name for i in table.layer],
        "kind": [layers[i].kind for i in table.layer],
        "lg": table.lg.tolist(),
        "flg": table.flg.tolist(),
        "tiles": table.tiles.tolist(),
        "begin_cycle": table.begin.tolist(),
        "end_cycle": table.end.tolist(),
        "compute_cycles": table.compute_cycles.tolist(),
        "stall_cycles": table.stall_cycles.tolist(),
        "caused_stall_cycles": table.caused_stall_cycles.tolist(),
        "dram_cycles": table.dram_cycles.tolist(),
        "weight_bytes": table.weight_bytes.tolist(),
        "ifmap_bytes": table.ifmap_bytes.tolist(),
        "ofmap_bytes": table.ofmap_bytes.tolist(),
        "core_energy_pj": table.core_energy_pj.tolist(),
        "dram_energy_pj": table.dram_energy_pj.tolist(),
        "clock_hz": [execution.schedule.plan.problem.platform.clock_hz] * len(table.layer),
    }


def tensor_columns(execution: Execution) -> Columns:
    """Return the table of tensors: those that touch DRAM in DRAM Tensor Order, then the ofmaps that stay on chip."""
    plan, transfers, chip = execution.schedule.plan, execution.transfers, execution.on_chip
    names = [layer.name for layer in plan.problem.network.layers]
    consumers = [";".join(names[i] for i in execution.ofmap_consumers(layer)) for layer in range(len(names))]
    places, absent = len(transfers.tensor), [""] * len(chip.layer)
    is_store = transfers.kind == OFM
    return {
        "place": [*range(places), *absent],
        "kind": [*(KIND_NAMES[kind] for kind in transfers.kind), *(KIND_NAMES[OFM] for _ in absent)],
        "transfer": [*np.where(is_store, "store", "load").tolist(), *("none" for _ in absent)],
        "layer": [names[i] for i in chain(transfers.layer, chip.layer)],
        "tile": [*transfers.tile.tolist(), *chip.tile.tolist()],
        "source": [*(plan.source_name(int(i)) for i in transfers.tensor), *absent],
        "consumers": [
            *(";".join(names[i] for i in execution.transfer_readers(rank)) for rank in range(places)),
            *(consumers[i] for i in chip.layer),
        ],
        "bytes": [*transfers.bytes.tolist(), *chip.bytes.tolist()],
        "start_tile": [*transfers.start.tolist(), *chip.start.tolist()],
        "end_tile": [*transfers.end.tolist(), *chip.end.tolist()],
        "hold_begin_cycle": [*transfers.hold_begin.tolist(), *chip.hold_begin.tolist()],
        "hold_end_cycle": [*transfers.hold_end.tolist(), *chip.hold_end.tolist()],
        "begin_cycle": [*transfers.begin.tolist(), *absent],
        "finish_cycle": [*transfers.finish.tolist(), *absent],
        "after_tile": [*_or_empty(transfers.after_tile), *absent],
        "gap_cycles": [*transfers.gap.tolist(), *absent],
        "waited_for": [*(WAITED_FOR_NAMES[code] for code in transfers.waited_for), *absent],
        "gates_tile": [*_or_empty(np.where(transfers.gates < plan.tile_count, transfers.gates, NONE)), *absent],
        "stall_cycles": [*transfers.stall.tolist(), *absent],
        "dram_bytes": [*transfers.moved.tolist(), *absent],
    }


def _or_empty(indices: IntArray) -> list[Any]:
    return ["" if index == NONE else index for index in indices.tolist()]


def _text(tables: Sequence[tuple[str, Columns]]) -> str:
    """Return tables with the same columns as one; its first column names the schedule."""
    out = io.StringIO()
    writer = csv.writer(out)  # ends lines with CRLF, as RFC 4180 asks
    writer.writerow(["schedule", *tables[0][1]])
    for name, columns in tables:
        writer.writerows((name, *row) for row in zip(*columns.values(), strict=True))
    return out.getvalue()
