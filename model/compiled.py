"""The decorators of all compiled kernels: numba without Python objects, machine code kept on disk."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from numba import njit
from numba.extending import register_jitable

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def compiled(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Compile `function` with numba at its first call; its type stays that of the Python function.

    A kernel takes and returns numbers, arrays and (named) tuples of them. Call a kernel with the same argument
    types (int64 and float64) every time: each new combination of types is compiled again.
    """
    return cast("Callable[Parameters, Result]", njit(cache=True, nogil=True)(function))


def inlined(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Let kernels call `function`, which stays a Python function for everyone else."""
    known: Callable[Parameters, Result] = register_jitable(function)
    return known
