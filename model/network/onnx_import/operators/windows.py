"""Convolutions and pooling."""

from collections.abc import Sequence
from math import prod

from soma_cp.model.network.layers import Conv, GroupConv, Pool
from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.layers import Sources
from soma_cp.model.network.onnx_import.node_import import NodeImport
from soma_cp.model.network.onnx_import.operators.matrices import multiplied_by_weights
from soma_cp.model.network.onnx_import.operators.registry import Channels, Facts, enter, facts_of, operator
from soma_cp.model.network.onnx_import.operators.sliding import (
    Image,
    Window,
    give_image,
    image_of,
    volume,
    window_fields,
    window_of,
)
from soma_cp.model.network.onnx_import.values import Padded, Tensor
from soma_cp.model.network.onnx_import.views import numbered, shape_of, simplified, whole, without_batch


def stored_weights(node: NodeImport, place: int) -> tuple[int, ...]:
    """Return the shape of a convolution's weights: two axes for channels, and one for each axis of the window.

    Raises
    ------
    UnsupportedError
        If they are computed, or the window has too many axes.
    """
    node.check_constant((place,), "computed weights")
    weights = node.shape(place)
    if not 3 <= len(weights) <= 5:
        raise UnsupportedError(f"has a window of {len(weights) - 2} dimensions (must be one to three)")
    return weights


def convolved(
    node: NodeImport, name: str, image: Image, window: Window, channels: int, groups: int, weights: str
) -> Sources:
    """Add a convolution of `image` into `channels`; `weights` names them if other layers have the same."""
    sources, fields = window_fields(node, image, window)
    fields |= {"C": image.channels, "K": channels, "weights": weights}
    if groups > 1:
        return node.layers.add(GroupConv, name, sources, G=groups, **fields)
    return node.layers.add(Conv, name, sources, **fields)


def _convolve(node: NodeImport, place: int) -> None:
    weights = stored_weights(node, place)
    kernel, groups = weights[2:], int(node.attribute("group", 1))
    stated = tuple(node.attribute("kernel_shape") or kernel)
    if stated != kernel:
        raise UnsupportedError(f"has kernel_shape {_by(stated)}, but weights of {_by(kernel)} (must be the same)")
    if groups == 1 and _is_product(node, kernel):
        _multiply(node, weights, node.shared_weights(place))
        return
    image = image_of(node, in_sequence=groups > 1)
    window = window_of(node, kernel)
    if groups == 1 and _cuts_patches(node, image, window):
        _multiply_patches(node, image, weights)
        return
    give_image(node, image, convolved(node, node.name, image, window, weights[0], groups, node.shared_weights(place)))


def _by(extents: Sequence[int]) -> str:
    return "×".join(map(str, extents))


def _is_product(node: NodeImport, kernel: Sequence[int]) -> bool:
    """Whether this multiplies whole rows of a matrix, which the first axis lists: patches that were cut before."""
    value = node.value(0)
    if isinstance(value, Padded):
        return False
    first, _, *axes = node.base(value).view
    return without_batch(first) != () and shape_of(tuple(axes)) == tuple(kernel) and prod(node.out_shape()[2:]) == 1


def _multiply(node: NodeImport, weights: tuple[int, ...], shared: str) -> None:
    tensor = node.tensor()
    first, *others = tensor.view
    flat = Tensor(tensor.sources, tensor.shape, (first, simplified(atom for axis in others for atom in axis)))
    made = multiplied_by_weights(node, flat, 1, weights[0], shared)
    node.give(Tensor(made.sources, made.shape, (*made.view, *((),) * (len(weights) - 2))))


def _cuts_patches(node: NodeImport, image: Image, window: Window) -> bool:
    """Whether this turns an image into tokens: it reads an external input, and all readers merge rows and columns."""
    apart = prod(window.kernel) > 1 and window.kernel == window.strides
    apart = apart and image.extents == tuple(
        made * kernel for made, kernel in zip(window.made, window.kernel, strict=True)
    )
    rank = len(node.out_shape())
    sources = image.sources
    if not apart or len(sources) != 1 or not node.layers.is_input(sources[0]) or rank == 3 or image.frames > 1:
        return False
    readers = [reader for reader in node.graph.readers(node.outputs[0]) if facts_of(reader.kind).of_shape is None]
    return bool(readers) and all(
        facts_of(reader.kind).regroups_axes and len(node.graph.info(reader.outputs[0]).shape or ()) == 3
        for reader in readers
    )


def _multiply_patches(node: NodeImport, image: Image, weights: tuple[int, ...]) -> None:
    """Add a matrix multiplication of an image's patches, which don't overlap; they are an external input of equal size.

    DRAM may hold an external input in any arrangement, so no layer turns its rows and columns into tokens.
    """
    shape = node.out_shape()
    K, tokens, width = weights[0], prod(shape[2:]), prod(weights[1:])
    name = image.sources[0]
    patches = node.layers.add_input(f"{name}_patches", (width, tokens, 1), node.inputs[0])
    sources = node.layers.add(Conv, node.name, (patches,), C=width, K=K, H=tokens, W=1)
    axes = numbered("H", [whole("H", extent) for extent in shape[2:]])
    node.give(Tensor(sources, (K, tokens, 1), (image.first, whole("C", K), *axes)))
    node.note(
        f"multiplies the patches of '{name}' by a matrix, each patch a token; they are taken to lie in DRAM one after "
        "another, and no layer cuts them out"
    )


_CONV = "`conv`, or `group_conv` with groups (depthwise too); of frames, `transpose` before it"


@operator("Conv", _CONV, Facts(channels=Channels.FIRST, weights=(1,)))
def convolution(node: NodeImport) -> None:
    """Convolution; bias is part of the layer."""
    node.check_bias(2)
    _convolve(node, 1)


@operator("ConvInteger", _CONV, Facts(channels=Channels.FIRST, weights=(1,)))
def integer_convolution(node: NodeImport) -> None:
    """Convolution without a bias, with zero points among its inputs."""
    _convolve(node, 1)


@operator("QLinearConv", "like Conv", Facts(channels=Channels.FIRST, weights=(3,), scales=(4, 5)))
def quantised_convolution(node: NodeImport) -> None:
    """Convolution with scales and zero points among its inputs."""
    _convolve(node, 3)


_POOL = "`pool`; of frames, `transpose` before it"


@operator("MaxPool AveragePool LpPool", _POOL, Facts(channels=Channels.FIRST))
def pooling(node: NodeImport) -> None:
    """Pooling over windows."""
    kernel = node.attribute("kernel_shape") or [1]
    _pool(node, image_of(node), window_of(node, kernel))


@operator("GlobalAveragePool GlobalMaxPool GlobalLpPool", "`pool` with one window", Facts(channels=Channels.FIRST))
def global_pooling(node: NodeImport) -> None:
    """Pooling over all rows and columns."""
    kernel = volume(node.shape(0)[2:])
    _pool(node, image_of(node), Window(kernel=kernel, strides=kernel, made=(1, 1, 1)))


def _pool(node: NodeImport, image: Image, window: Window) -> None:
    sources, fields = window_fields(node, image, window)
    give_image(node, image, node.layers.add(Pool, node.name, sources, K=image.channels, **fields))


enter(
    "MaxUnpool",
    "refused",
    Facts(refusal="puts elements where computed indices say, and no layer can; replace it by a Resize"),
)
