"""ONNX models for tests, built with onnx's helpers; weights have no data, as if it were in a separate file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Dims = Sequence[int | str]


class Model:
    """A graph under construction; every method returns the name of a tensor.

    Parameters
    ----------
    opset
        Version of ONNX's own operators.
    """

    def __init__(self, opset: int = 17) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self._opset = opset
        self._count = 0

    def input(self, name: str, dims: Dims, kind: int = TensorProto.FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, list(dims)))
        return name

    def output(self, name: str) -> None:
        self.outputs.append(helper.make_value_info(name, onnx.TypeProto()))

    def weight(self, *dims: int, name: str = "", kind: int = TensorProto.FLOAT) -> str:
        """Add a weight whose data is in a file that doesn't exist."""
        tensor = TensorProto(name=name or self._name("weight"), data_type=kind, dims=dims)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="missing.bin")
        self.initializers.append(tensor)
        return tensor.name

    def constant(self, value: Any, kind: Any = np.int64) -> str:
        """Add a small constant with its value."""
        self.initializers.append(numpy_helper.from_array(np.array(value, kind), self._name("constant")))
        return self.initializers[-1].name

    def scalar(self, value: float) -> str:
        return self.constant(value, np.float32)

    def node(self, operator: str, *inputs: str, name: str = "", outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; return its output, or a list of them if there are several."""
        made = [self._name(operator.lower()) for _ in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), made, name=name, **attributes))
        return made[0] if outputs == 1 else made

    def save(self, path: Path) -> Path:
        graph = helper.make_graph(self.nodes, "graph", self.inputs, self.outputs, self.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self._opset)])
        path.write_bytes(model.SerializeToString())
        return path

    def _name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"


# Parts of transformers, decomposed as exporters do.


def linear(model: Model, x: str, rows: int, columns: int, name: str = "") -> str:
    """MatMul with a weight, then a bias."""
    product = model.node("MatMul", x, model.weight(rows, columns), name=name)
    return str(model.node("Add", product, model.weight(columns)))


def conv1d(model: Model, x: str, width: int, rows: int, columns: int, name: str = "") -> str:
    """GPT-2's projection: tokens flattened into rows, a Gemm, then the former shape."""
    shape = model.node("Shape", x)
    leading = model.node("Slice", shape, model.constant([0]), model.constant([2]), model.constant([0]))
    flat = model.node("Reshape", x, model.constant([-1, width]))
    product = model.node("Gemm", flat, model.weight(rows, columns), model.weight(columns), name=name)
    target = model.node("Concat", leading, model.constant([columns]), axis=0)
    return str(model.node("Reshape", product, target))


def layer_norm(model: Model, x: str, width: int) -> str:
    """Layer normalisation, built without the operator of that name."""
    mean = model.node("ReduceMean", x, axes=[-1])
    centred = model.node("Sub", x, mean)
    variance = model.node("ReduceMean", model.node("Pow", centred, model.scalar(2.0)), axes=[-1])
    deviation = model.node("Sqrt", model.node("Add", variance, model.scalar(1e-5)))
    scaled = model.node("Mul", model.node("Div", centred, deviation), model.weight(width))
    return str(model.node("Add", scaled, model.weight(width)))


def gelu_tanh(model: Model, x: str) -> str:
    """GELU as GPT-2 approximates it."""
    cubed = model.node("Mul", model.node("Pow", x, model.scalar(3.0)), model.scalar(0.044715))
    inner = model.node("Tanh", model.node("Mul", model.node("Add", x, cubed), model.scalar(0.79788)))
    half = model.node("Mul", x, model.scalar(0.5))
    return str(model.node("Mul", half, model.node("Add", inner, model.scalar(1.0))))


def gelu_erf(model: Model, x: str) -> str:
    """GELU by the error function."""
    error = model.node("Erf", model.node("Div", x, model.scalar(1.41421)))
    product = model.node("Mul", x, model.node("Add", error, model.scalar(1.0)))
    return str(model.node("Mul", product, model.scalar(0.5)))


def heads_of(model: Model, x: str, heads: int, width: int, order: Sequence[int]) -> str:
    """(batch, tokens, channels) to (batch, heads, tokens, channels of a head), permuted by `order`."""
    shape = model.node("Shape", x)
    leading = model.node("Slice", shape, model.constant([0]), model.constant([2]), model.constant([0]))
    target = model.node("Concat", leading, model.constant([heads, width // heads]), axis=0)
    return str(model.node("Transpose", model.node("Reshape", x, target), perm=list(order)))


def gpt2_block(
    tokens: str | int = "sequence",
    width: int = 768,
    heads: int = 12,
    decomposed: bool = True,
    batch: str | int = "batch",
) -> Model:
    """One block of GPT-2 on a prompt, as PyTorch exports that of the transformers library."""
    model = Model(17)
    x = model.input("hidden_states", [batch, tokens, width])

    def norm(of: str) -> str:
        if decomposed:
            return layer_norm(model, of, width)
        return str(model.node("LayerNormalization", of, model.weight(width), model.weight(width), axis=-1))

    qkv = conv1d(model, norm(x), width, width, 3 * width, name="/attn/c_attn/Gemm")
    q, k, v = model.node("Split", qkv, model.constant([width] * 3), outputs=3, axis=2)
    query = heads_of(model, q, heads, width, (0, 2, 1, 3))
    key = heads_of(model, k, heads, width, (0, 2, 3, 1))
    value = heads_of(model, v, heads, width, (0, 2, 1, 3))
    scores = model.node("Div", model.node("MatMul", query, key, name="/attn/QK"), model.scalar(8.0))
    # The causal mask: a slice of a stored triangle, one row for each token.
    count = model.node("Gather", model.node("Shape", x), model.constant(1), axis=0)
    length = model.node("Unsqueeze", count, model.constant([0]))
    triangle = model.weight(1, 1, 1024, 1024, name="attn.bias")
    rows = model.node("Slice", triangle, model.constant([0]), length, model.constant([2]), model.constant([1]))
    mask = model.node("Slice", rows, model.constant([0]), length, model.constant([3]), model.constant([1]))
    mask = model.node("Cast", mask, to=TensorProto.BOOL)
    masked = model.node("Where", mask, scores, model.scalar(-1e4))
    attention = model.node(
        "MatMul", model.node("Softmax", masked, axis=-1, name="/attn/Softmax"), value, name="/attn/QKV"
    )
    merged = model.node("Transpose", attention, perm=[0, 2, 1, 3])
    shape = model.node("Shape", merged)
    leading = model.node("Slice", shape, model.constant([0]), model.constant([2]), model.constant([0]))
    merged = model.node("Reshape", merged, model.node("Concat", leading, model.constant([width]), axis=0))
    residual = model.node("Add", conv1d(model, merged, width, width, width), x, name="/res1")
    hidden = conv1d(model, norm(residual), width, width, 4 * width)
    out = conv1d(model, gelu_tanh(model, hidden), 4 * width, 4 * width, width)
    model.output(model.node("Add", residual, out, name="/res2"))
    return model


def gpt2_decode_block(cached: int, width: int = 768, heads: int = 12) -> Model:
    """One block of GPT-2 that makes one token and reads the keys and values of cached tokens."""
    model = Model(17)
    x = model.input("hidden_states", ["batch", 1, width])
    past_key = model.input("past_key", ["batch", heads, cached, width // heads])
    past_value = model.input("past_value", ["batch", heads, cached, width // heads])
    qkv = linear(model, layer_norm(model, x, width), width, 3 * width)
    q, k, v = model.node("Split", qkv, model.constant([width] * 3), outputs=3, axis=2)
    query, key, value = (heads_of(model, part, heads, width, (0, 2, 1, 3)) for part in (q, k, v))
    key = model.node("Concat", past_key, key, axis=2, name="/keys")
    value = model.node("Concat", past_value, value, axis=2, name="/values")
    scores = model.node("MatMul", query, model.node("Transpose", key, perm=[0, 1, 3, 2]), name="/QK")
    weights = model.node("Softmax", model.node("Mul", scores, model.scalar(0.125)), axis=-1)
    attention = model.node("MatMul", weights, value, name="/QKV")
    merged = model.node("Transpose", attention, perm=[0, 2, 1, 3])
    merged = model.node("Reshape", merged, model.constant([0, 0, width]))
    residual = model.node("Add", linear(model, merged, width, width), x, name="/res1")
    hidden = gelu_tanh(model, linear(model, layer_norm(model, residual, width), width, 4 * width))
    model.output(model.node("Add", residual, linear(model, hidden, 4 * width, width), name="/res2"))
    return model


def bert_layer(tokens: int = 128, width: int = 768, heads: int = 12) -> Model:
    """BERT with its embeddings, an attention mask from outside, and one layer."""
    model = Model(14)
    ids = model.input("input_ids", ["batch", tokens], TensorProto.INT64)
    mask = model.input("attention_mask", ["batch", tokens], TensorProto.INT64)

    words = model.node("Gather", model.weight(30522, width, name="word_embeddings"), ids, name="/embeddings/Gather")
    positions = model.node(
        "Gather", model.weight(512, width, name="position_embeddings"), model.constant([list(range(tokens))])
    )
    x = layer_norm(model, model.node("Add", words, positions, name="/embeddings/Add"), width)
    wide = model.node("Unsqueeze", model.node("Unsqueeze", mask, model.constant([1])), model.constant([2]))
    additive = model.node("Sub", model.scalar(1.0), model.node("Cast", wide, to=TensorProto.FLOAT))
    additive = model.node("Mul", additive, model.scalar(-1e4))
    query = heads_of(model, linear(model, x, width, width, "/query"), heads, width, (0, 2, 1, 3))
    key = heads_of(model, linear(model, x, width, width, "/key"), heads, width, (0, 2, 1, 3))
    value = heads_of(model, linear(model, x, width, width, "/value"), heads, width, (0, 2, 1, 3))
    scores = model.node("MatMul", query, model.node("Transpose", key, perm=[0, 1, 3, 2]), name="/QK")
    scores = model.node("Add", model.node("Div", scores, model.scalar(8.0)), additive)
    attention = model.node("MatMul", model.node("Softmax", scores, axis=-1, name="/Softmax"), value, name="/QKV")
    merged = model.node("Transpose", attention, perm=[0, 2, 1, 3])
    merged = model.node("Reshape", merged, model.constant([0, 0, width]))
    residual = model.node("Add", linear(model, merged, width, width), x, name="/res1")
    middle = layer_norm(model, residual, width)
    hidden = gelu_erf(model, linear(model, middle, width, 4 * width))
    residual = model.node("Add", linear(model, hidden, 4 * width, width), middle, name="/res2")
    model.output(layer_norm(model, residual, width))
    return model
