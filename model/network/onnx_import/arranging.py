"""Bring a tensor's elements to the channels, rows and columns that a layer reads; add layers where needed.

What costs nothing comes first: the fmap as it is, an external input in another arrangement. Then one layer: a `pool`
with a 1×1 window for a part, a `transpose` of dimensions, a `ptp` that permutes channels, an `upsample` that repeats.
Keys are transposed head by head where the layers that make them can be divided by heads. Any other arrangement is one
*regrouping* `transpose`, which keeps as many dimensions as it can.
"""

from dataclasses import replace
from math import prod

from soma_cp.model.network.layers import PointToPoint, Pool, Shape, Transpose, Upsample
from soma_cp.model.network.onnx_import.dividing import can_divide, divided, sizes_around
from soma_cp.model.network.onnx_import.layers import Layers, Sources
from soma_cp.model.network.onnx_import.values import Tensor
from soma_cp.model.network.onnx_import.views import (
    BATCH,
    REPEAT,
    Atom,
    Axis,
    atoms_of,
    by_stride,
    is_repeated,
    reshaped,
    simplified,
    size,
    whole,
)

Dims = tuple[Axis, Axis, Axis]
"""The atoms that become channels, rows and columns."""


def arranged(layers: Layers, tensor: Tensor, channels: Axis, rows: Axis, columns: Axis, name: str) -> Sources:
    """Return sources of an fmap whose dimensions are the given atoms of `tensor`.

    Parameters
    ----------
    layers
        Takes the added layers. External inputs need none: DRAM may hold them in any arrangement.
    tensor
        The tensor to read; it may be a part of its fmap.
    channels, rows, columns
        Atoms of the tensor's view, without those of the batch.
    name
        Prefix of the added layers' names.
    """
    wanted = (simplified(channels), simplified(rows), simplified(columns))
    if is_repeated(wanted):
        return _repeated(layers, tensor, wanted, name)
    if wanted == _dims(tensor.shape) and not any(tensor.offset):
        return tensor.sources
    tensor = replace(tensor, sources=layers.resolved(tensor.sources))
    if _is_rearranged_input(layers, tensor, wanted):
        order = kept_order(tensor, wanted)
        return layers.rearranged_input(tensor.sources, (wanted, tensor.offset), sizes_of(wanted), order)
    key = (tensor.sources, tensor.shape, tensor.offset, wanted)
    known = layers.arrangements.get(key)
    if known is None:
        known = layers.arrangements[key] = _made(layers, tensor, wanted, name)
    return layers.resolved(known)


def is_free(layers: Layers, tensor: Tensor, wanted: Dims) -> bool:
    """Whether `arranged` adds no layer."""
    if is_repeated(wanted):
        return False
    sources = layers.resolved(tensor.sources)
    return (
        (wanted == _dims(tensor.shape) and not any(tensor.offset))
        or _is_rearranged_input(layers, tensor, wanted)
        or (sources, tensor.shape, tensor.offset, wanted) in layers.arrangements
    )


def _is_rearranged_input(layers: Layers, tensor: Tensor, wanted: Dims) -> bool:
    """Whether all elements of external inputs are wanted, each once: DRAM may hold them so."""
    sources = tensor.sources
    origins = layers.origins(sources)
    is_input = all(layers.is_input(source) for source in sources) and len(set(origins)) == len(origins)
    return is_input and prod(sizes_of(wanted)) == prod(tensor.shape)


def _dims(shape: Shape) -> Dims:
    return whole("C", shape[0]), whole("H", shape[1]), whole("W", shape[2])


def sizes_of(wanted: Dims) -> Shape:
    """Return the extents of dimensions."""
    return size(wanted[0]), size(wanted[1]), size(wanted[2])


