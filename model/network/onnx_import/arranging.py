"""Bring a tensor's elements to the channels, rows and columns that a layer reads; add layers where needed."""

from collections.abc import Sequence
from math import prod

from soma_cp.model.network.layers import PointToPoint, Transpose, Upsample
from soma_cp.model.network.onnx_import.dividing import divided
from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.layers import Layers, Sources
from soma_cp.model.network.onnx_import.values import Tensor
from soma_cp.model.network.onnx_import.views import (
    REPEAT,
    Atom,
    Axis,
    reshaped,
    shape_of,
    simplified,
    size,
    whole,
    without_batch,
)


def arranged(layers: Layers, tensor: Tensor, channels: Axis, rows: Axis, columns: Axis, name: str) -> Sources:
    """Return sources of an fmap whose dimensions are the given atoms of `tensor`.

    Parameters
    ----------
    layers
        Takes the added layers: a `transpose`, a `ptp` that permutes channels, an `upsample` that repeats. External
        inputs need none: DRAM may hold them in any arrangement.
    tensor
        The tensor to read.
    channels, rows, columns
        Atoms of the tensor's view, without those of the batch.
    name
        Prefix of the added layers' names.

    Raises
    ------
    UnsupportedError
        If no kind of layer does this.
    """
    wanted = [simplified(atoms) for atoms in (channels, rows, columns)]
    if any(atom.dim == REPEAT for atoms in wanted for atom in atoms):
        return _repeated(layers, tensor, wanted, name)
    dims = [whole(dim, extent) for dim, extent in zip("CHW", tensor.shape, strict=True)]
    if wanted == dims:
        return tensor.sources
    sizes = [size(atoms) for atoms in wanted]
    if all(layers.is_input(source) for source in tensor.sources) and prod(sizes) == prod(tensor.shape):
        return layers.rearranged_input(tensor.sources, (sizes[0], sizes[1], sizes[2]))
    order = _permutation(wanted, dims)
    if order:
        return layers.add(
            Transpose, f"{name}_transpose", tensor.sources, K=sizes[0], H=sizes[1], W=sizes[2], order=order
        )
    if wanted[1:] == dims[1:] and _is_permuted(wanted[0], tensor.shape[0]):
        channels_, rows_, columns_ = tensor.shape
        return layers.add(PointToPoint, f"{name}_shuffle", tensor.sources, K=channels_, H=rows_, W=columns_)
    for dim in "HW":
        groups = _groups(wanted, tensor, dim)
        if groups:
            return _transposed_by_group(layers, tensor, groups, dim, name)
    raise UnsupportedError(
        "needs channels, rows and columns in another arrangement than any kind of layer makes: "
        f"{_said(wanted)} of an fmap of {'×'.join(map(str, tensor.shape))}"
    )


def _said(wanted: Sequence[Axis]) -> str:
    """Name the atoms of three dimensions, such as ``C from H (14) and W (14)``."""
    return ", ".join(
        f"{dim} from {' and '.join(f'{atom.dim} ({atom.extent})' for atom in atoms)}"
        for dim, atoms in zip("CHW", wanted, strict=True)
        if atoms
    )


def _permutation(wanted: Sequence[Axis], dims: Sequence[Axis]) -> str:
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
    ordered = simplified(sorted(atoms, key=lambda atom: -atom.stride))
    return all(atom.dim == "C" for atom in atoms) and ordered == whole("C", extent)


def _groups(wanted: Sequence[Axis], tensor: Tensor, dim: str) -> int:
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


def _repeated(layers: Layers, tensor: Tensor, wanted: Sequence[Axis], name: str) -> Sources:
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


def aligned(layers: Layers, tensor: Tensor, like: Tensor, name: str) -> Sources:
    """Return sources of an fmap in which `tensor` is arranged like `like`, which has the same axes.

    Axes of one element in `tensor` are repeated.

    Raises
    ------
    UnsupportedError
        If no kind of layer does this.
    """
    atoms = [(axis, atom) for axis, axis_atoms in enumerate(like.view) for atom in axis_atoms]
    found: list[tuple[Atom, Axis]] = []
    extents = shape_of(tensor.view)
    for axis, axis_atoms in enumerate(like.view):
        refined: Sequence[Axis] | None
        if extents[axis] == 1:
            refined = [(Atom(REPEAT, atom.extent, 0),) for atom in axis_atoms]
        else:
            refined = reshaped((tensor.view[axis],), [atom.extent for atom in axis_atoms])
        if refined is None:
            raise UnsupportedError("combines tensors whose axes are split differently")
        found += zip([atom for place, atom in atoms if place == axis], refined, strict=True)
    dims: list[Axis] = []
    for dim in "CHW":
        of_dim = sorted((pair for pair in found if pair[0].dim == dim), key=lambda pair: -pair[0].stride)
        dims.append(simplified(atom for _, axis_atoms in of_dim for atom in axis_atoms))
    return arranged(layers, tensor, without_batch(dims[0]), without_batch(dims[1]), without_batch(dims[2]), name)
