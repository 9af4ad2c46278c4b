"""Cycles and energy of one computing tile, compiled (specification: core-array.md, with its names).

A matrix tile is mapped onto P×P PEs: *split* over two loop dimensions, cut into *L1 tiles* that fit the
memories of a PE, and, where PEs share an operand, possibly *rotated* among them. Every combination is a
candidate; the least energy × time wins. All counts are of one group of a grouped convolution.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.compiled import compiled
from soma_cp.model.network import network_table as column

INFEASIBLE = -1
"""In place of cycles: the array can't run this tile."""

# The two dimensions over which rows and columns of the array are split, as columns C, K, B, H, W.
SPLITS = np.array(
    [
        [1, 1, 0, 0, 0],  # C×K
        [1, 0, 1, 0, 0],  # C×B
        [0, 1, 1, 0, 0],  # B×K
        [1, 0, 0, 0, 1],  # C×W
        [0, 1, 0, 1, 0],  # H×K
        [0, 0, 0, 1, 1],  # H×W
    ],
    dtype=np.int64,
)


class ArrayNumbers(NamedTuple):
    """What the kernel knows of the hardware: counts, bytes, bytes per cycle, pJ per byte or operation."""

    P: int
    vec: int
    lane: int
    vector_ops_per_cycle: int
    gbuf_bytes_per_cycle: int
    pe_bus_bytes_per_cycle: int
    AL1: int
    WL1: int
    OL1: int
    AL1_read: float
    AL1_write: float
    WL1_read: float
    WL1_write: float
    OL1_read: float
    OL1_write: float
    OL2_read: float
    OL2_write: float
    GBUF_read: float
    GBUF_write: float
    MAC: float
    hop: float
    vector_operation: float
    least_groups_at_once: int  # 1 in the corrected semantics; 0: large groups have their GBUF traffic for free


class Work(NamedTuple):
    """A matrix tile: G equal groups, D at once, in `rounds` rounds; the extents are those of one group."""

    G: int
    D: int
    rounds: int
    B: int
    C: int
    K: int
    H: int
    W: int
    R: int
    S: int
    sH: int
    sW: int
    ops: int


class Split(NamedTuple):
    """Parts (P_) into which the array splits each dimension; what of it a PE runs through (t) or has (o)."""

    P_C: int
    P_K: int
    P_H: int
    P_W: int
    a_dup: int
    w_dup: int
    tC: int
    tK: int
    tH: int
    tW: int
    tB: int
    oC: int
    oK: int
    compute: int


class L1Tile(NamedTuple):
    """What a PE holds at a time (1) and how often (T, 3); how many PEs rotate it (B) and how often (R)."""

    K1: int
    h1: int
    w1: int
    KT: int
    WT: int
    H3: int
    KB: int
    WB: int
    KR: int
    WR: int


class Cost(NamedTuple):
    """Cycles of a tile (INFEASIBLE if there is no mapping) and the parts of its energy in pJ."""

    cycles: int
    buffer_pj: float
    gbuf_pj: float
    noc_pj: float
    mac_pj: float


@compiled
def tile_costs(array: ArrayNumbers, layers: IntArray, tiles: IntArray) -> tuple[IntArray, FloatArray]:
    """Return cycles and energy (pJ) of every tile.

    Parameters
    ----------
    array
        The hardware.
    layers
        int64[L, COLUMNS]: `NetworkTable.layers`.
    tiles
        int64[N, 5]: layer id, samples, channels, rows, columns.

    Returns
    -------
    tuple
        int64[N], INFEASIBLE where there is no mapping, and float64[N].
    """
    cycles = np.empty(len(tiles), np.int64)
    energy_pj = np.empty(len(tiles), np.float64)
    for i in range(len(tiles)):
        cost = tile_cost(array, layers[tiles[i, 0]], tiles[i, 1], tiles[i, 2], tiles[i, 3], tiles[i, 4])
        cycles[i] = cost.cycles
        energy_pj[i] = total_pj(cost)
    return cycles, energy_pj


@compiled
def tile_cost(array: ArrayNumbers, layer: IntArray, b: int, k: int, h: int, w: int) -> Cost:
    """Return the cost of a tile of b samples, k channels, h rows, w columns; `layer` is the table's row."""
    kind = layer[column.KIND]
    if kind == column.CONV or kind == column.GROUP_CONV or kind == column.FC:
        return _matrix_cost(array, _work(array, layer, b, k, h, w))
    ops = b * k * h * w
    if kind == column.ELTWISE:
        ops *= layer[column.OPERANDS]
    elif kind == column.POOL:
        ops *= layer[column.R] * layer[column.S]
    return Cost(_ceil(ops, array.vector_ops_per_cycle), 0.0, 0.0, 0.0, ops * array.vector_operation)


