"""Rules for the shapes of operators that the ``onnx`` package doesn't know."""

from collections.abc import Callable, Sequence

import numpy as np

from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.graph import Node
from soma_cp.model.network.onnx_import.operators.registry import Channels, Extents, ShapeRule, Signature, channels_of

Orders = Callable[[Node, int, int], Sequence[int]]


def same_as(operator: str, *places: int, orders: Orders | None = None) -> ShapeRule:
    """Return the rule of an operator that makes what one of ONNX's own makes of some of its inputs.

    Parameters
    ----------
    operator
        The operator of ONNX's own. Of an operator that has channels last of an image, it makes the same with the
        channels first.
    places
        The inputs.
    orders
        Function of the node, an operand's place and its rank, for an operator that reads its operands with their axes
        in another order: returns the order.
    """

    def rule(signature: Signature) -> Sequence[Extents | None]:
        shapes = [signature.shape(place) for place in places]
        if orders is not None:
            shapes = [_ordered(shape, orders(signature.node, i, len(shape))) for i, shape in enumerate(shapes)]
        if channels_of(signature.node) is not Channels.LAST_OF_IMAGE:
            return [signature.inferred(operator, shapes)]
        shapes[0] = _ordered(shapes[0], channels_first(len(shapes[0])))
        made = signature.inferred(operator, shapes)
        return [None if made is None else _ordered(made, channels_last(len(made)))]

    return rule


def same_as_of_every(operator: str, first: int, step: int) -> ShapeRule:
    """Return the rule of an operator that makes what `operator` makes of every `step`-th input, from `first` on."""

    def rule(signature: Signature) -> Sequence[Extents | None]:
        places = range(first, len(signature.node.inputs), step)
        return [signature.inferred(operator, [signature.shape(place) for place in places])]

    return rule


def broadcast(*places: int) -> ShapeRule:
    """Return the rule of an operation element by element on the inputs at `places`."""

    def rule(signature: Signature) -> Sequence[Extents | None]:
        return [np.broadcast_shapes(*(signature.shape(place) for place in places))]

    return rule


def sum_onto_first(other: int, *sums: int) -> ShapeRule:
    """Return the rule of a function of the sum of input 0 and input `other`; outputs `sums` have its shape, too."""

    def rule(signature: Signature) -> Sequence[Extents | None]:
        shape, added = signature.shape(0), signature.shape(other)
        if np.broadcast_shapes(shape, added) != shape:
            raise UnsupportedError(f"adds {list(added)} to {list(shape)} (must not enlarge it)")
        return [shape if place in (0, *sums) else None for place in range(len(signature.node.outputs))]

    return rule


def channels_first(rank: int) -> tuple[int, ...]:
    """Return the order that brings (batch, rows, …, channels) to (batch, channels, rows, …)."""
    return (0, rank - 1, *range(1, rank - 1))


def channels_last(rank: int) -> tuple[int, ...]:
    """Return the order that brings (batch, channels, rows, …) to (batch, rows, …, channels)."""
    return (0, *range(2, rank), 1)


def _ordered(shape: Extents, order: Sequence[int]) -> Extents:
    return tuple(shape[axis] for axis in order)
