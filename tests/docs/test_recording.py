"""The recorded session of the README, and the script that makes it."""

import importlib.util
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from types import ModuleType

import pytest
from support.paths import DOCS

SVG = "{http://www.w3.org/2000/svg}"
SESSION = DOCS / "session.svg"


def screens(path: Path) -> list[ET.Element]:
    return ET.parse(path).getroot().findall(f"{SVG}g")


def test_the_session_is_small_and_needs_nothing_from_elsewhere() -> None:
    text = SESSION.read_text(encoding="utf-8")
    assert len(text.encode()) < 300_000
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)|<script|<image|@import", text) == []


def test_the_last_screen_of_the_session_is_the_result_and_stays() -> None:
    *before, last = screens(SESSION)
    assert {screen.get("visibility") for screen in before} == {"hidden"}
    assert last.get("visibility") == "visible"
    shown = " ".join(text.text or "" for text in last.iter(f"{SVG}text"))
    assert "soma-cp solve gpt2-small" in shown
    assert "proven optimal for this LFA" in shown


@pytest.fixture(scope="module")
def recorder() -> ModuleType:
    pytest.importorskip("pyte", reason="the extra docs is not installed")
    spec = importlib.util.spec_from_file_location("record_terminal", DOCS / "record_terminal.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_a_command_is_recorded_with_what_it_prints(recorder: ModuleType, tmp_path: Path) -> None:
    code = "print('\\033[31mred\\033[0m <and> ▁█')"
    recorder.main(str(tmp_path / "session.svg"), sys.executable, "-c", code)
    last = screens(tmp_path / "session.svg")[-1]
    texts = {text.text: text.get("fill") for text in last.iter(f"{SVG}text")}
    assert texts["red"] == recorder.COLOURS["red"]
    assert texts["<and>"] == recorder.FOREGROUND
    *_, blocks = last.iter(f"{SVG}path")
    low, high = re.findall(r"v-([\d.]+)h", blocks.get("d") or "")
    assert float(high) == pytest.approx(8 * float(low), rel=0.05)
