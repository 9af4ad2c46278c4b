"""Layers divided by output channels: several with fewer kernels each, in place of one whose weights are too large.

A layer needs all of its weights in the buffer at once. Its parts do the same work: each reads the whole ifmap, and has
the weights of its own channels. What read the layer reads the parts in the order of their channels.
"""

from collections.abc import Sequence
from dataclasses import replace

from soma_cp.model.errors import UserError
from soma_cp.model.network.layers import Conv, GroupConv, Layer
from soma_cp.model.network.network import Network

GRANULE = 256
"""Channels of a part are a multiple of this, where the layer has that many: what the arrays of `edge` (128) and `cloud`
(256) fill with kernels, so that the parts take no more cycles than the layer."""


def divided(network: Network, most_weight_bytes: int) -> Network:
    """Return `network` with every `conv` and `fc` divided whose own weights exceed a limit.

    The parts of a layer ``name`` are called ``name/1``, ``name/2`` and so on, and have as many channels each as the
    limit allows: multiples of `GRANULE` if one fits the limit.

    Parameters
    ----------
    network
        Any network; layers in groups and layers whose second operand others make are left as they are.
    most_weight_bytes
        The most bytes of weights of one layer.

    Raises
    ------
    UserError
        If a single kernel of a layer exceeds the limit, or a name of a part is taken.
    """
    parts = {layer.name: _parts(layer, most_weight_bytes) for layer in network.layers if _is_divisible(layer)}
    parts = {name: layers for name, layers in parts.items() if len(layers) > 1}
    known = {*network.layer_id, *network.input_id}
    for name, layers in parts.items():
        taken = next((part.name for part in layers if part.name in known), None)
        if taken is not None:
            raise UserError(f"layer '{name}' can't be divided: its part '{taken}' would have the name of another layer")

    def resolved(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(part for name in names for part in _names(name, parts))

    layers = tuple(
        replace(part, ifmaps=resolved(part.ifmaps), weight_operands=resolved(part.weight_operands))
        for layer in network.layers
        for part in parts.get(layer.name, (layer,))
    )
    return Network(network.name, network.inputs, layers, network.blocks, resolved(network.outputs))


def _names(name: str, parts: dict[str, tuple[Layer, ...]]) -> tuple[str, ...]:
    return tuple(part.name for part in parts[name]) if name in parts else (name,)


def _is_divisible(layer: Layer) -> bool:
    return isinstance(layer, Conv) and not isinstance(layer, GroupConv) and not layer.weight_operands


def _parts(layer: Layer, most_weight_bytes: int) -> tuple[Layer, ...]:
    assert isinstance(layer, Conv)
    kernel_bytes = layer.weight_bytes // layer.K
    most = most_weight_bytes // kernel_bytes
    if most == 0:
        raise UserError(
            f"layer '{layer.name}' can't be divided into parts of {most_weight_bytes:,} bytes of weights: one of its "
            f"{layer.K} kernels alone has {kernel_bytes:,}; allow at least that"
        )
    each = most // GRANULE * GRANULE or most
    sizes = [min(each, layer.K - first) for first in range(0, layer.K, each)]
    return tuple(
        replace(
            layer,
            name=f"{layer.name}/{number}",
            K=size,
            weights=f"{layer.weights}/{number}" if layer.weights else "",
        )
        for number, size in enumerate(sizes, start=1)
    )
