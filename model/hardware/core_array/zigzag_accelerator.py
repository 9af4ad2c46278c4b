"""Accelerators in ZigZag's terms: made of a platform, or read from ZigZag's own YAML.

ZigZag counts sizes in bits, bandwidths in bits per cycle, and energies in pJ for one access of the widest port.
Operands are I1 (activations), I2 (weights) and O (outputs); data moves ``fh`` from and ``th`` to the higher memory,
``fl`` from and ``tl`` to the lower one. For a platform, the array dimensions D1 … D4 are the lanes of a PE (output
channels), its vector (input channels), the rows and the columns of PEs.
"""

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import yaml

from soma_cp.model.errors import UserError
from soma_cp.model.files.text_file import read_text
from soma_cp.model.hardware.core_array.unit_energies import pe_memories, unit_energies
from soma_cp.model.hardware.platform import Platform

BITS = 8
"""Bits of a byte, the least that a port moves."""
ROOMY_BITS = 1 << 50
"""The size that ZigZag gets for the GBUF: the schedule, not the core array, checks that tiles fit it together."""

OPERANDS = ("I1", "I2", "O")
Document = dict[str, Any]
"""Parsed YAML."""


@dataclass(frozen=True)
class Accelerator:
    """An accelerator and its mapping of layers, in ZigZag's terms.

    Parameters
    ----------
    accelerator
        The document of the accelerator.
    mapping
        The document of the mapping, with an item named ``default``.
    """

    accelerator: Document
    mapping: list[Document]

    @property
    def macs_per_cycle(self) -> int:
        """Multiply-accumulates per cycle."""
        return prod(self.accelerator["operational_array"]["sizes"])

    @property
    def mac_pj(self) -> float:
        """Energy of a multiply-accumulate; 0 if the file does not give it as a number (in-memory computing)."""
        return float(self.accelerator["operational_array"].get("unit_energy", 0.0))


def accelerator_of_platform(platform: Platform) -> Accelerator:
    """Describe the PE array of a platform.

    The memories of a PE lie between multipliers and GBUF, with their sizes and energies. Each multiplier holds the
    weight that it works with, at no cost. A byte of ofmap that goes to the GBUF also passes OL2. Bandwidth is limited
    only for reads from the GBUF to the PEs; hops between PEs cost nothing.
    """
    sizes, energies = pe_memories(platform), unit_energies(platform)
    vec, lane = platform.vec, platform.lane
    inside, everywhere = ["D1", "D2"], ["D1", "D2", "D3", "D4"]
    from_gbuf = BITS * platform.gbuf_bytes_per_cycle
    to_gbuf = max(from_gbuf, BITS * lane * platform.pe_rows * platform.pe_columns)
    ofmap_byte_pj = energies.OL2_read + energies.OL2_write + energies.GBUF_write
    memories = {
        "weight_register": _memory(BITS, 0.0, 0.0, ["I2"], [], _input_ports("I2", BITS)),
        "AL1": _memory(
            BITS * sizes.AL1, energies.AL1_read, energies.AL1_write, ["I1"], inside, _input_ports("I1", BITS * vec)
        ),
        "WL1": _memory(
            BITS * sizes.WL1,
            energies.WL1_read,
            energies.WL1_write,
            ["I2"],
            inside,
            _input_ports("I2", BITS * vec * lane),
        ),
        "OL1": _memory(
            BITS * sizes.OL1,
            energies.OL1_read,
            energies.OL1_write,
            ["O"],
            inside,
            [
                _port("r_port_1", "read", BITS * lane, ["O, tl"]),
                _port("w_port_1", "write", BITS * lane, ["O, fl"]),
                _port("r_port_2", "read", BITS * lane, ["O, th"]),
                _port("w_port_2", "write", BITS * lane, ["O, fh"]),
            ],
        ),
        "GBUF": _memory(
            ROOMY_BITS,
            energies.GBUF_read,
            ofmap_byte_pj,
            list(OPERANDS),
            everywhere,
            [
                _port("r_port_1", "read", from_gbuf, ["I1, tl", "I2, tl", "O, tl", "O, th"]),
                _port("w_port_1", "write", to_gbuf, ["I1, fh", "I2, fh", "O, fh", "O, fl"]),
            ],
        ),
    }
    array = {
        "unit_energy": energies.MAC,
        "unit_area": 0.0,
        "dimensions": everywhere,
        "sizes": [lane, vec, platform.pe_rows, platform.pe_columns],
    }
    split = ["C", "K", "B", "OY", "OX", "G"]
    hints = {"D1": ["K", "G"], "D2": ["C"], "D3": split, "D4": split}
    document = {"name": "platform", "memories": memories, "operational_array": array}
    return Accelerator(document, [{"name": "default", "spatial_mapping_hint": hints}])


