"""Networks with other data types: all weights, all fmaps, or all partial sums at once (docs/model.md#data-types)."""

from dataclasses import replace
from fractions import Fraction

from soma_cp.model.data_types import DataType, WeightFormat
from soma_cp.model.network.layers import Layer
from soma_cp.model.network.network import Network


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
        A network in which no layer is divided.
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
        stored = layer.types.weights if weights is None else weights._replace(ratio=layer.types.weights.ratio)
        if not layer.weight_bytes:
            stored = layer.types.weights
        elif weight_ratio is not None:
            stored = stored._replace(ratio=weight_ratio)
        types = layer.types._replace(weights=stored)
        if activations is not None:
            types = types._replace(ofmap=activations)
        if accumulators is not None and layer.is_matrix:
            types = types._replace(accumulators=accumulators)
        return replace(layer, types=types)

    inputs = network.inputs
    if activations is not None:
        inputs = tuple(replace(source, type=activations) for source in inputs)
    return replace(network, inputs=inputs, layers=tuple(map(changed, network.layers)))
