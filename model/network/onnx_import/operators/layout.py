"""Operators that move no data: other axes for the same elements, another order of axes, repetition, the shape."""

from dataclasses import replace
from math import prod

from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.graph import Graph
from soma_cp.model.network.onnx_import.node_import import NodeImport
from soma_cp.model.network.onnx_import.operators.registry import Axes, Channels, Facts, facts_of, operator
from soma_cp.model.network.onnx_import.regrouping import laid_out
from soma_cp.model.network.onnx_import.values import Function, Padded, Side, Tensor, Value, in_order, is_reduced
from soma_cp.model.network.onnx_import.views import (
    REPEAT,
    Atom,
    View,
    atoms_of,
    raised,
    reshaped,
    simplified,
    size,
    whole,
    without_batch,
)


def _with_view(value: Value, view: View) -> Value:
    if isinstance(value, Function):
        return replace(value, of=replace(value.of, view=view))
    assert isinstance(value, Tensor)
    return replace(value, view=view)


def view_of(node: NodeImport) -> tuple[Value, View | None]:
    """Return the value of the input, and its axes; None for a mask, which has no axes."""
    value = node.value(0)
    if isinstance(value, Side):
        return value, None
    if isinstance(value, Padded):
        value = node.state.settled(value)
    return value, value.view if isinstance(value, Tensor) else node.base(value).view


_NOTHING = "nothing: what reads them knows where elements lie"


@operator("Squeeze Unsqueeze", _NOTHING)
@operator("Flatten Reshape", _NOTHING, Facts(axes=Axes.OTHER, regroups_axes=True))
def reshape(node: NodeImport) -> None:
    """Other axes for the same elements."""
    value, view = view_of(node)
    if view is None:
        node.give(value)
        return
    part = value.part if isinstance(value, Function) else None
    if part is not None:
        assert isinstance(value, Function)
        node.give(replace(value, part=node.regrouped(part, node.out_shape())))
        return
    if is_reduced(value):
        if [extent for extent in node.shape() if extent > 1] != [extent for extent in node.out_shape() if extent > 1]:
            raise UnsupportedError("reshapes a reduction over channels (only axes of one element may come and go)")
        node.give(value)
        return
    shape = node.out_shape()
    found = reshaped(view, shape)
    if found is None:
        tensor = value if isinstance(value, Tensor) else node.state.settled(value)
        node.give(node.regrouped(tensor, shape))
        return
    made = _with_view(value, found)
    node.give(_tokens(node, made) or made)


def _tokens(node: NodeImport, value: Value) -> Tensor | None:
    """Return the rows × columns of an fmap as rows, if they are tokens that attention multiplies with one another.

    One layer does this here, and everything after it reads tokens.
    """
    tensor = value.of if isinstance(value, Function) else value
    assert isinstance(tensor, Tensor)
    _, rows, columns = tensor.shape
    tokens = simplified([*whole("H", rows), *whole("W", columns)])
    axes = [without_batch(axis) for axis in tensor.view]
    if min(rows, columns) == 1 or tokens not in axes or any(tensor.offset):
        return None
    if not _multiplied_together(node.graph, node.outputs[0], rows * columns):
        return None
    settled = node.state.settled(value)
    place = axes.index(tokens)
    first = len(atoms_of(settled.view[: place + 1])) - len(tokens)
    channels = [place for place, atom in enumerate(atoms_of(settled.view)) if atom.dim == "C"]
    return laid_out(node.layers, settled, (channels, range(first, first + len(tokens)), ()), node.name)


def _multiplied_together(graph: Graph, tensor: str, tokens: int) -> bool:
    """Whether a multiplication of two computed tensors reads what is made of a tensor, as long as it has the tokens."""
    made = graph.reached([tensor], lambda _, name: tokens in (graph.info(name).shape or ()))
    return any(
        facts_of(reader.kind).has_weights and sum(not graph.info(name).constant for name in reader.inputs[:2]) == 2
        for name in made
        for reader in graph.readers(name)
    )


