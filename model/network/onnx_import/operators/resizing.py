"""Operators that change the rows and columns of an image: enlargement, reduction, padding."""

from soma_cp.model.network.layers import Pool, Upsample
from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.node_import import NodeImport
from soma_cp.model.network.onnx_import.operators.registry import Channels, Facts, operator
from soma_cp.model.network.onnx_import.operators.sliding import give_image, image_of, stretched, volume
from soma_cp.model.network.onnx_import.values import Padded, Side
from soma_cp.model.network.onnx_import.views import shape_of


@operator(
    "Resize Upsample",
    "by whole factors `upsample`, or `pool` to make smaller; else `transpose`",
    Facts(channels=Channels.FIRST),
)
def resize(node: NodeImport) -> None:
    """Enlargement or reduction; interpolation is not counted."""
    if node.shape(0) == node.out_shape():
        node.give(node.value(0))
        return
    if node.shape(0)[:2] != node.out_shape()[:2]:
        raise UnsupportedError("resizes channels (only rows and columns can be)")
    image = image_of(node, with_padding=False)
    depth, rows, columns = volume(node.out_shape()[2:])
    real_depth, real_rows, real_columns = image.extents
    pairs = ((rows, real_rows), (columns, real_columns))
    factors = [-(-large // small) for large, small in pairs]
    grows = all(-(-large // factor) == small for (large, small), factor in zip(pairs, factors, strict=True))
    # Rows of several frames lie one after another: for all of them, a factor must be whole.
    grows = grows and (rows == real_rows * factors[0] or image.frames * depth == 1)
    ofmap = (image.channels, image.frames * depth * rows, columns)
    fields = {"K": ofmap[0], "H": ofmap[1], "W": ofmap[2]}
    if depth == real_depth and grows:
        fields |= {"sH": factors[0], "sW": factors[1]}
        made = node.layers.add(Upsample, node.name, image.sources, **fields)
    elif depth == real_depth and all(small % large == 0 for large, small in pairs):
        R, S = real_rows // rows, real_columns // columns
        made = node.layers.add(Pool, node.name, image.sources, **fields, R=R, S=S, sH=R, sW=S)
    else:
        made = stretched(node.layers, node.name, image.sources, ofmap)
    give_image(node, image, made)


@operator("Pad", "part of the convolution or pooling after it; for other readers, `transpose`")
def padding(node: NodeImport) -> None:
    """Padding of rows and columns, which layers derive from their sizes; of channels, or a crop, a layer."""
    shape, padded = node.shape(0), node.out_shape()
    value = node.value(0)
    if isinstance(value, Side):
        node.give(value)
        return
    if shape == padded:
        node.give(value)
        return
    tensor = value.tensor if isinstance(value, Padded) else node.state.settled(value)
    if shape_of(tensor.view) == padded:
        node.give(tensor)
        return
    around = Padded(tensor, padded, node.name)
    grows = all(before <= after for before, after in zip(shape_of(tensor.view), padded, strict=True))
    if grows and shape_of(tensor.view)[:2] == padded[:2]:
        node.give(around)
    else:
        node.give(node.state.settled(around))
