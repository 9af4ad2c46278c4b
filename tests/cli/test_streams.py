"""Streams that are closed, full or cut off: a sentence or nothing, never an internal error; files come first."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.command_line import Run

from soma_cp.cli.tables import short_percent

FULL = Path("/dev/full")
STDOUT_IS_FULL = "soma-cp: can't write to stdout: no space left on device\n"
needs_full_device = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")

SOLVE = "solve --net tiny-chain --stage2 greedy --time-limit 5"


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command line of a POSIX shell, in which `soma_cp` is the command under test."""
    script = f'soma_cp() {{ "{sys.executable}" -m soma_cp "$@"; }}; {command}'
    return subprocess.run(
        ["sh", "-c", script], cwd=folder, capture_output=True, text=True, timeout=300, env=dict(os.environ)
    )


@needs_full_device
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", ["nets", "nets --json", "hw", "--help", "--version", "hw --export edge"])
def test_a_full_stdout_is_said_in_a_sentence(command: str, unbuffered: str, tmp_path: Path) -> None:
    ended = shell(f"PYTHONUNBUFFERED={unbuffered}; export PYTHONUNBUFFERED; soma_cp {command} >/dev/full", tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", STDOUT_IS_FULL)


@needs_full_device
def test_what_was_computed_is_in_the_file_though_stdout_is_full(tmp_path: Path) -> None:
    ended = shell(f"soma_cp {SOLVE} -o s.json >/dev/full", tmp_path)
    assert (ended.returncode, ended.stderr) == (2, STDOUT_IS_FULL)
    evaluated = shell("soma_cp evaluate s.json --json >/dev/full; soma_cp report s.json -o r.svg >/dev/full", tmp_path)
    assert (evaluated.returncode, evaluated.stderr) == (2, 2 * STDOUT_IS_FULL)
    assert (tmp_path / "r.svg").stat().st_size > 0
    assert shell("soma_cp evaluate s.json --json", tmp_path).returncode == 0


@pytest.mark.parametrize("command", ["hw", "--help", SOLVE])
@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_like_dev_null(command: str, closed: str, tmp_path: Path) -> None:
    ended = shell(f"soma_cp {command} {closed}", tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@needs_full_device
@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full"])
def test_a_stderr_that_takes_nothing_is_no_fault(stderr: str, tmp_path: Path) -> None:
    listed = shell(f"soma_cp hw --json {stderr}", tmp_path)
    assert listed.returncode == 0
    assert listed.stdout.startswith("{")
    refused = shell(f"soma_cp solve --net no-such-network {stderr}", tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")


@needs_full_device
def test_two_full_streams_leave_the_exit_code(tmp_path: Path) -> None:
    assert shell("soma_cp hw >/dev/full 2>/dev/full", tmp_path).returncode == 2


def test_files_do_not_take_the_numbers_of_closed_streams(tmp_path: Path) -> None:
    ended = shell("soma_cp hw --export edge -o edge.yaml >&- 2>&-; soma_cp hw --export edge -o other.yaml", tmp_path)
    assert ended.returncode == 0
    assert (tmp_path / "edge.yaml").read_bytes() == (tmp_path / "other.yaml").read_bytes()


@needs_full_device
@pytest.mark.parametrize("command", ["nets --export tiny-chain", "hw --export edge"])
def test_an_output_file_that_takes_nothing(run: Run, command: str) -> None:
    for output in ("/dev/full", "no/folder/file.yaml"):
        outcome = run(*command.split(), "-o", output)
        assert outcome.code == 2
        assert outcome.err.startswith(f"soma-cp: can't write '{output}': no s")
        assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0.00 %"), (0.0999, "9.99 %"), (0.09996, "10.0 %"), (0.1234, "12.3 %"), (2.5, "250.0 %")]
)
def test_shares_of_wide_tables(share: float, text: str) -> None:
    assert short_percent(share) == text
