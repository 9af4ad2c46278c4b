"""Execution of a schedule, event by event (docs/model.md#latency).

Reports and figures show these events. They come from the evaluator's figures: begin cycles are those of `Evaluation`,
and nothing here evaluates a schedule again.
"""

from dataclasses import dataclass

import numpy as np

from soma_cp.model.arrays import IntArray
from soma_cp.model.soma.dlsa import DLSA, awaited_tiles, waiting_tiles
from soma_cp.model.soma.execution.events import (
    CHANNEL,
    IFMAPS,
    LOAD_START,
    NONE,
    NOTHING,
    OCCUPANCY_NAMES,
    OFMAPS_ON_CHIP,
    OFMAPS_TO_STORE,
    STORE_TILE,
    TILE,
    WEIGHTS,
    ChannelGaps,
    Groups,
    OnChip,
    Tiles,
    Transfers,
    Use,
)
from soma_cp.model.soma.occupancy import alive_bytes
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.schedule import Schedule
from soma_cp.model.soma.tensors import IFM, OFM, WGT


@dataclass(frozen=True, eq=False)
class Execution:
    """All events of one schedule; `make_execution` makes it.

    Parameters
    ----------
    schedule
        The schedule, with its evaluation.
    tiles, transfers, on_chip, gaps, flgs, lgs
        The events.
    handover
        int64[T + 1]: cycle at which the buffer passes from the tensors alive at position p − 1 to those alive at p:
        the end of tile p − 1, or the finish of the last store that must be finished by p if that is later. The first
        item is 0, the last the latency. The tensors of position p hold the buffer from ``handover[p]`` to
        ``handover[p + 1]``; so every transfer lies within the time in which its tensor holds buffer.
    occupancy
        int64[4, T]: bytes alive at each position, by kind (WEIGHTS, IFMAPS, OFMAPS_ON_CHIP, OFMAPS_TO_STORE: ofmaps
        that go to DRAM, from their tile to their End). The sum is ``schedule.evaluation.usage_bytes``.
    """

    schedule: Schedule
    tiles: Tiles
    transfers: Transfers
    on_chip: OnChip
    gaps: ChannelGaps
    flgs: Groups
    lgs: Groups
    handover: IntArray
    occupancy: IntArray

    @property
    def latency(self) -> int:
        """Cycles until the last tile and the last DRAM transfer have ended."""
        return self.schedule.evaluation.latency

    @property
    def dram_busy(self) -> int:
        """Cycles in which the channel transfers; the others are in `gaps`."""
        return self.schedule.evaluation.figures.dram_cycles

    @property
    def compute_busy(self) -> int:
        """Cycles in which the core array computes."""
        return self.schedule.evaluation.figures.compute_cycles

    @property
    def stall_cycles(self) -> int:
        """Cycles in which the core array waits for DRAM before a tile."""
        return int(self.tiles.stall.sum())

    @property
    def drain_cycles(self) -> int:
        """Cycles from the end of the last tile to the finish of the last transfer."""
        return self.latency - int(self.tiles.end[-1])

    def transfer_label(self, rank: int) -> str:
        """Return the name of the DRAM tensor at `rank`, for people; of a shared load with the number of its sharers."""
        label, more = self.schedule.plan.tensor_label(int(self.transfers.tensor[rank])), self.sharers(rank)
        return f"{label} (+{more} layer{'s' if more > 1 else ''})" if more else label

    def transfer_uses(self, rank: int) -> tuple[Use, ...]:
        """Return the tiles that read the DRAM tensor at `rank`: those of a load's readers, of a store's consumers."""
        layer = int(self.transfers.layer[rank])
        if self.transfers.kind[rank] == OFM:
            return self._ofmap_uses(layer, int(self.transfers.tile[rank]))
        tile = None if self.transfers.kind[rank] == WGT else int(self.transfers.tile[rank])
        readers = self.transfer_readers(rank)
        return tuple(Use(reader, self._tiles_for(reader, layer, tile), False) for reader in readers)

    def transfer_readers(self, rank: int) -> tuple[int, ...]:
        """Return the ids of the layers that read the DRAM tensor at `rank`; of a load its owner, then the others."""
        if self.transfers.kind[rank] == OFM:
            return self.ofmap_consumers(int(self.transfers.layer[rank]))
        first = self.schedule.plan.layers.first
        readers = self.schedule.plan.load_readers(int(self.transfers.tensor[rank]))
        return tuple(sorted(readers, key=lambda reader: int(first[reader])))

    def sharers(self, rank: int) -> int:
        """Return how many layers besides its owner use the load at `rank`; 0 for a store."""
        return 0 if self.transfers.kind[rank] == OFM else len(self.transfer_readers(rank)) - 1

    def on_chip_uses(self, index: int) -> tuple[Use, ...]:
        """Return the tiles that read the on-chip ofmap tensor `index`."""
        return self._ofmap_uses(int(self.on_chip.layer[index]), int(self.on_chip.tile[index]))

    def ofmap_consumers(self, layer: int) -> tuple[int, ...]:
        """Return the ids of the layers that read the ofmap of `layer`, ascending."""
        table = self.schedule.plan.problem.table
        consumers = table.use_layer[table.use_begin[layer] : table.use_begin[layer + 1]].tolist()
        return tuple(dict.fromkeys(consumers))  # the table lists a layer once for each role

    def _ofmap_uses(self, layer: int, tile: int) -> tuple[Use, ...]:
        lg = self.schedule.plan.layers.lg
        return tuple(
            Use(consumer, self._tiles_for(consumer, layer, tile), bool(lg[consumer] != lg[layer]))
            for consumer in self.ofmap_consumers(layer)
        )

    def _tiles_for(self, reader: int, layer: int, tile: int | None) -> range:
        """Return the tiles of `reader` that need a tile of `layer`: in its FLG the one of that index, elsewhere all."""
        layers = self.schedule.plan.layers
        first, step, count = (int(column[reader]) for column in (layers.first, layers.step, layers.count))
        tiles = range(first, first + count * step, step)
        return tiles if tile is None or layers.flg[reader] != layers.flg[layer] else tiles[tile : tile + 1]


