"""Moves of the first stage: each changes an LFA in place (kernels; docs/first-stage.md#moves).

Every move returns whether it changed anything. The evaluation of the candidate checks whether the result is valid and
fits into the buffer. Draws are uniform unless stated otherwise.

The published moves create FLCs only as a by-product of DRAM Cuts, and only double or halve tiling numbers. The others
insert, shift and turn FLCs directly, draw any tiling number, and move a layer into another FLG.
``benchmarks/ablation.py`` measures what each is worth.
"""

from enum import IntEnum

import numpy as np

from soma_cp.annealing.first_stage.groups import (
    cut_flg,
    group_begin,
    group_end,
    merge_flgs,
    pick,
    pick_border,
    pick_flg,
    pick_inner_flc,
    pick_new_border,
    pick_new_place,
    pick_other,
)
from soma_cp.annealing.first_stage.slots import Slots, pick_part
from soma_cp.model.arrays import BoolArray, FloatArray, IntArray
from soma_cp.model.compiled import compiled, in_place
from soma_cp.model.network.extents import ceil_div
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.model.soma.lfa import LFAArrays
from soma_cp.model.soma.shared_loads import items_with_a_load_before


class Move(IntEnum):
    """All moves; arrays of weights have this order."""

    PUBLISHED = 0
    CHANGE_ORDER = 1
    MOVE_LAYER = 2
    RETILE = 3
    REMOVE_FLC = 4
    INSERT_FLC = 5
    SHIFT_FLC = 6
    ISOLATE_LAYER = 7
    TURN_CUT = 8
    FUSE_LGS = 9
    SPLIT_LG = 10
    MOVE_BORDER = 11
    TURN_SHARE = 12
    DIVIDE = 13


DEFAULT_WEIGHTS = {
    Move.CHANGE_ORDER: 0.15,
    Move.MOVE_LAYER: 0.08,
    Move.RETILE: 0.30,
    Move.REMOVE_FLC: 0.12,
    Move.INSERT_FLC: 0.08,
    Move.SHIFT_FLC: 0.12,
    Move.ISOLATE_LAYER: 0.05,
    Move.TURN_CUT: 0.03,
    Move.FUSE_LGS: 0.06,
    Move.SPLIT_LG: 0.03,
    Move.MOVE_BORDER: 0.03,
    Move.TURN_SHARE: 0.02,  # not drawn where no load can be shared
    Move.DIVIDE: 0.08,  # not drawn where no layer may be divided
}

# Shares of the published moves, as in the published program.
CHANGE_ORDER, CHANGE_TILING, REMOVE_FLC = 0.2, 0.35, 0.15  # the remaining moves change DRAM Cuts
# Shares among the moves that change DRAM Cuts.
FUSE_LGS, SPLIT_LG = 0.3, 0.3  # the remaining moves shift a border

MAX_TILING_NUMBER = 1 << 20


@in_place
def change_order(table: NetworkTable, lfa: LFAArrays, random: np.random.Generator) -> bool:
    """Move a layer to another place between its producers and consumers; the cuts stay where they are."""
    order = lfa.order
    old, new = pick_new_place(table, order, random)
    if new == old:
        return False
    layer = order[old]
    step = 1 if new > old else -1
    for place in range(old, new, step):
        order[place] = order[place + step]
    order[new] = layer
    return True


@in_place
def change_tiling(lfa: LFAArrays, random: np.random.Generator) -> bool:
    """Double or halve the tiling number of an FLG."""
    place = pick_flg(lfa.begins_flg, random)
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


@in_place
def remove_flc(lfa: LFAArrays, random: np.random.Generator) -> bool:
    """Merge two FLGs of one LG."""
    border = pick_inner_flc(lfa.begins_flg, lfa.begins_lg, random)
    if border < 0:
        return False
    merge_flgs(lfa, border, random)
    return True


@in_place
def fuse_lgs(lfa: LFAArrays, random: np.random.Generator) -> bool:
    """Fuse two LGs; the FLGs at the border merge."""
    border = pick_border(lfa, random)
    if border < 0:
        return False
    merge_flgs(lfa, border, random)
    return True


@in_place
def split_lg(lfa: LFAArrays, random: np.random.Generator) -> bool:
    """Split an LG before a random layer."""
    place = pick(len(lfa.order), random)
    if lfa.begins_lg[place]:
        return False
    cut_flg(lfa.begins_flg, lfa.tiling, place)
    lfa.begins_lg[place] = True
    return True


@in_place
def move_border(lfa: LFAArrays, random: np.random.Generator) -> bool:
    """Move the border between two LGs to another place within them; the old border stays as an FLC."""
    border, new = pick_new_border(lfa, random)
    if border < 0:
        return False
    cut_flg(lfa.begins_flg, lfa.tiling, new)
    lfa.begins_lg[border] = False
    lfa.begins_lg[new] = True
    return True


@in_place
def paper_move(table: NetworkTable, lfa: LFAArrays, random: np.random.Generator) -> bool:
    """Draw one of the published moves and apply it."""
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


