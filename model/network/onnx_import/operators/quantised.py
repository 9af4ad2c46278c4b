"""Quantised operators: each is imported as the one that it stands for; the scales of what is computed cost nothing."""

from collections.abc import Sequence
from functools import partial

from soma_cp.model.data_types import DATA_TYPES, INT8, data_type
from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.graph import Node
from soma_cp.model.network.onnx_import.node_import import NodeImport
from soma_cp.model.network.onnx_import.operators.elementwise import combination, free, selection, vector
from soma_cp.model.network.onnx_import.operators.fused import windowed
from soma_cp.model.network.onnx_import.operators.matrices import gemm, matmul, multiplied_by_weights
from soma_cp.model.network.onnx_import.operators.parts import concat
from soma_cp.model.network.onnx_import.operators.registry import (
    Channels,
    Extents,
    Facts,
    Packed,
    Signature,
    enter,
    operator,
)
from soma_cp.model.network.onnx_import.operators.shape_rules import broadcast, same_as, same_as_of_every
from soma_cp.model.network.onnx_import.operators.steps import Step, made_by
from soma_cp.model.network.onnx_import.operators.windows import convolution, global_pooling, pooling
from soma_cp.model.network.onnx_import.options import Types

# Matrix multiplications


def _packed_sizes(node: Node) -> tuple[int, int, int]:
    """Return the rows and columns of packed weights, and the bits of each."""
    sizes = int(node.attributes["K"]), int(node.attributes["N"]), int(node.attributes.get("bits", 4))
    if min(sizes) < 1:
        raise UnsupportedError(f"weights are {sizes[0]}×{sizes[1]} of {sizes[2]} bits (must be 1 at least)")
    return sizes


def _in_few_bits(node: Node) -> Packed:
    """Return how whole numbers are packed; their zero points are packed alike, unless they have the scales' type."""
    bits = _packed_sizes(node)[2]
    kind = next((one for one in DATA_TYPES if not one.is_float and one.bits >= bits), INT8)
    return Packed(kind, _block(node))


def _in_few_floats(node: Node) -> Packed:
    """Return how floats of four bits are packed."""
    bits = _packed_sizes(node)[2]
    kind = next((one for one in DATA_TYPES if one.is_float and one.bits >= bits), INT8)
    return Packed(kind, _block(node))


def _block(node: Node) -> int:
    """Return how many weights of a kernel have one scale."""
    K, size = _packed_sizes(node)[0], node.attributes.get("block_size")
    return min(size, K) if isinstance(size, int) and size > 0 else K


def _packed_shape(signature: Signature) -> Sequence[Extents | None]:
    *places, width = signature.shape(0)
    K, N, _ = _packed_sizes(signature.node)
    if width != K:
        raise UnsupportedError(f"its input has {width} channels, and its weights {K} (must be the same)")
    return [(*places, N)]


_PACKED = "like MatMul"


@operator(
    "com.microsoft.MatMulNBits",
    _PACKED,
    Facts(channels=Channels.LAST, weights=(1,), scales=(2, 3), packed=_in_few_bits, shapes=_packed_shape),
)
@operator(
    "com.microsoft.MatMulBnb4",
    _PACKED,
    Facts(channels=Channels.LAST, weights=(1,), scales=(2,), packed=_in_few_floats, shapes=_packed_shape),
)
def packed_matmul(node: NodeImport) -> None:
    """Multiplication by weights of a few bits each, packed into bytes."""
    K, N, bits = _packed_sizes(node.node)
    node.check_constant((1,), "computed weights")
    node.check_bias(5)
    node.give(multiplied_by_weights(node, node.tensor(0), -1, N, node.shared_weights(1)))
    if node.state.options.types is Types.INT8:
        node.note(
            f"{K}×{N} weights of {bits} bits count as one byte each, {K * N} bytes, since all data is INT8; packed "
            f"they are {-(-K * N * bits // 8)} bytes"
        )


def _matmul_with_bias(place: int, node: NodeImport) -> None:
    """Import a multiplication with scales and zero points after the operands, and a bias at `place`."""
    node.check_bias(place)
    node.give(made_by(matmul, Step(node, (0, 1))))


