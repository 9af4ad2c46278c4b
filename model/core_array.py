"""The core array: what one computing tile costs between GBUF and registers (specification: core-array.md).

`CoreArray` is the interface through which everything else asks; an accelerator with other insides brings
another class. `PublishedCoreArray` is the array of the SoMa paper.
"""

from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from typing import ClassVar, Protocol, cast

import numpy as np

from soma_cp.model import core_array_kernel
from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.core_array_kernel import INFEASIBLE, ArrayNumbers
from soma_cp.model.errors import UserError
from soma_cp.model.network.layers import Conv, GroupConv
from soma_cp.model.network.network import Network
from soma_cp.model.network.network_table import NetworkTable, network_table
from soma_cp.model.platform import VEC_BY_LANE, Platform
from soma_cp.model.semantics import CORRECTED
from soma_cp.model.unit_energies import pe_memories, unit_energies


class NoMappingError(UserError):
    """A tile that the core array can't run: the message names the layer, the memory, and what would fit.

    Parameters
    ----------
    message
        The sentence of `CoreArray.explain_infeasible`.
    layer
        Name of the layer.
    tile
        Samples, channels, rows, columns.
    """

    def __init__(self, message: str, layer: str, tile: tuple[int, int, int, int]) -> None:
        super().__init__(message)
        self.layer = layer
        self.tile = tile

    def __reduce__(self) -> tuple[type, tuple[str, str, tuple[int, int, int, int]]]:
        # Exceptions are pickled by `args`, here the message alone; worker processes send this one.
        return type(self), (str(self), self.layer, self.tile)


class CoreArray(Protocol):
    """What a tile costs. Inherit from it, and give the first three members.

    An array that takes long to price a tile gives `least_costs`, too: bounds ask for many more tiles than searches do.

    Attributes
    ----------
    takes_long
        Whether a tile takes more than milliseconds; searches then end on time even in the middle of a round.

    A tile row is int64[5]: layer id, samples, channels, rows, columns of the ofmap tile.
    """

    takes_long: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """What reports call this model."""
        ...

    def tile_costs(self, network: Network, table: NetworkTable, tiles: IntArray) -> tuple[IntArray, FloatArray]:
        """Price many tiles; never raises, so that searches can try what doesn't fit.

        Parameters
        ----------
        network, table
            The network, and the same as arrays.
        tiles
            int64[N, 5]: tile rows.

        Returns
        -------
        tuple
            Cycles, int64[N], −1 where the array can't run the tile; and energy in pJ, float64[N].
        """
        ...

    def explain_infeasible(self, network: Network, tile_row: IntArray) -> str:
        """Say in one sentence why the array can't run a tile for which `tile_costs` gave −1."""
        ...

    def least_costs(self, network: Network, table: NetworkTable, tiles: IntArray) -> tuple[IntArray, FloatArray]:
        """Return what the tiles cost at least, for bounds over all tilings; by default what they cost.

        Parameters and result are those of `tile_costs`. Cycles may be −1 only where the array can't run the tile.
        """
        return self.tile_costs(network, table, tiles)

    def require_feasible(self, network: Network, tile_row: IntArray) -> None:
        """Raise unless the array can run the tile.

        Raises
        ------
        NoMappingError
            With the sentence of `explain_infeasible`.
        """
        cycles, _ = self.tile_costs(network, _table(network), np.asarray(tile_row).reshape(1, 5))
        if cycles[0] < 0:
            layer, *tile = map(int, tile_row)
            raise NoMappingError(
                self.explain_infeasible(network, tile_row),
                network.layers[layer].name,
                cast("tuple[int, int, int, int]", tuple(tile)),
            )


