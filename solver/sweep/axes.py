"""The axes of a sweep: what a file may vary, and what its values may be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from soma_cp.annealing.cocco.tiling_rules import TilingRule
from soma_cp.model.errors import nearest_name_hint
from soma_cp.model.files.forms import shown
from soma_cp.model.hardware.fields import FIELDS, MACS_PER_CYCLE
from soma_cp.model.hardware.quantities import (
    BANDWIDTH_EXAMPLE,
    bandwidth_of,
    bytes_of,
    is_bare_number,
    number_and_unit,
)
from soma_cp.model.problem import MAX_BATCH
from soma_cp.model.semantics import SEMANTICS
from soma_cp.solver.parameters import MAX_EXPONENT, MAX_SEED

RULE_AXES = ("tiling", "uncapped")
"""What the rule of tiling numbers is made of, which some methods alone use."""
HARDWARE_PREFIX = "hw."
MOST_VALUES = 10_000
"""Of one axis."""


@dataclass(frozen=True)
class Axis:
    """What an axis may hold.

    Parameters
    ----------
    fits
        Whether a value is allowed, as far as it can be told by itself.
    allowed
        What is, in words.
    """

    fits: Callable[[Any], bool]
    allowed: str


def _whole(least: int, most: int) -> Axis:
    def fits(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most

    return Axis(fits, f"a whole number from {least} to {most}")


def _number(most: float) -> Axis:
    def fits(value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most

    return Axis(fits, f"a number from 0 to {most:g}")


def _quantity(parse: Callable[[str], object], example: str) -> Axis:
    """Return an axis of texts with a unit: a bare number may be taken for another unit than its writer's."""

    def fits(value: Any) -> bool:
        return isinstance(value, str) and not is_bare_number(value) and parse(value) is not None

    return Axis(fits, example)


_TEXT = Axis(lambda value: isinstance(value, str) and value != "", "text")
_ANYTHING = Axis(lambda value: value is not None, "a value as in a hardware file")

AXES: Mapping[str, Axis] = {
    "net": Axis(_TEXT.fits, "a built-in network, or the path of a network file or an ONNX model"),
    "seq": _whole(1, 1 << 20),
    "blocks": _whole(1, 1 << 20),
    "weights": _TEXT,
    "activations": _TEXT,
    "accumulators": _TEXT,
    "weight_ratio": _number(1.0),
    "hw": Axis(_TEXT.fits, "a built-in platform or the path of a hardware file"),
    "batch": _whole(1, MAX_BATCH),
    "buffer": _quantity(bytes_of, "a size such as 4MiB"),
    "dram": _quantity(bandwidth_of, BANDWIDTH_EXAMPLE),
    "semantics": Axis(lambda value: value in SEMANTICS, " or ".join(SEMANTICS)),
    "core_array": Axis(lambda value: isinstance(value, str | dict), "a core array as in a hardware file"),
    "energy_exponent": _number(MAX_EXPONENT),
    "delay_exponent": _number(MAX_EXPONENT),
    "seed": _whole(0, MAX_SEED),
    "tiling": Axis(lambda value: value in [*TilingRule], " or ".join(TilingRule)),
    "uncapped": Axis(lambda value: isinstance(value, bool), "true or false"),
}
"""By name; beside them, ``hw.FIELD`` stands for each field of a hardware file."""

_HARDWARE_FIELDS = (*dict.fromkeys(field.yaml for field in FIELDS if field.name != "name"), MACS_PER_CYCLE)
HARDWARE_AXES: Mapping[str, str] = {
    "buffer": "gbuf",
    "dram": "dram_bandwidth",
    "semantics": "semantics",
    "core_array": "core_array",
    **{f"{HARDWARE_PREFIX}{name}": name for name in _HARDWARE_FIELDS},
}
"""Fields of hardware files by the axes that set them."""


def axis_problems(name: str, values: object) -> list[str]:
    """Return a sentence for each fault of an axis, as a file writes it."""
    axis = AXES.get(name, _ANYTHING if name in HARDWARE_AXES else None)
    if axis is None:
        known = [*AXES, *HARDWARE_AXES]
        return [
            f"{shown(name)} is no axis (must be one of {', '.join(AXES)}, or hw.FIELD){nearest_name_hint(name, known)}"
        ]
    try:
        listed = axis_values(values)
    except ValueError as error:
        return [f"{name}: {error}"]
    return [f"{name}={shown(value)} (must be {axis.allowed})" for value in listed if not axis.fits(value)]


def axis_values(values: object) -> list[Any]:
    """Return the values of an axis: of one value, a list, or ``{from: 2 GB/s, to: 128 GB/s, times: 2}``.

    Raises
    ------
    ValueError
        If the list is empty or the range is none; the message says what must be.
    """
    if isinstance(values, Mapping) and "from" in values:
        return _range(values)
    listed = list(values) if isinstance(values, list) else [values]
    if not listed:
        raise ValueError("has no value (must be a value, a list, or from, to and times or plus)")
    return listed


def _range(given: Mapping[str, Any]) -> list[Any]:
    """Return the values from the first to the last: whole numbers, or texts with the unit of both."""
    step = next((name for name in ("times", "plus") if name in given), "")
    if set(given) != {"from", "to", step}:
        raise ValueError(f"{shown(dict(given))} (must have from, to, and one of times and plus)")
    ends = [number_and_unit(str(given[name])) for name in ("from", "to")]
    by = number_and_unit(str(given[step]))
    begin, end = ends
    units = {end[1] for end in ends if end is not None}
    if begin is None or end is None or by is None or len(units) > 1 or by[1] not in ("", *units):
        raise ValueError(f"{shown(dict(given))} (must be numbers, from and to with the same unit)")
    unit = begin[1]
    least = 1 if step == "times" else 0
    if by[0] <= least or begin[0] > end[0] or (step == "times" and begin[0] == 0):
        raise ValueError(f"{shown(dict(given))} (must rise: from no more than to, times above 1 or plus above 0)")
    found: list[Any] = []
    value = begin[0]
    while value <= end[0]:
        if len(found) == MOST_VALUES:
            raise ValueError(f"{shown(dict(given))} has more than {MOST_VALUES:,} values (must have at most so many)")
        found.append(_written(value, unit))
        value = value * by[0] if step == "times" else value + by[0]
    return found


def _written(value: Fraction, unit: str) -> Any:
    number = int(value) if value.denominator == 1 else float(value)
    return f"{number} {unit}" if unit else number
