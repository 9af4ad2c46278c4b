"""Periods: LFAs of a network in which each repeat is folded, written out over its copies (docs/first-stage.md#periods).

A search over periods knows the *folded* network, which has one copy of each repeat; moves change its LFA. To be priced,
the LFA is written out over the network itself, or over one with fewer copies. Every copy of a repeat has the order, the
FLGs, the tilings, the parts and the shared loads of the first. It begins an LG, or an FLG, if the first one does; where
nothing stands before the first one, it is given whether the others begin an LG. Of more than
`PRICED_COPIES`, all begin an FLG, and no more are priced: each of the others costs as much as the second one. That is
the energy of its tiles and transfers, and the most of the cycles of its tiles, of its transfers, and from its first
tile to that of the third copy.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from soma_cp.annealing.first_stage.slots import Slots, SlottedProblem, slotted_as
from soma_cp.model.arrays import BoolArray, IntArray
from soma_cp.model.compiled import in_place
from soma_cp.model.network import network_table as nt
from soma_cp.model.network.network import Division
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.model.network.repeats import Repeat
from soma_cp.model.network.rewrites.fewer_copies import with_fewer_copies
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import LFA, LFAArrays
from soma_cp.model.soma.tensors import Tensors
from soma_cp.model.soma.tiling import LayerTiles

PRICED_COPIES = 3
"""So many copies of a repeat are priced: the first and the last one, at the ends of a run, differ from the others."""


class Periods(NamedTuple):
    """How an LFA of a network of Q layers with R folded repeats is written out over one of L layers; R may be 0.

    Parameters
    ----------
    table, slots
        Of the other network; the same as those of the first if R is 0.
    copies, length, left_out
        int64[R]: copies of each repeat in the other network, layers of its period, and copies that are not there.
    cut
        bool[R]: whether each copy but the first begins an LG, where nothing stands before the first.
    apart
        bool[R]: whether each copy but the first begins an FLG.
    repeat
        int64[Q]: the repeat that a layer is part of, 0 … R − 1; −1 if it is part of none.
    layer
        int64[Q, C]: its id in each copy; in the first column alone if it is part of none.
    item
        int64[E + Q, C]: likewise for the items of ``LFAArrays.shares``; −1 where a copy has no such item.
    times
        int64[L]: how many layers a layer stands for: itself, and its likes in the copies that are not there.
    stands_in
        int64[L]: the repeat whose copies that are not there a layer stands for; −1 if it stands for itself alone.
    """

    table: NetworkTable
    slots: Slots
    copies: IntArray
    length: IntArray
    left_out: IntArray
    cut: BoolArray
    apart: BoolArray
    repeat: IntArray
    layer: IntArray
    item: IntArray
    times: IntArray
    stands_in: IntArray


@in_place
def write_out(periods: Periods, lfa: LFAArrays, written: LFAArrays) -> bool:
    """Fill `written` with `lfa` over all copies; False if other layers stand between those of a period.

    Absent parts, which have no channels, stand in no group: a DRAM Cut before the first or after the last layer that is
    there is not within the period.
    """
    repeat, ids, items, channels = periods.repeat, periods.layer, periods.item, lfa.channels
    order, begins_flg, begins_lg, tiling = lfa.order, lfa.begins_flg, lfa.begins_lg, lfa.tiling
    size = len(order)
    to = 0
    begin = 0
    while begin < size:
        own = repeat[order[begin]]
        end = begin + 1
        copies = 1
        if own >= 0:
            while end < size and repeat[order[end]] == own:
                end += 1
            if end - begin != periods.length[own]:
                return False
            copies = periods.copies[own]
        first, last = begin, end - 1  # layers that are there
        while first < last and channels[order[first]] == 0:
            first += 1
        while last > first and channels[order[last]] == 0:
            last -= 1
        flg = first
        while not begins_flg[flg]:
            flg -= 1
        # Copies begin an FLG, and an LG, if the first one does.
        place = first
        begins, cut = begins_flg[place], begins_lg[place]
        while place > 0 and (place > begin or channels[order[place - 1]] == 0):
            place -= 1
            begins, cut = begins or begins_flg[place], cut or begins_lg[place]
        if own >= 0:
            begins = begins or periods.apart[own]
            cut = periods.cut[own] if place == 0 else cut
        for copy in range(copies):
            for place in range(begin, end):
                within = (copy == 0 or place > first) and (copy == copies - 1 or place <= last)
                seam = copy > 0 and place == begin
                written.order[to] = ids[order[place], copy]
                written.begins_flg[to] = begins if seam else begins_flg[place]
                written.begins_lg[to] = cut if seam else begins_lg[place] and within
                written.tiling[to] = tiling[place] if begins_flg[place] and not seam else tiling[flg]
                to += 1
        begin = end
    for layer in range(size):
        for copy in range(periods.copies[repeat[layer]] if repeat[layer] >= 0 else 1):
            written.channels[ids[layer, copy]] = channels[layer]
    for item in range(len(lfa.shares)):
        for copy in range(items.shape[1]):
            if items[item, copy] >= 0:
                written.shares[items[item, copy]] = lfa.shares[item]
    return True


@in_place
def cycles_left_out(
    periods: Periods, tiles: LayerTiles, tensors: Tensors, count: int, tile_begin: IntArray, known: bool
) -> int:
    """Return the cycles of all copies that are not there: those of their tiles or transfers, whichever are more.

    Where the begins of tiles are `known`, they are at least the cycles from the second copy's first tile to the
    third's. `tensors` has `count` DRAM tensors.
    """
    repeat, ids, stands_in = periods.repeat, periods.layer, periods.stands_in
    total = 0
    for number in range(len(periods.copies)):
        if periods.left_out[number] == 0:
            continue
        computes, moves = 0, 0
        first, next_first = -1, -1
        for layer in range(len(repeat)):
            if repeat[layer] != number:
                continue
            second, third = ids[layer, 1], ids[layer, 2]
            if tiles.count[second] == 0:  # an absent part
                continue
            computes += tiles.count[second] * tiles.cycles[second]
            if first < 0 or tiles.first[second] < first:
                first, next_first = tiles.first[second], tiles.first[third]
        for tensor in range(count):
            if stands_in[tensors.layer[tensor]] == number:
                moves += tensors.cycles[tensor]
        cycles = max(computes, moves)
        if known:
            cycles = max(cycles, tile_begin[next_first] - tile_begin[first])
        total += periods.left_out[number] * cycles
    return total


@dataclass(frozen=True, eq=False)
class Folding:
    """A problem and its folded form, in which a search over periods changes LFAs.

    Parameters
    ----------
    problem
        In one pass, without divided layers.
    repeats
        Those that are folded; not none.
    cut
        Whether all copies but the first begin an LG, where nothing stands before the first.
    """

    problem: Problem
    repeats: tuple[Repeat, ...]
    cut: bool = False

    @cached_property
    def folded(self) -> Problem:
        """The problem with one copy of each repeat."""
        return self._with_copies(1)

    def priced(self, slotted: SlottedProblem, most: int = PRICED_COPIES) -> tuple[SlottedProblem, Periods]:
        """Return the problem with at most so many copies of each repeat, and how LFAs are written out over it.

        `slotted` is the folded problem with the slots that a search divides layers into.
        """
        return _periods(self, slotted, self._with_copies(most), most)

    def written_out(self, lfa: LFA) -> LFA:
        """Return an LFA of the folded problem as one of the problem."""
        slotted = slotted_as(self.folded, lfa.divisions)
        most = max(repeat.count for repeat in self.repeats)
        run, periods = _periods(self, slotted, self.problem, most)
        written = empty_lfa(run)
        assert write_out(periods, slotted.arrays(lfa), written), "a period stands together in LFAs of a search"
        return run.lfa(written, periods.table)

    def _with_copies(self, most: int) -> Problem:
        return replace(self.problem, network=with_fewer_copies(self.problem.network, self.repeats, most))


def empty_lfa(slotted: SlottedProblem) -> LFAArrays:
    """Allocate an LFA, for `write_out` to fill."""
    table = slotted.problem.table
    size = len(table.layers)
    return LFAArrays(
        order=np.zeros(size, np.int64),
        begins_flg=np.zeros(size, np.bool_),
        begins_lg=np.zeros(size, np.bool_),
        tiling=np.ones(size, np.int64),
        shares=np.zeros(len(table.source) + size, np.bool_),
        channels=table.layers[:, nt.K].copy(),
    )


def without_periods(slotted: SlottedProblem, table: NetworkTable) -> Periods:
    """Return periods of a problem without folded repeats; `table` is the one that is made to fit its LFAs."""
    none, layers = np.zeros(0, np.int64), len(table.layers)
    return Periods(
        table=table,
        slots=slotted.slots,
        copies=none,
        length=none,
        left_out=none,
        cut=np.zeros(0, np.bool_),
        apart=np.zeros(0, np.bool_),
        repeat=np.full(layers, -1, np.int64),
        layer=np.arange(layers, dtype=np.int64).reshape(-1, 1),
        item=np.zeros((0, 0), np.int64),
        times=np.ones(layers, np.int64),
        stands_in=np.full(layers, -1, np.int64),
    )


def _periods(folding: Folding, folded: SlottedProblem, problem: Problem, most: int) -> tuple[SlottedProblem, Periods]:
    """Return `problem`, which has at most so many copies, divided as the folded one, and how LFAs are written out."""
    names = _names_of_copies(folding, most)
    divisions = {division.layer: division for division in folded.problem.network.divisions}
    of_copies = {
        name: Division(name, divisions[copies[0]].channels)
        for copies in names.values()
        if copies[0] in divisions
        for name in copies
    }
    run = slotted_as(problem, tuple(of_copies[one.name] for one in problem.network.layers if one.name in of_copies))
    known = run.problem.network.layer_id
    part_of = {part: (one.layer, n) for one in divisions.values() for n, part in enumerate(one.parts)}
    copied = []
    for one in folded.problem.network.layers:
        whole, part = part_of.get(one.name, (one.name, -1))
        copied.append([known[name if part < 0 else of_copies[name].parts[part]] for name in names[whole]])
    size, table = len(copied), run.table()
    layer: IntArray = np.full((size, max(map(len, copied))), -1, np.int64)
    for number, ids in enumerate(copied):
        layer[number, : len(ids)] = ids
    repeat_of = {
        folding.problem.network.layers[i].name: number
        for number, repeat in enumerate(folding.repeats)
        for i in repeat.copy(0)
    }
    repeat = np.array(
        [repeat_of.get(part_of.get(one.name, (one.name, 0))[0], -1) for one in folded.problem.network.layers], np.int64
    )
    counts = np.array([one.count for one in folding.repeats], np.int64)
    copies = np.minimum(counts, most)
    stands_in = np.full(len(table.layers), -1, np.int64)
    for number in np.flatnonzero(counts > copies).tolist():
        stands_in[layer[repeat == number, 1]] = number
    left_out = counts - copies
    return run, Periods(
        table=table,
        slots=run.slots,
        copies=copies,
        length=np.bincount(repeat[repeat >= 0], minlength=len(counts)).astype(np.int64),
        left_out=left_out,
        cut=np.full(len(counts), folding.cut),
        apart=counts > PRICED_COPIES,
        repeat=repeat,
        layer=layer,
        item=_items(folded, run, repeat, layer),
        times=np.where(stands_in >= 0, 1 + left_out[stands_in], 1).astype(np.int64),
        stands_in=stands_in,
    )


def _names_of_copies(folding: Folding, most: int) -> dict[str, tuple[str, ...]]:
    """Return, by layer of the folded network, the names of its copies in the one that has at most so many."""
    layers = folding.problem.network.layers
    names: dict[str, tuple[str, ...]] = {one.name: (one.name,) for one in folding.folded.network.layers}
    for repeat in folding.repeats:
        copies = [repeat.copy(number) for number in range(min(repeat.count, most))]
        names |= {layers[ids[0]].name: tuple(layers[i].name for i in ids) for ids in zip(*copies, strict=True)}
    return names


def _items(folded: SlottedProblem, run: SlottedProblem, repeat: IntArray, layer: IntArray) -> IntArray:
    """Return `Periods.item`: an edge goes to the one whose source is the same, or else stands at the same place."""
    own, other = folded.problem.table, run.problem.table
    edges, size = len(own.source), len(repeat)
    item = np.full((edges + size, layer.shape[1]), -1, np.int64)
    item[edges:] = np.where(layer >= 0, len(other.source) + layer, -1)
    inputs, known = folded.problem.network.inputs, run.problem.network.input_id
    for reader in range(size):
        for copy, there in enumerate(layer[reader].tolist()):
            if there < 0:
                continue
            free = {n: int(other.source[n]) for n in range(other.source_begin[there], other.source_begin[there + 1])}
            left = []
            for edge in range(own.source_begin[reader], own.source_begin[reader + 1]):
                source = int(own.source[edge])
                if source < 0:
                    wanted = -1 - known[inputs[-1 - source].name]
                elif repeat[source] == repeat[reader] >= 0:
                    wanted = int(layer[source, copy])
                else:
                    wanted = int(layer[source].max())  # the last copy
                found = next((n for n, one in free.items() if one == wanted), None)
                if found is None:
                    left.append(edge)
                else:
                    item[edge, copy] = found
                    del free[found]
            for edge, found in zip(left, free, strict=False):
                item[edge, copy] = found
    return item
