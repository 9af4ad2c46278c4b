"""A network in several passes: copies of it, one after another, each for a part of the batch (docs/model.md#passes).

Each copy has its own external inputs and weights, so that nothing is shared and nothing is read from pass to pass. A
schedule in passes is then a schedule of the copies like any other.
"""

from dataclasses import replace
from functools import partial

from soma_cp.model.errors import UserError
from soma_cp.model.network.layers import Conv, Layer
from soma_cp.model.network.network import Network, RepeatedNetwork, name_in_pass


class PassesError(UserError):
    """A number of passes that a network or a batch can't be run in."""


def in_passes(network: Network, count: int) -> RepeatedNetwork:
    """Return `count` copies of `network`, which have nothing in common.

    Parameters
    ----------
    network
        The network of one pass; its layers may be divided.
    count
        At least 2. Copies of pass n ≥ 2 are called ``conv1 (pass n)``.

    Raises
    ------
    PassesError
        If a name of a copy is taken.
    """
    numbers = range(1, count + 1)
    known = {*network.layer_id, *network.input_id}
    taken = next((copy for name in known for n in numbers[1:] if (copy := name_in_pass(name, n)) in known), None)
    if taken is not None:
        raise PassesError(
            f"'{network.name}' can't run in passes: it has the name '{taken}' already, which would be that of a copy"
        )
    return RepeatedNetwork(
        network.name,
        tuple(replace(source, name=name_in_pass(source.name, n)) for n in numbers for source in network.inputs),
        tuple(_copied(layer, n) for n in numbers for layer in network.layers),
        network.blocks,
        tuple(name_in_pass(name, n) for n in numbers for name in network.outputs),
        network.notes,
        copied=network,
        copies=count,
    )


def _copied(layer: Layer, number: int) -> Layer:
    named = partial(name_in_pass, number=number)
    copy = replace(
        layer,
        name=named(layer.name),
        ifmaps=tuple(map(named, layer.ifmaps)),
        weight_operands=tuple(map(named, layer.weight_operands)),
        inputs=tuple(map(named, layer.inputs)),
    )
    return replace(copy, weights=named(copy.weights)) if isinstance(copy, Conv) and copy.weights else copy
