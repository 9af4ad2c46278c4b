"""The LSTM cell, and one time step of the medium language model of Zaremba et al. (2014), which is made of such cells.

There is no kind of layer for LSTMs. Each of the four gates is a matrix layer, activation included, that reads the
cell's input concatenated with its hidden state. Two element-wise layers follow. One makes the new cell state from the
forget gate, the old cell state, the input gate and the candidate; the other makes the new hidden state from the output
gate and the new cell state. States come from outside. Storing the new ones for the next step, one element for each
unit, is left out.

Why one step and not several, unrolled: a model that makes text runs step by step through all its layers, and if its
weights exceed the buffer, every step loads all of them again: a sequence of n steps then costs n times one step. It
costs less where weights stay in the buffer, or where a sequence runs through one layer before the next. The import of
ONNX models unrolls a layer so, with weights that its steps share (docs/onnx.md).
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
        Prefix of the names; the states before the step are external inputs, see `cell_states`.
    read_width
        Channels of the cell's input in all.
    width
        Channels of the cell's states.
    ifmaps, inputs
        The cell's input: layers and external inputs.
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
    """Return a cell's hidden state and cell state before the step."""
    shape: Shape = (width, 1, 1)
    return ExternalInput(f"{prefix}_last_hidden", shape), ExternalInput(f"{prefix}_last_state", shape)
