"""Tile shapes of an LFA: kernels that cut FLGs and walk extents backwards (docs/model.md#tiles).

An LFA reaches the kernels as `LFAArrays`; they fill a `LayerTiles`.
"""

import math
from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import BoolArray, FloatArray, IntArray
from soma_cp.model.compiled import in_place
from soma_cp.model.network import network_table as nt
from soma_cp.model.network.extents import ceil_div, ifmap_extent, operand_extent
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.model.soma.lfa import LFAArrays

# `tile_layers` returns the tile count (at least 1), or one of these minus the faulty place.
TILING_TOO_LARGE = -1


class LayerTiles(NamedTuple):
    """Tiles by layer id; `tile_layers` fills all but the costs, which the core array knows.

    Parameters
    ----------
    extent
        int64[L, 4]: samples, channels, rows, columns of every tile of the layer.
    count, first, step
        int64[L]: tile i of the layer stands at position ``first + i · step``, i < count.
    flg, lg
        int64[L]: indices of the FLG and LG, in computing order.
    cycles
        int64[L]: cycles of one tile.
    energy_pj
        float64[L]: energy of one tile.
    """

    extent: IntArray
    count: IntArray  # type: ignore[assignment]  # hides tuple.count, which nobody calls
    first: IntArray
    step: IntArray
    flg: IntArray
    lg: IntArray
    cycles: IntArray
    energy_pj: FloatArray


class TileSequence(NamedTuple):
    """The tiles by position; any items past `count` are unused.

    Parameters
    ----------
    count
        T.
    cycles
        int64[T]: cycles that the core array takes.
    chip_usage
        int64[T]: bytes that on-chip ofmap tensors hold.
    """

    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody calls
    cycles: IntArray
    chip_usage: IntArray


def empty_layer_tiles(layers: int) -> LayerTiles:
    """Allocate a `LayerTiles` for a network of `layers` layers."""

    def column() -> IntArray:
        return np.zeros(layers, np.int64)

    return LayerTiles(
        extent=np.zeros((layers, 4), np.int64),
        count=column(),
        first=column(),
        step=column(),
        flg=column(),
        lg=column(),
        cycles=column(),
        energy_pj=np.zeros(layers, np.float64),
    )


@in_place
def greatest_common_divisor(a: int, b: int) -> int:
    """Greatest common divisor of two positive integers."""
    while b:
        a, b = b, a % b
    return a