@in_place
def draw_tiling_number(present: int, batch: int, random: np.random.Generator) -> int:
    """Draw a tiling number: `present` doubled, halved, ±1, tripled or a third of it; or 1, batch, or a power of two."""
    drawn = random.random()
    if drawn < 0.35:
        number = present * 2
    elif drawn < 0.7:
        number = present // 2 if present % 2 == 0 else present
    elif drawn < 0.8:
        number = present + 1
    elif drawn < 0.9:
        number = present - 1
    elif drawn < 0.925:
        number = present * 3
    elif drawn < 0.95:
        number = present // 3 if present % 3 == 0 else present
    elif drawn < 0.97:
        number = 1
    elif drawn < 0.985:
        number = batch
    else:
        number = 1 << pick(8, random)
    return min(max(number, 1), MAX_TILING_NUMBER)


@in_place
def retile(lfa: LFAArrays, batch: int, random: np.random.Generator) -> bool:
    """Give an FLG another tiling number."""
    place = pick_flg(lfa.begins_flg, random)
    number = draw_tiling_number(lfa.tiling[place], batch, random)
    if number == lfa.tiling[place]:
        return False
    lfa.tiling[place] = number
    return True


@in_place
def insert_flc(lfa: LFAArrays, batch: int, random: np.random.Generator) -> bool:
    """Cut an FLG in two within its LG; either part may get another tiling number."""
    place = pick(len(lfa.order), random)
    if lfa.begins_flg[place]:
        return False
    cut_flg(lfa.begins_flg, lfa.tiling, place)
    drawn = random.random()
    if drawn < 0.6:
        part = group_begin(lfa.begins_flg, place - 1) if drawn < 0.3 else place
        lfa.tiling[part] = draw_tiling_number(lfa.tiling[part], batch, random)
    return True


@in_place
def shift_flc(lfa: LFAArrays, random: np.random.Generator) -> bool:
    """Move the border between two FLGs of one LG: by one place, or anywhere within the two."""
    begins_flg, tiling = lfa.begins_flg, lfa.tiling
    border = pick_inner_flc(begins_flg, lfa.begins_lg, random)
    if border < 0:
        return False
    begin = group_begin(begins_flg, border - 1)
    end = group_end(begins_flg, border)
    if end - begin <= 2:
        return False
    if random.random() < 0.6:
        new = border + (1 if random.random() < 0.5 else -1)
        if new <= begin or new >= end:
            return False
    else:
        new = pick_other(begin + 1, end - 1, border, random)
    number = tiling[border]
    begins_flg[border] = False
    begins_flg[new] = True
    tiling[new] = number
    return True


@in_place
def isolate_layer(lfa: LFAArrays, batch: int, random: np.random.Generator) -> bool:
    """Make a layer an FLG of its own, untiled, tiled by samples, or with another tiling number."""
    place = pick(len(lfa.order), random)
    changed = False
    for border in (place, place + 1):
        if border < len(lfa.order) and not lfa.begins_flg[border]:
            cut_flg(lfa.begins_flg, lfa.tiling, border)
            changed = True
    if not changed:
        return False
    drawn = random.random()
    if drawn < 0.4:
        lfa.tiling[place] = 1
    elif drawn < 0.6:
        lfa.tiling[place] = batch
    else:
        lfa.tiling[place] = draw_tiling_number(lfa.tiling[place], batch, random)
    return True


@in_place
def turn_cut(lfa: LFAArrays, random: np.random.Generator) -> bool:
    """Turn an FLC into a DRAM Cut, or a DRAM Cut into an FLC that fmaps cross on chip."""
    if len(lfa.order) < 2:
        return False
    border = pick_flg(lfa.begins_flg, random)
    if border == 0:
        return False
    lfa.begins_lg[border] = not lfa.begins_lg[border]
    return True


@in_place
def move_layer(table: NetworkTable, lfa: LFAArrays, random: np.random.Generator) -> bool:
    """Move a layer to another place between its producers and consumers, out of its FLG and into the one there."""
    order = lfa.order
    old, new = pick_new_place(table, order, random)
    if new == old:
        return False
    layer = order[old]
    _take_out(order, lfa.begins_flg, lfa.begins_lg, lfa.tiling, old)
    _put_in(order, lfa.begins_flg, lfa.begins_lg, lfa.tiling, new, layer, random.random() < 0.5)
    return True


@in_place
def _take_out(
    order: IntArray,
    begins_flg: BoolArray,
    begins_lg: BoolArray,
    tiling: IntArray,
    place: int,
) -> None:
    """Take the layer at `place` out; a group that began with it begins with the next layer."""
    size = len(order)
    if place + 1 < size:
        if begins_flg[place] and not begins_flg[place + 1]:
            begins_flg[place + 1] = True
            tiling[place + 1] = tiling[place]
        if begins_lg[place]:
            begins_lg[place + 1] = True
    for p in range(place, size - 1):
        order[p] = order[p + 1]
        begins_flg[p] = begins_flg[p + 1]
        begins_lg[p] = begins_lg[p + 1]
        tiling[p] = tiling[p + 1]


