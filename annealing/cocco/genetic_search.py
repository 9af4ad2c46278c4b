"""Cocco's own search, a genetic algorithm over groups (docs/cocco.md#the-genetic-search).

Tan, Zhu and Ma, "Cocco: Hardware-Mapping Co-Exploration towards Memory Capacity-Communication Optimization",
ASPLOS 2024, https://doi.org/10.1145/3617232.3624865. The buffer is given here, so genomes have no size of it.
"""

import time
from dataclasses import dataclass

import numpy as np

from soma_cp.annealing.acceptance import Cooling
from soma_cp.annealing.chunks import run_in_chunks
from soma_cp.annealing.cocco.cocco_kernel import set_figures
from soma_cp.annealing.cocco.cocco_search import CoccoParameters
from soma_cp.annealing.cocco.genetic_kernel import Generations, Rates, breed
from soma_cp.annealing.cocco.genomes import fill_joins
from soma_cp.annealing.cocco.group_pricer import GroupPricer
from soma_cp.annealing.cocco.tiling_rules import TilingRule
from soma_cp.annealing.first_stage import lfa_pricing
from soma_cp.annealing.first_stage.chain import lfa_settings
from soma_cp.annealing.first_stage.paper_search import PaperSearchResult, reporter, search_result
from soma_cp.annealing.monitor import Monitor
from soma_cp.model.errors import UserError
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import LFA


@dataclass(frozen=True)
class GeneticParameters:
    """Parameters of the genetic search. Its paper gives the size of a generation alone.

    Parameters
    ----------
    genomes
        Most genomes of a generation; fewer where there would be fewer than `least_generations`.
    least_generations
        Generations at least.
    evaluations
        Genomes that are priced in all; by default as many as the annealing has rounds.
    tournament
        Genomes from which the best is taken.
    crossover, mutation
        Shares of the children with two parents, and of those that are mutated.
    """

    genomes: int = 500
    least_generations: int = 20
    evaluations: int | None = None
    tournament: int = 4
    crossover: float = 0.5
    mutation: float = 0.3

    def generation(self, evaluations: int) -> int:
        """Return how many genomes a generation has."""
        return max(min(self.genomes, evaluations // self.least_generations), 2)


def breed_groups(
    problem: Problem,
    limit_bytes: int,
    random: np.random.Generator,
    objective: Objective = Objective(),  # noqa: B008  # immutable
    space: CoccoParameters = CoccoParameters(),  # noqa: B008
    parameters: GeneticParameters = GeneticParameters(),
    monitor: Monitor | None = None,
    start: LFA | None = None,
) -> PaperSearchResult:
    """Breed LFAs of Cocco's space; return the one with the lowest cost under double buffering.

    Parameters
    ----------
    problem, limit_bytes, random, objective, monitor
        As for `search_groups`.
    space
        The rule of tiling numbers, and the rounds of the annealing.
    parameters
        How genomes are bred.
    start
        An LFA of the space, with which results are compared; by default, every layer alone.

    Raises
    ------
    UserError
        As `search_groups`; and with the rule INHERIT, since genomes have no tiling numbers.
    """
    begin = time.monotonic()
    monitor = monitor or Monitor()
    if space.tiling is TilingRule.INHERIT:
        raise UserError(
            "the genetic search of cocco-ga knows no inherited tiling numbers; give --tiling output or largest, or "
            "--lfa cocco"
        )
    rounds = space.rounds(problem) if parameters.evaluations is None else parameters.evaluations
    settings = lfa_settings(problem, limit_bytes, objective, Cooling(), rounds, lfa_pricing.DOUBLE_BUFFERING)
    pricer = GroupPricer(problem, space.tiling, space.capped)
    state = _generations(pricer, pricer.start if start is None else start, parameters.generation(rounds), settings)
    rates = Rates(parameters.tournament, parameters.crossover, parameters.mutation)
    best = state.figures[lfa_pricing.BEST]

    def run_to(last: int) -> None:
        while True:
            pricing = (pricer.table, pricer.costs.table, pricer.space, pricer.groups, pricer.scratch)
            status = breed(*pricing, settings, rates, state, last, random)
            if status == lfa_pricing.DONE:
                return
            if monitor.budget.over and status in (lfa_pricing.UNKNOWN_COSTS, lfa_pricing.PAUSED):
                return
            pricer.provide(status)

    run_in_chunks(lambda _, last: run_to(last), rounds, monitor.budget, reporter(monitor, best, rounds))
    return search_result(pricer.lfa(state.best), best, pricer.rounds_done, begin)


def _generations(pricer: GroupPricer, start: LFA, count: int, settings: lfa_pricing.LFASettings) -> Generations:
    """Return the state before the first generation, whose best LFA is `start`."""
    size = len(pricer.problem.network.layers)
    genomes, genome_costs = np.zeros((3, count, size), np.int64), np.full((3, count), np.inf)
    state = Generations(
        joins=np.zeros((size, size), np.bool_),
        parents=genomes[0],
        children=genomes[1],
        parent_costs=genome_costs[0],
        child_costs=genome_costs[1],
        chosen=genomes[2],
        chosen_costs=genome_costs[2],
        candidate=pricer.arrays(start),
        best=pricer.arrays(start),
        figures=np.full((3, lfa_pricing.FIGURES), np.inf),
        sums=np.zeros(3),
    )
    fill_joins(pricer.table, pricer.space.apart, state.joins)
    assert pricer.price(state.best, state.sums), "the first LFA of a search must be valid"
    set_figures(state.figures, lfa_pricing.BEST, state.sums, settings)
    pricer.counters[:] = 0
    return state
