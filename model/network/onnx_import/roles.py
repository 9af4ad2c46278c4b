"""Whether an input of the graph is data, a mask or indices: as the user says, or as its type and its readers do.

Inputs of whole numbers or truth values are indices or masks, unless a convolution, a pooling, a multiplication by a
matrix of weights or a dequantisation reads them: images of bytes, quantised activations. Inputs of floats are data. A
smaller one is a mask where its name says so, or where it is added before a softmax or compared.
"""

from collections.abc import Mapping
from itertools import islice
from math import prod

from soma_cp.model.network.onnx_import.graph import Graph, GraphInput, Node
from soma_cp.model.network.onnx_import.operators.registry import Channels, Meaning
from soma_cp.model.network.onnx_import.operators.table import facts_of
from soma_cp.model.network.onnx_import.options import Role, is_named_like_mask
from soma_cp.model.network.onnx_import.tracing import Reader, readers

_STEPS = 16
"""Most tensors between an addition and its softmax."""


def role_of(graph: Graph, source: GraphInput, roles: Mapping[str, Role]) -> Role:
    """Return what an input of the graph is."""
    if source.name in roles:
        return roles[source.name]
    if not graph.info(source.name).whole_numbers or _is_read_as_data(graph, source):
        return Role.DATA
    return Role.MASK if is_named_like_mask(source.name) else Role.INDEX


def _is_read_as_data(graph: Graph, source: GraphInput) -> bool:
    return any(_reads_data(graph, reader) for reader in readers(graph, source.name, source.shape, alone=True))


def _reads_data(graph: Graph, reader: Reader) -> bool:
    facts = reader.facts
    if facts.table is not None:
        return False
    if facts.has_weights:
        others = [graph.info(name) for place, name in enumerate(reader.node.inputs) if name and place != reader.place]
        return any(info.constant and len(shape := info.shape or ()) > 1 and min(shape[-2:]) > 1 for info in others)
    return reader.place == 0 and (facts.channels is Channels.FIRST or facts.meaning is Meaning.DEQUANTISATION)


def mask_uses(graph: Graph) -> frozenset[str]:
    """Return the first outputs of the nodes that take a smaller input of the graph for a mask."""
    return frozenset(node.outputs[0] for node in graph.nodes if node.outputs and _uses_mask(graph, node))


def _uses_mask(graph: Graph, node: Node) -> bool:
    meaning = facts_of(node.kind).meaning
    return meaning is Meaning.CHOICE or (meaning is Meaning.SUM and _comes_before_softmax(graph, node))


def _comes_before_softmax(graph: Graph, node: Node) -> bool:
    """Whether the result of a node reaches a softmax through operations element by element."""

    def size(name: str) -> int:
        return prod(graph.info(name).shape or ())

    def follows(reader: Node, name: str) -> bool:
        return not facts_of(reader.kind).has_weights and size(name) == size(node.outputs[0])

    near = islice(graph.reached(node.outputs[:1], follows), _STEPS)
    return any(facts_of(reader.kind).meaning is Meaning.SOFTMAX for name in near for reader in graph.readers(name))
