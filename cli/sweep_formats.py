"""What ``soma-cp sweep`` writes, and the names of its ready files; light, so that ``--help`` stays quick."""

from enum import Enum

from soma_cp.model.errors import UserError, nearest_name_hint

EXAMPLE_NAMES = ("fig3", "fig6", "fig6-quick", "fig7", "fig7-quick", "fig8")


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
    if typed not in EXAMPLE_NAMES:
        allowed = ", ".join(EXAMPLE_NAMES)
        raise UserError(f"--example {typed} (must be one of {allowed}){nearest_name_hint(typed, EXAMPLE_NAMES)}")
    return typed
