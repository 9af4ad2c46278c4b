"""ONNX models on the command line: every command that takes --net, and which sentence refuses what."""

import json
import sys
from pathlib import Path

import pytest
from support.command_line import Run, assert_refused
from support.onnx_models import Model, gpt2_block

from soma_cp.model.network.network_file import read_network_file
from soma_cp.model.network.onnx_import.importing import import_onnx
from soma_cp.model.soma.schedule_file import read_schedule


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small convolutional network whose batch has no size."""
    built = Model()
    x = built.input("x", ["batch", 4, 16, 16])
    conv = built.node("Conv", x, built.weight(8, 4, 3, 3), pads=[1, 1, 1, 1], dilations=[1, 1], name="/stem")
    dilated = built.node("Conv", conv, built.weight(8, 8, 3, 3), pads=[2, 2, 2, 2], dilations=[2, 2], name="/wide")
    built.output(built.node("Add", built.node("Relu", dilated), conv, name="/sum"))
    return built.save(tmp_path / "small.onnx")


def test_a_schedule_holds_the_imported_network_and_is_evaluated(run: Run, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "schedule.json"
    solved = run("solve", "--net", model, "--batch", 2, "--time-limit", 2, "-o", path, "--json")
    assert solved.document["latency"] > 0
    assert solved.err == (
        f"soma-cp: note: {model}: 'wide' (Conv): dilation [2, 2]: rows and columns that tiles share are counted as "
        "those of a 3×3 window\n"
    )
    network = import_onnx(model).network
    assert [layer.name for layer in network.layers] == ["stem", "wide", "sum"]
    assert read_schedule(path).plan.problem.network == network
    model.unlink()  # the schedule is all that is needed
    evaluated = run("evaluate", path, "--json")
    assert evaluated.document["latency"] == solved.document["latency"]
    assert evaluated.document["differences_to_file"] == []


def test_a_schedule_is_evaluated_with_its_model(run: Run, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "schedule.json"
    assert run("solve", "--net", model, "--time-limit", 2, "-o", path).code == 0
    assert run("evaluate", path, "--net", model).code == 0
    assert run("report", path, "--net", model, "-o", tmp_path / "tables.csv").code == 0
    assert run("compare", "--schedule", path, "--net", model, "--time-limit", 1).code == 0


def test_a_model_is_exported_as_a_network_file(run: Run, tmp_path: Path) -> None:
    model = gpt2_block(width=64, heads=4).save(tmp_path / "block.onnx")
    assert run("nets", "--export", model, "--dim", "sequence=32").code == 0
    assert read_network_file(Path("block.json")) == import_onnx(model, {"sequence": 32}).network


@pytest.mark.parametrize("command", ["compare", "gap"])
def test_notes_on_a_model_are_told_once(run: Run, model: Path, command: str) -> None:
    arguments = ("--net", model, "--batch", 1, "--batch", 2, "--time-limit", 1, "--format", "json")
    outcome = run(command, *arguments)
    assert outcome.code == 0
    assert json.loads(outcome.out)
    assert outcome.err.count("note:") == 1


def test_options_for_a_model_may_stand_beside_other_networks(run: Run, tmp_path: Path) -> None:
    path = gpt2_block(width=64, heads=4).save(tmp_path / "block.onnx")
    nets = ("--net", "tiny-chain", "--net", path, "--dim", "sequence=32")
    outcome = run("compare", *nets, "--time-limit", 1, "--json")
    assert [case["network"] for case in outcome.document["comparisons"]] == ["tiny-chain", "block"]


@pytest.mark.parametrize("command", [("solve", "--net"), ("compare", "--net"), ("gap", "--net"), ("nets", "--export")])
def test_missing_dimensions_are_told_by_every_command(run: Run, tmp_path: Path, command: tuple[str, str]) -> None:
    path = gpt2_block(width=64, heads=4).save(tmp_path / "block.onnx")
    assert_refused(run(*command, path), "input 'hidden_states' is of shape [batch, sequence, 64]", "--dim sequence=…")


def test_unsupported_nodes_are_listed_or_taken_for_element_wise(run: Run, tmp_path: Path) -> None:
    built = Model()
    x = built.node("Sigmoid", built.input("x", ["batch", 4, 16, 16]), name="before")
    for name in ("first", "second"):
        x = built.node("Fancy", x, name=name)
        built.nodes[-1].domain = "own"
    built.output(x)
    path = built.save(tmp_path / "own.onnx")
    refused = run("solve", "--net", path, "--time-limit", 1)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == (
        f"soma-cp: {path}: 'first' (own.Fancy) is an operator of the domain 'own', which is not known\n"
        f"{path}: 'second' (own.Fancy) is an operator of the domain 'own', which is not known\n"
        f"{path}: for operators without a layer, --ignore-unsupported takes element-wise ones for ptp layers, and "
        "--end NODE ends the model before others\n"
    )
    ended = run("nets", "--export", path, "--end", "before")
    assert ended.code == 0
    assert [layer.name for layer in read_network_file(Path("own.json")).layers] == ["before"]
    taken = run("solve", "--net", path, "--time-limit", 1, "--ignore-unsupported")
    assert taken.code == 0
    assert taken.err.count("taken for element-wise") == 2


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ("solve --net small.onnx --dim batch", "--dim batch (must be name=value with a whole number"),
        ("solve --net small.onnx --dim x=1 --dim x=2", "--dim x is given twice"),
        ("solve --net small.onnx --dim batch=2", "--dim batch=2: this is the batch; give it with --batch"),
        ("solve --net small.onnx --dim length=2", "no input has such a dimension (there are 'batch')"),
        ("solve --net small.onnx --seq 128", "the length in 'small.onnx' is set with --dim name=128"),
        (
            "solve --net tiny-chain --dim x=1",
            "--dim is for ONNX models, whose names end in .onnx, but 'tiny-chain' is none",
        ),
        ("solve --net tiny-chain --ignore-unsupported", "--ignore-unsupported is for ONNX models"),
        ("nets --dim x=1", "--dim is for ONNX models, whose names end in .onnx, but none is named"),
        ("solve --net missing.onnx", "missing.onnx: there is no such file"),
        ("solve --net text.onnx", "text.onnx: not an ONNX model"),
        ("solve --net empty.onnx", "empty.onnx: the model has no nodes"),
        ("solve --net damaged.onnx", "damaged.onnx: 'c' (Conv) lacks inputs: it has 1 (must have 2 at least)"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(run: Run, model: Path, arguments: str, fragment: str) -> None:
    Path("text.onnx").write_text("layers: none\n")
    Path("empty.onnx").write_bytes(b"")
    damaged = Model()
    damaged.output(damaged.node("Conv", damaged.input("x", ["batch", 4, 16, 16]), name="/c"))
    damaged.save(Path("damaged.onnx"))
    assert_refused(run(*arguments.split()), fragment)


def test_the_package_is_asked_for(run: Run, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    outcome = run("solve", "--net", model)
    assert_refused(outcome, "reading ONNX models needs the package 'onnx'", "pip install 'soma-cp[onnx]'")
