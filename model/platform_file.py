"""The hardware file, version 1 (specification: file formats): five whole numbers that make a platform.

Reading tells all faults at once, each in one sentence: file, field, what was found, what is allowed.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError

from soma_cp.model.errors import nearest_name_hint
from soma_cp.model.files import read_json
from soma_cp.model.network_file import _Form, _form_problems, _Name, _shown, _whole_number
from soma_cp.model.platform import LARGEST, MIB, PLATFORMS, VEC_BY_LANE, Platform, PlatformError

VERSION = 1
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
        If the file can't be read or is not JSON.
    """
    if spec in PLATFORMS:
        return PLATFORMS[spec]
    if not os.path.exists(spec):  # unlike Path.exists, takes any text
        built_in, hint = ", ".join(PLATFORMS), nearest_name_hint(spec.lower(), PLATFORMS)
        raise PlatformError(f"'{spec}' is neither a built-in platform ({built_in}) nor a file{hint}")
    return read_platform_file(Path(spec))


def read_platform_file(path: Path) -> Platform:
    """Read a hardware file.

    Raises
    ------
    UserError
        If the file can't be read or is not JSON.
    PlatformFileError
        If it is not a sound platform; all faults are told at once.
    """
    return platform_from_document(read_json(path), str(path))


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
