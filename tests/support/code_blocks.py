"""Code blocks of Markdown pages, and a folder in which they run as a reader would run them, offline.

A page's blocks run from top to bottom in one folder. ``bash`` runs in a shell of its own, ``python`` in one namespace.
Any block is written to a file first if the line above it ends with that file's name and a colon. Only the programs of
`STOOD_IN` do not really run: they install or check what ``.ci/run`` installs and checks. `soma-cp` runs in a fork of a
process that has loaded it (``forked.py``), with a time limit, unless the page gives one.
"""

import contextlib
import io
import os
import re
import shlex
import stat
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support import forked
from support.onnx_models import Model, gpt2_block, linear
from support.paths import ROOT

SECONDS = 20
"""Limit of searches; those of the pages end by themselves before it on an idle machine."""

STOOD_IN = ("apt-get", "docker", "mypy", "pip", "pytest", "ruff", "sphinx-build", "uv")

SHORTER = {"--count 10000": "--count 3"}
"""Runs that pages name at full length."""

FENCE = re.compile(r"^(?P<mark>`{3,})(?P<language>\S*)\n(?P<code>.*?)^(?P=mark)$", re.MULTILINE | re.DOTALL)
NAME_OF_FILE = re.compile(r"`([\w.-]+\.\w+)`:\s*$")


@dataclass(frozen=True)
class Block:
    """A fenced block; `file` is the name under which the page says it is kept."""

    line: int
    language: str
    code: str
    file: str | None


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        before = text[: match.start()]
        name = NAME_OF_FILE.search(before)
        found.append(Block(before.count("\n") + 2, match["language"], match["code"], name[1] if name else None))
    return found


STAND_IN = """#!{python}
import re, shutil, sys, tomllib
from pathlib import Path


def install(folder):
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    info = Path({site!r}, project["name"] + "-1.0.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: " + project["name"] + "\\nVersion: 1.0\\n")
    lines = []
    for group, entries in project["entry-points"].items():
        lines += ["[" + group + "]", *(name + "=" + value for name, value in entries.items())]
    (info / "entry_points.txt").write_text("\\n".join(lines))
    for module in folder.glob("*.py"):
        shutil.copy(module, info.parent)


project = tomllib.loads(Path({root!r}, "pyproject.toml").read_text())["project"]
for argument in sys.argv[1:]:
    for extras in re.findall(r"^(?:\\.|soma-cp)\\[(.*)\\]$", argument):
        unknown = set(extras.split(",")) - set(project["optional-dependencies"])
        assert not unknown, f"no extra {{unknown}}"
    if argument.startswith(("tests/", "docs/")):
        assert Path({root!r}, argument).exists(), argument
    if argument.startswith("./"):
        install(Path({root!r}, argument))
"""

SOMA_CP = """#!/bin/sh
case "$1 $*" in
    *--time-limit*) ;;
    solve\\ *|compare\\ *|gap\\ *) set -- "$@" --time-limit {seconds} ;;
esac
exec {soma_cp} "$@"
"""

PYTHON = """#!/bin/sh
case "$1 $2" in
    "-m venv") mkdir -p "$3/bin" && cp {programs}/* "$3/bin" && touch "$3/bin/activate" ;;
    *) exec {python} "$@" ;;
esac
"""


def write_program(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def write_readers_files(folder: Path) -> None:
    """Write what pages take a reader to have: ONNX models, one with a dimension to give, and a hardware file."""
    small = Model()
    small.output(linear(small, small.input("tokens", ["batch", 16, 64]), 64, 32))
    small.save(folder / "model.onnx")
    gpt2_block().save(folder / "gpt2.onnx")
    (folder / "board.yaml").write_text("version: 2\nextends: edge\n", encoding="utf-8")


@dataclass
class Reader:
    """Someone who runs the blocks of a page in a `folder`; `server` is the address of `forked.server`."""

    folder: Path
    programs: Path
    server: Path
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "page"})

    def __post_init__(self) -> None:
        """Lay out the folder and the programs."""
        self.folder.mkdir()
        self.programs.mkdir()
        for name in ("build", "docs"):
            (self.folder / name).mkdir()
        for name in ("tests", "benchmarks"):
            (self.folder / name).symlink_to(ROOT / name)
        write_readers_files(self.folder)
        self.site.mkdir()
        where = {"python": sys.executable, "root": str(ROOT), "programs": self.programs, "seconds": SECONDS}
        where |= {"site": str(self.site), "soma_cp": shlex.join(forked.command(self.server))}
        for name in STOOD_IN:
            write_program(self.programs / name, STAND_IN.format(**where))
        write_program(self.programs / "soma-cp", SOMA_CP.format(**where))
        for name in ("python", "python3"):
            write_program(self.programs / name, PYTHON.format(**where))

    @property
    def site(self) -> Path:
        """Where the reader's packages are installed."""
        return self.folder.parent / "site"

    def run(self, block: Block) -> str:
        """Run a block and return what it printed to stdout."""
        self.keep(block)
        if block.language == "bash":
            return self.run_bash(block.code)
        printed = io.StringIO()
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(printed):
            exec(compile(block.code, f"block at line {block.line}", "exec"), self.names)
        return printed.getvalue()

    def keep(self, block: Block) -> None:
        """Write a block to the file that the page names, if it names one."""
        if block.file is not None:
            (self.folder / block.file).write_text(block.code, encoding="utf-8")

    def run_bash(self, code: str) -> str:
        for long, short in SHORTER.items():
            code = code.replace(long, short)
        paths = {
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}:{self.site}",
            "COLUMNS": "100",
        }
        run = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", code],
            cwd=self.folder,
            env={**os.environ, **paths},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=600,
        )
        assert run.returncode == 0, f"{code}\n{run.stdout[-2000:]}\n{run.stderr[-2000:]}"
        return run.stdout
