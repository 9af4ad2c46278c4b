"""Rows in the columns of the published program's script, to be laid beside its own."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from soma_cp.model.hardware.quantities import MIB
from soma_cp.solver.sweep.rows import COLUMNS, Row, has_usual_rule

_STAGES = {"baseline": ("cocco", "cocco"), "ours": ("paper-1", "paper-2")}
"""Methods of the first and the second stage by `baseline_type`; Cocco has no second stage."""


def artifact_rows(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return a row for each point and `baseline_type` whose methods have schedules.

    Buffers are in MiB, bandwidths in GB/s, energies in pJ, utilizations in %. `tops` are INT8 operations a second, in
    10¹², two for each multiply-accumulate.
    """
    points: dict[tuple[Any, ...], dict[str, Row]] = defaultdict(dict)
    for row in rows:
        if row["latency_cycles"] is not None and has_usual_rule(row):
            points[tuple(row[column.name] for column in COLUMNS if column.is_axis)][row["method"]] = row
    return [
        _artifact_row(kind, found[first], found[second])
        for found in points.values()
        for kind, (first, second) in _STAGES.items()
        if first in found and second in found
    ]


def _artifact_row(kind: str, first: Row, second: Row) -> dict[str, Any]:
    return {
        "network": first["net"],
        "baseline_type": kind,
        "buffer_size": first["buffer_bytes"] / MIB,
        "batch_size": first["batch"],
        "dram_bw": first["dram_bytes_per_s"] / 1e9,
        "tops": 2 * first["macs_per_cycle"] * first["clock_hz"] / 1e12,
        "s1_avg_buffer_usage": first["average_buffer_bytes_artifact"] / MIB,
        "s2_avg_buffer_usage": second["average_buffer_bytes_artifact"] / MIB,
        "s1_core_energy": first["core_energy_pj"],
        "s1_dram_energy": first["dram_energy_pj"],
        "s1_total_energy": first["energy_pj"],
        "s1_real_util": 100 * first["utilization"],
        "s2_real_util": 100 * second["utilization"],
        "s1_ideal_util": 100 * first["bound_utilization"],
    }
