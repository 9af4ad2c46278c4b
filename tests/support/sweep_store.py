"""A small store of a sweep for tests of reports: cases, a map, schedules of the published program."""

from pathlib import Path
from typing import Any

from soma_cp.model.hardware.quantities import MIB
from soma_cp.solver.sweep.store import Result, Store
from support.execution_cases import SCHEDULES
from support.sweep_rows import made_row

SCHEDULE = SCHEDULES / "resnet50.b1.8MiB.16GBps.json"


def case_rows() -> list[dict[str, Any]]:
    """Return five cases: all methods; Cocco infeasible; paper-1 missing; a decode of low utilization."""
    rows = []
    for place, case in enumerate(
        (
            ("resnet50", "edge", 1),
            ("resnet50", "edge", 4),
            ("resnet101", "edge", 1),
            ("gpt2-small-decode", "edge", 1),
            ("resnet50", "cloud", 1),
        )
    ):
        used = 0.01 if "decode" in case[0] else 0.4
        for method, latency, energy in (("cocco", 400, 4e9), ("paper-1", 250, 2e9), ("paper-2", 200, 2e9)):
            figures = {"latency_cycles": latency * (place + 1), "energy_pj": energy * (place + 1)}
            shares = {"utilization": used * 200 / latency, "bound_utilization": used * 1.1}
            rows.append(made_row(*case, method, **figures, **shares))
    rows[3] = made_row("resnet50", "edge", 4, "cocco")
    del rows[7]
    return rows


def ruled_rows() -> list[dict[str, Any]]:
    """Return Cocco by three rules and paper-2 in two cases; by `largest`, the second has no schedule."""
    one, other = ("resnet101", "edge", 1), ("resnet101", "edge", 4)
    return [
        made_row(*one, "paper-2", latency_cycles=100, energy_pj=2.0),
        made_row(*other, "paper-2", latency_cycles=100, energy_pj=3.0),
        made_row(*one, "cocco", latency_cycles=200, energy_pj=4.0, lgs=6, tiles=100),
        made_row(*other, "cocco", latency_cycles=800, energy_pj=12.0, lgs=9, tiles=400),
        made_row(*one, "cocco", latency_cycles=300, energy_pj=8.0, lgs=7, tiles=150, tiling="largest"),
        made_row(*other, "cocco", tiling="largest"),
        made_row(*one, "cocco", latency_cycles=50, energy_pj=1.0, lgs=2, tiles=50_000, uncapped=True),
    ]


def map_rows() -> list[dict[str, Any]]:
    """Return Cocco and paper-2 on 2 × 3 points; Cocco has no schedule at one and a missing one, paper-2 a slow one."""
    rows = []
    for method, slower in (("cocco", 2), ("paper-2", 1)):
        for bandwidth in (4, 8, 32):
            for size in (4, 16):
                values = {"buffer_bytes": size * MIB, "dram_bytes_per_s": bandwidth * 1e9}
                latency = slower * max(64_000 // bandwidth // size, 1000) + (
                    700 if (bandwidth, size) == (32, 16) else 0
                )
                is_infeasible = (method, bandwidth, size) == ("cocco", 8, 4)
                energy = 1e9 * size / bandwidth
                figures = {} if is_infeasible else {"latency_cycles": latency, "energy_pj": energy}
                rows.append(made_row("resnet50", "edge", 16, method, **values, **figures))
    del rows[0]
    return rows


def write_store(path: Path) -> Path:
    """Write a store of both; Cocco and paper-2 of resnet50, edge, batch 1 have a schedule."""
    text = SCHEDULE.read_text(encoding="utf-8")
    results = [Result(row, "{}", text if row["status"] == "done" else None) for row in (*case_rows(), *map_rows())]
    with Store(path) as store:
        store.add(results)
    return path
