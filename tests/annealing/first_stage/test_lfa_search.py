"""The stage-two-aware first stage: its operators, its pricing and pruning, chains that meet, and its end."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support.annealing_cases import all_lfas_of_chain
from support.twins import Pair, examples, pairs, with_buffer

from soma_cp.annealing.acceptance import Cooling
from soma_cp.annealing.budget import Budget
from soma_cp.annealing.first_stage import lfa_pricing, lfa_search, moves
from soma_cp.annealing.first_stage.chain import Chain, lfa_settings, move_weights
from soma_cp.annealing.first_stage.cost_cache import CostCache
from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa, initial_lfa
from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters, refine_lfas, search_lfas
from soma_cp.annealing.first_stage.moves import (
    DEFAULT_WEIGHTS,
    MAX_TILING_NUMBER,
    Move,
    apply_move,
    draw_tiling_number,
)
from soma_cp.annealing.first_stage.slots import slotted, without_slots
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.progress import ProgressEvent
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.errors import UserError
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.core_array.roofline import RooflineCoreArray
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.evaluation import evaluate
from soma_cp.model.soma.footprint import BufferTooSmallError, least_peak_bytes
from soma_cp.model.soma.lfa import FLG, LFA, LFAArrays, unfused_lfa
from soma_cp.model.soma.lfa_arrays import lfa_arrays, lfa_from_arrays
from soma_cp.model.soma.plan import make_plan

EDGE = PLATFORMS["edge"]
SHORT = LFASearchParameters(rounds=2_000)


def builtin_problem(name: str, batch: int = 1) -> Problem:
    return Problem(builtin_network(name), EDGE, batch)


def run_from(problem: Problem, start: LFA, limit_bytes: int, objective: Objective = Objective()) -> Chain:  # noqa: B008
    settings = lfa_settings(problem, limit_bytes, objective, Cooling(), 1000, lfa_pricing.GREEDY)
    apart = np.zeros(len(problem.network.layers), np.int64)
    random = np.random.default_rng(0)
    return Chain(problem, start, settings, move_weights(DEFAULT_WEIGHTS), apart, random, CostCache(problem), 4)


# Operators


MOVES: dict[str, Callable[[Problem, LFAArrays, np.random.Generator], bool]] = {
    "retile": lambda problem, lfa, random: moves.retile(lfa, problem.batch, random),
    "insert_flc": lambda problem, lfa, random: moves.insert_flc(lfa, problem.batch, random),
    "shift_flc": lambda problem, lfa, random: moves.shift_flc(lfa, random),
    "isolate_layer": lambda problem, lfa, random: moves.isolate_layer(lfa, problem.batch, random),
    "turn_cut": lambda problem, lfa, random: moves.turn_cut(lfa, random),
    "move_layer": lambda problem, lfa, random: moves.move_layer(problem.table, lfa, random),
}


def flc_places(lfa: LFA, dram_cuts_only: bool = False) -> set[int]:
    """Return the places of all FLCs, or of DRAM Cuts alone, the first place left out."""
    places, at = set(), 0
    for flg in lfa.flgs:
        if at > 0 and (flg.dram_cut or not dram_cuts_only):
            places.add(at)
        at += len(flg.layers)
    return places


def is_documented(move: str, before: LFA, after: LFA) -> bool:
    """Whether one use of an operator may turn `before` into `after`, a different LFA."""
    old, new = flc_places(before), flc_places(after)
    old_cuts, new_cuts = flc_places(before, True), flc_places(after, True)
    same_order = before.computing_order == after.computing_order
    if move == "retile":
        changed = [a for a, b in zip(before.flgs, after.flgs, strict=True) if a != b]
        return same_order and old == new and old_cuts == new_cuts and len(changed) == 1
    if move == "insert_flc":
        return same_order and old < new and len(new - old) == 1 and old_cuts == new_cuts
    if move == "shift_flc":
        numbers = [flg.tiling_number for flg in before.flgs] == [flg.tiling_number for flg in after.flgs]
        moved = len(old - new) == len(new - old) == 1
        return same_order and moved and old_cuts == new_cuts and numbers
    if move == "isolate_layer":
        return same_order and old < new and old_cuts == new_cuts and max(new - old) - min(new - old) <= 1
    if move == "turn_cut":
        return same_order and old == new and len(old_cuts ^ new_cuts) == 1
    rest = [[name for name in lfa.computing_order if name != moved_layer(before, after)] for lfa in (before, after)]
    return rest[0] == rest[1] and abs(len(old) - len(new)) <= 1 and abs(len(old_cuts) - len(new_cuts)) <= 1


def moved_layer(before: LFA, after: LFA) -> str:
    """Return the one layer that stands elsewhere; any if none does."""
    for name in before.computing_order:
        rest = [[other for other in lfa.computing_order if other != name] for lfa in (before, after)]
        if rest[0] == rest[1]:
            return name
    raise AssertionError("more than one layer moved")


def is_sound(problem: Problem, arrays: LFAArrays) -> bool:
    """Whether the arrays are an LFA: all layers once, producers first, cuts nested, tiling numbers in range."""
    table, order = problem.table, arrays.order.tolist()
    place = {layer: p for p, layer in enumerate(order)}
    producers_first = all(
        place[source] < place[layer]
        for layer in order
        for source in table.source[table.source_begin[layer] : table.source_begin[layer + 1]].tolist()
        if source >= 0
    )
    nested = bool(np.all(arrays.begins_flg[arrays.begins_lg])) and bool(arrays.begins_lg[0])
    numbers = arrays.tiling[arrays.begins_flg]
    in_range = bool(np.all((numbers >= 1) & (numbers <= MAX_TILING_NUMBER)))
    return len(place) == len(problem.network.layers) and producers_first and nested and in_range


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("name", ["tiny-wide", "tiny-attention", "tiny-concat"])
def test_each_operator_does_what_is_documented_and_leaves_an_lfa(move: str, name: str) -> None:
    problem = builtin_problem(name, batch=6)
    random = np.random.default_rng(1)
    arrays = lfa_arrays(initial_lfa(problem), problem.network, problem.table)
    weights = move_weights(DEFAULT_WEIGHTS)
    slots = without_slots(problem).slots
    changes = 0
    for _ in range(1500):
        apply_move(problem.table, slots, arrays, problem.batch, weights, random)  # to see many LFAs
        before = lfa_from_arrays(arrays, problem.network, problem.table)
        changed = MOVES[move](problem, arrays, random)
        after = lfa_from_arrays(arrays, problem.network, problem.table)
        assert is_sound(problem, arrays)
        if changed and before != after:
            changes += 1
            assert is_documented(move, before, after), (before, after)
        elif not changed:
            assert before == after
    assert changes > 100


def test_every_operator_is_drawn_by_its_weight() -> None:
    problem = builtin_problem("tiny-wide", batch=6)
    slots = without_slots(problem).slots
    for operator in (move for move in Move if move is not Move.DIVIDE):  # test_slots.py has that
        weights = move_weights({operator: 1.0})
        random = np.random.default_rng(2)
        arrays = lfa_arrays(initial_lfa(problem), problem.network, problem.table)
        seen = set()
        everything = move_weights(DEFAULT_WEIGHTS)
        for _ in range(300):
            apply_move(problem.table, slots, arrays, problem.batch, everything, random)
            before = lfa_from_arrays(arrays, problem.network, problem.table)
            if apply_move(problem.table, slots, arrays, problem.batch, weights, random):
                after = lfa_from_arrays(arrays, problem.network, problem.table)
                seen.add(after)
                if operator.name.lower() in MOVES and before != after:
                    assert is_documented(operator.name.lower(), before, after)
        assert seen, operator


def test_tiling_numbers_beyond_powers_of_two_are_drawn_and_stay_in_range() -> None:
    random = np.random.default_rng(0)
    drawn = {present: {draw_tiling_number(present, 6, random) for _ in range(3000)} for present in (1, 6, 7)}
    assert {1, 2, 3, 5, 6, 7, 12, 18} <= drawn[6]
    assert {6, 7, 8, 14, 21} <= drawn[7]
    assert min(drawn[1]) == 1
    assert max(draw_tiling_number(MAX_TILING_NUMBER, 1, random) for _ in range(200)) == MAX_TILING_NUMBER


# Pricing


def priced(run: Chain, ceiling: float) -> tuple[int, float, float]:
    """Price the run's candidate again; return verdict, cost and latency."""
    run.state.ceiling[0] = ceiling
    run.state.figures[lfa_pricing.CANDIDATE] = math.nan
    verdict = run.price_candidate()
    figures = run.state.figures[lfa_pricing.CANDIDATE]
    return verdict, float(figures[lfa_pricing.COST]), float(figures[lfa_pricing.LATENCY])


