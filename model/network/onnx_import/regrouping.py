"""Bring axes of a tensor to dimensions of an fmap where a view is not enough: to divide, join or combine them."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from math import prod

from soma_cp.model.errors import InternalError
from soma_cp.model.network.onnx_import.arranging import Dims, arranged, is_free, kept_order, sizes_of
from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.layers import Layers, Sources
from soma_cp.model.network.onnx_import.values import Tensor
from soma_cp.model.network.onnx_import.views import (
    BATCH,
    REPEAT,
    Atom,
    Axis,
    atoms_of,
    renumbered,
    reshaped,
    shape_of,
    simplified,
    size,
    undivided,
    without_batch,
)


def laid_out(layers: Layers, tensor: Tensor, groups: Sequence[Sequence[int]], name: str) -> Tensor:
    """Return the tensor as a view of an fmap whose channels, rows and columns are groups of atoms.

    Parameters
    ----------
    layers
        Takes the added layers.
    tensor
        The tensor.
    groups
        Places of atoms, counted over all axes: which become channels, rows and columns.
    name
        Prefix of the added layers' names.
    """
    channels, rows, columns = wanted = dims_of(tensor, groups)
    sources = arranged(layers, tensor, channels, rows, columns, name)
    return Tensor(sources, sizes_of(wanted), renumbered(tensor.view, groups))


def dims_of(tensor: Tensor, groups: Sequence[Sequence[int]]) -> Dims:
    """Return the dimensions that groups of atoms become; `groups` as in `laid_out`."""
    atoms = atoms_of(tensor.view)
    channels, rows, columns = (simplified(atoms[place] for place in group) for group in groups)
    return channels, rows, columns


def separated(layers: Layers, tensor: Tensor, first: int, end: int, name: str) -> Tensor:
    """Return the tensor as a view of an fmap in which the atoms from `first` to before `end` are one dimension.

    Raises
    ------
    UnsupportedError
        If samples of the batch are among them.
    """
    atoms = atoms_of(tensor.view)
    if any(atom.dim == BATCH for atom in atoms[first:end]):
        raise UnsupportedError("mixes samples of the batch with their elements (must keep samples apart)")
    one = list(range(first, end))
    others = [place for place, atom in enumerate(atoms) if atom.dim not in (BATCH, REPEAT) and not first <= place < end]
    ways = [([place for place in others if place < first], [place for place in others if place >= end])]
    for dim in "CHW":
        of_dim = sorted((place for place in others if atoms[place].dim == dim), key=lambda place: -atoms[place].stride)
        ways.append((of_dim, [place for place in others if place not in of_dim]))
    orders = [order for before, after in ways for order in permutations((before, one, after))]
    best = max(orders, key=lambda order: _kept_dimensions(tensor, dims_of(tensor, order)))
    return laid_out(layers, tensor, best, name)


def with_axis_apart(layers: Layers, tensor: Tensor, axis: int, name: str) -> Tensor:
    """Return the tensor as a view of an fmap in which an axis is one dimension; raises errors as `separated`."""
    first = len(atoms_of(tensor.view[:axis]))
    return separated(layers, tensor, first, first + len(tensor.view[axis]), name)


def _kept_dimensions(tensor: Tensor, wanted: Dims) -> int:
    """Return how many dimensions of more than one element stay what they are."""
    kept = zip(kept_order(tensor, wanted), "CHW", wanted, strict=True)
    return sum(letter == dim and atoms != () for letter, dim, atoms in kept)


def regrouped(layers: Layers, tensor: Tensor, shape: Sequence[int], name: str) -> Tensor:
    """Return the same elements in the same order with axes of other extents, whatever they are.

    Raises
    ------
    UnsupportedError
        If that mixes samples of the batch, or the number of elements differs.
    """
    extents = shape_of(tensor.view)
    if prod(extents) != prod(shape):
        raise UnsupportedError(
            f"makes {list(shape)} of {list(extents)} (must have as many elements; a dimension may be wrong)"
        )
    view = reshaped(tensor.view, shape)
    if view is None:
        flat = replace(tensor, view=(simplified(atoms_of(tensor.view)),))
        first, end = undivided(flat.view, shape)
        tensor = separated(layers, flat, first, end, name)
        view = reshaped(tensor.view, shape)
    if view is None:
        raise InternalError(f"axes of {list(shape_of(tensor.view))} are not regrouped into {list(shape)}")
    return replace(tensor, view=view)


def aligned(layers: Layers, tensor: Tensor, like: Tensor, name: str) -> Sources:
    """Return sources of an fmap in which `tensor` is arranged like `like`, which has the same axes.

    Axes of one element in `tensor` are repeated.
    """
    for axis, atoms in enumerate(like.view):
        own = tensor.view[axis]
        if size(own) > 1 and reshaped((own,), [atom.extent for atom in atoms]) is None:
            tensor = with_axis_apart(layers, tensor, axis, name)
    wanted = _alignment(tensor, like)
    if wanted is None:
        raise UnsupportedError("combines tensors whose axes are split differently")
    return arranged(layers, tensor, wanted[0], wanted[1], wanted[2], name)


def is_aligned(layers: Layers, tensor: Tensor, like: Tensor) -> bool:
    """Whether `aligned` adds no layer."""
    wanted = _alignment(tensor, like)
    return wanted is not None and is_free(layers, tensor, wanted)


def _alignment(tensor: Tensor, like: Tensor) -> Dims | None:
    """Return the atoms of `tensor` that are channels, rows and columns of `like`; None if they must be divided."""
    found: list[tuple[Atom, Axis]] = []
    for own, atoms in zip(tensor.view, like.view, strict=True):
        refined: Sequence[Axis] | None
        if size(own) == 1:
            refined = [(Atom(REPEAT, atom.extent, 0),) for atom in atoms]
        else:
            refined = reshaped((own,), [atom.extent for atom in atoms])
        if refined is None:
            return None
        found += zip(atoms, refined, strict=True)
    dims: list[Axis] = []
    for dim in "CHW":
        of_dim = sorted((pair for pair in found if pair[0].dim == dim), key=lambda pair: -pair[0].stride)
        dims.append(without_batch(simplified(atom for _, axis_atoms in of_dim for atom in axis_atoms)))
    return dims[0], dims[1], dims[2]
