"""Small models of what people bring, whose right figures are known by hand: see `test_field`."""

from collections.abc import Callable
from typing import Any

from support.onnx_models import Model

MICROSOFT = "com.microsoft"


class Graph(Model):
    """A graph under construction; a call adds a node and returns its output, or a list if there are several."""

    def __call__(self, operator: str, inputs: list[str], name: str = "", results: int = 1, **attributes: Any) -> Any:
        return self.node(operator, *inputs, name=name, outputs=results, **attributes)

    def const(self, value: list[int]) -> str:
        return self.constant(value)


MODELS: dict[str, Callable[[Graph], None]] = {}


def model(function: Callable[[Graph], None]) -> Callable[[Graph], None]:
    MODELS[function.__name__] = function
    return function


def heads(g: Graph, tensor: str, tokens: int, count: int, width: int, batch: int = 1) -> str:
    return g("Transpose", [g("Reshape", [tensor, g.const([batch, tokens, count, width])])], perm=[0, 2, 1, 3])


def attend(g: Graph, q: str, k: str, v: str, out_shape: list[int]) -> str:
    scores = g("Softmax", [g("MatMul", [q, g("Transpose", [k], perm=[0, 1, 3, 2])], "qk")], axis=-1)
    return g("Reshape", [g("Transpose", [g("MatMul", [scores, v], "av")], perm=[0, 2, 1, 3]), g.const(out_shape)])


@model
def prefill_with_present(g: Graph) -> None:
    """Attention of a prompt whose keys and values are outputs, as every LLM export has them."""
    x = g.input("x", [1, 128, 256])
    q, k, v = (g("MatMul", [x, g.weight(256, 256)], name) for name in ("q", "k", "v"))
    q, k, v = (heads(g, t, 128, 4, 64) for t in (q, k, v))
    g.output(g("MatMul", [attend(g, q, k, v, [1, 128, 256]), g.weight(256, 256)], "o"))
    g.output(k)
    g.output(v)


@model
def post_norm_attention(g: Graph) -> None:
    """Attention with 16 heads and a residual, without a norm before it (BERT, or a block cut out of a model)."""
    x = g.input("hidden", [1, 64, 512])
    q, k, v = (g("MatMul", [x, g.weight(512, 512)], name) for name in ("q", "k", "v"))
    q, k, v = (heads(g, t, 64, 16, 32) for t in (q, k, v))
    o = g("MatMul", [attend(g, q, k, v, [1, 64, 512]), g.weight(512, 512)], "o")
    g.output(g("Add", [x, o], "residual"))


@model
def gemm_2d(g: Graph) -> None:
    """A matrix multiplication of 512 rows, without a batch."""
    x = g.input("activations", [512, 768])
    g.output(g("MatMul", [x, g.weight(768, 3072)], "matmul"))


@model
def decode_gqa(g: Graph) -> None:
    """One token, 127 cached ones, eight heads of queries, two of keys and values."""
    x = g.input("x", [1, 1, 256])
    past = [g.input(name, [1, 2, 127, 32]) for name in ("past_k", "past_v")]
    q = heads(g, g("MatMul", [x, g.weight(256, 256)], "q"), 1, 8, 32)
    present, repeated = [], []
    for name, cached in zip("kv", past, strict=True):
        new = heads(g, g("MatMul", [x, g.weight(256, 64)], name), 1, 2, 32)
        present.append(g("Concat", [cached, new], f"present_{name}", axis=2))
        wide = g("Expand", [g("Unsqueeze", [present[-1], g.const([2])]), g.const([1, 2, 4, 128, 32])])
        repeated.append(g("Reshape", [wide, g.const([1, 8, 128, 32])]))
    g.output(g("MatMul", [attend(g, q, *repeated, [1, 1, 256]), g.weight(256, 256)], "o"))
    for tensor in present:
        g.output(tensor)


