"""Semantics: which of the published program's approximations a model keeps (docs/semantics.md)."""

PUBLISHED, CORRECTED = SEMANTICS = ("published", "corrected")
"""What tiles need: as the published program counts it, or without three approximations (docs/semantics.md)."""
