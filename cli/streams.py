"""The standard streams: closed ones are like ``/dev/null``; a full stdout is a user error, a full stderr is none."""

import errno
import io
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

from soma_cp.model.errors import UserError


class StdoutError(UserError):
    """What a command prints can't be written."""


def prepare_streams() -> None:
    """Prepare stdin, stdout and stderr of this process; streams that tests put there stay as they are."""
    for number in range(3):
        if _is_closed(number):  # a file that is opened later would take its number
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    sys.stdout = _prepared(sys.stdout, 1, _Stdout)
    sys.stderr = _prepared(sys.stderr, 2, _Stderr)


class ReaderGoneError(Exception):
    """Nobody reads stdout any more, as after ``| head -1``: no fault of the command."""


class _Stdout(io.FileIO):
    """Says in a sentence that it can't write, and that nobody reads any more."""

    def write(self, data: Any) -> int | None:  # type: ignore[override]  # None: would block
        try:
            return super().write(data)
        except BrokenPipeError as error:
            raise ReaderGoneError from error
        except OSError as error:
            said = os.strerror(error.errno) if error.errno is not None else str(error)
            raise StdoutError(f"can't write to stdout: {said[:1].lower()}{said[1:]}") from error


class _Stderr(io.FileIO):
    """Drops what it can't write: notes and progress are no reason to end a search."""

    def write(self, data: Any) -> int | None:  # type: ignore[override]  # None: would block
        try:
            return super().write(data)
        except OSError:
            return len(data)


def _is_closed(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError as error:
        return error.errno == errno.EBADF
    return False


def _prepared(stream: TextIO | None, number: int, kind: Callable[..., io.FileIO]) -> TextIO:
    """Return a text stream of that kind which is otherwise like `stream`, the interpreter's own."""
    if stream is not None and not (isinstance(stream, io.TextIOWrapper) and _number_of(stream) == number):
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(kind(number, "w", closefd=False)),
        encoding="utf-8" if stream is None else stream.encoding,
        errors="backslashreplace" if stream is None else stream.errors,
        line_buffering=number == 2 or (stream is not None and stream.line_buffering),
        write_through=stream is not None and stream.write_through,
    )


def _number_of(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None