@model
def window_attention(g: Graph) -> None:
    """Self-attention within 7×7 windows of a 28×28 feature map, one head (Swin without its shift)."""
    x = g.input("x", [1, 64, 28, 28])
    x = g("Transpose", [g("Conv", [x, g.weight(64, 64, 1, 1)], "before")], perm=[0, 2, 3, 1])
    x = g("Transpose", [g("Reshape", [x, g.const([1, 4, 7, 4, 7, 64])])], perm=[0, 1, 3, 2, 4, 5])
    x = g("Reshape", [x, g.const([16, 49, 64])])
    q, k, v = (g("MatMul", [x, g.weight(64, 64)], name) for name in ("q", "k", "v"))
    a = g("Softmax", [g("MatMul", [q, g("Transpose", [k], perm=[0, 2, 1])], "qk")], axis=-1)
    a = g("Reshape", [g("MatMul", [a, v], "av"), g.const([1, 4, 4, 7, 7, 64])])
    a = g("Reshape", [g("Transpose", [a], perm=[0, 1, 3, 2, 4, 5]), g.const([1, 28, 28, 64])])
    g.output(g("MatMul", [a, g.weight(64, 64)], "o"))


@model
def shift_channels_last(g: Graph) -> None:
    """The shift of a Swin block, of a feature map that comes from outside as rows × columns × channels."""
    x = g.input("x", [1, 28, 28, 64])
    y = g("LayerNormalization", [x, g.weight(64), g.weight(64)], "norm", axis=-1)
    for axis in (1, 2):
        back = g("Slice", [y, g.const([3]), g.const([2**63 - 1]), g.const([axis])])
        front = g("Slice", [y, g.const([0]), g.const([3]), g.const([axis])])
        y = g("Concat", [back, front], f"roll_{axis}", axis=axis)
    g.output(g("Add", [x, g("MatMul", [y, g.weight(64, 64)], "project")], "residual"))


@model
def image_tokens(g: Graph) -> None:
    """Self-attention over the pixels of a 16×16 feature map (DETR, Stable Diffusion, MobileViT)."""
    x = g.input("x", [1, 64, 16, 16])
    x = g("Conv", [x, g.weight(64, 64, 1, 1)], "before")
    t = g("Transpose", [g("Reshape", [x, g.const([1, 64, 256])])], perm=[0, 2, 1])
    q, k, v = (g("MatMul", [t, g.weight(64, 64)], name) for name in ("q", "k", "v"))
    a = g("Softmax", [g("MatMul", [q, g("Transpose", [k], perm=[0, 2, 1])], "qk")], axis=-1)
    o = g("MatMul", [g("MatMul", [a, v], "av"), g.weight(64, 64)], "o")
    o = g("Reshape", [g("Transpose", [o], perm=[0, 2, 1]), g.const([1, 64, 16, 16])])
    g.output(g("Add", [x, o], "residual"))


@model
def int4_matmul(g: Graph) -> None:
    """A projection with weights of four bits, as language models are quantised for ONNX Runtime."""
    x = g.input("x", [1, 128, 1024])
    weights = g.weight(4096, 32, 16)
    scales = g.weight(4096 * 32)
    g.output(g("MatMulNBits", [x, weights, scales], "project", domain=MICROSOFT, K=1024, N=4096, bits=4, block_size=32))


@model
def fused_transformer(g: Graph) -> None:
    """A BERT layer as ONNX Runtime's optimiser writes it."""
    x = g.input("x", [1, 128, 256])
    a = g("Attention", [x, g.weight(256, 768), g.weight(768)], "attention", domain=MICROSOFT, num_heads=4)
    p = g("MatMul", [a, g.weight(256, 256)], "project")
    s = g("SkipLayerNormalization", [p, x, g.weight(256), g.weight(256), g.weight(256)], "norm_1", domain=MICROSOFT)
    f = g("FusedMatMul", [s, g.weight(256, 1024)], "up", domain=MICROSOFT, alpha=1.0)
    f = g("MatMul", [g("BiasGelu", [f, g.weight(1024)], "gelu", domain=MICROSOFT), g.weight(1024, 256)], "down")
    g.output(g("SkipLayerNormalization", [f, s, g.weight(256), g.weight(256)], "norm_2", domain=MICROSOFT))


