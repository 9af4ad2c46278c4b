"""How tensors are joined along an axis: the cheapest of several ways.

Parts of one fmap that lie side by side are a larger part of it, and cost nothing. Tensors of the same shape, or with
all channels on the axis, are several sources that readers read one after another; this costs nothing either. Other
parts of one fmap are one regrouping transpose. Otherwise each tensor is brought to an arrangement with the axis on
channels.
"""

from collections.abc import Sequence
from dataclasses import replace

from soma_cp.model.network.layers import Transpose
from soma_cp.model.network.onnx_import.arranging import (
    Dims,
    arranged,
    compact,
    compacted,
    is_free,
    is_whole,
    kept_order,
)
from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.graph import Graph, Node
from soma_cp.model.network.onnx_import.layers import Sources
from soma_cp.model.network.onnx_import.node_import import NodeImport
from soma_cp.model.network.onnx_import.operators.registry import Axes, facts_of
from soma_cp.model.network.onnx_import.regrouping import dims_of, laid_out
from soma_cp.model.network.onnx_import.values import Tensor
from soma_cp.model.network.onnx_import.views import (
    BATCH,
    REPEAT,
    Atom,
    Axis,
    View,
    atoms_of,
    batch_of,
    by_stride,
    is_repeated,
    renumbered,
    shape_of,
    simplified,
    size,
    whole,
    with_axis,
    without_batch,
)


def joined(node: NodeImport, tensors: Sequence[Tensor], axis: int) -> Tensor:
    """Return the concatenation of tensors, which may be parts of fmaps.

    Raises
    ------
    UnsupportedError
        If it joins samples of the batch.
    """
    tensors = [replace(tensor, sources=node.layers.resolved(tensor.sources)) for tensor in tensors]
    tensors = [tensor for tensor in tensors if shape_of(tensor.view)[axis]]
    _check_batch(tensors, axis)
    if len(tensors) == 1:
        return tensors[0]
    for way in (_side_by_side, _on_a_lattice, _parts_of_one, _channels, _with_cache, _alike, _on_channels):
        found = way(node, tensors, axis)
        if found is not None:
            return found
    raise UnsupportedError(f"joins tensors along axis {axis}, which no kind of layer does")


def _check_batch(tensors: Sequence[Tensor], axis: int) -> None:
    batches = [[batch_of(atoms) for atoms in tensor.view] for tensor in tensors]
    if any(batch[axis] for batch in batches):
        raise UnsupportedError("joins samples of the batch (must keep them apart)")
    if any(batch != batches[0] for batch in batches):
        raise UnsupportedError("joins tensors whose samples lie along different axes (must be the same)")


def _without(view: View, axis: int) -> View:
    return (*view[:axis], *view[axis + 1 :])


def _is_same_fmap(tensors: Sequence[Tensor], axis: int) -> bool:
    return len({(tensor.sources, tensor.shape, _without(tensor.view, axis)) for tensor in tensors}) == 1


def _side_by_side(node: NodeImport, tensors: Sequence[Tensor], axis: int) -> Tensor | None:
    """Join ranges of one dimension of one fmap where one begins at which the other ends; the end meets the start."""
    first = tensors[0]
    atoms = max((tensor.view[axis] for tensor in tensors), key=len)
    if not _is_same_fmap(tensors, axis) or len(atoms) != 1 or atoms[0].dim == REPEAT:
        return None
    dim, stride = atoms[0].dim, atoms[0].stride
    place = "CHW".index(dim)
    offset, count = first.offset, 0
    for tensor in tensors:
        extent = shape_of(tensor.view)[axis]
        expected = [*first.offset]
        expected[place] = (offset[place] + count * stride) % first.shape[place]
        if tensor.view[axis] != simplified([Atom(dim, extent, stride)]) or tensor.offset != tuple(expected):
            return None
        count += extent
    if count * stride > first.shape[place] + stride - 1:
        return None  # it has an element twice
    view = with_axis(first.view, axis, simplified([Atom(dim, count, stride)]))
    return replace(first, view=view, name=node.name)


def _on_a_lattice(node: NodeImport, tensors: Sequence[Tensor], axis: int) -> Tensor | None:
    """Join parts of one fmap that differ by their offset, if the offsets are multiples of few strides."""
    first = tensors[0]
    if len({(tensor.sources, tensor.shape, tensor.view) for tensor in tensors}) > 1:
        return None
    atoms = _lattice([tensor.offset for tensor in tensors])
    if atoms is None:
        return None
    taken = [(atom.dim, atom.stride) for atom in atoms_of(first.view)]
    if any((atom.dim, atom.stride) in taken for atom in atoms):
        return None
    view = with_axis(first.view, axis, simplified((*atoms, *first.view[axis])))
    made = replace(first, view=view, name=node.name)
    return made if _are_digits(made) else None


