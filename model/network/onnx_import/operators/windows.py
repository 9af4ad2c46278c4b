"""Operators with a sliding window: convolutions, pooling, padding, enlargement."""

from math import prod

from soma_cp.model.network.layers import Conv, GroupConv, Layer, Pool, Upsample
from soma_cp.model.network.onnx_import.arranging import in_any_sequence
from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.layers import Sources
from soma_cp.model.network.onnx_import.node_import import NodeImport, only_batch
from soma_cp.model.network.onnx_import.operators.registry import Channels, Facts, facts_of, operator
from soma_cp.model.network.onnx_import.values import Padded, Tensor
from soma_cp.model.network.onnx_import.views import Axis, numbered, whole


def _source(
    node: NodeImport, with_padding: bool = True, in_sequence: bool = True
) -> tuple[Sources, Axis, tuple[int, int]]:
    """Return the sources that a window slides over, their batch axis, and their real rows and columns.

    Without `with_padding`, refuse a tensor with zeros around it; without `in_sequence`, channels may be permuted.
    """
    rank = len(node.shape(0))
    if rank not in (3, 4):
        raise UnsupportedError(f"reads a tensor of {rank} axes (must be batch, channels, rows and at most columns)")
    value = node.value(0)
    tensor = value.tensor if with_padding and isinstance(value, Padded) else node.state.settled(value)
    batch, channels, rows, *columns = tensor.view
    if not only_batch(batch):
        raise UnsupportedError("reads a tensor whose first axis holds more than the batch")
    channels = channels if in_sequence else in_any_sequence(channels)
    sources = node.arranged(tensor, channels, rows, *columns)
    _, height, width = node.layers.shape(node.layers.resolved(sources)[0])
    return sources, batch, (height, width)


def _two(numbers: list[int] | None, default: int) -> tuple[int, int]:
    """Return a value for rows and one for columns; a sequence has no columns and gets `default`."""
    numbers = list(numbers or [])
    return numbers[0] if numbers else default, numbers[1] if len(numbers) > 1 else default


def _image(node: NodeImport, sources: Sources, batch: Axis) -> None:
    """Give an fmap as (batch, channels, rows, columns) or (batch, channels, rows)."""
    _, channels, rows, *columns = node.out_shape()
    width = columns[0] if columns else 1
    view = (batch, whole("C", channels), whole("H", rows), *(whole("W", extent) for extent in columns))
    node.give(Tensor(sources, (channels, rows, width), view))


def _output_extents(node: NodeImport) -> tuple[int, int, int]:
    _, channels, rows, *columns = node.out_shape()
    return channels, rows, columns[0] if columns else 1


def _weights(node: NodeImport, place: int) -> tuple[int, ...]:
    if not node.is_constant(place):
        raise UnsupportedError("has computed weights (must be constant)")
    return node.shape(place)


def _convolve(node: NodeImport, weights_place: int) -> None:
    weights = _weights(node, weights_place)
    if len(weights) not in (3, 4):
        raise UnsupportedError(f"has a window of {len(weights) - 2} dimensions (must be one or two)")
    sources, batch, real = _source(node, in_sequence=int(node.attribute("group", 1)) > 1)
    K, rows, columns = _output_extents(node)
    R, S = _two(list(weights[2:]), 1)
    stated = _two(node.attribute("kernel_shape") or list(weights[2:]), 1)
    if stated != (R, S):
        raise UnsupportedError(f"has kernel_shape {stated[0]}×{stated[1]}, but weights of {R}×{S} (must be the same)")
    sH, sW = _two(node.attribute("strides"), 1)
    groups = int(node.attribute("group", 1))
    apart = groups == 1 and R * S > 1 and (sH, sW) == (R, S) and real == (rows * R, columns * S)
    if apart and _cuts_patches(node, sources):
        _multiply_patches(node, sources[0], batch, weights)
        return
    _tell_dilation(node, R, S)
    channels = weights[1] * groups
    _check_padding(node, ((rows, sH, R, real[0]), (columns, sW, S, real[1])))
    fields = {"C": channels, "K": K, "R": R, "S": S, "H": rows, "W": columns, "sH": sH, "sW": sW}
    if groups > 1:
        _image(node, node.layers.add(GroupConv, node.name, sources, G=groups, **fields), batch)
    else:
        _image(node, node.layers.add(Conv, node.name, sources, **fields), batch)


