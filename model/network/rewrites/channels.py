"""Layers divided by output channels: several with fewer kernels each, in place of one whose weights are too large.

A layer needs all of its weights in the buffer at once. Its parts do the same work: each reads the whole ifmap, and has
the weights of its own channels. What read the layer reads the parts in the order of their channels.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from soma_cp.model.errors import UserError, nearest_name_hint
from soma_cp.model.network.layers import Conv, GroupConv, Layer, weights_key
from soma_cp.model.network.network import DividedNetwork, Division, Network


class DivisionError(UserError):
    """A layer that can't be divided as asked."""


GRANULE = 256
"""Channels of a part are a multiple of this, where the layer has that many: what the arrays of `edge` (128) and `cloud`
(256) fill with kernels, so that the parts take no more cycles than the layer."""


def is_divisible(layer: Layer) -> bool:
    """Return whether a layer may be divided: it is a `conv` or `fc` with weights of its own."""
    return isinstance(layer, Conv) and not isinstance(layer, GroupConv) and not layer.weight_operands


def has_parts(layer: Layer, granule: int) -> bool:
    """Return whether a layer may be divided into parts of whole granules of channels, one perhaps with a rest."""
    return is_divisible(layer) and layer.ofmap[0] > granule


def divided_as(network: Network, divisions: Sequence[Division]) -> DividedNetwork:
    """Return `network` with these layers divided; what read a layer reads its parts in channel order.

    Parameters
    ----------
    network
        A network in which no layer is divided.
    divisions
        At most one for each layer, in any order.

    Raises
    ------
    DivisionError
        If a layer is unknown, may not be divided or is divided twice; if there are fewer than two parts, their channels
        do not add up, or a name of a part is taken.
    """
    by_name = {division.layer: division for division in divisions}
    known = {*network.layer_id, *network.input_id}
    for division in divisions:
        _check(network, division, known, twice=by_name[division.layer] is not division)

    def resolved(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(part for name in names for part in (by_name[name].parts if name in by_name else (name,)))

    layers = tuple(
        replace(part, ifmaps=resolved(part.ifmaps), weight_operands=resolved(part.weight_operands))
        for layer in network.layers
        for part in (_parts(layer, by_name[layer.name]) if layer.name in by_name else (layer,))
    )
    return DividedNetwork(
        network.name,
        network.inputs,
        layers,
        network.blocks,
        resolved(network.outputs),
        network.notes,
        undivided=network,
        made_by=tuple(by_name[layer.name] for layer in network.layers if layer.name in by_name),
    )


def _check(network: Network, division: Division, known: set[str], twice: bool) -> None:
    name, channels = division
    if name not in network.layer_id:
        hint = nearest_name_hint(name, network.layer_id)
        raise DivisionError(f"a division names the layer '{name}', which '{network.name}' does not have{hint}")
    if twice:
        raise DivisionError(f"the layer '{name}' is divided twice; keep one division")
    layer = network.layers[network.layer_id[name]]
    if not is_divisible(layer):
        raise DivisionError(f"layer '{name}' can't be divided: it is no conv or fc with weights of its own")
    if len(channels) < 2 or min(channels) < 1 or sum(channels) != layer.K:
        said = " + ".join(map(str, channels))
        raise DivisionError(
            f"layer '{name}' can't be divided into {said} channels (must be two or more parts of at least 1 channel "
            f"that add up to its {layer.K})"
        )
    stored = {weights_key(other) for other in network.layers}
    named = next((key for key in map(weights_key, _parts(layer, division)) if key[0] and key in stored), None)
    if named is not None:
        raise DivisionError(
            f"layer '{name}' can't be divided: the weights '{named[1]}' of a part would be those of another layer"
        )
    taken = next((part for part in division.parts if part in known), None)
    if taken is not None:
        what = "layer" if taken in network.layer_id else "input"
        raise DivisionError(
            f"layer '{name}' can't be divided: its part '{taken}' would have the name of another {what}"
        )


def _parts(layer: Layer, division: Division) -> tuple[Layer, ...]:
    """Return the parts; those of two layers have the same stored weights if they have the same kernels of them."""
    assert isinstance(layer, Conv)
    ends = accumulate(division.channels)
    return tuple(
        replace(layer, name=name, K=channels, weights=layer.weights and f"{layer.weights}[{end - channels}:{end}]")
        for name, channels, end in zip(division.parts, division.channels, ends, strict=True)
    )


def divided(network: Network, most_weight_bytes: int) -> Network:
    """Return `network` with every `conv` and `fc` divided whose own weights exceed a limit, as an ordinary network.

    The parts of a layer have as many channels each as the limit allows: multiples of `GRANULE` if one fits the limit.

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
    made = divided_as(network, divisions_up_to(network, most_weight_bytes, GRANULE))
    return Network(made.name, made.inputs, made.layers, made.blocks, made.outputs)


def divisions_up_to(
    network: Network, most_weight_bytes: int, granule: int, whole_granules: bool = False
) -> tuple[Division, ...]:
    """Return a division of every layer whose own weights exceed a limit, into parts as large as the limit allows.

    Parameters
    ----------
    network
        Any network; layers that may not be divided are left as they are.
    most_weight_bytes
        The most bytes of weights of a part.
    granule
        Parts but the last have a multiple of so many channels, if one granule fits the limit.
    whole_granules
        Whether parts are whole granules even where one granule exceeds the limit.

    Raises
    ------
    UserError
        If a single kernel of a layer exceeds the limit.
    """
    found = []
    for layer in network.layers:
        if is_divisible(layer) and layer.weight_bytes > most_weight_bytes:
            assert isinstance(layer, Conv)
            most = _most_channels(layer, most_weight_bytes)
            if whole_granules:
                most = max(most, granule)
            if most == 0:
                raise UserError(
                    f"layer '{layer.name}' can't be divided into parts of {most_weight_bytes:,} bytes of weights: one "
                    f"of its {layer.K} kernels alone has {layer.weight_bytes_of(1):,}; allow at least that"
                )
            each = most // granule * granule or most
            sizes = tuple(min(each, layer.K - first) for first in range(0, layer.K, each))
            if len(sizes) > 1:
                found.append(Division(layer.name, sizes))
    return tuple(found)


def _most_channels(layer: Conv, most_weight_bytes: int) -> int:
    """Return the most output channels of a layer whose weights together have at most so many bytes."""
    return most_weight_bytes * 8 // layer.types.weights.kernel_bits(layer.kernel_elements)
