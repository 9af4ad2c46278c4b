"""Timed paths over downsets in the wide space: never above any schedule, and as high as computed by hand."""

import math
from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import patch

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support.brute_lfas import cheapest
from support.divided_lfas import SMALL_PARTS, small_parts
from support.timed_paths import LATENCY, least_latency, paths_of
from support.tiny_problems import conv
from support.twins import Pair, examples, pairs

from soma_cp.annealing.budget import Budget
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.core_array.published import PublishedCoreArray
from soma_cp.model.network.layers import Conv, ExternalInput, Layer
from soma_cp.model.network.network import Network
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.footprint import least_peak_bytes
from soma_cp.model.soma.lfa import FLG, LFA
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.solver.every_lfa import layer_bounds
from soma_cp.solver.every_lfa.downset_paths import ROUNDING
from soma_cp.solver.every_lfa.network_bounds import NetworkPrices, bound_every_lfa
from soma_cp.solver.every_lfa.wide_paths import WidePaths, WideSteps
from soma_cp.solver.every_lfa.wide_times import WideTimedPaths
from soma_cp.solver.parameters import CpSatParameters
from soma_cp.solver.second_stage.exact import solve_dlsa_exactly


def with_buffer(problem: Problem, gbuf_bytes: int) -> Problem:
    return replace(problem, platform=replace(problem.platform, gbuf_bytes=gbuf_bytes))


class _Along:
    """The paths of one LFA alone: its downsets of last parts, its Tiling Numbers, any DRAM cuts and shared loads."""

    def __init__(self, paths: WidePaths, lfa: LFA) -> None:
        self._paths = paths
        index = {row.tobytes(): i for i, row in enumerate(paths.input.member)}
        ids = {layer.name: i for i, layer in enumerate(paths.problem.network.layers)}
        names = [name.split("/")[0] if name not in ids else name for flg in lfa.flgs for name in flg.layers]
        last = {name: place for place, name in enumerate(names)}
        reached, place = np.zeros(len(ids), np.bool_), 0
        self._step: dict[int, tuple[int, int]] = {}  # by downset: the one before it, and the Tiling Number
        for flg in lfa.flgs:
            places = range(place, place + len(flg.layers))
            place += len(flg.layers)
            ending = [names[at] for at in places if last[names[at]] == at]
            for layers in [[name] for name in ending] if flg.tiling_number == 1 else [ending] * bool(ending):
                before = index[reached.tobytes()]
                reached[[ids[name] for name in layers]] = True
                self._step[index[reached.tobytes()]] = before, flg.tiling_number

    def __getattr__(self, name: str) -> object:
        return getattr(self._paths, name)

    def steps_to(self, after: int, budget: Budget) -> Iterator[WideSteps | None]:
        before, number = self._step.get(after, (-1, 0))
        for steps in self._paths.steps_to(after, budget):
            assert steps is not None
            listed = steps.flgs.number == number
            can = steps.flgs.can & listed
            fine = steps.flgs.fine & (number > 1 and not listed.any())
            yield WideSteps(steps.before[steps.before == before], steps.flgs._replace(can=can, fine=fine))


def latency_along(paths: WidePaths, prices: NetworkPrices, lfa: LFA) -> float:
    costs = WideTimedPaths(_Along(paths, lfa), prices, LATENCY).costs(Budget())  # type: ignore[arg-type]
    assert costs is not None
    return float(costs[0]) * (1 - ROUNDING)


def assert_not_below(plan: Plan, spare: float, slower: int, most_parts: int) -> None:
    """Hold the best of all DLSAs against the timed path of its LFA, in the least buffer or in a little more."""
    least = least_peak_bytes(plan)
    platform = plan.problem.platform
    dram = max(1, math.floor(platform.dram_bytes_per_cycle / slower))
    platform = replace(platform, gbuf_bytes=least + int(spare * least), dram_bytes_per_cycle=dram)
    problem = replace(plan.problem.whole, platform=platform)
    plan = make_plan(problem, plan.lfa)
    if plan.dram_tensor_count > 30 or plan.lfa.passes > 1:
        return
    with patch.object(layer_bounds, "MOST_PARTS", most_parts):
        paths, prices = paths_of(problem, wide=True)
        if not paths.found_of_all:
            return
        found = latency_along(paths, prices, plan.lfa)
    exact = solve_dlsa_exactly(plan, CpSatParameters(workers=1))
    assert found <= exact.schedule.latency


