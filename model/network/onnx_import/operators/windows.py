"""Operators with a sliding window: convolutions, pooling, padding, enlargement."""

from math import prod

from soma_cp.model.network.layers import Conv, GroupConv, Layer, Pool, Upsample
from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.layers import Sources
from soma_cp.model.network.onnx_import.operators.registry import operator
from soma_cp.model.network.onnx_import.step import Step, only_batch
from soma_cp.model.network.onnx_import.values import Padded, Tensor
from soma_cp.model.network.onnx_import.views import Axis, numbered, whole


def _source(step: Step, with_padding: bool = True) -> tuple[Sources, Axis, tuple[int, int]]:
    """Return what a window slides over as sources, its batch axis, and its real rows and columns.

    Without `with_padding`, a tensor with zeros around it is refused.
    """
    rank = len(step.shape(0))
    if rank not in (3, 4):
        raise UnsupportedError(f"reads a tensor of {rank} axes (must be batch, channels, rows and at most columns)")
    value = step.value(0)
    tensor = value.tensor if with_padding and isinstance(value, Padded) else step.state.settled(value)
    batch, channels, rows, *columns = tensor.view
    if not only_batch(batch):
        raise UnsupportedError("reads a tensor whose first axis holds more than the batch")
    sources = step.arranged(tensor, channels, rows, *columns)
    _, height, width = step.layers.shape(step.layers.resolved(sources)[0])
    return sources, batch, (height, width)


def _two(numbers: list[int] | None, default: int) -> tuple[int, int]:
    """Return a value for rows and one for columns, which a sequence has not."""
    numbers = list(numbers or [])
    return numbers[0] if numbers else default, numbers[1] if len(numbers) > 1 else default


def _image(step: Step, sources: Sources, batch: Axis) -> None:
    """Give an fmap as (batch, channels, rows, columns) or (batch, channels, rows)."""
    _, channels, rows, *columns = step.out_shape()
    width = columns[0] if columns else 1
    view = (batch, whole("C", channels), whole("H", rows), *(whole("W", extent) for extent in columns))
    step.give(Tensor(sources, (channels, rows, width), view))


def _output_extents(step: Step) -> tuple[int, int, int]:
    _, channels, rows, *columns = step.out_shape()
    return channels, rows, columns[0] if columns else 1


def _weights(step: Step, place: int) -> tuple[int, ...]:
    if not step.is_constant(place):
        raise UnsupportedError("has computed weights (must be constant)")
    return step.shape(place)


def _convolve(step: Step, weights_place: int) -> None:
    weights = _weights(step, weights_place)
    if len(weights) not in (3, 4):
        raise UnsupportedError(f"has a window of {len(weights) - 2} dimensions (must be one or two)")
    sources, batch, real = _source(step)
    K, rows, columns = _output_extents(step)
    R, S = _two(list(weights[2:]), 1)
    stated = _two(step.attribute("kernel_shape") or list(weights[2:]), 1)
    if stated != (R, S):
        raise UnsupportedError(f"has kernel_shape {stated[0]}×{stated[1]}, but weights of {R}×{S} (must be the same)")
    sH, sW = _two(step.attribute("strides"), 1)
    groups = int(step.attribute("group", 1))
    apart = groups == 1 and R * S > 1 and (sH, sW) == (R, S) and real == (rows * R, columns * S)
    if apart and _cuts_patches(step, sources):
        _multiply_patches(step, sources[0], batch, weights)
        return
    _tell_dilation(step, R, S)
    channels = weights[1] * groups
    _check_padding(step, ((rows, sH, R, real[0]), (columns, sW, S, real[1])))
    fields = {"C": channels, "K": K, "R": R, "S": S, "H": rows, "W": columns, "sH": sH, "sW": sW}
    if groups > 1:
        _image(step, step.layers.add(GroupConv, step.name, sources, G=groups, **fields), batch)
    else:
        _image(step, step.layers.add(Conv, step.name, sources, **fields), batch)


def _tell_dilation(step: Step, R: int, S: int) -> None:
    dilations = step.attribute("dilations") or [1]
    if max(dilations) > 1:
        step.note(f"dilation {dilations}: rows and columns that tiles share are counted as those of a {R}×{S} window")


def _cuts_patches(step: Step, sources: Sources) -> bool:
    """Whether this makes tokens of an image: it reads an external input, and only rows of tokens leave it."""
    if len(sources) != 1 or not step.layers.is_input(sources[0]) or len(step.out_shape()) != 4:
        return False
    readers = [node for node in step.graph.nodes if step.node.outputs[0] in node.inputs and node.operator != "Shape"]
    return bool(readers) and all(
        node.operator in ("Reshape", "Flatten") and len(step.graph.info(node.outputs[0]).shape or ()) == 3
        for node in readers
    )


