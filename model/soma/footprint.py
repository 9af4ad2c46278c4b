"""Footprint: the least buffer that a tile, a layer or an LFA needs, and the errors if it is not available."""

from dataclasses import dataclass

import numpy as np

from soma_cp.model.data_types import packed
from soma_cp.model.errors import UserError
from soma_cp.model.hardware.quantities import KIB, MIB
from soma_cp.model.network import network_table as nt
from soma_cp.model.network.extents import ifmap_extent, operand_extent
from soma_cp.model.problem import Problem
from soma_cp.model.soma.occupancy import fill_least_room
from soma_cp.model.soma.plan import Plan


class BufferTooSmallError(UserError):
    """No DLSA of the LFA fits into the buffer, however briefly every tensor lives.

    Parameters
    ----------
    tile
        The position that needs the most bytes.
    needed_bytes, available_bytes
        The least bytes alive there, and the capacity.
    """

    def __init__(self, plan: Plan, tile: int, needed_bytes: int, available_bytes: int) -> None:
        self.tile = tile
        self.needed_bytes = needed_bytes
        self.available_bytes = available_bytes
        super().__init__(
            f"the buffer is too small at {plan.tile_label(tile)}: at least {needed_bytes:,} bytes must be alive "
            f"there, {available_bytes:,} are available; raise the tiling numbers, fuse less, or enlarge the buffer"
        )


def least_peak_bytes(plan: Plan) -> int:
    """Return the smallest buffer in which any DLSA of `plan` fits (bytes)."""
    room = np.empty(plan.tile_count + 1, np.int64)
    return -fill_least_room(plan.tensors, plan.dram_tensor_count, plan.sequence, 0, room)


class LayerTooLargeError(UserError):
    """A layer that no schedule can run in the buffer.

    Parameters
    ----------
    layer
        Its name.
    needed_bytes, available_bytes
        What its smallest tile needs at once, and the capacity of the buffer.
    part_channels
        Output channels of the part that the footprint is of: as few as the layer can be divided into. 0: it is that of
        the layer.
    """

    def __init__(self, layer: str, footprint: "Footprint", available_bytes: int, part_channels: int = 0) -> None:
        self.layer = layer
        self.needed_bytes = footprint.total
        self.available_bytes = available_bytes
        part = f"a tile of a part of {part_channels} output channels (what the core array computes at once)"
        smallest = part if part_channels else "its smallest tile"
        enough = _size_text(footprint.total, MIB if footprint.total > MIB else KIB)
        size = max(available_bytes // 4, KIB)
        other = (
            "divide large layers by output channels: --space wide with --divisions auto, or soma-cp nets --export NET "
            f"--divide {_size_text(size, MIB if size % MIB == 0 else KIB)} -o FILE"
            if footprint.ifmaps < available_bytes and footprint.weights and not part_channels
            else "schedule fewer tokens or pixels"
        )
        super().__init__(
            f"layer '{layer}' can't fit into the buffer: {smallest} needs {footprint.total:,} bytes at once "
            f"(weights {footprint.weights:,}, ifmaps {footprint.ifmaps:,}, ofmap {footprint.ofmap:,}), "
            f"{available_bytes:,} are available; give a larger buffer, at least --buffer {enough}, or {other}"
        )


def _size_text(size: int, unit: int) -> str:
    """Return a size, rounded up to whole KiB or MiB, as options take it."""
    return f"{-(-size // unit)}{'MiB' if unit == MIB else 'KiB'}"


@dataclass(frozen=True)
class Footprint:
    """Bytes that must be in the buffer while one tile of a layer runs."""

    weights: int
    ifmaps: int
    ofmap: int

    @property
    def total(self) -> int:
        """Sum of the three."""
        return self.weights + self.ifmaps + self.ofmap


def tile_footprint(problem: Problem, layer: int, samples: int, rows: int, columns: int) -> Footprint:
    """Return the bytes that a tile of that extent, with all channels, needs in the buffer."""
    table = problem.table
    row = table.layers[layer]
    channels = int(row[nt.K])
    ifmaps = 0
    for edge in range(table.source_begin[layer], table.source_begin[layer + 1]):
        if table.source_role[edge] == nt.IFMAP:
            need = ifmap_extent(table.layers, layer, samples, channels, rows, columns)
        else:
            need = operand_extent(table.layers, layer, samples, channels)
        elements = int(need[0] * need[2] * need[3] * table.source_channels[edge])
        ifmaps += packed(elements, int(table.source_bits[edge]))
    ofmap = packed(samples * channels * rows * columns, int(row[nt.OFMAP_BITS]))
    return Footprint(int(row[nt.WEIGHT_BYTES]), ifmaps, ofmap)
