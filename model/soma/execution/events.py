"""Events of an execution as columns: tiles, transfers, ofmaps held on chip, gaps of the channel, groups.

A *rank* is an index in the DRAM Tensor Order, 0 … D−1; a *position* is a tile id, 0 … T−1. NONE stands for no index.
`soma_cp.model.soma.execution.execution` fills the columns.
"""

from dataclasses import dataclass

from soma_cp.model.arrays import IntArray

NONE = -1

# Codes in `Transfers.waited_for`.
NOTHING, CHANNEL, TILE = 0, 1, 2
WAITED_FOR_NAMES = ("nothing", "channel", "tile")

# Codes in `ChannelGaps.cause`: what the channel waited for.
LOAD_START, STORE_TILE = 0, 1
GAP_CAUSE_NAMES = ("load waits for its Start", "store waits for its tile")

# Rows of `Execution.occupancy`.
WEIGHTS, IFMAPS, OFMAPS_ON_CHIP, OFMAPS_TO_STORE = 0, 1, 2, 3
OCCUPANCY_NAMES = ("weights", "ifmaps", "ofmaps on chip", "ofmaps to store")


@dataclass(frozen=True, eq=False)
class Tiles:
    """The T computing tiles by position.

    Parameters
    ----------
    layer, index
        int64[T]: layer id, and the tile's index within the layer.
    flg, lg
        int64[T]: indices of the FLG and the LG, in computing order.
    begin, end
        int64[T]: cycles.
    stall
        int64[T]: cycles that the core array waits before the tile.
    cause
        int64[T]: rank of the DRAM tensor whose finish ends that stall: a load that the tile needs, or a store that
        must be finished by then to free its space; NONE without a stall.
    """

    layer: IntArray
    index: IntArray
    flg: IntArray
    lg: IntArray
    begin: IntArray
    end: IntArray
    stall: IntArray
    cause: IntArray


@dataclass(frozen=True, eq=False)
class Transfers:
    """The D DRAM tensors by rank, that is, in DRAM Tensor Order.

    Parameters
    ----------
    tensor
        int64[D]: index in `Plan.tensors`, for `Plan.tensor_label` and the like.
    kind
        int64[D]: IFM, WGT or OFM of `soma_cp.model.soma.tensors`.
    layer, tile, source
        int64[D]: as in `soma_cp.model.soma.tensors.Tensors`.
    bytes, moved
        int64[D]: size in the buffer, and bytes of the transfer: fewer if weights are compressed in DRAM.
    begin, finish
        int64[D]: cycles between which the channel is busy with it.
    start, end
        int64[D]: Living Duration in positions: the tensor holds buffer while the tiles ``start … end − 1`` run.
    hold_begin, hold_end
        int64[D]: the same in cycles (`Execution.handover`); the transfer lies within.
    gates
        int64[D]: position of the tile that can't begin before the transfer has finished: for a load the first tile
        that needs it, for a store ``end`` (T: none).
    after_tile
        int64[D]: position of the tile that must end before the transfer begins: for a load ``start − 1``, for a store
        the tile that makes it; NONE if the transfer may begin at cycle 0.
    gap
        int64[D]: cycles that the channel is idle before the transfer.
    waited_for
        int64[D]: NOTHING (it begins at cycle 0), CHANNEL (it begins as the previous transfer finishes) or TILE
        (there is a gap, which `after_tile` ends).
    stall
        int64[D]: cycles of the stall of tile ``gates`` if this transfer is its cause; else 0.
    """

    tensor: IntArray
    kind: IntArray
    layer: IntArray
    tile: IntArray
    source: IntArray
    bytes: IntArray
    moved: IntArray
    begin: IntArray
    finish: IntArray
    start: IntArray
    end: IntArray
    hold_begin: IntArray
    hold_end: IntArray
    gates: IntArray
    after_tile: IntArray
    gap: IntArray
    waited_for: IntArray
    stall: IntArray


@dataclass(frozen=True, eq=False)
class OnChip:
    """The C ofmap tensors that stay on chip, in the order of `Plan.tensors`.

    Parameters
    ----------
    layer, tile, bytes
        int64[C]: the layer that makes the tensor, and the tile's index within it; size.
    start, end
        int64[C]: Living Duration in positions.
    hold_begin, hold_end
        int64[C]: the same in cycles.
    """

    layer: IntArray
    tile: IntArray
    bytes: IntArray
    start: IntArray
    end: IntArray
    hold_begin: IntArray
    hold_end: IntArray


@dataclass(frozen=True, eq=False)
class ChannelGaps:
    """The G gaps in which the DRAM channel is idle, earliest first; each ends with a transfer.

    Parameters
    ----------
    begin, end
        int64[G]: cycles.
    cause
        int64[G]: LOAD_START (a load may begin only when the tile before its Start has ended) or STORE_TILE (a store
        waits for the tile that makes it).
    rank
        int64[G]: of the transfer that ends the gap.
    tile
        int64[G]: position of the tile that the transfer waits for.
    """

    begin: IntArray
    end: IntArray
    cause: IntArray
    rank: IntArray
    tile: IntArray


@dataclass(frozen=True, eq=False)
class Groups:
    """The FLGs (or the LGs), in computing order.

    Parameters
    ----------
    first, last
        int64: positions of the group's first and last tile.
    begin, end
        int64: cycles: begin of the first tile, end of the last.
    tiling_number
        int64: that of the FLG; for an LG the largest of its FLGs.
    lg
        int64: index of the LG that the group lies in; for an LG its own index.
    """

    first: IntArray
    last: IntArray
    begin: IntArray
    end: IntArray
    tiling_number: IntArray
    lg: IntArray


@dataclass(frozen=True)
class Use:
    """The tiles of one layer that read a tensor.

    Parameters
    ----------
    layer
        Layer id of the consumer.
    tiles
        Their positions.
    through_dram
        Whether they read what was stored to DRAM, by loads of their own.
    """

    layer: int
    tiles: range
    through_dram: bool
