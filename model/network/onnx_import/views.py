"""Where the elements of an ONNX tensor lie in an fmap: what makes reshaping and transposing cost nothing.

An fmap has channels, rows and columns. A tensor is a *view* of it: every axis is a product of *atoms*, parts of a
dimension of the fmap. GPT-2's queries of shape (batch, heads, tokens, 64), for instance, view an fmap of 768
channels and some rows as ``(), (C 12×64,), (H,), (C 64×1,)``: channels are heads and the 64 of each.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

BATCH = "B"
REPEAT = "*"
"""The dimension of an atom that repeats the same elements (broadcasting)."""


@dataclass(frozen=True)
class Atom:
    """A part of a dimension of an fmap.

    Parameters
    ----------
    dim
        ``"C"``, ``"H"`` or ``"W"`` of the fmap, `BATCH`, or `REPEAT`.
    extent
        How many values it runs through.
    stride
        How far apart these are within the dimension.
    """

    dim: str
    extent: int
    stride: int


Axis = tuple[Atom, ...]
"""The atoms of one axis, the slowest first; an axis of one element has none."""

View = tuple[Axis, ...]
"""The axes of a tensor."""


def whole(dim: str, extent: int) -> Axis:
    """Return the axis that is all of a dimension."""
    return simplified([Atom(dim, extent, 1)])


def raised(view: View, rank: int) -> View:
    """Return the axes with others of one element in front, `rank` in all, as broadcasting adds them."""
    return ((),) * (rank - len(view)) + view


def size(atoms: Iterable[Atom]) -> int:
    """Return the number of elements."""
    return prod(atom.extent for atom in atoms)


def shape_of(view: View) -> tuple[int, ...]:
    """Return the extents of the axes."""
    return tuple(size(axis) for axis in view)


def simplified(atoms: Iterable[Atom]) -> Axis:
    """Leave out atoms of one element, and join those that are neighbours in their dimension."""
    joined: list[Atom] = []
    for atom in atoms:
        if atom.extent == 1:
            continue
        last = joined[-1] if joined else None
        if last is not None and last.dim == atom.dim and last.stride == atom.stride * atom.extent:
            joined[-1] = Atom(atom.dim, last.extent * atom.extent, atom.stride)
        else:
            joined.append(atom)
    return tuple(joined)


def reshaped(view: View, shape: Sequence[int]) -> View | None:
    """Return the same elements in the same sequence with axes of other extents; None if an atom would break."""
    rest = [atom for axis in view for atom in axis]
    if size(rest) != prod(shape):
        return None
    axes: list[Axis] = []
    for extent in shape:
        axis: list[Atom] = []
        while extent > 1:
            atom = rest.pop(0)
            if extent % atom.extent == 0:
                axis.append(atom)
                extent //= atom.extent
            elif atom.extent % extent == 0:
                inner = atom.extent // extent
                axis.append(Atom(atom.dim, extent, atom.stride * inner))
                rest.insert(0, Atom(atom.dim, inner, atom.stride))
                extent = 1
            else:
                return None
        axes.append(simplified(axis))
    return tuple(axes)


def numbered(dim: str, axes: Sequence[Axis]) -> list[Axis]:
    """Return axes of the same extents that make up one dimension, the first axis slowest."""
    result: list[Axis] = []
    stride = size(atom for axis in axes for atom in axis)
    for axis in axes:
        extent = size(axis)
        stride //= extent
        result.append(simplified([Atom(dim, extent, stride)]))
    return result


def without_batch(atoms: Iterable[Atom]) -> Axis:
    """Return the atoms that lie within a sample."""
    return simplified(atom for atom in atoms if atom.dim != BATCH)
