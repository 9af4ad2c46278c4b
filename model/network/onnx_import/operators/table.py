"""All operators; importing this module fills the table, so modules outside of this folder ask here."""

from soma_cp.model.network.onnx_import.operators import (
    contraction,
    elementwise,
    layout,
    matrices,
    parts,
    windows,
    without_layers,
)
from soma_cp.model.network.onnx_import.operators.registry import OPERATORS, facts_of

__all__ = [
    "ALL_OPERATORS",
    "contraction",
    "elementwise",
    "facts_of",
    "layout",
    "matrices",
    "parts",
    "windows",
    "without_layers",
]

ALL_OPERATORS = OPERATORS
"""Every operator that is known, by name."""
