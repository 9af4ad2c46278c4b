"""The store of costs on disk: several threads and processes, damage, folders that can't be written."""

import logging
import multiprocessing
import sqlite3
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest
from support.cost_filling import fill

from soma_cp.model.errors import UserError
from soma_cp.model.hardware.core_array.cost_store import CostStore, StoredCost, cache_folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "costs.sqlite3"


def test_costs_come_back_as_they_were(path: Path) -> None:
    costs = {"a": StoredCost(7, 0.1 + 0.2), "b": StoredCost(-1, 0.0, "no room"), "c": StoredCost(1 << 62, 1e300)}
    CostStore(path).put(costs.items())
    assert CostStore(path).get(["c", "a", "b", "missing"]) == costs
    assert CostStore(path).get([]) == {}


def test_more_keys_than_a_statement_takes(path: Path) -> None:
    costs = {f"{n}": StoredCost(n, float(n)) for n in range(2000)}
    store = CostStore(path)
    store.put(costs.items())
    assert store.get(list(costs)) == costs


def test_threads_and_processes_share_a_file(path: Path) -> None:
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawned) as processes, ThreadPoolExecutor(4) as threads:
        jobs = [processes.submit(fill, path, name) for name in range(2)]
        jobs += [threads.submit(fill, path, name) for name in range(2, 6)]
        for job in jobs:
            job.result()
    keys = [f"{name}.{n}" for name in range(6) for n in range(20)]
    assert sorted(CostStore(path).get(keys)) == sorted(keys)


@pytest.mark.parametrize("damage", [b"this is no database" * 100, None])
def test_a_damaged_file_is_told_and_begun_anew(
    path: Path, damage: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    store = CostStore(path)
    store.put((f"{n}", StoredCost(n, 1.0)) for n in range(2000))
    whole = path.read_bytes()
    # A sound file is overwritten after its first 4096 bytes, or the file is another one altogether.
    path.write_bytes(damage or whole[:4096] + b"\xff" * (len(whole) - 4096))
    with caplog.at_level(logging.WARNING):
        assert store.get([f"{n}" for n in range(2000)]) == {}
    assert f"cache '{path}' is damaged" in caplog.text
    store.put([("a", StoredCost(1, 2.0))])
    assert store.get(["a"]) == {"a": StoredCost(1, 2.0)}
    assert path.with_name("costs.sqlite3.damaged").exists()


def test_the_database_of_something_else_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE costs (something TEXT)")
    database.close()
    whole = path.read_bytes()
    with pytest.raises(UserError, match="can't be used: no such column: key; name another file by cache"):
        CostStore(path)
    assert path.read_bytes() == whole


def test_places_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "below", tmp_path):
        with pytest.raises(UserError, match=f"cache '{path}' can't be used: .*; name another file by cache"):
            CostStore(path)


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/her")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/her/cache")
    assert cache_folder() == Path("/var/her/cache/soma-cp")
    for ignored in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert cache_folder() == Path("/home/her/.cache/soma-cp")
