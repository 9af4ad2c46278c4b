"""Platforms: what the accelerator has (specification: core-array.md and file-formats.md).

Time is in cycles of the platform's clock; at 1 GHz, 1 GB/s of DRAM bandwidth is 1 byte per cycle. What follows from
the other fields by the core-array model of the paper (memories of a PE, energies) may be given instead.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from soma_cp.model.errors import UserError
from soma_cp.model.hardware.quantities import MIB, MOST_DENOMINATOR
from soma_cp.model.semantics import PUBLISHED, SEMANTICS

DRAM_PJ_PER_BYTE = 84.0
"""10.5 pJ per bit, reads and writes alike; a platform may have another."""
CLOCK_HZ = 1_000_000_000
"""Of a platform that does not say otherwise."""
PE_BUS_BYTES_PER_CYCLE = 64
"""What a PE can pass to its neighbour, unless the platform says otherwise."""

VEC_BY_LANE = {32: (4, 8), 64: (8, 8), 128: (8, 16), 256: (16, 16), 512: (16, 32), 4096: (64, 64)}
"""MACs per PE → (vec, lane): input channels multiplied into kernels per cycle."""

MEMORIES = ("AL1", "WL1", "OL1")
"""Memories of a PE whose sizes may be given: activations, weights, outputs."""
BYTE_ENERGIES = (
    *(f"{memory}_{way}" for memory in (*MEMORIES, "OL2", "GBUF") for way in ("read", "write")),
    "hop",
)
"""Energies of a byte that is read from or written to a memory, or passed between PEs, which may be given."""
OPERATION_ENERGIES = ("MAC", "vector_operation")
"""Energies of a multiply-accumulate and of an element operation, which may be given."""
PUBLISHED_CORE_ARRAY = "published"

LARGEST = {
    "gbuf_bytes": 4096 * MIB,  # energy grows by 10 % for every 2 MiB: what is above has no floating-point number
    "pe_grid": 1024,
    "macs_per_pe": 4096,
    "gbuf_bytes_per_cycle": 1 << 30,
    "dram_bytes_per_cycle": 1 << 30,
    "clock_hz": 10**12,
    "vector_ops": 1 << 30,
    "pe_bus_bytes_per_cycle": 1 << 30,
}
"""Beyond any accelerator, and small enough for 64-bit arithmetic."""
LARGEST_MEMORY = 1 << 30
"""Bytes of a PE's memory."""
LARGEST_PJ = 1e9
"""Energy of a byte or an operation."""


class PlatformError(UserError):
    """A platform that can't be: the message names the field, what was found and what is allowed."""


class DramRate(NamedTuple):
    """The DRAM channel transfers so many bytes in so many cycles."""

    bytes: int
    cycles: int


