"""What the fields of hardware files may hold, and the objects that they become.

A field's description is what an error message says is allowed.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Annotated, Any, Literal, NamedTuple, cast

from pydantic import AfterValidator, BeforeValidator, Field, create_model

from soma_cp.model.files.forms import Form, Name, whole_number
from soma_cp.model.hardware.platform import (
    BYTE_ENERGIES,
    CLOCK_HZ,
    DRAM_PJ_PER_BYTE,
    LARGEST,
    LARGEST_MEMORY,
    LARGEST_PJ,
    MEMORIES,
    OPERATION_ENERGIES,
    PE_BUS_BYTES_PER_CYCLE,
    PUBLISHED_CORE_ARRAY,
    VEC_BY_LANE,
    is_energy,
    is_whole,
)
from soma_cp.model.hardware.quantities import (
    BANDWIDTH_EXAMPLE,
    BYTE_ENERGY_EXAMPLE,
    ENERGY_EXAMPLE,
    FREQUENCY_EXAMPLE,
    MOST_DENOMINATOR,
    SIZE_EXAMPLE,
    Bandwidth,
    bandwidth_of,
    bytes_of,
    hertz_of,
    picojoules_of,
    picojoules_per_byte_of,
)
from soma_cp.model.semantics import SEMANTICS

VERSION = 1
YAML_VERSION = 2


# Quantities that are written with a unit


class Quantity(NamedTuple):
    """What a field that is written with a unit may hold."""

    parse: Callable[[str], int | None]
    example: str
    unit: str
    most: int

    @property
    def allowed(self) -> str:
        """What is allowed, for people."""
        return f"{self.example}, a whole number of {self.unit} from 1 to {self.most}"

    def number(self, value: object) -> int | None:
        """Return the number that a text or number stands for; None if it is none, or out of range."""
        number = self.parse(value) if isinstance(value, str) else value
        return cast("int", number) if is_whole(number, self.most) else None


GBUF = Quantity(bytes_of, SIZE_EXAMPLE, "bytes", LARGEST["gbuf_bytes"])
_MEMORY = Quantity(bytes_of, SIZE_EXAMPLE, "bytes", LARGEST_MEMORY)
_CLOCK = Quantity(hertz_of, FREQUENCY_EXAMPLE, "Hz", LARGEST["clock_hz"])


def _clock(value: object) -> int | None:
    """A clock of 940 would be one of 940 Hz: a unit is needed."""
    return _CLOCK.number(value) if isinstance(value, str) else None


LARGEST_BANDWIDTH = LARGEST["dram_bytes_per_cycle"]
BANDWIDTH_ALLOWED = f"{BANDWIDTH_EXAMPLE}, from 1 to {LARGEST_BANDWIDTH} bytes per cycle"


def bandwidth_from(value: object) -> Bandwidth | None:
    """Return the bandwidth that a text or a number of bytes per cycle stands for; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return bandwidth_of(str(value))


def _parsed(parse: Callable[[object], Any], allowed: str) -> Any:
    """Return the type of an optional field whose text `parse` understands, giving None for what it does not."""

    def checked(value: object) -> Any:
        found = parse(value)
        if found is None:
            raise ValueError
        return found

    return Annotated[Any, BeforeValidator(checked), Field(description=allowed)]


def _energy(parse: Callable[[str], float | None], example: str) -> Any:
    def parsed(value: object) -> float | None:
        number = parse(value) if isinstance(value, str) else value
        return float(cast("float", number)) if is_energy(number) else None

    return _parsed(parsed, f"{example}, from 0 to {LARGEST_PJ:g} pJ")


def _known_pe(value: int) -> int:
    if value not in VEC_BY_LANE:
        raise ValueError
    return value


_MACS_PER_PE = Field(description=f"one of {', '.join(map(str, VEC_BY_LANE))}")
_PE_GRID = whole_number(1, LARGEST["pe_grid"])
_OptionalVectorOps = Annotated[int | None, whole_number(1, LARGEST["vector_ops"])]
_MEMORY_NAMES = ", ".join(MEMORIES)
_ENERGY_NAMES = ", ".join((*BYTE_ENERGIES, *OPERATION_ENERGIES))
_SEMANTICS = Field(description=" or ".join(SEMANTICS))


# Version 2: YAML


class YamlForm(Form):
    """Version 2; what is left out comes from what is extended."""

    version: Annotated[int, Field(ge=YAML_VERSION, le=YAML_VERSION, description="2; version 1 is JSON")]
    name: Name = ""
    extends: Annotated[str | None, Field(description="a built-in platform or the path of a hardware file")] = None
    clock: _parsed(_clock, _CLOCK.allowed) = None  # type: ignore[valid-type]
    gbuf: _parsed(GBUF.number, GBUF.allowed) = None  # type: ignore[valid-type]
    gbuf_bandwidth: _parsed(bandwidth_from, BANDWIDTH_ALLOWED) = None  # type: ignore[valid-type]
    dram_bandwidth: _parsed(bandwidth_from, BANDWIDTH_ALLOWED) = None  # type: ignore[valid-type]
    dram_energy: _energy(picojoules_per_byte_of, BYTE_ENERGY_EXAMPLE) = None  # type: ignore[valid-type]
    pe_grid: Annotated[int | None, _PE_GRID] = None
    macs_per_pe: Annotated[int | None, AfterValidator(_known_pe), _MACS_PER_PE] = None
    vector_ops: _OptionalVectorOps = None
    pe_bus: _parsed(bandwidth_from, BANDWIDTH_ALLOWED) = None  # type: ignore[valid-type]
    memories: Annotated[dict[str, Any] | None, Field(description=f"an object with some of {', '.join(MEMORIES)}")] = (
        None
    )
    energies: Annotated[dict[str, Any] | None, Field(description=f"an object with some of {_ENERGY_NAMES}")] = None
    core_array: Annotated[
        str | dict[str, Any] | None,
        Field(description="the name of a core-array model, or an object with model and its options"),
    ] = None
    semantics: Annotated[Literal["published", "corrected"] | None, _SEMANTICS] = None


