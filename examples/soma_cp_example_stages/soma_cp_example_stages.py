"""Two stages for soma-cp, written to be copied (docs/plug-ins.md).

`just_in_time` is a second stage: every load begins as late as it can without being waited for. `joined_neighbours` is a
first stage: it starts from the LFA without any fusion and joins neighbours wherever that pays.
"""

import itertools
from collections.abc import Iterator

import numpy as np

from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.errors import UserError
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import DLSA
from soma_cp.model.soma.lfa import FLG, LFA
from soma_cp.model.soma.occupancy import alive_bytes
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.schedule import priced

ROUNDS = 2000
"""How many pairs of neighbours `joined_neighbours` tries to join."""


def just_in_time(plan: Plan, monitor: Monitor) -> DLSA:
    """Return a DLSA that holds tensors briefly: loads begin as late, and stores end as early, as hides their transfers.

    Time is counted as if no tile ever waited. From the last load to the first, each gets the latest gap of the DRAM
    channel that ends before its tile begins. Where the buffer has no room for that, it begins later, and its tile
    waits. Each store may take as many tiles as it needs to be hidden. Sorted by the tile at which they begin, loads
    before stores, such transfers keep every rule of order.
    """
    tensors, tiles = plan.tensors, plan.tile_count
    begin = np.concatenate([[0], np.cumsum(plan.tile_cycles)])  # int64[T + 1]: cycles at which each tile would begin
    start, end = tensors.position.copy(), tensors.least_end.copy()  # the shortest lives, which fit if anything does
    room = plan.problem.platform.gbuf_bytes - plan.chip_usage - alive_bytes(tensors.bytes, start, end, tiles)

    free_until = begin[tiles]  # before this cycle the channel has nothing to do yet
    loads = np.flatnonzero(~tensors.is_store)
    for i in loads[np.argsort(-tensors.position[loads], kind="stable")]:
        free_until = min(free_until, begin[tensors.position[i]]) - tensors.cycles[i]
        earliest = -1
        if tensors.after_end[i] > tensors.after_begin[i]:  # it reads what these stores write
            earliest = tensors.position[tensors.after_begin[i] : tensors.after_end[i]].max() + 1
        wanted = max(int(np.searchsorted(begin, free_until, side="right")) - 1, earliest)
        while start[i] > wanted and (start[i] == 0 or room[start[i] - 1] >= tensors.bytes[i]):
            start[i] -= 1
            room[max(start[i], 0)] -= tensors.bytes[i] if start[i] >= 0 else 0

    for i in np.flatnonzero(tensors.is_store):
        hidden = begin[tensors.position[i] + 1] + tensors.cycles[i]  # when it would have been stored
        while end[i] < tiles and begin[end[i]] < hidden and room[end[i]] >= tensors.bytes[i]:
            room[end[i]] -= tensors.bytes[i]
            end[i] += 1
    return DLSA(np.lexsort((tensors.position, tensors.is_store, start)), start, end)


def joined_neighbours(problem: Problem, monitor: Monitor, *, seed: int, objective: Objective) -> Iterator[LFA]:
    """Yield LFAs, each cheaper than the one before: random neighbours are joined, and stay so if that pays.

    Two neighbours become one FLG with a random tiling number, or stay two FLGs of one LG, without the DRAM cut.
    """
    random = np.random.default_rng(seed)
    lfa, best = coarse_lfa(problem), float("inf")
    for round_number in itertools.count():
        joined = lfa if round_number == 0 else _join(lfa, random)
        if joined is None or round_number > ROUNDS or monitor.budget.over:
            return
        try:
            plan = make_plan(problem, joined)
            cost = priced(plan, greedy_dlsa(plan)).cost(objective)
        except UserError:  # the tiling number is too large, or the tensors exceed the buffer
            continue
        if cost < best:
            lfa, best = joined, cost
            yield lfa


def _join(lfa: LFA, random: np.random.Generator) -> LFA | None:
    """Return `lfa` with two neighbours joined; None if there is one FLG only."""
    if len(lfa.flgs) < 2:
        return None
    place = int(random.integers(1, len(lfa.flgs)))
    before, flg = lfa.flgs[place - 1 : place + 1]
    if flg.dram_cut and random.random() < 0.5:
        joined = (before, FLG(flg.layers, flg.tiling_number, dram_cut=False))
    else:
        tiling_number = 1 << int(random.integers(0, 7))
        joined = (FLG(before.layers + flg.layers, tiling_number, before.dram_cut),)
    return LFA((*lfa.flgs[: place - 1], *joined, *lfa.flgs[place + 1 :]))
