"""Bounds of layers: equal to those for every number of parts by itself, cut short at a deadline, small if long."""

import tracemalloc
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support.budgets import Looks
from support.slow_layer_bounds import slow_choices, slow_tile_extents
from support.twins import Pair, examples, pairs

from soma_cp.annealing.budget import Budget
from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.core_array.published import PublishedCoreArray
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.layers import Conv, ExternalInput, PointToPoint
from soma_cp.model.network.network import Network
from soma_cp.model.network.network_checks import LARGEST_EXTENT
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.model.problem import MAX_BATCH, Problem
from soma_cp.solver.every_lfa import layer_bounds, tile_extents
from soma_cp.solver.every_lfa.layer_bounds import divisors
from soma_cp.solver.every_lfa.network_bounds import bound_every_lfa, layer_prices

EDGE = PLATFORMS["edge"]


@pytest.fixture
def priced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts of the tile shapes in each call of the core array."""
    counts: list[int] = []
    original = PublishedCoreArray.tile_costs

    def counted(self: PublishedCoreArray, table: NetworkTable, tiles: IntArray) -> tuple[IntArray, FloatArray]:
        counts.append(len(tiles))
        return original(self, table, tiles)

    monkeypatch.setattr(PublishedCoreArray, "tile_costs", counted)
    return counts


@examples(60)
@given(pairs(max_layers=5, max_tiling_number=4))
def test_choices_equal_those_of_all_shapes(pair: Pair) -> None:
    problem = pair.plan.problem
    slow = slow_tile_extents(problem)
    for layer, choices in enumerate(layer_prices(problem).choices()):
        found = list(zip(choices.cycles.tolist(), choices.energy_pj.tolist(), strict=True))
        assert found == sorted(slow_choices(problem, slow, layer))


@examples(200)
@given(pairs(max_layers=6, max_tiling_number=8), st.sampled_from(["published", "roofline"]))
def test_no_tile_takes_less_than_its_elements(pair: Pair, core_array: str) -> None:
    problem = Problem(pair.plan.problem.network, replace(pair.plan.problem.platform, core_array=core_array))
    cycles_each, pj_each = problem.core_array.least_per_element(problem.table)
    extent = pair.plan.layers.extent
    tiles = np.column_stack([np.arange(len(extent)), extent])
    cycles, energy = problem.core_array.tile_costs(problem.table, tiles)
    runs = cycles >= 0
    elements = extent.prod(axis=1)
    assert (cycles >= np.floor(elements * cycles_each * (1 - 1e-12)))[runs].all()
    assert (energy >= elements * pj_each * (1 - 1e-12))[runs].all()


@examples(100)
@given(pairs(max_layers=6, max_tiling_number=4), st.integers(0, 30))
def test_bounds_that_were_cut_short_are_lower_and_go_on(pair: Pair, looks: int) -> None:
    problem = pair.plan.problem
    whole, prices = bound_every_lfa(problem), layer_prices(problem)
    short = bound_every_lfa(problem, budget=Looks(looks), prices=prices)
    for name in ("latency", "energy_pj", "cost", "compute_cycles", "core_energy_pj"):
        assert getattr(short, name) <= getattr(whole, name) * (1 + 1e-12)
    assert not short.complete or replace(short, seconds=0.0) == replace(whole, seconds=0.0)
    assert replace(bound_every_lfa(problem, prices=prices), seconds=0.0) == replace(whole, seconds=0.0)
    nothing = bound_every_lfa(problem, budget=Looks(0))
    assert nothing.dram_bytes <= whole.dram_bytes
    assert nothing.cost <= short.cost * (1 + 1e-12)


def test_equal_layers_are_priced_once_and_no_shape_twice(priced: list[int]) -> None:
    problem = Problem(builtin_network("resnet152"), EDGE)
    bound_every_lfa(problem, with_paths=False)
    assert sum(priced) < 34_000  # 31,887 shapes of 46 kinds of layers; 208 layers have 129,000
    once = sum(priced)
    prices = layer_prices(problem)
    while not prices.complete(wide=False):  # five looks at the clock a time
        prices.choices(Looks(5))
    assert sum(priced) == 2 * once


def test_no_shape_is_priced_after_the_deadline(priced: list[int]) -> None:
    problem = Problem(builtin_network("pnasnet"), EDGE, 16)
    bound = bound_every_lfa(problem, budget=Looks(0))
    assert not bound.complete
    assert priced == []
    prices = layer_prices(problem)
    prices.choices(Looks(20))
    assert len(priced) <= 20


def test_the_tiles_of_ended_layers_keep_their_floor() -> None:
    # 64·64 MACs for each of 64·16 elements, 8192 MACs a cycle: 512 cycles; energies of the MACs alone.
    layer = Conv(name="a", C=64, K=64, H=16, W=1, R=1, S=1, inputs=("in",))
    problem = Problem(Network("one", (ExternalInput("in", (64, 16, 1)),), (layer,)), EDGE)
    (floor,) = layer_prices(problem).choices(Looks(0))
    (priced,) = layer_prices(problem).choices()
    assert floor.cycles.tolist() == [pytest.approx(64 * 64 * 16 / 8192, abs=1)]
    assert floor.cycles[0] <= priced.cycles[0]
    assert 0 < floor.energy_pj[0] <= priced.energy_pj[-1]


def long_chain(rows: int, columns: int, layers: int) -> Problem:
    chain = tuple(
        PointToPoint(name=f"p{i}", K=1, H=rows, W=columns, **({"ifmaps": (f"p{i - 1}",)} if i else {"inputs": ("in",)}))
        for i in range(layers)
    )
    return Problem(Network("long", (ExternalInput("in", (1, rows, columns)),), chain), EDGE)


@pytest.mark.parametrize(
    ("rows", "columns", "layers"),
    [(LARGEST_EXTENT, 1, 1), (1, LARGEST_EXTENT, 30), (2**26, 2**26, 3), (2**20, 1, 200)],
)
def test_long_extents_take_little_memory(rows: int, columns: int, layers: int) -> None:
    problem = long_chain(rows, columns, layers)
    tracemalloc.start()
    bound = bound_every_lfa(problem, budget=Budget(5.0))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 300e6
    assert bound.dram_bytes >= 2 * rows * columns * (1 - 2 * tile_extents.COARSENESS)


def test_too_many_shapes_keep_the_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem(builtin_network("tiny-unet"), EDGE, 4)
    whole = bound_every_lfa(problem)
    limits = ((layer_bounds, "MOST_SHAPES", 50), (tile_extents, "MOST_VALUES", 5), (tile_extents, "MOST_STEPS", 4))
    for module, name, most in limits:
        with monkeypatch.context() as patch:
            patch.setattr(module, name, most)
            bound = bound_every_lfa(problem)
            assert bound.complete  # no more time would raise it
            assert 0 < bound.cost < whole.cost
            assert bound.dram_bytes <= whole.dram_bytes


def test_divisors() -> None:
    for number in (1, 2, 12, 97, 360):
        assert divisors(number).tolist() == [d for d in range(1, number + 1) if number % d == 0]
    assert len(divisors(MAX_BATCH)) == 21


def test_prices_are_not_kept_once_the_layers_are_done() -> None:
    prices = layer_prices(Problem(builtin_network("resnet50"), EDGE))
    prices.choices()
    assert prices.complete(wide=False)
    assert prices._left == []