@in_place
def _put_in(
    order: IntArray,
    begins_flg: BoolArray,
    begins_lg: BoolArray,
    tiling: IntArray,
    place: int,
    layer: int,
    with_next: bool,
) -> None:
    """Insert a layer at `place`; at a border between FLGs it joins the next FLG or the previous one."""
    size = len(order)
    for p in range(size - 1, place, -1):
        order[p] = order[p - 1]
        begins_flg[p] = begins_flg[p - 1]
        begins_lg[p] = begins_lg[p - 1]
        tiling[p] = tiling[p - 1]
    order[place] = layer
    begins_flg[place] = False
    begins_lg[place] = False
    joins_next = place + 1 < size and begins_flg[place + 1] and (with_next or place == 0)
    if joins_next:
        begins_flg[place] = True
        begins_lg[place] = begins_lg[place + 1]
        tiling[place] = tiling[place + 1]
        begins_flg[place + 1] = False
        begins_lg[place + 1] = False


@compiled
def turn_share(table: NetworkTable, lfa: LFAArrays, random: np.random.Generator) -> bool:
    """Let a reader share the load of the reader before it in its LG, or load by itself; False if there is none."""
    items = np.empty(len(lfa.shares), np.int64)
    count = items_with_a_load_before(table, lfa, items)
    if count == 0:
        return False
    item = items[pick(count, random)]
    lfa.shares[item] = not lfa.shares[item]
    return True


# Shares of what `divide` does; otherwise it moves channels from part to part.
SPLIT_PART, MERGE_PARTS = 0.45, 0.30


@in_place
def divide(slots: Slots, lfa: LFAArrays, random: np.random.Generator) -> bool:
    """Split a part in two, merge two parts of a layer, or move channels from one to another, in whole steps."""
    channels, group = lfa.channels, slots.group
    count = 0
    for layer in range(len(channels)):
        count += 1 if group[layer] >= 0 and channels[layer] > 0 else 0
    if count == 0:
        return False
    left = pick(count, random)
    part = 0
    while not (group[part] >= 0 and channels[part] > 0 and left == 0):
        left -= 1 if group[part] >= 0 and channels[part] > 0 else 0
        part += 1
    step = slots.step[group[part]]
    steps = ceil_div(channels[part], step)
    drawn = random.random()
    if drawn < SPLIT_PART:
        absent = pick_part(slots, channels, part, False, random)
        if absent < 0 or steps < 2:
            return False
        given = steps // 2 if random.random() < 0.5 else 1 + pick(steps - 1, random)
        channels[part] -= given * step
        channels[absent] = given * step
        _move_behind(lfa, absent, part, random)
        return True
    other = pick_part(slots, channels, part, True, random)
    if other < 0:
        return False
    if drawn < SPLIT_PART + MERGE_PARTS:
        channels[other] += channels[part]
        channels[part] = 0
        return True
    if steps < 2:
        return False
    moved = (1 + pick(steps - 1, random)) * step
    channels[part] -= moved
    channels[other] += moved
    return True


@in_place
def _move_behind(lfa: LFAArrays, absent: int, part: int, random: np.random.Generator) -> None:
    """Move a slot right behind a part, into its FLG or, half the time, into one of its own."""
    order = lfa.order
    old = 0
    while order[old] != absent:
        old += 1
    _take_out(order, lfa.begins_flg, lfa.begins_lg, lfa.tiling, old)
    new = 0
    while order[new] != part:
        new += 1
    _put_in(order, lfa.begins_flg, lfa.begins_lg, lfa.tiling, new + 1, absent, False)
    if random.random() < 0.5:
        cut_flg(lfa.begins_flg, lfa.tiling, new + 1)


@in_place
def apply_move(
    table: NetworkTable,
    slots: Slots,
    lfa: LFAArrays,
    batch: int,
    weights: FloatArray,
    random: np.random.Generator,
) -> bool:
    """Draw a move by `weights` (running sums, in the order of `Move`) and apply it."""
    drawn = random.random() * weights[-1]
    move = 0
    while drawn >= weights[move]:
        move += 1
    if move == Move.PUBLISHED:
        return paper_move(table, lfa, random)
    if move == Move.CHANGE_ORDER:
        return change_order(table, lfa, random)
    if move == Move.MOVE_LAYER:
        return move_layer(table, lfa, random)
    if move == Move.RETILE:
        return retile(lfa, batch, random)
    if move == Move.REMOVE_FLC:
        return remove_flc(lfa, random)
    if move == Move.INSERT_FLC:
        return insert_flc(lfa, batch, random)
    if move == Move.SHIFT_FLC:
        return shift_flc(lfa, random)
    if move == Move.ISOLATE_LAYER:
        return isolate_layer(lfa, batch, random)
    if move == Move.TURN_CUT:
        return turn_cut(lfa, random)
    if move == Move.FUSE_LGS:
        return fuse_lgs(lfa, random)
    if move == Move.SPLIT_LG:
        return split_lg(lfa, random)
    if move == Move.MOVE_BORDER:
        return move_border(lfa, random)
    if move == Move.DIVIDE:
        return divide(slots, lfa, random)
    return turn_share(table, lfa, random) or retile(lfa, batch, random)
