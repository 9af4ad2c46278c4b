"""Plug-ins: what installed packages bring as entry points, by kind and name (docs/plug-ins.md).

A `PlugInKind` is a group of entry points together with the built-in names of the same kind. The entry point's name is
the name that users type; a package can't take a built-in one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from soma_cp.model.errors import UserError, nearest_name_hint


class PlugInError(UserError):
    """A package that brings a plug-in is at fault; the cause, if there is one, is the exception that it raised."""


@dataclass(frozen=True)
class PlugIn:
    """What a package brings.

    Parameters
    ----------
    noun, name
        What it is, and what it is called: ``core array``, ``systolic``.
    package, version
        The package that brings it; ``unknown`` if it does not say.
    function
        The entry point's object, any callable.
    """

    noun: str
    name: str
    package: str
    version: str
    function: Callable[..., Any]

    def __str__(self) -> str:
        return f"{self.noun} '{self.name}' of package '{self.package}' {self.version}"

    @property
    def record(self) -> dict[str, str]:
        """What it takes to find it again, as schedule files hold it."""
        return {"kind": self.noun, "name": self.name, "package": self.package, "version": self.version}


@dataclass(frozen=True)
class PlugInKind:
    """A kind of plug-in.

    Parameters
    ----------
    group
        Its group of entry points.
    noun
        What it is, for people.
    built_in
        The built-in names, in the order of lists.
    signature
        What the entry point's object must be, for people.
    """

    group: str
    noun: str
    built_in: tuple[str, ...]
    signature: str

    @property
    def installed(self) -> list[str]:
        """The names that packages bring, in alphabetical order."""
        return sorted(set(entry_points(group=self.group).names) - set(self.built_in))

    @property
    def names(self) -> list[str]:
        """All names, the built-in ones first."""
        return [*self.built_in, *self.installed]

    def require(self, name: str) -> None:
        """Refuse a name that is neither built in nor brought by a package.

        Raises
        ------
        UserError
            Lists all names.
        """
        names = self.names
        if name not in names:
            raise UserError(
                f"no {self.noun} is called '{name}' (there are {', '.join(names)}){nearest_name_hint(name, names)}"
            )

    def load(self, name: str) -> PlugIn:
        """Import the plug-in called `name`, which is not a built-in one.

        Raises
        ------
        UserError
            If there is none of that name, several packages bring it, or the package is broken.
        """
        self.require(name)
        found = list(entry_points(group=self.group, name=name))
        packages = sorted({_package(entry) for entry in found})
        if len(packages) > 1:
            raise UserError(
                f"{self.noun} '{name}' is brought by several packages ({', '.join(packages)}); uninstall all but one"
            )
        broken = f"{self.noun} '{name}' of package '{packages[0]}' can't be loaded"
        try:
            function = found[0].load()
        except Exception as error:  # importing another's package may raise anything
            raise PlugInError(f"{broken}: {said(error)}; repair or uninstall the package") from error
        if not callable(function):
            raise PlugInError(f"{broken}: '{found[0].value}' is not callable (must be {self.signature})")
        version = found[0].dist.version if found[0].dist is not None else "unknown"
        return PlugIn(self.noun, name, packages[0], version, function)


def said(error: BaseException) -> str:
    """Return kind and text of an exception on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "unknown"
