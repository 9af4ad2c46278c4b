"""Vision transformers: ViT, Swin, a window attention with relative positions (Segment Anything), MobileViT."""

from support.onnx_corpus.graph import END, Graph
from support.onnx_corpus.mobile import hard_swish


def vit() -> Graph:
    """ViT: patches by a convolution, a class token that is expanded to the batch, positions, the class token's row."""
    g = Graph(14)
    width, heads, tokens = 64, 4, 17
    image = g.input("pixel_values", ["batch_size", 3, 64, 64])
    x = g.conv(image, 3, width, 16, 16, pad=0, name="patch_embeddings.projection")
    batch = g.size(image, 0)
    x = g.transpose(g.reshape(x, batch, width, 16), 0, 2, 1)
    x = g("Concat", g.expand(g.weight("cls_token", 1, 1, width), batch, -1, -1), x, axis=1)
    x = g("Add", x, g.weight("position_embeddings", 1, tokens, width))
    for block in range(2):
        with g.scope(f"encoder.layer.{block}"):
            y = g.layer_norm(x, width, "layernorm_before")
            q, k, v = (g.linear(y, width, width, name) for name in ("query", "key", "value"))
            q, k, v = (g.heads(t, g.size(t, 0), tokens, heads, width // heads) for t in (q, k, v))
            y = g.merged(g.attend(q, k, v, width // heads), g.size(q, 0), tokens, width)
            x = g("Add", g.linear(y, width, width, "attention.output.dense"), x)
            y = g.gelu(g.linear(g.layer_norm(x, width, "layernorm_after"), width, 4 * width, "intermediate.dense"))
            x = g("Add", g.linear(y, 4 * width, width, "output.dense"), x)
    x = g("Gather", g.layer_norm(x, width, "layernorm"), g.const(0), axis=1)
    g.output(g.gemm(x, width, 100, "classifier"), "logits", ["batch_size", 100])
    return g


def swin() -> Graph:
    """Swin: windows of 7, a block of each kind (shifted with a mask), relative bias, patch merging; 56×56."""
    g = Graph(17)
    width, side = 32, 28
    x = g.input("input", ["batch", 3, 56, 56])
    x = g.conv(x, 3, width, 2, 2, pad=0, name="patch_embed.proj")
    x = g.layer_norm(g.transpose(x, 0, 2, 3, 1), width, "patch_embed.norm")
    for stage, heads in enumerate((2, 4)):
        for block in range(2):
            with g.scope(f"layers.{stage}.blocks.{block}"):
                y = g.layer_norm(x, width, "norm1")
                x = g("Add", x, _window_attention(g, y, width, side, heads, shift=3 * block))
                y = g.gelu(g.linear(g.layer_norm(x, width, "norm2"), width, 4 * width, "mlp.fc1"))
                x = g("Add", x, g.linear(y, 4 * width, width, "mlp.fc2"))
        if stage == 0:
            with g.scope("layers.1.downsample"):  # patch merging
                parts = [g.slice(g.slice(x, 1, a, END, 2), 2, b, END, 2) for a, b in ((0, 0), (1, 0), (0, 1), (1, 1))]
                x = g.layer_norm(g("Concat", *parts, axis=-1), 4 * width)
                x = g.linear(x, 4 * width, 2 * width, "reduction", bias=False)
            width, side = 2 * width, side // 2
    x = g("ReduceMean", g.layer_norm(x, width), axes=[1, 2], keepdims=0)
    g.output(g.gemm(x, width, 100, "head.fc"), "output", ["batch", 100])
    return g


def _windows(g: Graph, x: str, batch: str, side: int, width: int, window: int) -> str:
    count = side // window
    x = g.reshape(x, batch, count, window, count, window, width)
    return g.reshape(g.transpose(x, 0, 1, 3, 2, 4, 5), -1, window * window, width)


def _unwindowed(g: Graph, x: str, side: int, width: int, window: int) -> str:
    count = side // window
    x = g.reshape(x, -1, count, count, window, window, width)
    return g.reshape(g.transpose(x, 0, 1, 3, 2, 4, 5), -1, side, side, width)


def _rolled(g: Graph, x: str, shift: int) -> str:
    """``torch.roll`` along rows and columns: two slices and a concatenation for each axis."""
    for axis in (1, 2):
        x = g("Concat", g.slice(x, axis, shift), g.slice(x, axis, 0, shift), axis=axis)
    return x


def _window_attention(g: Graph, x: str, width: int, side: int, heads: int, shift: int) -> str:
    window, d, tokens = 7, width // heads, 49
    count = (side // window) ** 2
    batch = g.size(x, 0)
    y = _windows(g, _rolled(g, x, shift) if shift else x, batch, side, width, window)
    with g.scope("attn"):
        qkv = g.reshape(g.linear(y, width, 3 * width, "qkv"), -1, tokens, 3, heads, d)
        qkv = g.transpose(qkv, 2, 0, 3, 1, 4)
        q, k, v = (g("Gather", qkv, g.const(i), axis=0) for i in range(3))
        scores = g("MatMul", g("Mul", q, g.scalar(d**-0.5)), g.transpose(k, 0, 1, 3, 2))
        scores = g("Add", scores, g.weight("relative_position_bias", 1, heads, tokens, tokens))
        if shift:
            mask = g.weight("attn_mask", 1, count, 1, tokens, tokens)
            scores = g("Add", g.reshape(scores, -1, count, heads, tokens, tokens), mask)
            scores = g.reshape(scores, -1, heads, tokens, tokens)
        y = g("MatMul", g("Softmax", scores, axis=-1), v)
        y = g.linear(g.merged(y, -1, tokens, width), width, width, "proj")
    y = _unwindowed(g, y, side, width, window)
    return _rolled(g, y, -shift) if shift else y


def window_encoder() -> Graph:
    """Segment Anything's encoder: windows of a padded fmap, relative positions by products with queries, a neck."""
    g = Graph(17)
    width, heads, side, window = 64, 2, 16, 6
    d, padded = width // heads, 18
    x = g.conv(g.input("image", [1, 3, 128, 128]), 3, width, 8, 8, pad=0, name="patch_embed.proj")
    x = g.transpose(x, 0, 2, 3, 1)
    x = g("Add", x, g.weight("pos_embed", 1, side, side, width))
    with g.scope("blocks.0"):
        y = g.layer_norm(x, width, "norm1")
        y = g("Pad", y, g.const([0, 0, 0, 0, 0, 2, 2, 0]), g.scalar(0))
        count, tokens = padded // window, window * window
        y = g.reshape(y, 1, count, window, count, window, width)
        y = g.reshape(g.transpose(y, 0, 1, 3, 2, 4, 5), count * count, tokens, width)
        with g.scope("attn"):
            qkv = g.reshape(g.linear(y, width, 3 * width, "qkv"), count * count, tokens, 3, heads, d)
            q, k, v = (g("Gather", g.transpose(qkv, 2, 0, 3, 1, 4), g.const(i), axis=0) for i in range(3))
            scores = g("MatMul", g("Mul", q, g.scalar(d**-0.5)), g.transpose(k, 0, 1, 3, 2))
            y = g("MatMul", g("Softmax", scores, axis=-1), v)
            y = g.linear(g.merged(y, count * count, tokens, width), width, width, "proj")
        y = g.reshape(y, 1, count, count, window, window, width)
        y = g.reshape(g.transpose(y, 0, 1, 3, 2, 4, 5), 1, padded, padded, width)
        x = g("Add", x, g.slice(g.slice(y, 1, 0, side), 2, 0, side))
        y = g.gelu(g.linear(g.layer_norm(x, width, "norm2"), width, 4 * width, "mlp.lin1"))
        x = g("Add", x, g.linear(y, 4 * width, width, "mlp.lin2"))
    with g.scope("neck"):
        x = g.conv(g.transpose(x, 0, 3, 1, 2), width, 32, bias=False, name="0")
        x = g.conv(_norm_2d(g, x, 32, "1"), 32, 32, 3, bias=False, name="2")
    g.output(_norm_2d(g, x, 32, "3"), "embeddings", [1, 32, side, side])
    return g


def _norm_2d(g: Graph, x: str, channels: int, name: str) -> str:
    """A normalisation over channels that are first: ReduceMean along axis 1, Sub, Pow, Sqrt, Div, Mul, Add."""
    with g.scope(name):
        centred = g("Sub", x, g("ReduceMean", x, axes=[1]))
        variance = g("ReduceMean", g("Pow", g("Sub", x, g("ReduceMean", x, axes=[1])), g.scalar(2)), axes=[1])
        normal = g("Div", centred, g("Sqrt", g("Add", variance, g.scalar(1e-6))))
        return str(g("Add", g("Mul", g.weight("weight", channels, 1, 1), normal), g.weight("bias", channels, 1, 1)))


def mobilevit() -> Graph:
    """A MobileViT block: 2×2 patches are folded into the batch of an attention over the patches' pixels."""
    g = Graph(13)
    channels, width, side, heads = 32, 48, 16, 4
    x = g.input("pixel_values", ["batch_size", channels, side, side])
    y = g.silu(g.conv(x, channels, channels, 3, name="conv_kxk"))
    y = g.conv(y, channels, width, bias=False, name="conv_1x1")
    patches, half = side * side // 4, side // 2
    y = g.transpose(g.reshape(y, -1, 2, half, 2), 0, 2, 1, 3)  # timm: (B·C·half, half, 2, 2)
    y = g.transpose(g.reshape(y, -1, width, patches, 4), 0, 3, 2, 1)
    y = g.reshape(y, -1, patches, width)
    with g.scope("transformer.0"):
        z = g.layer_norm(y, width, "layernorm_before")
        q, k, v = (g.linear(z, width, width, name) for name in ("query", "key", "value"))
        q, k, v = (g.heads(t, -1, patches, heads, width // heads) for t in (q, k, v))
        z = g.merged(g.attend(q, k, v, width // heads), -1, patches, width)
        y = g("Add", y, g.linear(z, width, width, "output"))
        z = g.silu(g.linear(g.layer_norm(y, width, "layernorm_after"), width, 2 * width, "intermediate"))
        y = g("Add", y, g.linear(z, 2 * width, width, "output.dense"))
    y = g.transpose(g.reshape(g.layer_norm(y, width, "layernorm"), -1, 4, patches, width), 0, 3, 2, 1)
    y = g.transpose(g.reshape(y, -1, half, 2, 2), 0, 2, 1, 3)
    y = g.reshape(y, -1, width, side, side)
    y = g.silu(g.conv(y, width, channels, bias=False, name="conv_projection"))
    y = g.silu(g.conv(g("Concat", x, y, axis=1), 2 * channels, channels, 3, name="fusion"))
    g.output(g("Add", y, x), "output", ["batch_size", channels, side, side])
    return g


def efficient_attention() -> Graph:
    """Linear attention of EfficientViT: products of keys with values first, over the pixels of an fmap."""
    g = Graph(14)
    channels, heads, d, pixels = 64, 4, 16, 256
    x = g.input("input", [1, channels, 16, 16])
    qkv = g.conv(x, channels, 3 * channels, bias=False, name="qkv")
    qkv = g.transpose(g.reshape(qkv, 1, heads, 3 * d, pixels), 0, 1, 3, 2)
    q, k, v = (g.slice(qkv, 3, i * d, (i + 1) * d) for i in range(3))
    q, k = g("Relu", q), g("Relu", k)
    kv = g("MatMul", g.transpose(k, 0, 1, 3, 2), v)
    out = g("MatMul", q, kv)
    out = g.reshape(g.transpose(out, 0, 1, 3, 2), 1, channels, 16, 16)
    g.output(hard_swish(g, g("Add", x, g.conv(out, channels, channels, name="proj"))), "output")
    return g
