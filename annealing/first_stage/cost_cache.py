"""A cache of tile costs by layer and extent: a search asks the core array once for each tile.

Kernels look tiles up and report the missing ones. The search then asks the core array, between two kernel calls. So a
compiled search works with any core array. The chains of a search learn from one another: they meet the same tiles.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.compiled import in_place
from soma_cp.model.problem import Problem
from soma_cp.model.soma.tiling import LayerTiles

INFEASIBLE = -1
"""Cycles of a tile that the core array can't run."""


class CostTable(NamedTuple):
    """An open-addressing hash table; its size is a power of two, and at least half of it is free.

    Parameters
    ----------
    keys
        int64[size, 5]: layer id, samples, channels, rows, columns; the layer id is −1 in a free slot.
    cycles
        int64[size]; INFEASIBLE if the core array can't run the tile.
    energy_pj
        float64[size].
    """

    keys: IntArray
    cycles: IntArray
    energy_pj: FloatArray


def _empty_table(size: int) -> CostTable:
    return CostTable(np.full((size, 5), -1, np.int64), np.zeros(size, np.int64), np.zeros(size, np.float64))


@in_place
def _slot(keys: IntArray, layer: int, b: int, k: int, h: int, w: int) -> int:
    """Return the slot of the tile, or the free slot for it."""
    mixed = layer
    for part in (b, k, h, w):
        mixed = (mixed * 0x9E3779B1 + part) & 0x7FFFFFFF
        mixed ^= mixed >> 15
    mask = len(keys) - 1
    at = mixed & mask
    while keys[at, 0] >= 0 and not (
        keys[at, 0] == layer and keys[at, 1] == b and keys[at, 2] == k and keys[at, 3] == h and keys[at, 4] == w
    ):
        at = (at + 1) & mask
    return at


@in_place
def find_cost(table: CostTable, tiles: LayerTiles, layer: int) -> bool:
    """Fill cycles and energy of the tiles of `layer`; return False if they are unknown."""
    extent = tiles.extent
    at = _slot(table.keys, layer, extent[layer, 0], extent[layer, 1], extent[layer, 2], extent[layer, 3])
    if table.keys[at, 0] < 0:
        return False
    tiles.cycles[layer] = table.cycles[at]
    tiles.energy_pj[layer] = table.energy_pj[at]
    return True


@in_place
def insert(table: CostTable, rows: IntArray, cycles: IntArray, energy_pj: FloatArray) -> None:
    """Store the costs of the tiles in `rows` (layer, samples, channels, rows, columns)."""
    for n in range(len(rows)):
        at = _slot(table.keys, rows[n, 0], rows[n, 1], rows[n, 2], rows[n, 3], rows[n, 4])
        for column in range(rows.shape[1]):
            table.keys[at, column] = rows[n, column]
        table.cycles[at] = cycles[n]
        table.energy_pj[at] = energy_pj[n]


@in_place
def missing_rows(table: CostTable, rows: IntArray) -> int:
    """Move the tiles in `rows` whose costs are unknown to the front, in their order; return how many they are."""
    keys = table.keys
    missing = 0
    for n in range(len(rows)):
        if keys[_slot(keys, rows[n, 0], rows[n, 1], rows[n, 2], rows[n, 3], rows[n, 4]), 0] < 0:
            for column in range(rows.shape[1]):
                rows[missing, column] = rows[n, column]
            missing += 1
    return missing


Learned = tuple[IntArray, IntArray, FloatArray]
"""Rows (layer id, samples, channels, rows, columns), cycles and energy (pJ) of tiles."""


class CostCache:
    """The tile costs of one problem; kernels read `table`, which is replaced when it grows.

    Parameters
    ----------
    problem
        Its core array prices the tiles; the layers of its network are the keys.
    learned
        What all caches of the problem with the same list have learned, in this order; each only appends to it, so
        caches of different threads may share it.
    """

    def __init__(self, problem: Problem, learned: list[Learned] | None = None) -> None:
        self._problem = problem
        self._learned: list[Learned] = [] if learned is None else learned
        self._taken_over = 0
        self._used = 0
        self.table = _empty_table(1 << 12)

    def learn(self, tiles: LayerTiles, layers: IntArray) -> None:
        """Store the costs of the tiles of `layers` (ids): what another cache has learned, or the core array says."""
        rows = np.empty((len(layers), 5), np.int64)
        rows[:, 0] = layers
        rows[:, 1:] = tiles.extent[layers]
        if self._take_over():
            rows = rows[: missing_rows(self.table, rows)]
        if len(rows):
            cycles, energy_pj = self._problem.core_array.tile_costs(self._problem.table, rows)
            self._learned.append((rows, cycles, energy_pj))
            self._take_over()

    def _take_over(self) -> bool:
        """Store all that was learned since the last time; return whether there was anything."""
        new = self._learned[self._taken_over :]
        if not new:
            return False
        self._taken_over += len(new)
        rows, cycles, energy_pj = new[0] if len(new) == 1 else map(np.concatenate, zip(*new, strict=True))
        self._insert(rows, cycles, energy_pj)
        return True

    def _insert(self, rows: IntArray, cycles: IntArray, energy_pj: FloatArray) -> None:
        needed = (self._used + len(rows)) * 2
        if needed > len(self.table.keys):
            old = self.table
            taken = old.keys[:, 0] >= 0
            self.table = _empty_table(2 << needed.bit_length())
            insert(self.table, old.keys[taken], old.cycles[taken], old.energy_pj[taken])
        insert(self.table, rows, cycles, energy_pj)
        self._used += len(rows)
