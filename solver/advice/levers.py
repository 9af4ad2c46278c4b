"""Levers: the changes of a platform that advice prices, in steps that a designer would take.

A step up is an eighth of the buffer, rounded to a power of two, and a quarter of the DRAM bandwidth, rounded to two
digits: +1 MiB and +4 GB/s on the paper's edge platform. If it gains nothing, the double is tried. A step down is half.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from soma_cp.model.hardware.platform import Platform, PlatformError
from soma_cp.model.hardware.quantities import Bandwidth
from soma_cp.solver.advice.advice import Topic


@dataclass(frozen=True)
class Lever:
    """Another platform that differs from a schedule's own in the buffer or in the DRAM bandwidth.

    Parameters
    ----------
    topic
        BUFFER or DRAM.
    saves
        Whether it is the smaller of the two.
    platform
        The other platform.
    """

    topic: Topic
    saves: bool
    platform: Platform


def levers(platform: Platform) -> Iterator[tuple[Lever, ...]]:
    """Yield the levers of a platform, in groups: the first of a group that gains something is enough."""
    buffer, rate = platform.gbuf_bytes, platform.dram_bytes_per_second
    groups = (
        (Topic.DRAM, False, (rate + bandwidth_step(rate), 2 * rate)),
        (Topic.BUFFER, False, (buffer + buffer_step(buffer), 2 * buffer)),
        (Topic.BUFFER, True, (buffer // 2,)),
        (Topic.DRAM, True, (rate / 2,)),
    )
    for topic, saves, values in groups:
        changed = (_changed(platform, topic, value) for value in values)
        yield tuple(Lever(topic, saves, other) for other in changed if other is not None)


def buffer_step(gbuf_bytes: int) -> int:
    """Return the power of two nearest to an eighth of a buffer (bytes)."""
    return 1 << max(round(math.log2(gbuf_bytes / 8)), 0)


def bandwidth_step(bytes_per_second: float) -> float:
    """Return a quarter of a bandwidth (bytes per second), to two digits."""
    return float(f"{bytes_per_second / 4:.1e}")


def _changed(platform: Platform, topic: Topic, value: float) -> Platform | None:
    """Return the platform with that buffer or bandwidth; None if there is no such platform."""
    try:
        if topic is Topic.BUFFER:
            return replace(platform, gbuf_bytes=int(value))
        per_cycle = Bandwidth(Fraction(value), True).per_cycle(platform.clock_hz)
        return replace(platform, dram_bytes_per_cycle=per_cycle)
    except PlatformError:
        return None
