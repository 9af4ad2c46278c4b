"""ONNX models that the command line names: their options, and the notes on each."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from soma_cp.model.errors import UserError
from soma_cp.model.network.network import Network
from soma_cp.model.network.onnx_import.reading import ENDING
from soma_cp.model.network.sources import OnnxOptions, is_onnx, load_network


@dataclass(frozen=True)
class OnnxModels:
    """The options for ONNX models, as typed; each model is read once, and its notes are printed once.

    Parameters
    ----------
    dims
        Dimensions as ``name=value``.
    ignore_unsupported
        Whether unknown operators that could be element-wise are taken as element-wise.
    ends
        Nodes or tensors at which models end.
    """

    dims: tuple[str, ...] = ()
    ignore_unsupported: bool = False
    ends: tuple[str, ...] = ()
    _read: dict[str, Network] = field(default_factory=dict)

    def network(self, spec: str, tokens: int | None) -> Network:
        """Return the network of the model at `spec`; notes on it go to stderr when it is first read."""
        if spec not in self._read:
            loaded = load_network(spec, tokens, OnnxOptions(self._dimensions(), self.ignore_unsupported, self.ends))
            print_notes(spec, loaded.notes)
            self._read[spec] = loaded.network
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
"""Where no options for ONNX models are given."""


def print_notes(spec: str, notes: Sequence[str]) -> None:
    """Print the notes on a network to stderr."""
    for note in notes:
        print(f"soma-cp: note: {spec}: {note}", file=sys.stderr)


def onnx_models(
    nets: Sequence[str | None], dims: Sequence[str] | None, ends: Sequence[str] | None, ignore_unsupported: bool
) -> OnnxModels:
    """Return the options for ONNX models.

    Parameters
    ----------
    nets
        The networks that the command line names; None stands for no network.
    dims, ends, ignore_unsupported
        The options as typed.

    Raises
    ------
    UserError
        If an option is given and no network is an ONNX model.
    """
    if not any(net is not None and is_onnx(net) for net in nets):
        for option, given in (("--dim", dims), ("--end", ends), ("--ignore-unsupported", ignore_unsupported)):
            if given:
                listed = ", ".join(f"'{net}'" for net in nets if net is not None)
                named = f"{listed} is none" if listed else "none is named"
                raise UserError(f"{option} is for ONNX models, whose names end in {ENDING}, but {named}; leave it out")
    return OnnxModels(tuple(dims or ()), ignore_unsupported, tuple(ends or ()))
