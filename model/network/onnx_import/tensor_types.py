"""The type of every tensor of a model, and how its constants are stored.

A tensor has the type that the model states for it; else the one that its operator makes of its inputs' types, as the
operator's schema in the ``onnx`` package says, or its record. Shapes are inferred apart from this, with types that suit
the package's checks. A constant is stored in the narrowest type on its way from what the model stores: weights of INT8
that a `DequantizeLinear` or a `Cast` turns into floats are stored as INT8.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from math import prod

import onnx
from onnx import defs

from soma_cp.model.data_types import DataType
from soma_cp.model.network.onnx_import.element_types import element_data_type
from soma_cp.model.network.onnx_import.graph import Stored
from soma_cp.model.network.onnx_import.operators.registry import Facts, Meaning

_NAMES_A_TYPE = frozenset(("to", "dtype", "output_dtype"))
"""Attributes that give the type of a node's output; 0 in them gives none."""

Shapes = Callable[[str], tuple[int, ...] | None]
"""Returns the shape of a tensor, None if it is unknown."""


class TensorTypes:
    """The types of the tensors that are known so far.

    Parameters
    ----------
    model
        The model; its initializers and what it states are known at first.
    shapes
        The shapes so far.
    """

    def __init__(self, model: onnx.ModelProto, shapes: Shapes) -> None:
        graph = model.graph
        self._shapes = shapes
        self._types: dict[str, DataType | None] = {}
        self._stated = {
            info.name: info.type.tensor_type.elem_type
            for info in (*graph.input, *graph.value_info, *graph.output)
            if info.type.tensor_type.elem_type
        }
        self._stored: dict[str, Stored] = {}
        for source in graph.input:
            self._types[source.name] = element_data_type(source.type.tensor_type.elem_type)
        for tensor in graph.initializer:
            self._store(tensor.name, element_data_type(tensor.data_type))
        for sparse in graph.sparse_initializer:
            self._store(sparse.values.name, element_data_type(sparse.values.data_type))

    def _store(self, name: str, kind: DataType | None) -> None:
        self._types[name] = kind
        if kind is not None:
            self._stored[name] = Stored(kind)

    def type(self, name: str) -> DataType | None:
        """Return the type of a tensor; None if it is unknown, or the tensor holds truth values or text."""
        return self._types.get(name)

    def stored(self, name: str) -> Stored | None:
        """Return how a constant is stored; None if it is none, or holds truth values or text."""
        return self._stored.get(name)

    def infer(
        self,
        proto: onnx.NodeProto,
        facts: Facts,
        schema: defs.OpSchema | None,
        inferred: Mapping[str, onnx.TypeProto],
    ) -> None:
        """Set the types of a node's outputs.

        Parameters
        ----------
        proto, facts
            The node, and the facts about its operator.
        schema
            The package's schema of the operator; None if it has none.
        inferred
            What the package infers of the outputs from types that may be others than these.
        """
        attribute = next((item.i for item in proto.attribute if item.name in _NAMES_A_TYPE and item.i), 0)
        for place, name in enumerate(proto.output):
            if not name:
                continue
            if name in self._stated:
                self._types[name] = element_data_type(self._stated[name])
            elif attribute:
                self._types[name] = element_data_type(attribute)
            elif schema is not None:
                self._types[name] = self._by_schema(proto, schema, place, inferred.get(name))
            else:
                self._types[name] = self._by_record(proto, facts)

    def _by_record(self, proto: onnx.NodeProto, facts: Facts) -> DataType | None:
        given = [proto.input[place] for place in facts.typed_by if place < len(proto.input) and proto.input[place]]
        if not given and facts.makes is None:
            given = [name for name in proto.input if name]
        return self._types.get(given[0]) if given else facts.makes

    def _by_schema(
        self, proto: onnx.NodeProto, schema: defs.OpSchema, place: int, inferred: onnx.TypeProto | None
    ) -> DataType | None:
        """Return the type of the inputs for which the schema has the same letter; else what the package infers."""
        outputs, inputs = _letters(schema.name, schema.since_version, schema.domain)
        letter = outputs[min(place, len(outputs) - 1)] if outputs else ""
        for number, name in enumerate(proto.input):
            if name and inputs and inputs[min(number, len(inputs) - 1)] == letter:
                return self._types.get(name)
        return element_data_type(inferred.tensor_type.elem_type) if inferred is not None else None

    def fold(self, proto: onnx.NodeProto, facts: Facts) -> None:
        """Set how the outputs of a node are stored whose outputs are constant; `infer` has set their types."""
        known = [name for name in proto.input if name in self._stored]
        dequantised = facts.meaning is Meaning.DEQUANTISATION and len(proto.input) > 1
        source = self._stored.get(proto.input[0]) if dequantised else None
        if source is None and known:
            source = self._stored[max(known, key=self._size)]
        if source is not None and dequantised:
            source = self._with_scales(source, proto)
        for name in proto.output:
            kind = self._types.get(name)
            if not name or (source is None and kind is None):
                continue
            if source is None:
                assert kind is not None
                self._stored[name] = Stored(kind)
            elif kind is None or source.type.bits <= kind.bits:
                self._stored[name] = source
            else:
                self._stored[name] = Stored(kind)

    def _size(self, name: str) -> int:
        return prod(self._shapes(name) or (0,))

    def _with_scales(self, source: Stored, proto: onnx.NodeProto) -> Stored:
        """Return how dequantised weights are stored: one scale for all of them is too small to count."""
        names = list(proto.input)
        scale, shape = self._stored.get(names[1]), self._shapes(names[0])
        scales = self._size(names[1])
        if scale is None or shape is None or scales < 2:
            return source
        zero_point = self._stored.get(names[2]) if len(names) > 2 else None
        attributes = {item.name: item.i for item in proto.attribute}
        axis, block = attributes.get("axis", 1), attributes.get("block_size", 0)
        along = shape[axis] if -len(shape) <= axis < len(shape) else block
        group = min(block, along) if block > 0 else -(-prod(shape) // scales)
        bits = scale.type.bits + (0 if zero_point is None else zero_point.type.bits)
        return Stored(source.type, group, bits)


@lru_cache(maxsize=1024)
def _letters(operator: str, version: int, domain: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what a schema calls the types of outputs and of inputs; equal ones are one type."""
    schema = defs.get_schema(operator, version, domain)
    return tuple(made.type_str for made in schema.outputs), tuple(read.type_str for read in schema.inputs)
