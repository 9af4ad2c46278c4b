"""The platforms that are built in, by name."""

from collections.abc import Iterator, Mapping
from functools import cache

from soma_cp.model.errors import nearest_name_hint
from soma_cp.model.hardware.platform import Platform, PlatformError


class _Presets(Mapping[str, Platform]):
    """Platforms whose hardware files are in the package; read when they are asked for."""

    names = ("edge", "cloud")

    def __getitem__(self, name: str) -> Platform:
        if name not in self.names:
            raise KeyError(name)
        return _preset(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


@cache
def _preset(name: str) -> Platform:
    # Imported late: pydantic takes a while, and the file's module needs this one.
    from soma_cp.model.hardware.platform_file import preset_path, read_platform_file

    return read_platform_file(preset_path(name))


PLATFORMS: Mapping[str, Platform] = _Presets()
"""The two platforms of the SoMa paper; their hardware files are beside this module."""


def platform_named(name: str) -> Platform:
    """Return the built-in platform called `name`.

    Raises
    ------
    PlatformError
        If there is none.
    """
    if name not in PLATFORMS:
        hint = nearest_name_hint(name, PLATFORMS)
        raise PlatformError(f"no platform is called '{name}' (built in: {', '.join(PLATFORMS)}){hint}")
    return PLATFORMS[name]
