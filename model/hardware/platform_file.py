"""Reads and writes hardware files, which describe a platform (docs/file-formats.md#hardware).

Version 1 is JSON with plain numbers. Version 2 is YAML with units, and may extend a built-in platform or another file.
The reader reports all faults at once, each in one sentence: file, line (in YAML), field, what was found, what is
allowed.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from soma_cp.model.data_types import INT8
from soma_cp.model.errors import UserError, nearest_name_hint
from soma_cp.model.files.forms import NO_REASONS, Form, form_problems, shown
from soma_cp.model.files.text_file import read_json
from soma_cp.model.files.yaml_file import YAML_ENDINGS, Lines, YamlObject, read_yaml
from soma_cp.model.hardware.fields import FIELDS, KIND, MACS_PER_CYCLE
from soma_cp.model.hardware.platform import CLOCK_HZ, Platform, PlatformError
from soma_cp.model.hardware.platform_forms import NESTED_FORMS, YAML_VERSION, PlatformForm, YamlForm
from soma_cp.model.hardware.presets import PRESETS, preset_path
from soma_cp.model.hardware.quantities import BANDWIDTH_EXAMPLE, Bandwidth, is_bare_number

MOST_EXTENSIONS = 16
"""The most files that may extend one another."""
_USUAL = {field.name: field.default for field in fields(Platform)}
"""The defaults of a platform's fields."""
_REQUIRED = tuple(name for name, default in _USUAL.items() if default is MISSING)
"""The fields that every platform needs."""
_YAML_NAME = {field.name: field.yaml for field in FIELDS}
_Form = TypeVar("_Form", bound=Form)
_SIZE, _RATE = KIND["gbuf_bytes"], KIND["dram_bytes_per_cycle"]


class PlatformFileError(PlatformError):
    """A hardware file with faults; `problems` has one sentence for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


_Given = dict[str, Any]
"""What a file says, by field of version 2: bandwidths as written, the fields of `NESTED_FORMS` as dicts."""


def _extend(base: _Given, more: _Given) -> _Given:
    """Return what a file says that says `more` and extends one that says `base`."""
    return base | more | {name: base.get(name, {}) | more.get(name, {}) for name in NESTED_FORMS}


def read_platform_file(path: Path) -> Platform:
    """Read a hardware file: YAML if it ends in ``.yaml`` or ``.yml``, else JSON.

    Raises
    ------
    UserError
        If the file can't be read, or is not JSON or YAML.
    PlatformFileError
        If it describes no valid platform; the error lists all faults.
    """
    if path.suffix.lower() not in YAML_ENDINGS:
        return platform_from_document(read_json(path), str(path))
    found = read_yaml(path)
    return _platform(path, found, _read_given(path, found, ()))


# Version 2


def _read_given(path: Path, found: YamlObject, extended_by: tuple[Path, ...]) -> _Given:
    """Return what the parsed file `path` says; `extended_by` lists the files that extend it, the direct one last."""
    form, faults = _checked(YamlForm, found.fields)
    faults += _faults_of_array(found.fields)
    problems = [f"{found.lines.place(fault)}{fault}" for fault in faults]
    nested: _Given = {}
    for name, inner_form in NESTED_FORMS.items():
        inner = found.fields.get(name)
        if not isinstance(inner, dict):
            continue
        checked, faults = _checked(inner_form, inner, _REASONS.get(name, NO_REASONS))
        nested[name] = {} if checked is None else checked.model_dump(exclude_none=True)
        problems += [f"{found.lines.fields[name].place(fault)}{name}: {fault}" for fault in faults]
    core_array = found.fields.get("core_array")
    if isinstance(core_array, dict) and not _is_core_array(core_array):
        line = found.lines.fields["core_array"].place("")
        problems.append(f"{line}core_array: must have model, the name of a core-array model, and options of one value")
    if problems or form is None:
        raise PlatformFileError([f"{path}: {problem}" for problem in problems])
    given = {name: getattr(form, name) for name in found.fields if name not in ("version", "name", "extends")} | nested
    if MACS_PER_CYCLE in given:
        given |= {"pe_grid": 1, "macs_per_pe": given.pop(MACS_PER_CYCLE)}
    if isinstance(given.get("core_array"), dict):
        given["core_array"] = {k: _from_folder(v, path.parent) for k, v in given["core_array"].items()}
    base: _Given = {}
    if form.extends is not None:
        base = _extended(path, form.extends, found.lines.fields["extends"].line, (*extended_by, path))
    return _extend(base, given)


_REASONS = {
    "macs_per_cycle_by_type": {INT8.name: "here: the rate of INT8 is macs_per_cycle, or pe_grid and macs_per_pe"},
    "mac_energy_by_type": {INT8.name: "here: the energy of INT8 is MAC of energies"},
}
"""Why objects of a file lack a field that one could look for there."""


def _checked(
    form: type[_Form], fields: dict[str, Any], reasons: Mapping[str, str] = NO_REASONS
) -> tuple[_Form | None, list[str]]:
    """Return the fields as `form` reads them, or None; and a sentence for each fault. No field may be empty."""
    empty = [name for name, value in fields.items() if value is None and name in form.model_fields]
    filled = {name: value for name, value in fields.items() if name not in empty}
    problems = []
    for name in empty:
        field = form.model_fields[name]
        or_not = "" if field.is_required() else ", or leave the field out"
        problems.append(f"{name} is empty; give a value ({field.description}){or_not}")
    try:
        return form.model_validate(filled), problems
    except ValidationError as error:
        found = [problem for problem in form_problems(error, form, filled, reasons) if problem.split()[0] not in empty]
        return None, problems + found


def _faults_of_array(fields: dict[str, Any]) -> list[str]:
    """Return a sentence if a file gives its array in both forms."""
    others = [name for name in ("pe_grid", "macs_per_pe") if name in fields]
    if MACS_PER_CYCLE not in fields or not others:
        return []
    return [
        f"{MACS_PER_CYCLE}={shown(fields[MACS_PER_CYCLE])} stands for the whole array, but {' and '.join(others)} "
        f"{'is' if len(others) == 1 else 'are'} given, too; keep one of both"
    ]


def _is_core_array(document: dict[str, Any]) -> bool:
    values = document.values()
    return isinstance(document.get("model"), str) and not any(isinstance(v, dict | list | None) for v in values)


def _from_folder(value: Any, folder: Path) -> Any:
    """Return an option of a core array; make a path that begins with ./ or ../ relative to the file's folder."""
    if isinstance(value, str) and value.startswith(("./", "../")):
        return str((folder / value).resolve())
    return value


