"""Operators that join tensors or take parts of them."""

from dataclasses import replace

from soma_cp.model.network.layers import PointToPoint, Pool, Transpose
from soma_cp.model.network.onnx_import.arranging import arranged
from soma_cp.model.network.onnx_import.dividing import divided
from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.layers import Sources
from soma_cp.model.network.onnx_import.node_import import NodeImport
from soma_cp.model.network.onnx_import.operators.layout import view_of
from soma_cp.model.network.onnx_import.operators.registry import Axes, Facts, operator
from soma_cp.model.network.onnx_import.values import Side, Tensor, Value, is_reduced
from soma_cp.model.network.onnx_import.views import (
    REPEAT,
    Atom,
    reshaped,
    shape_of,
    simplified,
    size,
    whole,
)

_DIMENSIONS = {"C": "channels", "H": "rows", "W": "columns", "B": "samples", REPEAT: "repeated elements"}


@operator("Concat", "several ifmaps of what reads it; of tokens, `transpose`, `ptp` and `transpose`")
def concat(node: NodeImport) -> None:
    """Concatenation along an axis."""
    places = [place for place in range(len(node.inputs)) if node.has(place)]
    computed = [place for place in places if not node.is_constant(place)]
    values = [node.value(place) for place in computed]
    sides = [value for value in values if isinstance(value, Side)]
    if len(sides) == len(values):
        node.give(Side(tuple(dict.fromkeys(name for side in sides for name in side.inputs))))
        return
    axis = node.axis(computed[0])
    if not sides and any(is_reduced(value) for value in values):
        _put_together(node, values)
        return
    first = node.tensor(computed[0])
    tensors: list[Tensor] = []
    for place in places:
        if node.is_constant(place):
            tensors.append(_stored(node, place, axis, first))
        else:
            tensors.append(node.tensor(place))
    dim, sources = _joined_along(node, tensors, axis)
    extents = dict(zip("CHW", first.shape, strict=True))
    extents[dim] = node.out_shape()[axis]
    view = (*first.view[:axis], whole(dim, extents[dim]), *first.view[axis + 1 :])
    node.give(Tensor(sources, (extents["C"], extents["H"], extents["W"]), view))


def _put_together(node: NodeImport, values: list[Value]) -> None:
    """Give the rejoined parts of a tensor as one function of it: a rotation of channels."""
    bases = [node.base(value) for value in values]
    view = reshaped(bases[0].view, node.out_shape())
    if view is None or len(bases) < len(node.inputs) or any(base.sources != bases[0].sources for base in bases):
        raise UnsupportedError("joins parts of channels that don't make up the tensor that they were taken from")
    node.give_function(replace(bases[0], view=view))


def _stored(node: NodeImport, place: int, axis: int, like: Tensor) -> Tensor:
    """Return a constant operand of the concatenation as an external input with the axes of `like`."""
    extent = node.shape(place)[axis]
    dims = {"C": like.shape[0], "H": like.shape[1], "W": like.shape[2]}
    atoms = like.view[axis]
    dim = atoms[0].dim if len(atoms) == 1 else _only_dim(node, axis, like)
    dims[dim] = extent
    name = node.layers.add_input(node.inputs[place], (dims["C"], dims["H"], dims["W"]))
    view = (*like.view[:axis], whole(dim, extent), *like.view[axis + 1 :])
    return Tensor((name,), (dims["C"], dims["H"], dims["W"]), view)


def _only_dim(node: NodeImport, axis: int, tensor: Tensor) -> str:
    """Return the dimension of an axis of one element: the first dimension that no other axis has."""
    taken = {atom.dim for place, atoms in enumerate(tensor.view) if place != axis for atom in atoms}
    order = "CHW" if axis <= 1 else "HCW"
    free = [dim for dim in order if dim not in taken and dict(zip("CHW", tensor.shape, strict=True))[dim] == 1]
    if not free:
        raise UnsupportedError(f"joins tensors along axis {axis}, which is neither channels, rows nor columns")
    return free[0]


