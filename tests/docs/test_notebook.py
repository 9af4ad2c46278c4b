"""The notebooks of the docs run, and print what they show."""

from pathlib import Path
from typing import Any

import pytest
from support.paths import DOCS, ROOT

nbformat = pytest.importorskip("nbformat", reason="the extra docs is not installed")
nbclient = pytest.importorskip("nbclient", reason="the extra docs is not installed")

NOTEBOOKS = sorted(DOCS.rglob("*.ipynb"))


def printed(notebook: Any) -> list[str]:
    """The text that each code cell of a notebook prints."""
    cells = (cell for cell in notebook.cells if cell.cell_type == "code")
    return ["".join(output.text for output in cell.outputs if output.output_type == "stream") for cell in cells]


def pictures(notebook: Any) -> int:
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    return sum(any(kind.startswith("image/") for kind in output.get("data", ())) for output in outputs)


def test_there_is_a_notebook() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_and_prints_what_it_shows(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    stored = nbformat.read(path, as_version=4)
    run = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(run, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert printed(run) == printed(stored), "run it again and store it: jupyter nbconvert --execute --inplace"
    assert pictures(run) == pictures(stored) > 0
