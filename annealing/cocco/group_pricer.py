"""Prices LFAs of Cocco's space: owns the kernels' arrays, and does what kernels can't do themselves."""

import numpy as np

from soma_cp.annealing.cocco.group_pricing import TABLE_FULL, Space, group_scratch, price_groups
from soma_cp.annealing.cocco.group_table import NUMBER, empty_group_table, enlarged, slot_of
from soma_cp.annealing.cocco.tiling_rules import RuleCode, TilingRule
from soma_cp.annealing.first_stage import lfa_pricing
from soma_cp.annealing.first_stage.cost_cache import CostCache
from soma_cp.annealing.first_stage.groups import group_end
from soma_cp.annealing.first_stage.initial_lfa import initial_lfa
from soma_cp.annealing.first_stage.paper_search import layers_kept_apart
from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import LFA, LFAArrays
from soma_cp.model.soma.lfa_arrays import lfa_arrays, lfa_from_arrays

FIRST_GROUPS = 1 << 10
"""Room for so many groups at first."""


class GroupPricer:
    """Prices LFAs of one problem under one rule.

    Parameters
    ----------
    problem
        Network, platform, batch.
    rule
        What the Tiling Number of a group is.
    capped
        Whether a layer's own number is at most 16 for each sample; see `initial_lfa`.

    Raises
    ------
    UserError
        As `initial_lfa`.
    """

    def __init__(self, problem: Problem, rule: TilingRule = TilingRule.OUTPUT, capped: bool = True) -> None:
        self.problem = problem
        self.start = initial_lfa(problem, capped)
        self.table = problem.table
        self.costs = CostCache(problem)
        self.counters = np.zeros(lfa_pricing.COUNTERS, np.int64)
        size = len(problem.network.layers)
        self.space = Space(
            problem.batch,
            problem.platform.dram_rate,
            problem.platform.dram_pj_per_byte,
            np.array([flg.tiling_number for flg in self.start.flgs], np.int64),
            int(RuleCode[rule.name]),
            layers_kept_apart(problem),
        )
        self.groups = empty_group_table(FIRST_GROUPS, FIRST_GROUPS * 8 + size)
        self.scratch = group_scratch(self.table, self.counters, 4 * size, 4 * size, 4 * size)

    @property
    def rounds_done(self) -> int:
        """Rounds of the search that the kernels have done."""
        return int(self.counters[lfa_pricing.ROUND])

    def arrays(self, lfa: LFA) -> LFAArrays:
        """Return an LFA of the network as kernels take it."""
        return lfa_arrays(lfa, self.problem.network, self.table)

    def provide(self, status: int) -> None:
        """Learn the costs that a kernel lacks, or enlarge its arrays."""
        if status == lfa_pricing.UNKNOWN_COSTS:
            self.costs.learn(self.scratch.tiles, self.scratch.missing[: self.counters[lfa_pricing.UNKNOWN]])
        elif status == lfa_pricing.NEEDS_ROOM:
            needed = (lfa_pricing.NEEDED_TILES, lfa_pricing.NEEDED_TENSORS, lfa_pricing.NEEDED_CHIP_TENSORS)
            room = (2 * int(self.counters[item]) for item in needed)
            self.scratch = group_scratch(self.table, self.counters, *room)
        elif status == TABLE_FULL:
            self.groups = enlarged(self.groups)

    def price(self, arrays: LFAArrays, sums: FloatArray) -> bool:
        """Fill ``sums[SUM_…]`` for an LFA; return whether it is valid: in the space, and it can be cut and run."""
        while True:
            status, valid = price_groups(
                self.table, self.costs.table, self.space, self.groups, self.scratch, arrays, sums
            )
            if status == lfa_pricing.DONE:
                return valid
            self.provide(status)

    def numbers(self, arrays: LFAArrays) -> IntArray:
        """Return int64[L]: the Tiling Numbers of an LFA that was priced, where its groups begin."""
        numbers = np.ones(len(arrays.order), np.int64)
        for begin in np.flatnonzero(arrays.begins_lg).tolist():
            asked = int(arrays.tiling[begin]) if self.space.rule == RuleCode.INHERIT else 0
            at = slot_of(self.groups, arrays.order, begin, group_end(arrays.begins_lg, begin), asked)
            numbers[begin] = self.groups.figures[self.groups.slots[at], NUMBER]
        return numbers

    def lfa(self, arrays: LFAArrays) -> LFA:
        """Return an LFA that was priced, with its Tiling Numbers."""
        return lfa_from_arrays(arrays._replace(tiling=self.numbers(arrays)), self.problem.network, self.table)

    def has(self, lfa: LFA) -> bool:
        """Return whether an LFA is in the space."""
        if lfa.is_wide or any(not flg.dram_cut for flg in lfa.flgs):
            return False
        arrays = self.arrays(lfa)
        if not self.price(arrays, np.zeros(3)):
            return False
        return bool((self.numbers(arrays) == arrays.tiling)[arrays.begins_lg].all())