def _lattice(offsets: Sequence[tuple[int, int, int]]) -> Axis | None:
    """Return atoms whose indices, in sequence, lead to the offsets."""
    if len(offsets) == 1:
        return ()
    steps = [after - before for before, after in zip(offsets[0], offsets[1], strict=True)]
    moved = [place for place, step in enumerate(steps) if step]
    if len(moved) != 1 or steps[moved[0]] < 1:
        return None
    place = moved[0]
    count = 0
    while count < len(offsets) and all(offsets[count][dim] == offsets[0][dim] + count * steps[dim] for dim in range(3)):
        count += 1
    if len(offsets) % count:
        return None
    lots = [offsets[start : start + count] for start in range(0, len(offsets), count)]
    for lot in lots:
        if any(lot[i][dim] != lot[0][dim] + i * steps[dim] for i in range(count) for dim in range(3)):
            return None
    outer = _lattice([lot[0] for lot in lots])
    return None if outer is None else (*outer, Atom("CHW"[place], count, steps[place]))


def _are_digits(tensor: Tensor) -> bool:
    """Whether no element is named twice: within a dimension, each atom steps over all that are faster."""
    for dim in "CHW":
        atoms = sorted((a for a in atoms_of(tensor.view) if a.dim == dim), key=lambda atom: atom.stride)
        reach = 0
        for atom in atoms:
            if atom.stride <= reach:
                return False
            reach += (atom.extent - 1) * atom.stride
    return True


def _channels(node: NodeImport, tensors: Sequence[Tensor], axis: int) -> Tensor | None:
    """Join tensors whose channels are the axis, if they are arranged alike."""
    views = [compact(tensor) for tensor in tensors]
    first = views[0]
    for view in views:
        if view.view[axis] != whole("C", view.shape[0]) or _without(view.view, axis) != _without(first.view, axis):
            return None
        if view.shape[1:] != first.shape[1:] or is_repeated(view.view):
            return None
    made = [compacted(node.layers, tensor, node.name) for tensor in tensors]
    channels = sum(view.shape[0] for view in views)
    return Tensor(
        _sources(node, made),
        (channels, *first.shape[1:]),
        with_axis(first.view, axis, whole("C", channels)),
    )


def _sources(node: NodeImport, tensors: Sequence[Tensor]) -> Sources:
    return tuple(name for tensor in tensors for name in tensor.sources)


def _with_cache(node: NodeImport, tensors: Sequence[Tensor], axis: int) -> Tensor | None:
    """Join cached keys or values of several heads with new ones as the published networks do.

    These transpose each, join them by a `ptp` and transpose the result, or the keys head by head.
    """
    is_cached = [all(node.layers.is_input(name) for name in tensor.sources) for tensor in tensors]
    split = [atoms for atoms in tensors[0].view if atoms and all(atom.dim == "C" for atom in atoms)]
    if len(split) != 2 or not any(is_cached) or all(is_cached) or _leads_to_output(node.graph, node.outputs[0]):
        return None
    for tensor in tensors:
        channels, rows, columns = tensor.shape
        heads = simplified(atom for atom in atoms_of(tensor.view) if atom.dim == "C")
        fits = columns == 1 and tensor.view[axis] == whole("H", rows) and heads == whole("C", channels)
        if not fits or _without(tensor.view, axis) != _without(tensors[0].view, axis) or any(tensor.offset):
            return None
    swapped: list[str] = []
    for i, tensor in enumerate(tensors):
        rows_, channels_ = whole("H", tensor.shape[1]), whole("C", tensor.shape[0])
        swapped += arranged(node.layers, tensor, rows_, channels_, (), f"{node.name}_{i}")
    source = node.layers.joined(swapped, f"{node.name}_concat")
    rows, channels, _ = node.layers.shape(source)
    made = node.layers.add(Transpose, node.name, (source,), K=channels, H=rows, W=1, order="HCW")
    node.layers.remember_rows(made[0], [tensor.sources for tensor in tensors])
    first = tensors[0]
    return Tensor(made, (channels, rows, 1), with_axis(first.view, axis, whole("H", rows)))


def _alike(node: NodeImport, tensors: Sequence[Tensor], axis: int) -> Tensor | None:
    """Join tensors of the same view and shape: channels of one after those of another, and the axis says which."""
    views = [compact(tensor) for tensor in tensors]
    first = views[0]
    if any((view.shape, view.view) != (first.shape, first.view) for view in views) or is_repeated(first.view):
        return None
    if len({(tensor.sources, tensor.offset) for tensor in tensors}) < len(tensors) or _is_parts_of_one(tensors):
        return None
    made = [compacted(node.layers, tensor, node.name) for tensor in tensors]
    atoms = simplified([Atom("C", len(tensors), first.shape[0]), *first.view[axis]])
    shape = (len(tensors) * first.shape[0], *first.shape[1:])
    result = Tensor(_sources(node, made), shape, with_axis(first.view, axis, atoms))
    return _as_before(node, result, tensors, axis) if first.view[axis] else result


def _is_parts_of_one(tensors: Sequence[Tensor]) -> bool:
    return len({tensor.sources for tensor in tensors}) == 1


