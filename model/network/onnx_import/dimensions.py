"""Inputs of an ONNX model with all dimensions known: the batch found, the others from the command line.

The batch of an input is the axis that the user says (`batch_axes`, or the letter N of a layout). Otherwise it is, in
this order: the axis that is named like a batch; the axis that a recurrent node reads as the batch; axis 0 without a
number; axis 0 of one element, or with the number that axis 0 of the first input has. Two kinds of models whose first
axes have numbers are taken to have no batch: a matrix alone, and matrices that are multiplied with one another.

A number may be the batch or not. Where the import finds that it can't be, `Inputs.others` has other readings to try.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from soma_cp.model.errors import nearest_name_hint
from soma_cp.model.network.network_checks import LARGEST_EXTENT
from soma_cp.model.network.onnx_import.batches import (
    Readers,
    deciding_nodes,
    multiplies_by_matrix,
    multiply_together,
    recurrent_batches,
)
from soma_cp.model.network.onnx_import.graph import GraphInput, printable
from soma_cp.model.network.onnx_import.needed_nodes import stored_names
from soma_cp.model.network.onnx_import.options import OnnxOptions

if TYPE_CHECKING:
    import onnx

_BATCH_NAME = re.compile(r"n|b|bs|.*batch.*", re.IGNORECASE)
_MATRIX_RANK = 2
_SEQUENCE_RANK = 3

Axes = list[int | str]
"""The number or name of every axis."""


@dataclass(frozen=True)
class Inputs:
    """The inputs of a model, problems of their dimensions, and notes on the batch.

    `others` are further readings of inputs whose batch is a guess: the axis of the batch by input, None for no batch.
    """

    inputs: tuple[GraphInput, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    others: tuple[Mapping[str, int | None], ...] = ()


def known_inputs(model: "onnx.ModelProto", options: OnnxOptions) -> Inputs:
    """Put the given dimensions into the shapes of the inputs, and find the batch.

    Parameters
    ----------
    model
        The model.
    options
        Dimensions, batch axes and layouts that the user gives.
    """
    stored = stored_names(model)
    sources = [source for source in model.graph.input if source.name not in stored]
    axes = {source.name: _axes(source) for source in sources}
    problems = [*_option_problems(axes, options)]
    if problems:
        return Inputs((), tuple(printable(problem) for problem in problems), ())
    ranked = {name: known for name, known in axes.items() if known is not None}
    given = {**options.batch_axes, **_batches_of_layouts(options.layouts)}
    batches, guessed = _batches(model, ranked, given, options.dims)
    names = {
        dim: name
        for name, axis in batches.items()
        if axis is not None and isinstance(dim := ranked[name][axis], str) and (_is_batch_name(dim) or name in given)
    }
    problems += _given_problems(axes, options.dims, names)
    problems += _missing_problems(axes, batches, {*options.dims, *names})
    inputs = [
        GraphInput(name, tuple(dim if isinstance(dim, int) else options.dims.get(dim, 1) for dim in known), batch)
        for (name, known), batch in zip(ranked.items(), batches.values(), strict=True)
    ]
    notes = [
        note
        for name, known in ranked.items()
        if name not in given and (note := _note(name, known, batches[name], guessed))
    ]
    return Inputs(
        inputs=tuple(inputs),
        problems=tuple(printable(problem) for problem in problems),
        notes=tuple(printable(note) for note in notes),
        others=tuple(_others(ranked, batches, guessed)),
    )


def _axes(source: "onnx.ValueInfoProto") -> Axes | None:
    """Return the number or name of every axis; None if the number of axes is unknown."""
    tensor = source.type.tensor_type
    if not source.type.HasField("tensor_type") or not tensor.HasField("shape"):
        return None
    return [
        dim.dim_value if dim.dim_value > 0 else dim.dim_param.strip("?") or f"{source.name}:{axis}"
        for axis, dim in enumerate(tensor.shape.dim)
    ]


def _is_batch_name(dim: int | str) -> bool:
    return isinstance(dim, str) and _BATCH_NAME.fullmatch(dim) is not None


def _batches_of_layouts(layouts: Mapping[str, str]) -> dict[str, int | None]:
    return {name: layout.index("N") if "N" in layout else None for name, layout in layouts.items()}


def _batches(
    model: "onnx.ModelProto", axes: Mapping[str, Axes], given: Mapping[str, int | None], dims: Mapping[str, int]
) -> tuple[dict[str, int | None], set[str]]:
    """Return the axis of the batch of every input, and the inputs where a number above 1 is a guess."""
    readers = Readers(model)
    recurrent = recurrent_batches(readers, axes)
    without = _without_batch(readers, axes)
    said, number = _batch_number(axes, given)
    batches: dict[str, int | None] = {}
    guessed: set[str] = set()
    for name, known in axes.items():
        named = next((axis for axis, dim in enumerate(known) if _is_batch_name(dim)), None)
        first = known[0] if len(known) > 1 else None
        if name in given:
            batches[name] = given[name]
        elif len(known) == 1 and isinstance(known[0], str):
            batches[name] = None if known[0] in dims else 0
        elif named is not None:
            batches[name] = named
        elif name in recurrent:
            batches[name] = recurrent[name]
        elif isinstance(first, str):
            batches[name] = None if first in dims else 0
        elif said and number > 1 and number in known[:2]:
            batches[name] = known.index(number)
        elif first is not None and first == 1:
            batches[name] = 0
        elif first is not None and first == number:
            guessed.add(name)
            batches[name] = None if name in without else 0
        else:
            batches[name] = None
    return batches, guessed


def _batch_number(axes: Mapping[str, Axes], given: Mapping[str, int | None]) -> tuple[bool, int]:
    """Return whether the user says the number of samples, and that number; 1 if nothing has one."""
    for name, axis in given.items():
        if axis is not None and isinstance(number := axes[name][axis], int):
            return True, number
    first = next((name for name, known in axes.items() if len(known) > 1), None)
    if first is None or first in given:
        return False, 1
    number = axes[first][0]
    return False, number if isinstance(number, int) else 1


def _without_batch(model: Readers, axes: Mapping[str, Axes]) -> set[str]:
    """Return the inputs whose first axis is taken for rows or heads, though it has a number.

    These are a single input that is a matrix and is multiplied by weights (its rows), and inputs of three axes that are
    multiplied with one another before any weights (their heads).
    """
    data = deciding_nodes(model, axes)
    fixed = {name for name in data if all(isinstance(dim, int) for dim in axes[name])}
    if len(data) == 1 and fixed:
        (name,) = fixed
        return {name} if len(axes[name]) == _MATRIX_RANK and multiplies_by_matrix(data[name]) else set()
    firsts = {axes[name][0] if len(axes[name]) == _SEQUENCE_RANK else None for name in data}
    if len(fixed) == len(data) > 1 and len(firsts) == 1 and None not in firsts:
        return fixed if multiply_together(model, data.values()) else set()
    return set()


def _others(
    axes: Mapping[str, Axes], batches: Mapping[str, int | None], guessed: Collection[str]
) -> Iterator[Mapping[str, int | None]]:
    """Yield other readings of the guessed batches: axis 1 of sequences, no batch at all."""
    taken = [name for name in axes if name in guessed and batches[name] is not None]
    if not taken:
        return
    sequences = [name for name, known in axes.items() if len(known) == _SEQUENCE_RANK]
    numbers = {axes[name][1] for name in taken if name in sequences}
    if len(numbers) == 1 and isinstance(next(iter(numbers)), int):
        second = [name for name in sequences if axes[name][1] in numbers]
        yield {**dict.fromkeys(taken), **dict.fromkeys(second, 1)}
    yield dict.fromkeys(taken)


def _note(name: str, known: Axes, batch: int | None, guessed: Collection[str]) -> str:
    option = f"--batch-axis {quote(name)}"
    if batch is None:
        if name not in guessed:
            return ""
        rows = "rows" if len(known) == _MATRIX_RANK else "heads"
        return f"input '{name}' is taken for one sample of {known[0]} {rows}; {option}=0 takes these for samples"
    dim = known[batch]
    if dim == 1 or _is_batch_name(dim):
        return ""
    return (
        f"axis {batch} of input '{name}', {dim}, is taken to be the batch, which --batch sets; if it is not, say "
        f"{option}=none"
    )


def _missing_problems(
    axes: Mapping[str, Axes | None], batches: Mapping[str, int | None], settled: Collection[int | str]
) -> Iterator[str]:
    for name, known in axes.items():
        if known is None:
            yield f"input '{name}': its rank isn't in the model; export it with the shapes of its inputs"
            continue
        missing = [
            dim
            for axis, dim in enumerate(known)
            if isinstance(dim, str) and dim not in settled and axis != batches[name]
        ]
        if missing:
            options = " ".join(f"--dim {quote(dim)}=…" for dim in dict.fromkeys(missing))
            yield f"input '{name}' is of shape {_shown(known)}; give a number for each name: {options}"


def _shown(axes: Axes) -> str:
    return f"[{', '.join(str(axis) for axis in axes)}]"


def _option_problems(axes: Mapping[str, Axes | None], options: OnnxOptions) -> Iterator[str]:
    """Refuse options for inputs that are not there, axes that they don't have, and layouts of other axes."""
    by_option: tuple[tuple[str, Mapping[str, object]], ...] = (
        ("--batch-axis", options.batch_axes),
        ("--layout", options.layouts),
        ("--input", options.roles),
    )
    for option, given in by_option:
        for name in given:
            if name not in axes:
                listed = ", ".join(f"'{other}'" for other in axes) or "none"
                hint = nearest_name_hint(name, axes)
                yield f"{option} {name}: the model has no such input (there are {listed}){hint}"
    for name, axis in options.batch_axes.items():
        rank = len(axes.get(name) or ())
        if axes.get(name) is not None and axis is not None and not 0 <= axis < rank:
            yield f"--batch-axis {name}={axis}: the input has {rank} axes (must be from 0 to {rank - 1}, or none)"
    for name, layout in options.layouts.items():
        rank = len(axes.get(name) or ())
        if not _is_layout(layout):
            yield (
                f"--layout {name}={layout} (must be a letter for each axis: C for channels, H and W for rows and "
                "columns or L for a length, N for the batch; such as NHWC, NCHW, NLC, NCL)"
            )
        elif axes.get(name) is not None and len(layout) != rank:
            yield f"--layout {name}={layout}: the input has {rank} axes (must have {len(layout)})"
        elif name in options.batch_axes and options.batch_axes[name] != _batches_of_layouts({name: layout})[name]:
            yield f"--layout {name}={layout} and --batch-axis {name} name different axes; leave one out"


def _is_layout(layout: str) -> bool:
    letters = set(layout)
    spatial = letters - {"N", "C"}
    return len(letters) == len(layout) and "C" in letters and spatial in ({"H", "W"}, {"L"}, {"H"}, {"W"}, set())


def _given_problems(
    axes: Mapping[str, Axes | None], dims: Mapping[str, int], batches: Mapping[str, str]
) -> Iterator[str]:
    """Refuse a value of an unknown dimension, a value of the batch, and a value out of range."""
    named = list(dict.fromkeys(dim for known in axes.values() for dim in known or [] if isinstance(dim, str)))
    for name, value in dims.items():
        if name not in named:
            listed = ", ".join(f"'{other}'" for other in named) or "none: all are numbers"
            hint = nearest_name_hint(name, named)
            yield f"--dim {name}={value}: no input has such a dimension (there are {listed}){hint}"
        elif name in batches:
            yield (
                f"--dim {name}={value}: this is the batch; give it with --batch, or say that it is none with "
                f"--batch-axis {quote(batches[name])}=none"
            )
        elif not 1 <= value <= LARGEST_EXTENT:
            yield f"--dim {name}={value} (must be from 1 to {LARGEST_EXTENT})"
