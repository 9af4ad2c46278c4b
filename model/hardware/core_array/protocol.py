"""The core array: what one computing tile costs between GBUF and registers (docs/model.md#core-array).

Everything else uses a core array through the interface `CoreArray`. Another accelerator is another class; the array
of the SoMa paper is in `published`.
"""

from typing import ClassVar, Protocol, cast

import numpy as np

from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.errors import UserError
from soma_cp.model.hardware.core_array.earlier_plug_ins import network_may_come_first
from soma_cp.model.network.network import Network
from soma_cp.model.network.network_table import NetworkTable


class NoMappingError(UserError):
    """A tile that the core array can't run: the message names the layer, the memory, and what would fit.

    Parameters
    ----------
    message
        The sentence of `CoreArray.explain_infeasible`.
    layer
        Name of the layer.
    tile
        Samples, channels, rows, columns of the tile.
    """

    def __init__(self, message: str, layer: str, tile: tuple[int, int, int, int]) -> None:
        super().__init__(message)
        self.layer = layer
        self.tile = tile


class CoreArray(Protocol):
    """Prices tiles. Your own core array inherits from it and defines `name`, `tile_costs` and `explain_infeasible`.

    An array that takes long to price a tile also defines `least_costs`: bounds price many more tiles than searches do.

    Attributes
    ----------
    takes_long
        Whether a tile takes more than milliseconds to price; searches then end on time even in the middle of a round.

    A tile row is int64[5]: layer id, samples, channels, rows, columns of the ofmap tile.
    """

    takes_long: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The name of this model in reports."""
        ...

    @property
    def granule(self) -> int:
        """The kernels that fill the array when it is partitioned by output channels; 1 (default) if any number does.

        Layers are divided into parts of multiples of it (docs/model.md#divided-layers).
        """
        return 1

    @network_may_come_first
    def tile_costs(self, table: NetworkTable, tiles: IntArray) -> tuple[IntArray, FloatArray]:
        """Price many tiles; never raise, so that searches can try tiles that don't fit.

        Parameters
        ----------
        table
            The network as arrays.
        tiles
            int64[N, 5]: tile rows.

        Returns
        -------
        tuple
            Cycles, int64[N], −1 where the array can't run the tile; and energy in pJ, float64[N].
        """
        ...

    def explain_infeasible(self, network: Network, tile_row: IntArray) -> str:
        """Return one sentence that says why the array can't run a tile for which `tile_costs` gave −1."""
        ...

    @network_may_come_first
    def least_costs(self, table: NetworkTable, tiles: IntArray) -> tuple[IntArray, FloatArray]:
        """Return lower bounds on the costs of the tiles, for bounds over all tilings; by default the costs themselves.

        Parameters and result are those of `tile_costs`. Cycles may be −1 only where the array can't run the tile.
        """
        return self.tile_costs(table, tiles)

    def least_per_element(self, table: NetworkTable) -> tuple[FloatArray, FloatArray]:
        """Return the fewest cycles and the least energy that each ofmap element takes, whatever the tile.

        Bounds over all tilings use them where pricing all tiles would take too long; zeros, the default, are always
        valid.

        Returns
        -------
        tuple
            By layer: cycles, float64[L], and pJ, float64[L]. A tile of n elements takes at least n times as much, also
            if the layer is divided by output channels.
        """
        return np.zeros(len(table.layers)), np.zeros(len(table.layers))

    def least_per_channel(self, table: NetworkTable, tiles: IntArray) -> tuple[FloatArray, FloatArray] | None:
        """Return what a channel of the tiles takes at least if their layers are divided by output channels.

        Bounds over all divisions use it in place of the costs of parts of every size. None, the default, has them price
        parts of 1, 2, 3 … granules.

        Parameters
        ----------
        table
            The network as arrays.
        tiles
            int64[N, 5]: tile rows of layers that may be divided.

        Returns
        -------
        tuple
            Cycles, float64[N], and pJ, float64[N]. A tile with k of the channels, k at least 1, and with the samples,
            rows and columns of the tile, takes at least k times as much.
        """
        return None

    def require_feasible(self, network: Network, table: NetworkTable, tile_row: IntArray) -> None:
        """Raise unless the array can run the tile.

        Parameters
        ----------
        network, table
            The network, and its arrays.
        tile_row
            int64[5].

        Raises
        ------
        NoMappingError
            With the sentence of `explain_infeasible`.
        """
        cycles, _ = self.tile_costs(table, np.asarray(tile_row).reshape(1, 5))
        if cycles[0] < 0:
            layer, *tile = map(int, tile_row)
            raise NoMappingError(
                self.explain_infeasible(network, tile_row),
                network.layers[layer].name,
                cast("tuple[int, int, int, int]", tuple(tile)),
            )
