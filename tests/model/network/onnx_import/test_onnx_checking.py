"""The report on a model says of every node what it becomes."""

from pathlib import Path

import pytest
from onnx import TensorProto
from support.onnx_corpus.cases import CASES
from support.onnx_models import Model, bert_layer, gpt2_block, gpt2_decode_block

from soma_cp.model.network.onnx_import.checking import Becomes, ModelReport, check_onnx
from soma_cp.model.network.onnx_import.importing import import_with
from soma_cp.model.network.onnx_import.options import OnnxOptions, Role


def checked(model: Model, folder: Path, options: OnnxOptions | None = None) -> ModelReport:
    return check_onnx(model.save(folder / "net.onnx"), options or OnnxOptions())


def becomes(report: ModelReport) -> dict[str, Becomes]:
    return {node.name: node.becomes for node in report.nodes}


def small() -> tuple[Model, str]:
    """Of an 8×16×16 image: a convolution to 4 channels, ReLU, other axes; a mask; a constant; an unread node."""
    model = Model()
    x = model.input("x", ["batch", 8, 16, 16])
    ids = model.input("ids", ["batch", 16], TensorProto.INT64)
    conv = model.node("Conv", x, model.weight(4, 8, 3, 3), pads=[1, 1, 1, 1], name="conv")
    part = model.node("Relu", conv, name="relu")
    gelu = model.node("Mul", part, model.node("Sigmoid", part, name="sigmoid"), name="swish")
    view = model.node("Transpose", gelu, perm=[0, 2, 3, 1], name="view")
    mask = model.node(
        "Greater", model.node("Cast", ids, to=TensorProto.FLOAT, name="cast"), model.scalar(0.0), name="mask"
    )
    target = model.node("Add", model.constant([0]), model.constant([1]), name="fixed")
    model.node("Softmax", x, name="unread")
    shaped = model.node("Unsqueeze", mask, target, name="shaped")
    model.output(shaped)
    return model, view


def test_every_node_becomes_something(tmp_path: Path) -> None:
    model, last = small()
    model.output(model.node("MatMul", last, model.weight(4, 6), name="project"))
    report = checked(model, tmp_path)
    assert becomes(report) == {
        "conv": Becomes.LAYER,
        "relu": Becomes.PART,
        "sigmoid": Becomes.PART,
        "swish": Becomes.LAYER,
        "view": Becomes.VIEW,
        "cast": Becomes.SIDE,
        "mask": Becomes.SIDE,
        "fixed": Becomes.CONSTANT,
        "unread": Becomes.LEFT_OUT,
        "shaped": Becomes.SIDE,
        "project": Becomes.LAYER,
    }
    figures = {node.name: (node.macs, node.weight_bytes) for node in report.nodes if node.macs}
    assert figures == {"conv": (256 * 4 * 72, 288), "project": (256 * 24, 24)}
    assert [(source.name, source.role, source.batch_axis) for source in report.inputs] == [
        ("x", Role.DATA, 0),
        ("ids", Role.INDEX, 0),
    ]
    assert [(made.name, made.size) for made in report.loaded] == [("x", 2048)]
    assert [(made.name, made.size) for made in report.stored] == [("project", 6 * 256)]
    assert report.operators["Greater"] == {Becomes.SIDE: 1}
    assert (report.problems, report.advice) == ((), "")


def test_refused_nodes_and_those_after_them(tmp_path: Path) -> None:
    model, last = small()
    values, _ = model.node("TopK", last, model.constant([3]), name="top", outputs=2)
    model.output(model.node("Tanh", values, name="after"))
    report = checked(model, tmp_path)
    assert report.network is None
    found = {node.name: (node.becomes, node.reason) for node in report.nodes}
    assert found["top"] == (Becomes.REFUSED, "is an operator that no layer stands for")
    assert found["after"] == (Becomes.NOT_REACHED, "depends on what is refused")
    assert found["conv"][0] is Becomes.LAYER
    assert report.problems == ()
    assert report.advice == "ends that work, with what comes before them: --end swish"  # no ptp has two results


@pytest.mark.parametrize(
    ("operator", "operands", "outputs"), [("NonMaxSuppression", 2, 1), ("TopK", 1, 2), ("Det", 1, 1)]
)
def test_only_what_may_be_element_wise_is_advised_to_be_ignored(
    operator: str, operands: int, outputs: int, tmp_path: Path
) -> None:
    """What reads two computed tensors, or makes two, can't be one ptp layer."""
    model, last = small()
    made = model.node(operator, *[last] * operands, model.constant([3]), name="last", outputs=outputs)
    model.output(made if outputs == 1 else made[0])
    advice = checked(model, tmp_path).advice
    assert ("--ignore-unsupported" in advice) == (operator == "Det")
    assert advice.endswith("ends that work, with what comes before them: --end swish")


