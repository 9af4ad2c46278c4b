"""Figures of imported networks, which tests count by hand."""

from dataclasses import fields
from math import prod
from typing import Any

from soma_cp.model.network.layers import Layer, Shape
from soma_cp.model.network.network import Network


def products(network: Network) -> tuple[int, int]:
    """Multiply-accumulates of a network, and those of two computed tensors."""
    matrices = [layer for layer in network.layers if layer.is_matrix]
    computed = sum(layer.operations for layer in matrices if layer.weight_operands)
    return sum(layer.operations for layer in matrices), computed


def weights(network: Network) -> int:
    """Bytes of weights."""
    return sum(layer.weight_bytes for layer in network.layers)


def figures(network: Network) -> list[tuple[Any, ...]]:
    """Each layer without its name and the names that it reads."""
    names = {"name", "ifmaps", "inputs", "weight_operands"}

    def of(layer: Layer) -> tuple[Any, ...]:
        own = [(field.name, getattr(layer, field.name)) for field in fields(layer) if field.name not in names]
        return layer.kind, *own, len(layer.ifmaps), len(layer.inputs), len(layer.weight_operands)

    return [of(layer) for layer in network.layers]


def stored(network: Network) -> dict[str, Shape]:
    """Shapes of the ofmaps that are outputs."""
    return {layer.name: layer.ofmap for layer in network.layers if layer.name in network.outputs}


def stored_bytes(network: Network) -> list[int]:
    """Bytes of the ofmaps that are outputs, in ascending order."""
    return sorted(prod(shape) for shape in stored(network).values())


def loaded(network: Network) -> dict[str, Shape]:
    """Shapes of the external inputs."""
    return {source.name: source.shape for source in network.inputs}


def loaded_bytes(network: Network, *but: str) -> int:
    """Bytes of the external inputs, but for those of these names."""
    return sum(prod(shape) for name, shape in loaded(network).items() if name not in but)
