"""Attention heads: pairs of layers that are alike, of which paths look at one and count it for all.

A *head* is a 1×1 convolution c of one producer, and a transpose t of c alone that moves rows; one layer reads t. Heads
are *alike* if they have the same producer and the same reader, and their layers and edges have the same fields. Many
heads make many downsets: each may hold none of a head, c, or both.

*One for all.* Let h run over H alike heads. The cost of an LFA is Σ cost_h + rest, where cost_h is that of c and t and
of all transfers of their ofmaps and weights. So for some h, H · cost_h + rest is at most the cost. Leave the layers of
all other heads out of the LFA. Then what is left costs at most as much, if a head is counted H times, and it meets each
condition on the buffer, since these look at fewer layers; but the last position of round 0 may belong to a layer that
was left out, so there W + R ≤ G alone is asked for. All heads are alike, so any of them may be the one that stays.

*Tiles stay as they are.* This holds under the conditions that `alike_heads` checks. All ofmaps have one column, so in
an FLG that keeps rows whole, each output layer is cut into parts of samples alone; that is possible without the
transpose, too. Of the layers that stay, only the producer p of the heads loses consumers in its FLG. Its tile is at
least a cut of its ofmap anyway, with all channels: `tile_extents` says so. A convolution that is left out reads no
more: if its transpose is in the FLG, rows are whole, and it reads all there are; if not, it is an output layer of the
FLG, and it reads as many rows as it has, a cut of as many rows as p has. ∎
"""

from collections import defaultdict

import numpy as np

from soma_cp.model.network import network_table as nt
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.solver.every_lfa.tile_extents import Steps, TileExtents, cut

Head = tuple[int, int]
"""The convolution and the transpose."""


def alike_heads(table: NetworkTable, extents: TileExtents) -> list[list[Head]]:
    """Return the sets of two alike heads or more, of which paths may look at one."""
    if (table.layers[:, nt.W] != 1).any():
        return []
    alike: dict[tuple[object, ...], list[Head]] = defaultdict(list)
    for transpose in np.flatnonzero(table.layers[:, nt.KIND] == nt.TRANSPOSE).tolist():
        conv, producer = _only_source(table, transpose), -1
        if conv >= 0 and _moves_rows(table, transpose) and _uses(table, conv) == [transpose]:
            producer = _only_source(table, conv)
        readers = _uses(table, transpose)
        if producer < 0 or len(readers) != 1 or table.is_output[conv] or table.is_output[transpose]:
            continue
        if _reads_rows_as_they_are(table, extents, conv, producer):
            fields = [table.layers[layer].tobytes() for layer in (conv, transpose)]
            edges = [_edges(table, layer, source) for layer, source in ((conv, producer), (readers[0], transpose))]
            alike[producer, readers[0], *fields, *edges].append((conv, transpose))
    layers_of_heads = {layer for heads in alike.values() for head in heads for layer in head}
    return [
        heads
        for (producer, reader, *_), heads in alike.items()
        if len(heads) > 1 and not {producer, reader} & layers_of_heads
    ]


def _only_source(table: NetworkTable, layer: int) -> int:
    """Return the one producer of a layer, as an ifmap; −1 if it reads anything else."""
    edge = int(table.source_begin[layer])
    if table.source_begin[layer + 1] != edge + 1 or table.source_role[edge] != nt.IFMAP:
        return -1
    return int(table.source[edge])


def _uses(table: NetworkTable, layer: int) -> list[int]:
    found: list[int] = table.use_layer[table.use_begin[layer] : table.use_begin[layer + 1]].tolist()
    return found


def _edges(table: NetworkTable, layer: int, source: int) -> tuple[int, int, int]:
    """Return the fields of the edge by which a layer reads a source."""
    edges = range(table.source_begin[layer], table.source_begin[layer + 1])
    edge = next(one for one in edges if table.source[one] == source)
    return int(table.source_role[edge]), int(table.source_channels[edge]), int(table.source_bits[edge])


def _moves_rows(table: NetworkTable, transpose: int) -> bool:
    """Whether rows are whole in an FLG with the transpose and its producer."""
    rows, columns = table.layers[transpose, [nt.IFMAP_H_FROM, nt.IFMAP_W_FROM]].tolist()
    return bool(rows != 1 and (rows, columns) != (2, 1))


def _reads_rows_as_they_are(table: NetworkTable, extents: TileExtents, conv: int, producer: int) -> bool:
    """Whether a convolution reads as many rows as it makes, of a producer whose tiles are at least a cut of it."""
    row, made = table.layers[conv], table.layers[producer]
    return (
        row[nt.KIND] == nt.CONV
        and row[[nt.WINDOW_H, nt.WINDOW_W, nt.STRIDE_H, nt.STRIDE_W]].tolist() == [1, 1, 1, 1]
        and row[[nt.PAD_H, nt.PAD_W]].tolist() == [0, 0]
        and row[nt.H] == row[nt.REAL_H] == made[nt.H]
        and row[nt.IN_CHANNELS] == made[nt.K]
        and extents.values[producer][0][0] >= made[nt.K]
        and _is_cut(extents.rows[producer], int(made[nt.H]))
        and _is_cut(extents.rows[conv], int(row[nt.H]))
    )


def _is_cut(steps: Steps, extent: int) -> bool:
    """Whether the least rows by number of parts are those of a plain cut."""
    plain = cut(extent)
    return np.array_equal(steps.parts, plain.parts) and np.array_equal(steps.extent, plain.extent)


def left_out(alike: list[list[Head]]) -> set[int]:
    """Return the layers of all heads for which another one stands, the first of its list."""
    return {layer for _, *others in alike for head in others for layer in head}
