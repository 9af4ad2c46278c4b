"""ONNX models on the command line: every command that takes --net, and which sentence refuses what."""

import json
import sys
from pathlib import Path

import pytest
from onnx import TensorProto
from support.command_line import Run, assert_refused
from support.onnx_imports import COUNTS_AS_INT8
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
    assert solved.err == f"soma-cp: note: {model}: {COUNTS_AS_INT8}\n"
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
def test_notes_on_a_model_are_told_once(run: Run, tmp_path: Path, command: str) -> None:
    built = Model()
    built.output(built.node("Sigmoid", built.input("x", [3, 4, 16, 16])))
    model = built.save(tmp_path / "samples.onnx")
    arguments = ("--net", model, "--batch", 1, "--batch", 2, "--time-limit", 1, "--format", "json")
    outcome = run(command, *arguments)
    assert outcome.code == 0
    assert json.loads(outcome.out)
    assert outcome.err.count("note:") == 2
    assert outcome.err.count(COUNTS_AS_INT8) == outcome.err.count("taken to be the batch") == 1


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
        (
            "solve --net small.onnx --dim batch=2",
            "--dim batch=2: this is the batch; give it with --batch, or say that it is none with --batch-axis x=none",
        ),
        ("solve --net small.onnx --dim length=2", "no input has such a dimension (there are 'batch')"),
        ("solve --net small.onnx --seq 128", "the length in 'small.onnx' is set with --dim name=128"),
        (
            "solve --net tiny-chain --dim x=1",
            "--dim is for ONNX models, whose names end in .onnx, but 'tiny-chain' is none",
        ),
        ("solve --net tiny-chain --ignore-unsupported", "--ignore-unsupported is for ONNX models"),
        ("nets --dim x=1", "--dim is for ONNX models, whose names end in .onnx, but none is named"),
        ("solve --net small.onnx --batch-axis x=first", "--batch-axis x=first (must be input=axis or input=none"),
        ("solve --net small.onnx --batch-axis x=4", "--batch-axis x=4: the input has 4 axes (must be from 0 to 3"),
        ("solve --net small.onnx --layout y=NHWC", "--layout y: the model has no such input (there are 'x')"),
        ("solve --net small.onnx --layout x=", "--layout x= (must be input=letters, such as image=NHWC)"),
        ("solve --net small.onnx --input x=float", "--input x=float (must be input=one of data, mask, index)"),
        ("solve --net tiny-chain --present new", "--present is for ONNX models"),
        ("solve --net tiny-chain --types model", "--types is for ONNX models"),
        ("nets --check tiny-chain", "--check tiny-chain is for ONNX models, whose names end in .onnx; leave it out"),
        ("nets --check small.onnx --export small.onnx", "--export=small.onnx with --check=small.onnx"),
        ("nets --check small.onnx -o report.md", "--output=report.md with --check, to which it does not apply"),
        ("nets --format json", "--format=json without --check MODEL.onnx, to which it applies"),
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


def test_options_of_inputs_reach_the_import(run: Run, tmp_path: Path) -> None:
    """128 rows of 64 channels times 64×32, after a multiplication by what is called a mask."""
    built = Model()
    x, mask = built.input("x", [128, 64]), built.input("mask", [128, 1])
    built.output(built.node("MatMul", built.node("Mul", x, mask, name="m"), built.weight(64, 32), name="p"))
    path = built.save(tmp_path / "rows.onnx")
    options = ("--batch-axis", "x=none", "--batch-axis", "mask=none", "--layout", "x=lc", "--input", "mask=data")
    assert run("nets", "--export", path, *options).code == 0
    network = read_network_file(Path("rows.json"))
    assert {source.name: source.shape for source in network.inputs} == {"x": (64, 128, 1), "mask": (1, 128, 1)}
    assert network.layers[-1].operations == 128 * 64 * 32


@pytest.mark.parametrize("form", ["table", "markdown", "json", "csv"])
def test_a_model_is_checked(run: Run, model: Path, form: str) -> None:
    """Two 3×3 convolutions of 16×16 pixels: 4 and 8 channels to 8."""
    outcome = run("nets", "--check", model, "--format", form)
    assert outcome.code == 0
    if form == "json":
        document = json.loads(outcome.out)
        assert document["supported"] is True
        assert document["summary"] == {
            "nodes": 4,
            "layers": 3,
            "macs": 256 * 9 * (4 * 8 + 8 * 8),
            "weight_bytes": 9 * (4 * 8 + 8 * 8),
            "loaded_bytes": 4 * 256,
            "stored_bytes": 8 * 256,
        }
        assert [node["becomes"] for node in document["nodes"]] == ["layer", "layer", "part of a layer", "layer"]
    elif form == "csv":
        assert outcome.out.splitlines()[1] == "stem,Conv,layer,stem,73728,288,"
    elif form == "markdown":
        assert "| stem | Conv | layer | 73,728 | 288 | conv stem |" in outcome.out
    else:
        assert any(line.split()[:4] == ["stem", "Conv", "layer", "73,728"] for line in outcome.out.splitlines())


