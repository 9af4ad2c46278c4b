"""Timed paths over downsets: never above any schedule, and as high as computed by hand."""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support.brute_lfas import cheapest
from support.budgets import Looks
from support.timed_paths import LATENCY, least_latency, paths_of, timed_paths
from support.tiny_problems import conv
from support.twins import Pair, examples, pairs

from soma_cp.annealing.budget import Budget
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.layers import Conv, ExternalInput, Layer
from soma_cp.model.network.network import Network
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.footprint import least_peak_bytes
from soma_cp.model.soma.lfa import FLG, LFA
from soma_cp.model.soma.plan import make_plan
from soma_cp.solver.every_lfa import network_bounds, path_times
from soma_cp.solver.every_lfa.downset_paths import ROUNDING, DownsetPaths, Steps
from soma_cp.solver.every_lfa.network_bounds import WAITS, NetworkPrices, bound_every_lfa, layer_prices
from soma_cp.solver.every_lfa.path_times import TimedPaths
from soma_cp.solver.parameters import CpSatParameters
from soma_cp.solver.second_stage.exact import solve_dlsa_exactly


def with_buffer(problem: Problem, gbuf_bytes: int) -> Problem:
    return Problem(problem.network, replace(problem.platform, gbuf_bytes=gbuf_bytes), problem.batch)


class _Along:
    """The paths of one LFA alone: its downsets and Tiling Numbers, with any DRAM cuts."""

    def __init__(self, paths: DownsetPaths, lfa: LFA) -> None:
        self.problem, self.input, self.stores, self.uses = paths.problem, paths.input, paths.stores, paths.uses
        self.found_of_all = paths.found_of_all
        self._paths = paths
        index = {row.tobytes(): i for i, row in enumerate(paths.input.member)}
        ids = {layer.name: i for i, layer in enumerate(paths.problem.network.layers)}
        reached = np.zeros(len(ids), np.bool_)
        self._step: dict[int, tuple[int, int]] = {}  # by downset: the one before it, and the Tiling Number
        for flg in lfa.flgs:
            for layers in [[name] for name in flg.layers] if flg.tiling_number == 1 else [flg.layers]:
                before = index[reached.tobytes()]
                reached[[ids[name] for name in layers]] = True
                self._step[index[reached.tobytes()]] = before, flg.tiling_number

    def steps_to(self, after: int, budget: Budget) -> Iterator[Steps | None]:
        before, number = self._step.get(after, (-1, 0))
        for steps in self._paths.steps_to(after, budget):
            assert steps is not None
            listed = steps.flgs.number == number
            can = steps.flgs.can & listed
            fine = steps.flgs.fine & (number > 1 and not listed.any())
            yield Steps(steps.before[steps.before == before], steps.flgs._replace(can=can, fine=fine))


def latency_along(paths: DownsetPaths, prices: NetworkPrices, lfa: LFA) -> float:
    costs = TimedPaths(_Along(paths, lfa), prices, LATENCY).costs(Budget())  # type: ignore[arg-type]
    assert costs is not None
    return float(costs[0]) * (1 - ROUNDING)


@examples(60)
@given(
    pairs(max_layers=5, max_tiling_number=6, wide=False),
    st.sampled_from([0.0, 0.05, 0.2, 0.5]),
    st.sampled_from([1, 2, 5, 100]),
    st.sampled_from([2, 128]),
)
def test_no_schedule_of_an_lfa_is_below_its_own_timed_path(
    pair: Pair, spare: float, slower: int, most_parts: int
) -> None:
    """With the best of all its DLSAs, which has the buffer that some DLSA needs just so, or a little more."""
    least = least_peak_bytes(pair.plan)
    platform = pair.plan.problem.platform
    dram = max(1, math.floor(platform.dram_bytes_per_cycle / slower))
    platform = replace(platform, gbuf_bytes=least + int(spare * least), dram_bytes_per_cycle=dram)
    problem = Problem(pair.plan.problem.network, platform, pair.plan.problem.batch)
    plan = make_plan(problem, pair.plan.lfa)
    if plan.dram_tensor_count > 30:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("soma_cp.solver.every_lfa.layer_bounds.MOST_PARTS", most_parts)
        paths, prices = paths_of(problem)
        if not paths.found_of_all:
            return
        found = latency_along(paths, prices, plan.lfa)
    exact = solve_dlsa_exactly(plan, CpSatParameters(workers=1))
    assert found <= exact.schedule.latency


def chain(layers: tuple[Layer, ...], shape: tuple[int, int, int], batch: int, gbuf_bytes: int) -> Problem:
    """Return a problem whose DRAM moves a byte per cycle."""
    platform = replace(PLATFORMS["edge"], dram_bytes_per_cycle=1, macs_per_pe=32, pe_grid=1, gbuf_bytes=gbuf_bytes)
    inputs = (ExternalInput("x", shape), ExternalInput("y", (64, 1, 1)))
    read = {name for layer in layers for name in layer.inputs}
    network = Network("chain", tuple(one for one in inputs if one.name in read), layers)
    return Problem(network, platform, batch)


