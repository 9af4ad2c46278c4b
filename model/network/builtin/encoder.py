"""Encoder and decoder blocks of the first transformers, and BERT (Devlin et al., NAACL 2019), as the SoMa paper's
experiments model it.

A `ptp` layer comes before the encoder. In the first block it is the word embedding; in the others it stands for the
normalisation between blocks. All other normalisation and activation is part of the layer before it. A whole BERT runs
its block `Network.blocks` times.
"""

from soma_cp.model.network.builtin.attention import TransformerSize, keys_by_head, projection, residual, scores_and_sum
from soma_cp.model.network.layers import ExternalInput, Layer, PointToPoint
from soma_cp.model.network.network import Network

BERT_BASE = TransformerSize("bert-base", width=768, heads=12, key_heads=12, hidden_width=3072, blocks=12)
BERT_LARGE = TransformerSize("bert-large", width=1024, heads=16, key_heads=16, hidden_width=4096, blocks=24)


def bert(size: TransformerSize, tokens: int) -> Network:
    """Build one encoder block of BERT.

    Parameters
    ----------
    size
        `BERT_BASE` or `BERT_LARGE`.
    tokens
        Number of tokens of the sequence.
    """
    layers = [
        embedding("word_embed_enc", size, tokens, "input_enc"),
        *encoder_layers("encoder", size, tokens, "word_embed_enc", dropout=True),
    ]
    inputs = (ExternalInput("input_enc", (size.width, tokens, 1)),)
    return Network(size.name, inputs, tuple(layers), size.blocks)


def embedding(name: str, size: TransformerSize, tokens: int, source: str) -> Layer:
    """The word embedding of an external input."""
    return PointToPoint(name=name, K=size.width, H=tokens, W=1, inputs=(source,))


def encoder_layers(prefix: str, size: TransformerSize, tokens: int, source: str, dropout: bool = False) -> list[Layer]:
    """An encoder block that reads the ofmap of `source`; its last layer makes its result."""
    layers = _attention(prefix, size, tokens, source, source)
    if dropout:
        attention = layers[-1].name
        layers.append(PointToPoint(name=f"{prefix}_dropout", K=size.width, H=tokens, W=1, ifmaps=(attention,)))
    return [
        *layers,
        residual(f"{prefix}_elt1", size, tokens, source, layers[-1].name),
        *_feed_forward(prefix, size, tokens, f"{prefix}_elt1", f"{prefix}_elt2"),
    ]


def decoder_layers(prefix: str, size: TransformerSize, tokens: int, source: str, memory: str) -> list[Layer]:
    """A decoder block that reads `source` and attends to `memory` too; its last layer makes its result."""
    return [
        *_attention(f"{prefix}_1", size, tokens, source, source),
        residual(f"{prefix}_elt1", size, tokens, source, f"{prefix}_1_FC"),
        *_attention(f"{prefix}_2", size, tokens, f"{prefix}_elt1", memory),
        residual(f"{prefix}_elt2", size, tokens, f"{prefix}_elt1", f"{prefix}_2_FC"),
        *_feed_forward(prefix, size, tokens, f"{prefix}_elt2", f"{prefix}_elt3"),
    ]


def _attention(prefix: str, size: TransformerSize, tokens: int, queries_of: str, keys_of: str) -> list[Layer]:
    """Attention of one layer's tokens to those of another layer, or of the same one."""
    return [
        projection(f"{prefix}_Q", size.width, size.width, tokens, queries_of),
        *keys_by_head(size, tokens, f"{prefix}_K{{}}", f"{prefix}_Kt{{}}", f"{prefix}_K", keys_of),
        projection(f"{prefix}_V", size.width, size.width, tokens, keys_of),
        *scores_and_sum(prefix, size, tokens, tokens, f"{prefix}_K", f"{prefix}_V"),
        projection(f"{prefix}_FC", size.width, size.width, tokens, f"{prefix}_QKV"),
    ]


def _feed_forward(prefix: str, size: TransformerSize, tokens: int, source: str, end: str) -> list[Layer]:
    return [
        projection(f"{prefix}_feedfwd1", size.width, size.hidden_width, tokens, source),
        projection(f"{prefix}_feedfwd2", size.hidden_width, size.width, tokens, f"{prefix}_feedfwd1"),
        residual(end, size, tokens, source, f"{prefix}_feedfwd2"),
    ]
