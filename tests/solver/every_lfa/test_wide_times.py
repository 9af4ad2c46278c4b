"""Timed paths over downsets in the wide space: never above any schedule, and as high as computed by hand."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple
from unittest.mock import patch

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support.brute_lfas import cheapest
from support.divided_lfas import SMALL_PARTS, small_parts
from support.slow_wide_times import slow_wide_times
from support.strategies import Case
from support.timed_paths import LATENCY, least_latency, paths_of
from support.tiny_problems import NETWORKS, case_of, conv
from support.tiny_problems import problem_of as tiny_problem
from support.twins import Pair, examples, pairs

from soma_cp.annealing.budget import Budget
from soma_cp.model.arrays import FloatArray
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.core_array.published import PublishedCoreArray
from soma_cp.model.network.layers import Conv, ExternalInput, Layer
from soma_cp.model.network.network import Network
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.footprint import least_peak_bytes
from soma_cp.model.soma.lfa import FLG, LFA
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.solver.every_lfa import layer_bounds, path_times
from soma_cp.solver.every_lfa.downset_paths import ROUNDING
from soma_cp.solver.every_lfa.layer_bounds import LayerPrices
from soma_cp.solver.every_lfa.network_bounds import NetworkPrices, bound_every_lfa
from soma_cp.solver.every_lfa.wide_paths import WidePaths, WideSteps
from soma_cp.solver.every_lfa.wide_steps import WideLayers
from soma_cp.solver.every_lfa.wide_times import WideTimedPaths
from soma_cp.solver.parameters import CpSatParameters
from soma_cp.solver.second_stage.exact import solve_dlsa_exactly


def with_slow_dram(problem: Problem, gbuf_bytes: int, slower: int) -> Problem:
    dram = max(1, math.floor(problem.platform.dram_bytes_per_cycle / slower))
    return replace(problem, platform=replace(problem.platform, gbuf_bytes=gbuf_bytes, dram_bytes_per_cycle=dram))


ENERGY_PRICE, NEVER_PJ = 1e-12, 1e24
"""At this price, what tiny networks take is less than a thousandth of a cycle; so many pJ are more than them all."""


class _Along:
    """The paths of one LFA alone: its downsets of last parts, its Tiling Numbers, any DRAM cuts and shared loads.

    If `kept` is given, no LG ends where it would store one of these layers, and a layer with several tiles has not one
    instead.
    """

    def __init__(self, paths: WidePaths, lfa: LFA, kept: str | None = None) -> None:
        self._paths = paths
        layers = paths.problem.network.layers
        self.stores = np.where([layer.name in (kept or "") for layer in layers], NEVER_PJ, 0.0), np.zeros(len(layers))
        index = {row.tobytes(): i for i, row in enumerate(paths.input.member)}
        ids = {layer.name: i for i, layer in enumerate(paths.problem.network.layers)}
        names = [name.split("/")[0] if name not in ids else name for flg in lfa.flgs for name in flg.layers]
        last = {name: place for place, name in enumerate(names)}
        numbers = [flg.tiling_number for flg in lfa.flgs for _ in flg.layers]
        self._of_many_tiles = [ids[name] for name, at in last.items() if kept is not None and numbers[at] > 1]
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

    def priced(self, prices: LayerPrices, multipliers: FloatArray) -> WideLayers:
        layers = self._paths.priced(prices, multipliers)
        layers.alone[self._of_many_tiles] = 1 << 60
        return layers

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


def latency_along(paths: WidePaths, prices: NetworkPrices, lfa: LFA, kept: str | None = None) -> float:
    multipliers = np.array([(ENERGY_PRICE, 1.0)]) if kept else LATENCY
    timed = WideTimedPaths(_Along(paths, lfa, kept), prices, multipliers, lfa.passes)  # type: ignore[arg-type]
    costs = timed.costs(Budget())
    assert costs is not None
    return float(costs[0]) * (1 - ROUNDING)


def without_copies(plan: Plan) -> LFA:
    """Return the LFA of a plan without tiles that are copies, which no path has: they cost more, and need no less."""
    network, flgs = plan.problem.network, []
    for flg in plan.lfa.flgs:
        ids = [network.layer_id[name] for name in flg.layers]
        whole = all(plan.layers.extent[i, 2:].tolist() == [network.layers[i].H, network.layers[i].W] for i in ids)
        number = math.gcd(flg.tiling_number, plan.problem.batch) if whole else flg.tiling_number
        flgs.append(replace(flg, tiling_number=number))
    return replace(plan.lfa, flgs=tuple(flgs))


def assert_not_below(plan: Plan, spare: float, slower: int, most_parts: int) -> None:
    """Hold the best of all DLSAs against the timed path of its LFA, in the least buffer or in a little more."""
    least = least_peak_bytes(plan)
    problem = with_slow_dram(plan.problem.whole, least + int(spare * least), slower)
    plan = make_plan(problem, plan.lfa)
    if plan.dram_tensor_count > 30:
        return
    of_pass = replace(problem, batch=problem.batch // plan.lfa.passes)
    with patch.object(layer_bounds, "MOST_PARTS", most_parts):
        paths, prices = paths_of(of_pass, wide=True)
        if not paths.found_of_all:
            return
        lfa = without_copies(make_plan(of_pass, replace(plan.lfa, passes=1)))
        found = latency_along(paths, prices, replace(lfa, passes=plan.lfa.passes))
    exact = solve_dlsa_exactly(plan, CpSatParameters(workers=1))
    assert found <= exact.schedule.latency


SPARE, SLOWER, MOST_PARTS = st.sampled_from([0.0, 0.05, 0.2, 0.5]), st.sampled_from([1, 2, 5, 100]), [2, 128]


@examples(40)
@given(pairs(max_layers=5, max_tiling_number=6, divides=True), SPARE, SLOWER, st.sampled_from(MOST_PARTS))
def test_no_schedule_of_an_lfa_is_below_its_own_timed_path(
    pair: Pair, spare: float, slower: int, most_parts: int
) -> None:
    assert_not_below(pair.plan, spare, slower, most_parts)


@examples(30)
@given(pairs(max_layers=3, max_tiling_number=2, divides=True, passes=True), SPARE, SLOWER, st.sampled_from(MOST_PARTS))
def test_no_schedule_in_passes_is_below_the_timed_path_of_its_lfa(
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


@pytest.mark.parametrize(("spare", "gained"), [(0, 0), (1, 1), (100, 16)])
@pytest.mark.parametrize("passes", [2, 3, 7])
def test_each_pass_loads_what_the_buffer_cannot_hold_in_the_one_before(passes: int, spare: int, gained: int) -> None:
    # As above, but b is the a of the next pass. From the third pass on, all take as long as the last.
    problem = problem_of(TWO[:1], (64, 1, 1), 1, 584 + spare)
    paths, prices = paths_of(problem, wide=True)
    multipliers = np.array([(0.0, 1.0), (1.0, 1.0)])
    once, found = (
        WideTimedPaths(paths, prices, multipliers, number).costs(Budget())  # type: ignore[arg-type]
        for number in (1, passes)
    )
    assert once is not None
    assert found is not None
    assert math.ceil(found[0]) == passes * (4096 + 16) - (passes - 1) * gained
    assert found[1] - found[0] == pytest.approx(passes * (once[1] - once[0]), rel=1e-9)


def test_the_first_part_of_a_layer_waits_for_its_own_weights_alone() -> None:
    # 64 samples: each layer has 4096 bytes of weights and computes 8192 cycles. Before the first tile of a, 512 bytes
    # of weights are loaded. In a large buffer nothing else waits. Merged labels lose up to a bucket, 8 cycles.
    problem = problem_of(TWO, (64, 1, 1), 64, 1 << 20)
    assert 512 + 2 * 8192 - 8 < least_latency(problem, wide=True) <= 512 + 2 * 8192


class Fixed(NamedTuple):
    """An LFA, given by Tiling Number and layers of its FLGs, and the cycles of all its loads and tiles that wait.

    Parts of a layer before its last one may be anywhere; layers in `kept` stay on chip.
    """

    layers: tuple[Layer, ...]
    flgs: tuple[tuple[int, str], ...]
    gbuf_bytes: int
    cycles: int
    batch: int = 1
    kept: str = ""
    most_parts: int = 128


def pointwise(name: str, source: str, C: int, K: int, H: int = 1, **fields: int) -> Conv:
    """Return a layer of C·K bytes of weights, for 1×1 kernels, and rows of K bytes and C·K / 32 cycles."""
    where = {"inputs": (source,)} if source in "xy" else {"ifmaps": (source,)}
    return Conv(name=name, C=C, K=K, H=H, W=1, **where, **fields)  # type: ignore[arg-type]


LOAD = pointwise("c", "y", 64, 8)
"""It loads 512 bytes, then computes 16 cycles, and needs 584 bytes, y's 64 and 8 of its ofmap among them."""

