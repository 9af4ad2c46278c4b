"""The store: what it keeps, who may write, what it refuses, and what a full disk leaves."""

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from soma_cp.solver.sweep.outcome import Status
from soma_cp.solver.sweep.rows import COLUMNS
from soma_cp.solver.sweep.store import VERSION, Result, Store, StoreError, read_rows, read_schedule


def result(key: str, **values: Any) -> Result:
    row = {column.name: None for column in COLUMNS} | {"key": key, "status": "done", "message": "", "seconds": 1.5}
    return Result(row | values, '{"batch":1}', f"schedule of {key}\n" * 100)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s.db"


def test_what_is_added_is_read(path: Path) -> None:
    with Store(path) as store:
        store.add([result("aaaa1", latency_cycles=7, cost=0.1 + 0.2), result("bbbb1")])
        store.remember("mine", ["bbbb1", "none", "aaaa1"])
        assert store.statuses() == {"aaaa1": Status.DONE, "bbbb1": Status.DONE}
        assert [row["key"] for row in read_rows(path)] == ["aaaa1", "bbbb1"]  # while it is being written
    assert read_rows(path)[0] == result("aaaa1", latency_cycles=7, cost=0.1 + 0.2).row
    assert [row["key"] for row in read_rows(path, "mine")] == ["bbbb1", "aaaa1"]
    assert read_schedule(path, "BBBB") == result("bbbb1").schedule
    with pytest.raises(StoreError, match=r"no sweep is called 'other' \(stored: mine\)"):
        read_rows(path, "other")


def test_a_store_is_one_file_when_it_is_closed(path: Path) -> None:
    with Store(path) as store:
        store.add([result("aaaa1")])
    assert {one.name for one in path.parent.iterdir()} == {"s.db", "s.db.lock"}
    assert (path.parent / "s.db.lock").stat().st_size == 0


def test_a_key_must_name_one_result(path: Path) -> None:
    with Store(path) as store:
        store.add(
            [result("aaaa1"), result("aaaa2"), result("cccc", status="failed", message="died")._replace(schedule=None)]
        )
    for key, said in (
        ("aaaa", "2 results"),
        ("aaa", "0 results"),
        ("%%%%", "0 results"),
        ("cccc", "no schedule: failed: died"),
    ):
        with pytest.raises(StoreError, match=said):
            read_schedule(path, key)


def as_version_1(path: Path) -> None:
    """Give a store the form that it had before the rule of tiling numbers was a column."""
    connection = sqlite3.connect(path)
    for column in ("tiling", "uncapped"):
        connection.execute(f"ALTER TABLE results DROP COLUMN {column}")
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()


def test_a_store_of_version_1_is_read_as_it_is_and_brought_up_when_written(path: Path) -> None:
    rule = {"tiling": "output", "uncapped": False}
    old = [
        result("aaaa1", method="cocco", cost=1.5, **rule),
        result("bbbb1", method="cocco-exact", passes=2, **rule),
        result("cccc1", method="paper-2", lgs=3),
    ]
    with Store(path) as store:
        store.add(old)
        store.remember("mine", ["cccc1", "aaaa1"])
    as_version_1(path)
    before = path.read_bytes()
    assert read_rows(path) == [one.row for one in old]
    assert [row["key"] for row in read_rows(path, "mine")] == ["cccc1", "aaaa1"]
    assert path.read_bytes() == before
    new = result("dddd1", method="cocco", tiling="largest", uncapped=True, passes=1)
    with Store(path) as store:
        store.add([new])
    Store(path).close()  # brought up once
    assert read_rows(path) == [*(one.row for one in old), new.row]
    assert [type(row["uncapped"]) for row in read_rows(path)] == [bool, bool, type(None), bool]
    assert read_schedule(path, "dddd1") == new.schedule
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
    connection.close()


HOLD = """
import sys
from pathlib import Path
from soma_cp.solver.sweep.store import Store
store = Store(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def holding(path: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_writer_is_refused_with_the_name_of_the_first_until_that_is_killed(path: Path) -> None:
    process = holding(path)
    try:
        with pytest.raises(StoreError, match=f"process {process.pid} on .*, since 20.* writes it"):
            Store(path)
        assert read_rows(path) == []
    finally:
        process.kill()
        process.wait()
    with Store(path), pytest.raises(StoreError, match="writes it"):
        Store(path)


def test_a_newer_store_is_refused(path: Path) -> None:
    Store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    for use in (Store, read_rows):
        with pytest.raises(StoreError, match=f"a store of version {VERSION + 1}, .* up to {VERSION}; update soma-cp"):
            use(path)


def test_other_files_are_refused_and_left_alone(path: Path) -> None:
    path.write_text("no database, but text that is long enough to be told from one " * 20)
    before = path.read_bytes()
    for use in (Store, read_rows):
        with pytest.raises(StoreError, match="no store of soma-cp sweep"):
            use(path)
    assert path.read_bytes() == before
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE photos (name TEXT)")
    connection.close()
    for use in (Store, read_rows):
        with pytest.raises(StoreError, match="a database of another program"):
            use(path)
    with pytest.raises(StoreError, match="there is no such store"):
        read_rows(path.with_name("none.db"))
    with pytest.raises(StoreError, match="there is no folder"):
        Store(path.parent / "none" / "s.db")


def test_a_full_disk_leaves_what_was_stored_and_refuses_a_result_whole(path: Path) -> None:
    """SQLite's own limit of pages stands for the disk: it reports the same error."""
    with Store(path) as store:
        store.add([result("aaaa1")])
        store._connection.execute("PRAGMA max_page_count = 1")  # rounded up to the pages there are
        large = result("cccc1")._replace(point="x" * 50_000)
        with pytest.raises(StoreError, match="the disk is full; all results before are kept"):
            store.add([result("bbbb1"), large])
        assert set(store.statuses()) == {"aaaa1"}
    assert [row["key"] for row in read_rows(path)] == ["aaaa1"]
    with Store(path) as store:
        store.add([result("bbbb1"), large])
    assert [row["key"] for row in read_rows(path)] == ["aaaa1", "bbbb1", "cccc1"]


def test_a_writer_that_is_killed_leaves_whole_results(path: Path) -> None:
    """Two rows a transaction: whenever the writer dies, both are there or neither."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from test_store import *\n"
        "with Store(Path(sys.argv[1])) as store:\n"
        "    for number in range(100_000):\n"
        "        store.add([result(f'a{number:06}'), result(f'b{number:06}')])\n"
        "        print(number, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path), str(Path(__file__).parent)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(20)]
    process.kill()
    said += process.stdout.readlines()
    process.wait()
    reported = max(int(line) for line in said if line.endswith("\n") and line.strip())
    keys = {row["key"] for row in read_rows(path)}
    assert {key[1:] for key in keys if key[0] == "a"} == {key[1:] for key in keys if key[0] == "b"}
    assert {f"{letter}{number:06}" for letter in "ab" for number in range(reported + 1)} <= keys
    Store(path).close()
