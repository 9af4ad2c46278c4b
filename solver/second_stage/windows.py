"""Lower bounds on the latency of every DLSA of a plan, without a solver.

The *window bound*: let ``E_p`` be the end of tile p − 1 (0 for p = 0) and ``C_f`` the begin of tile f (the end of the
run for f = T). Between the two the DRAM channel must do at least ``work[p, f]`` cycles, hence
``C_f ≥ E_p + work[p, f]``; with ``E_{p+1} = C_p + t_p`` the longest path through these arcs bounds the latency.

``work[p, f]`` counts

- every load that a tile p … f needs, but for those that can be under way before ``E_p``: these are alive at position
  p − 1, so their bytes fit into the room that is left there when every other tensor lives as briefly as it can;
- every store made by a tile p − 1 … f − 1, but for those that can be finished after ``C_f``: these are alive at
  position f, so their bytes fit into the room there. Stores that a tile up to f reads back can't wait, nor can any
  at the end of the run.

In both cases the fractional knapsack (cycles to be gained per byte of room) bounds what can be left out.
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
MOST_TILES_FOR_ARCS = 1_500
"""Beyond this, the arcs of a plan (T² memory, T³ time: half a second here) are not listed."""


class Windows(NamedTuple):
    """What the window bound knows of a piece with N tiles and D DRAM tensors.

    Parameters
    ----------
    latency
        The bound on the latency.
    earliest_start
        int64[D]: of a load, the lowest Start for which it fits at all.
    latest_end
        int64[D]: of a store, the highest End for which it fits at all.
    earliest_begin
        int64[N + 1]: bound on the begin of every tile; of the end of all transfers at N.
    earliest_opening
        int64[N + 1]: bound on the end of tile p − 1, not before the channel is ready.
    tail_from_begin, tail_from_opening
        int64[N + 1]: least time from the begin of tile p (from the end of all transfers), from the end of tile p − 1,
        to the end of the run.
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
    """Compute the window bound of a piece; see the module's text for the proof. O(N² + N·D) time, O(N + D) memory."""
    return _windows(piece, np.empty((0, 0), np.int64))


def window_arcs(piece: Piece) -> IntArray:
    """Return int64[A, 3]: p, f and ``work[p, f]`` of the windows that no chain of others and of tiles implies.

    None are returned for a piece of more than `MOST_TILES_FOR_ARCS` tiles.
    """
    if piece.tile_count > MOST_TILES_FOR_ARCS:
        return np.empty((0, 3), np.int64)
    at_once = piece.tile_count > 0 and piece.channel_ready <= int(piece.tile_ready[0])
    return needed_arcs(window_work(piece), piece.tile_cycles, at_once)


def window_work(piece: Piece) -> IntArray:
    """Return int64[N + 1, N + 1]: ``work[p, f]`` of the module's text; 0 below the diagonal."""
    work = np.zeros((piece.tile_count + 1, piece.tile_count + 1), np.int64)
    _windows(piece, work)
    return work


def _windows(piece: Piece, work: IntArray) -> Windows:
    transfers, starts, ends = sorted_transfers(piece.transfers, piece.room)
    frame = Frame(
        tile_cycles=piece.tile_cycles,
        room=piece.room,
        tile_ready=piece.tile_ready,
        tile_tail=piece.tile_tail,
        channel_ready=piece.channel_ready,
        channel_tail=piece.channel_tail,
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
