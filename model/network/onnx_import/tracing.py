"""Follow the axes of an input through the nodes that read it, as far as it is known where each of them goes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from soma_cp.model.network.onnx_import.graph import Graph, Node
from soma_cp.model.network.onnx_import.operators.registry import Axes, Facts
from soma_cp.model.network.onnx_import.operators.table import facts_of
from soma_cp.model.network.onnx_import.views import Axis, View, raised, reshaped, shape_of, whole

_STEPS = 64
"""Most tensors that are followed."""


@dataclass(frozen=True)
class Reader:
    """A node that reads an input of the graph, directly or through nodes before it.

    Parameters
    ----------
    node
        The node.
    place
        Which of the node's inputs this is.
    view
        The axes of that tensor: the dimension of an atom is the number of an axis of the graph's input.
    """

    node: Node
    place: int
    view: View

    @property
    def facts(self) -> Facts:
        """The facts about the node's operator."""
        return facts_of(self.node.kind)

    def origins(self, axis: int) -> tuple[int, ...]:
        """Return the axes of the graph's input that an axis is made of; those of one element are not known."""
        return tuple(dict.fromkeys(int(atom.dim) for atom in self.view[axis]))


def readers(graph: Graph, name: str, shape: Sequence[int], alone: bool = False) -> Iterator[Reader]:
    """Yield the nodes that read an input of the graph, nearest first; nodes that multiply by weights end the search.

    Parameters
    ----------
    graph
        The graph.
    name, shape
        The input.
    alone
        Whether to go no further after nodes that read other tensors, too, beside constants.
    """
    waiting = [(name, tuple(whole(str(axis), extent) for axis, extent in enumerate(shape)))]
    seen = {name}
    for _ in range(_STEPS):
        if not waiting:
            return
        tensor, view = waiting.pop(0)
        for node in graph.readers(tensor):
            reader = Reader(node, node.inputs.index(tensor), view)
            yield reader
            others = [other for other in node.inputs if other and other not in seen and not graph.info(other).constant]
            if reader.facts.has_weights or (alone and others):
                continue
            for output in node.outputs:
                found = _view_after(graph, node, view, output)
                if found is not None and output not in seen:
                    seen.add(output)
                    waiting.append((output, found))


def _view_after(graph: Graph, node: Node, view: View, output: str) -> View | None:
    """Return the axes of a node's output; None if it is not known where they come from."""
    shape = graph.info(output).shape
    if shape is None or not output or graph.info(output).fault:
        return None
    facts = facts_of(node.kind)
    if facts.table is not None:
        return None
    if facts.axes is Axes.PERMUTED:
        order = node.permutation(len(view))
        if sorted(order) != list(range(len(view))):
            return None  # reported when the node is imported
        return tuple(view[place] for place in order)
    if facts.axes is Axes.OTHER and not facts.regroups_axes:
        return None
    if len(shape) == len(view) and facts.axes is not Axes.OTHER:
        return _of_extents(view, shape)
    found = reshaped(view, shape)  # None if the elements are not the same
    if found is None and len(shape) > len(view) and facts.axes is Axes.KEPT:
        return _of_extents(raised(view, len(shape)), shape)
    return found


def _of_extents(view: View, shape: Sequence[int]) -> View | None:
    """Return the same axes with other extents: parts of them, or joined with others."""
    axes: list[Axis] = []
    for axis, had, extent in zip(view, shape_of(view), shape, strict=True):
        dims = {atom.dim for atom in axis}
        if had == extent or not axis:
            axes.append(axis if had == extent else ())
        elif len(dims) == 1:
            axes.append(whole(dims.pop(), extent))
        else:
            return None
    return tuple(axes)