@in_place
def split_rows_columns(parts: int, rows: int, columns: int) -> tuple[int, int]:
    """Split `parts` into (fh, fw), fh · fw = parts, with fh/fw as close as possible to rows/columns."""
    if parts == 1:
        return 1, 1
    # All in integers: with r = rows/columns, ⌊√(parts/r)⌋ = ⌊√⌊parts·columns/rows⌋⌋.
    middle = int(math.sqrt(parts * columns // rows))
    while middle * middle > parts * columns // rows:
        middle -= 1
    while (middle + 1) * (middle + 1) <= parts * columns // rows:
        middle += 1
    below = _divisor_up_to(parts, middle)
    if below > 0 and parts * columns == rows * below * below:
        return parts // below, below  # exactly rows/columns
    above = _divisor_from(parts, middle + 1)
    if above > parts:
        return parts // below, below
    if below == 0:
        return parts // above, above
    # |parts/fw − r·fw| for both, times columns · below · above.
    distance_below = abs(parts * columns - rows * below * below) * above
    distance_above = abs(parts * columns - rows * above * above) * below
    if distance_below < distance_above:
        return parts // below, below
    return parts // above, above


@in_place
def _divisor_up_to(number: int, most: int) -> int:
    """Return the largest divisor of `number` that is at most `most`; 0 if there is none."""
    # Above √number, the divisors are number / d for the d below it: no more than √number candidates in all.
    if most >= number:
        return number
    if most > 0 and number // most < most:
        other = ceil_div(number, most)
        while other * other < number:
            if number % other == 0:
                return number // other
            other += 1
    divisor = min(most, int(math.sqrt(number)) + 1)
    while divisor > 0 and number % divisor:
        divisor -= 1
    return divisor


@in_place
def _divisor_from(number: int, least: int) -> int:
    """Return the smallest divisor of `number` that is at least `least` (1 or more); number + 1 if there is none."""
    if least > number:
        return number + 1
    divisor = least
    while divisor * divisor <= number:
        if number % divisor == 0:
            return divisor
        divisor += 1
    other = number // divisor
    while number % other:
        other -= 1
    return number // other


@in_place
def uncut_dimensions(
    layers: IntArray,
    source_begin: IntArray,
    sources: IntArray,
    order: IntArray,
    flg: IntArray,
    begin: int,
    end: int,
) -> tuple[bool, bool]:
    """Return two flags: rows, and columns, can't be cut in the FLG at places begin … end − 1.

    If a transpose and its producer are both in the FLG, the dimensions that the transpose moves stay uncut.
    """
    keep_rows = False
    keep_columns = False
    for place in range(begin, end):
        layer = order[place]
        if layers[layer, nt.KIND] != nt.TRANSPOSE:
            continue
        inside = False
        for edge in range(source_begin[layer], source_begin[layer + 1]):
            if sources[edge] >= 0 and flg[sources[edge]] == flg[layer]:
                inside = True
        if inside:
            rows_moved = layers[layer, nt.IFMAP_H_FROM] != 1
            columns_moved = layers[layer, nt.IFMAP_W_FROM] != 2
            if layers[layer, nt.IFMAP_H_FROM] == 2 and layers[layer, nt.IFMAP_W_FROM] == 1:
                continue  # it exchanges rows and columns: a tile stays one tile
            keep_rows = keep_rows or rows_moved
            keep_columns = keep_columns or columns_moved
    return keep_rows, keep_columns


@in_place
def tile_layers(table: NetworkTable, batch: int, lfa: LFAArrays, tiles: LayerTiles) -> int:
    """Fill `tiles` (all but the costs); return T, the number of tiles, or ``TILING_TOO_LARGE - place``."""
    # Locals for the arrays: numba counts references whenever a tuple's item is taken in a loop.
    begins_flg, layers = lfa.begins_flg, table.layers
    size = len(begins_flg)
    number_groups(lfa, tiles)
    begin = 0
    position = 0
    while begin < size:
        end = begin + 1
        while end < size and not begins_flg[end]:
            end += 1
        if not cut_group(table, batch, lfa, tiles, begin, end):
            return TILING_TOO_LARGE - begin
        position += place_group(layers, lfa, tiles, begin, end, position)
        begin = end
    return position


@in_place
def place_group(layers: IntArray, lfa: LFAArrays, tiles: LayerTiles, begin: int, end: int, position: int) -> int:
    """Fill the positions of the FLG at places begin … end − 1, which begins at `position`; return how many it takes.

    Absent parts have no tiles.
    """
    order, counts, firsts, steps = lfa.order, tiles.count, tiles.first, tiles.step
    number: int = lfa.tiling[begin]
    present = 0
    for place in range(begin, end):
        layer = order[place]
        counts[layer] = 0
        if layers[layer, nt.K] > 0:
            counts[layer] = number
            firsts[layer] = position + present
            present += 1
    for place in range(begin, end):
        if counts[order[place]] > 0:
            steps[order[place]] = present
    return number * present


@in_place
def number_groups(lfa: LFAArrays, tiles: LayerTiles) -> None:
    """Fill the indices of the FLG and LG of each layer."""
    order, begins_flg, begins_lg, flg_of, lg_of = lfa.order, lfa.begins_flg, lfa.begins_lg, tiles.flg, tiles.lg
    flg = -1
    lg = -1
    for place in range(len(order)):
        flg += 1 if begins_flg[place] else 0
        lg += 1 if begins_lg[place] else 0
        flg_of[order[place]] = flg
        lg_of[order[place]] = lg


@in_place
def cut_group(table: NetworkTable, batch: int, lfa: LFAArrays, tiles: LayerTiles, begin: int, end: int) -> bool:
    """Fill the extents of the FLG at places begin … end − 1; return False if its tiling number is too large."""
    layers, source_begin, sources = table.layers, table.source_begin, table.source
    number = lfa.tiling[begin]
    batch_parts = greatest_common_divisor(batch, number)
    keep_rows, keep_columns = uncut_dimensions(layers, source_begin, sources, lfa.order, tiles.flg, begin, end)
    return tile_flg(
        layers,
        table.use_begin,
        table.use_layer,
        table.use_role,
        table.is_output,
        lfa.order,
        tiles.flg,
        (begin, end, batch // batch_parts, number // batch_parts),
        keep_rows,
        keep_columns,
        tiles.extent,
    )


@in_place
def tile_flg(
    layers: IntArray,
    use_begin: IntArray,
    use_layer: IntArray,
    use_role: IntArray,
    is_output: BoolArray,
    order: IntArray,
    flg: IntArray,
    group: tuple[int, int, int, int],
    keep_rows: bool,
    keep_columns: bool,
    extents: IntArray,
) -> bool:
    """Fill the extents of the FLG `group` (begin, end, samples, parts); return False if it can't be cut that way."""
    # Takes arrays rather than the table: a tuple of many arrays is copied at every call, here for every FLG.
    begin, end, samples, parts = group
    for place in range(end - 1, begin - 1, -1):
        layer = order[place]
        if layers[layer, nt.K] == 0:  # an absent part
            continue
        inside = False
        b, k, h, w = 0, 0, 0, 0
        for use in range(use_begin[layer], use_begin[layer + 1]):
            consumer = use_layer[use]
            if flg[consumer] != flg[layer]:
                continue
            inside = True
            tile_b, tile_k, tile_h, tile_w = (
                extents[consumer, 0],
                extents[consumer, 1],
                extents[consumer, 2],
                extents[consumer, 3],
            )
            if use_role[use] == nt.IFMAP:
                need = ifmap_extent(layers, consumer, tile_b, tile_k, tile_h, tile_w)
            else:
                need = operand_extent(layers, consumer, tile_b, tile_k)
            b, k, h, w = max(b, need[0]), max(k, need[1]), max(h, need[2]), max(w, need[3])
        if layers[layer, nt.TILE_CHANNELS] > 0:
            k = layers[layer, nt.TILE_CHANNELS]
        if not inside or is_output[layer]:  # an output is stored whole, whatever its consumers need of it
            rows, columns = layers[layer, nt.H], layers[layer, nt.W]
            if keep_rows and keep_columns:
                fh, fw = 1, 1
            elif keep_rows:
                fh, fw = 1, parts
            elif keep_columns:
                fh, fw = parts, 1
            else:
                fh, fw = split_rows_columns(parts, rows, columns)
            if rows < fh or columns < fw:
                return False
            b, k = samples, max(k, layers[layer, nt.K])
            h, w = max(h, ceil_div(rows, fh)), max(w, ceil_div(columns, fw))
        extents[layer, 0] = b
        extents[layer, 1] = k
        extents[layer, 2] = h
        extents[layer, 3] = w
    return True
