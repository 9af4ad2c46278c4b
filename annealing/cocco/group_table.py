"""What is known of groups: a table by their layers, in order, and their tiling number.

A group costs the same wherever it stands (`group_pricing`), so a search prices each once.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.compiled import in_place

# Columns of `GroupTable.figures`.
VALID = 0  # whether the group is in the space and can be cut and run; the others hold only if it is
NUMBER = 1  # its tiling number
HEAD_WEIGHTS, HEAD_IFMAPS = 2, 3  # cycles of what its first tile loads, by kind
HEAD_BYTES = 4  # of both; they are held during the tile before the group
TAIL = 5  # cycles of the store of its last tile; 0 if that stays on chip
PEAK_BYTES, LAST_BYTES = 6, 7  # bytes held at most, and during its last tile
TIMES = 8  # the first of 4 × 3 numbers: the map of `group_pricing`, row by row
FIGURES = TIMES + 12

# Items of `GroupTable.used`.
RECORDS, PLACES = 0, 1


class GroupTable(NamedTuple):
    """An open-addressing hash table of records; its size is a power of two.

    Parameters
    ----------
    slots
        int64[size]: record, or −1 in a free slot. At least half of the slots are free.
    begin, length
        int64[G]: by record, where its layers stand in `layers`, and how many there are.
    asked
        int64[G]: by record, the tiling number that was asked for; 0 where the rule gives it.
    layers
        int64[P]: layer ids of all records, one after another.
    figures
        int64[G, FIGURES].
    energy_pj
        float64[G].
    used
        int64[2]: records, and items of `layers`, in use.
    """

    slots: IntArray
    begin: IntArray
    length: IntArray
    asked: IntArray
    layers: IntArray
    figures: IntArray
    energy_pj: FloatArray
    used: IntArray


def empty_group_table(records: int, places: int) -> GroupTable:
    """Allocate a table with room for `records` groups that have `places` layers together."""
    return GroupTable(
        slots=np.full(2 << max(records, 1).bit_length(), -1, np.int64),
        begin=np.zeros(records, np.int64),
        length=np.zeros(records, np.int64),
        asked=np.zeros(records, np.int64),
        layers=np.zeros(places, np.int64),
        figures=np.zeros((records, FIGURES), np.int64),
        energy_pj=np.zeros(records, np.float64),
        used=np.zeros(2, np.int64),
    )


def enlarged(groups: GroupTable) -> GroupTable:
    """Return a table of the same groups with twice the room."""
    larger = empty_group_table(2 * len(groups.begin), 2 * len(groups.layers))
    for name in ("begin", "length", "asked", "layers", "figures", "energy_pj", "used"):
        old = getattr(groups, name)
        getattr(larger, name)[: len(old)] = old
    fill_slots(larger)
    return larger


@in_place
def slot_of(groups: GroupTable, order: IntArray, begin: int, end: int, asked: int) -> int:
    """Return the slot of the group of the layers at places begin … end − 1, or the free slot for it."""
    slots, begins, lengths, numbers, layers = groups.slots, groups.begin, groups.length, groups.asked, groups.layers
    mixed = asked
    for place in range(begin, end):
        mixed = (mixed * 0x9E3779B1 + order[place] + 1) & 0x7FFFFFFF
        mixed ^= mixed >> 15
    mask = len(slots) - 1
    at = mixed & mask
    while slots[at] >= 0:
        record = slots[at]
        if lengths[record] == end - begin and numbers[record] == asked:
            same, first = True, begins[record]
            for place in range(begin, end):
                if layers[first + place - begin] != order[place]:
                    same = False
                    break
            if same:
                return at
        at = (at + 1) & mask
    return at


@in_place
def fill_slots(groups: GroupTable) -> None:
    """Fill all slots, which are free, anew."""
    for record in range(groups.used[RECORDS]):
        begin = groups.begin[record]
        at = slot_of(groups, groups.layers, begin, begin + groups.length[record], groups.asked[record])
        groups.slots[at] = record


@in_place
def has_room(groups: GroupTable, length: int) -> bool:
    """Whether there is room for another group of `length` layers."""
    used = groups.used
    return bool(used[RECORDS] < len(groups.begin) and used[PLACES] + length <= len(groups.layers))


@in_place
def insert_group(groups: GroupTable, order: IntArray, begin: int, end: int, asked: int) -> int:
    """Insert a group, for which there is room, at its free slot; return its record, whose figures are zero."""
    record, first = groups.used[RECORDS], groups.used[PLACES]
    groups.slots[slot_of(groups, order, begin, end, asked)] = record
    groups.begin[record], groups.length[record], groups.asked[record] = first, end - begin, asked
    for place in range(begin, end):
        groups.layers[first + place - begin] = order[place]
    for column in range(FIGURES):
        groups.figures[record, column] = 0
    groups.used[RECORDS] = record + 1
    groups.used[PLACES] = first + end - begin
    return int(record)
