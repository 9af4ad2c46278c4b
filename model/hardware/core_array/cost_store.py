"""Keeps the costs of tiles that take long to price in one SQLite file between runs.

Several processes and threads may use a file at the same time: each call opens it, and SQLite locks it. A damaged file
is renamed and replaced by an empty one.
"""

import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, TypeVar

from soma_cp.model.errors import UserError

LOCK_SECONDS = 60
KEYS_AT_ONCE = 500
"""Below SQLite's limit on the parameters of a statement."""
_SELECT = "SELECT key, cycles, energy_pj, reason FROM costs"
_CREATE = "CREATE TABLE IF NOT EXISTS costs (key TEXT PRIMARY KEY, cycles INTEGER, energy_pj REAL, reason TEXT)"

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")


class StoredCost(NamedTuple):
    """The cost of a tile.

    Parameters
    ----------
    cycles
        Cycles; −1 if the tile can't run.
    energy_pj
        Energy (pJ).
    reason
        Why the tile can't run; empty if it can.
    """

    cycles: int
    energy_pj: float
    reason: str = ""


def cache_folder() -> Path:
    """Return the folder for disposable files: ``$XDG_CACHE_HOME/soma-cp``, else ``~/.cache/soma-cp``.

    Raises
    ------
    UserError
        If the user has no home folder.
    """
    given = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(given):  # by convention, relative paths are ignored
        return Path(given) / "soma-cp"
    try:
        return Path.home() / ".cache" / "soma-cp"
    except RuntimeError:
        raise UserError(
            "there is no home folder to keep a cache in; set XDG_CACHE_HOME, or cache in the hardware file"
        ) from None


class CostStore:
    """The costs in one file, by key.

    Parameters
    ----------
    path
        The path of the file; the file and its folders are made if they do not exist.

    Raises
    ------
    UserError
        If the file can't be made, read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from None
        self._use(lambda database: database.execute(f"{_SELECT} LIMIT 0"))  # fails now if the file can't be used

    def get(self, keys: Sequence[str]) -> dict[str, StoredCost]:
        """Return the costs that are stored for `keys`."""

        def read(database: sqlite3.Connection) -> dict[str, StoredCost]:
            found = {}
            for first in range(0, len(keys), KEYS_AT_ONCE):
                some = keys[first : first + KEYS_AT_ONCE]
                marks = ",".join("?" * len(some))
                rows = database.execute(f"{_SELECT} WHERE key IN ({marks})", some)
                found.update({key: StoredCost(cycles, energy, reason) for key, cycles, energy, reason in rows})
            return found

        return self._use(read)

    def put(self, costs: Iterable[tuple[str, StoredCost]]) -> None:
        """Store costs."""
        rows = [(key, *cost) for key, cost in costs]
        self._use(lambda database: database.executemany("INSERT OR REPLACE INTO costs VALUES (?, ?, ?, ?)", rows))

    def _use(self, work: Callable[[sqlite3.Connection], _Answer]) -> _Answer:
        try:
            return self._once(work)
        except sqlite3.OperationalError as error:  # no permission, disk full, another table, locked for a minute
            raise self._unusable(error) from None
        except sqlite3.DatabaseError as error:
            self._put_aside(error)
        except OSError as error:
            raise self._unusable(error) from None
        try:
            return self._once(work)
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from None

    def _once(self, work: Callable[[sqlite3.Connection], _Answer]) -> _Answer:
        with closing(sqlite3.connect(self.path, timeout=LOCK_SECONDS)) as database, database:
            database.execute(_CREATE)
            return work(database)

    def _put_aside(self, error: sqlite3.DatabaseError) -> None:
        aside = self.path.with_name(f"{self.path.name}.damaged")
        try:
            os.replace(self.path, aside)
        except FileNotFoundError:  # another process has renamed it already
            return
        except OSError as failure:
            raise self._unusable(failure) from None
        _log.warning("cache '%s' is damaged (%s): renamed to '%s', and replaced by a new one", self.path, error, aside)

    def _unusable(self, error: Exception) -> UserError:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        return UserError(
            f"cache '{self.path}' can't be used: {reason.lower()}; name another file by cache in the hardware file"
        )
