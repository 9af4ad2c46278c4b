"""A network with fewer copies in its repeats: it is that network but for its length (docs/first-stage.md#periods)."""

from collections.abc import Sequence
from dataclasses import replace

from soma_cp.model.network.network import Network
from soma_cp.model.network.repeats import Repeat


def with_fewer_copies(network: Network, repeats: Sequence[Repeat], most: int) -> Network:
    """Return `network` with the first copies of each repeat alone; layers and inputs keep their names.

    Parameters
    ----------
    network
        Any network in which no layer is divided.
    repeats
        Repeats of it that do not overlap.
    most
        How many copies of each to keep; at least 1. What reads the last copy reads the last one that is kept.
    """
    read_instead: dict[str, str] = {}
    left_out: set[str] = set()
    for repeat in repeats:
        if repeat.count <= most:
            continue
        kept = [network.layers[i].name for i in repeat.copy(most - 1)]
        for number in range(most, repeat.count):
            names = [network.layers[i].name for i in repeat.copy(number)]
            left_out |= set(names)
            read_instead |= dict(zip(names, kept, strict=True))

    def instead(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(read_instead.get(name, name) for name in names)

    layers = tuple(
        replace(layer, ifmaps=instead(layer.ifmaps), weight_operands=instead(layer.weight_operands))
        for layer in network.layers
        if layer.name not in left_out
    )
    read = {name for layer in layers for name in layer.inputs}
    return Network(
        network.name,
        tuple(source for source in network.inputs if source.name in read),
        layers,
        network.blocks,
        tuple(dict.fromkeys(instead(network.outputs))),
    )