def _extended(path: Path, spec: str, line: int, chain: tuple[Path, ...]) -> _Given:
    """Return what the base `spec` of the file `path` says; a path in `spec` is relative to the folder of `path`."""
    base = preset_path(spec) if spec in PRESETS else path.parent / spec
    if not os.path.exists(base):
        hint = nearest_name_hint(spec.lower(), PRESETS)
        allowed = f"a built-in platform ({', '.join(PRESETS)}) nor a file"
        raise PlatformFileError([f"{path}: line {line}: extends={shown(spec)} is neither {allowed}{hint}"])
    if base.resolve() in [known.resolve() for known in chain]:
        files = " → ".join(str(known) for known in (*chain, base))
        raise PlatformFileError([f"{path}: line {line}: files extend one another in a circle: {files}"])
    if len(chain) > MOST_EXTENSIONS:
        raise PlatformFileError(
            [
                f"{path}: line {line}: extends={shown(spec)} is one too many: '{chain[0]}' already extends "
                f"{MOST_EXTENSIONS} files in a row (at most {MOST_EXTENSIONS}); write two of them as one"
            ]
        )
    if base.suffix.lower() in YAML_ENDINGS:
        return _read_given(base, read_yaml(base), chain)
    return _given_by(platform_from_document(read_json(base), str(base)))


def _given_by(platform: Platform) -> _Given:
    """Return what a file of version 2 would say about `platform`."""
    given: _Given = {}
    for field in FIELDS:
        said = field.kind.to_yaml(getattr(platform, field.name))
        given[field.yaml] = given[field.yaml] | said if field.yaml in given else said
    return {name: value for name, value in given.items() if value is not None}


