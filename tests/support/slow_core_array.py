"""Cycles and energy of one computing tile, in plain Python, straight from docs/model.md#core-array.

It is the twin of the package's compiled core-array model. It shares no code with the package, and works on the plain
documents of network and schedule files.
"""

from fractions import Fraction
from math import ceil
from typing import NamedTuple

from support import slow_types

KIB = 1024
MIB = 1024 * 1024

# Vector width (channels) and lanes (kernels) of a PE, by its MACs.
VEC_AND_LANE = {32: (4, 8), 64: (8, 8), 128: (8, 16), 256: (16, 16), 512: (16, 32), 4096: (64, 64)}

# Cost per bit (read, write) of an SRAM, by port width in bits and by size in KiB.
SRAM_COST_PER_BIT = {
    256: {
        32: (0.065678125, 0.0641375),
        16: (0.06311875, 0.05563125),
        8: (0.051290625, 0.04560625),
        4: (0.049, 0.064),
    },
    128: {
        32: (0.106675, 0.10539375),
        16: (0.06848125, 0.06684375),
        8: (0.06553125, 0.057975),
        4: (0.05336875, 0.0476625),
        2: (0.06025625, 0.06025625),
    },
    64: {
        32: (0.194775, 0.1923),
        16: (0.112, 0.110675),
        8: (0.0740875, 0.0722625),
        4: (0.0703625, 0.0626625),
        2: (0.057525, 0.051775),
    },
    32: {
        32: (0.194775, 0.1923),
        16: (0.112, 0.110675),
        8: (0.11608, 0.13898),
        4: (0.07422, 0.09414),
        2: (0.06326, 0.08034),
        1: (0.07952, 0.0981),
    },
}

PJ_PER_BYTE_OF_BIT_COST = 8 * 0.6
MAC_PJ = 0.018
HOP_PJ = 0.018
VECTOR_OPERATION_PJ = 0.0873
BUS_BYTES_PER_CYCLE = 64

PARTITIONS = [("C", "K"), ("C", "B"), ("B", "K"), ("C", "W"), ("H", "K"), ("H", "W")]

MATRIX_KINDS = ("conv", "group_conv", "fc")


class NoMapping(Exception):
    """A layer that has no feasible mapping on the array."""


class TileCost(NamedTuple):
    """Cost of one tile; `energy_pj` is the sum of the four fields after it."""

    cycles: int
    energy_pj: float
    gbuf_pj: float
    buffer_pj: float
    noc_pj: float
    mac_pj: float


class Memory(NamedTuple):
    """Bytes of a memory, and the energy of a byte read or written; the GBUF and OL2 have no size here."""

    bytes: int
    read_pj: float
    write_pj: float


