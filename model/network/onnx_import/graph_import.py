"""One pass over the nodes of a graph: every node becomes layers, a view, or a reason why it can't."""

from math import prod
from shlex import quote

from soma_cp.model.network.network import Network, NetworkError
from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.graph import Graph, Node, printable
from soma_cp.model.network.onnx_import.layer_types import set_types
from soma_cp.model.network.onnx_import.layouts import input_tensor
from soma_cp.model.network.onnx_import.node_import import NodeImport, State
from soma_cp.model.network.onnx_import.operators.registry import OnnxOperator
from soma_cp.model.network.onnx_import.operators.table import ALL_OPERATORS
from soma_cp.model.network.onnx_import.options import OnnxOptions, Present, Role
from soma_cp.model.network.onnx_import.pruning import prune
from soma_cp.model.network.onnx_import.roles import mask_uses, role_of
from soma_cp.model.network.onnx_import.values import Side, Tensor, side_of

_SHOWN_NODES = 3
"""Most nodes that a note names."""
_NOT_KNOWN = OnnxOperator(None, "")


class GraphImport:
    """One pass over the nodes of a graph; it collects all nodes that no layer can express.

    Parameters
    ----------
    graph
        The graph.
    name
        Name of the network.
    options
        What the user says about the model.

    Attributes
    ----------
    network
        The network; None if the model is refused.
    faults
        One sentence for each output that can't be stored and each fault of the network as a whole.
    refused
        Why a node is refused, by the node's place in the graph.
    made
        The layers that were added at a node, by the node's place; layers of functions are added where they are read.
    roles
        What each input of the graph is.
    state
        The values of all tensors.
    """

    def __init__(self, graph: Graph, name: str, options: OnnxOptions) -> None:
        self.graph = graph
        self.network: Network | None = None
        self.faults: list[str] = []
        self.refused: dict[int, str] = {}
        self.made: dict[int, tuple[str, ...]] = {}
        self.roles: dict[str, Role] = {}
        self.state = State(graph, options, mask_uses(graph))
        self._name = name
        self._read = {name for node in graph.nodes for name in node.inputs if name} | set(graph.outputs)
        self._notes = list(graph.notes)
        self._run()

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence for each fault of the model and each node that is refused."""
        refused = (_told(self.graph.nodes[place], reason) for place, reason in self.refused.items())
        return (*self.graph.problems, *refused, *self.faults)

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence for each approximation, omission and assumption."""
        of_nodes = (f"{_listed(names)}: {text}" for text, names in self.state.notes.items())
        return tuple(printable(note) for note in (*self._notes, *of_nodes))

    @property
    def may_be_element_wise(self) -> bool:
        """Whether the option to take unknown operators for element-wise could help with a node."""
        if self.state.options.ignore_unsupported:
            return False
        unknown = [node for node in self.graph.nodes if why_unknown(node) and not _record(node).facts.refusal]
        return any(
            sum(1 for name in node.outputs if name) == 1
            and sum(1 for name in node.inputs if name and not self.graph.info(name).constant) == 1
            and not _large_constant(self.graph, node)
            for node in unknown
        )

    def _run(self) -> None:
        if self.graph.problems:
            for place, node in enumerate(self.graph.nodes):
                if reason := why_unknown(node):
                    self.refused[place] = printable(reason)
            return
        self._read_inputs()
        for place, node in enumerate(self.graph.nodes):
            self._read_node(place, node)
        outputs = self._outputs()
        if self.problems:
            return
        layers = self.state.layers
        unread = prune(layers, outputs)
        wide = set_types(self.state, self.made)
        if wide:
            self._notes.append(
                f"data of {' and '.join(wide)} counts as INT8, as exports have such types before they are quantised; "
                "--types model takes it as it is"
            )
        cached = [f"'{name}'" for name in self.graph.outputs if self.state.has_cached(name)]
        if cached and self.state.options.present is Present.WHOLE:
            self._notes.append(
                f"{_counted(cached, 'output')}: stored whole, cached inputs included; --present new stores only what "
                "is new"
            )
        if unread:
            listed = _listed([f"'{name}'" for name in unread])
            self._notes.append(f"{listed}: no node reads these channels; they are left out, and their multiplications")
        try:
            stored = tuple(dict.fromkeys(layers.resolved(outputs)))
            self.network = Network(self._name, layers.inputs_read, layers.layers, outputs=stored)
        except NetworkError as error:
            self.faults += error.problems
        if layers.rearranged:
            inputs = _counted([f"'{name}'" for name in layers.rearranged], "external input")
            self._notes.append(
                f"{inputs}: taken to lie in DRAM in the arrangement that layers read, not in the model's; no layer is "
                "added for this"
            )

    def _read_inputs(self) -> None:
        for source in self.graph.inputs:
            role = role_of(self.graph, source, self.state.options.roles)
            self.roles[source.name] = role
            if role is not Role.DATA:
                self._notes.append(self._told_of_role(source.name, role))
                self.state.values[source.name] = Side((source.name,))
                continue
            name = self.state.layers.unique(source.name)
            tensor = input_tensor(self.graph, source, name, self.state.options.layouts.get(source.name, ""))
            self.state.layers.add_input(name, tensor.shape, source.name)
            self.state.values[source.name] = tensor

    def _told_of_role(self, name: str, role: Role) -> str:
        name = printable(name)
        if name in self.state.options.roles:
            what = "a mask" if role is Role.MASK else "indices"
            return f"input '{name}' is {what}, as --input says, never loaded"
        return (
            f"input '{name}' holds whole numbers: indices or a mask, never loaded; if they are data, say "
            f"--input {quote(name)}=data"
        )

    def _read_node(self, place: int, node: Node) -> None:
        reads = [name for name in node.inputs if name and not self.graph.info(name).constant]
        importer = _record(node).importer
        if any(name not in self.state.values for name in reads) and importer is not None:
            return  # depends on a node or input that was reported
        node_import = NodeImport(self.state, node)
        before = len(self.state.layers.added)
        try:
            sides = bool(reads) and all(isinstance(self.state.values.get(name), Side) for name in reads)
            if sides and not _makes_data(node_import):
                self._give_side(node_import, reads)
            elif importer is not None:
                node_import.check_shapes()
                importer(node_import)
            else:
                self._read_unknown(node_import, reads)
            self._check_outputs(node)
        except UnsupportedError as error:
            self.refused[place] = printable(str(error))
        self.made[place] = tuple(self.state.layers.added[before:])

    def _check_outputs(self, node: Node) -> None:
        """Refuse a node if something reads an output that it does not give, such as the indices of a maximum."""
        missing = [name for name in node.outputs if name in self._read and name not in self.state.values]
        if missing:
            raise UnsupportedError(f"makes '{missing[0]}', which is read, but no layer makes this output")

    def _give_side(self, node_import: NodeImport, reads: list[str]) -> None:
        side = side_of(self.state.values[name] for name in reads)
        for place in range(len(node_import.outputs)):
            node_import.give(side, place)

    def _read_unknown(self, node_import: NodeImport, reads: list[str]) -> None:
        """Take an unknown operator for element-wise, if the option is set and its shapes allow it."""
        node = node_import.node
        reason = why_unknown(node)
        if not self.state.options.ignore_unsupported or _record(node).facts.refusal:
            raise UnsupportedError(reason)
        fault = self._not_element_wise(node_import, reads)
        if fault:
            raise UnsupportedError(f"{reason}, and --ignore-unsupported can't take it for element-wise: {fault}")
        if any(name not in self.state.values for name in reads):
            return
        value = self.state.settled(self.state.values[reads[0]])
        node_import.give_function(value)
        self._notes.append(
            f"'{node_import.name}' ({node.kind}) is not known; it is taken for element-wise, one ptp layer"
        )

    def _not_element_wise(self, node_import: NodeImport, reads: list[str]) -> str:
        """Return why a node can't be element-wise; empty if it may be."""
        node, info = node_import.node, self.graph.info
        shape = info(reads[0]).shape if len(reads) == 1 else None
        one_of_the_same_shape = "it must read one computed tensor and make one of the same shape"
        if shape is None or len([name for name in node.outputs if name]) > 1:
            return one_of_the_same_shape
        large = _large_constant(self.graph, node)
        if large:
            return large
        if node.has_graphs:
            return "it contains a graph"
        made = info(node.outputs[0])
        if made.stated and not _fits_statement(shape, made.stated):
            listed = ", ".join("?" if extent is None else str(extent) for extent in made.stated)
            return f"{one_of_the_same_shape}, but it makes [{listed}] of {list(shape)}, as the model states"
        return "" if made.shape == shape else one_of_the_same_shape

    def _outputs(self) -> list[str]:
        """Return the layers that make the outputs of the graph; those added here belong to the outputs' nodes."""
        places = {name: place for place, node in enumerate(self.graph.nodes) for name in node.outputs}
        added = self.state.layers.added
        names: list[str] = []
        for output, value in ((name, value) for name in self.graph.outputs for value in self.state.stored(name)):
            if value is None or isinstance(value, Side):
                if not self.problems:
                    self._notes.append(f"output '{output}' is constant or made of indices and masks; it is left out")
                continue
            before = len(added)
            try:
                tensor = self.state.settled(value)
            except UnsupportedError as error:
                self.faults.append(printable(f"output '{output}' {error}"))
                continue
            names += self._stored(tensor, output)
            if output in places:
                self.made[places[output]] = (*self.made.get(places[output], ()), *added[before:])
        return names

    def _stored(self, tensor: Tensor, output: str) -> tuple[str, ...]:
        """Return the layers of an output; a layer copies an output that is an input."""
        layers = self.state.layers
        if any(layers.is_input(name) for name in tensor.sources):
            return layers.point_to_point(output, tensor.sources)
        return tensor.sources


