"""All operators; importing this module fills the table."""

from soma_cp.model.network.onnx_import.operators import contraction, elementwise, layout, matrices, parts, windows
from soma_cp.model.network.onnx_import.operators.registry import OPERATORS

__all__ = ["ALL_OPERATORS", "contraction", "elementwise", "layout", "matrices", "parts", "windows"]

ALL_OPERATORS = OPERATORS
"""Every operator that is known, by name."""
