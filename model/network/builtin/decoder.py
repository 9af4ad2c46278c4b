"""One block of a decoder-only transformer whose heads all have their own K and V, in prefill and in decode.

A whole model runs the block `Network.blocks` times. In prefill all tokens of the prompt run together; in decode one
new token reads the K and V of the cached ones. Each model gives its own layers after the attention.
"""

from collections.abc import Callable

from soma_cp.model.network.builtin.attention import (
    TransformerSize,
    keys_by_head,
    projection,
    scores_and_sum,
    tokens_with_cache,
)
from soma_cp.model.network.layers import ExternalInput, Layer, PointToPoint
from soma_cp.model.network.network import Network

Rest = Callable[[TransformerSize, int, str, str], list[Layer]]
"""Makes the layers after the attention from size, tokens, and the names of the attention and of the block's input."""


def prefill_block(size: TransformerSize, tokens: int, rest: Rest) -> Network:
    """Build one block that reads a prompt of `tokens` tokens."""
    layers: list[Layer] = [
        PointToPoint(name="norm1", K=size.width, H=tokens, W=1, inputs=("input_qkv",)),
        projection("attention_Q", size.width, size.width, tokens, "norm1"),
        *keys_by_head(size, tokens, "attention_K{}", "attention_Kt{}", "attention_K", "norm1"),
        projection("attention_V", size.width, size.width, tokens, "norm1"),
        *scores_and_sum("attention", size, tokens, tokens, "attention_K", "attention_V"),
        projection("attention_FC", size.width, size.width, tokens, "attention_QKV"),
        *rest(size, tokens, "attention_FC", "input_qkv"),
    ]
    inputs = (ExternalInput("input_qkv", (size.width, tokens, 1)),)
    return Network(f"{size.name}-prefill", inputs, tuple(layers), size.blocks)


def decode_block(size: TransformerSize, tokens: int, rest: Rest) -> Network:
    """Build one block that makes one new token, which attends to `tokens` cached ones and to itself."""
    cached_keys = size.heads * tokens
    new_value = projection("attention_newV", size.width, size.width, 1, "norm1")
    layers: list[Layer] = [
        PointToPoint(name="norm1", K=size.width, H=1, W=1, inputs=("input_q",)),
        projection("attention_Q", size.width, size.width, 1, "norm1"),
        *keys_by_head(size, 1, "attention_newK_head_{}", "attention_newKt_head_{}", "attention_newK", "norm1"),
        new_value,
        PointToPoint(
            name="attention_K",
            K=cached_keys + size.heads,
            H=size.head_width,
            W=1,
            ifmaps=("attention_newK",),
            inputs=("k_cache",),
        ),
        *tokens_with_cache(new_value, tokens, "v_cache", "attention_newVt", "attention_Vt_concat", "attention_V"),
        *scores_and_sum("attention", size, 1, tokens + 1, "attention_K", "attention_V"),
        projection("attention_Out_proj", size.width, size.width, 1, "attention_QKV"),
        *rest(size, 1, "attention_Out_proj", "input_q"),
    ]
    inputs = (
        ExternalInput("input_q", (size.width, 1, 1)),
        ExternalInput("k_cache", (cached_keys, size.head_width, 1)),
        ExternalInput("v_cache", (tokens, size.width, 1)),
    )
    return Network(f"{size.name}-decode", inputs, tuple(layers), size.blocks)