@examples(150)
@given(pairs(max_layers=8, max_tiling_number=12), st.floats(0, 1), st.sampled_from([(1, 1), (1, 0), (0, 1), (0.5, 2)]))
def test_a_candidate_costs_what_its_greedy_dlsa_does_unless_that_is_above_the_ceiling(
    pair: Pair, spare: float, exponents: tuple[float, float]
) -> None:
    plan = pair.plan
    objective = Objective(energy_exponent=exponents[0], delay_exponent=exponents[1])
    least = least_peak_bytes(plan)
    capacity = least + int(spare * least)
    run = run_from(plan.problem, plan.lfa, capacity, objective)
    verdict, cost, latency = priced(run, math.inf)
    if verdict == lfa_pricing.INVALID:
        return  # a tile count beyond the limit
    expected = evaluate(plan, greedy_dlsa(with_buffer(plan, capacity)))
    assert verdict == lfa_pricing.PRICED
    assert latency == expected.latency
    assert cost == pytest.approx(objective.cost(expected.energy_pj, expected.latency), rel=1e-12)
    assert priced(run, cost) == (lfa_pricing.PRICED, cost, latency)
    for ceiling in (cost * (1 - 1e-7), cost * 0.9, cost * 0.1):
        again, its_cost, _ = priced(run, ceiling)
        assert again == lfa_pricing.TOO_COSTLY or (again, its_cost) == (lfa_pricing.PRICED, cost)
    if objective.delay_exponent > 0 and cost > 0:  # where all energies are 0, nothing costs too much
        assert priced(run, cost * 0.5)[0] == lfa_pricing.TOO_COSTLY


