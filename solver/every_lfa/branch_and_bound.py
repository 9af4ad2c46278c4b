"""The global optimum of a small network: branch and bound over LFAs, then CP-SAT over the DLSAs of the remaining LFAs.

For every Computing Order, LFAs grow FLG by FLG from the front (`soma_cp.solver.every_lfa.prefixes`). A prefix is
dropped if its bound reaches the cost of the best schedule known; a complete LFA is dropped if its window bound does.
The exact second stage decides on the others.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import networkx as nx
import numpy as np

from soma_cp.annealing.budget import OutOfTimeError
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.progress import ProgressEvent
from soma_cp.model.errors import UserError
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.evaluation import plan_figures
from soma_cp.model.soma.footprint import BufferTooSmallError
from soma_cp.model.soma.lfa import LFA
from soma_cp.model.soma.plan import MAX_TILES, Plan, make_plan
from soma_cp.model.soma.result import SecondStageResult
from soma_cp.solver.every_lfa.flg_options import OptionTable
from soma_cp.solver.every_lfa.network_bounds import MET
from soma_cp.solver.every_lfa.prefixes import OrderBounds, Prefix
from soma_cp.solver.second_stage.windows import best_combinatorial_bound

MOST_LAYERS = 12
"""Networks with more layers are refused: going through their LFAs would take many hours."""
REPORT_EVERY = 100
"""Prefixes between two progress events."""
LATEST = 2**60
"""Cycles; no schedule takes this long."""

Decide = Callable[[Plan, int], SecondStageResult]
"""Finds the best DLSA of a plan that is faster than the given cycles, or proves that there is none."""


@dataclass(frozen=True, eq=False)
class LFAProof:
    """The result of branch and bound.

    Parameters
    ----------
    lower_bound
        No schedule costs less.
    complete
        Whether the search covered all LFAs.
    improved
        A schedule that is cheaper than the one to beat; None if none was found.
    orders, prefixes
        Computing Orders completed; prefixes, including complete LFAs, that step 1 of their bound did not drop.
    lfas, solved
        Complete LFAs that no bound of a prefix dropped; those of them that went through the second stage.
    seconds
        Wall-clock time.
    """

    lower_bound: float
    complete: bool
    improved: SecondStageResult | None
    orders: int
    prefixes: int
    lfas: int
    solved: int
    seconds: float


def check_provable(problem: Problem) -> None:
    """Refuse networks that are too large for branch and bound.

    Raises
    ------
    UserError
        States the number of layers and the limit.
    """
    layers = len(problem.network.layers)
    if layers > MOST_LAYERS:
        raise UserError(
            f"--exact goes through all LFAs of a network of at most {MOST_LAYERS} layers; '{problem.network.name}' has "
            f"{layers}; leave --exact out, the bound over every LFA is then still given"
        )


def prove_over_every_lfa(
    problem: Problem,
    best_cost: float,
    known_bound: float,
    decide: Decide,
    objective: Objective = Objective(),  # noqa: B008  # immutable
    monitor: Monitor | None = None,
) -> LFAProof:
    """Find a schedule that is cheaper than the best one known, or prove that there is none.

    Parameters
    ----------
    problem
        A problem with at most `MOST_LAYERS` layers.
    best_cost
        Cost of the best schedule known.
    known_bound
        A lower bound on the cost that is already proven.
    decide
        Decides on a complete LFA.
    objective
        The objective of `best_cost`.
    monitor
        How the search is stopped and watched; its rounds are prefixes.

    Raises
    ------
    UserError
        If the network has too many layers.
    """
    check_provable(problem)
    begin = time.monotonic()
    if best_cost <= known_bound * (1 + MET):
        return LFAProof(known_bound, True, None, 0, 0, 0, 0, 0.0)
    search = _Search(problem, best_cost, decide, objective, monitor or Monitor())
    complete = True
    for order in computing_orders(problem):
        if not search.go_through(order):
            complete = False
            search.left_open = known_bound  # the remaining orders are open
            break
    return LFAProof(
        lower_bound=max(min(search.best_cost, search.left_open), known_bound),
        complete=complete and search.left_open >= search.best_cost,
        improved=search.improved,
        orders=search.orders,
        prefixes=search.prefixes,
        lfas=search.lfas,
        solved=search.solved,
        seconds=time.monotonic() - begin,
    )


def computing_orders(problem: Problem) -> Iterator[tuple[int, ...]]:
    """Yield all Computing Orders as layer ids; the sequence is the same on every run."""
    table = problem.table
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(len(table.layers)))
    for layer in range(len(table.layers)):
        sources = table.source[table.source_begin[layer] : table.source_begin[layer + 1]]
        graph.add_edges_from((source, layer) for source in sources.tolist() if source >= 0)
    for order in nx.all_topological_sorts(graph):
        yield tuple(order)


class _Search:
    """The state of one branch-and-bound search."""

    def __init__(
        self,
        problem: Problem,
        best_cost: float,
        decide: Decide,
        objective: Objective,
        monitor: Monitor,
    ) -> None:
        self.table = OptionTable(problem, monitor.budget)
        self.problem = problem
        self.best_cost = best_cost
        self.decide = decide
        self.objective = objective
        self.budget = monitor.budget
        self.progress = monitor.progress
        self.improved: SecondStageResult | None = None
        self.left_open = float("inf")
        self.orders = 0
        self.prefixes = 0
        self.lfas = 0
        self.solved = 0

    @property
    def _cutoff(self) -> float:
        return self.best_cost / (1 + MET)

    def go_through(self, order: tuple[int, ...]) -> bool:
        """Go through all LFAs with this Computing Order; return False if the time ended first."""
        if self.budget.over:
            return False
        try:
            bounds = OrderBounds(self.table, order, self.objective, self._cutoff, self.budget)
            complete = self._extend(bounds, Prefix())
        except OutOfTimeError:
            return False
        self.orders += complete
        return complete

    def _extend(self, bounds: OrderBounds, prefix: Prefix) -> bool:
        """Go through all LFAs with this prefix; return False if the time ended first."""
        families = [
            bounds.children(prefix, end, dram_cut)
            for end in range(prefix.place + 1, len(bounds.order) + 1)
            for dram_cut in ((True, False) if prefix.flgs else (True,))
        ]
        costs = np.concatenate([family.cost for family in families])
        family_of = np.repeat(np.arange(len(families)), [len(family.cost) for family in families])
        choice_of = np.concatenate([np.arange(len(family.cost)) for family in families])
        worth_it = np.flatnonzero(costs < self._cutoff)
        for n in worth_it[np.argsort(costs[worth_it], kind="stable")].tolist():
            if self.budget.over:
                return False
            if costs[n] >= self._cutoff:
                break
            children, choice = families[family_of[n]], int(choice_of[n])
            child = bounds.child(prefix, children, choice)
            self.prefixes += 1
            if self.prefixes % REPORT_EVERY == 0:
                self.progress(ProgressEvent("all layer fusions", 0, self.prefixes, 0, self.best_cost))
            if bounds.window_cost(child, children, choice) >= self._cutoff:
                continue
            if child.place < len(bounds.order):
                if not self._extend(bounds, child):
                    return False
            elif child.tiles <= MAX_TILES:
                self._decide(bounds.lfa(child))
        return True

    def _decide(self, lfa: LFA) -> None:
        """Find the best schedule of a complete LFA, if it can be cheaper than the best known."""
        self.lfas += 1
        plan = make_plan(self.problem, lfa)
        energy = plan_figures(plan).energy_pj
        cost = self.objective.cost
        try:
            if cost(energy, best_combinatorial_bound(plan)[0]) >= self._cutoff:
                return
            result = self.decide(plan, self._latency_to_beat(energy))
        except BufferTooSmallError:
            return
        self.solved += 1
        if cost(energy, result.schedule.latency) < self._cutoff:
            self.best_cost = cost(energy, result.schedule.latency)
            self.improved = result
        bound = cost(energy, result.lower_bound)
        if bound < self._cutoff and not result.proven_optimal:
            self.left_open = min(self.left_open, bound)

    def _latency_to_beat(self, energy_pj: float) -> int:
        """Return the lowest latency (cycles) at which a schedule with this energy is no cheaper than the best known."""
        exponent = self.objective.delay_exponent
        factor = self.best_cost / energy_pj**self.objective.energy_exponent
        latency = factor ** (1 / exponent) if exponent > 0 else float("inf")
        return int(min(latency, LATEST)) + 1
