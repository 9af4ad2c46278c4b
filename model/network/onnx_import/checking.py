"""What every node of an ONNX model becomes, also in a model that is refused."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from soma_cp.model.data_types import DataType, packed
from soma_cp.model.network.layers import Layer, Shape
from soma_cp.model.network.network import Network
from soma_cp.model.network.onnx_import.graph import Node, printable
from soma_cp.model.network.onnx_import.graph_import import GraphImport
from soma_cp.model.network.onnx_import.importing import advice, imported_graph
from soma_cp.model.network.onnx_import.options import OnnxOptions, Role
from soma_cp.model.network.onnx_import.reading import read_model
from soma_cp.model.network.onnx_import.values import Function, Padded, Side, Value

if TYPE_CHECKING:
    import onnx


class Becomes(Enum):
    """What a node becomes."""

    LAYER = "layer"
    PART = "part of a layer"
    VIEW = "view"
    CONSTANT = "constant"
    SIDE = "mask or index"
    LEFT_OUT = "left out"
    REFUSED = "refused"
    NOT_REACHED = "not reached"


@dataclass(frozen=True)
class NodeReport:
    """What a node becomes.

    Parameters
    ----------
    name, operator
        Its name in messages, and its operator, with the domain if that is not ONNX's own.
    becomes
        What it becomes.
    layers
        The layers that it makes.
    reason
        Why it is refused, left out or not reached; empty otherwise.
    """

    name: str
    operator: str
    becomes: Becomes
    layers: tuple[Layer, ...] = ()
    reason: str = ""

    @property
    def macs(self) -> int:
        """Multiply-accumulates of its layers, for one sample."""
        return sum(layer.operations for layer in self.layers if layer.is_matrix)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights that its layers have; weights that several of them share count once."""
        return sum({(getattr(layer, "weights", "") or layer): layer.weight_bytes for layer in self.layers}.values())


@dataclass(frozen=True)
class InputReport:
    """An input of the graph: its shape in the model, what it is, and the axis that is the batch.

    While dimensions without a number are missing, the shape has their names.
    """

    name: str
    shape: tuple[int | str, ...]
    role: Role | None
    batch_axis: int | None


@dataclass(frozen=True)
class TensorReport:
    """A tensor that is loaded or stored: its name in the network, the shape of one sample, its type."""

    name: str
    shape: Shape
    type: DataType

    @property
    def size(self) -> int:
        """Bytes of one sample."""
        return packed(prod(self.shape), self.type.bits)


