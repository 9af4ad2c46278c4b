"""ONNX models that the command line names: the options for them, and what is told about each."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from soma_cp.model.errors import UserError
from soma_cp.model.network.network import Network
from soma_cp.model.network.onnx_import.reading import ENDING


@dataclass(frozen=True)
class OnnxModels:
    """The options for ONNX models, as typed; a model is read, and notes on it are printed, once.

    Parameters
    ----------
    dims
        Dimensions as ``name=value``.
    ignore_unsupported
        Whether unknown operators that could be element-wise are taken for that.
    ends
        Nodes or tensors at which models end.
    """

    dims: tuple[str, ...] = ()
    ignore_unsupported: bool = False
    ends: tuple[str, ...] = ()
    _read: dict[str, Network] = field(default_factory=dict)

    def network(self, spec: str, tokens: int | None) -> Network:
        """Return the network of the model at `spec`, and tell on stderr what was approximated."""
        if tokens is not None:
            raise UserError(f"--seq is for built-in networks; the length in '{spec}' is set with --dim name={tokens}")
        if spec not in self._read:
            # Imported late: it is seldom needed.
            from soma_cp.model.network.onnx_import.importing import import_onnx

            imported = import_onnx(Path(spec), self._dimensions(), self.ignore_unsupported, self.ends)
            for note in imported.notes:
                print(f"soma-cp: note: {spec}: {note}", file=sys.stderr)
            self._read[spec] = imported.network
        return self._read[spec]

    def _dimensions(self) -> dict[str, int]:
        dims: dict[str, int] = {}
        for given in self.dims:
            name, _, value = given.rpartition("=")
            if not name or not (value.isascii() and value.isdecimal()):
                raise UserError(f"--dim {given} (must be name=value with a whole number, such as --dim seq=128)")
            if name in dims:
                raise UserError(f"--dim {name} is given twice; keep one")
            dims[name] = int(value)
        return dims


NO_ONNX = OnnxModels()
"""No options for ONNX models are given."""


def onnx_models(
    nets: Sequence[str | None], dims: Sequence[str] | None, ends: Sequence[str] | None, ignore_unsupported: bool
) -> OnnxModels:
    """Return the options for ONNX models.

    Parameters
    ----------
    nets
        What the command line names as networks; None is nothing.
    dims, ends, ignore_unsupported
        The options as typed.

    Raises
    ------
    UserError
        If an option is given and no network is an ONNX model.
    """
    if not any(net is not None and net.lower().endswith(ENDING) for net in nets):
        for option, given in (("--dim", dims), ("--end", ends), ("--ignore-unsupported", ignore_unsupported)):
            if given:
                listed = ", ".join(f"'{net}'" for net in nets if net is not None)
                named = f"{listed} is none" if listed else "none is named"
                raise UserError(f"{option} is for ONNX models, whose names end in {ENDING}, but {named}; leave it out")
    return OnnxModels(tuple(dims or ()), ignore_unsupported, tuple(ends or ()))
