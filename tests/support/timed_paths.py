"""Timed paths of both spaces, for the tests of each and of what they share."""

import numpy as np

from soma_cp.annealing.budget import Budget
from soma_cp.model.problem import Problem
from soma_cp.solver.every_lfa.downset_paths import ROUNDING, DownsetPaths
from soma_cp.solver.every_lfa.network_bounds import NetworkPrices, layer_prices
from soma_cp.solver.every_lfa.path_times import TimedPaths
from soma_cp.solver.every_lfa.wide_paths import WidePaths
from soma_cp.solver.every_lfa.wide_times import WideTimedPaths

LATENCY = np.array([(0.0, 1.0)])
"""Multipliers of energy and latency: latency alone."""


def paths_of(problem: Problem, wide: bool = False) -> tuple[DownsetPaths | WidePaths, NetworkPrices]:
    """Return the paths without times, all of them found."""
    prices = layer_prices(problem)
    prices.choices(wide=wide)
    paths = (WidePaths if wide else DownsetPaths)(problem, prices, np.eye(3))
    paths.costs(Budget())
    return paths, prices


def timed_paths(problem: Problem, wide: bool = False) -> TimedPaths | WideTimedPaths:
    return (WideTimedPaths if wide else TimedPaths)(*paths_of(problem, wide), LATENCY)  # type: ignore[arg-type]


def least_latency(problem: Problem, wide: bool = False) -> float:
    costs = timed_paths(problem, wide).costs(Budget())
    return np.inf if costs is None else float(costs[0]) * (1 - ROUNDING)
