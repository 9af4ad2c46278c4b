"""The decorators of all compiled kernels: numba without Python objects, machine code kept on disk.

numba itself is loaded when the first kernel is called, so that a command that calls none starts at once.
"""

import threading
from collections.abc import Callable
from functools import update_wrapper
from typing import Any, ParamSpec, TypeVar, cast

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def compiled(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Compile `function` with numba at its first call; its type stays that of the Python function.

    A kernel takes and returns numbers, arrays and (named) tuples of them. Call a kernel with the same argument
    types (int64 and float64) every time: each new combination of types is compiled again.
    """
    return cast("Callable[Parameters, Result]", _LateKernel(function, counts_references=True))


def in_place(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Compile a kernel that neither makes nor returns arrays, and calls none that returns any.

    Without counting references to arrays, it is compiled in less time, and passes its arrays on faster.
    """
    return cast("Callable[Parameters, Result]", _LateKernel(function, counts_references=False))


def inlined(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Let kernels call `function`, which stays a Python function for everyone else."""
    with _lock:
        if _waiting is None:
            _make_known(function)
        else:
            _waiting.append(function)
    return function


def calls_alike(kernel: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Return `kernel` for calls by position whose arguments all have the types of the first of these calls.

    A call of `kernel` itself looks at the type of each array that it gets, which with hundreds of them takes twice as
    long as all else of a call. What this returns looks once, so other types later give wrong results.
    """
    entry: Callable[..., Any] | None = None

    def call(*arguments: Any) -> Any:
        nonlocal entry
        if entry is None:
            made = cast("_LateKernel", kernel).kernel
            entry = made.entry_for(tuple(map(made.typeof_pyval, arguments)))
        return entry(*arguments)

    return cast("Callable[Parameters, Result]", call)


_lock = threading.RLock()

_waiting: list[Callable[..., Any]] | None = []
"""Functions that kernels may call, and that numba is not told of yet; None once it is loaded."""


def _make_known(function: Callable[..., Any]) -> None:
    from soma_cp.model.kernel_compiler import make_known

    make_known(function)


class _LateKernel:
    """A kernel that numba hears of when it is needed; calling it costs nothing more from then on.

    The slot ``__call__`` holds what Python calls: first a function that makes the kernel, then the kernel.
    """

    __slots__ = ("__call__", "__dict__", "__weakref__")

    def __init__(self, function: Callable[..., Any], counts_references: bool) -> None:
        update_wrapper(self, function)
        self._made: Any = None
        self._counts_references = counts_references
        self.__call__ = self._first_call

    @property
    def kernel(self) -> Any:
        """The kernel as numba knows it."""
        global _waiting
        if self._made is None:
            with _lock:
                from soma_cp.model.kernel_compiler import make_kernel

                if _waiting is not None:
                    waiting, _waiting = _waiting, None
                    for function in waiting:
                        _make_known(function)
                if self._made is None:
                    self._made = make_kernel(self.__wrapped__, self._counts_references)
                    self.__call__ = self._made
        return self._made

    @property
    def _numba_type_(self) -> Any:
        """What the kernel is for numba when another kernel calls it."""
        return self.kernel._numba_type_

    def _first_call(self, *arguments: Any, **named: Any) -> Any:
        return self.kernel(*arguments, **named)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # questions about what it is need no kernel
            raise AttributeError(name)
        return getattr(self.kernel, name)

    def __reduce__(self) -> str:
        return self.__qualname__  # type: ignore[no-any-return]
