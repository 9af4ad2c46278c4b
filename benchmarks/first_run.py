"""CPU seconds of commands, at the first run on a machine and after it.

    python benchmarks/first_run.py [--before CHECKOUT] [--wheel WHEEL]

The columns are a checkout from before, this checkout, and an unpacked wheel (with kernels: ``.ci/kernel_wheel.py``). A
first run has an empty folder for machine code, and compiles what it needs; another run finds that there. Printed are
user and system seconds of the process, all threads, the median of `--rounds` runs that take turns between the columns;
first runs that compile are measured once. Every column runs with the packages that are installed for this Python.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

CHECKOUT = Path(__file__).parent.parent.absolute()

IMPORT = "import soma_cp"
COMMAND = "from soma_cp.cli.main import main; main()"

LIGHT = (("import soma_cp", IMPORT, ()), *((name, COMMAND, (name,)) for name in ("--version", "nets", "hw")))
"""What calls no kernel: name, Python code and its arguments."""

FILE = "gpt2-small.json"
HEAVY = (
    ("solve gpt2-small (the main job)", ("solve", "--net", "gpt2-small", "-o", FILE)),
    ("evaluate gpt2-small.json", ("evaluate", FILE)),
    ("report gpt2-small.json", ("report", FILE, "-o", "gpt2-small.html")),
)
"""What calls kernels: name and arguments. The first writes the file that the others read."""


class Column:
    """A package and the folder in which it runs.

    Parameters
    ----------
    name
        Head of the column.
    root
        The folder that holds the package ``soma_cp``.
    folder
        Where commands run.
    """

    def __init__(self, name: str, root: Path, folder: Path) -> None:
        self.name = name
        self._root = root
        self._folder = folder
        folder.mkdir()

    def cpu_seconds(self, code: str, arguments: Sequence[str], cache: str) -> float:
        """Run Python code with arguments and a folder for machine code; return its CPU seconds."""
        environment = {**os.environ, "PYTHONPATH": str(self._root), "NUMBA_CACHE_DIR": str(self._folder / cache)}
        begin = _children_seconds()
        ran = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=self._folder, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if ran.returncode:
            sys.exit(f"{self.name}: {' '.join(arguments) or code} ended with {ran.returncode}: {ran.stderr}")
        return _children_seconds() - begin


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(columns: Sequence[Column], rounds: int) -> None:
    """Print a table of CPU seconds, a row for each command."""
    print("| CPU s | | " + " | ".join(column.name for column in columns) + " |")
    print("|---|---" + "|---" * len(columns) + "|")
    for name, code, arguments in LIGHT:
        for column in columns:
            column.cpu_seconds(code, arguments, "light")  # Python's own files of compiled modules
        print_row(name, "", medians(columns, code, arguments, "light", rounds))
    for number, (name, arguments) in enumerate(HEAVY):
        cache = f"heavy{number}"
        print_row(name, "first run", [column.cpu_seconds(COMMAND, arguments, cache) for column in columns])
        print_row(name, "next run", medians(columns, COMMAND, arguments, cache, rounds))


def medians(columns: Sequence[Column], code: str, arguments: Sequence[str], cache: str, rounds: int) -> list[float]:
    """Return the median of each column; the columns take turns."""
    taken = [[column.cpu_seconds(code, arguments, cache) for column in columns] for _ in range(rounds)]
    return [statistics.median(one) for one in zip(*taken, strict=True)]


def print_row(name: str, run: str, seconds: Sequence[float]) -> None:
    print(f"| {name} | {run} | " + " | ".join(f"{one:.2f}" for one in seconds) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="a checkout to compare with")
    parser.add_argument("--wheel", type=Path, help="a wheel to compare with")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each command, but for those that compile")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        roots = {"now": CHECKOUT / "src"}
        if options.before:
            roots = {"before": options.before.absolute() / "src", **roots}
        if options.wheel:
            roots["wheel"] = Path(work) / "unpacked"
            with ZipFile(options.wheel) as archive:
                archive.extractall(roots["wheel"])
        measure([Column(name, root, Path(work) / name) for name, root in roots.items()], options.rounds)


if __name__ == "__main__":
    main()
