"""Several blocks of a network in a row, as one network: each block reads the ofmap of the block before it."""

from dataclasses import replace

from soma_cp.model.errors import UserError
from soma_cp.model.network.layers import Conv, Layer
from soma_cp.model.network.network import Network
from soma_cp.model.network.network_checks import unread_layers


def blocks_in_a_row(network: Network, count: int) -> Network:
    """Return `count` copies of a one-block network in a row; each copy has its own weights and its own other inputs.

    Parameters
    ----------
    network
        Has `Network.blocks` of at least `count`, one layer at its end, and one external input of that layer's shape. In
        all copies but the first, the last layer of the copy before replaces this input.
    count
        At least 1. Names of layers and inputs become ``b1.…``, ``b2.…`` and so on; the first input keeps its name.

    Raises
    ------
    UserError
        If the network is not such a block, or has fewer blocks.
    """
    if network.blocks == 1:
        raise UserError(f"'{network.name}' is a whole network, not one block of several; leave --blocks out")
    if not 1 <= count <= network.blocks:
        raise UserError(f"--blocks={count} (must be from 1 to {network.blocks}, the blocks of '{network.name}')")
    final, entry = _ends(network)
    inputs = [network.inputs[network.input_id[entry]]]
    layers: list[Layer] = []
    for block in range(1, count + 1):
        inputs += [replace(source, name=f"b{block}.{source.name}") for source in network.inputs if source.name != entry]
        layers += [_copied(layer, block, final, entry) for layer in network.layers]
    rest = network.blocks // count if network.blocks % count == 0 else 1
    outputs = [f"b{block}.{name}" for block in range(1, count + 1) for name in network.outputs if name != final]
    return Network(
        f"{network.name}-{count}-blocks",
        tuple(inputs),
        tuple(layers),
        rest,
        (*outputs, f"b{count}.{final}"),
    )


def _ends(network: Network) -> tuple[str, str]:
    """Return the names of the layer that a block passes on, and of the external input that it replaces.

    Of several layers without consumers, such as new keys and values beside the sum at the end of a block, that is the
    one that depends on most layers.
    """
    finals = unread_layers(network.layers)
    before = _layers_before(network)
    most = max(len(before[name]) for name in finals)
    deepest = [name for name in finals if len(before[name]) == most]
    entries = [source.name for source in network.inputs if source.shape == network.source_shape(deepest[0])]
    if len(deepest) != 1 or len(entries) != 1:
        raise UserError(
            f"blocks of '{network.name}' can't be put in a row: {len(deepest)} layers at its end, {len(entries)} "
            "external inputs of that shape (there must be one of each); leave --blocks out"
        )
    return deepest[0], entries[0]


def _layers_before(network: Network) -> dict[str, set[str]]:
    """Return the layers on which each layer depends."""
    before: dict[str, set[str]] = {}
    for layer in network.layers:
        producers = (*layer.ifmaps, *layer.weight_operands)
        before[layer.name] = set(producers).union(*(before[name] for name in producers))
    return before


def _copied(layer: Layer, block: int, final: str, entry: str) -> Layer:
    ifmaps = tuple(f"b{block}.{name}" for name in layer.ifmaps)
    inputs = tuple(name if name == entry else f"b{block}.{name}" for name in layer.inputs)
    if block > 1 and entry in inputs:
        inputs = tuple(name for name in inputs if name != entry)
        ifmaps = (*ifmaps, f"b{block - 1}.{final}")
    operands = tuple(f"b{block}.{name}" for name in layer.weight_operands)
    copy = replace(layer, name=f"b{block}.{layer.name}", ifmaps=ifmaps, weight_operands=operands, inputs=inputs)
    return replace(copy, weights=f"b{block}.{copy.weights}") if isinstance(copy, Conv) and copy.weights else copy
