"""The store of a sweep: one SQLite file with a row for each point and method.

What survives: the results of one run are one transaction, which is on the disk when `Store.add` returns
(write-ahead log, fully synchronous). If the process or the machine dies, all results before are kept, and no half of
one is; SQLite repairs the file when it is opened next. If the disk is full, a result is refused as a whole and the
store stays readable.

One process writes at a time. It holds a lock on an empty file beside the store, ``NAME.lock``, which the operating
system drops however the process ends; the store itself says who holds it. Others may read meanwhile. The file may stay:
without a process that holds it, it locks nothing. Network file systems must support locks.

`VERSION` counts the forms of the file; a store of a newer version is refused. One of an older version is read as it
is, and brought up to this one when it is next written.
"""

import os
import platform
import sqlite3
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from soma_cp.model.errors import UserError
from soma_cp.solver.sweep.outcome import Status, now
from soma_cp.solver.sweep.rows import COLUMNS, Row

VERSION = 2
APPLICATION_ID = 0x536F4D41
"""Marks a SQLite file as a store of sweeps."""
_TYPES = {str: "TEXT", int: "INTEGER", float: "REAL", bool: "INTEGER"}
_NAMES = [column.name for column in COLUMNS]
_SINCE_VERSION_2 = {
    "tiling": "CASE WHEN method IN ('cocco', 'cocco-exact') THEN 'output' END",
    "uncapped": "CASE WHEN method IN ('cocco', 'cocco-exact') THEN 0 END",
}
"""Columns that stores of version 1 lack, and what their rows have there."""
_VERDICTS = [column.name for column in COLUMNS if column.kind is bool]
_FEWEST_DIGITS = 4
_BUSY_SECONDS = 30.0


class Result(NamedTuple):
    """A result as it is stored.

    Parameters
    ----------
    row
        Values of all columns.
    point
        Canonical JSON of what decides the result, for people and other programs.
    schedule
        The schedule file; None without a schedule.
    """

    row: Row
    point: str
    schedule: str | None


class StoreError(UserError):
    """A store that can't be read or written."""


class Store:
    """A store that this process alone may write; also a context, which closes it.

    Parameters
    ----------
    path
        The file; it is made if there is none.

    Raises
    ------
    StoreError
        If another process writes it, it is no store, is of a newer version, or can't be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.resolve().parent.is_dir():
            raise StoreError(f"{path}: there is no folder '{path.resolve().parent}'; create it first")
        with _explained(path):
            self._lock = _locked(path)
            try:
                self._connection = _connected(path)
            except BaseException:
                self._lock.close()
                raise

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let others write."""
        with suppress(sqlite3.Error):  # a full disk has been reported before
            self._connection.execute("DELETE FROM holder")
        self._connection.close()
        self._lock.close()

    def statuses(self) -> dict[str, Status]:
        """Return how each stored result ended, by key."""
        return {key: Status(status) for key, status in self._connection.execute("SELECT key, status FROM results")}

    def add(self, results: Sequence[Result]) -> None:
        """Store the results of one run, all or none; results of the same keys are replaced.

        Raises
        ------
        StoreError
            If the disk is full or can't be written; what was stored before is kept.
        """
        names = (*_NAMES, "point", "schedule")
        command = f"INSERT OR REPLACE INTO results ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        values = [
            (
                *(result.row[name] for name in _NAMES),
                result.point,
                None if result.schedule is None else zlib.compress(result.schedule.encode()),
            )
            for result in results
        ]
        with _explained(self.path), _transaction(self._connection):
            self._connection.executemany(command, values)

    def remember(self, sweep: str, keys: Sequence[str]) -> None:
        """Store which results belong to the sweep of that name, in the order of its file."""
        with _explained(self.path), _transaction(self._connection):
            self._connection.execute("DELETE FROM members WHERE sweep = ?", [sweep])
            members = [(sweep, place, key) for place, key in enumerate(keys)]
            self._connection.executemany("INSERT INTO members VALUES (?, ?, ?)", members)

    def rows(self, keys: Collection[str]) -> list[Row]:
        """Return the rows of those keys that are stored, in their order."""
        return _rows(self._connection, keys)

    def schedules(self, keys: Collection[str]) -> dict[str, str]:
        """Return the schedule files of those keys that have one."""
        return _schedules(self._connection, keys)


def read_rows(path: Path, sweep: str | None = None) -> list[Row]:
    """Return the rows of a store, which may be written meanwhile.

    Parameters
    ----------
    path
        The store.
    sweep
        Only the rows of the sweep of that name, in the order of its file; by default all rows, by key.

    Raises
    ------
    StoreError
        If there is no such store or no such sweep in it, or it is of a newer version.
    """
    with _reading(path) as connection:
        if sweep is None:
            return _rows(connection, None)
        found = connection.execute("SELECT key FROM members WHERE sweep = ? ORDER BY place", [sweep]).fetchall()
        if not found:
            known = ", ".join(name for (name,) in connection.execute("SELECT DISTINCT sweep FROM members")) or "none"
            raise StoreError(f"{path}: no sweep is called '{sweep}' (stored: {known})")
        return _rows(connection, [key for (key,) in found])


