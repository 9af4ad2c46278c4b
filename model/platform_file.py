"""The hardware file: five quantities that make a platform.

Version 1 is JSON with whole numbers (specification: file formats). Version 2 is YAML, written with units, and may
extend a built-in platform or another file. Reading tells all faults at once, each in one sentence: file, line in YAML,
field, what was found, what is allowed.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple, cast

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from soma_cp.model.errors import UserError, nearest_name_hint
from soma_cp.model.files import read_json
from soma_cp.model.network_file import _Form, _form_problems, _Name, _shown, _whole_number
from soma_cp.model.platform import LARGEST, MIB, PLATFORMS, VEC_BY_LANE, Platform, PlatformError
from soma_cp.model.quantities import BANDWIDTH_EXAMPLE, SIZE_EXAMPLE, bytes_of, bytes_per_cycle_of
from soma_cp.model.yaml_file import YAML_ENDINGS, read_yaml

VERSION = 1
YAML_VERSION = 2
MOST_EXTENSIONS = 16
"""Files that extend one another, at most."""
LARGEST_GBUF = 4096 * MIB
"""Energy grows by 10 % for every 2 MiB of buffer: what is above has no floating-point number any more."""


class PlatformFileError(PlatformError):
    """A hardware file with faults; `problems` has one sentence for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


def _known_pe(value: int) -> int:
    if value not in VEC_BY_LANE:
        raise ValueError
    return value


class _PlatformForm(_Form):
    """The schema; a field's description is what an error message says is allowed."""

    version: Annotated[int, Field(ge=1, le=VERSION, description="1, the only version there is")] = VERSION
    name: _Name = ""
    gbuf_bytes: Annotated[int, _whole_number(1, LARGEST_GBUF)]
    pe_grid: Annotated[int, _whole_number(1, LARGEST["pe_grid"])]
    macs_per_pe: Annotated[
        int, AfterValidator(_known_pe), Field(description=f"one of {', '.join(map(str, VEC_BY_LANE))}")
    ]
    gbuf_bytes_per_cycle: Annotated[int, _whole_number(1, LARGEST["gbuf_bytes_per_cycle"])]
    dram_bytes_per_cycle: Annotated[int, _whole_number(1, LARGEST["dram_bytes_per_cycle"])]


class _Quantity(NamedTuple):
    """A field of a platform that is written with a unit."""

    field: str
    parse: Callable[[str], int | None]
    example: str
    unit: str
    most: int

    @property
    def allowed(self) -> str:
        return f"{self.example}, a whole number of {self.unit} from 1 to {self.most}"

    def number(self, value: object) -> int | None:
        """Return the bytes or bytes per cycle of a text or number; None if it is none, or out of range."""
        number = self.parse(value) if isinstance(value, str) else value
        whole = isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= self.most
        return cast("int", number) if whole else None


_GBUF = _Quantity("gbuf_bytes", bytes_of, SIZE_EXAMPLE, "bytes", LARGEST_GBUF)
_GBUF_BANDWIDTH, _DRAM_BANDWIDTH = (
    _Quantity(field, bytes_per_cycle_of, BANDWIDTH_EXAMPLE, "bytes per cycle", LARGEST[field])
    for field in ("gbuf_bytes_per_cycle", "dram_bytes_per_cycle")
)


def _written_as(quantity: _Quantity) -> Any:
    def parsed(value: object) -> int:
        number = quantity.number(value)
        if number is None:
            raise ValueError
        return number

    return Annotated[int | None, BeforeValidator(parsed), Field(description=quantity.allowed)]


class _YamlForm(_Form):
    """Version 2; what is left out comes from what is extended."""

    version: Annotated[int, Field(ge=YAML_VERSION, le=YAML_VERSION, description="2")]
    name: _Name = ""
    extends: Annotated[str | None, Field(description="a built-in platform or the path of a hardware file")] = None
    gbuf: _written_as(_GBUF) = None  # type: ignore[valid-type]
    pe_grid: Annotated[int | None, _whole_number(1, LARGEST["pe_grid"])] = None
    macs_per_pe: Annotated[
        int | None, AfterValidator(_known_pe), Field(description=f"one of {', '.join(map(str, VEC_BY_LANE))}")
    ] = None
    gbuf_bandwidth: _written_as(_GBUF_BANDWIDTH) = None  # type: ignore[valid-type]
    dram_bandwidth: _written_as(_DRAM_BANDWIDTH) = None  # type: ignore[valid-type]


_PLATFORM_FIELD = {
    "gbuf": "gbuf_bytes",
    "pe_grid": "pe_grid",
    "macs_per_pe": "macs_per_pe",
    "gbuf_bandwidth": "gbuf_bytes_per_cycle",
    "dram_bandwidth": "dram_bytes_per_cycle",
}
"""Fields of version 2, and what they are called in a `Platform`."""


