"""The types of layers and external inputs, found when all layers are made.

Several ONNX tensors may stand for one ofmap: what a convolution makes, and what a ReLU, a `Cast`, a `QuantizeLinear` or
a `Reshape` makes of it without a layer. The ofmap is stored in the narrowest of their types, so that between
`QuantizeLinear` and `DequantizeLinear` all is as narrow as the model has it. Truth values don't count. A layer for
which no tensor stands has, in this order,

1. the type of the layer that reads it, if that only arranges elements and a tensor stands for it: the phases of a
   transposed convolution, which it interleaves;
2. if it only arranges elements itself, the widest type of what it reads;
3. the type of what its node makes: the steps of an attention, such as its softmax.

Types of 32 bits and more count as INT8 last of all, unless the option says otherwise; so a tensor of fp32 that is cast
to fp16 is fp16. Structure never depends on types: networks of the same model differ in them alone.
"""

from collections.abc import Iterable, Mapping
from math import prod

from soma_cp.model.data_types import INT8, MOST_GROUP, DataType, LayerTypes, WeightFormat, widest
from soma_cp.model.network.layers import Conv, Layer, PointToPoint, Pool, Transpose, Upsample
from soma_cp.model.network.onnx_import.graph import Node, Stored
from soma_cp.model.network.onnx_import.layers import Sources
from soma_cp.model.network.onnx_import.node_import import State
from soma_cp.model.network.onnx_import.operators.table import facts_of
from soma_cp.model.network.onnx_import.options import Types
from soma_cp.model.network.onnx_import.values import Function, Padded, Tensor, Value

_WIDE = 32
"""Bits of data that exports have before they are quantised."""


def set_types(state: State, made: Mapping[int, Sources]) -> list[str]:
    """Set the types of all layers and external inputs; return the types that count as INT8 instead.

    Parameters
    ----------
    state
        The finished layers, and the values of all tensors.
    made
        The layers that were added at a node, by the node's place in the graph.
    """
    if state.options.types is Types.INT8:
        return []
    types = _LayerTypes(state, made)
    state.layers.set_types(types.layers, types.inputs)
    return list(types.replaced)