def read_schedule(path: Path, key: str) -> str:
    """Return the schedule file of the result whose key begins as `key`.

    Raises
    ------
    StoreError
        If there is no such store, no or more than one such result, or if the result has no schedule.
    """
    with _reading(path) as connection:
        pattern = key.lower() + "%" if len(key) >= _FEWEST_DIGITS and key.isalnum() else ""
        found = connection.execute("SELECT key, status, message FROM results WHERE key LIKE ?", [pattern]).fetchall()
        if len(found) != 1:
            allowed = f"at least {_FEWEST_DIGITS} of its first digits, of one result alone"
            raise StoreError(f"{path}: {len(found)} results have a key like '{key}' (must be a key, or {allowed})")
        whole, status, message = found[0]
        schedules = _schedules(connection, [whole])
        if whole not in schedules:
            raise StoreError(f"{path}: the result {whole} has no schedule: {status}: {message}")
        return schedules[whole]


def _rows(connection: sqlite3.Connection, keys: Collection[str] | None) -> list[Row]:
    stored = {name for _, name, *_ in connection.execute("PRAGMA table_info(results)")}
    read = [name if name in stored else _SINCE_VERSION_2[name] for name in _NAMES]
    query = f"SELECT {', '.join(read)} FROM results"
    if keys is None:
        found = connection.execute(f"{query} ORDER BY key").fetchall()
    else:
        found = [values for key in keys for values in connection.execute(f"{query} WHERE key = ?", [key])]
    return [_row(values) for values in found]


def _row(values: Sequence[Any]) -> Row:
    row = dict(zip(_NAMES, values, strict=True))
    return row | {name: bool(row[name]) for name in _VERDICTS if row[name] is not None}  # SQLite has 0 and 1


def _schedules(connection: sqlite3.Connection, keys: Collection[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key in keys:
        query = "SELECT schedule FROM results WHERE key = ? AND schedule IS NOT NULL"
        for (data,) in connection.execute(query, [key]):
            found[key] = zlib.decompress(data).decode()
    return found


# The file


def _locked(path: Path) -> sqlite3.Connection:
    """Return a connection that holds the lock of the store until it is closed."""
    lock = sqlite3.connect(f"{path}.lock", isolation_level=None, timeout=0)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        lock.close()
        if error.sqlite_errorcode not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise
        raise StoreError(f"{path}: {_holder(path)} writes it; wait until that ends, or give another file") from None
    return lock


def _holder(path: Path) -> str:
    with suppress(StoreError, sqlite3.Error), _reading(path) as connection:
        for host, number, since in connection.execute("SELECT host, process, since FROM holder"):
            return f"process {number} on {host}, since {since}"
    return "another process"


def _connected(path: Path) -> sqlite3.Connection:
    """Return a connection to the store, which is made if there is none."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_SECONDS)
    try:
        with _transaction(connection):
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                _make(connection)
        _check_version(connection, path)
        with _transaction(connection):
            _bring_up(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        with _transaction(connection):
            connection.execute("DELETE FROM holder")
            connection.execute("INSERT INTO holder VALUES (?, ?, ?)", [platform.node(), os.getpid(), now()])
    except BaseException:
        connection.close()
        raise
    return connection


def _make(connection: sqlite3.Connection) -> None:
    columns = ", ".join(f"{column.name} {_TYPES[column.kind]}" for column in COLUMNS)
    for statement in (
        f"CREATE TABLE results ({columns}, point TEXT NOT NULL, schedule BLOB, PRIMARY KEY (key)) WITHOUT ROWID",
        "CREATE TABLE members (sweep TEXT, place INTEGER, key TEXT, PRIMARY KEY (sweep, place)) WITHOUT ROWID",
        "CREATE TABLE holder (host TEXT, process INTEGER, since TEXT)",
        f"PRAGMA application_id = {APPLICATION_ID}",
        f"PRAGMA user_version = {VERSION}",
    ):
        connection.execute(statement)


def _bring_up(connection: sqlite3.Connection) -> None:
    """Give a store of an older version the form of this one."""
    if connection.execute("PRAGMA user_version").fetchone()[0] == VERSION:
        return
    for column in COLUMNS:
        if column.name in _SINCE_VERSION_2:
            connection.execute(f"ALTER TABLE results ADD COLUMN {column.name} {_TYPES[column.kind]}")
            connection.execute(f"UPDATE results SET {column.name} = {_SINCE_VERSION_2[column.name]}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise StoreError(f"{path}: a database of another program (must be a store of soma-cp sweep, or no file yet)")
    if found > VERSION:
        raise StoreError(
            f"{path}: a store of version {found}, but this soma-cp reads versions up to {VERSION}; update soma-cp"
        )


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Do all within the block or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite itself ends the transaction if the disk is full
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection that only reads."""
    if not path.is_file():
        raise StoreError(f"{path}: there is no such store; make one with: soma-cp sweep FILE.yaml -o {path}")
    with _explained(path):
        uri = f"{path.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS)) as connection:
            _check_version(connection, path)
            yield connection


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what SQLite says into a sentence for the user."""
    try:
        yield
    except sqlite3.Error as error:
        said = _SAID.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, str(error))
        raise StoreError(f"{path}: {said}") from None


_SAID: dict[int, str] = {
    sqlite3.SQLITE_FULL: "the disk is full; all results before are kept, free space and run the same command again",
    sqlite3.SQLITE_NOTADB: "this is no store of soma-cp sweep (must be one, or no file yet)",
    sqlite3.SQLITE_CORRUPT: "the store is damaged; take a copy of it, or begin a new one",
    sqlite3.SQLITE_READONLY: "the store can't be written; choose a file and folder that can be",
    sqlite3.SQLITE_CANTOPEN: "the store can't be opened; choose a file and folder that can be read and written",
    sqlite3.SQLITE_IOERR: "the disk reports an error; all results before are kept",
}
