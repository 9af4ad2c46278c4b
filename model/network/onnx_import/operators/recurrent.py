"""Recurrent operators: LSTM, GRU, RNN as one step, or unrolled over their sequence.

One step has the layers of the built-in network `lstm`: every gate is a matrix layer, activation included, that reads
the step's input concatenated with the hidden state, and element-wise layers make the new states. Of several steps, the
gates' products with the input are known before the first: for each gate, one convolution multiplies all steps, which
are its rows. Every step then takes its row, and multiplies the hidden state alone, by weights that all steps share. An
element-wise layer takes both products as operands and adds them up. Either way a step is G·H·(I + H)
multiply-accumulates for G gates, I channels of the input and H of the hidden state; so many bytes of weights are stored
for each direction, whatever the number of steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from soma_cp.model.network.layers import Conv, Eltwise, Pool
from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.graph import printable
from soma_cp.model.network.onnx_import.layers import Sources
from soma_cp.model.network.onnx_import.node_import import NodeImport
from soma_cp.model.network.onnx_import.operators.parts import parts
from soma_cp.model.network.onnx_import.operators.registry import Channels, Facts, operator
from soma_cp.model.network.onnx_import.values import Tensor
from soma_cp.model.network.onnx_import.views import Axis, numbered, size, whole, without_batch

MOST_STEPS = 256
"""Most steps that are unrolled; an LSTM's step has ten layers."""

_W, _R, _BIAS, _LENGTHS, _HIDDEN, _STATE, _PEEPHOLES = range(1, 8)
"""The places of a node's inputs, after the sequence."""
_FACTS = Facts(channels=Channels.LAST, weights=(_W, _R))


@dataclass
class _Direction:
    """One direction of a node: a cell that runs through the sequence.

    Parameters
    ----------
    node, name
        The node, and the prefix of the layers' names.
    x
        The sequence, an fmap of `read` channels whose rows are the steps.
    read, width
        Channels of the sequence and of the states.
    steps
        Number of steps.
    shared
        What names the weights that layers share; empty for one step that shares none.
    states
        The states before the current step: the hidden state, and an LSTM's cell state.
    """

    node: NodeImport
    name: str
    x: Sources
    read: int
    width: int
    steps: int
    shared: str
    states: list[Sources]

    def __post_init__(self) -> None:
        self._products: dict[str, Sources] = {}  # of all steps with the weights of a gate's input, by gate
        self._prefix = self.name

    @property
    def hidden(self) -> Sources:
        """The hidden state before the current step."""
        return self.states[0]

    def begin(self, step: int) -> None:
        """Begin a step: it prefixes names."""
        self._prefix = f"{self.name}_{step}" if self.steps > 1 else self.name

    def gate(self, gate: str, hidden: Sources) -> Sources:
        """Return the operands whose sum is a gate's argument, for the current step."""
        if self.steps > 1:
            return self.gate_apart(gate, hidden)
        name = f"{self._prefix}_{gate}"
        return self._multiply(name, (*self.x, *hidden), self.read + self.width, 1, f"input and hidden {gate}")

    def gate_apart(self, gate: str, hidden: Sources) -> Sources:
        """Return a gate's product with the input and that with the hidden state, for the current step."""
        if gate not in self._products:
            name = f"{self.name}_{gate}_input"
            self._products[gate] = self._multiply(name, self.x, self.read, self.steps, f"input {gate}")
        product = self._products[gate]
        if self.steps > 1:
            product = self.node.layers.add(Pool, f"{self._prefix}_{gate}_input", product, K=self.width, H=1, W=1)
        return product + self._multiply(f"{self._prefix}_{gate}", hidden, self.width, 1, f"hidden {gate}")

    def _multiply(self, name: str, sources: Sources, channels: int, rows: int, weights: str) -> Sources:
        weights = f"{self.shared} {weights}" if self.shared else ""
        return self.node.layers.add(Conv, name, sources, C=channels, K=self.width, H=rows, W=1, weights=weights)

    def combine(self, what: str, *operands: Sources) -> Sources:
        """Add an element-wise layer on the sources in `operands`."""
        sources = [source for operand in operands for source in operand]
        return self.node.layers.add(Eltwise, f"{self._prefix}_{what}", sources, N=len(sources), K=self.width, H=1, W=1)


