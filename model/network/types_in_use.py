"""The data types of a network in a few words, and as ``--json`` has them; nothing if all is INT8."""

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar

from soma_cp.model.data_types import INT8
from soma_cp.model.network.network import Network

_Said = TypeVar("_Said", bound=str | float | None)
_MOST_NAMED = 3


class TypesInUse(NamedTuple):
    """The types of a network, each once: inputs first, then layers in their order.

    Parameters
    ----------
    weights
        How stored weights are held, as files write it.
    weight_ratios
        Bytes of weights in DRAM for each byte in the buffer.
    activations
        Of external inputs and ofmaps.
    accumulators
        Of partial sums; None: as wide as the ofmap.
    """

    weights: tuple[str, ...]
    weight_ratios: tuple[float, ...]
    activations: tuple[str, ...]
    accumulators: tuple[str | None, ...]

    @property
    def text(self) -> str:
        """Such as ``weights int4/128, activations fp16``; empty if all is INT8."""
        said = []
        if self.weights not in ((), (INT8.name,)):
            said.append(f"weights {_listed(self.weights)}")
        if self.weight_ratios not in ((), (1.0,)):
            said.append(f"weight ratio {_listed([f'{ratio:g}' for ratio in self.weight_ratios])}")
        if self.activations != (INT8.name,):
            said.append(f"activations {_listed(self.activations)}")
        if self.accumulators not in ((), (None,)):
            said.append(f"accumulators {_listed([name or 'as the ofmap' for name in self.accumulators])}")
        return ", ".join(said)


def types_in_use(network: Network) -> TypesInUse:
    """Return the types of `network`."""
    weights = [layer.types.weights for layer in network.layers if layer.weight_bytes]
    activations = [source.type for source in network.inputs] + [layer.types.ofmap for layer in network.layers]
    accumulators = [layer.types.accumulators for layer in network.layers if layer.is_matrix]
    return TypesInUse(
        weights=_once(one.text for one in weights),
        weight_ratios=_once(float(one.ratio) for one in weights),
        activations=_once(one.name for one in activations),
        accumulators=_once(None if one is None else one.name for one in accumulators),
    )


def types_document(network: Network) -> dict[str, Any]:
    """Return the key ``data_types`` of ``--json``; nothing if all is INT8."""
    found = types_in_use(network)
    if not found.text:
        return {}
    lists = {name: list(values) for name, values in found._asdict().items()}
    sizes = {"weight_bytes": network.weight_bytes, "dram_weight_bytes": network.dram_weight_bytes}
    return {"data_types": lists | sizes}


def _once(values: Iterable[_Said]) -> tuple[_Said, ...]:
    return tuple(dict.fromkeys(values))


def _listed(names: Iterable[str]) -> str:
    """Return a few names in words; of many, how many they are."""
    found = list(names)
    return " and ".join(found) if len(found) <= _MOST_NAMED else f"of {len(found)} kinds"
