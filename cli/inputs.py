"""From the words of the command line to a problem and parameters."""

import math
import sys
from importlib import import_module

from soma_cp.annealing.budget import Budget
from soma_cp.cli.onnx_models import NO_ONNX, OnnxModels, print_notes
from soma_cp.cli.option_groups import NO_TYPES, HardwareOptions, TypeOptions
from soma_cp.model.errors import UserError
from soma_cp.model.hardware.builtin.catalogue import platform_from
from soma_cp.model.hardware.core_array.type_notes import type_notes
from soma_cp.model.hardware.core_array.unit_energies import doubtful_gbuf_energy
from soma_cp.model.hardware.platform_file import with_overrides
from soma_cp.model.network.builtin.catalogue import usual_platform
from soma_cp.model.network.network import Network
from soma_cp.model.network.sources import is_onnx, load_network
from soma_cp.model.objective import Objective
from soma_cp.model.problem import MAX_BATCH, Problem
from soma_cp.solver.parameters import MAX_EXPONENT, MAX_SEED, MAX_WORKERS, CpSatParameters

DEFAULT_SECONDS = 60.0


def network_from(spec: str, tokens: int | None, onnx: OnnxModels = NO_ONNX, types: TypeOptions = NO_TYPES) -> Network:
    """Return the built-in network of that name, or the one in that file; notes on it go to stderr."""
    if is_onnx(spec):
        return types.applied(onnx.network(spec, tokens))
    loaded = load_network(spec, tokens)
    print_notes(spec, loaded.notes)
    return types.applied(loaded.network)


def problem_from(
    net: str,
    tokens: int | None,
    options: HardwareOptions,
    batch: int,
    onnx: OnnxModels = NO_ONNX,
    types: TypeOptions = NO_TYPES,
) -> Problem:
    """Return what is to be scheduled."""
    if not 1 <= batch <= MAX_BATCH:
        raise UserError(f"--batch={batch} (must be from 1 to {MAX_BATCH})")
    network = network_from(net, tokens, onnx, types)
    hardware = usual_platform(network) if options.hw is None else options.hw
    platform = with_overrides(platform_from(hardware), options.buffer, options.dram)
    print_notes(net, type_notes(network, platform))
    doubt = doubtful_gbuf_energy(platform)
    if doubt is not None:
        print(f"soma-cp: warning: {doubt}", file=sys.stderr)
    return Problem(network, platform, batch)


def objective_from(energy_exponent: float, delay_exponent: float) -> Objective:
    """Check the exponents and return the objective."""
    for option, value in (("--energy-exponent", energy_exponent), ("--delay-exponent", delay_exponent)):
        if not 0 <= value <= MAX_EXPONENT:
            raise UserError(f"{option}={value} (must be from 0 to {MAX_EXPONENT:g})")
    if energy_exponent == 0 and delay_exponent == 0:
        raise UserError("--energy-exponent and --delay-exponent are both 0: nothing is left to minimise; raise one")
    return Objective(energy_exponent, delay_exponent)


def checked_seed(seed: int) -> int:
    """Return `seed`, checked."""
    if not 0 <= seed <= MAX_SEED:
        raise UserError(f"--seed={seed} (must be from 0 to {MAX_SEED})")
    return seed


def checked_passes(typed: str) -> int | None:
    """Return a number of passes as typed; None if the search finds it."""
    if typed == "auto":
        return None
    if not typed.isdecimal() or not 1 <= int(typed) <= MAX_BATCH:
        raise UserError(f"--passes={typed} (must be auto or a divisor of the batch)")
    return int(typed)


def seconds_of(time_limit: float | None) -> float | None:
    """Return the seconds that a time limit, as typed, stands for: 60 by default, None (no limit) at 0."""
    seconds = DEFAULT_SECONDS if time_limit is None else time_limit
    if math.isnan(seconds) or seconds < 0:
        raise UserError(f"--time-limit={seconds} (must be at least 0 seconds; 0 is no limit)")
    return seconds if 0 < seconds < math.inf else None


def budget_from(time_limit: float | None) -> Budget:
    """Return a budget of that many seconds: 60 by default, no limit at 0."""
    return Budget(seconds_of(time_limit))


def cpsat_from(workers: int | None, deterministic: bool, seed: int) -> CpSatParameters:
    """Return the parameters of CP-SAT."""
    if workers is not None and not 1 <= workers <= MAX_WORKERS:
        raise UserError(f"--workers={workers} (must be from 1 to {MAX_WORKERS})")
    if deterministic and workers not in (None, 1):
        raise UserError(
            f"--workers={workers} with --deterministic: several threads are not deterministic; leave one out"
        )
    return CpSatParameters(workers=workers, seed=seed, deterministic=deterministic)


def load_solver() -> None:
    """Load CP-SAT before the clock runs: loading takes a second or two, in which Ctrl-C would get no answer."""
    import_module("soma_cp.solver.second_stage.exact")
