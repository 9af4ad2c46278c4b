"""Encoder and decoder blocks of BERT (Devlin et al., NAACL 2019) and the first transformer (Vaswani et al.,
NeurIPS 2017), as the SoMa paper's experiments model them.

A `ptp` layer stands before the encoder: the word embedding in the first block, in place of the normalisation
between blocks in the others. All other normalisation and activation is part of the layer before it. A whole BERT
runs its block `Network.blocks` times. Both sequences of the transformer have the same length.
"""

from soma_cp.model.network import ExternalInput, Layer, Network, PointToPoint
from soma_cp.model.networks.attention import (
    TransformerSize,
    keys_by_head,
    projection,
    residual,
    scores_and_sum,
)

BERT_BASE = TransformerSize("bert-base", width=768, heads=12, key_heads=12, hidden_width=3072, blocks=12)
BERT_LARGE = TransformerSize("bert-large", width=1024, heads=16, key_heads=16, hidden_width=4096, blocks=24)
_CELL = TransformerSize("transformer-cell", width=512, heads=8, key_heads=8, hidden_width=2048, blocks=1)

_CELL_VOCABULARY = 1000


def bert(size: TransformerSize, tokens: int) -> Network:
    """Build one encoder block of BERT.

    Parameters
    ----------
    size
        `BERT_BASE` or `BERT_LARGE`.
    tokens
        Tokens of the sequence.
    """
    layers = _encoder(size, tokens, dropout=True)
    inputs = (ExternalInput("input_enc", (size.width, tokens, 1)),)
    return Network(size.name, inputs, tuple(layers), size.blocks)


def transformer_cell(tokens: int) -> Network:
    """Build one encoder block, one decoder block that attends to it, and the projection onto 1000 words.

    Parameters
    ----------
    tokens
        Tokens of either sequence.
    """
    size = _CELL
    encoder = _encoder(size, tokens, dropout=False)
    layers = [
        *encoder,
        _embedding("word_embed_dec", size, tokens, "input_dec"),
        *_attention("decoder_1", size, tokens, "word_embed_dec", "word_embed_dec"),
        residual("decoder_elt1", size, tokens, "word_embed_dec", "decoder_1_FC"),
        *_attention("decoder_2", size, tokens, "decoder_elt1", encoder[-1].name),
        residual("decoder_elt2", size, tokens, "decoder_elt1", "decoder_2_FC"),
        *_feed_forward("decoder", size, tokens, "decoder_elt2", "decoder_elt3"),
        projection("proj", size.width, _CELL_VOCABULARY, tokens, "decoder_elt3"),
    ]
    shape = (size.width, tokens, 1)
    inputs = (ExternalInput("input_enc", shape), ExternalInput("input_dec", shape))
    return Network(size.name, inputs, tuple(layers), size.blocks)


def _encoder(size: TransformerSize, tokens: int, dropout: bool) -> list[Layer]:
    layers: list[Layer] = [
        _embedding("word_embed_enc", size, tokens, "input_enc"),
        *_attention("encoder", size, tokens, "word_embed_enc", "word_embed_enc"),
    ]
    if dropout:
        source = layers[-1].name
        layers.append(PointToPoint(name="encoder_dropout", K=size.width, H=tokens, W=1, ifmaps=(source,)))
    return [
        *layers,
        residual("encoder_elt1", size, tokens, "word_embed_enc", layers[-1].name),
        *_feed_forward("encoder", size, tokens, "encoder_elt1", "encoder_elt2"),
    ]


def _embedding(name: str, size: TransformerSize, tokens: int, source: str) -> Layer:
    return PointToPoint(name=name, K=size.width, H=tokens, W=1, inputs=(source,))


def _attention(prefix: str, size: TransformerSize, tokens: int, queries_of: str, keys_of: str) -> list[Layer]:
    """Attention of the tokens of one layer to those of another, or of the same one."""
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
