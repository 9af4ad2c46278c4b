"""What an ONNX tensor is while layers are made for it."""

from dataclasses import dataclass

from soma_cp.model.network.layers import Shape
from soma_cp.model.network.onnx_import.views import View


@dataclass(frozen=True)
class Tensor:
    """A view of an fmap that layers or external inputs make.

    Parameters
    ----------
    sources
        Layers and external inputs by name, concatenated along channels.
    shape
        Channels, rows, columns of all of them together.
    view
        The axes of the ONNX tensor.
    """

    sources: tuple[str, ...]
    shape: Shape
    view: View


@dataclass(frozen=True)
class Function:
    """What the vector unit makes of one tensor, element by element or within a row: no layer before it is read.

    Arithmetic that begins and ends in one tensor (a GELU or a normalisation in many ONNX nodes) is one function.

    Parameters
    ----------
    of
        The tensor, in the axes that the result has.
    name
        What its layer is called.
    origin
        The ONNX tensor that it makes: the same function of the same tensor is one layer.
    reduced
        Whether this is less than the tensor: a mean over channels, or some of the channels of every head. Only
        further use can put it back in shape.
    """

    of: Tensor
    name: str
    origin: str
    reduced: bool = False


@dataclass(frozen=True)
class Side:
    """Indices, truth values and masks: made of inputs of the graph alone, and never scheduled.

    Parameters
    ----------
    inputs
        Inputs of the graph that it is made of.
    """

    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Padded:
    """A tensor with zeros around it, which the window of a convolution or pooling reads."""

    tensor: Tensor


Value = Tensor | Function | Side | Padded


def is_reduced(value: Value) -> bool:
    """Whether a value is less than the tensor that it is made of, whose axes it then may lack."""
    return isinstance(value, Function) and value.reduced