@dataclass(frozen=True)
class Platform:
    """An accelerator: a P×P array of PEs, a global buffer (GBUF), one DRAM channel.

    Parameters
    ----------
    gbuf_bytes
        Capacity of the GBUF.
    pe_grid
        P, the side of the array.
    macs_per_pe
        Multiply-accumulates per PE and cycle: 32, 64, 128, 256, 512 or 4096.
    gbuf_bytes_per_cycle
        Bandwidth from the GBUF to the PEs.
    dram_bytes_per_cycle
        Bandwidth of the DRAM channel, at least 1; a fraction's denominator is at most `MOST_DENOMINATOR`.
    clock_hz
        Cycles per second.
    dram_pj_per_byte
        Energy of a byte moved from or to DRAM.
    vector_ops
        Element operations of the vector unit per cycle; None: one for every 16 multiply-accumulates.
    pe_bus_bytes_per_cycle
        What a PE can pass to its neighbour.
    memory_bytes
        Sizes of memories of a PE, by names of `MEMORIES`; what is missing follows from `macs_per_pe`.
    energy_pj
        Energies by names of `BYTE_ENERGIES` (pJ per byte) and `OPERATION_ENERGIES` (pJ); what is missing is that of
        the paper's model.
    core_array
        Name of the core-array model that prices tiles.
    core_array_options
        Options of that model.
    semantics
        One of `SEMANTICS`.
    name
        For people; platforms that differ in nothing else are equal.

    Raises
    ------
    PlatformError
        If a field is outside its range.
    """

    gbuf_bytes: int
    pe_grid: int
    macs_per_pe: int
    gbuf_bytes_per_cycle: int
    dram_bytes_per_cycle: int | Fraction
    clock_hz: int = CLOCK_HZ
    dram_pj_per_byte: float = DRAM_PJ_PER_BYTE
    vector_ops: int | None = None
    pe_bus_bytes_per_cycle: int = PE_BUS_BYTES_PER_CYCLE
    memory_bytes: tuple[tuple[str, int], ...] = ()
    energy_pj: tuple[tuple[str, float], ...] = ()
    core_array: str = PUBLISHED_CORE_ARRAY
    core_array_options: tuple[tuple[str, str], ...] = ()
    semantics: str = PUBLISHED
    name: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        for name, most in LARGEST.items():
            value = getattr(self, name)
            if name == "dram_bytes_per_cycle" and isinstance(value, Fraction):
                self._check_dram(value)
            elif not (name == "vector_ops" and value is None) and not is_whole(value, most):
                raise PlatformError(f"{name}={value!r} (must be a whole number from 1 to {most})")
        if self.macs_per_pe not in VEC_BY_LANE:
            allowed = ", ".join(map(str, VEC_BY_LANE))
            raise PlatformError(f"macs_per_pe={self.macs_per_pe} (must be one of {allowed})")
        self._check_given("memory_bytes", self.memory_bytes, MEMORIES)
        self._check_given("energy_pj", self.energy_pj, (*BYTE_ENERGIES, *OPERATION_ENERGIES))
        for name, size in self.memory_bytes:
            if not is_whole(size, LARGEST_MEMORY):
                raise PlatformError(f"memory_bytes {name}={size!r} (must be a whole number from 1 to {LARGEST_MEMORY})")
        for name, energy in (*self.energy_pj, ("dram_pj_per_byte", self.dram_pj_per_byte)):
            if not is_energy(energy):
                raise PlatformError(f"{name}={energy!r} pJ (must be a number from 0 to {LARGEST_PJ:g})")
        if self.semantics not in SEMANTICS:
            raise PlatformError(f"semantics={self.semantics!r} (must be one of {', '.join(SEMANTICS)})")
        self._normalise()

    def _normalise(self) -> None:
        """Give equal platforms equal fields, and kernels the types that they are compiled for."""
        normal: dict[str, object] = {
            "dram_pj_per_byte": float(self.dram_pj_per_byte),
            "memory_bytes": tuple(sorted(self.memory_bytes)),
            "energy_pj": tuple(sorted((name, float(energy)) for name, energy in self.energy_pj)),
            "core_array_options": tuple(sorted(self.core_array_options)),
        }
        if Fraction(self.dram_bytes_per_cycle).denominator == 1:
            normal["dram_bytes_per_cycle"] = int(self.dram_bytes_per_cycle)
        for name, value in normal.items():
            object.__setattr__(self, name, value)

    def _check_dram(self, value: Fraction) -> None:
        if not 1 <= value <= LARGEST["dram_bytes_per_cycle"] or value.denominator > MOST_DENOMINATOR:
            raise PlatformError(
                f"dram_bytes_per_cycle={value} (must be from 1 to {LARGEST['dram_bytes_per_cycle']}, "
                f"with a denominator of at most {MOST_DENOMINATOR})"
            )

    @staticmethod
    def _check_given(what: str, given: tuple[tuple[str, float], ...], allowed: tuple[str, ...]) -> None:
        names = [name for name, _ in given]
        for name in names:
            if name not in allowed or names.count(name) > 1:
                raise PlatformError(f"{what} names {name!r} (must be different ones of {', '.join(allowed)})")

    @property
    def vec(self) -> int:
        """Input channels that a PE multiplies at once."""
        return VEC_BY_LANE[self.macs_per_pe][0]

    @property
    def lane(self) -> int:
        """Kernels (output channels) that a PE works on at once."""
        return VEC_BY_LANE[self.macs_per_pe][1]

    @property
    def macs_per_cycle(self) -> int:
        """Multiply-accumulates of the whole array per cycle."""
        return self.pe_grid**2 * self.macs_per_pe

    @property
    def vector_ops_per_cycle(self) -> int:
        """Element operations of the vector unit per cycle."""
        return max(self.macs_per_cycle // 16, 1) if self.vector_ops is None else self.vector_ops

    @property
    def dram_rate(self) -> DramRate:
        """The bandwidth of the DRAM channel in whole numbers."""
        rate = Fraction(self.dram_bytes_per_cycle)
        return DramRate(rate.numerator, rate.denominator)

    @property
    def dram_bytes_per_second(self) -> float:
        """The bandwidth of the DRAM channel."""
        return float(self.dram_bytes_per_cycle * self.clock_hz)

    def seconds(self, cycles: float) -> float:
        """Return how long `cycles` take."""
        return cycles / self.clock_hz


def is_whole(value: object, most: int) -> bool:
    """Whether `value` is a whole number from 1 to `most`."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def is_energy(value: object) -> bool:
    """Whether `value` is a number of pJ that a byte or an operation may take."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LARGEST_PJ
