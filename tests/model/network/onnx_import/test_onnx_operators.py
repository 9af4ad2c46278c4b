"""What every operator becomes, in each form that a version of ONNX gives it, and the messages of refusals."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from support.onnx_imports import Import, faults, kinds, only
from support.onnx_models import Model, heads_of, layer_norm, linear

from soma_cp.model.network.layers import (
    Conv,
    Eltwise,
    FullyConnected,
    GroupConv,
    Layer,
    PointToPoint,
    Pool,
    Transpose,
    Upsample,
)
from soma_cp.model.network.onnx_import.options import Role


def image(*shape: int | str, opset: int = 13) -> tuple[Model, str]:
    model = Model(opset)
    return model, model.input("x", shape or ("batch", 8, 16, 16))


# Windows


@pytest.mark.parametrize(("groups", "kind"), [(1, Conv), (2, GroupConv), (8, GroupConv)])
def test_convolution(imported: Import, groups: int, kind: type[Layer]) -> None:
    model, x = image()
    made = model.node(
        "Conv", x, model.weight(16, 8 // groups, 3, 3), name="/c", strides=[2, 2], pads=[1, 1, 1, 1], group=groups
    )
    layer = only(imported(model, made).network)
    fields: dict[str, Any] = {"C": 8, "K": 16, "R": 3, "S": 3, "H": 8, "W": 8, "sH": 2, "sW": 2}
    if groups > 1:
        fields["G"] = groups
    assert layer == kind(name="c", inputs=("x",), **fields)


def test_convolution_of_a_sequence_has_one_column(imported: Import) -> None:
    model, x = image("N", 4, 100)
    layer = only(imported(model, model.node("Conv", x, model.weight(16, 4, 5), pads=[2, 2])).network)
    assert layer == Conv(name="conv_2", C=4, K=16, R=5, H=100, W=1, inputs=("x",))


def test_pooling_of_every_sort(imported: Import) -> None:
    model, x = image()
    pooled = model.node("MaxPool", x, name="max", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    network = imported(model, model.node("GlobalAveragePool", pooled, name="mean")).network
    assert network.layers == (
        Pool(name="max", K=8, R=3, S=3, H=8, W=8, sH=2, sW=2, inputs=("x",)),
        Pool(name="mean", K=8, R=8, S=8, H=1, W=1, sH=8, sW=8, ifmaps=("max",)),
    )


def test_a_mean_over_rows_and_columns_is_a_pooling(imported: Import) -> None:
    model, x = image()
    network = imported(model, model.node("ReduceMean", x, name="m", axes=[2, 3], keepdims=0)).network
    assert only(network) == Pool(name="m", K=8, R=16, S=16, H=1, W=1, sH=16, sW=16, inputs=("x",))


def test_padding_is_part_of_the_window_behind_it(imported: Import) -> None:
    model, x = image()
    padded = model.node("Pad", x, model.constant([0, 0, 0, 0, 0, 0, 1, 1]))
    layer = only(imported(model, model.node("Conv", padded, model.weight(8, 8, 3, 3), strides=[2, 2])).network)
    assert layer == Conv(name="conv_4", C=8, K=8, R=3, S=3, H=8, W=8, sH=2, sW=2, inputs=("x",))


@pytest.mark.parametrize("operator", ["Resize", "Upsample", "Upsample of opset 7"])
def test_enlargement(imported: Import, operator: str) -> None:
    opset = {"Resize": 13, "Upsample": 9}.get(operator, 7)
    model, x = image(1, 8, 16, 16, opset=opset)
    scales = [1.0, 1.0, 2.0, 3.0]
    if operator == "Resize":
        made = model.node("Resize", x, "", model.constant(scales, np.float32), name="up")
    elif operator == "Upsample":
        made = model.node("Upsample", x, model.constant(scales, np.float32), name="up")
    else:
        made = model.node("Upsample", x, name="up", scales=scales)
    assert only(imported(model, made).network) == Upsample(name="up", K=8, H=32, W=48, sH=2, sW=3, inputs=("x",))


# Matrices


@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm_behind_a_flattening_is_fully_connected(imported: Import, transposed: int) -> None:
    model, x = image()
    weight = model.weight(10, 2048) if transposed else model.weight(2048, 10)
    made = model.node("Gemm", model.node("Flatten", x), weight, model.weight(10), name="fc", transB=transposed)
    assert only(imported(model, made).network) == FullyConnected(name="fc", C=8, R=16, S=16, K=10, inputs=("x",))


def test_a_flattening_with_channels_last_needs_no_transpose(imported: Import) -> None:
    model, x = image()
    flat = model.node("Reshape", model.node("Transpose", x, perm=[0, 2, 3, 1]), model.constant([1, -1]))
    assert kinds(imported(model, model.node("MatMul", flat, model.weight(2048, 10))).network) == ["fc"]


def test_tokens_are_rows(imported: Import) -> None:
    model, x = image("batch", "tokens", 64)
    network = imported(model, linear(model, x, 64, 32, "p"), dims={"tokens": 7}).network
    assert only(network) == Conv(name="p", C=64, K=32, H=7, W=1, inputs=("x",))


def test_multiplication_along_tokens_transposes(imported: Import) -> None:
    model, x = image(1, 7, 64)
    swapped = tokens_swapped(model, linear(model, x, 64, 64, "p"))
    network = imported(model, model.node("MatMul", swapped, model.weight(7, 5), name="mix")).network
    assert network.layers[1:] == (
        Transpose(name="mix_transpose", K=7, H=64, W=1, order="HCW", ifmaps=("p",)),
        Conv(name="mix", C=7, K=5, H=64, W=1, ifmaps=("mix_transpose",)),
    )


def test_an_external_input_needs_no_transpose(imported: Import) -> None:
    model, x = image(1, 7, 64)
    mixed = model.node("MatMul", tokens_swapped(model, x), model.weight(7, 5), name="mix")
    model.output(model.node("MatMul", x, model.weight(64, 3), name="p"))  # the first reader has 64 channels
    result = imported(model, mixed)
    assert kinds(result.network) == ["transpose", "conv", "conv"]  # it is loaded in one arrangement
    assert {source.name: source.shape for source in result.network.inputs} == {"x": (64, 7, 1)}


def test_a_constant_may_stand_in_front(imported: Import) -> None:
    model, x = image(1, 7, 64)
    product = model.node("MatMul", model.weight(5, 7), model.node("Sigmoid", x), name="mix")
    network = imported(model, product).network
    assert kinds(network) == ["ptp", "transpose", "conv"]
    assert network.layers[2].ofmap == (5, 64, 1)


def test_a_tensor_multiplied_with_itself_is_read_through_a_copy(imported: Import) -> None:
    model, x = image(1, 7, 64)
    tokens = linear(model, x, 64, 64, "p")
    scores = model.node("MatMul", tokens, model.node("Transpose", tokens, perm=[0, 2, 1]), name="qk")
    network = imported(model, model.node("MatMul", scores, tokens, name="qkv")).network
    assert kinds(network) == ["conv", "transpose", "conv", "conv"]
    assert network.layers[2].weight_operands == ("qk_transpose",)
    assert network.layers[3].weight_operands == ("p",)


def test_a_square_matrix_times_itself_is_read_through_a_copy(imported: Import) -> None:
    model, x = image(1, 7, 64)
    square = linear(model, x, 64, 7, "p")
    network = imported(model, model.node("MatMul", square, square, name="pp")).network
    assert kinds(network) == ["conv", "ptp", "conv"]
    assert (network.layers[2].ifmaps, network.layers[2].weight_operands) == (("p_copy",), ("p",))


def test_patches_of_an_image_are_tokens(imported: Import) -> None:
    model, x = image(1, 3, 32, 32)
    patches = model.node("Conv", x, model.weight(64, 3, 8, 8), name="patch", strides=[8, 8])
    tokens = model.node("Transpose", model.node("Reshape", patches, model.constant([1, 64, 16])), perm=[0, 2, 1])
    result = imported(model, model.node("Softmax", model.node("MatMul", tokens, tokens_swapped(model, tokens))))
    assert result.network.layers[0] == Conv(name="patch", C=192, K=64, H=16, W=1, inputs=("x_patches",))
    assert "patches of 'x'" in result.notes[0]


def tokens_swapped(model: Model, tokens: str) -> str:
    return str(model.node("Transpose", tokens, perm=[0, 2, 1]))


def test_rows_and_columns_of_a_computed_fmap_become_tokens_by_a_layer(imported: Import) -> None:
    model, x = image()
    conv = model.node("Conv", model.node("MaxPool", x, kernel_shape=[1, 1]), model.weight(8, 8, 1, 1), name="c")
    tokens = model.node("Reshape", conv, model.constant([1, 8, 256]), name="t")
    product = model.node("MatMul", tokens_swapped(model, tokens), tokens, name="qk")
    *_, rows, columns, qk = imported(model, product).network.layers
    assert rows == Transpose(name="t_regroup", K=8, H=256, W=1, order="C**", ifmap=(8, 16, 16), ifmaps=("c",))
    assert columns == Transpose(name="qk_transpose", K=256, H=8, W=1, order="*C*", ifmap=(8, 16, 16), ifmaps=("c",))
    assert qk.operations == 256 * 8 * 256


def test_queries_that_share_keys_are_rows(imported: Import) -> None:
    model, x = image(1, 7, 64)
    query = heads_of(model, linear(model, x, 64, 64, "q"), 4, 64, (0, 2, 1, 3))
    key = heads_of(model, linear(model, x, 64, 32, "k"), 2, 32, (0, 2, 1, 3))
    key = model.node("Expand", model.node("Unsqueeze", key, model.constant([2])), model.constant([1, 2, 2, 7, 16]))
    key = model.node("Transpose", model.node("Reshape", key, model.constant([1, 4, 7, 16])), perm=[0, 1, 3, 2])
    network = imported(model, model.node("MatMul", query, key, name="qk")).network
    assert kinds(network) == ["conv", "conv", "conv", "transpose", "transpose", "transpose", "ptp", "group_conv"]
    product = network.layers[-1]
    assert isinstance(product, GroupConv)
    assert (product.G, product.C, product.ofmap) == (2, 2 * 16, (2 * 7, 2 * 7, 1))
    assert product.operations == 4 * 7 * 7 * 16


def test_few_keys_that_many_queries_share_are_repeated(imported: Import) -> None:
    """Repeating 2 keys for 4 heads moves 4·2·16 = 128 bytes, bringing 70 queries to rows 4·70·16 = 4,480."""
    model, x, y = *image(1, 70, 64), "y"
    model.input(y, [1, 2, 64])
    query = heads_of(model, linear(model, x, 64, 64, "q"), 4, 64, (0, 2, 1, 3))
    key = heads_of(model, linear(model, y, 64, 32, "k"), 2, 32, (0, 2, 1, 3))
    key = model.node("Expand", model.node("Unsqueeze", key, model.constant([2])), model.constant([1, 2, 2, 2, 16]))
    key = model.node("Transpose", model.node("Reshape", key, model.constant([1, 4, 2, 16])), perm=[0, 1, 3, 2])
    network = imported(model, model.node("MatMul", query, key, name="qk")).network
    assert network.layers[-2] == Upsample(name="qk_repeat", K=8, H=16, W=1, sK=2, ifmaps=("qk_concat",))
    assert network.layers[-1].operations == 4 * 70 * 2 * 16


def test_an_einsum_with_weights_is_a_projection(imported: Import) -> None:
    model, x = image(1, 7, 64)
    heads = model.node("Einsum", x, model.weight(64, 4, 8), equation="btc, chd -> bhtd", name="q")
    merged = model.node("Einsum", heads, model.weight(4, 8, 16), equation="bhtd,hdm->btm", name="o")
    network = imported(model, merged).network
    assert network.layers == (
        Conv(name="q", C=64, K=32, H=7, W=1, inputs=("x",)),
        Conv(name="o", C=32, K=16, H=7, W=1, ifmaps=("q",)),
    )


def test_einsums_are_the_attention_that_multiplications_are(imported: Import) -> None:
    by_einsum, by_matmul = [], []
    for networks, einsum in ((by_einsum, True), (by_matmul, False)):
        model, x = image(1, 7, 32)
        query, key, value = (
            heads_of(model, linear(model, x, 32, 32, name), 4, 32, (0, 2, 1, 3)) for name in ("q", "k", "v")
        )
        if einsum:
            scores = model.node("Einsum", query, key, equation="bhid,bhjd->bhij", name="qk")
            made = model.node(
                "Einsum", model.node("Softmax", scores, name="s"), value, equation="bhij,bhjd->bihd", name="a"
            )
        else:
            scores = model.node("MatMul", query, model.node("Transpose", key, perm=[0, 1, 3, 2]), name="qk")
            made = model.node("MatMul", model.node("Softmax", scores, name="s"), value, name="a")
            made = model.node("Transpose", made, perm=[0, 2, 1, 3])
        out = linear(model, model.node("Reshape", made, model.constant([1, 7, 32])), 32, 32, "out")
        networks.append(imported(model, out).network)
    assert by_einsum == by_matmul


@pytest.mark.parametrize("equation", ["bij->bji", "bij,bjk", "bij,bkl->bik", "bii,bij->bj", "...ij,...jk->...ik"])
def test_an_einsum_that_is_no_multiplication_of_matrices_is_refused(imported: Import, equation: str) -> None:
    model, x = image(1, 7, 7)
    operands = [model.node("Sigmoid", x) for _ in range(equation.count(",") + 1)]
    (fault,) = faults(lambda: imported(model, model.node("Einsum", *operands, equation=equation, name="e")))
    assert fault.startswith("'e' (Einsum) ")


# Element by element


FREE: list[Callable[[Model, str], str]] = [
    lambda model, x: model.node("Relu", x),
    lambda model, x: model.node("Clip", x, model.scalar(0.0), model.scalar(6.0)),
    lambda model, x: model.node("Clip", x, "", model.scalar(6.0)),
    lambda model, x: model.node("Dropout", x),
    lambda model, x: model.node("PRelu", x, model.weight(8, 1, 1)),
    lambda model, x: model.node("Add", model.weight(8, 1, 1), x),
    lambda model, x: model.node("Where", triangle(model), x, model.scalar(-1e9)),
    lambda model, x: model.node("BatchNormalization", x, *[model.weight(8) for _ in range(4)]),
    lambda model, x: model.node("Cast", model.node("Cast", x, to=TensorProto.FLOAT16), to=TensorProto.FLOAT),
    lambda model, x: model.node("DequantizeLinear", model.node("QuantizeLinear", x, *scale(model)), *scale(model)),
]


def triangle(model: Model) -> str:
    return str(model.node("Cast", model.weight(1, 1, 16, 16), to=TensorProto.BOOL))


def scale(model: Model) -> tuple[str, str]:
    return model.scalar(0.1), model.constant(0, np.uint8)


@pytest.mark.parametrize("apply", FREE)
def test_what_is_linear_but_for_comparisons_is_part_of_a_layer(
    imported: Import, apply: Callable[[Model, str], str]
) -> None:
    model, x = image()
    conv = model.node("Conv", apply(model, x), model.weight(8, 8, 3, 3), pads=[1, 1, 1, 1], name="c")
    assert kinds(imported(model, apply(model, conv)).network) == ["conv"]


def test_clip_of_opset_6_has_its_limits_as_attributes(imported: Import) -> None:
    model, x = image(1, 8, 16, 16, opset=6)
    conv = model.node("Conv", x, model.weight(8, 8, 1, 1))
    assert kinds(imported(model, model.node("Clip", conv, min=0.0, max=6.0)).network) == ["conv"]


VECTOR: list[Callable[[Model, str], str]] = [
    lambda model, x: model.node("Sigmoid", x),
    lambda model, x: model.node("Mul", x, model.node("Sigmoid", x)),
    lambda model, x: model.node("Mul", x, model.node("Tanh", model.node("Softplus", x))),
    lambda model, x: model.node("Add", x, x),
    lambda model, x: model.node("Softmax", model.node("Tanh", x), axis=1),
    lambda model, x: model.node("Div", x, model.node("Sqrt", model.node("ReduceSumSquare", x, axes=[1]))),
    lambda model, x: model.node("InstanceNormalization", x, model.weight(8), model.weight(8)),
]


@pytest.mark.parametrize("apply", VECTOR)
def test_a_function_of_one_tensor_is_one_layer(imported: Import, apply: Callable[[Model, str], str]) -> None:
    model, x = image()
    conv = model.node("Conv", x, model.weight(8, 8, 1, 1))
    after = model.node("Conv", apply(model, conv), model.weight(8, 8, 1, 1))
    assert kinds(imported(model, after).network) == ["conv", "ptp", "conv"]


def test_layer_normalisation_is_one_layer_either_way(imported: Import) -> None:
    for opset, decomposed in ((17, False), (13, True)):
        model, x = image(1, 7, 64, opset=opset)
        made = layer_norm(model, x, 64) if decomposed else model.node("LayerNormalization", x, model.weight(64))
        layer = only(imported(model, made).network)
        assert (layer.kind, layer.ofmap, layer.inputs) == ("ptp", (64, 7, 1), ("x",))


def test_a_mean_over_channels_that_stays_one_is_refused(imported: Import) -> None:
    model, x = image()
    mean = model.node("ReduceMean", x, axes=[1], name="m")
    (fault,) = faults(lambda: imported(model, model.node("Conv", mean, model.weight(4, 1, 1, 1), name="c")))
    assert fault.startswith("'c' (Conv) reads 'm', a reduction over channels")


def test_sums_of_several_layers(imported: Import) -> None:
    model, x = image()
    parts = [model.node("Conv", x, model.weight(8, 8, 1, 1), name=f"c{i}") for i in range(3)]
    network = imported(model, model.node("Relu", model.node("Sum", *parts, name="sum"))).network
    assert network.layers[-1] == Eltwise(name="sum", N=3, K=8, H=16, W=16, ifmaps=("c0", "c1", "c2"))


def test_what_is_smaller_is_enlarged(imported: Import) -> None:
    model, x = image()
    conv = model.node("Conv", x, model.weight(8, 8, 1, 1), name="c")
    gate = model.node("Sigmoid", model.node("GlobalAveragePool", conv, name="mean"), name="gate")
    network = imported(model, model.node("Mul", conv, gate, name="m")).network
    assert network.layers[2:] == (
        PointToPoint(name="gate", K=8, H=1, W=1, ifmaps=("mean",)),
        Upsample(name="m_repeat", K=8, H=16, W=16, sH=16, sW=16, ifmaps=("gate",)),
        Eltwise(name="m", N=2, K=8, H=16, W=16, ifmaps=("c", "m_repeat")),
    )


def test_a_constant_as_large_as_the_fmap_is_loaded(imported: Import) -> None:
    model, x = image(1, 7, 64)
    positions = model.weight(1, 7, 64, name="positions")
    network = imported(model, model.node("Add", x, positions, name="add")).network
    assert only(network) == Eltwise(name="add", N=2, K=64, H=7, W=1, inputs=("x", "positions"))


def test_a_mask_from_outside_is_told_and_left_out(imported: Import) -> None:
    model, x = image(1, 7, 64)
    mask = model.input("mask", [1, 7, 1])
    result = imported(model, model.node("Mul", linear(model, x, 64, 64, "p"), mask, name="m"))
    assert kinds(result.network) == ["conv"]
    (note,) = result.notes
    assert note == (
        "'m' (Mul): 'mask', smaller than what it is combined with, is taken for a mask and left out; if it is data, "
        "say --input mask=data"
    )


def test_an_embedding_is_an_external_input_of_rows(imported: Import) -> None:
    model = Model()
    ids = model.input("ids", ["batch", 7], TensorProto.INT64)
    result = imported(model, model.node("Gather", model.weight(1000, 64, name="words"), ids, name="e"))
    assert only(result.network) == PointToPoint(name="e", K=64, H=7, W=1, inputs=("words",))
    assert [(source.name, source.shape) for source in result.network.inputs] == [("words", (64, 7, 1))]
    assert any("'words'" in note for note in result.notes)


def test_dynamic_quantisation_is_part_of_layers(imported: Import) -> None:
    model, x = image()
    quantised, scale, zero = model.node("DynamicQuantizeLinear", x, outputs=3)
    weight = model.constant(np.zeros((8, 8, 3, 3)), np.uint8)
    product = model.node("ConvInteger", quantised, weight, zero, pads=[1, 1, 1, 1], name="c")
    floats = model.node("Mul", model.node("Cast", product, to=TensorProto.FLOAT), scale)
    assert kinds(imported(model, floats).network) == ["conv"]


def test_a_tensor_added_to_its_transpose_is_an_element_wise_layer(imported: Import) -> None:
    model, x = image(1, 7, 7)
    tokens = linear(model, x, 7, 7, "p")
    network = imported(model, model.node("Add", tokens, tokens_swapped(model, tokens), name="sum")).network
    assert kinds(network) == ["conv", "transpose", "eltwise"]


def test_a_rotation_of_channels_is_one_layer(imported: Import) -> None:
    model, x = image(1, 7, 64)
    heads = heads_of(model, linear(model, x, 64, 64, "q"), 4, 64, (0, 2, 1, 3))
    left, right = model.node("Split", heads, outputs=2, axis=3)
    rotated = model.node("Concat", model.node("Neg", right), left, axis=3)
    cosine, sine = model.weight(1, 1, 7, 16), model.weight(1, 1, 7, 16)
    made = model.node("Add", model.node("Mul", heads, cosine), model.node("Mul", rotated, sine), name="rope")
    network = imported(model, made).network
    assert network.layers[1:] == (PointToPoint(name="rope", K=64, H=7, W=1, ifmaps=("q",)),)


def test_a_part_of_every_head_that_stays_one_is_a_layer(imported: Import) -> None:
    model, x = image(1, 7, 64)
    heads = heads_of(model, linear(model, x, 64, 64, "q"), 4, 64, (0, 2, 1, 3))
    left, _ = model.node("Split", heads, outputs=2, axis=3, name="s")
    network = imported(model, left).network
    assert network.layers[1:] == (
        Transpose(name="s_regroup", K=32, H=7, W=1, order="*HW", ifmap=(64, 7, 1), ifmaps=("q",)),
    )


def test_a_reduction_over_channels_that_stays_one_reads_no_part(imported: Import) -> None:
    model, x = image(1, 7, 64)
    heads = heads_of(model, linear(model, x, 64, 64, "q"), 4, 64, (0, 2, 1, 3))
    left, _ = model.node("Split", heads, outputs=2, axis=3, name="s")
    (fault,) = faults(lambda: imported(model, model.node("ReduceSum", left, model.constant([3]), name="r")))
    assert "a reduction over channels" in fault


# Layout


def test_a_sequence_along_columns_is_transposed_by_heads(imported: Import) -> None:
    model, x = image(1, 8, 1, 16)
    conv = model.node("Conv", model.node("Sigmoid", x), model.weight(32, 8, 1, 1), name="c")
    tokens = model.node("Transpose", model.node("Reshape", conv, model.constant([1, 32, 16])), perm=[0, 2, 1])
    key = model.node("Reshape", tokens, model.constant([1, 16, 4, 8]))
    key = model.node("Transpose", key, perm=[0, 2, 3, 1])
    query = heads_of(model, linear(model, tokens, 32, 32, "q"), 4, 32, (0, 2, 1, 3))
    network = imported(model, model.node("MatMul", query, key, name="qk")).network
    transposes = [layer for layer in network.layers if isinstance(layer, Transpose)]
    assert Counter(layer.order for layer in transposes) == {"WCH": 4, "CWH": 1}
    assert network.layers[-1].ofmap == (64, 16, 1)


def test_a_channel_shuffle_is_a_layer(imported: Import) -> None:
    model, x = image()
    conv = model.node("Conv", x, model.weight(8, 4, 1, 1), group=2)
    grouped = model.node("Reshape", conv, model.constant([-1, 2, 4, 16, 16]))
    shuffled = model.node(
        "Reshape", model.node("Transpose", grouped, perm=[0, 2, 1, 3, 4]), model.constant([0, 8, 16, 16])
    )
    assert kinds(imported(model, model.node("Conv", shuffled, model.weight(8, 4, 1, 1), group=2)).network) == [
        "group_conv",
        "ptp",
        "group_conv",
    ]


def test_reshaping_there_and_back_costs_nothing(imported: Import) -> None:
    model, x = image()
    conv = model.node("Conv", x, model.weight(8, 8, 1, 1))
    there = model.node(
        "Transpose", model.node("Reshape", conv, model.constant([1, 2, 4, 16, 16])), perm=[0, 2, 1, 3, 4]
    )
    back = model.node("Reshape", model.node("Transpose", there, perm=[0, 2, 1, 3, 4]), model.constant([1, 8, 16, 16]))
    assert kinds(imported(model, model.node("MaxPool", back, kernel_shape=[2, 2])).network) == ["conv", "pool"]


@pytest.mark.parametrize("opset", [11, 13])
def test_a_split_behind_a_convolution_divides_its_kernels(imported: Import, opset: int) -> None:
    model, x = image(opset=opset)
    conv = model.node("Conv", x, model.weight(16, 8, 3, 3), model.weight(16), pads=[1, 1, 1, 1], name="c")
    relu = model.node("Relu", conv)
    if opset == 11:
        left, right = model.node("Split", relu, outputs=2, axis=1, split=[4, 12])
    else:
        left, right = model.node("Split", relu, model.constant([4, 12]), outputs=2, axis=1)
    network = imported(model, model.node("MaxPool", left, kernel_shape=[2, 2]), right).network
    assert [(layer.name, layer.K) for layer in network.layers if isinstance(layer, Conv)] == [("c_0", 4), ("c_1", 12)]
    assert sum(layer.weight_bytes for layer in network.layers) == 16 * 8 * 9


def test_what_is_split_may_be_added_whole(imported: Import) -> None:
    model, x = image()
    conv = model.node("Conv", x, model.weight(8, 8, 1, 1), name="c")
    added = model.node("Add", conv, x, name="sum")
    left, right = model.node("Split", conv, model.constant([4, 4]), outputs=2, axis=1)
    network = imported(model, added, left, right).network
    assert network.layers[2] == PointToPoint(name="c_0_concat", K=8, H=16, W=16, ifmaps=("c_0", "c_1"))
    assert network.layers[3] == Eltwise(name="sum", N=2, K=8, H=16, W=16, ifmaps=("c_0_concat",), inputs=("x",))


@pytest.mark.parametrize("opset", [9, 13])
def test_a_crop_is_a_pooling_without_a_window(imported: Import, opset: int) -> None:
    model, x = image(1, 8, 16, 16, opset=opset)
    if opset == 9:
        made = model.node("Slice", x, name="s", starts=[1], ends=[2**62], axes=[2])
    else:
        ends = model.constant([2**62])
        made = model.node("Slice", x, model.constant([0]), ends, model.constant([-1]), model.constant([2]), name="s")
    size = {"H": 15, "W": 16} if opset == 9 else {"H": 16, "W": 8, "sW": 2}
    assert only(imported(model, made).network) == Pool(name="s", K=8, inputs=("x",), **size)


def test_every_other_channel_is_a_layer(imported: Import) -> None:
    model, x = image()
    taken = (model.constant([number]) for number in (0, 8, 1, 2))
    assert only(imported(model, model.node("Slice", x, *taken, name="s")).network) == Transpose(
        name="s_regroup", K=4, H=16, W=16, order="*HW", ifmap=(8, 16, 16), inputs=("x",)
    )


def test_one_token_is_a_pooling_without_a_window(imported: Import) -> None:
    model, x = image(1, 7, 64)
    token = model.node("Gather", x, model.constant(0), axis=1, name="first")
    network = imported(model, model.node("Gemm", token, model.weight(64, 3), name="fc")).network
    assert network.layers == (
        Pool(name="first", K=64, H=1, W=1, inputs=("x",)),
        FullyConnected(name="fc", C=64, K=3, ifmaps=("first",)),
    )


def test_concatenated_channels_are_several_ifmaps(imported: Import) -> None:
    model, x = image()
    parts = [model.node("Conv", x, model.weight(4 * (i + 1), 8, 1, 1), name=f"c{i}") for i in range(2)]
    joined = model.node("Concat", *parts, axis=1)
    network = imported(model, model.node("Conv", joined, model.weight(8, 12, 1, 1), name="c")).network
    assert network.layers[-1].ifmaps == ("c0", "c1")


def test_concatenated_tokens_are_transposed_to_channels_and_back(imported: Import) -> None:
    model, x = image(1, 7, 64)
    first = model.weight(1, 1, 64, name="class")
    tokens = linear(model, x, 64, 64, "p")
    network = imported(model, model.node("Concat", first, tokens, axis=1, name="cat")).network
    assert kinds(network) == ["conv", "transpose", "transpose"]
    assert network.layers[2].inputs == ("class_rearranged",)
    assert network.layers[-1].ofmap == (64, 8, 1)


def test_squeeze_in_both_forms(imported: Import) -> None:
    for opset in (11, 13):
        model, x = image(1, 8, 16, 16, opset=opset)
        pooled = model.node("GlobalAveragePool", x)
        flat = (
            model.node("Squeeze", pooled, axes=[2, 3])
            if opset == 11
            else model.node("Squeeze", pooled, model.constant([2, 3]))
        )
        assert kinds(imported(model, model.node("MatMul", flat, model.weight(8, 4))).network) == ["pool", "fc"]


# Batches and dimensions


@pytest.mark.parametrize("batch", ["batch", "N", "", 0, 1])
def test_a_batch_of_no_size_is_taken_out(imported: Import, batch: int | str) -> None:
    model, x = image(batch, 8, 16, 16)
    result = imported(model, model.node("Flatten", model.node("Conv", x, model.weight(8, 8, 1, 1))))
    assert result.network.inputs[0].shape == (8, 16, 16)
    assert bool(result.notes) == (batch in ("", 0))


def test_a_fixed_batch_is_taken_out_and_told(imported: Import) -> None:
    model, x = image(4, 7, 64)
    rows = model.node("Reshape", x, model.constant([-1, 64]))
    made = model.node("Reshape", model.node("Gemm", rows, model.weight(64, 32), name="p"), model.constant([4, 7, 32]))
    result = imported(model, made)
    assert only(result.network) == Conv(name="p", C=64, K=32, H=7, W=1, inputs=("x",))
    assert result.notes == (
        "axis 0 of input 'x', 4, is taken to be the batch, which --batch sets; if it is not, say --batch-axis x=none",
    )


def test_dimensions_are_asked_for_and_checked(imported: Import) -> None:
    model, x = image("batch", "tokens", "")
    model.output(model.node("Softmax", x))
    assert faults(lambda: imported(model)) == [
        "input 'x' is of shape [batch, tokens, x:2]; give a number for each name: --dim tokens=… --dim x:2=…"
    ]
    assert faults(lambda: imported(model, dims={"token": 3, "batch": 2, "x:2": 0})) == [
        "--dim token=3: no input has such a dimension (there are 'batch', 'tokens', 'x:2'); did you mean 'tokens'?",
        "--dim batch=2: this is the batch; give it with --batch, or say that it is none with --batch-axis x=none",
        "--dim x:2=0 (must be from 1 to 2147483647)",
        "input 'x' is of shape [batch, tokens, x:2]; give a number for each name: --dim tokens=…",
    ]
    assert only(imported(model, dims={"tokens": 3, "x:2": 5}).network).ofmap == (5, 3, 1)


# What is not supported


def foreign(model: Model, x: str, name: str, **attributes: Any) -> str:
    made = model.node("Fancy", x, name=name, **attributes)
    model.nodes[-1].domain = "own"
    return str(made)


def test_all_unsupported_nodes_are_told_at_once(imported: Import) -> None:
    model, x = image()
    first = foreign(model, x, "one")
    values, indices = model.node("TopK", x, model.constant([3]), name="two", outputs=2)
    hidden = model.node("Det", model.node("Sigmoid", first), name="three")
    assert faults(lambda: imported(model, hidden, values, indices)) == [
        "'one' (own.Fancy) is an operator of the domain 'own', which is not known",
        "'two' (TopK) is an operator that no layer stands for",
        "'three' (Det) is an operator that no layer stands for",
    ]


def test_unknown_operators_may_be_taken_for_element_wise(imported: Import) -> None:
    model, x = image()
    made = model.node("Conv", foreign(model, x, "one"), model.weight(4, 8, 1, 1), name="c")
    result = imported(model, made, ignore=True)
    assert result.network.layers[0] == PointToPoint(name="one", K=8, H=16, W=16, inputs=("x",))
    assert result.notes == ("'one' (own.Fancy) is not known; it is taken for element-wise, one ptp layer",)


def test_what_changes_shape_is_not_taken_for_element_wise(imported: Import) -> None:
    model, x = image()
    (fault,) = faults(lambda: imported(model, model.node("Det", x, name="d"), ignore=True))
    assert fault.startswith("'d' (Det) is an operator that no layer stands for, and --ignore-unsupported can't")


@pytest.mark.parametrize("ignore", [False, True])
def test_control_flow_is_refused(imported: Import, ignore: bool) -> None:
    model, x = image("batch", 8)
    branch = helper.make_graph([], "branch", [], [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8])])
    positive = model.node("Greater", model.node("ReduceMean", x), model.scalar(0.0))
    chosen = model.node("If", positive, name="choice", then_branch=branch, else_branch=branch)
    assert faults(lambda: imported(model, model.node("Relu", chosen), ignore=ignore)) == [
        "'choice' (If) is control flow, and a network has none; export the model without it"
    ]


def test_a_condition_that_an_input_of_whole_numbers_makes_is_control_flow_all_the_same(imported: Import) -> None:
    model, x = image("batch", 8)
    rate = model.input("rate", [], TensorProto.INT64)
    branch = helper.make_graph([], "branch", [], [helper.make_tensor_value_info(x, TensorProto.FLOAT, [1, 8])])
    model.node("If", model.node("Equal", rate, model.constant(16)), then_branch=branch, else_branch=branch, name="c")
    assert faults(lambda: imported(model, model.nodes[-1].output[0])) == [
        "'c' (If) is control flow, and a network has none; export the model without it"
    ]


def test_whole_numbers_that_are_multiplied_by_weights_are_data(imported: Import) -> None:
    model = Model()
    letters = model.input("letters", ["batch", 7, 32], TensorProto.INT32)
    floats = model.node("Cast", letters, to=TensorProto.FLOAT)
    result = imported(model, model.node("MatMul", floats, model.weight(32, 16), name="p"))
    assert only(result.network) == Conv(name="p", C=32, K=16, H=7, W=1, inputs=("letters",))
    assert result.notes == ()


def test_whole_numbers_that_the_user_calls_indices_are_not_multiplied(imported: Import) -> None:
    model = Model()
    letters = model.input("letters", ["batch", 7, 32], TensorProto.INT32)
    floats = model.node("Cast", letters, to=TensorProto.FLOAT)
    made = model.node("MatMul", floats, model.weight(32, 16), name="p")
    assert faults(lambda: imported(model, made, roles={"letters": Role.INDEX})) == [
        "'p' (MatMul) computes with 'letters', taken for indices or a mask, which no layer makes"
    ]


def test_an_output_that_is_read_but_not_made_is_refused(imported: Import) -> None:
    model, x = image()
    values, places = model.node("MaxPool", x, outputs=2, kernel_shape=[2, 2], strides=[2, 2], name="max")
    unpooled = model.node("MaxUnpool", values, places, kernel_shape=[2, 2], strides=[2, 2], name="un")
    assert faults(lambda: imported(model, unpooled)) == [
        f"'max' (MaxPool) makes '{places}', which is read, but no layer makes this output",
        "'un' (MaxUnpool) puts elements where computed indices say, and no layer can; replace it by a Resize",
    ]


def test_a_computed_bias_is_refused(imported: Import) -> None:
    model, x = image(1, 64)
    made = model.node("Gemm", x, model.weight(64, 64), x, name="g")
    assert faults(lambda: imported(model, made)) == ["'g' (Gemm) has a computed bias (must be constant)"]


def test_the_package_says_why_a_shape_cannot_be_inferred(imported: Import) -> None:
    model, x = image()
    (fault,) = faults(lambda: imported(model, model.node("Add", x, model.weight(8, 5, 5), name="a")))
    assert fault.startswith("'a' (Add) makes 'add_2', whose shape can't be inferred: ")
    assert "Incompatible dimensions" in fault


def test_names_are_unique_and_sensible(imported: Import) -> None:
    model, x = image()
    weight = model.weight(8, 8, 1, 1)
    y = model.node("Conv", x, weight, name="/block/conv/")
    y = model.node("Conv", y, weight, name="/block/conv\n")
    y = model.node("Conv", y, weight)
    y = model.node("Conv", y, weight)
    model.nodes[-1].output[0] = "17"
    assert [layer.name for layer in imported(model, "17").network.layers] == [
        "block/conv",
        "block/conv_2",
        "conv_4",
        "Conv_17",
    ]


def test_what_leads_to_no_output_is_left_out(imported: Import) -> None:
    model, x = image()
    model.node("Conv", x, model.weight(8, 8, 1, 1))
    foreign(model, x, "dead")
    assert kinds(imported(model, model.node("Sigmoid", x)).network) == ["ptp"]


def test_a_model_may_end_before_what_is_not_supported(imported: Import) -> None:
    model, x = image()
    weight = model.weight(8, 8, 1, 1)
    left, right = (model.node("Conv", x, weight, name=name) for name in ("/left", "/right"))
    model.output(foreign(model, model.node("Concat", left, right, axis=2, name="/boxes"), "nms"))
    assert [layer.name for layer in imported(model, ends=("/left", right)).network.layers] == ["left", "right"]
    assert [layer.name for layer in imported(model, ends=("right",)).network.layers] == ["right"]
    assert faults(lambda: imported(model, ends=("/rigth",))) == [
        "--end /rigth: the model has no node or tensor of this name; did you mean '/right'?"
    ]


def test_an_output_that_is_an_input_is_copied(imported: Import) -> None:
    model, x = image()
    assert kinds(imported(model, model.node("Relu", x)).network) == ["ptp"]
