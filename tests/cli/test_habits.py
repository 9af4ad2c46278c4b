"""What people expect of any command line: JSON that says what it is, steady outputs, units, logs, pipes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.command_line import Run, assert_refused
from support.execution_cases import GPT2

from soma_cp import __version__
from soma_cp.cli.json_output import TIMED, with_former_names, without_seconds
from soma_cp.cli.run_log import LOG
from soma_cp.model.soma.figures import FIGURES, OF_THE_PROBLEM

QUICK = ("--stage2", "greedy", "--time-limit", 0, "--deterministic")


# JSON


COMMANDS = {
    "solve": ("solve", "tiny-chain", *QUICK),
    "compare": ("compare", "tiny-chain", "--time-limit", 2),
    "gap": ("gap", "tiny-chain", "--time-limit", 2),
    "evaluate": ("evaluate", GPT2),
    "nets": ("nets",),
    "hw": ("hw",),
}


@pytest.mark.parametrize("result", COMMANDS)
def test_every_object_says_what_it_is(run: Run, result: str) -> None:
    document = run(*COMMANDS[result], "--json").document
    assert list(document)[:3] == ["result", "version", "tool_version"]
    assert (document["result"], document["version"], document["tool_version"]) == (result, 1, __version__)


@pytest.mark.parametrize("result", ["solve", "compare", "gap", "evaluate"])
def test_every_object_says_what_is_scheduled_on_what(run: Run, result: str) -> None:
    document = run(*COMMANDS[result], "--json").document
    found = document["ladders"][0] if result == "gap" else document
    assert [name for name in found if name in OF_THE_PROBLEM] == list(OF_THE_PROBLEM)
    assert (found["platform"], found["clock_hz"], found["gbuf_bytes"]) == ("edge", 10**9, 8 << 20)
    assert found["dram_bytes_per_second"] == 16e9


def test_the_name_of_a_platform(run: Run, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("version: 2\nname: my board\nextends: edge\ngbuf: 4MiB\n", encoding="utf-8")
    named = run("solve", "tiny-chain", *QUICK, "--json", "--hw", "own.yaml").document
    assert named["platform"] == "my board"
    changed = run("solve", "tiny-chain", *QUICK, "--json", "--buffer", "4MiB").document
    assert (changed["platform"], changed["gbuf_bytes"]) == (None, 4 << 20)
    assert (
        run("solve", "tiny-chain", *QUICK, "--json", "--hw", "edge", "--dram", "16GB/s").document["platform"] == "edge"
    )


def test_former_names_hold_what_present_ones_do(run: Run) -> None:
    document = run(*COMMANDS["evaluate"], "--json").document
    former = {row.former: row.name for row in FIGURES if row.former and row.in_json}
    assert {"latency", "edp", "bound", "gap_to_bound", "proven_lower_bound", "gap_to_proven_lower_bound"} == set(former)
    for name, present in former.items():
        assert document[name] == document[present]
    assert with_former_names({"edp": 1}) == {"edp": 1}


def test_a_file_with_former_names_alone_is_checked(run: Run, tmp_path: Path) -> None:
    assert run("solve", "tiny-chain", *QUICK, "-o", "s.json").code == 0
    document = json.loads(Path("s.json").read_text(encoding="utf-8"))
    present = {row.former: row.name for row in FIGURES if row.former and row.in_file}
    for name in (*present.values(), "proven_lower_bound_cycles"):
        del document[name]
    document["latency"] += 1
    document["proven_lower_bound"] = document["latency"] + 1
    Path("former.json").write_text(json.dumps(document), encoding="utf-8")
    found = run("evaluate", "former.json", "--json").document
    assert found["claimed_proven_lower_bound_cycles"] == document["proven_lower_bound"]
    assert [difference.split(":")[0] for difference in found["differences_to_file"]] == [
        "latency",
        "proven_lower_bound",
    ]


# The same to the byte


@pytest.mark.parametrize(
    "words",
    [
        ("solve", "tiny-branch", "--time-limit", 0, "--json", "-o", "s.json"),
        ("solve", "tiny-branch", "--time-limit", 0, "--advise", "-o", "s.json"),
        ("solve", "tiny-chain", "--time-limit", 0, "--exact", "-o", "s.json"),
        ("compare", "tiny-chain", "--time-limit", 0, "-v"),
        ("compare", "tiny-chain", "tiny-pool-fc", "--time-limit", 0, "--format", "csv"),
        ("compare", "tiny-chain", "tiny-pool-fc", "--time-limit", 0, "--format", "markdown"),
        ("gap", "tiny-chain", "--time-limit", 0),
        ("gap", "tiny-chain", "--time-limit", 0, "--format", "csv"),
        ("gap", "tiny-chain", "--time-limit", 0, "--json"),
    ],
    ids=lambda words: "-".join(map(str, words)),
)
def test_deterministic_outputs_are_the_same_to_the_byte(run: Run, words: tuple[object, ...]) -> None:
    outputs = []
    for _ in range(2):
        outcome = run(*words, "--deterministic")
        assert outcome.code == 0
        outputs.append((outcome.out, *(path.read_bytes() for path in sorted(Path().glob("*.json")))))
    assert outputs[0] == outputs[1]


def test_times_are_left_out_at_any_depth() -> None:
    document = {"seconds": 1.5, "time_limit_seconds": 60, "steps": [{"seconds": 2, "cost": 3}], "exact": None}
    assert without_seconds(document) == {
        "seconds": None,
        "time_limit_seconds": 60,
        "steps": [{"seconds": None, "cost": 3}],
        "exact": None,
    }
    assert TIMED[0] == "seconds"


# Units


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("solve", "tiny-chain", "--buffer", "8"), "--buffer=8 has no unit (must be a size such as 4MiB)"),
        (("solve", "tiny-chain", "--buffer", "8388608"), "--buffer=8388608 has no unit"),
        (
            ("gap", "tiny-chain", "--dram", "16"),
            "--dram=16 has no unit (must be a bandwidth such as 32GB/s or 32B/cycle)",
        ),
        (("compare", "tiny-chain", "--dram", " 25.6 "), "--dram= 25.6  has no unit"),
        (("nets", "--export", "tiny-chain", "--divide", "2"), "--divide=2 has no unit (must be a size such as 2MiB)"),
    ],
)
def test_a_number_without_its_unit_is_refused(run: Run, words: tuple[str, ...], said: str) -> None:
    assert_refused(run(*words), said)


# Logs


def test_a_log_says_what_a_search_does(run: Run, tmp_path: Path) -> None:
    outcome = run("solve", "tiny-branch", "--time-limit", 60, "--log-file", "run.log", "-v", "-o", "s.json")
    lines = Path("run.log").read_text(encoding="utf-8").splitlines()
    assert outcome.err.splitlines() == lines
    said = [line.split(" ", 2)[2] for line in lines]
    assert said[0] == f"soma-cp {__version__}: solve tiny-branch --time-limit 60 --log-file run.log -v -o s.json"
    assert said[1].startswith(f"Python {sys.version.split()[0]}, ortools ")
    assert any(line.startswith("tiny-branch, batch 1, on edge: ") for line in said)
    assert any(line.startswith("first stage: rounds ") for line in said)
    assert said[-2].startswith("finished: 14,568 cycles, ")
    assert said[-1] == "schedule written to s.json"
    assert LOG.handlers == []


@pytest.mark.parametrize("command", ["compare", "gap"])
def test_other_searches_log_too(run: Run, command: str) -> None:
    outcome = run(command, "tiny-chain", "tiny-wide", "--time-limit", 1, "-v", "--json")
    assert outcome.document["result"] == command
    for network in ("tiny-chain", "tiny-wide"):
        assert f" {network}, batch 1, on edge: " in outcome.err


def test_without_the_options_nothing_is_logged(run: Run) -> None:
    assert run("solve", "tiny-chain", *QUICK).err == ""


def test_an_error_is_the_last_line_of_a_log(run: Run) -> None:
    outcome = run("solve", "no-such-network", "--log-file", "run.log", "-v")
    last = Path("run.log").read_text(encoding="utf-8").splitlines()[-1]
    assert outcome.code == 2
    assert " ended by an error: no built-in network is called 'no-such-network'" in last
    assert outcome.err.count("no built-in network is called") == 1


def test_a_log_file_that_cannot_be_written_is_refused(run: Run) -> None:
    refused = run("solve", "tiny-chain", "--log-file", "no/folder/run.log")
    assert_refused(refused, "--log-file no/folder/run.log: no such file or directory; name a file in a folder that")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_log_ends_no_search(run: Run) -> None:
    outcome = run("solve", "tiny-chain", *QUICK, "--log-file", "/dev/full")
    assert outcome.code == 0
    assert outcome.err == "soma-cp: warning: the log file '/dev/full' can't be written to any more\n"


# Pipes


def shell(script: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    script = f'soma_cp() {{ "{sys.executable}" -m soma_cp "$@"; }}; {script}'
    return subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(
    "command",
    [
        "solve tiny-chain --stage2 greedy --time-limit 5 -o s.json",
        "solve tiny-chain --stage2 greedy --time-limit 5 --json -o s.json",
        "nets --json",
        "hw",
        "--help",
    ],
)
def test_a_reader_that_has_read_enough_is_no_fault(command: str, tmp_path: Path) -> None:
    script = f"soma_cp {command} | {{ read -r line; exec <&-; sleep 1; }}; echo ${{PIPESTATUS[0]}}"
    ended = shell(script, tmp_path)
    assert (ended.stdout, ended.stderr) == ("0\n", "")
    assert (tmp_path / "s.json").exists() == ("s.json" in command)
