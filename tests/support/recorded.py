"""Records what the commands print and write for a few problems, to guard changes that must not change results.

It records the JSON objects of ``solve``, ``compare``, ``gap`` and ``evaluate`` with ``--deterministic``, and the
schedule file that ``solve`` writes. It leaves out what differs from run to run or from machine to machine: seconds, and
versions of libraries. To record again, or to compare byte for byte::

    PYTHONPATH=tests python -m support.recorded record [FOLDER]
    PYTHONPATH=tests python -m support.recorded compare [FOLDER]
"""

import io
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from soma_cp.cli.app import app
from support.paths import DATA

FOLDER = DATA / "recorded"
TINY = (
    "tiny-chain",
    "tiny-branch",
    "tiny-attention",
    "tiny-ffn",
    "tiny-concat",
    "tiny-pool-fc",
    "tiny-wide",
    "tiny-unet",
)
NETWORKS = (*TINY, "gpt2-small", "resnet50")
CASES = (*NETWORKS, "tiny-attention-wide-space", "gpt2-small-wide-space")
"""Networks in the paper's space, and some in the wide one."""
_WIDE = "-wide-space"
COMMANDS = ("solve", "compare", "gap", "evaluate", "schedule")
UNSTEADY = frozenset({"seconds", "python", "libraries", "ortools", "tool_version"})
"""Fields that differ from run to run, or with the installed packages."""


def observe(case: str, folder: Path) -> dict[str, str]:
    """Run the commands on one of `CASES`; return the output of each command, without the fields that differ."""
    file = folder / f"{case}.json"
    space = "wide" if case.endswith(_WIDE) else "paper"
    common = ("--net", case.removesuffix(_WIDE), "--space", space, "--time-limit", "0", "--deterministic")
    texts = {
        "solve": _run("solve", *common, "--json", "-o", str(file)),
        "compare": _run("compare", *common, "--json"),
        "gap": _run("gap", *common, "--format", "json"),
        "evaluate": _run("evaluate", str(file), "--json"),
        "schedule": file.read_text(encoding="utf-8"),
    }
    return {command: _text(_steady(json.loads(text))) for command, text in texts.items()}


def recorded(case: str, command: str, folder: Path = FOLDER) -> str:
    """Return the recorded output of a command."""
    return (folder / f"{case}.{command}.json").read_text(encoding="utf-8")


def differences(expected: Any, found: Any, where: str = "") -> Iterator[str]:
    """Yield where two documents differ; floats may differ by rounding, since their sums depend on the machine."""
    if isinstance(expected, dict) and isinstance(found, dict):
        if list(expected) != list(found):
            yield f"{where}: fields {list(found)}, recorded are {list(expected)}"
            return
        for name, item in expected.items():
            yield from differences(item, found[name], f"{where}.{name}")
    elif isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            yield f"{where}: {len(found)} items, recorded are {len(expected)}"
            return
        for place, (one, other) in enumerate(zip(expected, found, strict=True)):
            yield from differences(one, other, f"{where}[{place}]")
    elif isinstance(expected, float) and isinstance(found, float):
        if abs(expected - found) > 1e-12 * abs(expected):
            yield f"{where}: {found}, recorded is {expected}"
    elif type(expected) is not type(found) or expected != found:
        yield f"{where}: {found!r}, recorded is {expected!r}"


def _run(*words: str) -> str:
    out = io.StringIO()
    with redirect_stdout(out):
        app(list(words), prog_name="soma-cp", standalone_mode=False)
    return out.getvalue()


def _steady(document: Any) -> Any:
    if isinstance(document, dict):
        return {name: _steady(item) for name, item in document.items() if name not in UNSTEADY}
    return [_steady(item) for item in document] if isinstance(document, list) else document


def _text(document: Any, depth: int = 0) -> str:
    """Return JSON with one item a line down to the third level, so that a difference is easy to see."""
    margin = "\n" + " " * (depth + 1)
    end = "\n" + " " * depth
    if depth < 3 and isinstance(document, dict) and document:
        items = (f"{json.dumps(name)}: {_text(item, depth + 1)}" for name, item in document.items())
        return f"{{{margin}{f',{margin}'.join(items)}{end}}}"
    if depth < 3 and isinstance(document, list) and any(isinstance(item, dict | list) for item in document):
        return f"[{margin}{f',{margin}'.join(_text(item, depth + 1) for item in document)}{end}]"
    return json.dumps(document, ensure_ascii=False)


def main(action: str, folder: Path = FOLDER) -> int:
    """Record, or compare byte for byte; return the number of differences."""
    folder.mkdir(parents=True, exist_ok=True)
    different = 0
    with tempfile.TemporaryDirectory() as scratch:
        for case in CASES:
            for command, text in observe(case, Path(scratch)).items():
                if action == "record":
                    (folder / f"{case}.{command}.json").write_text(text, encoding="utf-8")
                elif text != recorded(case, command, folder):
                    different += 1
                    print(f"{case} {command}: differs from what was recorded")
                    found = json.loads(text)
                    for line in list(differences(json.loads(recorded(case, command, folder)), found))[:5]:
                        print(f"  {line}")
    print(f"{len(CASES) * len(COMMANDS)} outputs, {different} different" if action == "compare" else "recorded")
    return different


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1], *map(Path, sys.argv[2:])), 1))
