"""How an ONNX model is to be read: what the model leaves open, and what the user says about it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

_NAMED_LIKE_MASK = re.compile(r".*mask.*|(.*[^a-z])?(cos|sin|rope|rotary)([^a-z].*)?", re.IGNORECASE)


def is_named_like_mask(name: str) -> bool:
    """Whether an input is called a mask, or the cosines and sines of a rotation of positions."""
    return _NAMED_LIKE_MASK.fullmatch(name) is not None


class Role(Enum):
    """What an input of the graph is."""

    DATA = "data"
    MASK = "mask"
    INDEX = "index"


class Present(Enum):
    """What is stored of keys and values that a model joins to cached ones and has as an output."""

    WHOLE = "whole"
    NEW = "new"


class Types(Enum):
    """What types the data of a network has.

    In `AUTO`, data that the model holds in fewer than 32 bits has its own type. What it holds in 32 or 64 bits counts
    as INT8, since exports have such types before they are quantised. In `MODEL` all data has its own type; in `INT8`
    all data is INT8.
    """

    AUTO = "auto"
    MODEL = "model"
    INT8 = "int8"


@dataclass(frozen=True)
class OnnxOptions:
    """How an ONNX model is read.

    Parameters
    ----------
    dims
        Values of dimensions that have a name but no number in the model; those without a name are ``input:axis``.
    ignore_unsupported
        Whether an unknown operator with one computed input, whose output has the same shape, becomes a `ptp` layer.
    ends
        Names of nodes or tensors at which the model ends; what comes after them is left out.
    batch_axes
        By input: the axis that is the batch, from 0; None if the input has no batch.
    layouts
        By input: what its axes are, one letter each: N (batch), C (channels), H (rows), W (columns), L (rows), such as
        ``NHWC``.
    roles
        By input: whether it is data, a mask or indices.
    present
        Whether the whole keys and values are stored, or the part of the new tokens.
    types
        What types the data has.
    """

    dims: Mapping[str, int] = field(default_factory=dict)
    ignore_unsupported: bool = False
    ends: tuple[str, ...] = ()
    batch_axes: Mapping[str, int | None] = field(default_factory=dict)
    layouts: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, Role] = field(default_factory=dict)
    present: Present = Present.WHOLE
    types: Types = Types.AUTO


DEFAULT_OPTIONS = OnnxOptions()
"""What is assumed of a model where the user says nothing."""
