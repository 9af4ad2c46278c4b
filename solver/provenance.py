"""What is needed to make a schedule again: versions, seeds, limits."""

import platform
from importlib.metadata import version
from typing import Any

from soma_cp import __version__
from soma_cp.model.hardware.core_array.registry import BUILT_IN, CORE_ARRAYS
from soma_cp.solver.choices import COCCO_STAGES, UsePeriods
from soma_cp.solver.first_stages import first_stage
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.second_stages import second_stage
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
        "lfa_search": str(parameters.first_stage),
        "space": parameters.searched_space.value,
        **cocco_record(parameters),
        **({} if parameters.passes is None else {"passes": parameters.passes}),
        **({} if parameters.periods is UsePeriods.AUTO else {"periods": parameters.periods.value}),
        "stage2": str(parameters.second_stage),
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
        **start_record(result),
        **_plug_ins(result),
    }


def cocco_record(parameters: SolveParameters) -> dict[str, Any]:
    """Return the rule of tiling numbers, if the first stage searches Cocco's space."""
    if parameters.first_stage not in COCCO_STAGES:
        return {}
    return {"tiling": str(parameters.cocco.tiling), "uncapped": not parameters.cocco.capped}


def start_record(result: SolveResult) -> dict[str, Any]:
    """Return where a search began and what it kept, if the user said so, and which run it is, if it was resumed."""
    parameters, start = result.parameters, result.start
    record: dict[str, Any] = {}
    if parameters.run:
        record["run"] = parameters.run
    if parameters.cpsat.deterministic and "deterministic" not in result.best.details:
        record["deterministic"] = True
    if parameters.fix_lfa:
        record["fix_lfa"] = True
    if result.lfa_from != parameters.first_stage:
        record["lfa_from"] = result.lfa_from
    if start is not None:
        record["start"] = {"latency_cycles": start.latency, "energy_pj": start.energy_pj}
    return record


def _plug_ins(result: SolveResult) -> dict[str, Any]:
    """Return the packages that brought a part of how this schedule was made or priced."""
    parameters, core_array = result.parameters, result.schedule.problem.platform.core_array
    used = [
        first_stage(parameters.first_stage).plug_in,
        second_stage(parameters.second_stage).plug_in,
        None if core_array in BUILT_IN else CORE_ARRAYS.load(core_array),
    ]
    records = [plug_in.record for plug_in in used if plug_in is not None]
    return {"plug_ins": records} if records else {}
