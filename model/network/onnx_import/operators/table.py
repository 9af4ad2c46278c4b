"""All operators. Importing this module fills the table, so modules outside of this folder use it."""

from soma_cp.model.network.onnx_import.operators import (
    attention,
    contraction,
    elementwise,
    fused,
    layout,
    matrices,
    parts,
    quantised,
    recurrent,
    resizing,
    transposed,
    windows,
    without_layers,
)
from soma_cp.model.network.onnx_import.operators.registry import OPERATORS, channels_of, facts_of

__all__ = [
    "ALL_OPERATORS",
    "attention",
    "channels_of",
    "contraction",
    "elementwise",
    "facts_of",
    "fused",
    "layout",
    "matrices",
    "parts",
    "quantised",
    "recurrent",
    "resizing",
    "transposed",
    "windows",
    "without_layers",
]

ALL_OPERATORS = OPERATORS
"""All known operators, by name."""
