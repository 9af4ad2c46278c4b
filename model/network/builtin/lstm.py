"""The LSTM cell, and the medium language model of Zaremba et al. (2014) made of it, in one time step.

There is no kind of layer for LSTMs. Each of the four gates is a matrix over the concatenation of what the cell reads
and its hidden state, and its activation is part of it. Two element-wise layers follow: the new cell state is made of
the forget gate, the old state, the input gate and the candidate, the new hidden state of the output gate and the new
cell state. States come from outside; that the new ones are kept for the next step, one element for each unit, is left
out.

Why one step and not several, unrolled: layers can't share weights, so every unrolled step would load all of them again.
Where a model runs step by step through all its layers, as in making text, and its weights exceed the buffer, that is
what happens, and a sequence costs as many times one step. Where weights stay in the buffer, or a sequence runs through
one layer before the next, it costs less; that can't be told here.
"""

from soma_cp.model.network.layers import Conv, Eltwise, ExternalInput, Layer, Shape
from soma_cp.model.network.network import Network

_WIDTH = 650
_CELLS = 2
_VOCABULARY = 10_000


def lstm() -> Network:
    """Build one step of the language model: two cells of width 650 and the projection onto 10,000 words."""
    layers: list[Layer] = []
    inputs = [ExternalInput("word", (_WIDTH, 1, 1))]
    below: tuple[str, ...] = ()
    for number in range(1, _CELLS + 1):
        layers += lstm_cell(f"lstm{number}", _WIDTH, _WIDTH, below, () if below else ("word",))
        inputs += cell_states(f"lstm{number}", _WIDTH)
        below = (layers[-1].name,)
    layers.append(Conv(name="proj", C=_WIDTH, K=_VOCABULARY, H=1, W=1, ifmaps=below))
    return Network("lstm", tuple(inputs), tuple(layers))


def lstm_cell(
    prefix: str, read_width: int, width: int, ifmaps: tuple[str, ...], inputs: tuple[str, ...] = ()
) -> list[Layer]:
    """One step of a cell: its four gates, the new cell state, and last the new hidden state.

    Parameters
    ----------
    prefix
        Of the names; the states that the cell starts from are external inputs, see `cell_states`.
    read_width
        Channels of what the cell reads, all together.
    width
        Channels of its states.
    ifmaps, inputs
        What it reads: layers and external inputs.
    """
    hidden, state = (source.name for source in cell_states(prefix, width))
    gates: list[Layer] = [
        Conv(
            name=f"{prefix}_{gate}",
            C=read_width + width,
            K=width,
            H=1,
            W=1,
            ifmaps=ifmaps,
            inputs=(*inputs, hidden),
        )
        for gate in ("forget", "input", "candidate", "output")
    ]
    forget, input_gate, candidate, output = (gate.name for gate in gates)
    kept = (forget, input_gate, candidate)
    new_state = Eltwise(name=f"{prefix}_state", N=4, K=width, H=1, W=1, ifmaps=kept, inputs=(state,))
    new_hidden = Eltwise(name=f"{prefix}_hidden", K=width, H=1, W=1, ifmaps=(output, new_state.name))
    return [*gates, new_state, new_hidden]


def cell_states(prefix: str, width: int) -> tuple[ExternalInput, ExternalInput]:
    """Return the hidden state and the cell state that a cell starts from."""
    shape: Shape = (width, 1, 1)
    return ExternalInput(f"{prefix}_last_hidden", shape), ExternalInput(f"{prefix}_last_state", shape)
