"""The wheel that carries kernels: its tags, its list of files, and kernels that another processor's machine takes."""

import base64
import csv
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from zipfile import ZipFile

import pytest
from support.paths import ROOT

from soma_cp.model.kernel_cache import NATIVE_VARIABLE

CALL = (
    "from soma_cp.solver.every_lfa.suffixes import undominated; import numpy as np; "
    "print(undominated(np.array([1, 2]), np.array([1, 2])).tolist())"
)
"""Calls one kernel."""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script that makes the wheel."""
    spec = importlib.util.spec_from_file_location("kernel_wheel", ROOT / ".ci" / "kernel_wheel.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def built(script: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package and the machine code of one kernel, as the wheel has it."""
    folder = tmp_path_factory.mktemp("built")
    shutil.copytree(ROOT / "src" / "soma_cp", folder / "soma_cp", ignore=shutil.ignore_patterns("__pycache__"))
    script.add_kernels(folder, CALL)
    return folder


@pytest.fixture
def installed(built: Path, tmp_path: Path) -> Path:
    """The same elsewhere, its files written now: neither paths nor times are those of the build."""
    shutil.copytree(built, tmp_path / "installed", copy_function=shutil.copyfile)
    return tmp_path / "installed"


def compiled_files(installed: Path, **variables: str) -> int:
    """Call the kernel with a processor that has a name; return the number of files that were compiled."""
    cache = installed.parent / "compiled"
    processor = {"NUMBA_CPU_NAME": "x86-64-v2" if platform.machine() == "x86_64" else "", "NUMBA_CPU_FEATURES": ""}
    environment = {**os.environ, **processor, "PYTHONPATH": str(installed), "NUMBA_CACHE_DIR": str(cache), **variables}
    run = subprocess.run(
        [sys.executable, "-c", CALL], env=environment, cwd=installed, capture_output=True, text=True, timeout=300
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "[0]\n", "")
    return len(list(cache.rglob("*.nbc")))


def test_kernels_of_the_wheel_are_used_on_another_processor_in_another_folder(installed: Path) -> None:
    assert len(list((installed / "soma_cp" / "kernels").glob("*.nbc"))) == 1
    assert compiled_files(installed) == 0


@pytest.mark.parametrize("fault", ["changed source", "cut off", "damaged", "no files", "other version of numba"])
def test_kernels_that_do_not_fit_are_compiled_without_a_word(fault: str, installed: Path) -> None:
    kernels = installed / "soma_cp" / "kernels"
    if fault == "changed source":
        path = installed / "soma_cp" / "model" / "arrays.py"
        path.write_text(path.read_text() + "\n")
    elif fault == "cut off":
        for path in kernels.iterdir():
            path.write_bytes(path.read_bytes()[:-20])
    elif fault == "damaged":
        for path in kernels.iterdir():
            path.write_bytes(b"damaged")
    elif fault == "no files":
        shutil.rmtree(kernels)
    else:
        index = next(kernels.glob("*.nbi"))
        content = index.read_bytes()
        version = importlib.import_module("numba").__version__.encode()
        assert content.count(version) == 1
        index.write_bytes(content.replace(version, b"9" * len(version)))
    assert compiled_files(installed) == 1


def test_native_kernels_are_compiled_for_who_asks_and_used_from_then_on(installed: Path) -> None:
    assert compiled_files(installed, **{NATIVE_VARIABLE: "1"}) == 1
    shutil.rmtree(installed / "soma_cp" / "kernels")
    assert compiled_files(installed) == 1


def test_the_wheel_is_for_this_python_and_platform_and_lists_its_files(script: ModuleType, tmp_path: Path) -> None:
    root = tmp_path / "unpacked"
    info = root / "soma_cp-0.1.0.dist-info"
    (root / "soma_cp" / "kernels").mkdir(parents=True)
    info.mkdir()
    (root / "soma_cp" / "kernels" / "a.nbc").write_bytes(b"code")
    (info / "RECORD").write_text("soma_cp/old.py,sha256=0,0\n")
    (info / "WHEEL").write_text(
        "Wheel-Version: 1.0\nGenerator: setuptools\nRoot-Is-Purelib: true\nTag: py3-none-any\n\n"
    )
    script.retag(info)
    script.pack(root, tmp_path / "made.whl")
    python, abi, system = script.tag().split("-")
    assert python == f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert abi.startswith(python)
    assert system == sysconfig.get_platform().replace("-", "_").replace(".", "_")
    with ZipFile(tmp_path / "made.whl") as wheel:
        lines = wheel.read(f"{info.name}/WHEEL").decode().splitlines()
        assert lines == [
            "Wheel-Version: 1.0",
            "Generator: setuptools",
            "Root-Is-Purelib: false",
            f"Tag: {script.tag()}",
        ]
        rows = list(csv.reader(wheel.read(f"{info.name}/RECORD").decode().splitlines()))
        assert sorted(row[0] for row in rows) == sorted(wheel.namelist())
        for name, digest, size in rows:
            if name.endswith("/RECORD"):
                assert (digest, size) == ("", "")
                continue
            content = wheel.read(name)
            expected = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            assert (digest, size) == (f"sha256={expected}", str(len(content)))
