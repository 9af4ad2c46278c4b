"""A network as arrays, for compiled kernels; only here do names become ids.

Kernels see a layer as its id (index in `Network.layers`), and an external input as ``-1 - id``.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import BoolArray, IntArray
from soma_cp.model.data_types import TYPE_CODE
from soma_cp.model.network.layers import LAYER_KINDS, Layer, weights_key
from soma_cp.model.network.network import Network
from soma_cp.model.semantics import CORRECTED, PUBLISHED

# Codes of the kinds in column KIND.
CONV, GROUP_CONV, FC, POOL, ELTWISE, PTP, TRANSPOSE, UPSAMPLE = range(8)
KIND_CODE = dict(zip(LAYER_KINDS, range(8), strict=True))

# Columns of `NetworkTable.layers`.
KIND = 0
IN_CHANNELS = 1  # C: all channels of the ifmap
K = 2
H = 3
W = 4
R = 5
S = 6
STRIDE_H = 7
STRIDE_W = 8
GROUPS = 9
OPERANDS = 10  # N of an eltwise
PAD_H = 11
PAD_W = 12
REAL_H = 13  # rows that the sources make, at most as many as the kernel wants
REAL_W = 14
WEIGHT_BYTES = 15  # stored weights in the buffer: 0 where another layer makes the second operand
HAS_OPERAND = 16  # 1 if another layer makes the second operand: each sample has its own weights
SCALE_K = 17  # factors of an upsample
SCALE_H = 18
SCALE_W = 19
# A transpose: the ofmap dimension (0 C, 1 H, 2 W) that became the ifmap's C, H, W; WHOLE if no single one did.
IFMAP_C_FROM = 20
IFMAP_H_FROM = 21
IFMAP_W_FROM = 22
TILE_CHANNELS = 23  # fixed channels of a tile (parts, corrected semantics: K); 0: as many as its consumers need
WINDOW_H = 24  # rows and columns from the first tap of a window to the last
WINDOW_W = 25
# Data types. Where another layer makes the second operand, it takes the place of the weights.
OFMAP_BITS = 26  # of an element
IFMAP_BITS = 27  # the widest source's
WEIGHT_BITS = 28  # of a weight, without scales
SUM_BITS = 29  # of a partial sum
KERNEL_BITS = 30  # of the second operand for one output channel, with scales; 0 if there is none
TYPE = 31  # code of the type in which the layer is computed
DRAM_WEIGHT_BYTES = 32  # loaded from DRAM: as WEIGHT_BYTES, unless weights are compressed there
RATIO_OVER = 33  # DRAM_WEIGHT_BYTES = ⌈WEIGHT_BYTES · RATIO_OVER / RATIO_UNDER⌉
RATIO_UNDER = 34
COLUMNS = 35

WHOLE = 3

# Roles of an edge.
IFMAP = 0
WEIGHT_OPERAND = 1

# Which tiles of an edge's reader together need all rows and columns of the source: none for sure; those that together
# make all rows and columns of the ofmap; any.
NO_TILES, WHOLE_OFMAP, ANY_TILES = 0, 1, 2

# Dimensions of an ofmap by which tiles cut a source.
UNCUT, BY_ROWS, BY_COLUMNS = 0, 1, 2


class NetworkTable(NamedTuple):
    """Arrays of a network with L layers and E edges.

    Parameters
    ----------
    layers
        int64[L, COLUMNS]: the fields of every layer, by the column constants of this module.
    source_begin
        int64[L + 1]: the edges of layer l are ``source_begin[l] … source_begin[l + 1] − 1``, its producers by
        ascending id first, then its external inputs (creation order of tensors; docs/model.md#tensors).
    source
        int64[E]: producing layer's id, or ``-1 - id`` of an external input.
    source_role
        int64[E]: IFMAP or WEIGHT_OPERAND.
    source_channels, source_bits
        int64[E]: number of channels of the source, and bits of an element of it.
    use_begin
        int64[L + 1]: the uses of layer l's ofmap are ``use_begin[l] … use_begin[l + 1] − 1``.
    use_layer, use_role
        int64 each: the consuming layer, ascending, and the role in which it reads.
    is_output
        bool[L]: whether the ofmap is stored, whatever reads it.
    stored_weights
        int64[L]: the first layer that has the same stored weights; the layer itself if no other shares them.
    reader
        int64[E]: the layer that reads.
    needs_all
        int64[E]: NO_TILES, WHOLE_OFMAP or ANY_TILES.
    rows_cut, columns_cut
        int64[E]: the dimension of the reader's ofmap whose cuts cut the rows, or columns, of the source: BY_ROWS,
        BY_COLUMNS, or UNCUT if every tile needs all of them.
    shareable
        int64[…]: what may share a load with another reader: an edge, or E + l for the weights of layer l.
    """

    layers: IntArray
    source_begin: IntArray
    source: IntArray
    source_role: IntArray
    source_channels: IntArray
    source_bits: IntArray
    use_begin: IntArray
    use_layer: IntArray
    use_role: IntArray
    is_output: BoolArray
    stored_weights: IntArray
    reader: IntArray
    needs_all: IntArray
    rows_cut: IntArray
    columns_cut: IntArray
    shareable: IntArray


def network_table(network: Network, semantics: str = PUBLISHED) -> NetworkTable:
    """Turn `network` into arrays.

    In the corrected semantics padding replaces no part of a tile's halo, so tiles read all of it; and a tile has all
    channels of its own layer. So has a tile of a part of a divided layer, in both semantics.
    """
    rows = np.array([_layer_row(network, layer) for layer in network.layers], dtype=np.int64)
    if semantics == CORRECTED:
        rows[:, [PAD_H, PAD_W]] = 0
        rows[:, TILE_CHANNELS] = rows[:, K]
    for name in network.part_names:
        rows[network.layer_id[name], TILE_CHANNELS] = rows[network.layer_id[name], K]
    edges: list[tuple[int, int, int, int]] = []  # consumer, source, role, channels
    for consumer, layer in enumerate(network.layers):
        producers = [(network.layer_id[name], IFMAP) for name in layer.ifmaps]
        producers += [(network.layer_id[name], WEIGHT_OPERAND) for name in layer.weight_operands]
        edges += [(consumer, source, role, network.layers[source].K) for source, role in sorted(producers)]
        externals = sorted(network.input_id[name] for name in layer.inputs)
        edges += [(consumer, -1 - i, IFMAP, network.inputs[i].shape[0]) for i in externals]
    uses = sorted((source, consumer, role) for consumer, source, role, _ in edges if source >= 0)
    edge_columns = np.array(edges, dtype=np.int64).reshape(-1, 4).T
    use_columns = np.array(uses, dtype=np.int64).reshape(-1, 3).T
    ids = np.arange(len(network.layers) + 1)
    stored_weights = _stored_weights(network.layers)
    return NetworkTable(
        layers=rows,
        source_begin=np.searchsorted(edge_columns[0], ids).astype(np.int64),
        source=np.ascontiguousarray(edge_columns[1]),
        source_role=np.ascontiguousarray(edge_columns[2]),
        source_channels=np.ascontiguousarray(edge_columns[3]),
        source_bits=_source_bits(network)[edge_columns[1]],
        use_begin=np.searchsorted(use_columns[0], ids).astype(np.int64),
        use_layer=np.ascontiguousarray(use_columns[1]),
        use_role=np.ascontiguousarray(use_columns[2]),
        is_output=np.array([layer.name in network.outputs for layer in network.layers], np.bool_),
        stored_weights=stored_weights,
        reader=np.ascontiguousarray(edge_columns[0]),
        needs_all=_needs_all(network, rows, edge_columns),
        rows_cut=_cut_by(network, rows, edge_columns, IFMAP_H_FROM, 1),
        columns_cut=_cut_by(network, rows, edge_columns, IFMAP_W_FROM, 2),
        shareable=np.concatenate([_repeated(edge_columns[1]), len(edges) + _repeated(stored_weights)]),
    )


def _needs_all(network: Network, rows: IntArray, edge_columns: IntArray) -> IntArray:
    """Return `NetworkTable.needs_all`.

    f parts of ⌈H / f⌉ rows need f·((⌈H / f⌉ − 1)·sH + R − pad_H) ≥ H·sH + f·(R − pad_H − sH) rows. If the bracket is
    not negative, these are all real_H rows, at most H·sH + R − sH − 2·pad_H: also where f = 1.
    """
    consumer, source, role, _ = edge_columns
    made = _source_shapes(network)[source]
    reader = rows[consumer]
    all_of_it = np.ones(len(source), np.bool_)
    for dimension, (extent, window, stride, pad, real) in enumerate(
        ((H, WINDOW_H, STRIDE_H, PAD_H, REAL_H), (W, WINDOW_W, STRIDE_W, PAD_W, REAL_W)), start=1
    ):
        corner = reader[:, window] - reader[:, pad]
        slides = (corner >= reader[:, stride]) & (reader[:, real] == made[:, dimension])
        all_of_it &= np.where(reader[:, extent] > 1, slides, np.minimum(corner, reader[:, real]) == made[:, dimension])
    from_rows, from_columns = reader[:, IFMAP_H_FROM], reader[:, IFMAP_W_FROM]
    # Fewer channels than all may be made: then a transpose of channels needs fewer rows or columns.
    parts = (reader[:, TILE_CHANNELS] == 0) & ((from_rows == 0) | (from_columns == 0))
    moves = np.where(parts, NO_TILES, WHOLE_OFMAP)
    moves[(from_rows == WHOLE) & (from_columns == WHOLE)] = ANY_TILES
    found = np.where(reader[:, KIND] == TRANSPOSE, moves, np.where(all_of_it, WHOLE_OFMAP, NO_TILES))
    needs_all: IntArray = np.where(role == WEIGHT_OPERAND, ANY_TILES, found).astype(np.int64)
    return needs_all


def _cut_by(network: Network, rows: IntArray, edge_columns: IntArray, origin: int, dimension: int) -> IntArray:
    """Return `NetworkTable.rows_cut` or `columns_cut`, by the column and the dimension of the ifmap."""
    consumer, source, role, _ = edge_columns
    cut = rows[consumer, origin]
    uncut = (cut != 1) & (cut != 2)
    uncut |= (role == WEIGHT_OPERAND) | (_source_shapes(network)[source][:, dimension] == 1)
    found: IntArray = np.where(uncut, UNCUT, cut).astype(np.int64)
    return found


def _source_shapes(network: Network) -> IntArray:
    """Return int64[L + I, 3], by layer id, or ``-1 - id`` of an external input."""
    shapes = [layer.ofmap for layer in network.layers] + [source.shape for source in reversed(network.inputs)]
    return np.array(shapes, np.int64).reshape(-1, 3)


def _source_bits(network: Network) -> IntArray:
    """Return int64[L + I], by layer id, or ``-1 - id`` of an external input."""
    types = [layer.types.ofmap for layer in network.layers] + [source.type for source in reversed(network.inputs)]
    return np.array([one.bits for one in types], np.int64)


def _repeated(values: IntArray) -> IntArray:
    """Return the indices of the values that stand there more than once."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.flatnonzero(counts[which] > 1).astype(np.int64)


def _stored_weights(layers: Sequence[Layer]) -> IntArray:
    first: dict[tuple[bool, str], int] = {}
    return np.array([first.setdefault(weights_key(layer), i) for i, layer in enumerate(layers)], np.int64)


def _layer_row(network: Network, layer: Layer) -> list[int]:
    row = [0] * COLUMNS
    wanted_channels, wanted_rows, wanted_columns = layer.wanted_ifmap()
    real_rows, real_columns = network.available_ifmap(layer)
    row[KIND] = KIND_CODE[layer.kind]
    row[IN_CHANNELS] = wanted_channels
    row[K], row[H], row[W] = layer.ofmap
    row[R], row[S] = getattr(layer, "R", 1), getattr(layer, "S", 1)
    row[WINDOW_H], row[WINDOW_W] = getattr(layer, "window", (1, 1))
    upsample = layer.kind == "upsample"
    row[STRIDE_H], row[STRIDE_W] = (1, 1) if upsample else (getattr(layer, "sH", 1), getattr(layer, "sW", 1))
    row[GROUPS] = getattr(layer, "G", 1)
    row[OPERANDS] = getattr(layer, "N", 1)
    row[PAD_H] = max(wanted_rows - real_rows, 0) // 2
    row[PAD_W] = max(wanted_columns - real_columns, 0) // 2
    row[REAL_H], row[REAL_W] = real_rows, real_columns
    row[WEIGHT_BYTES] = layer.weight_bytes
    row[HAS_OPERAND] = int(bool(layer.weight_operands))
    row[SCALE_K] = getattr(layer, "sK", 1)
    row[SCALE_H], row[SCALE_W] = (getattr(layer, "sH", 1), getattr(layer, "sW", 1)) if upsample else (1, 1)
    order = getattr(layer, "order", "CHW").upper()
    for column, dim in zip((IFMAP_C_FROM, IFMAP_H_FROM, IFMAP_W_FROM), "CHW", strict=True):
        row[column] = order.index(dim) if dim in order else WHOLE
    _fill_types(network, layer, row)
    return row


def _fill_types(network: Network, layer: Layer, row: list[int]) -> None:
    """Fill the columns of data types."""
    weights = layer.types.weights
    row[OFMAP_BITS], row[IFMAP_BITS] = layer.types.ofmap.bits, network.ifmap_type(layer).bits
    row[SUM_BITS] = layer.types.sums.bits
    if layer.is_matrix:
        operand = network.operand_type(layer)
        row[WEIGHT_BITS] = operand.bits
        stored = weights.kernel_bits(layer.kernel_elements)
        row[KERNEL_BITS] = layer.kernel_elements * operand.bits if layer.weight_operands else stored
    row[TYPE] = TYPE_CODE[network.computed_type(layer).name]
    row[DRAM_WEIGHT_BYTES] = layer.dram_weight_bytes
    row[RATIO_OVER], row[RATIO_UNDER] = weights.ratio.numerator, weights.ratio.denominator
