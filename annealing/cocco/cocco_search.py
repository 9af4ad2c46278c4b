"""Annealing over Cocco's space, as the SoMa paper compares with it (docs/cocco.md#the-search).

Acceptance, cooling and number of rounds are those of the paper's own first stage; the moves change the Computing Order
and the DRAM Cuts alone. SoMa paper, Sec. VI; Tan, Zhu and Ma, "Cocco: Hardware-Mapping Co-Exploration towards Memory
Capacity-Communication Optimization", ASPLOS 2024, https://doi.org/10.1145/3617232.3624865.
"""

import time
from dataclasses import dataclass

import numpy as np

from soma_cp.annealing.chunks import CLOSING_SECONDS, run_in_chunks
from soma_cp.annealing.cocco.cocco_kernel import GroupState, anneal_groups, set_figures
from soma_cp.annealing.cocco.group_pricer import GroupPricer
from soma_cp.annealing.cocco.tiling_rules import TilingRule
from soma_cp.annealing.first_stage import lfa_pricing
from soma_cp.annealing.first_stage.chain import lfa_settings
from soma_cp.annealing.first_stage.paper_search import (
    PaperSearchParameters,
    PaperSearchResult,
    reporter,
    search_result,
)
from soma_cp.annealing.monitor import Monitor
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import LFA


@dataclass(frozen=True)
class CoccoParameters:
    """Parameters of the search of Cocco's space.

    Parameters
    ----------
    tiling
        What the Tiling Number of a group is.
    capped
        Whether a layer with more than 16 tiles for each sample gets one tile for each sample.
    order_share
        Share of the rounds that change the Computing Order; the others change a DRAM Cut. It is not published.
    annealing
        Rounds and cooling.
    """

    tiling: TilingRule = TilingRule.OUTPUT
    capped: bool = True
    order_share: float = 0.4
    annealing: PaperSearchParameters = PaperSearchParameters()

    def rounds(self, problem: Problem) -> int:
        """Return the number of rounds for this problem."""
        return self.annealing.rounds(problem)


class GroupChain:
    """One annealing run over groups: `pricer` prices, `random` draws, `start` is an LFA of the space.

    Until an LFA fits into `limit_bytes` (`settings`), the search minimises the overflow, as the paper's does.
    """

    def __init__(
        self,
        pricer: GroupPricer,
        start: LFA,
        settings: lfa_pricing.LFASettings,
        order_share: float,
        random: np.random.Generator,
    ) -> None:
        self.pricer = pricer
        self.settings = settings
        self.order_share = order_share
        self.random = random
        figures = np.full((3, lfa_pricing.FIGURES), np.inf)
        current, candidate, best = (pricer.arrays(start) for _ in range(3))
        self.state = GroupState(current, candidate, best, figures, np.zeros(3))
        self.start_is_valid = pricer.price(self.state.candidate, self.state.sums)
        for row in (lfa_pricing.CURRENT, lfa_pricing.BEST):
            set_figures(figures, row, self.state.sums, settings)
        pricer.counters[:] = 0

    def run_to(self, last: int, monitor: Monitor, heated: bool = True) -> None:
        """Run until round `last`, or until the budget is over where the kernel needs help or pauses."""
        pricer = self.pricer
        while True:
            status = anneal_groups(
                pricer.table,
                pricer.costs.table,
                pricer.space,
                pricer.groups,
                pricer.scratch,
                self.settings,
                self.order_share,
                self.state,
                last,
                heated,
                self.random,
            )
            if status == lfa_pricing.DONE:
                return
            if monitor.budget.over and status in (lfa_pricing.UNKNOWN_COSTS, lfa_pricing.PAUSED):
                return
            pricer.provide(status)


def search_groups(
    problem: Problem,
    limit_bytes: int,
    random: np.random.Generator,
    objective: Objective = Objective(),  # noqa: B008  # immutable
    parameters: CoccoParameters = CoccoParameters(),
    monitor: Monitor | None = None,
    start: LFA | None = None,
) -> PaperSearchResult:
    """Search Cocco's space for the LFA with the lowest cost under double buffering.

    Parameters
    ----------
    problem
        Network, platform, batch.
    limit_bytes
        Buffer that double buffering may use (bytes).
    random
        Source of all draws: the same generator and number of rounds give the same LFA.
    objective, parameters
        What is minimised, and how.
    monitor
        How the search is stopped and watched.
    start
        An LFA of the space; by default, every layer alone.

    Raises
    ------
    UserError
        If a layer can't fit into the buffer or run on the core array, or there are too many tiles.
    """
    begin = time.monotonic()
    monitor = monitor or Monitor()
    budget, annealing, rounds = monitor.budget, parameters.annealing, parameters.rounds(problem)
    costing = lfa_pricing.DOUBLE_BUFFERING
    settings = lfa_settings(problem, limit_bytes, objective, annealing.cooling, rounds, costing)
    pricer = GroupPricer(problem, parameters.tiling, parameters.capped)
    run = GroupChain(pricer, pricer.start if start is None else start, settings, parameters.order_share, random)
    assert run.start_is_valid, "the first LFA of a search must be valid"
    best = run.state.figures[lfa_pricing.BEST]

    report = reporter(monitor, best, rounds)
    done = run_in_chunks(lambda _, last: run.run_to(last, monitor), rounds, budget, report)
    if done < rounds and not budget.stop_requested and not problem.core_array.takes_long:
        last = min(done + annealing.closing_rounds_per_layer * len(problem.network.layers), rounds)
        longer = Monitor(budget.extended(CLOSING_SECONDS))
        run_in_chunks(lambda _, to: run.run_to(to, longer, heated=False), last, longer.budget, lambda _: None, done)
    return search_result(pricer.lfa(run.state.best), best, pricer.rounds_done, begin)