def _platform(path: Path, found: YamlObject, says: _Given) -> Platform:
    """Return the platform that the file `path` describes."""
    missing = [_YAML_NAME[name] for name in _REQUIRED if _YAML_NAME[name] not in says]
    if missing:
        listed = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        raise PlatformFileError([f"{path}: {listed}; give what is missing, or extends: edge"])
    clock = says.get("clock", CLOCK_HZ)
    problems = []
    values: dict[str, Any] = {}
    for name, yaml, kind, _ in FIELDS:
        said = says.get(yaml)
        if isinstance(said, Bandwidth):
            values[name] = rate = kind.normal(said.per_cycle(clock))
            if kind.fault(name, rate):
                given_as = shown(found.fields.get(yaml, "as extended"))
                problems.append(
                    f"{yaml}={given_as} (is {float(rate):g} bytes per cycle at {clock / 1e6:g} MHz; "
                    f"must be {kind.range})"
                )
        elif said is not None:
            values[name] = kind.of_said(said)
    if problems:
        raise PlatformFileError([f"{path}: {found.lines.place(problem)}{problem}" for problem in problems])
    try:
        return Platform(**values | {"name": found.fields.get("name", "")})
    except PlatformError as error:
        raise PlatformFileError([f"{path}: {found.lines.place(str(error))}{error}"]) from None


def with_fields(platform: Platform, fields: Mapping[str, Any], where: str) -> Platform:
    """Return `platform` with other values of fields, which keep their names and units of version 2.

    Parameters
    ----------
    platform
        What has all other values; a bandwidth in bytes per second stays so if the clock changes.
    fields
        Values by field of version 2, as a hardware file writes them.
    where
        Names the place of the fields in error messages.

    Raises
    ------
    PlatformFileError
        If the fields give no valid platform; the error lists all faults.
    """
    found = YamlObject({"version": YAML_VERSION, **fields}, Lines())
    says = _extend(_given_by(platform), _read_given(Path(where), found, ()))
    return replace(_platform(Path(where), found, says), name=platform.name)


# The command line


def with_overrides(platform: Platform, buffer: str | None, dram: str | None) -> Platform:
    """Return `platform` with another buffer capacity and DRAM bandwidth, as typed on the command line.

    Raises
    ------
    UserError
        If a text is not such a quantity, has no unit, or is out of range.
    """
    for option, text, example in (("--buffer", buffer, "a size such as 4MiB"), ("--dram", dram, BANDWIDTH_EXAMPLE)):
        if text is not None and is_bare_number(text):
            raise UserError(f"{option}={text} has no unit (must be {example})")
    if buffer is not None:
        try:
            size = _SIZE.yaml.read(buffer)
        except ValueError:
            raise UserError(f"--buffer={buffer} (must be {_SIZE.yaml.allowed})") from None
        platform = replace(platform, gbuf_bytes=size, name="")
    if dram is not None:
        try:
            rate = _RATE.yaml.read(dram).per_cycle(platform.clock_hz)
        except ValueError:
            rate = Fraction(0)
        if _RATE.fault("dram", rate):
            raise UserError(f"--dram={dram} (must be {_RATE.yaml.allowed} at {platform.clock_hz / 1e6:g} MHz)")
        platform = replace(platform, dram_bytes_per_cycle=rate, name="")
    return platform


# Version 1


def platform_from_document(document: object, where: str) -> Platform:
    """Make a platform of a parsed hardware file.

    Parameters
    ----------
    document
        The value that the JSON holds: a dict of numbers, or anything else.
    where
        Name of the file or place, for error messages.

    Raises
    ------
    PlatformFileError
        If it describes no valid platform.
    """
    if not isinstance(document, dict):
        needed = ", ".join(_REQUIRED)
        raise PlatformFileError([f"{where}: holds {shown(document)} (must be an object with {needed})"])
    try:
        form = PlatformForm.model_validate(document)
    except ValidationError as error:
        problems = form_problems(error, PlatformForm, document)
        raise PlatformFileError([f"{where}: {problem}" for problem in problems]) from None
    try:
        return Platform(**{name: getattr(form, name) for name in _USUAL})
    except PlatformError as error:
        raise PlatformFileError([f"{where}: {error}"]) from None


def platform_document(platform: Platform) -> dict[str, Any]:
    """Return `platform` as files of version 1 and schedule files hold it; fields with default values are left out."""
    document: dict[str, Any] = {}
    for name, default in _USUAL.items():
        value = getattr(platform, name)
        if value != default and not (name == "name" and value in PRESETS):
            document[name] = KIND[name].to_json(value)
    return document
