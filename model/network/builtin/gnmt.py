"""GNMT, Google's neural machine translation (Wu et al., 2016): one time step of the encoder and one of the decoder.

Each has eight layers of LSTM cells, 1024 wide. The encoder's first layer has a cell for each direction; from the third
layer on, encoder and decoder have residual connections. The encoder's step is that of the last word. The decoder's step
is that of one word, which attends to the last encoded word and to those before it. Attention has one hidden layer:

- the decoder's first layer and each encoded word are multiplied by one matrix each and added;
- a vector turns the activation of each sum into a score;
- the scores weigh the encoded words, and their weighted sum is the context.

All decoder layers but the first read this context; the first reads the context of the step before.

A translation takes about one encoder step and one decoder step for each word; `lstm` says why a network is one step. An
encoder could also run the whole sentence through one layer before the next, and load each layer's weights once for the
sentence, as an unrolled ONNX model does; this network doesn't. Word embeddings are left out; a beam is a batch.
"""

from soma_cp.model.network.builtin.attention import projection, swap_channels_and_rows, tokens_with_cache
from soma_cp.model.network.builtin.lstm import cell_states, lstm_cell
from soma_cp.model.network.layers import Conv, Eltwise, ExternalInput, Layer, PointToPoint, Upsample
from soma_cp.model.network.network import Network

_WIDTH = 1024
_LAYERS = 8
_FIRST_RESIDUAL = 3
_VOCABULARY = 32_000
_CONTEXT = "attention_context"


def gnmt(words: int) -> Network:
    """Build one step of the encoder, and one of the decoder, which attends to that word and `words` before it."""
    encoder = _encoder()
    decoder = [
        *lstm_cell("decoder1", 2 * _WIDTH, _WIDTH, (), ("target_word", "last_context")),
        *_attention(encoder[-1], "decoder1_hidden", words),
        *_upper_layers("decoder", 2, "decoder1_hidden", (_CONTEXT,)),
    ]
    layers = [*encoder, *decoder, projection("proj", _WIDTH, _VOCABULARY, 1, decoder[-1].name)]
    cells = [layer.name.removesuffix("_state") for layer in layers if layer.name.endswith("_state")]
    inputs = [ExternalInput(name, (_WIDTH, 1, 1)) for name in ("source_word", "target_word", "last_context")]
    inputs += [state for cell in cells for state in cell_states(cell, _WIDTH)]
    inputs += [ExternalInput(name, (words, _WIDTH, 1)) for name in ("key_cache", "word_cache")]
    return Network("gnmt", tuple(inputs), tuple(layers))


def _encoder() -> list[Layer]:
    """The encoder's layers; the last one makes the encoded word."""
    directions = ("encoder1_forward", "encoder1_backward")
    first = [layer for cell in directions for layer in lstm_cell(cell, _WIDTH, _WIDTH, (), ("source_word",))]
    both = tuple(f"{cell}_hidden" for cell in directions)
    second = lstm_cell("encoder2", 2 * _WIDTH, _WIDTH, both)
    return [*first, *second, *_upper_layers("encoder", _FIRST_RESIDUAL, second[-1].name, ())]


def _upper_layers(part: str, first: int, source: str, context: tuple[str, ...]) -> list[Layer]:
    """The layers of encoder or decoder from `first` on; each reads the layer below, or `source`, and the context."""
    layers: list[Layer] = []
    for number in range(first, _LAYERS + 1):
        below = layers[-1].name if layers else source
        layers += lstm_cell(f"{part}{number}", (1 + len(context)) * _WIDTH, _WIDTH, (below, *context))
        if number >= _FIRST_RESIDUAL:
            operands = (layers[-1].name, below)
            layers.append(Eltwise(name=f"{part}{number}_residual", K=_WIDTH, H=1, W=1, ifmaps=operands))
    return layers


def _attention(encoded: Layer, decoded: str, words: int) -> list[Layer]:
    """The context: the encoded words, weighed for the ofmap of the decoder's first layer."""
    count = words + 1
    key = projection("attention_new_key", _WIDTH, _WIDTH, 1, encoded.name)
    softmax = PointToPoint(name="attention_softmax", K=1, H=count, W=1, ifmaps=("attention_scores",))
    weights = swap_channels_and_rows("attention_weights", softmax)
    return [
        key,
        *tokens_with_cache(key, words, "key_cache", "attention_new_key_t", "attention_keys_t", "attention_keys"),
        *tokens_with_cache(encoded, words, "word_cache", "attention_word_t", "attention_words_t", "attention_words"),
        projection("attention_query", _WIDTH, _WIDTH, 1, decoded),
        Upsample(name="attention_queries", K=_WIDTH, H=count, W=1, sH=count, ifmaps=("attention_query",)),
        Eltwise(name="attention_sums", K=_WIDTH, H=count, W=1, ifmaps=("attention_queries", "attention_keys")),
        projection("attention_scores", _WIDTH, 1, count, "attention_sums"),
        softmax,
        weights,
        Conv(
            name=_CONTEXT,
            C=count,
            K=_WIDTH,
            H=1,
            W=1,
            ifmaps=(weights.name,),
            weight_operands=("attention_words",),
        ),
    ]
