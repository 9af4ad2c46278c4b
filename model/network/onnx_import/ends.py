"""Where a model may end, if its tail is refused: the tensors before the refused nodes.

A detector's boxes are sorted and selected after its last convolution; the convolutions can be scheduled without that.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from shlex import quote

from soma_cp.model.network.network import Network
from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.graph import Node
from soma_cp.model.network.onnx_import.graph_import import GraphImport, why_unknown
from soma_cp.model.network.onnx_import.operators.table import facts_of
from soma_cp.model.network.onnx_import.values import Function, Side, Tensor, Value

_MOST_ENDS = 32
"""Most ends that a message names."""


def working_ends(run: GraphImport, imported: Callable[[tuple[str, ...]], Network | None]) -> tuple[str, ...]:
    """Return the options of ends that work, as words of a shell; empty if only the middle of the model is refused.

    The ends are the tensors that a refused node reads, or one that depends on it, and the outputs of the graph that
    can be imported. Nodes that move no data are left out before an end.

    Parameters
    ----------
    run
        The import that is refused.
    imported
        Imports the model with other ends; returns None if it is refused.
    """
    if not run.refused or run.graph.problems:
        return ()
    lost = [node for node in run.graph.nodes if not any(name in run.state.values for name in node.outputs)]
    if any(_has_stored_matrix(run, node) for node in lost):
        return ()
    makers = {name: node for node in run.graph.nodes for name in node.outputs if name}
    read = [name for node in lost for name in node.inputs if name in makers]
    made = dict.fromkeys(
        end for name in (*read, *run.graph.outputs) for end in _ends_before(run, makers, name) if end in makers
    )
    order = [name for node in run.graph.nodes for name in node.outputs if name in made]
    if not 0 < len(order) <= _MOST_ENDS:
        return ()
    names = Counter(name for node in run.graph.nodes for name in (node.label, *node.outputs))
    ends = tuple(_name_of(makers[name], name, names) for name in order)
    if not all(end.isprintable() for end in ends):
        return ()
    network = imported(ends)
    if network is None or not any(layer.is_matrix for layer in network.layers):
        return ()
    return tuple(quote(end) for end in ends)


def _has_stored_matrix(run: GraphImport, node: Node) -> bool:
    """Whether a node multiplies by weights, or may do so."""
    constants = (run.graph.info(name) for name in node.inputs if name)
    shapes = (info.shape for info in constants if info.constant and info.shape is not None)
    may_multiply = facts_of(node.kind).has_weights or why_unknown(node) != ""
    return may_multiply and any(sum(extent > 1 for extent in shape) > 1 for shape in shapes)


def _ends_before(run: GraphImport, makers: dict[str, Node], name: str) -> Iterator[str]:
    """Yield the last tensors before `name` at which the model can end."""
    waiting, seen = [name], {name}
    while waiting:
        tensor = waiting.pop()
        value = run.state.values.get(tensor)
        node = makers.get(tensor)
        if node is None or isinstance(value, Side):
            continue
        before = [other for other in node.inputs if other and not run.graph.info(other).constant]
        if value is None or not _can_be_stored(run, value) or _moves_nothing(run, value, before):
            waiting += [other for other in before if other not in seen]
            seen.update(before)
        else:
            yield tensor


def _can_be_stored(run: GraphImport, value: Value) -> bool:
    try:
        run.state.settled(value)
    except UnsupportedError:
        return False
    return True


def _moves_nothing(run: GraphImport, value: Value, before: list[str]) -> bool:
    """Whether a node only gives other axes to the one tensor that it reads."""
    if len(before) != 1:
        return False
    read = run.state.values.get(before[0])
    if isinstance(value, Tensor) and isinstance(read, Tensor):
        return read.sources == value.sources
    return isinstance(value, Function) and isinstance(read, Function) and read.origin == value.origin


def _name_of(node: Node, tensor: str, names: Mapping[str, int]) -> str:
    """Return the node's name if it stands for this tensor alone, else the tensor's; `names` counts all names."""
    alone = [name for name in node.outputs if name] == [tensor]
    return node.label if alone and names[node.label] == 1 else tensor
