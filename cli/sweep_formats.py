"""What ``soma-cp sweep`` writes, and the names of its ready files; light, so that ``--help`` stays quick."""

from enum import Enum

from soma_cp.model.errors import require_name

EXAMPLE_NAMES = ("fig3", "fig6", "fig6-quick", "fig7", "fig7-quick", "fig8", "llm", "cocco-tiling")


class SweepFormat(Enum):
    """The columns of ``--csv``."""

    CSV = "csv"
    ARTIFACT_CSV = "artifact-csv"


def example_name(typed: str) -> str:
    """Return what was typed.

    Raises
    ------
    UserError
        If no ready file is called so.
    """
    require_name("--example", typed, EXAMPLE_NAMES)
    return typed
