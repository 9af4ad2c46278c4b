"""Extents of tiles: equal to those for every number of parts by itself, small if long."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support.slow_layer_bounds import slow_tile_extents
from support.twins import Pair, examples, pairs

from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.layers import ExternalInput, PointToPoint
from soma_cp.model.network.network import Network
from soma_cp.model.network.network_checks import LARGEST_EXTENT
from soma_cp.model.problem import Problem
from soma_cp.solver.every_lfa import tile_extents as module
from soma_cp.solver.every_lfa.tile_extents import ancestors, cut, tile_extents

EDGE = PLATFORMS["edge"]


@given(st.integers(1, 5000))
def test_steps_are_the_quotients_of_an_extent(extent: int) -> None:
    steps = cut(extent)
    least = np.repeat(steps.extent, np.diff(np.append(steps.parts, extent + 1)))
    assert least.tolist() == [-(-extent // parts) for parts in range(1, extent + 1)]
    assert (np.diff(steps.extent) < 0).all()
    assert steps.least_total == extent


@pytest.mark.parametrize("extent", [2**24 + 2**20, LARGEST_EXTENT - 1, LARGEST_EXTENT])
def test_long_extents_become_coarser_from_below(extent: int) -> None:
    steps = cut(extent)
    assert len(steps.parts) < module.MOST_STEPS
    assert (steps.extent <= -(-extent // steps.parts)).all()
    assert extent * (1 - module.COARSENESS) <= steps.least_total <= extent
    assert steps.extent[-1] == 1


@examples(150)
@given(pairs(max_layers=7, max_tiling_number=4))
def test_extents_equal_those_for_every_number_of_parts(pair: Pair) -> None:
    problem = pair.plan.problem
    extents, slow = tile_extents(problem, ancestors(problem)), slow_tile_extents(problem)
    for layer in range(len(problem.table.layers)):
        assert extents.listed[layer]
        assert [set(values.tolist()) for values in extents.values[layer]] == list(slow.values[layer])
        for steps, least in ((extents.rows[layer], slow.rows[layer]), (extents.columns[layer], slow.columns[layer])):
            at = np.searchsorted(steps.parts, np.arange(1, len(least) + 1), side="right") - 1
            assert steps.extent[at].tolist() == least


def test_a_thousand_readers_of_one_layer_are_looked_at_together(monkeypatch: pytest.MonkeyPatch) -> None:
    source = PointToPoint(name="s", K=1, H=32, W=32, inputs=("in",))
    readers = tuple(PointToPoint(name=f"r{i}", K=1, H=32, W=32, ifmaps=("s",)) for i in range(1000))
    problem = Problem(Network("fan", (ExternalInput("in", (1, 32, 32)),), (source, *readers)), EDGE)
    calls = []
    joined = module._joined
    monkeypatch.setattr(module, "_joined", lambda *args: calls.append(1) or joined(*args))
    extents = tile_extents(problem, ancestors(problem))
    assert len(calls) <= 10
    assert extents.rows[0].extent[0] == 32
