"""Quantities as people write them: a number and a unit, "4 MiB" or "32 GB/s"."""

import re
from fractions import Fraction

from soma_cp.model.platform import CLOCK_HZ

_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z/]*)\s*", re.ASCII)
_SIZES = {
    "": 1,
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
}
SIZE_EXAMPLE = "a size such as 4MiB, 512KiB or 8388608"
BANDWIDTH_EXAMPLE = "a bandwidth such as 32GB/s or 32B/cycle"


def bytes_of(text: str) -> int | None:
    """Return the bytes of a size: "4 MiB", "4MB" (10⁶), "4194304"; None if it is none, or no whole number of bytes."""
    return _whole(text, _SIZES)


def bytes_per_cycle_of(text: str) -> int | None:
    """Return the bytes per cycle at 1 GHz of a bandwidth: "32 GB/s", "32 B/cycle", "32".

    None if it is no bandwidth, or no whole number of bytes per cycle.
    """
    sizes = {unit: Fraction(size) for unit, size in _SIZES.items() if unit}
    per_second = {f"{unit}/s": size / CLOCK_HZ for unit, size in sizes.items()}
    return _whole(text, {"": Fraction(1)} | per_second | {f"{unit}/cycle": size for unit, size in sizes.items()})


def _whole(text: str, units: dict[str, int] | dict[str, Fraction]) -> int | None:
    match = _NUMBER.fullmatch(text)
    if match is None or len(text) > 40 or match[2] not in units:
        return None
    value = Fraction(match[1]) * units[match[2]]
    return int(value) if value.denominator == 1 else None
