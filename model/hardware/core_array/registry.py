"""Core arrays by name: the built-in ones, and those that installed packages bring as entry points.

A package brings one by an entry point of the group of `CORE_ARRAYS`. The entry point's name is the core array's name in
hardware files, its object is a `Factory`.
"""

from collections.abc import Callable, Mapping

from soma_cp.model.hardware.core_array.earlier_plug_ins import of_this_version
from soma_cp.model.hardware.core_array.options import require_known
from soma_cp.model.hardware.core_array.protocol import CoreArray
from soma_cp.model.hardware.core_array.published import PublishedCoreArray
from soma_cp.model.hardware.core_array.roofline import RooflineCoreArray
from soma_cp.model.hardware.platform import Platform
from soma_cp.model.network.network import Network
from soma_cp.model.plug_ins import PlugInKind

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


CORE_ARRAYS = PlugInKind("soma_cp.core_arrays", "core array", tuple(BUILT_IN), "a function of a platform and options")


def core_array_names() -> list[str]:
    """Return the names of all core arrays, the built-in ones first."""
    return CORE_ARRAYS.names


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
    factory: Factory = BUILT_IN[name] if name in BUILT_IN else CORE_ARRAYS.load(name).function
    return of_this_version(factory(platform, options), network)
