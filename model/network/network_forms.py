"""The forms of network files of all versions.

An error message quotes a field's description as what is allowed.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema

from soma_cp.model.data_types import (
    LEAST_RATIO,
    RATIO_ALLOWED,
    TYPE_CODE,
    TYPE_NAMES,
    WEIGHTS_ALLOWED,
    data_type,
    weight_format,
)
from soma_cp.model.files.forms import Form, Name, NearestOf, means, whole_number
from soma_cp.model.network.network_checks import LARGEST_COUNT, LARGEST_EXTENT

VERSION = 3
"""Version 1 has no outputs, shared weights or regroupings; version 2 has no data types."""
OUTPUTS_VERSION = 2
"""The version of files that need outputs and no data types."""
_NOT_GIVEN: Any = None
_Count = Annotated[int, whole_number(0, LARGEST_COUNT)]
_Extent = Annotated[int, whole_number(1, LARGEST_EXTENT)]
_Names = Annotated[list[Name], Field(default_factory=list, description="a list of names")]
_Shape = Annotated[
    list[_Extent],
    Field(min_length=3, max_length=3, description="a list of three whole numbers: channels, rows, columns"),
]


def _known_type(name: str) -> str:
    if data_type(name) is None:
        raise ValueError
    return name


def _known_weights(text: str) -> str:
    if weight_format(text) is None:
        raise ValueError
    return text


_Type = Annotated[
    str,
    AfterValidator(_known_type),
    WithJsonSchema({"enum": list(TYPE_CODE)}),
    NearestOf(tuple(TYPE_CODE)),
    Field(description=f"one of {TYPE_NAMES}"),
]
_WeightType = Annotated[
    str,
    AfterValidator(_known_weights),
    WithJsonSchema({"type": "string", "pattern": f"^({'|'.join(TYPE_CODE)})(/[0-9]{{1,7}}(:[0-9]{{1,4}})?)?$"}),
    NearestOf(tuple(TYPE_CODE)),
    Field(description=WEIGHTS_ALLOWED),
]
_Ratio = Annotated[float, Field(ge=LEAST_RATIO, le=1, allow_inf_nan=False, description=RATIO_ALLOWED)]
_Items = Annotated[list[Any], Field(description="a list of objects")]


class NetworkForm(Form):
    """The whole file; inputs and layers are checked one by one."""

    version: Annotated[int, Field(ge=1, le=VERSION, description="1, 2 or 3"), means("version of the file's format")] = 1
    name: Annotated[Name, means("name of the network in reports and schedule files")]
    blocks: Annotated[_Extent, means("how many times the whole model repeats the network")] = 1
    weight_type: Annotated[_WeightType, means("how stored weights are held, unless a layer says otherwise")] = (
        _NOT_GIVEN
    )
    activation_type: Annotated[_Type, means("type of inputs and ofmaps, unless one says otherwise")] = _NOT_GIVEN
    accumulator_type: Annotated[
        _Type, means("type of partial sums, unless a layer says otherwise; by default that of the layer's ofmap")
    ] = _NOT_GIVEN
    weight_ratio: Annotated[
        _Ratio, means("bytes of weights in DRAM for each byte in the buffer, unless a layer says otherwise")
    ] = _NOT_GIVEN
    inputs: Annotated[_Items, means("external inputs")]
    outputs: Annotated[
        list[Name],
        Field(description="a list of names"),
        means("layers whose ofmaps are stored, whatever reads them; not in version 1"),
    ] = _NOT_GIVEN
    layers: Annotated[_Items, means("layers in an order in which they can run")]


class InputForm(Form):
    """An external input."""

    name: Annotated[Name, means("name by which layers read it")]
    shape: Annotated[_Shape, means("shape of one sample (elements)")]
    type: Annotated[_Type, means("type of an element")] = _NOT_GIVEN


class LayerForm(Form):
    """The fields of every layer; kinds add theirs."""

    name: Annotated[Name, means("name, unique among layers and inputs")]
    kind: Annotated[str, means("kind of layer")]
    K: Annotated[_Extent, means("channels of the ofmap")]
    H: Annotated[_Extent, means("rows of the ofmap")]
    W: Annotated[_Extent, means("columns of the ofmap")]
    ifmaps: Annotated[_Names, means("layers whose ofmaps are read: joined along channels, or operands of an eltwise")]
    weight_operands: Annotated[_Names, means("layers whose ofmaps are the second operand, in place of stored weights")]
    inputs: Annotated[_Names, means("external inputs that are read like ifmaps")]
    activation_type: Annotated[_Type, means("type of the ofmap")] = _NOT_GIVEN
    # Derived fields.
    ofmap: Annotated[_Shape, means("K, H, W; follows from other fields")] = _NOT_GIVEN
    ifmap_real: Annotated[_Shape, means("what exists of the ifmap, without padding; follows from other fields")] = (
        _NOT_GIVEN
    )
    weight_bytes: Annotated[_Count, means("size of the second operand (bytes); follows from other fields")] = _NOT_GIVEN
    operations: Annotated[_Count, means("operations for one sample; follow from other fields")] = _NOT_GIVEN


_Rows = Annotated[_Extent, means("rows of the window")]
_Columns = Annotated[_Extent, means("columns of the window")]
_RowStride = Annotated[_Extent, means("stride along rows")]
_ColumnStride = Annotated[_Extent, means("stride along columns")]


class _WindowedForm(LayerForm):
    R: _Rows
    S: _Columns
    sH: _RowStride
    sW: _ColumnStride
    dH: Annotated[_Extent, means("distance between the window's taps along rows")] = 1
    dW: Annotated[_Extent, means("distance between the window's taps along columns")] = 1


class _ConvForm(_WindowedForm):
    C: Annotated[_Extent, means("channels of the ifmap")]
    weights: Annotated[Name, means("name of the stored weights, if other layers have the same")] = ""
    weight_type: Annotated[_WeightType, means("how the stored weights are held")] = _NOT_GIVEN
    accumulator_type: Annotated[_Type, means("type of partial sums; by default that of the ofmap")] = _NOT_GIVEN
    weight_ratio: Annotated[_Ratio, means("bytes of weights in DRAM for each byte in the buffer")] = _NOT_GIVEN


class _GroupConvForm(_ConvForm):
    G: Annotated[_Extent, means("groups, of C/G input and K/G output channels each")]


class _FullyConnectedForm(_ConvForm):
    R: _Rows = 1
    S: _Columns = 1
    H: Annotated[_Extent, means("rows of the ofmap: 1")] = 1
    W: Annotated[_Extent, means("columns of the ofmap: 1")] = 1
    sH: _RowStride = 1
    sW: _ColumnStride = 1


class _EltwiseForm(LayerForm):
    N: Annotated[_Extent, means("operands")]


class _TransposeForm(LayerForm):
    order: Annotated[
        str,
        Field(pattern="^[CHWchw*]{3}$", description="a permutation of the letters C, H, W"),
        means("ifmap dimension that each of the ofmap's C, H, W comes from; with ifmap also * and small letters"),
    ]
    ifmap: Annotated[_Shape, means("shape of the ifmap, if dimensions are regrouped")] = _NOT_GIVEN


class _UpsampleForm(LayerForm):
    sK: Annotated[_Extent, means("factor along channels")]
    sH: Annotated[_Extent, means("factor along rows")]
    sW: Annotated[_Extent, means("factor along columns")]


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

TYPES = ("weight_type", "activation_type", "accumulator_type", "weight_ratio")
"""Fields of the file and of layers that say data types; none of them is in versions 1 and 2."""

DERIVED = ("ofmap", "ifmap_real", "weight_bytes", "operations")
"""Fields of layers that follow from the others."""
