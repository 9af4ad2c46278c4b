"""The values that ONNX tensors have during import."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from soma_cp.model.network.layers import Shape
from soma_cp.model.network.onnx_import.views import View


@dataclass(frozen=True)
class Tensor:
    """A view of an fmap that layers or external inputs make, or of a part of it.

    The element of a dimension at which an index points is `offset` plus the strides of its atoms, modulo the extent: a
    part is a view that lacks elements, and a cyclic shift is a view with an offset.

    Parameters
    ----------
    sources
        Names of layers and external inputs, concatenated along channels.
    shape
        Channels, rows, columns of the concatenation.
    view
        The axes of the ONNX tensor.
    offset
        The channel, row and column of its first element.
    name
        Name of the node that takes the part.
    """

    sources: tuple[str, ...]
    shape: Shape
    view: View
    offset: tuple[int, int, int] = (0, 0, 0)
    name: str = field(default="", compare=False)


@dataclass(frozen=True)
class Function:
    """What the vector unit makes of one tensor, element by element or within a row; it gets a layer when it is read.

    All arithmetic from one tensor to one tensor (a GELU or a normalisation in many ONNX nodes) is one function.

    Parameters
    ----------
    of
        The tensor that it reads, with the axes of the result.
    name
        Name of its layer.
    origin
        The ONNX tensor that it makes. The same function of the same tensor is one layer.
    reduced
        Whether the result is smaller than the tensor: a mean over channels, or some channels of every head. Only a
        later node can restore its shape, or `part` says what it is.
    part
        The part of a tensor that a reduced function reads, or that it is.
    computes
        Whether it is more than its part.
    """

    of: Tensor
    name: str
    origin: str
    reduced: bool = False
    part: Tensor | None = None
    computes: bool = True


@dataclass(frozen=True)
class Side:
    """Indices, truth values and masks: computed from inputs of the graph alone, and never scheduled.

    Parameters
    ----------
    inputs
        Inputs of the graph from which it is computed.
    """

    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Padded:
    """A tensor with zeros around it: part of the window of a convolution or pooling, or of an fmap for other readers.

    Parameters
    ----------
    tensor
        The tensor without them.
    shape
        The shape of the ONNX tensor, with them.
    name
        Name of the layer that makes it for other readers.
    """

    tensor: Tensor
    shape: tuple[int, ...]
    name: str


Value = Tensor | Function | Side | Padded


def in_order(tensor: Tensor, order: Sequence[int]) -> Tensor:
    """Return a tensor with its axes in another order."""
    return replace(tensor, view=tuple(tensor.view[axis] for axis in order))


def transposed(tensor: Tensor) -> Tensor:
    """Return the transpose of matrices, which are the last two axes."""
    return replace(tensor, view=(*tensor.view[:-2], tensor.view[-1], tensor.view[-2]))


def side_of(values: Iterable[Value]) -> Side:
    """Return what is computed from the masks and indices among values."""
    inputs = (name for value in values if isinstance(value, Side) for name in value.inputs)
    return Side(tuple(dict.fromkeys(inputs)))


def is_reduced(value: Value) -> bool:
    """Whether a value is smaller than the tensor that it is made from; it may then lack axes of that tensor."""
    return isinstance(value, Function) and value.reduced