SPARE, SLOWER, MOST_PARTS = st.sampled_from([0.0, 0.05, 0.2, 0.5]), st.sampled_from([1, 2, 5, 100]), [2, 128]


@examples(40)
@given(pairs(max_layers=5, max_tiling_number=6, divides=True), SPARE, SLOWER, st.sampled_from(MOST_PARTS))
def test_no_schedule_of_an_lfa_is_below_its_own_timed_path(
    pair: Pair, spare: float, slower: int, most_parts: int
) -> None:
    assert_not_below(pair.plan, spare, slower, most_parts)


@examples(60)
@given(
    pairs(max_layers=5, max_tiling_number=2, wide=False),
    st.sampled_from(SMALL_PARTS),
    st.integers(0, 2**32 - 1),
    SPARE,
    SLOWER,
    st.sampled_from(MOST_PARTS),
)
def test_no_schedule_of_an_lfa_with_small_parts_is_below_its_own_timed_path(
    pair: Pair, core_array: tuple[str, int], seed: int, spare: float, slower: int, most_parts: int
) -> None:
    with small_parts(pair.plan.problem, core_array, seed) as plan:
        if plan is not None:
            assert_not_below(plan, spare, slower, most_parts)


def problem_of(layers: tuple[Layer, ...], shape: tuple[int, int, int], batch: int, gbuf_bytes: int) -> Problem:
    """Return a problem whose DRAM moves a byte per cycle, with a granule of 8 channels."""
    platform = replace(PLATFORMS["edge"], dram_bytes_per_cycle=1, macs_per_pe=32, pe_grid=1, gbuf_bytes=gbuf_bytes)
    inputs = (ExternalInput("x", shape), ExternalInput("y", (64, 1, 1)))
    read = {name for layer in layers for name in layer.inputs}
    return Problem(Network("chain", tuple(one for one in inputs if one.name in read), layers), platform, batch)


TWO = (
    Conv(name="a", C=64, K=64, H=1, W=1, inputs=("x",)),
    Conv(name="b", C=64, K=64, H=1, W=1, ifmaps=("a",)),
)


@pytest.mark.parametrize(("spare", "gained"), [(0, 0), (1, 1), (16, 16), (100, 16)])
def test_weights_of_parts_that_the_buffer_cannot_hold_earlier_are_waited_for(spare: int, gained: int) -> None:
    # Each layer has 4096 bytes of weights and computes 128 cycles; parts have 8 channels or more. The last part of a
    # runs after 4096 cycles of loads, for 16 cycles. Its tile holds 8 channels of weights and of the ofmap, and x:
    # 512 + 8 + 64 bytes. What of b's weights has no room beside them is loaded after that; then b's last part runs.
    problem = problem_of(TWO, (64, 1, 1), 1, 584 + spare)
    assert math.ceil(least_latency(problem, wide=True)) == 2 * (4096 + 16) - gained


def test_the_first_part_of_a_layer_waits_for_its_own_weights_alone() -> None:
    # 64 samples: each layer has 4096 bytes of weights and computes 8192 cycles. Before the first tile of a, 512 bytes
    # of weights are loaded. In a large buffer nothing else waits. Merged labels lose up to a bucket, 8 cycles.
    problem = problem_of(TWO, (64, 1, 1), 64, 1 << 20)
    assert 512 + 2 * 8192 - 8 < least_latency(problem, wide=True) <= 512 + 2 * 8192


