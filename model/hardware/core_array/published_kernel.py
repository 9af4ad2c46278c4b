"""Cycles and energy of one computing tile, kernels (docs/model.md#matrix-tiles, whose letters they use).

A matrix tile is mapped onto P×P PEs: *split* over two loop dimensions, and cut into *L1 tiles* that fit the memories
of a PE. PEs that share an operand may also *rotate* it among them. Every combination is a candidate; the one of least
energy × cycles is taken. All counts are those of one group of a group convolution, in elements; bytes follow from the
data types (docs/model.md#data-types).
"""

from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.compiled import compiled, in_place, inlined
from soma_cp.model.data_types import packed, scaled_up
from soma_cp.model.hardware.core_array.type_costs import TypeCosts
from soma_cp.model.hardware.fields import PEMemories, UnitEnergies
from soma_cp.model.network import network_table as column

INFEASIBLE = -1
"""Stands for the cycles of a tile that the array can't run."""

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
    """The hardware, as the kernel takes it.

    Parameters
    ----------
    P
        Side of the PE array.
    vec, lane
        Input channels and kernels that a PE multiplies at once.
    vector_ops_per_cycle
        Element operations of the vector unit.
    gbuf_bytes_per_cycle, pe_bus_bytes_per_cycle
        From the GBUF to the PEs, and from a PE to its neighbour.
    memories
        Bytes of a PE's memories.
    energies
        pJ per byte, and of an operation.
    least_groups_at_once
        1 in the corrected semantics; 0 in the published ones, where large groups get their GBUF traffic for free.
    """

    P: int
    vec: int
    lane: int
    vector_ops_per_cycle: int
    gbuf_bytes_per_cycle: int
    pe_bus_bytes_per_cycle: int
    memories: PEMemories
    energies: UnitEnergies
    least_groups_at_once: int


class Arithmetic(NamedTuple):
    """What operations of one type cost.

    Parameters
    ----------
    over, under
        The array takes ``over / under`` cycles for what takes a cycle with INT8.
    operation_pj
        Energy of an operation.
    """

    over: int
    under: int
    operation_pj: float


class Bits(NamedTuple):
    """The bits of an element of a layer's data.

    Parameters
    ----------
    a, w, o, sums
        Of an activation, of a weight without its scale, of an output, of a partial sum.
    per_kernel
        Of all weights of one kernel, with their scales.
    """

    a: int
    w: int
    o: int
    sums: int
    per_kernel: int


class Work(NamedTuple):
    """A matrix tile.

    Parameters
    ----------
    G
        Equal groups; the other numbers are those of one group.
    D, rounds
        Groups that run at once, and how often.
    B, C, K
        Samples, input channels, kernels (output channels).
    H, W
        Rows and columns of the ofmap tile.
    R, S
        Rows and columns of the kernel.
    sH, sW
        Strides along rows and columns.
    ops
        Multiply-accumulates.
    bits
        Of the data.
    arithmetic
        Of the type in which the tile is computed.
    """

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
    bits: Bits
    arithmetic: Arithmetic


class Split(NamedTuple):
    """How the array splits a tile, and the share of one PE.

    Parameters
    ----------
    P_C, P_K, P_H, P_W
        Parts of input channels, kernels, rows, columns.
    a_dup, w_dup
        PEs that need the same activations, and the same weights.
    tC, tK, tH, tW, tB
        Steps of a PE: over `vec` input channels each, `lane` kernels, one row, one column, one sample.
    oC, oK
        Input channels and kernels of a PE.
    compute
        Cycles of a PE.
    """

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
    """What a PE holds at a time.

    Parameters
    ----------
    K1, h1, w1
        Steps of the PE along kernels, rows, columns in one L1 tile.
    KT, WT, H3
        L1 tiles along kernels, columns, rows.
    KB, WB
        Of KT and WT, those that PEs hold together and can pass on: weights, activations.
    KR, WR
        How often the operand is fetched if it is passed on.
    """

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


class Rotated(NamedTuple):
    """Which operands PEs pass on to their neighbours."""

    weights: bool
    activations: bool


class Windows(NamedTuple):
    """Rows (h) and columns (w) of the ifmap that all PEs together write to AL1, and read from the GBUF."""

    h_fill: int
    h_gbuf: int
    w_fill: int
    w_gbuf: int


