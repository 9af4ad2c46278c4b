"""Semantics: which of the published program's approximations a model keeps (docs/semantics.md)."""

PUBLISHED, CORRECTED = SEMANTICS = ("published", "corrected")
"""What tiles need: as the published program has it, or without three of its approximations (docs/semantics.md)."""
