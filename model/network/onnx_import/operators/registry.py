"""The table of operators, which the functions of this package enter themselves into."""

from collections.abc import Callable
from dataclasses import dataclass

from soma_cp.model.network.onnx_import.node_import import NodeImport

Mapping = Callable[[NodeImport], None]


@dataclass(frozen=True)
class Operator:
    """How an operator is imported.

    Parameters
    ----------
    mapping
        Adds its layers and sets its outputs.
    becomes
        What the documentation says it becomes.
    """

    mapping: Mapping
    becomes: str


OPERATORS: dict[str, Operator] = {}
"""Operators by name; those of other domains than ONNX's own begin with the domain and a full stop."""


def operator(names: str, becomes: str) -> Callable[[Mapping], Mapping]:
    """Enter a function for all operators in `names`, which are separated by blanks."""

    def enter(mapping: Mapping) -> Mapping:
        for name in names.split():
            if name in OPERATORS:
                raise ValueError(f"operator {name} is entered twice")
            OPERATORS[name] = Operator(mapping, becomes)
        return mapping

    return enter
