"""What `import soma_cp` offers: its names, loaded on first use, each documented by examples that run."""

import ast
import doctest
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import ROOT

import soma_cp as sc

MODULES = sorted(path.stem for path in (ROOT / "api").glob("*.py") if path.stem != "__init__")
NAMES = [name for name in sc.__all__ if name != "__version__"]


def test_the_names_are_those_that_are_listed() -> None:
    assert dir(sc) == sorted(sc.__all__)
    assert len(set(sc.__all__)) == len(sc.__all__)


def test_a_type_checker_sees_the_names_that_are_loaded_on_first_use() -> None:
    body = ast.parse(Path(str(sc.__file__)).read_text(encoding="utf-8")).body
    block = next(node for node in body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    assert {(node.module, alias.name) for node in imports for alias in node.names} == {
        (module, name) for name, module in sc._MODULE.items()
    }
    assert set(sc._MODULE) == set(NAMES)


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'soma_cp' has no attribute 'slove'"):
        sc.slove  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_documented(name: str) -> None:
    value = getattr(sc, name)
    assert (inspect.getdoc(value) or "").split(".")[0]
    if inspect.isfunction(value):
        documented = inspect.getdoc(value) or ""
        assert "Examples\n--------" in documented or name == "read_schedule"
        for parameter in inspect.signature(value).parameters:
            assert parameter in documented, parameter


@pytest.mark.parametrize("module", MODULES)
def test_examples_of_docstrings_run(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = doctest.testmod(importlib.import_module(f"soma_cp.api.{module}"), optionflags=doctest.ELLIPSIS)
    assert outcome.failed == 0


def cpu_seconds(code: str) -> float:
    """Return the CPU time of `code` in a fresh Python."""
    timed = f"import time\nbegin = time.process_time()\n{code}\nprint(time.process_time() - begin)"
    run = subprocess.run([sys.executable, "-c", timed], capture_output=True, text=True, timeout=60, check=True)
    return float(run.stdout)


def test_the_import_takes_little_of_the_processor() -> None:
    """Seconds of the processor, not of the clock; the least of three, as files are read from disk at first."""
    assert min(cpu_seconds("import soma_cp") for _ in range(3)) <= 0.3


LOADED = """
import sys
import soma_cp as sc
sc.load_network("resnet50"), sc.load_hardware("edge", buffer="4MiB"), sc.Cancel(), sc.make_lfa(["a"])
sc.NetworkBuilder("mine").input("image", (3, 8, 8))
print({name for name in ("ortools", "numba", "rich", "typer", "matplotlib", "onnx") if name in sys.modules})
"""


def test_networks_and_hardware_need_no_solver() -> None:
    run = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, timeout=60)
    assert (run.stdout, run.stderr) == ("set()\n", "")


def test_users_types_are_checked(tmp_path: Path) -> None:
    """mypy, as strict as for the package and with what it remembers of that, finds the mistake of a user's program."""
    pytest.importorskip("mypy", reason="the extra dev is not installed")
    program = tmp_path / "program.py"
    program.write_text(
        "import soma_cp as sc\n"
        "result: sc.Result = sc.solve('tiny-chain', time_limit=1, on_progress=lambda event: print(event.stage))\n"
        "cycles: int = result.schedule.latency_cycles\n"
        "wrong: str = result.bounds.latency_cycles\n",
        encoding="utf-8",
    )
    run = subprocess.run([sys.executable, "-m", "mypy", program], capture_output=True, text=True, timeout=600, cwd=ROOT)
    # mypy may name the folder of an earlier run, in which it checked the same program.
    places = re.findall(r"^.*/program\.py:(\d+): error", run.stdout, re.MULTILINE)
    assert places == ["4"], run.stdout
