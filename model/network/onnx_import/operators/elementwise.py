"""Operators that work element by element or within a row.

Operations that are linear up to a comparison (bias, scale, batch normalisation, ReLU, clipping, masks) are part of the
layer that makes or reads the fmap, as in the built-in networks. Any other function of one tensor becomes one `ptp`
layer, even if many nodes express it. An operation on several computed tensors becomes an `eltwise` layer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import prod
from shlex import quote

from soma_cp.model.data_types import INT8
from soma_cp.model.network.layers import Eltwise, Pool
from soma_cp.model.network.onnx_import.enlarging import enlarged
from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.node_import import NodeImport
from soma_cp.model.network.onnx_import.operators.registry import Channels, Facts, Meaning, operator
from soma_cp.model.network.onnx_import.options import is_named_like_mask
from soma_cp.model.network.onnx_import.regrouping import aligned, is_aligned
from soma_cp.model.network.onnx_import.values import Function, Side, Tensor, Value, is_reduced, side_of
from soma_cp.model.network.onnx_import.views import batch_of, raised, shape_of, size

_PART = "part of the layer before it, or of those that read it"
_COMBINATION = "with a constant or a mask, part of a layer; of several tensors, `eltwise`"
_GENERAL = "with a constant, `ptp` like the others of one tensor; of several tensors, `eltwise`"
_PTP = "`ptp`; all arithmetic that begins and ends in one tensor is one"


@operator("BatchNormalization", _PART, Facts(channels=Channels.FIRST))
@operator("com.microsoft.QuantizeLinear", _PART, Facts(typed_by=(2,), makes=INT8, keeps_shape=True))
@operator(
    "com.microsoft.DequantizeLinear", _PART, Facts(meaning=Meaning.DEQUANTISATION, typed_by=(1,), keeps_shape=True)
)
@operator("DequantizeLinear", _PART, Facts(meaning=Meaning.DEQUANTISATION))
@operator(
    "Identity Dropout Cast CastLike Relu LeakyRelu PRelu Clip ThresholdedRelu HardSigmoid Abs Neg Sign Floor Ceil "
    "Round Not QuantizeLinear Shrink IsNaN IsInf",
    _PART,
)
def free(node: NodeImport) -> None:
    """A function of one tensor, linear up to a comparison; all other inputs are constant."""
    _check_parameters(node)
    node.give(node.value(0))


@operator(
    "Gelu Mish Swish MeanVarianceNormalization com.microsoft.Gelu com.microsoft.QuickGelu",
    _PTP,
    Facts(keeps_shape=True),
)
@operator(
    "LayerNormalization RMSNormalization SimplifiedLayerNormalization com.microsoft.FastGelu com.microsoft.BiasGelu",
    _PTP,
    Facts(channels=Channels.LAST, keeps_shape=True),
)
@operator("GroupNormalization", _PTP, Facts(channels=Channels.FIRST, keeps_shape=True))
@operator("com.microsoft.GroupNorm", _PTP, Facts(channels=Channels.FIRST, channels_last=1, keeps_shape=True))
@operator("LRN InstanceNormalization", _PTP, Facts(channels=Channels.FIRST))
@operator("Softmax LogSoftmax Hardmax", _PTP, Facts(meaning=Meaning.SOFTMAX))
@operator(
    "Sigmoid Tanh Erf Exp Log Sqrt Reciprocal Elu Selu Celu Softplus Softsign HardSwish Sin Cos LpNormalization",
    _PTP,
)
def vector(node: NodeImport) -> None:
    """A function of one tensor; all other inputs are constant."""
    _check_parameters(node)
    node.give(function_of(node, [node.value(0)], node.out_shape()))


@operator("RotaryEmbedding com.microsoft.RotaryEmbedding", _PTP, Facts(channels=Channels.LAST, keeps_shape=True))
def rotary_embedding(node: NodeImport) -> None:
    """A rotation within every head; sines and cosines are left out."""
    leave_out(node, range(1, len(node.inputs)), "sines and cosines of positions")
    node.give(function_of(node, [node.value(0)], node.out_shape()))


@operator("DynamicQuantizeLinear", _PART)
def dynamic_quantisation(node: NodeImport) -> None:
    """Quantisation that computes its own scale and zero point, which are too small to count."""
    node.give(node.value(0))
    for place in (1, 2):
        node.give(Side(()), place)


def _check_parameters(node: NodeImport) -> None:
    """Refuse computed parameters; those computed from masks and indices alone are none."""
    computed = [place for place in range(1, len(node.inputs)) if node.is_computed(place)]
    node.check_constant((place for place in computed if not isinstance(node.value(place), Side)), "computed parameters")


def leave_out(node: NodeImport, places: Iterable[int], what: str) -> None:
    """Note the computed data among these inputs, which no layer loads; indices and masks have a note of their own."""
    computed = [place for place in places if node.is_computed(place)]
    if any(not isinstance(node.value(place), Side) for place in computed):
        node.note(f"{what} are computed or read from outside; they are left out")


@operator("Add Sub Sum", _COMBINATION, Facts(meaning=Meaning.SUM))
@operator("Mul Div Max Min Mean", _COMBINATION)
def combination(node: NodeImport) -> None:
    """An operation on several operands, some of which may be constant."""
    places, shape = range(len(node.inputs)), node.out_shape()
    node.give(combined(node, operands_of(node, places, shape), shape))


@operator("Where", _COMBINATION, Facts(meaning=Meaning.CHOICE))
def selection(node: NodeImport) -> None:
    """A choice between two operands by a mask; constants of any size are part of a layer."""
    places, shape = range(len(node.inputs)), node.out_shape()
    node.give(combined(node, operands_of(node, places, shape, with_constants=False), shape))


@operator("Pow Mod", _GENERAL)
@operator("Equal Greater GreaterOrEqual Less LessOrEqual And Or Xor", _GENERAL, Facts(meaning=Meaning.CHOICE))
def general_combination(node: NodeImport) -> None:
    """An operation beyond a multiplication by a constant."""
    places, shape = range(len(node.inputs)), node.out_shape()
    node.give(function_of(node, operands_of(node, places, shape), shape))


def operands_of(
    node: NodeImport,
    places: Iterable[int],
    shape: tuple[int, ...],
    given: Sequence[Value] = (),
    with_constants: bool = True,
) -> list[Value]:
    """Return the computed operands of an operation.

    Parameters
    ----------
    node
        The node.
    places
        Its inputs that are operands.
    shape
        The shape of the result.
    given
        Operands that are not inputs of the node; they come first.
    with_constants
        Whether a constant as large as the result is an operand: an external input.
    """
    values = list(given)
    given_places = [place for place in places if node.has(place)]
    constants = [place for place in given_places if node.is_constant(place)]
    values += [node.value(place) for place in given_places if place not in constants]
    values = _masks_left_out(node, values, prod(shape))
    real = [value for value in values if not isinstance(value, Side)]
    if len(real) == 1 and with_constants:
        like = real[0].of if isinstance(real[0], Function) else real[0]
        if isinstance(like, Tensor) and any(prod(node.shape(place)) >= _size_of(like) for place in constants):
            like = node.state.settled(like)
            values = [like if value is real[0] and isinstance(value, Tensor) else value for value in values]
        for place in constants:
            if isinstance(like, Tensor) and _has_value_for_every_element(node, place, like):
                name = node.layers.add_constant(node.inputs[place], like.shape, like.view)
                values.append(Tensor((name,), like.shape, like.view))
    return [_raised(value, len(shape)) for value in values]


def _masks_left_out(node: NodeImport, values: list[Value], size: int) -> list[Value]:
    """Return the operands with a mask in place of each input that is smaller than the result; note them."""
    if not any(_size_of(value.of if isinstance(value, Function) else value) == size for value in _tensors(values)):
        return values
    left: list[Value] = []
    for value in values:
        if isinstance(value, Tensor) and _size_of(value) < size and _is_mask(node, value):
            left.append(_left_out(node, value))
        else:
            left.append(value)
    return left


def _left_out(node: NodeImport, mask: Tensor) -> Side:
    """Return what stands for a mask, and note it."""
    listed = ", ".join(f"'{name}'" for name in mask.sources)
    node.note(
        f"{listed}, smaller than what it is combined with, is taken for a mask and left out; if it is data, "
        f"say --input {quote(mask.sources[0])}=data"
    )
    node.state.taken_for_masks.update(mask.sources)
    return Side(mask.sources)


def _tensors(values: Sequence[Value]) -> list[Tensor | Function]:
    return [value for value in values if isinstance(value, Tensor | Function)]


def _raised(value: Value, rank: int) -> Value:
    """Return an operand with as many axes as the result; a reduced one gets them when its shape is restored."""
    if isinstance(value, Tensor):
        return replace(value, view=raised(value.view, rank))
    if isinstance(value, Function) and not value.reduced:
        return replace(value, of=replace(value.of, view=raised(value.of.view, rank)))
    return value


def _has_value_for_every_element(node: NodeImport, place: int, like: Tensor) -> bool:
    """Whether a constant is loaded like an fmap: it differs by channel, row and column."""
    channels, rows, columns = like.shape
    return rows * columns > 1 and prod(node.shape(place)) >= channels * rows * columns


def combined(node: NodeImport, operands: Sequence[Value], shape: tuple[int, ...], step: str = "") -> Value:
    """Return a sum, product or the like: the computed operand if it is the only one and has the result's size.

    Parameters
    ----------
    node
        The node.
    operands
        The computed operands.
    shape
        The shape of the result.
    step
        What the result is within the node, for the name of its layer; empty if it is the result of the whole node.
    """
    real = [value for value in operands if not isinstance(value, Side)]
    only = real[0] if len(real) == 1 else None
    moved = only.part if isinstance(only, Function) and not only.computes else only
    if only is not None and isinstance(moved, Tensor) and _size_of(moved) == prod(shape):
        return only
    return function_of(node, operands, shape, step)


def function_of(node: NodeImport, operands: Sequence[Value], shape: tuple[int, ...], step: str = "") -> Value:
    """Return a function of one tensor, or an element-wise combination of several (parameters like `combined`)."""
    real = [value for value in operands if not isinstance(value, Side)]
    if not real:
        return side_of(operands)
    name, origin = (f"{node.name}_{step}", f"{node.outputs[0]}/{step}") if step else (node.name, node.outputs[0])
    whole_ones = [value for value in real if not is_reduced(value)]
    bases = {node.base(value).sources for value in real}
    views = {node.base(value).view for value in whole_ones}
    if len(bases) == 1 and len(views) <= 1:
        base = node.base((whole_ones or real)[0])
        if whole_ones and prod(shape_of(base.view)) < prod(shape):
            base = enlarged(node.layers, node.state.settled(whole_ones[0]), shape, name)
        parts = {value.part for value in real if isinstance(value, Function)}
        part = parts.pop() if len(parts) == 1 and not whole_ones else None
        return Function(base, name, origin, not whole_ones, part)
    tensors = list(dict.fromkeys(node.state.settled(value) for value in real))
    full = [tensor for tensor in tensors if _size_of(tensor) == prod(shape)]
    if not full:
        raise UnsupportedError("has no operand of the shape of its result (one must be)")
    operands_left = [tensor for tensor in tensors if tensor in full or not _is_mask(node, tensor)]
    for tensor in tensors:
        if tensor not in operands_left:
            _left_out(node, tensor)
    if len(operands_left) == 1:
        return full[0]
    like = min(full, key=lambda tensor: sum(not is_aligned(node.layers, other, tensor) for other in operands_left))
    sources = [node.layers.joined(aligned(node.layers, tensor, like, name)) for tensor in operands_left]
    K, H, W = like.shape
    made = node.layers.add(Eltwise, name, sources, N=len(sources), K=K, H=H, W=W)
    return Tensor(made, like.shape, like.view)


def _is_mask(node: NodeImport, tensor: Tensor) -> bool:
    """Whether a smaller operand that comes directly from inputs of the graph is a mask, or a single number."""
    state = node.state
    if not all(node.layers.is_input(name) for name in tensor.sources) or state.is_data(tensor.sources):
        return False
    named = any(is_named_like_mask(name) for name in tensor.sources)
    return named or node.outputs[0] in state.mask_uses or prod(tensor.shape) == 1


def _size_of(tensor: Tensor) -> int:
    """Return the number of elements of the ONNX tensor."""
    return prod(shape_of(tensor.view))


@operator(
    "ReduceMean ReduceSum ReduceMax ReduceMin ReduceL1 ReduceL2 ReduceSumSquare ReduceProd ReduceLogSumExp",
    "over rows and columns `pool`; over channels only as a step of a `ptp`",
)
def reduction(node: NodeImport) -> None:
    """A mean, sum, maximum or the like over some axes."""
    value = node.value(0)
    if isinstance(value, Side):
        node.give(value)
        return
    rank = len(node.shape())
    axes = node.numbers("axes", 1)
    if not axes and node.attribute("noop_with_empty_axes", 0):
        node.give(value)
        return
    reduced = sorted({axis % rank for axis in (axes or range(rank))})
    keeps = node.attribute("keepdims", 1) == 1
    base = node.base(value)
    if is_reduced(value) and len(base.view) != rank:
        raise UnsupportedError("reduces a reduction that has lost axes (must have kept them: keepdims=1)")
    if all(size(base.view[axis]) == 1 for axis in reduced) and isinstance(value, Tensor):
        kept = [axis for place, axis in enumerate(base.view) if place not in reduced or keeps]
        node.give(Tensor(base.sources, base.shape, tuple(kept)))
        return
    atoms = [atom for axis in reduced for atom in base.view[axis]]
    if batch_of(atoms):
        raise UnsupportedError("reduces over the batch")
    dims = {atom.dim for atom in atoms}
    spatial = dims <= {"H", "W"} and size(atoms) == prod(base.shape["CHW".index(dim)] for dim in dims)
    if not spatial:
        node.give_function(base, reduced=True)
        return
    tensor = node.state.settled(value)
    K, rows, columns = tensor.shape
    R, S = (rows if "H" in dims else 1), (columns if "W" in dims else 1)
    H, W = rows // R, columns // S
    sources = node.layers.add(Pool, node.name, tensor.sources, K=K, R=R, S=S, H=H, W=W, sH=R, sW=S)
    view = tuple(
        () if place in reduced else axis for place, axis in enumerate(tensor.view) if place not in reduced or keeps
    )
    node.give(Tensor(sources, (K, H, W), view))
