"""The start of the first stage: every layer is its own FLG and LG (docs/first-stage.md#the-papers-search).

The Tiling Number comes from the smallest tile that fills the PE array (the KC-parallelism heuristic of Cocco,
ASPLOS 2024). This module also refuses networks with a layer that can't fit into the buffer.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from soma_cp.annealing.first_stage.lfa_pricing import MAX_CANDIDATE_TILES
from soma_cp.model.arrays import IntArray
from soma_cp.model.errors import UserError
from soma_cp.model.network import network_table as nt
from soma_cp.model.network.network import Division, Network
from soma_cp.model.network.rewrites.channels import divisions_up_to
from soma_cp.model.problem import Problem
from soma_cp.model.soma.footprint import Footprint, LayerTooLargeError, tile_footprint
from soma_cp.model.soma.lfa import FLG, LFA
from soma_cp.model.soma.tiling import split_rows_columns

LARGEST_TILES_PER_SAMPLE = 16
"""Above this, the heuristic uses one tile for each sample."""


FITTING_SHARES = (8, 4, 3, 2)
"""Where a layer does not fit, all layers are divided into parts of at most the buffer divided by the first of these:
what stalls on its weights is large enough to be loaded ahead, and a part is small beside the buffer. The others are for
layers that are very large beside the buffer."""
MOST_READS = 20_000
"""Each part of a layer reads all parts of those before it; with more such pairs, parts are larger, if they fit."""


def divided_to_fit(problem: Problem) -> Problem:
    """Return `problem` as it is if each layer fits into the buffer; else with large layers divided by output channels.

    A part has at least one granule of channels, so that it may still be too large.
    """
    available = problem.platform.gbuf_bytes
    footprints = _smallest_footprints(problem)
    if max(footprint.total for footprint in footprints) <= available:
        return problem
    network, granule = problem.network.whole, problem.core_array.granule
    read_besides = max(footprint.ifmaps for footprint in footprints)
    divisions: tuple[Division, ...] = ()
    for share in FITTING_SHARES:
        if divisions and available // share + read_besides > available:
            break
        divisions = divisions_up_to(network, available // share, granule, whole_granules=True)
        if _reads(network, divisions) <= MOST_READS:
            break
    return problem.divided_as(divisions)


def _smallest_footprints(problem: Problem) -> list[Footprint]:
    """Return, for each layer, what its smallest tile needs in the buffer."""
    return [tile_footprint(problem, index, 1, 1, 1) for index in range(len(problem.network.layers))]


def _reads(network: Network, divisions: Sequence[Division]) -> int:
    """Return how many pairs of a layer and one that it reads there are, with the parts of divided layers."""
    parts = {name: len(channels) for name, channels in divisions}
    return sum(
        parts.get(layer.name, 1) * parts.get(source, 1)
        for layer in network.layers
        for source in (*layer.ifmaps, *layer.weight_operands, *layer.inputs)
    )


def check_layers_fit(problem: Problem) -> None:
    """Refuse a network with a layer whose smallest tile exceeds the buffer.

    Raises
    ------
    LayerTooLargeError
        Names the layer that needs most; a buffer that holds it holds every other layer.
    NoMappingError
        If the core array can't run even the smallest tile of a layer.
    """
    layers, available = problem.network.layers, problem.platform.gbuf_bytes
    footprints = _smallest_footprints(problem)
    largest = max(footprints, key=lambda footprint: footprint.total)
    if largest.total > available:
        layer = layers[footprints.index(largest)]
        of_part = {part: division.layer for division in problem.network.divisions for part in division.parts}
        channels = layer.K if layer.name in of_part else 0
        raise LayerTooLargeError(of_part.get(layer.name, layer.name), largest, available, channels)
    smallest_tiles = [(1, layer.K, 1, 1) for layer in layers]
    for row in _infeasible(problem, smallest_tiles):
        problem.core_array.require_feasible(problem.network, problem.table, row)


def _infeasible(problem: Problem, tiles: Sequence[tuple[int, int, int, int]]) -> IntArray:
    """Return the rows (layer id and extent) of the tiles that the core array can't run; `tiles` has one per layer."""
    rows = np.column_stack([np.arange(len(tiles)), np.array(tiles, np.int64)])
    cycles, _ = problem.core_array.tile_costs(problem.table, rows)
    return rows[cycles < 0]


def initial_lfa(problem: Problem, capped: bool = True) -> LFA:
    """Return the unfused LFA with the tiling numbers of the heuristic.

    Parameters
    ----------
    problem
        Network, platform, batch.
    capped
        Whether layers with more than `LARGEST_TILES_PER_SAMPLE` get one tile for each sample.

    Raises
    ------
    LayerTooLargeError
        If a layer can't fit into the buffer with any tiling.
    UserError
        If even this LFA has more tiles than a search can handle.
    NoMappingError
        If the core array can't run a layer with any tiling.
    """

    def number_of(problem: Problem, layer: int) -> int:
        return _fitting_number(problem, layer, _filling_number(problem, layer, capped))

    return _unfused(problem, number_of)


def coarse_lfa(problem: Problem) -> LFA:
    """Return the unfused LFA with the fewest tiles that take at most half of the buffer.

    The search that prices LFAs by the greedy DLSA starts here: with fewer tiles it tries many more candidates.

    Raises
    ------
    As `initial_lfa`.
    """
    return _unfused(problem, _coarse_number)