@examples(60)
@given(pairs(max_layers=8, max_tiling_number=12))
def test_what_overflows_is_priced_by_its_overflow(pair: Pair) -> None:
    plan = pair.plan
    least = least_peak_bytes(plan)
    run = run_from(plan.problem, plan.lfa, least - 1)
    verdict, cost, _ = priced(run, math.inf)
    if verdict == lfa_pricing.PRICED:
        assert cost == math.inf
        assert run.state.figures[lfa_pricing.CANDIDATE, lfa_pricing.OVERFLOW_BYTES] == 1


def test_the_rough_bound_prunes_without_a_schedule() -> None:
    problem = builtin_problem("tiny-unet")
    run = run_from(problem, initial_lfa(problem), EDGE.gbuf_bytes)
    _, cost, _ = priced(run, math.inf)
    run.scratch.tensors.position[:] = -7
    assert priced(run, cost / 100)[0] == lfa_pricing.TOO_COSTLY
    assert np.all(run.scratch.tensors.position == -7)  # no tensor was listed


# Searches


def greedy_cost(problem: Problem, lfa: LFA) -> float:
    plan = make_plan(problem, lfa)
    found = evaluate(plan, greedy_dlsa(plan))
    return Objective().cost(found.energy_pj, found.latency)


def test_the_best_lfa_of_all_is_found_on_a_small_network() -> None:
    problem = builtin_problem("tiny-chain", batch=3)
    costs = []
    for lfa in all_lfas_of_chain(problem.network, range(1, 7)):
        try:
            costs.append(greedy_cost(problem, lfa))
        except UserError:  # cannot be tiled so, or overflows
            continue
    found = search_lfas(problem, initial_lfa(problem), 0)
    assert len(costs) > 1000
    assert found.lfas[0][0] <= min(costs) * (1 + 1e-12)


