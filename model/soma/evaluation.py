"""Evaluation: the one place where a schedule gets its times, energy and buffer (docs/model.md#latency).

Every search and solver reports the figures of `evaluate`; nothing else prices a schedule.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from soma_cp.model.arrays import IntArray
from soma_cp.model.errors import InternalError
from soma_cp.model.hardware.core_array.type_costs import operation_cycles
from soma_cp.model.soma.dlsa import DLSA
from soma_cp.model.soma.evaluation_kernel import empty_times, run
from soma_cp.model.soma.plan import Plan


@dataclass(frozen=True, eq=False)
class PlanFigures:
    """Figures that the LFA alone fixes, whatever the DLSA.

    Parameters
    ----------
    compute_cycles, dram_cycles
        Σ of tile cycles, Σ of DRAM transfer cycles.
    core_energy_pj, dram_energy_pj
        Energy of the core array and of DRAM.
    operation_cycles
        Cycles that the operations alone would take on fully used arrays, at the rates of their types:
        ``utilization · latency``.
    """

    compute_cycles: int
    dram_cycles: int
    core_energy_pj: float
    dram_energy_pj: float
    operation_cycles: float

    @property
    def energy_pj(self) -> float:
        """Energy of the whole schedule."""
        return self.core_energy_pj + self.dram_energy_pj

    @property
    def bound(self) -> int:
        """Theoretical maximum: no DLSA of this LFA has a lower latency (cycles)."""
        return max(self.compute_cycles, self.dram_cycles)

    @property
    def limit(self) -> str:
        """Which of the two sums is the bound: "compute" or "DRAM"."""
        return "compute" if self.compute_cycles >= self.dram_cycles else "DRAM"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Times, buffer and energy of one schedule.

    Parameters
    ----------
    figures
        What the LFA alone fixes.
    latency
        Cycles until the last tile and the last DRAM transfer have ended.
    tile_begin
        int64[T]: begin cycle of every tile.
    tensor_begin
        int64[D]: begin cycle of every DRAM tensor's transfer, by tensor index.
    usage_bytes
        int64[T]: bytes alive at each position.
    average_buffer_bytes
        Mean of `usage_bytes`, weighted with the cycles of the tiles.
    """

    figures: PlanFigures
    latency: int
    tile_begin: IntArray
    tensor_begin: IntArray
    usage_bytes: IntArray
    average_buffer_bytes: float

    @property
    def peak_buffer_bytes(self) -> int:
        """Highest number of bytes alive at any position."""
        return int(self.usage_bytes.max(initial=0))

    @property
    def energy_pj(self) -> float:
        """Energy of the whole schedule."""
        return self.figures.energy_pj

    @property
    def edp(self) -> float:
        """Energy × delay (pJ · cycles)."""
        return self.energy_pj * self.latency

    @cached_property
    def utilization(self) -> float:
        """Share of the latency that fully used arrays would need for all operations."""
        return self.figures.operation_cycles / self.latency


def plan_figures(plan: Plan) -> PlanFigures:
    """Return the figures that the LFA of `plan` fixes, whatever the DLSA."""
    platform = plan.problem.platform
    return PlanFigures(
        compute_cycles=int(plan.tile_cycles.sum()),
        dram_cycles=int(plan.tensors.cycles.sum()),
        core_energy_pj=float(plan.layers.count @ plan.layers.energy_pj),
        dram_energy_pj=float(plan.tensors.moved.sum() * platform.dram_pj_per_byte),
        operation_cycles=operation_cycles(plan.problem.network, platform) * plan.problem.batch,
    )


def evaluate(plan: Plan, dlsa: DLSA) -> Evaluation:
    """Return times, buffer and energy of the schedule (`plan`, `dlsa`).

    The DLSA may exceed the capacity (see `soma_cp.model.soma.validity`), but it must be able to run.

    Raises
    ------
    InternalError
        If it can't run: a tile waits for a tensor that waits for the tile.
    """
    tiles, count = plan.tile_count, plan.dram_tensor_count
    times = empty_times(tiles, count)
    usage = np.empty(tiles + 1, np.int64)
    latency = run(plan.sequence, plan.tensors, count, dlsa, times, usage)
    if latency < 0:
        raise InternalError(f"{plan.tile_label(-1 - latency)} waits for a DRAM tensor that waits for it")
    figures = plan_figures(plan)
    return Evaluation(
        figures=figures,
        latency=latency,
        tile_begin=times.tile_begin,
        tensor_begin=times.tensor_begin,
        usage_bytes=usage[:-1],
        average_buffer_bytes=float(usage[:-1].astype(np.float64) @ plan.tile_cycles) / figures.compute_cycles,
    )
