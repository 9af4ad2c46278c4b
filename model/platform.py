"""Platforms: what the accelerator has (specification: core-array.md and file-formats.md).

Time is in cycles at 1 GHz, so 1 GB/s of DRAM bandwidth is 1 byte per cycle.
"""

from dataclasses import asdict, dataclass

from soma_cp.model.errors import UserError, nearest_name_hint

MIB = 1 << 20
DRAM_PJ_PER_BYTE = 84.0
"""10.5 pJ per bit, reads and writes alike."""
CLOCK_HZ = 1_000_000_000

VEC_BY_LANE = {32: (4, 8), 64: (8, 8), 128: (8, 16), 256: (16, 16), 512: (16, 32), 4096: (64, 64)}
"""MACs per PE → (vec, lane): input channels multiplied into kernels per cycle."""


LARGEST = {
    "gbuf_bytes": 1 << 40,
    "pe_grid": 1024,
    "macs_per_pe": 4096,
    "gbuf_bytes_per_cycle": 1 << 30,
    "dram_bytes_per_cycle": 1 << 30,
}
"""Beyond any accelerator, and small enough for 64-bit arithmetic."""


class PlatformError(UserError):
    """A platform that can't be: the message names the field, what was found and what is allowed."""


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
        Bandwidth of the DRAM channel.

    Raises
    ------
    PlatformError
        If a field is outside its range.
    """

    gbuf_bytes: int
    pe_grid: int
    macs_per_pe: int
    gbuf_bytes_per_cycle: int
    dram_bytes_per_cycle: int

    def __post_init__(self) -> None:
        for field, value in asdict(self).items():
            most = LARGEST[field]
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise PlatformError(f"{field}={value!r} (must be a whole number from 1 to {most})")
        if self.macs_per_pe not in VEC_BY_LANE:
            allowed = ", ".join(map(str, VEC_BY_LANE))
            raise PlatformError(f"macs_per_pe={self.macs_per_pe} (must be one of {allowed})")

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
        return max(self.macs_per_cycle // 16, 1)


PLATFORMS: dict[str, Platform] = {
    "edge": Platform(8 * MIB, 4, 512, 256, 16),
    "cloud": Platform(32 * MIB, 4, 4096, 512, 128),
}
"""The two platforms of the SoMa paper."""


def platform_named(name: str) -> Platform:
    """Return the built-in platform called `name`.

    Raises
    ------
    PlatformError
        If there is none.
    """
    if name not in PLATFORMS:
        hint = nearest_name_hint(name, PLATFORMS)
        raise PlatformError(f"no platform is called '{name}' (built in: {', '.join(PLATFORMS)}){hint}")
    return PLATFORMS[name]
