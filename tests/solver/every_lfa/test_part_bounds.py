"""Bounds of divided layers: as their docstring states them, and below every division."""

from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import patch

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support.divided_lfas import divisible, divisions_of
from support.slow_layer_bounds import slow_part_choices, slow_tile_extents, slow_wide_choices
from support.twins import Pair, examples, pairs

from soma_cp.annealing.budget import Budget
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.core_array.published import PublishedCoreArray
from soma_cp.model.network import network_table as nt
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.layers import Conv, ExternalInput
from soma_cp.model.network.network import Network
from soma_cp.model.problem import Problem
from soma_cp.solver.every_lfa import layer_bounds
from soma_cp.solver.every_lfa.layer_choices import LayerChoices
from soma_cp.solver.every_lfa.network_bounds import bound_every_lfa, layer_prices
from soma_cp.solver.every_lfa.part_bounds import part_sizes

EDGE = PLATFORMS["edge"]
FEW = 12
"""Channels of the layers that are looked at: their divisions can be gone through."""
MULTIPLIERS = (0.0, 0.01, 1.0, 50.0, 1e6)
"""pJ per cycle."""


def few_channels(problem: Problem) -> Iterator[int]:
    """Yield the divisible layers of few channels."""
    for layer in divisible(problem.network):
        if problem.core_array.granule < layer.K <= FEW:
            yield problem.network.layer_id[layer.name]


@pytest.mark.parametrize(("channels", "granule"), [(1600, 256), (1536, 256), (300, 256), (6, 1), (7, 3), (512, 256)])
def test_sizes_are_those_of_all_divisions(channels: int, granule: int) -> None:
    layer = Conv(name="a", C=8, K=channels, H=4, W=4, R=1, S=1, inputs=("in",))
    problem = Problem(Network("one", (ExternalInput("in", (8, 4, 4)),), (layer,)), EDGE)
    with patch.object(PublishedCoreArray, "granule", granule):
        (sizes,) = part_sizes(problem).values()
    parts = {part for division in divisions_of(channels, granule) for part in division}
    assert set(sizes.channels.tolist()) == parts
    assert sizes.count == len(sizes.channels) == len(parts)
    assert sizes.fewest_channels == min(parts)
    assert sizes.all_channels == channels


def test_layers_of_one_granule_or_without_weights_are_not_divided() -> None:
    problem = Problem(builtin_network("gpt2-small"), EDGE)
    names = {problem.network.layers[layer].name for layer in part_sizes(problem)}
    assert {"ffn1", "ffn2"} <= names
    assert not names & {"attention_QK", "attention_QKV"}
    assert part_sizes(Problem(builtin_network("tiny-chain"), EDGE)) == {}


@examples(160)
@given(pairs(max_layers=4, max_tiling_number=2), st.integers(1, 3))
def test_choices_equal_those_of_the_docstring(pair: Pair, granule: int) -> None:
    problem = pair.plan.problem
    with patch.object(PublishedCoreArray, "granule", granule):
        layers = list(few_channels(problem))
        if not layers:  # in three of four cases
            return
        slow, found = slow_tile_extents(problem), layer_prices(problem).choices(wide=True)
        for layer in layers:
            expected = sorted(slow_wide_choices(problem, slow, layer))
            assert found[layer].cycles.tolist() == [cycles for cycles, _ in expected]
            assert found[layer].energy_pj.tolist() == pytest.approx([energy for _, energy in expected])


@examples(160)
@given(
    pairs(max_layers=4, max_tiling_number=2),
    st.sampled_from([("published", 1), ("published", 2), ("published", 5), ("roofline", 1)]),
)
def test_no_division_is_below_the_choices(pair: Pair, core_array: tuple[str, int]) -> None:
    name, granule = core_array
    problem = replace(pair.plan.problem, platform=replace(pair.plan.problem.platform, core_array=name))
    with patch.object(PublishedCoreArray, "granule", granule):
        layers = list(few_channels(problem))
        if not layers:  # in three of four cases
            return
        slow, found = slow_tile_extents(problem), layer_prices(problem).choices(wide=True)
        for layer in layers:
            divisions = list(divisions_of(problem.network.layers[layer].ofmap[0], granule))
            parts = {k: slow_part_choices(problem, slow, layer, k) for division in divisions for k in division}
            for division in divisions:
                if all(parts[k][0] for k in division):
                    assert_below(found[layer], [parts[k] for k in division])


