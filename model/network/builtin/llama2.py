"""Llama 2 70B (Touvron et al., 2023): one transformer block, as the SoMa paper's experiments model it.

A whole model runs the block `Network.blocks` times. Eight heads share a K and a V (grouped-query attention), which
upsampling layers repeat for them. The feed-forward part is that of GPT-2, four times as wide as a token: the published
experiments don't model the gate of Llama's own feed-forward part. In prefill all tokens of the prompt run together; in
decode one new token reads the K and V of the cached ones. The published experiments have decode only; prefill differs
from it as in GPT-2.

The weights of one layer, up to 256 MiB, exceed the buffers of both built-in platforms: the wide space divides them
(docs/model.md#divided-layers). In the paper's space the block needs ``--buffer 257MiB``; latencies are valid with such
a buffer, energies are not, because they grow by a tenth for every 2 MiB.
"""

from soma_cp.model.network.builtin.attention import (
    TransformerSize,
    keys_by_head,
    projection,
    residual_and_feed_forward,
    scores_and_sum,
    swap_channels_and_rows,
)
from soma_cp.model.network.layers import ExternalInput, Layer, PointToPoint, Upsample
from soma_cp.model.network.network import Network

_SIZE = TransformerSize("llama2-70b", width=8192, heads=64, key_heads=8, hidden_width=4 * 8192, blocks=80)
_VALUE_WIDTH = _SIZE.key_heads * _SIZE.head_width


def llama2_prefill(tokens: int) -> Network:
    """Build one block that reads a prompt.

    Parameters
    ----------
    tokens
        Tokens of the prompt; they all run together.
    """
    layers: list[Layer] = [
        PointToPoint(name="norm1", K=_SIZE.width, H=tokens, W=1, inputs=("input_qkv",)),
        projection("attention_Q", _SIZE.width, _SIZE.width, tokens, "norm1"),
        *keys_by_head(_SIZE, tokens, "attention_K{}", "attention_Kt{}", "attention_K", "norm1"),
        projection("attention_V", _SIZE.width, _VALUE_WIDTH, tokens, "norm1"),
        _share_keys("attention_K_expand", tokens, ifmaps=("attention_K",)),
        _share_values("attention_V_expand", tokens, "attention_V"),
        *scores_and_sum("attention", _SIZE, tokens, tokens, "attention_K_expand", "attention_V_expand"),
        projection("attention_FC", _SIZE.width, _SIZE.width, tokens, "attention_QKV"),
        *residual_and_feed_forward(_SIZE, tokens, "attention_FC", "input_qkv"),
    ]
    inputs = (ExternalInput("input_qkv", (_SIZE.width, tokens, 1)),)
    return Network("llama2-70b-prefill", inputs, tuple(layers), _SIZE.blocks)


def llama2_decode(tokens: int) -> Network:
    """Build one block that makes one new token.

    Parameters
    ----------
    tokens
        Tokens whose K and V are cached; the new token attends to them and to itself.
    """
    layers: list[Layer] = [
        PointToPoint(name="norm1", K=_SIZE.width, H=1, W=1, inputs=("input_q",)),
        projection("attention_Q", _SIZE.width, _SIZE.width, 1, "norm1"),
        *keys_by_head(_SIZE, 1, "attention_newK_head_{}", "attention_newKt_head_{}", "attention_newK", "norm1"),
        projection("attention_newV", _SIZE.width, _VALUE_WIDTH, 1, "norm1"),
        _share_keys("attention_newK_expand", 1, ifmaps=("attention_newK",)),
        _share_keys("attention_k_cache_expand", tokens, inputs=("k_cache",)),
        PointToPoint(
            name="attention_K",
            K=_SIZE.heads * (tokens + 1),
            H=_SIZE.head_width,
            W=1,
            ifmaps=("attention_newK_expand", "attention_k_cache_expand"),
        ),
        *_values_with_cache(tokens),
        *scores_and_sum("attention", _SIZE, 1, tokens + 1, "attention_K", "attention_V"),
        projection("attention_Out_proj", _SIZE.width, _SIZE.width, 1, "attention_QKV"),
        *residual_and_feed_forward(_SIZE, 1, "attention_Out_proj", "input_q"),
    ]
    inputs = (
        ExternalInput("input_q", (_SIZE.width, 1, 1)),
        ExternalInput("k_cache", (_SIZE.key_heads * tokens, _SIZE.head_width, 1)),
        ExternalInput("v_cache", (tokens, _VALUE_WIDTH, 1)),
    )
    return Network("llama2-70b-decode", inputs, tuple(layers), _SIZE.blocks)


def _share_keys(name: str, tokens: int, ifmaps: tuple[str, ...] = (), inputs: tuple[str, ...] = ()) -> Upsample:
    """Repeat K, which several heads share, for all heads: channels are heads and tokens."""
    keys = _SIZE.heads * tokens
    return Upsample(name=name, K=keys, H=_SIZE.head_width, W=1, sK=_SIZE.sharing, ifmaps=ifmaps, inputs=inputs)


def _share_values(name: str, tokens: int, source: str) -> Upsample:
    """Repeat V, which several heads share, for all heads."""
    return Upsample(name=name, K=_SIZE.width, H=tokens, W=1, sK=_SIZE.sharing, ifmaps=(source,))


def _values_with_cache(cached_tokens: int) -> list[Layer]:
    """V of all tokens; the new token joins the cache with tokens on channels, where layers concatenate."""
    new = _share_values("attention_newV_expand", 1, "attention_newV")
    transposed = swap_channels_and_rows("attention_newV_expand_t", new)
    cached = Upsample(
        name="attention_v_cache_expand",
        K=cached_tokens,
        H=_SIZE.width,
        W=1,
        sH=_SIZE.sharing,
        inputs=("v_cache",),
    )
    joined = PointToPoint(
        name="attention_Vt", K=cached_tokens + 1, H=_SIZE.width, W=1, ifmaps=(transposed.name, cached.name)
    )
    return [new, transposed, cached, joined, swap_channels_and_rows("attention_V", joined)]
