"""Notes on data types: what a user should know of how a network's types are counted (docs/model.md#data-types)."""

from collections.abc import Iterator

from soma_cp.model.data_types import INT8, TYPE_CODE, DataType
from soma_cp.model.hardware.builtin.catalogue import known_name
from soma_cp.model.hardware.core_array.type_costs import WITHOUT_RATES, slowdown, type_costs
from soma_cp.model.hardware.platform import PUBLISHED_CORE_ARRAY, Platform
from soma_cp.model.network.network import Network

_WITH_RATES = (PUBLISHED_CORE_ARRAY, "roofline")
"""Core arrays that take rates and energies by type from the platform."""


def type_notes(network: Network, platform: Platform) -> tuple[str, ...]:
    """Return a sentence for each doubt about the types of `network` on `platform`; none if all is INT8."""
    return (*weight_notes(network), *_notes_on_costs(network, platform))


def weight_notes(network: Network) -> tuple[str, ...]:
    """Return a note on integers of few bits without scales, which are hardly ever of use; scales take bytes."""
    formats = [layer.types.weights for layer in network.layers if layer.weight_bytes]
    bare = [one.type for one in formats if not one.group and not one.type.is_float and one.type.bits < INT8.bits]
    if not bare:
        return ()
    names = list(dict.fromkeys(one.name for one in bare))
    counted = f"{names[0]}/128 counts a 16-bit scale for each 128 weights"
    return (f"weights are {' and '.join(names)} without scales; {counted}",)


def _notes_on_costs(network: Network, platform: Platform) -> Iterator[str]:
    """Note types in which matrix layers are computed, and whose costs the platform does not say."""
    for one in dict.fromkeys(network.computed_type(layer) for layer in network.layers if layer.is_matrix):
        if one is INT8:
            continue
        if platform.core_array in _WITH_RATES:
            yield from _note_on_scaling(one, platform)
        elif platform.core_array in WITHOUT_RATES:
            yield f"the core array {platform.core_array} computes {one.name} at the rate and the energy of INT8"


def _note_on_scaling(one: DataType, platform: Platform) -> Iterator[str]:
    scaled: dict[str, str] = {}
    if one.name not in dict(platform.macs_per_cycle_by_type):
        rate = float(platform.macs_per_cycle / slowdown(platform, one))
        scaled["macs_per_cycle_by_type"] = f"{rate:,.6g} multiply-accumulates per cycle"
    if one.name not in dict(platform.mac_pj_by_type):
        energy = type_costs(platform).mac_pj[TYPE_CODE[one.name]]
        scaled["mac_energy_by_type"] = f"{energy:.4g} pJ for each" if scaled else f"{energy:.4g} pJ for an operation"
    if not scaled:
        return
    whose = known_name(platform) or "the platform"
    are = "are" if "macs_per_cycle_by_type" in scaled else "is"
    how = "scaled from INT8" if one.bits > INT8.bits else "taken from INT8"
    say = "say" if len(scaled) > 1 else "says"
    yield (
        f"{whose} does not say what {one.name} costs: {' and '.join(scaled.values())} {are} {how}; "
        f"{' and '.join(scaled)} in a hardware file {say} otherwise"
    )
