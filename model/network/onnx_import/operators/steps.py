"""A step of a node: the import of another operator on some of the node's inputs, or on values between its steps.

So a fused operator is imported as the operators that it stands for, and a quantised one without its scales.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from soma_cp.model.errors import InternalError
from soma_cp.model.network.onnx_import.node_import import NodeImport
from soma_cp.model.network.onnx_import.operators.registry import Importer, Signature
from soma_cp.model.network.onnx_import.values import Function, Padded, Side, Value, in_order
from soma_cp.model.network.onnx_import.views import shape_of

Operand = int | Value
"""An input of the node, by its place, or a value that an earlier step made."""


class Step(NodeImport):
    """A step of a node.

    Parameters
    ----------
    node
        The node.
    operands
        What the step reads.
    name
        What the step makes, for the names of its layers; empty for the layers that bear the node's name.
    output
        The output of the node that the step makes; None for what only other steps read. By default the first output,
        if the step has no name.
    shape
        The shape of what it makes; by default that of the node's output.
    attributes
        Attributes of the step; by default those of the node.
    orders
        By operand: the order in which the step reads its axes, if another than the operand's.
    result
        The order in which the node has the axes of what the step makes, if another than the step's.
    """

    def __init__(
        self,
        node: NodeImport,
        operands: Sequence[Operand] = (),
        name: str = "",
        *,
        output: int | None = None,
        shape: tuple[int, ...] | None = None,
        attributes: Mapping[str, Any] | None = None,
        orders: Mapping[int, Sequence[int]] | None = None,
        result: Sequence[int] | None = None,
    ) -> None:
        inputs = tuple(
            (node.inputs[operand] if node.has(operand) else "")
            if isinstance(operand, int)
            else f"{node.outputs[0]}/{name}/{place}"
            for place, operand in enumerate(operands)
        )
        if output is None and not name:
            output = 0
        given = output is not None and output < len(node.outputs) and node.outputs[output] != ""
        made = node.outputs[output] if given and output is not None else f"{node.outputs[0]}/{name}"
        own = replace(
            node.node,
            label=f"{node.node.label}_{name}" if name else node.node.label,
            inputs=inputs,
            outputs=(made,),
            attributes=node.node.attributes if attributes is None else attributes,
        )
        super().__init__(node.state, own)
        self._whole = node
        self._operands = tuple(operands)
        self._made_shape = shape
        self._orders = orders or {}
        self._result = result
        self.made: Value | None = None

    def is_constant(self, place: int) -> bool:
        """Whether an operand is a constant input of the node."""
        return isinstance(self._operands[place], int) and super().is_constant(place)

    def shape(self, place: int = 0) -> tuple[int, ...]:
        """Return the shape of an operand, as the step reads it."""
        operand = self._operands[place]
        shape = super().shape(place) if isinstance(operand, int) else shape_of(self.base(operand).view)
        order = self._orders.get(place)
        return shape if order is None else tuple(shape[axis] for axis in order)

    def out_shape(self, place: int = 0) -> tuple[int, ...]:
        """Return the shape of what the step makes."""
        shape = self._whole.out_shape(place) if self._made_shape is None else self._made_shape
        if self._result is None:
            return shape
        return tuple(shape[self._result.index(axis)] for axis in range(len(shape)))

    def value(self, place: int = 0) -> Value:
        """Return an operand, as the step reads it."""
        operand = self._operands[place]
        value = super().value(place) if isinstance(operand, int) else operand
        order = self._orders.get(place)
        return value if order is None else _permuted(value, order)

    def give(self, value: Value, place: int = 0) -> None:
        """Keep what the step makes; only the first output counts."""
        if place == 0:
            self.made = value if self._result is None else _permuted(value, self._result)

    def note(self, text: str) -> None:
        """Add a note about the node."""
        self._whole.note(text)


def made_by(importer: Importer, step: Step) -> Value:
    """Return what an operator's import makes of a step."""
    importer(step)
    if step.made is None:
        raise InternalError(f"'{step.name}' was imported without a result")
    return step.made


def _permuted(value: Value, order: Sequence[int]) -> Value:
    if isinstance(value, Side):
        return value
    if isinstance(value, Padded):
        return replace(value, tensor=in_order(value.tensor, order))
    if isinstance(value, Function):
        part = None if value.part is None else in_order(value.part, order)
        of = value.of if value.reduced else in_order(value.of, order)
        return replace(value, of=of, part=part)
    return in_order(value, order)


def signature_of(node: NodeImport) -> Signature:
    """Return what shape rules know of a node, which is imported after its shapes were inferred."""
    shapes = [node.graph.info(name).shape if name else None for name in node.inputs]
    return Signature(node.node, shapes, lambda operator, shapes: None)