Step = Callable[[_Direction], list[Sources]]
"""Adds the layers of one step; returns the new states."""


@operator("LSTM", "`conv` for each gate and `eltwise`, for each step; the steps share weights", _FACTS)
def long_short_term_memory(node: NodeImport) -> None:
    """Cells with a hidden state and a cell state, and four gates."""
    if node.has(_PEEPHOLES):
        raise UnsupportedError("has peepholes, input 7 (must be without)")

    def step(cell: _Direction) -> list[Sources]:
        forget, read, candidate, output = (
            cell.gate(gate, cell.hidden) for gate in ("forget", "input", "candidate", "output")
        )
        state = cell.combine("state", forget, read, candidate, cell.states[1])
        return [cell.combine("hidden", output, state), state]

    _run(node, 4, {_HIDDEN: "last_hidden", _STATE: "last_state"}, step)


@operator("GRU", "like LSTM", _FACTS)
def gated_recurrent_unit(node: NodeImport) -> None:
    """Cells with a hidden state and three gates; the reset gate weighs the hidden state, or its product."""
    of_product = bool(node.attribute("linear_before_reset", 0))

    def step(cell: _Direction) -> list[Sources]:
        update, reset = cell.gate("update", cell.hidden), cell.gate("reset", cell.hidden)
        if of_product:
            candidate = cell.combine("candidate", reset, cell.gate_apart("new", cell.hidden))
        else:
            candidate = cell.gate("candidate", cell.combine("reset_hidden", reset, cell.hidden))
        return [cell.combine("hidden", update, candidate, cell.hidden)]

    _run(node, 3, {_HIDDEN: "last_hidden"}, step)


@operator("RNN", "like LSTM", _FACTS)
def plain_recurrence(node: NodeImport) -> None:
    """Cells with a hidden state and no gates."""

    def step(cell: _Direction) -> list[Sources]:
        sums = cell.gate("sum", cell.hidden)
        return [cell.combine("hidden", sums) if len(sums) > 1 else sums]

    _run(node, 1, {_HIDDEN: "last_hidden"}, step)


def _run(node: NodeImport, gates: int, states: dict[int, str], step: Step) -> None:
    """Unroll a node in all its directions, and set its outputs.

    Parameters
    ----------
    node
        The node.
    gates
        Matrices that the weights of a direction hold.
    states
        The inputs that are states before the first step, and what they are called if the model gives none.
    step
        Adds the layers of a step.
    """
    node.check_bias(_BIAS)
    directions, read, width = _widths(node, gates)
    tensor, steps = _sequence(node)
    batch_first = bool(node.attribute("layout", 0))
    time, batch = (1, 0) if batch_first else (0, 1)
    x = node.arranged(tensor, tensor.view[2], tensor.view[time])
    first = [_states(node, place, name, directions, width, batch_first) for place, name in states.items()]
    if not all(node.is_computed(place) for place in states):
        node.note("states before the first step that the model doesn't compute are external inputs")
    if node.has(_LENGTHS):
        node.note("lengths of sequences are not read: all steps are counted")
    shared = _shared(node, steps)
    backward = node.attribute("direction", "forward") != "forward"
    hidden: list[Sources] = []  # by direction and step
    last: list[list[Sources]] = []  # by direction and state
    for number, name in enumerate(_cells(node, directions)):
        cell = _Direction(
            node=node,
            name=name,
            x=x,
            read=read,
            width=width,
            steps=steps,
            shared=f"{shared} {number}" if shared else "",
            states=[state[number] for state in first],
        )
        order = range(steps - 1, -1, -1) if backward and number == directions - 1 else range(steps)
        made: dict[int, Sources] = {}
        for place in order:
            cell.begin(place)
            cell.states = step(cell)
            made[place] = cell.hidden
        hidden += [made[place] for place in range(steps)]
        last.append(cell.states)
    _give_sequence(node, hidden, steps, directions, width, tensor.view[batch])
    heads, channels = numbered("C", [whole("C", directions), whole("C", width)])
    leading = (tensor.view[batch], heads) if batch_first else (heads, tensor.view[batch])
    for place in range(len(states)):
        sources = tuple(source for direction in last for source in direction[place])
        node.give(Tensor(sources, (directions * width, 1, 1), (*leading, channels)), place + 1)


