"""Second stage: annealing of the DLSA of one LFA (docs/second-stage.md#the-papers-annealing)."""

import time
from dataclasses import dataclass

import numpy as np

from soma_cp.annealing.acceptance import Cooling
from soma_cp.annealing.chunks import run_in_chunks
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.progress import ProgressEvent
from soma_cp.annealing.second_stage import dlsa_kernel
from soma_cp.annealing.second_stage.dlsa_kernel import AVERAGE_BUFFER, LATENCY, DLSAState
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.objective import Objective
from soma_cp.model.soma.dlsa import DLSA, double_buffering
from soma_cp.model.soma.evaluation import plan_figures
from soma_cp.model.soma.evaluation_kernel import begin_times, empty_times
from soma_cp.model.soma.plan import Plan


@dataclass(frozen=True)
class AnnealingParameters:
    """Parameters of the annealing of DLSAs; the defaults are the published program's.

    Parameters
    ----------
    rounds_per_tensor
        β; the number of rounds is β · DRAM tensors.
    cooling
        How the temperature falls.
    closing_rounds_per_tensor
        Rounds after a time limit that accept a candidate only if it is no worse.
    smooth_buffer
        Whether as many rounds again lower the average buffer usage at no higher latency.
    """

    rounds_per_tensor: int = 1000
    cooling: Cooling = Cooling()
    closing_rounds_per_tensor: int = 10
    smooth_buffer: bool = True


@dataclass(frozen=True, eq=False)
class AnnealedDLSA:
    """The result of an annealing run of the second stage.

    Parameters
    ----------
    dlsa
        The best DLSA; it is valid and fits into the capacity.
    latency
        Its latency (cycles), as the kernel computed it.
    rounds
        Rounds done.
    seconds
        Wall-clock time.
    """

    dlsa: DLSA
    latency: int
    rounds: int
    seconds: float


def anneal_dlsas(
    plan: Plan,
    random: np.random.Generator,
    objective: Objective = Objective(),  # noqa: B008  # immutable
    parameters: AnnealingParameters = AnnealingParameters(),
    monitor: Monitor | None = None,
    incumbent: DLSA | None = None,
) -> AnnealedDLSA:
    """Search for the DLSA with the lowest latency, then lower its average buffer usage.

    The search starts from the incumbent; without one from double buffering, or from the greedy DLSA if double buffering
    overflows the buffer.

    Parameters
    ----------
    plan
        The plan of the LFA.
    random
        Source of all draws: the same generator and number of rounds give the same DLSA.
    objective, parameters
        What is minimised (energy is fixed here), and how.
    monitor
        How the search is stopped and watched.
    incumbent
        A valid DLSA that the result is never slower than.

    Raises
    ------
    BufferTooSmallError
        If no DLSA of this LFA fits into the buffer.
    """
    begin = time.monotonic()
    capacity = plan.problem.platform.gbuf_bytes
    start = double_buffering(plan.tensors) if incumbent is None else incumbent
    state = _state(plan, start)
    if dlsa_kernel.begin_state(plan.tensors, plan.sequence, capacity, state) < 0:
        state = _state(plan, greedy_dlsa(plan))
        dlsa_kernel.begin_state(plan.tensors, plan.sequence, capacity, state)
    latency = begin_times(plan.sequence, plan.tensors, plan.dram_tensor_count, state.dlsa, state.times)
    state.latencies[:] = latency
    if plan.dram_tensor_count < 2:
        return AnnealedDLSA(state.best.copy(), int(state.latencies[1]), 0, time.monotonic() - begin)
    anneal = _Annealing(plan, state, random, objective, parameters, monitor or Monitor())
    anneal.run(LATENCY, float(latency) ** float(objective.delay_exponent))
    if parameters.smooth_buffer:
        dlsa_kernel.return_to_best(plan.tensors, state)
        anneal.run(AVERAGE_BUFFER, float(state.weighted_usage[0]))
    return AnnealedDLSA(state.best.copy(), int(state.latencies[1]), anneal.done, time.monotonic() - begin)


class _Annealing:
    """Runs the rounds of one goal after another on the same state."""

    def __init__(
        self,
        plan: Plan,
        state: DLSAState,
        random: np.random.Generator,
        objective: Objective,
        parameters: AnnealingParameters,
        monitor: Monitor,
    ) -> None:
        self.plan = plan
        self.state = state
        self.random = random
        self.objective = objective
        self.parameters = parameters
        self.monitor = monitor
        self.rounds = parameters.rounds_per_tensor * plan.dram_tensor_count
        self.energy_pj = plan_figures(plan).energy_pj
        self.done = 0

    def run(self, goal: int, cost: float) -> None:
        """Do all rounds for `goal` from the current state, which costs `cost`."""
        self.state.costs[:] = cost
        heat = float(self.parameters.cooling.initial_temperature)
        done = run_in_chunks(
            lambda first, last: self._rounds(goal, heat, first, last), self.rounds, self.monitor.budget, self._report
        )
        if done < self.rounds and not self.monitor.budget.stop_requested:
            closing = self.parameters.closing_rounds_per_tensor * self.plan.dram_tensor_count
            first, done = done, min(done + closing, self.rounds)
            self._rounds(goal, 0.0, first, done)
        self.done += done

    def _rounds(self, goal: int, initial_temperature: float, first: int, last: int) -> None:
        cooling = self.parameters.cooling
        dlsa_kernel.anneal_dlsa(
            self.plan.tensors,
            self.plan.sequence,
            self.state,
            goal,
            float(self.objective.delay_exponent),
            (initial_temperature, float(cooling.alpha), float(cooling.power), float(cooling.return_to_best_at)),
            first,
            last,
            self.rounds,
            self.random,
        )

    def _report(self, done: int) -> None:
        best = self.objective.cost(self.energy_pj, float(self.state.latencies[1]))
        goals = 2 if self.parameters.smooth_buffer else 1
        event = ProgressEvent("second stage", self.monitor.iteration, self.done + done, goals * self.rounds, best)
        self.monitor.progress(event)


def _state(plan: Plan, dlsa: DLSA) -> DLSAState:
    size, tiles = plan.dram_tensor_count, plan.tile_count
    return DLSAState(
        dlsa=dlsa.copy(),
        best=dlsa.copy(),
        rank=np.zeros(size, np.int64),
        room=np.zeros(tiles + 1, np.int64),
        elapsed=np.zeros(tiles + 1, np.int64),
        heaviness=np.zeros(size, np.float64),
        weighted_usage=np.zeros(1, np.float64),
        costs=np.zeros(2, np.float64),
        latencies=np.zeros(2, np.int64),
        times=empty_times(tiles, size),
    )
