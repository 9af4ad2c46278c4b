"""What the nodes that read an input say about its batch, before any shape is known.

Only nodes that keep or permute the axes are followed, up to the first one that multiplies by a matrix or has channels.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx

from soma_cp.model.network.onnx_import.element_types import is_whole_number_type
from soma_cp.model.network.onnx_import.needed_nodes import kind_of, stored_names
from soma_cp.model.network.onnx_import.operators.registry import Axes, Channels, Facts
from soma_cp.model.network.onnx_import.operators.table import facts_of
from soma_cp.model.network.onnx_import.options import is_named_like_mask

_HIDDEN_SIZE = "hidden_size"
"""The attribute that all recurrent operators have, and no others."""
_STEPS = 64
"""Most nodes that are followed."""
_RECURRENT_RANK = 3


@dataclass(frozen=True)
class Reading:
    """A node that reads a tensor as its input `place`; `axes` are axes of the graph's input, in the tensor's order."""

    node: onnx.NodeProto
    place: int
    axes: tuple[int, ...]


class Readers:
    """The nodes of a model by the tensors that they read."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self._of: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in dict.fromkeys(node.input):
                self._of.setdefault(name, []).append(node)

    def of(self, tensor: str) -> Sequence[onnx.NodeProto]:
        """Return the nodes that read a tensor."""
        return self._of.get(tensor, ())


def recurrent_batches(model: Readers, axes: Mapping[str, Sequence[int | str]]) -> dict[str, int]:
    """Return, by input, the axis that a recurrent node reads as the batch.

    Sequences are (tokens, batch, channels), and states (directions, batch, channels), unless the attribute ``layout``
    is 1: then the batch comes first.
    """
    found: dict[str, int] = {}
    for name, known in axes.items():
        if len(known) != _RECURRENT_RANK:
            continue
        for reading in _readings(model, name, len(known)):
            attributes = {attribute.name: attribute.i for attribute in reading.node.attribute}
            if _HIDDEN_SIZE in attributes:
                found[name] = reading.axes[0 if attributes.get("layout") == 1 else 1]
                break
    return found


def deciding_nodes(model: Readers, axes: Mapping[str, Sequence[int | str]]) -> dict[str, onnx.NodeProto | None]:
    """Return, by input that holds data, the first node that multiplies it or has its channels; None if none does."""
    types = {source.name: source.type.tensor_type.elem_type for source in model.model.graph.input}
    found: dict[str, onnx.NodeProto | None] = {}
    for name, known in axes.items():
        if is_whole_number_type(types[name]) or is_named_like_mask(name):
            continue
        nodes = (reading.node for reading in _readings(model, name, len(known)))
        found[name] = next((node for node in nodes if _decides(facts_of(kind_of(node)))), None)
    return found


def multiplies_by_matrix(node: onnx.NodeProto | None) -> bool:
    """Whether there is a node, and it multiplies by a matrix, stored or computed."""
    return node is not None and facts_of(kind_of(node)).has_weights


def multiply_together(model: Readers, nodes: Iterable[onnx.NodeProto | None]) -> bool:
    """Whether each of the nodes multiplies two computed tensors."""
    constant = _constants(model.model)
    return all(node and multiplies_by_matrix(node) and constant.isdisjoint(node.input[:2]) for node in nodes)


def _decides(facts: Facts) -> bool:
    return facts.has_weights or facts.channels is Channels.FIRST


def _readings(model: Readers, name: str, rank: int) -> Iterator[Reading]:
    """Yield the nodes that read an input of the graph, nearest first."""
    waiting = [(name, tuple(range(rank)))]
    seen = {name}
    for _ in range(_STEPS):
        if not waiting:
            return
        tensor, axes = waiting.pop(0)
        for node in model.of(tensor):
            yield Reading(node, list(node.input).index(tensor), axes)
            facts = facts_of(kind_of(node))
            if _decides(facts) or facts.axes is Axes.OTHER or not node.output or node.output[0] in seen:
                continue
            seen.add(node.output[0])
            order = list(range(rank))
            if facts.axes is Axes.PERMUTED:
                order = next((list(item.ints) for item in node.attribute if item.name == "perm"), order[::-1])
            if sorted(order) == list(range(rank)):
                waiting.append((node.output[0], tuple(axes[place] for place in order)))


def _constants(model: onnx.ModelProto) -> set[str]:
    """Return the tensors that are the same in every run; nodes are in an order in which they can run."""
    found = stored_names(model)
    for node in model.graph.node:
        if found.issuperset(name for name in node.input if name):
            found.update(name for name in node.output if name)
    return found
