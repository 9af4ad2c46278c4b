"""Inputs of an ONNX model with every dimension known: the batch taken out, the others from the command line."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from soma_cp.model.errors import nearest_name_hint
from soma_cp.model.network_checks import LARGEST_EXTENT
from soma_cp.model.onnx_import.graph import GraphInput

if TYPE_CHECKING:
    import onnx

_BATCH_NAME = re.compile(r"n|b|bs|.*batch.*", re.IGNORECASE)


@dataclass(frozen=True)
class Inputs:
    """The inputs of a model, what is wrong with their dimensions, and what was decided about the batch."""

    inputs: tuple[GraphInput, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def known_inputs(model: "onnx.ModelProto", dims: Mapping[str, int]) -> Inputs:
    """Put the given dimensions into the shapes of the inputs.

    The first axis of an input is the batch if it has no number of its own in the model, or the same as the first
    axis of the first input. A batch of no fixed size becomes one sample.

    Parameters
    ----------
    model
        The model.
    dims
        Values of dimensions by name.
    """
    stored = {tensor.name for tensor in model.graph.initializer}
    stored |= {tensor.values.name for tensor in model.graph.sparse_initializer}
    given = [source for source in model.graph.input if source.name not in stored]
    problems = list(_dimension_problems(given, dims))
    notes: list[str] = []
    found: list[GraphInput] = []
    fixed_batch: int | None = None
    for source in given:
        tensor = source.type.tensor_type
        if not source.type.HasField("tensor_type") or not tensor.HasField("shape"):
            problems.append(
                f"input '{source.name}': its rank isn't in the model; export it with the shapes of its inputs"
            )
            continue
        shape: list[int] = []
        missing: list[str] = []
        batch: int | None = None
        for axis, dim in enumerate(tensor.shape.dim):
            if dim.dim_value > 0:
                shape.append(dim.dim_value)
                continue
            name = dim.dim_param
            if name in dims:
                shape.append(dims[name])
            elif axis == 0:
                batch = 1
                shape.append(1)
                notes.append(
                    f"axis 0 of input '{source.name}'{_called(name)} is taken to be the batch; set it with --batch"
                )
            else:
                shape.append(1)
                missing.append(f"--dim {name}=…" if name else f"axis {axis} (no name in the model)")
        if missing:
            problems.append(
                f"input '{source.name}' has dimensions without a number: {', '.join(missing)}"
                + ("; give each with --dim name=value" if any(text.startswith("--") for text in missing) else "")
                + ("; export the model with a number for those without a name" if "axis" in str(missing) else "")
            )
        first = tensor.shape.dim[0].dim_value if tensor.shape.dim else 0
        if len(shape) > 1 and first > 0:
            if fixed_batch is None:
                fixed_batch = first
                if first > 1:
                    notes.append(
                        f"axis 0 of input '{source.name}', {first}, is taken to be the batch; set it with --batch"
                    )
            batch = first if first in (1, fixed_batch) else None
        found.append(GraphInput(source.name, tuple(shape), batch))
    return Inputs(tuple(found), tuple(problems), tuple(dict.fromkeys(notes)))


def _called(name: str) -> str:
    return f", '{name}'," if name else ""


def _dimension_problems(given: "list[onnx.ValueInfoProto]", dims: Mapping[str, int]) -> Iterator[str]:
    """Refuse values of dimensions that there are not, that are the batch, or that can't be."""
    named: dict[str, set[int]] = {}
    for source in given:
        for axis, dim in enumerate(source.type.tensor_type.shape.dim):
            if dim.dim_param and not dim.dim_value:
                named.setdefault(dim.dim_param, set()).add(axis)
    for name, value in dims.items():
        if name not in named:
            known = ", ".join(f"'{other}'" for other in named) or "none, all are numbers"
            hint = nearest_name_hint(name, named)
            yield f"--dim {name}={value}: no input has such a dimension (there are {known}){hint}"
        elif named[name] == {0} and _BATCH_NAME.fullmatch(name):
            yield f"--dim {name}={value}: this is the batch; give it with --batch"
        elif not 1 <= value <= LARGEST_EXTENT:
            yield f"--dim {name}={value} (must be from 1 to {LARGEST_EXTENT})"
