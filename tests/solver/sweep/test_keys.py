"""Keys are of content: what decides a result changes them, how it is written does not."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.twins import examples

from soma_cp.annealing.cocco.tiling_rules import TilingRule
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.network_file import write_network_file
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.solver.sweep import plan
from soma_cp.solver.sweep.grid import Sweep, read_sweep
from soma_cp.solver.sweep.methods import METHODS
from soma_cp.solver.sweep.plan import SweepPlan, key_of
from soma_cp.solver.sweep.point import Point

POINT = Point(Problem(builtin_network("tiny-chain"), PLATFORMS["edge"], 2), "tiny-chain")


def sweep_of(tmp_path: Path, text: str) -> Sweep:
    """Return the sweep of a file with this text after its head."""
    path = tmp_path / "sweep.yaml"
    path.write_text(f"version: 1\nname: s\nmethods: [paper-2, ours]\n{text}")
    return read_sweep(path)


def keys_of(sweep: Sweep) -> set[str]:
    return {one.key for one in SweepPlan(sweep).wanted}


CHANGES: dict[str, Callable[[Point], Point]] = {
    "batch": lambda of: replace(of, problem=replace(of.problem, batch=3)),
    "network": lambda of: replace(of, problem=replace(of.problem, network=builtin_network("tiny-ffn"))),
    "energy exponent": lambda of: replace(of, objective=Objective(2.0, 1.0)),
    "delay exponent": lambda of: replace(of, objective=Objective(1.0, 2.0)),
    "seed": lambda of: replace(of, seed=1),
    "effort": lambda of: replace(of, effort=0.5),
    "seconds": lambda of: replace(of, seconds=60.0),
    "tiling": lambda of: replace(of, tiling=TilingRule.LARGEST),
    "another tiling": lambda of: replace(of, tiling=TilingRule.INHERIT),
    "uncapped": lambda of: replace(of, uncapped=True),
}
PLATFORM_CHANGES = {
    "gbuf_bytes": 1 << 20,
    "pe_grid": 8,
    "macs_per_pe": 1024,
    "gbuf_bytes_per_cycle": 512,
    "dram_bytes_per_cycle": 17,
    "clock_hz": 2 * 10**9,
    "dram_pj_per_byte": 85.0,
    "vector_ops": 3,
    "pe_bus_bytes_per_cycle": 32,
    "memory_bytes": (("AL1", 4096),),
    "energy_pj": (("MAC", 0.5),),
    "macs_per_cycle_by_type": (("fp16", 4096),),
    "mac_pj_by_type": (("fp16", 0.5),),
    "core_array": "roofline",
    "core_array_options": (("bandwidth", "64"),),
    "semantics": "corrected",
    "name": "board",
}


def test_every_field_of_a_platform_is_listed() -> None:
    assert set(PLATFORM_CHANGES) == set(PLATFORMS["edge"].__dataclass_fields__)


@pytest.mark.parametrize("field", PLATFORM_CHANGES)
def test_every_field_of_the_platform_changes_the_key(field: str) -> None:
    platform = replace(POINT.problem.platform, **{field: PLATFORM_CHANGES[field]})
    other = replace(POINT, problem=replace(POINT.problem, platform=platform))
    assert key_of(other, "ours") != key_of(POINT, "ours")


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_decides_a_result_changes_the_key(what: str) -> None:
    assert key_of(CHANGES[what](POINT), "cocco") != key_of(POINT, "cocco")
    assert len({key_of(change(POINT), "cocco") for change in CHANGES.values()}) == len(CHANGES)


def test_the_method_and_its_neighbours_change_the_key() -> None:
    keys = [key_of(POINT, method) for method in METHODS] + [key_of(POINT, "ours", ["a"]), key_of(POINT, "ours", ["b"])]
    assert len(set(keys)) == len(keys)
    assert key_of(POINT, "ours", ["a", "b"]) == key_of(POINT, "ours", ["b", "a"])


RECORDED = {"cocco": "b53044d9101b0844", "paper-2": "75ffe8d2a6b3491f"}
"""Keys of `POINT` by method; stores hold results by them."""


def test_keys_are_those_of_stores() -> None:
    """A new field of a point stands in its content only where it differs from the default, so that keys stay."""
    assert {method: key_of(POINT, method) for method in RECORDED} == RECORDED


def test_the_rule_of_tiling_numbers_is_for_methods_that_use_it(tmp_path: Path) -> None:
    methods = "version: 1\nname: s\nmethods: [cocco, cocco-exact, paper-2, ours]\n"
    rules = "tiling: [output, largest, inherit], uncapped: [false, true]"

    def wanted(grid: str) -> list[plan.Wanted]:
        path = tmp_path / "sweep.yaml"
        path.write_text(f"{methods}grid: {{net: tiny-chain, dram: [4 GB/s, 8 GB/s], {grid}}}\n")
        return SweepPlan(read_sweep(path)).wanted

    plain, ruled = wanted("batch: 1"), wanted(rules)
    counts = {"cocco": 12, "cocco-exact": 12, "paper-2": 2, "ours": 2}
    assert {method: sum(one.method == method for one in ruled) for method in counts} == counts
    assert {one.key for one in plain} < {one.key for one in ruled}
    assert len({one.key for one in ruled}) == len(ruled)
    assert {one.neighbours for one in plain} == {one.neighbours for one in ruled}
    found = {(one.point.tiling.value, one.point.uncapped) for one in ruled if one.method == "cocco"}
    assert found == {(rule, uncapped) for rule in ("output", "largest", "inherit") for uncapped in (False, True)}
    assert {(one.point.tiling, one.point.uncapped) for one in ruled if one.method == "ours"} == {("output", False)}


def test_versions_change_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {method: key_of(POINT, method) for method in METHODS}
    monkeypatch.setattr(plan, "version", lambda _: "10.0")
    solver = {method for method in METHODS if key_of(POINT, method) != before[method]}
    assert solver == {method for method, row in METHODS.items() if row.uses_solver}
    for name in ("MODEL_VERSION", "SEARCH_VERSION"):
        with monkeypatch.context() as patch:
            patch.setattr(plan, name, 99)
            assert all(key_of(POINT, method) != before[method] for method in METHODS)


def test_spelling_does_not_change_keys(tmp_path: Path) -> None:
    plain = sweep_of(tmp_path, "grid: {net: gpt2-small-prefill, hw: edge, buffer: [8 MiB, 4 MiB], dram: 16 GB/s}\n")
    spelled = "cases:\n- {dram: 16B/cycle, seed: 0, batch: 1, buffer: 8192KiB, net: gpt2-small}\n"
    spelled += "- {net: gpt2-small, seq: 512, hw.gbuf: 4194304, energy_exponent: 1}\n"
    assert keys_of(plain) == keys_of(sweep_of(tmp_path, spelled))


def test_a_file_of_a_built_in_network_has_its_keys(tmp_path: Path) -> None:
    write_network_file(builtin_network("tiny-chain"), tmp_path / "mine.json")
    own = sweep_of(tmp_path, "grid: {net: mine.json, hw: edge}\n")
    assert keys_of(own) == keys_of(sweep_of(tmp_path, "grid: {net: tiny-chain, hw: edge}\n"))


@examples(20)
@given(st.permutations(range(6)))
def test_order_does_not_change_keys(order: list[int]) -> None:
    points = [(buffer, batch) for buffer in ("1 MiB", "2 MiB") for batch in (1, 2, 3)]
    cases = "".join(
        f"- {{net: tiny-chain, buffer: {buffer}, batch: {batch}}}\n"
        for buffer, batch in (points[place] for place in order)
    )
    grid = "grid: {net: tiny-chain, buffer: [2 MiB, 1 MiB], batch: {from: 1, to: 3, plus: 1}}\n"
    assert keys_in_memory(f"cases:\n{cases}") == keys_in_memory(grid)


def keys_in_memory(text: str) -> set[str]:
    with tempfile.TemporaryDirectory() as folder:
        return keys_of(sweep_of(Path(folder), text))


def test_a_point_given_twice_is_one(tmp_path: Path) -> None:
    assert len(sweep_of(tmp_path, "cases:\n- {net: tiny-chain}\n- {net: tiny-chain, hw: edge}\n").points) == 1
