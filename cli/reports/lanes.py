"""Lanes: intervals that overlap are drawn on different ones."""

from heapq import heappop, heappush

import numpy as np

from soma_cp.model.arrays import IntArray


def first_fit_lanes(begin: IntArray, end: IntArray) -> IntArray:
    """Return for each interval the lowest lane that is free when it begins, so that no two on a lane overlap.

    First fit in the order of begins needs the fewest lanes: as many as the most intervals that overlap at one time.

    Parameters
    ----------
    begin, end
        int64[n]: half-open intervals, ``begin < end``, in any order.
    """
    lanes = np.empty(len(begin), np.int64)
    busy: list[tuple[int, int]] = []  # (end, lane)
    free: list[int] = []
    opened = 0
    for i in np.lexsort((end, begin)):
        while busy and busy[0][0] <= begin[i]:
            heappush(free, heappop(busy)[1])
        if free:
            lane = heappop(free)
        else:
            lane, opened = opened, opened + 1
        lanes[i] = lane
        heappush(busy, (int(end[i]), lane))
    return lanes