def test_the_archive_holds_different_costs_in_order_each_that_of_its_lfa() -> None:
    problem = builtin_problem("tiny-unet", batch=2)
    found = search_lfas(problem, initial_lfa(problem), 0, parameters=SHORT)
    costs = [cost for cost, _ in found.lfas]
    assert len(costs) == SHORT.archive_size
    assert costs == sorted(set(costs))
    for cost, lfa in found.lfas:
        assert greedy_cost(problem, lfa) == pytest.approx(cost, rel=1e-12)


def test_the_result_depends_on_seed_and_rounds_but_not_on_the_number_of_threads() -> None:
    problem = builtin_problem("resnet50")
    start = initial_lfa(problem)
    found = [search_lfas(problem, start, 3, parameters=SHORT, threads=threads).lfas for threads in (1, 2, 5)]
    assert found[0] == found[1] == found[2]
    assert search_lfas(problem, start, 4, parameters=SHORT).lfas != found[0]


@pytest.mark.parametrize(("name", "batch"), [("tiny-attention", 1), ("tiny-wide", 2), ("bert-base", 1)])
def test_the_wide_space_is_searched_after_the_papers_and_never_ends_higher(name: str, batch: int) -> None:
    problem = builtin_problem(name, batch)
    start = coarse_lfa(problem)
    paper = search_lfas(problem, start, 3, parameters=SHORT)
    wide = replace(SHORT, wide=True)
    found = [search_lfas(problem, start, 3, parameters=wide, threads=threads) for threads in (1, 3)]
    assert found[0].lfas == found[1].lfas
    assert found[0].lfas[0][0] <= paper.lfas[0][0]
    once = search_lfas(problem, start, 3, parameters=replace(wide, last_phases=1))
    phases = 2.5 if slotted(problem).divides else 1.5
    assert once.rounds == pytest.approx(phases * paper.rounds, rel=0.01)
    assert found[0].lfas[0][0] <= once.lfas[0][0] <= paper.lfas[0][0]
    more = (found[0].rounds - once.rounds) / paper.rounds
    assert more == pytest.approx(round(2 * more) / 2, abs=0.01)
    assert more <= 2.5
    for cost, lfa in found[0].lfas:
        plan = make_plan(problem, lfa)
        assert evaluate(plan, greedy_dlsa(plan)).edp == pytest.approx(cost, rel=1e-9)


def test_last_phases_go_on_while_they_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    """One LG: the first phase in vain is the last; several LGs: the second in a row. Never more than are allowed."""
    problem = builtin_problem("tiny-unet", batch=2)
    start = coarse_lfa(problem)
    settings = LFASearchParameters(rounds=400, wide=True, last_phases=5)
    phase = settings.rounds_for(problem) // 2 * settings.chains

    def phases(costs: list[float], lg_counts: list[int]) -> int:
        found = iter(zip(costs, lg_counts, strict=True))
        last = [(costs[0], unfused_lfa(problem.network))]

        def archived(_: object) -> list[tuple[float, LFA]]:
            cost, lg_count = next(found, (last[0][0], last[0][1].lg_count))
            flgs = tuple(FLG((layer.name,), 2, n < lg_count) for n, layer in enumerate(problem.network.layers))
            last[0] = (cost, LFA(flgs))
            return last

        monkeypatch.setattr(lfa_search, "_archived", archived)
        first = settings.rounds_for(problem) * settings.chains * (2 if slotted(problem).divides else 1)
        return (search_lfas(problem, start, 0, parameters=settings).rounds - first) // phase

    before = 1 if not slotted(problem).divides else 2
    assert phases([*[1.0] * before, 1.0], [1] * (before + 1)) == 1
    assert phases([*[1.0] * before, 0.9, 0.8, 0.799], [1] * (before + 3)) == 3
    assert phases([*[1.0] * before, 1.0, 1.0], [2] * (before + 2)) == 2
    assert phases([*[1.0] * before, 1.0, 0.9, 0.899, 0.898], [3] * (before + 4)) == 4
    assert phases([*[1.0] * before, 0.9, 0.8, 0.7, 0.6, 0.5], [1] * (before + 5)) == 5