class _LayerTypes:
    """The types of a network.

    Attributes
    ----------
    layers, inputs
        The types, by name.
    replaced
        Names of types that count as INT8.
    """

    def __init__(self, state: State, made: Mapping[int, Sources]) -> None:
        self._state = state
        self._keeps_wide = state.options.types is Types.MODEL
        self.replaced: dict[str, None] = {}
        self._functions = state.functions
        self._of_functions = {name for names in self._functions.values() for name in names}
        self._node_of: dict[str, Node] = {}
        for place, names in made.items():
            for name in state.layers.resolved(names):
                self._node_of.setdefault(name, state.graph.nodes[place])
        self._standing: dict[str, list[DataType | None]] = {}  # types of the tensors that stand for a source
        self._find_standing()
        self.inputs: dict[str, DataType] = {}
        for source in state.layers.inputs_read:
            self.inputs[source.name] = self._counted(_narrowest(self._standing.get(source.name, ())))
        self.layers: dict[str, LayerTypes] = {}
        for layer in state.layers.layers:
            ofmap = self._ofmap(layer)
            self.layers[layer.name] = LayerTypes(ofmap, self._weights(layer, ofmap))

    def _find_standing(self) -> None:
        state = self._state
        for tensor, value in state.values.items():
            for name in self._sources(value):
                self._standing.setdefault(name, []).append(state.graph.info(tensor).type)
        for source, tensor in state.layers.tensors.items():
            found = self._of_input(source, tensor)
            for name in state.layers.resolved((source,)):
                self._standing[name] = [*found, *self._standing.get(name, ())]
        for source, origins in state.layers.arranged_inputs.items():
            types = [_narrowest(self._standing.get(name, ())) for name in state.layers.resolved(origins)]
            for name in state.layers.resolved((source,)):
                self._standing.setdefault(name, []).append(widest(types))
        for layer in reversed(state.layers.layers):
            standing = self._standing.get(layer.name)
            if standing and self._arranges(layer):
                for name in layer.ifmaps:
                    self._standing.setdefault(name, standing)

    def _of_input(self, source: str, tensor: str) -> list[DataType | None]:
        """Return the types of an ONNX tensor that is an external input, or has the type of one."""
        info = self._state.graph.info(tensor)
        if info.constant:
            return [None if info.stored is None else info.stored.type]
        value = self._state.values.get(tensor)
        like = [name for name in self._sources(value) if name != source] if value is not None else []
        return [kind for name in like for kind in self._standing.get(name, ())] or [info.type]

    def _sources(self, value: Value) -> Sources:
        """Return the layers and external inputs for which a value stands."""
        if isinstance(value, Function):
            if value.part is not None and not value.computes:
                return self._sources(value.part)
            names: Sources = tuple(self._functions.get(value.origin, ()))
        elif isinstance(value, Padded):
            names = value.tensor.sources
        else:
            names = value.sources if isinstance(value, Tensor) else ()
        return tuple(dict.fromkeys(self._state.layers.resolved(names)))

    def _arranges(self, layer: Layer) -> bool:
        """Whether a layer makes no new values."""
        if isinstance(layer, PointToPoint):
            return layer.name not in self._of_functions
        return isinstance(layer, Transpose | Upsample) or (isinstance(layer, Pool) and layer.R == layer.S == 1)

    def _ofmap(self, layer: Layer) -> DataType:
        standing = self._standing.get(layer.name)
        if standing:
            return self._counted(_narrowest(standing))
        node = self._node_of.get(layer.name)
        if node is not None and not self._arranges(layer):
            for output in node.outputs:
                kind = self._state.graph.info(output).type
                if kind is not None:
                    return self._counted(kind)
        return widest(
            [*(self.layers[name].ofmap for name in layer.ifmaps), *(self.inputs[name] for name in layer.inputs)]
        )

    def _counted(self, kind: DataType) -> DataType:
        """Return the type as which a type counts."""
        if self._keeps_wide or kind.bits < _WIDE:
            return kind
        self.replaced.setdefault(kind.name)
        return INT8

    def _weights(self, layer: Layer, ofmap: DataType) -> WeightFormat:
        """Return how the weights of a layer are stored."""
        if not isinstance(layer, Conv) or layer.weight_operands:
            return WeightFormat()
        node = self._node_of.get(layer.name)
        stored = [] if node is None else self._stored(node)
        if not stored:
            return WeightFormat(ofmap)
        kind = widest([one.type for one in stored])
        if self._counted(kind) != kind:
            return WeightFormat(INT8)
        most = min(layer.kernel_elements, MOST_GROUP)
        scaled = [one for one in stored if 0 < one.group <= most]
        if not scaled:
            return WeightFormat(kind)
        group, bits = max((one.group, one.scale_bits) for one in scaled)
        return WeightFormat(kind, group, bits)

    def _stored(self, node: Node) -> list[Stored]:
        """Return how the constants are stored that are the weights of a node."""
        facts = facts_of(node.kind)
        found = [(place, stored) for place in facts.weights if (stored := self._constant(node, place)) is not None]
        if not facts.scales or not found or found[-1][0] != facts.weights[-1]:
            return [stored for _, stored in found]
        kind, group = found[-1][1].type, 0
        info = self._state.graph.info
        scale, *zero_points = (self._constant(node, place) for place in facts.scales)
        if facts.packed is not None:
            kind, group = facts.packed(node)
        elif scale is not None:
            shape, scales = (info(node.inputs[place]).shape or () for place in (found[-1][0], facts.scales[0]))
            group = -(-prod(shape) // prod(scales)) if prod(scales) > 1 else 0
        zero_point = next((one.type for one in zero_points if one is not None), None)
        bits = 0 if scale is None else scale.type.bits
        if zero_point is not None:  # zero points of a byte are packed like packed weights
            bits += kind.bits if facts.packed is not None and zero_point.bits <= INT8.bits else zero_point.bits
        return [Stored(kind, group if bits else 0, bits)]

    def _constant(self, node: Node, place: int) -> Stored | None:
        """Return how an input of a node is stored; None if it is not given or no constant."""
        return self._state.graph.info(node.inputs[place]).stored if place < len(node.inputs) else None


def _narrowest(types: Iterable[DataType | None]) -> DataType:
    """Return the type of fewest bits, the first of them; truth values alone take a byte each."""
    return min((kind for kind in types if kind is not None), key=lambda kind: kind.bits, default=INT8)
