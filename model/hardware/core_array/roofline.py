"""A roofline: a tile takes as long as its operations or its bytes, whichever is more; no mapping, so all tiles run.

It counts the multiply-accumulates (or element operations, on the vector unit). Between GBUF and array it counts the
ifmap tile with its halo, the weights and the ofmap tile, every byte once. It is optimistic: a real array has idle
multipliers, fetches some data more than once, and pays for its own memories.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.data_types import packed, scaled_up
from soma_cp.model.hardware.core_array.earlier_plug_ins import network_may_come_first
from soma_cp.model.hardware.core_array.protocol import CoreArray
from soma_cp.model.hardware.core_array.tile_work import (
    OperationCosts,
    ifmap_bits,
    least_per_element,
    operation_costs,
    tile_work,
)
from soma_cp.model.hardware.core_array.unit_energies import unit_energies
from soma_cp.model.hardware.platform import Platform
from soma_cp.model.network import network_table as nt
from soma_cp.model.network.network import Network
from soma_cp.model.network.network_table import NetworkTable


@dataclass(frozen=True)
class RooflineCoreArray(CoreArray):
    """Prices tiles by the peak compute and the GBUF bandwidth of a platform.

    Parameters
    ----------
    platform
        Used: multiply-accumulates per cycle, vector operations per cycle, GBUF bandwidth, energies of the GBUF.
    """

    name: ClassVar[str] = "roofline"

    platform: Platform

    @network_may_come_first
    def tile_costs(self, table: NetworkTable, tiles: IntArray) -> tuple[IntArray, FloatArray]:
        """Price many tiles; see `CoreArray.tile_costs`.

        Cycles: max(⌈operations / peak⌉, ⌈bytes / GBUF bandwidth⌉). Energy: operations, bytes read from the GBUF and
        bytes written to it, each times its pJ.
        """
        work = self._work(table, tiles)
        cycles = np.maximum(
            scaled_up(work.operations, work.costs.over, work.costs.under),
            -(-packed(work.read_bits + work.written_bits, 1) // self.platform.gbuf_bytes_per_cycle),
        )
        return cycles, self._energy_pj(work, packed(work.read_bits, 1), packed(work.written_bits, 1))

    def _work(self, table: NetworkTable, tiles: IntArray) -> "_Work":
        rows = np.ascontiguousarray(tiles, dtype=np.int64)
        work = tile_work(table.layers, rows)
        layer = table.layers[rows[:, 0]]
        kernels = work.groups * work.channels * layer[:, nt.KERNEL_BITS]
        return _Work(
            operations=work.operations,
            costs=operation_costs(layer, self.platform),
            read_bits=ifmap_bits(table.layers, rows) + np.where(work.is_matrix, kernels, 0),
            written_bits=rows[:, 1:].prod(axis=1) * layer[:, nt.OFMAP_BITS],
        )

    def _energy_pj(self, work: "_Work", read: IntArray | FloatArray, written: IntArray | FloatArray) -> FloatArray:
        """Return the energy; `read` and `written` are bytes from and to the GBUF."""
        energies = unit_energies(self.platform)
        total: FloatArray = (
            work.operations * work.costs.energy_pj + read * energies.GBUF_read + written * energies.GBUF_write
        )
        return total

    def least_per_element(self, table: NetworkTable) -> tuple[FloatArray, FloatArray]:
        """Return what one element takes with all multipliers busy and no byte moved; see `CoreArray`."""
        return least_per_element(table.layers, self.platform)

    def least_per_channel(self, table: NetworkTable, tiles: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return cycles and pJ by channel of the tiles, nothing rounded up; see `CoreArray.least_per_channel`.

        With k of K channels the ifmap is the same, while operations, weights and ofmap are k / K of the tile's: so a
        channel takes no less.
        """
        work = self._work(table, tiles)
        moved = (work.read_bits + work.written_bits) / 8 / self.platform.gbuf_bytes_per_cycle
        cycles = np.maximum(work.operations / (work.costs.under / work.costs.over), moved)
        energy_pj = self._energy_pj(work, work.read_bits / 8, work.written_bits / 8)
        return cycles / tiles[:, 2], energy_pj / tiles[:, 2]

    def explain_infeasible(self, network: Network, tile_row: IntArray) -> str:
        """Return a sentence that says that every tile runs."""
        return f"layer '{network.layers[int(tile_row[0])].name}': a roofline takes any tile"


class _Work(NamedTuple):
    """N tiles: int64[N] each, and what an operation of each costs."""

    operations: IntArray
    costs: OperationCosts
    read_bits: IntArray
    written_bits: IntArray