# Layers a and b read x and have tiles of 512 bytes and 128 cycles, and 64 bytes of weights each, which the first tile
# waits for. At a's last tile the buffer holds its weights, its tile and x's: 1088 bytes. b's last tile may come after
# it, for 128 cycles, and b's weights be loaded by then. So of c's 512 bytes, loads may be ahead by 128 − 64 cycles and
# the bytes beside the 1088.
BESIDE = Fixed((pointwise("a", "x", 8, 8, 128), pointwise("b", "x", 8, 8, 128), LOAD), ((2, "ab"), (1, "c")), 1152, 976)

# Half of a may be elsewhere. Its 512 cycles follow 64 bytes of weights. At its last tile the buffer holds at least 8
# of its channels, 64 bytes of weights and 512 of the ofmap, and 512 of x. Loads of c may be ahead by the bytes beside.
HALF = Fixed((pointwise("a", "x", 8, 16, 128), LOAD), ((2, "a"), (1, "c")), 1088, 1104)

# The same, in 16 rounds of 32 cycles: 64 bytes of weights, 64 of the ofmap and 64 of x. At the end of the last round
# but one the buffer holds as many; with the other half of the weights, it would let loads be ahead by 32 bytes less.
ROUNDS = HALF._replace(flgs=((16, "a"), (1, "c")), gbuf_bytes=584, cycles=1104 - (584 - 192))

