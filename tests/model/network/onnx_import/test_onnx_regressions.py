"""Models that were once imported wrongly, or ended in a traceback."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, external_data_helper, helper
from support.onnx_imports import Import, faults, kinds, only
from support.onnx_models import Model

from soma_cp.model.errors import InternalError
from soma_cp.model.network.layers import Conv, Layer
from soma_cp.model.network.network import Network
from soma_cp.model.network.onnx_import.errors import OnnxFileError
from soma_cp.model.network.onnx_import.importing import import_onnx
from soma_cp.model.network.onnx_import.node_import import NodeImport
from soma_cp.model.network.onnx_import.operators.registry import OPERATORS, OnnxOperator
from soma_cp.model.network.onnx_import.values import Tensor


def rows_of(opset: int = 18, rows: int = 64, width: int = 8) -> tuple[Model, str, str]:
    """A model of tokens `x` (1, rows, width), and the same without its first axis."""
    model = Model(opset)
    x = model.input("x", [1, rows, width])
    return model, x, model.node("Reshape", x, model.constant([rows, width]))


def last(network: Network) -> Layer:
    return network.layers[-1]


# Broadcasting that adds axes


@pytest.mark.parametrize("operator", ["Add", "Pow"])
def test_a_constant_of_more_axes_adds_them_to_what_it_is_combined_with(imported: Import, operator: str) -> None:
    model, _, flat = rows_of()
    wider = model.node(operator, flat, model.weight(1, 1, 8))
    turned = model.node("Transpose", wider, perm=[0, 2, 1])
    layer = last(imported(model, model.node("MatMul", turned, model.weight(64, 16), name="/w")).network)
    assert isinstance(layer, Conv)
    assert (layer.C, layer.H, layer.K) == (64, 8, 16)
    assert layer.weight_bytes == 64 * 16


def test_a_slice_behind_a_constant_of_more_axes_takes_channels(imported: Import) -> None:
    model, _, flat = rows_of()
    wider = model.node("Add", model.node("MatMul", flat, model.weight(8, 6), name="/w"), model.weight(1, 1, 6))
    part = model.node("Slice", wider, model.constant([0]), model.constant([4]), model.constant([2]))
    layer = only(imported(model, part).network)
    assert isinstance(layer, Conv)
    assert (layer.C, layer.K, layer.H) == (8, 4, 64)


def test_parts_and_joins_along_the_last_axis_behind_a_constant_of_more_axes(imported: Import) -> None:
    model, x, flat = rows_of()
    wider = model.node("Add", flat, model.weight(1, 1, 8))
    left, right = model.node("Split", wider, model.constant([3, 5]), outputs=2, axis=2)
    joined = model.node("Concat", wider, x, axis=2)
    place = model.node("Gather", wider, model.constant(3), axis=2)
    ends = [
        model.node("MatMul", left, model.weight(3, 2), name="/left"),
        model.node("MatMul", right, model.weight(5, 2), name="/right"),
        model.node("MatMul", joined, model.weight(16, 2), name="/joined"),
        model.node("Sigmoid", place, name="/place"),
    ]
    network = imported(model, *ends).network
    sizes = {
        layer.name: (getattr(layer, "C", layer.K), layer.H) for layer in network.layers if "copy" not in layer.name
    }
    assert sizes == {"left": (3, 64), "right": (5, 64), "joined": (16, 64), "place": (1, 64)}


@pytest.mark.parametrize("turned", [False, True])
def test_computed_tensors_of_different_ranks_are_combined(imported: Import, turned: bool) -> None:
    model, x, flat = rows_of()
    a = model.node("MatMul", flat, model.weight(8, 8), name="/a")
    b = model.node("MatMul", x, model.weight(8, 8), name="/b")
    made = model.node("Add", *((b, a) if turned else (a, b)), name="/sum")
    assert kinds(imported(model, made).network) == ["conv", "conv", "eltwise"]


def test_axes_that_an_output_has_not_are_an_internal_error(imported: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    def turns(node: NodeImport) -> None:
        tensor = node.tensor()
        node.give(Tensor(tensor.sources, tensor.shape, tensor.view[::-1]))

    monkeypatch.setitem(OPERATORS, "Relu", OnnxOperator(turns, ""))
    model, x, _ = rows_of()
    with pytest.raises(InternalError, match=r"of shape \[1, 64, 8\] was imported by Relu with axes of \[8, 64, 1\]"):
        imported(model, model.node("Relu", x))


def test_a_shape_that_the_model_states_of_an_operator_that_keeps_it_is_not_believed(imported: Import) -> None:
    model, x, _ = rows_of()
    made = model.node("QuickGelu", x, domain="com.microsoft")
    model.outputs.append(helper.make_tensor_value_info(made, TensorProto.FLOAT, [1, 8, 64]))
    assert kinds(imported(model).network) == ["ptp"]


# Matrix multiplications


@pytest.mark.parametrize(("constant", "rows"), [("left", 64), ("right", 8)])
def test_gemm_of_a_transposed_operand_gives_its_axes_in_sequence(imported: Import, constant: str, rows: int) -> None:
    model, _, flat = rows_of()
    if constant == "right":
        made = model.node("Gemm", flat, model.weight(64, 32), transA=1, name="/g")
    else:
        made = model.node("Gemm", model.weight(8, 32), flat, transA=1, transB=1, name="/g")
        made = model.node("Transpose", made)
    network = imported(model, model.node("MatMul", made, model.weight(32, 5), name="/v")).network
    first, second = network.layers
    assert (first.name, second.name) == ("g", "v")
    assert isinstance(second, Conv)
    sizes = (second.C, second.H, second.K)
    assert sizes == (32, rows, 5)


SAMPLES: dict[str, Any] = {"batch_axes": {"x": 0}}
"""The rows of the input are samples; by default, they would be one sample."""


def batch_of(extent: int = 4) -> tuple[Model, str]:
    model = Model(18)
    return model, model.input("x", [extent, 16])


def test_a_sum_over_the_batch_is_refused(imported: Import) -> None:
    over_batch = "sums over the batch (must be within a sample)"
    model, x = batch_of()
    assert faults(lambda: imported(model, model.node("MatMul", model.weight(5, 4), x, name="/m"), **SAMPLES)) == [
        f"'m' (MatMul) {over_batch}"
    ]
    model, x = batch_of()
    assert faults(
        lambda: imported(model, model.node("Gemm", x, model.weight(4, 5), transA=1, name="/g"), **SAMPLES)
    ) == [f"'g' (Gemm) {over_batch}"]
    model, x = batch_of()
    gram = model.node("MatMul", model.node("Transpose", x), model.node("Sigmoid", x), name="/gram")
    assert faults(lambda: imported(model, gram, **SAMPLES)) == [f"'gram' (MatMul) {over_batch}"]


def test_samples_multiplied_with_one_another_are_refused(imported: Import) -> None:
    model, x = batch_of()
    other = model.node("Transpose", model.node("MatMul", x, model.weight(16, 16)))
    logits = model.node("MatMul", x, other, name="/logits")
    assert faults(lambda: imported(model, model.node("Softmax", logits), **SAMPLES)) == [
        "'logits' (MatMul) multiplies samples of the batch with one another (must be within a sample)"
    ]


def test_samples_of_different_axes_are_not_multiplied_with_one_another(imported: Import) -> None:
    model = Model(18)
    x = model.input("x", [4, 16, 8])
    turned = model.node("Transpose", model.node("Unsqueeze", x, model.constant([0])), perm=[1, 0, 3, 2])
    assert faults(lambda: imported(model, model.node("MatMul", x, turned, name="/m"), **SAMPLES)) == [
        "'m' (MatMul) multiplies samples of the batch with one another (must be within a sample)"
    ]


def test_gemm_of_a_vector_is_told(imported: Import) -> None:
    model = Model(18)
    vector = model.node("Reshape", model.input("x", [1, 16]), model.constant([16]))
    (problem,) = faults(lambda: imported(model, model.node("Gemm", vector, model.weight(16, 5), name="/g")))
    assert problem.startswith("'g' (Gemm) makes 'gemm_4', whose shape can't be inferred: ")


def test_weights_of_more_axes_add_them(imported: Import) -> None:
    model, _, flat = rows_of()
    made = model.node("MatMul", flat, model.weight(1, 8, 4), name="/m")
    turned = model.node("Transpose", made, perm=[0, 2, 1])
    layer = last(imported(model, model.node("MatMul", turned, model.weight(64, 2))).network)
    assert isinstance(layer, Conv)
    assert (layer.C, layer.H) == (64, 4)


def test_matrices_that_are_repeated_on_both_sides_are_multiplied(imported: Import) -> None:
    """Two matrices on the left by two on the right: each of four products has 16 · 16 · 8 multiply-accumulates."""
    model = Model(18)
    x, y = model.input("x", [1, 2, 16, 8]), model.input("y", [1, 2, 8, 16])
    left = model.node("Reshape", x, model.constant([2, 1, 16, 8]))
    network = imported(model, model.node("MatMul", left, y, name="/m")).network
    assert network.layers[-1].operations == 4 * 16 * 16 * 8
    assert network.layers[-1].ofmap == (2 * 16, 2 * 16, 1)


def test_a_matrix_for_all_samples_multiplies_those_of_each(imported: Import) -> None:
    model = Model(18)
    y, x = model.input("y", [4, 8, 16]), model.input("x", [1, 16, 8])
    made = model.node("Sigmoid", model.node("MatMul", x, y, name="/m"))
    layers = imported(model, model.node("MatMul", made, model.weight(16, 3))).network.layers
    assert [layer.operations for layer in layers if layer.is_matrix] == [16 * 8 * 16, 16 * 16 * 3]


# Reductions that lose axes


def test_a_slice_of_a_reduction_that_has_lost_axes_is_told(imported: Import) -> None:
    model = Model(13)
    x = model.input("x", [1, 12, 8])
    mean = model.node("ReduceMean", model.node("MatMul", x, model.weight(8, 3)), name="/mean", axes=[2], keepdims=0)
    part = model.node("Slice", mean, model.constant([0]), model.constant([5]), model.constant([-1]), name="/part")
    (problem,) = faults(lambda: imported(model, part))
    assert "'part', a reduction over channels" in problem


def test_a_reduction_of_a_reduction_that_has_lost_axes_is_told(imported: Import) -> None:
    model = Model(13)
    x = model.input("x", [4, 12, 8])
    mean = model.node("ReduceMean", x, axes=[1, 2], keepdims=0)
    over_batch = model.node("ReduceMean", mean, axes=[0], name="/again")
    assert faults(lambda: imported(model, model.node("Sub", x, over_batch))) == [
        "'again' (ReduceMean) reduces a reduction that has lost axes (must have kept them: keepdims=1)"
    ]


# Windows


@pytest.mark.parametrize(("groups", "window"), [(2, 4), (1, 1)])
def test_patches_are_of_one_group_and_of_several_places(imported: Import, groups: int, window: int) -> None:
    model = Model()
    x = model.input("x", [1, 4, 16, 16])
    weight = model.weight(8, 4 // groups, window, window)
    places = (16 // window) ** 2
    conv = model.node("Conv", x, weight, group=groups, strides=[window, window], name="/c")
    tokens = model.node("Transpose", model.node("Reshape", conv, model.constant([1, 8, places])), perm=[0, 2, 1])
    result = imported(model, model.node("MatMul", tokens, model.weight(8, 3)))
    assert result.notes == ()
    assert [source.shape for source in result.network.inputs] == [(4, 16, 16)]
    assert result.network.layers[0].weight_bytes == 8 * 4 // groups * window**2


# Dividing


def image() -> tuple[Model, str]:
    model = Model(18)
    return model, model.input("x", [1, 4, 8, 8])


def reads(network: Network) -> dict[str, set[str]]:
    """What each layer reads."""
    return {layer.name: {*layer.ifmaps, *layer.inputs} for layer in network.layers}


def divided_into(model: Model, joined: str, first: int, second: int) -> list[str]:
    a, b = model.node("Split", joined, model.constant([first, second]), outputs=2, axis=1)
    return [
        model.node("Conv", a, model.weight(5, first, 1, 1), name="/a"),
        model.node("Conv", b, model.weight(6, second, 1, 1), name="/b"),
    ]


@pytest.mark.parametrize(
    ("swapped", "expected"),
    [
        (False, {"s_0": {"c_0"}, "s_1": {"c_1"}, "a": {"s_0"}, "b": {"s_1", "c_0", "c_1"}}),
        (True, {"s": {"c_0", "c_1"}, "a": {"c_0"}, "b": {"c_1", "s"}}),
    ],
)
def test_dividing_what_is_joined_with_what_it_reads(
    imported: Import, swapped: bool, expected: dict[str, set[str]]
) -> None:
    model, x = image()
    conv = model.node("Conv", x, model.weight(8, 4, 1, 1), name="/c")
    sigmoid = model.node("Sigmoid", conv, name="/s")
    joined = model.node("Concat", *((conv, sigmoid) if swapped else (sigmoid, conv)), axis=1)
    network = imported(model, *divided_into(model, joined, 4, 12)).network
    assert reads(network) == {"c_0": {"x"}, "c_1": {"x"}} | expected
    assert sum(layer.operations for layer in network.layers if layer.is_matrix) == 64 * (8 * 4 + 5 * 4 + 6 * 12)


def test_dividing_what_is_joined_with_itself(imported: Import) -> None:
    model, x = image()
    conv = model.node("Conv", x, model.weight(8, 4, 1, 1), name="/c")
    network = imported(model, *divided_into(model, model.node("Concat", conv, conv, axis=1), 6, 10)).network
    found = reads(network)
    assert found["a"] == {"c_0"}
    assert found["b"] == {"c_1", "c_0", "c_1_copy"}


def test_an_input_that_is_joined_first_is_divided_first(imported: Import) -> None:
    model, x = image()
    conv = model.node("Conv", x, model.weight(8, 4, 1, 1), name="/c")
    pooled = model.node(
        "MaxPool", model.node("Concat", x, conv, axis=1), kernel_shape=[2, 2], strides=[2, 2], name="/p"
    )
    found = reads(imported(model, *divided_into(model, pooled, 4, 8)).network)
    assert found == {"c": {"x"}, "p_0": {"x"}, "p_1": {"c"}, "a": {"p_0"}, "b": {"p_1"}}


def test_an_element_wise_layer_keeps_an_input_that_is_divided(imported: Import) -> None:
    model, x = image()
    total = model.node("Add", x, model.node("Conv", x, model.weight(4, 4, 1, 1), name="/c"), name="/sum")
    network = imported(model, total, *divided_into(model, x, 1, 3)).network
    found = reads(network)
    assert found["sum"] == {"x_0_concat", "c"}
    assert found["x_0_concat"] == {"x_0", "x_1"}


@pytest.mark.parametrize("read", [True, False])
def test_channels_that_nothing_reads_are_told(imported: Import, read: bool) -> None:
    model, x = image()
    conv = model.node("Conv", x, model.weight(8, 4, 1, 1), name="/c")
    first, second = model.node("Split", model.node("Sigmoid", conv), model.constant([3, 5]), outputs=2, axis=1)
    result = imported(model, first, *([second] if read else []))
    if read:
        assert result.notes == ()
    else:
        assert result.notes == ("'c_1': no node reads these channels; they are left out, and their multiplications",)
        assert result.network.layers[0].operations == 3 * 4 * 64


# Damaged models


def test_a_word_that_is_not_utf8_is_read_as_far_as_it_goes(imported: Import) -> None:
    model, x = image()
    made = model.node("Foo", x, domain="odd", blob=b"\xff\xfe")
    assert kinds(imported(model, made, ignore=True).network) == ["ptp"]


def test_data_that_are_too_short_are_told(imported: Import) -> None:
    model, x = image()
    weight = model.constant(np.zeros((8, 4, 1, 1)), np.float32)
    model.initializers[-1].raw_data = b"123"
    (problem,) = faults(lambda: imported(model, model.node("Conv", x, weight)))
    assert problem.startswith(f"the data of constant '{weight}' don't fit its shape [8, 4, 1, 1] and type (")
    assert problem.endswith("); export the model again")


@pytest.mark.parametrize(
    ("operator", "reads", "problem"),
    [
        ("Shape", 0, "lacks inputs: it has 0 (must have 1 at least)"),
        ("Relu", 0, "lacks inputs: it has 0 (must have 1 at least)"),
        ("Conv", 1, "lacks inputs: it has 1 (must have 2 at least)"),
    ],
)
def test_inputs_that_are_missing_are_told(imported: Import, operator: str, reads: int, problem: str) -> None:
    model, x = image()
    made = model.node(operator, *[x] * reads, name="/n")
    model.outputs.append(helper.make_tensor_value_info(made, TensorProto.FLOAT, [1, 4, 8, 8]))
    assert faults(lambda: imported(model)) == [f"'n' ({operator}) {problem}"]


@pytest.mark.parametrize("inputs", [["", "x"], ["x", ""]])
def test_inputs_without_a_name_are_told(imported: Import, inputs: list[str]) -> None:
    model, _ = image()
    made = model.node("MatMul", *inputs, name="/n")
    model.outputs.append(helper.make_tensor_value_info(made, TensorProto.FLOAT, [1, 4, 8, 8]))
    (problem,) = faults(lambda: imported(model))
    assert problem.startswith("'n' (MatMul) ")


@pytest.mark.parametrize(
    ("stride", "problem"),
    [
        (0, "makes 'slice_5', whose shape can't be inferred: "),
        (-1, "runs along axis 3 in steps of -1 (must be 1 at least)"),
    ],
)
def test_a_slice_that_stands_still_or_runs_backwards_is_refused(imported: Import, stride: int, problem: str) -> None:
    model, x = image()
    numbers = [model.constant([number]) for number in (-1, -99, 3, stride)]
    made = model.node("Slice", x, *numbers, name="/s")
    model.outputs.append(helper.make_tensor_value_info(made, TensorProto.FLOAT, [1, 4, 8, 8]))
    (found,) = faults(lambda: imported(model))
    assert found.startswith(f"'s' (Slice) {problem}")


def test_a_slice_with_more_ends_than_starts_is_refused(imported: Import) -> None:
    model, x = image()
    made = model.node("Slice", x, model.constant([0]), model.constant([2, 2]), model.constant([3]), name="/s")
    model.outputs.append(helper.make_tensor_value_info(made, TensorProto.FLOAT, [1, 4, 8, 2]))
    (problem,) = faults(lambda: imported(model))
    assert problem.startswith("'s' (Slice) makes 'slice_4', whose shape can't be inferred: ")


@pytest.mark.parametrize("order", [[0, 1], [0, 1, 2, 9]])
def test_a_transpose_of_axes_that_there_are_not_is_refused(imported: Import, order: list[int]) -> None:
    model, x = image()
    made = model.node("Transpose", x, perm=order, name="/t")
    conv = model.node("Conv", made, model.weight(8, 4, 1, 1))
    model.outputs.append(helper.make_tensor_value_info(made, TensorProto.FLOAT, [1, 4, 8, 8]))
    model.outputs.append(helper.make_tensor_value_info(conv, TensorProto.FLOAT, [1, 8, 8, 8]))
    assert any(problem.startswith("'t' (Transpose) ") for problem in faults(lambda: imported(model)))


def test_a_shape_that_the_model_states_is_not_believed_of_operands_that_do_not_fit(imported: Import) -> None:
    model, x = image()
    made = model.node("Concat", x, x, axis=9, name="/c")
    model.outputs.append(helper.make_tensor_value_info(made, TensorProto.FLOAT, [1, 8, 8, 8]))
    (problem,) = faults(lambda: imported(model))
    assert problem.startswith("'c' (Concat) makes 'concat_1', whose shape can't be inferred: ")


def test_a_split_of_one_place_into_one_part_is_nothing(imported: Import) -> None:
    model, x, _ = rows_of()
    part = model.node("Split", model.node("Unsqueeze", x, model.constant([0])), model.constant([1]), axis=0)
    assert kinds(imported(model, model.node("Sigmoid", part)).network) == ["ptp"]


# Where a model ends


@pytest.mark.parametrize(
    ("end", "problem"),
    [
        ("", "--end '': the model has no node or tensor of this name"),
        ("x", "--end x: this is an input or constant of the model; give what a node makes"),
    ],
)
def test_an_end_is_what_a_node_makes(imported: Import, end: str, problem: str) -> None:
    model, x = image()
    made = model.node("Relu", x)
    assert faults(lambda: imported(model, made, ends=(end,))) == [problem]


# Models that contradict themselves, or lack something


def test_a_window_that_is_not_that_of_the_weights_is_refused(imported: Import) -> None:
    model = Model()
    image = model.input("x", [1, 3, 16, 16])
    end = model.node("Conv", image, model.weight(4, 3, 3, 3), name="/conv", kernel_shape=[5, 5], pads=[1, 1, 1, 1])
    (fault,) = faults(lambda: imported(model, end))
    assert fault == "'conv' (Conv) has kernel_shape 5×5, but weights of 3×3 (must be the same)"


def test_a_tensor_that_nothing_makes_is_told(imported: Import) -> None:
    model = Model()
    end = model.node("MatMul", "nowhere", model.weight(8, 4), name="/mm")
    assert faults(lambda: imported(model, end))[0] == (
        "'mm' (MatMul) reads 'nowhere', but the model has nothing of this name"
    )


def test_shapes_in_a_file_of_their_own_are_read_if_it_exists(tmp_path: Path) -> None:
    model, x, _ = rows_of(rows=4)
    shape = model.constant([1, 2, 16])
    model.output(model.node("MatMul", model.node("Reshape", x, shape), model.weight(16, 3)))
    path = model.save(tmp_path / "model.onnx")
    proto = onnx.load(path, load_external_data=False)
    (tensor,) = (tensor for tensor in proto.graph.initializer if tensor.name == shape)
    (tmp_path / "data.bin").write_bytes(np.array([1, 2, 16], np.int64).tobytes())
    tensor.ClearField("int64_data")
    tensor.raw_data = b""
    external_data_helper.set_external_data(tensor, "data.bin")
    tensor.ClearField("raw_data")
    path.write_bytes(proto.SerializeToString())
    layer = last(import_onnx(path).network)
    assert isinstance(layer, Conv)
    assert (layer.C, layer.H, layer.K) == (16, 2, 3)
    (tmp_path / "data.bin").unlink()
    with pytest.raises(OnnxFileError, match=f"constant '{shape}' is in the file 'data.bin'"):
        import_onnx(path)


@pytest.mark.parametrize("shape", [[1, 48, 4, 16], [1, 5, 64]])
def test_a_reshaping_into_another_number_of_elements_is_refused(imported: Import, shape: list[int]) -> None:
    """2×64 elements can't become others; the search for axes that divide one another must end."""
    model = Model()
    product = model.node("MatMul", model.input("x", [1, 2, 64]), model.weight(64, 64))
    made = model.node("Reshape", product, model.constant(shape), name="r")
    (fault,) = faults(lambda: imported(model, made))
    assert fault.startswith(f"'r' (Reshape) makes {shape} of [1, 2, 64] (must have as many elements")
