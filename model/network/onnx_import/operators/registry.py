"""The table of operators: how each is imported, and what other modules must know about it.

All facts about an operator are in its record and nowhere else; other modules call `facts_of`. An operator is known by
its name in its own domain: one of the same name in another domain is another operator.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from soma_cp.model.data_types import DataType
from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.graph import Node
from soma_cp.model.network.onnx_import.node_import import NodeImport

Importer = Callable[[NodeImport], None]
"""Adds the layers of a node and sets its outputs."""

Extents = tuple[int, ...]
"""Extents of the axes of a tensor."""

OfShape = Callable[[Extents, int, int | None], int | Extents]
"""Makes whole numbers from a shape and the attributes ``start`` and ``end``."""


@dataclass(frozen=True)
class Signature:
    """What is known of a node before it is imported.

    Parameters
    ----------
    node
        The node.
    shapes
        Shapes of its inputs; None where an input is left out or its shape is unknown.
    inferred
        Function that infers the first output of an operator of ONNX's own with this node's attributes, from the shapes
        of its inputs; None if that can't be known.
    """

    node: Node
    shapes: Sequence[Extents | None]
    inferred: Callable[[str, Sequence[Extents]], Extents | None]

    def has(self, place: int) -> bool:
        """Whether input `place` is given."""
        return place < len(self.node.inputs) and self.node.inputs[place] != ""

    def shape(self, place: int, rank: int = 0) -> Extents:
        """Return the shape of an input.

        Parameters
        ----------
        place
            The input.
        rank
            Axes that it must have; 0 for any number.

        Raises
        ------
        UnsupportedError
            If it is not given or has another number of axes.
        UnknownShapeError
            If its shape is unknown.
        """
        if not self.has(place):
            raise UnsupportedError(f"input {place} is not given (must be)")
        shape = self.shapes[place]
        if shape is None:
            raise UnknownShapeError
        if rank and len(shape) != rank:
            raise UnsupportedError(f"input {place} is of shape {list(shape)} (must have {rank} axes)")
        return shape


class UnknownShapeError(UnsupportedError):
    """The shape of an output depends on a shape that is unknown."""

    def __init__(self, said: str = "reads a tensor whose shape can't be inferred") -> None:
        super().__init__(said)


ShapeRule = Callable[[Signature], Sequence[Extents | None]]
"""Returns the shapes of a node's outputs, None where it can't tell; raises `UnsupportedError` if inputs don't fit."""


class Packed(NamedTuple):
    """Weights of a few bits each, packed into bytes.

    Parameters
    ----------
    type
        Of a weight.
    group
        Weights of a kernel that have one scale.
    """

    type: DataType
    group: int


PackedRule = Callable[[Node], Packed]
"""Returns how a node's weights are packed."""


class Channels(Enum):
    """Where an operator has channels.

    Right after the batch in its first input; last in every input, where tokens are second-last; or last in every input
    that is an image of (batch, rows, columns, channels).
    """

    FIRST = "first"
    LAST = "last"
    LAST_OF_IMAGE = "last of an image"


class Axes(Enum):
    """The axes of an output with as many axes as the input: the same, permuted by ``perm``, or others."""

    KEPT = "kept"
    PERMUTED = "permuted"
    OTHER = "other"


class Meaning(Enum):
    """What an operator tells about the roles of its operands."""

    SUM = "sum"
    CHOICE = "choice"
    SOFTMAX = "softmax"
    DEQUANTISATION = "dequantisation"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What other modules must know about an operator.

    Parameters
    ----------
    channels
        Where it has channels, which decides the layout of an external input; None if they may be anywhere.
    channels_last
        Value of its attribute ``channels_last`` if a node doesn't give it; None if it has no such attribute. Where the
        value is 1, it has the channels last of an image, whatever `channels` says.
    axes
        The axes of its output. If they are not `OTHER`, an external input is followed through it to the node that
        decides the input's layout.
    regroups_axes
        Whether it only divides and merges axes: rows and columns of an image become tokens. An external input is
        followed through it, too.
    weights
        The inputs that are weights if they are constant; the result is then data, even if the other input is indices.
    table
        The input that is a table if it is constant; the result is then data, even if the others are indices. None if it
        looks up no table.
    quantised
        Whether results whose shapes `shapes` gives have the type of the first operand of 8 bits, if there is one; else
        they are floats.
    keeps_shape
        Whether the output has the type and shape of the first input, whatever the model states. This is for operators
        whose shapes some versions of the ``onnx`` package don't infer.
    typed_by
        The inputs whose type its outputs have, where the ``onnx`` package can't tell: the first of them that is given.
    makes
        The type of its outputs if none of these inputs is given; None for that of the first input.
    scales
        The inputs that have the scales of the weights and, after them, the zero points; empty if it has none.
    packed
        Rule for how its weights are packed; None if they are not.
    shapes
        Rule for the shapes of its outputs, where the ``onnx`` package can't infer them; None if it has none.
    of_shape
        Function that makes its output from the input's shape alone; the output is constant if that shape is known.
    meaning
        What it tells about the roles of its operands: a smaller input that is added before a softmax is a mask, and so
        is one of a choice or comparison; whole numbers that are dequantised are data.
    random
        Whether its result differs between runs, so that it is never constant.
    refusal
        Why it is always refused, as the end of a sentence about the node; empty if it is not.
    """

    channels: Channels | None = None
    channels_last: int | None = None
    axes: Axes = Axes.KEPT
    regroups_axes: bool = False
    weights: tuple[int, ...] = ()
    table: int | None = None
    keeps_shape: bool = False
    quantised: bool = False
    typed_by: tuple[int, ...] = ()
    makes: DataType | None = None
    scales: tuple[int, ...] = ()
    packed: PackedRule | None = None
    shapes: ShapeRule | None = None
    of_shape: OfShape | None = None
    meaning: Meaning | None = None
    random: bool = False
    refusal: str = ""

    @property
    def has_weights(self) -> bool:
        """Whether a constant operand is weights."""
        return self.weights != ()


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
        If an operator is in the table already.
    """
    for name in names.split():
        if name in OPERATORS:
            raise ValueError(f"operator {name} is entered twice")
        OPERATORS[name] = OnnxOperator(importer, becomes, facts)


def facts_of(kind: str) -> Facts:
    """Return the facts about an operator; `kind` is its name in the table, with its domain if that is not ONNX's."""
    known = OPERATORS.get(kind)
    return known.facts if known is not None else NO_FACTS


def channels_of(node: Node) -> Channels | None:
    """Return where a node has channels; None if they may be anywhere."""
    facts = facts_of(node.kind)
    if facts.channels_last is not None and _is_channels_last(node):
        return Channels.LAST_OF_IMAGE
    return facts.channels


def _is_channels_last(node: Node) -> bool:
    """Whether a node's attribute ``channels_last`` says so."""
    return bool(node.attributes.get("channels_last", facts_of(node.kind).channels_last) == 1)
