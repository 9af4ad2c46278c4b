"""One node during import: its operands and results, in the terms that operators use."""

from collections.abc import Iterable, Sequence
from typing import Any

from soma_cp.model.errors import InternalError
from soma_cp.model.network.onnx_import.arranging import arranged, compacted
from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.graph import Graph, Node, printable, whole_numbers
from soma_cp.model.network.onnx_import.layers import Layers, Sources
from soma_cp.model.network.onnx_import.options import OnnxOptions, Present, Role
from soma_cp.model.network.onnx_import.padding import with_padding
from soma_cp.model.network.onnx_import.regrouping import regrouped
from soma_cp.model.network.onnx_import.values import Function, Padded, Side, Tensor, Value, is_reduced
from soma_cp.model.network.onnx_import.views import Axis, shape_of, without_batch

MOST_SOURCES = 10_000
"""Most tensors that are joined: a model that doubles a tensor again and again has no end."""


class State:
    """What all nodes share: the layers so far, the value of each tensor, and the notes for the user.

    Parameters
    ----------
    graph
        The graph.
    options
        What the user says.
    mask_uses
        First outputs of the nodes that take a smaller input of the graph for a mask.
    """

    def __init__(self, graph: Graph, options: OnnxOptions, mask_uses: frozenset[str]) -> None:
        self.graph = graph
        self.options = options
        self.mask_uses = mask_uses
        self.layers = Layers()
        self.values: dict[str, Value] = {}
        self.notes: dict[str, list[str]] = {}
        self.new_tokens: dict[Sources, tuple[Tensor, ...]] = {}
        """What is joined to an input of the graph along another axis than channels, by the sources of the result."""
        self.taken_for_masks: set[str] = set()
        """Inputs of floats that a node takes for a mask and leaves out."""
        self._made: dict[tuple[Sources, str], Sources] = {}  # layers of functions, by sources and output
        self._with_padding: dict[Padded, Tensor] = {}

    def stored(self, output: str) -> list[Value | None]:
        """Return what is stored of an output of the graph."""
        value = self.values.get(output)
        if self.options.present is Present.NEW and isinstance(value, Tensor) and self.has_cached(output):
            return [*self.new_tokens[value.sources]]
        return [value]

    def has_cached(self, output: str) -> bool:
        """Whether an output of the graph joins what the model computes to an input: keys or values to cached ones."""
        value = self.values.get(output)
        return isinstance(value, Tensor) and value.sources in self.new_tokens

    @property
    def functions(self) -> dict[str, list[str]]:
        """The layers of functions, by the ONNX tensor that a function makes."""
        found: dict[str, list[str]] = {}
        for (_, origin), made in self._made.items():
            found.setdefault(origin, []).extend(made)
        return found

    def is_data(self, sources: Sources) -> bool:
        """Whether the user says that external inputs are data."""
        named = [name for name, role in self.options.roles.items() if role is Role.DATA]
        return any(source == name or source.startswith(f"{name}_") for source in sources for name in named)

    def settled(self, value: Value) -> Tensor:
        """Return `value` as a tensor that has all elements of its fmap; a function becomes a `ptp` layer.

        Raises
        ------
        UnsupportedError
            If there is no layer for it.
        """
        if isinstance(value, Tensor):
            return compacted(self.layers, value, value.name or value.sources[0])
        if isinstance(value, Padded):
            if value not in self._with_padding:
                self._with_padding[value] = with_padding(self.layers, value.tensor, value.shape, value.name)
            return self._with_padding[value]
        if isinstance(value, Side):
            listed = ", ".join(f"'{name}'" for name in value.inputs) or "a scale"
            raise UnsupportedError(f"computes with {listed}, taken for indices or a mask, which no layer makes")
        if value.part is not None:
            part = self.settled(value.part)
            return self.settled(Function(part, value.name, value.origin)) if value.computes else part
        if value.reduced:
            raise UnsupportedError(
                f"reads '{value.name}', a reduction over channels or a part of channels between others, which no layer "
                "makes (as a step of a normalisation or a rotation it could be part of a ptp layer)"
            )
        tensor = value.of
        key = (tensor.sources, value.origin)
        if key not in self._made:
            self._made[key] = self.layers.point_to_point(value.name, tensor.sources)
        return Tensor(self._made[key], tensor.shape, tensor.view)