enter(
    "com.microsoft.MatMulInteger16",
    "like MatMul",
    Facts(
        channels=Channels.LAST,
        weights=(0, 1),
        makes=data_type("int32"),
        shapes=same_as("MatMul", 0, 1),
    ),
    partial(_matmul_with_bias, 6),
)
enter(
    "com.microsoft.MatMulIntegerToFloat",
    "like MatMul",
    Facts(channels=Channels.LAST, weights=(0, 1), scales=(3, 5), typed_by=(2,), shapes=same_as("MatMul", 0, 1)),
    partial(_matmul_with_bias, 6),
)
enter(
    "com.microsoft.DynamicQuantizeMatMul",
    "like MatMul",
    Facts(channels=Channels.LAST, weights=(0, 1), scales=(2, 3), shapes=same_as("MatMul", 0, 1)),
    partial(_matmul_with_bias, 4),
)


@operator(
    "com.microsoft.QGemm",
    "like Gemm",
    Facts(
        channels=Channels.LAST,
        weights=(0, 3),
        scales=(4, 5),
        typed_by=(8, 1),
        quantised=True,
        shapes=same_as("Gemm", 0, 3),
    ),
)
def quantised_gemm(node: NodeImport) -> None:
    """Multiplication with a scale and a zero point after each operand, and a bias."""
    node.give(made_by(gemm, Step(node, (0, 3, 6))))


# Windows


@operator(
    "com.microsoft.QLinearConv",
    "like Conv",
    Facts(
        channels=Channels.FIRST,
        channels_last=0,
        weights=(3,),
        scales=(4, 5),
        typed_by=(7, 0),
        quantised=True,
        shapes=same_as("Conv", 0, 3),
    ),
)
def quantised_convolution_channels_last(node: NodeImport) -> None:
    """Convolution with scales and zero points among its inputs; an image may have channels last."""
    node.give(made_by(convolution, windowed(node, (0, 3, 8))))


@operator(
    "com.microsoft.QLinearAveragePool",
    "`pool`",
    Facts(channels=Channels.FIRST, channels_last=0, shapes=same_as("AveragePool", 0), quantised=True),
)
def quantised_pooling(node: NodeImport) -> None:
    """Pooling over windows."""
    node.give(made_by(pooling, windowed(node, (0,))))


@operator(
    "com.microsoft.QLinearGlobalAveragePool",
    "`pool` with one window",
    Facts(channels=Channels.FIRST, channels_last=0, shapes=same_as("GlobalAveragePool", 0), quantised=True),
)
def quantised_global_pooling(node: NodeImport) -> None:
    """Pooling over all rows and columns."""
    node.give(made_by(global_pooling, windowed(node, (0,))))


# Element by element


@operator(
    "com.microsoft.QLinearAdd com.microsoft.QLinearMul",
    "like Add and Mul",
    Facts(shapes=broadcast(0, 3), quantised=True),
)
def quantised_combination(node: NodeImport) -> None:
    """A sum or product with a scale and a zero point after each operand."""
    node.give(made_by(combination, Step(node, (0, 3))))


@operator("com.microsoft.QLinearWhere", "like Where", Facts(typed_by=(1,), quantised=True, shapes=broadcast(0, 1, 4)))
def quantised_selection(node: NodeImport) -> None:
    """A choice by a mask, with a scale and a zero point after each operand."""
    node.give(made_by(selection, Step(node, (0, 1, 4))))


@operator(
    "com.microsoft.QLinearConcat",
    "like Concat",
    Facts(typed_by=(1, 2), quantised=True, shapes=same_as_of_every("Concat", 2, 3)),
)
def quantised_concat(node: NodeImport) -> None:
    """Concatenation; every operand has a scale and a zero point after it, and the result has them first."""
    node.give(made_by(concat, Step(node, range(2, len(node.inputs), 3))))


@operator("com.microsoft.QLinearLeakyRelu", "like LeakyRelu", Facts(keeps_shape=True))
def quantised_free(node: NodeImport) -> None:
    """A function that is part of a layer."""
    node.give(made_by(free, Step(node, (0,))))


@operator("com.microsoft.QLinearSigmoid com.microsoft.QLinearSoftmax", "`ptp`", Facts(keeps_shape=True))
def quantised_vector(node: NodeImport) -> None:
    """A function of one tensor."""
    node.give(made_by(vector, Step(node, (0,))))