def _nested(name: str, types: dict[str, Any]) -> type[Form]:
    fields: Any = {field: (type_, None) for field, type_ in types.items()}  # create_model's overloads can't say it
    form: type[Form] = create_model(name, __base__=Form, **fields)
    return form


MemoriesForm = _nested("MemoriesForm", dict.fromkeys(MEMORIES, _parsed(_MEMORY.number, _MEMORY.allowed)))
"""``memories`` of version 2: bytes."""

EnergiesForm = _nested(
    "EnergiesForm",
    dict.fromkeys(BYTE_ENERGIES, _energy(picojoules_per_byte_of, BYTE_ENERGY_EXAMPLE))
    | dict.fromkeys(OPERATION_ENERGIES, _energy(picojoules_of, ENERGY_EXAMPLE)),
)
"""``energies`` of version 2: pJ per byte, and of an operation."""


# Version 1: JSON


def _fraction_from(value: object) -> int | Fraction | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value if 1 <= value <= LARGEST_BANDWIDTH else None
    parts = value.split("/") if isinstance(value, str) else []
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and len(part) <= 13 for part in parts):
        return None
    if not 1 <= int(parts[1]) <= MOST_DENOMINATOR:
        return None
    rate = Fraction(int(parts[0]), int(parts[1]))
    return rate if 1 <= rate <= LARGEST_BANDWIDTH else None


_DRAM_RATE_ALLOWED = (
    f"a whole number from 1 to {LARGEST_BANDWIDTH}, in digits alone, or a fraction such as "
    f'"128/5" with a denominator of at most {MOST_DENOMINATOR}'
)


_Picojoules = Annotated[float, Field(ge=0, le=LARGEST_PJ, description=f"a number of pJ from 0 to {LARGEST_PJ:g}")]


def _named(names: tuple[str, ...], check: Callable[[object], bool]) -> Callable[[Any], Any]:
    def checked(value: dict[str, Any]) -> dict[str, Any]:
        if not all(name in names and check(item) for name, item in value.items()):
            raise ValueError
        return value

    return checked


def _is_memory(value: object) -> bool:
    return is_whole(value, LARGEST_MEMORY)


class PlatformForm(Form):
    """Version 1, what schedule files hold as well."""

    version: Annotated[int, Field(ge=1, le=VERSION, description="1; version 2 is YAML, call the file .yaml")] = VERSION
    name: Name = ""
    gbuf_bytes: Annotated[int, whole_number(1, LARGEST["gbuf_bytes"])]
    pe_grid: Annotated[int, _PE_GRID]
    macs_per_pe: Annotated[int, AfterValidator(_known_pe), _MACS_PER_PE]
    gbuf_bytes_per_cycle: Annotated[int, whole_number(1, LARGEST["gbuf_bytes_per_cycle"])]
    dram_bytes_per_cycle: _parsed(_fraction_from, _DRAM_RATE_ALLOWED)  # type: ignore[valid-type]
    clock_hz: Annotated[int, whole_number(1, LARGEST["clock_hz"])] = CLOCK_HZ
    dram_pj_per_byte: _Picojoules = DRAM_PJ_PER_BYTE
    vector_ops: _OptionalVectorOps = None
    pe_bus_bytes_per_cycle: Annotated[int, whole_number(1, LARGEST["pe_bus_bytes_per_cycle"])] = PE_BUS_BYTES_PER_CYCLE
    memory_bytes: Annotated[
        dict[str, Any],
        AfterValidator(_named(MEMORIES, _is_memory)),
        Field(description=f"an object with bytes of some of {_MEMORY_NAMES}, from 1 to {LARGEST_MEMORY}"),
    ] = Field(default_factory=dict)
    energy_pj: Annotated[
        dict[str, Any],
        AfterValidator(_named((*BYTE_ENERGIES, *OPERATION_ENERGIES), is_energy)),
        Field(description=f"an object with pJ of some of {_ENERGY_NAMES}, from 0 to {LARGEST_PJ:g}"),
    ] = Field(default_factory=dict)
    core_array: Annotated[str, Field(min_length=1, description="the name of a core-array model")] = PUBLISHED_CORE_ARRAY
    core_array_options: Annotated[dict[str, str], Field(description="an object with texts")] = Field(
        default_factory=dict
    )
    semantics: Annotated[Literal["published", "corrected"], _SEMANTICS] = "published"
