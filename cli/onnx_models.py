"""ONNX models that the command line names: their options, and the notes on each."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from soma_cp.cli.option_groups import OnnxWords
from soma_cp.model.errors import UserError
from soma_cp.model.network.network import Network
from soma_cp.model.network.onnx_import.reading import ENDING
from soma_cp.model.network.sources import is_onnx, load_network


@dataclass(frozen=True)
class OnnxModels:
    """The options for ONNX models; each model is read once, and its notes are printed once."""

    words: OnnxWords = OnnxWords()
    _read: dict[str, Network] = field(default_factory=dict)

    def network(self, spec: str, tokens: int | None) -> Network:
        """Return the network of the model at `spec`; notes on it go to stderr when it is first read."""
        if spec not in self._read:
            loaded = load_network(spec, tokens, self.words.parsed())
            print_notes(spec, loaded.notes)
            self._read[spec] = loaded.network
        return self._read[spec]


NO_ONNX = OnnxModels()
"""Where no options for ONNX models are given."""


def print_notes(spec: str, notes: Sequence[str]) -> None:
    """Print the notes on a network to stderr."""
    for note in notes:
        print(f"soma-cp: note: {spec}: {note}", file=sys.stderr)


def onnx_models(nets: Sequence[str | None], words: OnnxWords) -> OnnxModels:
    """Return the options for ONNX models.

    Parameters
    ----------
    nets
        The networks that the command line names; None stands for no network.
    words
        The options as typed.

    Raises
    ------
    UserError
        If an option is given and no network is an ONNX model.
    """
    if words.given and not any(net is not None and is_onnx(net) for net in nets):
        listed = ", ".join(f"'{net}'" for net in nets if net is not None)
        named = f"{listed} is none" if listed else "none is named"
        raise UserError(f"{words.given} is for ONNX models, whose names end in {ENDING}, but {named}; leave it out")
    return OnnxModels(words)
