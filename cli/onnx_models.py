"""ONNX models that the command line names: their options, and the notes on each."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from soma_cp.model.errors import UserError
from soma_cp.model.network.network import Network
from soma_cp.model.network.onnx_import.options import OnnxOptions, Present, Role
from soma_cp.model.network.onnx_import.reading import ENDING
from soma_cp.model.network.sources import is_onnx, load_network

_NONE = "none"


@dataclass(frozen=True)
class OnnxWords:
    """The options for ONNX models, as typed.

    Parameters
    ----------
    dims
        Dimensions as ``name=value``.
    ends
        Nodes or tensors at which models end.
    batch_axes
        The axis of the batch, as ``input=axis`` or ``input=none``.
    layouts
        The axes of inputs, as ``input=NHWC``.
    inputs
        What inputs are, as ``input=data``.
    present
        What is stored of keys and values that are joined to cached ones.
    ignore_unsupported
        Whether unknown operators that could be element-wise are taken as element-wise.
    """

    dims: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    batch_axes: tuple[str, ...] = ()
    layouts: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    present: Present = Present.WHOLE
    ignore_unsupported: bool = False

    @property
    def given(self) -> str:
        """The first of these options that is given; empty if none is."""
        options = (
            ("--dim", self.dims),
            ("--end", self.ends),
            ("--batch-axis", self.batch_axes),
            ("--layout", self.layouts),
            ("--input", self.inputs),
            ("--present", self.present is not Present.WHOLE),
            ("--ignore-unsupported", self.ignore_unsupported),
        )
        return next((option for option, given in options if given), "")

    def parsed(self) -> OnnxOptions:
        """Return the options in terms of the import.

        Raises
        ------
        UserError
            If a word is not of its option's form.
        """
        batch_axes = _parsed("--batch-axis", self.batch_axes, "input=axis or input=none, such as src=1", _is_axis)
        roles = [role.value for role in Role]
        inputs = _parsed("--input", self.inputs, f"input=one of {', '.join(roles)}", roles.__contains__)
        layouts = _parsed("--layout", self.layouts, "input=letters, such as image=NHWC", str.isalpha)
        dims = _parsed("--dim", self.dims, "name=value with a whole number, such as --dim seq=128", _is_number)
        return OnnxOptions(
            dims={name: int(value) for name, value in dims.items()},
            ignore_unsupported=self.ignore_unsupported,
            ends=self.ends,
            batch_axes={name: None if axis == _NONE else int(axis) for name, axis in batch_axes.items()},
            layouts={name: letters.upper() for name, letters in layouts.items()},
            roles={name: Role(role) for name, role in inputs.items()},
            present=self.present,
        )


def _parsed(option: str, words: Sequence[str], form: str, fits: Callable[[str], bool]) -> dict[str, str]:
    """Return values by name, from words such as ``name=value``."""
    values: dict[str, str] = {}
    for word in words:
        name, _, value = word.rpartition("=")
        if not name or not fits(value):
            raise UserError(f"{option} {word} (must be {form})")
        if name in values:
            raise UserError(f"{option} {name} is given twice; keep one")
        values[name] = value
    return values


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdecimal()


def _is_axis(word: str) -> bool:
    return word == _NONE or _is_number(word)


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


def onnx_models(
    nets: Sequence[str | None],
    dims: Sequence[str] | None = None,
    ends: Sequence[str] | None = None,
    batch_axes: Sequence[str] | None = None,
    layouts: Sequence[str] | None = None,
    inputs: Sequence[str] | None = None,
    present: Present = Present.WHOLE,
    ignore_unsupported: bool = False,
) -> OnnxModels:
    """Return the options for ONNX models.

    Parameters
    ----------
    nets
        The networks that the command line names; None stands for no network.
    dims, ends, batch_axes, layouts, inputs, present, ignore_unsupported
        The options as typed.

    Raises
    ------
    UserError
        If an option is given and no network is an ONNX model.
    """
    words = OnnxWords(
        dims=tuple(dims or ()),
        ends=tuple(ends or ()),
        batch_axes=tuple(batch_axes or ()),
        layouts=tuple(layouts or ()),
        inputs=tuple(inputs or ()),
        present=present,
        ignore_unsupported=ignore_unsupported,
    )
    if words.given and not any(net is not None and is_onnx(net) for net in nets):
        listed = ", ".join(f"'{net}'" for net in nets if net is not None)
        named = f"{listed} is none" if listed else "none is named"
        raise UserError(f"{words.given} is for ONNX models, whose names end in {ENDING}, but {named}; leave it out")
    return OnnxModels(words)
