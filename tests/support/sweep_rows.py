"""Rows of sweeps made by hand, for tests of what is drawn and computed from them."""

import hashlib
from typing import Any

from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.solver.sweep.methods import has_rule
from soma_cp.solver.sweep.rows import COLUMNS, USUAL_RULE

BLOCKS = {"gpt2-small-prefill": 12, "gpt2-small-decode": 12, "gpt2-xl-prefill": 48, "gpt2-xl-decode": 48}


def made_row(net: str, hw: str, batch: int, method: str, **values: Any) -> dict[str, Any]:
    """Return a row as a store has it, of a point as the paper has it but for `values`.

    Without ``latency_cycles`` there is no schedule.
    """
    platform = PLATFORMS[hw]
    row = {column.name: None for column in COLUMNS} | {
        "net": net,
        "hw": hw,
        "batch": batch,
        "method": method,
        **(USUAL_RULE if has_rule(method) else {}),
        "blocks": 1,
        "types": "",
        "buffer_bytes": platform.gbuf_bytes,
        "dram_bytes_per_s": platform.dram_bytes_per_second,
        "clock_hz": platform.clock_hz,
        "macs_per_cycle": platform.macs_per_cycle,
        "core_array": platform.core_array,
        "semantics": platform.semantics,
        "hardware_key": hw,
        "energy_exponent": 1.0,
        "delay_exponent": 1.0,
        "effort": 1.0,
        "seed": 0,
        "status": "done" if "latency_cycles" in values else "infeasible",
        "message": "" if "latency_cycles" in values else "layer conv1 needs 9 bytes of the buffer, which has 8",
        "seconds": 1.0,
        "versions": "soma-cp 1, model 1, search 1",
        "machine": "here",
    }
    if "latency_cycles" in values:
        row |= _figures(net, values)
    row |= values
    axes = [column.name for column in COLUMNS if column.is_axis]
    identity = repr([row[name] for name in (*axes, *USUAL_RULE)] + [method])
    return row | {"key": hashlib.sha256(identity.encode()).hexdigest()[:16]}


def _figures(net: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return figures that follow from latency and energy, where `values` have no other."""
    latency, energy = values["latency_cycles"], values.get("energy_pj", 1e9)
    blocks = BLOCKS.get(net, 1)
    return {
        "latency_ns": float(latency),
        "model_blocks": blocks,
        "model_latency_ns": float(latency * blocks),
        "energy_pj": energy,
        "core_energy_pj": 0.6 * energy,
        "dram_energy_pj": 0.4 * energy,
        "model_energy_pj": energy * blocks,
        "cost": energy * latency,
        "tile_cycles": latency // 2,
        "dram_cycles": latency // 3,
        "utilization": 0.5,
        "bound_utilization": 0.6,
        "average_buffer_bytes": 3e6,
        "average_buffer_bytes_artifact": 2.9e6,
        "peak_buffer_bytes": 4_000_000,
        "lgs": 2,
        "flgs": 3,
        "tiles": 100,
        "dram_tensors": 30,
        "dram_bytes": 1_000_000,
        "passes": 1,
    }