def _large_constant(graph: Graph, node: Node) -> str:
    """Say which constant of a node may be a matrix of weights or the like; empty if there is none."""
    shapes = [graph.info(name).shape for name in node.inputs if name and not graph.info(name).constant]
    longest = max((extent for shape in shapes for extent in shape or ()), default=1)
    stored = [(f"'{name}'", graph.info(name).shape) for name in node.inputs if name and graph.info(name).constant]
    stored += [(f"its attribute '{name}'", held) for name, held in node.stored.items()]
    for name, held in stored:
        if held is None or prod(held) > longest or sum(extent > 1 for extent in held) > 1:
            said = "of unknown shape" if held is None else f"of shape {list(held)}"
            return f"it reads {name}, a constant {said} (must be a vector with at most one value for each channel)"
    return ""


def _told(node: Node, reason: str) -> str:
    """Return why a node is refused, as a sentence."""
    return printable(f"'{node.label}' ({node.kind}) {reason}")


def _fits_statement(shape: tuple[int, ...], stated: tuple[int | None, ...]) -> bool:
    """Whether a shape is the stated one, whose extents may be unknown."""
    return len(shape) == len(stated) and all(a == b or b is None for a, b in zip(shape, stated, strict=True))


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


def _counted(names: list[str], noun: str) -> str:
    """Return the noun in the right number with `_listed` names."""
    return f"{noun}{'s' if len(names) > 1 else ''} {_listed(names)}"


def _record(node: Node) -> OnnxOperator:
    """Return the record of the node's operator in its own domain."""
    return ALL_OPERATORS.get(node.kind, _NOT_KNOWN)


def why_unknown(node: Node) -> str:
    """Return why a node's operator is unknown; empty if it is known."""
    known = _record(node)
    if known.importer is not None:
        return ""
    if known.facts.refusal:
        return known.facts.refusal
    if node.domain:
        return f"is an operator of the domain '{node.domain}', which is not known"
    return "is an operator that no layer stands for"
