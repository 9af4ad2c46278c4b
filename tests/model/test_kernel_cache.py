"""Where the machine code of kernels is kept: without a folder that can be written, kernels run all the same."""

import errno
import gc
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numba
import pytest
from numba import config
from numba.core import caching
from numba.core.registry import cpu_target
from support.paths import ROOT

from soma_cp.model import kernel_cache
from soma_cp.model.compiled import compiled
from soma_cp.model.kernel_compiler import watched

NOTE = "set NUMBA_CACHE_DIR to a folder that can be written"


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A folder for temporary files; the source's folder can't be written, and there is no home."""
    can_write = kernel_cache._can_write
    monkeypatch.setattr(kernel_cache, "_can_write", lambda folder: tmp_path in folder.parents and can_write(folder))
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    for cached in (kernel_cache._temporary_folder, kernel_cache._folder_for, kernel_cache.say_once):
        cached.cache_clear()
    yield tmp_path
    for cached in (kernel_cache._temporary_folder, kernel_cache._folder_for, kernel_cache.say_once):
        cached.cache_clear()


@pytest.fixture
def temporary(read_only: Path) -> Path:
    """The user's temporary folder for kernels."""
    return read_only / f"soma-cp-kernels-{os.getuid()}"


def homeless() -> Path:
    raise RuntimeError("Could not determine home directory.")


def refuse(*_: object) -> None:
    raise OSError(errno.EROFS, "Read-only file system")


def three_times(number: int) -> int:
    return 3 * number


