"""GPT-J 6B (Wang and Komatsuzaki, 2021): one transformer block.

Attention and feed-forward part run in parallel: both read the one normalisation of the block's input, and one sum adds
their results to that input. Rotary position embedding, which turns a quarter of the channels of Q and K, is part of the
projections, as for Llama 2.

The two matrices of the feed-forward part, 64 MiB each, are cut by hidden channels, as in tensor parallelism
(Megatron-LM). Each part makes some of the hidden channels and multiplies them by its share of the second matrix; the
block's sum adds the products. Multiply-accumulates and weights are those of the whole matrices. With parts of 8 MiB,
the next part's weights fit into 32 MiB beside those in use.
"""

from soma_cp.model.network.builtin.attention import TransformerSize, projection
from soma_cp.model.network.builtin.decoder import decode_block, prefill_block
from soma_cp.model.network.layers import Eltwise, Layer, PointToPoint
from soma_cp.model.network.network import Network

_SIZE = TransformerSize("gpt-j-6b", width=4096, heads=16, key_heads=16, hidden_width=4 * 4096, blocks=28)
_PARTS = 8


def gptj_prefill(tokens: int) -> Network:
    """Build one block that reads a prompt.

    Parameters
    ----------
    tokens
        Tokens of the prompt; they all run together.
    """
    return prefill_block(_SIZE, tokens, _feed_forward_and_sum)


def gptj_decode(tokens: int) -> Network:
    """Build one block that makes one new token.

    Parameters
    ----------
    tokens
        Tokens whose K and V are cached; the new token attends to them and to itself.
    """
    return decode_block(_SIZE, tokens, _feed_forward_and_sum)


def _feed_forward_and_sum(size: TransformerSize, tokens: int, attention: str, block_input: str) -> list[Layer]:
    """The feed-forward part, and the sum of it, the attention and the block's input."""
    hidden = size.hidden_width // _PARTS
    layers: list[Layer] = []
    for part in range(1, _PARTS + 1):
        layers += [
            projection(f"ffn1_{part}", size.width, hidden, tokens, "norm1"),
            PointToPoint(name=f"GeLU_{part}", K=hidden, H=tokens, W=1, ifmaps=(f"ffn1_{part}",)),
            projection(f"ffn2_{part}", hidden, size.width, tokens, f"GeLU_{part}"),
        ]
    operands = (attention, *(f"ffn2_{part}" for part in range(1, _PARTS + 1)))
    count = len(operands) + 1
    total = Eltwise(name="res", N=count, K=size.width, H=tokens, W=1, ifmaps=operands, inputs=(block_input,))
    return [*layers, total]
