"""The recipes of docs/api.md run, one after the other."""

import re
from pathlib import Path
from typing import Any

import pytest
from support.paths import DOCS

RECIPE = re.compile(r"^## (.+?)\n(.*?)^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_recipes_run_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    recipes = RECIPE.findall(text)
    assert len(recipes) == text.count("```python") == 12
    names: dict[str, Any] = {}
    for title, _, code in recipes:
        exec(compile(code, title, "exec"), names)
        assert capsys.readouterr().out, title
    assert names["schedule"] == names["sc"].read_schedule("mine.json", names["network"])
    assert (tmp_path / "mine.html").exists()
