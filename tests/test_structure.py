"""The layers of the package: who may import whom, and what a start of the command must not load."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.paths import ROOT

LAYERS = ("model", "annealing", "solver", "cli")
"""From the lowest up; each may import itself and those before it."""

HEAVY = ("ortools", "numba", "pydantic", "matplotlib", "onnx", "networkx", "bokeh", "jinja2")

MODULES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))
FRAME = sorted((ROOT / "src" / "soma_cp").glob("*.py"))  # what is above the layers; they are links in this folder


def label(path: Path) -> str:
    return str(path.relative_to(ROOT))


def layer_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


def imported_modules(path: Path) -> Iterator[str]:
    """Yield the full name of everything that a file imports, also within functions; relative ones begin with dots."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            # `from soma_cp import model` names the module in the alias.
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def imports_of(path: Path, package: str) -> bool:
    return any(name.split(".")[0] == package for name in imported_modules(path))


def test_every_layer_has_modules() -> None:
    assert {layer_of(path) for path in MODULES} == set(LAYERS)
    assert FRAME


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_imports_go_one_way(path: Path) -> None:
    allowed = LAYERS[: LAYERS.index(layer_of(path)) + 1]
    for name in imported_modules(path):
        parts = name.split(".")
        if parts[0] == "soma_cp":
            # The version is all that layers may ask of the package itself.
            assert parts[1] in allowed or name == "soma_cp.__version__", name


@pytest.mark.parametrize("path", MODULES + FRAME, ids=label)
def test_imports_are_absolute_and_begin_with_the_package(path: Path) -> None:
    for name in imported_modules(path):
        assert not name.startswith("."), f"relative import of {name}"
        assert name.split(".")[0] not in (*LAYERS, "benchmarks", "tests"), f"{name}: write soma_cp.{name}"


def test_ortools_is_known_to_the_solver_alone() -> None:
    assert [label(path) for path in MODULES + FRAME if imports_of(path, "ortools") and layer_of(path) != "solver"] == []


def test_numba_is_known_to_one_module() -> None:
    assert [label(path) for path in MODULES + FRAME if imports_of(path, "numba")] == ["model/compiled.py"]


def test_zigzag_is_known_to_one_module() -> None:
    known = [label(path) for path in MODULES + FRAME if imports_of(path, "zigzag")]
    assert known == ["model/hardware/core_array/zigzag_engine.py"]


def test_the_terminal_is_known_to_the_cli_alone() -> None:
    for package in ("typer", "rich", "click"):
        assert {layer_of(path) for path in MODULES if imports_of(path, package)} <= {"cli"}


@pytest.mark.parametrize("path", MODULES + FRAME, ids=label)
def test_a_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def loaded_after(code: str) -> set[str]:
    """Return the top-level modules that a fresh Python has loaded after `code`."""
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint('loaded:', *sys.modules)"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    return {name.split(".")[0] for name in run.stdout.rpartition("loaded:")[2].split()}


RUN_HELP = """
import runpy, sys
sys.argv = ["soma-cp", "--help"]
try:
    runpy.run_module("soma_cp", run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
"""


def test_help_loads_nothing_heavy() -> None:
    loaded = loaded_after(RUN_HELP)
    assert "typer" in loaded  # the command did run
    assert loaded.isdisjoint(HEAVY), sorted(loaded & set(HEAVY))


def test_the_package_itself_loads_nothing_heavy() -> None:
    assert loaded_after("import soma_cp").isdisjoint(HEAVY)


def test_help_of_the_module_run_as_a_program() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "soma_cp", "--help"], capture_output=True, text=True, timeout=60, encoding="utf-8"
    )
    assert run.returncode == 0, run.stderr
    assert "Usage" in run.stdout
    assert "solve" in run.stdout