def _tell_dilation(node: NodeImport, R: int, S: int) -> None:
    dilations = node.attribute("dilations") or [1]
    if max(dilations) > 1:
        node.note(f"dilation {dilations}: rows and columns that tiles share are counted as those of a {R}×{S} window")


def _cuts_patches(node: NodeImport, sources: Sources) -> bool:
    """Whether this turns an image into tokens: it reads an external input, and all readers merge rows and columns."""
    if len(sources) != 1 or not node.layers.is_input(sources[0]) or len(node.out_shape()) != 4:
        return False
    readers = [reader for reader in node.graph.nodes if node.outputs[0] in reader.inputs]
    readers = [reader for reader in readers if facts_of(reader.operator).of_shape is None]
    return bool(readers) and all(
        facts_of(reader.operator).regroups_axes and len(node.graph.info(reader.outputs[0]).shape or ()) == 3
        for reader in readers
    )


def _multiply_patches(node: NodeImport, image: str, batch: Axis, weights: tuple[int, ...]) -> None:
    """Add a matrix multiplication of an image's patches, which don't overlap; they are an external input of equal size.

    No layer turns rows of an image into tokens, but DRAM may hold an external input in any arrangement.
    """
    K, rows, columns = _output_extents(node)
    width = prod(weights[1:])
    patches = node.layers.add_input(f"{image}_patches", (width, rows * columns, 1))
    sources = node.layers.add(Conv, node.name, (patches,), C=width, K=K, H=rows * columns, W=1)
    row_axis, column_axis = numbered("H", [whole("H", rows), whole("W", columns)])
    node.give(Tensor(sources, (K, rows * columns, 1), (batch, whole("C", K), row_axis, column_axis)))
    node.note(f"patches of '{image}' become tokens: they are taken to lie in DRAM one after another")


def _check_padding(node: NodeImport, dimensions: tuple[tuple[int, int, int, int], ...]) -> None:
    for extent, stride, window, real in dimensions:
        padding = max((extent - 1) * stride + window - real, 0) // 2
        if padding >= window:
            raise UnsupportedError(f"pads by {padding} around a window of {window} (must be less than the window)")


_CONV = "`conv`, or `group_conv` with groups (depthwise too); dilation approximately"


@operator("Conv", _CONV, Facts(channels=Channels.FIRST, has_weights=True))
def convolution(node: NodeImport) -> None:
    """Convolution; bias is part of the layer."""
    node.check_bias(2)
    _convolve(node, 1)


@operator("ConvInteger", _CONV, Facts(channels=Channels.FIRST, has_weights=True))
def integer_convolution(node: NodeImport) -> None:
    """Convolution without a bias, with zero points among its inputs."""
    _convolve(node, 1)


@operator("QLinearConv", "like Conv", Facts(channels=Channels.FIRST))
def quantised_convolution(node: NodeImport) -> None:
    """Convolution with scales and zero points among its inputs."""
    _convolve(node, 3)