def ceil_div(a: int, b: int) -> int:
    return -((-a) // b)


def memories(hardware: dict) -> dict[str, Memory]:
    """Return the memories by name: AL1, WL1, OL1, OL2, GBUF; `hardware` may give sizes and energies of its own."""
    vec, lane = VEC_AND_LANE[hardware["macs_per_pe"]]
    # lane / 4 KiB and vec * lane / 16 KiB are whole numbers for every array of the table.
    sizes = {"AL1": vec * KIB, "WL1": vec * lane // 16 * KIB, "OL1": lane // 4 * KIB}
    sizes |= hardware.get("memory_bytes", {})
    activations = _small_memory(sizes["AL1"], port_bits=8 * vec, extra_read_cost=0.1 * lane / 8)
    weights = _small_memory(sizes["WL1"], port_bits=8 * vec, extra_read_cost=0.0)
    outputs = _small_memory(sizes["OL1"], port_bits=16 * lane, extra_read_cost=0.0)
    growth = 1.1 ** (hardware["gbuf_bytes"] // (2 * MIB))
    ol2 = Memory(0, 0.07648125 * 4.8 * growth, 0.0989875 * 4.8 * growth)
    gbuf = Memory(0, 0.217125 * 4.8 * growth, 0.234025 * 4.8 * growth)
    found = {"AL1": activations, "WL1": weights, "OL1": outputs, "OL2": ol2, "GBUF": gbuf}
    return {
        name: Memory(
            memory.bytes,
            unit_energy(hardware, f"{name}_read", memory.read_pj),
            unit_energy(hardware, f"{name}_write", memory.write_pj),
        )
        for name, memory in found.items()
    }


def unit_energy(hardware: dict, name: str, usual: float) -> float:
    return dict(hardware.get("energy_pj", {})).get(name, usual)


def _small_memory(size: int, port_bits: int, extra_read_cost: float) -> Memory:
    if port_bits >= 512:
        banks = port_bits // 256
        read, write = _table_entry(256, size // banks)
        read *= 1.1**banks
        write *= 1.1**banks
    else:
        read, write = _table_entry(port_bits, size)
    read += extra_read_cost
    return Memory(size, read * PJ_PER_BYTE_OF_BIT_COST, write * PJ_PER_BYTE_OF_BIT_COST)


def _table_entry(port_bits: int, size: int) -> tuple[float, float]:
    """Return the costs of the smallest SRAM that is large enough, or of the largest."""
    for kib, costs in sorted(SRAM_COST_PER_BIT[port_bits].items()):
        if size <= kib * KIB:
            return costs
    return costs


def tile_cost(layer: dict, tile: tuple[int, int, int, int], hardware: dict, network: dict | None = None) -> TileCost:
    """Return the cost of a tile of extent (b, k, h, w) of `layer` (its document in a network file).

    Without a network, the sources of the layer are INT8.

    Raises
    ------
    NoMapping
        If the layer can't run on this array.
    """
    if network is None:
        names = (*layer.get("ifmaps", []), *layer.get("weight_operands", []), *layer.get("inputs", []), "any")
        network = {"inputs": [{"name": name} for name in names], "layers": []}
        layer = layer if layer.get("ifmaps") or layer.get("inputs") else {**layer, "inputs": ["any"]}
    if layer["kind"] in MATRIX_KINDS:
        return _matrix_tile_cost(layer, tile, hardware, network)
    return _vector_tile_cost(layer, tile, hardware, network)


def macs_per_cycle(hardware: dict) -> int:
    vec, lane = VEC_AND_LANE[hardware["macs_per_pe"]]
    return vec * lane * hardware["pe_grid"] ** 2


def _vector_tile_cost(layer: dict, tile: tuple[int, int, int, int], hardware: dict, network: dict) -> TileCost:
    b, k, h, w = tile
    operations = b * k * h * w
    if layer["kind"] == "eltwise":
        operations *= layer.get("N", 2)
    elif layer["kind"] == "pool":
        operations *= layer.get("R", 1) * layer.get("S", 1)
    operations_per_cycle = hardware.get("vector_ops") or macs_per_cycle(hardware) // 16
    width = slow_types.width(slow_types.computed_type(layer, network))
    energy = operations * unit_energy(hardware, "vector_operation", VECTOR_OPERATION_PJ) * float(width)
    return TileCost(ceil(operations * width / operations_per_cycle), energy, 0.0, 0.0, 0.0, energy)


def _matrix_tile_cost(layer: dict, tile: tuple[int, int, int, int], hardware: dict, network: dict) -> TileCost:
    loops = _loops(layer, tile, hardware) | _types(layer, hardware, network)
    best = None
    for row_dimension, column_dimension in PARTITIONS:
        for candidate in _partition_candidates(loops, row_dimension, column_dimension, hardware):
            if best is None or candidate.energy_pj * candidate.cycles < best.energy_pj * best.cycles:
                best = candidate
    if best is None:
        raise NoMapping(f"layer '{layer['name']}': its {loops['R']}x{loops['S']} kernel fits no partition")
    return best


def _loops(layer: dict, tile: tuple[int, int, int, int], hardware: dict) -> dict:
    """Return the loop extents of one group, and how the groups run."""
    vec, lane = VEC_AND_LANE[hardware["macs_per_pe"]]
    B, K, H, W = tile
    C = layer["C"]
    G = 1
    if layer["kind"] == "group_conv":
        C = layer["C"] // layer["G"]
        kernels_per_group = layer["K"] // layer["G"]
        G = ceil_div(K, kernels_per_group)
        if G > 1:
            K = kernels_per_group
    if layer.get("weight_operands"):
        G = G * B
        B = 1
    at_once = min(vec // C, lane // K)
    if G > 1 and at_once > 1:
        D = min(at_once, G)
        rounds = ceil_div(G, D)
    else:
        D = at_once if G > 1 else 1
        if hardware.get("semantics") == "corrected":
            D = max(D, 1)
        rounds = G
    loops = {"B": B, "K": K, "H": H, "W": W, "C": C, "G": G, "D": D, "rounds": rounds}
    loops.update({name: layer.get(name, 1) for name in ("R", "S", "sH", "sW")})
    return loops


def _types(layer: dict, hardware: dict, network: dict) -> dict:
    """Return the bits of activations, weights, outputs, partial sums and kernels, and what a multiplication costs."""
    computed = slow_types.computed_type(layer, network)
    return {
        "a_bits": slow_types.bits_of(slow_types.ifmap_type(layer, network)),
        "w_bits": slow_types.bits_of(slow_types.operand_type(layer, network)),
        "o_bits": slow_types.bits_of(slow_types.ofmap_type(layer)),
        "sum_bits": slow_types.sum_bits(layer),
        "kernel_bits": slow_types.kernel_bits(layer, network),
        "slowdown": slow_types.slowdown(computed, hardware, macs_per_cycle(hardware)),
        "mac_pj": slow_types.mac_pj(computed, hardware, unit_energy(hardware, "MAC", MAC_PJ)),
    }


def _partition_candidates(loops: dict, row_dimension: str, column_dimension: str, hardware: dict) -> list[TileCost]:
    """Return the costs of all L1 tiles and rotations of one partition, in the order of docs/model.md."""
    vec, lane = VEC_AND_LANE[hardware["macs_per_pe"]]
    memory = memories(hardware)
    B, K, H, W, C = (loops[name] for name in "BKHWC")
    R, S, sH, sW = (loops[name] for name in ("R", "S", "sH", "sW"))
    P = dict.fromkeys("CKBHW", 1)
    P[row_dimension] *= hardware["pe_grid"]
    P[column_dimension] *= hardware["pe_grid"]
    part = {
        "P": P,
        "tC": ceil_div(C, vec * P["C"]),
        "tK": ceil_div(K, lane * P["K"]),
        "tH": ceil_div(H, P["H"]),
        "tW": ceil_div(W, P["W"]),
        "tB": ceil_div(B, P["B"]),
        "oC": ceil_div(C, P["C"]),
        "oK": ceil_div(K, P["K"]),
        "a_dup": P["K"],
        "w_dup": P["H"] * P["W"] * P["B"],
    }

    al = (memory["AL1"].bytes * 8 // loops["a_bits"] // vec) // part["tC"]
    ol = memory["OL1"].bytes * 8 // loops["sum_bits"] // lane
    K1max = (memory["WL1"].bytes * 8 // loops["w_bits"] // vec) // (R * S * part["tC"])
    if K1max == 0 or ol == 0 or al // R < S:
        return []
    part["K1"] = min(part["tK"], K1max)
    part["KT"] = ceil_div(part["tK"], part["K1"])

    candidates = []
    previous_h1 = None
    widest = min((al // R - S) // sW + 1, ol, part["tW"])
    for w1 in range(widest, 0, -1):
        h1 = min(ol // w1, (al // ((w1 - 1) * sW + S) - R) // sH + 1, part["tH"])
        if h1 == previous_h1:
            continue
        previous_h1 = h1
        for rotate_weights, rotate_activations in ((False, False), (True, False), (True, True)):
            cost = _candidate(loops, part, h1, w1, rotate_weights, rotate_activations, hardware, memory)
            if cost is not None:
                candidates.append(cost)
    return candidates


def _candidate(
    loops: dict,
    part: dict,
    h1: int,
    w1: int,
    rk: bool,
    ra: bool,
    hardware: dict,
    memory: dict[str, Memory],
) -> TileCost | None:
    """Return the cost of one mapping, or None if it doesn't exist or breaks a limit."""
    _, lane = VEC_AND_LANE[hardware["macs_per_pe"]]
    B, K, H, W, C, G, D = (loops[name] for name in "BKHWCGD")
    R, S, sH, sW = (loops[name] for name in ("R", "S", "sH", "sW"))
    P, tC, tK, tB = part["P"], part["tC"], part["tK"], part["tB"]
    K1, KT, a_dup, w_dup = part["K1"], part["KT"], part["a_dup"], part["w_dup"]

    H3 = ceil_div(part["tH"], h1)
    WT = ceil_div(part["tW"], w1)
    KB = min(KT, w_dup)
    WB = min(WT, a_dup)
    KR = ceil_div(KT, KB)
    WR = ceil_div(WT, WB)
    if rk and not ra and not (KB > 1 and WT > 1 and (tB > 1 or H3 > 1)):
        return None
    if rk and ra and not (KB > 1 and WB > 1 and KR > 1):
        return None
    K3 = KR if rk else KT
    W3 = WR if ra else WT

    # Bus limits.
    a_bytes, w_bytes, o_bytes, sum_bytes = (
        Fraction(loops[name], 8) for name in ("a_bits", "w_bits", "o_bits", "sum_bits")
    )
    bus = hardware.get("pe_bus_bytes_per_cycle", BUS_BYTES_PER_CYCLE)
    tile = R * S * tC * K1 * h1 * w1 * loops["slowdown"]
    if rk and tile * bus < R * S * part["oC"] * min(part["oK"], K1 * lane) * D * w_bytes:
        return None
    if ra:
        wanted = (h1 + R - sH) * w1 * part["oC"] * D * a_bytes
        if (tile * KB if rk else tile) * bus < wanted:
            return None

    def hlen(n: int) -> int:
        return H + (R - sH) * (n * P["H"] - 1)

    def wlen(n: int) -> int:
        return W + (S - sW) * (n * P["W"] - 1)

    rows_filled = hlen(1 if WT == 1 else H3)
    columns_filled = wlen(W3 if ra else 1)
    rows_fetched = hlen(1 if W3 == 1 else H3)
    columns_fetched = wlen(1)
    if min(rows_filled, columns_filled, rows_fetched, columns_fetched) < 0:
        return None

    # Elements moved, for one group.
    operations = C * K * R * S * H * W * B
    filter_bytes = R * S * C * K
    ofmap = K * H * W * B
    size = rows_filled * C * B
    a_fill = size * columns_filled * K3 * a_dup
    a_gbuf = rows_fetched * columns_fetched * C * B * (1 if rk and ra else K3)
    w_gbuf = filter_bytes * (W3 * H3 * tB if ra else 1)
    w_fill = filter_bytes * (WT * H3 * tB if rk else 1) * w_dup
    w_read = filter_bytes * (WT * H3 * tB) * w_dup
    a_read = (operations // K) * tK * P["K"]
    o_write = (operations // C) * tC * P["C"]
    o_read = o_write + P["C"] * ofmap
    hop_a = 0
    hop_w = 0
    if ra:
        x = size * (S - sW) * P["W"] * K3
        last = ((a_dup - 1) * WT) % a_dup
        share = (size * (W - (w1 * (WT - WT % a_dup) + sW - S) * P["W"]) * K3 + x) * last
        a_fill += x * W3 * (a_dup - 1)
        hop_a = a_fill - a_gbuf
        a_read += hop_a - share
    if rk:
        kernels_left = K - K1 * lane * P["K"] * (KT - KT % w_dup)
        share_w = (filter_bytes // K) * kernels_left * (WT * H3 * tB) * (((w_dup - 1) * KT) % w_dup)
        hop_w = w_fill - w_gbuf
        w_read += hop_w - share_w

    compute = ceil(tC * tK * part["tH"] * part["tW"] * tB * R * S * loops["slowdown"])
    from_gbuf = ceil(a_gbuf * a_bytes + w_gbuf // filter_bytes * K * Fraction(loops["kernel_bits"], 8))
    fetch = ceil_div(from_gbuf * D, hardware["gbuf_bytes_per_cycle"])
    cycles = max(compute, fetch) * loops["rounds"]

    buffer_pj = (
        float(a_read * a_bytes) * memory["AL1"].read_pj
        + float(a_fill * a_bytes) * memory["AL1"].write_pj
        + float(w_read * w_bytes) * memory["WL1"].read_pj
        + float(w_fill * w_bytes) * memory["WL1"].write_pj
        + float(o_read * sum_bytes) * memory["OL1"].read_pj
        + float(o_write * sum_bytes) * memory["OL1"].write_pj
        + float(ofmap * o_bytes) * (memory["OL2"].read_pj + memory["OL2"].write_pj)
    ) * G
    gbuf_pj = (from_gbuf * memory["GBUF"].read_pj + float(ofmap * o_bytes) * memory["GBUF"].write_pj) * G
    noc_pj = float(hop_a * a_bytes + hop_w * w_bytes) * unit_energy(hardware, "hop", HOP_PJ) * G
    mac_pj = operations * loops["mac_pj"] * G
    return TileCost(cycles, gbuf_pj + buffer_pj + noc_pj + mac_pj, gbuf_pj, buffer_pj, noc_pj, mac_pj)
