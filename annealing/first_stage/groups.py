"""The groups of an LFA in a search: finds, draws, cuts and merges FLGs and LGs (kernels)."""

import numpy as np

from soma_cp.model.arrays import BoolArray, IntArray
from soma_cp.model.compiled import compiled, in_place
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.model.soma.lfa import LFAArrays


@in_place
def pick(count: int, random: np.random.Generator) -> int:
    """Draw one of 0 … count − 1."""
    return min(int(random.random() * count), count - 1)


@in_place
def pick_other(first: int, last: int, present: int, random: np.random.Generator) -> int:
    """Draw one of `first` … `last` but `present`, which is one of them; there must be another."""
    drawn = first + pick(last - first, random)
    return drawn + 1 if drawn >= present else drawn


@in_place
def pick_marked(marks: BoolArray, excluded: BoolArray, count: int, random: np.random.Generator) -> int:
    """Draw one of the `count` places after the first that are in `marks` and not in `excluded`."""
    left = pick(count, random)
    for place in range(1, len(marks)):
        if marks[place] and not excluded[place]:
            if left == 0:
                return place
            left -= 1
    return -1


@in_place
def group_begin(begins: BoolArray, place: int) -> int:
    """Return the first place of the group (FLG or LG) that holds `place`."""
    while not begins[place]:
        place -= 1
    return place


@in_place
def group_end(begins: BoolArray, place: int) -> int:
    """Return the place after the last of the group that holds `place`."""
    place += 1
    while place < len(begins) and not begins[place]:
        place += 1
    return place


@in_place
def merge_flgs(lfa: LFAArrays, border: int, random: np.random.Generator) -> None:
    """Merge the FLGs at `border`; the tiling number of either stays, with probability proportional to its layers."""
    begin = group_begin(lfa.begins_flg, border - 1)
    end = group_end(lfa.begins_flg, border)
    if random.random() * (end - begin) >= border - begin:
        lfa.tiling[begin] = lfa.tiling[border]
    lfa.begins_flg[border] = False
    lfa.begins_lg[border] = False


@in_place
def cut_flg(begins_flg: BoolArray, tiling: IntArray, place: int) -> None:
    """Insert an FLC before `place`; both parts keep the tiling number."""
    if not begins_flg[place]:
        tiling[place] = tiling[group_begin(begins_flg, place)]
        begins_flg[place] = True


@in_place
def reads(source_begin: IntArray, sources: IntArray, consumer: int, producer: int) -> bool:
    """Whether the layer `consumer` reads the ofmap of the layer `producer`."""
    for edge in range(source_begin[consumer], source_begin[consumer + 1]):
        if sources[edge] == producer:
            return True
    return False


@in_place
def place_range(source_begin: IntArray, sources: IntArray, order: IntArray, place: int) -> tuple[int, int]:
    """Return the first and last place that the layer at `place` can take, after its producers, before its consumers."""
    layer = order[place]
    first = place
    while first > 0 and not reads(source_begin, sources, layer, order[first - 1]):
        first -= 1
    last = place
    while last < len(order) - 1 and not reads(source_begin, sources, order[last + 1], layer):
        last += 1
    return first, last


@in_place
def pick_new_place(table: NetworkTable, order: IntArray, random: np.random.Generator) -> tuple[int, int]:
    """Draw a place, and another that its layer can take; twice the same place if the layer can take no other."""
    old = pick(len(order), random)
    first, last = place_range(table.source_begin, table.source, order, old)
    return old, pick_other(first, last, old, random) if first < last else old


@in_place
def pick_flg(begins_flg: BoolArray, random: np.random.Generator) -> int:
    """Draw the first place of an FLG."""
    count = 0
    for place in range(len(begins_flg)):
        count += 1 if begins_flg[place] else 0
    left = pick(count, random)
    place = 0
    while left > 0:
        place = group_end(begins_flg, place)
        left -= 1
    return place


@in_place
def pick_inner_flc(begins_flg: BoolArray, begins_lg: BoolArray, random: np.random.Generator) -> int:
    """Draw an FLC that is not a DRAM Cut; −1 if there is none."""
    count = 0
    for place in range(1, len(begins_flg)):
        count += 1 if begins_flg[place] and not begins_lg[place] else 0
    return pick_marked(begins_flg, begins_lg, count, random) if count > 0 else -1


@compiled
def pick_border(lfa: LFAArrays, random: np.random.Generator) -> int:
    """Draw a border between two LGs; −1 if there is only one LG."""
    count = 0
    for place in range(1, len(lfa.order)):
        count += 1 if lfa.begins_lg[place] else 0
    if count == 0:
        return -1
    return pick_marked(lfa.begins_lg, np.zeros(len(lfa.order), np.bool_), count, random)


@in_place
def pick_new_border(lfa: LFAArrays, random: np.random.Generator) -> tuple[int, int]:
    """Draw a border between two LGs, and another place for it within them; −1 for both if there is none."""
    border = pick_border(lfa, random)
    if border < 0:
        return -1, -1
    begin = group_begin(lfa.begins_lg, border - 1)
    end = group_end(lfa.begins_lg, border)
    if end - begin <= 2:
        return -1, -1
    return border, pick_other(begin + 1, end - 1, border, random)


@in_place
def keeps_groups_apart(order: IntArray, begins_lg: BoolArray, apart: IntArray) -> bool:
    """Whether no LG mixes layers of different groups in `apart`; ``apart[l]`` is the group of layer l."""
    for place in range(1, len(order)):
        if not begins_lg[place] and apart[order[place]] != apart[order[place - 1]]:
            return False
    return True
