"""Tiny networks of 4 to 8 layers, small enough for exact search and enumeration.

On the edge platform a layer takes some hundred to a few thousand cycles to compute, and about as many to move its
bytes: neither computing nor DRAM alone decides. Each network has one feature of the real networks; together they have
every kind of layer.
"""

from soma_cp.model.network.layers import (
    Conv,
    Eltwise,
    ExternalInput,
    FullyConnected,
    GroupConv,
    Layer,
    PointToPoint,
    Pool,
    Shape,
    Transpose,
    Upsample,
)
from soma_cp.model.network.network import Network


def tiny_chain() -> Network:
    """Four convolutions in a row, the last with stride 2."""
    return _network(
        "tiny-chain",
        (32, 28, 28),
        _conv("conv1", 32, 64, 3, 28),
        _conv("conv2", 64, 64, 3, 28, "conv1"),
        _conv("conv3", 64, 128, 1, 28, "conv2"),
        _conv("conv4", 128, 128, 3, 14, "conv3", stride=2),
    )


def tiny_branch() -> Network:
    """A residual block between two convolutions: the shortcut waits for three layers."""
    return _network(
        "tiny-branch",
        (32, 28, 28),
        _conv("stem", 32, 128, 3, 28),
        _conv("reduce", 128, 64, 1, 28, "stem"),
        _conv("conv", 64, 64, 3, 28, "reduce"),
        _conv("expand", 64, 128, 1, 28, "conv"),
        Eltwise(name="add", K=128, H=28, W=28, ifmaps=("stem", "expand")),
        _conv("last", 128, 64, 3, 14, "add", stride=2),
    )


def tiny_attention() -> Network:
    """One attention head of 128 channels over 256 tokens: a transpose, and weights that other layers make."""
    tokens, width = 256, 128
    return _network(
        "tiny-attention",
        (width, tokens, 1),
        _matmul("query", width, width, tokens),
        _matmul("key", width, width, tokens),
        Transpose(name="key_transposed", K=tokens, H=width, W=1, order="HCW", ifmaps=("key",)),
        _matmul("value", width, width, tokens),
        _matmul("scores", width, tokens, tokens, "query", operand="key_transposed"),
        PointToPoint(name="softmax", K=tokens, H=tokens, W=1, ifmaps=("scores",)),
        _matmul("mix", tokens, width, tokens, "softmax", operand="value"),
        _matmul("project", width, width, tokens, "mix"),
    )


def tiny_ffn() -> Network:
    """The feed-forward part of a transformer block: large weights, and a residual around them."""
    tokens, width, hidden = 256, 128, 256
    return _network(
        "tiny-ffn",
        (width, tokens, 1),
        PointToPoint(name="norm", K=width, H=tokens, W=1, inputs=("input",)),
        _matmul("expand", width, hidden, tokens, "norm"),
        PointToPoint(name="activation", K=hidden, H=tokens, W=1, ifmaps=("expand",)),
        _matmul("contract", hidden, width, tokens, "activation"),
        Eltwise(name="add", K=width, H=tokens, W=1, ifmaps=("contract",), inputs=("input",)),
    )


def tiny_concat() -> Network:
    """Two branches whose ofmaps are concatenated by their reader, and a residual."""
    return _network(
        "tiny-concat",
        (32, 28, 28),
        _conv("stem", 32, 64, 3, 28),
        _conv("narrow", 64, 32, 1, 28, "stem"),
        _conv("wide_reduce", 64, 32, 1, 28, "stem"),
        _conv("wide", 32, 64, 3, 28, "wide_reduce"),
        Conv(name="merge", C=96, K=64, H=28, W=28, ifmaps=("narrow", "wide")),
        Eltwise(name="add", K=64, H=28, W=28, ifmaps=("stem", "merge")),
    )


def tiny_pool_fc() -> Network:
    """Convolutions with pooling, then a fully connected layer: few fmaps and many weights at the end."""
    return _network(
        "tiny-pool-fc",
        (16, 32, 32),
        _conv("conv1", 16, 64, 3, 32),
        _pool("pool1", 64, 2, 16, "conv1"),
        _conv("conv2", 64, 64, 3, 16, "pool1"),
        _pool("pool2", 64, 4, 4, "conv2"),
        FullyConnected(name="fc", C=64, K=32, R=4, S=4, ifmaps=("pool2",)),
    )


def tiny_wide() -> Network:
    """One layer that four others read, and their sum: many orders, and one fmap that stays for all four."""
    branches = tuple(f"branch{number}" for number in range(1, 5))
    return _network(
        "tiny-wide",
        (32, 28, 28),
        _conv("stem", 32, 64, 3, 28),
        *(_conv(name, 64, 64, 1, 28, "stem") for name in branches),
        Eltwise(name="add", N=4, K=64, H=28, W=28, ifmaps=branches),
    )


def tiny_unet() -> Network:
    """Down, a group convolution, up again, and a concatenation with the fmap from before the way down."""
    return _network(
        "tiny-unet",
        (16, 32, 32),
        _conv("before", 16, 32, 3, 32),
        _pool("down", 32, 2, 16, "before"),
        GroupConv(name="grouped", C=32, K=64, G=2, R=3, S=3, H=16, W=16, ifmaps=("down",)),
        Upsample(name="up", K=64, H=32, W=32, sH=2, sW=2, ifmaps=("grouped",)),
        PointToPoint(name="concat", K=96, H=32, W=32, ifmaps=("before", "up")),
        _conv("after", 96, 32, 3, 32, "concat"),
    )


def _network(name: str, input_shape: Shape, *layers: Layer) -> Network:
    return Network(name, (ExternalInput("input", input_shape),), layers)


def _conv(name: str, C: int, K: int, window: int, side: int, source: str = "", stride: int = 1) -> Conv:
    """Make a square convolution, which reads the network's input if it has no source."""
    return Conv(
        name=name,
        C=C,
        K=K,
        R=window,
        S=window,
        H=side,
        W=side,
        sH=stride,
        sW=stride,
        ifmaps=(source,) if source else (),
        inputs=() if source else ("input",),
    )


def _matmul(name: str, C: int, K: int, tokens: int, source: str = "", operand: str = "") -> Conv:
    """Make a matrix multiplication, with stored weights if it has no operand."""
    return Conv(
        name=name,
        C=C,
        K=K,
        H=tokens,
        W=1,
        ifmaps=(source,) if source else (),
        weight_operands=(operand,) if operand else (),
        inputs=() if source else ("input",),
    )


def _pool(name: str, channels: int, window: int, side: int, source: str) -> Pool:
    return Pool(name=name, K=channels, R=window, S=window, H=side, W=side, sH=window, sW=window, ifmaps=(source,))