@model
def attention_opset_23(g: Graph) -> None:
    """The operator Attention of opset 23 with grouped queries: eight heads of queries, two of keys and values."""
    x = g.input("x", [1, 128, 256])
    q, k, v = (g("MatMul", [x, g.weight(256, n)], name) for name, n in (("q", 256), ("k", 64), ("v", 64)))
    a = g("Attention", [q, k, v], "attention", q_num_heads=8, kv_num_heads=2)
    g.output(g("MatMul", [a, g.weight(256, 256)], "o"))


@model
def fused_conv(g: Graph) -> None:
    """Convolutions with their activation inside, as ONNX Runtime's optimiser writes them."""
    x = g.input("image", [1, 3, 64, 64])
    x = g("Conv", [x, g.weight(16, 3, 3, 3)], "stem", strides=[2, 2], pads=[1, 1, 1, 1])
    x = g("FusedConv", [x, g.weight(72, 16, 1, 1)], "expand", domain=MICROSOFT, activation="Relu")
    x = g(
        "FusedConv",
        [x, g.weight(72, 1, 3, 3)],
        "depthwise",
        domain=MICROSOFT,
        activation="Relu",
        group=72,
        pads=[1] * 4,
    )
    g.output(g("Conv", [x, g.weight(24, 72, 1, 1)], "squeeze"))


@model
def tied_heads(g: Graph) -> None:
    """One convolution's weights used at three levels of a feature pyramid (RetinaNet's heads)."""
    weight = g.weight(256, 256, 3, 3)
    for i, side in enumerate((64, 32, 16)):
        x = g.input(f"level_{i}", [1, 256, side, side])
        g.output(g("Conv", [x, weight], f"head_{i}", pads=[1, 1, 1, 1]))


@model
def detector_head(g: Graph) -> None:
    """The end of a YOLOv8: two levels made into one row of boxes each, joined and divided."""
    x = g.input("images", [1, 3, 64, 64])
    rows = []
    for i, stride in enumerate((8, 16)):
        f = g("Conv", [x, g.weight(32, 3, stride, stride)], f"level_{i}", strides=[stride, stride])
        both = [g("Conv", [f, g.weight(n, 32, 1, 1)], f"{name}_{i}") for name, n in (("box", 64), ("class", 18))]
        rows.append(g("Reshape", [g("Concat", both, f"pair_{i}", axis=1), g.const([1, 82, -1])]))
    boxes, classes = g("Split", [g("Concat", rows, "join", axis=2), g.const([64, 18])], "divide", results=2, axis=1)
    g.output(boxes)
    g.output(g("Sigmoid", [classes]))


@model
def transposed_stride_3(g: Graph) -> None:
    """A transposed convolution, 5×5, stride 3."""
    x = g.input("x", [1, 3, 4, 4])
    g.output(g("ConvTranspose", [x, g.weight(3, 1, 5, 5)], "up", strides=[3, 3], pads=[2, 2, 2, 2]))


@model
def depth_as_mask(g: Graph) -> None:
    """A picture and its depth, both data: the features are weighted with the depth."""
    rgb, depth = g.input("rgb", [1, 8, 32, 32]), g.input("depth", [1, 1, 32, 32])
    g.output(g("Conv", [g("Mul", [rgb, depth], "weigh"), g.weight(8, 8, 3, 3)], "conv", pads=[1, 1, 1, 1]))


def built(name: str) -> Graph:
    """Return the model called `name`."""
    graph = Graph(opset=23 if name.endswith("23") else 17)
    MODELS[name](graph)
    return graph