class Traffic(NamedTuple):
    """Elements that one mapping moves.

    Parameters
    ----------
    a_fill, w_fill
        Activations written to AL1, weights written to WL1.
    from_gbuf
        Activations and weights read from the GBUF, in bytes.
    a_read, w_read
        Activations read from AL1, weights read from WL1.
    o_read, o_write
        Outputs read from and written to OL1.
    ofmap
        Outputs that go through OL2 to the GBUF.
    hop_a, hop_w
        Activations and weights passed from a PE to its neighbour.
    """

    a_fill: int
    a_read: int
    w_fill: int
    w_read: int
    from_gbuf: int
    o_read: int
    o_write: int
    ofmap: int
    hop_a: int
    hop_w: int


class Cost(NamedTuple):
    """Cycles of a tile (INFEASIBLE if there is no mapping) and the parts of its energy in pJ."""

    cycles: int
    buffer_pj: float
    gbuf_pj: float
    noc_pj: float
    mac_pj: float


@compiled
def tile_costs(array: ArrayNumbers, types: TypeCosts, layers: IntArray, tiles: IntArray) -> tuple[IntArray, FloatArray]:
    """Return cycles and energy (pJ) of every tile.

    Parameters
    ----------
    array
        The hardware.
    types
        What operations cost by type.
    layers
        int64[L, COLUMNS]: `NetworkTable.layers`.
    tiles
        int64[N, 5]: layer id, samples, channels, rows, columns.

    Returns
    -------
    tuple
        Cycles, int64[N], INFEASIBLE where there is no mapping; and energy, float64[N].
    """
    cycles = np.empty(len(tiles), np.int64)
    energy_pj = np.empty(len(tiles), np.float64)
    for i in range(len(tiles)):
        layer = layers[tiles[i, 0]]
        arithmetic = arithmetic_of(types, layer)
        cost = tile_cost(array, arithmetic, layer, tiles[i, 1], tiles[i, 2], tiles[i, 3], tiles[i, 4])
        cycles[i] = cost.cycles
        energy_pj[i] = total_pj(cost)
    return cycles, energy_pj


@inlined
def _is_matrix(layer: IntArray) -> bool:
    kind = layer[column.KIND]
    is_matrix: bool = kind == column.CONV or kind == column.GROUP_CONV or kind == column.FC
    return is_matrix


@in_place
def arithmetic_of(types: TypeCosts, layer: IntArray) -> Arithmetic:
    """Return what operations of a layer cost; `layer` is the table's row."""
    code = layer[column.TYPE]
    if _is_matrix(layer):
        return Arithmetic(over=types.over[code], under=types.under[code], operation_pj=types.mac_pj[code])
    return Arithmetic(over=types.vector_over[code], under=types.vector_under[code], operation_pj=types.vector_pj[code])


@in_place
def tile_cost(array: ArrayNumbers, arithmetic: Arithmetic, layer: IntArray, b: int, k: int, h: int, w: int) -> Cost:
    """Return the cost of a tile of b samples, k channels, h rows, w columns; `layer` is the table's row."""
    kind = layer[column.KIND]
    if _is_matrix(layer):
        return _matrix_cost(array, _work(array, arithmetic, layer, b, k, h, w))
    ops = b * k * h * w
    if kind == column.ELTWISE:
        ops *= layer[column.OPERANDS]
    elif kind == column.POOL:
        ops *= layer[column.R] * layer[column.S]
    return Cost(
        cycles=scaled_up(ops, arithmetic.over, array.vector_ops_per_cycle * arithmetic.under),
        buffer_pj=0.0,
        gbuf_pj=0.0,
        noc_pj=0.0,
        mac_pj=ops * arithmetic.operation_pj,
    )


@in_place
def total_pj(cost: Cost) -> float:
    """Return the energy of a tile in pJ."""
    return cost.buffer_pj + cost.gbuf_pj + cost.noc_pj + cost.mac_pj


@in_place
def _ceil(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)


@inlined
def _no_mapping() -> Cost:
    return Cost(cycles=INFEASIBLE, buffer_pj=0.0, gbuf_pj=0.0, noc_pj=0.0, mac_pj=0.0)


@in_place
def _work(array: ArrayNumbers, arithmetic: Arithmetic, layer: IntArray, b: int, k: int, h: int, w: int) -> Work:
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
    return Work(
        G=G,
        D=D,
        rounds=rounds,
        B=B,
        C=C,
        K=K,
        H=h,
        W=w,
        R=R,
        S=S,
        sH=layer[column.STRIDE_H],
        sW=layer[column.STRIDE_W],
        ops=C * K * R * S * h * w * B,
        bits=Bits(
            a=layer[column.IFMAP_BITS],
            w=layer[column.WEIGHT_BITS],
            o=layer[column.OFMAP_BITS],
            sums=layer[column.SUM_BITS],
            per_kernel=layer[column.KERNEL_BITS],
        ),
        arithmetic=arithmetic,
    )