# After c, p reads a on chip. So at a's last tile the buffer holds the tile before, too, but of 8 channels alone: the
# others may be in an LG before. 64 bytes of weights, twice 512 of the ofmap and 512 of x; c needs 584 beside a's half,
# 1024 bytes. Then p has 128 bytes of weights and 512 cycles; it loads no more than c leaves room for, and waits.
KEPT = Fixed(
    (pointwise("a", "x", 8, 16, 128), LOAD, pointwise("p", "a", 16, 8, 128)),
    ((2, "a"), (1, "c"), (128, "p")),
    1608,
    1104 - 8 + 128 + 512,
    kept="a",
)

# p reads a in the FLG of a: 64 bytes of a's weights, then 1024 cycles. At p's last tile the buffer holds its 128 bytes
# of weights, its tile, 512 bytes, and those 8 channels of a's tile that are certain to be there, 512 bytes.
READ = Fixed(
    (pointwise("a", "x", 8, 16, 128), pointwise("p", "a", 16, 8, 128), LOAD),
    ((2, "ap"), (1, "c")),
    1216,
    64 + 1024 + 512 + 16 - (1216 - 1152),
)

# All 4096 bytes of a's weights are there before the first tile of its last part. In the round of that tile, at least 8
# of its 64 channels are still to come, 16 cycles, and so many in each of the 7 rounds after it.
LAST = Fixed((pointwise("a", "x", 64, 64),), ((8, "a"),), 1 << 20, 4096 + 16 + 7 * 16, batch=8)

