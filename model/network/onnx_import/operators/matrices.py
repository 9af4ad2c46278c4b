"""Matrix multiplications: with weights, and of two computed tensors (attention)."""

from dataclasses import dataclass, replace
from math import prod

from soma_cp.model.network.layers import Conv, FullyConnected, GroupConv
from soma_cp.model.network.onnx_import.arranging import in_any_sequence, is_free, is_whole
from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.node_import import NodeImport
from soma_cp.model.network.onnx_import.operators.registry import Channels, Facts, operator
from soma_cp.model.network.onnx_import.values import Tensor, transposed
from soma_cp.model.network.onnx_import.views import (
    REPEAT,
    Atom,
    Axis,
    View,
    atoms_of,
    batch_of,
    numbered,
    raised,
    renumbered,
    reshaped,
    simplified,
    size,
    whole,
    without_batch,
)


@operator(
    "MatMul MatMulInteger",
    "`conv` with the tokens on H, or `fc`; of two computed tensors `conv` or `group_conv`",
    Facts(channels=Channels.LAST, weights=(0, 1)),
)
def matmul(node: NodeImport) -> None:
    """Multiplication over the last axis of the first operand and the second-last axis of the second."""
    _multiply(node, 0, 1)


@operator("QLinearMatMul", "like MatMul", Facts(channels=Channels.LAST, weights=(0, 3), scales=(4, 5)))
def quantised_matmul(node: NodeImport) -> None:
    """Multiplication with scales and zero points among its inputs."""
    _multiply(node, 0, 3)


def _multiply(node: NodeImport, left: int, right: int) -> None:
    if node.is_constant(right):
        weights = node.shape(right)
        if prod(weights[:-2]) > 1:
            node.give(_multiplied_by_matrices(node, node.part(left), weights, node.shared_weights(right)))
            return
        made = multiplied_by_weights(
            node, node.part(left), -1, weights[-1] if len(weights) > 1 else 0, node.shared_weights(right)
        )
        node.give(_of_rank(node, made))
    elif node.is_constant(left):
        weights = node.shape(left)
        if prod(weights[:-2]) > 1:
            turned = (*weights[:-2], weights[-1], weights[-2])
            made = _multiplied_by_matrices(node, transposed(node.part(right)), turned, node.shared_weights(left))
            node.give(transposed(made))
            return
        tensor = node.part(right)
        axis = -2 if len(tensor.view) > 1 else -1
        made = multiplied_by_weights(
            node, tensor, axis, weights[-2] if len(weights) > 1 else 0, node.shared_weights(left)
        )
        node.give(_of_rank(node, made))
    else:
        node.give(multiplied_together(node, node.part(left), node.part(right)))


def _multiplied_by_matrices(node: NodeImport, tensor: Tensor, weights: tuple[int, ...], shared: str) -> Tensor:
    """Multiply several matrices by stored ones, each by its own: a layer of as many groups.

    `weights` is their shape; `shared` is a name if other layers have the same.

    Raises
    ------
    UnsupportedError
        If there are not as many matrices on both sides, or no kind of layer brings the elements where they are needed.
    """
    if len(tensor.view) < 2:
        raise UnsupportedError(f"multiplies a vector by matrices of shape {list(weights)} (must be matrices)")
    _check_sum(tensor.view[-1])
    view = raised(tensor.view, max(len(weights), len(tensor.view)))
    leading, rows, inner = view[:-2], without_batch(view[-2]), without_batch(view[-1])
    groups = without_batch(atoms_of(leading))
    G, (Kc, N) = prod(weights[:-2]), weights[-2:]
    if size(groups) != G or size(inner) != Kc:
        raise UnsupportedError(
            f"multiplies {size(groups)} matrices by weights of shape {list(weights)} (must be as many)"
        )
    read = node.arranged(tensor, (*groups, *inner), rows)
    M = size(rows)
    fields = {"C": G * Kc, "K": G * N, "G": G, "H": M, "W": 1, "weights": shared}
    sources = node.layers.add(GroupConv, node.name, read, **fields)
    *heads, columns = numbered("C", [*leading, whole("C", N)])
    return Tensor(sources, (G * N, M, 1), (*heads, *numbered("H", [view[-2]]), columns), name=node.name)


def _of_rank(node: NodeImport, made: Tensor) -> Tensor:
    """Return a product with the axes of one element that come from weights with more axes."""
    return replace(made, view=raised(made.view, len(node.out_shape())))


