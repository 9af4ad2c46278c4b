"""How reports of several rows are written; light, so that ``--help`` stays quick."""

from enum import Enum


class Format(Enum):
    """The formats."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"
