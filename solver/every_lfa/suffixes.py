"""Lower bounds on a suffix of a Computing Order, for every way to fuse and tile it.

A suffix is the layers from some place on, cut into FLGs in any way. Three figures bound it:

*Energy*: of the core array, and of moving weights, external inputs and final ofmaps.

*Compute path*: the time from the begin of its first tile to the end of the run. All its tiles run one after another.
The ofmap tiles of the last layer, which has no consumers, are stored, each after its tile: the last one after all
tiles, and all n of them after the first of these tiles.

*Channel path*: the time from the end of all loads of the layers before, if the channel did nothing else until then, to
the end of the run. A tile begins after the loads of all tiles up to it, including those of the layers before; the
compute path from that tile follows.

An FLG with Tiling Number n before a suffix adds its energy and compute. The new channel path is the longer of two: the
one to a tile of the FLG, and the FLG's loads followed by the channel path of the suffix. So the undominated triples of
every suffix follow from those of the shorter suffixes. Transfers between LGs are left out: they only add to all three.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from soma_cp.annealing.budget import Budget, OutOfTimeError
from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.compiled import compiled
from soma_cp.model.objective import Objective
from soma_cp.solver.every_lfa.flg_options import FLGOptions, OptionTable

TRIPLES_AT_ONCE = 1 << 16
"""Triples that are compared at a time, between two looks at the budget."""


@dataclass(frozen=True, eq=False)
class Front:
    """Undominated triples of a suffix, F items each; F = 0 if no triple is cheaper than the cutoff.

    Parameters
    ----------
    energy_pj
        float64[F].
    compute_path, channel_path
        int64[F]: cycles.
    """

    energy_pj: FloatArray
    compute_path: IntArray
    channel_path: IntArray


def suffix_fronts(
    table: OptionTable, order: tuple[int, ...], objective: Objective, cutoff: float, budget: Budget | None = None
) -> list[Front]:
    """Return the front of the suffix from each place of `order`; the last is that of the empty suffix.

    Parameters
    ----------
    table
        Options of the problem's FLGs.
    order
        Layer ids.
    objective, cutoff
        Triples that cost at least `cutoff` by themselves are left out.
    budget
        No limit by default; listing the options of large fmaps and batches takes time.

    Raises
    ------
    OutOfTimeError
        If the budget ends first.
    """
    size = len(order)
    nothing = np.zeros(1, np.int64)
    fronts = [Front(nothing.astype(np.float64), nothing, nothing)]
    for begin in range(size - 1, -1, -1):
        front = Front(nothing[:0].astype(np.float64), nothing[:0], nothing[:0])
        for end in range(begin + 1, size + 1):
            if budget is not None and budget.over:
                raise OutOfTimeError
            for part in _joined(table.options(order[begin:end]), fronts[end - begin - 1], end == size):
                if budget is not None and budget.over:
                    raise OutOfTimeError
                front = _merged(front, part, objective, cutoff)
        fronts.insert(0, front)
    return fronts


def _merged(front: Front, part: Front, objective: Objective, cutoff: float) -> Front:
    """Return the undominated triples of a front and of some more that cost less than the cutoff."""
    cheap = objective.costs(part.energy_pj, np.maximum(part.compute_path, part.channel_path)) < cutoff
    energy = np.concatenate([front.energy_pj, part.energy_pj[cheap]])
    compute = np.concatenate([front.compute_path, part.compute_path[cheap]])
    channel = np.concatenate([front.channel_path, part.channel_path[cheap]])
    kept = np.lexsort((channel, compute, energy))
    kept = kept[undominated(compute[kept], channel[kept])]
    return Front(energy[kept], compute[kept], channel[kept])


def _joined(options: FLGOptions, behind: Front, last: bool) -> Iterator[Front]:
    """Put an FLG, with each of its Tiling Numbers, before each triple of the suffix after it; yield them in chunks."""
    size = len(options.number)
    if size == 0 or len(behind.energy_pj) == 0:
        return
    moved = options.moved(outside=frozenset())
    ends = options.to_the_end_of_the_run if last else options.to_the_end
    last_tile = options.tile_cycles[:, -1] + (options.store_cycles[:, -1] if last else 0)
    channel = np.maximum((moved.needed + ends).max(axis=1), moved.loads + last_tile)
    compute = ends[:, 0]
    rows = max(TRIPLES_AT_ONCE // len(behind.energy_pj), 1)
    for first in range(0, size, rows):
        some = slice(first, first + rows)
        paths = channel[some, None] + behind.compute_path
        if not last:
            paths = np.maximum(paths, moved.loads[some, None] + behind.channel_path)
        yield Front(
            (moved.energy_pj[some, None] + behind.energy_pj).ravel(),
            (compute[some, None] + behind.compute_path).ravel(),
            paths.ravel(),
        )


@compiled
def undominated(compute: IntArray, channel: IntArray) -> IntArray:
    """Return the indices of the items that no earlier item dominates in both."""
    kept = np.empty(len(compute), np.int64)
    count = 0
    for i in range(len(compute)):
        dominated = False
        for n in range(count):
            if compute[kept[n]] <= compute[i] and channel[kept[n]] <= channel[i]:
                dominated = True
                break
        if not dominated:
            kept[count] = i
            count += 1
    return kept[:count]