def _made(layers: Layers, tensor: Tensor, wanted: Dims, name: str) -> Sources:
    if not is_whole(tensor):
        part = _compact_view(tensor, wanted)
        if part == _dims(_compact_shape(tensor)):
            return compacted(layers, tensor, name).sources
        if _is_range_of_channels(layers, tensor):
            return arranged(layers, compacted(layers, tensor, name), part[0], part[1], part[2], name)
        return _regrouped(layers, tensor, wanted, name)
    if any(tensor.offset):
        return _regrouped(layers, tensor, wanted, name)
    before = _arranged_before(layers, tensor, wanted)
    if before:
        return before
    dims, (K, H, W) = _dims(tensor.shape), sizes_of(wanted)
    order = _permutation(wanted, dims)
    if order:
        made = layers.add(Transpose, f"{name}_transpose", tensor.sources, K=K, H=H, W=W, order=order)
        return layers.remember_arrangement(made, tensor.sources, tensor.shape, wanted)
    if wanted[1:] == dims[1:] and _is_permuted(wanted[0], tensor.shape[0]):
        made = layers.add(PointToPoint, f"{name}_shuffle", tensor.sources, K=K, H=H, W=W)
        return layers.remember_arrangement(made, tensor.sources, tensor.shape, wanted)
    for dim in "HW":
        groups = _groups(wanted, tensor, dim)
        if groups and _can_transpose_by_group(layers, tensor, groups):
            return _transposed_by_group(layers, tensor, groups, dim, name)
    return _regrouped(layers, tensor, wanted, name)


def _regrouped(layers: Layers, tensor: Tensor, wanted: Dims, name: str) -> Sources:
    """Add a regrouping transpose."""
    made = layers.regroup(f"{name}_regroup", tensor.sources, sizes_of(wanted), kept_order(tensor, wanted))
    if is_whole(tensor) and not any(tensor.offset):
        layers.remember_arrangement(made, tensor.sources, tensor.shape, wanted)
    return made


def kept_order(tensor: Tensor, wanted: Dims) -> str:
    """Return for each wanted dimension the dimension of the fmap that it is; ``*`` if it is none."""
    dims = _dims(tensor.shape)
    kept = {dims[place]: letter for place, letter in enumerate("CHW") if dims[place] and not tensor.offset[place]}
    free = [letter for place, letter in enumerate("CHW") if not dims[place]]
    return "".join(kept.get(atoms, "*") if atoms or not free else free.pop(0) for atoms in wanted)


