"""Periods: what a search prices is what the written-out LFA costs, and it is written out as a twin does by names."""

import itertools

import numpy as np
import pytest
from support.repeated_blocks import blocks_problem, written_out_by_names

from soma_cp.annealing.acceptance import Cooling
from soma_cp.annealing.first_stage import lfa_pricing
from soma_cp.annealing.first_stage.chain import Chain, lfa_settings, move_weights
from soma_cp.annealing.first_stage.cost_cache import CostCache
from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa
from soma_cp.annealing.first_stage.moves import DEFAULT_WEIGHTS, Move
from soma_cp.annealing.first_stage.periods import Folding
from soma_cp.annealing.first_stage.slots import SlottedProblem, slotted
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.repeats import find_repeats
from soma_cp.model.network.rewrites.blocks import blocks_in_a_row
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import LFA, check_lfa
from soma_cp.model.soma.plan import make_plan
from soma_cp.model.soma.schedule import Schedule, priced


def folding_of(problem: Problem, cut: bool = False, most: int = 99) -> Folding:
    """Fold the repeats of at most so many copies."""
    repeats = find_repeats(problem.network)
    return Folding(problem, tuple(repeat for repeat in repeats if repeat.count <= most), cut)


def chain_of(folding: Folding, slots: SlottedProblem, seed: int) -> Chain:
    problem = slots.problem
    run = folding.priced(slots)[0].problem
    limit = problem.platform.gbuf_bytes
    return Chain(
        problem,
        coarse_lfa(folding.folded),
        lfa_settings(problem, limit, Objective(), Cooling(), 1000, lfa_pricing.GREEDY),
        move_weights(DEFAULT_WEIGHTS | ({Move.DIVIDE: 0.3} if slots.divides else {Move.DIVIDE: 0.0})),
        np.zeros(len(run.network.layers), np.int64),
        np.random.default_rng(seed),
        CostCache(run),
        slotted=slots,
        folding=folding,
    )


def schedule_of(problem: Problem, lfa: LFA) -> Schedule:
    plan = make_plan(problem, lfa)
    return priced(plan, greedy_dlsa(plan))


def blocks_of(name: str, count: int, batch: int = 1) -> Problem:
    return Problem(blocks_in_a_row(builtin_network(name, 64), count), PLATFORMS["edge"], batch)


CASES = {
    "three blocks that are divided": folding_of(blocks_of("gpt2-small-decode", 3)),
    "the same, cut": folding_of(blocks_of("gpt2-small-decode", 3), cut=True),
    "a small buffer": folding_of(blocks_problem(3, 24, batch=2)),
    "stages of a CNN": folding_of(Problem(builtin_network("resnet50"), PLATFORMS["edge"]), most=3),
}


@pytest.mark.parametrize("name", CASES)
def test_a_search_over_periods_prices_what_the_written_out_lfa_costs(name: str) -> None:
    folding = CASES[name]
    chain = chain_of(folding, slotted(folding.folded), 1)
    assert chain.start_is_valid
    accepted = set()
    for last in range(8, 400, 8):
        chain.run_to(last)
        figures = chain.state.figures[lfa_pricing.CURRENT].tolist()
        if tuple(figures) in accepted or figures[lfa_pricing.OVERFLOW_BYTES] > 0:
            continue
        accepted.add(tuple(figures))
        lfa = chain.slotted.lfa(chain.state.current, chain.table)
        written = folding.written_out(lfa)
        assert (written.flgs, written.divisions) == written_out_by_names(folding, lfa)
        check_lfa(written, folding.problem.divided_as(written.divisions).network)
        schedule = schedule_of(folding.problem, written)
        assert schedule.latency == figures[lfa_pricing.LATENCY]
        assert schedule.energy_pj == pytest.approx(figures[lfa_pricing.ENERGY_PJ], rel=1e-12)
    assert len(accepted) > 5


@pytest.mark.parametrize("cut", [False, True])
def test_copies_that_are_not_priced_cost_as_much_as_the_second(cut: bool) -> None:
    """The energy is exact; the latency is close, since blocks soon take equally long."""
    folding = folding_of(blocks_of("gpt2-small-decode", 8), cut)
    chain = chain_of(folding, slotted(folding.folded), 2)
    compared = 0
    for last in range(50, 800, 50):
        chain.run_to(last)
        figures = chain.state.figures[lfa_pricing.CURRENT].tolist()
        if figures[lfa_pricing.OVERFLOW_BYTES] > 0:
            continue
        schedule = schedule_of(
            folding.problem, folding.written_out(chain.slotted.lfa(chain.state.current, chain.table))
        )
        assert schedule.energy_pj == pytest.approx(figures[lfa_pricing.ENERGY_PJ], rel=1e-9)
        assert schedule.latency == pytest.approx(figures[lfa_pricing.LATENCY], rel=0.01)
        compared += 1
    assert compared > 5


def test_layers_of_a_period_stay_together() -> None:
    """A move that puts another layer between them is refused: no copy could be written out."""
    folding = CASES["stages of a CNN"]
    chain = chain_of(folding, slotted(folding.folded), 3)
    names = {folding.problem.network.layers[i].name for repeat in folding.repeats for i in repeat.copy(0)}
    for last in range(20, 600, 20):
        chain.run_to(last)
        order = chain.slotted.lfa(chain.state.current, chain.table).computing_order
        inside = [name.partition("/")[0] in names for name in order]
        assert sum(a != b for a, b in itertools.pairwise(inside)) == 2 * len(folding.repeats)
