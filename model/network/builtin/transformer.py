"""The first transformer (Vaswani et al., NeurIPS 2017), and its cell as the SoMa paper's experiments model it.

A cell is one encoder block, one decoder block that attends to it, and a projection onto few words; the whole model has
six blocks of each kind, and projects onto its 37,000 words. Before the encoder and before the decoder, a `ptp` layer
stands for the word embedding. Normalisation and activation are part of the layer before them; the final softmax is left
out. Both sequences have the same length.
"""

from soma_cp.model.network.builtin.attention import TransformerSize, projection
from soma_cp.model.network.builtin.encoder import decoder_layers, embedding, encoder_layers
from soma_cp.model.network.layers import ExternalInput, Layer
from soma_cp.model.network.network import Network

BASE_CELL = TransformerSize("transformer-cell", width=512, heads=8, key_heads=8, hidden_width=2048, blocks=1)
BIG_CELL = TransformerSize("transformer-big-cell", width=1024, heads=16, key_heads=16, hidden_width=4096, blocks=1)
_BASE = TransformerSize("transformer", width=512, heads=8, key_heads=8, hidden_width=2048, blocks=1)

_CELL_VOCABULARY = 1000
_VOCABULARY = 37_000
_BLOCKS = 6


def transformer_cell(size: TransformerSize, tokens: int) -> Network:
    """Build one encoder block, one decoder block that attends to it, and the projection onto 1000 words.

    Parameters
    ----------
    size
        `BASE_CELL` or `BIG_CELL`.
    tokens
        Tokens of either sequence.
    """
    return _transformer(size, ("encoder",), ("decoder",), _CELL_VOCABULARY, tokens)


def transformer(tokens: int) -> Network:
    """Build the base model: six encoder blocks, six decoder blocks that attend to the last of them, 37,000 words.

    Parameters
    ----------
    tokens
        Tokens of either sequence.
    """
    encoder = tuple(f"encoder{block}" for block in range(1, _BLOCKS + 1))
    decoder = tuple(f"decoder{block}" for block in range(1, _BLOCKS + 1))
    return _transformer(_BASE, encoder, decoder, _VOCABULARY, tokens)


def _transformer(
    size: TransformerSize, encoder: tuple[str, ...], decoder: tuple[str, ...], vocabulary: int, tokens: int
) -> Network:
    """Build a network of encoder and decoder blocks, whose name prefixes are given."""
    layers: list[Layer] = [embedding("word_embed_enc", size, tokens, "input_enc")]
    for prefix in encoder:
        layers += encoder_layers(prefix, size, tokens, layers[-1].name)
    memory = layers[-1].name
    layers.append(embedding("word_embed_dec", size, tokens, "input_dec"))
    for prefix in decoder:
        layers += decoder_layers(prefix, size, tokens, layers[-1].name, memory)
    layers.append(projection("proj", size.width, vocabulary, tokens, layers[-1].name))
    shape = (size.width, tokens, 1)
    inputs = (ExternalInput("input_enc", shape), ExternalInput("input_dec", shape))
    return Network(size.name, inputs, tuple(layers), size.blocks)