def _multiply_patches(step: Step, image: str, batch: Axis, weights: tuple[int, ...]) -> None:
    """Add a matrix multiplication of an image's patches, which don't overlap: an external input of as many bytes.

    Rows of an image can't become tokens by a layer, but an external input may lie in DRAM as it is needed.
    """
    K, rows, columns = _output_extents(step)
    width = prod(weights[1:])
    patches = step.layers.add_input(f"{image}_patches", (width, rows * columns, 1))
    sources = step.layers.add(Conv, step.name, (patches,), C=width, K=K, H=rows * columns, W=1)
    row_axis, column_axis = numbered("H", [whole("H", rows), whole("W", columns)])
    step.give(Tensor(sources, (K, rows * columns, 1), (batch, whole("C", K), row_axis, column_axis)))
    step.note(f"patches of '{image}' become tokens: they are taken to lie in DRAM one after another")


def _check_padding(step: Step, dimensions: tuple[tuple[int, int, int, int], ...]) -> None:
    for extent, stride, window, real in dimensions:
        padding = max((extent - 1) * stride + window - real, 0) // 2
        if padding >= window:
            raise UnsupportedError(f"pads by {padding} around a window of {window} (must be less than the window)")


@operator("Conv ConvInteger", "`conv`, or `group_conv` with groups (depthwise too); dilation approximately")
def convolution(step: Step) -> None:
    """Convolution; bias is part of the layer."""
    if step.node.operator == "Conv":
        step.check_bias(2)
    _convolve(step, 1)


@operator("QLinearConv", "like Conv")
def quantised_convolution(step: Step) -> None:
    """Convolution with scales and zero points among its inputs."""
    _convolve(step, 3)


@operator("ConvTranspose", "`upsample` by the strides and a `conv` of stride 1")
def transposed_convolution(step: Step) -> None:
    """Transposed convolution, as an enlargement with zeros and a convolution over them."""
    step.check_bias(2)
    weights = _weights(step, 1)
    sources, batch, real = _source(step)
    K, rows, columns = _output_extents(step)
    R, S = _two(list(weights[2:]), 1)
    sH, sW = _two(step.attribute("strides"), 1)
    if max(step.attribute("dilations") or [1]) > 1:
        raise UnsupportedError("is a transposed convolution with dilation (must be without)")
    channels, groups = weights[0], int(step.attribute("group", 1))
    real = (real[0] * sH, real[1] * sW)
    if max(sH, sW) > 1:
        sources = step.layers.add(
            Upsample, f"{step.name}_upsample", sources, K=channels, H=real[0], W=real[1], sH=sH, sW=sW
        )
        step.note(f"counted as a convolution over an fmap enlarged {sH}×{sW}, its zeros multiplied too")
    _check_padding(step, ((rows, 1, R, real[0]), (columns, 1, S, real[1])))
    fields = {"C": channels, "K": K, "R": R, "S": S, "H": rows, "W": columns}
    if groups > 1:
        _image(step, step.layers.add(GroupConv, step.name, sources, G=groups, **fields), batch)
    else:
        _image(step, step.layers.add(Conv, step.name, sources, **fields), batch)


@operator("MaxPool AveragePool LpPool", "`pool`; dilation approximately")
def pooling(step: Step) -> None:
    """Pooling over windows."""
    R, S = _two(step.attribute("kernel_shape"), 1)
    sH, sW = _two(step.attribute("strides"), 1)
    _tell_dilation(step, R, S)
    _pool(step, (R, S), (sH, sW))


@operator("GlobalAveragePool GlobalMaxPool GlobalLpPool", "`pool` with one window")
def global_pooling(step: Step) -> None:
    """Pooling over all rows and columns."""
    window = _two(list(step.shape(0)[2:]), 1)
    _pool(step, window, window)


def _pool(step: Step, window: tuple[int, int], strides: tuple[int, int]) -> None:
    sources, batch, real = _source(step)
    K, rows, columns = _output_extents(step)
    _check_padding(step, ((rows, strides[0], window[0], real[0]), (columns, strides[1], window[1], real[1])))
    fields = {"R": window[0], "S": window[1], "H": rows, "W": columns, "sH": strides[0], "sW": strides[1]}
    _image(step, step.layers.add(Pool, step.name, sources, K=K, **fields), batch)


@operator("Pad", "part of the convolution or pooling behind it")
def padding(step: Step) -> None:
    """Padding: layers derive it from their sizes."""
    shape, padded = step.shape(0), step.out_shape()
    value = step.value(0)
    if shape == padded:
        step.give(value)
        return
    if shape[:2] != padded[:2] or any(before > after for before, after in zip(shape, padded, strict=True)):
        raise UnsupportedError(f"makes {list(padded)} of {list(shape)} (only rows and columns can be padded)")
    step.give(value if isinstance(value, Padded) else Padded(step.state.settled(value)))


@operator("Resize Upsample", "`upsample`, or `pool` to make smaller; by whole factors")
def resize(step: Step) -> None:
    """Enlargement or reduction by whole factors; interpolation counts nothing."""
    if step.shape(0) == step.out_shape():
        step.give(step.value(0))
        return
    sources, batch, real = _source(step, with_padding=False)
    K, rows, columns = _output_extents(step)
    if step.shape(0)[1] != K:
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
    _image(step, step.layers.add(layer, step.name, sources, K=K, H=rows, W=columns, **fields), batch)
