"""Reads and writes files: a fault is one clear sentence, and no file is ever left half-written."""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from soma_cp.model.errors import UserError


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Parameters
    ----------
    path
        A UTF-8 text file, with or without a byte order mark.

    Raises
    ------
    UserError
        If the file does not exist, can't be read, or is not JSON; the message names file and place.
    """
    text = read_text(path)
    if not text.strip():
        raise UserError(f"{path}: the file is empty; it must hold one JSON object")
    try:
        return json.loads(text, object_pairs_hook=_object_of_pairs)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        ending = "" if path.suffix.lower() == ".json" else " (a YAML file must be called .yaml or .yml)"
        raise UserError(f"{path}: {place}: not valid JSON: {error.msg}{ending}") from None
    except _RepeatedFieldError as error:
        raise UserError(f"{path}: {error}") from None
    except RecursionError:
        raise UserError(f"{path}: not usable JSON: lists or objects are nested too deeply") from None
    except ValueError:  # Python limits whole numbers to a few thousand digits
        raise UserError(f"{path}: not usable JSON: a number has thousands of digits") from None


def write_text_atomically(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, as `write_bytes_atomically` does."""
    write_bytes_atomically(path, text.encode())


def write_bytes_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path`: readers see the old file or the whole new one, never a part.

    The data go to a temporary file in the same folder, which is then renamed. A path that is not a regular file,
    such as ``/dev/stdout``, is written to directly.

    Raises
    ------
    UserError
        If the folder is missing or can't be written, or `path` is a folder.
    """
    try:
        if path.is_dir():
            raise UserError(f"can't write '{path}': it is a folder; give the name of a file")
        if path.exists() and not path.is_file():
            path.write_bytes(data)
        else:
            _replace_file(path.resolve(), data)  # resolved: a link stays a link, now to the new data
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"can't write '{path}': {reason}; choose a folder that can be written") from None


def _replace_file(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as stream:
            stream.write(data)
        if path.exists():
            temporary.chmod(path.stat().st_mode & 0o7777)
        os.replace(temporary, path)
    except BaseException:  # an interrupt must not leave the temporary file either
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what the operating system says when the file can't be read into a sentence for the user.

    Raises
    ------
    UserError
        If the file does not exist or can't be read.
    """
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: this is a folder; give the name of a file") from None
    except OSError as error:
        raise UserError(f"{path}: the file can't be read: {(error.strerror or str(error)).lower()}") from None


def read_text(path: Path) -> str:
    """Read a UTF-8 text file, with or without a byte order mark.

    Raises
    ------
    UserError
        If the file does not exist, can't be read, or is not UTF-8.
    """
    with reading(path):
        data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}: line {line}: not UTF-8 text (byte 0x{data[error.start]:02x}); save the file as UTF-8"
        ) from None


class _RepeatedFieldError(Exception):
    """An object that gives one field twice."""


def _object_of_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object, and refuse a repeated field: JSON would silently keep the last value."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        owner = f"the object named {fields['name']!r}" if "name" in fields else "one object"
        raise _RepeatedFieldError(f"the field '{repeated}' is given twice in {owner}; keep one")
    return fields
