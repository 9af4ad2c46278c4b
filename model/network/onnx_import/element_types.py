"""Which element types of ONNX tensors are data; the others are indices or truth values."""

from onnx import TensorProto

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


def is_whole_number_type(element: int) -> bool:
    """Whether tensors of an element type hold indices or truth values, as far as the type says."""
    return element not in DATA_TYPES and element != TensorProto.UNDEFINED
