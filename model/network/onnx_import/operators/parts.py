"""Operators that join tensors or take parts of them."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from math import prod

from soma_cp.model.network.layers import PointToPoint
from soma_cp.model.network.onnx_import.arranging import is_whole
from soma_cp.model.network.onnx_import.dividing import can_divide, divided, sizes_around
from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.node_import import NodeImport
from soma_cp.model.network.onnx_import.operators.joining import joined
from soma_cp.model.network.onnx_import.operators.layout import view_of
from soma_cp.model.network.onnx_import.operators.registry import Axes, Facts, operator
from soma_cp.model.network.onnx_import.regrouping import with_axis_apart
from soma_cp.model.network.onnx_import.values import Function, Side, Tensor, Value, is_reduced, side_of
from soma_cp.model.network.onnx_import.views import (
    BATCH,
    Atom,
    Axis,
    atoms_of,
    numbered,
    raised,
    reshaped,
    simplified,
    size,
    whole,
    with_axis,
    without_batch,
)


@operator(
    "Concat",
    "several ifmaps of what reads it; along other axes than channels, a `transpose` of what is not arranged so",
)
def concat(node: NodeImport) -> None:
    """Concatenation along an axis."""
    places = [place for place in range(len(node.inputs)) if node.has(place)]
    computed = [place for place in places if not node.is_constant(place)]
    values = [node.value(place) for place in computed]
    sides = [value for value in values if isinstance(value, Side)]
    if len(sides) == len(values):
        node.give(side_of(sides))
        return
    axis = node.axis(computed[0])
    if not sides and any(is_reduced(value) for value in values) and _put_together(node, values):
        return
    like = node.part(computed[0])
    if len(computed) < len(places):
        like = node.tensor(computed[0])
    tensors = [_stored(node, place, axis, like) if node.is_constant(place) else node.part(place) for place in places]
    tensors = [replace(tensor, view=raised(tensor.view, len(node.out_shape()))) for tensor in tensors]
    made = joined(node, tensors, axis)
    new = tuple(tensor for tensor in tensors if not all(node.layers.is_input(name) for name in tensor.sources))
    if 0 < len(new) < len(tensors) and not set(made.sources) & {name for tensor in tensors for name in tensor.sources}:
        node.state.new_tokens[made.sources] = new
    node.give(made)


def _put_together(node: NodeImport, values: list[Value]) -> bool:
    """Give the rejoined parts of a tensor as one function of it: a rotation of channels. Return whether they are."""
    bases = [node.base(value) for value in values]
    view = reshaped(bases[0].view, node.out_shape())
    if view is None or len(bases) < len(node.inputs) or any(base.sources != bases[0].sources for base in bases):
        if all(not is_reduced(value) or (isinstance(value, Function) and value.part) for value in values):
            return False
        raise UnsupportedError("joins parts of channels that don't make up the tensor that they were taken from")
    node.give_function(replace(bases[0], view=view))
    return True


def _stored(node: NodeImport, place: int, axis: int, like: Tensor) -> Tensor:
    """Return a constant operand of the concatenation as an external input with the axes of `like`."""
    extent = node.shape(place)[axis]
    dim = _dimension(like, axis)
    if dim == "":
        view = with_axis(like.view, axis, whole("C", extent))
        shape = (size(without_batch(atoms_of(view))), 1, 1)
        return Tensor(
            (node.layers.add_input(node.inputs[place], shape, node.inputs[place]),), shape, tuple(numbered("C", view))
        )
    dims = dict(zip("CHW", like.shape, strict=True))
    dims[dim] = extent
    shape = (dims["C"], dims["H"], dims["W"])
    name = node.layers.add_input(node.inputs[place], shape, node.inputs[place])
    return Tensor((name,), shape, with_axis(like.view, axis, whole(dim, extent)))


def _dimension(tensor: Tensor, axis: int) -> str:
    """Return the dimension that an axis is, ``""`` if it is none; for an axis of one element, one that no other has."""
    shape = dict(zip("CHW", tensor.shape, strict=True))
    atoms = tensor.view[axis]
    if atoms:
        return next((dim for dim in "CHW" if atoms == whole(dim, shape[dim])), "")
    order = "CHW" if axis <= 1 else "HCW"
    return next((dim for dim in order if shape[dim] == 1), "")


@operator("Split", "matrix layers with fewer kernels each; of rows or columns, `pool` with R = S = 1; else `transpose`")
def split(node: NodeImport) -> None:
    """Consecutive parts of an axis."""
    value, view = view_of(node)
    axis = node.axis()
    if view is None:
        for place in range(len(node.outputs)):
            node.give(value, place)
        return
    sizes = [node.out_shape(place)[axis] for place in range(len(node.outputs))]
    if _is_within_rows(node, value, axis):
        for place, taken in enumerate(_one_after_another(sizes)):
            _give_within_rows(node, value, [(axis, taken)], place)
        return
    for place, part in enumerate(parts(node, node.part(0), axis, sizes)):
        node.give(part, place)


def _is_within_rows(node: NodeImport, value: Value, axis: int) -> bool:
    """Whether an axis has only part of the channels: those of every head, or of a tensor that is reduced already."""
    if is_reduced(value):
        return True
    base = value if isinstance(value, Tensor) else node.base(value)
    atoms = base.view[axis]
    return (
        bool(atoms)
        and all(atom.dim == "C" for atom in atoms)
        and size(atoms) * max(a.stride for a in atoms) < base.shape[0]
    )


def _give_within_rows(node: NodeImport, value: Value, ranges: list[tuple[int, range]], place: int = 0) -> None:
    """Give a part of the channels of every head: a step of a rotation, or else a part to read."""
    part = value if isinstance(value, Tensor) else value.part if isinstance(value, Function) else None
    if part is None and not is_reduced(value):
        part = node.state.settled(value)
    if part is not None and len(part.view) == len(node.shape()):
        for axis, taken in ranges:
            part = _range_of(node, part, axis, taken)
    computes = isinstance(value, Function) and value.part is not None and value.computes
    node.give_function(node.base(value), reduced=True, place=place, part=part, computes=computes)


@operator("Slice", "like Split")
def take_slice(node: NodeImport) -> None:
    """Ranges of one or several axes."""
    value, view = view_of(node)
    if view is None:
        node.give(value)
        return
    shape = node.shape()
    steps = node.numbers("steps", 4) or []
    axes = [axis % len(shape) for axis in node.numbers("axes", 3) or range(len(steps))]
    for axis, stride in zip(axes, steps, strict=False):
        if stride < 1 and shape[axis] > 1:
            raise UnsupportedError(f"runs along axis {axis} in steps of {stride} (must be 1 at least)")
    if shape == node.out_shape():
        node.give(value)
        return
    starts, ends = node.numbers("starts", 1) or [], node.numbers("ends", 2) or []
    axes = axes or list(range(len(starts)))
    steps = steps or [1] * len(starts)
    taken = [
        (axis, range(shape[axis])[start:end:stride])
        for axis, start, end, stride in zip(axes, starts, ends, steps, strict=True)
    ]
    cut = [(axis, part) for axis, part in taken if len(part) < shape[axis]]
    if all(_is_within_rows(node, value, axis) for axis, _ in cut):
        _give_within_rows(node, value, cut)
        return
    tensor = node.part(0)
    for axis, part in cut:
        tensor = _range_of(node, tensor, axis, part)
    node.give(tensor)


@operator(
    "Gather",
    "of a table, `ptp` on an external input of the rows that are looked up; of a place, like Split",
    Facts(axes=Axes.OTHER, table=0),
)
def gather(node: NodeImport) -> None:
    """Rows of an embedding table, or a constant range of indices of a computed tensor."""
    if node.is_constant(0):
        _look_up(node)
        return
    if isinstance(node.value(0), Side):
        node.give(_side_of(node))
        return
    axis = node.axis()
    tensor = node.part(0)
    extent = size(tensor.view[axis])
    if node.is_constant(1):
        places = [index % extent for index in node.numbers("indices", 1) or []]
    else:
        places = _computed_places(node, tensor, axis)
    step = places[1] - places[0] if len(places) > 1 else 1
    taken = range(places[0], places[0] + step * len(places), step or 1)
    if list(taken) != places or step < 1:
        raise UnsupportedError(f"takes {len(places)} indices that are not neighbours along axis {axis}")
    node.give(node.regrouped(_range_of(node, tensor, axis, taken), node.out_shape()))


def _computed_places(node: NodeImport, tensor: Tensor, axis: int) -> list[int]:
    """Return the first places of an axis, as many as a node takes at computed indices."""
    if not isinstance(node.value(1), Side):
        raise UnsupportedError("takes places that are computed from data (must follow from indices alone)")
    if any(atom.dim == BATCH for atom in tensor.view[axis]):
        raise UnsupportedError("takes computed places of an axis that has the batch (must be within a sample)")
    count = prod(node.shape(1))
    if count > size(tensor.view[axis]):
        raise UnsupportedError(f"takes {count} computed places of {size(tensor.view[axis])} (must be as many at most)")
    node.note("takes places that indices select; the first ones stand for them")
    return list(range(count))


def _side_of(node: NodeImport) -> Side:
    """Return the mask or indices that a node makes from others."""
    computed = [place for place in range(len(node.inputs)) if node.is_computed(place)]
    values = [node.value(place) for place in computed]
    if not all(isinstance(value, Side) for value in values):
        raise UnsupportedError("looks up data in indices (must be indices in data)")
    return side_of(values)


def _look_up(node: NodeImport) -> None:
    """Look up rows of a table: they come from DRAM as an external input; the indices are too small to count."""
    indices = node.value(1)
    if not isinstance(indices, Side):
        raise UnsupportedError("looks up indices that are computed from data (must be an input of the graph)")
    table = node.shape(0)
    if node.axis() != 0 or len(table) != 2:
        raise UnsupportedError(f"looks up along axis {node.axis()} of a table {list(table)} (must be rows of a matrix)")
    *places, width = node.out_shape()
    batch = _batch_place(node, indices, places)
    axes = numbered("H", [() if place == batch else whole("H", extent) for place, extent in enumerate(places)])
    rows = size(atoms_of(axes))
    if batch is not None:
        axes[batch] = whole(BATCH, places[batch])
    view = (*axes, whole("C", width))
    name = node.layers.add_input(node.inputs[0], (width, rows, 1), node.inputs[0])
    sources = node.layers.add(PointToPoint, node.name, (name,), K=width, H=rows, W=1)
    node.give(Tensor(sources, (width, rows, 1), view))
    node.note(f"the rows looked up in '{node.inputs[0]}' are an external input, loaded for every sample")


def _batch_place(node: NodeImport, indices: Side, shape: Sequence[int]) -> int | None:
    """Return the axis of indices that is the batch; None if there is none."""
    inputs = [source for source in node.graph.inputs if source.name in indices.inputs]
    for source in inputs:
        if source.shape == tuple(shape):
            return source.batch_axis
    samples = node.graph.batch
    return 0 if samples > 1 and shape and shape[0] == samples else None


def parts(node: NodeImport, tensor: Tensor, axis: int, sizes: list[int]) -> list[Tensor]:
    """Return consecutive parts of an axis; all channels in sequence divide the layers that make them."""
    if len(sizes) == 1:
        return [tensor]
    atoms = tensor.view[axis]
    if _is_outermost_channels(tensor, axis):
        stride = atoms[0].stride
        counts = [extent * stride for extent in sizes]
        if can_divide(node.layers, tensor.sources, counts):
            ranges = divided(node.layers, tensor.sources, counts)
            return [
                Tensor(
                    sources,
                    (extent * stride, *tensor.shape[1:]),
                    with_axis(tensor.view, axis, simplified([Atom("C", extent, stride)])),
                    tensor.offset,
                )
                for extent, sources in zip(sizes, ranges, strict=True)
            ]
    return [_range_of(node, tensor, axis, taken) for taken in _one_after_another(sizes)]


def _one_after_another(sizes: Sequence[int]) -> list[range]:
    """Return ranges of these sizes, each beginning where the one before ends."""
    return [range(end - extent, end) for extent, end in zip(sizes, accumulate(sizes), strict=True)]


def _is_outermost_channels(tensor: Tensor, axis: int) -> bool:
    atoms = tensor.view[axis]
    is_outermost = len(atoms) == 1 and atoms[0].dim == "C" and atoms[0].extent * atoms[0].stride == tensor.shape[0]
    return is_outermost and is_whole(tensor) and tensor.offset[0] == 0


def _range_of(node: NodeImport, tensor: Tensor, axis: int, taken: range) -> Tensor:
    """Return a range of an axis, as a part of the same fmap; neighbouring channels divide layers at once.

    Raises
    ------
    UnsupportedError
        If it takes some samples of the batch.
    """
    atoms = tensor.view[axis]
    extent = size(atoms)
    if len(taken) == extent:
        return tensor
    if any(atom.dim == BATCH for atom in atoms):
        raise UnsupportedError(f"takes a part of axis {axis}, which holds samples of the batch (must take all)")
    if _is_outermost_channels(tensor, axis) and taken.step == 1:
        sizes, place = sizes_around(taken, extent)
        if can_divide(node.layers, tensor.sources, [count * atoms[0].stride for count in sizes]):
            return parts(node, tensor, axis, sizes)[place]
    found = _within(atoms, taken)
    if found is None:
        tensor = with_axis_apart(node.layers, tensor, axis, node.name)
        found = _within(tensor.view[axis], taken)
        assert found is not None, "an axis that is a dimension has one atom"
    axis_atoms, starts = found
    offset = tuple(
        (start + starts.get(dim, 0)) % whole_extent
        for dim, start, whole_extent in zip("CHW", tensor.offset, tensor.shape, strict=True)
    )
    view = with_axis(tensor.view, axis, axis_atoms)
    return replace(tensor, view=view, offset=(offset[0], offset[1], offset[2]), name=node.name)


def _within(atoms: Axis, taken: range) -> tuple[Axis, dict[str, int]] | None:
    """Return the atoms of a range of an axis, and where it begins in each dimension; None if atoms can't express it."""
    starts: dict[str, int] = {}
    if len(taken) == 1:
        place = taken.start
        for atom in reversed(atoms):
            starts[atom.dim] = starts.get(atom.dim, 0) + place % atom.extent * atom.stride
            place //= atom.extent
        return (), starts
    inner = size(atoms[1:])
    if inner > 1 and taken.step == 1 and taken.start % inner == len(taken) % inner == 0:
        found = _within(atoms[:1], range(taken.start // inner, taken.stop // inner))
        return (simplified((*found[0], *atoms[1:])), found[1]) if found else None
    if len(atoms) > 1:
        return None
    (atom,) = atoms
    return simplified([Atom(atom.dim, len(taken), atom.stride * taken.step)]), {atom.dim: taken.start * atom.stride}
