"""A first stage that knows the second: prices LFAs by the greedy DLSA under the full buffer.

Several annealing chains run in threads (the kernels release the interpreter's lock). At fixed rounds they meet, and the
worse half adopts the states of the better half. The draws of a chain depend only on the seed and its number, and
meetings only on rounds. So the result does not depend on the number of cores.

In the wide space (docs/model.md#spaces) two phases follow. As many rounds again go over LFAs that divide layers, if any
may be divided: one more move changes the parts (docs/first-stage.md#divided-layers). Then a last phase at a low
temperature begins at the best LFA so far, half of its chains with every load shared that can be, and lets readers share
loads or not (docs/first-stage.md#shared-loads). While such a phase gains, another one follows
(docs/first-stage.md#the-last-phases). The first phase is the search of the paper's space with the same draws, so the
result is never worse for the same rounds.

`refine_lfas` has last phases alone, from LFAs that are known, say of a smaller batch.
"""

import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np

from soma_cp.annealing.acceptance import Cooling
from soma_cp.annealing.budget import Budget
from soma_cp.annealing.chunks import CLOSING_SECONDS, run_in_chunks
from soma_cp.annealing.first_stage import lfa_pricing
from soma_cp.annealing.first_stage.chain import Chain, lfa_settings, move_weights
from soma_cp.annealing.first_stage.cost_cache import CostCache, Learned
from soma_cp.annealing.first_stage.moves import DEFAULT_WEIGHTS, Move
from soma_cp.annealing.first_stage.periods import Folding
from soma_cp.annealing.first_stage.slots import SlottedProblem, slotted, without_slots
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.progress import ProgressEvent
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import FLG, LFA

POLL_SECONDS = 0.05
MOST_GROWTH = 2.5
"""Large batches get at most this many times the rounds of batch 1: each of their candidates also takes longer."""
PAPER_TIME, DIVIDING_TIME = 0.45, 0.7
"""Shares of the time left that the first two phases of the wide space may take, each when it begins. The first phase
may take the second share if no layer may be divided."""
LEAST_GAIN, PATIENCE = 0.005, 2
"""Another last phase follows one that lowers the cost by at least the first share; where the best LFA has several LGs,
so many in a row have to gain less before it is the last."""
CUTS = (Move.FUSE_LGS, Move.SPLIT_LG, Move.TURN_CUT, Move.MOVE_BORDER)
"""The moves that change DRAM Cuts alone; without them, an LFA that overflows the buffer is repaired."""


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
    wide
        Whether LFAs may be of the wide space, which has divided layers and shared loads.
    divides, shares_loads
        Whether the wide space is searched with each of the two; without `divides`, parts of a start stay as they are.
    last_rounds, last_temperature
        Rounds of a last phase of the wide space, as a share of those of the first, and its initial temperature.
    last_phases
        How many last phases there are at most: another follows while they gain (`LEAST_GAIN`, `PATIENCE`).
    refining_rounds
        Rounds of a phase of `refine_lfas`, as a share of those of the first phase of a search; 0 to refine nothing.
    archive_size
        How many LFAs each chain keeps for the second stage.
    """

    rounds: int = 40_000
    chains: int = 4
    meetings: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8)
    mixed_starts: bool = True
    cooling: Cooling = Cooling(power=2.0)
    weights: dict[Move, float] = field(default_factory=lambda: dict(DEFAULT_WEIGHTS))
    wide: bool = False
    divides: bool = True
    shares_loads: bool = True
    last_rounds: float = 0.5
    last_temperature: float = 0.01
    last_phases: int = 6
    refining_rounds: float = 0.2
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
    folding: Folding | None = None,
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
        A valid LFA that fits the buffer; the first chain begins there rather than at `start`. If it divides other
        layers than `start`, this is so in the second phase alone.
    folding
        What `problem` is folded from, if LFAs are to be priced over periods; they stay those of `problem`.
    """
    begin = time.monotonic()
    starts = [start] if own_start is None else [start, own_start]
    undivided = without_slots(problem)
    slots = _slots(problem, starts, parameters) if parameters.wide else undivided
    rounds = parameters.rounds_for(problem)
    last_rounds = round(rounds * parameters.last_rounds) if parameters.wide else 0
    with _Run(seed, objective, parameters, threads, enough, monitor or Monitor(), folding) as run:
        run.plan(rounds * (2 if slots.divides else 1) + last_rounds)
        last_share = (PAPER_TIME if slots.divides else DIVIDING_TIME) if last_rounds else 1.0
        own = own_start if own_start is not None and own_start.divisions == start.divisions else None
        run.anneal(run.phase(undivided, rounds).from_scratch(start, own), rounds, last_share)
        if slots.divides and not run.is_done:
            run.anneal(run.phase(slots, rounds).from_scratch(start, own_start), rounds, DIVIDING_TIME)
        if last_rounds:
            run.last_phases(slots, last_rounds)
    return run.result(begin)