@dataclass(frozen=True)
class ModelReport:
    """What a model becomes.

    Parameters
    ----------
    name
        Name of the network.
    network
        The network; None if the model is refused.
    nodes
        The nodes, in the model's order.
    inputs
        Inputs of the graph.
    problems
        Faults of the model that are no fault of a single node.
    notes
        One sentence for each approximation, omission and assumption.
    advice
        A way out of a refusal; empty if there is none.
    """

    name: str
    network: Network | None
    nodes: tuple[NodeReport, ...]
    inputs: tuple[InputReport, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    advice: str

    @property
    def operators(self) -> dict[str, Counter[Becomes]]:
        """How many nodes of each operator become what; operators in the order of their names."""
        counts: dict[str, Counter[Becomes]] = {}
        for node in sorted(self.nodes, key=lambda node: node.operator):
            counts.setdefault(node.operator, Counter())[node.becomes] += 1
        return counts

    @property
    def loaded(self) -> tuple[TensorReport, ...]:
        """The external inputs of the network."""
        sources = self.network.inputs if self.network is not None else ()
        return tuple(TensorReport(source.name, source.shape, source.type) for source in sources)

    @property
    def stored(self) -> tuple[TensorReport, ...]:
        """The outputs of the network."""
        if self.network is None:
            return ()
        return tuple(
            TensorReport(name, self.network.source_shape(name), self.network.source_type(name))
            for name in self.network.outputs
        )


def check_onnx(path: Path, options: OnnxOptions) -> ModelReport:
    """Report what every node of an ONNX model becomes.

    Raises
    ------
    UserError
        If the package ``onnx`` is missing or the file can't be read.
    OnnxFileError
        If the file has no nodes, or functions that can't be put in place.
    """
    model = read_model(path)
    # Imported late: it needs the package ``onnx``; `read_model` raises an error if that is missing.
    from soma_cp.model.network.onnx_import.needed_nodes import kind_of, label, needed_nodes

    run = imported_graph(model, path.stem, options)
    kept = needed_nodes(model, run.graph.outputs)  # while these live, each node is one Python object
    needed = {id(node) for node in kept}
    places = {node.outputs: place for place, node in enumerate(run.graph.nodes)}
    made = _Made(run)
    nodes: list[NodeReport] = []
    for proto in model.graph.node:
        name, operator = label(proto), printable(kind_of(proto))
        place = places.get(tuple(proto.output))
        if id(proto) not in needed:
            nodes.append(NodeReport(name, operator, Becomes.LEFT_OUT, reason="leads to no output"))
        elif place is None:
            nodes.append(NodeReport(name, operator, Becomes.CONSTANT))
        else:
            nodes.append(_node_report(run, made, place, name, operator))
    return ModelReport(
        name=path.stem,
        network=run.network,
        nodes=tuple(nodes),
        inputs=tuple(
            InputReport(
                source.name,
                _stated(model, source.name) if run.graph.problems else source.shape,
                _role(run, source.name),
                source.batch_axis,
            )
            for source in run.graph.inputs
        ),
        problems=(*run.graph.problems, *run.faults),
        notes=run.notes,
        advice=advice(model, run, path.stem, options) if run.network is None else "",
    )


class _Made:
    """Which layers of an import each node makes.

    Attributes
    ----------
    present
        The layers of the network, by name.
    """

    def __init__(self, run: GraphImport) -> None:
        self.present = {layer.name: layer for layer in run.state.layers.layers}
        self._run = run
        self._of_functions: set[str] = set()
        self._by_output: dict[str, list[str]] = {}  # layers of functions
        self._given: set[str] = set()
        outputs = {name for node in run.graph.nodes for name in node.outputs if name}
        for origin, names in run.state.functions.items():
            output = origin
            while output not in outputs and "/" in output:  # a step within a node
                output = output.rpartition("/")[0]
            self._by_output.setdefault(output, []).extend(names)
            self._of_functions.update(names)

    def names(self, place: int, node: Node) -> list[str]:
        """Return the layers that a node adds, with those of its functions; of a divided layer, the parts."""
        own = [name for name in self._run.made.get(place, ()) if name not in self._of_functions]
        own += [name for output in node.outputs for name in self._by_output.get(output, ())]
        return list(dict.fromkeys(self._run.state.layers.resolved(own)))

    def layers(self, names: list[str]) -> tuple[Layer, ...]:
        """Return those of the network's layers that no node before has got, which this one may read or merge with."""
        layers = [self.present[name] for name in names if name in self.present and name not in self._given]
        self._given.update(layer.name for layer in layers)
        return tuple(layers)


def _stated(model: "onnx.ModelProto", name: str) -> tuple[int | str, ...]:
    """Return the shape of an input as the model states it, with names, or ``?``, in place of missing numbers."""
    stated = next(source for source in model.graph.input if source.name == name).type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") else printable(dim.dim_param) or "?" for dim in stated)


def _role(run: GraphImport, name: str) -> Role | None:
    """Return what an input is; data that is taken for a mask wherever it is read is one."""
    role = run.roles.get(name)
    if run.network is None or name not in run.state.taken_for_masks:
        return role
    read = {source.name for source in run.network.inputs}
    return role if any(other == name or other.startswith(f"{name}_") for other in read) else Role.MASK


def _node_report(run: GraphImport, made: _Made, place: int, name: str, operator: str) -> NodeReport:
    node = run.graph.nodes[place]
    if place in run.refused:
        return NodeReport(name, operator, Becomes.REFUSED, reason=run.refused[place])
    value = next((run.state.values[output] for output in node.outputs if output in run.state.values), None)
    if value is None:
        reason = "depends on what is refused" if run.refused else "is not read before the model's faults are mended"
        return NodeReport(name, operator, Becomes.NOT_REACHED, reason=reason)
    added = made.names(place, node)
    layers = made.layers(added)
    if layers:
        return NodeReport(name, operator, Becomes.LAYER, layers)
    if added:  # readers have taken what it joins, one by one
        return NodeReport(name, operator, Becomes.VIEW)
    return NodeReport(name, operator, _without_layers(run, node, value))


def _without_layers(run: GraphImport, node: Node, value: Value) -> Becomes:
    """Return what a node becomes that adds no layer: other axes or elements of what it reads, or arithmetic on it."""
    if isinstance(value, Side):
        return Becomes.SIDE
    if isinstance(value, Padded) or _is_own_function(value, node.outputs):
        return Becomes.PART
    read = [run.state.values[name] for name in node.inputs if name in run.state.values]
    return Becomes.PART if any(other == value for other in read) else Becomes.VIEW


def _is_own_function(value: Value, outputs: Collection[str]) -> bool:
    return isinstance(value, Function) and value.origin in outputs
