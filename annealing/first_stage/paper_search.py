"""The paper's first stage: simulated annealing of the LFA, priced by double buffering.

docs/first-stage.md#the-papers-search; SoMa paper, Sec. V.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from soma_cp.annealing.acceptance import Cooling
from soma_cp.annealing.chunks import CLOSING_SECONDS, run_in_chunks
from soma_cp.annealing.first_stage import lfa_pricing
from soma_cp.annealing.first_stage.chain import PUBLISHED_MOVES, Chain, lfa_settings, move_weights
from soma_cp.annealing.first_stage.cost_cache import CostCache
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.progress import ProgressEvent
from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import LFA


@dataclass(frozen=True)
class PaperSearchParameters:
    """Parameters of the paper's first stage; the defaults are the published program's.

    Parameters
    ----------
    rounds_per_layer
        β; the number of rounds is β · layers · √batch.
    cooling
        How the temperature falls.
    closing_rounds_per_layer
        Rounds after a time limit that accept a candidate only if it is no worse; `CLOSING_SECONDS` end them, too.
    """

    rounds_per_layer: int = 100
    cooling: Cooling = Cooling()
    closing_rounds_per_layer: int = 5

    def rounds(self, problem: Problem) -> int:
        """Return N, the number of rounds for this problem."""
        return max(math.ceil(self.rounds_per_layer * len(problem.network.layers) * math.sqrt(problem.batch)), 1)


@dataclass(frozen=True)
class PaperSearchResult:
    """The best LFA of one annealing run under double buffering.

    Parameters
    ----------
    lfa
        The LFA.
    fits
        Whether its double buffering stays within the limit; if no LFA did, `lfa` is the one with the least overflow.
    latency, energy_pj, peak_bytes
        Under double buffering: cycles, pJ, bytes.
    rounds
        Rounds done.
    seconds
        Wall-clock time.
    """

    lfa: LFA
    fits: bool
    latency: int
    energy_pj: float
    peak_bytes: int
    rounds: int
    seconds: float


def layers_kept_apart(problem: Problem) -> IntArray:
    """Return int64[L]: the group of each layer; an LG never mixes groups.

    A fully connected layer and the pooling layers right before it stay in an LG of their own; all other
    layers are group 0 (docs/first-stage.md#the-papers-search).
    """
    network = problem.network
    groups = np.zeros(len(network.layers), np.int64)
    for index, layer in enumerate(network.layers):
        if layer.kind != "fc":
            continue
        groups[index] = index + 1
        before = layer
        while len(before.ifmaps) == 1 and network.layers[network.layer_id[before.ifmaps[0]]].kind == "pool":
            before = network.layers[network.layer_id[before.ifmaps[0]]]
            groups[network.layer_id[before.name]] = index + 1
    return groups


def anneal_lfas(
    problem: Problem,
    start: LFA,
    limit_bytes: int,
    random: np.random.Generator,
    objective: Objective = Objective(),  # noqa: B008  # immutable
    parameters: PaperSearchParameters = PaperSearchParameters(),
    costs: CostCache | None = None,
    monitor: Monitor | None = None,
) -> PaperSearchResult:
    """Search for the LFA with the lowest cost under double buffering.

    Parameters
    ----------
    problem
        Network, platform, batch.
    start
        A valid LFA, normally `initial_lfa`.
    limit_bytes
        Buffer that double buffering may use (bytes).
    random
        Source of all draws: the same generator and number of rounds give the same LFA.
    objective, parameters
        What is minimised, and how.
    costs
        Tile costs that earlier runs of this problem have learned.
    monitor
        How the search is stopped and watched.
    """
    begin = time.monotonic()
    monitor = monitor or Monitor()
    budget = monitor.budget
    rounds = parameters.rounds(problem)
    settings = lfa_settings(problem, limit_bytes, objective, parameters.cooling, rounds, lfa_pricing.DOUBLE_BUFFERING)
    weights = move_weights(PUBLISHED_MOVES)
    apart = layers_kept_apart(problem)
    run = Chain(problem, start, settings, weights, apart, random, costs or CostCache(problem))
    assert run.start_is_valid, "the first LFA of a search must be valid"
    best = run.best_figures

    report = reporter(monitor, best, rounds)
    done = run_in_chunks(lambda _, last: run.run_to(last, budget=budget), rounds, budget, report)
    if done < rounds and not budget.stop_requested and not problem.core_array.takes_long:
        closing = parameters.closing_rounds_per_layer * len(problem.network.layers)
        last, longer = min(done + closing, rounds), budget.extended(CLOSING_SECONDS)
        run_in_chunks(lambda _, to: run.run_to(to, heated=False, budget=longer), last, longer, lambda _: None, done)
    return search_result(run.best_lfa, best, run.rounds_done, begin)


def reporter(monitor: Monitor, best: FloatArray, rounds: int) -> Callable[[int], None]:
    """Return what reports the rounds done of a search; `best` are the figures of its best LFA."""

    def report(done: int) -> None:
        cost = float(best[lfa_pricing.COST])
        best_cost = cost if math.isfinite(cost) else None
        monitor.progress(ProgressEvent("first stage", monitor.iteration, done, rounds, best_cost))

    return report


def search_result(lfa: LFA, best: FloatArray, rounds: int, begin: float) -> PaperSearchResult:
    """Return the best LFA of a search that began at `begin` and did so many rounds, with its figures `best`."""
    return PaperSearchResult(
        lfa=lfa,
        fits=bool(best[lfa_pricing.OVERFLOW_BYTES] == 0),
        latency=int(best[lfa_pricing.LATENCY]),
        energy_pj=float(best[lfa_pricing.ENERGY_PJ]),
        peak_bytes=int(best[lfa_pricing.PEAK_BYTES]),
        rounds=rounds,
        seconds=time.monotonic() - begin,
    )
