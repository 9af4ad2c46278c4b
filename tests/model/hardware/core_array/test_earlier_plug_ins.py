"""Core arrays of an earlier version, whose methods take the network, still work; a warning says what to change."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from soma_cp.annealing.first_stage.initial_lfa import initial_lfa
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.core_array import earlier_plug_ins, registry
from soma_cp.model.hardware.core_array.protocol import CoreArray, NoMappingError
from soma_cp.model.hardware.core_array.roofline import RooflineCoreArray
from soma_cp.model.hardware.platform import Platform
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.problem import Problem
from soma_cp.model.soma.plan import make_plan

EDGE = PLATFORMS["edge"]
ROWS = np.array([[0, 1, 64, 8, 32], [1, 1, 64, 4, 4]])

# Plug-ins are written without types, like the example in docs/core-arrays.md.
# mypy: disable-error-code="no-untyped-def, override, misc, attr-defined, call-arg, arg-type"


class New(RooflineCoreArray):
    """An array of this version; it doubles the costs of its base."""

    def tile_costs(self, table, tiles):
        cycles, energy_pj = super().tile_costs(table, tiles)
        return 2 * cycles, energy_pj


class Old(RooflineCoreArray):
    """An array of the earlier version; it reads the network, and doubles the costs of its base."""

    def tile_costs(self, network, table, tiles):
        assert network.layers[0].name
        cycles, energy_pj = super().tile_costs(network, table, tiles)
        return 2 * cycles, energy_pj


class OldByName(RooflineCoreArray):
    """The same, but it calls by keyword."""

    def tile_costs(self, network, table, tiles):
        cycles, energy_pj = super().tile_costs(network=network, table=table, tiles=tiles)
        return 2 * cycles, energy_pj


class OldLeast(RooflineCoreArray):
    """Overrides only the bound, and starts from the bound of the base, which calls `tile_costs`."""

    def least_costs(self, network, table, tiles):
        assert network.layers[0].name
        cycles, energy_pj = super().least_costs(network, table, tiles)
        return 2 * cycles, energy_pj


class OldBoth(Old):
    """Derived from a class of the earlier version; its bound calls `tile_costs`."""

    def least_costs(self, network, table, tiles):
        cycles, energy_pj = self.tile_costs(network, table, tiles)
        return cycles // 2, energy_pj


class OldAround(CoreArray):
    """Calls another core array."""

    name = "around"

    def __init__(self, platform: Platform) -> None:
        self._other = RooflineCoreArray(platform)

    def tile_costs(self, network, table, tiles):
        cycles, energy_pj = self._other.tile_costs(network, table, tiles)
        return 2 * cycles, energy_pj

    def explain_infeasible(self, network, tile_row):
        return "never"


class OldAndPicky(Old):
    """Runs only tiles of the second layer."""

    def tile_costs(self, network, table, tiles):
        cycles, energy_pj = super().tile_costs(network, table, tiles)
        return np.where(tiles[:, 0] == 1, cycles, -1), energy_pj

    def explain_infeasible(self, network, tile_row):
        return f"not layer {network.layers[tile_row[0]].name}"


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Forget the classes, so that each test meets them for the first time."""
    earlier_plug_ins._class_of_this_version.cache_clear()
    yield
    earlier_plug_ins._class_of_this_version.cache_clear()


@pytest.fixture
def problem_with(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Problem]:
    """Return a function that makes a problem on edge with the core array of a factory."""

    def make(factory: Callable[[Platform], Any], network: str = "tiny-chain") -> Problem:
        monkeypatch.setitem(registry.BUILT_IN, "plug-in", lambda platform, options: factory(platform))
        return Problem(builtin_network(network), replace(EDGE, core_array="plug-in"))

    return make


def costs_of(problem: Problem, method: str) -> list[list[float]]:
    return [part.tolist() for part in getattr(problem.core_array, method)(problem.table, ROWS)]


PEAK, PEAK_PJ = (
    part.tolist()
    for part in RooflineCoreArray(EDGE).tile_costs(Problem(builtin_network("tiny-chain"), EDGE).table, ROWS)
)
DOUBLE = [2 * cycles for cycles in PEAK]


@pytest.mark.parametrize(
    ("kind", "cycles", "least"),
    [
        (Old, DOUBLE, DOUBLE),
        (OldByName, DOUBLE, DOUBLE),
        (OldLeast, PEAK, DOUBLE),
        (OldBoth, DOUBLE, PEAK),
        (OldAround, DOUBLE, DOUBLE),
    ],
)
def test_methods_that_take_the_network_still_get_it(
    problem_with: Callable[..., Problem], kind: type[CoreArray], cycles: list[int], least: list[int]
) -> None:
    problem = problem_with(kind)
    with pytest.warns(DeprecationWarning, match=rf"{kind.__name__}: .* of three parameters will not work"):
        array = problem.core_array
    assert isinstance(array, kind)
    assert costs_of(problem, "tile_costs") == [cycles, PEAK_PJ]
    assert costs_of(problem, "least_costs") == [least, PEAK_PJ]
    array.require_feasible(problem.network, problem.table, ROWS[0])
    assert (make_plan(problem, initial_lfa(problem)).layers.cycles > 0).all()


def test_the_warning_says_what_to_write(problem_with: Callable[..., Problem]) -> None:
    with pytest.warns(DeprecationWarning, match="OldBoth") as raised:
        _ = problem_with(OldBoth).core_array
    assert str(raised[0].message) == (
        f"core array {__name__}.OldBoth: tile_costs and least_costs of three parameters will not work in the next "
        f"version; leave the network out: tile_costs(self, table, tiles), least_costs(self, table, tiles)"
    )


def test_a_class_is_warned_of_once(problem_with: Callable[..., Problem]) -> None:
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        for kind in (Old, Old, OldAround, Old):
            _ = problem_with(kind).core_array
    assert [str(warning.message).partition(":")[0] for warning in raised] == [
        f"core array {__name__}.{kind.__name__}" for kind in (Old, OldAround)
    ]


@pytest.mark.parametrize("kind", [New, RooflineCoreArray])
def test_an_array_of_this_version_is_left_as_it_is(problem_with: Callable[..., Problem], kind: type[CoreArray]) -> None:
    problem, array = problem_with(lambda platform: array), kind(EDGE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert problem.core_array is array
    assert costs_of(problem, "tile_costs")[0] == (DOUBLE if kind is New else PEAK)


def test_one_object_for_two_networks_gets_the_right_one(problem_with: Callable[..., Problem]) -> None:
    asked = []

    class Asked(Old):
        def tile_costs(self, network, table, tiles):
            asked.append(network.name)
            return super().tile_costs(network, table, tiles)

    array = Asked(EDGE)
    problems = [problem_with(lambda platform: array, name) for name in ("tiny-chain", "tiny-branch")]
    with pytest.warns(DeprecationWarning, match="Asked"):
        _ = [problem.core_array for problem in problems]
    for problem in problems:
        costs_of(problem, "tile_costs")
    assert asked == ["tiny-chain", "tiny-branch"]
    assert type(array) is Asked


def test_what_it_can_not_run_is_told_in_its_own_words(problem_with: Callable[..., Problem]) -> None:
    problem = problem_with(OldAndPicky)
    with pytest.warns(DeprecationWarning, match="OldAndPicky"):
        problem.core_array.require_feasible(problem.network, problem.table, ROWS[1])
    with pytest.raises(NoMappingError, match="not layer conv1"):
        problem.core_array.require_feasible(problem.network, problem.table, ROWS[0])
