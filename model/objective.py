"""The objective: what searches minimise."""

import math
from dataclasses import dataclass

import numpy as np

from soma_cp.model.arrays import FloatArray, IntArray


@dataclass(frozen=True)
class Objective:
    """Energy^n · Delay^m, the cost that searches minimise.

    Parameters
    ----------
    energy_exponent, delay_exponent
        n and m; both at least 0, not both 0.
    """

    energy_exponent: float = 1.0
    delay_exponent: float = 1.0

    @property
    def text(self) -> str:
        """What is minimised, in words."""
        if self.energy_exponent == self.delay_exponent == 1:
            return "energy × delay"
        return f"energy^{self.energy_exponent:g} × delay^{self.delay_exponent:g}"

    def cost(self, energy_pj: float, latency: float) -> float:
        """Return the cost of a schedule of that energy (pJ) and latency (cycles); infinite if too large for a float."""
        try:
            return float(energy_pj**self.energy_exponent * latency**self.delay_exponent)
        except OverflowError:
            return math.inf

    def costs(self, energy_pj: FloatArray, latency: IntArray) -> FloatArray:
        """Return the costs of several schedules, item by item."""
        costs: FloatArray = energy_pj**self.energy_exponent * latency.astype(np.float64) ** self.delay_exponent
        return costs
