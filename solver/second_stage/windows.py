"""Lower bounds on the latency of every DLSA of a plan, without a solver.

The *window bound*: let ``E_p`` be the end of tile p − 1 (0 for p = 0) and ``C_f`` the begin of tile f (the end of the
run for f = T). Between the two the DRAM channel must do at least ``work[p, f]`` cycles, hence
``C_f ≥ E_p + work[p, f]``; with ``E_{p+1} = C_p + t_p`` the longest path through these arcs bounds the latency.

``work[p, f]`` counts

- every load that a tile p … f needs, except those that can begin before ``E_p``: they are alive at position p − 1, so
  their bytes fit into the room that is left there when every other tensor has its shortest living duration;
- every store of a tile p − 1 … f − 1, except those that can finish after ``C_f``: they are alive at position f, so
  their bytes fit into the room there. Stores that a tile up to f reads back can't wait, and no store can wait at the
  end of the run.

In both cases a fractional knapsack (cycles gained per byte of room) bounds what can be left out.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import IntArray
from soma_cp.model.soma.evaluation import plan_figures
from soma_cp.model.soma.plan import Plan
from soma_cp.solver.second_stage.piece import Piece, whole_problem
from soma_cp.solver.second_stage.windows_kernel import Frame, Paths, longest_paths, needed_arcs, sorted_transfers

THEORETICAL_MAXIMUM = "theoretical maximum"
WINDOW_BOUND = "windows of DRAM transfers"
MOST_WINDOWS = 1 << 28
"""Of a plan with more windows, only the shorter ones are looked at: a second, in full up to 16,000 tiles."""
MOST_TILES_FOR_ARCS = 1_500
"""The arcs of a plan with more tiles are not listed (T² memory, T³ time: half a second at this number of tiles)."""


class Windows(NamedTuple):
    """The window bound of a piece with N tiles and D DRAM tensors.

    Parameters
    ----------
    latency
        The bound on the latency (cycles).
    earliest_start
        int64[D]: of a load, the lowest Start for which it fits into the buffer at all.
    latest_end
        int64[D]: of a store, the highest End for which it fits into the buffer at all.
    earliest_begin
        int64[N + 1]: lower bound on the begin of every tile; item N: on the end of all transfers.
    earliest_opening
        int64[N + 1]: lower bound on the end of tile p − 1, never before the channel is ready.
    tail_from_begin, tail_from_opening
        int64[N + 1]: least time to the end of the run from the begin of tile p (item N: from the end of all transfers);
        from the end of tile p − 1.
    """

    latency: int
    earliest_start: IntArray
    latest_end: IntArray
    earliest_begin: IntArray
    earliest_opening: IntArray
    tail_from_begin: IntArray
    tail_from_opening: IntArray


def best_combinatorial_bound(plan: Plan) -> tuple[int, str]:
    """Return the highest lower bound on the latency (cycles) that needs no solver, and its name."""
    figures = plan_figures(plan)
    latency = dram_windows(whole_problem(plan)).latency
    return (latency, WINDOW_BOUND) if latency > figures.bound else (figures.bound, THEORETICAL_MAXIMUM)


def dram_windows(piece: Piece) -> Windows:
    """Compute the window bound of a piece; the module docstring has the proof. O(N + D) memory.

    It takes O(N² + N·D) time, but no more than `MOST_WINDOWS` windows: fewer arcs make a lower bound.
    """
    return _windows(piece, np.empty((0, 0), np.int64))


def window_arcs(piece: Piece) -> IntArray:
    """Return int64[A, 3]: p, f and ``work[p, f]`` of the windows that no path of other windows and tiles implies.

    For a piece with more than `MOST_TILES_FOR_ARCS` tiles, A is 0.
    """
    if piece.tile_count > MOST_TILES_FOR_ARCS:
        return np.empty((0, 3), np.int64)
    at_once = piece.tile_count > 0 and piece.channel_ready <= int(piece.tile_ready[0])
    return needed_arcs(window_work(piece), piece.tile_cycles, at_once)


def window_work(piece: Piece) -> IntArray:
    """Return int64[N + 1, N + 1]: ``work[p, f]`` of the module docstring; 0 below the diagonal."""
    work = np.zeros((piece.tile_count + 1, piece.tile_count + 1), np.int64)
    _windows(piece, work)
    return work


def _windows(piece: Piece, work: IntArray) -> Windows:
    longest = MOST_WINDOWS // (max(piece.tile_count, len(piece.transfers.bytes)) + 1)
    longest = min(longest, piece.tile_count)
    transfers, starts, ends = sorted_transfers(piece.transfers, piece.room, longest)
    frame = Frame(
        tile_cycles=piece.tile_cycles,
        room=piece.room,
        tile_ready=piece.tile_ready,
        tile_tail=piece.tile_tail,
        channel_ready=piece.channel_ready,
        channel_tail=piece.channel_tail,
        longest_window=longest,
    )
    paths = Paths(*(np.zeros(piece.tile_count + 1, np.int64) for _ in Paths._fields))
    latency = longest_paths(transfers, frame, paths, work)
    return Windows(
        latency=int(latency),
        earliest_start=starts,
        latest_end=ends,
        earliest_begin=paths.begin,
        earliest_opening=paths.opening,
        tail_from_begin=paths.tail_begin,
        tail_from_opening=paths.tail_opening,
    )
