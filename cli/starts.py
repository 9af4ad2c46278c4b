"""Schedule files from which ``solve`` begins: ``--start``, ``--fix-lfa`` and ``--resume`` (docs/own-schedules.md)."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from soma_cp.annealing.cocco.cocco_search import CoccoParameters
from soma_cp.annealing.cocco.tiling_rules import TilingRule
from soma_cp.cli.option_groups import HardwareOptions, SearchOptions
from soma_cp.model.errors import UserError
from soma_cp.model.files.text_file import read_json
from soma_cp.model.hardware.builtin.catalogue import platform_from
from soma_cp.model.hardware.platform_file import with_overrides
from soma_cp.model.network.builtin.catalogue import builtin_names, builtin_network
from soma_cp.model.network.network import Network
from soma_cp.model.network.rewrites.types import without_types
from soma_cp.model.problem import Problem
from soma_cp.model.soma.stored_schedule import StoredSchedule
from soma_cp.solver.choices import Space, UsePeriods
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.start import OwnStart, own_start


def read_start(path: Path, network: Network | None) -> StoredSchedule:
    """Read a schedule file to begin from; its DLSA may break rules.

    Parameters
    ----------
    path
        The file.
    network
        The network that ``--net`` names: that of the file, if the file only names one, or another with the same layers.
    """
    # Imported late: pydantic takes a while.
    from soma_cp.model.soma.schedule_file import schedule_from_document

    document = read_json(path)
    named = document.get("network") if isinstance(document, dict) else None
    if network is None or named != network.name or _is_retyped(network):
        network = None
    return schedule_from_document(document, str(path), network)


def _is_retyped(network: Network) -> bool:
    """Return whether it is a built-in network in other data types: a file that only names one means INT8."""
    if network.name not in builtin_names():
        return False
    plain = builtin_network(network.name)
    return network != plain and without_types(network) == plain


def stored_problem(stored: StoredSchedule, batch: int | None, options: HardwareOptions) -> Problem:
    """Return the problem of a file, with another batch or other hardware where options name one."""
    problem = stored.problem.whole
    platform = problem.platform if options.hw is None else platform_from(options.hw)
    platform = with_overrides(platform, options.buffer, options.dram)
    return replace(problem, platform=platform, batch=problem.batch if batch is None else batch)


def checked_start(
    named: tuple[str, Path], stored: StoredSchedule, problem: Problem, parameters: SolveParameters
) -> OwnStart:
    """Return the start as it is under `problem`; a note to stderr says why its LFA alone is used."""
    option, path = named
    try:
        own = own_start(problem, stored, parameters)
    except UserError as error:
        raise UserError(f"{option} {path}: {error}") from error
    if own.note:
        print(f"soma-cp: note: the LFA alone of {path} is used: {own.note}", file=sys.stderr)
    return own


_RECORDED: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "lfa_search": (str, "a name"),
    "stage2": (str, "a name"),
    "space": (str, "paper or wide"),
    "energy_exponent": ((int, float), "a number"),
    "delay_exponent": ((int, float), "a number"),
    "seed": (int, "a whole number"),
}
"""What a resumed search needs of a file's provenance, with its type and what is allowed, in words."""


def resumed_options(
    path: Path, provenance: Mapping[str, Any], time_limit: float | None, workers: int | None
) -> SearchOptions:
    """Return the options with which the search that wrote `path` ran; a time limit that is typed replaces its own."""
    for name, (kind, allowed) in _RECORDED.items():
        value = provenance.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise UserError(
                f"--resume {path}: {name}={value!r} in its provenance (must be {allowed}); files of 'soma-cp solve -o' "
                "can be resumed, --start begins from any other"
            )
    if provenance["space"] not in {space.value for space in Space}:
        raise UserError(f"--resume {path}: space='{provenance['space']}' in its provenance (must be paper or wide)")
    limit = provenance.get("time_limit_seconds")
    if limit is not None and (not isinstance(limit, int | float) or isinstance(limit, bool) or limit <= 0):
        raise UserError(f"--resume {path}: time_limit_seconds={limit!r} in its provenance (must be above 0, or null)")
    passes = provenance.get("passes", "auto")
    if passes != "auto" and (type(passes) is not int or passes < 1):
        raise UserError(f"--resume {path}: passes={passes!r} in its provenance (must be a whole number of at least 1)")
    periods = provenance.get("periods", UsePeriods.AUTO.value)
    if periods not in {one.value for one in UsePeriods}:
        raise UserError(f"--resume {path}: periods={periods!r} in its provenance (must be auto or off)")
    recorded = provenance.get("second_stage_details")
    details = recorded if isinstance(recorded, dict) else {}
    return SearchOptions(
        energy_exponent=provenance["energy_exponent"],
        delay_exponent=provenance["delay_exponent"],
        time_limit=time_limit if time_limit is not None else limit or 0,
        seed=provenance["seed"],
        workers=workers,
        deterministic=provenance.get("deterministic", details.get("deterministic")) is True,
        space=Space(provenance["space"]),
        passes=str(passes),
        periods=UsePeriods(periods),
    )


def resumed_parameters(path: Path, provenance: Mapping[str, Any], parameters: SolveParameters) -> SolveParameters:
    """Return `parameters` with what only a file says: its stages, and which run comes next."""
    run = provenance.get("run", 0)
    if not isinstance(run, int) or isinstance(run, bool) or run < 0:
        raise UserError(f"--resume {path}: run={run!r} in its provenance (must be a whole number of at least 0)")
    tiling = provenance.get("tiling", TilingRule.OUTPUT.value)
    if tiling not in {rule.value for rule in TilingRule}:
        raise UserError(f"--resume {path}: tiling={tiling!r} in its provenance (must be {', '.join(TilingRule)})")
    return replace(
        parameters,
        first_stage=provenance["lfa_search"],
        cocco=CoccoParameters(tiling=TilingRule(tiling), capped=provenance.get("uncapped") is not True),
        second_stage=provenance["stage2"],
        run=run + 1,
        fix_lfa=provenance.get("fix_lfa") is True,
        exact=provenance.get("exact") is not None,
    )