TWO = (
    Conv(name="a", C=64, K=64, H=1, W=1, inputs=("x",)),
    Conv(name="b", C=64, K=64, H=1, W=1, ifmaps=("a",)),
)


@pytest.mark.parametrize(("spare", "gained"), [(0, 0), (1, 1), (100, 100), (4096, 128)])
def test_weights_that_the_buffer_cannot_hold_earlier_are_waited_for(spare: int, gained: int) -> None:
    # Each layer has 4096 bytes of weights and computes 128 cycles. At the end of a, the buffer holds its weights, x and
    # its ofmap, 64 bytes each. What of the weights of b has no room beside them is loaded after that, and then b runs:
    # 4096 + 128 + 4096 + 128 cycles, less the bytes that are loaded while a runs, at most 128.
    problem = chain(TWO, (64, 1, 1), 1, 4096 + 64 + 64 + spare)
    compute = [int(choice.cycles[0]) for choice in layer_prices(problem).choices()]
    assert compute == [128, 128]
    assert math.ceil(least_latency(problem)) == 2 * 4096 + sum(compute) - gained


class Fixed(NamedTuple):
    """An LFA, given by Tiling Number and layers of its FLGs, and the cycles of all its loads and tiles that wait."""

    layers: tuple[Conv, ...]
    flgs: tuple[tuple[int, str], ...]
    gbuf_bytes: int
    cycles: int


def pointwise(name: str, source: str, C: int, K: int, H: int) -> Conv:
    """Return a layer of C·K bytes of weights and H rows, each of K bytes and C·K / 32 cycles."""
    where = {"inputs": (source,)} if source in "xy" else {"ifmaps": (source,)}
    return Conv(name=name, C=C, K=K, H=H, W=1, **where)  # type: ignore[arg-type]


# Both layers load 512 bytes and compute 512 cycles. At a the buffer holds 512 + 256 + 2048 bytes: weights, x and ofmap;
# at b as many. Of b's weights, what it has room for beside a's bytes is loaded while a runs.
KEPT = Fixed((pointwise("a", "x", 8, 64, 32), pointwise("b", "a", 64, 8, 32)), ((1, "a"), (1, "b")), 2816, 4 * 512)

# Tiles are rows, 64 bytes and 128 cycles. All weights of a and b, 8192 bytes, are there before b's first tile, which
# begins 384 cycles before the end of the FLG. At a's last tile, 128 cycles before that end, the buffer holds them and
# 3 · 64 bytes: x's and a's tile, and b's first. What of c's weights has no room beside these is loaded after that.
FUSED = Fixed(
    (pointwise("a", "x", 64, 64, 2), pointwise("b", "a", 64, 64, 2), pointwise("c", "b", 64, 64, 2)),
    ((2, "ab"), (1, "c")),
    8192 + 3 * 64,
    8192 + 384 + 4096 + 256,
)

# Tiles have 512 bytes and 128 cycles, a and b have 64 bytes of weights each. At a's last tile the buffer holds its
# weights, its tile and x's: 1088 bytes. b's last tile may come after it: 128 cycles, and b's 64 bytes of weights may be
# loaded by then. So of c's 512 bytes, loads may be ahead of the end by 128 − 64 cycles and the bytes beside the 1088.
BESIDE = Fixed(
    (pointwise("a", "x", 8, 8, 128), pointwise("b", "x", 8, 8, 128), pointwise("c", "y", 64, 8, 1)),
    ((2, "ab"), (1, "c")),
    1088 + 64,
    128 + 128 + 256 + 512 + 16,
)

# a's ofmap, 512 bytes, is there until b's last tile; b and c have tiles of 256 bytes and 64 cycles, and each layer 64
# bytes of weights. At c's first tile the buffer holds 512 + 2 · 64 + 2 · 256 = 1152 bytes; a round of 128 cycles is
# left then. At c's last tile it holds 576 bytes, and a's ofmap no longer. d loads 512 bytes.
GONE = Fixed(
    (
        pointwise("a", "x", 8, 8, 64),
        pointwise("b", "a", 8, 8, 64),
        pointwise("c", "b", 8, 8, 64),
        pointwise("d", "y", 64, 8, 1),
    ),
    ((1, "a"), (2, "bc"), (1, "d")),
    1152,
    64 + 128 + 256 + 512 + 16,
)


