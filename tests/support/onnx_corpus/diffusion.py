"""A block of Stable Diffusion's UNet: residual convolutions with a time embedding, attention over pixels and text."""

import numpy as np

from support.onnx_corpus.graph import Graph


def unet_block() -> Graph:
    """ResnetBlock, a transformer over pixels (self- and cross-attention, GEGLU), a downsampling and an upsampling."""
    g = Graph(14)
    channels, side, words, text = 64, 16, 77, 96
    sample = g.input("sample", ["batch", 4, side, side])
    time = g.input("timestep", ["batch"])
    context = g.input("encoder_hidden_states", ["batch", words, text])
    with g.scope("time"):
        steps = g("Unsqueeze", g.expand(time, g.size(sample, 0)), g.const([1]))
        steps = g("Mul", steps, g.const(1e4 ** -(np.arange(16) / 16)[None], np.float32))
        emb = g("Concat", g("Sin", steps), g("Cos", steps), axis=-1)
        emb = g("Concat", g.slice(emb, 1, 16), g.slice(emb, 1, 0, 16), axis=-1)
        emb = g.gemm(g.silu(g.gemm(emb, 32, 128, "linear_1")), 128, 128, "linear_2")
    x = g.conv(sample, 4, channels, 3, name="conv_in")
    x = _resnet(g, x, emb, channels, channels, "down.resnets.0")
    x = _transformer(g, x, context, channels, side, words, text, "down.attentions.0")
    skip = x
    x = g.conv(x, channels, channels, 3, 2, name="downsamplers.0")
    x = _resnet(g, x, emb, channels, 2 * channels, "mid.resnets.0")
    scales = g.const([1, 1, 2, 2], np.float32)
    x = g(
        "Resize",
        *(x, "", scales),
        coordinate_transformation_mode="asymmetric",
        mode="nearest",
        nearest_mode="floor",
    )
    x = g.conv(x, 2 * channels, 2 * channels, 3, name="upsamplers.0")
    x = _resnet(g, g("Concat", x, skip, axis=1), emb, 3 * channels, channels, "up.resnets.0")
    x = g.silu(g.group_norm(x, 32, channels, 2, "conv_norm_out"))
    g.output(g.conv(x, channels, 4, 3, name="conv_out"), "out_sample", ["batch", 4, side, side])
    return g


def _resnet(g: Graph, x: str, emb: str, inside: int, outside: int, name: str) -> str:
    with g.scope(name):
        y = g.conv(g.silu(g.group_norm(x, 32, inside, 2, "norm1")), inside, outside, 3, name="conv1")
        t = g.gemm(g.silu(emb), 128, outside, "time_emb_proj")
        t = g("Unsqueeze", g("Unsqueeze", t, g.const([2])), g.const([3]))
        y = g.group_norm(g("Add", y, t), 32, outside, 2, "norm2")
        y = g.conv(g.silu(y), outside, outside, 3, name="conv2")
        if inside != outside:
            x = g.conv(x, inside, outside, name="conv_shortcut")
        return str(g("Div", g("Add", x, y), g.scalar(1)))


def _transformer(g: Graph, x: str, context: str, width: int, side: int, words: int, text: int, name: str) -> str:
    with g.scope(name):
        batch, rows, columns = g.size(x, 0), g.size(x, 2), g.size(x, 3)
        y = g.conv(g.group_norm(x, 32, width, 2), width, width, name="proj_in")
        y = g.reshape(g.transpose(y, 0, 2, 3, 1), batch, g("Mul", rows, columns), width)
        with g.scope("transformer_blocks.0"):
            normed = g.layer_norm(y, width, "norm1")
            y = g("Add", _attention(g, normed, normed, width, width, "attn1"), y)
            y = g("Add", _attention(g, g.layer_norm(y, width, "norm2"), context, width, text, "attn2"), y)
            both = g.linear(g.layer_norm(y, width, "norm3"), width, 8 * width, "ff.net.0.proj")
            value, gate = g.chunk(both, [4 * width, 4 * width], -1)
            y = g("Add", g.linear(g("Mul", value, g.gelu(gate)), 4 * width, width, "ff.net.2"), y)
        y = g.transpose(g.reshape(y, batch, rows, columns, width), 0, 3, 1, 2)
        return str(g("Add", g.conv(y, width, width, name="proj_out"), x))


def _attention(g: Graph, x: str, context: str, width: int, inside: int, name: str, heads: int = 4) -> str:
    with g.scope(name):
        d = width // heads
        q = g.linear(x, width, width, "to_q", bias=False)
        k = g.linear(context, inside, width, "to_k", bias=False)
        v = g.linear(context, inside, width, "to_v", bias=False)
        batch = g.size(x, 0)
        q, k, v = (g.heads(t, batch, -1, heads, d) for t in (q, k, v))
        return g.linear(g.merged(g.sdpa(q, k, v), batch, -1, width), width, width, "to_out.0")