def _unfused(problem: Problem, number_of: Callable[[Problem, int], int]) -> LFA:
    check_layers_fit(problem)
    layers = problem.network.layers
    numbers = [number_of(problem, index) for index in range(len(layers))]
    cuts = [_cut(problem, index, number) for index, number in enumerate(numbers)]
    tiles = [(b, layer.K, h, w) for layer, (b, h, w, _) in zip(layers, cuts, strict=True)]
    for index in _infeasible(problem, tiles)[:, 0].tolist():
        numbers[index] = _finest_number(problem, index)
    if sum(numbers) > MAX_CANDIDATE_TILES:
        raise UserError(
            f"batch={problem.batch} is too large for '{problem.network.name}': cut until its tiles fit, it has "
            f"{sum(numbers):,} of them (at most {MAX_CANDIDATE_TILES:,}); lower the batch"
        )
    flgs = tuple(FLG((layer.name,), number, True) for layer, number in zip(layers, numbers, strict=True))
    return LFA(flgs, divisions=problem.network.divisions)


def _filling_number(problem: Problem, layer: int, capped: bool) -> int:
    """Return the tiling number that gives the smallest tiles that fill the PE array."""
    row = problem.table.layers[layer]
    samples, rows, columns = smallest_filling_tile(problem, layer)
    number = -(-int(row[nt.H]) // rows) * -(-int(row[nt.W]) // columns) * -(-problem.batch // samples)
    number = 1 << (number - 1).bit_length()
    return problem.batch if capped and number > LARGEST_TILES_PER_SAMPLE * problem.batch else number


def _coarse_number(problem: Problem, layer: int) -> int:
    """Double the number until tiles fit into half of the buffer.

    Some bytes stay whatever the tiling, for example weights. If they take more than half of the buffer, tiles may take
    half of what is left: finer tiles would load their second operands more often, and there would be many to try.
    """
    number, gbuf_bytes = 1, problem.platform.gbuf_bytes
    least = _bytes_at(problem, layer, _finest_number(problem, layer))
    most = gbuf_bytes if least * 2 <= gbuf_bytes else gbuf_bytes + least
    while _bytes_at(problem, layer, number) * 2 > most:
        if not _can_cut(problem, layer, number * 2):
            return _least_bytes_number(problem, layer, number)
        number *= 2
    return number


def _fitting_number(problem: Problem, layer: int, number: int) -> int:
    """Halve the number until the layer allows it, then double it until tiles fit into half of the buffer."""
    while not _can_cut(problem, layer, number):
        number //= 2
    while _bytes_at(problem, layer, number) * 2 > problem.platform.gbuf_bytes:
        if not _can_cut(problem, layer, number * 2):
            return _least_bytes_number(problem, layer, number)
        number *= 2
    return number


def _least_bytes_number(problem: Problem, layer: int, number: int) -> int:
    """Return the first that fits into the buffer: `number`, one tile for each sample, else the finest tiling."""
    for coarse in (number, problem.batch):
        if _bytes_at(problem, layer, coarse) <= problem.platform.gbuf_bytes:
            return coarse
    return _finest_number(problem, layer)


def _finest_number(problem: Problem, layer: int) -> int:
    row = problem.table.layers[layer]
    return problem.batch * int(row[nt.H]) * int(row[nt.W])


def _cut(problem: Problem, layer: int, number: int) -> tuple[int, int, int, bool]:
    """Return samples, rows, columns of a tile of the unfused layer, and whether the layer allows this number."""
    row = problem.table.layers[layer]
    height, width = int(row[nt.H]), int(row[nt.W])
    batch_parts = math.gcd(problem.batch, number)
    fh, fw = split_rows_columns(number // batch_parts, height, width)
    return problem.batch // batch_parts, -(-height // fh), -(-width // fw), height >= fh and width >= fw


def _can_cut(problem: Problem, layer: int, number: int) -> bool:
    return _cut(problem, layer, number)[3]


def _bytes_at(problem: Problem, layer: int, number: int) -> int:
    samples, rows, columns, _ = _cut(problem, layer, number)
    return tile_footprint(problem, layer, samples, rows, columns).total


def smallest_filling_tile(problem: Problem, layer: int) -> tuple[int, int, int]:
    """Return samples, rows, columns of the smallest tile, with all channels, that fills the PE array.

    Rows of PEs take the first of two loop dimensions, columns the second. Uses the first pair whose fill reaches 1,
    else the pair with the highest fill.
    """
    row = problem.table.layers[layer]
    rows, columns, batch = problem.platform.pe_rows, problem.platform.pe_columns, problem.batch
    height, width = int(row[nt.H]), int(row[nt.W])
    in_channels = row[nt.IN_CHANNELS] if problem.network.layers[layer].is_matrix else row[nt.K]
    c = float(in_channels) / problem.platform.vec
    k = float(row[nt.K]) / problem.platform.lane

    def share(amount: float) -> float:
        return min(amount, 1.0)

    few_rows, few_columns = min(height, 4), min(width, 4)
    pairs = (
        (share(c / rows) * share(k / columns), (1, few_rows, few_columns)),
        (share(c / rows) * share(batch / columns) * share(k), (min(batch, columns), few_rows, few_columns)),
        (share(c / rows) * share(width / columns) * share(k), (1, few_rows, min(width, columns))),
        (share(c) * share(batch / rows) * share(k / columns), (min(batch, rows), few_rows, few_columns)),
        (share(c) * share(height / rows) * share(k / columns), (1, min(height, rows), few_columns)),
        (share(c) * share(height / rows) * share(width / columns), (1, min(height, rows), min(width, columns))),
    )
    best_fill, best_tile = pairs[0]
    for fill, tile in pairs:
        if fill > best_fill:
            best_fill, best_tile = fill, tile
        if best_fill >= 1.0:
            break
    return best_tile
