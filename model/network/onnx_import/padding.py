"""Padding that no window takes: it becomes part of an fmap, by a regrouping transpose."""

from collections.abc import Sequence

from soma_cp.model.network.layers import Transpose
from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.layers import Layers
from soma_cp.model.network.onnx_import.values import Tensor
from soma_cp.model.network.onnx_import.views import BATCH, Axis, shape_of, whole, without_batch


def with_padding(layers: Layers, tensor: Tensor, shape: Sequence[int], name: str) -> Tensor:
    """Return `tensor` with its axes enlarged, or cut, to `shape`.

    Each axis of the result is one dimension of a new fmap, the one of the channels too.

    Raises
    ------
    UnsupportedError
        If the batch changes, or the tensor has more than three axes within a sample.
    """
    old = shape_of(tensor.view)
    changed = [place for place, (before, after) in enumerate(zip(old, shape, strict=True)) if before != after]
    if any(atom.dim == BATCH for place in changed for atom in tensor.view[place]):
        raise UnsupportedError("pads the batch (must be within a sample)")
    places = [place for place, axis in enumerate(tensor.view) if without_batch(axis) or place in changed]
    if len(places) > 3:
        raise UnsupportedError(f"pads a tensor of {len(places)} axes within a sample (must be three at most)")
    dims = _dimensions(tensor, places)
    extents = {dim: shape[place] for place, dim in dims.items()}
    K, H, W = (extents.get(dim, 1) for dim in "CHW")
    order = ""
    for dim, before in zip("CHW", tensor.shape, strict=True):
        place = next((place for place, of in dims.items() if of == dim), None)
        axis = () if place is None else tensor.view[place]
        own = axis == whole(dim, before)
        order += "*" if not own else dim if extents.get(dim, 1) == before else dim.lower()
    sources = layers.add(Transpose, name, tensor.sources, K=K, H=H, W=W, order=order, ifmap=tensor.shape)
    view: list[Axis] = []
    for place, axis in enumerate(tensor.view):
        batch = tuple(atom for atom in axis if atom.dim == BATCH)
        view.append((*batch, *whole(dims[place], shape[place])) if place in dims else axis)
    return Tensor(sources, (K, H, W), tuple(view))


def _dimensions(tensor: Tensor, places: Sequence[int]) -> dict[int, str]:
    """Return the dimension that each axis becomes: what it is now, as far as it can; else the next that is free."""
    dims: dict[int, str] = {}
    for place in places:
        of = {atom.dim for atom in tensor.view[place]}
        dim = next(iter(of)) if len(of) == 1 else ""
        if dim in "CHW" and dim and dim not in dims.values():
            dims[place] = dim
    free = [dim for dim in "HWC" if dim not in dims.values()]
    return {place: dims[place] if place in dims else free.pop(0) for place in places}
