"""First stage: annealing of the LFA, costed by double buffering (specification: search.md; SoMa paper, Sec. V)."""

import math
import time
from dataclasses import dataclass

import numpy as np

from soma_cp.annealing import lfa_kernel
from soma_cp.annealing.acceptance import Cooling
from soma_cp.annealing.budget import Budget
from soma_cp.annealing.chunks import run_in_chunks
from soma_cp.annealing.cost_cache import CostCache
from soma_cp.annealing.lfa_kernel import LFAScratch, LFASettings, LFAState
from soma_cp.annealing.progress import Progress, ProgressEvent, silent
from soma_cp.model import network_table as nt
from soma_cp.model.evaluation import Objective
from soma_cp.model.lfa import LFA
from soma_cp.model.platform import DRAM_PJ_PER_BYTE
from soma_cp.model.problem import Problem
from soma_cp.model.tensors import empty_tensor_places, empty_tensors
from soma_cp.model.tiling import empty_layer_tiles, lfa_arrays, lfa_from_arrays


@dataclass(frozen=True)
class FirstStageParameters:
    """Parameters of the first stage; the defaults are the published program's.

    Parameters
    ----------
    rounds_per_layer
        β; the number of rounds is β · layers · √batch.
    cooling
        Temperature.
    closing_rounds_per_layer
        Rounds, when a time limit ends the search, that accept improvements only.
    """

    rounds_per_layer: int = 100
    cooling: Cooling = Cooling()
    closing_rounds_per_layer: int = 5

    def rounds(self, problem: Problem) -> int:
        """Return N for this problem."""
        return max(math.ceil(self.rounds_per_layer * len(problem.network.layers) * math.sqrt(problem.batch)), 1)


@dataclass(frozen=True)
class FirstStageResult:
    """The best LFA of one annealing run under double buffering.

    Parameters
    ----------
    lfa
        The LFA.
    fits
        Whether its double buffering stays within the limit; where no LFA did, it is the one with least overflow.
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


def layers_kept_apart(problem: Problem) -> nt.IntArray:
    """Return int64[L]: the group of each layer; an LG never mixes groups.

    A fully connected layer and the pooling layers right before it stay in an LG of their own; all other
    layers are group 0 (specification: search.md, "First stage").
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


class _Run:
    """One annealing run: owns the arrays that the kernel works on."""

    def __init__(
        self,
        problem: Problem,
        costs: CostCache,
        start: LFA,
        settings: LFASettings,
        random: np.random.Generator,
    ) -> None:
        size = len(problem.network.layers)
        self.problem = problem
        self.costs = costs
        self.settings = settings
        self.random = random
        self.apart = layers_kept_apart(problem)
        figures = np.zeros((3, lfa_kernel.FIGURES))
        figures[:, lfa_kernel.COST] = np.inf
        figures[:, lfa_kernel.OVERFLOW_BYTES] = np.inf
        self.state = LFAState(
            current=lfa_arrays(start, problem.network),
            candidate=lfa_arrays(start, problem.network),
            best=lfa_arrays(start, problem.network),
            figures=figures,
            counters=np.zeros(lfa_kernel.COUNTERS, np.int64),
            missing=np.zeros(size, np.int64),
        )
        self.scratch = _scratch(size, tiles=4 * size, tensors=4 * size, chip=4 * size)
        self._evaluate_start()

    def _evaluate_start(self) -> None:
        while True:
            status, valid = lfa_kernel.evaluate_candidate(
                self.problem.table, self.costs.table, self.apart, self.settings, self.state, self.scratch
            )
            if status == lfa_kernel.DONE:
                break
            self._provide(status)
        assert valid, "the first LFA of a search must be valid"
        self.state.figures[0] = self.state.figures[2]
        self.state.figures[1] = self.state.figures[2]

    def _provide(self, status: int) -> None:
        counters = self.state.counters
        if status == lfa_kernel.UNKNOWN_COSTS:
            self.costs.learn(self.scratch.tiles, self.state.missing[: counters[lfa_kernel.UNKNOWN]])
        else:
            size = len(self.problem.network.layers)
            needed = (
                lfa_kernel.NEEDED_TILES,
                lfa_kernel.NEEDED_TENSORS,
                lfa_kernel.NEEDED_CHIP_TENSORS,
            )
            tiles, tensors, chip = (2 * int(counters[item]) for item in needed)
            self.scratch = _scratch(size, tiles, tensors, chip)

    def rounds(self, last: int, heated: bool) -> None:
        """Go on until round `last`."""
        while True:
            status = lfa_kernel.anneal_lfa(
                self.problem.table,
                self.costs.table,
                self.apart,
                self.settings,
                self.state,
                self.scratch,
                last,
                heated,
                self.random,
            )
            if status == lfa_kernel.DONE:
                return
            self._provide(status)


def _scratch(layers: int, tiles: int, tensors: int, chip: int) -> LFAScratch:
    def by_tensor() -> nt.IntArray:
        return np.zeros(tensors, np.int64)

    def by_tile() -> nt.IntArray:
        return np.zeros(tiles + 1, np.int64)

    return LFAScratch(
        empty_layer_tiles(layers),
        empty_tensor_places(layers),
        empty_tensors(tensors, chip),
        *(by_tensor() for _ in range(4)),
        *(by_tile() for _ in range(6)),
    )


def anneal_lfas(
    problem: Problem,
    start: LFA,
    limit_bytes: int,
    random: np.random.Generator,
    objective: Objective = Objective(),  # noqa: B008  # immutable
    parameters: FirstStageParameters = FirstStageParameters(),
    budget: Budget | None = None,
    progress: Progress = silent,
    iteration: int = 0,
    costs: CostCache | None = None,
) -> FirstStageResult:
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
        Source of all draws: the same generator and limits in rounds give the same LFA.
    objective, parameters
        What is minimised, and how.
    budget
        Deadline and stop request; no limit by default.
    progress
        Called from time to time.
    iteration
        Of the Buffer Allocator, for `progress`.
    costs
        Tile costs that earlier runs of this problem learned.
    """
    begin = time.monotonic()
    budget = budget or Budget()
    rounds = parameters.rounds(problem)
    cooling = parameters.cooling
    settings = LFASettings(
        problem.batch,
        limit_bytes,
        problem.platform.dram_bytes_per_cycle,
        DRAM_PJ_PER_BYTE,
        float(objective.energy_exponent),
        float(objective.delay_exponent),
        float(cooling.initial_temperature),
        float(cooling.alpha),
        float(cooling.return_to_best_at),
        rounds,
    )
    run = _Run(problem, costs or CostCache(problem), start, settings, random)
    best = run.state.figures[1]

    def report(done: int) -> None:
        cost = float(best[lfa_kernel.COST])
        progress(ProgressEvent("first stage", iteration, done, rounds, cost if math.isfinite(cost) else None))

    done = run_in_chunks(lambda _, last: run.rounds(last, heated=True), rounds, budget, report)
    if done < rounds and not budget.stop_requested:
        closing = parameters.closing_rounds_per_layer * len(problem.network.layers)
        run.rounds(min(done + closing, rounds), heated=False)
    return FirstStageResult(
        lfa=lfa_from_arrays(run.state.best, problem.network),
        fits=bool(best[lfa_kernel.OVERFLOW_BYTES] == 0),
        latency=int(best[lfa_kernel.LATENCY]),
        energy_pj=float(best[lfa_kernel.ENERGY_PJ]),
        peak_bytes=int(best[lfa_kernel.PEAK_BYTES]),
        rounds=int(run.state.counters[lfa_kernel.ROUND]),
        seconds=time.monotonic() - begin,
    )
