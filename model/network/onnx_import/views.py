"""Where the elements of an ONNX tensor lie in an fmap; this is why reshaping and transposing cost nothing.

An fmap has channels, rows and columns. A tensor is a *view* of it: each axis is a product of *atoms*, and an atom is
part of one dimension of the fmap. For instance, GPT-2's queries of shape (batch, heads, tokens, 64) view an fmap of 768
channels and some rows as ``(), (C 12×64,), (H,), (C 64×1,)``: the channels are the heads times the 64 channels of each.
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
        Number of values that it takes.
    stride
        Distance between neighbouring values within the dimension.
    """

    dim: str
    extent: int
    stride: int


Axis = tuple[Atom, ...]
"""The atoms of one axis, the slowest first; an axis of one element has none."""

View = tuple[Axis, ...]
"""The axes of a tensor."""


def whole(dim: str, extent: int) -> Axis:
    """Return the axis that is a whole dimension."""
    return simplified([Atom(dim, extent, 1)])


def raised(view: View, rank: int) -> View:
    """Return `rank` axes: these, and before them the axes of one element that broadcasting adds."""
    return ((),) * (rank - len(view)) + view


def atoms_of(axes: Iterable[Axis]) -> list[Atom]:
    """Return the atoms of several axes, one axis after another."""
    return [atom for axis in axes for atom in axis]


def by_stride(atoms: Iterable[Atom]) -> Axis:
    """Return atoms of one dimension as they lie in it, the slowest first."""
    return simplified(sorted(atoms, key=lambda atom: -atom.stride))


def with_axis(view: View, place: int, axis: Axis) -> View:
    """Return a view with another axis in a place."""
    return (*view[:place], axis, *view[place + 1 :])


def size(atoms: Iterable[Atom]) -> int:
    """Return the number of elements."""
    return prod(atom.extent for atom in atoms)


def shape_of(view: View) -> tuple[int, ...]:
    """Return the extents of the axes."""
    return tuple(size(axis) for axis in view)


def simplified(atoms: Iterable[Atom]) -> Axis:
    """Leave out atoms of one element, and join atoms that are neighbours in their dimension."""
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
    """Return the same elements in the same order with axes of other extents; None if an atom can't be split so."""
    rest = list(simplified(atoms_of(view)))
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


def undivided(view: View, shape: Sequence[int]) -> tuple[int, int]:
    """Return where `reshaped` fails: the first and the end of the atoms that must become one dimension before."""
    atoms = atoms_of(view)
    failing: list[int] = []
    start, extents = 0, [extent for extent in shape if extent > 1]
    while start < len(atoms):
        end, taken = start + 1, 1
        while size(atoms[start:end]) != prod(extents[:taken]):
            if size(atoms[start:end]) < prod(extents[:taken]):
                end += 1
            else:
                taken += 1
        if reshaped((tuple(atoms[start:end]),), extents[:taken]) is None:
            failing += [start, end]
        start, extents = end, extents[taken:]
    return min(failing), max(failing)


def numbered(dim: str, axes: Sequence[Axis]) -> list[Axis]:
    """Return axes of the same extents that together are one dimension, the first axis slowest; samples stay apart."""
    result: list[Axis] = []
    stride = size(without_batch(atoms_of(axes)))
    for axis in axes:
        extent = size(without_batch(axis))
        stride //= extent
        result.append(simplified([*batch_of(axis), Atom(dim, extent, stride)]))
    return result


def renumbered(view: View, groups: Sequence[Sequence[int]]) -> View:
    """Return the view of an fmap whose channels, rows and columns are groups of the view's atoms.

    Parameters
    ----------
    view
        The axes.
    groups
        Places of atoms, counted over all axes, that become channels, rows and columns; others stay.
    """
    atoms = atoms_of(view)
    made = dict(enumerate(atoms))
    for dim, places in zip("CHW", groups, strict=True):
        stride = 1
        for place in reversed(places):
            made[place] = Atom(dim, atoms[place].extent, stride)
            stride *= atoms[place].extent
    axes: list[Axis] = []
    place = 0
    for axis in view:
        axes.append(simplified(made[place + i] for i in range(len(axis))))
        place += len(axis)
    return tuple(axes)


def without_batch(atoms: Iterable[Atom]) -> Axis:
    """Return the atoms that lie within a sample."""
    return simplified(atom for atom in atoms if atom.dim != BATCH)


def batch_of(atoms: Iterable[Atom]) -> Axis:
    """Return the atoms that number samples."""
    return tuple(atom for atom in atoms if atom.dim == BATCH)


def is_repeated(axes: Iterable[Axis]) -> bool:
    """Whether an atom repeats elements."""
    return any(atom.dim == REPEAT for atom in atoms_of(axes))
