"""The decorators of all compiled kernels: numba without Python objects, machine code kept on disk."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from numba.extending import register_jitable

from soma_cp.model.kernel_cache import kept_code, say_once
from soma_cp.model.kernel_compiler import Kernel

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def compiled(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Compile `function` with numba at its first call; its type stays that of the Python function.

    A kernel takes and returns numbers, arrays and (named) tuples of them. Call a kernel with the same argument
    types (int64 and float64) every time: each new combination of types is compiled again.
    """
    return cast("Callable[Parameters, Result]", _kernel(function, {"_nrt": True}))


def in_place(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Compile a kernel that neither makes nor returns arrays, and calls none that returns any.

    Without counting references to arrays, it is compiled in less time, and passes its arrays on faster.
    """
    return cast("Callable[Parameters, Result]", _kernel(function, {"_nrt": False}))


def inlined(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Let kernels call `function`, which stays a Python function for everyone else."""
    known: Callable[Parameters, Result] = register_jitable(no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
    return known


def _kernel(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    """Return a kernel; its machine code is kept where that is possible."""
    try:
        kept = kept_code(function)
    except OSError:
        say_once()
        kept = None
    return Kernel(function, {"nogil": True, **options}, kept)
