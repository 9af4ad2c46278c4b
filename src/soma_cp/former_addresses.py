"""Former addresses of modules that docs once named: importing one warns, and gives the names of the present module.

Version 0.2 removes them.
"""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType
from typing import Any

FORMER = {
    "soma_cp.model.core_array": "soma_cp.model.hardware.core_array.protocol",
    "soma_cp.model.core_arrays": "soma_cp.model.hardware.core_array",
    "soma_cp.model.core_arrays.options": "soma_cp.model.hardware.core_array.options",
    "soma_cp.model.core_arrays.tile_work": "soma_cp.model.hardware.core_array.tile_work",
    "soma_cp.model.execution": "soma_cp.model.soma.execution.execution",
    "soma_cp.model.network_table": "soma_cp.model.network.network_table",
    "soma_cp.model.unit_energies": "soma_cp.model.hardware.core_array.unit_energies",
}
"""From the former address to the present one."""


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in FORMER:
            return None
        holds_others = any(name.startswith(f"{fullname}.") for name in FORMER)
        return spec_from_loader(fullname, _Loader(), is_package=holds_others)


class _Loader(Loader):
    def create_module(self, spec: ModuleSpec) -> None:
        """Leave the creation to the import system."""

    def exec_module(self, module: ModuleType) -> None:
        present = FORMER[module.__name__]
        warnings.warn(
            f"{module.__name__} is now {present}; version 0.2 removes the former address",
            DeprecationWarning,
            stacklevel=2,
        )
        names = vars(import_module(present))
        module.__dict__.update({name: value for name, value in names.items() if not name.startswith("__")})
        if module.__name__ == "soma_cp.model.execution":
            module.__dict__["make_execution"] = _make_execution


def _make_execution(plan: Any, dlsa: Any, evaluation: Any) -> Any:
    """Return the events of a schedule given in three parts, as the former function took it."""
    from soma_cp.model.soma.execution.execution import make_execution
    from soma_cp.model.soma.schedule import Schedule

    return make_execution(Schedule(plan, dlsa, evaluation))


def install() -> None:
    """Let the former addresses be imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