@examples(100)
@given(pairs(max_layers=4, max_tiling_number=4), st.integers(0, 2**32 - 1))
def test_no_part_takes_less_than_its_channels_in_a_roofline(pair: Pair, seed: int) -> None:
    problem = replace(pair.plan.problem, platform=replace(pair.plan.problem.platform, core_array="roofline"))
    array, table, rng = problem.core_array, problem.table, np.random.default_rng(seed)
    layers = [problem.network.layer_id[layer.name] for layer in divisible(problem.network)]
    for layer in layers:
        channels = table.layers[layer, nt.K]
        tile = np.array([[layer, problem.batch, channels, *(rng.integers(1, table.layers[layer, [nt.H, nt.W]] + 1))]])
        each = array.least_per_channel(table, tile)
        assert each is not None
        for k in range(1, min(channels, 40) + 1):
            tile[0, 2] = k
            cycles, energy_pj = array.tile_costs(table, tile)
            assert cycles[0] >= k * each[0][0] * (1 - 1e-12)
            assert energy_pj[0] >= k * each[1][0] * (1 - 1e-12)


def assert_below(choices: LayerChoices, parts: list[tuple[set[tuple[float, float]], float]]) -> None:
    for each in MULTIPLIERS:
        least = sum(min(energy + each * cycles for cycles, energy in pairs_of_part) for pairs_of_part, _ in parts)
        assert (choices.energy_pj + each * choices.cycles).min() <= least * (1 + 1e-9)
    assert choices.cycles[0] <= sum(min(cycles for cycles, _ in pairs_of_part) for pairs_of_part, _ in parts)
    assert choices.last_tiles <= sum(shortest for _, shortest in parts)
    assert choices.shortest_tile <= min(shortest for _, shortest in parts)


def test_a_part_with_the_rest_costs_by_itself() -> None:
    # 1600 channels on cloud: 6 rounds of 256 and one of 64, divided or not; 6.25 rounds are not enough.
    problem = Problem(builtin_network("gpt2-xl"), PLATFORMS["cloud"])
    prices = layer_prices(problem)
    undivided, wide = prices.choices(), prices.choices(wide=True)
    layer = problem.network.layer_id["ffn2"]
    assert wide[layer].cycles.tolist() == undivided[layer].cycles.tolist() == [7 * 25600]
    # 1536 and 64 channels read less of the GBUF than 1600.
    assert wide[layer].energy_pj[-1] == pytest.approx(1.26958404e9)
    assert undivided[layer].energy_pj[-1] == pytest.approx(1.30611071e9)


def test_a_layer_keeps_its_floor_until_its_parts_are_priced(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem(builtin_network("gpt2-small"), EDGE)
    layer = problem.network.layer_id["ffn1"]
    whole = layer_prices(problem).choices(wide=True)[layer]
    prices = layer_prices(problem)
    prices.choices()
    assert prices.complete(wide=False)
    floor, after = prices.choices(Budget(0.0), wide=True)[layer], prices.choices(wide=True)[layer]
    assert floor.cycles[0] <= whole.cycles[0]
    assert floor.energy_pj[0] < whole.energy_pj[0]
    assert 0 < floor.shortest_tile < floor.last_tiles
    assert after.energy_pj.tolist() == whole.energy_pj.tolist()
    assert prices.complete(wide=True)
    monkeypatch.setattr(layer_bounds, "MOST_SIZES", 3)
    assert layer_prices(problem).choices(wide=True)[layer].energy_pj.tolist() == floor.energy_pj.tolist()


@pytest.mark.parametrize("core_array", ["published", "roofline"])
def test_bounds_of_a_network_that_does_not_fit_undivided(core_array: str) -> None:
    problem = Problem(builtin_network("llama2-70b-decode"), replace(PLATFORMS["cloud"], core_array=core_array))
    bound = bound_every_lfa(problem, wide=True)
    assert bound.complete
    assert bound.latency >= 5_382_304  # all transfers of the best schedule known take 5,382,320 cycles
    assert np.isfinite(bound.cost)
