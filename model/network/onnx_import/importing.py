"""From an ONNX file to a network (documentation: docs/onnx.md)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from soma_cp.model.network.layers import PointToPoint
from soma_cp.model.network.network import Network, NetworkError
from soma_cp.model.network.onnx_import.errors import OnnxFileError, UnsupportedError
from soma_cp.model.network.onnx_import.graph import Graph, Node
from soma_cp.model.network.onnx_import.layouts import input_tensor
from soma_cp.model.network.onnx_import.node_import import NodeImport, State
from soma_cp.model.network.onnx_import.operators.registry import OnnxOperator
from soma_cp.model.network.onnx_import.operators.table import ALL_OPERATORS
from soma_cp.model.network.onnx_import.reading import read_model
from soma_cp.model.network.onnx_import.values import Side, Tensor

_SHOWN_NODES = 3
"""Most nodes that a note names."""
_ADVICE = (
    "for operators without a layer, --ignore-unsupported takes element-wise ones for ptp layers, and --end NODE ends "
    "the model before others"
)
_NOT_KNOWN = OnnxOperator(None, "")


@dataclass(frozen=True)
class ImportedNetwork:
    """A network made from an ONNX model.

    Parameters
    ----------
    network
        The network, for one sample; its name is that of the file, without the ending.
    notes
        One sentence for each approximation, omission and assumption.
    """

    network: Network
    notes: tuple[str, ...]


def import_onnx(
    path: Path,
    dims: Mapping[str, int] | None = None,
    ignore_unsupported: bool = False,
    ends: Sequence[str] = (),
    present: str = "whole",
) -> ImportedNetwork:
    """Read an ONNX model as a network.

    Parameters
    ----------
    path
        The file. External files with the data of weights need not exist.
    dims
        Values of dimensions that have a name but no number in the model.
    ignore_unsupported
        Whether an unknown operator with one computed input, whose output has the same shape, becomes a `ptp` layer.
    ends
        Names of nodes or tensors at which the model ends; what comes after them is left out.
    present
        What is stored of an output that joins cached and new keys or values: ``"whole"``, or ``"new"``, the new tokens.

    Raises
    ------
    UserError
        If the package ``onnx`` is missing or the file can't be read.
    OnnxFileError
        If no network can express the model; reports all such nodes at once.
    """
    model = read_model(path)
    # Imported late: it needs the package ``onnx``; `read_model` raises an error if that is missing.
    from soma_cp.model.network.onnx_import.folding import folded_graph

    graph = folded_graph(model, dims or {}, ignore_unsupported, ends)
    return _Import(graph, str(path), path.stem, ignore_unsupported, present).run()


class _Import:
    """One pass over the nodes of a graph; it collects all nodes that no layer can express."""

    def __init__(self, graph: Graph, path: str, name: str, ignore_unsupported: bool, present: str) -> None:
        self._graph = graph
        self._path = path
        self._name = name
        self._ignore_unsupported = ignore_unsupported
        self._state = State(graph, present)
        self._read = {name for node in graph.nodes for name in node.inputs if name} | set(graph.outputs)
        self._problems = list(graph.problems)
        self._notes = list(graph.notes)

    def run(self) -> ImportedNetwork:
        if self._problems:
            self._problems += [self._told(node, reason) for node in self._graph.nodes if (reason := _unknown(node))]
            self._refuse()
        self._read_inputs()
        for node in self._graph.nodes:
            self._read_node(node)
        outputs = self._outputs()
        if self._problems:
            self._refuse()
        layers = self._state.layers
        unread = layers.prune(outputs)
        if unread:
            listed = _listed([f"'{name}'" for name in unread])
            self._notes.append(f"{listed}: no node reads these channels; they are left out, and their multiplications")
        try:
            stored = tuple(dict.fromkeys(layers.resolved(outputs)))
            network = Network(self._name, layers.inputs_read, layers.layers, outputs=stored)
        except NetworkError as error:
            raise OnnxFileError(self._path, error.problems) from None
        self._notes += [
            f"input '{name}' is taken to lie in DRAM in the sequence that layers read" for name in layers.rearranged
        ]
        notes = (f"{_listed(names)}: {text}" for text, names in self._state.notes.items())
        return ImportedNetwork(network, (*self._notes, *notes))

    def _refuse(self) -> NoReturn:
        may_be_taken = not self._ignore_unsupported and any(
            _unknown(node) and not _record(node).facts.refusal for node in self._graph.nodes
        )
        raise OnnxFileError(self._path, self._problems, _ADVICE if may_be_taken else "")

    def _read_inputs(self) -> None:
        for source in self._graph.inputs:
            if self._graph.info(source.name).whole_numbers:
                self._notes.append(f"input '{source.name}' holds whole numbers: indices or a mask, never loaded")
                self._state.values[source.name] = Side((source.name,))
                continue
            try:
                name = self._state.layers.unique(source.name)
                tensor = input_tensor(self._graph, source, name)
            except UnsupportedError as error:
                self._problems.append(f"input '{source.name}' {error}")
                continue
            self._state.layers.add_input(name, tensor.shape)
            self._state.values[source.name] = tensor

    def _read_node(self, node: Node) -> None:
        reads = [name for name in node.inputs if name and not self._graph.info(name).constant]
        importer = _record(node).importer
        if any(name not in self._state.values for name in reads) and importer is not None:
            return  # depends on a node or input that was reported
        node_import = NodeImport(self._state, node)
        try:
            sides = bool(reads) and all(isinstance(self._state.values.get(name), Side) for name in reads)
            if sides and not _makes_data(node_import):
                self._give_side(node_import, reads)
            elif importer is not None:
                node_import.check_shapes()
                importer(node_import)
            else:
                self._read_unknown(node_import, reads)
            self._check_outputs(node)
        except UnsupportedError as error:
            self._problems.append(self._told(node, str(error)))

    def _check_outputs(self, node: Node) -> None:
        """Refuse a node if something reads an output that it does not give, such as the indices of a maximum."""
        missing = [name for name in node.outputs if name in self._read and name not in self._state.values]
        if missing:
            raise UnsupportedError(f"makes '{missing[0]}', which is read, but no layer makes this output")

    def _give_side(self, node_import: NodeImport, reads: list[str]) -> None:
        values = [value for name in reads if isinstance(value := self._state.values[name], Side)]
        side = Side(tuple(dict.fromkeys(name for value in values for name in value.inputs)))
        for place in range(len(node_import.outputs)):
            node_import.give(side, place)

    def _read_unknown(self, node_import: NodeImport, reads: list[str]) -> None:
        """Take an unknown operator for element-wise, if the option is set and its shapes allow it."""
        node = node_import.node
        reason = _unknown(node)
        if not self._ignore_unsupported or _record(node).facts.refusal:
            raise UnsupportedError(reason)
        if any(name not in self._state.values for name in reads):
            return
        same = len(reads) == 1 and self._graph.info(reads[0]).shape == self._graph.info(node.outputs[0]).shape
        if not same or len([name for name in node.outputs if name]) > 1:
            raise UnsupportedError(
                f"{reason}, and --ignore-unsupported can't take it for element-wise: "
                "it must read one computed tensor and make one of the same shape"
            )
        value = self._state.settled(self._state.values[reads[0]])
        node_import.give_function(value)
        self._notes.append(
            f"'{node_import.name}' ({node.kind}) is not known; it is taken for element-wise, one ptp layer"
        )

    def _outputs(self) -> list[str]:
        """Return the layers that make the outputs of the graph."""
        names: list[str] = []
        for output, value in ((name, value) for name in self._graph.outputs for value in self._state.stored(name)):
            if value is None or isinstance(value, Side):
                if not self._problems:
                    self._notes.append(f"output '{output}' is constant or made of indices and masks; it is left out")
                continue
            try:
                tensor = self._state.settled(value)
            except UnsupportedError as error:
                self._problems.append(f"output '{output}' {error}")
                continue
            names += self._stored(tensor, output)
        return names

    def _stored(self, tensor: Tensor, output: str) -> tuple[str, ...]:
        """Return the layers of an output; a layer copies an output that is an input."""
        layers = self._state.layers
        if any(layers.is_input(name) for name in tensor.sources):
            channels, rows, columns = tensor.shape
            return layers.add(PointToPoint, output, tensor.sources, K=channels, H=rows, W=columns)
        return tensor.sources

    def _told(self, node: Node, reason: str) -> str:
        return f"'{node.label}' ({node.kind}) {reason}"


def _makes_data(node_import: NodeImport) -> bool:
    """Whether a node makes data from indices: it looks up a table, multiplies by weights, or contains a graph."""
    node = node_import.node
    own = _record(node).facts
    if own.table is not None:
        return node_import.is_constant(own.table)
    weights = [
        shape
        for place in range(1, len(node.inputs))
        if node_import.has(place) and (shape := _constant_shape(node_import, place))
    ]
    multiplies = own.has_weights and any(min(shape[-2:]) > 1 for shape in weights if len(shape) > 1)
    return multiplies or own.refusal != ""


def _constant_shape(node_import: NodeImport, place: int) -> tuple[int, ...]:
    return node_import.shape(place) if node_import.is_constant(place) else ()


def _listed(names: list[str]) -> str:
    """Return the names of some nodes and the number of the others."""
    more = f" and {len(names) - _SHOWN_NODES} more" if len(names) > _SHOWN_NODES else ""
    return ", ".join(names[:_SHOWN_NODES]) + more


def _record(node: Node) -> OnnxOperator:
    """Return the record of the node's operator in its own domain."""
    return ALL_OPERATORS.get(node.kind, _NOT_KNOWN)


def _unknown(node: Node) -> str:
    """Return why a node's operator is unknown; empty if it is known."""
    known = _record(node)
    if known.importer is not None:
        return ""
    if known.facts.refusal:
        return known.facts.refusal
    if node.domain:
        return f"is an operator of the domain '{node.domain}', which is not known"
    return "is an operator that no layer stands for"
