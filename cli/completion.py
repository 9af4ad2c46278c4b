"""What a shell completes: names of networks, platforms and stages; where no name fits, the shell offers files."""

from collections.abc import Callable, Iterable

from soma_cp.cli.schema_names import SCHEMA_NAMES
from soma_cp.cli.sweep_formats import EXAMPLE_NAMES
from soma_cp.model.plug_ins import PlugInKind

Completion = Callable[[str], list[str]]
"""Returns the names that begin as an incomplete word."""


def network_names(incomplete: str) -> list[str]:
    """Return the names and aliases of built-in networks."""
    # Imported here and below: a start of the command needs no name.
    from soma_cp.model.network.builtin.catalogue import ALIASES, builtin_names

    return _beginning(incomplete, (*builtin_names(), *ALIASES))


def platform_names(incomplete: str) -> list[str]:
    """Return the names of built-in platforms."""
    from soma_cp.model.hardware.presets import PRESETS

    return _beginning(incomplete, PRESETS)


def schema_names(incomplete: str) -> list[str]:
    """Return the names of schemas."""
    return _beginning(incomplete, SCHEMA_NAMES)


def example_names(incomplete: str) -> list[str]:
    """Return the names of ready files of sweeps."""
    return _beginning(incomplete, EXAMPLE_NAMES)


def type_names(incomplete: str) -> list[str]:
    """Return the names of data types."""
    from soma_cp.model.data_types import TYPE_CODE

    return _beginning(incomplete, TYPE_CODE)


def stage_names(kind: PlugInKind) -> Completion:
    """Return a completion of the names of a kind of stages, also those of installed packages."""
    return lambda incomplete: _beginning(incomplete, (*kind.built_in, *kind.installed))


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
