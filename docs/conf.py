"""The documentation site: the Markdown pages of this folder, as a code host shows them, built by sphinx.

``sphinx-build -W -n docs build/site`` builds it with warnings as errors; ``pip install -e '.[docs]'`` installs what
that takes. The lists of links in ``index.md`` are also the site's table of contents (`with_contents`), so that the page
holds no markup that a code host would show as it stands.

Extensions, few: myst_nb reads the pages and the notebook (which a test runs; the site shows its stored outputs),
autodoc and napoleon the docstrings of the Python API, copybutton puts a button beside commands.
"""

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "src"))

from soma_cp import __version__  # noqa: E402

project = "soma-cp"
author = "soma-cp contributors"
copyright = author
release = version = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["**/.ipynb_checkpoints"]
nitpicky = True

source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
myst_heading_anchors = 3  # links to page.md#section work as on a code host
nb_execution_mode = "off"  # tests/docs/test_notebook.py runs it and compares what it prints
highlight_language = "text"

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc sections say types
napoleon_google_docstring = False

html_theme = "furo"
html_title = f"soma-cp {__version__}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False

HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
PAGE = re.compile(r"^- \[[^\]]+\]\(([\w/-]+)\.(?:md|ipynb)\)", re.MULTILINE)


def with_contents(index: str) -> str:
    """Return the front page with a table of contents for each of its lists of links, under the list's heading."""
    _, *sections = HEADING.split(index)
    contents = ""
    for heading, text in zip(sections[::2], sections[1::2], strict=True):
        if pages := PAGE.findall(text):
            contents += "\n".join(["", "```{toctree}", ":hidden:", f":caption: {heading}", "", *pages, "```", ""])
    return index + contents


def read_page(_: Sphinx, page: str, source: list[str]) -> None:
    """Add the contents to the front page as it is read."""
    if page == "index":
        source[0] = with_contents(source[0])


def setup(app: Sphinx) -> None:
    """Connect what this file adds to sphinx."""
    app.connect("source-read", read_page)
