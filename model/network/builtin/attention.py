"""Parts of transformers, as the SoMa paper's experiments model them.

Matrix multiplications are 1×1 convolutions with the tokens on H; heads are the groups of a group convolution.
K is made head by head because each head's K has its own transpose; softmax and scaling are one `ptp` layer.
Cached tokens are on channels, because layers concatenate along channels.
"""

from dataclasses import dataclass

from soma_cp.model.network.layers import Conv, Eltwise, GroupConv, Layer, PointToPoint, Transpose


@dataclass(frozen=True)
class TransformerSize:
    """Sizes of a transformer block.

    Parameters
    ----------
    name
        Name of the model; part of the networks' names.
    width
        Channels of a token.
    heads
        Number of heads that have a Q; each has ``width / heads`` channels.
    key_heads
        Number of heads that have a K and a V: below `heads` where several share them (grouped-query attention).
    hidden_width
        Channels inside the feed-forward part.
    blocks
        Number of blocks of the whole model.
    """

    name: str
    width: int
    heads: int
    key_heads: int
    hidden_width: int
    blocks: int

    @property
    def head_width(self) -> int:
        """Channels of one head."""
        return self.width // self.heads

    @property
    def sharing(self) -> int:
        """Number of heads that share one K and one V."""
        return self.heads // self.key_heads


def projection(name: str, in_width: int, out_width: int, tokens: int, source: str) -> Conv:
    """Multiply every token by a matrix of `in_width` × `out_width` weights."""
    return Conv(name=name, C=in_width, K=out_width, H=tokens, W=1, ifmaps=(source,))


def swap_channels_and_rows(name: str, source: Layer) -> Transpose:
    """Transpose the ofmap of `source`."""
    return Transpose(name=name, K=source.H, H=source.K, W=1, order="HCW", ifmaps=(source.name,))


def residual(name: str, size: TransformerSize, tokens: int, *sources: str) -> Eltwise:
    """Sum of the ofmaps of two layers."""
    return Eltwise(name=name, K=size.width, H=tokens, W=1, ifmaps=sources)


def keys_by_head(
    size: TransformerSize, tokens: int, key_name: str, transposed_name: str, joined_name: str, source: str
) -> list[Layer]:
    """K of each head, its transpose, and the layer that joins the transposes.

    Parameters
    ----------
    size, tokens
        Size of the block, and its number of tokens.
    key_name, transposed_name
        Names with ``{}`` in place of the head's number.
    joined_name
        Name of the layer that joins the heads.
    source
        Name of the layer that makes the tokens.
    """
    layers: list[Layer] = []
    for head in range(size.key_heads):
        key = projection(key_name.format(head), size.width, size.head_width, tokens, source)
        layers += [key, swap_channels_and_rows(transposed_name.format(head), key)]
    transposed = tuple(layer.name for layer in layers if isinstance(layer, Transpose))
    joined = PointToPoint(name=joined_name, K=size.key_heads * tokens, H=size.head_width, W=1, ifmaps=transposed)
    return [*layers, joined]


def scores_and_sum(
    prefix: str, size: TransformerSize, tokens: int, keys_per_head: int, keys: str, values: str
) -> list[Layer]:
    """QK^T, softmax and (QK)V, one group for each head; `keys` and `values` are the second operands."""
    scores = size.heads * keys_per_head
    return [
        GroupConv(
            name=f"{prefix}_QK",
            C=size.width,
            K=scores,
            H=tokens,
            W=1,
            G=size.heads,
            ifmaps=(f"{prefix}_Q",),
            weight_operands=(keys,),
        ),
        PointToPoint(name=f"{prefix}_QK_elt", K=scores, H=tokens, W=1, ifmaps=(f"{prefix}_QK",)),
        GroupConv(
            name=f"{prefix}_QKV",
            C=scores,
            K=size.width,
            H=tokens,
            W=1,
            G=size.heads,
            ifmaps=(f"{prefix}_QK_elt",),
            weight_operands=(values,),
        ),
    ]


def tokens_with_cache(
    new: Layer, cached_tokens: int, cache: str, transposed_name: str, joined_name: str, name: str
) -> list[Layer]:
    """The cached tokens, from an external input, and after them the one token that `new` makes; tokens are on rows.

    Parameters
    ----------
    new
        Layer whose ofmap has one row.
    cached_tokens, cache
        Channels and name of the external input; its rows are the channels of `new`.
    transposed_name, joined_name, name
        Names of three layers: the new token with channels and rows swapped, all tokens in that form, all tokens.
    """
    transposed = swap_channels_and_rows(transposed_name, new)
    joined = PointToPoint(
        name=joined_name, K=cached_tokens + 1, H=new.K, W=1, ifmaps=(transposed_name,), inputs=(cache,)
    )
    return [transposed, joined, swap_channels_and_rows(name, joined)]


def residual_and_feed_forward(size: TransformerSize, tokens: int, attention: str, block_input: str) -> list[Layer]:
    """The layers after the attention of a decoder block: sums, normalisation, and two matrices with a GeLU between."""
    hidden = size.hidden_width
    return [
        Eltwise(name="res1", K=size.width, H=tokens, W=1, ifmaps=(attention,), inputs=(block_input,)),
        PointToPoint(name="norm2", K=size.width, H=tokens, W=1, ifmaps=("res1",)),
        projection("ffn1", size.width, hidden, tokens, "norm2"),
        PointToPoint(name="GeLU", K=hidden, H=tokens, W=1, ifmaps=("ffn1",)),
        projection("ffn2", hidden, size.width, tokens, "GeLU"),
        residual("res2", size, tokens, "res1", "ffn2"),
    ]
