"""Paths of what tests read."""

from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
DOCS = ROOT / "docs"
DATA = TESTS / "data"
PUBLISHED = DATA / "published"
"""Figures measured on the published program; the folder's README says how."""