@operator(
    "ConvTranspose",
    "`upsample` by the strides and a `conv` of stride 1",
    Facts(channels=Channels.FIRST, has_weights=True),
)
def transposed_convolution(node: NodeImport) -> None:
    """Transposed convolution, as an enlargement with zeros and a convolution over the result."""
    node.check_bias(2)
    weights = _weights(node, 1)
    sources, batch, real = _source(node)
    K, rows, columns = _output_extents(node)
    R, S = _two(list(weights[2:]), 1)
    sH, sW = _two(node.attribute("strides"), 1)
    if max(node.attribute("dilations") or [1]) > 1:
        raise UnsupportedError("is a transposed convolution with dilation (must be without)")
    channels, groups = weights[0], int(node.attribute("group", 1))
    real = (real[0] * sH, real[1] * sW)
    if max(sH, sW) > 1:
        sources = node.layers.add(
            Upsample, f"{node.name}_upsample", sources, K=channels, H=real[0], W=real[1], sH=sH, sW=sW
        )
        node.note(f"counted as a convolution over an fmap enlarged {sH}×{sW}, its zeros multiplied too")
    _check_padding(node, ((rows, 1, R, real[0]), (columns, 1, S, real[1])))
    fields = {"C": channels, "K": K, "R": R, "S": S, "H": rows, "W": columns}
    if groups > 1:
        _image(node, node.layers.add(GroupConv, node.name, sources, G=groups, **fields), batch)
    else:
        _image(node, node.layers.add(Conv, node.name, sources, **fields), batch)


@operator("MaxPool AveragePool LpPool", "`pool`; dilation approximately", Facts(channels=Channels.FIRST))
def pooling(node: NodeImport) -> None:
    """Pooling over windows."""
    R, S = _two(node.attribute("kernel_shape"), 1)
    sH, sW = _two(node.attribute("strides"), 1)
    _tell_dilation(node, R, S)
    _pool(node, (R, S), (sH, sW))


@operator("GlobalLpPool", "`pool` with one window")
@operator("GlobalAveragePool GlobalMaxPool", "`pool` with one window", Facts(channels=Channels.FIRST))
def global_pooling(node: NodeImport) -> None:
    """Pooling over all rows and columns."""
    window = _two(list(node.shape(0)[2:]), 1)
    _pool(node, window, window)


def _pool(node: NodeImport, window: tuple[int, int], strides: tuple[int, int]) -> None:
    sources, batch, real = _source(node)
    K, rows, columns = _output_extents(node)
    _check_padding(node, ((rows, strides[0], window[0], real[0]), (columns, strides[1], window[1], real[1])))
    fields = {"R": window[0], "S": window[1], "H": rows, "W": columns, "sH": strides[0], "sW": strides[1]}
    _image(node, node.layers.add(Pool, node.name, sources, K=K, **fields), batch)


@operator("Pad", "part of the convolution or pooling after it")
def padding(node: NodeImport) -> None:
    """Padding, which layers derive from their sizes."""
    shape, padded = node.shape(0), node.out_shape()
    value = node.value(0)
    if shape == padded:
        node.give(value)
        return
    if shape[:2] != padded[:2] or any(before > after for before, after in zip(shape, padded, strict=True)):
        raise UnsupportedError(f"makes {list(padded)} of {list(shape)} (only rows and columns can be padded)")
    node.give(value if isinstance(value, Padded) else Padded(node.state.settled(value)))


@operator(
    "Resize Upsample",
    "`upsample`, or `pool` to make smaller; by whole factors",
    Facts(channels=Channels.FIRST),
)
def resize(node: NodeImport) -> None:
    """Enlargement or reduction by whole factors; interpolation is not counted."""
    if node.shape(0) == node.out_shape():
        node.give(node.value(0))
        return
    sources, batch, real = _source(node, with_padding=False)
    K, rows, columns = _output_extents(node)
    if node.shape(0)[1] != K:
        raise UnsupportedError("resizes channels (only rows and columns can be)")
    factors = tuple(-(-large // small) for large, small in zip((rows, columns), real, strict=True))
    if all(-(-large // f) == small for large, f, small in zip((rows, columns), factors, real, strict=True)):
        layer: type[Layer] = Upsample
        fields = {"sH": factors[0], "sW": factors[1]}
    elif all(small % large == 0 for large, small in zip((rows, columns), real, strict=True)):
        layer = Pool
        window = (real[0] // rows, real[1] // columns)
        fields = {"R": window[0], "S": window[1], "sH": window[0], "sW": window[1]}
    else:
        raise UnsupportedError(f"resizes {real[0]}×{real[1]} to {rows}×{columns} (only whole factors can be)")
    _image(node, node.layers.add(layer, node.name, sources, K=K, H=rows, W=columns, **fields), batch)