@operator(
    "Transpose",
    "nothing, if what reads it can; else `transpose`, or `ptp` for a permutation of channels",
    Facts(axes=Axes.PERMUTED),
)
def transpose(node: NodeImport) -> None:
    """Axes in another order; a reader adds a layer if it needs one."""
    value, view = view_of(node)
    if view is None:
        node.give(value)
        return
    order = node.node.permutation(len(node.shape()))
    if isinstance(value, Function) and value.part is not None and len(order) == len(value.part.view):
        of = in_order(value.of, order) if len(order) == len(view) else value.of
        node.give(replace(value, of=of, part=in_order(value.part, order)))
        return
    if is_reduced(value) and len(order) != len(view):  # it has lost axes; the tensor that restores its shape has them
        node.give(value)
        return
    if sorted(order) != list(range(len(view))):
        raise UnsupportedError(f"has perm {list(order)} (must have each axis from 0 to {len(view) - 1} once)")
    node.give(_with_view(value, tuple(view[axis] for axis in order)))


@operator("Expand Tile", "nothing, or `upsample` where what reads it needs the repetition")
def expand(node: NodeImport) -> None:
    """Repetition along axes of one element."""
    value, view = view_of(node)
    if view is None or node.shape() == node.out_shape():
        node.give(value)
        return
    tensor = node.state.settled(value)
    target = node.out_shape()
    spread = []
    for axis, extent in zip(raised(tensor.view, len(target)), target, strict=True):
        if size(axis) not in (1, extent):
            raise UnsupportedError(
                f"repeats an axis of {size(axis)} elements {extent // size(axis)} times (only axes of one can be)"
            )
        spread.append(axis if size(axis) == extent else (Atom(REPEAT, extent, 0),))
    node.give(replace(tensor, view=tuple(spread)))


@operator("DepthToSpace", _NOTHING, Facts(channels=Channels.FIRST, axes=Axes.OTHER))
def depth_to_space(node: NodeImport) -> None:
    """Channels that become places within rows and columns."""
    samples, channels, rows, columns = node.shape()
    side = _side(node)
    if node.attribute("mode", "DCR") == "CRD":
        _permuted(node, (samples, channels // side**2, side, side, rows, columns), (0, 1, 4, 2, 5, 3))
    else:
        _permuted(node, (samples, side, side, channels // side**2, rows, columns), (0, 3, 4, 1, 5, 2))


@operator("SpaceToDepth", _NOTHING, Facts(channels=Channels.FIRST, axes=Axes.OTHER))
def space_to_depth(node: NodeImport) -> None:
    """Places within rows and columns that become channels."""
    samples, channels, rows, columns = node.shape()
    side = _side(node)
    _permuted(node, (samples, channels, rows // side, side, columns // side, side), (0, 3, 5, 1, 2, 4))


def _side(node: NodeImport) -> int:
    return int(node.attribute("blocksize", 1))


def _permuted(node: NodeImport, shape: tuple[int, ...], order: tuple[int, ...]) -> None:
    """Give the elements with axes of `shape`, in another order, and with axes of the output's shape."""
    split = node.regrouped(node.part(), shape)
    node.give(node.regrouped(in_order(split, order), node.out_shape()))


def _extents(shape: tuple[int, ...], start: int, end: int | None) -> tuple[int, ...]:
    return shape[start:end]


def _count(shape: tuple[int, ...], start: int, end: int | None) -> int:
    return prod(shape)


@operator("Size", "a constant", Facts(of_shape=_count))
@operator("Shape", "a constant", Facts(of_shape=_extents))
def shape_alone(node: NodeImport) -> None:
    """Known shapes are constant, and their nodes never get here."""
    if not isinstance(node.value(0), Side):
        node.shape(0)
    raise UnsupportedError("asks for a shape that isn't known (must follow from the inputs' shapes)")