@in_place
def _matrix_cost(array: ArrayNumbers, work: Work) -> Cost:
    """Return the cost of the candidate of least energy × cycles, the first among equals."""
    best = _no_mapping()
    least = np.inf
    for i in range(len(SPLITS)):
        split = _split(array, work, i)
        al = array.memories.AL1 * 8 // work.bits.a // array.vec // split.tC
        ol = array.memories.OL1 * 8 // work.bits.sums // array.lane
        K1max = array.memories.WL1 * 8 // work.bits.w // array.vec // (work.R * work.S * split.tC)
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
            for operands in range(3):  # rotate none, weights, both
                rotated = Rotated(weights=operands >= 1, activations=operands == 2)
                cost = _candidate(array, work, split, tile, rotated)
                if cost.cycles != INFEASIBLE and total_pj(cost) * cost.cycles < least:
                    least = total_pj(cost) * cost.cycles
                    best = cost
    return best


@in_place
def _split(array: ArrayNumbers, work: Work, i: int) -> Split:
    P, vec, lane = array.P, array.vec, array.lane
    P_C = P if SPLITS[i, 0] else 1
    P_K = P if SPLITS[i, 1] else 1
    P_B = P if SPLITS[i, 2] else 1
    P_H = P if SPLITS[i, 3] else 1
    P_W = P if SPLITS[i, 4] else 1
    tC, tK = _ceil(work.C, vec * P_C), _ceil(work.K, lane * P_K)
    tH, tW, tB = _ceil(work.H, P_H), _ceil(work.W, P_W), _ceil(work.B, P_B)
    return Split(
        P_C=P_C,
        P_K=P_K,
        P_H=P_H,
        P_W=P_W,
        a_dup=P_K,
        w_dup=P_H * P_W * P_B,
        tC=tC,
        tK=tK,
        tH=tH,
        tW=tW,
        tB=tB,
        oC=_ceil(work.C, P_C),
        oK=_ceil(work.K, P_K),
        compute=scaled_up(tC * tK * tH * tW * tB * work.R * work.S, work.arithmetic.over, work.arithmetic.under),
    )


@in_place
def _l1_tile(split: Split, K1: int, h1: int, w1: int) -> L1Tile:
    KT, WT, H3 = _ceil(split.tK, K1), _ceil(split.tW, w1), _ceil(split.tH, h1)
    KB, WB = min(KT, split.w_dup), min(WT, split.a_dup)
    return L1Tile(K1=K1, h1=h1, w1=w1, KT=KT, WT=WT, H3=H3, KB=KB, WB=WB, KR=_ceil(KT, KB), WR=_ceil(WT, WB))


