"""Where the machine code of kernels is kept, so that it is compiled once for a machine.

It is looked for in the folder that NUMBA_CACHE_DIR names, else beside the source, else in the user's cache folder, else
in a temporary folder of the user: the first that can be written. Without one, every run compiles again. A package may
carry machine code for any processor of its kind (`PACKAGED`); it is used where the folder has none that fits.
With SOMA_CP_NATIVE_KERNELS=1 it is not, so that kernels are compiled for the machine's own processor; the folder then
has them, and later runs use them with or without the variable.

Machine code is thrown away when any file of the package changes that kernels can be compiled from: numba itself looks
only at the file of the kernel that Python calls, which holds those that it calls.
"""

import contextlib
import hashlib
import logging
import os
import pickle
import stat
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numba import config
from numba.core import caching

_log = logging.getLogger(__name__)

HOME = Path(__file__).absolute().parent.parent
"""The folder that holds the floors."""

FLOORS = ("model", "annealing", "solver")
"""The floors that have kernels."""

PACKAGED = HOME / "kernels"
"""Machine code that a package carries; a source package has none."""

ANY_PROCESSOR = ("generic", "")
"""Name and features of the processor that packaged machine code is compiled for."""

NATIVE_VARIABLE = "SOMA_CP_NATIVE_KERNELS"
"""The environment variable that, unless it is empty, asks for kernels for the machine's own processor."""


def kept_code(function: Callable[..., Any]) -> "KernelCache":
    """Return the store of a kernel's machine code.

    Raises
    ------
    OSError
        If there is no folder that can be written, and none comes with the package.
    """
    try:
        return KernelCache(function)
    except RuntimeError as error:  # no locator has a folder
        raise OSError(str(error)) from error


@cache
def say_once() -> None:
    """Note that machine code can't be kept."""
    _log.warning(
        "soma-cp: compiled kernels can't be kept, so every run compiles them again, up to half a minute; set "
        "NUMBA_CACHE_DIR to a folder that can be written"
    )


@cache
def package_stamp() -> str:
    """Return a hash of all files that kernels can be compiled from."""
    found = hashlib.sha256()
    for floor in FLOORS:
        for path in sorted((HOME / floor).rglob("*.py")):
            found.update(path.relative_to(HOME).as_posix().encode())
            found.update(path.read_bytes())
    return found.hexdigest()


class _Locator(caching.UserProvidedCacheLocator):  # type: ignore[misc]
    """Chooses the folder of a source file's kernels."""

    def __init__(self, function: Callable[..., Any], file: str, folder: str) -> None:
        self._py_file = file
        self._lineno = function.__code__.co_firstlineno
        self._cache_path = folder

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> "_Locator | None":
        folder = _folder_for(os.path.dirname(os.path.abspath(file)))
        return None if folder is None else cls(function, file, folder)

    def get_source_stamp(self) -> tuple[Any, str]:
        inside = Path(self._py_file).is_relative_to(HOME)
        return (None if inside else super().get_source_stamp()), package_stamp()


@cache
def _folder_for(source: str) -> str | None:
    """Return the first folder that can be written, for the kernels of a folder of sources; None if there is none."""
    name = f"{Path(source).name}_{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    if config.CACHE_DIR:
        wanted = [Path(config.CACHE_DIR) / name]
    else:
        users = _user_folder()
        wanted = [Path(source) / "__pycache__", *([users / name] if users else [])]
    for folder in wanted:
        if _can_write(folder):
            return str(folder)
    temporary = _temporary_folder()
    if temporary is not None and _can_write(temporary / name):
        return str(temporary / name)
    return str(PACKAGED) if PACKAGED.is_dir() else None


def _can_write(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def _user_folder() -> Path | None:
    """Return the folder of the user for what can be made again; None for a user who has none."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(named):
        return Path(named) / "soma-cp"
    try:
        return Path.home() / ".cache" / "soma-cp"
    except RuntimeError:  # no HOME, and the system doesn't know the user
        return None


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


class _KernelCacheImpl(caching.CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = (_Locator,)


class KernelCache(caching.FunctionCache):  # type: ignore[misc]
    """The machine code of one kernel: kept in a folder, or carried by the package."""

    _impl_class = _KernelCacheImpl

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        packaged = caching.IndexDataCacheFile(
            str(PACKAGED), self._impl.filename_base, self._impl.locator.get_source_stamp()
        )
        self._packaged = packaged if PACKAGED.is_dir() and not os.environ.get(NATIVE_VARIABLE) else None

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the machine code for these types, or None."""
        found = None
        with contextlib.suppress(Exception):  # whatever is wrong with a file, compiling helps
            found = super().load_overload(sig, target_context)
        if found is None and self._packaged is not None:
            with contextlib.suppress(Exception):
                found = self._load_packaged(self._packaged, sig, target_context)
        return found

    def _load_packaged(self, packaged: Any, sig: Any, target_context: Any) -> Any:
        types, (triple, *_), code = self._index_key(sig, target_context.codegen())
        data = packaged.load((types, (triple, *ANY_PROCESSOR), code))
        return None if data is None else self._impl.rebuild(target_context, data)

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep machine code; a disk that is full or can't be written is no error."""
        try:
            try:
                super().save_overload(sig, data)
            except pickle.UnpicklingError:  # the index is damaged
                self.flush()
                super().save_overload(sig, data)
        except OSError:
            say_once()
