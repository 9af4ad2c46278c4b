"""What a window slides over, and the layer that it becomes: sequences, images and volumes, convolved or pooled.

An fmap has channels, rows and columns. A sequence has one column. The frames of a volume (batch, channels, depth, rows,
columns) lie one after another along the rows, and so do images that the first axis has besides the batch. So a window
of depth 1 slides over all frames as over one image. A deeper window needs its frames side by side: a *regrouping
transpose* turns the rows into (frame of the result, row, frame of the window), and a window of T frames has T times the
rows. Either way, operations and weights are those of the volume.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from soma_cp.model.network.layers import Shape
from soma_cp.model.network.onnx_import.arranging import in_any_sequence
from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.layers import Layers, Sources
from soma_cp.model.network.onnx_import.node_import import NodeImport
from soma_cp.model.network.onnx_import.values import Padded, Tensor
from soma_cp.model.network.onnx_import.views import (
    BATCH,
    Atom,
    Axis,
    View,
    numbered,
    reshaped,
    shape_of,
    simplified,
    size,
    whole,
    without_batch,
)

Volume = tuple[int, int, int]
"""Something of depth, rows and columns; 1 where a tensor lacks a dimension."""

_RANKS = (3, 4, 5)
"""Axes of a sequence, an image and a volume."""


@dataclass(frozen=True)
class Image:
    """What a window slides over.

    Parameters
    ----------
    sources
        An fmap of `channels` × (frames · depth · rows) × columns.
    first
        The tensor's first axis: the batch, and frames.
    channels
        Channels.
    extents
        Depth, rows and columns of one frame, without padding.
    """

    sources: Sources
    first: Axis
    channels: int
    extents: Volume

    @property
    def frames(self) -> int:
        """Images that the first axis has within a sample."""
        return size(without_batch(self.first))


@dataclass(frozen=True)
class Window:
    """A window that slides over an image.

    Parameters
    ----------
    kernel, strides, dilations
        Its size, its steps, and the distance of its taps.
    made
        Depth, rows and columns of the result for one frame.
    """

    kernel: Volume
    strides: Volume
    made: Volume
    dilations: Volume = (1, 1, 1)


def volume(numbers: Sequence[int] | None) -> Volume:
    """Return a number for depth, rows and columns, of the numbers for the axes that a tensor has; else 1."""
    given = list(numbers or [])
    if len(given) == 1:
        return 1, given[0], 1
    depth, rows, columns = [1] * (3 - len(given)) + given
    return depth, rows, columns


def image_of(node: NodeImport, with_padding: bool = True, in_sequence: bool = True) -> Image:
    """Return what the window of a node slides over.

    Without `with_padding`, zeros around the tensor become part of the fmap; without `in_sequence`, channels may be
    permuted, since weights can have them in any sequence.

    Raises
    ------
    UnsupportedError
        If the tensor has too many axes, or no kind of layer brings its elements where they are needed.
    """
    rank = len(node.shape(0))
    if rank not in _RANKS:
        raise UnsupportedError(
            f"reads a tensor of {rank} axes (must be batch, channels, and one to three that a window slides along)"
        )
    if len(node.out_shape()) != rank:
        raise UnsupportedError(f"makes a tensor {list(node.out_shape())} of one of {rank} axes (must have as many)")
    value = node.value(0)
    tensor = value.tensor if isinstance(value, Padded) else node.state.settled(value)
    first, channels, *axes = tensor.view
    columns = axes.pop() if len(axes) > 1 else ()
    rows = [atom for axis in (first, *axes) for atom in axis]
    sources = node.arranged(tensor, channels if in_sequence else in_any_sequence(channels), tuple(rows), columns)
    shape = shape_of(tensor.view)
    image = Image(sources, first, shape[1], volume(shape[2:]))
    return image if with_padding or not isinstance(value, Padded) else _enlarged(node, image, volume(value.shape[2:]))


def _enlarged(node: NodeImport, image: Image, extents: Volume) -> Image:
    """Return an image with the padding in its fmap."""
    depth, rows, columns = extents
    ofmap = (image.channels, image.frames * depth * rows, columns)
    sources = stretched(node.layers, f"{node.name}_padded", image.sources, ofmap)
    return replace(image, sources=sources, extents=extents)


def window_of(node: NodeImport, kernel: Sequence[int]) -> Window:
    """Return the window of a node, with the strides and dilations that its attributes say."""
    return Window(
        kernel=volume(kernel),
        strides=volume(node.attribute("strides")),
        dilations=volume(node.attribute("dilations")),
        made=volume(node.out_shape()[2:]),
    )


def window_fields(node: NodeImport, image: Image, window: Window) -> tuple[Sources, dict[str, Any]]:
    """Return what the layer of a window reads, and the fields of its window and of its ofmap's rows and columns."""
    frames, (depth, rows, _columns) = image.frames, image.extents
    (T, R, S), (sD, sH, sW) = window.kernel, window.strides
    made_depth, made_rows, made_columns = window.made
    sources = image.sources
    sides = sD == T and depth == made_depth * T  # every frame is in one window
    all_rows = rows == R and made_rows == 1 and (sides or (made_depth == 1 and depth == T))
    if all_rows and frames * depth > 1:
        sH = rows  # all rows of the window's frames, which lie one after another
    elif (T, sD, made_depth) != (1, 1, depth):
        sources = _beside(node, image, T, frames * made_depth, repeated=not sides)
    _, dH, dW = window.dilations
    if T > 1 and R > 1 and dH > 1:
        raise UnsupportedError(f"has a window of {T} frames and {R} rows with a dilation of {dH} in rows (must be 1)")
    fields = {"R": R * T, "S": S, "H": frames * made_depth * made_rows, "W": made_columns, "sH": sH * T, "sW": sW}
    fields |= {"dH": dH if R > 1 else 1, "dW": dW if S > 1 else 1}
    return _with_padding(node, sources, fields), fields


