"""Which axes of an external input are channels, rows and columns: the first node that needs to know decides."""

from collections.abc import Sequence
from math import prod

from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.graph import Graph, GraphInput
from soma_cp.model.network.onnx_import.operators.registry import Axes, Channels
from soma_cp.model.network.onnx_import.operators.table import channels_of, facts_of
from soma_cp.model.network.onnx_import.values import Tensor
from soma_cp.model.network.onnx_import.views import BATCH, Axis, numbered, whole

_STEPS = 64
"""Most tensors that are followed before the default layout is taken."""


def input_tensor(graph: Graph, source: GraphInput, name: str) -> Tensor:
    """Return the external input called `name` as a view.

    Images (N, C, H, W), and sequences that a convolution reads (N, C, L), have channels first; tokens (N, T, D) have
    channels last; heads (N, heads, T, d) have heads × d channels.

    Raises
    ------
    UnsupportedError
        If it has more axes than batch, channels, rows and columns.
    """
    shape = source.shape
    batch = [] if source.batch is None else [whole(BATCH, source.batch)]
    inner = shape[len(batch) :]
    order = _first_decision(graph, source.name, len(shape))
    if len(inner) > 3 and order is not None and order[0] is Channels.LAST:
        return _rows_before_last(name, shape, batch)
    if len(inner) > 4:
        raise UnsupportedError(f"has {len(inner)} axes beside the batch (at most channels, depth, rows, columns)")
    if len(inner) == 4:
        channels_axis, depth, rows, columns = inner
        depth_axis, row_axis = numbered("H", [whole("H", depth), whole("H", rows)])
        view = (*batch, whole("C", channels_axis), depth_axis, row_axis, whole("W", columns))
        return Tensor((name,), (channels_axis, depth * rows, columns), view)
    if len(inner) == 3:
        if order is not None and order[0] is Channels.LAST and batch:
            heads, rows, width = inner
            channels = numbered("C", [whole("C", heads), whole("C", width)])
            return Tensor((name,), (heads * width, rows, 1), (*batch, channels[0], whole("H", rows), channels[1]))
        places = [axis - len(batch) for axis in order[1][1:]] if order is not None and batch else [0, 1, 2]
        sizes = [inner[place] for place in places]
        axes: list[Axis] = [(), (), ()]
        for dim, place, extent in zip("CHW", places, sizes, strict=True):
            axes[place] = whole(dim, extent)
        return Tensor((name,), (sizes[0], sizes[1], sizes[2]), (*batch, *axes))
    if len(inner) == 2:
        first = order is not None and order[0] is Channels.FIRST and order[1][-2] < order[1][-1]
        rows_axis, channels_axis = (1, 0) if first else (0, 1)
        axes = [(), ()]
        axes[rows_axis] = whole("H", inner[rows_axis])
        axes[channels_axis] = whole("C", inner[channels_axis])
        return Tensor((name,), (inner[channels_axis], inner[rows_axis], 1), (*batch, *axes))
    channels_alone = inner[0] if inner else 1
    return Tensor((name,), (channels_alone, 1, 1), (*batch, *(whole("C", extent) for extent in inner)))


def _rows_before_last(name: str, shape: Sequence[int], batch: Sequence[Axis]) -> Tensor:
    """Return an input whose second-last axis is the rows, and all others but the batch are channels."""
    inner = shape[len(batch) :]
    rows = inner[-2]
    others = numbered("C", [whole("C", extent) for extent in (*inner[:-2], inner[-1])])
    return Tensor((name,), (prod(inner) // rows, rows, 1), (*batch, *others[:-1], whole("H", rows), others[-1]))


def _first_decision(graph: Graph, name: str, rank: int) -> tuple[Channels, list[int]] | None:
    """Return where the first node that decides has the channels, and the axes in its order; None if no node decides."""
    axes = list(range(rank))
    waiting = [(name, axes)]
    for _ in range(_STEPS):
        if not waiting:
            return None
        tensor, axes = waiting.pop(0)
        for node in graph.nodes:
            if not node.inputs or tensor not in node.inputs:
                continue
            facts = facts_of(node.kind)
            channels = channels_of(node)
            if channels is Channels.FIRST and node.inputs[0] == tensor:
                return Channels.FIRST, axes
            if channels is Channels.LAST_OF_IMAGE and rank > 2:
                return Channels.FIRST, [axes[0], axes[-1], *axes[1:-1]]
            if channels is Channels.LAST:
                return Channels.LAST, axes
            permuted = axes
            if facts.axes is Axes.PERMUTED:
                order = node.permutation(rank)
                if sorted(order) != list(range(rank)):
                    continue  # reported when the node is imported
                permuted = [axes[place] for place in order]
            same_rank = len(graph.info(node.outputs[0]).shape or ()) == rank
            if same_rank and facts.axes is not Axes.OTHER:
                waiting.append((node.outputs[0], permuted))
    return None
