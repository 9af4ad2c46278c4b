"""What ``soma-cp schema`` describes."""

from enum import Enum


class SchemaName(Enum):
    """The schemas, by name."""

    NETWORK = "network"
    HARDWARE = "hardware"
    SCHEDULE = "schedule"
    RESULT = "result"
