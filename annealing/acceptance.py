"""Cooling and acceptance of both annealing stages (docs/first-stage.md#the-papers-search; SoMa paper, Sec. V)."""

import math
from dataclasses import dataclass

from soma_cp.model.compiled import in_place
from soma_cp.model.errors import UserError


@dataclass(frozen=True)
class Cooling:
    """Parameters of simulated annealing.

    Parameters
    ----------
    initial_temperature
        T0: in the first round, a candidate whose cost is higher by the share T0 is accepted with probability 1/e.
    alpha
        How much faster than linear the cooling starts: T(n) = T0·(1 − n/N)^power/(1 + α·n/N).
    power
        How much faster than linear it ends; 1 in the published program.
    return_to_best_at
        Share of the rounds after which the search returns to the best found, once.
    """

    initial_temperature: float = 0.1
    alpha: float = 8.0
    power: float = 1.0
    return_to_best_at: float = 0.9

    def __post_init__(self) -> None:
        lowest = min(self.initial_temperature, self.alpha, self.power)
        if lowest < 0 or not 0 <= self.return_to_best_at <= 1:
            raise UserError(
                f"initial_temperature={self.initial_temperature}, alpha={self.alpha}, power={self.power} "
                "(must be at least 0), "
                f"return_to_best_at={self.return_to_best_at} (must be from 0 to 1)"
            )


@in_place
def temperature(initial: float, alpha: float, power: float, done: int, rounds: int) -> float:
    """Return the temperature after `done` of `rounds` rounds."""
    share = done / rounds
    return float(initial * (1.0 - share) ** power / (1.0 + alpha * share))


@in_place
def accepts(current: float, candidate: float, heat: float, chance: float) -> bool:
    """Whether a candidate with the cost `candidate` is accepted; `chance` is uniform in [0, 1).

    Costs are compared by their ratio, so one temperature suits every network.
    """
    if candidate <= current:
        return True
    if heat <= 0.0:
        return False
    return chance < math.exp((current - candidate) / current / heat)


@in_place
def highest_accepted(current: float, heat: float, chance: float) -> float:
    """Return the highest cost that `accepts` would accept with the same arguments."""
    if heat <= 0.0:
        return current
    if chance <= 0.0:
        return math.inf
    return current * (1.0 - heat * math.log(chance))
