"""Compares blocks scheduled as one network with one block that runs as many times."""

from dataclasses import dataclass

from soma_cp.model.objective import Objective
from soma_cp.model.soma.schedule import Schedule


@dataclass(frozen=True)
class OneBlockRepeated:
    """The schedule of one block, run several times, compared with the blocks as one network.

    Parameters
    ----------
    blocks
        How many times the block runs.
    latency, energy_pj
        Cycles and pJ of all runs.
    latency_as_one, energy_as_one, cost_as_one
        Latency, energy and cost of the blocks as one network, as shares of those of all runs.
    """

    blocks: int
    latency: int
    energy_pj: float
    latency_as_one: float
    energy_as_one: float
    cost_as_one: float


def one_block_repeated(together: Schedule, alone: Schedule, blocks: int, objective: Objective) -> OneBlockRepeated:
    """Compare `together`, a schedule of `blocks` blocks as one network, with one block `alone`, run `blocks` times."""
    latency, energy = blocks * alone.latency, blocks * alone.energy_pj
    return OneBlockRepeated(
        blocks=blocks,
        latency=latency,
        energy_pj=energy,
        latency_as_one=together.latency / latency,
        energy_as_one=together.energy_pj / energy,
        cost_as_one=together.cost(objective) / objective.cost(energy, latency),
    )
