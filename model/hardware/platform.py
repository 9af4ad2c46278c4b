"""Platforms: the hardware of an accelerator (docs/model.md#platform).

Time is in cycles of the platform's clock; at 1 GHz, 1 GB/s of DRAM bandwidth is 1 byte per cycle. The memories of a PE
and the energies follow from the other fields by the core-array model of the paper, unless they are given.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from math import isqrt
from typing import NamedTuple

from soma_cp.model.errors import UserError
from soma_cp.model.hardware.fields import KIND
from soma_cp.model.semantics import PUBLISHED

DRAM_PJ_PER_BYTE = 84.0
"""The default: 10.5 pJ per bit, for reads and writes alike."""
CLOCK_HZ = 1_000_000_000
"""The default clock."""
PE_BUS_BYTES_PER_CYCLE = 64
"""The default of what a PE can pass to its neighbour."""

MOST_SLOWDOWN = 1024
"""A data type is at most so many times as slow, or as fast, as INT8."""

PUBLISHED_CORE_ARRAY = "published"


class PlatformError(UserError):
    """A platform that can't exist: the message names the field, what was found and what is allowed."""


class DramRate(NamedTuple):
    """The bandwidth of the DRAM channel: `bytes` in `cycles`, both whole numbers."""

    bytes: int
    cycles: int


@dataclass(frozen=True)
class Platform:
    """An accelerator: an array of PEs, a global buffer (GBUF), one DRAM channel.

    A core array may need more than is checked here: the paper's takes square arrays of some PEs alone.

    Parameters
    ----------
    gbuf_bytes
        Capacity of the GBUF.
    pe_grid
        Rows and columns of the array; one number if they are equal.
    macs_per_pe
        Multiply-accumulates per PE and cycle.
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
        Sizes of memories of a PE, by names of `MEMORIES`; missing sizes follow from `macs_per_pe`.
    energy_pj
        Energies by names of `BYTE_ENERGIES` (pJ per byte) and `OPERATION_ENERGIES` (pJ); missing energies are those of
        the paper's model.
    macs_per_cycle_by_type
        Multiply-accumulates of the whole array per cycle, by names of data types; those of missing types are scaled
        from INT8 (docs/model.md#data-types). At most `MOST_SLOWDOWN` times fewer or more than with INT8.
    mac_pj_by_type
        Energy of a multiply-accumulate (pJ), likewise.
    core_array
        Name of the core-array model that prices tiles.
    core_array_options
        Options of that model.
    semantics
        One of `SEMANTICS`.
    name
        A name for people; platforms that differ in the name alone are equal.

    Raises
    ------
    PlatformError
        If a field is outside its range.
    """

    gbuf_bytes: int
    pe_grid: int | tuple[int, int]
    macs_per_pe: int
    gbuf_bytes_per_cycle: int
    dram_bytes_per_cycle: int | Fraction
    clock_hz: int = CLOCK_HZ
    dram_pj_per_byte: float = DRAM_PJ_PER_BYTE
    vector_ops: int | None = None
    pe_bus_bytes_per_cycle: int = PE_BUS_BYTES_PER_CYCLE
    memory_bytes: tuple[tuple[str, int], ...] = ()
    energy_pj: tuple[tuple[str, float], ...] = ()
    macs_per_cycle_by_type: tuple[tuple[str, int], ...] = ()
    mac_pj_by_type: tuple[tuple[str, float], ...] = ()
    core_array: str = PUBLISHED_CORE_ARRAY
    core_array_options: tuple[tuple[str, str], ...] = ()
    semantics: str = PUBLISHED
    name: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            kind, value = KIND[name], getattr(self, name)
            if fault := kind.fault(name, value):
                raise PlatformError(fault)
            object.__setattr__(self, name, kind.normal(value))
        for name, rate in self.macs_per_cycle_by_type:
            if not self.macs_per_cycle <= rate * MOST_SLOWDOWN <= self.macs_per_cycle * MOST_SLOWDOWN**2:
                raise PlatformError(
                    f"macs_per_cycle_by_type {name}={rate} (must be from {-(-self.macs_per_cycle // MOST_SLOWDOWN)} to "
                    f"{self.macs_per_cycle * MOST_SLOWDOWN}: at most {MOST_SLOWDOWN} times fewer or more than the "
                    f"{self.macs_per_cycle} of INT8)"
                )

    @property
    def vec(self) -> int:
        """Input channels that a PE multiplies at once."""
        return vec_and_lane(self.macs_per_pe)[0]

    @property
    def lane(self) -> int:
        """Kernels (output channels) that a PE works on at once."""
        return vec_and_lane(self.macs_per_pe)[1]

    @property
    def pe_rows(self) -> int:
        """Rows of PEs."""
        return self.pe_grid if isinstance(self.pe_grid, int) else self.pe_grid[0]

    @property
    def pe_columns(self) -> int:
        """Columns of PEs."""
        return self.pe_grid if isinstance(self.pe_grid, int) else self.pe_grid[1]

    @property
    def macs_per_cycle(self) -> int:
        """Multiply-accumulates of the whole array per cycle."""
        return self.pe_rows * self.pe_columns * self.macs_per_pe

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
        """Return the seconds that `cycles` take."""
        return cycles / self.clock_hz


@lru_cache(maxsize=64)
def vec_and_lane(macs_per_pe: int) -> tuple[int, int]:
    """Return input channels and kernels per cycle of a PE: the two factors of its MACs that differ least.

    It has no fewer lanes than vec. These are the factors of the paper's PEs, too.
    """
    vec = next(vec for vec in range(isqrt(macs_per_pe), 0, -1) if macs_per_pe % vec == 0)
    return vec, macs_per_pe // vec
