"""The element types of ONNX tensors: which are data, not indices or truth values, and what types of data they are."""

from onnx import TensorProto

from soma_cp.model.data_types import DataType, data_type

DATA_TYPES = frozenset(
    getattr(TensorProto, name)
    for name in (
        "FLOAT",
        "FLOAT16",
        "DOUBLE",
        "BFLOAT16",
        "INT8",
        "UINT8",
        "INT4",
        "UINT4",
        "FLOAT8E4M3FN",
        "FLOAT8E5M2",
    )
    if hasattr(TensorProto, name)
)

_NAMED = {"FLOAT": "fp32", "DOUBLE": "fp64", "FLOAT16": "fp16", "BFLOAT16": "bf16"}


def is_whole_number_type(element: int) -> bool:
    """Whether tensors of an element type hold indices or truth values, as far as the type says."""
    return element not in DATA_TYPES and element != TensorProto.UNDEFINED


def element_data_type(element: int) -> DataType | None:
    """Return the type of data that an element type is; None for truth values, text and what is not known."""
    name = TensorProto.DataType.Name(element) if element in TensorProto.DataType.values() else ""
    if name.startswith("FLOAT") and name not in _NAMED:
        return data_type(f"fp{name[5]}")  # FLOAT8E4M3FN
    return data_type(_NAMED.get(name, name.lower().removeprefix("u")))
