"""Read the model from an ONNX file; external data files need not exist."""

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from soma_cp.model.errors import UserError
from soma_cp.model.files.text_file import reading
from soma_cp.model.network.onnx_import.errors import OnnxFileError
from soma_cp.model.network.onnx_import.functions import expansion_fault

if TYPE_CHECKING:
    import onnx
    from google.protobuf.message import Message

MOST_ELEMENTS = 1 << 14
"""Elements of the largest constant whose value is read or computed; shapes, indices and scales are smaller."""
ENDING = ".onnx"
"""Ending of an ONNX model's file name."""


def read_model(path: Path) -> "onnx.ModelProto":
    """Read a model, and inline the functions that it defines.

    Raises
    ------
    UserError
        If the package ``onnx`` is missing, or the file can't be read or holds no model.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise UserError(
            f"{path}: reading ONNX models needs the package 'onnx' ({str(error).lower()}); "
            "install it with: pip install 'soma-cp[onnx]'"
        ) from None
    try:
        with reading(path):
            model = onnx.load(str(path), load_external_data=False)
    except DecodeError:
        raise UserError(f"{path}: not an ONNX model; export the network to ONNX again") from None
    return checked_model(model, path, path.parent)


def checked_model(model: "onnx.ModelProto", path: Path, folder: Path) -> "onnx.ModelProto":
    """Check a model and inline its functions; `path` names it in messages, `folder` has external data."""
    from onnx import inliner

    if not _is_text(model):
        raise OnnxFileError(str(path), ["a name in the model is no text in UTF-8; export the network to ONNX again"])
    _read_small_constants(model, folder)
    if not model.graph.node:
        raise OnnxFileError(str(path), ["the model has no nodes; there is nothing to schedule"])
    if model.functions:
        fault = expansion_fault(model)
        if fault:
            raise OnnxFileError(str(path), [f"functions of the model can't be put in place: {fault}"])
        try:
            model = inliner.inline_local_functions(model)
        except Exception as error:  # the package raises its own kinds from compiled code
            said = " ".join(str(error).split())
            raise OnnxFileError(str(path), [f"functions of the model can't be put in place: {said}"]) from None
    return model


def _is_text(message: "Message") -> bool:
    """Whether all names in a part of a model are text; the package leaves others as bytes."""
    for field, value in message.ListFields():
        if field.type not in (field.TYPE_STRING, field.TYPE_MESSAGE):
            continue
        values = (value,) if isinstance(value, str | bytes) or hasattr(value, "ListFields") else value
        if field.type == field.TYPE_STRING:
            if any(isinstance(item, bytes) for item in values):
                return False
        elif not all(_is_text(item) for item in values):
            return False
    return True


def _read_small_constants(model: "onnx.ModelProto", folder: Path) -> None:
    """Load the external data of constants small enough to be shapes, where it can be read."""
    from onnx import TensorProto, external_data_helper

    for tensor in model.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL and prod(tensor.dims) <= MOST_ELEMENTS:
            try:
                external_data_helper.load_external_data_for_tensor(tensor, str(folder))
            except Exception:  # missing, damaged or outside of the folder: reported if a shape needs it
                continue
            tensor.data_location = TensorProto.DEFAULT
