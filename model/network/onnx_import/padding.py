"""Padding that no window takes: it becomes part of an fmap, by a regrouping transpose."""

from collections.abc import Sequence
from math import prod

from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.layers import Layers
from soma_cp.model.network.onnx_import.values import Tensor
from soma_cp.model.network.onnx_import.views import (
    Axis,
    atoms_of,
    batch_of,
    numbered,
    shape_of,
    whole,
    without_batch,
)

_MOST_AXES = 4


def with_padding(layers: Layers, tensor: Tensor, shape: Sequence[int], name: str) -> Tensor:
    """Return `tensor` with its axes enlarged, or cut, to `shape`.

    Each axis of the result is one dimension of a new fmap; depth and rows are one together.

    Raises
    ------
    UnsupportedError
        If the batch changes, or the tensor has more axes within a sample than a volume.
    """
    old = shape_of(tensor.view)
    changed = [place for place, (before, after) in enumerate(zip(old, shape, strict=True)) if before != after]
    if any(batch_of(tensor.view[place]) for place in changed):
        raise UnsupportedError("pads the batch (must be within a sample)")
    places = [place for place, axis in enumerate(tensor.view) if without_batch(axis) or place in changed]
    if len(places) > _MOST_AXES:
        raise UnsupportedError(f"pads a tensor of {len(places)} axes within a sample (must be {_MOST_AXES} at most)")
    dims = _dimensions(tensor, places)
    view: list[Axis] = [batch_of(axis) for axis in tensor.view]
    ofmap: list[int] = []
    order = ""
    for dim, before in zip("CHW", tensor.shape, strict=True):
        own = [place for place in places if dims[place] == dim]
        for place, axis in zip(own, numbered(dim, [whole(dim, shape[place]) for place in own]), strict=True):
            view[place] += axis
        ofmap.append(prod(shape[place] for place in own))
        stays = without_batch(atoms_of(tensor.view[place] for place in own)) == whole(dim, before)
        order += "*" if not stays else dim if ofmap[-1] == before else dim.lower()
    made = (ofmap[0], ofmap[1], ofmap[2])
    return Tensor(layers.regroup(name, tensor.sources, made, order), made, tuple(view))


def _dimensions(tensor: Tensor, places: Sequence[int]) -> dict[int, str]:
    """Return the dimension that each axis becomes: what it is now, else the next that is free, else rows."""
    dims: dict[int, str] = {}
    for place in places:
        now = {atom.dim for atom in without_batch(tensor.view[place])} & set("CHW")
        if len(now) == 1 and not now <= set(dims.values()):
            dims[place] = now.pop()
    free = [dim for dim in "HWC" if dim not in dims.values()]
    return {place: dims[place] if place in dims else free.pop(0) if free else "H" for place in places}