@compiled
def total_pj(cost: Cost) -> float:
    """Return the energy of a tile in pJ."""
    return cost.buffer_pj + cost.gbuf_pj + cost.noc_pj + cost.mac_pj


@compiled
def _ceil(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)


@compiled
def _work(array: ArrayNumbers, layer: IntArray, b: int, k: int, h: int, w: int) -> Work:
    C, K, B, G = layer[column.IN_CHANNELS], k, b, 1
    if layer[column.KIND] == column.GROUP_CONV:
        C //= layer[column.GROUPS]
        K_of_group = layer[column.K] // layer[column.GROUPS]
        G = _ceil(k, K_of_group)
        if G > 1:
            K = K_of_group
    if layer[column.HAS_OPERAND]:  # each sample has its own weights
        G *= B
        B = 1
    R, S = layer[column.R], layer[column.S]
    n = min(array.vec // C, array.lane // K)
    if G == 1:
        D, rounds = 1, 1
    elif n > 1:  # small groups share the array
        D = min(n, G)
        rounds = _ceil(G, D)
    else:  # one after another; n may be 0
        D, rounds = max(n, array.least_groups_at_once), G
    ops = C * K * R * S * h * w * B
    return Work(G, D, rounds, B, C, K, h, w, R, S, layer[column.STRIDE_H], layer[column.STRIDE_W], ops)


@compiled
def _matrix_cost(array: ArrayNumbers, work: Work) -> Cost:
    """Return the cost of the candidate of least energy × time; the first one among equals."""
    best = Cost(INFEASIBLE, 0.0, 0.0, 0.0, 0.0)
    least = np.inf
    for i in range(len(SPLITS)):
        split = _split(array, work, i)
        al = array.AL1 // array.vec // split.tC
        ol = array.OL1 // array.lane
        K1max = array.WL1 // array.vec // (work.R * work.S * split.tC)
        if K1max == 0 or ol == 0 or al // work.R < work.S:
            continue
        previous_h1 = 0
        for w1 in range(min((al // work.R - work.S) // work.sW + 1, ol, split.tW), 0, -1):
            rows = (al // ((w1 - 1) * work.sW + work.S) - work.R) // work.sH + 1
            h1 = min(ol // w1, rows, split.tH)
            if h1 == previous_h1:
                continue
            previous_h1 = h1
            tile = _l1_tile(split, min(split.tK, K1max), h1, w1)
            for rotated in range(3):  # operands: none, weights, both
                rk, ra = rotated >= 1, rotated == 2
                cost = _candidate(array, work, split, tile, rk, ra)
                if cost.cycles != INFEASIBLE and total_pj(cost) * cost.cycles < least:
                    least = total_pj(cost) * cost.cycles
                    best = cost
    return best


@compiled
def _split(array: ArrayNumbers, work: Work, i: int) -> Split:
    P, vec, lane = array.P, array.vec, array.lane
    P_C = P if SPLITS[i, 0] else 1
    P_K = P if SPLITS[i, 1] else 1
    P_B = P if SPLITS[i, 2] else 1
    P_H = P if SPLITS[i, 3] else 1
    P_W = P if SPLITS[i, 4] else 1
    tC, tK = _ceil(work.C, vec * P_C), _ceil(work.K, lane * P_K)
    tH, tW, tB = _ceil(work.H, P_H), _ceil(work.W, P_W), _ceil(work.B, P_B)
    oC, oK = _ceil(work.C, P_C), _ceil(work.K, P_K)
    compute = tC * tK * tH * tW * tB * work.R * work.S
    return Split(P_C, P_K, P_H, P_W, P_K, P_H * P_W * P_B, tC, tK, tH, tW, tB, oC, oK, compute)


@compiled
def _l1_tile(split: Split, K1: int, h1: int, w1: int) -> L1Tile:
    KT, WT, H3 = _ceil(split.tK, K1), _ceil(split.tW, w1), _ceil(split.tH, h1)
    KB, WB = min(KT, split.w_dup), min(WT, split.a_dup)
    return L1Tile(K1, h1, w1, KT, WT, H3, KB, WB, _ceil(KT, KB), _ceil(WT, WB))


@compiled
def _can_rotate(array: ArrayNumbers, work: Work, split: Split, l1: L1Tile, rk: bool, ra: bool) -> bool:
    """Return whether rotating pays at all and the bus between PEs keeps up with the computing."""
    R, sH, D = work.R, work.sH, work.D
    tile = R * work.S * split.tC * l1.K1 * l1.h1 * l1.w1  # cycles
    if ra and not (l1.KB > 1 and l1.WB > 1 and l1.KR > 1):
        return False
    if rk and not ra and not (l1.KB > 1 and l1.WT > 1 and (split.tB > 1 or l1.H3 > 1)):
        return False
    if rk:
        passed = R * work.S * split.oC * min(split.oK, l1.K1 * array.lane) * D
        if tile * array.pe_bus_bytes_per_cycle < passed:
            return False
    if ra:
        # With KB > 1 and vec ≤ 64 this limit never binds; it would on a narrower bus.
        passed = (l1.h1 + R - sH) * l1.w1 * split.oC * D
        if (tile * l1.KB if rk else tile) * array.pe_bus_bytes_per_cycle < passed:
            return False
    return True


@compiled
def _candidate(array: ArrayNumbers, work: Work, split: Split, l1: L1Tile, rk: bool, ra: bool) -> Cost:
    """Count the traffic of one mapping; rk and ra say whether weights and activations rotate."""
    infeasible = Cost(INFEASIBLE, 0.0, 0.0, 0.0, 0.0)
    if not _can_rotate(array, work, split, l1, rk, ra):
        return infeasible
    C, K, B = work.C, work.K, work.B
    KT, WT, H3 = l1.KT, l1.WT, l1.H3
    a_dup, w_dup = split.a_dup, split.w_dup
    K3 = l1.KR if rk else KT
    W3 = l1.WR if ra else WT
    hlen_fill = _length(work.H, work.R - work.sH, (1 if WT == 1 else H3) * split.P_H)
    hlen_gbuf = _length(work.H, work.R - work.sH, (1 if W3 == 1 else H3) * split.P_H)
    wlen_fill = _length(work.W, work.S - work.sW, (W3 if ra else 1) * split.P_W)
    wlen_gbuf = _length(work.W, work.S - work.sW, split.P_W)
    if min(hlen_fill, hlen_gbuf, wlen_fill, wlen_gbuf) < 0:
        return infeasible

    filter = work.R * work.S * C * K
    ofmap = K * work.H * work.W * B
    size = hlen_fill * C * B
    a_fill = size * wlen_fill * K3 * a_dup
    a_gbuf = hlen_gbuf * wlen_gbuf * C * B * (1 if rk and ra else K3)
    w_gbuf = filter * (W3 * H3 * split.tB if ra else 1)
    w_fill = filter * (WT * H3 * split.tB if rk else 1) * w_dup
    w_read = filter * (WT * H3 * split.tB) * w_dup
    a_read = (work.ops // K) * split.tK * split.P_K
    o_write = (work.ops // C) * split.tC * split.P_C
    o_read = o_write + split.P_C * ofmap
    hop_a = hop_w = 0
    if ra:
        x = size * (work.S - work.sW) * split.P_W * K3
        share_columns = work.W - (l1.w1 * (WT - WT % a_dup) + work.sW - work.S) * split.P_W
        share = (size * share_columns * K3 + x) * (((a_dup - 1) * WT) % a_dup)
        a_fill += x * W3 * (a_dup - 1)
        hop_a = a_fill - a_gbuf
        a_read += hop_a - share
    if rk:
        share_kernels = K - l1.K1 * array.lane * split.P_K * (KT - KT % w_dup)
        share_w = (filter // K) * share_kernels * (WT * H3 * split.tB) * (((w_dup - 1) * KT) % w_dup)
        hop_w = w_fill - w_gbuf
        w_read += hop_w - share_w

    from_gbuf = a_gbuf + w_gbuf
    cycles = max(split.compute, _ceil(from_gbuf * work.D, array.gbuf_bytes_per_cycle)) * work.rounds
    buffer_pj = (
        a_read * array.AL1_read
        + a_fill * array.AL1_write
        + w_read * array.WL1_read
        + w_fill * array.WL1_write
        + o_read * array.OL1_read
        + o_write * array.OL1_write
        + ofmap * (array.OL2_read + array.OL2_write)
    )
    gbuf_pj = from_gbuf * array.GBUF_read + ofmap * array.GBUF_write
    noc_pj = (hop_a + hop_w) * array.hop
    mac_pj = work.ops * array.MAC
    G = work.G
    return Cost(cycles, buffer_pj * G, gbuf_pj * G, noc_pj * G, mac_pj * G)


@compiled
def _length(extent: int, overlap: int, parts: int) -> int:
    """Return what `parts` windows side by side touch together: hlen and wlen of the specification."""
    return extent + overlap * (parts - 1)
