"""A roofline: a tile takes as long as its operations or its bytes, whichever is more; no mapping, so all tiles run.

It counts the multiply-accumulates (or element operations, on the vector unit). Between GBUF and array it counts the
ifmap tile with its halo, the weights and the ofmap tile, every byte once. It is optimistic: a real array has idle
multipliers, fetches some data more than once, and pays for its own memories.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.hardware.core_array.earlier_plug_ins import network_may_come_first
from soma_cp.model.hardware.core_array.protocol import CoreArray
from soma_cp.model.hardware.core_array.tile_work import ifmap_bytes, least_per_element, tile_work
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
        operations, peak, moved, energy_pj = self._amounts(table, tiles)
        cycles = np.maximum(-(-operations // peak), -(-moved // self.platform.gbuf_bytes_per_cycle))
        return cycles, energy_pj

    def _amounts(self, table: NetworkTable, tiles: IntArray) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
        """Return operations of the tiles, those of a cycle, bytes to and from the GBUF, and pJ."""
        platform, energies = self.platform, unit_energies(self.platform)
        rows = np.ascontiguousarray(tiles, dtype=np.int64)
        work = tile_work(table.layers, rows)
        layer = table.layers[rows[:, 0]]
        kernels = work.groups * work.channels * work.in_channels * layer[:, nt.R] * layer[:, nt.S]
        read = ifmap_bytes(table.layers, rows) + np.where(work.is_matrix, kernels, 0)
        written = rows[:, 1:].prod(axis=1)
        peak = np.where(work.is_matrix, platform.macs_per_cycle, platform.vector_ops_per_cycle)
        operation_pj = np.where(work.is_matrix, energies.MAC, energies.vector_operation)
        energy_pj = work.operations * operation_pj + read * energies.GBUF_read + written * energies.GBUF_write
        return work.operations, peak, read + written, energy_pj

    def least_per_element(self, table: NetworkTable) -> tuple[FloatArray, FloatArray]:
        """Return what one element takes with all multipliers busy and no byte moved; see `CoreArray`."""
        platform, energies = self.platform, unit_energies(self.platform)
        peaks = platform.macs_per_cycle, platform.vector_ops_per_cycle
        return least_per_element(table.layers, *peaks, energies.MAC, energies.vector_operation)

    def least_per_channel(self, table: NetworkTable, tiles: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return cycles, not rounded up, and pJ by channel of the tiles; see `CoreArray.least_per_channel`.

        With k of K channels the ifmap is the same, while operations, weights and ofmap are k / K of the tile's: so a
        channel takes no less.
        """
        operations, peak, moved, energy_pj = self._amounts(table, tiles)
        cycles = np.maximum(operations / peak, moved / self.platform.gbuf_bytes_per_cycle)
        return cycles / tiles[:, 2], energy_pj / tiles[:, 2]

    def explain_infeasible(self, network: Network, tile_row: IntArray) -> str:
        """Return a sentence that says that every tile runs."""
        return f"layer '{network.layers[int(tile_row[0])].name}': a roofline takes any tile"