def refine_lfas(
    problem: Problem,
    starts: Sequence[LFA],
    seed: int,
    objective: Objective = Objective(),  # noqa: B008  # immutable
    parameters: LFASearchParameters = LFASearchParameters(),
    threads: int | None = None,
    enough: float = -math.inf,
    monitor: Monitor | None = None,
) -> LFASearchResult:
    """Search the wide space near LFAs that may overflow the buffer.

    First they are repaired: moves that leave the DRAM Cuts as they are lower the overflow, and then the cost at a low
    temperature. Last phases follow from the best that fits; if none does, no LFA is found.

    Parameters
    ----------
    problem
        Network, platform, batch.
    starts
        LFAs in one pass; chains take them in turn.
    seed, objective, parameters, threads, enough, monitor
        As for `search_lfas`; `parameters` have `refining_rounds`.
    """
    begin = time.monotonic()
    slots = _slots(problem, starts, parameters)
    rounds = max(round(parameters.rounds_for(problem) * parameters.refining_rounds), 1)
    with _Run(seed, objective, parameters, threads, enough, monitor or Monitor()) as run:
        run.plan(2 * rounds)
        run.anneal(run.phase(slots, rounds).without_new_cuts(starts), rounds, DIVIDING_TIME)
        run.last_phases(slots, rounds)
    return run.result(begin)


def _slots(problem: Problem, starts: Sequence[LFA], parameters: LFASearchParameters) -> SlottedProblem:
    """Return the problem with slots, if layers may be divided or a start divides some."""
    divided = any(start.divisions for start in starts)
    return slotted(problem, starts) if parameters.divides or divided else without_slots(problem)


class _Run:
    """The phases of a search: their chains and their threads.

    Parameters
    ----------
    seed, objective, parameters, threads, enough, monitor, folding
        As for `search_lfas`.
    """

    def __init__(
        self,
        seed: int,
        objective: Objective,
        parameters: LFASearchParameters,
        threads: int | None,
        enough: float,
        monitor: Monitor,
        folding: Folding | None = None,
    ) -> None:
        self.seed = seed
        self.objective = objective
        self.parameters = parameters
        self.enough = enough
        self.monitor = monitor
        self.folding = folding
        self.found: list[tuple[float, LFA]] = []
        self._pool = ThreadPoolExecutor(max_workers=threads or os.cpu_count() or 1)
        self._chains: list[Chain] = []
        self._planned = 0
        self._out_of_time = False

    def __enter__(self) -> "_Run":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    @property
    def is_done(self) -> bool:
        """Whether no further phase is wanted: the time is over, or the best LFA is good enough."""
        return self.monitor.budget.over or (bool(self.found) and self.found[0][0] <= self.enough)

    def plan(self, rounds: int) -> None:
        """Announce so many more rounds of each chain."""
        self._planned += rounds * self.parameters.chains

    def phase(self, of: SlottedProblem, rounds: int) -> "_Phase":
        """Return what makes the chains of the next phase."""
        return _Phase(of, self.seed, len(self._chains), self.objective, self.parameters, rounds, self.folding)

    def anneal(self, chains: list[Chain], rounds: int, share: float = 1.0) -> None:
        """Run new chains, in at most a share of the time left."""
        self._chains.extend(chains)
        budget = self.monitor.budget if share == 1.0 else self.monitor.budget.part(share)
        meetings = self.parameters.meetings
        self._out_of_time |= _anneal(chains, rounds, meetings, self.enough, budget, self._pool, self._report)
        self.found = _archived(self._chains)

    def last_phases(self, slots: SlottedProblem, rounds: int) -> None:
        """Run phases at a low temperature, each from the best LFA so far, while they gain; the first one is planned."""
        in_vain = 0
        for number in range(self.parameters.last_phases):
            if not self.found or self.is_done:
                return
            if number > 0:
                self.plan(rounds)
            before, best = self.found[0]
            known = [chain.costs for chain in self._chains[-self.parameters.chains :]]
            self.anneal(self.phase(slots, rounds).from_best(best, known), rounds)
            cost, lfa = self.found[0]
            in_vain = in_vain + 1 if cost > before * (1 - LEAST_GAIN) else 0
            if in_vain >= (PATIENCE if lfa.lg_count > 1 else 1):
                return

    def result(self, begin: float) -> LFASearchResult:
        """Return what was found since `begin`."""
        lfas = tuple(self.found[: self.parameters.archive_size])
        done = sum(chain.rounds_done for chain in self._chains)
        return LFASearchResult(lfas, done, self._out_of_time, time.monotonic() - begin)

    def _report(self) -> None:
        done = sum(chain.rounds_done for chain in self._chains)
        lowest = _lowest_cost(self._chains)
        self.monitor.progress(ProgressEvent("first stage", 0, done, self._planned, lowest))


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


