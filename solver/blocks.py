"""Blocks of a network scheduled as one network, beside one block that is run as many times."""

from dataclasses import dataclass

from soma_cp.model.objective import Objective
from soma_cp.model.soma.schedule import Schedule


@dataclass(frozen=True)
class OneBlockRepeated:
    """The schedule of one block, run several times, and what the blocks take as one network.

    Parameters
    ----------
    blocks
        How many times it runs.
    latency, energy_pj
        Cycles and pJ of all runs.
    latency_as_one, energy_as_one, cost_as_one
        Shares of the latency, energy and cost of all runs that the blocks take as one network.
    """

    blocks: int
    latency: int
    energy_pj: float
    latency_as_one: float
    energy_as_one: float
    cost_as_one: float


def one_block_repeated(together: Schedule, alone: Schedule, blocks: int, objective: Objective) -> OneBlockRepeated:
    """Set `together`, which is `blocks` blocks as one network, beside one of them `alone`, run that many times."""
    latency, energy = blocks * alone.latency, blocks * alone.energy_pj
    return OneBlockRepeated(
        blocks=blocks,
        latency=latency,
        energy_pj=energy,
        latency_as_one=together.latency / latency,
        energy_as_one=together.energy_pj / energy,
        cost_as_one=together.cost(objective) / objective.cost(energy, latency),
    )
