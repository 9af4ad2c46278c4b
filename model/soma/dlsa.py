"""DLSA: the DRAM-Load-and-Store-related Attributes (specification: section 4; SoMa paper, Sec. IV)."""

from dataclasses import dataclass

import numpy as np

from soma_cp.model.arrays import IntArray
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.tensors import double_buffering as double_buffering_kernel


@dataclass(frozen=True, eq=False)
class DLSA:
    """DRAM Tensor Order and Living Durations of the D DRAM tensors of a `Plan`.

    Parameters
    ----------
    order
        int64[D]: the DRAM Tensor Order, a permutation of tensor indices.
    start, end
        int64[D]: Living Duration of each tensor by tensor index, half-open in tile positions: buffer is held
        while tiles ``start … end − 1`` run; start −1 is from before tile 0. Fixed ends of loads and fixed
        starts of stores are included.
    """

    order: IntArray
    start: IntArray
    end: IntArray


def double_buffering(plan: Plan) -> DLSA:
    """Return the classical strategy: load one tile ahead, store within one tile.

    It pays no attention to the capacity of the buffer.
    """
    size = plan.dram_tensor_count
    dlsa = DLSA(np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64))
    double_buffering_kernel(plan.tensors, size, dlsa.start, dlsa.end, dlsa.order)
    return dlsa
