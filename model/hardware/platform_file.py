"""The hardware file, of which a platform is made.

Version 1 is JSON with plain numbers (specification: file formats). Version 2 is YAML, written with units, and may
extend a built-in platform or another file. Reading tells all faults at once, each in one sentence: file, line in YAML,
field, what was found, what is allowed.
"""

import os
from collections.abc import Sequence
from dataclasses import MISSING, fields, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from soma_cp.model.errors import UserError, nearest_name_hint
from soma_cp.model.files.forms import form_problems, shown
from soma_cp.model.files.text_file import read_json
from soma_cp.model.files.yaml_file import YAML_ENDINGS, YamlObject, read_yaml
from soma_cp.model.hardware.platform import CLOCK_HZ, PUBLISHED_CORE_ARRAY, Platform, PlatformError
from soma_cp.model.hardware.platform_forms import (
    BANDWIDTH_ALLOWED,
    GBUF,
    LARGEST_BANDWIDTH,
    EnergiesForm,
    MemoriesForm,
    PlatformForm,
    YamlForm,
    bandwidth_from,
)
from soma_cp.model.hardware.presets import PRESETS, preset_path
from soma_cp.model.hardware.quantities import Bandwidth

MOST_EXTENSIONS = 16
"""Files that extend one another, at most."""
_NEEDED = ("gbuf", "pe_grid", "macs_per_pe", "gbuf_bandwidth", "dram_bandwidth")
"""Fields of version 2 without which there is no platform."""
_REQUIRED = tuple(field.name for field in fields(Platform) if field.default is MISSING)
"""The same in version 1."""
_PAIRS = ("memory_bytes", "energy_pj", "core_array_options")
"""Fields of a platform that files hold as objects."""


class PlatformFileError(PlatformError):
    """A hardware file with faults; `problems` has one sentence for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


_Given = dict[str, Any]
"""What a file says, by field of version 2; bandwidths as they were written, the fields of `_NESTED` as dicts."""
_NESTED = {"memories": MemoriesForm, "energies": EnergiesForm}


def _extend(base: _Given, more: _Given) -> _Given:
    """Return what is said when a file that says `base` is extended by one that says `more`."""
    return base | more | {name: base.get(name, {}) | more.get(name, {}) for name in _NESTED}


def read_platform_file(path: Path) -> Platform:
    """Read a hardware file: YAML if it ends in ``.yaml`` or ``.yml``, else JSON.

    Raises
    ------
    UserError
        If the file can't be read, or is not JSON or YAML.
    PlatformFileError
        If it is not a sound platform; all faults are told at once.
    """
    if path.suffix.lower() not in YAML_ENDINGS:
        return platform_from_document(read_json(path), str(path))
    found = read_yaml(path)
    return _platform(path, found, _read_given(path, found, ()))


# Version 2


def _read_given(path: Path, found: YamlObject, extended_by: tuple[Path, ...]) -> _Given:
    """Return what the parsed file `path` says, which the files before it extend, the last of them directly."""
    try:
        form = YamlForm.model_validate(found.fields)
    except ValidationError as error:
        problems = [found.lines.place(problem) + problem for problem in form_problems(error, YamlForm, found.fields)]
    else:
        problems = []
    nested: _Given = {}
    for name, inner_form in _NESTED.items():
        inner = found.fields.get(name)
        if not isinstance(inner, dict):
            continue
        try:
            nested[name] = inner_form.model_validate(inner).model_dump(exclude_none=True)
        except ValidationError as error:
            lines = found.lines.fields[name]
            problems += [f"{lines.place(p)}{name}: {p}" for p in form_problems(error, inner_form, inner)]
    core_array = found.fields.get("core_array")
    if isinstance(core_array, dict) and not _is_core_array(core_array):
        line = found.lines.fields["core_array"].place("")
        problems.append(f"{line}core_array: must have model, the name of a core-array model, and options of one value")
    if problems:
        raise PlatformFileError([f"{path}: {problem}" for problem in problems])
    given = {name: getattr(form, name) for name in found.fields if name not in ("version", "name", "extends")} | nested
    if isinstance(given.get("core_array"), dict):
        given["core_array"] = {k: _from_folder(v, path.parent) for k, v in given["core_array"].items()}
    base: _Given = {}
    if form.extends is not None:
        base = _extended(path, form.extends, found.lines.fields["extends"].line, (*extended_by, path))
    return _extend(base, {name: value for name, value in given.items() if value is not None})


def _is_core_array(document: dict[str, Any]) -> bool:
    values = document.values()
    return isinstance(document.get("model"), str) and not any(isinstance(v, dict | list | None) for v in values)


def _from_folder(value: Any, folder: Path) -> Any:
    """Return an option of a core array; a path that begins with ./ or ../ is relative to the file's folder."""
    if isinstance(value, str) and value.startswith(("./", "../")):
        return str((folder / value).resolve())
    return value


def _extended(path: Path, spec: str, line: int, chain: tuple[Path, ...]) -> _Given:
    """Return what the file says that a file extends; paths are relative to its folder."""
    base = preset_path(spec) if spec in PRESETS else path.parent / spec
    if not os.path.exists(base):
        hint = nearest_name_hint(spec.lower(), PRESETS)
        allowed = f"a built-in platform ({', '.join(PRESETS)}) nor a file"
        raise PlatformFileError([f"{path}: line {line}: extends={shown(spec)} is neither {allowed}{hint}"])
    if base.resolve() in [known.resolve() for known in chain] or len(chain) > MOST_EXTENSIONS:
        files = " → ".join(str(known) for known in (*chain, base))
        raise PlatformFileError([f"{path}: line {line}: files extend one another in a circle: {files}"])
    if base.suffix.lower() in YAML_ENDINGS:
        return _read_given(base, read_yaml(base), chain)
    return _given_by(platform_from_document(read_json(base), str(base)))