def test_weights_that_nodes_share_are_stored_once(run: Run, tmp_path: Path) -> None:
    """3×3 windows of 4 channels to 4, at two resolutions: 144 weights."""
    built = Model()
    weights = built.weight(4, 4, 3, 3)
    for size in (16, 8):
        x = built.input(f"x{size}", [1, 4, size, size])
        built.output(built.node("Conv", x, weights, pads=[1, 1, 1, 1], name=f"conv{size}"))
    path = built.save(tmp_path / "heads.onnx")
    document = json.loads(run("nets", "--check", path, "--json").out)
    assert document["summary"]["weight_bytes"] == 144
    assert [layer["weights"] for node in document["nodes"] for layer in node["layers"]] == [weights, weights]
    assert run("nets", "--check", path).out.count(f"(shares weights {weights})") == 2


def test_long_names_leave_room_for_reasons(run: Run, tmp_path: Path) -> None:
    """Outside of a terminal, lines of the report are as long as they need."""
    built = Model()
    name = "/".join(["model", *(f"layers.{number}" for number in range(12)), "determinant"])
    built.output(built.node("Det", built.input("x", ["batch", 4, 16, 16]), name=name))
    lines = run("nets", "--check", built.save(tmp_path / "det.onnx")).out.splitlines()
    assert " ".join(lines[1].split()) == f"{name} Det refused is an operator that no layer stands for"


def test_a_model_that_is_refused_is_reported_all_the_same(run: Run, tmp_path: Path) -> None:
    built = Model()
    x = built.node("Conv", built.input("x", ["batch", 4, 16, 16]), built.weight(8, 4, 1, 1), name="conv")
    built.output(built.node("Det", x, name="determinant [x]"))
    path = built.save(tmp_path / "det.onnx")
    outcome = run("nets", "--check", path)
    assert outcome.code == 2
    assert "determinant [x]" in outcome.out
    assert "is an operator that no layer stands for" in " ".join(outcome.out.split())
    assert outcome.err.splitlines()[0] == f"soma-cp: {path}: refused nodes: 1 of 2"
    assert "--end conv" in outcome.err
    assert json.loads(run("nets", "--check", path, "--json").out)["supported"] is False


def test_the_package_is_asked_for(run: Run, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    outcome = run("solve", "--net", model)
    assert_refused(outcome, "reading ONNX models needs the package 'onnx'", "pip install 'soma-cp[onnx]'")


def test_weights_that_layers_share_count_once_in_a_report(run: Run, tmp_path: Path) -> None:
    """Twice 32 → 32 channels by one matrix: 32·32 weight bytes in all, as in the network."""
    built = Model()
    x, w = built.input("x", [1, 16, 32]), built.weight(32, 32)
    built.output(built.node("MatMul", built.node("Sigmoid", built.node("MatMul", x, w)), w))
    path = built.save(tmp_path / "tied.onnx")
    assert run("nets", "--check", path, "--json").document["summary"]["weight_bytes"] == 32 * 32
    assert import_onnx(path).network.weight_bytes == 32 * 32


def half_precision(folder: Path) -> Path:
    """8 tokens of 64 channels in fp16 to 16, by weights of four bits with a scale of fp16 for each 32."""
    built = Model()
    x = built.input("x", [1, 8, 64], TensorProto.FLOAT16)
    stored = [built.weight(16, 2, 16, kind=TensorProto.UINT8), built.weight(32, kind=TensorProto.FLOAT16)]
    sizes = {"K": 64, "N": 16, "bits": 4, "block_size": 32}
    built.output(built.node("MatMulNBits", x, *stored, name="p", domain="com.microsoft", **sizes))
    return built.save(folder / "half.onnx")


def test_types_are_shown_where_they_are_not_int8(run: Run, tmp_path: Path) -> None:
    """16 kernels of 64·4 + 2·16 bits are 576 bytes, inputs 2·8·64, outputs 2·8·16."""
    path = half_precision(tmp_path)
    shown = run("nets", "--check", path).out
    assert "conv p fp16, weights int4/32" in shown
    assert "64×8×1 fp16" in shown
    document = json.loads(run("nets", "--check", path, "--json").out)
    assert document["nodes"][0]["layers"] == [
        {"name": "p", "kind": "conv", "type": "fp16", "weights": "p", "weights_type": "int4/32"}
    ]
    assert document["loaded"] == [{"name": "x", "shape": [64, 8, 1], "type": "fp16", "bytes": 1024}]
    assert document["summary"]["weight_bytes"] == 576
    assert document["summary"]["stored_bytes"] == 256


def test_types_are_int8_if_it_is_said(run: Run, tmp_path: Path) -> None:
    outcome = run("nets", "--check", half_precision(tmp_path), "--types", "int8")
    assert "fp16" not in outcome.out
    assert "int4" not in outcome.out
    assert "64×8×1" in outcome.out
