"""GPT-2 networks: one transformer block, at any sequence length, as the SoMa paper's experiments model it.

A whole model runs the block `Network.blocks` times. Matrix multiplications are 1×1 convolutions with the
tokens on H; heads are the groups of a group convolution. K is made head by head because each head's K is
transposed on its own; softmax and scaling are one `ptp` layer. In prefill all tokens of the prompt run
together; in decode one new token reads the K and V of the cached ones.
"""

from dataclasses import dataclass

from soma_cp.model.network import (
    Conv,
    Eltwise,
    ExternalInput,
    GroupConv,
    Layer,
    Network,
    PointToPoint,
    Transpose,
)


@dataclass(frozen=True)
class Gpt2Size:
    """A size of GPT-2.

    Parameters
    ----------
    name
        ``"small"`` or ``"xl"``; part of the networks' names.
    width
        Channels of a token.
    heads
        Attention heads; each has ``width / heads`` channels.
    blocks
        Transformer blocks of the whole model.
    """

    name: str
    width: int
    heads: int
    blocks: int

    @property
    def head_width(self) -> int:
        """Channels of one head."""
        return self.width // self.heads

    @property
    def hidden_width(self) -> int:
        """Channels inside the feed-forward part."""
        return 4 * self.width


SMALL = Gpt2Size("small", width=768, heads=12, blocks=12)
XL = Gpt2Size("xl", width=1600, heads=25, blocks=48)


def gpt2_prefill(size: Gpt2Size, tokens: int) -> Network:
    """Build one block that reads a prompt.

    Parameters
    ----------
    size
        `SMALL` or `XL`.
    tokens
        Tokens of the prompt; they all run together.
    """
    all_keys = size.heads * tokens
    layers: list[Layer] = [
        PointToPoint(name="norm1", K=size.width, H=tokens, W=1, inputs=("input_qkv",)),
        _projection("attention_Q", size.width, size.width, tokens, "norm1"),
        *_keys_by_head(size, tokens, "attention_K{}", "attention_Kt{}"),
        PointToPoint(
            name="attention_K",
            K=all_keys,
            H=size.head_width,
            W=1,
            ifmaps=tuple(f"attention_Kt{head}" for head in range(size.heads)),
        ),
        _projection("attention_V", size.width, size.width, tokens, "norm1"),
        *_attention(size, tokens, keys_per_head=tokens),
        _projection("attention_FC", size.width, size.width, tokens, "attention_QKV"),
        *_residual_and_feed_forward(size, tokens, "attention_FC", "input_qkv"),
    ]
    inputs = (ExternalInput("input_qkv", (size.width, tokens, 1)),)
    return Network(f"gpt2-{size.name}-prefill", inputs, tuple(layers), size.blocks)


def gpt2_decode(size: Gpt2Size, tokens: int) -> Network:
    """Build one block that makes one new token.

    Parameters
    ----------
    size
        `SMALL` or `XL`.
    tokens
        Tokens whose K and V are cached; the new token attends to them and to itself.
    """
    cached_keys = size.heads * tokens
    layers: list[Layer] = [
        PointToPoint(name="norm1", K=size.width, H=1, W=1, inputs=("input_q",)),
        _projection("attention_Q", size.width, size.width, 1, "norm1"),
        *_keys_by_head(size, 1, "attention_newK_head_{}", "attention_newKt_head_{}"),
        PointToPoint(
            name="attention_newK",
            K=size.heads,
            H=size.head_width,
            W=1,
            ifmaps=tuple(f"attention_newKt_head_{head}" for head in range(size.heads)),
        ),
        _projection("attention_newV", size.width, size.width, 1, "norm1"),
        PointToPoint(
            name="attention_K",
            K=cached_keys + size.heads,
            H=size.head_width,
            W=1,
            ifmaps=("attention_newK",),
            inputs=("k_cache",),
        ),
        *_values_with_cache(size, tokens),
        *_attention(size, 1, keys_per_head=tokens + 1),
        _projection("attention_Out_proj", size.width, size.width, 1, "attention_QKV"),
        *_residual_and_feed_forward(size, 1, "attention_Out_proj", "input_q"),
    ]
    inputs = (
        ExternalInput("input_q", (size.width, 1, 1)),
        ExternalInput("k_cache", (cached_keys, size.head_width, 1)),
        ExternalInput("v_cache", (tokens, size.width, 1)),
    )
    return Network(f"gpt2-{size.name}-decode", inputs, tuple(layers), size.blocks)


def _projection(name: str, in_width: int, out_width: int, tokens: int, source: str) -> Conv:
    return Conv(name=name, C=in_width, K=out_width, H=tokens, W=1, ifmaps=(source,))


def _keys_by_head(size: Gpt2Size, tokens: int, key_name: str, transposed_name: str) -> list[Layer]:
    """K of each head and its transpose; the names have ``{}`` in place of the head's number."""
    layers: list[Layer] = []
    for head in range(size.heads):
        key = _projection(key_name.format(head), size.width, size.head_width, tokens, "norm1")
        layers += [key, _swap_channels_and_rows(transposed_name.format(head), key)]
    return layers


def _values_with_cache(size: Gpt2Size, cached_tokens: int) -> list[Layer]:
    """V of all tokens; the new one joins the cache with tokens on channels, where concatenation works."""
    new = Transpose(name="attention_newVt", K=1, H=size.width, W=1, order="HCW", ifmaps=("attention_newV",))
    joined = PointToPoint(
        name="attention_Vt_concat",
        K=cached_tokens + 1,
        H=size.width,
        W=1,
        ifmaps=(new.name,),
        inputs=("v_cache",),
    )
    return [new, joined, _swap_channels_and_rows("attention_V", joined)]


def _swap_channels_and_rows(name: str, source: Layer) -> Transpose:
    return Transpose(name=name, K=source.H, H=source.K, W=1, order="HCW", ifmaps=(source.name,))


def _attention(size: Gpt2Size, tokens: int, keys_per_head: int) -> list[Layer]:
    """QK^T, softmax and (QK)V, one group for each head; K^T and V are the second operands."""
    scores = size.heads * keys_per_head
    return [
        GroupConv(
            name="attention_QK",
            C=size.width,
            K=scores,
            H=tokens,
            W=1,
            G=size.heads,
            ifmaps=("attention_Q",),
            weight_operands=("attention_K",),
        ),
        PointToPoint(name="attention_QK_elt", K=scores, H=tokens, W=1, ifmaps=("attention_QK",)),
        GroupConv(
            name="attention_QKV",
            C=scores,
            K=size.width,
            H=tokens,
            W=1,
            G=size.heads,
            ifmaps=("attention_QK_elt",),
            weight_operands=("attention_V",),
        ),
    ]


def _residual_and_feed_forward(size: Gpt2Size, tokens: int, attention: str, block_input: str) -> list[Layer]:
    return [
        Eltwise(name="res1", K=size.width, H=tokens, W=1, ifmaps=(attention,), inputs=(block_input,)),
        PointToPoint(name="norm2", K=size.width, H=tokens, W=1, ifmaps=("res1",)),
        _projection("ffn1", size.width, size.hidden_width, tokens, "norm2"),
        PointToPoint(name="GeLU", K=size.hidden_width, H=tokens, W=1, ifmaps=("ffn1",)),
        _projection("ffn2", size.hidden_width, size.width, tokens, "GeLU"),
        Eltwise(name="res2", K=size.width, H=tokens, W=1, ifmaps=("res1", "ffn2")),
    ]
