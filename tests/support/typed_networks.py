"""Draws networks whose layers and inputs have data types of their own."""

from dataclasses import replace
from fractions import Fraction

import hypothesis.strategies as st

from soma_cp.model.data_types import DATA_TYPES, INT8, DataType, LayerTypes, WeightFormat
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.layers import weights_key
from soma_cp.model.network.network import Network

NAMES = ("tiny-chain", "tiny-attention", "tiny-pool-fc", "tiny-unet")


def data_types() -> st.SearchStrategy[DataType]:
    """Draw a type, often the usual one."""
    return st.just(INT8) | st.sampled_from(DATA_TYPES)


def weight_formats() -> st.SearchStrategy[WeightFormat]:
    """Draw how weights are stored, with or without scales and compression."""
    scales = st.just((0, 0)) | st.tuples(st.integers(1, 1 << 20), st.integers(1, 1024))
    ratios = st.just(Fraction(1)) | st.builds(Fraction, st.integers(1, 1_000_000), st.just(1_000_000))
    return st.builds(lambda kind, scale, ratio: WeightFormat(kind, *scale, ratio), data_types(), scales, ratios)


@st.composite
def typed_networks(draw: st.DrawFn) -> Network:
    """Draw a built-in network with other types: some agree everywhere, others differ from layer to layer."""
    network = builtin_network(draw(st.sampled_from(NAMES)))
    few = st.lists(data_types(), min_size=1, max_size=2)
    activations, accumulators = draw(few), draw(st.lists(st.none() | data_types(), min_size=1, max_size=2))
    weights = draw(st.lists(weight_formats(), min_size=1, max_size=2))
    stored = {weights_key(layer): draw(st.sampled_from(weights)) for layer in network.layers}

    def types(layer: object) -> LayerTypes:
        is_matrix, holds = layer.is_matrix, layer.weight_bytes > 0  # type: ignore[attr-defined]
        return LayerTypes(
            ofmap=draw(st.sampled_from(activations)),
            weights=stored[weights_key(layer)] if holds else WeightFormat(),  # type: ignore[arg-type]
            accumulators=draw(st.sampled_from(accumulators)) if is_matrix else None,
        )

    return replace(
        network,
        inputs=tuple(replace(source, type=draw(st.sampled_from(activations))) for source in network.inputs),
        layers=tuple(replace(layer, types=types(layer)) for layer in network.layers),
    )
