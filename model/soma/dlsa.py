"""DLSA: the DRAM-Load-and-Store-related Attributes, and what waits for what (docs/model.md#dlsa).

SoMa paper, Sec. IV.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import IntArray
from soma_cp.model.compiled import compiled, in_place, inlined
from soma_cp.model.soma.tensors import OFM, WGT, Tensors
from soma_cp.model.sorting import sort_indices, sort_keys

_LARGEST = int(np.iinfo(np.int64).max)


class DLSA(NamedTuple):
    """DRAM Tensor Order and Living Durations of D DRAM tensors; kernels take it too.

    A search reuses arrays, so they may be longer than the number of tensors: any items past it are unused.

    Parameters
    ----------
    order
        int64[D]: the DRAM Tensor Order, a permutation of tensor indices; rank → tensor.
    start, end
        int64[D]: Living Duration by tensor index, half-open, in positions: the tensor holds buffer while the tiles
        ``start … end − 1`` run; start −1 means before tile 0. The fixed ends of loads and the fixed starts of
        stores are included.
    """

    order: IntArray
    start: IntArray
    end: IntArray

    def copy(self) -> "DLSA":
        """Return a DLSA with arrays of its own."""
        return DLSA(self.order.copy(), self.start.copy(), self.end.copy())


@inlined
def empty_dlsa(size: int) -> DLSA:
    """Allocate a DLSA for `size` DRAM tensors."""
    return DLSA(np.zeros(size, np.int64), np.zeros(size, np.int64), np.zeros(size, np.int64))


# Which tile waits for a transfer, and for which tile a transfer waits.


@inlined
def waiting_tile(is_store: bool, position: int, end: int) -> int:
    """Return the position of the tile that can't begin before a transfer has finished; T if there is none.

    For a load it is the first tile that needs it, for a store the tile at its End.
    """
    return end if is_store else position


@inlined
def awaited_tile(is_store: bool, position: int, start: int) -> int:
    """Return the position of the tile that must have ended before a transfer begins; below 0 if there is none.

    For a load it is the tile before its Start, for a store the tile that makes it.
    """
    return position if is_store else start - 1


def waiting_tiles(tensors: Tensors, dlsa: DLSA) -> IntArray:
    """Return int64[D]: `waiting_tile` of every DRAM tensor."""
    return np.where(tensors.is_store, dlsa.end, tensors.position)


def awaited_tiles(tensors: Tensors, dlsa: DLSA) -> IntArray:
    """Return int64[D]: `awaited_tile` of every DRAM tensor, −1 if there is none."""
    return np.where(tensors.is_store, tensors.position, np.maximum(dlsa.start - 1, -1))


# Double buffering.


@in_place
def copy_dlsa(source: DLSA, count: int, target: DLSA) -> None:
    """Copy the first `count` items of a DLSA."""
    for n in range(count):
        target.order[n] = source.order[n]
        target.start[n] = source.start[n]
        target.end[n] = source.end[n]


def double_buffering(tensors: Tensors) -> DLSA:
    """Return the classical strategy: load one tile ahead, store within one tile.

    It pays no attention to the capacity of the buffer.
    """
    dlsa = empty_dlsa(len(tensors.bytes))
    double_buffer(tensors, len(tensors.bytes), dlsa)
    return dlsa


@compiled
def double_buffer(tensors: Tensors, count: int, dlsa: DLSA) -> None:
    """Fill the first `count` items of `dlsa` with double buffering.

    A load starts one tile before its first need; a store ends one tile after the tile that makes it,
    or with that tile if it is the last of its LG.
    """
    order, start, end = dlsa.order, dlsa.start, dlsa.end
    keys, spare = np.empty(count, np.int64), np.empty(count, np.int64)
    span = 0
    for i in range(count):
        if tensors.is_store[i]:
            ahead = 1 if tensors.last_of_lg[i] else 2
            start[i] = tensors.position[i]
            end[i] = max(tensors.position[i] + ahead, tensors.least_end[i])
        else:
            start[i] = tensors.position[i] - 1
            end[i] = tensors.least_end[i]
        span = max(span, end[i] + 1)
    # Sorted by (Start; weights first; End; ifmap before ofmap; creation order).
    for i in range(count):
        key = (start[i] + 1) * 2 + (0 if tensors.kind[i] == WGT else 1)
        keys[i] = (key * span + end[i]) * 2 + (1 if tensors.kind[i] == OFM else 0)
    if 4 * (span + 1) * (span + 1) < _LARGEST // max(count, 1):
        for i in range(count):  # all four, with the creation order, are packed into one integer
            keys[i] = keys[i] * count + i
        sort_keys(keys, count, spare)
        for i in range(count):
            order[i] = keys[i] % count
    else:
        sort_indices(keys, count, order, spare)
