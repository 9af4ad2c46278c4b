"""Pieces of the second stage against brute force and the slow twin of their bound; the search that solves them."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given
from ortools.sat.python import cp_model
from support.brute_dlsa import TooManyError, brute_force_piece
from support.hints import assert_hint_is_a_solution
from support.paths import PUBLISHED
from support.slow_bounds import longest_paths_to, slow_windows
from support.strategies import valid_dlsas
from support.twins import Pair, dlsa_of, examples, pairs, problem_of, with_buffer

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.first_stage.initial_lfa import initial_lfa
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.arrays import IntArray
from soma_cp.model.hardware.builtin.catalogue import platform_named
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.network_file import read_network_file
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import DLSA
from soma_cp.model.soma.evaluation import evaluate
from soma_cp.model.soma.footprint import least_peak_bytes
from soma_cp.model.soma.lfa import FLG, LFA
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.schedule import priced
from soma_cp.model.soma.schedule_file import read_schedule
from soma_cp.model.soma.validity import violations
from soma_cp.solver.parameters import CpSatParameters
from soma_cp.solver.second_stage import piecewise
from soma_cp.solver.second_stage import windows as windows_module
from soma_cp.solver.second_stage.cpsat_model import SecondStageModel
from soma_cp.solver.second_stage.cpsat_run import Run, run_cpsat
from soma_cp.solver.second_stage.exact import solve_dlsa_exactly
from soma_cp.solver.second_stage.piece import Piece, cut_piece, put_back, whole_problem
from soma_cp.solver.second_stage.piece_kernel import shorten
from soma_cp.solver.second_stage.piecewise import Improved, improve_by_pieces
from soma_cp.solver.second_stage.windows import best_combinatorial_bound, dram_windows, window_arcs, window_work

FILES = sorted((PUBLISHED / "schedules").glob("*.json"))
RESNET = PUBLISHED / "schedules" / "resnet50.b4.8MiB.16GBps.json"
NO_ARCS = np.empty((0, 3), np.int64)


@cache
def published_plan(path: Path) -> Plan:
    name = json.loads(path.read_text(encoding="utf-8"))["network"]
    return read_schedule(path, read_network_file(PUBLISHED / "networks" / f"{name}.json")).plan


def draw_schedule(data: st.DataObject, pair: Pair, tight: bool = False) -> tuple[DLSA, int]:
    """Draw a capacity and a schedule that keeps it: the greedy one, or any."""
    plan = pair.plan
    least = least_peak_bytes(plan)
    if data.draw(st.booleans(), "greedy"):
        capacity = data.draw(st.integers(least, 2 * least), "capacity")
        return greedy_dlsa(with_buffer(plan, capacity)), capacity
    dlsa = dlsa_of(plan, data.draw(valid_dlsas(pair.slow), "schedule"))
    peak = evaluate(plan, dlsa).peak_buffer_bytes
    return dlsa, peak if tight else data.draw(st.integers(peak, 2 * peak), "capacity")


def draw_stretch(data: st.DataObject, plan: Plan, most: int | None = None) -> tuple[int, int]:
    count = plan.dram_tensor_count
    first = data.draw(st.integers(0, count - 1), "first")
    last = data.draw(st.integers(first + 1, min(count, first + (most or count))), "last")
    return first, last


# The bound against its slow twin


def assert_windows_of_twin(plan: Plan, capacity: int) -> None:
    piece = whole_problem(with_buffer(plan, capacity))
    windows, slow = dram_windows(piece), slow_windows(plan, capacity)
    for name, values in windows._asdict().items():
        expected = getattr(slow, name)
        assert (values if name == "latency" else values.tolist()) == expected, name
    assert np.array_equal(window_work(piece), slow.work)


@examples(200)
@given(pairs(), st.data())
def test_the_bound_of_random_plans_is_that_of_the_twin(pair: Pair, data: st.DataObject) -> None:
    least = least_peak_bytes(pair.plan)
    assert_windows_of_twin(pair.plan, data.draw(st.integers(least, 2 * least)))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("percent", [100, None])
def test_the_bound_of_published_plans_is_that_of_the_twin(path: Path, percent: int | None) -> None:
    plan = published_plan(path)
    capacity = plan.problem.platform.gbuf_bytes if percent is None else least_peak_bytes(plan) * percent // 100
    assert_windows_of_twin(plan, capacity)


@examples(250)
@given(pairs(), st.data())
def test_the_bound_of_shorter_windows_holds_for_every_schedule(pair: Pair, data: st.DataObject) -> None:
    dlsa, capacity = draw_schedule(data, pair, tight=True)
    plan = with_buffer(pair.plan, capacity)
    piece = whole_problem(plan)
    longest = data.draw(st.integers(0, piece.tile_count), "longest")
    with pytest.MonkeyPatch.context() as patch:
        size = max(piece.tile_count, plan.dram_tensor_count) + 1
        patch.setattr(windows_module, "MOST_WINDOWS", longest * size)
        short = dram_windows(piece)
    whole, found = dram_windows(piece), evaluate(plan, dlsa)
    assert short.latency <= found.latency
    assert (short.earliest_begin[:-1] <= found.tile_begin).all()
    assert (short.tail_from_begin[:-1] <= found.latency - found.tile_begin).all()
    assert (short.earliest_start <= whole.earliest_start).all()
    assert (short.latest_end >= whole.latest_end).all()
    if longest == piece.tile_count:
        assert all(np.array_equal(one, other) for one, other in zip(short, whole, strict=True))


def assert_arcs_say_it_all(piece: Piece) -> None:
    """The arcs lead to the same bounds as all of the windows."""
    cycles, ready = piece.tile_cycles.tolist(), piece.tile_ready.tolist()
    arcs = [(int(p), int(f), int(work)) for p, f, work in window_arcs(piece)]
    everything = window_work(piece)
    assert all(work == everything[p, f] for p, f, work in arcs)
    begin, opening = longest_paths_to(cycles, arcs, ready, piece.channel_ready)
    windows = dram_windows(piece)
    assert begin[: len(cycles)] == windows.earliest_begin[:-1].tolist()
    assert opening == windows.earliest_opening.tolist()
    assert begin[-1] == windows.earliest_begin[-1]


def assert_no_arc_is_implied(piece: Piece) -> None:
    cycles = piece.tile_cycles.tolist()
    arcs = [(int(p), int(f), int(work)) for p, f, work in window_arcs(piece)]
    for p, f, work in arcs:
        # From the end of tile p − 1 on, without the arc itself.
        others = [(q - p, g - p, other) for q, g, other in arcs if p <= q and g <= f and (q, g) != (p, f)]
        inside = cycles[p:f]
        begin, opening = longest_paths_to(inside, others)
        assert work > (begin[f - p] if f == len(cycles) else max(begin[f - p], opening[f - p]))


@examples(150)
@given(pairs(), st.data())
def test_arcs_are_all_that_is_needed_and_no_more(pair: Pair, data: st.DataObject) -> None:
    least = least_peak_bytes(pair.plan)
    piece = whole_problem(with_buffer(pair.plan, data.draw(st.integers(least, 2 * least))))
    assert_arcs_say_it_all(piece)
    assert_no_arc_is_implied(piece)


@examples(150)
@given(pairs(), st.data())
def test_arcs_of_pieces_are_all_that_is_needed(pair: Pair, data: st.DataObject) -> None:
    dlsa, capacity = draw_schedule(data, pair)
    piece = cut_piece(priced(with_buffer(pair.plan, capacity), dlsa), *draw_stretch(data, pair.plan))
    assert_arcs_say_it_all(piece)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_arcs_of_published_plans_are_all_that_is_needed(path: Path) -> None:
    assert_arcs_say_it_all(whole_problem(published_plan(path)))


# Against brute force


def solved(model: SecondStageModel) -> cp_model.CpSolver | None:
    """Solve a model to the end; None if it has no solution."""
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.cp_model_probing_level = 0
    solver.parameters.max_time_in_seconds = 20
    status = solver.solve(model.model)
    assert status in (cp_model.OPTIMAL, cp_model.INFEASIBLE)
    return solver if status == cp_model.OPTIMAL else None


def latency_of_piece(
    piece: Piece, dlsa: DLSA, capacity: int, most_cycles: int, arcs: IntArray | None = None
) -> int | None:
    """Solve the model of a piece without a hint; what it finds must fit back into the schedule."""
    windows = dram_windows(piece)
    model = SecondStageModel(piece, windows, window_arcs(piece) if arcs is None else arcs, most_cycles)
    solver = solved(model)
    if solver is None:
        return None
    new = put_back(piece, dlsa, *model.edges_of(solver))
    assert violations(with_buffer(piece.plan, capacity), new) == []
    assert_only_what_is_free_changed(piece, dlsa, new)
    assert evaluate(piece.plan, new).latency == solver.value(model.makespan)
    return int(solver.value(model.makespan))


def assert_only_what_is_free_changed(piece: Piece, dlsa: DLSA, new: DLSA) -> None:
    fixed = ~np.isin(np.arange(len(dlsa.order)), piece.tensors)
    assert np.array_equal(dlsa.start[fixed], new.start[fixed])
    assert np.array_equal(dlsa.end[fixed], new.end[fixed])
    places = np.isin(dlsa.order, piece.tensors)
    assert np.array_equal(dlsa.order[~places], new.order[~places])


@examples(100)
@given(pairs(max_layers=4, max_tiling_number=4), st.data())
def test_a_piece_of_everything_is_the_whole_problem(pair: Pair, data: st.DataObject) -> None:
    plan = pair.plan
    assume(plan.dram_tensor_count <= 20)
    dlsa, capacity = draw_schedule(data, pair)
    evaluation = evaluate(plan, dlsa)
    whole = whole_problem(with_buffer(plan, capacity))
    piece = cut_piece(priced(with_buffer(plan, capacity), dlsa), 0, plan.dram_tensor_count)
    optimum = latency_of_piece(whole, dlsa, capacity, evaluation.latency)
    assert optimum is not None
    assert latency_of_piece(piece, dlsa, capacity, evaluation.latency) == optimum
    for one, other in zip(dram_windows(whole), dram_windows(piece), strict=True):
        assert np.array_equal(one, other)


def assert_optimum_of_piece(plan: Plan, dlsa: DLSA, first: int, last: int, capacity: int) -> None:
    evaluation = evaluate(plan, dlsa)
    optimum = brute_force_piece(plan, dlsa, first, last, capacity, 2_000)
    assert optimum <= evaluation.latency
    piece = cut_piece(priced(with_buffer(plan, capacity), dlsa), first, last)
    windows = dram_windows(piece)
    assert windows.latency <= optimum
    found = latency_of_piece(piece, dlsa, capacity, 2 * evaluation.latency)
    assert found is not None
    # With a load behind the tiles, a store that ended within them may not now end behind, though there were room.
    assert found == optimum if not may_begin_behind(piece) else optimum <= found <= evaluation.latency
    assert latency_of_piece(piece, dlsa, capacity, 2 * evaluation.latency, NO_ARCS) == found
    # The tighter the limit, the more is left out of the model beforehand.
    assert latency_of_piece(piece, dlsa, capacity, evaluation.latency) == found
    assert latency_of_piece(piece, dlsa, capacity, found) == found
    if windows.latency < found:
        assert latency_of_piece(piece, dlsa, capacity, found - 1) is None


@examples(250)
@given(pairs(max_layers=4, max_tiling_number=3), st.data())
def test_random_pieces_against_brute_force(pair: Pair, data: st.DataObject) -> None:
    plan = pair.plan
    assume(2 <= plan.dram_tensor_count <= 7)
    dlsa, capacity = draw_schedule(data, pair)
    first, last = draw_stretch(data, plan)
    try:
        assert_optimum_of_piece(plan, dlsa, first, last, capacity)
    except TooManyError:
        assume(False)


@examples(200)
@given(pairs(max_layers=5), st.data())
def test_what_is_put_back_is_valid(pair: Pair, data: st.DataObject) -> None:
    """Larger plans than brute force can do; the buffer is as tight as the schedule allows."""
    plan = pair.plan
    assume(4 <= plan.dram_tensor_count <= 40)
    dlsa, capacity = draw_schedule(data, pair, tight=True)
    evaluation = evaluate(plan, dlsa)
    first, last = draw_stretch(data, plan, most=10)
    piece = cut_piece(priced(with_buffer(plan, capacity), dlsa), first, last)
    best = latency_of_piece(piece, dlsa, capacity, 2 * evaluation.latency, NO_ARCS)
    assert best is not None
    assert latency_of_piece(piece, dlsa, capacity, best) == best


@examples(200)
@given(pairs(), st.data())
def test_free_durations_agree_with_what_is_fixed(pair: Pair, data: st.DataObject) -> None:
    """No free store has to end before a transfer that is before it can begin; no free load begins too late."""
    plan, tensors = pair.plan, pair.plan.tensors
    dlsa, capacity = draw_schedule(data, pair)
    first, last = draw_stretch(data, plan)
    piece = cut_piece(priced(with_buffer(plan, capacity), dlsa), first, last)
    prefix, suffix = dlsa.order[:first], dlsa.order[last:]
    stores = piece.is_store
    kept = (piece.least_end + piece.first_tile)[stores & (piece.least_end < piece.tile_count)]
    assert np.all(kept > dlsa.start[prefix].max(initial=-1))
    begins = (piece.latest_start + piece.first_tile)[~stores]
    suffix_ends = dlsa.end[suffix[tensors.is_store[suffix]]]
    assert np.all(begins < suffix_ends.min(initial=plan.tile_count + 1))
    suffix_needs = tensors.position[suffix[~tensors.is_store[suffix]]]
    assert np.all(begins <= suffix_needs.min(initial=plan.tile_count))


LATE_NETWORK = {
    "name": "late",
    "inputs": [{"name": f"in{n}", "shape": [channels, 1, 1]} for n, channels in enumerate((3, 8, 2, 2), start=1)],
    "layers": [
        {"name": "a1", "kind": "ptp", "K": 3, "H": 1, "W": 1, "ifmaps": [], "inputs": ["in1"]},
        {
            "name": "a2", "kind": "conv", "C": 8, "K": 1, "R": 1, "S": 1, "H": 1, "W": 1, "sH": 1, "sW": 1,
            "ifmaps": [], "inputs": ["in2"],
        },
        {"name": "a3", "kind": "ptp", "K": 5, "H": 1, "W": 1, "ifmaps": ["a2"], "inputs": ["in3", "in4"]},
    ],
}  # fmt: skip


def test_the_last_tile_may_end_after_the_channel() -> None:
    """A limit that is tight for the channel leaves the last tile of a piece the time that it has.

    Either the store of a1 is through before a2 begins, and a load of a3 goes on beside a2; or it comes after, and there
    is no room for that load. The first is better by one cycle; a2 then ends long after the last free transfer.
    """
    hardware = {
        "gbuf_bytes": 1 << 20, "pe_grid": 1, "macs_per_pe": 512, "gbuf_bytes_per_cycle": 1, "dram_bytes_per_cycle": 1
    }  # fmt: skip
    plan = make_plan(problem_of(LATE_NETWORK, 1, hardware), LFA((FLG(("a1", "a2", "a3"), 1, True),)))
    order = [0, 2, 3, 1, 4, 5, 6]
    dlsa = DLSA(np.array(order), np.array([-1, 0, -1, -1, 2, 1, 2]), np.array([1, 2, 2, 2, 3, 3, 3]))
    assert violations(with_buffer(plan, 26), dlsa) == []
    assert evaluate(plan, dlsa).latency == 77
    assert brute_force_piece(plan, dlsa, 3, 5, 26) == 76
    assert_optimum_of_piece(plan, dlsa, 3, 5, 26)


def test_a_store_may_end_behind_a_load_of_the_prefix() -> None:
    """A load before the piece begins at the tile behind it: a store of the piece must be queued to end later still."""
    layers = [
        {"name": "a", "kind": "ptp", "K": 1, "H": 1, "W": 1, "ifmaps": [], "inputs": ["in"]},
        {
            "name": "b",
            "kind": "conv",
            "C": 1,
            "K": 1,
            "R": 1,
            "S": 1,
            "H": 1,
            "W": 1,
            "sH": 1,
            "sW": 1,
            "ifmaps": ["a"],
        },
    ]
    network = {"name": "two", "inputs": [{"name": "in", "shape": [1, 1, 1]}], "layers": layers}
    hardware = {
        "gbuf_bytes": 1 << 20, "pe_grid": 1, "macs_per_pe": 512, "gbuf_bytes_per_cycle": 1, "dram_bytes_per_cycle": 1
    }  # fmt: skip
    plan = make_plan(problem_of(network, 1, hardware), LFA((FLG(("a",), 1, True), FLG(("b",), 1, True))))
    # The weights of b begin at tile 1, before the ofmap of a is stored, which so has to end at 2.
    dlsa = DLSA(np.array([0, 3, 1, 2, 4]), np.array([-1, 0, 1, 1, 1]), np.array([1, 2, 2, 2, 2]))
    assert violations(with_buffer(plan, 4), dlsa) == []
    assert_optimum_of_piece(plan, dlsa, 2, 3, 4)


# The hint


@examples(150)
@given(pairs(max_layers=8), st.data())
def test_a_schedule_is_a_solution_of_its_pieces(pair: Pair, data: st.DataObject) -> None:
    dlsa, capacity = draw_schedule(data, pair, tight=True)
    first, last = draw_stretch(data, pair.plan)
    piece = cut_piece(priced(with_buffer(pair.plan, capacity), dlsa), first, last)
    assume(not may_begin_behind(piece))
    assume(not reads_before_a_store(piece, dlsa))
    assert_hint_is_a_solution(piece, dlsa, data.draw(st.sampled_from([0, 7])))


def may_begin_behind(piece: Piece) -> bool:
    """Whether a load can begin behind the tiles: it then comes after the stores, which the schedule need not do."""
    return bool(np.any(~piece.is_store & (piece.latest_start == piece.tile_count)))


def reads_before_a_store(piece: Piece, dlsa: DLSA) -> bool:
    """Whether a load comes after the stores that it reads but before another that the next tile waits for.

    The model gives such a load a Start after the tile of the stores that it reads, so it comes after the other store
    too. No time is lost: the two can change places, for the tile after their tiles waits for the store anyway.
    """
    rank = np.argsort(dlsa.order)[piece.tensors]
    ends = dlsa.end[piece.tensors] - piece.first_tile
    starts = dram_windows(piece).earliest_start
    loads, stores = np.flatnonzero(~piece.is_store), np.flatnonzero(piece.is_store)
    return any(rank[store] > rank[load] and ends[store] <= starts[load] for load in loads for store in stores)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_greedy_is_a_solution_of_pieces_of_published_plans(path: Path) -> None:
    plan = published_plan(path)
    dlsa = greedy_dlsa(plan)
    random = np.random.default_rng(0)
    for _ in range(5):
        first, last = np.sort(random.choice(plan.dram_tensor_count + 1, 2, replace=False)).tolist()
        piece = cut_piece(priced(plan, dlsa), first, last)
        if not may_begin_behind(piece):
            assert_hint_is_a_solution(piece, dlsa, 0)


# Tails, and durations without use


@examples(200)
@given(pairs(), st.data())
def test_tails_lead_to_the_end_of_the_run(pair: Pair, data: st.DataObject) -> None:
    plan = pair.plan
    dlsa, capacity = draw_schedule(data, pair)
    evaluation = evaluate(plan, dlsa)
    first = data.draw(st.integers(0, plan.dram_tensor_count - 1), "first")
    for last in range(first + 1, plan.dram_tensor_count + 1):
        piece = cut_piece(priced(with_buffer(plan, capacity), dlsa), first, last)
        tiles = slice(piece.first_tile, piece.first_tile + piece.tile_count)
        tile_ends = evaluation.tile_begin[tiles] + piece.tile_cycles
        before = dlsa.order[last - 1]
        through_channel = evaluation.tensor_begin[before] + plan.tensors.cycles[before] + piece.channel_tail
        assert max([through_channel, *(tile_ends + piece.tile_tail)]) == evaluation.latency
        # The channel and the paths that leave the piece say as much.
        assert max([through_channel, *(tile_ends + piece.suffix_tail)]) == evaluation.latency


def shortened(plan: Plan, dlsa: DLSA) -> DLSA:
    short, evaluation = dlsa.copy(), evaluate(plan, dlsa)
    shorten(plan.sequence, plan.tensors, evaluation.tile_begin, evaluation.tensor_begin, short)
    return short


def assert_shortened(plan: Plan, dlsa: DLSA) -> DLSA:
    """What `shorten` may do, and that nothing is left to do."""
    short = shortened(plan, dlsa)
    assert violations(plan, short) == []
    assert np.array_equal(short.order, dlsa.order)
    assert np.all(short.start >= dlsa.start)
    assert np.all(short.end <= dlsa.end)
    assert_same_times(plan, dlsa, short)
    again = shortened(plan, short)
    assert np.array_equal(again.start, short.start)
    assert np.array_equal(again.end, short.end)
    return short


def assert_same_times(plan: Plan, one: DLSA, other: DLSA) -> None:
    before, after = evaluate(plan, one), evaluate(plan, other)
    assert np.array_equal(before.tile_begin, after.tile_begin)
    assert np.array_equal(before.tensor_begin, after.tensor_begin)


@examples(200)
@given(pairs(), st.data())
def test_shortened_durations_change_no_time(pair: Pair, data: st.DataObject) -> None:
    plan = pair.plan
    dlsa, capacity = draw_schedule(data, pair, tight=True)
    short = assert_shortened(with_buffer(plan, capacity), dlsa)
    if plan.dram_tensor_count > 40:
        return
    for i in range(plan.dram_tensor_count):
        assert not can_be_shorter(plan, short, i), plan.tensor_label(i)


def can_be_shorter(plan: Plan, dlsa: DLSA, tensor: int) -> bool:
    """Whether one duration can be one position shorter and all times stay."""
    start, end = dlsa.start.copy(), dlsa.end.copy()
    if plan.tensors.is_store[tensor]:
        end[tensor] -= 1
    else:
        start[tensor] = max(start[tensor], 0) + 1
    other = DLSA(dlsa.order, start, end)
    if violations(with_buffer(plan, 2**60), other):
        return False
    before, after = evaluate(plan, dlsa), evaluate(plan, other)
    return np.array_equal(before.tile_begin, after.tile_begin) and np.array_equal(
        before.tensor_begin, after.tensor_begin
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_shortened_published_schedules(path: Path) -> None:
    plan = published_plan(path)
    assert_shortened(plan, greedy_dlsa(plan))


# The search

SHORT = CpSatParameters(piece_lengths=(16, 32))


@cache
def random_plan(number: int) -> Plan:
    case = json.loads((PUBLISHED / "random_lfas.json").read_text(encoding="utf-8"))[number]
    network = read_network_file(PUBLISHED / "networks" / f"{case['network']}.json")
    flgs = tuple(FLG(tuple(flg["layers"]), flg["tiling_number"], flg["dram_cut"]) for flg in case["lfa"]["flgs"])
    return make_plan(Problem(network, platform_named(case["platform"]), case["batch"]), LFA(flgs))


def improved(
    plan: Plan,
    parameters: CpSatParameters = SHORT,
    lower_bound: int = 0,
    budget: Budget | None = None,
    progress: Callable[[int], None] = lambda latency: None,
    capacity: int | None = None,
) -> Improved:
    if capacity is not None:
        plan = with_buffer(plan, capacity)
    dlsa = greedy_dlsa(plan)
    before = DLSA(dlsa.order.copy(), dlsa.start.copy(), dlsa.end.copy())
    evaluation = evaluate(plan, dlsa)
    found = improve_by_pieces(priced(plan, dlsa), lower_bound, parameters, budget or Budget(), progress)
    assert_same(dlsa, before)  # the caller's own is left alone
    assert violations(plan, found.schedule.dlsa) == []
    assert evaluate(plan, found.schedule.dlsa).latency == found.schedule.evaluation.latency <= evaluation.latency
    assert found.improved <= found.pieces
    assert (found.schedule.evaluation.latency < evaluation.latency) == (found.improved > 0)
    return found


def assert_same(one: DLSA, other: DLSA) -> None:
    for column in ("order", "start", "end"):
        assert np.array_equal(getattr(one, column), getattr(other, column))


@pytest.mark.parametrize("number", [22, 42])
def test_the_search_is_the_same_twice(number: int) -> None:
    plan = random_plan(number)
    latencies: list[int] = []
    first = improved(plan, progress=latencies.append)
    second = improved(plan)
    assert_same(first.schedule.dlsa, second.schedule.dlsa)
    assert (first.pieces, first.improved) == (second.pieces, second.improved)
    assert first.deterministic_time == second.deterministic_time
    assert latencies == sorted(latencies, reverse=True)


@examples(25)
@given(pairs(max_layers=8), st.data())
def test_the_search_on_random_plans(pair: Pair, data: st.DataObject) -> None:
    plan = pair.plan
    assume(plan.dram_tensor_count > 4)
    least = least_peak_bytes(plan)
    capacity = data.draw(st.integers(least, 2 * least))
    bound, _ = best_combinatorial_bound(with_buffer(plan, capacity))
    parameters = CpSatParameters(piece_lengths=(2, 4, 8), piece_deterministic_time=0.02)
    assert improved(plan, parameters, bound, capacity=capacity).schedule.evaluation.latency >= bound


def test_a_published_schedule_is_improved() -> None:
    plan = published_plan(RESNET)
    greedy = evaluate(plan, greedy_dlsa(plan)).latency
    assert improved(plan).schedule.evaluation.latency < greedy


def test_a_budget_that_is_over_ends_the_search_at_once() -> None:
    plan = published_plan(RESNET)
    found = improved(plan, budget=Budget(0))
    assert (found.pieces, found.improved, found.deterministic_time) == (0, 0, 0.0)
    assert_same(found.schedule.dlsa, greedy_dlsa(plan))


def test_a_stop_request_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, budget = random_plan(22), Budget()
    runs = []

    def stopped_after_two(*arguments: Any) -> Run:
        runs.append(run_cpsat(*arguments))
        if len(runs) == 2:
            budget.request_stop()
        return runs[-1]

    monkeypatch.setattr(piecewise, "run_cpsat", stopped_after_two)
    assert improved(plan, budget=budget).pieces == 2
    assert improved(plan).pieces > 2


def test_the_search_ends_when_the_bound_is_met() -> None:
    plan = published_plan(RESNET)
    everything = improved(plan)
    found = improved(plan, lower_bound=everything.schedule.evaluation.latency)
    assert found.schedule.evaluation.latency == everything.schedule.evaluation.latency
    assert found.pieces < everything.pieces
    assert improved(plan, lower_bound=evaluate(plan, greedy_dlsa(plan)).latency).pieces == 0


def test_the_deterministic_time_is_limited() -> None:
    plan = random_plan(22)
    everything = improved(plan)
    limit = everything.deterministic_time / 2
    limited = improved(plan, replace(SHORT, deterministic_time=4 * limit, piece_share=0.25))
    assert limited.deterministic_time >= limit
    assert 0 < limited.pieces < everything.pieces
    assert improved(plan, replace(SHORT, piece_share=0.0)).pieces == 0


def test_pieces_of_too_many_literals_are_left() -> None:
    assert improved(published_plan(RESNET), replace(SHORT, most_piece_literals=-1)).pieces == 0


def test_pieces_as_long_as_the_plan_are_left_to_the_whole() -> None:
    plan = published_plan(RESNET)
    count = plan.dram_tensor_count
    assert improved(plan, replace(SHORT, piece_lengths=(count, 16))).pieces == 0


def test_a_plan_of_thousands_of_tensors() -> None:
    problem = Problem(builtin_network("resnet50"), platform_named("edge"), 4)
    plan = make_plan(problem, initial_lfa(problem))
    assert plan.dram_tensor_count > 2_000
    result = solve_dlsa_exactly(plan, monitor=Monitor(Budget(4)))
    assert violations(plan, result.schedule.dlsa) == []
    assert result.lower_bound <= result.schedule.evaluation.latency <= evaluate(plan, greedy_dlsa(plan)).latency
    assert result.schedule.evaluation.latency == evaluate(plan, result.schedule.dlsa).latency
    assert result.details["pieces"] > 0
    assert result.seconds < 20
