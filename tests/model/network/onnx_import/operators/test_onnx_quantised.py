"""Quantised operators are imported as those that they stand for; scales and zero points cost nothing."""

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from support.onnx_figures import figures, products, weights
from support.onnx_figures import stored as outputs
from support.onnx_imports import Import, faults, only
from support.onnx_models import Model

from soma_cp.model.network.layers import Conv, Eltwise, FullyConnected, GroupConv, PointToPoint, Pool

MICROSOFT = "com.microsoft"


def quantised(model: Model, operator: str, *inputs: str, **attributes: Any) -> Any:
    return model.node(operator, *inputs, domain=MICROSOFT, **attributes)


def scale(model: Model) -> list[str]:
    """A scale and a zero point."""
    return [model.scalar(0.5), model.constant(3, np.uint8)]


def matrix(model: Model, *dims: int) -> str:
    """Weights of a byte each."""
    value = helper.make_tensor("value", TensorProto.UINT8, [1], [0])
    return str(model.node("ConstantOfShape", model.constant(dims), value=value))


def tokens(model: Model, width: int = 64) -> str:
    return model.input("x", [1, 12, width], TensorProto.UINT8)


def image(model: Model, *dims: int, name: str = "x") -> str:
    return model.input(name, [1, *dims], TensorProto.UINT8)


# Weights of a few bits


@pytest.mark.parametrize(
    ("operator", "attributes", "packed"),
    [
        ("MatMulNBits", {"bits": 4, "block_size": 32}, 2_097_152),
        ("MatMulNBits", {"bits": 8, "block_size": 32}, 4_194_304),
        ("MatMulBnb4", {"block_size": 64, "quant_type": 1}, 2_097_152),
    ],
)
def test_weights_of_a_few_bits_count_a_byte_each(
    imported: Import, operator: str, attributes: dict[str, int], packed: int
) -> None:
    """128 tokens, 1024 channels to 4096; the note says what the packed weights take."""
    model = Model()
    x = model.input("x", [1, 128, 1024])
    inputs = [x, model.weight(4096, 32, 16), model.weight(4096 * 32)]
    made = quantised(model, operator, *inputs, name="project", K=1024, N=4096, **attributes)
    result = imported(model, made)
    assert only(result.network) == Conv(name="project", C=1024, K=4096, H=128, W=1, inputs=("x",))
    assert products(result.network) == (536_870_912, 0)
    assert weights(result.network) == 4_194_304
    assert outputs(result.network) == {"project": (4096, 128, 1)}
    assert result.notes == (
        f"'project' (com.microsoft.{operator}): 1024×4096 weights of {attributes.get('bits', 4)} bits count as one "
        f"byte each, 4194304 bytes, since all data is INT8; packed they are {packed} bytes",
    )


def test_packed_weights_must_fit_the_input(imported: Import) -> None:
    model = Model()
    made = quantised(model, "MatMulNBits", tokens(model), model.weight(8, 1, 16), name="m", K=32, N=8, bits=4)
    assert faults(lambda: imported(model, made)) == [
        f"'m' (com.microsoft.MatMulNBits) makes '{made}', whose shape can't be inferred: "
        "its input has 64 channels, and its weights 32 (must be the same)"
    ]


# Matrix multiplications


def matmul_inputs(model: Model, operator: str) -> list[str]:
    x, stored = tokens(model), model.weight(64, 32)
    return {
        "MatMulInteger16": [x, stored],
        "MatMulIntegerToFloat": [x, stored, *scale(model), *scale(model), model.weight(32)],
        "DynamicQuantizeMatMul": [x, stored, *scale(model), model.weight(32)],
    }[operator]


