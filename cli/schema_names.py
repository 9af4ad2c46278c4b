"""The names of the schemas that ``soma-cp schema`` prints; light, so that ``--help`` stays quick."""

from enum import Enum

from soma_cp.model.errors import require_name


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
    require_name("schema", typed, SCHEMA_NAMES)
    return SchemaName(typed)
