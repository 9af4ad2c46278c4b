"""Caches of tile costs: each asks the core array for what no cache of the same problem knows, and for nothing else."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from soma_cp.annealing.first_stage.cost_cache import CostCache, Learned, find_cost
from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.problem import Problem
from soma_cp.model.soma.tiling import LayerTiles, empty_layer_tiles


@dataclass
class CountedProblem:
    """A problem that keeps the tiles that its core array is asked for; it stands for both."""

    problem: Problem
    asked: list[IntArray] = field(default_factory=list)

    @property
    def core_array(self) -> "CountedProblem":
        return self

    @property
    def table(self) -> object:
        return self.problem.table

    def tile_costs(self, _table: object, rows: IntArray) -> tuple[IntArray, FloatArray]:
        self.asked.append(rows.copy())
        return self.problem.core_array.tile_costs(self.problem.table, rows)


@pytest.fixture
def counted() -> CountedProblem:
    """ResNet-50 with the edge platform's core array."""
    return CountedProblem(Problem(builtin_network("resnet50"), PLATFORMS["edge"], 1))


def tiles_of_rows(problem: CountedProblem, rows: int) -> LayerTiles:
    """Tiles of all channels and columns, and of so many rows."""
    tiles = empty_layer_tiles(len(problem.problem.network.layers))
    tiles.extent[:] = [(1, *layer.ofmap) for layer in problem.problem.network.layers]
    tiles.extent[:, 2] = np.minimum(tiles.extent[:, 2], rows)
    return tiles


def stored(cache: CostCache, tiles: LayerTiles, layer: int) -> tuple[int, float] | None:
    """What a cache knows of a tile."""
    tiles.cycles[layer], tiles.energy_pj[layer] = -7, -7.0
    if not find_cost(cache.table, tiles, layer):
        return None
    return int(tiles.cycles[layer]), float(tiles.energy_pj[layer])


def test_a_cache_asks_for_no_tile_that_another_has_learned(counted: CountedProblem) -> None:
    learned: list[Learned] = []
    first, second = (CostCache(counted, learned) for _ in range(2))  # type: ignore[arg-type]
    tiles = tiles_of_rows(counted, 2)
    first.learn(tiles, np.array([0, 3, 5]))
    assert stored(second, tiles, 3) is None
    second.learn(tiles, np.array([5, 6, 0, 7]))
    assert [rows[:, 0].tolist() for rows in counted.asked] == [[0, 3, 5], [6, 7]]
    assert [stored(second, tiles, layer) for layer in (0, 3, 5)] == [stored(first, tiles, layer) for layer in (0, 3, 5)]
    first.learn(tiles, np.array([6]))
    assert len(counted.asked) == 2
    assert stored(first, tiles, 7) == stored(second, tiles, 7)


def test_a_cache_that_takes_over_more_than_its_table_holds_loses_nothing(counted: CountedProblem) -> None:
    learned: list[Learned] = []
    first, second = (CostCache(counted, learned) for _ in range(2))  # type: ignore[arg-type]
    layers = np.arange(len(counted.problem.network.layers))
    for rows in range(1, 80):
        first.learn(tiles_of_rows(counted, rows), layers)
    second.learn(tiles_of_rows(counted, 80), layers)
    for rows in range(1, 81):
        tiles, layer = tiles_of_rows(counted, rows), rows % len(layers)
        assert stored(second, tiles, layer) is not None
        expected, energy_pj = counted.problem.core_array.tile_costs(
            counted.problem.table, np.array([[layer, *tiles.extent[layer]]])
        )
        assert stored(second, tiles, layer) == (expected[0], energy_pj[0])


def test_caches_without_a_list_in_common_learn_alone(counted: CountedProblem) -> None:
    first, second = (CostCache(counted) for _ in range(2))  # type: ignore[arg-type]
    tiles = tiles_of_rows(counted, 2)
    for cache in (first, second):
        cache.learn(tiles, np.array([4]))
    assert len(counted.asked) == 2
    assert stored(first, tiles, 4) == stored(second, tiles, 4)
