"""Operators that stand for several others: ONNX Runtime's optimiser makes them. Each is imported as those others."""

from collections.abc import Sequence

from soma_cp.model.data_types import data_type
from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.graph import Node
from soma_cp.model.network.onnx_import.node_import import NodeImport
from soma_cp.model.network.onnx_import.operators.elementwise import (
    combination,
    combined,
    free,
    function_of,
    operands_of,
    vector,
)
from soma_cp.model.network.onnx_import.operators.matrices import gemm, matmul
from soma_cp.model.network.onnx_import.operators.parts import gather, parts
from soma_cp.model.network.onnx_import.operators.registry import (
    OPERATORS,
    Channels,
    Extents,
    Facts,
    Signature,
    channels_of,
    operator,
)
from soma_cp.model.network.onnx_import.operators.shape_rules import (
    channels_first,
    channels_last,
    same_as,
    sum_onto_first,
)
from soma_cp.model.network.onnx_import.operators.steps import Step, made_by
from soma_cp.model.network.onnx_import.operators.windows import convolution, pooling
from soma_cp.model.network.onnx_import.values import Side, Value

_NORMALISATION = "`eltwise` and `ptp`"


# Normalisation after a sum


@operator(
    "com.microsoft.SkipLayerNormalization",
    _NORMALISATION,
    Facts(channels=Channels.LAST, shapes=sum_onto_first(1, 3)),
)
def skip_layer_normalisation(node: NodeImport) -> None:
    """Layer normalisation of a sum, which is the fourth output."""
    node.check_constant((2, 3, 4), "computed parameters")
    _normalise_sum(node, (0, 1), 3)


@operator(
    "com.microsoft.SkipSimplifiedLayerNormalization",
    _NORMALISATION,
    Facts(channels=Channels.LAST, shapes=sum_onto_first(1, 3)),
)
def skip_simplified_layer_normalisation(node: NodeImport) -> None:
    """Normalisation by the root mean square of a sum, which is the fourth output."""
    node.check_constant((2, 3), "computed parameters")
    _normalise_sum(node, (0, 1), 3)


@operator(
    "com.microsoft.SkipGroupNorm",
    _NORMALISATION,
    Facts(channels=Channels.FIRST, channels_last=1, shapes=sum_onto_first(3, 1)),
)
def skip_group_normalisation(node: NodeImport) -> None:
    """Group normalisation of a sum, which is the second output."""
    node.check_constant((1, 2, 4), "computed parameters")
    _normalise_sum(node, (0, 3), 1)


def _normalise_sum(node: NodeImport, places: Sequence[int], sum_output: int) -> None:
    shape = node.out_shape()
    total = combined(node, operands_of(node, places, shape), shape, "sum")
    node.give(total, sum_output)
    node.give(function_of(node, [total], shape))


def _embedded_shapes(signature: Signature) -> Sequence[Extents | None]:
    places, table = signature.shape(0, 2), signature.shape(2, 2)
    shape = (*places, table[1])
    return [shape, places[:1], shape]


@operator(
    "com.microsoft.EmbedLayerNormalization",
    "`ptp` for each table on an external input of the rows that are looked up, `eltwise` sums, and `ptp`",
    Facts(channels=Channels.LAST, table=2, typed_by=(2,), shapes=_embedded_shapes),
)
def embed_layer_normalisation(node: NodeImport) -> None:
    """Layer normalisation of the sum of embeddings of words, segments and positions; the third output is the sum."""
    node.check_constant((2, 3, 4, 5, 6), "computed parameters")
    shape = node.out_shape()
    total = made_by(gather, Step(node, (2, 0), "words", attributes={}))
    if node.has(1) and node.has(4):
        segments = made_by(gather, Step(node, (4, 1), "segments", attributes={}))
        total = combined(node, [total, segments], shape, "with_segments")
    if node.is_computed(8):
        positions = made_by(gather, Step(node, (3, 8), "positions", attributes={}))
        total = combined(node, [total, positions], shape, "sum")
    else:
        total = combined(node, operands_of(node, (3,), shape, given=[total]), shape, "sum")
    node.give(total, 2)
    node.give(Side(()), 1)
    node.give(function_of(node, [total], shape))


# Activations with a bias


@operator("com.microsoft.BiasSoftmax", "`ptp`, after an `eltwise` for a computed bias", Facts(shapes=sum_onto_first(1)))
def bias_softmax(node: NodeImport) -> None:
    """Softmax of a sum."""
    shape = node.out_shape()
    total = combined(node, operands_of(node, (0, 1), shape), shape, "sum")
    node.give(function_of(node, [total], shape))


@operator("com.microsoft.BiasAdd", "`eltwise`", Facts(channels=Channels.LAST, shapes=sum_onto_first(2)))
def bias_add(node: NodeImport) -> None:
    """The sum of two tensors and a bias."""
    node.check_constant((1,), "computed parameters")
    node.give(made_by(combination, Step(node, (0, 2))))


