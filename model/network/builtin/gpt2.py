"""GPT-2 networks: one transformer block, at any sequence length, as the SoMa paper's experiments model it."""

from soma_cp.model.network.builtin.attention import TransformerSize, residual_and_feed_forward
from soma_cp.model.network.builtin.decoder import decode_block, prefill_block
from soma_cp.model.network.network import Network

SMALL = TransformerSize("gpt2-small", width=768, heads=12, key_heads=12, hidden_width=4 * 768, blocks=12)
XL = TransformerSize("gpt2-xl", width=1600, heads=25, key_heads=25, hidden_width=4 * 1600, blocks=48)


def gpt2_prefill(size: TransformerSize, tokens: int) -> Network:
    """Build one block that reads a prompt.

    Parameters
    ----------
    size
        `SMALL` or `XL`.
    tokens
        Tokens of the prompt; they all run together.
    """
    return prefill_block(size, tokens, residual_and_feed_forward)


def gpt2_decode(size: TransformerSize, tokens: int) -> Network:
    """Build one block that makes one new token.

    Parameters
    ----------
    size
        `SMALL` or `XL`.
    tokens
        Tokens whose K and V are cached; the new token attends to them and to itself.
    """
    return decode_block(size, tokens, residual_and_feed_forward)
