"""The nodes that lead to a model's outputs, and an order in which they can run."""

from collections.abc import Iterable, Sequence

import onnx

from soma_cp.model.errors import nearest_name_hint
from soma_cp.model.network.onnx_import.graph import operator_kind, printable


def stored_names(model: onnx.ModelProto) -> set[str]:
    """Return the names of the stored tensors."""
    dense = {tensor.name for tensor in model.graph.initializer}
    return dense | {tensor.values.name for tensor in model.graph.sparse_initializer}


def graph_outputs(model: onnx.ModelProto, ends: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return the tensors at which the graph ends, and one sentence for each unusable name."""
    if not ends:
        return tuple(output.name for output in model.graph.output), []
    made: dict[str, tuple[str, ...]] = {}
    for node in model.graph.node:
        outputs = tuple(name for name in node.output if name)
        made |= {name: (name,) for name in outputs} | {node.name: outputs, label(node): outputs}
    made.pop("", None)  # nodes without a name
    given = {source.name for source in model.graph.input} | stored_names(model)
    problems: list[str] = []
    for end in ends:
        if end in given and end not in made:
            problems.append(f"--end {end}: this is an input or constant of the model; give what a node makes")
        elif end not in made:
            shown = end or "''"
            problems.append(
                f"--end {shown}: the model has no node or tensor of this name{nearest_name_hint(end, made)}"
            )
    return tuple(dict.fromkeys(name for end in ends for name in made.get(end, ()))), problems


def needed_nodes(model: onnx.ModelProto, outputs: Sequence[str]) -> list[onnx.NodeProto]:
    """Return the nodes that lead to an output."""
    makers = {name: node for node in model.graph.node for name in node.output if name}
    waiting = list(outputs)
    needed: set[int] = set()
    while waiting:
        maker = makers.get(waiting.pop())
        if maker is not None and id(maker) not in needed:
            needed.add(id(maker))
            waiting += [*maker.input, *_captured(maker)]
    return [node for node in model.graph.node if id(node) in needed]


def unmade_problems(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> list[str]:
    """Return one sentence for each tensor that nodes read and nothing makes."""
    made = {name for node in model.graph.node for name in node.output}
    made |= {source.name for source in model.graph.input} | stored_names(model)
    return [
        f"'{label(node)}' ({printable(node.op_type)}) reads '{printable(name)}', but the model has nothing of this name"
        for node in nodes
        for name in dict.fromkeys(node.input)
        if name and name not in made
    ]


def repeated_problems(model: onnx.ModelProto) -> list[str]:
    """Return one sentence for each tensor that is made twice: what reads it could mean either."""
    made = {source.name for source in model.graph.input} | stored_names(model)
    problems: list[str] = []
    for node in model.graph.node:
        for name in node.output:
            if name and name in made:
                problems.append(
                    f"'{label(node)}' ({printable(node.op_type)}) makes '{printable(name)}', which is made already "
                    "(the names of tensors must differ)"
                )
            made.add(name)
    return problems


def _captured(node: onnx.NodeProto) -> list[str]:
    """Return the names that the bodies of control flow read, names of their own tensors included."""
    bodies = [body for attribute in node.attribute for body in (attribute.g, *attribute.graphs)]
    inner = [node for body in bodies for node in body.node]
    outputs = [output.name for body in bodies for output in body.output]
    return [*outputs, *(name for node in inner for name in (*node.input, *_captured(node)))]


def in_order(nodes: Iterable[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Sort nodes so that producers come first; the format demands this, but not every tool obeys."""
    given = list(nodes)
    makers = {name: place for place, node in enumerate(given) for name in node.output if name}
    readers: list[list[int]] = [[] for _ in given]
    awaited: list[int] = []
    for place, node in enumerate(given):
        before = {makers[name] for name in node.input if name in makers}
        awaited.append(len(before))
        for maker in before:
            readers[maker].append(place)
    ready = [place for place, count in enumerate(awaited) if not count]
    passes = [0] * len(given)  # of several passes over the nodes, the first in which a node can run
    for place in ready:
        for reader in readers[place]:
            passes[reader] = max(passes[reader], passes[place] + (place > reader))
            awaited[reader] -= 1
            if not awaited[reader]:
                ready.append(reader)
    ready.sort(key=lambda place: (passes[place], place))
    blocked = [place for place, count in enumerate(awaited) if count]  # a cycle: the names that it reads stay unknown
    return [given[place] for place in (*ready, *blocked)]


def kind_of(proto: onnx.NodeProto) -> str:
    """Return the name of a node's operator in the table of operators."""
    return operator_kind(proto.op_type, proto.domain)


def label(proto: onnx.NodeProto) -> str:
    """Return the node's name, or its output's name if it has none."""
    name = proto.name or next((name for name in proto.output if name), "")
    name = printable(name).strip("/ ")
    return name if name and not name.isdigit() else f"{printable(proto.op_type)}_{name or 'unnamed'}"