def _leads_to_output(graph: Graph, tensor: str) -> bool:
    """Whether a tensor is an output of the graph, or one with other axes is."""

    def follows(reader: Node, _: str) -> bool:
        return facts_of(reader.kind).axes is Axes.PERMUTED or facts_of(reader.kind).regroups_axes

    return any(name in graph.outputs for name in graph.reached([tensor], follows))


def _parts_of_one(node: NodeImport, tensors: Sequence[Tensor], axis: int) -> Tensor | None:
    """Join parts of one fmap by a layer that reads it once."""
    first = tensors[0]
    if not _is_parts_of_one(tensors) or all(is_whole(tensor) for tensor in tensors):
        return None
    if any(is_repeated(tensor.view) for tensor in tensors):
        return None
    splits = _splits(len(first.view), axis)
    orders = [[kept_order(tensor, _wanted(tensor, [[axis], *split]))[1:] for tensor in tensors] for split in splits]
    alike = [order[0] if len(set(order)) == 1 else "**" for order in orders]
    best = min(range(len(splits)), key=lambda place: alike[place].count("*"))
    groups = [_groups(tensor, [[axis], *splits[best]]) for tensor in tensors]
    views = [renumbered(tensor.view, group) for tensor, group in zip(tensors, groups, strict=True)]
    K = sum(shape_of(view)[axis] for view in views)
    _, H, W = (size(atoms) for atoms in _wanted(first, [[axis], *splits[best]]))
    made = node.layers.regroup(node.name, first.sources, (K, H, W), f"*{alike[best]}")
    return Tensor(made, (K, H, W), with_axis(views[0], axis, whole("C", K)))


def _on_channels(node: NodeImport, tensors: Sequence[Tensor], axis: int) -> Tensor:
    """Bring each tensor to an arrangement with the axis on channels; the other axes are rows and columns."""

    def layers_of(split: tuple[list[int], list[int]]) -> int:
        return sum(not is_free(node.layers, tensor, _wanted(tensor, [[axis], *split])) for tensor in tensors)

    rows, columns = min(_splits(len(tensors[0].view), axis), key=layers_of)
    made = [
        laid_out(node.layers, tensor, _groups(tensor, [[axis], rows, columns]), f"{node.name}_{i}")
        for i, tensor in enumerate(tensors)
    ]
    channels = sum(tensor.shape[0] for tensor in made)
    first = made[0]
    shape = (channels, *first.shape[1:])
    view = with_axis(first.view, axis, whole("C", channels))
    return _as_before(node, Tensor(_sources(node, made), shape, view), tensors, axis)


def _as_before(node: NodeImport, made: Tensor, tensors: Sequence[Tensor], axis: int) -> Tensor:
    """Return a concatenation with its axes on the dimensions on which the largest tensor has them, if they are whole.

    If what reads it needs another arrangement, both are one layer in the end.
    """
    computed = [tensor for tensor in tensors if not all(node.layers.is_input(name) for name in tensor.sources)]
    like = compact(max(computed or tensors, key=lambda tensor: shape_of(tensor.view)[axis]))
    dims = [{atom.dim for atom in atoms} - {BATCH} for atoms in like.view]
    taken = set().union(*(dim for place, dim in enumerate(dims) if place != axis))
    free = [dim for dim in "HWC" if dim in dims[axis] or not dims[axis]]
    target = next((dim for dim in free if dim not in taken), None)
    if target is None or any(len(dim) > 1 for place, dim in enumerate(dims) if place != axis):
        return made
    groups: dict[str, list[int]] = {dim: [place for place, own in enumerate(dims) if own == {dim}] for dim in "CHW"}
    groups = {dim: [place for place in places if place != axis] for dim, places in groups.items()}
    for places in groups.values():
        atoms = without_batch(atoms_of(like.view[place] for place in places))
        if atoms != by_stride(atoms):
            return made  # in another sequence than in the fmap
    groups[target] = [axis]
    return laid_out(node.layers, made, _groups(made, [groups["C"], groups["H"], groups["W"]]), node.name)


def _splits(rank: int, axis: int) -> list[tuple[list[int], list[int]]]:
    """Return the ways to divide all axes but one into rows and columns, in their order."""
    others = [place for place in range(rank) if place != axis]
    return [(others[:cut], others[cut:]) for cut in range(len(others), -1, -1)]


def _wanted(tensor: Tensor, axes: Sequence[Sequence[int]]) -> Dims:
    """Return the dimensions that three groups of axes become."""
    return dims_of(tensor, _groups(tensor, axes))


def _groups(tensor: Tensor, axes: Sequence[Sequence[int]]) -> tuple[list[int], list[int], list[int]]:
    """Return the places of the atoms of three groups of axes, without those of the batch."""
    places: list[list[int]] = []
    count = 0
    for atoms in tensor.view:
        places.append([count + i for i, atom in enumerate(atoms) if atom.dim != BATCH])
        count += len(atoms)
    channels, rows, columns = ([place for axis in group for place in places[axis]] for group in axes)
    return channels, rows, columns
