"""A tensor of one channel that a constant vector enlarges to many: the sines of a time, the powers of a number."""

from collections.abc import Sequence
from dataclasses import replace

from soma_cp.model.network.layers import Upsample
from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.layers import Layers
from soma_cp.model.network.onnx_import.values import Tensor
from soma_cp.model.network.onnx_import.views import raised, shape_of, whole


def enlarged(layers: Layers, tensor: Tensor, shape: Sequence[int], name: str) -> Tensor:
    """Return a tensor whose one channel is repeated by an `upsample`, so that it has a larger shape.

    Raises
    ------
    UnsupportedError
        If more than one axis grows, or the tensor has several channels.
    """
    view = raised(tensor.view, len(shape))
    grown = [axis for axis, extent in enumerate(shape_of(view)) if extent != shape[axis]]
    channels, rows, columns = tensor.shape
    if channels != 1 or len(grown) != 1:
        raise UnsupportedError("enlarges a tensor of several channels by a constant (must have one)")
    K = shape[grown[0]]
    sources = layers.add(Upsample, f"{name}_repeat", tensor.sources, K=K, H=rows, W=columns, sK=K)
    axes = tuple(whole("C", K) if axis == grown[0] else atoms for axis, atoms in enumerate(view))
    return replace(tensor, sources=sources, shape=(K, rows, columns), view=axes)