@dataclass(frozen=True)
class _Phase:
    """Makes the chains of a phase.

    Parameters
    ----------
    slotted
        The problem, with slots for the layers that the phase may divide.
    seed, before
        The draws follow from the seed and a chain's number; there are so many chains before.
    objective, parameters
        As for `search_lfas`.
    rounds
        Of each chain.
    folding
        As for `search_lfas`.
    """

    slotted: SlottedProblem
    seed: int
    before: int
    objective: Objective
    parameters: LFASearchParameters
    rounds: int
    folding: Folding | None = None

    def from_scratch(self, start: LFA, own_start: LFA | None) -> list[Chain]:
        """Return chains at their starts; no loads are shared."""
        samples = self.slotted.problem.batch
        layerwise = replace(start, flgs=tuple(FLG(flg.layers, 1, place == 0) for place, flg in enumerate(start.flgs)))
        fused = replace(start, flgs=(FLG(start.computing_order, samples, True),))
        first = own_start or start
        starts = (first, layerwise, fused, fused) if self.parameters.mixed_starts else (first,)
        return [self._started(starts[number % len(starts)], start, number) for number in range(self.parameters.chains)]

    def from_best(self, best: LFA, known: list[CostCache]) -> list[Chain]:
        """Return chains that begin at the best LFA, half of them with every load shared that can be.

        They know the tile costs of the chains before, and may turn shares.
        """
        cooling = replace(self.parameters.cooling, initial_temperature=self.parameters.last_temperature)
        shares = self.parameters.shares_loads
        weights = {} if shares else {Move.TURN_SHARE: 0.0}
        return [
            self._chain(best, number, cooling, weights, costs, shares=shares and number % 2 == 1)
            for number, costs in enumerate(known)
        ]

    def without_new_cuts(self, starts: Sequence[LFA]) -> list[Chain]:
        """Return chains at these starts, which may overflow; they change no DRAM Cut by itself and share no loads."""
        cooling = replace(self.parameters.cooling, initial_temperature=self.parameters.last_temperature)
        weights = dict.fromkeys((*CUTS, Move.TURN_SHARE), 0.0)
        return [
            self._chain(starts[number % len(starts)], number, cooling, weights, self._cost_cache())
            for number in range(self.parameters.chains)
        ]

    def _started(self, begin_at: LFA, start: LFA, number: int) -> Chain:
        """Return a chain at `begin_at`; at `start` if that is not valid, or runs layer by layer and does not fit."""
        without = {Move.TURN_SHARE: 0.0}
        costs = self._cost_cache()
        run = self._chain(begin_at, number, self.parameters.cooling, without, costs)
        overflows = run.best_figures[lfa_pricing.OVERFLOW_BYTES] > 0
        layerwise = len(begin_at.flgs) > 1 and begin_at.lg_count == 1
        if not run.start_is_valid or (overflows and layerwise):
            run = self._chain(start, number, self.parameters.cooling, without, costs)
        return run

    def _chain(
        self,
        begin_at: LFA,
        number: int,
        cooling: Cooling,
        weights: dict[Move, float],
        costs: CostCache,
        shares: bool = False,
    ) -> Chain:
        problem = self.slotted.problem
        capacity = problem.platform.gbuf_bytes
        divides = {} if self.slotted.divides and self.parameters.divides else {Move.DIVIDE: 0.0}
        return Chain(
            problem,
            begin_at,
            lfa_settings(problem, capacity, self.objective, cooling, self.rounds, lfa_pricing.GREEDY),
            move_weights({**self.parameters.weights, **weights, **divides}),
            np.zeros(len(self._priced.network.layers), np.int64),
            np.random.default_rng([self.seed, self.before + number]),
            costs,
            self.parameters.archive_size,
            shares,
            self.slotted,
            self.folding,
        )

    def _cost_cache(self) -> CostCache:
        """Return a cache for a chain, which learns from those of the others."""
        return CostCache(self._priced, self._learned)

    @cached_property
    def _learned(self) -> list[Learned]:
        """What the chains have learned of tile costs."""
        return []

    @cached_property
    def _priced(self) -> Problem:
        """The problem whose tiles are priced."""
        return self.slotted.problem if self.folding is None else self.folding.priced(self.slotted)[0].problem


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
