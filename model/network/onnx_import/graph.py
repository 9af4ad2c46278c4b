"""An ONNX graph as the import needs it: nodes, shapes, constant tensors, and the values of small constants."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from soma_cp.model.data_types import DataType

Value = NDArray[Any]

_ONNX_DOMAINS = ("", "ai.onnx")


class Stored(NamedTuple):
    """How a constant is stored.

    Parameters
    ----------
    type
        Of an element.
    group
        Elements that have one scale; 0 if they have none, or all have the same.
    scale_bits
        Bits of a scale and its zero point.
    """

    type: DataType
    group: int = 0
    scale_bits: int = 0


@dataclass(frozen=True)
class Info:
    """What is known about a tensor.

    Parameters
    ----------
    shape
        Extents of its axes; None if an extent or the number of axes is unknown.
    constant
        Whether it is the same in every run.
    value
        Its elements, if it is a small constant whose value is in the model; else None. Weights are never read.
    whole_numbers
        Whether it holds indices or truth values, not data.
    fault
        Why the shape can't be inferred, in the words of the ``onnx`` package, if known. `shape` is then as the model
        states it, unchecked.
    stated
        The shape that the model states, with None for extents without a number; None if it states none.
    type
        The type of its elements; None if it is unknown, or they are truth values or text.
    stored
        How it is stored, if it is constant and its type is known; else None.
    """

    shape: tuple[int, ...] | None
    constant: bool = False
    value: Value | None = None
    whole_numbers: bool = False
    fault: str = ""
    stated: tuple[int | None, ...] | None = None
    type: DataType | None = None
    stored: Stored | None = None


UNKNOWN = Info(None)


@dataclass(frozen=True)
class Node:
    """An operation.

    Parameters
    ----------
    label
        Its name in messages and layers.
    operator, domain
        Its type: the operator's name and domain.
    inputs, outputs
        Names of tensors; empty for an optional input that is left out.
    attributes
        As Python values.
    stored
        Shapes of the tensors among its attributes.
    has_graphs
        Whether there are graphs among its attributes.
    """

    label: str
    operator: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    stored: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    has_graphs: bool = False

    @property
    def kind(self) -> str:
        """The operator, with its domain if that is not ONNX's own."""
        return operator_kind(self.operator, self.domain)

    def permutation(self, rank: int) -> list[int]:
        """Return ``perm``: the input's axes in the order of the output; reversed if it is not given."""
        return list(self.attributes.get("perm", reversed(range(rank))))


@dataclass(frozen=True)
class GraphInput:
    """An input of the graph.

    Parameters
    ----------
    name, shape
        As in the model; the command line gives dimensions without a number.
    batch_axis
        The axis that is the batch, whose extent may be 1; None if the input has no batch axis.
    """

    name: str
    shape: tuple[int, ...]
    batch_axis: int | None

    @property
    def batch(self) -> int | None:
        """Number of samples in the model's own shape; None if the input has no batch axis."""
        return None if self.batch_axis is None else self.shape[self.batch_axis]


@dataclass(frozen=True)
class Graph:
    """A graph: its nodes are in an order in which they can run, without those that only make constants.

    `other_batches` are further readings of inputs whose batch is a guess: the axis of the batch by input.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[GraphInput, ...]
    outputs: tuple[str, ...]
    tensors: Mapping[str, Info]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    other_batches: tuple[Mapping[str, int | None], ...] = ()

    def readers(self, tensor: str) -> tuple[Node, ...]:
        """Return the nodes that read a tensor."""
        return self._readers.get(tensor, ())

    @cached_property
    def _readers(self) -> dict[str, tuple[Node, ...]]:
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found.setdefault(name, []).append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}

    def reached(self, tensors: Iterable[str], follows: Callable[[Node, str], bool]) -> Iterator[str]:
        """Yield tensors and what nodes make of them, nearest first.

        Parameters
        ----------
        tensors
            Where to begin.
        follows
            Whether to go on from a tensor that has been reached to an output of a node that reads it.
        """
        waiting = deque(tensors)
        seen = {*waiting, ""}
        while waiting:
            tensor = waiting.popleft()
            yield tensor
            made = [name for node in self.readers(tensor) for name in node.outputs if follows(node, name)]
            waiting += [name for name in dict.fromkeys(made) if name not in seen]
            seen.update(made)

    def info(self, name: str) -> Info:
        """Return what is known about a tensor."""
        return self.tensors.get(name, UNKNOWN)

    @property
    def batch(self) -> int:
        """Number of samples in the model's own shapes."""
        return max((source.batch or 1 for source in self.inputs), default=1)


def operator_kind(operator: str, domain: str) -> str:
    """Return the name of an operator in the table of operators: with its domain if that is not ONNX's own."""
    return operator if domain in _ONNX_DOMAINS else f"{domain}.{operator}"


def printable(name: str) -> str:
    """Return `name` without unprintable characters, such as line breaks."""
    return "".join(letter for letter in name if letter.isprintable())


def whole_numbers(value: Value) -> list[int]:
    """Return a value of any shape as a list of whole numbers."""
    return [int(number) for number in np.ravel(value)]
