"""Small models: operators that the architectures lack, and a model of one node of any known operator."""

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, defs, helper

from support.onnx_corpus.graph import FLOAT, INT64, MICROSOFT, Graph


def arrangement() -> Graph:
    """Space to depth by Reshape and Transpose, Tile, Pad, slices backwards, an Einsum of heads."""
    g = Graph(17)
    x = g.conv(g.input("x", ["batch", 3, 16, 16]), 3, 8, 3)
    x = g.reshape(g.transpose(g.reshape(x, -1, 8, 8, 2, 8, 2), 0, 3, 5, 1, 2, 4), -1, 32, 8, 8)
    x = g("Pad", x, g.const([0, 0, 1, 1, 0, 0, 1, 1]), g.scalar(0), mode="reflect")
    x = g.slice(x, 3, -1, -(2**31), -1)
    x = g.conv(x, 32, 16, 3, 2)
    q = g.reshape(x, -1, 4, 4, 25)
    k = g.reshape(g("Tile", g.slice(x, 1, 0, 8), g.const([1, 2, 1, 1])), -1, 4, 4, 25)
    g.output(g("Softmax", g("Einsum", q, k, equation="bhdq,bhdk->bhqk"), axis=-1), "weights")
    return g


def standard_attention() -> Graph:
    """The operator Attention of opset 23, RMSNormalization, RotaryEmbedding, Swish."""
    g = Graph(23)
    x = g.input("x", [1, 32, 64])
    y = g("RMSNormalization", x, g.weight("scale", 64), axis=-1)
    q, k, v = (g.linear(y, 64, width, bias=False) for width in (64, 16, 16))
    turns = [g.weight(name, 1, 32, 8) for name in ("cos", "sin")]
    q, k = (g("RotaryEmbedding", t, *turns, num_heads=heads) for t, heads in ((q, 4), (k, 1)))
    y = g("Attention", q, k, v, q_num_heads=4, kv_num_heads=1, is_causal=1)
    g.output(g("Add", x, g.linear(y, 64, 64)), "y")
    return g


def fused() -> Graph:
    """Operators of ONNX Runtime: FusedConv, MatMulNBits, GroupQueryAttention, SkipSimplifiedLayerNormalization."""
    g = Graph(17, initializers=True)
    x = g.conv(g.input("image", [1, 3, 16, 16]), 3, 16, 3)
    weight = g.weight("fused.weight", 32, 16, 1, 1)
    x = g("FusedConv", x, weight, domain=MICROSOFT, activation="Relu", shapes=[(1, 32, 16, 16)])
    x = g.transpose(g.reshape(x, 1, 32, 256), 0, 2, 1)
    packed = g.weight("packed", 64, 1, 16, kind=TensorProto.UINT8)
    matmul: dict[str, Any] = {"domain": MICROSOFT, "K": 32, "N": 64, "bits": 4, "block_size": 32}
    x = g("MatMulNBits", x, packed, g.weight("scales", 64), shapes=[(1, 256, 64)], **matmul)
    past = [g.input(f"past_{kind}", [1, 1, 8, 16]) for kind in ("key", "value")]
    q, k, v = (g("MatMul", x, g.matrix(64, width)) for width in (64, 16, 16))
    lengths = g.const([263], np.int32), g.const([264], np.int32)
    attention: dict[str, Any] = {"domain": MICROSOFT, "num_heads": 4, "kv_num_heads": 1}
    y, *present = g("GroupQueryAttention", q, k, v, *past, *lengths, outputs=3, **attention)
    g.output(g("SkipSimplifiedLayerNormalization", y, x, g.weight("norm", 64), domain=MICROSOFT), "y")
    for tensor in present:
        g.output(tensor)
    return g


def selection() -> Graph:
    """TopK, NonZero, ScatterND, OneHot, CumSum, Trilu, Where and GatherND: indices that are computed."""
    g = Graph(17)
    x = g.linear(g.input("x", ["batch", 16, 32]), 32, 8)
    best, chosen = g("TopK", x, g.const([3]), outputs=2)
    hot = g("OneHot", chosen, g.const(8), g.const([0.0, 1.0], np.float32))
    y = g("MatMul", g("ReduceSum", hot, g.const([2]), keepdims=0), g.weight("w", 8, 8))
    y = g("Add", y, g("CumSum", x, g.const(1)))
    y = g("Where", g("Greater", y, g.scalar(0)), y, g("Trilu", x))
    places = g("Transpose", g("NonZero", y), perm=[1, 0])
    g.output(g("ScatterND", y, places, g("GatherND", y, places)), "y")
    g.output(best, "best")
    return g