@operator("Gemm", "`fc`, or `conv` where there are several rows", Facts(channels=Channels.LAST, weights=(0, 1)))
def gemm(node: NodeImport) -> None:
    """Multiplication of two matrices, either of which may be transposed first; the third is a bias."""
    node.check_bias(2)
    left_transposed, right_transposed = bool(node.attribute("transA", 0)), bool(node.attribute("transB", 0))
    if node.is_constant(1):
        channels = node.shape(1)[0 if right_transposed else 1]
        made = multiplied_by_weights(node, node.part(0), 0 if left_transposed else 1, channels, node.shared_weights(1))
        node.give(_transposed_if(left_transposed, made))
    elif node.is_constant(0):
        channels = node.shape(0)[1 if left_transposed else 0]
        made = multiplied_by_weights(node, node.part(1), 1 if right_transposed else 0, channels, node.shared_weights(0))
        node.give(_transposed_if(right_transposed, made))
    else:
        left, right = _transposed_if(left_transposed, node.part(0)), _transposed_if(right_transposed, node.part(1))
        node.give(multiplied_together(node, left, right))


def _transposed_if(wanted: bool, tensor: Tensor) -> Tensor:
    return transposed(tensor) if wanted else tensor


def multiplied_by_weights(node: NodeImport, tensor: Tensor, axis: int, made: int, weights: str = "") -> Tensor:
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
    weights
        A name if other layers have the same weights.

    Raises
    ------
    UnsupportedError
        If the sum is over the batch, or no kind of layer brings the elements where they are needed.
    """
    axis %= len(tensor.view)
    _check_sum(tensor.view[axis])
    if not is_whole(tensor):
        tensor = node.state.settled(tensor)
    others = [place for place in range(len(tensor.view)) if place != axis]
    channels = in_any_sequence(without_batch(tensor.view[axis]))
    rest = without_batch(atoms_of(tensor.view[place] for place in others))
    C, rows, columns = tensor.shape
    K = made or 1
    made_axis = whole("C", K)
    offset = (0, 0, 0)
    if (
        not rest and size(channels) == C * rows * columns and REPEAT not in {atom.dim for atom in channels}
    ):  # in any order: the weights' order is free
        kind = FullyConnected if len(tensor.view) <= 2 else Conv
        fields = {"C": C, "R": rows, "S": columns, "H": 1, "W": 1}
        sources = node.layers.add(kind, node.name, tensor.sources, K=K, weights=weights, **fields)
        shape, axes = (K, 1, 1), tensor.view
    elif channels == whole("C", C) and {atom.dim for atom in rest} <= {"H", "W"} and is_whole(tensor):
        sources = node.layers.add(Conv, node.name, tensor.sources, C=C, K=K, H=rows, W=columns, weights=weights)
        offset = (0, *tensor.offset[1:])  # shifted rows and columns stay so
        shape, axes = (K, rows, columns), tensor.view
    else:
        read = node.arranged(tensor, channels, rest)
        shape = (K, size(rest), 1)
        sources = node.layers.add(Conv, node.name, read, C=size(channels), K=K, H=shape[1], W=1, weights=weights)
        axes = _rows(tensor.view, axis)
    view = (*axes[:axis], *([made_axis] if made else []), *axes[axis + 1 :])
    return Tensor(sources, shape, view, offset, node.name)


def _batch_size(view: View) -> int:
    return size(batch_of(atoms_of(view)))


def _check_sum(axis: Axis) -> None:
    if _batch_size((axis,)) > 1:
        raise UnsupportedError("sums over the batch (must be within a sample)")


def _rows(view: View, without: int) -> View:
    """Return the axes as parts of the rows, except batch atoms and the axis `without`."""
    return tuple(numbered("H", [batch_of(axis) if place == without else axis for place, axis in enumerate(view)]))


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
    leading = _leading(left, right)
    across = _batch_size(leading) > max(_batch_size(left.view), _batch_size(right.view))
    if across or _batch_size((left.view[-2], right.view[-1])) > 1:
        raise UnsupportedError("multiplies samples of the batch with one another (must be within a sample)")
    groups = size(without_batch(atoms_of(leading)))
    pairs = _matrices(left, right)
    sizes = [size(atom for pair in pairs for atom in pair[side]) for side in (0, 1)]
    if not groups == sizes[0] == sizes[1]:
        raise UnsupportedError(
            f"multiplies {size(_groups(left))} matrices by {size(_groups(right))} into {groups} (must be as many each)"
        )
    digits = [digit for axis, pair in enumerate(pairs) for digit in _digits(*pair, axis)]
    rows, inner, columns = (without_batch(axis) for axis in (left.view[-2], left.view[-1], right.view[-1]))
    if not _saves_repetition(node, left, digits, (rows, inner, columns)):
        digits = [replace(digit, shared=False) for digit in digits]
    own = [digit for digit in digits if not digit.shared]
    queries = [digit for digit in digits if digit.shared]
    left_channels = simplified(atom for digit in own for atom in digit.left)
    left_rows = simplified((*(atom for digit in queries for atom in digit.left), *rows))
    right_channels = simplified(atom for digit in own for atom in digit.right)
    G, M, Kc, N = size(left_channels), size(left_rows), size(inner), size(columns)
    read = node.arranged(left, (*left_channels, *inner), left_rows)
    second = node.arranged(right, (*right_channels, *columns), right.view[-2])
    fields = {"C": G * Kc, "K": G * N, "H": M, "W": 1}
    if G > 1:
        sources = node.layers.multiply(GroupConv, node.name, read, second, G=G, **fields)
    else:
        sources = node.layers.multiply(Conv, node.name, read, second, **fields)
    return Tensor(sources, (G * N, M, 1), _product_view(leading, digits, size(rows), N))


@dataclass(frozen=True)
class _Digit:
    """A part of the number of a matrix, in both operands.

    Parameters
    ----------
    axis
        The axis that it is a part of.
    left, right
        Its atoms in both operands.
    shared
        Whether all its matrices on the left multiply one on the right, as rows of one matrix: grouped queries.
    """

    axis: int
    left: Axis
    right: Axis
    shared: bool = False


def _matrices(left: Tensor, right: Tensor) -> list[tuple[Axis, Axis]]:
    """Return both operands' axes before the matrices; an axis of one element in one of them is repeated."""
    rank = max(len(left.view), len(right.view))
    pairs = []
    for own, other in zip(raised(left.view, rank)[:-2], raised(right.view, rank)[:-2], strict=True):
        mine, theirs = without_batch(own), without_batch(other)
        pairs.append((mine or _repeated(theirs), theirs or _repeated(mine)))
    return pairs


