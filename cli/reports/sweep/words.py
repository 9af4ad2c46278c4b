"""How figures of sweeps call things: methods, networks and platforms in the paper's words, columns with their units."""

import math
from collections.abc import Mapping
from typing import Any

from soma_cp.model.hardware.quantities import MIB
from soma_cp.solver.sweep.rows import COLUMNS

METHOD_NAMES: Mapping[str, str] = {
    "cocco": "Cocco",
    "cocco-exact": "Cocco, exact second stage",
    "paper-1": "Ours_1",
    "paper-2": "Ours_2",
    "paper-1-full": "Ours_1, full buffer",
    "ours": "soma-cp",
    "ours-alone": "soma-cp, by itself",
}
"""The paper calls its two stages Ours_1 and Ours_2; this project is no part of the paper."""

NETWORK_NAMES: Mapping[str, str] = {
    "resnet50": "ResNet-50",
    "resnet101": "ResNet-101",
    "inception-resnet-v1": "Inception-ResNet",
    "randwire-small": "RandWire",
    "gpt2-small-prefill": "GPT-2-S prefill",
    "gpt2-small-decode": "GPT-2-S decode",
    "gpt2-xl-prefill": "GPT-2-XL prefill",
    "gpt2-xl-decode": "GPT-2-XL decode",
    "transformer-big-cell": "Transformer-Large",
}

_COLUMN_LABELS: Mapping[str, tuple[str, float]] = {
    "buffer_bytes": ("buffer (MiB)", MIB),
    "average_buffer_bytes": ("average buffer usage (MiB)", MIB),
    "average_buffer_bytes_artifact": ("average buffer usage of the artifact (MiB)", MIB),
    "peak_buffer_bytes": ("peak buffer usage (MiB)", MIB),
    "dram_bytes_per_s": ("DRAM bandwidth (GB/s)", 1e9),
    "dram_bytes": ("DRAM traffic (MB)", 1e6),
    "latency_ns": ("latency (ms)", 1e6),
    "model_latency_ns": ("latency of the whole model (ms)", 1e6),
    "latency_cycles": ("latency (million cycles)", 1e6),
    "energy_pj": ("energy (mJ)", 1e9),
    "core_energy_pj": ("energy of the core array (mJ)", 1e9),
    "dram_energy_pj": ("energy of DRAM (mJ)", 1e9),
    "model_energy_pj": ("energy of the whole model (mJ)", 1e9),
    "utilization": ("utilization (%)", 0.01),
    "bound_utilization": ("utilization at the bound (%)", 0.01),
    "cost": ("cost", 1.0),
    "clock_hz": ("clock (GHz)", 1e9),
    "net": ("network", 1.0),
    "hw": ("platform", 1.0),
}
"""Label and unit of columns that figures show otherwise than rows hold them."""
NAMES: Mapping[str, Mapping[str, str]] = {"method": METHOD_NAMES, "net": NETWORK_NAMES}

NUMERIC = tuple(column.name for column in COLUMNS if column.kind in (int, float))
AXES = tuple(column.name for column in COLUMNS if column.is_axis)


def method_name(method: str) -> str:
    """Return the paper's word for a method."""
    return METHOD_NAMES.get(method, method)


def network_name(net: str) -> str:
    """Return the paper's word for a network."""
    return NETWORK_NAMES.get(net, net)


def network_place(net: str) -> int:
    """Return where a network stands among others: in the paper's order, then all others."""
    return list(NETWORK_NAMES).index(net) if net in NETWORK_NAMES else len(NETWORK_NAMES)


def column_label(column: str) -> str:
    """Return what an axis of a figure says, with its unit."""
    return _COLUMN_LABELS.get(column, (column.replace("_", " "), 1.0))[0]


def in_unit(column: str, value: Any) -> Any:
    """Return a value in the unit of its label."""
    return value / _COLUMN_LABELS.get(column, ("", 1.0))[1] if isinstance(value, int | float) else value


def value_text(column: str, value: Any) -> str:
    """Return a value as ticks and titles say it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return NAMES.get(column, {}).get(value, value)
    shown = in_unit(column, value)
    return f"{shown:,}" if isinstance(shown, int) else f"{shown:.4g}"


def named_value(column: str, value: Any) -> str:
    """Return a value with the name and the unit of its column, as a title says it: buffer 8 MiB."""
    name, _, unit = column_label(column).partition(" (")
    return f"{name} {value_text(column, value)} {unit.removesuffix(')')}".rstrip()


def number_text(value: float) -> str:
    """Return a figure with three digits; empty if it is none."""
    if math.isnan(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
