"""A piece of the second stage: some free DRAM transfers, and the constraints of the fixed ones before and after them.

The transfers before and after the piece in the DRAM Tensor Order are fixed, with their living durations. The free ones
interact with them through three things only: the time at which the channel is free again, the ends of the tiles that
later transfers wait for, and the buffer. The whole problem is the piece with nothing fixed.
"""

from dataclasses import dataclass

import numpy as np

from soma_cp.model.arrays import BoolArray, IntArray
from soma_cp.model.soma.dlsa import DLSA, waiting_tiles
from soma_cp.model.soma.occupancy import alive_bytes, fill_least_room
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.schedule import Schedule
from soma_cp.solver.second_stage.piece_kernel import NO_PATH, shorten, tails_of_suffix
from soma_cp.solver.second_stage.windows_kernel import FreeTransfers


@dataclass(frozen=True, eq=False)
class Piece:
    """D free transfers and N tiles; positions count from 0 at the first of these tiles.

    Parameters
    ----------
    plan
        The plan of the schedule.
    tensors
        int64[D]: indices of the free DRAM tensors in the plan, ascending.
    first_tile
        Position of tile 0 of the piece in the plan.
    is_store, bytes, cycles
        By tensor, as in the plan.
    position
        int64[D]: of a load, the tile that needs it, N if that tile is after the piece; of a store, the tile that makes
        it, −1 if that tile is before the piece.
    latest_start
        int64[D]: of a load, the highest Start; of a store, its position.
    least_end
        int64[D]: of a store, the least End; N if it must live until after the piece.
    end_behind
        int64[D]: of a store, the End in the plan that N stands for: its present End, at least the end of the piece.
    after_begin, after_end
        int64[D]: a load comes after the free stores ``after_begin … after_end − 1``.
    alike
        Groups of tensors whose transfers can be exchanged without any effect, each sorted by position.
    tile_cycles
        int64[N].
    room
        int64[N]: bytes left if every free tensor has its shortest living duration.
    tile_ready
        int64[N]: the earliest begin of a tile that the fixed transfers and tiles allow (cycles).
    tile_tail, suffix_tail
        int64[N]: longest path from the end of a tile to the end of the run; the longest of these whose first step
        leaves the tiles of the piece (negative if there is none).
    channel_ready, channel_tail
        When the first free transfer may begin; the time from the end of the last to the end of the run.
    """

    plan: Plan
    tensors: IntArray
    first_tile: int
    is_store: BoolArray
    bytes: IntArray
    cycles: IntArray
    position: IntArray
    latest_start: IntArray
    least_end: IntArray
    end_behind: IntArray
    after_begin: IntArray
    after_end: IntArray
    alike: tuple[tuple[int, ...], ...]
    tile_cycles: IntArray
    room: IntArray
    tile_ready: IntArray
    tile_tail: IntArray
    suffix_tail: IntArray
    channel_ready: int
    channel_tail: int

    @property
    def transfers(self) -> FreeTransfers:
        """The free transfers as kernels take them."""
        return FreeTransfers(**{name: getattr(self, name) for name in FreeTransfers._fields})

    @property
    def tile_count(self) -> int:
        """N."""
        return len(self.tile_cycles)


def whole_problem(plan: Plan) -> Piece:
    """Return the piece with nothing fixed, of a plan that fits into the buffer.

    Parameters
    ----------
    plan
        Of any size.
    """
    capacity = plan.problem.platform.gbuf_bytes
    tensors, tiles, count = plan.tensors, plan.tile_count, plan.dram_tensor_count
    room = np.zeros(tiles + 1, np.int64)
    fill_least_room(tensors, count, plan.sequence, capacity, room)
    return Piece(
        plan=plan,
        tensors=np.arange(count),
        first_tile=0,
        is_store=tensors.is_store,
        bytes=tensors.bytes,
        cycles=tensors.cycles,
        position=tensors.position,
        latest_start=tensors.position,
        least_end=tensors.least_end,
        end_behind=np.full(count, tiles),
        after_begin=tensors.after_begin,
        after_end=tensors.after_end,
        alike=alike_transfers(plan, np.arange(count), tensors.after_begin, tensors.after_end),
        tile_cycles=plan.tile_cycles,
        room=room[:tiles],
        tile_ready=np.zeros(tiles, np.int64),
        tile_tail=np.cumsum(plan.tile_cycles[::-1])[::-1] - plan.tile_cycles,
        suffix_tail=without_suffix(tiles),
        channel_ready=0,
        channel_tail=0,
    )


