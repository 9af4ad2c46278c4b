"""Sorting within kernels: stable merge sorts, which numba compiles in a tenth of the time that its own sorts take."""

from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.compiled import in_place

RUN = 16
"""Items that are sorted by insertion."""


@in_place
def sort_keys(keys: IntArray, count: int, spare: IntArray) -> None:
    """Sort the first `count` keys, the lowest first; `spare` is scratch, as long as `keys`."""
    for begin in range(0, count, RUN):
        for n in range(begin + 1, min(begin + RUN, count)):
            key = keys[n]
            at = n
            while at > begin and keys[at - 1] > key:
                keys[at] = keys[at - 1]
                at -= 1
            keys[at] = key
    width = RUN
    while width < count:
        for begin in range(0, count - width, 2 * width):
            middle = begin + width
            if keys[middle - 1] <= keys[middle]:
                continue
            end = min(middle + width, count)
            for n in range(begin, middle):
                spare[n] = keys[n]
            left, right, at = begin, middle, begin
            while left < middle and right < end:
                if keys[right] < spare[left]:
                    keys[at] = keys[right]
                    right += 1
                else:
                    keys[at] = spare[left]
                    left += 1
                at += 1
            for n in range(left, middle):
                keys[at] = spare[n]
                at += 1
        width *= 2


@in_place
def sort_indices(values: IntArray | FloatArray, count: int, indices: IntArray, spare: IntArray) -> None:
    """Fill `indices` with 0 … `count` − 1, the lowest value first, equal ones in this order; `spare` is scratch."""
    for n in range(count):
        indices[n] = n
    width = 1
    while width < count:
        for begin in range(0, count - width, 2 * width):
            middle = begin + width
            if values[indices[middle - 1]] <= values[indices[middle]]:
                continue
            end = min(middle + width, count)
            for n in range(begin, middle):
                spare[n] = indices[n]
            left, right, at = begin, middle, begin
            while left < middle and right < end:
                if values[indices[right]] < values[spare[left]]:
                    indices[at] = indices[right]
                    right += 1
                else:
                    indices[at] = spare[left]
                    left += 1
                at += 1
            for n in range(left, middle):
                indices[at] = spare[n]
                at += 1
        width *= 2
