"""Memories of a PE and the energy of moving one byte (specification: core-array.md, "Parameters").

TSMC 12 nm; all energies in pJ. The SRAM table gives a cost per bit by port width and size; one byte costs
``8 · 0.6`` times that.
"""

from dataclasses import dataclass

from soma_cp.model.platform import MIB, Platform

KIB = 1 << 10

MAC_PJ = 0.018
"""One INT8 multiply-accumulate."""
HOP_PJ_PER_BYTE = 0.018
"""One byte from a PE to its neighbour."""
PE_BUS_BYTES_PER_CYCLE = 64
"""What a PE can pass to its neighbour."""
VECTOR_OPERATION_PJ = 0.0873
"""One element operation of the vector unit."""

_BYTE_PJ_PER_BIT_COST = 8 * 0.6

# Port width in bits → size in KiB → (read, write) cost per bit.
_SRAM_BIT_COST = {
    32: {
        1: (0.07952, 0.0981),
        2: (0.06326, 0.08034),
        4: (0.07422, 0.09414),
        8: (0.11608, 0.13898),
        16: (0.112, 0.110675),
        32: (0.194775, 0.1923),
    },
    64: {
        2: (0.057525, 0.051775),
        4: (0.0703625, 0.0626625),
        8: (0.0740875, 0.0722625),
        16: (0.112, 0.110675),
        32: (0.194775, 0.1923),
    },
    128: {
        2: (0.06025625, 0.06025625),
        4: (0.05336875, 0.0476625),
        8: (0.06553125, 0.057975),
        16: (0.06848125, 0.06684375),
        32: (0.106675, 0.10539375),
    },
    256: {
        4: (0.049, 0.064),
        8: (0.051290625, 0.04560625),
        16: (0.06311875, 0.05563125),
        32: (0.065678125, 0.0641375),
    },
}
_BANK_BITS = 256  # the widest single port
_LARGEST_BANK_KIB = 32

# The GBUF and the accumulators in it (OL2) have a (read, write) cost of their own, and grow with the GBUF.
_GBUF_BIT_COST = (0.217125, 0.234025)
_OL2_BIT_COST = (0.07648125, 0.0989875)


@dataclass(frozen=True)
class PEMemories:
    """Bytes of the memories of one PE.

    Parameters
    ----------
    AL1, WL1, OL1
        Activations, weights (shared by the lanes), outputs.
    """

    AL1: int
    WL1: int
    OL1: int


@dataclass(frozen=True)
class UnitEnergies:
    """Energy of reading and of writing one byte, in pJ.

    Parameters
    ----------
    AL1_read, AL1_write, WL1_read, WL1_write, OL1_read, OL1_write
        Memories of a PE.
    OL2_read, OL2_write
        The part of the GBUF that outputs pass through.
    GBUF_read, GBUF_write
        Global buffer.
    """

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


def pe_memories(platform: Platform) -> PEMemories:
    """Return the memory sizes of a PE of `platform`; they follow from vec and lane."""
    return PEMemories(
        AL1=platform.vec * KIB,
        WL1=platform.vec * platform.lane * KIB // 16,
        OL1=platform.lane * KIB // 4,
    )


def unit_energies(platform: Platform) -> UnitEnergies:
    """Return the pJ per byte of every memory of `platform`."""
    vec, lane = platform.vec, platform.lane
    memories = pe_memories(platform)
    AL1_read, AL1_write = _sram_bit_cost(8 * vec, memories.AL1)
    WL1_read, WL1_write = _sram_bit_cost(8 * vec, memories.WL1)
    OL1_read, OL1_write = _sram_bit_cost(16 * lane, memories.OL1)
    AL1_read += 0.1 * lane / 8  # an activation goes to all lanes
    growth = 1.1 ** (platform.gbuf_bytes // (2 * MIB))
    return UnitEnergies(
        AL1_read=_BYTE_PJ_PER_BIT_COST * AL1_read,
        AL1_write=_BYTE_PJ_PER_BIT_COST * AL1_write,
        WL1_read=_BYTE_PJ_PER_BIT_COST * WL1_read,
        WL1_write=_BYTE_PJ_PER_BIT_COST * WL1_write,
        OL1_read=_BYTE_PJ_PER_BIT_COST * OL1_read,
        OL1_write=_BYTE_PJ_PER_BIT_COST * OL1_write,
        OL2_read=_BYTE_PJ_PER_BIT_COST * _OL2_BIT_COST[0] * growth,
        OL2_write=_BYTE_PJ_PER_BIT_COST * _OL2_BIT_COST[1] * growth,
        GBUF_read=_BYTE_PJ_PER_BIT_COST * _GBUF_BIT_COST[0] * growth,
        GBUF_write=_BYTE_PJ_PER_BIT_COST * _GBUF_BIT_COST[1] * growth,
    )


def _sram_bit_cost(port_bits: int, size_bytes: int) -> tuple[float, float]:
    """Return the (read, write) cost per bit of an SRAM; ports from 512 bits are made of 256-bit banks."""
    if port_bits < 2 * _BANK_BITS:
        return _SRAM_BIT_COST[port_bits][size_bytes // KIB]
    banks = port_bits // _BANK_BITS
    bank_kib = min(size_bytes // banks // KIB, _LARGEST_BANK_KIB)
    read, write = _SRAM_BIT_COST[_BANK_BITS][bank_kib]
    return read * 1.1**banks, write * 1.1**banks