@dataclass(frozen=True)
class TileCost:
    """Cycles of a tile, and its energy (pJ) in all and by where it goes.

    Parameters
    ----------
    cycles
        Of the platform's clock.
    energy_pj
        The sum of the rest.
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
        Sizes, bandwidths and, through them, energies.
    """

    name: ClassVar[str] = "published"

    platform: Platform

    @cached_property
    def _numbers(self) -> ArrayNumbers:
        platform, memories = self.platform, pe_memories(self.platform)
        return ArrayNumbers(
            P=platform.pe_grid,
            vec=platform.vec,
            lane=platform.lane,
            vector_ops_per_cycle=platform.vector_ops_per_cycle,
            gbuf_bytes_per_cycle=platform.gbuf_bytes_per_cycle,
            pe_bus_bytes_per_cycle=platform.pe_bus_bytes_per_cycle,
            least_groups_at_once=int(platform.semantics == CORRECTED),
            **asdict(memories),
            **asdict(unit_energies(platform)),
        )

    def tile_costs(self, network: Network, table: NetworkTable, tiles: IntArray) -> tuple[IntArray, FloatArray]:
        """Price many tiles, −1 cycles where there is no mapping; see `CoreArray.tile_costs`."""
        # One array type, so that the kernel is compiled once.
        rows = np.ascontiguousarray(tiles, dtype=np.int64)
        return core_array_kernel.tile_costs(self._numbers, table.layers, rows)

    def breakdown(self, network: Network, tile_row: IntArray) -> TileCost:
        """Return the cost of one tile with its parts, for reports.

        Raises
        ------
        NoMappingError
            If the array can't run the tile.
        """
        layer, *extents = map(int, tile_row)
        cost = core_array_kernel.tile_cost(self._numbers, _table(network).layers[layer], *extents)
        if cost.cycles == INFEASIBLE:
            self.require_feasible(network, tile_row)
        energy_pj = core_array_kernel.total_pj(cost)
        return TileCost(cost.cycles, energy_pj, cost.buffer_pj, cost.gbuf_pj, cost.noc_pj, cost.mac_pj)

    def explain_infeasible(self, network: Network, tile_row: IntArray) -> str:
        """Name the memory that is too small for the layer's kernel, and what would make it fit.

        C, R and S are never cut: for each of its vec channels a PE holds R·S·ceil(C / (vec·P)) bytes in AL1
        and in WL1, in the split that asks least. So a smaller tile doesn't help. (OL1 always has room.)
        """
        layer_id, b, k, h, w = map(int, tile_row)
        layer = network.layers[layer_id]
        tile = f"layer '{layer.name}', tile of {b} samples × {k} channels × {h} rows × {w} columns"
        if not isinstance(layer, Conv):
            return f"{tile}: runs on the vector unit, which takes any tile"
        kernel = f"{layer.R}×{layer.S} kernel"
        needed = _bytes_per_channel(self.platform, layer)
        room = _room_per_channel(self.platform)
        short = [f"{memory} has {size}" for memory, size in room.items() if size < needed]
        if not short:
            return (
                f"{tile}: can't be mapped onto the PE array; its strides {layer.sH}×{layer.sW} exceed the "
                f"{kernel} so far that counts of the model are negative; use tiles of fewer rows and columns"
            )
        return (
            f"{tile}: can't be mapped onto the PE array; its {kernel} over "
            f"{_input_channels(layer, _group_channels(layer))} needs {needed} bytes for each of the "
            f"{self.platform.vec} channels that a PE works on, but {' and '.join(short)}; "
            f"a smaller tile doesn't help, use {' or '.join(_levers(self.platform, layer))}"
        )


@lru_cache(maxsize=8)
def _table(network: Network) -> NetworkTable:
    return network_table(network)


def _group_channels(layer: Conv) -> int:
    return layer.C // (layer.G if isinstance(layer, GroupConv) else 1)


def _input_channels(layer: Conv, count: int) -> str:
    return f"{count} input channels{' of a group' if isinstance(layer, GroupConv) else ''}"


def _bytes_per_channel(platform: Platform, layer: Conv) -> int:
    return layer.R * layer.S * -(-_group_channels(layer) // (platform.vec * platform.pe_grid))


def _room_per_channel(platform: Platform) -> dict[str, int]:
    memories = pe_memories(platform)
    return {"AL1": memories.AL1 // platform.vec, "WL1": memories.WL1 // platform.vec}


def _levers(platform: Platform, layer: Conv) -> list[str]:
    """Name the changes, each enough on its own, that make the layer's kernel fit."""
    room = min(_room_per_channel(platform).values())
    window = layer.R * layer.S
    levers = []
    if window <= room:
        most = room // window * platform.vec * platform.pe_grid
        levers.append(f"at most {_input_channels(layer, most)}")
    if largest_window := room // (_bytes_per_channel(platform, layer) // window):
        levers.append(f"a kernel with R·S of at most {largest_window}")
    for macs_per_pe in VEC_BY_LANE:
        other = replace(platform, macs_per_pe=macs_per_pe)
        if _bytes_per_channel(other, layer) <= min(_room_per_channel(other).values()):
            levers.append(f"macs_per_pe={macs_per_pe}")
            break
    return levers or ["a smaller kernel and fewer input channels"]