def _input_ports(operand: str, bits: int) -> list[Document]:
    return [_port("r_port_1", "read", bits, [f"{operand}, tl"]), _port("w_port_1", "write", bits, [f"{operand}, fh"])]


def _port(name: str, kind: str, bits: int, moves: list[str]) -> Document:
    return {"name": name, "type": kind, "bandwidth_min": BITS, "bandwidth_max": bits, "allocation": moves}


def _memory(
    bits: int, read_pj: float, write_pj: float, operands: list[str], serves: list[str], ports: list[Document]
) -> Document:
    """Describe a memory; energies are in pJ per byte, `serves` are the array dimensions that one instance feeds."""

    def widest(kind: str) -> int:
        return max(int(port["bandwidth_max"]) for port in ports if port["type"] == kind)

    return {
        "size": bits,
        "r_cost": read_pj * widest("read") / BITS,
        "w_cost": write_pj * widest("write") / BITS,
        "area": 0.0,
        "latency": 1,
        "operands": operands,
        "ports": ports,
        "served_dimensions": serves,
    }


def read_accelerator(path: Path, mapping: Path | None) -> Accelerator:
    """Read an accelerator and its mapping of layers from ZigZag's YAML.

    Parameters
    ----------
    path
        File of the accelerator. Its highest memory stands for the GBUF and holds all three operands.
    mapping
        File of the mapping, with an item named ``default``; None leaves the mapping to ZigZag.

    Raises
    ------
    UserError
        If a file can't be read or holds something else, or if the accelerator has a DRAM.
    """
    document = _read(path)
    if not isinstance(document, dict) or not _has_memories(document) or not _has_array(document):
        raise UserError(
            f"{path}: not an accelerator of ZigZag's (must be YAML with a name, memories with operands, and an "
            f"operational_array with dimensions and sizes)"
        )
    memories = document["memories"]
    last = list(memories)[-1]
    for name, memory in memories.items():
        if memory.get("mem_type") == "dram" or "dram" in str(name).lower():
            raise UserError(
                f"{path}: memory '{name}' is a DRAM, but what a tile costs begins and ends in the GBUF, and schedules "
                f"count DRAM; leave '{name}' out, and let the GBUF be the last memory, of {', '.join(OPERANDS)}"
            )
    missing = [operand for operand in OPERANDS if operand not in memories[last]["operands"]]
    if missing:
        raise UserError(
            f"{path}: the last memory, '{last}', stands for the GBUF and must hold {', '.join(OPERANDS)}; it lacks "
            f"{', '.join(missing)}"
        )
    return Accelerator(document, [{"name": "default"}] if mapping is None else _read_mapping(mapping))


def _has_memories(document: Document) -> bool:
    memories = document.get("memories")
    return (
        isinstance(memories, dict)
        and bool(memories)
        and all(isinstance(memory, dict) and isinstance(memory.get("operands"), list) for memory in memories.values())
    )


def _has_array(document: Document) -> bool:
    array = document.get("operational_array")
    if not isinstance(array, dict) or not isinstance(array.get("dimensions"), list):
        return False
    sizes, energy = array.get("sizes"), array.get("unit_energy", 0.0)
    whole = isinstance(sizes, list) and bool(sizes) and all(type(size) is int and size > 0 for size in sizes)
    return whole and type(energy) in (int, float) and energy >= 0


def _read_mapping(path: Path) -> list[Document]:
    document = _read(path)
    items = document if isinstance(document, list) else []
    if not any(isinstance(item, dict) and item.get("name") == "default" for item in items):
        raise UserError(f"{path}: not a mapping of ZigZag's (must be a YAML list with an item named default)")
    return items


def _read(path: Path) -> object:
    try:
        return yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not usable YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise UserError(f"{path}: not usable YAML: lists or objects are nested too deeply") from None
