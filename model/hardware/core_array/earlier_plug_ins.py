"""Core arrays of an earlier version, whose methods take the network and its table; removed in the next version.

Until 0.1.0 `tile_costs` and `least_costs` had three parameters: network, table, tiles. `of_this_version` gives such a
core array a class whose methods take table and tiles and add the network. The methods of this version are marked
`network_may_come_first`: a plug-in that derives from one of their classes, or calls another core array, may still pass
the network.
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
"""The methods that took the network."""


def network_may_come_first(method: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Return `method`, which takes table and tiles, such that callers may pass a network before them."""

    @wraps(method)
    def called(self: Any, *arguments: Any, **named: Any) -> Any:
        named.pop("network", None)
        given: Any = (self, *(arguments[1:] if len(arguments) + len(named) == 3 else arguments))
        return method(*given, **named)

    return cast("Callable[Parameters, Result]", called)


def of_this_version(array: Array, network: object) -> Array:
    """Return `array`; if its methods take the network, return a copy whose methods do not.

    Parameters
    ----------
    array
        The core array that the factory of a package made.
    network
        The network that the copy passes to the methods of `array`.

    Warns
    -----
    DeprecationWarning
        Once for each class whose methods take the network.
    """
    own: Any = type(array)
    kind = _class_of_this_version(own)
    if kind is own:
        return array
    adapted = copy(array)  # a package may return the same object for several networks
    object.__setattr__(adapted, "__class__", kind)  # works for a frozen dataclass, too
    object.__setattr__(adapted, "_network_of_problem", network)
    return adapted


@cache
def _class_of_this_version(own: Any) -> Any:
    """Return `own`, or if its methods take the network the class that replaces it."""
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
    """Return a method that passes the network to `method`, whether or not its caller does."""

    def called(self: Any, *arguments: Any) -> Any:
        return method(self, self._network_of_problem, *arguments[-2:])

    return called


def _takes_network(method: Callable[..., Any] | None) -> bool:
    """Return whether a method of a class takes network, table and tiles, and can't take table and tiles alone."""
    if method is None:
        return False
    signature = inspect.signature(method)
    return not _takes(signature, 3) and _takes(signature, 4)


def _takes(signature: inspect.Signature, count: int) -> bool:
    """Return whether a function can be called with `count` arguments, self included."""
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True
