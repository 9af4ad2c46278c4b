"""Where the inputs of a graph have channels, rows and columns: as the user says, or as the nodes that read them do.

Each of the channels, rows and columns is some axes of the input. The readers are asked in the order of `readers`:

- an operator that has its channels first (a convolution, a pooling) gives its second axis to the channels, and its
  third and fourth to rows and columns;
- a multiplication by weights and a normalisation of the last axis give the last axis to the channels;
- a multiplication of two computed tensors reads heads: the axes before the matrices and the last axis are channels;
- if none of these reads the input, an operation with a vector says which axis is the channels.

A normalisation of heads is told from one of images by a multiplication of heads that comes after it.
"""

from collections.abc import Sequence
from itertools import chain
from math import prod

from soma_cp.model.network.onnx_import.graph import Graph, GraphInput
from soma_cp.model.network.onnx_import.operators.registry import Channels
from soma_cp.model.network.onnx_import.operators.table import channels_of
from soma_cp.model.network.onnx_import.tracing import Reader, readers
from soma_cp.model.network.onnx_import.values import Tensor
from soma_cp.model.network.onnx_import.views import BATCH, Axis, numbered, shape_of, whole

_IMAGE_AXES = 3
_MATRIX_AXES = 2

Layout = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""The axes of an input that are channels, rows and columns, the slowest first."""


def input_tensor(graph: Graph, source: GraphInput, name: str, letters: str = "") -> Tensor:
    """Return the external input called `name` as a view.

    Parameters
    ----------
    graph
        The graph, whose nodes read the input.
    source
        The input.
    name
        Its name in the network.
    letters
        What the user says that its axes are, such as ``NHWC``; if empty, the readers decide.
    """
    shape, batch = source.shape, source.batch_axis
    inner = [axis for axis in range(len(shape)) if axis != batch]
    layout = _said(letters) if letters else _decided(graph, source, inner) or _usual(inner)
    axes: list[Axis] = [()] * len(shape)
    if batch is not None:
        axes[batch] = whole(BATCH, shape[batch])
    for dim, places in zip("CHW", layout, strict=True):
        for place, axis in zip(places, numbered(dim, [whole(dim, shape[place]) for place in places]), strict=True):
            axes[place] = axis
    channels, rows, columns = (prod(shape[place] for place in places) for places in layout)
    return Tensor((name,), (channels, rows, columns), tuple(axes))


def _said(letters: str) -> Layout:
    places = {letter: (place,) for place, letter in enumerate(letters)}
    return places["C"], places.get("H", places.get("L", ())), places.get("W", ())


def _usual(inner: Sequence[int]) -> Layout:
    """Return channels, rows and columns; or rows and channels; or channels. Axes between rows and columns are rows."""
    if len(inner) >= _IMAGE_AXES:
        return (inner[0],), tuple(inner[1:-1]), (inner[-1],)
    if len(inner) == _MATRIX_AXES:
        return (inner[1],), (inner[0],), ()
    return tuple(inner), (), ()


def _decided(graph: Graph, source: GraphInput, inner: Sequence[int]) -> Layout | None:
    """Return the layout that the readers give; None if no node decides."""
    after_normalisation: Layout | None = None
    after_vector: Layout | None = None
    for reader in readers(graph, source.name, source.shape):
        channels = _channels(reader)
        if channels is None:
            after_vector = after_vector or _from_vector(graph, source, reader, inner)
        elif reader.facts.has_weights and channels is Channels.LAST and _multiplies_heads(graph, reader):
            return after_normalisation if len(inner) < _IMAGE_AXES else _of_heads(source, reader, inner)
        elif reader.facts.has_weights or channels is not Channels.LAST:
            return after_normalisation or _of_channels(source, reader, inner, 1 if channels is Channels.FIRST else -1)
        else:
            after_normalisation = after_normalisation or _of_channels(source, reader, inner, -1)
    return after_normalisation or after_vector


def _channels(reader: Reader) -> Channels | None:
    """Return where a node has channels in the tensor that it reads; None if it may have them anywhere."""
    node, rank = reader.node, len(reader.view)
    channels = channels_of(node)
    if channels is Channels.FIRST:
        return channels if reader.place == 0 else None
    if channels is Channels.LAST and not reader.facts.has_weights and rank > _MATRIX_AXES + 1:
        return channels if node.attributes.get("axis", -1) in (-1, rank - 1) else None
    return channels


def _multiplies_heads(graph: Graph, reader: Reader) -> bool:
    """Whether a node multiplies two computed tensors."""
    return not any(graph.info(name).constant for name in reader.node.inputs[:2])


def _of_heads(source: GraphInput, reader: Reader, inner: Sequence[int]) -> Layout:
    """Return heads × channels of each, and rows; the rows come before the channels in the input."""
    before = chain.from_iterable(reader.origins(axis) for axis in range(len(reader.view) - _MATRIX_AXES))
    groups = [axis for axis in before if axis != source.batch_axis]
    rows_and_width = [axis for axis in inner if axis not in groups]
    if len(rows_and_width) != _MATRIX_AXES:  # axes of one element are not known
        *groups, rows, width = inner
    else:
        rows, width = rows_and_width
    return (*groups, width), (rows,), ()


def _of_channels(source: GraphInput, reader: Reader, inner: Sequence[int], axis: int) -> Layout | None:
    """Return the layout in which the channels are `axis` of what the node reads; None if they are a part of an axis."""
    rank = len(reader.view)
    if rank < _MATRIX_AXES or axis % rank == 0:
        return None
    axis %= rank
    by_place = [[own for own in reader.origins(place) if own in inner] for place in range(rank)]
    channels = by_place[axis]
    spatial = [by_place[place] for place in range(rank) if place != axis and (place > 0 or by_place[0])]
    rest = list(dict.fromkeys(own for places in spatial for own in places))
    if len(channels) > 1 or not set(channels).isdisjoint(rest):
        return None
    if len(spatial) == _MATRIX_AXES and not spatial[0]:  # one row
        rest.insert(0, -1)
    last = max(1, len(rest) - 1)  # of more than two, all but the last are rows
    rows, columns = ([own for own in places if own >= 0] for places in (rest[:last], rest[last:]))
    left = [own for own in inner if own not in (*channels, *rows, *columns)]  # axes of one element
    return (*channels, *left), tuple(rows), tuple(columns)


def _from_vector(graph: Graph, source: GraphInput, reader: Reader, inner: Sequence[int]) -> Layout | None:
    """Return the layout in which the axis of a constant vector is the channels."""
    rank = len(reader.view)
    for name in reader.node.inputs:
        info = graph.info(name)
        if not info.constant or info.whole_numbers or info.shape is None or len(info.shape) > rank:
            continue
        longer = [place for place, extent in enumerate(info.shape, rank - len(info.shape)) if extent > 1]
        if len(longer) == 1 and longer[0] != 0 and shape_of(reader.view)[longer[0]] == max(info.shape):
            return _of_channels(source, reader, inner, longer[0])
    return None