# Layers a and b read x and have tiles of 512 bytes and 128 cycles, and 64 bytes of weights each, which the first tile
# waits for. At a's last tile the buffer holds its weights, its tile and x's: 1088 bytes. b's last tile may come after
# it, for 128 cycles, and b's weights be loaded by then. So of c's 512 bytes, loads may be ahead by 128 − 64 cycles and
# the bytes beside the 1088.
BESIDE = (
    Conv(name="a", C=8, K=8, H=128, W=1, inputs=("x",)),
    Conv(name="b", C=8, K=8, H=128, W=1, inputs=("x",)),
    Conv(name="c", C=64, K=8, H=1, W=1, inputs=("y",)),
)
# Half of a may be elsewhere. Its 512 cycles follow 64 bytes of weights. At its last tile the buffer holds at least 8
# of its channels, 64 bytes of weights and 512 of the ofmap, and 512 of x. Loads of c may be ahead by the bytes beside.
HALF = (
    Conv(name="a", C=8, K=16, H=128, W=1, inputs=("x",)),
    Conv(name="c", C=64, K=8, H=1, W=1, inputs=("y",)),
)


@pytest.mark.parametrize(
    ("layers", "fused", "gbuf_bytes", "gained"),
    [(BESIDE, "ab", 1088 + 64, 128), (BESIDE, "ab", 1088 + 164, 228), (HALF, "a", 1088, 0), (HALF, "a", 1188, 100)],
)
def test_loads_of_the_next_flg_are_ahead_by_what_the_buffer_holds(
    layers: tuple[Layer, ...], fused: str, gbuf_bytes: int, gained: int
) -> None:
    problem = problem_of(layers, (8, 128, 1), 1, gbuf_bytes)
    lfa = LFA((FLG(tuple(fused), 2, True), FLG(("c",), 1, False)))
    assert math.ceil(latency_along(*paths_of(problem, wide=True), lfa)) == 64 + 512 + 512 + 16 - gained


def test_parts_that_may_run_early_let_nobody_wait_for_them() -> None:
    # a has 64 bytes of weights and computes 8192 cycles; b, which does not depend on it, 4096 bytes and 128 cycles. All
    # parts of b but one may run, and be loaded, while a does: 64 + 4096 + 16 cycles are less than what both compute. No
    # part of b needs to wait for a, and of the 64 cycles before a some of b may make use.
    layers = (
        Conv(name="a", C=8, K=8, H=4096, W=1, inputs=("x",)),
        Conv(name="b", C=64, K=64, H=1, W=1, inputs=("y",)),
    )
    problem = problem_of(layers, (8, 4096, 1), 1, 700)
    assert 8192 + 128 - 16 < least_latency(problem, wide=True) <= 8192 + 128


@pytest.mark.parametrize(("sizes", "rows"), [((8, 4), 1), ((4, 8), 1)])
def test_no_schedule_of_a_chain_is_below_the_timed_path(sizes: tuple[int, ...], rows: int) -> None:
    """Of every LFA with all divisions and shared loads, with the best of all its DLSAs."""
    widths = [4, *sizes]
    layers = tuple(
        replace(conv(f"l{i}", "x" if i == 0 else f"l{i - 1}"), C=widths[i], K=widths[i + 1], H=rows, W=1)
        for i in range(len(sizes))
    )
    closest = 0.0
    with patch.object(PublishedCoreArray, "granule", 4):
        for gbuf_bytes in (50, 90):
            problem = problem_of(layers, (4, rows, 1), 1, gbuf_bytes)
            (latency, cost), _ = cheapest(problem, [Objective(0.0, 1.0), Objective(1.0, 1.0)], True, 2)
            if latency == math.inf:
                continue
            found, bound = least_latency(problem, wide=True), bound_every_lfa(problem, wide=True)
            assert max(math.ceil(found), bound.latency) <= latency
            assert bound.cost <= cost * (1 + 1e-9)
            closest = max(closest, found / latency)
    assert closest > 0.5  # inputs and stores are not counted


def test_the_bound_over_every_lfa_is_no_less_than_the_timed_path() -> None:
    problem = problem_of(TWO, (64, 1, 1), 1, 700)
    bound = bound_every_lfa(problem, wide=True)
    assert bound.complete
    assert bound.latency >= math.ceil(least_latency(problem, wide=True))