def test_refining_repairs_what_overflows() -> None:
    """The fmaps of all samples between layer-wise FLGs of one LG overflow the buffer; no DRAM Cut is needed, though."""
    problem = Problem(builtin_network("tiny-unet"), replace(EDGE, gbuf_bytes=64 << 10), 8)
    start = LFA(tuple(replace(flg, dram_cut=n == 0) for n, flg in enumerate(coarse_lfa(problem).flgs)))
    assert least_peak_bytes(make_plan(problem, start)) > problem.platform.gbuf_bytes
    found = [refine_lfas(problem, [start], 1, parameters=SHORT, threads=threads) for threads in (1, 2)]
    assert found[0].lfas == found[1].lfas
    assert found[0].lfas
    for cost, lfa in found[0].lfas:
        assert greedy_cost(problem, lfa) == pytest.approx(cost, rel=1e-12)
    too_small = replace(problem, platform=replace(EDGE, gbuf_bytes=1 << 10))
    assert refine_lfas(too_small, [start], 1, parameters=SHORT).lfas == ()


def test_refining_begins_at_its_starts() -> None:
    """The best LFA of a search is not lost, and one round does not get far from it."""
    problem = builtin_problem("tiny-unet", batch=2)
    cost, best = search_lfas(problem, coarse_lfa(problem), 0, parameters=SHORT).lfas[0]
    one_round = replace(SHORT, refining_rounds=1e-9, last_phases=1)
    found = refine_lfas(problem, [coarse_lfa(problem), best], 0, parameters=one_round)
    assert found.rounds == 2 * SHORT.chains
    assert found.lfas[0][0] <= cost
    ended = refine_lfas(problem, [best], 0, parameters=SHORT, enough=cost)
    assert ended.rounds < found.rounds + SHORT.rounds_for(problem) * SHORT.chains


def test_loads_are_shared_where_that_is_cheaper() -> None:
    """The residual of a transformer block reads the block's input, and so does its first norm: one load serves both."""
    problem = builtin_problem("gpt2-small-prefill")
    found = search_lfas(problem, coarse_lfa(problem), 0, parameters=replace(SHORT, wide=True))
    best = found.lfas[0][1]
    assert len(best.shared_loads) == 1
    assert best.shared_loads[0].source == problem.network.inputs[0].name
    plan = make_plan(problem, best)
    loaded = plan.tensors.bytes[plan.tensors.source == -1].sum()
    assert loaded == math.prod(problem.network.inputs[0].shape)


def test_each_extension_can_be_left_out_alone() -> None:
    """GPT-2 Small prefill at batch 1 has both divided layers and shared loads, if it may."""
    problem = builtin_problem("gpt2-small-prefill")
    start = coarse_lfa(problem)
    for divides, shares_loads in ((True, True), (False, True), (True, False), (False, False)):
        settings = replace(SHORT, wide=True, divides=divides, shares_loads=shares_loads)
        found = search_lfas(problem, start, 0, parameters=settings).lfas
        assert any(lfa.divisions for _, lfa in found) == divides
        assert any(lfa.shared_loads for _, lfa in found) == shares_loads
        refined = refine_lfas(problem, [start], 0, parameters=settings).lfas
        assert refined
        assert divides or not any(lfa.divisions for _, lfa in refined)
        assert shares_loads or not any(lfa.shared_loads for _, lfa in refined)


