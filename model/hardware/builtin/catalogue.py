"""The built-in platforms, by name."""

import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from soma_cp.model.errors import nearest_name_hint
from soma_cp.model.hardware.platform import Platform, PlatformError
from soma_cp.model.hardware.platform_file import read_platform_file
from soma_cp.model.hardware.presets import PRESETS, preset_path


class _Presets(Mapping[str, Platform]):
    """Platforms whose hardware files are in the package; each file is read on first use."""

    def __getitem__(self, name: str) -> Platform:
        if name not in PRESETS:
            raise KeyError(name)
        return _preset(name)

    def __iter__(self) -> Iterator[str]:
        return iter(PRESETS)

    def __len__(self) -> int:
        return len(PRESETS)


@cache
def _preset(name: str) -> Platform:
    return read_platform_file(preset_path(name))


PLATFORMS: Mapping[str, Platform] = _Presets()
"""The platforms of `PRESETS`; their hardware files stand beside this module."""


def platform_named(name: str) -> Platform:
    """Return the built-in platform called `name`.

    Raises
    ------
    PlatformError
        If no built-in platform has that name.
    """
    if name not in PLATFORMS:
        hint = nearest_name_hint(name, PLATFORMS)
        raise PlatformError(f"no platform is called '{name}' (built in: {', '.join(PLATFORMS)}){hint}")
    return PLATFORMS[name]


def known_name(platform: Platform) -> str | None:
    """Return the name of the built-in platform that `platform` equals, else its own; None if it has none.

    The name of a built-in platform is not that of a platform with other figures.
    """
    built_in = next((name for name, known in PLATFORMS.items() if known == platform), None)
    own = platform.name if platform.name not in PLATFORMS else ""
    return built_in or own or None


def platform_from(spec: str) -> Platform:
    """Return the platform that a user names.

    Parameters
    ----------
    spec
        The name of a built-in platform, or the path of a hardware file. Names come first: a file called like a
        built-in platform is given as ``./edge``.

    Raises
    ------
    PlatformError
        If it is neither, or the file has faults.
    UserError
        If the file can't be read, or is not JSON, or not YAML if its name ends like one.
    """
    if spec in PLATFORMS:
        return PLATFORMS[spec]
    if not os.path.exists(spec):  # unlike Path.exists, takes any text
        built_in, hint = ", ".join(PLATFORMS), nearest_name_hint(spec.lower(), PLATFORMS)
        raise PlatformError(f"'{spec}' is neither a built-in platform ({built_in}) nor a file{hint}")
    return read_platform_file(Path(spec))
