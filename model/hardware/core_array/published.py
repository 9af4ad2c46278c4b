"""The core array of the SoMa paper: it maps tiles onto its PEs and prices them (docs/model.md#core-array)."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np

from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.data_types import packed
from soma_cp.model.hardware.core_array import published_kernel
from soma_cp.model.hardware.core_array.earlier_plug_ins import network_may_come_first
from soma_cp.model.hardware.core_array.protocol import CoreArray
from soma_cp.model.hardware.core_array.published_kernel import INFEASIBLE, ArrayNumbers
from soma_cp.model.hardware.core_array.tile_work import least_per_element
from soma_cp.model.hardware.core_array.type_costs import type_costs
from soma_cp.model.hardware.core_array.unit_energies import pe_memories, unit_energies
from soma_cp.model.hardware.platform import Platform, PlatformError
from soma_cp.model.network.layers import Conv, GroupConv
from soma_cp.model.network.network import Network
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.model.semantics import CORRECTED

MACS_PER_PE = (32, 64, 128, 256, 512, 4096)
"""Multiply-accumulates per cycle of the paper's PEs."""


@dataclass(frozen=True)
class TileCost:
    """Cycles of a tile, its energy in all, and the parts of that energy (pJ).

    Parameters
    ----------
    cycles
        Cycles of the platform's clock.
    energy_pj
        The sum of the other figures.
    buffer_pj
        AL1, WL1, OL1 and OL2.
    gbuf_pj
        Reads and writes of the GBUF.
    noc_pj
        Hops between PEs.
    mac_pj
        Arithmetic, also that of the vector unit.
    """

    cycles: int
    energy_pj: float
    buffer_pj: float
    gbuf_pj: float
    noc_pj: float
    mac_pj: float


@dataclass(frozen=True)
class PublishedCoreArray(CoreArray):
    """The P×P array of PEs and the vector unit of the SoMa paper.

    Parameters
    ----------
    platform
        Its sizes and bandwidths, and the energies that follow from them.

    Raises
    ------
    PlatformError
        If the platform's array is not square, or its PEs are none of the paper's.
    """

    name: ClassVar[str] = "published"

    platform: Platform

    def __post_init__(self) -> None:
        platform = self.platform
        rows, columns = platform.pe_rows, platform.pe_columns
        faults = {
            f"pe_grid is {rows}x{columns}": rows != columns,
            f"macs_per_pe is {platform.macs_per_pe}": platform.macs_per_pe not in MACS_PER_PE,
        }
        found = [fault for fault, holds in faults.items() if holds]
        if found:
            raise PlatformError(
                f"core array '{self.name}' needs a square pe_grid and macs_per_pe of {', '.join(map(str, MACS_PER_PE))}"
                f", but {' and '.join(found)}; change that, or take core_array: roofline, which takes any array"
            )

    @property
    def granule(self) -> int:
        """The kernels that a column of PEs, or a row, computes at once."""
        return self.platform.lane * self.platform.pe_rows

    @cached_property
    def _numbers(self) -> ArrayNumbers:
        platform = self.platform
        return ArrayNumbers(
            P=platform.pe_rows,
            vec=platform.vec,
            lane=platform.lane,
            vector_ops_per_cycle=platform.vector_ops_per_cycle,
            gbuf_bytes_per_cycle=platform.gbuf_bytes_per_cycle,
            pe_bus_bytes_per_cycle=platform.pe_bus_bytes_per_cycle,
            memories=pe_memories(platform),
            energies=unit_energies(platform),
            least_groups_at_once=int(platform.semantics == CORRECTED),
        )

    @network_may_come_first
    def tile_costs(self, table: NetworkTable, tiles: IntArray) -> tuple[IntArray, FloatArray]:
        """Price many tiles, −1 cycles where there is no mapping; see `CoreArray.tile_costs`."""
        # One array type, so that the kernel is compiled once.
        rows = np.ascontiguousarray(tiles, dtype=np.int64)
        return published_kernel.tile_costs(self._numbers, type_costs(self.platform), table.layers, rows)

    def least_per_element(self, table: NetworkTable) -> tuple[FloatArray, FloatArray]:
        """Return what one element takes with all multipliers busy and no byte moved; see `CoreArray`."""
        return least_per_element(table.layers, self.platform)

    def breakdown(self, network: Network, table: NetworkTable, tile_row: IntArray) -> TileCost:
        """Return the cost of one tile, with its parts.

        Raises
        ------
        NoMappingError
            If the array can't run the tile.
        """
        layer, *extents = map(int, tile_row)
        row = table.layers[layer]
        arithmetic = published_kernel.arithmetic_of(type_costs(self.platform), row)
        cost = published_kernel.tile_cost(self._numbers, arithmetic, row, *extents)
        if cost.cycles == INFEASIBLE:
            self.require_feasible(network, table, tile_row)
        energy_pj = published_kernel.total_pj(cost)
        return TileCost(cost.cycles, energy_pj, cost.buffer_pj, cost.gbuf_pj, cost.noc_pj, cost.mac_pj)

    def explain_infeasible(self, network: Network, tile_row: IntArray) -> str:
        """Name the memory that is too small for the layer's kernel, and what would make the kernel fit.

        C, R and S are never cut: in the split that needs least, a PE holds R·S·ceil(C / (vec·P)) elements in AL1 and in
        WL1 for each of its vec channels. So a smaller tile doesn't help. Nor does it if OL1 holds less than a partial
        sum for each lane.
        """
        layer_id, b, k, h, w = map(int, tile_row)
        layer = network.layers[layer_id]
        tile = f"layer '{layer.name}', tile of {b} samples × {k} channels × {h} rows × {w} columns"
        if not isinstance(layer, Conv):
            return f"{tile}: runs on the vector unit, which takes any tile"
        kernel = f"{layer.R}×{layer.S} kernel"
        bits = network.ifmap_type(layer).bits, network.operand_type(layer).bits
        elements = _elements_per_channel(self.platform, layer)
        room = _room_per_channel(self.platform, *bits)
        memories = pe_memories(self.platform)
        sums = self.platform.lane * layer.types.sums.bits
        if sums > memories.OL1 * 8:
            return (
                f"{tile}: can't be mapped onto the PE array; a partial sum of {layer.types.sums.name} for each of the "
                f"{self.platform.lane} lanes of a PE needs {packed(1, sums)} bytes, but OL1 has {memories.OL1}; "
                "a smaller tile doesn't help, use a larger OL1 or a narrower type of partial sums"
            )
        short = [
            f"{memory} has {size // self.platform.vec}"
            for memory, size, most in zip(("AL1", "WL1"), (memories.AL1, memories.WL1), room, strict=True)
            if most < elements
        ]
        if not short:
            return (
                f"{tile}: can't be mapped onto the PE array; its strides {layer.sH}×{layer.sW} exceed the "
                f"{kernel} so far that counts of the model are negative; use tiles of fewer rows and columns"
            )
        return (
            f"{tile}: can't be mapped onto the PE array; its {kernel} over "
            f"{_input_channels(layer, _group_channels(layer))} needs {_needed(elements, *bits)} for each of the "
            f"{self.platform.vec} channels that a PE works on, but {' and '.join(short)}; "
            f"a smaller tile doesn't help, use {' or '.join(_levers(self.platform, layer, *bits))}"
        )


