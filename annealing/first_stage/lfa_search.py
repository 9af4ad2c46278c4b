"""A first stage that knows the second: prices LFAs by the greedy DLSA under the full buffer.

Several annealing chains run in threads (the kernels release the interpreter's lock). At fixed rounds they meet, and the
worse half adopts the states of the better half. The draws of a chain depend only on the seed and its number, and
meetings only on rounds. So the result does not depend on the number of cores.

In the wide space (docs/model.md#spaces) a last phase follows at a low temperature: chains begin at the best LFA found,
half of them with every load shared that can be, and one more move lets readers share loads or not. A search with
shared loads from the start gains no more and loses some rows (docs/first-stage.md#shared-loads).
"""

import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from soma_cp.annealing.acceptance import Cooling
from soma_cp.annealing.budget import Budget
from soma_cp.annealing.chunks import CLOSING_SECONDS, run_in_chunks
from soma_cp.annealing.first_stage import lfa_pricing
from soma_cp.annealing.first_stage.chain import Chain, lfa_settings, move_weights
from soma_cp.annealing.first_stage.cost_cache import CostCache
from soma_cp.annealing.first_stage.moves import DEFAULT_WEIGHTS, Move
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.progress import ProgressEvent
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import FLG, LFA

POLL_SECONDS = 0.05
MOST_GROWTH = 2.5
"""Large batches get at most this many times the rounds of batch 1: each of their candidates also takes longer."""
SHARING_TIME = 0.2
"""Share of the time left that is kept for the phase with shared loads."""