def _given_by(platform: Platform) -> _Given:
    """Return what a file of version 2 would say of `platform`."""
    given: _Given = {
        "clock": platform.clock_hz,
        "gbuf": platform.gbuf_bytes,
        "gbuf_bandwidth": Bandwidth(Fraction(platform.gbuf_bytes_per_cycle), False),
        "dram_bandwidth": Bandwidth(Fraction(platform.dram_bytes_per_cycle), False),
        "dram_energy": platform.dram_pj_per_byte,
        "pe_grid": platform.pe_grid,
        "macs_per_pe": platform.macs_per_pe,
        "vector_ops": platform.vector_ops,
        "pe_bus": Bandwidth(Fraction(platform.pe_bus_bytes_per_cycle), False),
        "memories": dict(platform.memory_bytes),
        "energies": dict(platform.energy_pj),
        "core_array": {"model": platform.core_array, **dict(platform.core_array_options)},
        "semantics": platform.semantics,
    }
    return {name: value for name, value in given.items() if value is not None}


def _platform(path: Path, found: YamlObject, says: _Given) -> Platform:
    """Return the platform that the file `path` describes."""
    missing = [name for name in _NEEDED if name not in says]
    if missing:
        listed = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        raise PlatformFileError([f"{path}: {listed}; give what is missing, or extends: edge"])
    clock = says.get("clock", CLOCK_HZ)
    problems = []
    rates: dict[str, Fraction] = {}
    for name in ("gbuf_bandwidth", "dram_bandwidth", "pe_bus"):
        if name in says:
            rates[name] = rate = says[name].per_cycle(clock)
            whole = "" if name == "dram_bandwidth" else "a whole number "
            if not 1 <= rate <= LARGEST_BANDWIDTH or (whole and rate.denominator > 1):
                given_as = shown(found.fields.get(name, "as extended"))
                problems.append(
                    f"{name}={given_as} (is {float(rate):g} bytes per cycle at {clock / 1e6:g} MHz; "
                    f"must be {whole}from 1 to {LARGEST_BANDWIDTH})"
                )
    if problems:
        raise PlatformFileError([f"{path}: {found.lines.place(problem)}{problem}" for problem in problems])
    core_array = says.get("core_array", PUBLISHED_CORE_ARRAY)
    options = {} if isinstance(core_array, str) else {k: str(v) for k, v in core_array.items() if k != "model"}
    optional: dict[str, Any] = {
        "dram_pj_per_byte": says.get("dram_energy"),
        "vector_ops": says.get("vector_ops"),
        "pe_bus_bytes_per_cycle": int(rates["pe_bus"]) if "pe_bus" in rates else None,
        "semantics": says.get("semantics"),
    }
    return Platform(
        says["gbuf"],
        says["pe_grid"],
        says["macs_per_pe"],
        int(rates["gbuf_bandwidth"]),
        rates["dram_bandwidth"],
        clock_hz=clock,
        memory_bytes=tuple(sorted(says["memories"].items())),
        energy_pj=tuple(sorted(says["energies"].items())),
        core_array=core_array if isinstance(core_array, str) else core_array["model"],
        core_array_options=tuple(sorted(options.items())),
        name=found.fields.get("name", ""),
        **{name: value for name, value in optional.items() if value is not None},
    )


# The command line


def with_overrides(platform: Platform, buffer: str | None, dram: str | None) -> Platform:
    """Return `platform` with another buffer capacity and DRAM bandwidth, as typed on the command line.

    Raises
    ------
    UserError
        If one is no quantity of its kind, or out of range.
    """
    if buffer is not None:
        size = GBUF.number(buffer)
        if size is None:
            raise UserError(f"--buffer={buffer} (must be {GBUF.allowed})")
        platform = replace(platform, gbuf_bytes=size, name="")
    if dram is not None:
        bandwidth = bandwidth_from(dram)
        rate = Fraction(0) if bandwidth is None else bandwidth.per_cycle(platform.clock_hz)
        if not 1 <= rate <= LARGEST_BANDWIDTH:
            raise UserError(f"--dram={dram} (must be {BANDWIDTH_ALLOWED} at {platform.clock_hz / 1e6:g} MHz)")
        platform = replace(platform, dram_bytes_per_cycle=rate, name="")
    return platform


# Version 1


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
        needed = ", ".join(_REQUIRED)
        raise PlatformFileError([f"{where}: holds {shown(document)} (must be an object with {needed})"])
    try:
        form = PlatformForm.model_validate(document)
    except ValidationError as error:
        problems = form_problems(error, PlatformForm, document)
        raise PlatformFileError([f"{where}: {problem}" for problem in problems]) from None
    values: dict[str, Any] = {name: getattr(form, name) for name in Platform.__dataclass_fields__}
    for name in _PAIRS:
        values[name] = tuple(sorted(values[name].items()))
    return Platform(**values)


@cache
def _usual() -> dict[str, Any]:
    return {field.name: field.default for field in fields(Platform) if field.default is not MISSING}


def platform_document(platform: Platform) -> dict[str, Any]:
    """Return `platform` as files of version 1 and schedule files hold it; what is as usual is left out."""
    document: dict[str, Any] = {name: getattr(platform, name) for name in _REQUIRED}
    if isinstance(platform.dram_bytes_per_cycle, Fraction):
        document["dram_bytes_per_cycle"] = str(platform.dram_bytes_per_cycle)
    for name, default in _usual().items():
        value = getattr(platform, name)
        if value != default and not (name == "name" and value in PRESETS):
            document[name] = dict(cast("tuple[tuple[str, Any], ...]", value)) if name in _PAIRS else value
    return document