# All parts of b are in the FLG of its producer: after its last load, 8 of its 512 channels are to come in that round, 2
# cycles. In the 7 rounds after it all of them are, 128 cycles, and 16 of a.
LAST_OF_FUSED = Fixed(
    (pointwise("a", "x", 64, 8), pointwise("b", "a", 8, 512)),
    ((8, "ab"),),
    1 << 20,
    512 + 4096 + 2 + 7 * (16 + 128),
    batch=8,
)

# The 8 channels of a that come last are followed by a tile of b, which is not divided: 128 cycles. In the 7 rounds
# after it, 2 cycles of a and these 128 follow.
FIRST_OF_FUSED = Fixed(
    (pointwise("a", "x", 8, 512), pointwise("b", "a", 512, 8)),
    ((8, "ab"),),
    1 << 20,
    4096 + 4096 + 128 + 7 * (2 + 128),
    batch=8,
)

# A part of g in the FLG of p asks for a row of 32: so p makes 4 of its 128 rows of 16 pixels, for each of 6 samples.
# 128 bytes of weights, 24 · 64 cycles. At p's last tile the buffer holds its weights, a row of p and one of x, 128 +
# 128 + 256 bytes; a part of g has 1024 bytes of weights more in the last round but one, but these are of g. So 1024 of
# the 1536 bytes are ahead of these 128 + 1536 cycles. All 2048 bytes of g are there before a tile of its last part: at
# least half of each tile of 64 cycles, 24 times.
GUEST = Fixed(
    (
        Conv(name="p", C=16, K=8, H=128, W=16, inputs=("x",)),
        Conv(name="g", C=8, K=16, H=4, W=1, S=16, sH=32, ifmaps=("p",)),
    ),
    ((24, "p"), (24, "g")),
    1536,
    128 + 1536 - 1024 + 2048 + 24 * 32,
    batch=6,
)

# More than two parts of a sample: of p, which has two rows, only with a part of g in its FLG, which has three. p has
# 4096 bytes of weights and at least 12 rows of 128 cycles; the last of 3 rounds or more takes a third of them. Before
# it the buffer holds 4096 bytes, and 128 of a part of g, but these are of g. Then all 2048 bytes of g are loaded.
MANY_PARTS = Fixed(
    (
        Conv(name="p", C=512, K=8, H=2, W=1, inputs=("x",)),
        Conv(name="g", C=8, K=128, H=3, W=1, R=2, ifmaps=("p",)),
    ),
    ((12, "p"), (12, "g")),
    4096 + 128,
    4096 + 1536 - 512 - 128 + 2048,
    batch=4,
    most_parts=2,
)

# h computes 4096 cycles in tiles of 2 rows, 64 bytes of weights and 32 of tiles, so loads are ahead of it by G − 96. b
# has 64 bytes of weights and 32 cycles, a 512 and 256. While the last part of a runs, the buffer holds 192 bytes of it
# and 128 of b. But when it ends, all 1024 bytes of a are there, which c reads: one FLG after b, none of them is in
# another LG. So loads are ahead of c by 640 bytes of 1664. c has 4096 bytes of weights and computes 2048 cycles, an
# eighth of them after its last load.
RESIDENT = Fixed(
    (
        pointwise("h", "x", 8, 8, 128),
        pointwise("b", "h", 8, 8, sH=128),
        pointwise("a", "b", 8, 64),
        pointwise("c", "a", 64, 64),
    ),
    ((1024, "h"), (1, "b"), (1, "a"), (1, "c")),
    640 + 1024,
    64 + 4096 + 32 + 256 + 4096 + 256 - 640,
    batch=16,
    kept="ab",
)


