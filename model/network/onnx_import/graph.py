"""An ONNX graph as the import needs it: nodes, shapes, which tensors are constant, and small constants' values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Value = NDArray[Any]


@dataclass(frozen=True)
class Info:
    """What is known of a tensor.

    Parameters
    ----------
    shape
        Extents of its axes, or None where an extent or the rank is unknown.
    constant
        Whether it is the same in every run.
    value
        Its elements, if it is a small constant whose value is in the model; weights are never read.
    whole_numbers
        Whether it holds indices or truth values rather than data.
    fault
        Why the shape can't be inferred, in the words of the ``onnx`` package, where that is known. A shape is then
        what the model says, unproved.
    """

    shape: tuple[int, ...] | None
    constant: bool = False
    value: Value | None = None
    whole_numbers: bool = False
    fault: str = ""


UNKNOWN = Info(None)


@dataclass(frozen=True)
class Node:
    """An operation.

    Parameters
    ----------
    label
        What messages and layers call it.
    operator, domain
        Its type.
    inputs, outputs
        Names of tensors; an optional input that is left out is empty.
    attributes
        As Python values.
    """

    label: str
    operator: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The operator, with its domain where that is not ONNX's own."""
        return f"{self.domain}.{self.operator}" if self.domain else self.operator

    def permutation(self, rank: int) -> list[int]:
        """Return ``perm``: the axes of an input in the sequence of the output; backwards if it is not given."""
        return list(self.attributes.get("perm", reversed(range(rank))))


@dataclass(frozen=True)
class GraphInput:
    """A tensor that comes from outside.

    Parameters
    ----------
    name, shape
        As in the model, with dimensions given on the command line put in.
    batch
        Extent of its first axis if that is the batch, which may be 1; None if it has none.
    """

    name: str
    shape: tuple[int, ...]
    batch: int | None


@dataclass(frozen=True)
class Graph:
    """A graph whose nodes stand in an order in which they can run; nodes that only make constants are left out."""

    nodes: tuple[Node, ...]
    inputs: tuple[GraphInput, ...]
    outputs: tuple[str, ...]
    tensors: Mapping[str, Info]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def info(self, name: str) -> Info:
        """What is known of a tensor."""
        return self.tensors.get(name, UNKNOWN)

    @property
    def batch(self) -> int:
        """Samples that the model's own shapes are for."""
        return max((source.batch or 1 for source in self.inputs), default=1)


def printable(name: str) -> str:
    """Return `name` without what no terminal shows, such as line breaks."""
    return "".join(letter for letter in name if letter.isprintable())


def whole_numbers(value: Value) -> list[int]:
    """Return a value of any shape as a list of whole numbers."""
    return [int(number) for number in np.ravel(value)]
