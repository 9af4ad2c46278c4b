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

from dataclasses import dataclass

import numpy as np

from soma_cp.annealing.budget import Budget, OutOfTimeError
from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.compiled import compiled
from soma_cp.model.objective import Objective
from soma_cp.solver.every_lfa.flg_options import FLGOptions, OptionTable


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
        parts = []
        for end in range(begin + 1, size + 1):
            if budget is not None and budget.over:
                raise OutOfTimeError
            parts.append(_joined(table.options(order[begin:end]), fronts[end - begin - 1], end == size))
        energy = np.concatenate([part.energy_pj for part in parts])
        compute = np.concatenate([part.compute_path for part in parts])
        channel = np.concatenate([part.channel_path for part in parts])
        kept = np.flatnonzero(objective.costs(energy, np.maximum(compute, channel)) < cutoff)
        kept = kept[np.lexsort((channel[kept], compute[kept], energy[kept]))]
        kept = kept[_undominated(compute[kept], channel[kept])]
        fronts.insert(0, Front(energy[kept], compute[kept], channel[kept]))
    return fronts


def _joined(options: FLGOptions, behind: Front, last: bool) -> Front:
    """Put an FLG, with each of its Tiling Numbers, before each triple of the suffix after it."""
    size = len(options.number)
    if size == 0 or len(behind.energy_pj) == 0:
        return Front(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64))
    moved = options.moved(outside=frozenset())
    ends = options.to_the_end_of_the_run if last else options.to_the_end
    last_tile = options.tile_cycles[:, -1] + (options.store_cycles[:, -1] if last else 0)
    channel = np.maximum((moved.needed + ends).max(axis=1), moved.loads + last_tile)
    compute = ends[:, 0]
    paths = channel[:, None] + behind.compute_path
    if not last:
        paths = np.maximum(paths, moved.loads[:, None] + behind.channel_path)
    return Front(
        (moved.energy_pj[:, None] + behind.energy_pj).ravel(),
        (compute[:, None] + behind.compute_path).ravel(),
        paths.ravel(),
    )


@compiled
def _undominated(compute: IntArray, channel: IntArray) -> IntArray:
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