def test_where_layers_may_not_be_divided_a_divided_start_keeps_its_parts() -> None:
    problem = builtin_problem("gpt2-small-prefill")
    divided = next(
        lfa
        for _, lfa in search_lfas(problem, coarse_lfa(problem), 0, parameters=replace(SHORT, wide=True)).lfas
        if lfa.divisions
    )
    found = refine_lfas(problem, [divided], 0, parameters=replace(SHORT, wide=True, divides=False)).lfas
    assert {lfa.divisions for _, lfa in found} == {divided.divisions}


def test_where_the_spaces_are_the_same_the_wide_search_has_a_last_phase_more() -> None:
    problem = builtin_problem("tiny-chain")
    start = coarse_lfa(problem)
    wide = search_lfas(problem, start, 3, parameters=replace(SHORT, wide=True))
    paper = search_lfas(problem, start, 3, parameters=SHORT)
    assert wide.rounds in [(1 + 0.5 * phases) * paper.rounds for phases in range(1, 7)]
    assert wide.lfas[0][0] <= paper.lfas[0][0]
    without = search_lfas(problem, start, 3, parameters=replace(SHORT, wide=True, last_rounds=0.0))
    assert (without.lfas, without.rounds) == (paper.lfas, paper.rounds)


def test_more_rounds_for_larger_batches_up_to_a_limit() -> None:
    rounds = [LFASearchParameters().rounds_for(builtin_problem("tiny-chain", batch)) for batch in (1, 4, 64, 1024)]
    assert rounds == [10_000, 20_000, 25_000, 25_000]
    assert LFASearchParameters(rounds=1).rounds_for(builtin_problem("tiny-chain")) == 1


def test_chains_that_cannot_begin_fused_begin_unfused() -> None:
    # Batch 3 does not divide evenly where an FLG of all layers keeps its rows: any start must still be valid.
    for name in ("tiny-pool-fc", "tiny-attention", "gpt2-small-prefill"):
        problem = builtin_problem(name, batch=3)
        assert search_lfas(problem, initial_lfa(problem), 0, parameters=replace(SHORT, rounds=40)).lfas


