"""Operators of the first stage: each changes an LFA in place (kernels; specification: search.md, "First stage").

Every operator returns whether it changed anything; whether the result is a valid LFA that fits into the buffer
is for the evaluation of the candidate to find out. Draws are uniform unless stated otherwise.
"""

import numpy as np

from soma_cp.model.compiled import compiled
from soma_cp.model.network_table import IntArray, NetworkTable
from soma_cp.model.tiling import BoolArray, LFAArrays

# Shares of the operators, as in the published program.
CHANGE_ORDER, CHANGE_TILING, REMOVE_FLC = 0.2, 0.35, 0.15  # the rest is DRAM Cuts
# Shares among the operators on DRAM Cuts.
FUSE_LGS, SPLIT_LG = 0.3, 0.3  # the rest moves a border

MAX_TILING_NUMBER = 1 << 20


@compiled
def _pick(count: int, random: np.random.Generator) -> int:
    """Draw one of 0 … count − 1."""
    return min(int(random.random() * count), count - 1)


@compiled
def _pick_marked(marks: BoolArray, excluded: BoolArray, count: int, random: np.random.Generator) -> int:
    """Draw one of the `count` places behind the first that are in `marks` and not in `excluded`."""
    left = _pick(count, random)
    for place in range(1, len(marks)):
        if marks[place] and not excluded[place]:
            if left == 0:
                return place
            left -= 1
    return -1


@compiled
def _group_begin(begins: BoolArray, place: int) -> int:
    """Return where the group (FLG or LG) begins that `place` lies in."""
    while not begins[place]:
        place -= 1
    return place


@compiled
def _group_end(begins: BoolArray, place: int) -> int:
    """Return where the group that `place` lies in ends (half-open)."""
    place += 1
    while place < len(begins) and not begins[place]:
        place += 1
    return place


@compiled
def _merge_flgs(lfa: LFAArrays, border: int, random: np.random.Generator) -> None:
    """Merge the FLGs at `border`; either's tiling number with probability proportional to its layers."""
    begin = _group_begin(lfa.begins_flg, border - 1)
    end = _group_end(lfa.begins_flg, border)
    if random.random() * (end - begin) >= border - begin:
        lfa.tiling[begin] = lfa.tiling[border]
    lfa.begins_flg[border] = False
    lfa.begins_lg[border] = False


@compiled
def _cut_flg(lfa: LFAArrays, place: int) -> None:
    """Put an FLC before `place`; both parts keep the tiling number."""
    if not lfa.begins_flg[place]:
        lfa.tiling[place] = lfa.tiling[_group_begin(lfa.begins_flg, place)]
        lfa.begins_flg[place] = True


@compiled
def change_order(table: NetworkTable, lfa: LFAArrays, random: np.random.Generator) -> bool:
    """Move a layer to another place between its producers and consumers; cuts stay at their places."""
    order = lfa.order
    old = _pick(len(order), random)
    layer = order[old]
    first = old
    while first > 0 and not _reads(table, layer, order[first - 1]):
        first -= 1
    last = old
    while last < len(order) - 1 and not _reads(table, order[last + 1], layer):
        last += 1
    if first == last:
        return False
    new = first + _pick(last - first, random)
    if new >= old:
        new += 1
    step = 1 if new > old else -1
    for place in range(old, new, step):
        order[place] = order[place + step]
    order[new] = layer
    return True


@compiled
def _reads(table: NetworkTable, consumer: int, producer: int) -> bool:
    for edge in range(table.source_begin[consumer], table.source_begin[consumer + 1]):
        if table.source[edge] == producer:
            return True
    return False


@compiled
def change_tiling(lfa: LFAArrays, random: np.random.Generator) -> bool:
    """Double or halve the tiling number of an FLG."""
    count = 0
    for place in range(len(lfa.order)):
        count += 1 if lfa.begins_flg[place] else 0
    left = _pick(count, random)
    place = 0
    while left > 0:
        place = _group_end(lfa.begins_flg, place)
        left -= 1
    number = lfa.tiling[place]
    if random.random() < 0.5:
        number = number * 2
    elif number % 2 == 0:
        number = number // 2
    else:
        return False
    if number > MAX_TILING_NUMBER:
        return False
    lfa.tiling[place] = number
    return True


@compiled
def remove_flc(lfa: LFAArrays, random: np.random.Generator) -> bool:
    """Merge two FLGs of one LG."""
    count = 0
    for place in range(1, len(lfa.order)):
        count += 1 if lfa.begins_flg[place] and not lfa.begins_lg[place] else 0
    if count == 0:
        return False
    _merge_flgs(lfa, _pick_marked(lfa.begins_flg, lfa.begins_lg, count, random), random)
    return True


@compiled
def _pick_border(lfa: LFAArrays, random: np.random.Generator) -> int:
    """Draw a border between two LGs; −1 if there is one LG."""
    count = 0
    for place in range(1, len(lfa.order)):
        count += 1 if lfa.begins_lg[place] else 0
    if count == 0:
        return -1
    return _pick_marked(lfa.begins_lg, np.zeros(len(lfa.order), np.bool_), count, random)


@compiled
def fuse_lgs(lfa: LFAArrays, random: np.random.Generator) -> bool:
    """Fuse two LGs; the FLGs at the border merge."""
    border = _pick_border(lfa, random)
    if border < 0:
        return False
    _merge_flgs(lfa, border, random)
    return True


@compiled
def split_lg(lfa: LFAArrays, random: np.random.Generator) -> bool:
    """Split the LG of a random layer before it."""
    place = _pick(len(lfa.order), random)
    if lfa.begins_lg[place]:
        return False
    _cut_flg(lfa, place)
    lfa.begins_lg[place] = True
    return True


@compiled
def move_border(lfa: LFAArrays, random: np.random.Generator) -> bool:
    """Move the border between two LGs to another place within them; the old one stays as an FLC."""
    border = _pick_border(lfa, random)
    if border < 0:
        return False
    begin = _group_begin(lfa.begins_lg, border - 1)
    end = _group_end(lfa.begins_lg, border)
    if end - begin <= 2:
        return False
    new = begin + 1 + _pick(end - begin - 2, random)
    if new >= border:
        new += 1
    _cut_flg(lfa, new)
    lfa.begins_lg[border] = False
    lfa.begins_lg[new] = True
    return True


@compiled
def paper_move(table: NetworkTable, lfa: LFAArrays, random: np.random.Generator) -> bool:
    """Draw one of the published operators and apply it."""
    drawn = random.random()
    if drawn < CHANGE_ORDER:
        return change_order(table, lfa, random)
    if drawn < CHANGE_ORDER + CHANGE_TILING:
        return change_tiling(lfa, random)
    if drawn < CHANGE_ORDER + CHANGE_TILING + REMOVE_FLC:
        return remove_flc(lfa, random)
    drawn = random.random()
    if drawn < FUSE_LGS:
        return fuse_lgs(lfa, random)
    if drawn < FUSE_LGS + SPLIT_LG:
        return split_lg(lfa, random)
    return move_border(lfa, random)


@compiled
def keeps_groups_apart(lfa: LFAArrays, apart: IntArray) -> bool:
    """Whether no LG mixes layers of different groups; ``apart[l]`` is the group of layer l."""
    for place in range(1, len(lfa.order)):
        if not lfa.begins_lg[place] and apart[lfa.order[place]] != apart[lfa.order[place - 1]]:
            return False
    return True
