"""Every code block of the pages: commands and Python run, files parse, shown output is what was printed."""

import json
import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from support.code_blocks import FENCE, Block, Reader, blocks_of
from support.paths import DOCS, ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
RUN = {"bash", "python"}
PARSED = {"json": json.loads, "toml": tomllib.loads, "yaml": yaml.safe_load}
SHOWN = {"text", "bibtex"}
"""Output, formulas, sketches."""


def label(page: Path) -> str:
    return str(page.relative_to(ROOT))


def words(text: str) -> list[str]:
    """The lines of a text, with single spaces, without blank ones."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def check_output(shown: Block, printed: str) -> None:
    missing = [line for line in words(shown.code) if line not in words(printed)]
    assert missing == [], f"line {shown.line} ff. of the page shows what was not printed; printed was:\n{printed}"


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_every_block_has_a_language_that_is_checked(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert {block.language for block in blocks_of(page)} <= RUN | set(PARSED) | SHOWN
    indented = re.findall(r"(?<=\n\n)    +(?![-*] ).+", FENCE.sub("", text))
    assert indented == [], "write a fenced block"


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_files_in_blocks_parse(page: Path) -> None:
    for block in blocks_of(page):
        if block.language in PARSED:
            assert PARSED[block.language](block.code)


@pytest.mark.parametrize("page", [page for page in PAGES if RUN & {b.language for b in blocks_of(page)}], ids=label)
def test_blocks_run_from_top_to_bottom(page: Path, tmp_path: Path, command_server: Path) -> None:
    reader = Reader(tmp_path / "page", tmp_path / "programs", command_server)
    for block, following in pairwise([*blocks_of(page), None]):
        assert block is not None
        if block.language not in RUN:
            reader.keep(block)
            continue
        printed = reader.run(block)
        if following is not None and following.language == "text" and is_next(page, block, following):
            check_output(following, printed)


def is_next(page: Path, block: Block, following: Block) -> bool:
    """Return whether nothing but blank lines stands between two blocks."""
    lines = page.read_text(encoding="utf-8").splitlines()
    end = block.line + block.code.count("\n")
    return not any(line.strip() for line in lines[end : following.line - 2])


# The checks themselves can fail.


def page_of(tmp_path: Path, text: str) -> Path:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    return page


def test_a_command_that_fails_is_noticed(tmp_path: Path, command_server: Path) -> None:
    page = page_of(tmp_path, "```bash\nsoma-cp nets --check no-such-model.onnx\n```\n")
    with pytest.raises(AssertionError, match="no-such-model"):
        Reader(tmp_path / "page", tmp_path / "programs", command_server).run(blocks_of(page)[0])


def test_an_extra_that_does_not_exist_is_noticed(tmp_path: Path, command_server: Path) -> None:
    page = page_of(tmp_path, "```bash\npython3 -m venv .venv && .venv/bin/pip install '.[no-extra]'\n```\n")
    with pytest.raises(AssertionError, match="no-extra"):
        Reader(tmp_path / "page", tmp_path / "programs", command_server).run(blocks_of(page)[0])


def test_output_that_was_not_printed_is_noticed(tmp_path: Path, command_server: Path) -> None:
    page = page_of(tmp_path, "Keep it in `two.py`:\n\n```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n")
    code, shown = blocks_of(page)
    assert (code.file, code.line, shown.line) == ("two.py", 4, 8)
    assert is_next(page, code, shown)
    with pytest.raises(AssertionError, match="what was not printed"):
        check_output(shown, Reader(tmp_path / "page", tmp_path / "programs", command_server).run(code))
