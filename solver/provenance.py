"""What is needed to make a schedule again: versions, seeds, limits."""

import platform
from importlib.metadata import version
from typing import Any

from soma_cp import __version__
from soma_cp.solver.solve import SolveResult

LIBRARIES = ("ortools", "numba", "numpy")


def provenance(result: SolveResult, time_limit_seconds: float | None) -> dict[str, Any]:
    """Return the record that is stored with a schedule; `time_limit_seconds` is None without a limit."""
    parameters = result.parameters
    return {
        "tool": "soma-cp",
        "tool_version": __version__,
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "lfa_search": parameters.first_stage.value,
        "space": parameters.searched_space.value,
        "stage2": parameters.second_stage.value,
        "second_stage": result.best.method,
        "energy_exponent": parameters.objective.energy_exponent,
        "delay_exponent": parameters.objective.delay_exponent,
        "seed": parameters.seed,
        "time_limit_seconds": time_limit_seconds,
        "seconds": round(result.seconds, 3),
        "iterations": result.iterations,
        "first_stage_rounds": result.rounds,
        "interrupted": result.interrupted,
        "out_of_time": result.out_of_time,
        "proven_optimal_over_every_lfa": result.is_global_optimum,
        "proven_lower_bound_source": result.best.lower_bound_source,
        "second_stage_details": result.best.details,
    }
