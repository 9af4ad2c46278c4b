"""Memories of a PE, and the energy of moving a byte and of an operation (docs/model.md#unit-energies).

TSMC 12 nm; all energies in pJ. The SRAM table gives a cost per bit by port width and size; a byte costs ``8 · 0.6``
times as much. A platform may give its own sizes and energies in place of any of these.
"""

from functools import lru_cache

from soma_cp.model.hardware.fields import PEMemories, UnitEnergies
from soma_cp.model.hardware.platform import Platform
from soma_cp.model.hardware.quantities import KIB, MIB

_MAC_PJ = 0.018
_HOP_PJ_PER_BYTE = 0.018
_VECTOR_OPERATION_PJ = 0.0873

_LARGEST_SENSIBLE_GBUF = 32 * MIB
"""The GBUF of the paper's larger platform."""
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
_MOST_BANKS = 4  # of a port of 1024 bits, the widest of the paper's PEs

# The GBUF and the accumulators in it (OL2) have their own (read, write) cost per bit, which grows with the GBUF.
_GBUF_BIT_COST = (0.217125, 0.234025)
_OL2_BIT_COST = (0.07648125, 0.0989875)


def pe_memories(platform: Platform) -> PEMemories:
    """Return the memory sizes of a PE of `platform`; sizes that it does not give follow from vec and lane."""
    derived = PEMemories(
        AL1=platform.vec * KIB,
        WL1=platform.vec * platform.lane * KIB // 16,
        OL1=platform.lane * KIB // 4,
    )
    return derived._replace(**dict(platform.memory_bytes))


def gbuf_growth(gbuf_bytes: int) -> float:
    """Return the energy per byte of a GBUF of that size, relative to that of a GBUF below 2 MiB."""
    return float(1.1 ** (gbuf_bytes // (2 * MIB)))


def doubtful_gbuf_energy(platform: Platform) -> str | None:
    """Return a warning about the energy of a GBUF much larger than those of the paper; None if it needs none."""
    given = dict(platform.energy_pj)
    derived = [name for name in ("GBUF_read", "GBUF_write", "OL2_read", "OL2_write") if name not in given]
    if platform.gbuf_bytes <= _LARGEST_SENSIBLE_GBUF or not derived:
        return None
    return (
        f"the energy of a GBUF of {platform.gbuf_bytes / MIB:g} MiB is extrapolated beyond the paper's platforms: "
        f"it grows by 10 % for every 2 MiB, to {gbuf_growth(platform.gbuf_bytes):.3g} times that of a small one; "
        f"give energies for {', '.join(derived)} in a hardware file"
    )


@lru_cache(maxsize=64)
def unit_energies(platform: Platform) -> UnitEnergies:
    """Return the energies of `platform`; energies that it does not give are the paper's."""
    vec, lane = platform.vec, platform.lane
    memories = pe_memories(platform)
    AL1_read, AL1_write = _sram_bit_cost(8 * vec, memories.AL1)
    WL1_read, WL1_write = _sram_bit_cost(8 * vec, memories.WL1)
    OL1_read, OL1_write = _sram_bit_cost(16 * lane, memories.OL1)
    AL1_read += 0.1 * lane / 8  # an activation goes to all lanes
    growth = gbuf_growth(platform.gbuf_bytes)
    derived = UnitEnergies(
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
        hop=_HOP_PJ_PER_BYTE,
        MAC=_MAC_PJ,
        vector_operation=_VECTOR_OPERATION_PJ,
    )
    return derived._replace(**dict(platform.energy_pj))


def _sram_bit_cost(port_bits: int, size_bytes: int) -> tuple[float, float]:
    """Return the (read, write) cost per bit of an SRAM; ports of more than 256 bits are made of 256-bit banks.

    A size or width that the table lacks costs as much as the next larger one, or else the largest. Ports of more than
    1024 bits cost as much per bit as one of 1024.
    """
    if port_bits <= _BANK_BITS:
        width = min(bits for bits in _SRAM_BIT_COST if bits >= port_bits)
        return _table_entry(width, size_bytes)
    banks = -(-port_bits // _BANK_BITS)
    read, write = _table_entry(_BANK_BITS, size_bytes // banks)
    growth = 1.1 ** min(banks, _MOST_BANKS)
    return read * growth, write * growth


def _table_entry(port_bits: int, size_bytes: int) -> tuple[float, float]:
    sizes = _SRAM_BIT_COST[port_bits]
    large_enough = [kib for kib in sizes if kib * KIB >= size_bytes]
    return sizes[min(large_enough, default=max(sizes))]
