"""The roofline core array in plain Python, one tile at a time: an independent twin (docs/core-arrays.md#roofline)."""

from fractions import Fraction
from math import ceil

from support import slow_types
from support.slow_core_array import (
    MAC_PJ,
    MATRIX_KINDS,
    VECTOR_OPERATION_PJ,
    TileCost,
    ceil_div,
    macs_per_cycle,
    memories,
    unit_energy,
)
from support.slow_model import Extent, ifmap_extent


def tile_cost(network: dict, layer: dict, tile: Extent, hardware: dict) -> TileCost:
    """Return the cost of a tile (b, k, h, w) of `layer`."""
    b, k, h, w = tile
    kind = layer["kind"]
    peak_macs = macs_per_cycle(hardware)
    computed = slow_types.computed_type(layer, network)
    window = layer.get("R", 1) * layer.get("S", 1)
    weights = Fraction(0)
    if kind in MATRIX_KINDS:
        per_group, outputs = layer["C"], k
        if kind == "group_conv":
            # A tile has whole groups, or a part of one.
            per_group, of_group = layer["C"] // layer["G"], layer["K"] // layer["G"]
            outputs = k if k <= of_group else ceil_div(k, of_group) * of_group
        operations = b * h * w * outputs * per_group * window
        cycles = operations * slow_types.slowdown(computed, hardware, peak_macs) / peak_macs
        operation_pj = slow_types.mac_pj(computed, hardware, unit_energy(hardware, "MAC", MAC_PJ))
        copies = b if layer.get("weight_operands") else 1
        weights = Fraction(outputs * slow_types.kernel_bits(layer, network) * copies, 8)
    else:
        repeats = layer.get("N", 2) if kind == "eltwise" else window if kind == "pool" else 1
        operations = b * k * h * w * repeats
        peak = hardware.get("vector_ops", max(peak_macs // 16, 1))
        cycles = operations * slow_types.width(computed) / peak
        operation_pj = unit_energy(hardware, "vector_operation", VECTOR_OPERATION_PJ)
        operation_pj *= float(slow_types.width(computed))
    ifmaps = Fraction(slow_types.bits_of(slow_types.ifmap_type(layer, network)), 8)
    for extent in ifmap_extent(layer, tile, network, hardware.get("semantics") == "corrected"):
        ifmaps *= max(extent, 0)
    if kind == "eltwise":
        ifmaps *= layer.get("N", 2)
    ofmap = b * k * h * w * Fraction(slow_types.bits_of(slow_types.ofmap_type(layer)), 8)
    gbuf = memories(hardware)["GBUF"]
    gbuf_pj = ceil(ifmaps + weights) * gbuf.read_pj + ceil(ofmap) * gbuf.write_pj
    moved = ceil(ifmaps + weights + ofmap)
    cycles = max(ceil(cycles), ceil_div(moved, hardware["gbuf_bytes_per_cycle"]))
    return TileCost(cycles, gbuf_pj + operations * operation_pj, gbuf_pj, 0.0, 0.0, operations * operation_pj)