def test_weights_of_the_steps_of_one_node_count_once(tmp_path: Path) -> None:
    """5 steps of 4 gates, each with 64·32 weights of the input and 64·64 of the state, which all steps share."""
    model = Model()
    x = model.input("x", [5, 1, 32])
    model.output(model.node("LSTM", x, model.weight(1, 256, 32), model.weight(1, 256, 64), hidden_size=64, name="l"))
    (node,) = [node for node in checked(model, tmp_path).nodes if node.operator == "LSTM"]
    assert node.weight_bytes == 4 * (64 * 32 + 64 * 64)
    assert node.macs == 5 * node.weight_bytes


def test_inputs_are_told_as_they_are_read(tmp_path: Path) -> None:
    """A bias of all heads is a mask; data in one more place, it is loaded."""
    for also_data in (False, True):
        model = Model()
        bias = model.input("bias", [1, 1, 16, 16])
        scores = model.node("Add", model.input("scores", [1, 4, 16, 16]), bias)
        model.output(model.node("Softmax", scores, name="softmax"))
        if also_data:
            model.output(model.node("Conv", bias, model.weight(4, 1, 3, 3), name="conv"))
        report = checked(model, tmp_path)
        roles = {source.name: source.role for source in report.inputs}
        assert roles == {"scores": Role.DATA, "bias": Role.DATA if also_data else Role.MASK}
        assert ("bias" in {made.name for made in report.loaded}) == also_data


def test_faults_of_the_model_are_no_faults_of_a_node(tmp_path: Path) -> None:
    model = Model()
    x = model.input("x", ["batch", "rows", 64])
    model.output(model.node("MatMul", x, model.weight(64, 3), name="p"))
    report = checked(model, tmp_path)
    assert report.problems == ("input 'x' is of shape [batch, rows, 64]; give a number for each name: --dim rows=…",)
    assert becomes(report) == {"p": Becomes.NOT_REACHED}
    assert report.inputs[0].shape == ("batch", "rows", 64)
    assert becomes(checked(model, tmp_path, OnnxOptions(dims={"rows": 5}))) == {"p": Becomes.LAYER}


@pytest.mark.parametrize(
    "model", [gpt2_block(64), gpt2_block(64, decomposed=False), gpt2_decode_block(64), bert_layer(64)]
)
def test_the_layers_of_all_nodes_are_those_of_the_network(model: Model, tmp_path: Path) -> None:
    """Each layer belongs to one node, and nothing is left out."""
    report = checked(model, tmp_path)
    assert Becomes.LEFT_OUT not in becomes(report).values()
    check_layers(report, tmp_path)


@pytest.mark.parametrize("name", ["swin", "mobilevit", "llama-decode"])
def test_layers_that_are_merged_belong_to_one_node(name: str, tmp_path: Path) -> None:
    """In windows and patches, the order of elements after a projection is made before it."""
    case = CASES[name]
    (tmp_path / "net.onnx").write_bytes(case.build().model().SerializeToString())
    options = OnnxOptions(dims=case.extents, ends=case.ends)
    check_layers(check_onnx(tmp_path / "net.onnx", options), tmp_path, options)


def test_layers_that_arrange_an_output_belong_to_its_node(tmp_path: Path) -> None:
    """80 boxes of two levels: 4 of their 22 values are an output as they are, so a layer takes them from the rest."""
    model = Model()
    x = model.input("x", [1, 8, 16, 16])
    levels = []
    for stride, boxes in ((2, 64), (4, 16)):
        made = model.node("Conv", x, model.weight(22, 8, 1, 1), strides=[stride, stride])
        levels.append(model.node("Reshape", made, model.constant([1, 22, boxes])))
    both = model.node("Concat", *levels, axis=2, name="join")
    box, kinds = model.node("Split", both, model.constant([4, 18]), axis=1, name="divide", outputs=2)
    model.output(box)
    model.output(model.node("Sigmoid", kinds))
    report = checked(model, tmp_path)
    assert becomes(report)["divide"] is Becomes.LAYER
    check_layers(report, tmp_path)


def check_layers(report: ModelReport, folder: Path, options: OnnxOptions | None = None) -> None:
    network = import_with(folder / "net.onnx", options or OnnxOptions()).network
    made = [layer for node in report.nodes for layer in node.layers]
    assert sorted(layer.name for layer in made) == sorted(layer.name for layer in network.layers)
    assert sum(node.macs for node in report.nodes) == sum(x.operations for x in network.layers if x.is_matrix)
    assert sum(node.weight_bytes for node in report.nodes) == sum(layer.weight_bytes for layer in network.layers)
