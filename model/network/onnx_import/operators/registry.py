"""The table of operators: how each is imported, and what other modules must know about it.

All facts about an operator are in its record and nowhere else; other modules call `facts_of`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from soma_cp.model.network.onnx_import.node_import import NodeImport

Importer = Callable[[NodeImport], None]
"""Adds the layers of a node and sets its outputs."""

OfShape = Callable[[tuple[int, ...], int, int | None], int | tuple[int, ...]]
"""Makes whole numbers from a shape and the attributes ``start`` and ``end``."""


class Channels(Enum):
    """Where an operator has channels: right after the batch in its first input, or last in every input."""

    FIRST = "first"
    LAST = "last"


class Axes(Enum):
    """The axes of an output with as many axes as the input: the same, permuted by ``perm``, or others."""

    KEPT = "kept"
    PERMUTED = "permuted"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What other modules must know about an operator.

    Parameters
    ----------
    channels
        Where it has channels, which decides the layout of an external input; None if they may be anywhere.
    axes
        The axes of its output. If they are not `OTHER`, an external input is followed through it to the node that
        decides the input's layout.
    regroups_axes
        Whether it can merge several axes into one: rows and columns of an image become tokens.
    has_weights
        Whether its constant matrix is weights; the result is then data, even if the input is indices.
    looks_up_table
        Whether its constant first input is a table; the result is then data, even if the input is indices.
    keeps_shape
        Whether the output has the type and shape of the first input, whatever the model states. This is for operators
        whose shapes some versions of the ``onnx`` package don't infer.
    of_shape
        Function that makes its output from the input's shape alone; the output is constant if that shape is known.
    random
        Whether its result differs between runs, so that it is never constant.
    refusal
        Why it is always refused, as the end of a sentence about the node; empty if it is not.
    """

    channels: Channels | None = None
    axes: Axes = Axes.KEPT
    regroups_axes: bool = False
    has_weights: bool = False
    looks_up_table: bool = False
    keeps_shape: bool = False
    of_shape: OfShape | None = None
    random: bool = False
    refusal: str = ""


NO_FACTS = Facts()


@dataclass(frozen=True)
class OnnxOperator:
    """How an operator is imported, and the facts about it.

    Parameters
    ----------
    importer
        Adds its layers and sets its outputs; None if no layer can express it.
    becomes
        What it becomes, for the documentation.
    facts
        What other modules must know about it.
    """

    importer: Importer | None
    becomes: str
    facts: Facts = NO_FACTS


OPERATORS: dict[str, OnnxOperator] = {}
"""Operators by name; outside of ONNX's own domain, the name starts with the domain and a full stop."""

_FACTS: dict[str, Facts] = {}
"""Facts by the name of the operator without its domain."""


def operator(names: str, becomes: str, facts: Facts = NO_FACTS) -> Callable[[Importer], Importer]:
    """Enter the decorated function for all operators in `names`, which blanks separate."""

    def enter_importer(importer: Importer) -> Importer:
        enter(names, becomes, facts, importer)
        return importer

    return enter_importer


def enter(names: str, becomes: str, facts: Facts, importer: Importer | None = None) -> None:
    """Enter all operators in `names`; without `importer`, no layer can express them, and only their facts are kept.

    Raises
    ------
    ValueError
        If an operator is in the table already, or one of the same name in another domain has other facts.
    """
    for name in names.split():
        if name in OPERATORS:
            raise ValueError(f"operator {name} is entered twice")
        bare = name.rpartition(".")[2]
        if _FACTS.setdefault(bare, facts) != facts:
            raise ValueError(f"operator {name} is entered with other facts than {bare} of another domain")
        OPERATORS[name] = OnnxOperator(importer, becomes, facts)


def facts_of(operator: str) -> Facts:
    """Return the facts about operators of this name, in any domain."""
    return _FACTS.get(operator, NO_FACTS)