def _repeated(axis: Axis) -> Axis:
    return simplified([Atom(REPEAT, size(axis), 0)])


def _digits(left: Axis, right: Axis, axis: int) -> list[_Digit]:
    """Divide the numbers of matrices where the right operand repeats some, if the left one's can be divided so."""
    split = reshaped((left,), [atom.extent for atom in right])
    if split is None:
        return [_Digit(axis, left, right)]
    repeats = any(atom.dim == REPEAT for atom in left)
    return [
        _Digit(axis, part, (atom,), shared=atom.dim == REPEAT and not repeats)
        for part, atom in zip(split, right, strict=True)
    ]


def _saves_repetition(node: NodeImport, left: Tensor, digits: list[_Digit], axes: tuple[Axis, Axis, Axis]) -> bool:
    """Whether it moves no more bytes to arrange queries as rows than to repeat what they share."""
    if not any(digit.shared for digit in digits):
        return False
    rows, inner, columns = axes
    apart = simplified(atom for digit in digits for atom in digit.left)
    groups = simplified(atom for digit in digits if not digit.shared for atom in digit.left)
    queries = simplified(atom for digit in digits if digit.shared for atom in digit.left)
    as_rows = (simplified((*groups, *inner)), simplified((*queries, *rows)), ())
    as_heads = (simplified((*apart, *inner)), simplified(rows), ())
    queries_bytes = size(apart) * size(rows) * size(inner)
    shared_bytes = size(apart) * size(inner) * size(columns)
    moved = 0 if is_free(node.layers, left, as_rows) else queries_bytes
    return moved <= shared_bytes + (0 if is_free(node.layers, left, as_heads) else queries_bytes)


def _product_view(leading: View, digits: list[_Digit], rows: int, columns: int) -> View:
    """Return the axes of a product whose rows are those of each matrix, after the queries that share one."""
    view: list[Axis] = []
    places: tuple[list[int], list[int], list[int]] = ([], [], [])
    count = 0
    for axis, atoms in enumerate(leading):
        batch = batch_of(atoms)
        own = [digit for digit in digits if digit.axis == axis]
        count += len(batch)
        for digit in own:
            places[1 if digit.shared else 0].append(count)
            count += 1
        view.append((*batch, *(Atom("C", size(digit.left), 1) for digit in own)))
    places[1].append(count)
    places[0].append(count + 1)
    return renumbered((*view, (Atom("H", rows, 1),), (Atom("C", columns, 1),)), places)


def _leading(left: Tensor, right: Tensor) -> View:
    """Return the axes before the matrices; where one operand's axis has one element, take the other's."""
    rank = max(len(left.view), len(right.view))
    pairs = zip(raised(left.view, rank)[:-2], raised(right.view, rank)[:-2], strict=True)
    return tuple(axis if size(axis) > 1 else other for axis, other in pairs)


def _groups(tensor: Tensor) -> Axis:
    return without_batch(atoms_of(tensor.view[:-2]))