def _half_shape(signature: Signature) -> Sequence[Extents | None]:
    *places, width = signature.shape(0)
    if width % 2:
        raise UnsupportedError(f"its last axis has {width} elements (must be even)")
    return [(*places, width // 2)]


@operator(
    "com.microsoft.BiasSplitGelu",
    "`ptp` of one half of the channels, and `eltwise` with the other",
    Facts(channels=Channels.LAST, shapes=_half_shape),
)
def bias_split_gelu(node: NodeImport) -> None:
    """One half of the channels times the GELU of the other half."""
    node.check_constant((1,), "computed parameters")
    shape = node.out_shape()
    kept, gate = parts(node, node.tensor(0), len(shape) - 1, [shape[-1]] * 2)
    gate = node.state.settled(made_by(vector, Step(node, [gate], "gelu", shape=shape)))
    node.give(combined(node, [kept, gate], shape))


# Matrix multiplications


def _transposed(node: Node, place: int, rank: int) -> Sequence[int]:
    """Return the order in which an operand's axes are multiplied.

    ``transBatch…`` brings the first axis behind the next ones, up to the last two; then ``trans…`` swaps the last two.
    """
    if rank < 2:
        return range(rank)
    letter = "AB"[place]
    order = list(range(rank))
    if node.attributes.get(f"transBatch{letter}", 0):
        order = [*order[1:-1], 0, order[-1]]
    if node.attributes.get(f"trans{letter}", 0):
        order[-2:] = order[:-3:-1]
    return order


@operator(
    "com.microsoft.FusedMatMul com.microsoft.TransposeMatMul com.microsoft.FusedMatMulActivation",
    "like MatMul, and `ptp` for an activation",
    Facts(channels=Channels.LAST, weights=(0, 1), shapes=same_as("MatMul", 0, 1, orders=_transposed)),
)
def fused_matmul(node: NodeImport) -> None:
    """Matrix multiplication with a scale and an activation; its operands may be transposed."""
    orders = {}
    for place in (0, 1):
        rank = len(node.shape(place))
        order = _transposed(node.node, place, rank)
        if list(order) != list(range(rank)):
            orders[place] = order
    node.give(_activated(node, made_by(matmul, Step(node, (0, 1), orders=orders))))


@operator(
    "com.microsoft.GemmFloat8",
    "like Gemm, and `ptp` for an activation",
    Facts(channels=Channels.LAST, weights=(0, 1), makes=data_type("fp32"), shapes=same_as("Gemm", 0, 1)),
)
@operator(
    "com.microsoft.FusedGemm",
    "like Gemm, and `ptp` for an activation",
    Facts(channels=Channels.LAST, weights=(0, 1), shapes=same_as("Gemm", 0, 1)),
)
def fused_gemm(node: NodeImport) -> None:
    """Matrix multiplication with a bias and an activation."""
    node.give(_activated(node, made_by(gemm, Step(node, (0, 1, 2)))))


@operator(
    "com.microsoft.GemmFastGelu",
    "like MatMul, and `ptp`",
    Facts(channels=Channels.LAST, weights=(0, 1), shapes=same_as("MatMul", 0, 1)),
)
def gemm_fast_gelu(node: NodeImport) -> None:
    """Matrix multiplication with a bias and a GELU."""
    node.check_bias(2)
    product = made_by(matmul, Step(node, (0, 1)))
    node.give(function_of(node, [product], node.out_shape(), "gelu"))


def _activated(node: NodeImport, value: Value) -> Value:
    """Return the activation that a fused operator names, of what it computes."""
    name = str(node.attribute("activation", "") or "")
    if not name:
        return value
    known = OPERATORS.get(name)
    if known is None or known.importer not in (free, vector):
        raise UnsupportedError(f"has the activation '{name}', which is not known (must be a function of one tensor)")
    return made_by(known.importer, Step(node, [value], name.lower(), shape=node.out_shape()))


# Convolution and pooling

_FUSED_CONV = "like Conv, then `eltwise` for the fourth input and `ptp` for an activation"


@operator(
    "com.microsoft.FusedConv",
    _FUSED_CONV,
    Facts(channels=Channels.FIRST, weights=(1,), shapes=same_as("Conv", 0, 1)),
)
@operator(
    "com.microsoft.NhwcConv com.microsoft.NhwcFusedConv",
    _FUSED_CONV,
    Facts(channels=Channels.LAST_OF_IMAGE, weights=(1,), shapes=same_as("Conv", 0, 1)),
)
def fused_convolution(node: NodeImport) -> None:
    """Convolution, to which the fourth input is added, with an activation."""
    shape = node.out_shape()
    made = made_by(convolution, windowed(node, (0, 1, 2)))
    if node.has(3):
        made = combined(node, operands_of(node, (3,), shape, given=[made]), shape, "sum")
    node.give(_activated(node, made))


@operator("com.microsoft.NhwcMaxPool", "`pool`", Facts(channels=Channels.LAST_OF_IMAGE, shapes=same_as("MaxPool", 0)))
def max_pooling_channels_last(node: NodeImport) -> None:
    """Pooling of an image with channels last."""
    node.give(made_by(pooling, windowed(node, (0,))))


def windowed(node: NodeImport, operands: Sequence[int]) -> Step:
    """Return a step that slides a window over the first operand; it has the channels first."""
    if channels_of(node.node) is not Channels.LAST_OF_IMAGE:
        return Step(node, operands)
    rank = len(node.shape(0))
    return Step(node, operands, orders={0: channels_first(rank)}, result=channels_last(rank))
