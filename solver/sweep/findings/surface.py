"""Surfaces: latency over buffer and DRAM bandwidth, of one network, batch and method (the paper's Fig. 7)."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import fmean
from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import FloatArray
from soma_cp.solver.sweep.findings.cases import Case, as_in_paper, middle
from soma_cp.solver.sweep.rows import Row

BoolArray = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
NEAR = 1.01
"""A latency of at most so many times the least one counts as the least."""
LEAST_VALUES = 2
"""A surface has that many buffers, and that many bandwidths."""


class Cell(NamedTuple):
    """A place on a surface."""

    dram_bytes_per_s: float
    buffer_bytes: int


@dataclass(frozen=True, eq=False)
class Surface:
    """One method's latency at W bandwidths and B buffers.

    Parameters
    ----------
    case
        Network, platform and batch.
    method
        The method.
    cells
        Rows by place.
    bandwidths, buffers
        Both ascend; all methods of a case have the same.
    """

    case: Case
    method: str
    cells: dict[Cell, Row]
    bandwidths: tuple[float, ...]
    buffers: tuple[int, ...]

    @cached_property
    def latency_ns(self) -> FloatArray:
        """float64[W, B]: latency of the whole model; not a number where there is no schedule."""
        found = np.full((len(self.bandwidths), len(self.buffers)), np.nan)
        for place, cell in self._places():
            row = self.cells.get(cell)
            if row is not None and row["model_latency_ns"] is not None:
                found[place] = row["model_latency_ns"]
        return found

    @cached_property
    def infeasible(self) -> BoolArray:
        """bool[W, B]: whether it is known that there is no schedule."""
        found = np.zeros((len(self.bandwidths), len(self.buffers)), np.bool_)
        for place, cell in self._places():
            found[place] = cell in self.cells and self.cells[cell]["status"] == "infeasible"
        return found

    def _places(self) -> Iterator[tuple[tuple[int, int], Cell]]:
        for i, bandwidth in enumerate(self.bandwidths):
            for j, size in enumerate(self.buffers):
                yield (i, j), Cell(bandwidth, size)

    @property
    def known(self) -> BoolArray:
        """bool[W, B]: whether there is a latency, or it is known that there is none."""
        found: BoolArray = np.isfinite(self.latency_ns) | self.infeasible
        return found

    @property
    def gain_of_buffer(self) -> float:
        """Mean over neighbouring cells of how many times as fast each doubling of the buffer is."""
        return _gain_per_doubling(self.latency_ns.T, self.buffers)

    @property
    def gain_of_bandwidth(self) -> float:
        """Mean over neighbouring cells of how many times as fast each doubling of the bandwidth is."""
        return _gain_per_doubling(self.latency_ns, self.bandwidths)

    @property
    def least_bandwidths(self) -> tuple[float, ...]:
        """For each buffer the least bandwidth at which the latency is near the surface's least; infinite if none is."""
        if not np.isfinite(self.latency_ns).any():
            return (math.inf,) * len(self.buffers)
        near = self.latency_ns <= NEAR * np.nanmin(self.latency_ns)
        return tuple(self.bandwidths[int(np.argmax(column))] if column.any() else math.inf for column in near.T)

    @property
    def is_triangle(self) -> bool:
        """Whether a larger buffer never needs more bandwidth, and somewhere less, to come near the least latency."""
        least = self.least_bandwidths
        return all(one >= other for one, other in pairwise(least)) and least[0] > least[-1]


def surfaces_of(rows: Iterable[Row]) -> dict[Case, list[Surface]]:
    """Return the surfaces by case, in the order of the rows; of several seeds the middle row counts."""
    seeds: dict[Case, dict[str, dict[Cell, list[Row]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for row in as_in_paper(rows).rows:
        case, cell = Case(row["net"], row["hw"], row["batch"]), Cell(row["dram_bytes_per_s"], row["buffer_bytes"])
        seeds[case][row["method"]][cell].append(row)
    found = {}
    for case, methods in seeds.items():
        cells = [cell for by_cell in methods.values() for cell in by_cell]
        bandwidths = tuple(sorted({cell.dram_bytes_per_s for cell in cells}))
        buffers = tuple(sorted({cell.buffer_bytes for cell in cells}))
        if min(len(bandwidths), len(buffers)) >= LEAST_VALUES:
            found[case] = [
                Surface(case, method, {cell: middle(alike) for cell, alike in by_cell.items()}, bandwidths, buffers)
                for method, by_cell in methods.items()
            ]
    return found


def shared_exponent(surfaces: Sequence[Surface]) -> int:
    """Return the power of ten of the largest latency of all surfaces that are drawn together."""
    largest = max((np.nanmax(one.latency_ns) for one in surfaces if np.isfinite(one.latency_ns).any()), default=1.0)
    return math.floor(math.log10(largest))


def printed(surface: Surface, exponent: int) -> FloatArray:
    """Return the latencies as the paper prints them: divided by a power of ten, two decimals."""
    return np.round(surface.latency_ns / 10.0**exponent, 2)


def envelope(values: FloatArray) -> BoolArray:
    """Return the cells whose printed value is the smallest one."""
    if not np.isfinite(values).any():
        return np.zeros(values.shape, np.bool_)
    least: BoolArray = values == np.nanmin(values)
    return least


def _gain_per_doubling(latency: FloatArray, sizes: Sequence[float]) -> float:
    """Return the mean gain along the first axis; a step of another factor counts as that share of doublings."""
    doublings = np.diff(np.log2(np.array(sizes, np.float64)))[:, np.newaxis]
    gains = (latency[:-1] / latency[1:]) ** (1 / doublings)
    known = gains[np.isfinite(gains)]
    return fmean(known.tolist()) if known.size else math.nan
