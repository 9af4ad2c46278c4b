"""The table of operators, which the functions of this package enter themselves into."""

from collections.abc import Callable
from dataclasses import dataclass

from soma_cp.model.network.onnx_import.node_import import NodeImport

Importer = Callable[[NodeImport], None]


@dataclass(frozen=True)
class OnnxOperator:
    """How an operator is imported.

    Parameters
    ----------
    importer
        Adds its layers and sets its outputs.
    becomes
        What the documentation says it becomes.
    """

    importer: Importer
    becomes: str


OPERATORS: dict[str, OnnxOperator] = {}
"""Operators by name; those of other domains than ONNX's own begin with the domain and a full stop."""


def operator(names: str, becomes: str) -> Callable[[Importer], Importer]:
    """Enter a function for all operators in `names`, which are separated by blanks."""

    def enter(importer: Importer) -> Importer:
        for name in names.split():
            if name in OPERATORS:
                raise ValueError(f"operator {name} is entered twice")
            OPERATORS[name] = OnnxOperator(importer, becomes)
        return importer

    return enter
