"""Where the machine code of kernels is kept: without a folder that can be written, kernels run all the same."""

import errno
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from numba import config
from numba.core import caching

from soma_cp.model import compiled as module
from soma_cp.model.compiled import compiled

NOTE = "set NUMBA_CACHE_DIR to a folder that can be written"


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The user's temporary folder, where neither the source's folder nor the home can be written."""
    for locator in (caching.InTreeCacheLocator, caching.UserWideCacheLocator):
        monkeypatch.setattr(locator, "ensure_cache_path", refuse)
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    module._temporary_folder.cache_clear()
    module._say_once.cache_clear()
    yield tmp_path / f"soma-cp-kernels-{os.getuid()}"
    module._temporary_folder.cache_clear()
    module._say_once.cache_clear()


def refuse(*_: object) -> None:
    raise OSError(errno.EROFS, "Read-only file system")


def three_times(number: int) -> int:
    return 3 * number


def test_machine_code_goes_to_a_folder_of_the_user(temporary: Path, caplog: pytest.LogCaptureFixture) -> None:
    kernel = compiled(three_times)
    assert kernel(5) == 15
    assert temporary.stat().st_mode & 0o777 == 0o700
    assert [path.suffix for path in temporary.rglob("*.nb?")].count(".nbi") == 1
    assert config.CACHE_DIR == ""  # kernels of other packages stay where they are
    assert caplog.text == ""
    again = compiled(three_times)
    assert again(5) == 15
    assert sum(again.stats.cache_hits.values()) == 1  # type: ignore[attr-defined]


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
