"""Matrix multiplications: with weights, and of two computed tensors (attention)."""

from dataclasses import replace

from soma_cp.model.network.layers import Conv, FullyConnected, GroupConv
from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.node_import import NodeImport
from soma_cp.model.network.onnx_import.operators.registry import Channels, Facts, operator
from soma_cp.model.network.onnx_import.values import Tensor
from soma_cp.model.network.onnx_import.views import BATCH, Axis, View, numbered, raised, size, whole, without_batch


@operator(
    "MatMul MatMulInteger",
    "`conv` with the tokens on H, or `fc`; of two computed tensors `conv` or `group_conv`",
    Facts(channels=Channels.LAST, has_weights=True),
)
def matmul(node: NodeImport) -> None:
    """Multiplication over the last axis of the first operand and the second-last axis of the second."""
    _multiply(node, 0, 1)


@operator("QLinearMatMul", "like MatMul", Facts(channels=Channels.LAST))
def quantised_matmul(node: NodeImport) -> None:
    """Multiplication with scales and zero points among its inputs."""
    _multiply(node, 0, 3)


def _multiply(node: NodeImport, left: int, right: int) -> None:
    if node.is_constant(right):
        weights = node.shape(right)
        if any(extent > 1 for extent in weights[:-2]):
            raise UnsupportedError(f"has weights of shape {list(weights)} (must be one matrix)")
        made = multiplied_by_weights(node, node.tensor(left), -1, weights[-1] if len(weights) > 1 else 0)
        node.give(_of_rank(node, made))
    elif node.is_constant(left):
        weights = node.shape(left)
        if any(extent > 1 for extent in weights[:-2]):
            raise UnsupportedError(f"has weights of shape {list(weights)} (must be one matrix)")
        tensor = node.tensor(right)
        axis = -2 if len(tensor.view) > 1 else -1
        made = multiplied_by_weights(node, tensor, axis, weights[-2] if len(weights) > 1 else 0)
        node.give(_of_rank(node, made))
    else:
        node.give(multiplied_together(node, node.tensor(left), node.tensor(right)))


def _of_rank(node: NodeImport, made: Tensor) -> Tensor:
    """Return a product with the axes of one element that come from weights with more axes."""
    return replace(made, view=raised(made.view, len(node.out_shape())))


@operator("Gemm", "`fc`, or `conv` where there are several rows", Facts(channels=Channels.LAST, has_weights=True))
def gemm(node: NodeImport) -> None:
    """Multiplication of two matrices, either of which may be transposed first; the third is a bias."""
    node.check_bias(2)
    left_transposed, right_transposed = bool(node.attribute("transA", 0)), bool(node.attribute("transB", 0))
    if node.is_constant(1):
        channels = node.shape(1)[0 if right_transposed else 1]
        made = multiplied_by_weights(node, node.tensor(0), 0 if left_transposed else 1, channels)
        node.give(_swapped(made, left_transposed))
    elif node.is_constant(0):
        channels = node.shape(0)[1 if left_transposed else 0]
        made = multiplied_by_weights(node, node.tensor(1), 1 if right_transposed else 0, channels)
        node.give(_swapped(made, right_transposed))
    else:
        left, right = node.tensor(0), node.tensor(1)
        node.give(multiplied_together(node, _swapped(left, left_transposed), _swapped(right, right_transposed)))


def _swapped(tensor: Tensor, wanted: bool) -> Tensor:
    return replace(tensor, view=tensor.view[::-1]) if wanted else tensor


