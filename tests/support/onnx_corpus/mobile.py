"""Convolutional networks for phones: MobileNetV3, EfficientNet, ShuffleNetV2, SqueezeNet, and MobileNetV2 quantised."""

import numpy as np
from onnx import TensorProto

from support.onnx_corpus.graph import Graph


def hard_swish(g: Graph, x: str) -> str:
    """``nn.Hardswish``: HardSwish from opset 14 on, else HardSigmoid and Mul."""
    if g.opset >= 14:
        return str(g("HardSwish", x))
    return str(g("Mul", x, g("HardSigmoid", x, alpha=1 / 6)))


def squeeze_excitation(g: Graph, x: str, channels: int, inside: int, inner: str, outer: str) -> str:
    """A global mean, two 1×1 convolutions, and a product with the fmap."""
    with g.scope("se"):
        s = g("GlobalAveragePool", x)
        s = g.conv(s, channels, inside, name="fc1")
        s = g("Relu", s) if inner == "Relu" else g.silu(s)
        s = g.conv(s, inside, channels, name="fc2")
        return str(g("Mul", g(outer, s, **({"alpha": 1 / 6} if outer == "HardSigmoid" else {})), x))


def mobilenet_v3() -> Graph:
    """MobileNetV3-Large's first blocks of every kind, 64×64, with a dynamic batch."""
    g = Graph(13)
    x = g.input("input", ["batch_size", 3, 64, 64])
    with g.scope("features"):
        x = hard_swish(g, g.conv(x, 3, 16, 3, 2, name="0"))
        channels = 16
        # kernel, expanded, channels, squeeze, activation, stride
        blocks = (
            (3, 16, 16, False, "RE", 1),
            (3, 64, 24, False, "RE", 2),
            (3, 72, 24, False, "RE", 1),
            (5, 72, 40, True, "RE", 2),
            (5, 120, 40, True, "RE", 1),
            (3, 240, 80, False, "HS", 2),
            (3, 480, 112, True, "HS", 1),
        )
        for i, (kernel, expanded, outside, squeeze, activation, stride) in enumerate(blocks):
            with g.scope(str(i + 1)):
                act = (lambda t: str(g("Relu", t))) if activation == "RE" else (lambda t: hard_swish(g, t))
                y = x
                if expanded != channels:
                    y = act(g.conv(y, channels, expanded, name="expand"))
                y = act(g.conv(y, expanded, expanded, kernel, stride, groups=expanded, name="depthwise"))
                if squeeze:
                    y = squeeze_excitation(g, y, expanded, expanded // 4, "Relu", "HardSigmoid")
                y = g.conv(y, expanded, outside, name="project")
                x = str(g("Add", x, y)) if stride == 1 and channels == outside else y
                channels = outside
        x = hard_swish(g, g.conv(x, 112, 480, name="last"))
    x = g("Flatten", g("GlobalAveragePool", x), axis=1)
    x = hard_swish(g, g.gemm(x, 480, 640, "classifier.0"))
    g.output(g.gemm(x, 640, 100, "classifier.3"), "output", ["batch_size", 100])
    return g


def efficientnet() -> Graph:
    """EfficientNet-B0's blocks: SiLU, squeeze-and-excitation in each, kernels of 3 and 5."""
    g = Graph(17)
    x = g.input("input", [1, 3, 64, 64])
    x = g.silu(g.conv(x, 3, 32, 3, 2, name="stem"))
    channels = 32
    for i, (factor, outside, kernel, stride) in enumerate(
        ((1, 16, 3, 1), (6, 24, 3, 2), (6, 24, 3, 1), (6, 40, 5, 2), (6, 80, 3, 2), (6, 80, 3, 1))
    ):
        with g.scope(f"blocks.{i}"):
            expanded, y = factor * channels, x
            if factor > 1:
                y = g.silu(g.conv(y, channels, expanded, name="conv_pw"))
            y = g.silu(g.conv(y, expanded, expanded, kernel, stride, groups=expanded, name="conv_dw"))
            y = squeeze_excitation(g, y, expanded, channels // 4, "silu", "Sigmoid")
            y = g.conv(y, expanded, outside, name="conv_pwl")
            x = str(g("Add", y, x)) if stride == 1 and channels == outside else y
            channels = outside
    x = g.silu(g.conv(x, 80, 320, name="conv_head"))
    x = g("Flatten", g("GlobalAveragePool", x), axis=1)
    g.output(g.gemm(x, 320, 100, "classifier"), "output", [1, 100])
    return g


def shuffle(g: Graph, x: str, channels: int, rows: int, columns: int) -> str:
    """The channel shuffle of two groups, with the sizes that PyTorch reads from the shape."""
    batch = g.size(x, 0)
    x = g.reshape(x, batch, 2, channels // 2, rows, columns)
    return g.reshape(g.transpose(x, 0, 2, 1, 3, 4), batch, channels, rows, columns)


def shufflenet_v2() -> Graph:
    """ShuffleNetV2: units that divide channels in half, and units of stride 2."""
    g = Graph(13)
    x = g.input("input", ["batch", 3, 64, 64])
    x = g.max_pool(g("Relu", g.conv(x, 3, 24, 3, 2, name="conv1")), 3, 2, 1)
    channels, side = 24, 16
    for stage, outside in ((2, 48), (3, 96)):
        half = outside // 2
        for unit in range(3):
            with g.scope(f"stage{stage}.{unit}"):
                if unit == 0:
                    a = g.conv(x, channels, channels, 3, 2, groups=channels, name="branch1.0")
                    a = g("Relu", g.conv(a, channels, half, name="branch1.2"))
                    b, inside, stride = x, channels, 2
                    side //= 2
                else:
                    a, b = g.chunk(x, [half, half], 1)
                    inside, stride = half, 1
                b = g("Relu", g.conv(b, inside, half, name="branch2.0"))
                b = g.conv(b, half, half, 3, stride, groups=half, name="branch2.3")
                b = g("Relu", g.conv(b, half, half, name="branch2.5"))
                x = shuffle(g, g("Concat", a, b, axis=1), outside, side, side)
                channels = outside
    x = g("Relu", g.conv(x, 96, 128, name="conv5"))
    x = g("ReduceMean", x, axes=[2, 3], keepdims=0)
    g.output(g.gemm(x, 128, 100), "output", ["batch", 100])
    return g


def squeezenet() -> Graph:
    """SqueezeNet 1.1: fire modules, pooling with ceiling, a convolution as classifier."""
    g = Graph(13)
    x = g.input("data", ["N", 3, 64, 64])
    x = g.max_pool(g("Relu", g.conv(x, 3, 64, 3, 2, pad=0, name="features.0")), 3, 2, ceil=1)
    channels = 64
    for i, (squeeze, expand) in enumerate(((16, 64), (16, 64), (32, 128))):
        with g.scope(f"features.{i + 3}"):
            s = g("Relu", g.conv(x, channels, squeeze, name="squeeze"))
            a = g("Relu", g.conv(s, squeeze, expand, name="expand1x1"))
            b = g("Relu", g.conv(s, squeeze, expand, 3, name="expand3x3"))
            x, channels = g("Concat", a, b, axis=1), 2 * expand
            if i == 1:
                x = g.max_pool(x, 3, 2, ceil=1)
    x = g("GlobalAveragePool", g("Relu", g.conv(x, channels, 100, name="classifier.1")))
    g.output(g("Flatten", x, axis=1), "output", ["N", 100])
    return g


def mobilenet_v2_qdq() -> Graph:
    """A MobileNetV2 block and classifier in QDQ form: DequantizeLinear of every weight, both around every fmap."""
    g = Graph(13, initializers=True)

    def pair(x: str) -> str:
        scale, zero = g.scalar(0.02), g.const(0, np.int8)
        return str(g("DequantizeLinear", g("QuantizeLinear", x, scale, zero), scale, zero))

    def conv(x: str, inside: int, outside: int, kernel: int, stride: int, groups: int, name: str) -> str:
        with g.scope(name):
            weight = g.weight("weight_quantized", outside, inside // groups, kernel, kernel, kind=TensorProto.INT8)
            scales = g.weight("weight_scale", outside)
            zeros = g.weight("weight_zero_point", outside, kind=TensorProto.INT8)
            bias = g.weight("bias_quantized", outside, kind=TensorProto.INT32)
            w = g("DequantizeLinear", weight, scales, zeros, axis=0)
            b = g("DequantizeLinear", bias, g.weight("bias_scale", outside), axis=0)
            pads = [(kernel - 1) // 2] * 4
            return str(g("Conv", x, w, b, group=groups, kernel_shape=[kernel] * 2, pads=pads, strides=[stride] * 2))

    x = pair(g.input("input", ["batch_size", 3, 32, 32]))
    x = pair(g("Clip", conv(x, 3, 16, 3, 2, 1, "features.0"), g.scalar(0), g.scalar(6)))
    for i in range(2):
        y = pair(g("Clip", conv(x, 16, 96, 1, 1, 1, f"{i}.expand"), g.scalar(0), g.scalar(6)))
        y = pair(g("Clip", conv(y, 96, 96, 3, 1, 96, f"{i}.depthwise"), g.scalar(0), g.scalar(6)))
        x = pair(g("Add", x, pair(conv(y, 96, 16, 1, 1, 1, f"{i}.project"))))
    x = pair(g("Flatten", pair(g("GlobalAveragePool", x)), axis=1))
    weight = g("DequantizeLinear", g.weight("fc.weight_quantized", 10, 16, kind=TensorProto.INT8), g.scalar(0.01))
    x = g("Gemm", x, weight, g.weight("fc.bias", 10), transB=1)
    g.output(pair(x), "output", ["batch_size", 10])
    return g


def mobilenet_v2_qlinear() -> Graph:
    """The same in operator form, as ONNX Runtime's static quantisation writes it."""
    g = Graph(13, initializers=True)

    def conv(x: str, inside: int, outside: int, kernel: int, stride: int, groups: int, name: str) -> str:
        with g.scope(name):
            weight = g.weight("weight_quantized", outside, inside // groups, kernel, kernel, kind=TensorProto.INT8)
            fixed = [g.weight("weight_scale", outside), g.weight("weight_zero", outside, kind=TensorProto.INT8)]
            bias = g.weight("bias_quantized", outside, kind=TensorProto.INT32)
            pads = [(kernel - 1) // 2] * 4
            return str(
                g(
                    "QLinearConv",
                    *(x, g.scalar(0.02), g.const(0, np.uint8), weight, *fixed, g.scalar(0.03), g.const(0, np.uint8)),
                    bias,
                    group=groups,
                    kernel_shape=[kernel] * 2,
                    pads=pads,
                    strides=[stride] * 2,
                )
            )

    x = g("QuantizeLinear", g.input("input", ["batch_size", 3, 32, 32]), g.scalar(0.02), g.const(0, np.uint8))
    x = conv(x, 3, 16, 3, 2, 1, "features.0")
    scale, zero = g.scalar(0.03), g.const(0, np.uint8)
    for i in range(2):
        y = conv(x, 16, 96, 1, 1, 1, f"{i}.expand")
        y = conv(y, 96, 96, 3, 1, 96, f"{i}.depthwise")
        y = conv(y, 96, 16, 1, 1, 1, f"{i}.project")
        x = g(
            "QLinearAdd",
            *(x, scale, zero, y, scale, zero, scale, zero),
            domain="com.microsoft",
            shapes=[(1, 16, 16, 16)],
            kind=TensorProto.UINT8,
        )
    x = g(
        "QLinearGlobalAveragePool",
        *(x, scale, zero, scale, zero),
        domain="com.microsoft",
        channels_last=0,
        shapes=[(1, 16, 1, 1)],
        kind=TensorProto.UINT8,
    )
    x = g("Flatten", x, axis=1)
    weight = g.weight("fc.weight_quantized", 16, 10, kind=TensorProto.INT8)
    x = g(
        "QGemm",
        *(x, scale, zero, weight, g.scalar(0.01), g.const(0, np.int8)),
        *(g.weight("fc.bias_quantized", 10, kind=TensorProto.INT32), scale, zero),
        domain="com.microsoft",
        alpha=1.0,
        transB=0,
        shapes=[(1, 10)],
        kind=TensorProto.UINT8,
    )
    g.output(g("DequantizeLinear", x, scale, zero), "output", ["batch_size", 10])
    return g