@in_place
def _candidate(array: ArrayNumbers, work: Work, split: Split, l1: L1Tile, rotated: Rotated) -> Cost:
    """Count the traffic of one mapping: elements of activations (a), weights (w) and outputs (o); return its cost."""
    # The counting is not a separate function: tiles of resnet50, resnext50 and gpt2-small would take 10 to 12 % longer
    # (medians of nine fresh processes, in which a copy of the same code differs by up to 1 %).
    if not _can_rotate(array, work, split, l1, rotated):
        return _no_mapping()
    rk, ra = rotated.weights, rotated.activations
    C, K, B = work.C, work.K, work.B
    KT, WT, H3 = l1.KT, l1.WT, l1.H3
    a_dup, w_dup = split.a_dup, split.w_dup
    K3 = l1.KR if rk else KT
    W3 = l1.WR if ra else WT
    windows = _windows(work, split, l1, rotated)
    if min(windows.h_fill, windows.h_gbuf, windows.w_fill, windows.w_gbuf) < 0:
        return _no_mapping()

    filter = work.R * work.S * C * K
    ofmap = K * work.H * work.W * B
    size = windows.h_fill * C * B
    a_fill = size * windows.w_fill * K3 * a_dup
    a_gbuf = windows.h_gbuf * windows.w_gbuf * C * B * (1 if rk and ra else K3)
    w_times = W3 * H3 * split.tB if ra else 1
    w_gbuf = filter * w_times
    w_fill = filter * (WT * H3 * split.tB if rk else 1) * w_dup
    w_read = filter * (WT * H3 * split.tB) * w_dup
    a_read = (work.ops // K) * split.tK * split.P_K
    o_write = (work.ops // C) * split.tC * split.P_C
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

    moved = Traffic(
        a_fill=a_fill,
        a_read=a_read,
        w_fill=w_fill,
        w_read=w_read,
        from_gbuf=packed(a_gbuf * work.bits.a + K * work.bits.per_kernel * w_times, 1),
        o_read=o_write + split.P_C * ofmap,
        o_write=o_write,
        ofmap=ofmap,
        hop_a=hop_a,
        hop_w=hop_w,
    )
    return _cost(array, work, split.compute, moved)


@in_place
def _can_rotate(array: ArrayNumbers, work: Work, split: Split, l1: L1Tile, rotated: Rotated) -> bool:
    """Return whether rotation can pay, and the bus between PEs is wide enough."""
    rk, ra = rotated.weights, rotated.activations
    R, sH, D, bits, arithmetic = work.R, work.sH, work.D, work.bits, work.arithmetic
    # In cycles and bytes, both times 8 · under.
    tile = R * work.S * split.tC * l1.K1 * l1.h1 * l1.w1 * arithmetic.over * 8
    if ra and not (l1.KB > 1 and l1.WB > 1 and l1.KR > 1):
        return False
    if rk and not ra and not (l1.KB > 1 and l1.WT > 1 and (split.tB > 1 or l1.H3 > 1)):
        return False
    if rk:
        passed = R * work.S * split.oC * min(split.oK, l1.K1 * array.lane) * D * bits.w * arithmetic.under
        if tile * array.pe_bus_bytes_per_cycle < passed:
            return False
    if ra:
        # With KB > 1 and vec ≤ 64 this limit never binds; it would on a narrower bus.
        passed = (l1.h1 + R - sH) * l1.w1 * split.oC * D * bits.a * arithmetic.under
        if (tile * l1.KB if rk else tile) * array.pe_bus_bytes_per_cycle < passed:
            return False
    return True


@inlined
def _windows(work: Work, split: Split, l1: L1Tile, rotated: Rotated) -> Windows:
    """Return hlen and wlen of docs/model.md#matrix-tiles."""
    W3 = l1.WR if rotated.activations else l1.WT
    h_overlap, w_overlap = work.R - work.sH, work.S - work.sW
    return Windows(
        h_fill=_length(work.H, h_overlap, (1 if l1.WT == 1 else l1.H3) * split.P_H),
        h_gbuf=_length(work.H, h_overlap, (1 if W3 == 1 else l1.H3) * split.P_H),
        w_fill=_length(work.W, w_overlap, (W3 if rotated.activations else 1) * split.P_W),
        w_gbuf=_length(work.W, w_overlap, split.P_W),
    )


@in_place
def _length(extent: int, overlap: int, parts: int) -> int:
    """Return what `parts` windows side by side touch together."""
    return extent + overlap * (parts - 1)


@inlined
def _cost(array: ArrayNumbers, work: Work, compute: int, moved: Traffic) -> Cost:
    """Return cycles, `compute` unless the GBUF takes longer, and the energy of all groups."""
    pj, G = array.energies, work.G
    a, w, o, sums = work.bits.a / 8, work.bits.w / 8, work.bits.o / 8, work.bits.sums / 8  # bytes of an element
    buffer_pj = (
        moved.a_read * (pj.AL1_read * a)
        + moved.a_fill * (pj.AL1_write * a)
        + moved.w_read * (pj.WL1_read * w)
        + moved.w_fill * (pj.WL1_write * w)
        + moved.o_read * (pj.OL1_read * sums)
        + moved.o_write * (pj.OL1_write * sums)
        + moved.ofmap * ((pj.OL2_read + pj.OL2_write) * o)
    )
    return Cost(
        cycles=max(compute, _ceil(moved.from_gbuf * work.D, array.gbuf_bytes_per_cycle)) * work.rounds,
        buffer_pj=buffer_pj * G,
        gbuf_pj=(moved.from_gbuf * pj.GBUF_read + moved.ofmap * (pj.GBUF_write * o)) * G,
        noc_pj=(moved.hop_a * a + moved.hop_w * w) * pj.hop * G,
        mac_pj=work.ops * work.arithmetic.operation_pj * G,
    )
