"""Counts of an ONNX model, node by node, independent of the import: multiply-accumulates and bytes of one sample.

Shapes come from the shape inference of the package ``onnx`` on the whole model with all extents given; the import
infers them node by node. Each tensor is of one sort: *stored* (initializers and what is made of them alone), *index*
(inputs of whole numbers and truth values and what is made of them), or *data*. A look-up of a stored table of numbers
by indices makes data. Elements are bytes.

* Multiply-accumulates: of convolutions, matrix multiplications, recurrent and attention operators that make data.
* Weight bytes: the stored matrices that they read, each once, whatever reads it; a transposed, cast, quantised or
  reshaped matrix is the matrix that it was made of.
* Input bytes: inputs of numbers, and rows that are looked up in tables.
* Output bytes: the outputs of the graph that are data.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
SAME_MATRIX = ("Transpose", "Cast", "DequantizeLinear", "QuantizeLinear", "Reshape", "Identity", "Unsqueeze", "Squeeze")
SMALL = 4096
"""Elements of the largest tensor that is computed."""
STORED, INDEX, DATA = "stored", "index", "data"


@dataclass(frozen=True)
class Counts:
    """What a model has, of one sample: multiply-accumulates, and bytes of weights, inputs and outputs."""

    macs: int
    weights: int
    inputs: int
    outputs: int


def counted(model: onnx.ModelProto, extents: Mapping[str, int], ends: Collection[str] = ()) -> Counts:
    """Count `model`; `extents` gives the named axes, others are one sample; it ends at the tensors or nodes `ends`."""
    return _Count(_cut(model, ends) if ends else model, extents).run()


def _cut(model: onnx.ModelProto, ends: Collection[str]) -> onnx.ModelProto:
    """Return the model without what no end needs, and with the ends as outputs."""
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    wanted = {name for node in model.graph.node if node.name in ends for name in node.output} | set(ends)
    made = [name for node in model.graph.node for name in node.output if name in wanted]
    kept = []
    for node in reversed(model.graph.node):
        if not wanted.isdisjoint(node.output):
            kept.append(node)
            wanted.update(node.input)
    for field in ("node", "output"):
        cut.graph.ClearField(field)
    cut.graph.node.extend(reversed(kept))
    cut.graph.output.extend(helper.make_value_info(name, onnx.TypeProto()) for name in made)
    inputs = [source for source in model.graph.input if source.name in wanted]
    cut.graph.ClearField("input")
    cut.graph.input.extend(inputs)
    return cut


class _Count:
    def __init__(self, model: onnx.ModelProto, extents: Mapping[str, int]) -> None:
        self._graph = _with_shapes(model, extents).graph
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._elements: dict[str, int] = {}
        for info in (*self._graph.input, *self._graph.value_info, *self._graph.output):
            kind = info.type.tensor_type
            self._elements[info.name] = kind.elem_type
            if kind.HasField("shape") and all(dim.HasField("dim_value") for dim in kind.shape.dim):
                self._shapes[info.name] = tuple(dim.dim_value for dim in kind.shape.dim)
        self._sort = {tensor.name: STORED for tensor in self._graph.initializer}
        self._shapes |= {tensor.name: tuple(tensor.dims) for tensor in self._graph.initializer}
        self._elements |= {tensor.name: tensor.data_type for tensor in self._graph.initializer}
        self._made_of: dict[str, str] = {}
        self._matrices: dict[str, int] = {}
        self._macs = 0
        self._inputs = 0

    def run(self) -> Counts:
        for source in self._graph.input:
            data = self._elements[source.name] in FLOATS
            self._sort[source.name] = DATA if data else INDEX
            self._inputs += self._size(source.name) if data else 0
        for node in self._graph.node:
            self._count(node)
        outputs = {output.name for output in self._graph.output if self._sort[output.name] == DATA}
        return Counts(self._macs, sum(self._matrices.values()), self._inputs, sum(map(self._size, outputs)))

    def shape(self, name: str) -> tuple[int, ...]:
        assert name in self._shapes, f"the shape of {name} is unknown"
        return self._shapes[name]

    def _size(self, name: str) -> int:
        return prod(self.shape(name))

    def _count(self, node: onnx.NodeProto) -> None:
        sorts = [self._sort[name] for name in node.input if name]
        sort = DATA if DATA in sorts else INDEX if INDEX in sorts else STORED
        if node.op_type in ("Shape", "Size"):
            sort = STORED
        if node.op_type == "Gather" and sorts == [STORED, INDEX] and self._elements[node.input[0]] in FLOATS:
            sort = DATA
            self._inputs += self._size(node.output[0])
        for name in node.output:
            self._sort[name] = sort
        if sort == STORED and node.op_type in SAME_MATRIX:
            self._made_of[node.output[0]] = self._root(node.input[0])
        if sort == DATA and node.op_type in MACS:
            macs, matrices = MACS[node.op_type](self, node)
            self._macs += macs
            for name in matrices:
                if self._sort[name] == STORED:
                    self._matrices[self._root(name)] = self._size(name)

    def _root(self, name: str) -> str:
        return self._made_of.get(name, name)


def _with_shapes(model: onnx.ModelProto, extents: Mapping[str, int]) -> onnx.ModelProto:
    """Infer shapes of the whole model again and again; between, compute the arithmetic on shapes that are known."""
    known = onnx.ModelProto()
    known.CopyFrom(model)
    for source in known.graph.input:
        for dim in source.type.tensor_type.shape.dim:
            if not dim.dim_value:
                dim.dim_value = extents.get(dim.dim_param, 1)
    for output in known.graph.output:
        if not all(dim.dim_value for dim in output.type.tensor_type.shape.dim):
            output.type.tensor_type.ClearField("shape")
    stated = onnx.GraphProto()
    stated.CopyFrom(known.graph)
    opsets = {opset.domain: opset.version for opset in model.opset_import}
    while True:
        known = shape_inference.infer_shapes(known, strict_mode=False, data_prop=True)
        if not _compute_shape_arithmetic(known.graph, opsets):
            return known
        for field in ("value_info", "output"):  # else inference keeps the extents that it did not know
            known.graph.ClearField(field)
            getattr(known.graph, field).extend(getattr(stated, field))


def _compute_shape_arithmetic(graph: onnx.GraphProto, opsets: Mapping[str, int]) -> bool:
    """Replace nodes that compute a few numbers from known ones, and shapes, by initializers; return whether any."""
    shapes = {}
    for info in (*graph.input, *graph.value_info, *graph.output):
        kind = info.type.tensor_type
        if kind.HasField("shape") and all(dim.HasField("dim_value") for dim in kind.shape.dim):
            shapes[info.name] = [dim.dim_value for dim in kind.shape.dim]
    values = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if tensor.data_location != TensorProto.EXTERNAL and prod(tensor.dims) <= SMALL
    }
    kept = []
    for node in graph.node:
        if node.op_type == "Shape" and node.input[0] in shapes and not node.attribute:
            made = [np.array(shapes[node.input[0]], np.int64)]
        elif all(name in values for name in node.input if name) and prod(shapes.get(node.output[0], [1])) <= SMALL:
            inputs = [helper.make_value_info(name, onnx.TypeProto()) for name in dict.fromkeys(node.input) if name]
            outputs = [helper.make_value_info(name, onnx.TypeProto()) for name in node.output]
            one = ReferenceEvaluator(helper.make_graph([node], "one", inputs, outputs), opsets=dict(opsets))
            made = one.run(None, {name: values[name] for name in node.input if name})
        else:
            kept.append(node)
            continue
        values |= dict(zip(node.output, map(np.asarray, made), strict=True))
        graph.initializer.extend(numpy_helper.from_array(values[name], name) for name in node.output)
    changed = len(kept) < len(graph.node)
    del graph.node[:]
    graph.node.extend(kept)
    return changed


Counted = tuple[int, tuple[str, ...]]
"""Multiply-accumulates of a node, and its inputs that may be stored matrices."""


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    return next((helper.get_attribute_value(item) for item in node.attribute if item.name == name), default)


def _conv(place: int) -> Callable[[_Count, onnx.NodeProto], Counted]:
    def count(c: _Count, node: onnx.NodeProto) -> Counted:
        _, inside, *window = c.shape(node.input[place])  # channels of one group
        return prod(c.shape(node.output[0])) * inside * prod(window), (node.input[place],)

    return count


def _conv_transpose(c: _Count, node: onnx.NodeProto) -> Counted:
    """Every element of the ifmap is multiplied by the kernels of its channel: no zeros are multiplied."""
    _, outside, *window = c.shape(node.input[1])  # channels of one group
    return prod(c.shape(node.input[0])) * outside * prod(window), (node.input[1],)


def _gemm(second: int) -> Callable[[_Count, onnx.NodeProto], Counted]:
    def count(c: _Count, node: onnx.NodeProto) -> Counted:
        inside = c.shape(node.input[0])[0 if _attribute(node, "transA", 0) else 1]
        return prod(c.shape(node.output[0])) * inside, (node.input[0], node.input[second])

    return count


def _matmul(second: int) -> Callable[[_Count, onnx.NodeProto], Counted]:
    def count(c: _Count, node: onnx.NodeProto) -> Counted:
        return prod(c.shape(node.output[0])) * c.shape(node.input[0])[-1], (node.input[0], node.input[second])

    return count


def _recurrent(c: _Count, node: onnx.NodeProto) -> Counted:
    """Every step multiplies one element of the sequence by W, and the state by R, in each direction."""
    steps, batch, _ = c.shape(node.input[0])
    matrices = tuple(node.input[1:3])
    return steps * batch * sum(prod(c.shape(name)) for name in matrices), matrices


def _fused_attention(c: _Count, node: onnx.NodeProto) -> Counted:
    """Microsoft's Attention of one input: the projection to q, k and v, and two products in each head."""
    batch, tokens, inside = c.shape(node.input[0])
    _, outside = c.shape(node.input[1])
    projection = batch * tokens * inside * outside
    return projection + 2 * batch * tokens * tokens * (outside // 3), (node.input[1],)


MACS: dict[str, Callable[[_Count, onnx.NodeProto], Counted]] = {
    "Conv": _conv(1),
    "FusedConv": _conv(1),
    "QLinearConv": _conv(3),
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm(1),
    "QGemm": _gemm(3),
    "MatMul": _matmul(1),
    "FusedMatMul": _matmul(1),
    "QLinearMatMul": _matmul(3),
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "Attention": _fused_attention,
}
