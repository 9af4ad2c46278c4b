"""Plain values of what callers give: numpy's numbers become Python's, other things are refused in a sentence."""

import math
import operator
from enum import Enum
from typing import Any, TypeVar

from soma_cp.model.errors import UserError, nearest_name_hint

_Choice = TypeVar("_Choice", bound=Enum)


def whole(argument: str, value: Any, least: int | None = None, most: int | None = None) -> int:
    """Return a whole number.

    Parameters
    ----------
    argument
        Its name, for messages.
    value
        A Python or numpy integer.
    least, most
        What is allowed; None: any.

    Raises
    ------
    UserError
        If it is none, or out of range.

    Examples
    --------
    >>> import numpy as np
    >>> whole("batch", np.int64(4), 1)
    4
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise UserError(f"{argument}={value!r} (must be a whole number)") from None
    if (least is not None and number < least) or (most is not None and number > most):
        allowed = f"at least {least}" if most is None else f"from {least} to {most}"
        raise UserError(f"{argument}={number} (must be {allowed})")
    return number


def real(argument: str, value: Any) -> float:
    """Return a number, but not NaN."""
    try:
        if isinstance(value, bool | str):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        raise UserError(f"{argument}={value!r} (must be a number)") from None
    if math.isnan(number):
        raise UserError(f"{argument}={value!r} (must be a number)")
    return number


def choice(argument: str, kind: type[_Choice], value: _Choice | str) -> _Choice:
    """Return the member of `kind` that a value stands for."""
    try:
        return kind(value)
    except ValueError:
        allowed = [member.value for member in kind]
        hint = nearest_name_hint(str(value), allowed)
        raise UserError(f"{argument}={value!r} (must be one of {', '.join(map(repr, allowed))}){hint}") from None
