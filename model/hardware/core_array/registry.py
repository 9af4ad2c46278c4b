"""Core arrays by name: the built-in ones, and those that installed packages bring as entry points.

A package brings a core array by an entry point of the group `GROUP`. The entry point's name is the core array's name
in hardware files, its object is a `Factory`.
"""

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points

from soma_cp.model.errors import UserError, nearest_name_hint
from soma_cp.model.hardware.core_array.earlier_plug_ins import of_this_version
from soma_cp.model.hardware.core_array.options import require_known
from soma_cp.model.hardware.core_array.protocol import CoreArray
from soma_cp.model.hardware.core_array.published import PublishedCoreArray
from soma_cp.model.hardware.core_array.roofline import RooflineCoreArray
from soma_cp.model.hardware.platform import Platform
from soma_cp.model.network.network import Network

GROUP = "soma_cp.core_arrays"

Factory = Callable[[Platform, Mapping[str, str]], CoreArray]
"""Makes the core array of a platform from its options; raises UserError for options that are wrong."""


def _published(platform: Platform, options: Mapping[str, str]) -> CoreArray:
    require_known("published", options, ())
    return PublishedCoreArray(platform)


def _roofline(platform: Platform, options: Mapping[str, str]) -> CoreArray:
    require_known("roofline", options, ())
    return RooflineCoreArray(platform)


def _zigzag(platform: Platform, options: Mapping[str, str]) -> CoreArray:
    # Imported here: the module loads a database and process pools, which most runs don't need.
    from soma_cp.model.hardware.core_array.zigzag import zigzag_core_array

    return zigzag_core_array(platform, options)


BUILT_IN: dict[str, Factory] = {"published": _published, "roofline": _roofline, "zigzag": _zigzag}
"""The built-in core arrays; a package can't take one of these names."""


def core_array_names() -> list[str]:
    """Return the names of all core arrays, the built-in ones first."""
    return [*BUILT_IN, *sorted(set(entry_points(group=GROUP).names) - set(BUILT_IN))]


def make_core_array(
    platform: Platform, name: str, options: Mapping[str, str], network: Network | None = None
) -> CoreArray:
    """Make the core array called `name`.

    Parameters
    ----------
    platform
        The platform that it is a part of.
    name
        One of `core_array_names`.
    options
        Its own options.
    network
        For plug-ins written for an earlier version, whose methods take it; removed in the next version.

    Raises
    ------
    UserError
        If there is no such core array, the package that brings it is broken, or an option is wrong.
    """
    return of_this_version(_factory(name)(platform, options), network)


def _factory(name: str) -> Factory:
    if name in BUILT_IN:
        return BUILT_IN[name]
    found = list(entry_points(group=GROUP, name=name))
    if not found:
        names = core_array_names()
        raise UserError(
            f"no core array is called '{name}' (there are {', '.join(names)}){nearest_name_hint(name, names)}"
        )
    packages = sorted({_package(entry) for entry in found})
    if len(packages) > 1:
        raise UserError(
            f"core array '{name}' is brought by several packages ({', '.join(packages)}); uninstall all but one"
        )
    try:
        factory: Factory = found[0].load()
    except Exception as error:  # importing another's package may raise anything
        raise UserError(
            f"core array '{name}' of package '{packages[0]}' can't be loaded: {type(error).__name__}: {error}; "
            f"repair or uninstall the package"
        ) from error
    if not callable(factory):
        raise UserError(
            f"core array '{name}' of package '{packages[0]}' can't be loaded: '{found[0].value}' is not callable (must "
            f"be a function of a platform and options)"
        )
    return factory


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "unknown"