def test_a_buffer_that_nothing_fits_gives_no_lfa() -> None:
    problem = builtin_problem("tiny-chain")
    start = initial_lfa(problem)
    least = min(least_peak_bytes(make_plan(problem, lfa)) for lfa in (start,))
    small = Problem(problem.network, replace(EDGE, gbuf_bytes=least // 50))
    with pytest.raises(BufferTooSmallError):
        greedy_dlsa(make_plan(small, start))
    assert search_lfas(small, start, 0, parameters=replace(SHORT, rounds=100)).lfas == ()


def test_a_deadline_ends_the_search_and_a_closing_phase_accepts_nothing_worse() -> None:
    problem = builtin_problem("resnet50")
    endless = replace(SHORT, rounds=1_000_000_000)
    events: list[ProgressEvent] = []
    begin, working = time.monotonic(), time.process_time()
    monitor = Monitor(Budget(0.5), events.append)
    found = search_lfas(problem, initial_lfa(problem), 0, parameters=endless, monitor=monitor)
    assert time.monotonic() - begin > 0.5
    assert time.process_time() - working < 4.5  # of all threads; on a busy machine, the clock may be far ahead
    best = [event.best_cost for event in events if event.best_cost is not None]
    assert best == sorted(best, reverse=True)
    assert found.lfas[0][0] == best[-1]


def test_a_stop_request_ends_the_search_with_what_there_is() -> None:
    problem = builtin_problem("resnet50")
    budget = Budget()
    threading.Timer(0.3, budget.request_stop).start()
    found = search_lfas(
        problem, initial_lfa(problem), 0, parameters=replace(SHORT, rounds=1_000_000_000), monitor=Monitor(budget)
    )
    assert found.lfas


def test_a_search_that_has_found_enough_ends_when_the_chains_meet() -> None:
    problem = builtin_problem("tiny-unet")
    start = initial_lfa(problem)
    whole = search_lfas(problem, start, 0, parameters=SHORT)
    ended = search_lfas(problem, start, 0, parameters=SHORT, enough=whole.lfas[-1][0] * 2)
    assert ended.rounds == whole.rounds // 5
    assert search_lfas(problem, start, 0, parameters=SHORT, enough=whole.lfas[0][0] / 2).lfas == whole.lfas


class CountingArray(RooflineCoreArray):
    """Knows which tiles it was asked for."""

    asked: ClassVar[list[tuple[int, ...]]] = []

    def tile_costs(self, table: NetworkTable, tiles: IntArray) -> tuple[IntArray, FloatArray]:
        self.asked.extend(map(tuple, tiles.tolist()))
        return super().tile_costs(table, tiles)


def counting_problem(monkeypatch: pytest.MonkeyPatch, takes_long: bool = False) -> tuple[Problem, CountingArray]:
    monkeypatch.setattr(CountingArray, "asked", [])
    monkeypatch.setattr(CountingArray, "takes_long", takes_long)
    problem = builtin_problem("tiny-branch")
    problem.__dict__["core_array"] = array = CountingArray(EDGE)  # in place of what the platform names
    return problem, array


def test_a_run_prices_no_tile_once_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, array = counting_problem(monkeypatch)
    whole, cut = (run_from(problem, initial_lfa(problem), EDGE.gbuf_bytes) for _ in range(2))
    whole.run_to(500)
    asked = len(array.asked)
    cut.run_to(500, budget=Budget(0.0))
    assert len(array.asked) == asked
    assert cut.rounds_done < 500
    cut.run_to(500)  # what it left off is taken up again: the same candidates, the same draws
    assert cut.archived() == whole.archived()
    assert cut.random.bit_generator.state == whole.random.bit_generator.state


def test_a_slow_core_array_is_asked_for_nothing_after_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, array = counting_problem(monkeypatch, takes_long=True)
    found = search_lfas(problem, initial_lfa(problem), 0, parameters=SHORT, monitor=Monitor(Budget(0.0)))
    assert found.out_of_time
    assert found.lfas  # where the chains began
    starts = len(array.asked)
    search_lfas(problem, initial_lfa(problem), 0, parameters=SHORT)
    assert len(array.asked) > 2 * starts


def test_what_a_chain_raises_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = builtin_problem("tiny-chain")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("broken core array")

    start = initial_lfa(problem)
    monkeypatch.setattr(Chain, "run_to", fail)
    with pytest.raises(RuntimeError, match="broken core array"):
        search_lfas(problem, start, 0, parameters=SHORT)


def test_the_objective_is_heeded() -> None:
    problem = builtin_problem("gpt2-small-prefill")
    start = initial_lfa(problem)

    def figures(energy_exponent: float, delay_exponent: float) -> tuple[float, int]:
        objective = Objective(energy_exponent, delay_exponent)
        found = search_lfas(problem, start, 0, objective, replace(SHORT, rounds=8000))
        plan = make_plan(problem, found.lfas[0][1])
        priced_as = evaluate(plan, greedy_dlsa(plan))
        return priced_as.energy_pj, priced_as.latency

    least_energy, fastest = figures(1, 0), figures(0, 1)
    assert least_energy[0] < fastest[0]
    assert fastest[1] < least_energy[1]


def test_a_search_says_whether_its_deadline_ended_it() -> None:
    problem = Problem(builtin_network("inception-resnet-v1"), PLATFORMS["edge"], 16)
    start = coarse_lfa(problem)
    assert search_lfas(problem, start, 0, monitor=Monitor(Budget(0.5))).out_of_time
    assert not search_lfas(problem, start, 0, parameters=LFASearchParameters(rounds=40)).out_of_time
    stopped = Budget(0.5)
    stopped.request_stop()
    assert not search_lfas(problem, start, 0, monitor=Monitor(stopped)).out_of_time
