"""How large a model becomes when its functions are put in place: the package does that without asking."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

MOST_NODES = 1_000_000
"""Nodes of the largest model that is put in place."""

_Key = tuple[str, str, str]


def expansion_fault(model: "onnx.ModelProto") -> str:
    """Say why the functions of a model can't be put in place; empty if they can.

    Functions may call functions that come before or after them. One that calls itself never ends, and forty that call
    the next one twice make a million million nodes.
    """
    functions = {_key(function): function for function in model.functions}
    calls = {key: [_key_of(node) for node in _all_nodes(function.node)] for key, function in functions.items()}
    sizes: dict[_Key, int] = {}
    for start in functions:
        path = [start]
        while path:
            waiting = [key for key in calls[path[-1]] if key in functions and key not in sizes]
            circle = next((key for key in waiting if key in path), None)
            if circle is not None:
                return f"function '{circle[1]}' calls itself"
            if waiting:
                path.append(waiting[0])
                continue
            done = path.pop()
            sizes[done] = sum(sizes.get(key, 1) for key in calls[done])
            if sizes[done] > MOST_NODES:
                return f"function '{done[1]}' becomes more than {MOST_NODES} nodes"
    total = sum(sizes.get(_key_of(node), 1) for node in _all_nodes(model.graph.node))
    return f"they become {total} nodes (must be {MOST_NODES} at most)" if total > MOST_NODES else ""


def _key(function: "onnx.FunctionProto") -> _Key:
    return function.domain, function.name, getattr(function, "overload", "")


def _key_of(node: "onnx.NodeProto") -> _Key:
    return node.domain, node.op_type, getattr(node, "overload", "")


def _all_nodes(nodes: Iterable["onnx.NodeProto"]) -> Iterator["onnx.NodeProto"]:
    """Yield nodes, and those of the graphs among their attributes."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _all_nodes(graph.node)