def _arranged_before(layers: Layers, tensor: Tensor, wanted: Dims) -> Sources:
    """Return the sources of which the tensor is an arrangement, if they are arranged as wanted; else nothing."""
    found = layers.arrangement(tensor.sources)
    if found is None:
        return ()
    sources, shape, dims = found
    axes: list[Axis] = []
    for atoms in wanted:
        axis: list[Atom] = []
        for atom in atoms:
            inner = dims["CHW".index(atom.dim)]
            split = reshaped((inner,), (size(inner) // (atom.extent * atom.stride), atom.extent, atom.stride))
            if split is None:
                return ()
            axis += split[1]
        axes.append(simplified(axis))
    return sources if tuple(axes) == _dims(shape) else ()


def _permutation(wanted: Dims, dims: Dims) -> str:
    """Return the order of a `transpose`; empty if a dimension would be split."""
    order: list[str] = []
    free = [dim for dim, atoms in zip("CHW", dims, strict=True) if not atoms]
    for atoms in wanted:
        if not atoms and free:
            order.append(free.pop(0))
        elif atoms in dims and atoms:
            order.append("CHW"[dims.index(atoms)])
        else:
            return ""
    return "".join(order)


def _is_permuted(atoms: Axis, extent: int) -> bool:
    """Whether `atoms` are all channels, in any order."""
    return all(atom.dim == "C" for atom in atoms) and by_stride(atoms) == whole("C", extent)


def in_any_sequence(channels: Axis) -> Axis:
    """Return channels as they lie in their fmap: in what sequence a layer with weights reads them, the weights say."""
    return by_stride(channels) if all(atom.dim == "C" for atom in channels) else channels


def _repeated(layers: Layers, tensor: Tensor, wanted: Dims, name: str) -> Sources:
    once = [simplified(atom for atom in atoms if atom.dim != REPEAT) for atoms in wanted]
    sources = arranged(layers, tensor, once[0], once[1], once[2], name)
    sizes = [size(atoms) for atoms in wanted]
    factors = [whole_size // size(atoms) for whole_size, atoms in zip(sizes, once, strict=True)]
    return layers.add(
        Upsample,
        f"{name}_repeat",
        sources,
        K=sizes[0],
        H=sizes[1],
        W=sizes[2],
        sK=factors[0],
        sH=factors[1],
        sW=factors[2],
    )


# Parts of an fmap


def _used(tensor: Tensor, dim: str) -> Axis:
    """Return the atoms of a dimension, the slowest first."""
    return by_stride(atom for atom in atoms_of(tensor.view) if atom.dim == dim)


def is_whole(tensor: Tensor) -> bool:
    """Whether a tensor has every element of its fmap; with an offset, they are shifted."""
    return all(_used(tensor, dim) == whole(dim, extent) for dim, extent in zip("CHW", tensor.shape, strict=True))


def _compact_shape(tensor: Tensor) -> Shape:
    return size(_used(tensor, "C")), size(_used(tensor, "H")), size(_used(tensor, "W"))


def _compact_axis(tensor: Tensor, axis: Axis) -> Axis:
    """Return atoms of the tensor as atoms of the fmap that has its elements alone."""
    atoms = atoms_of(tensor.view)
    found: list[Atom] = []
    for atom in axis:
        inner = [other for other in atoms if other.dim == atom.dim and other.stride < atom.stride]
        found.append(atom if atom.dim in (BATCH, REPEAT) else Atom(atom.dim, atom.extent, size(inner)))
    return simplified(found)


def _compact_view(tensor: Tensor, wanted: Dims) -> Dims:
    return (
        _compact_axis(tensor, wanted[0]),
        _compact_axis(tensor, wanted[1]),
        _compact_axis(tensor, wanted[2]),
    )


def compact(tensor: Tensor) -> Tensor:
    """Return the tensor that `compacted` makes, with the sources as they are: to look at, not to read."""
    view = tuple(_compact_axis(tensor, axis) for axis in tensor.view)
    return Tensor(tensor.sources, _compact_shape(tensor), view)


def _range(tensor: Tensor, place: int) -> range | None:
    """Return the channels, rows or columns of a tensor, if their distances are the same."""
    used, start, extent = _used(tensor, "CHW"[place]), tensor.offset[place], tensor.shape[place]
    if len(used) > 1:
        return None
    step = used[0].stride if used else 1
    taken = range(start, start + size(used) * step, step)
    return taken if taken[-1] < extent else None


def _channel_sizes(tensor: Tensor) -> tuple[list[int], int] | None:
    """Return sizes of ranges of channels, and the place among them of the range that a tensor has."""
    taken = _range(tensor, 0)
    if taken is None or taken.step != 1:
        return None
    return sizes_around(taken, tensor.shape[0])


def _is_range_of_channels(layers: Layers, tensor: Tensor) -> bool:
    """Whether the tensor has all rows and columns, and channels by which its layers can be divided."""
    found = _channel_sizes(tensor)
    places = all(_range(tensor, place) == range(tensor.shape[place]) for place in (1, 2))
    return places and found is not None and can_divide(layers, tensor.sources, found[0])


def compacted(layers: Layers, tensor: Tensor, name: str) -> Tensor:
    """Return the tensor as a view of an fmap that has its elements alone.

    Ranges of channels divide the layers that make them; ranges of rows and columns are a `pool`; others are regrouped.
    """
    if is_whole(tensor) and not any(tensor.offset):
        return tensor
    tensor = replace(tensor, sources=layers.resolved(tensor.sources))
    used = (_used(tensor, "C"), _used(tensor, "H"), _used(tensor, "W"))
    key = (tensor.sources, tensor.shape, tensor.offset, used)
    known = layers.arrangements.get(key)
    if known is None:
        known = layers.arrangements[key] = _taken(layers, tensor, used, tensor.name or name)
    return replace(compact(tensor), sources=layers.resolved(known))


def _taken(layers: Layers, tensor: Tensor, used: Dims, name: str) -> Sources:
    rows, columns = _range(tensor, 1), _range(tensor, 2)
    channels = _channel_sizes(tensor)
    if rows is None or columns is None or channels is None or not can_divide(layers, tensor.sources, channels[0]):
        if _is_rearranged_input(layers, tensor, used):
            return layers.rearranged_input(
                tensor.sources, (used, tensor.offset), tensor.shape, kept_order(tensor, used)
            )
        return _regrouped(layers, tensor, used, name)
    sizes, place = channels
    sources = tensor.sources if len(sizes) == 1 else divided(layers, tensor.sources, sizes)[place]
    if (len(rows), len(columns)) == tensor.shape[1:]:
        return sources
    fields = {"K": sizes[place], "H": len(rows), "W": len(columns)}
    strides = {f"s{dim}": taken.step for dim, taken in (("H", rows), ("W", columns)) if taken.step > 1}
    return layers.add(Pool, name, sources, **fields, **strides)


# Keys, head by head


def _groups(wanted: Dims, tensor: Tensor, dim: str) -> int:
    """Return the number of groups of channels that need a transpose each, or 0.

    This is so where the wanted channels are (group, row) and the wanted rows are the channels within a group; `dim` is
    the dimension that has the rows now.
    """
    channels, rows, columns = wanted
    total, *extents = tensor.shape
    extent, other = extents if dim == "H" else extents[::-1]
    if other != 1 or columns or len(rows) != 1:
        return 0
    inner = rows[0].extent
    by_group = simplified([Atom("C", total // inner, inner), Atom(dim, extent, 1)])
    return total // inner if channels == by_group and rows == (Atom("C", inner, 1),) else 0


def _can_transpose_by_group(layers: Layers, tensor: Tensor, groups: int) -> bool:
    if any(not layers.is_input(name) and isinstance(layers.layer(name), Transpose) for name in tensor.sources):
        return bool(layers.rows_joined(tensor.sources))  # one more arrangement is one layer with this one
    lots = layers.rows_joined(tensor.sources) or [tensor.sources]
    sizes = [tensor.shape[0] // groups] * groups
    return all(all(layers.is_input(name) for name in lot) or can_divide(layers, lot, sizes) for lot in lots)


def _transposed_by_group(layers: Layers, tensor: Tensor, groups: int, dim: str, name: str) -> Sources:
    """Transpose every group of channels, and join them; tokens that were joined are transposed lot by lot."""
    together = layers.rows_joined(tensor.sources)
    if together:
        inner = tensor.shape[0] // groups
        lots: list[str] = []
        for lot in together:
            channels, rows, _ = shape = layers.shape_of_all(lot)
            part = Tensor(lot, shape, (whole("C", channels), whole("H", rows)))
            wanted = simplified([Atom("C", groups, inner), Atom("H", rows, 1)])
            lots += arranged(layers, part, wanted, (Atom("C", inner, 1),), (), name)
        return (layers.joined(lots, f"{name}_concat"),)
    channels, height, width = tensor.shape
    inner, rows = channels // groups, height * width
    order = "HCW" if dim == "H" else "WCH"
    parts: list[str] = []
    for group, sources in enumerate(divided(layers, tensor.sources, [inner] * groups)):
        parts += layers.add(Transpose, f"{name}_transpose_{group}", sources, K=rows, H=inner, W=1, order=order)
    return (layers.joined(parts, f"{name}_concat"),)
