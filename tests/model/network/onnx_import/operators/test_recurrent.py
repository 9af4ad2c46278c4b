"""LSTM, GRU and RNN: a step is G·H·(C + H) multiply-accumulates, and so many bytes of weights are stored once."""

from dataclasses import replace
from typing import Any

import pytest
from support.onnx_imports import Import, faults, kinds
from support.onnx_models import Model

from soma_cp.model.network.builtin.lstm import cell_states, lstm_cell
from soma_cp.model.network.layers import Conv, Eltwise, ExternalInput, Pool, Transpose
from soma_cp.model.network.network import Network

READ, WIDTH = 6, 8
"""Channels of the sequence and of the states."""
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def weight_bytes(network: Network) -> int:
    """Bytes of the stored weights, those that layers share once."""
    matrices = [layer for layer in network.layers if isinstance(layer, Conv)]
    return sum({layer.weights or layer.name: layer.weight_bytes for layer in matrices}.values())


def matrices(model: Model, operator: str, directions: int = 1, inside: int = READ) -> tuple[str, str]:
    """Add the weights of the sequence, and those of the hidden state."""
    rows = GATES[operator] * WIDTH
    return model.weight(directions, rows, inside), model.weight(directions, rows, WIDTH)


def recurrence(
    model: Model, operator: str, x: str, *states: str, directions: int = 1, inside: int = READ, **attributes: Any
) -> list[str]:
    """Add a recurrent node with the given states; return its outputs."""
    weights = matrices(model, operator, directions, inside)
    bias = model.weight(directions, 2 * GATES[operator] * WIDTH)
    if directions == 2:
        attributes["direction"] = "bidirectional"
    made = model.node(
        *(operator, x, *weights, bias, "", *states),
        outputs=3 if operator == "LSTM" else 2,
        hidden_size=WIDTH,
        name="r",
        **attributes,
    )
    return list(made)


def sequence_of(model: Model, steps: int) -> str:
    """Add an input (batch, steps, channels); return it with the steps first, as PyTorch exports it."""
    return str(model.node("Transpose", model.input("x", ["batch", steps, READ]), perm=[1, 0, 2]))


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize(
    ("operator", "attributes"), [("LSTM", {}), ("GRU", {}), ("GRU", {"linear_before_reset": 1}), ("RNN", {})]
)
def test_each_step_multiplies_and_weights_are_stored_once(
    imported: Import, operator: str, attributes: dict[str, Any], steps: int, direction: str
) -> None:
    """A projection of all steps follows: 5 kernels of one state or two."""
    model = Model()
    directions = 2 if direction == "bidirectional" else 1
    y, *_ = recurrence(
        model, operator, sequence_of(model, steps), directions=directions, direction=direction, **attributes
    )
    tokens = model.node("Reshape", model.node("Transpose", y, perm=[2, 0, 1, 3]), model.constant([0, 0, -1]))
    head = model.node("MatMul", tokens, model.weight(directions * WIDTH, 5), name="head")
    network = imported(model, head).network
    matrices = directions * GATES[operator] * WIDTH * (READ + WIDTH)
    assert network.operations[0] == steps * (matrices + 5 * directions * WIDTH)
    assert weight_bytes(network) == matrices + 5 * directions * WIDTH
    assert network.layers[-1].ofmap == (5, steps, 1)


def test_one_step_of_an_lstm_is_the_built_in_cell(imported: Import) -> None:
    model = Model()
    _, hidden, state = recurrence(model, "LSTM", sequence_of(model, 1))
    result = imported(model, hidden, state)
    cell = lstm_cell("r", READ, WIDTH, (), ("x",))
    assert result.network.layers == tuple(cell)
    assert result.network.inputs == (ExternalInput("x", (READ, 1, 1)), *cell_states("r", WIDTH))
    assert set(result.network.outputs) == {"r_hidden", "r_state"}
    (note,) = result.notes
    assert note == "'r' (LSTM): states before the first step that the model doesn't compute are external inputs"


