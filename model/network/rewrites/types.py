"""Networks with other data types: all weights, all fmaps, or all partial sums at once (docs/model.md#data-types)."""

from dataclasses import replace
from fractions import Fraction

from soma_cp.model.data_types import (
    INT8,
    DataType,
    LayerTypes,
    WeightFormat,
    data_type_of_user,
    ratio_of_user,
    weight_format_of_user,
)
from soma_cp.model.network.layers import Layer
from soma_cp.model.network.network import Network
from soma_cp.model.network.rewrites.channels import divided_as


def with_types(
    network: Network,
    weights: WeightFormat | None = None,
    activations: DataType | None = None,
    accumulators: DataType | None = None,
    weight_ratio: Fraction | None = None,
) -> Network:
    """Return `network` with other types for all of its layers and inputs; None leaves what they have.

    Parameters
    ----------
    network
        Divided layers stay divided.
    weights
        Of all stored weights; their ratio of compression stays as it is.
    activations
        Of all ofmaps and external inputs.
    accumulators
        Of all partial sums.
    weight_ratio
        Bytes of weights in DRAM for each byte in the buffer.
    """

    def changed(layer: Layer) -> Layer:
        types = layer.types.changed(
            weights=weights if layer.weight_bytes else None,
            activations=activations,
            accumulators=accumulators if layer.is_matrix else None,
            weight_ratio=weight_ratio if layer.weight_bytes else None,
        )
        return replace(layer, types=types)

    if network.divisions:
        whole = with_types(network.whole, weights, activations, accumulators, weight_ratio)
        return replace(divided_as(whole, network.divisions), notes=network.notes)
    inputs = network.inputs
    if activations is not None:
        inputs = tuple(replace(source, type=activations) for source in inputs)
    return replace(network, inputs=inputs, layers=tuple(map(changed, network.layers)))


def with_named_types(
    network: Network,
    weights: str | None = None,
    activations: str | None = None,
    accumulators: str | None = None,
    weight_ratio: float | None = None,
) -> Network:
    """Return `network` with the types that a user names; None leaves what it has. Parameters as for `with_types`.

    Raises
    ------
    UserError
        If a type is unknown or the ratio is out of range.
    """
    return with_types(
        network,
        None if weights is None else weight_format_of_user("--weights", weights),
        None if activations is None else data_type_of_user("--activations", activations),
        None if accumulators is None else data_type_of_user("--accumulators", accumulators),
        None if weight_ratio is None else ratio_of_user("--weight-ratio", weight_ratio),
    )


def without_types(network: Network) -> Network:
    """Return `network` with all data in INT8, in which no layer is divided."""
    whole = network.whole
    return replace(
        whole,
        inputs=tuple(replace(source, type=INT8) for source in whole.inputs),
        layers=tuple(replace(layer, types=LayerTypes()) for layer in whole.layers),
    )
