"""Divide layers along channels, and where needed what they read."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

from soma_cp.model.network.layers import (
    Conv,
    Eltwise,
    GroupConv,
    Layer,
    PointToPoint,
    Pool,
    Transpose,
    Upsample,
)
from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.layers import Layers, Sources


def divided(layers: Layers, sources: Sequence[str], sizes: Sequence[int]) -> list[Sources]:
    """Return sources for consecutive ranges of channels, as many in each as `sizes` says; divide layers where needed.

    A matrix layer becomes several with fewer kernels, which together do the same. An element-wise layer is divided
    together with what it reads.

    Parameters
    ----------
    layers
        The layers to divide.
    sources
        Layers and external inputs that are concatenated.
    sizes
        Channels of each range; their sum is the channels of `sources`.

    Raises
    ------
    UnsupportedError
        If a layer can't be divided at these channels.
    """
    ends = list(accumulate(sizes))
    ranges: list[list[str]] = [[] for _ in sizes]
    start = 0
    waiting = list(reversed(sources))
    while waiting:
        source, *rest = layers.resolved((waiting.pop(),))  # dividing the layer before may have divided this one
        waiting += reversed(rest)
        end = start + layers.shape(source)[0]
        cuts = [start, *(cut for cut in ends if start < cut < end), end]
        extents = [after - before for before, after in pairwise(cuts)]
        pieces = (source,) if len(extents) == 1 else _divide(layers, source, extents)
        for piece, cut in zip(pieces, cuts[1:], strict=True):
            ranges[bisect_left(ends, cut)].append(piece)
        start = end
    return [layers.resolved(names) for names in ranges]


def can_divide(layers: Layers, sources: Sequence[str], sizes: Sequence[int]) -> bool:
    """Whether `divided` can make these ranges of channels."""
    cuts = set(accumulate(sizes))
    start = 0
    for source in layers.resolved(sources):
        end = start + layers.shape(source)[0]
        inner = [start, *sorted(cut for cut in cuts if start < cut < end), end]
        extents = [after - before for before, after in pairwise(inner)]
        if len(extents) > 1 and not layers.is_input(source) and not _can_divide_layer(layers, source, extents):
            return False
        start = end
    return True


def sizes_around(taken: range, extent: int) -> tuple[list[int], int]:
    """Return sizes that divide channels where a range begins and ends, and the place of the range among them."""
    sizes = [taken.start, len(taken), extent - taken.stop]
    kept = [place for place, count in enumerate(sizes) if count]
    return [sizes[place] for place in kept], kept.index(1)


def _can_divide_layer(layers: Layers, name: str, sizes: Sequence[int]) -> bool:
    layer = layers.layer(name)
    sources = layers.reads(name)
    if layer.weight_operands:
        return False
    if isinstance(layer, GroupConv):
        if any(size * layer.G % layer.K for size in sizes):
            return False
        return can_divide(layers, sources, [size * layer.C // layer.K for size in sizes])
    if isinstance(layer, Conv) or _takes_any_channels(layer):
        return True
    if isinstance(layer, Eltwise):
        return all(can_divide(layers, (source,), sizes) for source in sources)
    if isinstance(layer, PointToPoint | Pool) or (isinstance(layer, Upsample) and layer.sK == 1):
        return can_divide(layers, sources, sizes)
    return False


def _takes_any_channels(layer: Layer) -> bool:
    """Whether a layer reads its whole ifmap for each of its channels."""
    return isinstance(layer, Transpose) and layer.ifmap is not None and layer.order[0] == "*"


def _divide(layers: Layers, name: str, sizes: Sequence[int]) -> Sources:
    if layers.is_input(name):
        return layers.divide_input(name, sizes)
    layer = layers.layer(name)
    reads = _reads_of_parts(layers, layer, sizes)
    starts = accumulate(sizes, initial=0)
    return layers.divide_layer(
        name, [_part(layer, start, size) for start, size in zip(starts, sizes, strict=False)], reads
    )


def _part(layer: Layer, start: int, size: int) -> Layer:
    """Return the layer with `size` of its output channels; shared weights are divided alike in all layers."""
    if isinstance(layer, Conv) and layer.weights:
        layer = replace(layer, weights=f"{layer.weights} {start}+{size}")
    if isinstance(layer, GroupConv):
        groups = size * layer.G // layer.K
        return replace(layer, K=size, C=layer.C // layer.G * groups, G=groups)
    return replace(layer, K=size)


def _reads_of_parts(layers: Layers, layer: Layer, sizes: Sequence[int]) -> list[Sources]:
    """Return the sources of each part; divide the sources too where needed."""
    sources = layers.reads(layer.name)
    if layer.weight_operands:
        raise UnsupportedError(f"takes a part of the channels of '{layer.name}', which multiplies two computed tensors")
    if isinstance(layer, GroupConv):
        if any(size * layer.G % layer.K for size in sizes):
            raise UnsupportedError(f"takes channels of '{layer.name}' across the borders of its {layer.G} groups")
        per_kernel = layer.C / layer.K
        return divided(layers, sources, [round(size * per_kernel) for size in sizes])
    if isinstance(layer, Conv) or _takes_any_channels(layer):
        return [sources] * len(sizes)
    if isinstance(layer, Eltwise):
        operands = [divided(layers, (source,), sizes) for source in sources]
        return [tuple(layers.joined(operand[i]) for operand in operands) for i in range(len(sizes))]
    if isinstance(layer, PointToPoint | Pool) or (isinstance(layer, Upsample) and layer.sK == 1):
        return divided(layers, sources, sizes)
    raise UnsupportedError(f"takes a part of the channels of '{layer.name}', a {layer.kind}, which can't be divided")
