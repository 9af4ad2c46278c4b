"""Inputs of an ONNX model with all dimensions known: the batch taken out, the others from the command line."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from soma_cp.model.errors import nearest_name_hint
from soma_cp.model.network.network_checks import LARGEST_EXTENT
from soma_cp.model.network.onnx_import.graph import GraphInput

if TYPE_CHECKING:
    import onnx

_BATCH_NAME = re.compile(r"n|b|bs|.*batch.*", re.IGNORECASE)


@dataclass(frozen=True)
class Inputs:
    """The inputs of a model, problems of their dimensions, and notes on the batch."""

    inputs: tuple[GraphInput, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def known_inputs(model: "onnx.ModelProto", dims: Mapping[str, int]) -> Inputs:
    """Put the given dimensions into the shapes of the inputs.

    The first axis of an input is the batch if it has no number, neither in the model nor in `dims`, or if it has the
    same number as the first axis of the first input. A batch without a number becomes one sample.

    Parameters
    ----------
    model
        The model.
    dims
        Values of dimensions by name; those without a name in the model are called ``input:axis``.
    """
    stored = {tensor.name for tensor in model.graph.initializer}
    stored |= {tensor.values.name for tensor in model.graph.sparse_initializer}
    axes = {source.name: _axes(source) for source in model.graph.input if source.name not in stored}
    batches = {known[0] for known in axes.values() if known and _BATCH_NAME.fullmatch(str(known[0]))}
    problems: list[str] = [*_given_problems(axes, dims, batches), *_missing_problems(axes, {*dims, *batches})]
    notes: list[str] = []
    found: list[GraphInput] = []
    fixed_batch = next((known[0] for known in axes.values() if known and len(known) > 1), 1)
    for name, known in axes.items():
        if known is None:
            continue
        shape = tuple(dim if isinstance(dim, int) else dims.get(dim, 1) for dim in known)
        batch = None
        first = known[0] if len(known) > 1 else None
        if isinstance(first, str) and first not in dims:
            batch = 1
            if not _BATCH_NAME.fullmatch(first):
                notes.append(_batch_note(name, first))
        elif isinstance(first, int) and first in (1, fixed_batch):
            batch = first
            if first > 1:
                notes.append(_batch_note(name, first))
        found.append(GraphInput(name, shape, batch))
    return Inputs(tuple(found), tuple(problems), tuple(notes))


def _axes(source: "onnx.ValueInfoProto") -> list[int | str] | None:
    """Return the number or name of every axis; None if the number of axes is unknown."""
    tensor = source.type.tensor_type
    if not source.type.HasField("tensor_type") or not tensor.HasField("shape"):
        return None
    return [
        dim.dim_value if dim.dim_value > 0 else dim.dim_param.strip("?") or f"{source.name}:{axis}"
        for axis, dim in enumerate(tensor.shape.dim)
    ]


def _batch_note(source: str, first: int | str) -> str:
    return f"axis 0 of input '{source}', {first}, is taken to be the batch, which --batch sets"


def _missing_problems(axes: Mapping[str, list[int | str] | None], settled: Collection[int | str]) -> Iterator[str]:
    for name, known in axes.items():
        if known is None:
            yield f"input '{name}': its rank isn't in the model; export it with the shapes of its inputs"
            continue
        missing = [dim for dim in known[1:] if isinstance(dim, str) and dim not in settled]
        if missing:
            options = " ".join(f"--dim {dim}=…" for dim in dict.fromkeys(missing))
            yield f"input '{name}' is of shape {_shown(known)}; give a number for each name: {options}"


def _shown(axes: list[int | str]) -> str:
    return f"[{', '.join(str(axis) for axis in axes)}]"


def _given_problems(
    axes: Mapping[str, list[int | str] | None], dims: Mapping[str, int], batches: Collection[int | str]
) -> Iterator[str]:
    """Refuse a value of an unknown dimension, a value of the batch, and a value out of range."""
    named = list(dict.fromkeys(dim for known in axes.values() for dim in known or [] if isinstance(dim, str)))
    for name, value in dims.items():
        if name not in named:
            listed = ", ".join(f"'{other}'" for other in named) or "none: all are numbers"
            hint = nearest_name_hint(name, named)
            yield f"--dim {name}={value}: no input has such a dimension (there are {listed}){hint}"
        elif name in batches:
            yield f"--dim {name}={value}: this is the batch; give it with --batch"
        elif not 1 <= value <= LARGEST_EXTENT:
            yield f"--dim {name}={value} (must be from 1 to {LARGEST_EXTENT})"