def multiplied_by_weights(node: NodeImport, tensor: Tensor, axis: int, made: int) -> Tensor:
    """Multiply along `axis` by weights.

    Parameters
    ----------
    node
        The node.
    tensor
        The tensor to multiply.
    axis
        The axis that is summed over; the result has its channels there.
    made
        Number of the result's channels; 0 for one channel without an axis.

    Raises
    ------
    UnsupportedError
        If the sum is over the batch, or no kind of layer brings the elements where they are needed.
    """
    axis %= len(tensor.view)
    _check_sum(tensor.view[axis])
    others = [place for place in range(len(tensor.view)) if place != axis]
    channels = without_batch(tensor.view[axis])
    rest = without_batch(atom for place in others for atom in tensor.view[place])
    C, rows, columns = tensor.shape
    K = made or 1
    made_axis = whole("C", K)
    if not rest and size(channels) == C * rows * columns:  # in any order: the weights' order is free
        kind = FullyConnected if len(tensor.view) <= 2 else Conv
        fields = {"C": C, "R": rows, "S": columns, "H": 1, "W": 1}
        sources = node.layers.add(kind, node.name, tensor.sources, K=K, **fields)
        shape, axes = (K, 1, 1), tensor.view
    elif channels == whole("C", C) and all(atom.dim in "HW" for atom in rest):
        sources = node.layers.add(Conv, node.name, tensor.sources, C=C, K=K, H=rows, W=columns)
        shape, axes = (K, rows, columns), tensor.view
    else:
        read = node.arranged(tensor, channels, rest)
        shape = (K, size(rest), 1)
        sources = node.layers.add(Conv, node.name, read, C=size(channels), K=K, H=shape[1], W=1)
        axes = _rows(tensor.view, axis)
    view = (*axes[:axis], *([made_axis] if made else []), *axes[axis + 1 :])
    return Tensor(sources, shape, view)


def _batch_size(view: View) -> int:
    return size(atom for axis in view for atom in axis if atom.dim == BATCH)


def _check_sum(axis: Axis) -> None:
    if _batch_size((axis,)) > 1:
        raise UnsupportedError("sums over the batch (must be within a sample)")


def _rows(view: View, without: int) -> View:
    """Return the axes as parts of the rows, except batch atoms and the axis `without`."""
    inner = [axis if place != without else () for place, axis in enumerate(view)]
    parts = numbered("H", [without_batch(axis) for axis in inner])
    batches = [tuple(atom for atom in axis if atom.dim == BATCH) for axis in view]
    return tuple((*batch, *part) for batch, part in zip(batches, parts, strict=True))


def multiplied_together(node: NodeImport, left: Tensor, right: Tensor) -> Tensor:
    """Multiply two computed tensors; the right one becomes the layer's second operand.

    Axes before the last two are groups, the heads of attention.

    Raises
    ------
    UnsupportedError
        If the operands are not matrices within a sample, if their numbers of matrices differ, or if no kind of layer
        brings the elements where they are needed.
    """
    if len(left.view) < 2 or len(right.view) < 2:
        raise UnsupportedError("multiplies by a computed vector (must be a matrix)")
    _check_sum(left.view[-1])
    _check_sum(right.view[-2])
    left_groups, right_groups = _groups(left), _groups(right)
    leading = _leading(left, right)
    across = _batch_size(leading) > max(_batch_size(left.view), _batch_size(right.view))
    if across or _batch_size((left.view[-2], right.view[-1])) > 1:
        raise UnsupportedError("multiplies samples of the batch with one another (must be within a sample)")
    groups = size(without_batch(atom for axis in leading for atom in axis))
    if not groups == size(left_groups) == size(right_groups):
        raise UnsupportedError(
            f"multiplies {size(left_groups)} matrices by {size(right_groups)} into {groups} (must be as many each)"
        )
    rows, inner = left.view[-2], left.view[-1]
    columns = right.view[-1]
    G, M, Kc, N = size(left_groups), size(without_batch(rows)), size(without_batch(inner)), size(without_batch(columns))
    read = node.arranged(left, (*left_groups, *inner), rows)
    second = node.arranged(right, (*right_groups, *columns), right.view[-2])
    fields = {"C": G * Kc, "K": G * N, "H": M, "W": 1}
    if G > 1:
        sources = node.layers.multiply(GroupConv, node.name, read, second, G=G, **fields)
    else:
        sources = node.layers.multiply(Conv, node.name, read, second, **fields)
    made = numbered("C", [*(without_batch(axis) for axis in leading), columns])
    batches = [tuple(atom for atom in axis if atom.dim == BATCH) for axis in leading]
    heads = [(*batch, *axis) for batch, axis in zip(batches, made[:-1], strict=True)]
    return Tensor(sources, (G * N, M, 1), (*heads, whole("H", M), made[-1]))


def _leading(left: Tensor, right: Tensor) -> View:
    """Return the axes before the matrices; where one operand's axis has one element, take the other's."""
    rank = max(len(left.view), len(right.view))
    pairs = zip(raised(left.view, rank)[:-2], raised(right.view, rank)[:-2], strict=True)
    return tuple(axis if size(axis) > 1 else other for axis, other in pairs)


def _groups(tensor: Tensor) -> Axis:
    return without_batch(atom for axis in tensor.view[:-2] for atom in axis)