def _beside(node: NodeImport, image: Image, window: int, windows: int, repeated: bool) -> Sources:
    """Bring the frames of each window side by side.

    Those of an external input may lie so, unless windows share them, or there are zeros among them.
    """
    layers, rows = node.layers, image.extents[1]
    channels, height, columns = shape = layers.shape_of_all(image.sources)
    if not repeated and all(layers.is_input(source) for source in image.sources):
        beside = (Atom("H", windows, window * rows), Atom("H", rows, 1), Atom("H", window, rows))
        view = (whole("C", channels), whole("H", height), whole("W", columns))
        return node.arranged(Tensor(image.sources, shape, view), view[0], simplified(beside), view[2])
    ofmap = (channels, windows * rows * window, columns)
    return layers.regroup(f"{node.name}_frames", image.sources, ofmap, "C*W" if repeated else "ChW")


def _with_padding(node: NodeImport, sources: Sources, fields: dict[str, int]) -> Sources:
    """Make padding part of the fmap if some windows lie in the padding alone: a layer's own is less than its window."""
    channels, *extents = node.layers.shape_of_all(sources)
    needed = list(extents)
    for place, (extent, taps, stride, dilation) in enumerate((("H", "R", "sH", "dH"), ("W", "S", "sW", "dW"))):
        window = (fields[taps] - 1) * fields[dilation] + 1
        wanted = (fields[extent] - 1) * fields[stride] + window
        if max(wanted - extents[place], 0) // 2 >= window:
            needed[place] = wanted
    if needed == extents:
        return sources
    node.note("some windows lie in the padding alone; so the padding is stored with the fmap")
    return stretched(node.layers, f"{node.name}_padded", sources, (channels, needed[0], needed[1]))


def stretched(layers: Layers, name: str, sources: Sources, ofmap: Shape) -> Sources:
    """Add a regrouping transpose whose dimensions keep their places, but not all their extents."""
    extents = zip("CHW", layers.shape_of_all(sources), ofmap, strict=True)
    order = "".join(dim if before == after else dim.lower() for dim, before, after in extents)
    return layers.regroup(name, sources, ofmap, order)


def _image_view(image: Image, channels: int, extents: Volume, rank: int) -> View:
    """Return the axes of an fmap of frames, each of these channels, depth, rows and columns."""
    depth, rows, columns = extents
    inner = without_batch(image.first)
    frames, depth_axis, row_axis = numbered("H", [inner, whole("H", depth), whole("H", rows)])
    axes = {3: (row_axis,), 4: (row_axis, whole("W", columns)), 5: (depth_axis, row_axis, whole("W", columns))}[rank]
    return (_first_axis(image.first, frames), whole("C", channels), *axes)


def _first_axis(first: Axis, frames: Axis) -> Axis:
    """Return the atoms of a first axis, in their order, with those of the frames as `frames`."""
    inner = [atom for atom in first if atom.dim != BATCH]
    parts = reshaped((frames,), [atom.extent for atom in inner])
    assert parts is not None, "an axis splits into the factors of its extent"
    waiting = list(parts)
    return simplified(part for atom in first for part in ((atom,) if atom.dim == BATCH else waiting.pop(0)))


def give_image(node: NodeImport, image: Image, sources: Sources) -> None:
    """Set the output of a node to an fmap of the frames of `image`."""
    shape = node.out_shape()
    channels, extents = shape[1], volume(shape[2:])
    depth, rows, columns = extents
    view = _image_view(image, channels, extents, len(shape))
    node.give(Tensor(sources, (channels, image.frames * depth * rows, columns), view))