def test_steps_of_an_lstm(imported: Import) -> None:
    """Vector operations of a step: four rows are taken (4·H), seven operands make the state, three the hidden state.

    The sequence of hidden states is put together from two steps: 2·H more.
    """
    model = Model()
    y, *_ = recurrence(model, "LSTM", sequence_of(model, 2))
    network = imported(model, y).network
    assert kinds(network) == ["conv", "pool", "conv"] * 4 + ["eltwise"] * 2 + ["pool", "conv"] * 4 + ["eltwise"] * 2 + [
        "transpose"
    ]
    assert network.operations[1] == 2 * (4 + 7 + 3) * WIDTH + 2 * WIDTH
    shared = {"weights": "weight_2 weight_3 0 hidden forget"}
    by_name = {layer.name: layer for layer in network.layers}
    assert by_name["r_forget_input"] == Conv(
        name="r_forget_input", C=READ, K=WIDTH, H=2, W=1, inputs=("x",), weights="weight_2 weight_3 0 input forget"
    )
    assert by_name["r_0_forget_input"] == Pool(name="r_0_forget_input", K=WIDTH, H=1, W=1, ifmaps=("r_forget_input",))
    first = Conv(name="r_0_forget", C=WIDTH, K=WIDTH, H=1, W=1, inputs=("r_last_hidden",), **shared)
    assert by_name["r_0_forget"] == first
    assert by_name["r_1_forget"] == replace(first, name="r_1_forget", inputs=(), ifmaps=("r_0_hidden",))
    sums = [f"r_1_{gate}{part}" for gate in ("forget", "input", "candidate") for part in ("_input", "")]
    assert by_name["r_1_state"] == Eltwise(name="r_1_state", N=7, K=WIDTH, H=1, W=1, ifmaps=(*sums, "r_0_state"))
    sums = ["r_1_output_input", "r_1_output"]
    assert by_name["r_1_hidden"] == Eltwise(name="r_1_hidden", N=3, K=WIDTH, H=1, W=1, ifmaps=(*sums, "r_1_state"))
    steps = Transpose(
        name="r_steps", K=WIDTH, H=2, W=1, order="**W", ifmap=(2 * WIDTH, 1, 1), ifmaps=("r_0_hidden", "r_1_hidden")
    )
    assert network.layers[-1] == steps


@pytest.mark.parametrize(
    ("after", "steps", "layers", "operations"),
    [
        # Reset and hidden state (2), then update, candidate and hidden state (3).
        (False, 1, ["conv", "conv", "eltwise", "conv", "eltwise"], 2 + 3),
        # Reset, and both products of the candidate (3), then update, candidate and hidden state (3).
        (True, 1, ["conv"] * 4 + ["eltwise"] * 2, 3 + 3),
    ],
)
def test_the_reset_gate_weighs_the_hidden_state_or_its_product(
    imported: Import, after: bool, steps: int, layers: list[str], operations: int
) -> None:
    model = Model()
    _, hidden = recurrence(model, "GRU", sequence_of(model, steps), linear_before_reset=int(after))
    network = imported(model, hidden).network
    assert kinds(network) == layers
    assert network.operations == (3 * WIDTH * (READ + WIDTH), operations * WIDTH)


def test_one_step_of_an_rnn_is_one_layer(imported: Import) -> None:
    model = Model()
    _, hidden = recurrence(model, "RNN", sequence_of(model, 1))
    assert imported(model, hidden).network.layers == (
        Conv(name="r_sum", C=READ + WIDTH, K=WIDTH, H=1, W=1, inputs=("x", "r_last_hidden")),
    )


def test_the_last_step_backwards_is_the_first_of_the_sequence(imported: Import) -> None:
    model = Model()
    sequence, hidden = recurrence(model, "RNN", sequence_of(model, 3), direction="reverse")
    network = imported(model, sequence, hidden).network
    assert network.outputs == ("r_0_hidden", "r_steps")
    assert network.layers[-1].ifmaps == ("r_0_hidden", "r_1_hidden", "r_2_hidden")
    assert [layer.name for layer in network.layers if layer.kind == "eltwise"] == [
        "r_2_hidden",
        "r_1_hidden",
        "r_0_hidden",
    ]


def test_samples_may_come_first(imported: Import) -> None:
    """``layout`` 1: (batch, steps, channels), and states (batch, directions, channels)."""
    model = Model()
    x = model.input("x", ["batch", 3, READ])
    hidden, state = (model.input(name, ["batch", 2, WIDTH]) for name in ("h", "c"))
    y, *last = recurrence(model, "LSTM", x, hidden, state, directions=2, layout=1)
    network = imported(model, y, *last).network
    assert network.operations[0] == 2 * 3 * 4 * WIDTH * (READ + WIDTH)
    assert {source.name: source.shape for source in network.inputs} == {
        "x": (READ, 3, 1),
        "h": (WIDTH, 2, 1),
        "c": (WIDTH, 2, 1),
    }
    assert set(network.outputs) == {
        "r_steps",
        "r_forward_2_hidden",
        "r_backward_0_hidden",
        "r_forward_2_state",
        "r_backward_0_state",
    }


