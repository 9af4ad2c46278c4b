"""The table of operators: how each is imported, and what modules elsewhere must know of it.

What is said of an operator stands in its record and nowhere else: modules ask `facts_of`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from soma_cp.model.network.onnx_import.node_import import NodeImport

Importer = Callable[[NodeImport], None]
"""Adds the layers of a node and sets its outputs."""

OfShape = Callable[[tuple[int, ...], int, int | None], int | tuple[int, ...]]
"""Makes whole numbers of a shape and the attributes ``start`` and ``end``."""


class Channels(Enum):
    """Where an operator has channels: after the batch in its first input, or last in every input."""

    FIRST = "first"
    LAST = "last"


class Axes(Enum):
    """Which axes an output has, of as many as the input: the same, those of ``perm``, or others."""

    KEPT = "kept"
    PERMUTED = "permuted"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What modules elsewhere must know of an operator.

    Parameters
    ----------
    channels
        Where it has channels, which decides the layout of an external input; None if it has them anywhere.
    axes
        Which axes its output has: through those that are known, an external input is followed to the node that
        decides its layout.
    regroups_axes
        Whether it makes one axis of several: rows and columns of an image become tokens.
    has_weights
        Whether a constant matrix is weights, such that the result is data even of indices.
    looks_up_table
        Whether a constant first input is a table, such that the result is data even of indices.
    keeps_shape
        Whether the output takes type and shape from the first input, whatever the model states; for operators whose
        shapes not every version of the ``onnx`` package infers.
    of_shape
        What it makes of the shape of its input alone, which is constant where that is known.
    random
        Whether its result differs from run to run, such that it is never constant.
    refusal
        Why it is refused always, as the end of a sentence about the node; empty if it is not.
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
    """How an operator is imported, and what else is known of it.

    Parameters
    ----------
    importer
        Adds its layers and sets its outputs; None if no layer stands for it.
    becomes
        What the documentation says it becomes.
    facts
        What modules elsewhere must know of it.
    """

    importer: Importer | None
    becomes: str
    facts: Facts = NO_FACTS


OPERATORS: dict[str, OnnxOperator] = {}
"""Operators by name; those of other domains than ONNX's own begin with the domain and a full stop."""

_FACTS: dict[str, Facts] = {}
"""By the name of the operator without its domain."""


def operator(names: str, becomes: str, facts: Facts = NO_FACTS) -> Callable[[Importer], Importer]:
    """Enter a function for all operators in `names`, which are separated by blanks."""

    def enter_importer(importer: Importer) -> Importer:
        enter(names, becomes, facts, importer)
        return importer

    return enter_importer


def enter(names: str, becomes: str, facts: Facts, importer: Importer | None = None) -> None:
    """Enter all operators in `names`; without `importer`, no layer stands for them, and their facts are all there is.

    Raises
    ------
    ValueError
        If one is there already, or one of the same name in another domain has other facts.
    """
    for name in names.split():
        if name in OPERATORS:
            raise ValueError(f"operator {name} is entered twice")
        bare = name.rpartition(".")[2]
        if _FACTS.setdefault(bare, facts) != facts:
            raise ValueError(f"operator {name} is entered with other facts than {bare} of another domain")
        OPERATORS[name] = OnnxOperator(importer, becomes, facts)


def facts_of(operator: str) -> Facts:
    """Return what is known of operators of this name, in whatever domain they are."""
    return _FACTS.get(operator, NO_FACTS)
