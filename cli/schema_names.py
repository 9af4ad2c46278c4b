"""The names of the schemas that ``soma-cp schema`` prints; light, so that ``--help`` stays quick."""

from enum import Enum


class SchemaName(Enum):
    """What a schema describes."""

    NETWORK = "network"
    HARDWARE = "hardware"
    SCHEDULE = "schedule"
