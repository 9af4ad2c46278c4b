"""Quantities as people write them: a number and a unit, "4 MiB", "32 GB/s", "1.2 GHz", "84 pJ/B"."""

import re
from collections.abc import Collection
from fractions import Fraction
from typing import NamedTuple

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
"""Bytes of a KiB, MiB, GiB."""
MOST_DENOMINATOR = 1000
"""Largest denominator of DRAM bytes per cycle: a tensor's bytes times it fit into 64 bits."""
_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z/]*)\s*", re.ASCII)
_SIZES = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": KIB,
    "MiB": MIB,
    "GiB": GIB,
}
_SIZES_OR_BYTES = {"": 1} | _SIZES
_PER_SECOND = {f"{unit}/s": size for unit, size in _SIZES.items()}
_PER_CYCLE = {"": 1} | {f"{unit}/cycle": size for unit, size in _SIZES.items()}
_FREQUENCIES = {"Hz": 1, "kHz": 10**3, "MHz": 10**6, "GHz": 10**9}
_JOULES = {"fJ": Fraction(1, 1000), "pJ": Fraction(1), "nJ": Fraction(1000)}
_ENERGIES = {"": Fraction(1)} | _JOULES
_BYTE_ENERGIES = (
    {"": Fraction(1)}
    | {f"{unit}/B": size for unit, size in _JOULES.items()}
    | {f"{unit}/bit": 8 * size for unit, size in _JOULES.items()}
)
SIZE_EXAMPLE = "a size such as 4MiB, 512KiB or 8388608"
BANDWIDTH_EXAMPLE = "a bandwidth such as 32GB/s or 32B/cycle"
FREQUENCY_EXAMPLE = "a frequency such as 1GHz or 800MHz"
ENERGY_EXAMPLE = "an energy such as 0.018 pJ"
BYTE_ENERGY_EXAMPLE = "an energy such as 84 pJ/B or 10.5 pJ/bit"
MOST_CHARACTERS = 40
"""The longest text of a quantity."""


def _pattern(units: Collection[str]) -> str:
    """Return the regular expression of a number with one of `units`, as JSON Schema writes it."""
    named = "|".join(unit for unit in units if unit)
    return rf"^\s*[0-9]+(\.[0-9]+)?\s*({named}){'?' if '' in units else ''}\s*$"


SIZE_PATTERN = _pattern(_SIZES_OR_BYTES)
BANDWIDTH_PATTERN = _pattern(_PER_SECOND | _PER_CYCLE)
FREQUENCY_PATTERN = _pattern(_FREQUENCIES)
ENERGY_PATTERN = _pattern(_ENERGIES)
BYTE_ENERGY_PATTERN = _pattern(_BYTE_ENERGIES)


class Bandwidth(NamedTuple):
    """Bytes in a second or in a cycle.

    A bandwidth written per second does not change with the clock.
    """

    bytes: Fraction
    per_second: bool

    def per_cycle(self, clock_hz: int) -> Fraction:
        """Return bytes per cycle at that clock, rounded to a denominator of at most `MOST_DENOMINATOR`."""
        rate = self.bytes / clock_hz if self.per_second else self.bytes
        return rate.limit_denominator(MOST_DENOMINATOR)


def is_bare_number(text: str) -> bool:
    """Return whether a text is a number without a unit, which readers may take for another unit than its writer."""
    match = _NUMBER.fullmatch(text)
    return match is not None and not match[2]


def number_and_unit(text: str) -> tuple[Fraction, str] | None:
    """Return the number and the unit of a text; the unit may be any letters, or none. None if it is no quantity."""
    match = _NUMBER.fullmatch(text)
    return None if match is None or len(text) > MOST_CHARACTERS else (Fraction(match[1]), match[2])


def bytes_of(text: str) -> int | None:
    """Return the bytes of a size: "4 MiB", "4MB" (10⁶), "4194304"; None if it is no size, or not whole bytes."""
    return _whole(_value(text, _SIZES_OR_BYTES))


def hertz_of(text: str) -> int | None:
    """Return the cycles per second of a frequency: "1.2 GHz"; None if it is no frequency, or not whole Hz."""
    return _whole(_value(text, _FREQUENCIES))


def bandwidth_of(text: str) -> Bandwidth | None:
    """Return a bandwidth: "25.6 GB/s", "32 B/cycle", "32" (bytes per cycle); None if it is no bandwidth."""
    per_second = _value(text, _PER_SECOND)
    if per_second is not None:
        return Bandwidth(per_second, True)
    per_cycle = _value(text, _PER_CYCLE)
    return None if per_cycle is None else Bandwidth(per_cycle, False)


def picojoules_of(text: str) -> float | None:
    """Return the pJ of an energy: "0.018 pJ", "18 fJ"; None if it is no energy."""
    value = _value(text, _ENERGIES)
    return None if value is None else float(value)


def picojoules_per_byte_of(text: str) -> float | None:
    """Return the pJ per byte of an energy per byte or bit: "84 pJ/B", "10.5 pJ/bit"; None if it is no such energy."""
    value = _value(text, _BYTE_ENERGIES)
    return None if value is None else float(value)


def _value(text: str, units: dict[str, int] | dict[str, Fraction]) -> Fraction | None:
    match = _NUMBER.fullmatch(text)
    if match is None or len(text) > MOST_CHARACTERS or match[2] not in units:
        return None
    return Fraction(match[1]) * units[match[2]]


def _whole(value: Fraction | None) -> int | None:
    return int(value) if value is not None and value.denominator == 1 else None