@pytest.mark.parametrize("operator", ["MatMulInteger16", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"])
def test_quantised_matrix_multiplications(imported: Import, operator: str) -> None:
    model = Model()
    network = imported(model, quantised(model, operator, *matmul_inputs(model, operator), name="m")).network
    assert only(network) == Conv(name="m", C=64, K=32, H=12, W=1, inputs=("x",))
    assert (products(network), weights(network)) == ((12 * 64 * 32, 0), 64 * 32)


def test_quantised_matmul_of_onnx(imported: Import) -> None:
    model = Model()
    operands = [tokens(model), *scale(model), matrix(model, 64, 32), *scale(model)]
    network = imported(model, model.node("QLinearMatMul", *operands, *scale(model), name="m")).network
    assert only(network) == Conv(name="m", C=64, K=32, H=12, W=1, inputs=("x",))


@pytest.mark.parametrize("transposed", [0, 1])
def test_quantised_gemm(imported: Import, transposed: int) -> None:
    model = Model()
    x = model.input("x", ["batch", 64], TensorProto.UINT8)
    stored = model.weight(10, 64) if transposed else model.weight(64, 10)
    made = quantised(
        model,
        "QGemm",
        *(x, *scale(model), stored, *scale(model), model.weight(10), *scale(model)),
        name="g",
        transB=transposed,
    )
    network = imported(model, made).network
    assert only(network) == FullyConnected(name="g", C=64, K=10, inputs=("x",))


# Windows


def convolution_inputs(model: Model, x: str, *dims: int) -> list[str]:
    return [x, *scale(model), matrix(model, *dims), *scale(model), *scale(model)]


@pytest.mark.parametrize("last", [0, 1])
def test_quantised_convolution(imported: Import, last: int) -> None:
    """16 channels, 8 rows, 6 columns: the same layer with the channels last."""
    model = Model()
    x = image(model, *((8, 6, 16) if last else (16, 8, 6)))
    made = quantised(
        model,
        "QLinearConv",
        *convolution_inputs(model, x, 32, 8, 3, 3),
        name="c",
        group=2,
        pads=[1] * 4,
        channels_last=last,
    )
    network = imported(model, made).network
    assert only(network) == GroupConv(name="c", C=16, K=32, G=2, R=3, S=3, H=8, W=6, inputs=("x",))
    assert (products(network), weights(network)) == ((8 * 6 * 32 * 8 * 9, 0), 32 * 8 * 9)


def test_quantised_convolution_of_onnx(imported: Import) -> None:
    model = Model()
    made = model.node("QLinearConv", *convolution_inputs(model, image(model, 16, 8, 6), 32, 16, 1, 1), name="c")
    assert only(imported(model, made).network) == Conv(name="c", C=16, K=32, H=8, W=6, inputs=("x",))


@pytest.mark.parametrize("last", [0, 1])
def test_quantised_pooling(imported: Import, last: int) -> None:
    model = Model()
    x = image(model, *((9, 6, 16) if last else (16, 9, 6)))
    layout = {"channels_last": last}
    made = quantised(
        model,
        "QLinearAveragePool",
        *(x, *scale(model), *scale(model)),
        name="a",
        kernel_shape=[3, 2],
        strides=[2, 2],
        ceil_mode=1,
        **layout,
    )
    made = quantised(model, "QLinearGlobalAveragePool", made, *scale(model), *scale(model), name="g", **layout)
    network = imported(model, made).network
    assert network.layers == (
        Pool(name="a", K=16, R=3, S=2, H=4, W=3, sH=2, sW=2, inputs=("x",)),
        Pool(name="g", K=16, R=4, S=3, H=1, W=1, sH=4, sW=3, ifmaps=("a",)),
    )
    assert outputs(network) == {"g": (16, 1, 1)}


# Element by element


@pytest.mark.parametrize("operator", ["QLinearAdd", "QLinearMul"])
def test_quantised_sums_and_products(imported: Import, operator: str) -> None:
    model = Model()
    both = [image(model, 16, 8, 6), image(model, 16, 8, 6, name="y")]
    inputs = [name for x in both for name in (x, *scale(model))] + scale(model)
    network = imported(model, quantised(model, operator, *inputs, name="s")).network
    assert only(network) == Eltwise(name="s", N=2, K=16, H=8, W=6, inputs=("x", "y"))


def test_a_quantised_product_with_a_vector_is_part_of_a_layer(imported: Import) -> None:
    model = Model()
    x = quantised(model, "QLinearConv", *convolution_inputs(model, image(model, 16, 8, 6), 16, 16, 1, 1), name="c")
    inputs = [x, *scale(model), model.weight(1, 16, 1, 1), *scale(model), *scale(model)]
    assert len(imported(model, quantised(model, "QLinearMul", *inputs)).network.layers) == 1


def test_a_quantised_concatenation(imported: Import) -> None:
    """16 and 8 channels; a convolution reads both."""
    model = Model()
    both = [image(model, 16, 8, 6), image(model, 8, 8, 6, name="y")]
    inputs = [*scale(model), *(name for x in both for name in (x, *scale(model)))]
    made = quantised(model, "QLinearConcat", *inputs, axis=1)
    made = quantised(model, "QLinearConv", *convolution_inputs(model, made, 4, 24, 1, 1), name="c")
    network = imported(model, made).network
    assert only(network) == Conv(name="c", C=24, K=4, H=8, W=6, inputs=("x", "y"))


def test_quantised_functions(imported: Import) -> None:
    """A leaky ReLU is part of the convolution; sigmoid and softmax are one ptp."""
    model = Model()
    x = quantised(model, "QLinearConv", *convolution_inputs(model, image(model, 16, 8, 6), 16, 16, 1, 1), name="c")
    x = quantised(model, "QLinearLeakyRelu", x, *scale(model), *scale(model), alpha=0.1)
    x = quantised(model, "QLinearSigmoid", x, *scale(model), *scale(model))
    x = quantised(model, "QLinearSoftmax", x, *scale(model), *scale(model), name="s", axis=1, opset=13)
    assert imported(model, x).network.layers[1:] == (PointToPoint(name="s", K=16, H=8, W=6, ifmaps=("c",)),)


def test_a_quantised_choice_by_a_mask(imported: Import) -> None:
    model = Model()
    x = quantised(model, "QLinearConv", *convolution_inputs(model, image(model, 16, 8, 6), 16, 16, 1, 1), name="c")
    mask = model.input("mask", [1, 1, 8, 6], TensorProto.BOOL)
    zero = [model.constant(0, np.uint8), *scale(model)]
    network = imported(model, quantised(model, "QLinearWhere", mask, x, *scale(model), *zero, *scale(model))).network
    assert [layer.name for layer in network.layers] == ["c"]


def test_quantisation_of_sixteen_bits_is_free(imported: Import) -> None:
    """ONNX Runtime's own QuantizeLinear and DequantizeLinear, as ONNX's."""
    model, other = Model(), Model()
    made = []
    for m, domain in ((model, MICROSOFT), (other, "")):
        x = m.node("Conv", m.input("x", [1, 3, 8, 8]), m.weight(16, 3, 1, 1))
        q = m.node("QuantizeLinear", x, *scale(m), domain=domain)
        made.append(m.node("Sigmoid", m.node("DequantizeLinear", q, *scale(m), domain=domain)))
    assert figures(imported(model, made[0]).network) == figures(imported(other, made[1]).network)