class NodeImport:
    """A node during import, with its operands and results.

    Parameters
    ----------
    state
        State that all nodes share.
    node
        The node.
    """

    def __init__(self, state: State, node: Node) -> None:
        self.state = state
        self.node = node
        self.layers = state.layers
        self.graph = state.graph

    @property
    def name(self) -> str:
        """Name of this node's layers."""
        return self.node.label

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of its inputs; empty for an optional input that is left out."""
        return self.node.inputs

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of its outputs."""
        return self.node.outputs

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute."""
        return self.node.attributes.get(name, default)

    def has(self, place: int) -> bool:
        """Whether input `place` is given."""
        return place < len(self.inputs) and self.inputs[place] != ""

    def is_constant(self, place: int) -> bool:
        """Whether input `place` is constant."""
        return self.has(place) and self.graph.info(self.inputs[place]).constant

    def is_computed(self, place: int) -> bool:
        """Whether input `place` is given and not constant."""
        return self.has(place) and not self.is_constant(place)

    def shape(self, place: int = 0) -> tuple[int, ...]:
        """Return the shape of an input."""
        return self._shape(self._read(place))

    def _read(self, place: int) -> str:
        if not self.has(place):
            raise UnsupportedError(f"lacks its input {place} (must be given)")
        return self.inputs[place]

    def out_shape(self, place: int = 0) -> tuple[int, ...]:
        """Return the shape of an output."""
        return self._shape(self.outputs[place])

    def check_shapes(self) -> None:
        """Refuse a node whose inputs and attributes don't fit, even if the model states shapes for its outputs.

        Raises
        ------
        UnsupportedError
            If the shape of an output can't be inferred.
        """
        for output in self.outputs:
            fault = self.graph.info(output).fault
            if fault:
                raise UnsupportedError(f"makes '{output}', whose shape can't be inferred: {fault}")

    def _shape(self, tensor: str) -> tuple[int, ...]:
        info = self.graph.info(tensor)
        shape = info.shape
        if shape is None:
            reason = f": {info.fault}" if info.fault else "; export the model with shapes"
            raise UnsupportedError(f"makes '{tensor}', whose shape can't be inferred{reason}")
        if 0 in shape:
            raise UnsupportedError(f"has an empty tensor, '{tensor}' of shape {list(shape)} (must have elements)")
        return shape

    def numbers(self, attribute: str, place: int) -> list[int] | None:
        """Return whole numbers that some versions of an operator have as an attribute, and others as an input."""
        given = self.attribute(attribute)
        if given is not None:
            return [int(number) for number in given]
        if not self.has(place):
            return None
        value = self.graph.info(self.inputs[place]).value
        if value is None:
            raise UnsupportedError(f"has {attribute} that are computed or not in the file (must be constants in it)")
        return whole_numbers(value)

    def value(self, place: int = 0) -> Value:
        """Return the value of an input."""
        if self.is_constant(place):
            raise UnsupportedError(f"has a constant as input {place} (must be computed)")
        return self.state.values[self._read(place)]

    def tensor(self, place: int = 0) -> Tensor:
        """Return the value of an input as a tensor of layers or external inputs."""
        return self.state.settled(self.value(place))

    def part(self, place: int = 0) -> Tensor:
        """Return the value of an input as a tensor that may be a part of its fmap."""
        value = self.value(place)
        return value if isinstance(value, Tensor) else self.state.settled(value)

    def base(self, value: Value) -> Tensor:
        """Return the tensor that a function reads; any other value as a tensor of layers or external inputs."""
        return value.of if isinstance(value, Function) else self.state.settled(value)

    def arranged(self, tensor: Tensor, channels: Axis, rows: Axis = (), columns: Axis = ()) -> Sources:
        """Return sources with these atoms of `tensor` as dimensions."""
        return arranged(
            self.layers, tensor, without_batch(channels), without_batch(rows), without_batch(columns), self.name
        )

    def regrouped(self, tensor: Tensor, shape: Sequence[int]) -> Tensor:
        """Return the same elements in the same order with axes of other extents."""
        return regrouped(self.layers, tensor, shape, self.name)

    def give(self, value: Value, place: int = 0) -> None:
        """Set an output.

        Raises
        ------
        UnsupportedError
            If the axes of `value` differ from those that the model states for the output.
        InternalError
            If they differ from those that are inferred: readers would mix up the axes.
        """
        if place < len(self.outputs) and self.outputs[place]:
            if isinstance(value, Tensor) and len(value.sources) > MOST_SOURCES:
                raise UnsupportedError(f"joins {len(value.sources)} tensors (must be {MOST_SOURCES} at most)")
            self._check_axes(value, self.outputs[place])
            self.state.values[self.outputs[place]] = value

    def _check_axes(self, value: Value, output: str) -> None:
        info = self.graph.info(output)
        if info.shape is None or isinstance(value, Side | Padded) or is_reduced(value):
            return
        extents = shape_of(value.of.view if isinstance(value, Function) else value.view)
        if extents != info.shape == info.stated:  # the package may infer nothing: then this is what the model states
            raise UnsupportedError(
                f"makes '{output}' of shape {list(extents)}, but the model states {list(info.shape)} (must be the same)"
            )
        if extents != info.shape:
            raise InternalError(
                f"'{output}' of shape {list(info.shape)} was imported by {self.node.kind} with axes of {list(extents)}"
            )

    def give_function(
        self, of: Tensor, reduced: bool = False, place: int = 0, part: Tensor | None = None, computes: bool = True
    ) -> None:
        """Set an output to a function of one tensor."""
        self.give(Function(of, self.name, self.outputs[place], reduced, part, computes), place)

    def note(self, text: str) -> None:
        """Add a note for the user about this node."""
        self.state.notes.setdefault(text, []).append(f"'{self.name}' ({self.node.kind})")

    def shared_weights(self, place: int) -> str:
        """Return a name for the weights in input `place` if other nodes have the same; empty if none does."""
        name = self.inputs[place]
        return printable(name) if len(self.graph.readers(name)) > 1 else ""

    def check_constant(self, places: Iterable[int], what: str) -> None:
        """Refuse computed inputs; `what` says what they are, such as "computed weights".

        Raises
        ------
        UnsupportedError
            If an input among `places` is computed.
        """
        if any(self.is_computed(place) for place in places):
            raise UnsupportedError(f"has {what} (must be constant)")

    def check_bias(self, place: int) -> None:
        """Refuse a bias that is computed.

        Raises
        ------
        UnsupportedError
            If input `place` is computed.
        """
        self.check_constant((place,), "a computed bias")

    def axis(self, place: int = 0, default: int = 0) -> int:
        """Return the attribute ``axis``, counted from the first axis of input `place`.

        Raises
        ------
        UnsupportedError
            If the input has no such axis.
        """
        axis, rank = int(self.attribute("axis", default)), len(self.shape(place))
        if not -rank <= axis < rank:
            raise UnsupportedError(f"has axis {axis} of a tensor of {rank} axes (must be from {-rank} to {rank - 1})")
        return axis % rank