@pytest.mark.parametrize(
    ("fixed", "spare", "gained"),
    [
        (BESIDE, 0, 0),
        (BESIDE, 100, 100),
        (HALF, 0, 0),
        (HALF, 100, 100),
        (ROUNDS, 0, 0),
        (ROUNDS, 10, 10),
        (KEPT, 0, 0),
        (KEPT, 10, 20),  # 10 of c, and 10 of p
        (READ, 0, 0),
        (READ, 100, 100),
        (LAST, 0, 0),
        (LAST_OF_FUSED, 0, 0),
        (FIRST_OF_FUSED, 0, 0),
        (MANY_PARTS, 0, 0),
        (GUEST, 0, 0),
        (GUEST, 100, 100),
        (RESIDENT, 0, 0),
        (RESIDENT, 100, 100),
    ],
)
def test_loads_of_the_next_flg_are_ahead_by_what_the_buffer_holds(fixed: Fixed, spare: int, gained: int) -> None:
    first = fixed.layers[0]
    assert isinstance(first, Conv)
    problem = problem_of(fixed.layers, (first.C, first.H, first.W), fixed.batch, fixed.gbuf_bytes + spare)
    lfa = LFA(tuple(FLG(tuple(names), number, i == 0) for i, (number, names) in enumerate(fixed.flgs)))
    with patch.object(layer_bounds, "MOST_PARTS", fixed.most_parts):
        found = latency_along(*paths_of(problem, wide=True), lfa, fixed.kept)
    assert found == pytest.approx(fixed.cycles - gained, abs=1)  # cycles of channels elsewhere are rounded down


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


def assert_found_by_the_twin(case: Case, problem: Problem, most_parts: int, passes: int = 1) -> None:
    """The kernel merges labels, but loses no more than a bucket at each step; `problem` is that of a pass."""
    with patch.object(layer_bounds, "MOST_PARTS", most_parts), patch.object(path_times, "BUCKETS", 1 << 14):
        paths, prices = paths_of(problem, wide=True)
        if not paths.found_of_all:
            return
        least = paths.costs(Budget())
        slope = 0.0 if least is None else float(least[0] / max(1.0, least[1]))
        multipliers = [(0.0, 1.0), (1.0, slope or 1.0)]
        timed = WideTimedPaths(paths, prices, np.array(multipliers), passes)  # type: ignore[arg-type]
        found = timed.costs(Budget())
        slow = slow_wide_times(case, problem, prices, multipliers, most_parts, passes)
    if found is None:
        assert math.isinf(slow[0])
        return
    if passes > path_times.MOST_PASSES:
        assert (found <= np.array(slow) * (1 + ROUNDING)).all()
        return
    lost = timed._buckets.width * len(problem.network.layers) * passes
    for (_, cycle_price), kernel, twin in zip(multipliers, found.tolist(), slow, strict=True):
        assert kernel <= twin * (1 + ROUNDING)
        assert kernel >= twin * (1 - 1e-9) - lost * cycle_price


@examples(40)
@given(pairs(max_layers=4, max_tiling_number=4, divides=True), SPARE, SLOWER, st.sampled_from(MOST_PARTS))
def test_the_kernel_finds_what_the_slow_twin_finds(pair: Pair, spare: float, slower: int, most_parts: int) -> None:
    least = least_peak_bytes(pair.plan)
    problem = with_slow_dram(pair.plan.problem.whole, least + int(spare * least), slower)
    assert_found_by_the_twin(pair.case, problem, most_parts)


@examples(120)
@given(
    st.sampled_from(sorted(NETWORKS)),
    st.integers(1, 2),
    st.floats(0.5, 2),
    SLOWER,
    st.sampled_from([1, 2, 128]),
    st.sampled_from([1, 1, 2, 5]),
)
def test_the_kernel_finds_what_the_slow_twin_finds_of_tiny_networks(
    name: str, batch: int, size: float, slower: int, most_parts: int, passes: int
) -> None:
    """The buffer holds about as much as layers need that run one by one."""
    room = tiny_problem(name, batch, tight=True).platform.gbuf_bytes
    problem = with_slow_dram(tiny_problem(name, batch), int(size * room) + 1, slower)
    assert_found_by_the_twin(case_of(problem), problem, most_parts, passes)
