"""Hardware by name, file or object, with fields changed."""

import os
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from soma_cp.api.values import whole
from soma_cp.api.wording import speaks_python
from soma_cp.model.errors import UserError, nearest_name_hint
from soma_cp.model.hardware.builtin.catalogue import platform_from
from soma_cp.model.hardware.field_kinds import Kind
from soma_cp.model.hardware.fields import FIELDS, KIND
from soma_cp.model.hardware.platform import Platform
from soma_cp.model.hardware.presets import PRESETS
from soma_cp.model.hardware.quantities import Bandwidth

_SHORT = {"buffer": "gbuf_bytes", "dram": "dram_bytes_per_cycle", "clock": "clock_hz"}
"""Short names of fields, as the command line has them."""


def hardware_names() -> tuple[str, ...]:
    """Return the names of the built-in platforms.

    Examples
    --------
    >>> import soma_cp as sc
    >>> sc.hardware_names()[:2]
    ('edge', 'cloud')
    """
    return PRESETS


@speaks_python
def load_hardware(
    hardware: str | os.PathLike[str] | Platform,
    *,
    buffer: str | int | None = None,
    dram: str | int | Fraction | None = None,
    clock: str | int | None = None,
    **fields: Any,
) -> Platform:
    """Return a platform, with some of its fields changed.

    Parameters
    ----------
    hardware
        Name of a built-in platform, path of a hardware file, or a platform.
    buffer
        Capacity of the buffer: a size such as ``"4MiB"``, or bytes.
    dram
        Bandwidth of the DRAM channel: such as ``"32GB/s"``, or bytes per cycle.
    clock
        Clock: such as ``"1GHz"``, or Hz. Bandwidths keep their bytes per cycle, unless `dram` is given, too.
    fields
        Other fields of `Platform`, by name; quantities may be texts with units, objects of names and values dicts.

    Returns
    -------
    Platform
        A new one; a platform that was changed has no name.

    Raises
    ------
    UserError
        If there is no such platform or field, or a value is out of range.

    Examples
    --------
    >>> import soma_cp as sc
    >>> sc.load_hardware("edge", buffer="4MiB").gbuf_bytes
    4194304
    >>> sc.load_hardware("edge", dram="25.6GB/s").dram_bytes_per_second
    25600000000.0
    """
    if not isinstance(hardware, str | os.PathLike | Platform):
        kind = type(hardware).__name__
        raise UserError(f"hardware is of the type {kind} (must be a name, a path or a Platform)")
    platform = hardware if isinstance(hardware, Platform) else platform_from(os.fspath(hardware))
    given = {name: value for name, value in (("buffer", buffer), ("dram", dram), ("clock", clock)) if value is not None}
    for name in given:
        if _SHORT[name] in fields:
            raise UserError(f"{name} and {_SHORT[name]} are the same field, and both are given; keep one")
    given |= fields
    if not given:
        return platform
    values: dict[str, Any] = {"name": ""}
    for name, value in given.items():
        field = _SHORT.get(name, name)
        if field not in KIND:
            in_files = next((f"; did you mean '{one.name}'?" for one in FIELDS if one.yaml == name), "")
            hint = in_files or nearest_name_hint(name, (*_SHORT, *KIND))
            raise UserError(f"hardware has no field '{name}'{hint} (it has {', '.join((*_SHORT, *KIND))})")
        values[field] = _read(name, field, value)
    clock_hz = values.get("clock_hz", platform.clock_hz)
    values = {k: v.per_cycle(clock_hz) if isinstance(v, Bandwidth) else v for k, v in values.items()}
    return replace(platform, **values)


def _read(name: str, field: str, value: Any) -> Any:
    """Return a value as `Platform` takes it, but for bandwidths in a text."""
    kind = KIND[field]
    if field == "core_array_options" and isinstance(value, Mapping):
        return tuple((option, str(said)) for option, said in value.items())
    if isinstance(value, Mapping):
        items = kind.items or {}
        return tuple((item, _quantity(f"{name} {item}", items.get(item), said)) for item, said in value.items())
    if (kind.items is not None or field == "core_array_options") and not isinstance(value, tuple | list):
        some = f" with some of {', '.join(kind.items)}" if kind.items else ""
        raise UserError(f"{name}={value!r} (must be a dict{some})")
    return value if field in ("name", "core_array", "semantics") else _quantity(name, kind, value)


def _quantity(name: str, kind: Kind | None, value: Any) -> Any:
    """Return a quantity, which may be a text with a unit or one of numpy's numbers."""
    if kind is not None and isinstance(value, str):
        try:
            return kind.yaml.read(value)
        except ValueError:
            raise UserError(f"{name}={value!r} (must be {kind.yaml.allowed})") from None
    if isinstance(value, np.integer):
        return whole(name, value)
    return float(value) if isinstance(value, np.floating) else value


def platform_of(hardware: str | os.PathLike[str] | Path | Platform | None, otherwise: str) -> Platform:
    """Return the platform that a caller names, or else the built-in one called `otherwise`."""
    return load_hardware(otherwise if hardware is None else hardware)
