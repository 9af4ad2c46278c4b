"""Models that make the ``onnx`` package hang, abort or raise: each ends in a sentence."""

from pathlib import Path

import onnx
import pytest
from onnx import helper
from support.onnx_imports import Import, faults, kinds
from support.onnx_models import Model

from soma_cp.model.errors import UserError
from soma_cp.model.network.onnx_import.functions import MOST_NODES, expansion_fault
from soma_cp.model.network.onnx_import.importing import import_onnx
from soma_cp.model.network.onnx_import.reading import read_model


@pytest.mark.parametrize("equation", ["....", "ab..c..->a", ",,..,,...", "1,2->3", "a->b->c"])
def test_an_equation_that_hangs_the_inference_is_malformed(imported: Import, equation: str) -> None:
    model = Model()
    x = model.input("x", [1, 4, 4])
    (fault,) = faults(lambda: imported(model, model.node("Einsum", x, x, equation=equation, name="e")))
    assert fault.startswith("'e' (Einsum) makes ")
    assert fault.endswith(f"whose shape can't be inferred: equation '{equation}' is malformed")


@pytest.mark.parametrize("version", [-(2**63), 0, 2**62])
def test_a_version_of_operators_may_be_any_number(imported: Import, version: int) -> None:
    model = Model(version)
    made = model.node("Relu", model.input("x", [1, 4, 4]), name="r")
    assert kinds(imported(model, made).network) == ["ptp"]


def test_an_attribute_may_refer_to_nothing(imported: Import) -> None:
    model = Model()
    model.output(model.node("Softmax", model.input("x", [1, 4, 4]), name="s"))
    model.nodes[0].attribute.add(name="axis", ref_attr_name="depth", type=onnx.AttributeProto.INT)
    assert len(imported(model).network.layers) == 1


def test_an_input_may_have_no_axes(imported: Import) -> None:
    """A number alone, with a normalisation that wants channels, beside another input."""
    model = Model()
    x, y = model.input("x", []), model.input("y", [2, 3, 4])
    made = model.node("MatMul", y, model.node("Transpose", y, perm=[0, 2, 1]))
    assert faults(lambda: imported(model, made, model.node("LayerNormalization", x, model.weight(1), name="n")))


def test_an_axis_that_is_not_there_is_refused(imported: Import) -> None:
    """Without a version of the operators, nothing is inferred; the model states the shape."""
    model = Model(0)
    made = model.node("Gather", model.input("x", [1, 4, 4]), model.constant([0]), axis=7, name="g")
    model.outputs.append(helper.make_tensor_value_info(made, onnx.TensorProto.FLOAT, [1, 4, 4]))
    assert faults(lambda: imported(model)) == [
        "'g' (Gather) has axis 7 of a tensor of 3 axes (must be from -3 to 2)",
    ]


def test_a_name_of_an_axis_may_be_unprintable(imported: Import) -> None:
    model = Model()
    made = model.node("Relu", model.input("x", ["batch", "\u202e", 16]))
    (fault,) = faults(lambda: imported(model, made))
    assert fault.isprintable()


def test_a_tensor_that_is_made_twice_is_refused(imported: Import) -> None:
    model = Model()
    x = model.input("x", [1, 4, 4])
    first = model.node("Relu", x, name="a")
    model.nodes.append(helper.make_node("Sigmoid", [x], [first], name="b"))
    assert faults(lambda: imported(model, first)) == [
        f"'b' (Sigmoid) makes '{first}', which is made already (the names of tensors must differ)"
    ]


def test_a_shape_that_the_model_states_alone_is_compared(imported: Import) -> None:
    """Without a version of the operators, nothing is inferred."""
    model = Model(0)
    made = model.node("Relu", model.input("x", [1, 4, 4]), name="r")
    model.outputs.append(helper.make_tensor_value_info(made, onnx.TensorProto.FLOAT, [1, 4, 5]))
    assert faults(lambda: imported(model)) == [
        f"'r' (Relu) makes '{made}' of shape [1, 4, 4], but the model states [1, 4, 5] (must be the same)"
    ]


def test_a_tensor_that_is_doubled_without_end_is_refused(imported: Import) -> None:
    """A tensor of 2^13 = 8,192 parts is joined with itself."""
    model = Model()
    x = model.node("Sigmoid", model.input("x", [1, 1, 2, 2]))
    for step in range(40):
        x = model.node("Concat", x, x, axis=1, name=f"c{step}")
    assert faults(lambda: imported(model, x))[0] == "'c13' (Concat) joins 16384 tensors (must be 10000 at most)"


def test_a_place_in_a_file_may_be_negative(imported: Import) -> None:
    model = Model()
    made = model.node("Add", model.input("x", [1, 4, 4]), model.weight(4))
    model.initializers[0].external_data.add(key="offset", value="-1")
    assert kinds(imported(model, made).network) == ["ptp"]


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    model = Model()
    model.output(model.node("Relu", model.input("x", [1, 4, 4]), name="letters"))
    path = model.save(tmp_path / "net.onnx")
    path.write_bytes(path.read_bytes().replace(b"letters", b"\xff\xfeabcde"))
    with pytest.raises(UserError, match="a name in the model is no text in UTF-8"):
        import_onnx(path)


def function(name: str, *calls: str) -> onnx.FunctionProto:
    """A function that calls others, one after another."""
    nodes = [helper.make_node(call, [f"t{i}"], [f"t{i + 1}"], domain="own") for i, call in enumerate(calls)]
    nodes += [helper.make_node("Relu", [f"t{len(calls)}"], ["end"])]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    return helper.make_function("own", name, ["t0"], ["end"], nodes, opsets)


def model_of(first: str, *functions: onnx.FunctionProto) -> onnx.ModelProto:
    value = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 4, 4])
    node = helper.make_node(first, ["x"], ["y"], domain="own")
    graph = helper.make_graph([node], "g", [value], [helper.make_value_info("y", onnx.TypeProto())])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, functions=functions)


@pytest.mark.parametrize(
    ("functions", "said"),
    [
        ((function("f", "f"),), "function 'f' calls itself"),
        ((function("f", "g"), function("g", "h"), function("h", "g")), "function 'g' calls itself"),
        (
            (*(function(f"f{i}", f"f{i + 1}", f"f{i + 1}") for i in range(40)), function("f40")),
            f"function 'f21' becomes more than {MOST_NODES} nodes",  # 2^(40−i)·2 − 1 nodes: 1,048,575 with i = 21
        ),
    ],
    ids=["itself", "circle", "doubling"],
)
def test_functions_without_an_end_are_refused(
    functions: tuple[onnx.FunctionProto, ...], said: str, tmp_path: Path
) -> None:
    model = model_of(functions[0].name, *functions)
    assert expansion_fault(model) == said
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match="functions of the model can't be put in place: function"):
        read_model(path)


def test_functions_are_put_in_place(tmp_path: Path) -> None:
    """`f` calls `g` twice, each of two nodes: f's own node and two of `g`."""
    model = model_of("f", function("f", "g", "g"), function("g"))
    assert expansion_fault(model) == ""
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    assert [node.op_type for node in read_model(path).graph.node] == ["Relu"] * 3