def make_execution(schedule: Schedule) -> Execution:
    """Return the events of a schedule.

    Parameters
    ----------
    schedule
        A schedule that can run.
    """
    plan, dlsa, evaluation = schedule.plan, schedule.dlsa, schedule.evaluation
    tensors, order = plan.tensors, dlsa.order
    kind, begin = tensors.kind[order], evaluation.tensor_begin[order]
    finish = begin + tensors.cycles[order]
    start, end = dlsa.start[order], dlsa.end[order]
    is_store = kind == OFM
    gates = waiting_tiles(tensors, dlsa)[order]

    tile_end = evaluation.tile_begin + plan.tile_cycles
    stall = evaluation.tile_begin - np.append(0, tile_end[:-1])
    gating = _last_rank(gates, np.arange(len(order)), plan.tile_count + 1)[:-1]
    cause = np.where(stall > 0, gating, NONE)
    caused = np.zeros(len(order), np.int64)
    caused[cause[stall > 0]] = stall[stall > 0]

    handover = np.append(0, tile_end)
    np.maximum.at(handover, end[is_store], finish[is_store])
    gap = begin - np.append(0, finish[:-1])
    transfers = Transfers(
        tensor=order,
        kind=kind,
        layer=tensors.layer[order],
        tile=tensors.tile[order],
        source=tensors.source[order],
        bytes=tensors.bytes[order],
        moved=tensors.moved[order],
        begin=begin,
        finish=finish,
        start=start,
        end=end,
        hold_begin=handover[np.maximum(start, 0)],
        hold_end=handover[end],
        gates=gates,
        after_tile=awaited_tiles(tensors, dlsa)[order],
        gap=gap,
        waited_for=np.where(gap > 0, TILE, np.where(begin > 0, CHANNEL, NOTHING)),
        stall=caused,
    )
    flgs, lgs = _groups(plan, evaluation.tile_begin, tile_end)
    return Execution(
        schedule=schedule,
        tiles=Tiles(
            layer=plan.tile_layer,
            index=plan.tile_index,
            flg=plan.layers.flg[plan.tile_layer],
            lg=plan.layers.lg[plan.tile_layer],
            begin=evaluation.tile_begin,
            end=tile_end,
            stall=stall,
            cause=cause,
        ),
        transfers=transfers,
        on_chip=OnChip(
            layer=tensors.chip_layer,
            tile=tensors.chip_tile,
            bytes=tensors.chip_bytes,
            start=tensors.chip_start,
            end=tensors.chip_end,
            hold_begin=handover[tensors.chip_start],
            hold_end=handover[tensors.chip_end],
        ),
        gaps=_channel_gaps(transfers),
        flgs=flgs,
        lgs=lgs,
        handover=handover,
        occupancy=_occupancy(plan, dlsa),
    )


def _last_rank(keys: IntArray, ranks: IntArray, size: int) -> IntArray:
    """Return for each key below `size` the last rank that has it, or NONE; `ranks` ascend."""
    last = np.full(size, NONE, np.int64)
    np.maximum.at(last, keys, ranks)
    return last


def _channel_gaps(transfers: Transfers) -> ChannelGaps:
    # No gap follows the last transfer: the last tile's ofmap has no consumer, so its store comes after all tiles.
    ranks = np.flatnonzero(transfers.gap > 0)
    end = transfers.begin[ranks]
    return ChannelGaps(
        begin=end - transfers.gap[ranks],
        end=end,
        cause=np.where(transfers.kind[ranks] == OFM, STORE_TILE, LOAD_START),
        rank=ranks,
        tile=transfers.after_tile[ranks],
    )


def _groups(plan: Plan, tile_begin: IntArray, tile_end: IntArray) -> tuple[Groups, Groups]:
    """Return the FLGs and the LGs."""
    flgs = plan.run.flgs
    tiling = np.array([flg.tiling_number for flg in flgs], np.int64)
    sizes = np.array([len(flg.layers) for flg in flgs], np.int64)
    last: IntArray = np.cumsum(tiling * sizes) - 1
    first = np.append(0, last[:-1] + 1)
    cut = np.flatnonzero([flg.dram_cut for flg in flgs])
    lg: IntArray = np.cumsum(np.array([flg.dram_cut for flg in flgs], np.int64)) - 1
    lg_first, lg_last = first[cut], last[np.append(cut[1:], len(flgs)) - 1]
    return (
        Groups(first, last, tile_begin[first], tile_end[last], tiling, lg),
        Groups(
            first=lg_first,
            last=lg_last,
            begin=tile_begin[lg_first],
            end=tile_end[lg_last],
            tiling_number=np.maximum.reduceat(tiling, cut),
            lg=np.arange(len(cut)),
        ),
    )


def _occupancy(plan: Plan, dlsa: DLSA) -> IntArray:
    occupancy = np.empty((len(OCCUPANCY_NAMES), plan.tile_count), np.int64)
    for kind, row in ((WGT, WEIGHTS), (IFM, IFMAPS), (OFM, OFMAPS_TO_STORE)):
        held = plan.tensors.kind == kind
        occupancy[row] = alive_bytes(plan.tensors.bytes[held], dlsa.start[held], dlsa.end[held], plan.tile_count)
    occupancy[OFMAPS_ON_CHIP] = plan.chip_usage
    return occupancy
