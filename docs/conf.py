"""The documentation site: the Markdown pages of this folder, as a code host shows them, built by sphinx.

``sphinx-build -W -n docs build/site`` builds it with warnings as errors; ``pip install -e '.[docs]'`` installs what
that takes. The lists of links in ``index.md`` are also the site's table of contents (`with_contents`), and the
docstrings of the Python API follow the text of ``api.md`` (`with_reference`), so that pages hold no markup that a code
host would show as it stands.

Extensions, few: myst_nb reads the pages and the notebook (which a test runs; the site shows its stored outputs),
autodoc and numpydoc the docstrings of the Python API, copybutton puts a button beside commands.
"""

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "src"))

import soma_cp  # noqa: E402

project = "soma-cp"
author = "soma-cp contributors"
copyright = author
release = version = soma_cp.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "numpydoc", "sphinx_copybutton"]
exclude_patterns = ["**/.ipynb_checkpoints"]
nitpicky = True
nitpick_ignore_regex = [("py:class", r"(?!soma_cp\.[A-Z]).*")]  # types within the API, which have no page of their own

source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
myst_heading_anchors = 3  # links to page.md#section work as on a code host
nb_execution_mode = "off"  # tests/docs/test_notebook.py runs it and compares what it prints
highlight_language = "text"

default_role = "code"  # what docstrings put into single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc sections say types
numpydoc_show_class_members = False  # autodoc does

html_theme = "furo"
html_title = f"soma-cp {version}"
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


def kind_of(name: str) -> str:
    """Return under which heading of the reference a name of the API stands."""
    value = getattr(soma_cp, name)
    if not isinstance(value, type):
        return "Functions"
    return "Errors" if issubclass(value, Exception) else "Classes"


def with_reference(page: str) -> str:
    """Return the page with the docstrings of all names of the API, by kind."""
    names = [name for name in soma_cp.__all__ if not name.startswith("_")]
    for kind in ("Functions", "Classes", "Errors"):
        page += f"\n## {kind}\n"
        for name in sorted((name for name in names if kind_of(name) == kind), key=str.lower):
            directive = "autofunction" if kind == "Functions" else "autoclass"
            options = "" if kind == "Functions" else "   :members:\n"
            page += f"\n### {name}\n\n```{{eval-rst}}\n.. {directive}:: soma_cp.{name}\n{options}```\n"
    return page


ADDED = {"index": with_contents, "api": with_reference}


def read_page(_: Sphinx, page: str, source: list[str]) -> None:
    """Add to a page as it is read."""
    if page in ADDED:
        source[0] = ADDED[page](source[0])


def setup(app: Sphinx) -> None:
    """Connect what this file adds to sphinx."""
    app.connect("source-read", read_page)