def platform_from(spec: str) -> Platform:
    """Return the platform that a user names.

    Parameters
    ----------
    spec
        The name of a built-in platform, or the path of a hardware file. A name comes first: a file that is
        called like a built-in platform is ``./edge``.

    Raises
    ------
    PlatformError
        If it is neither, or the file has faults.
    UserError
        If the file can't be read, or is neither JSON nor, with the ending of one, YAML.
    """
    if spec in PLATFORMS:
        return PLATFORMS[spec]
    if not os.path.exists(spec):  # unlike Path.exists, takes any text
        built_in, hint = ", ".join(PLATFORMS), nearest_name_hint(spec.lower(), PLATFORMS)
        raise PlatformError(f"'{spec}' is neither a built-in platform ({built_in}) nor a file{hint}")
    return read_platform_file(Path(spec))


def read_platform_file(path: Path) -> Platform:
    """Read a hardware file: YAML if it ends in ``.yaml`` or ``.yml``, else JSON.

    Raises
    ------
    UserError
        If the file can't be read, or is not JSON or YAML.
    PlatformFileError
        If it is not a sound platform; all faults are told at once.
    """
    return _read_platform(path, ())


def _read_platform(path: Path, extended_by: tuple[Path, ...]) -> Platform:
    """Read a file that the files before it extend, the last of them directly."""
    if path.suffix.lower() in YAML_ENDINGS:
        return _read_yaml_platform(path, extended_by)
    return platform_from_document(read_json(path), str(path))


def _read_yaml_platform(path: Path, extended_by: tuple[Path, ...]) -> Platform:
    """Read a file of version 2."""
    found = read_yaml(path)
    try:
        form = _YamlForm.model_validate(found.fields)
    except ValidationError as error:
        problems = _form_problems(error, _YamlForm, found.fields)
        raise PlatformFileError([_placed(path, found.lines, problem) for problem in problems]) from None
    given = {_PLATFORM_FIELD[field]: getattr(form, field) for field in _PLATFORM_FIELD}
    given = {field: value for field, value in given.items() if value is not None}
    if form.extends is not None:
        base = asdict(_extended(path, form.extends, found.lines["extends"], (*extended_by, path)))
        return Platform(**(base | given))
    missing = [field for field, name in _PLATFORM_FIELD.items() if name not in given]
    if missing:
        listed = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        raise PlatformFileError([f"{path}: {listed}; give what is missing, or extends: edge"])
    return Platform(**given)


def _extended(path: Path, spec: str, line: int, chain: tuple[Path, ...]) -> Platform:
    """Return what a file extends; paths are relative to its folder."""
    if spec in PLATFORMS:
        return PLATFORMS[spec]
    base = path.parent / spec
    if not os.path.exists(base):
        hint = nearest_name_hint(spec.lower(), PLATFORMS)
        allowed = f"a built-in platform ({', '.join(PLATFORMS)}) nor a file"
        raise PlatformFileError([f"{path}: line {line}: extends={_shown(spec)} is neither {allowed}{hint}"])
    if base.resolve() in [known.resolve() for known in chain] or len(chain) > MOST_EXTENSIONS:
        files = " → ".join(str(known) for known in (*chain, base))
        raise PlatformFileError([f"{path}: line {line}: files extend one another in a circle: {files}"])
    return _read_platform(base, chain)


def _placed(path: Path, lines: dict[str, int], problem: str) -> str:
    """Put the file, and the line of the field that a problem begins with, before it."""
    field = next((name for name in lines if problem.startswith((f"{name}=", f'"{name}" '))), None)
    return f"{path}: {problem}" if field is None else f"{path}: line {lines[field]}: {problem}"


def with_overrides(platform: Platform, buffer: str | None, dram: str | None) -> Platform:
    """Return `platform` with another buffer capacity and DRAM bandwidth, as typed on the command line.

    Raises
    ------
    UserError
        If one is no quantity of its kind, or out of range.
    """
    changes: dict[str, int] = {}
    for option, text, quantity in (("--buffer", buffer, _GBUF), ("--dram", dram, _DRAM_BANDWIDTH)):
        if text is None:
            continue
        number = quantity.number(text)
        if number is None:
            raise UserError(f"{option}={text} (must be {quantity.allowed})")
        changes[quantity.field] = number
    return replace(platform, **changes)


def platform_from_document(document: object, where: str) -> Platform:
    """Make a platform of a parsed hardware file.

    Parameters
    ----------
    document
        What JSON gives: a dict of numbers, or anything else.
    where
        Name of the file or place, for error messages.

    Raises
    ------
    PlatformFileError
        If it is not a sound platform.
    """
    if not isinstance(document, dict):
        fields = ", ".join(Platform.__dataclass_fields__)
        raise PlatformFileError([f"{where}: holds {_shown(document)} (must be an object with {fields})"])
    try:
        form = _PlatformForm.model_validate(document)
    except ValidationError as error:
        problems = _form_problems(error, _PlatformForm, document)
        raise PlatformFileError([f"{where}: {problem}" for problem in problems]) from None
    return Platform(**form.model_dump(exclude={"version", "name"}))


def platform_document(platform: Platform) -> dict[str, Any]:
    """Return the five fields of `platform` as hardware files and schedule files hold them."""
    return asdict(platform)