def _joined_along(node: NodeImport, tensors: list[Tensor], axis: int) -> tuple[str, Sources]:
    """Join along the fmap dimension of the axis."""
    first = max(tensors, key=lambda tensor: shape_of(tensor.view)[axis])
    atoms = first.view[axis]
    dim = atoms[0].dim if len(atoms) == 1 else _only_dim(node, axis, first)
    if dim not in "CHW":
        raise UnsupportedError("joins samples of the batch")
    place = "CHW".index(dim)
    for tensor in tensors:
        others = [(a, b) for p, (a, b) in enumerate(zip(tensor.view, first.view, strict=True)) if p != axis]
        fits = tensor.view[axis] == whole(dim, tensor.shape[place]) and all(a == b for a, b in others)
        if not fits:
            raise UnsupportedError(
                f"joins tensors along axis {axis}, which must be all {_DIMENSIONS[dim]} of each, arranged alike"
            )
    if dim == "C":
        return dim, tuple(name for tensor in tensors for name in tensor.sources)
    order = "HCW" if dim == "H" else "WHC"
    swapped: list[str] = []
    for i, tensor in enumerate(tensors):
        dims = [whole(letter, tensor.shape["CHW".index(letter)]) for letter in order]
        swapped += arranged(node.layers, tensor, dims[0], dims[1], dims[2], f"{node.name}_{i}")
    joined = node.layers.joined(swapped, f"{node.name}_concat")
    K, H, W = (node.layers.shape(joined)["CHW".index(letter)] for letter in order)
    made = node.layers.add(Transpose, node.name, (joined,), K=K, H=H, W=W, order=order)
    if dim == "H":
        node.layers.remember_rows(made[0], [tensor.sources for tensor in tensors])
    return dim, made


@operator("Split", "matrix layers with fewer kernels each; of rows or columns, `pool` with R = S = 1")
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
        for place in range(len(sizes)):
            node.give_function(node.base(value), reduced=True, place=place)
        return
    tensor = node.state.settled(value)
    for place, part in enumerate(parts(node, tensor, axis, sizes)):
        node.give(part, place)


def _is_within_rows(node: NodeImport, value: Value, axis: int) -> bool:
    """Whether an axis has only part of the channels: those of every head, or of a tensor that is reduced already."""
    if is_reduced(value):
        return True
    base = node.base(value)
    atoms = base.view[axis]
    return (
        bool(atoms)
        and all(atom.dim == "C" for atom in atoms)
        and size(atoms) * max(a.stride for a in atoms) < base.shape[0]
    )


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
    cut = [axis for axis in axes if shape[axis] != node.out_shape()[axis]]
    if len(cut) == 1 and _is_within_rows(node, value, cut[0]):
        node.give_function(node.base(value), reduced=True)
        return
    tensor = node.state.settled(value)
    for axis, start, end, stride in zip(axes, starts, ends, steps, strict=True):
        extent = size(tensor.view[axis])
        taken = range(extent)[start:end:stride]
        if len(taken) < extent:
            tensor = _range_of(node, tensor, axis, taken)
    node.give(tensor)


@operator(
    "Gather",
    "of a table, `ptp` on an external input of the rows that are looked up; of a place, like Split",
    Facts(axes=Axes.OTHER, looks_up_table=True),
)
def gather(node: NodeImport) -> None:
    """Rows of an embedding table, or a constant range of indices of a computed tensor."""
    if node.is_constant(0):
        _look_up(node)
        return
    value, view = view_of(node)
    if view is None or not node.is_constant(1):
        node.give(_side_of(node))
        return
    axis = node.axis()
    indices = node.numbers("indices", 1) or []
    tensor = node.state.settled(value)
    extent = size(tensor.view[axis])
    places = [index % extent for index in indices]
    if places != list(range(places[0], places[0] + len(places))):
        raise UnsupportedError(f"takes {len(places)} indices that are not neighbours along axis {axis}")
    taken = _range_of(node, tensor, axis, range(places[0], places[0] + len(places)))
    found = reshaped(taken.view, node.out_shape())
    assert found is not None, "indices along one axis keep the others"
    node.give(replace(taken, view=found))


