"""The forms of network files of both versions.

An error message quotes a field's description as what is allowed.
"""

from typing import Annotated, Any

from pydantic import Field

from soma_cp.model.files.forms import Form, Name, whole_number
from soma_cp.model.network.network_checks import LARGEST_COUNT, LARGEST_EXTENT

VERSION = 2
_NOT_GIVEN: Any = None
_Count = Annotated[int, whole_number(0, LARGEST_COUNT)]
_Extent = Annotated[int, whole_number(1, LARGEST_EXTENT)]
_Names = Annotated[list[Name], Field(default_factory=list, description="a list of names")]
_Shape = Annotated[
    list[_Extent],
    Field(min_length=3, max_length=3, description="a list of three whole numbers: channels, rows, columns"),
]
_Items = Annotated[list[Any], Field(description="a list of objects")]


class NetworkForm(Form):
    """The whole file; inputs and layers are checked one by one."""

    version: Annotated[int, Field(ge=1, le=VERSION, description="1 or 2")] = 1
    name: Name
    blocks: _Extent = 1
    inputs: _Items
    outputs: Annotated[list[Name], Field(description="a list of names")] = _NOT_GIVEN
    layers: _Items


class InputForm(Form):
    """An external input."""

    name: Name
    shape: _Shape


class LayerForm(Form):
    """The fields of every layer; kinds add theirs."""

    name: Name
    kind: str
    K: _Extent
    H: _Extent
    W: _Extent
    ifmaps: _Names
    weight_operands: _Names
    inputs: _Names
    # Derived fields.
    ofmap: _Shape = _NOT_GIVEN
    ifmap_real: _Shape = _NOT_GIVEN
    weight_bytes: _Count = _NOT_GIVEN
    operations: _Count = _NOT_GIVEN


class _WindowedForm(LayerForm):
    R: _Extent
    S: _Extent
    sH: _Extent
    sW: _Extent
    dH: _Extent = 1
    dW: _Extent = 1


class _ConvForm(_WindowedForm):
    C: _Extent
    weights: Name = ""


class _GroupConvForm(_ConvForm):
    G: _Extent


class _FullyConnectedForm(_ConvForm):
    R: _Extent = 1
    S: _Extent = 1
    H: _Extent = 1
    W: _Extent = 1
    sH: _Extent = 1
    sW: _Extent = 1


class _EltwiseForm(LayerForm):
    N: _Extent


class _TransposeForm(LayerForm):
    order: Annotated[str, Field(pattern="^[CHWchw*]{3}$", description="a permutation of the letters C, H, W")]
    ifmap: _Shape = _NOT_GIVEN


class _UpsampleForm(LayerForm):
    sK: _Extent
    sH: _Extent
    sW: _Extent


LAYER_FORMS: dict[str, type[LayerForm]] = {
    "conv": _ConvForm,
    "group_conv": _GroupConvForm,
    "fc": _FullyConnectedForm,
    "pool": _WindowedForm,
    "eltwise": _EltwiseForm,
    "ptp": LayerForm,
    "transpose": _TransposeForm,
    "upsample": _UpsampleForm,
}
"""The forms of layers, by kind."""

DERIVED = ("ofmap", "ifmap_real", "weight_bytes", "operations")
"""Fields of layers that follow from the others."""
