"""The kinds of fields that a platform has: what a field may hold, and how hardware files of both versions write it.

A value has three forms: that of `Platform`, that of version 1 (JSON), and what version 2 (YAML) *says*. The last is the
platform's value, with two exceptions: a bandwidth keeps its unit until the clock is known, and an object is a dict,
since files that extend one another give it name by name. Reading raises ValueError for a value that is not allowed. A
text beside each reader says what is allowed, since messages name both, and a JSON Schema says it to programs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from soma_cp.model.files.json_schema import Schema, described, object_schema
from soma_cp.model.hardware.quantities import (
    BANDWIDTH_EXAMPLE,
    BANDWIDTH_PATTERN,
    BYTE_ENERGY_EXAMPLE,
    BYTE_ENERGY_PATTERN,
    ENERGY_EXAMPLE,
    ENERGY_PATTERN,
    FREQUENCY_EXAMPLE,
    FREQUENCY_PATTERN,
    MOST_CHARACTERS,
    MOST_DENOMINATOR,
    SIZE_EXAMPLE,
    SIZE_PATTERN,
    Bandwidth,
    bandwidth_of,
    bytes_of,
    hertz_of,
    picojoules_of,
    picojoules_per_byte_of,
)

LARGEST_PJ = 1e9
"""Energy of a byte or an operation."""


def _same(value: Any) -> Any:
    return value


class Written(NamedTuple):
    """How a file writes a field.

    Parameters
    ----------
    allowed
        In words, what `read` takes.
    read
        Returns a value or raises ValueError.
    schema
        The JSON Schema of what `read` takes; it takes what `read` takes, and little more.
    """

    allowed: str
    read: Callable[[Any], Any]
    schema: Schema


@dataclass(frozen=True)
class Kind:
    """What a field holds.

    Parameters
    ----------
    json
        Version 1: reads a platform's value.
    yaml
        Version 2: reads what a file says.
    fault
        From the field's name and a platform's value: what is wrong with the value, or None.
    normal
        From a platform's value: its normal form. Equal platforms then have equal fields, of the types that kernels are
        compiled for.
    to_json, to_yaml
        From a platform's value: what version 1 holds, and what version 2 says.
    of_said
        From what version 2 says, except bandwidths: the platform's value.
    most
        The largest number allowed; 0 if the field is no number.
    items
        For an object of quantities: kinds by name.
    range, unit
        For a number: both in words.
    """

    json: Written
    yaml: Written
    fault: Callable[[str, Any], str | None] = lambda name, value: None
    normal: Callable[[Any], Any] = _same
    to_json: Callable[[Any], Any] = _same
    to_yaml: Callable[[Any], Any] = _same
    of_said: Callable[[Any], Any] = _same
    most: int = 0
    items: Mapping[str, "Kind"] | None = None
    range: str = ""
    unit: str = ""


def _only(is_allowed: Callable[[Any], bool], or_none: bool = False) -> Callable[[Any], Any]:
    """Return a function that returns an allowed value and raises ValueError for any other."""

    def read(value: Any) -> Any:
        if not is_allowed(value) and not (value is None and or_none):
            raise ValueError
        return value

    return read


# Numbers


class Unit(NamedTuple):
    """The unit of a quantity: `parse` reads a text of `pattern`, `name` is what a plain number counts."""

    parse: Callable[[str], float | None]
    pattern: str
    example: str
    name: str
    may_be_left_out: bool = True


BYTES = Unit(bytes_of, SIZE_PATTERN, SIZE_EXAMPLE, "bytes")
HERTZ = Unit(
    hertz_of, FREQUENCY_PATTERN, FREQUENCY_EXAMPLE, "Hz", may_be_left_out=False
)  # `clock: 940` would mean 940 Hz
PJ_PER_BYTE = Unit(picojoules_per_byte_of, BYTE_ENERGY_PATTERN, BYTE_ENERGY_EXAMPLE, "pJ")
PJ = Unit(picojoules_of, ENERGY_PATTERN, ENERGY_EXAMPLE, "pJ")


def _read_with_unit(unit: Unit, is_allowed: Callable[[Any], bool]) -> Callable[[Any], Any]:
    check = _only(is_allowed)

    def read(value: Any) -> Any:
        if isinstance(value, str):
            return check(unit.parse(value))
        return check(value if unit.may_be_left_out else None)

    return read


def _quantity_schema(pattern: str, *numbers: Schema) -> Schema:
    """Return the schema of a text with a unit, or of a plain number of `numbers`."""
    text = {"type": "string", "maxLength": MOST_CHARACTERS, "pattern": pattern}
    return {"anyOf": [text, *numbers]} if numbers else text


def _schema_with_unit(unit: Unit, number: Schema) -> Schema:
    return _quantity_schema(unit.pattern, *([number] if unit.may_be_left_out else []))


def _is_whole(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def whole(most: int, unit: Unit | None = None, optional: bool = False) -> Kind:
    """Return the kind of a whole number from 1 to `most`; version 2 writes it with its unit, if it has one.

    If it is optional, a platform may hold None: then the number follows from other fields.
    """
    limits = f"from 1 to {most}"
    digits = f"a whole number {limits}, in digits alone"

    def is_whole(value: object) -> bool:
        return _is_whole(value, most)

    def fault(name: str, value: object) -> str | None:
        fine = is_whole(value) or (optional and value is None)
        return None if fine else f"{name}={value!r} (must be a whole number {limits})"

    number = {"type": "integer", "minimum": 1, "maximum": most}
    if unit is None:
        yaml = Written(digits, _only(is_whole), number)
    else:
        yaml = Written(
            f"{unit.example}, a whole number of {unit.name} {limits}",
            _read_with_unit(unit, is_whole),
            _schema_with_unit(unit, number),
        )
    return Kind(
        json=Written(
            digits, _only(is_whole, or_none=optional), number | ({"type": ["integer", "null"]} if optional else {})
        ),
        yaml=yaml,
        fault=fault,
        most=most,
        range=limits,
        unit=unit.name if unit else "",
    )


def sides(most: int) -> Kind:
    """Return the kind of the sides of a grid, each from 1 to `most`.

    A platform holds one number for a square, else rows and columns.
    """
    square = whole(most)

    def are_sides(value: Any) -> bool:
        return isinstance(value, list | tuple) and len(value) == 2 and all(_is_whole(side, most) for side in value)

    def fault(name: str, value: Any) -> str | None:
        if not isinstance(value, list | tuple):
            return square.fault(name, value)
        return None if are_sides(value) else f"{name}={value!r} (must be rows and columns, each from 1 to {most})"

    def normal(value: Any) -> int | tuple[int, int]:
        rows, columns = (value, value) if isinstance(value, int) else value
        return rows if rows == columns else (rows, columns)

    def read(value: Any) -> int | tuple[int, int]:
        if isinstance(value, str):
            parts = value.replace("×", "x").split("x")
            value = [int(part) for part in parts if part.isascii() and part.strip().isdigit() and len(part) <= 9]
            if len(value) != len(parts) or len(value) != 2:
                raise ValueError
        if not are_sides(value):
            value = square.json.read(value)
        return normal(value)

    pair = {"type": "array", "items": square.json.schema, "minItems": 2, "maxItems": 2}
    text = {"type": "string", "pattern": r"^\s*[0-9]{1,9}\s*[x×]\s*[0-9]{1,9}\s*$"}
    written = Written(
        f"{square.json.allowed}, or rows and columns such as [16, 8] or 16x8",
        read,
        {"anyOf": [square.json.schema, pair, text]},
    )
    return Kind(
        json=written,
        yaml=written,
        fault=fault,
        normal=normal,
        to_json=lambda value: value if isinstance(value, int) else list(value),
        most=most,
        range=square.range,
    )


def bandwidth(most: int, may_be_fraction: bool = False) -> Kind:
    """Return the kind of a bandwidth, from 1 to `most` bytes per cycle.

    A fraction's denominator is at most `MOST_DENOMINATOR`.
    """
    integer = whole(most)

    def fault(name: str, value: Any) -> str | None:
        if not (may_be_fraction and isinstance(value, Fraction)):
            return integer.fault(name, value)
        if 1 <= value <= most and value.denominator <= MOST_DENOMINATOR:
            return None
        return f"{name}={value} (must be from 1 to {most}, with a denominator of at most {MOST_DENOMINATOR})"

    def read_fraction(value: object) -> int | Fraction:
        if not isinstance(value, str):
            number: int = integer.json.read(value)
            return number
        parts = value.split("/")
        if len(parts) != 2 or not all(part.isascii() and part.isdigit() and len(part) <= 13 for part in parts):
            raise ValueError
        over, under = map(int, parts)
        if not (1 <= under <= MOST_DENOMINATOR and under <= over <= most * under):
            raise ValueError
        return Fraction(over, under)

    def read_bandwidth(value: object) -> Bandwidth:
        can_be_one = isinstance(value, str | int | float) and not isinstance(value, bool)
        found = bandwidth_of(str(value)) if can_be_one else None
        if found is None:
            raise ValueError
        return found

    json = integer.json
    if may_be_fraction:
        fraction = {"type": "string", "pattern": "^[0-9]{1,13}/[0-9]{1,13}$"}
        json = Written(
            f'{json.allowed}, or a fraction such as "128/5" with a denominator of at most {MOST_DENOMINATOR}',
            read_fraction,
            {"anyOf": [json.schema, fraction]},
        )
    # The rate is rounded before its range is checked: 0.9999 bytes per cycle are taken for 1.
    per_cycle = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": most + 1}
    return Kind(
        json=json,
        yaml=Written(
            f"{BANDWIDTH_EXAMPLE}, from 1 to {most} bytes per cycle",
            read_bandwidth,
            _quantity_schema(BANDWIDTH_PATTERN, per_cycle),
        ),
        fault=fault,
        normal=lambda value: int(value) if Fraction(value).denominator == 1 else value,
        to_json=lambda value: str(value) if isinstance(value, Fraction) else value,
        most=most,
        range=f"from 1 to {most}" if may_be_fraction else f"a whole number from 1 to {most}",
        unit="bytes per cycle",
    )


def energy(unit: Unit) -> Kind:
    """Return the kind of an energy in pJ, from 0 to `LARGEST_PJ`."""
    limits = f"from 0 to {LARGEST_PJ:g}"

    def is_energy(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LARGEST_PJ

    def fault(name: str, value: object) -> str | None:
        return None if is_energy(value) else f"{name}={value!r} pJ (must be a number {limits})"

    read = _read_with_unit(unit, is_energy)
    number = {"type": "number", "minimum": 0, "maximum": LARGEST_PJ}
    return Kind(
        json=Written(f"a number of pJ {limits}", _only(is_energy), number),
        yaml=Written(f"{unit.example}, {limits} pJ", lambda value: float(read(value)), _schema_with_unit(unit, number)),
        fault=fault,
        normal=float,
        range=limits,
        unit=unit.name,
    )


# Choices and objects


def one_of(*choices: str) -> Kind:
    """Return the kind of a word, one of `choices`."""
    listed = ", ".join(choices)
    word = Written(
        " or ".join(choices) if len(choices) == 2 else f"one of {listed}",
        _only(lambda v: v in choices),
        {"enum": list(choices)},
    )

    def fault(name: str, value: Any) -> str | None:
        return None if value in choices else f"{name}={value!r} (must be one of {listed})"

    return Kind(json=word, yaml=word, fault=fault)


def named(items: Mapping[str, Kind], with_field: bool) -> Kind:
    """Return the kind of an object of quantities by name; a platform holds pairs of name and value, sorted.

    All kinds of `items` have the same unit and range. If `with_field`, a fault of an item also names the field.
    """
    names, first = ", ".join(items), next(iter(items.values()))

    def fault(name: str, value: tuple[tuple[str, Any], ...]) -> str | None:
        given = [item for item, _ in value]
        for item in given:
            if item not in items or given.count(item) > 1:
                return f"{name} names {item!r} (must be different ones of {names})"
        faults = (items[item].fault(f"{name} {item}" if with_field else item, one) for item, one in value)
        return next(filter(None, faults), None)

    def is_sound(value: Any) -> bool:
        return _is_object(value) and fault("", tuple(value.items())) is None

    return Kind(
        json=Written(
            f"an object with {first.unit or 'numbers'} of some of {names}, {first.range or first.json.allowed}",
            _pairs_if(is_sound),
            object_schema({name: kind.json.schema for name, kind in items.items()}, []),
        ),
        yaml=Written(
            f"an object with some of {names}",
            _only(_is_object),
            object_schema(
                {name: described("", kind.yaml.allowed) | kind.yaml.schema for name, kind in items.items()}, []
            ),
        ),
        fault=fault,
        normal=lambda pairs: tuple(sorted((name, items[name].normal(value)) for name, value in pairs)),
        to_json=dict,
        to_yaml=dict,
        of_said=lambda said: tuple(said.items()),
        items=items,
    )


def _is_object(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(name, str) for name in value)


def _pairs_if(is_allowed: Callable[[Any], bool]) -> Callable[[Any], Any]:
    check = _only(is_allowed)
    return lambda value: tuple(check(value).items())


LABEL = Kind(json=Written("", _same, {}), yaml=Written("", _same, {}))
"""The name of a platform, for people; the forms of files of all kinds say what a name may be."""

_MODEL_NAME = "the name of a core-array model"
_MODEL_SAID = Written(
    f"{_MODEL_NAME}, or an object with model and its options",
    _only(lambda value: isinstance(value, str) or _is_object(value)),
    {
        "anyOf": [
            {"type": "string"},
            {
                "type": "object",
                "properties": {"model": {"type": "string"}},
                "required": ["model"],
                # YAML has more kinds of single values than JSON: dates, for instance.
                "additionalProperties": {"not": {"type": ["array", "object", "null"]}},
            },
        ]
    },
)

MODEL = Kind(
    json=Written(
        _MODEL_NAME, _only(lambda value: isinstance(value, str) and value != ""), {"type": "string", "minLength": 1}
    ),
    yaml=_MODEL_SAID,
    to_yaml=lambda name: {"model": name},
    of_said=lambda said: said if isinstance(said, str) else said["model"],
)
"""The name of a core array; version 2 writes the name and the options in one field."""

MODEL_OPTIONS = Kind(
    json=Written(
        "an object with texts",
        _pairs_if(lambda value: _is_object(value) and all(isinstance(text, str) for text in value.values())),
        {"type": "object", "additionalProperties": {"type": "string"}},
    ),
    yaml=_MODEL_SAID,
    normal=lambda pairs: tuple(sorted(pairs)),
    to_json=dict,
    to_yaml=dict,
    of_said=lambda said: [] if isinstance(said, str) else [(k, str(v)) for k, v in said.items() if k != "model"],
)
"""The options of a core array, texts; a platform holds pairs of name and text, sorted."""
