"""The names of the schemas that ``soma-cp schema`` prints; light, so that ``--help`` stays quick."""

from enum import Enum

from soma_cp.model.errors import UserError, nearest_name_hint


class SchemaName(Enum):
    """What a schema describes."""

    NETWORK = "network"
    HARDWARE = "hardware"
    SCHEDULE = "schedule"
    RESULT = "result"


SCHEMA_NAMES = tuple(name.value for name in SchemaName)


def schema_name(typed: str) -> SchemaName:
    """Return what was typed.

    Raises
    ------
    UserError
        If there is no such schema.
    """
    if typed not in SCHEMA_NAMES:
        allowed = ", ".join(SCHEMA_NAMES)
        raise UserError(f"schema {typed} (must be one of {allowed}){nearest_name_hint(typed, SCHEMA_NAMES)}")
    return SchemaName(typed)