def _widths(node: NodeImport, gates: int) -> tuple[int, int, int]:
    """Return the number of directions, the channels that are read, and those of the states."""
    node.check_constant((_W, _R), "computed weights")
    of_input, of_hidden = node.shape(_W), node.shape(_R)
    directions = 2 if node.attribute("direction", "forward") == "bidirectional" else 1
    width = of_hidden[-1]
    fits = of_hidden == (directions, gates * width, width) and of_input[:-1] == of_hidden[:-1]
    if not fits or of_input[-1] != node.shape(0)[-1] or node.attribute("hidden_size", width) != width:
        raise UnsupportedError(
            f"has weights of {list(of_input)} and {list(of_hidden)} (must be of {directions} × {gates} gates, "
            f"for a sequence of {list(node.shape(0))})"
        )
    return directions, of_input[-1], width


def _cells(node: NodeImport, directions: int) -> list[str]:
    """Return the names of the cells, one for each direction."""
    return [node.name] if directions == 1 else [f"{node.name}_forward", f"{node.name}_backward"]


def _sequence(node: NodeImport) -> tuple[Tensor, int]:
    """Return the sequence, and its number of steps."""
    time, batch = (1, 0) if node.attribute("layout", 0) else (0, 1)
    tensor = node.tensor()
    steps = size(without_batch(tensor.view[time]))
    if steps < size(tensor.view[time]) or without_batch(tensor.view[batch]):
        raise UnsupportedError(
            f"takes its steps from axis {time} of {list(node.shape(0))} and samples from axis {batch}, but axis {time} "
            f"is taken for the batch, or axis {batch} is not; say which axis of the model's inputs is the batch"
        )
    if steps > MOST_STEPS:
        raise UnsupportedError(
            f"runs {steps} steps (at most {MOST_STEPS} are unrolled); give a shorter sequence, with --dim if its "
            "length has a name in the model"
        )
    return tensor, steps


def _states(node: NodeImport, place: int, name: str, directions: int, width: int, batch_first: bool) -> list[Sources]:
    """Return a state before the first step for each direction: an external input if the model computes none."""
    if not node.is_computed(place):
        like = node.inputs[place if node.has(place) else 0]
        return [(node.layers.add_input(f"{cell}_{name}", (width, 1, 1), like),) for cell in _cells(node, directions)]
    tensor = node.tensor(place)
    axis = 1 if batch_first else 0
    each = parts(node, tensor, axis, [1] * directions)
    return [node.arranged(part, part.view[2]) for part in each]


def _shared(node: NodeImport, steps: int) -> str:
    """Return what names the weights of a node if several layers share them; empty if none do."""
    return printable(f"{node.inputs[_W]} {node.inputs[_R]}") if steps > 1 or node.shared_weights(_R) else ""


def _give_sequence(
    node: NodeImport, hidden: Sequence[Sources], steps: int, directions: int, width: int, batch: Axis
) -> None:
    """Set the first output: the hidden states of all steps become the rows of an fmap."""
    sources = tuple(source for states in hidden for source in states)
    channels = directions * width
    if steps > 1:
        sources = node.layers.regroup(f"{node.name}_steps", sources, (channels, steps, 1), "**W")
    heads, inner = numbered("C", [whole("C", directions), whole("C", width)])
    rows = whole("H", steps)
    view = (batch, rows, heads, inner) if node.attribute("layout", 0) else (rows, heads, batch, inner)
    node.give(Tensor(sources, (channels, steps, 1), view))
