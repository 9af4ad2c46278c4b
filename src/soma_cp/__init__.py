"""soma-cp: when each tensor of a network moves between DRAM and an accelerator's buffer, searched and solved.

``import soma_cp as sc`` is the Python API: `load_network`, `load_hardware`, `solve`, and what `__all__` lists; the rest
is private and may change. Each name is loaded on first use.

The package is layered: ``soma_cp.model`` says what things are and cost, ``soma_cp.annealing`` searches,
``soma_cp.solver`` proves and joins the stages, ``soma_cp.cli`` talks to the terminal, ``soma_cp.api`` to callers.
Imports go one way: api → cli → solver → annealing → model.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from soma_cp import former_addresses

if TYPE_CHECKING:
    from soma_cp.annealing.progress import ProgressEvent
    from soma_cp.api.bounding import Bounds, bounds
    from soma_cp.api.cancelling import Cancel
    from soma_cp.api.comparing import Compared, Comparison, compare
    from soma_cp.api.hardware import hardware_names, load_hardware
    from soma_cp.api.lfas import make_lfa
    from soma_cp.api.network_builder import NetworkBuilder
    from soma_cp.api.networks import load_network, network_names
    from soma_cp.api.results import Result, Status
    from soma_cp.api.schedules import Evaluated, Schedule, evaluate, make_schedule, read_schedule
    from soma_cp.api.solving import solve
    from soma_cp.api.tables import Table
    from soma_cp.api.transfers import Transfer
    from soma_cp.model.errors import FileFaultsError, InternalError, SomaError, UserError
    from soma_cp.model.hardware.platform import Platform, PlatformError
    from soma_cp.model.network.network import Division, Network, NetworkError
    from soma_cp.model.soma.footprint import BufferTooSmallError, LayerTooLargeError
    from soma_cp.model.soma.lfa import FLG, LFA, LFAError, SharedLoad
    from soma_cp.model.soma.validity import InvalidScheduleError, Rule, Violation
    from soma_cp.solver.choices import FirstStage, SecondStage, Space

__version__ = "0.1.0"

_PLACES = {
    "soma_cp.annealing.progress": "ProgressEvent",
    "soma_cp.api.bounding": "Bounds bounds",
    "soma_cp.api.cancelling": "Cancel",
    "soma_cp.api.comparing": "Compared Comparison compare",
    "soma_cp.api.hardware": "hardware_names load_hardware",
    "soma_cp.api.lfas": "make_lfa",
    "soma_cp.api.network_builder": "NetworkBuilder",
    "soma_cp.api.networks": "load_network network_names",
    "soma_cp.api.results": "Result Status",
    "soma_cp.api.schedules": "Evaluated Schedule evaluate make_schedule read_schedule",
    "soma_cp.api.solving": "solve",
    "soma_cp.api.tables": "Table",
    "soma_cp.api.transfers": "Transfer",
    "soma_cp.model.errors": "FileFaultsError InternalError SomaError UserError",
    "soma_cp.model.hardware.platform": "Platform PlatformError",
    "soma_cp.model.network.network": "Division Network NetworkError",
    "soma_cp.model.soma.footprint": "BufferTooSmallError LayerTooLargeError",
    "soma_cp.model.soma.lfa": "FLG LFA LFAError SharedLoad",
    "soma_cp.model.soma.validity": "InvalidScheduleError Rule Violation",
    "soma_cp.solver.choices": "FirstStage SecondStage Space",
}
"""Where the names of the API come from."""
_MODULE = {name: module for module, names in _PLACES.items() for name in names.split()}

__all__ = [
    "FLG",
    "LFA",
    "Bounds",
    "BufferTooSmallError",
    "Cancel",
    "Compared",
    "Comparison",
    "Division",
    "Evaluated",
    "FileFaultsError",
    "FirstStage",
    "InternalError",
    "InvalidScheduleError",
    "LFAError",
    "LayerTooLargeError",
    "Network",
    "NetworkBuilder",
    "NetworkError",
    "Platform",
    "PlatformError",
    "ProgressEvent",
    "Result",
    "Rule",
    "Schedule",
    "SecondStage",
    "SharedLoad",
    "SomaError",
    "Space",
    "Status",
    "Table",
    "Transfer",
    "UserError",
    "Violation",
    "__version__",
    "bounds",
    "compare",
    "evaluate",
    "hardware_names",
    "load_hardware",
    "load_network",
    "make_lfa",
    "make_schedule",
    "network_names",
    "read_schedule",
    "solve",
]


def __getattr__(name: str) -> Any:
    """Load a name of the API on first use."""
    if name not in _MODULE:
        raise AttributeError(f"module 'soma_cp' has no attribute '{name}'")
    value = getattr(import_module(_MODULE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the names of the API."""
    return sorted(__all__)


former_addresses.install()
