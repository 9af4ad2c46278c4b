"""Makes a wheel that carries compiled kernels out of the plain wheel.

    python .ci/kernel_wheel.py dist/soma_cp-0.1.0-py3-none-any.whl --outdir dist

The kernels are compiled for the generic processor of this platform, by the Python and the numba that run this script,
which needs the package's dependencies. The new wheel's tags name this Python and this platform, so pip installs it
nowhere else. With another version of numba or a changed source, kernels are compiled as if there were none
(``soma_cp.model.kernel_cache``).
"""

import argparse
import base64
import csv
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

WARM_UP = "from soma_cp.solver.warm_up import warm_up; warm_up()"
"""Compiles all kernels."""


def tag() -> str:
    """Return the wheel tag of this Python and this platform: machine code is for no other."""
    if sys.implementation.name != "cpython":
        sys.exit("kernel_wheel: kernels are compiled by numba, which needs CPython; run this script with CPython")
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    return f"{python}-{python}{sys.abiflags}-{re.sub('[-.]', '_', sysconfig.get_platform())}"


def add_kernels(root: Path, code: str = WARM_UP) -> int:
    """Compile kernels into an unpacked package.

    Parameters
    ----------
    root
        The folder that holds the package ``soma_cp``, which no kernel was compiled in.
    code
        Python code that calls the kernels.

    Returns
    -------
    int
        How many files there are.
    """
    kept = root / "soma_cp" / "kernels"
    kept.mkdir()
    generic = {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_DISABLE_INTEL_SVML": "1",  # a library of this machine
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, **generic, "PYTHONPATH": str(root), "NUMBA_CACHE_DIR": cache}
        subprocess.run([sys.executable, "-c", code], env=environment, cwd=root, check=True)
        files = sorted(Path(cache).rglob("*.nb[ci]"))
        names = {path.name for path in files}
        if not files or len(names) < len(files):
            sys.exit(
                "kernel_wheel: no kernel was compiled, or two have the same file, name and line; rename one of them"
            )
        for path in files:
            shutil.copy(path, kept)
    return len(files)


def retag(info: Path) -> None:
    """Write this platform's tag into a wheel's metadata.

    Parameters
    ----------
    info
        The folder ``.dist-info`` of the unpacked wheel.
    """
    path = info / "WHEEL"
    lines = [
        line for line in path.read_text().splitlines() if line and not line.startswith(("Tag:", "Root-Is-Purelib:"))
    ]
    path.write_text("\n".join([*lines, "Root-Is-Purelib: false", f"Tag: {tag()}", ""]))


def pack(root: Path, target: Path) -> None:
    """Write a folder as a wheel, with a new list of its files.

    Parameters
    ----------
    root
        The unpacked wheel.
    target
        The wheel to write.
    """
    record = next(root.glob("*.dist-info")) / "RECORD"
    files = sorted(path for path in root.rglob("*") if path.is_file() and path != record)
    with record.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        for path in files:
            content = path.read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            rows.writerow((path.relative_to(root).as_posix(), f"sha256={digest}", len(content)))
        rows.writerow((record.relative_to(root).as_posix(), "", ""))
    with ZipFile(target, "w", ZIP_DEFLATED) as archive:
        for path in (*files, record):
            archive.write(path, path.relative_to(root).as_posix())


def main() -> None:
    """Make the wheel and print its path."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path, help="the plain wheel")
    parser.add_argument("--outdir", type=Path, default=Path("dist"), help="folder for the new wheel")
    options = parser.parse_args()
    name, version = options.wheel.name.split("-")[:2]
    options.outdir.mkdir(parents=True, exist_ok=True)
    target = options.outdir / f"{name}-{version}-{tag()}.whl"
    with tempfile.TemporaryDirectory() as work:
        root = Path(work)
        with ZipFile(options.wheel) as archive:
            archive.extractall(root)
        count = add_kernels(root)
        retag(next(root.glob("*.dist-info")))
        pack(root, target)
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB, {count} files of kernels")


if __name__ == "__main__":
    main()
