"""Operators that move no data: other axes for the same elements, another order of axes, repetition, the shape."""

from dataclasses import replace
from math import prod

from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.node_import import NodeImport
from soma_cp.model.network.onnx_import.operators.registry import Axes, Facts, operator
from soma_cp.model.network.onnx_import.values import Function, Padded, Side, Tensor, Value, is_reduced
from soma_cp.model.network.onnx_import.views import (
    REPEAT,
    Atom,
    View,
    raised,
    reshaped,
    size,
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
    return value, node.base(value).view


_NOTHING = "nothing: what reads them knows where elements lie"


@operator("Squeeze Unsqueeze", _NOTHING)
@operator("Flatten", _NOTHING, Facts(regroups_axes=True))
@operator("Reshape", _NOTHING, Facts(axes=Axes.OTHER, regroups_axes=True))
def reshape(node: NodeImport) -> None:
    """Other axes for the same elements."""
    value, view = view_of(node)
    if view is None:
        node.give(value)
        return
    if is_reduced(value):
        if [extent for extent in node.shape() if extent > 1] != [extent for extent in node.out_shape() if extent > 1]:
            raise UnsupportedError("reshapes a reduction over channels (only axes of one element may come and go)")
        node.give(value)
        return
    shape = node.out_shape()
    found = reshaped(view, shape)
    if found is None:
        raise UnsupportedError(
            f"regroups {list(node.shape())} into {list(shape)} across axes that don't divide one another"
        )
    node.give(_with_view(value, found))


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