@pytest.mark.parametrize(
    ("fixed", "spare", "gained"),
    [
        (KEPT, 0, 0),
        (KEPT, 100, 100),
        (KEPT, 1000, 512),
        (FUSED, 0, 128),
        (FUSED, 100, 228),
        (FUSED, 1000, 384),
        (BESIDE, 0, 128),
        (BESIDE, 100, 228),
        (GONE, 0, 128),
        (GONE, 50, 178),
    ],
)
def test_loads_of_the_next_flg_are_ahead_by_what_the_buffer_holds(fixed: Fixed, spare: int, gained: int) -> None:
    first = fixed.layers[0]
    problem = chain(fixed.layers, (first.C, first.H, 1), 1, fixed.gbuf_bytes + spare)
    lfa = LFA(tuple(FLG(tuple(names), number, i == 0) for i, (number, names) in enumerate(fixed.flgs)))
    assert math.ceil(latency_along(*paths_of(problem), lfa)) == fixed.cycles - gained


@cache
def optima(layers: tuple[Layer, ...], batch: int, gbuf_bytes: int) -> tuple[float, ...]:
    problem = chain(layers, (4, layers[0].H, 1), batch, gbuf_bytes)
    return tuple(cheapest(problem, [Objective(0.0, 1.0), Objective(1.0, 1.0)], wide=False)[0])


@pytest.mark.parametrize(
    ("sizes", "rows", "batch"), [((4, 8, 8), 2, 1), ((8, 16), 3, 1), ((8, 4, 16), 1, 2), ((16, 4, 8), 2, 1)]
)
def test_no_schedule_of_a_chain_is_below_the_timed_path(sizes: tuple[int, ...], rows: int, batch: int) -> None:
    """Of every LFA, with the best of all its DLSAs, for buffers that hold the largest layer and a little more."""
    widths = [4, *sizes]
    layers = tuple(
        replace(conv(f"l{i}", "x" if i == 0 else f"l{i - 1}"), C=widths[i], K=widths[i + 1], H=rows, W=1)
        for i in range(len(sizes))
    )
    largest = max(a * b for a, b in zip(widths, sizes, strict=False))
    closest = 0.0
    for spare in (20, 40, 60, 90, 140, 200):
        latency, cost = optima(layers, batch, largest + spare)
        if latency == math.inf:
            continue
        problem = chain(layers, (4, rows, 1), batch, largest + spare)
        found = least_latency(problem)
        bound = bound_every_lfa(problem)
        assert max(math.ceil(found), bound.latency) <= latency
        assert bound.cost <= cost * (1 + 1e-9)
        closest = max(closest, found / latency)
    assert closest > 0.75  # inputs and stores are not counted


@pytest.mark.parametrize("wide", [False, True])
def test_merged_labels_only_lower_the_bound(wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem(builtin_network("tiny-unet"), replace(PLATFORMS["edge"], dram_bytes_per_cycle=1), 4)
    exact = least_latency(problem, wide)
    monkeypatch.setattr(path_times, "BUCKETS", 2)
    assert 0 < least_latency(problem, wide) <= exact


@pytest.mark.parametrize("wide", [False, True])
def test_timed_paths_go_on_where_a_budget_ended(wide: bool) -> None:
    problem = Problem(builtin_network("tiny-unet"), PLATFORMS["edge"], 2)
    expected = timed_paths(problem, wide).costs(Budget())
    timed = timed_paths(problem, wide)
    for looks in range(1, 100):
        found = timed.costs(Looks(looks))
        assert (found is None) == timed.can_go_on
        if found is not None:
            break
    assert found is not None
    assert looks > 1
    assert found.tolist() == expected.tolist()  # type: ignore[union-attr]


def test_the_bound_says_that_it_comes_from_waits() -> None:
    problem = chain((*TWO, Conv(name="c", C=64, K=64, H=1, W=1, ifmaps=("b",))), (64, 1, 1), 2, 4096 + 192)
    bound = bound_every_lfa(problem)
    assert bound.complete
    assert bound.latency_source == WAITS
    assert bound.latency > bound_every_lfa(problem, with_paths=False).latency


def test_waits_that_take_long_are_not_looked_for_where_a_known_schedule_is_close(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(network_bounds, "CLOSE", 0.004)
    problem = chain((*TWO, Conv(name="c", C=64, K=64, H=1, W=1, ifmaps=("b",))), (64, 1, 1), 2, 4096 + 192)
    most = bound_every_lfa(problem).cost
    assert bound_every_lfa(problem, known_cost=0.0).cost == most  # it takes no time
    monkeypatch.setattr(network_bounds, "FEW_DOWNSETS", 0)
    without = bound_every_lfa(problem, known_cost=0.0)
    assert without.complete
    assert most > 1.008 * without.cost
    for above, expected in ((0.0039, without.cost), (0.0041, most)):
        assert bound_every_lfa(problem, known_cost=without.cost * (1 + above)).cost == expected