@dataclass(frozen=True)
class LFASearchParameters:
    """Parameters of the search by the greedy DLSA.

    Parameters
    ----------
    rounds
        Rounds of all chains together at batch 1; they grow by √batch, at most by `MOST_GROWTH`.
    chains
        Number of annealing chains; at least 1.
    meetings
        Shares of a chain's rounds after which the worse half of the chains adopts the better half.
    mixed_starts
        Whether the chains start differently. Of four chains, one starts at `start`; one with every layer an untiled FLG
        in one LG, if that fits the buffer; two with all layers in one FLG, tiled by samples, even if that does not fit.
    cooling
        How the temperature falls.
    weights
        How often each move is drawn.
    shared_loads
        Whether readers may share loads, which the paper's space doesn't have. Where loads can be shared, a last phase
        then goes on from the best LFA of the paper's space, so that the result is never worse.
    sharing_rounds, sharing_temperature
        Rounds of that phase, as a share of those before, and its initial temperature.
    archive_size
        How many LFAs each chain keeps for the second stage.
    """

    rounds: int = 40_000
    chains: int = 4
    meetings: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8)
    mixed_starts: bool = True
    cooling: Cooling = Cooling(power=2.0)
    weights: dict[Move, float] = field(default_factory=lambda: dict(DEFAULT_WEIGHTS))
    shared_loads: bool = False
    sharing_rounds: float = 0.5
    sharing_temperature: float = 0.03
    archive_size: int = 8

    def rounds_for(self, problem: Problem) -> int:
        """Return the rounds of each chain."""
        return max(round(self.rounds * min(math.sqrt(problem.batch), MOST_GROWTH)) // self.chains, 1)


@dataclass(frozen=True)
class LFASearchResult:
    """The best LFAs of a search.

    Parameters
    ----------
    lfas
        LFAs with their costs under the greedy DLSA, cheapest first, all costs different; empty if none fits the buffer.
    rounds
        Candidates drawn by all chains.
    out_of_time
        Whether the deadline ended the search before its own stop rules did.
    seconds
        Wall-clock time.
    """

    lfas: tuple[tuple[float, LFA], ...]
    rounds: int
    out_of_time: bool
    seconds: float


def search_lfas(
    problem: Problem,
    start: LFA,
    seed: int,
    objective: Objective = Objective(),  # noqa: B008  # immutable
    parameters: LFASearchParameters = LFASearchParameters(),
    threads: int | None = None,
    enough: float = -math.inf,
    monitor: Monitor | None = None,
    own_start: LFA | None = None,
) -> LFASearchResult:
    """Search for the LFAs with the lowest cost under the greedy DLSA and the full buffer.

    Parameters
    ----------
    problem
        Network, platform, batch.
    start
        A valid LFA from which chains start, normally `coarse_lfa`.
    seed
        Seed of all draws: the same seed and rounds give the same LFAs for any `threads`.
    objective, parameters
        What is minimised, and how.
    threads
        How many chains run at a time; all cores by default.
    enough
        A cost that is known to be optimal: the search ends at a meeting if a chain has reached it.
    monitor
        How the search is stopped and watched.
    own_start
        A valid LFA that fits the buffer; the first chain begins there rather than at `start`.
    """
    begin = time.monotonic()
    monitor = monitor or Monitor()
    budget = monitor.budget
    sharing = parameters.shared_loads and len(problem.table.shareable) > 0
    rounds = parameters.rounds_for(problem)
    more_rounds = round(rounds * parameters.sharing_rounds) if sharing else 0
    chains = _chains(problem, start, own_start, seed, objective, parameters, rounds)
    planned = (rounds + more_rounds) * len(chains)

    def report() -> None:
        done = sum(chain.rounds_done for chain in chains)
        monitor.progress(ProgressEvent("first stage", 0, done, planned, _lowest_cost(chains)))

    with ThreadPoolExecutor(max_workers=threads or os.cpu_count() or 1) as pool:
        limit = budget.part(1 - SHARING_TIME) if sharing else budget
        out_of_time = _anneal(chains, rounds, parameters.meetings, enough, limit, pool, report)
        found = _archived(chains)
        if sharing and found and found[0][0] > enough and not budget.over:
            others = _sharing_chains(problem, found[0][1], seed, objective, parameters, more_rounds, chains)
            chains += others
            out_of_time |= _anneal(others, more_rounds, parameters.meetings, enough, budget, pool, report)
            found = _archived(chains)
    done = sum(chain.rounds_done for chain in chains)
    return LFASearchResult(tuple(found[: parameters.archive_size]), done, out_of_time, time.monotonic() - begin)


def _anneal(
    chains: list[Chain],
    rounds: int,
    meetings: tuple[float, ...],
    enough: float,
    budget: Budget,
    pool: ThreadPoolExecutor,
    report: Callable[[], None],
) -> bool:
    """Run chains from meeting to meeting; return whether the deadline ended them."""
    for meeting in (*(int(share * rounds) for share in meetings), rounds):
        _run_all([partial(_run_chain, chain, meeting, budget) for chain in chains], pool, report)
        if (_lowest_cost(chains) or math.inf) <= enough:
            break
        if meeting < rounds and not budget.over:
            _share_the_better_half(chains)
    out_of_time = any(chain.rounds_done < meeting for chain in chains) and not budget.stop_requested
    if out_of_time and not chains[0].problem.core_array.takes_long:
        closing = budget.extended(CLOSING_SECONDS)
        _run_all([partial(_close_chain, chain, rounds, closing) for chain in chains], pool, report)
    return out_of_time


def _archived(chains: list[Chain]) -> list[tuple[float, LFA]]:
    """Return the archived LFAs of all chains with their costs, all different, cheapest first."""
    found: dict[float, LFA] = {}
    for chain in chains:
        for cost, lfa in chain.archived():
            found.setdefault(cost, lfa)
    return sorted(found.items(), key=lambda item: item[0])


def _chains(
    problem: Problem,
    start: LFA,
    own_start: LFA | None,
    seed: int,
    objective: Objective,
    parameters: LFASearchParameters,
    rounds: int,
) -> list[Chain]:
    """Return chains of the paper's space, at their starts."""
    settings = lfa_settings(
        problem, problem.platform.gbuf_bytes, objective, parameters.cooling, rounds, lfa_pricing.GREEDY
    )
    weights: dict[Move, float] = {**parameters.weights, Move.TURN_SHARE: 0.0}

    def chain(begin_at: LFA, number: int) -> Chain:
        random = np.random.default_rng([seed, number])
        apart = np.zeros(len(problem.network.layers), np.int64)
        costs = CostCache(problem)
        return Chain(problem, begin_at, settings, move_weights(weights), apart, random, costs, parameters.archive_size)

    layerwise = LFA(tuple(FLG(flg.layers, 1, place == 0) for place, flg in enumerate(start.flgs)))
    fused = LFA((FLG(start.computing_order, problem.batch, True),))
    first = own_start or start
    starts = (first, layerwise, fused, fused) if parameters.mixed_starts else (first,)
    chains = []
    for number in range(parameters.chains):
        run = chain(starts[number % len(starts)], number)
        overflows = run.best_figures[lfa_pricing.OVERFLOW_BYTES] > 0
        if not run.start_is_valid or (overflows and starts[number % len(starts)] is layerwise):
            run = chain(start, number)
        chains.append(run)
    return chains


def _sharing_chains(
    problem: Problem,
    best: LFA,
    seed: int,
    objective: Objective,
    parameters: LFASearchParameters,
    rounds: int,
    before: list[Chain],
) -> list[Chain]:
    """Return chains that begin at the best LFA, half of them with every load shared that can be, and turn shares.

    Their draws are others than those of the chains `before`, whose tile costs they know.
    """
    cooling = replace(parameters.cooling, initial_temperature=parameters.sharing_temperature)
    settings = lfa_settings(problem, problem.platform.gbuf_bytes, objective, cooling, rounds, lfa_pricing.GREEDY)
    apart = np.zeros(len(problem.network.layers), np.int64)
    return [
        Chain(
            problem,
            best,
            settings,
            move_weights(parameters.weights),
            apart,
            np.random.default_rng([seed, len(before) + number]),
            chain.costs,
            parameters.archive_size,
            shares=number % 2 == 1,
        )
        for number, chain in enumerate(before)
    ]


def _run_all(jobs: list[Callable[[], None]], pool: ThreadPoolExecutor, report: Callable[[], None]) -> None:
    """Run the jobs to their end, and report from this thread while they run."""
    running = {pool.submit(job) for job in jobs}
    while running:
        ended, running = wait(running, timeout=POLL_SECONDS)
        for future in ended:
            future.result()  # raises the error of a job
        report()


def _run_chain(chain: Chain, last: int, budget: Budget) -> None:
    run_in_chunks(lambda _, to: chain.run_to(to, budget=budget), last, budget, lambda _: None, first=chain.rounds_done)


def _close_chain(chain: Chain, rounds: int, budget: Budget) -> None:
    chain.return_to_best()
    run_in_chunks(
        lambda _, to: chain.run_to(to, heated=False, budget=budget),
        rounds,
        budget,
        lambda _: None,
        first=chain.rounds_done,
    )


def _rank(chain: Chain) -> tuple[float, float]:
    """Return the sort key of a chain: overflow and cost of its best LFA."""
    best = chain.best_figures
    return float(best[lfa_pricing.OVERFLOW_BYTES]), float(best[lfa_pricing.COST])


def _lowest_cost(chains: list[Chain]) -> float | None:
    cost = min(float(chain.best_figures[lfa_pricing.COST]) for chain in chains)
    return cost if math.isfinite(cost) else None


def _share_the_better_half(chains: list[Chain]) -> None:
    """Let the worse half of the chains adopt the better half; the chain's number breaks ties."""
    ranked = sorted(chains, key=_rank)
    half = len(ranked) // 2
    for worse, better in zip(ranked[len(ranked) - half :], ranked, strict=False):
        worse.adopt(better)