def _group_channels(layer: Conv) -> int:
    return layer.C // (layer.G if isinstance(layer, GroupConv) else 1)


def _input_channels(layer: Conv, count: int) -> str:
    return f"{count} input channels{' of a group' if isinstance(layer, GroupConv) else ''}"


def _elements_per_channel(platform: Platform, layer: Conv) -> int:
    return layer.R * layer.S * -(-_group_channels(layer) // (platform.vec * platform.pe_rows))


def _needed(elements: int, a_bits: int, w_bits: int) -> str:
    activations, weights = packed(elements, a_bits), packed(elements, w_bits)
    if activations == weights:
        return f"{activations} bytes"
    return f"{activations} bytes of activations (AL1) and {weights} of weights (WL1)"


def _room_per_channel(platform: Platform, a_bits: int, w_bits: int) -> tuple[int, int]:
    """Return the elements of each of its vec channels that AL1 and WL1 of a PE hold."""
    memories = pe_memories(platform)
    return memories.AL1 * 8 // a_bits // platform.vec, memories.WL1 * 8 // w_bits // platform.vec


def _levers(platform: Platform, layer: Conv, a_bits: int, w_bits: int) -> list[str]:
    """Return changes in words, each of which alone makes the layer's kernel fit."""
    room = min(_room_per_channel(platform, a_bits, w_bits))
    window = layer.R * layer.S
    levers = []
    if window <= room:
        most = room // window * platform.vec * platform.pe_rows
        levers.append(f"at most {_input_channels(layer, most)}")
    if largest_window := room // (_elements_per_channel(platform, layer) // window):
        levers.append(f"a kernel with R·S of at most {largest_window}")
    for macs_per_pe in MACS_PER_PE:
        other = replace(platform, macs_per_pe=macs_per_pe, macs_per_cycle_by_type=())
        if _elements_per_channel(other, layer) <= min(_room_per_channel(other, a_bits, w_bits)):
            levers.append(f"macs_per_pe={macs_per_pe}")
            break
    return levers or ["a smaller kernel and fewer input channels"]
