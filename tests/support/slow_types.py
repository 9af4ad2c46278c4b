"""Data types in plain Python, on the documents of network files: bits, and bytes of weights (docs/model.md#data-types).

It shares no code with the package.
"""

import math
import re
from fractions import Fraction

MATRIX_KINDS = ("conv", "group_conv", "fc")


def resolved(network: dict) -> dict:
    """Return a network in which each layer and input says its own types, in place of the head of the file."""
    head = {
        key: network[key]
        for key in ("activation_type", "accumulator_type", "weight_type", "weight_ratio")
        if key in network
    }
    own = {"type": head["activation_type"]} if "activation_type" in head else {}
    return {
        **network,
        "inputs": [own | source for source in network["inputs"]],
        "layers": [head | layer for layer in network["layers"]],
    }


def bits_of(name: str) -> int:
    """Return the bits of a type: the number in its name."""
    return int(re.sub(r"\D", "", name))


def packed(elements: int, bits: int) -> int:
    return math.ceil(Fraction(elements * bits, 8))


def ofmap_type(layer: dict) -> str:
    return layer.get("activation_type", "int8")


def source_types(network: dict) -> dict[str, str]:
    """Return the type of every ofmap and external input."""
    types = {source["name"]: source.get("type", "int8") for source in network["inputs"]}
    return types | {layer["name"]: ofmap_type(layer) for layer in network["layers"]}


def wider(types: list[str]) -> str:
    """Return the type of most bits; of equally wide ones a float, if there is one, and else the first."""
    most = max(map(bits_of, types))
    widest = [name for name in types if bits_of(name) == most]
    return next((name for name in widest if not name.startswith("int")), widest[0])


def ifmap_type(layer: dict, network: dict) -> str:
    types = source_types(network)
    return wider([types[name] for name in (*layer.get("ifmaps", []), *layer.get("inputs", []))])


def operand_type(layer: dict, network: dict) -> str:
    """Return the type of a matrix layer's second operand."""
    if layer.get("weight_operands"):
        types = source_types(network)
        return wider([types[name] for name in layer["weight_operands"]])
    return layer.get("weight_type", "int8").split("/")[0]


def computed_type(layer: dict, network: dict) -> str:
    ifmap = ifmap_type(layer, network)
    if layer["kind"] in MATRIX_KINDS:
        return wider([ifmap, operand_type(layer, network)])
    return wider([ifmap, ofmap_type(layer)])


def sum_bits(layer: dict) -> int:
    return bits_of(layer.get("accumulator_type", ofmap_type(layer)))


def kernel_elements(layer: dict) -> int:
    """Return the elements of a matrix layer's second operand for one output channel."""
    return layer["C"] // layer.get("G", 1) * layer.get("R", 1) * layer.get("S", 1)


def kernel_bits(layer: dict, network: dict) -> int:
    """Return the bits of a matrix layer's second operand for one output channel, with scales."""
    elements = kernel_elements(layer)
    bits = elements * bits_of(operand_type(layer, network))
    stored = re.fullmatch(r"\w+/(\d+)(?::(\d+))?", layer.get("weight_type", ""))
    if stored and not layer.get("weight_operands"):
        group, scale = int(stored[1]), int(stored[2] or 16)
        bits += scale * math.ceil(Fraction(elements, group))
    return bits


def weight_bytes(layer: dict) -> int:
    """Return the bytes of a layer's stored weights in the buffer; 0 if it has none."""
    if layer["kind"] not in MATRIX_KINDS or layer.get("weight_operands"):
        return 0
    return packed(layer["K"], kernel_bits(layer, {"inputs": [], "layers": []}))


def dram_weight_bytes(layer: dict) -> int:
    """Return the bytes of a layer's stored weights in DRAM."""
    return math.ceil(weight_bytes(layer) * Fraction(str(layer.get("weight_ratio", 1))))


def slowdown(data_type: str, hardware: dict, macs_per_cycle: int) -> Fraction:
    """Return how many times as long as with INT8 the array takes."""
    given = dict(hardware.get("macs_per_cycle_by_type", {}))
    if data_type in given and data_type != "int8":
        return Fraction(macs_per_cycle, given[data_type])
    return width(data_type)


def width(data_type: str) -> Fraction:
    return max(Fraction(bits_of(data_type), 8), Fraction(1))


def mac_pj(data_type: str, hardware: dict, int8_pj: float) -> float:
    given = dict(hardware.get("mac_pj_by_type", {}))
    return given[data_type] if data_type in given else int8_pj * float(width(data_type)) ** 2
