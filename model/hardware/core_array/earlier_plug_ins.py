"""Core arrays written for an earlier version, whose methods take the network beside its table; goes with the next one.

Until 0.1.0 `tile_costs` and `least_costs` had three parameters: network, table, tiles. `of_this_version` gives a core
array of that kind a class that is called with the table and adds the network. The methods of this version are marked
`network_may_come_first`, for a plug-in that derives from one of their classes or asks another core array.
"""

import inspect
import warnings
from collections.abc import Callable
from copy import copy
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar, cast

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Array = TypeVar("Array")

METHODS = ("tile_costs", "least_costs")
"""Those that took the network."""


def network_may_come_first(method: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Let a method of table and tiles be called with a network before them."""

    @wraps(method)
    def called(self: Any, *arguments: Any, **named: Any) -> Any:
        named.pop("network", None)
        given: Any = (self, *(arguments[1:] if len(arguments) + len(named) == 3 else arguments))
        return method(*given, **named)

    return cast("Callable[Parameters, Result]", called)


def of_this_version(array: Array, network: object) -> Array:
    """Return `array`, or where its methods take the network a copy that is called without.

    Parameters
    ----------
    array
        The core array that the factory of a package made.
    network
        What the copy adds.

    Warns
    -----
    DeprecationWarning
        Once for each class whose methods take the network.
    """
    own: Any = type(array)
    kind = _class_of_this_version(own)
    if kind is own:
        return array
    adapted = copy(array)  # a package may give the same object for several networks
    object.__setattr__(adapted, "__class__", kind)  # also of a frozen dataclass
    object.__setattr__(adapted, "_network_of_problem", network)
    return adapted


@cache
def _class_of_this_version(own: Any) -> Any:
    """Return `own`, or the class in its place if methods of it take the network."""
    earlier = [name for name in METHODS if _takes_network(getattr(own, name, None))]
    if not earlier:
        return own
    warnings.warn(
        f"core array {own.__module__}.{own.__qualname__}: {' and '.join(earlier)} of three parameters will not work in "
        f"the next version; leave the network out: {', '.join(f'{name}(self, table, tiles)' for name in earlier)}",
        DeprecationWarning,
        stacklevel=2,
    )
    methods = {name: _adding_network(getattr(own, name)) for name in earlier}
    return type(own)(own.__name__, (own,), {"__module__": own.__module__, **methods})


def _adding_network(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method that calls `method` with the network, whether or not it is called with it."""

    def called(self: Any, *arguments: Any) -> Any:
        return method(self, self._network_of_problem, *arguments[-2:])

    return called


def _takes_network(method: Callable[..., Any] | None) -> bool:
    """Whether a method of a class takes network, table and tiles, and not table and tiles alone."""
    if method is None:
        return False
    signature = inspect.signature(method)
    return not _takes(signature, 3) and _takes(signature, 4)


def _takes(signature: inspect.Signature, count: int) -> bool:
    """Whether a function can be called with so many arguments, self included."""
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True
