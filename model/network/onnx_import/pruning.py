"""The last pass over imported layers: those that lead nowhere go, and arrangements one after another become one."""

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from soma_cp.model.network.layers import Conv, Layer, PointToPoint, Pool, Transpose
from soma_cp.model.network.onnx_import.layers import Layers, Sources, composed, ordered

_LARGER = 4
"""How many times as large as its ofmap a layer's ifmap may be for a reader to arrange it at once, and hold it whole."""


def prune(layers: Layers, outputs: Sequence[str]) -> Sources:
    """Remove layers that lead to none of the `outputs`; return those of them that are parts of matrix layers.

    After this, each external input is in one arrangement, and layers that arrange what such layers make are one.
    """
    unread = layers.keep_needed(outputs)
    layers.arrange_inputs_once()
    stored = set(layers.resolved(outputs))
    for layer in reversed(layers.layers):
        _arrange_at_once(layers, layer.name, stored)
    layers.keep_needed(outputs)
    return unread


def _arrange_at_once(layers: Layers, name: str, outputs: set[str]) -> None:
    """Let a layer that arranges what another one arranges read what that one reads."""
    layer = layers.find(name)
    outer = _order_of(layers, layer) if layer is not None else ""
    if layer is None or not outer or isinstance(layer, Pool) or len(layers.reads(name)) != 1:
        return
    (source,) = layers.reads(name)
    before = layers.find(source)
    inner = _order_of(layers, before) if before is not None else ""
    if before is None or not inner:
        _arrange_earlier(layers, name, outputs)
        return
    letters = composed(outer, inner)
    if letters == "CHW":
        return
    read = layers.reads(source)
    shape = layers.shape_of_all(read)
    fields = ordered(letters, shape)
    alone = layers.readers(source) == [name]
    if source in outputs:
        if alone and layers.only_arranges(name) and name not in outputs:  # the same elements are stored
            layers.put(Transpose(name=source, K=layer.K, H=layer.H, W=layer.W, **fields), read)
            layers.remove(name, source)
            _arrange_at_once(layers, source, outputs)
    elif (alone and prod(shape) <= _LARGER * prod(before.ofmap)) or (
        prod(shape) <= prod(before.ofmap) and not any(layers.is_input(other) for other in read)
    ):
        layers.put(Transpose(name=name, K=layer.K, H=layer.H, W=layer.W, **fields), read)
        if alone:
            layers.remove(source)
        _arrange_at_once(layers, name, outputs)


def _arrange_earlier(layers: Layers, name: str, outputs: set[str]) -> None:
    """Arrange rows and columns before a multiplication by weights, if what it reads is arranged there anyway."""
    layer = layers.layer(name)
    (source,) = layers.reads(name)
    product = layers.find(source)
    if not isinstance(layer, Transpose) or _is_stretching(layer):
        return
    if layer.order[0] != "C" or type(product) is not Conv:
        return
    is_pointwise = product.R == product.S == product.sH == product.sW == 1 and not product.weight_operands
    if not is_pointwise or not outputs.isdisjoint((source, name)) or layers.readers(source) != [name]:
        return
    read = layers.reads(source)
    before = layers.find(read[0])
    if len(read) != 1 or not isinstance(before, Transpose) or _is_stretching(before) or before.name in outputs:
        return
    if layers.readers(before.name) != [source]:
        return
    sources = layers.reads(before.name)
    letters = composed(layer.order, before.order)
    fields = ordered(letters, layers.shape_of_all(sources))
    layers.put(Transpose(name=before.name, K=before.K, H=layer.H, W=layer.W, **fields), sources)
    layers.put(replace(product, H=layer.H, W=layer.W), read)
    layers.remove(name, source)


def _order_of(layers: Layers, layer: Layer) -> str:
    """Return the order of dimensions of a layer that only moves elements; empty if it does more.

    A transpose that stretches or shrinks dimensions does more: it interpolates, pads or interleaves.
    """
    if isinstance(layer, Transpose):
        return "" if _is_stretching(layer) else layer.order
    if isinstance(layer, PointToPoint) and layers.only_arranges(layer.name):
        return "*HW"
    if isinstance(layer, Pool) and layer.R == layer.S == 1:
        shape = layers.shape_of_all(layers.reads(layer.name))
        return "".join(
            dim if extent == made else "*" for dim, extent, made in zip("CHW", shape, layer.ofmap, strict=True)
        )
    return ""


def _is_stretching(layer: Transpose) -> bool:
    return layer.order != layer.order.upper()