def test_a_state_may_be_computed(imported: Import) -> None:
    """A decoder begins with the state of an encoder; no state is an input."""
    model = Model()
    x = sequence_of(model, 2)
    _, encoded = recurrence(model, "GRU", x)
    y, _ = recurrence(model, "GRU", x, encoded)
    network = imported(model, y).network
    assert {source.name for source in network.inputs} == {"x", "r_last_hidden"}
    assert network.operations[0] == 2 * 2 * 3 * WIDTH * (READ + WIDTH)
    assert weight_bytes(network) == 2 * 3 * WIDTH * (READ + WIDTH)


def test_nodes_with_the_same_weights_share_them(imported: Import) -> None:
    """A cell that a loop of Python calls: two nodes of one step each."""
    model = Model()
    x = model.input("x", ["batch", 2, READ])
    both = model.node("Split", model.node("Transpose", x, perm=[1, 0, 2]), model.constant([1, 1]), axis=0, outputs=2)
    weights = matrices(model, "LSTM")
    first = model.node("LSTM", both[0], *weights, outputs=3, hidden_size=WIDTH)
    second = model.node("LSTM", both[1], *weights, "", "", *first[1:], outputs=3, hidden_size=WIDTH)
    network = imported(model, second[0]).network
    assert network.operations[0] == 2 * 4 * WIDTH * (READ + WIDTH)
    assert weight_bytes(network) == 4 * WIDTH * (READ + WIDTH)


def test_layers_of_lstms_follow_one_another(imported: Import) -> None:
    """Two layers of 3 steps, the first in both directions; the second reads 2·H channels."""
    model = Model()
    y, *_ = recurrence(model, "LSTM", sequence_of(model, 3), directions=2)
    joined = model.node("Reshape", model.node("Transpose", y, perm=[0, 2, 1, 3]), model.constant([0, 0, -1]))
    _, last, _ = recurrence(model, "LSTM", joined, inside=2 * WIDTH)
    network = imported(model, last).network
    assert network.operations[0] == 3 * (2 * 4 * WIDTH * (READ + WIDTH) + 4 * WIDTH * (2 * WIDTH + WIDTH))
    assert weight_bytes(network) == 2 * 4 * WIDTH * (READ + WIDTH) + 4 * WIDTH * (2 * WIDTH + WIDTH)


def test_lengths_are_told(imported: Import) -> None:
    model = Model()
    x = sequence_of(model, 2)
    lengths = model.input("lengths", ["batch"], 6)
    made = model.node(
        "RNN", x, model.weight(1, WIDTH, READ), model.weight(1, WIDTH, WIDTH), "", lengths, hidden_size=WIDTH, name="r"
    )
    assert "'r' (RNN): lengths of sequences are not read: all steps are counted" in imported(model, made).notes


def test_long_sequences_are_refused(imported: Import) -> None:
    model = Model()
    y, *_ = recurrence(model, "GRU", sequence_of(model, 257))
    assert faults(lambda: imported(model, y)) == [
        "'r' (GRU) runs 257 steps (at most 256 are unrolled); give a shorter sequence, with --dim if its length has a "
        "name in the model"
    ]


def test_peepholes_are_refused(imported: Import) -> None:
    model = Model()
    x = sequence_of(model, 2)
    weights = matrices(model, "LSTM")
    made = model.node("LSTM", x, *weights, "", "", "", "", model.weight(1, 3 * WIDTH), hidden_size=WIDTH, name="r")
    assert faults(lambda: imported(model, made)) == ["'r' (LSTM) has peepholes, input 7 (must be without)"]


def test_weights_of_another_size_are_refused(imported: Import) -> None:
    model = Model()
    x = sequence_of(model, 2)
    made = model.node(
        "LSTM", x, model.weight(1, 3 * WIDTH, READ), model.weight(1, 4 * WIDTH, WIDTH), hidden_size=WIDTH, name="r"
    )
    assert faults(lambda: imported(model, made)) == [
        "'r' (LSTM) has weights of [1, 24, 6] and [1, 32, 8] (must be of 1 × 4 gates, for a sequence of [2, 1, 6])"
    ]
