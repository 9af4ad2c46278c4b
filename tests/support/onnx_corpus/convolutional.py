"""Convolutional networks: ResNet, DenseNet, Inception, U-Net, DeepLab, ConvNeXt, super-resolution, and mixers."""

from support.onnx_corpus.graph import Graph


def resnet18() -> Graph:
    """ResNet-18 at 64×64: basic blocks, 1×1 shortcuts of stride 2."""
    g = Graph(17)
    x = g.input("input", ["batch_size", 3, 64, 64])
    x = g.max_pool(g("Relu", g.conv(x, 3, 64, 7, 2, name="conv1")), 3, 2, 1)
    channels = 64
    for layer, outside in enumerate((64, 128, 256, 512)):
        for block in range(2):
            with g.scope(f"layer{layer + 1}.{block}"):
                stride = 2 if block == 0 and layer > 0 else 1
                y = g("Relu", g.conv(x, channels, outside, 3, stride, name="conv1"))
                y = g.conv(y, outside, outside, 3, name="conv2")
                if stride == 2:
                    x = g.conv(x, channels, outside, 1, 2, name="downsample.0")
                x = g("Relu", g("Add", y, x))
                channels = outside
    x = g("Flatten", g("GlobalAveragePool", x), axis=1)
    g.output(g.gemm(x, 512, 1000), "output", ["batch_size", 1000])
    return g