def _side_of(node: NodeImport) -> Side:
    """Return the mask or indices that a node makes from others."""
    names: list[str] = []
    for place in range(len(node.inputs)):
        if node.has(place) and not node.is_constant(place):
            value = node.value(place)
            if not isinstance(value, Side):
                raise UnsupportedError("looks up computed indices in a computed tensor (one must be constant)")
            names += value.inputs
    return Side(tuple(dict.fromkeys(names)))


def _look_up(node: NodeImport) -> None:
    """Look up rows of a table: they come from DRAM as an external input; the indices are too small to count."""
    indices = node.value(1)
    if not isinstance(indices, Side):
        raise UnsupportedError("looks up indices that are computed from data (must be an input of the graph)")
    table = node.shape(0)
    if node.axis() != 0 or len(table) != 2:
        raise UnsupportedError(f"looks up along axis {node.axis()} of a table {list(table)} (must be rows of a matrix)")
    *places, width = node.out_shape()
    batch = node.graph.batch if node.graph.batch > 1 and places and places[0] == node.graph.batch else 1
    rows = 1
    for extent in places:
        rows *= extent
    rows //= batch
    flat = simplified([Atom("B", batch, 1), Atom("H", rows, 1)])
    view = reshaped((flat, whole("C", width)), node.out_shape())
    assert view is not None, "rows of a table have the axes of the indices"
    name = node.layers.add_input(node.inputs[0], (width, rows, 1))
    sources = node.layers.add(PointToPoint, node.name, (name,), K=width, H=rows, W=1)
    node.give(Tensor(sources, (width, rows, 1), view))
    node.note(f"the rows looked up in '{node.inputs[0]}' are an external input, loaded for every sample")


def parts(node: NodeImport, tensor: Tensor, axis: int, sizes: list[int]) -> list[Tensor]:
    """Return consecutive parts of an axis."""
    if len(sizes) == 1:
        return [tensor]
    atoms = tensor.view[axis]
    if len(atoms) == 1 and atoms[0].dim == "C" and atoms[0].extent * atoms[0].stride == tensor.shape[0]:
        stride = atoms[0].stride
        ranges = divided(node.layers, tensor.sources, [extent * stride for extent in sizes])
        return [
            Tensor(
                sources,
                (extent * stride, *tensor.shape[1:]),
                (*tensor.view[:axis], simplified([Atom("C", extent, stride)]), *tensor.view[axis + 1 :]),
            )
            for extent, sources in zip(sizes, ranges, strict=True)
        ]
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    return [
        _range_of(node, tensor, axis, range(start, start + extent)) for start, extent in zip(starts, sizes, strict=True)
    ]


def _range_of(node: NodeImport, tensor: Tensor, axis: int, taken: range) -> Tensor:
    """Return a range of an axis: divide layers for channels; add a `pool` of a 1×1 window for rows and columns."""
    atoms = tensor.view[axis]
    extent = size(atoms)
    if len(taken) == extent:
        return tensor
    if len(atoms) == 1 and atoms[0].dim == "C" and atoms[0].extent * atoms[0].stride == tensor.shape[0]:
        if taken.step > 1:
            raise UnsupportedError("takes channels in steps above 1 (must be neighbours)")
        sizes = [taken.start, len(taken), extent - taken.stop]
        kept = [place for place, count in enumerate(sizes) if count]
        found = parts(node, tensor, axis, [sizes[place] for place in kept])
        return found[kept.index(1)]
    for dim, place in (("H", 1), ("W", 2)):
        if atoms == whole(dim, tensor.shape[place]):
            shape = list(tensor.shape)
            shape[place] = len(taken)
            strides = {f"s{dim}": taken.step}
            sources = node.layers.add(Pool, node.name, tensor.sources, K=shape[0], H=shape[1], W=shape[2], **strides)
            view = (*tensor.view[:axis], whole(dim, len(taken)), *tensor.view[axis + 1 :])
            return Tensor(sources, (shape[0], shape[1], shape[2]), view)
    said = " and ".join(f"{_DIMENSIONS[atom.dim]} ({atom.extent})" for atom in atoms)
    raise UnsupportedError(f"takes indices {taken.start} to {taken.stop - 1} of axis {axis}, which is a part of {said}")
