"""Packages that a report needs, and that may be missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from soma_cp.model.errors import UserError


@contextmanager
def needing(package: str, report: str, remedy: str) -> Iterator[None]:
    """Say in a sentence that a package, or one that it needs, is missing or broken.

    Raises
    ------
    UserError
        If an import within fails.
    """
    try:
        yield
    except ImportError as fault:
        if (fault.name or "").startswith("soma_cp"):
            raise
        missing = isinstance(fault, ModuleNotFoundError) and fault.name == package.lower()
        state = "is not installed" if missing else f"does not load ({fault})"
        raise UserError(f"{report} needs {package}, which {state}; {remedy}") from fault