def densenet() -> Graph:
    """DenseNet: batch normalisation before convolutions is a node of its own, and every layer reads all before it."""
    g = Graph(13)

    def norm(x: str, channels: int, name: str) -> str:
        with g.scope(name):
            names = ("weight", "bias", "running_mean", "running_var")
            return str(g("Relu", g("BatchNormalization", x, *(g.weight(n, channels) for n in names), epsilon=1e-5)))

    x = g.input("data", ["batch", 3, 64, 64])
    x = g.max_pool(g("Relu", g.conv(x, 3, 32, 7, 2, name="conv0")), 3, 2, 1)
    channels, growth = 32, 16
    for block in (1, 2):
        parts = [x]
        for layer in range(3):
            with g.scope(f"denseblock{block}.denselayer{layer + 1}"):
                y = g("Concat", *parts, axis=1) if len(parts) > 1 else x
                inside = channels + layer * growth
                y = g.conv(norm(y, inside, "norm1"), inside, 4 * growth, bias=False, name="conv1")
                parts.append(g.conv(norm(y, 4 * growth, "norm2"), 4 * growth, growth, 3, bias=False, name="conv2"))
        x, channels = g("Concat", *parts, axis=1), channels + 3 * growth
        if block == 1:
            with g.scope("transition1"):
                x = g.conv(norm(x, channels, "norm"), channels, channels // 2, bias=False, name="conv")
                x = g("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
                channels //= 2
    x = g("Flatten", g("GlobalAveragePool", norm(x, channels, "norm5")), axis=1)
    g.output(g.gemm(x, channels, 100, "classifier"), "output", ["batch", 100])
    return g


def inception() -> Graph:
    """Inception-v3's blocks A and C (1×7 and 7×1), and a grid reduction."""
    g = Graph(13)

    def conv(
        x: str, inside: int, outside: int, kernel: int | tuple[int, int], name: str, stride: int = 1, **more: int
    ) -> str:
        return str(g("Relu", g.conv(x, inside, outside, kernel, stride, name=name, **more)))

    def mean(x: str) -> str:
        return str(g("AveragePool", x, kernel_shape=[3, 3], pads=[1] * 4, strides=[1, 1], count_include_pad=1))

    x = g.input("input", ["batch", 64, 17, 17])
    with g.scope("Mixed_5b"):
        a = conv(x, 64, 32, 1, "branch1x1")
        b = conv(conv(x, 64, 24, 1, "branch5x5_1"), 24, 32, 5, "branch5x5_2")
        c = conv(conv(x, 64, 32, 1, "branch3x3dbl_1"), 32, 48, 3, "branch3x3dbl_2")
        c = conv(c, 48, 48, 3, "branch3x3dbl_3")
        d = conv(mean(x), 64, 16, 1, "branch_pool")
        x = g("Concat", a, b, c, d, axis=1)
    with g.scope("Mixed_6b"):
        a = conv(x, 128, 48, 1, "branch1x1")
        b = conv(conv(x, 128, 32, 1, "branch7x7_1"), 32, 32, (1, 7), "branch7x7_2")
        b = conv(b, 32, 48, (7, 1), "branch7x7_3")
        d = conv(mean(x), 128, 48, 1, "branch_pool")
        x = g("Concat", a, b, d, axis=1)
    with g.scope("Mixed_7a"):
        a = conv(conv(x, 144, 48, 1, "branch3x3_1"), 48, 80, 3, "branch3x3_2", 2, pad=0)
        x = g("Concat", a, g.max_pool(x, 3, 2), axis=1)
    g.output(x, "output", ["batch", 224, 8, 8])
    return g


def unet() -> Graph:
    """U-Net with transposed convolutions 2×2 of stride 2 and skips."""
    g = Graph(17)

    def double(x: str, inside: int, outside: int, name: str) -> str:
        with g.scope(name):
            x = g("Relu", g.conv(x, inside, outside, 3, name="0"))
            return str(g("Relu", g.conv(x, outside, outside, 3, name="3")))

    x = g.input("input", ["batch", 1, 64, 64])
    skips = []
    for i, (inside, outside) in enumerate(((1, 16), (16, 32), (32, 64))):
        skips.append(double(x, inside, outside, f"down{i}"))
        x = g.max_pool(skips[-1], 2, 2)
    x = double(x, 64, 128, "bottom")
    for i, channels in enumerate((64, 32, 16)):
        with g.scope(f"up{i}"):
            weight, bias = g.weight("weight", 2 * channels, channels, 2, 2), g.weight("bias", channels)
            x = g("ConvTranspose", x, weight, bias, kernel_shape=[2, 2], strides=[2, 2], pads=[0] * 4, group=1)
            x = double(g("Concat", skips.pop(), x, axis=1), 2 * channels, channels, "conv")
    g.output(g.conv(x, 16, 2, name="outc"), "output", ["batch", 2, 64, 64])
    return g


def deeplab() -> Graph:
    """DeepLabV3's head: dilated convolutions, pooling of the image, and a resize by a fraction to the input's size."""
    g = Graph(13)
    image = g.input("input", ["batch", 3, 65, 65])
    x = g("Relu", g.conv(image, 3, 32, 3, 2, name="stem"))
    x = g("Relu", g.conv(x, 32, 64, 3, 2, name="layer1"))
    x = g("Relu", g.conv(x, 64, 64, 3, dilation=2, name="layer2"))  # 64 × 17 × 17
    parts = [g("Relu", g.conv(x, 64, 32, name="aspp.0"))]
    for i, rate in enumerate((6, 12)):
        parts.append(g("Relu", g.conv(x, 64, 32, 3, dilation=rate, name=f"aspp.{i + 1}")))
    with g.scope("aspp.pool"):
        mean = g("Relu", g.conv(g("GlobalAveragePool", x), 64, 32))
        parts.append(resized(g, mean, x, 17, 17))
    x = g("Relu", g.conv(g("Concat", *parts, axis=1), 128, 32, name="project"))
    x = g.conv(x, 32, 21, name="classifier")
    g.output(resized(g, x, image, 65, 65), "output", ["batch", 21, 65, 65])
    return g


def resized(g: Graph, x: str, like: str, rows: int, columns: int) -> str:
    """``F.interpolate(x, size=like.shape[-2:])``: sizes of Resize from the shape of another tensor."""
    sizes = g("Concat", g.slice(g("Shape", x), 0, 0, 2), g.const([rows, columns]), axis=0)
    mode = "pytorch_half_pixel"
    return str(g("Resize", x, "", "", sizes, coordinate_transformation_mode=mode, mode="linear", cubic_coeff_a=-0.75))


def convnext() -> Graph:
    """ConvNeXt: depthwise 7×7, permute, LayerNorm, two Linears, layer scale; norms over channels between stages."""
    g = Graph(17)

    def norm_first(x: str, channels: int, name: str) -> str:
        return g.transpose(g.layer_norm(g.transpose(x, 0, 2, 3, 1), channels, name), 0, 3, 1, 2)

    x = g.input("input", ["batch_size", 3, 64, 64])
    x = norm_first(g.conv(x, 3, 32, 4, 4, pad=0, name="stem.0"), 32, "stem.1")
    for stage, channels in enumerate((32, 64)):
        if stage:
            x = norm_first(x, channels // 2, "downsample.0")
            x = g.conv(x, channels // 2, channels, 2, 2, pad=0, name="downsample.1")
        for block in range(2):
            with g.scope(f"stages.{stage}.{block}"):
                y = g.conv(x, channels, channels, 7, groups=channels, name="dwconv")
                y = g.layer_norm(g.transpose(y, 0, 2, 3, 1), channels)
                y = g.gelu(g.linear(y, channels, 4 * channels, "pwconv1"))
                y = g("Mul", g.weight("gamma", channels), g.linear(y, 4 * channels, channels, "pwconv2"))
                x = g("Add", x, g.transpose(y, 0, 3, 1, 2))
    x = g.layer_norm(g("ReduceMean", x, axes=[-2, -1], keepdims=0), 64, "head.norm")
    g.output(g.gemm(x, 64, 100, "head.fc"), "output", ["batch_size", 100])
    return g


def super_resolution() -> Graph:
    """A sub-pixel network of factor 3: its last node is DepthToSpace, which PyTorch writes for PixelShuffle."""
    g = Graph(13)
    x = g.input("input", ["batch_size", 1, 32, 32])
    x = g("Relu", g.conv(x, 1, 64, 5, name="conv1"))
    x = g("Relu", g.conv(x, 64, 64, 3, name="conv2"))
    x = g("Relu", g.conv(x, 64, 32, 3, name="conv3"))
    x = g.conv(x, 32, 9, 3, name="conv4")
    g.output(g("DepthToSpace", x, blocksize=3, mode="CRD"), "output", ["batch_size", 1, 96, 96])
    return g


def temporal() -> Graph:
    """A temporal network: dilated causal convolutions of one axis, padded at the front or cut at the end, residuals."""
    g = Graph(13)
    x = g.input("input", ["batch", 16, 128])
    channels = 16
    for level, outside in enumerate((32, 32, 48)):
        with g.scope(f"network.{level}"):
            y, inside, dilation = x, channels, 2**level
            for i in (1, 2):
                if level == 0:  # padded on both sides and cut, as in the paper's code
                    y = g.conv(y, inside, outside, (3,), pad=2 * dilation, dilation=dilation, name=f"conv{i}")
                    y = g.slice(y, 2, 0, -2 * dilation)
                else:
                    pads, none = g.const([0, 0, 2 * dilation, 0, 0, 0]), g.scalar(0)
                    y = g("Pad", y, pads, none, mode="constant")
                    y = g.conv(y, inside, outside, (3,), pad=0, dilation=dilation, name=f"conv{i}")
                y, inside = g("Relu", y), outside
            short = x if channels == outside else g.conv(x, channels, outside, (1,), name="downsample")
            x, channels = g("Relu", g("Add", y, short)), outside
    last = g("Gather", x, g.const(-1), axis=2)
    g.output(g.gemm(last, 48, 10, "linear"), "output", ["batch", 10])
    return g


def poolformer() -> Graph:
    """PoolFormer: pooling minus identity in place of attention, GroupNorm of one group, a channel MLP of 1×1 conv."""
    g = Graph(17)
    x = g.input("input", ["batch_size", 3, 64, 64])
    x = g.conv(x, 3, 32, 7, 4, pad=2, name="patch_embed.proj")
    for block in range(2):
        with g.scope(f"network.{block}"):
            y = g.group_norm(x, 1, 32, 2, "norm1")
            pooled = g("AveragePool", y, kernel_shape=[3, 3], pads=[1] * 4, strides=[1, 1], count_include_pad=0)
            y = g("Mul", g.weight("layer_scale_1", 32, 1, 1), g("Sub", pooled, y))
            x = g("Add", x, y)
            y = g.gelu(g.conv(g.group_norm(x, 1, 32, 2, "norm2"), 32, 128, name="mlp.fc1"))
            y = g("Mul", g.weight("layer_scale_2", 32, 1, 1), g.conv(y, 128, 32, name="mlp.fc2"))
            x = g("Add", x, y)
    x = g("ReduceMean", g.group_norm(x, 1, 32, 2), axes=[-2, -1], keepdims=0)
    g.output(g.gemm(x, 32, 100, "head"), "output", ["batch_size", 100])
    return g


def mlp_mixer() -> Graph:
    """MLP-Mixer: multiplications along tokens between two transpositions, and along channels."""
    g = Graph(17)
    x = g.input("input", [1, 3, 64, 64])
    x = g.conv(x, 3, 48, 8, 8, pad=0, name="stem.proj")
    x = g.transpose(g.reshape(x, 1, 48, 64), 0, 2, 1)
    for block in range(2):
        with g.scope(f"blocks.{block}"):
            y = g.transpose(g.layer_norm(x, 48, "norm1"), 0, 2, 1)
            y = g.linear(g.gelu(g.linear(y, 64, 32, "mlp_tokens.fc1")), 32, 64, "mlp_tokens.fc2")
            x = g("Add", x, g.transpose(y, 0, 2, 1))
            y = g.gelu(g.linear(g.layer_norm(x, 48, "norm2"), 48, 192, "mlp_channels.fc1"))
            x = g("Add", x, g.linear(y, 192, 48, "mlp_channels.fc2"))
    x = g("ReduceMean", g.layer_norm(x, 48), axes=[1], keepdims=0)
    g.output(g.gemm(x, 48, 100, "head"), "output", [1, 100])
    return g
