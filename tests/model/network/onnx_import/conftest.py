"""The fixture that imports a model."""

from support.onnx_imports import imported

__all__ = ["imported"]