def cut_piece(schedule: Schedule, first: int, last: int) -> Piece:
    """Return the piece in which the transfers at ranks ``first … last − 1`` are free.

    Parameters
    ----------
    schedule
        A valid schedule.
    first, last
        Ranks; at least one transfer.
    """
    plan, dlsa, evaluation = schedule.plan, schedule.dlsa, schedule.evaluation
    capacity = plan.problem.platform.gbuf_bytes
    tensors, tiles = plan.tensors, plan.tile_count
    prefix, suffix = dlsa.order[:first], dlsa.order[last:]
    free = np.sort(dlsa.order[first:last])
    gates = waiting_tiles(tensors, dlsa)
    finish = evaluation.tensor_begin + tensors.cycles
    channel_ready = int(finish[prefix[-1]]) if first else 0
    # Tiles that ended before the piece are left out, but for the last: a transfer can begin at once in its position.
    ended = int(np.searchsorted(evaluation.tile_begin + plan.tile_cycles, channel_ready, side="right")) if first else 0
    begin = max(ended - 1, 0)
    end = int(min(gates[suffix].min(initial=tiles), tiles))
    ready = np.zeros(tiles + 1, np.int64)
    np.maximum.at(ready, gates[prefix], finish[prefix])
    ready = ready[begin:end]
    if ended:
        ready[0] = evaluation.tile_begin[begin]
    tile_tail, leaving = np.empty(tiles, np.int64), np.empty(tiles, np.int64)
    channel_tail = tails_of_suffix(plan.sequence, tensors, dlsa, last, tile_tail, leaving)
    behind = plan.tile_cycles[end] + tile_tail[end] if end < tiles else 0
    leaving[end - 1] = max(leaving[end - 1], behind)
    size = end - begin
    is_store = tensors.is_store[free]
    position = np.clip(tensors.position[free] - begin, -1, size)
    latest_start = position.copy()
    earliest_end = int(dlsa.end[suffix[tensors.is_store[suffix]]].min(initial=tiles + 1)) - begin
    loads = ~is_store
    latest_start[loads] = np.minimum(position[loads], earliest_end - 1)
    least_end = np.minimum(tensors.least_end[free] - begin, size)
    latest_prefix_start = int(dlsa.start[prefix].max(initial=-1))
    least_end[is_store] = np.maximum(
        least_end[is_store], min(max(latest_prefix_start + 1 - begin, 1 if ended else 0), size)
    )
    after_begin = np.searchsorted(free, tensors.after_begin[free])
    after_end = np.searchsorted(free, tensors.after_end[free])
    return Piece(
        plan=plan,
        tensors=free,
        first_tile=begin,
        is_store=is_store,
        bytes=tensors.bytes[free],
        cycles=tensors.cycles[free],
        position=position,
        latest_start=latest_start,
        least_end=least_end,
        end_behind=np.maximum(dlsa.end[free], end),
        after_begin=after_begin,
        after_end=after_end,
        alike=alike_transfers(plan, free, after_begin, after_end),
        tile_cycles=plan.tile_cycles[begin:end],
        room=_room(plan, dlsa, free, is_store, latest_start, least_end, begin, end, capacity),
        tile_ready=ready,
        tile_tail=tile_tail[begin:end],
        suffix_tail=leaving[begin:end],
        channel_ready=channel_ready,
        channel_tail=channel_tail,
    )


def put_back(piece: Piece, dlsa: DLSA, order: IntArray, start: IntArray, end: IntArray) -> DLSA:
    """Return `dlsa` with a new order and new living durations of the free tensors of `piece`; everything else stays.

    Parameters
    ----------
    piece, dlsa
        The piece, and the DLSA of the schedule that it was cut from.
    order
        int64[D]: the free tensors, by index in the piece, in their new order.
    start, end
        int64[D]: Starts of loads and Ends of stores, in positions of the piece.
    """
    places = np.isin(dlsa.order, piece.tensors)
    new = dlsa.copy()
    new.order[places] = piece.tensors[order]
    loads, stores = piece.tensors[~piece.is_store], piece.tensors[piece.is_store]
    starts = start[~piece.is_store] + piece.first_tile
    new.start[loads] = np.where(starts > 0, starts, -1)
    ends = np.where(end == piece.tile_count, piece.end_behind, end + piece.first_tile)
    new.end[stores] = ends[piece.is_store]
    return new


def shortened(schedule: Schedule) -> DLSA:
    """Return a valid schedule's DLSA with living durations as short as its times allow, which frees unused room."""
    plan, evaluation, new = schedule.plan, schedule.evaluation, schedule.dlsa.copy()
    shorten(plan.sequence, plan.tensors, evaluation.tile_begin, evaluation.tensor_begin, new)
    return new


def _room(
    plan: Plan,
    dlsa: DLSA,
    free: IntArray,
    is_store: BoolArray,
    latest_start: IntArray,
    least_end: IntArray,
    begin: int,
    end: int,
    capacity: int,
) -> IntArray:
    """Return the bytes left at the positions of a piece if the free tensors have their shortest living durations."""
    start, stop = np.maximum(dlsa.start, 0), dlsa.end.copy()
    start[free] = np.where(is_store, start[free], latest_start + begin)
    stop[free] = np.where(is_store, np.maximum(least_end + begin, start[free]), stop[free])
    stop = np.maximum(stop, start)
    return capacity - (alive_bytes(plan.tensors.bytes, start, stop, plan.tile_count) + plan.chip_usage)[begin:end]


def without_suffix(tiles: int) -> IntArray:
    """Return `Piece.suffix_tail` of a piece that ends with its last tile and its transfers."""
    tails = np.full(tiles, NO_PATH)
    tails[-1] = 0
    return tails


def alike_transfers(
    plan: Plan, free: IntArray, after_begin: IntArray, after_end: IntArray
) -> tuple[tuple[int, ...], ...]:
    """Return groups of free tensors: loads of equal bytes and cycles that wait for the same stores; a layer's stores.

    Items are indices in `free`.
    Exchanging two transfers of a group changes neither the times nor the bytes alive at any position.
    """
    tensors = plan.tensors
    groups: dict[tuple[int, ...], list[int]] = {}
    for n, i in enumerate(free.tolist()):
        size, cycles = int(tensors.bytes[i]), int(tensors.cycles[i])
        key: tuple[int, ...] = (0, size, cycles, int(after_begin[n]), int(after_end[n]))
        if tensors.is_store[i]:
            key = (1, int(tensors.layer[i]))
        groups.setdefault(key, []).append(n)
    position = tensors.position[free]
    return tuple(
        tuple(sorted(group, key=lambda n: (int(position[n]), n))) for group in groups.values() if len(group) > 1
    )
