"""The documentation site: it builds without a warning, and its front page leads to every page."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import DOCS, ROOT

pytest.importorskip("sphinx", reason="the extra docs is not installed")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with warnings as errors, also those of names that lead nowhere."""
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "-n",
        "-q",
        "--keep-going",
        "-d",
        folder / "doctrees",
        DOCS,
        folder,
    ]
    paths = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", env={**os.environ, "PYTHONPATH": paths}, timeout=600
    )
    assert run.returncode == 0, run.stderr
    return folder


def test_every_page_is_built_and_reached_from_the_front_page(site: Path) -> None:
    pages = {page.relative_to(DOCS).with_suffix("") for kind in ("*.md", "*.ipynb") for page in DOCS.rglob(kind)}
    front = (site / "index.html").read_text(encoding="utf-8")
    contents = front.partition('class="sidebar-tree"')[2].partition("</aside>")[0]
    for page in pages - {Path("index")}:
        assert (site / page).with_suffix(".html").exists()
        assert f'href="{page.as_posix()}.html"' in contents, f"docs/index.md has no list with {page}"


def test_links_between_pages_are_links_of_the_site(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert re.findall(r'href="[^":]*\.md[#"]', page.read_text(encoding="utf-8")) == []


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert re.findall(r'(?:src|href)="(https?://[^"]*\.(?:js|css))', page.read_text(encoding="utf-8")) == []
