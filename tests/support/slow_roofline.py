"""The roofline core array in plain Python, one tile at a time: an independent twin (docs/core-arrays.md#roofline)."""

from support.slow_core_array import (
    MAC_PJ,
    MATRIX_KINDS,
    VEC_AND_LANE,
    VECTOR_OPERATION_PJ,
    TileCost,
    ceil_div,
    memories,
    unit_energy,
)
from support.slow_model import Extent, ifmap_extent


def tile_cost(network: dict, layer: dict, tile: Extent, hardware: dict) -> TileCost:
    """Return the cost of a tile (b, k, h, w) of `layer`."""
    b, k, h, w = tile
    kind = layer["kind"]
    vec, lane = VEC_AND_LANE[hardware["macs_per_pe"]]
    macs_per_cycle = vec * lane * hardware["pe_grid"] ** 2
    window = layer.get("R", 1) * layer.get("S", 1)
    weights = 0
    if kind in MATRIX_KINDS:
        per_group, outputs = layer["C"], k
        if kind == "group_conv":
            # A tile has whole groups, or a part of one.
            per_group, of_group = layer["C"] // layer["G"], layer["K"] // layer["G"]
            outputs = k if k <= of_group else ceil_div(k, of_group) * of_group
        operations, peak, operation_pj = (
            b * h * w * outputs * per_group * window,
            macs_per_cycle,
            unit_energy(hardware, "MAC", MAC_PJ),
        )
        weights = outputs * per_group * window * (b if layer.get("weight_operands") else 1)
    else:
        repeats = layer.get("N", 2) if kind == "eltwise" else window if kind == "pool" else 1
        operations, peak, operation_pj = (
            b * k * h * w * repeats,
            hardware.get("vector_ops", max(macs_per_cycle // 16, 1)),
            unit_energy(hardware, "vector_operation", VECTOR_OPERATION_PJ),
        )
    ifmaps = 1
    for extent in ifmap_extent(layer, tile, network, hardware.get("semantics") == "corrected"):
        ifmaps *= max(extent, 0)
    if kind == "eltwise":
        ifmaps *= layer.get("N", 2)
    ofmap = b * k * h * w
    gbuf = memories(hardware)["GBUF"]
    gbuf_pj = (ifmaps + weights) * gbuf.read_pj + ofmap * gbuf.write_pj
    cycles = max(ceil_div(operations, peak), ceil_div(ifmaps + weights + ofmap, hardware["gbuf_bytes_per_cycle"]))
    return TileCost(cycles, gbuf_pj + operations * operation_pj, gbuf_pj, 0.0, 0.0, operations * operation_pj)