def test_without_a_home_machine_code_goes_to_a_temporary_folder_of_the_user(
    temporary: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kernel = compiled(three_times)
    assert kernel(5) == 15
    assert temporary.stat().st_mode & 0o777 == 0o700
    assert [path.suffix for path in temporary.rglob("*.nb?")].count(".nbi") == 1
    assert caplog.text == ""
    again = compiled(three_times)
    assert again(5) == 15
    assert sum(again.stats.cache_hits.values()) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", "HOME"])
def test_a_user_with_a_cache_folder_keeps_machine_code_there(
    variable: str, read_only: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable == "HOME":
        monkeypatch.setattr(Path, "home", lambda: read_only / "home")
        folder = read_only / "home" / ".cache" / "soma-cp"
    else:
        monkeypatch.setenv(variable, str(read_only / "xdg"))
        folder = read_only / "xdg" / "soma-cp"
    assert compiled(three_times)(5) == 15
    assert len(list(folder.rglob("*.nbi"))) == 1
    assert len(list(read_only.rglob("*.nbi"))) == 1


def test_a_relative_cache_folder_is_not_taken(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As XDG's specification asks."""
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    assert compiled(three_times)(5) == 15
    assert len(list(temporary.rglob("*.nbi"))) == 1


@pytest.mark.parametrize("fault", ["others may write", "a link", "a file", "nowhere"])
def test_an_unsafe_folder_is_not_used(
    fault: str, temporary: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if fault == "others may write":
        temporary.mkdir()
        temporary.chmod(0o777)
    elif fault == "a link":
        (temporary.parent / "elsewhere").mkdir(mode=0o700)
        temporary.symlink_to(temporary.parent / "elsewhere")
    elif fault == "a file":
        temporary.write_bytes(b"")
    else:
        monkeypatch.setattr(tempfile, "tempdir", "/proc/none")
    with caplog.at_level(logging.WARNING):
        kernels = [compiled(three_times), compiled(three_times)]
        assert [kernel(5) for kernel in kernels] == [15, 15]
    assert len(caplog.messages) == 1
    assert NOTE in caplog.messages[0]
    assert list(temporary.parent.rglob("*.nb?")) == []


def test_a_full_disk_is_no_error(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kernel = compiled(three_times)
    monkeypatch.setattr(caching.IndexDataCacheFile, "save", refuse)
    with caplog.at_level(logging.WARNING):
        assert kernel(5) == 15
    assert len(caplog.messages) == 1
    assert NOTE in caplog.messages[0]


def test_a_file_that_is_damaged_is_compiled_again(temporary: Path) -> None:
    assert compiled(three_times)(5) == 15
    for path in temporary.rglob("*.nb?"):
        path.write_bytes(b"damaged")
    assert compiled(three_times)(5) == 15


def test_a_change_of_any_file_of_the_package_makes_machine_code_stale(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel's code holds that of the kernels that it calls, in other files."""
    assert compiled(three_times)(5) == 15
    monkeypatch.setattr(kernel_cache, "package_stamp", lambda: "other")
    kernel = compiled(three_times)
    assert kernel(5) == 15
    assert sum(kernel.stats.cache_hits.values()) == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("collects", [True, False])
def test_garbage_is_not_looked_for_while_a_kernel_is_compiled(collects: bool, temporary: Path) -> None:
    seen: list[bool] = []
    before = gc.isenabled()
    (gc.enable if collects else gc.disable)()
    try:
        with watched(lambda _: seen.append(gc.isenabled())):
            assert compiled(three_times)(5) == 15
        assert seen == [False]
        assert gc.isenabled() == collects
    finally:
        (gc.enable if before else gc.disable)()


# Machine code that comes with the package.


@pytest.fixture
def packaged(read_only: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a package's machine code, which has that of `three_times` for any processor."""
    folder = read_only / "kernels"
    monkeypatch.setattr(kernel_cache, "ANY_PROCESSOR", cpu_target.target_context.codegen().magic_tuple()[1:])
    monkeypatch.setattr(config, "CACHE_DIR", str(read_only / "built"))
    kernel_cache._folder_for.cache_clear()
    assert compiled(three_times)(5) == 15
    folder.mkdir()
    for path in (read_only / "built").rglob("*.nb?"):
        shutil.copy(path, folder)
    shutil.rmtree(read_only / "built")
    monkeypatch.setattr(config, "CACHE_DIR", "")
    kernel_cache._folder_for.cache_clear()
    monkeypatch.setattr(kernel_cache, "PACKAGED", folder)
    return folder


def hits(kernel: object) -> int:
    return sum(kernel.stats.cache_hits.values())  # type: ignore[attr-defined]


def test_machine_code_of_the_package_is_used(packaged: Path, temporary: Path) -> None:
    kernel = compiled(three_times)
    assert kernel(5) == 15
    assert hits(kernel) == 1
    assert list(temporary.rglob("*.nbc")) == []


def test_machine_code_of_the_package_is_used_where_nothing_can_be_written(
    packaged: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc/none")
    kernel = compiled(three_times)
    assert kernel(5) == 15
    assert hits(kernel) == 1
    assert caplog.text == ""


@pytest.mark.parametrize("fault", ["another processor", "damaged", "cut off", "stale", "another numba", "not wanted"])
def test_machine_code_of_the_package_that_does_not_fit_is_passed_over(
    fault: str, packaged: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if fault == "another processor":
        monkeypatch.setattr(kernel_cache, "ANY_PROCESSOR", ("other", ""))
    elif fault == "damaged":
        for path in packaged.iterdir():
            path.write_bytes(b"damaged")
    elif fault == "cut off":
        for path in packaged.glob("*.nbc"):
            path.write_bytes(path.read_bytes()[:-20])
    elif fault == "stale":
        monkeypatch.setattr(kernel_cache, "package_stamp", lambda: "other")
    elif fault == "another numba":
        monkeypatch.setattr(numba, "__version__", "0.0.1")
    else:
        monkeypatch.setenv(kernel_cache.NATIVE_VARIABLE, "1")
    kernel = compiled(three_times)
    assert kernel(5) == 15
    assert hits(kernel) == 0
    assert caplog.text == ""


# A user whom the system doesn't know.

STRANGER = 54_321
WITHOUT_RIGHTS = (
    "setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups", "--inh-caps=-all,+dac_read_search",
    "--ambient-caps=-all,+dac_read_search", "--bounding-set=-all,+dac_read_search",
)  # fmt: skip
"""May read what root may read, since Python may be installed in root's home, and write nothing."""


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become another user")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv, of util-linux")
def test_a_user_without_name_and_home_runs_a_read_only_package(tmp_path: Path) -> None:
    """As in a container that runs as a number; kernels go to a temporary folder, nothing to the current one."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == "root" and folder.is_relative_to(tempfile.gettempdir()):
            folder.chmod(folder.stat().st_mode | 0o755)
    package, temporary, here = (tmp_path / name for name in ("package", "temporary", "here"))
    shutil.copytree(ROOT / "src" / "soma_cp", package / "soma_cp", ignore=shutil.ignore_patterns("__pycache__"))
    temporary.mkdir()
    temporary.chmod(0o1777)
    here.mkdir()
    code = (
        "from soma_cp.solver.every_lfa.suffixes import undominated; import numpy as np; "
        "print(undominated(np.array([1, 2]), np.array([1, 2])).tolist())"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(package), "TMPDIR": str(temporary)}
    command = [*WITHOUT_RIGHTS, sys.executable, "-c", code]
    run = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, timeout=300)
    assert (run.returncode, run.stdout, run.stderr) == (0, "[0]\n", "")
    assert list(here.iterdir()) == []
    assert len(list((temporary / f"soma-cp-kernels-{STRANGER}").rglob("*.nbi"))) == 1
