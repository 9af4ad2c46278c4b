"""Recurrent networks: LSTM and GRU as PyTorch writes them, sequence first or with transpositions around."""

import numpy as np

from support.onnx_corpus.graph import Graph


def lstm() -> Graph:
    """Two LSTM layers of a tagger, batch first: Transpose, LSTM with zero states, Squeeze, Transpose, Linear."""
    g = Graph(17)
    tokens, inside, width = 24, 48, 64
    x = g.input("input", ["batch", tokens, inside])
    x = g.transpose(x, 1, 0, 2)
    for layer, channels in enumerate((inside, width)):
        with g.scope("lstm"):
            weights = [
                g.weight(f"W_{layer}", 1, 4 * width, channels),
                g.weight(f"R_{layer}", 1, 4 * width, width),
                g.weight(f"B_{layer}", 1, 8 * width),
            ]
            state = [g.const(np.zeros((1, 1, width)), np.float32) for _ in range(2)]
            y, _, _ = g("LSTM", x, *weights, "", *state, outputs=3, hidden_size=width)
            x = g("Squeeze", y, g.const([1]))
    x = g.transpose(x, 1, 0, 2)
    g.output(g.linear(x, width, 10, "tag"), "scores", ["batch", tokens, 10])
    return g


def gru() -> Graph:
    """A bidirectional GRU of a speech model behind a convolution, its last states joined into a classifier."""
    g = Graph(14)
    frames, width = 32, 48
    x = g.input("features", [1, 40, 2 * frames])
    x = g("Relu", g.conv(x, 40, 64, (3,), 2, name="conv"))
    x = g.transpose(x, 2, 0, 1)
    with g.scope("gru"):
        weights = [
            g.weight("W", 2, 3 * width, 64),
            g.weight("R", 2, 3 * width, width),
            g.weight("B", 2, 6 * width),
        ]
        y, _ = g(
            "GRU",
            *(x, *weights, ""),
            g.const(np.zeros((2, 1, width)), np.float32),
            outputs=2,
            direction="bidirectional",
            hidden_size=width,
            linear_before_reset=1,
        )
        y = g.reshape(g.transpose(y, 0, 2, 1, 3), frames, 1, 2 * width)
    y = g.transpose(y, 1, 0, 2)
    g.output(g.linear(y, 2 * width, 29, "fc"), "log_probs", [1, frames, 29])
    return g
