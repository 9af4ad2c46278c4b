"""The decorators of all compiled kernels: numba without Python objects, machine code kept on disk.

numba keeps it beside the source, else under the home folder. Where neither can be written, it is kept in a temporary
folder of the user; without one that is safe, every run compiles again.
"""

import logging
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from numba import config, njit
from numba.extending import register_jitable

_log = logging.getLogger(__name__)

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def compiled(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Compile `function` with numba at its first call; its type stays that of the Python function.

    A kernel takes and returns numbers, arrays and (named) tuples of them. Call a kernel with the same argument
    types (int64 and float64) every time: each new combination of types is compiled again.
    """
    return cast("Callable[Parameters, Result]", _with_kept_code(function))


def inlined(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Let kernels call `function`, which stays a Python function for everyone else."""
    known: Callable[Parameters, Result] = register_jitable(function)
    return known


def _with_kept_code(function: Callable[..., Any]) -> Any:
    """Return the dispatcher of a kernel; its machine code is kept where that is possible."""
    try:
        return _forgiving(njit(cache=True, nogil=True)(function))
    except RuntimeError:  # numba finds no folder that it can write
        folder = _temporary_folder()
    if folder is not None:
        try:
            with _kept_in(folder):
                return _forgiving(njit(cache=True, nogil=True)(function))
        except RuntimeError:
            pass
    _say_once()
    return njit(nogil=True)(function)


def _forgiving(dispatcher: Any) -> Any:
    """Let a disk that is full when machine code is to be kept be no error."""
    kept = dispatcher._cache
    save = kept.save_overload

    def save_if_possible(*arguments: Any) -> None:
        try:
            save(*arguments)
        except OSError:
            _say_once()

    kept.save_overload = save_if_possible
    return dispatcher


@cache
def _temporary_folder() -> Path | None:
    """Return a folder that nobody else can write: numba unpickles what it finds there; None if there is none."""
    try:
        user = os.getuid() if hasattr(os, "getuid") else os.getpid()
        folder = Path(tempfile.gettempdir()) / f"soma-cp-kernels-{user}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    others = stat.S_IRWXG | stat.S_IRWXO
    safe = stat.S_ISDIR(found.st_mode) and not (hasattr(os, "getuid") and found.st_uid != user)
    return folder if safe and (os.name != "posix" or not found.st_mode & others) else None


@contextmanager
def _kept_in(folder: Path) -> Iterator[None]:
    """Within the block, new kernels keep their machine code in `folder`; kernels of other packages are left alone."""
    settings = vars(config)
    before = settings["CACHE_DIR"]
    settings["CACHE_DIR"] = str(folder)
    try:
        yield
    finally:
        settings["CACHE_DIR"] = before


@cache
def _say_once() -> None:
    _log.warning(
        "soma-cp: compiled kernels can't be kept, so every run compiles them again, up to a minute; set "
        "NUMBA_CACHE_DIR to a folder that can be written"
    )