def branches() -> Graph:
    """An If with two graphs that read tensors of the outer graph, and a Loop."""
    g = Graph(17)
    x = g.conv(g.input("x", [1, 3, 8, 8]), 3, 4, 3)
    bodies = []
    for operator in ("Relu", "Tanh"):
        node = helper.make_node(operator, [x], [f"{operator}_out"])
        out = helper.make_tensor_value_info(node.output[0], FLOAT, [1, 4, 8, 8])
        bodies.append(helper.make_graph([node], operator, [], [out]))
    y = g("If", g.input("flag", [], TensorProto.BOOL), then_branch=bodies[0], else_branch=bodies[1])
    step = [helper.make_tensor_value_info("i", INT64, []), helper.make_tensor_value_info("go", TensorProto.BOOL, [])]
    state = helper.make_tensor_value_info("state", FLOAT, [1, 4, 8, 8])
    nodes = [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Relu", ["state"], ["next"])]
    results = [helper.make_tensor_value_info("on", TensorProto.BOOL, []), helper.make_value_info("next", state.type)]
    body = helper.make_graph(nodes, "body", [*step, state], results)
    g.output(g("Loop", g.const(3), g.const(True, bool), y, body=body), "y")
    return g


def two_matrices() -> Graph:
    """Products without a batch, of two inputs, a Gemm with a transposed input, and a bias that is an input."""
    g = Graph(13)
    a, b = g.input("a", [32, 48]), g.input("b", [48, 16])
    y = g("Gemm", g("MatMul", a, b), g.weight("w", 32, 8), g.input("c", [8]), transA=1)
    g.output(g("MatMul", y, g.transpose(y, 1, 0)), "y")
    return g


SMALL: tuple[Callable[[], Graph], ...] = (arrangement, standard_attention, fused, selection, branches, two_matrices)

_SHAPES: tuple[tuple[int | str, ...], ...] = (
    (1, 8, 6, 6),
    (1, 6, 8),
    (1, 8),
    (2, 4, 6),
    (8,),
    (),
    (1, 2, 3, 4, 5),
    ("N", 4, "M"),
    (1, 0, 4),
)


def one_operator(rng: Random) -> onnx.ModelProto:
    """A convolution, and a node of a drawn operator that reads it, with drawn inputs and attributes."""
    schema = rng.choice(_schemas())
    g = Graph(rng.choice((13, 17, 21, 23)))
    x = g.conv(g.input("x", ["batch", 3, 6, 6]), 3, 8, 3)
    count = max(schema.min_input, min(schema.max_input, rng.randint(0, 4), 6))
    inputs = []
    for i in range(count):
        shape = rng.choice(_SHAPES)
        kind = rng.random()
        if kind < 0.4:
            inputs.append(x)
        elif kind < 0.6:
            inputs.append(g.const(np.ones([size if isinstance(size, int) else 2 for size in shape]), np.int64))
        elif kind < 0.8:
            inputs.append(g.weight(f"w{i}", *(size if isinstance(size, int) else 2 for size in shape)))
        else:
            inputs.append(g.input(f"in{i}", shape, rng.choice((FLOAT, FLOAT, INT64, TensorProto.BOOL))))
    outputs = max(1, min(schema.max_output, rng.choice((1, 1, 2, 3))))
    drawn = {name: drawn_attribute(rng, item) for name, item in schema.attributes.items()}
    attributes = {
        name: value
        for name, value in drawn.items()
        if value is not None and (schema.attributes[name].required or rng.random() < 0.5)
    }
    made = g(schema.name, *inputs, outputs=outputs, domain=schema.domain, **attributes)
    for tensor in [made] if isinstance(made, str) else made:
        g.output(tensor, dims=rng.choice((None, [1, 8, 6, 6], ["batch", "K"])))
    return g.model()


def drawn_attribute(rng: Random, attribute: Any) -> Any:
    """Return a value of the attribute's type, often a legal one; None for graphs."""
    kinds = defs.OpSchema.AttrType
    draw = {
        kinds.INT: lambda: rng.choice((0, 1, 2, -1, 3, 8)),
        kinds.INTS: lambda: [rng.choice((0, 1, 2, 3, -1)) for _ in range(rng.choice((1, 2, 2, 4, 4, 3)))],
        kinds.FLOAT: lambda: rng.choice((0.0, 1.0, -0.5, 1e30)),
        kinds.FLOATS: lambda: [rng.random() for _ in range(rng.randint(1, 4))],
        kinds.STRING: lambda: rng.choice(("", "linear", "NOTSET", "SAME_UPPER", "forward", "ij,jk->ik", "none")),
        kinds.STRINGS: lambda: ["Relu", "Tanh"][: rng.randint(1, 2)],
        kinds.TENSOR: lambda: helper.make_tensor("t", FLOAT, [1], [1.0]),
    }.get(attribute.type)
    return None if draw is None else draw()


def _schemas() -> list[Any]:
    return sorted(defs.get_all_schemas(), key=lambda schema: (schema.domain, schema.name))
