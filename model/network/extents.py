"""Extents: the part of its sources that a tile of a layer needs, as kernels (docs/model.md#backward-extents)."""

from soma_cp.model.arrays import IntArray
from soma_cp.model.compiled import in_place, inlined
from soma_cp.model.network import network_table as nt


@in_place
def ceil_div(numerator: int, denominator: int) -> int:
    """Integer ceiling division."""
    return -((-numerator) // denominator)


@in_place
def ifmap_extent(layers: IntArray, layer: int, b: int, k: int, h: int, w: int) -> tuple[int, int, int, int]:
    """Return the extent (b, c, h, w) of the ifmap that an ofmap tile (b, k, h, w) of `layer` needs.

    `layers` is `NetworkTable.layers`.
    """
    kind = layers[layer, nt.KIND]
    if kind == nt.ELTWISE or kind == nt.PTP:
        return b, k, h, w
    if kind == nt.TRANSPOSE:
        c_from, h_from, w_from = (
            layers[layer, nt.IFMAP_C_FROM],
            layers[layer, nt.IFMAP_H_FROM],
            layers[layer, nt.IFMAP_W_FROM],
        )
        channels = _share(layers, layer, c_from, k, h, w, layers[layer, nt.IN_CHANNELS])
        rows = _share(layers, layer, h_from, k, h, w, layers[layer, nt.REAL_H])
        columns = _share(layers, layer, w_from, k, h, w, layers[layer, nt.REAL_W])
        return b, channels, rows, columns
    if kind == nt.UPSAMPLE:
        channels = ceil_div(k, layers[layer, nt.SCALE_K])
        return b, channels, ceil_div(h, layers[layer, nt.SCALE_H]), ceil_div(w, layers[layer, nt.SCALE_W])
    channels = layers[layer, nt.IN_CHANNELS]
    if kind == nt.GROUP_CONV:
        groups = layers[layer, nt.GROUPS]
        channels = ceil_div(k, layers[layer, nt.K] // groups) * (channels // groups)
    elif kind == nt.POOL:
        channels = k
    rows = (h - 1) * layers[layer, nt.STRIDE_H] + layers[layer, nt.WINDOW_H] - layers[layer, nt.PAD_H]
    columns = (w - 1) * layers[layer, nt.STRIDE_W] + layers[layer, nt.WINDOW_W] - layers[layer, nt.PAD_W]
    return b, channels, min(rows, layers[layer, nt.REAL_H]), min(columns, layers[layer, nt.REAL_W])


@inlined
def _share(layers: IntArray, layer: int, dimension: int, k: int, h: int, w: int, whole: int) -> int:
    """Return what a tile reads of an ifmap dimension of extent `whole` that became an ofmap dimension.

    That is as large a part of it as the tile has of the ofmap dimension; for WHOLE, all.
    """
    if dimension == nt.WHOLE:
        return whole
    part = k if dimension == 0 else (h if dimension == 1 else w)
    return ceil_div(part * whole, layers[layer, nt.K + dimension])


@in_place
def operand_extent(layers: IntArray, layer: int, b: int, k: int) -> tuple[int, int, int, int]:
    """Return the extent (b, c, h, w) of the second operand that an ofmap tile of b samples, k channels needs."""
    per_group = layers[layer, nt.IN_CHANNELS] // layers[layer, nt.GROUPS]
    return b, k, per_group, layers[layer, nt.R] * layers[layer, nt.S]


@in_place
def loaded_extent(layers: IntArray, extents: IntArray, layer: int, role: int) -> tuple[int, int]:
    """Return the rows and columns of a source that one tile of a layer needs; `extents` are its tiles', by layer."""
    b, k, h, w = extents[layer, 0], extents[layer, 1], extents[layer, 2], extents[layer, 3]
    if role == nt.IFMAP:
        need = ifmap_extent(layers, layer, b, k, h, w)
    else:
        need = operand_extent(layers, layer, b, k)
    return need[2], need[3]
